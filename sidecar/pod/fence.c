#include "sidecar/pod/fence.h"
#include <string.h>

int fence_phase(enum pod_task task) {
    static const int phases[POD_TASKS] = {
        [POD_CHECK] = 0, [POD_OFF] = 1,   [POD_ON] = 2,
        [POD_OK] = 3,    [POD_KILL] = -1, [POD_SIGNAL] = -1,
    };
    return phases[task];
}

bool fence_is_younger(const struct fence_mark *mark, const struct fence_witness *said) {
    return said->epoch && said->written < mark->epoch;
}

static enum fence_verdict judge_original(bool attached, const struct fence_witness *witness) {
    if (!attached)
        return FENCE_DETACHED;
    if (!witness->asked)
        return FENCE_WITNESS;
    return witness->has_original ? FENCE_PASS : FENCE_STALE;
}

static enum fence_verdict judge_round(const struct fence_mark *mark,
                                      const struct pod_request *request) {
    int phase = fence_phase(request->task);
    if (request->round < mark->round)
        return FENCE_STALE;
    if (request->round > mark->round)
        return FENCE_RAISE;
    return phase >= 0 && phase <= mark->phase ? FENCE_AGAIN : FENCE_PASS;
}

// Of the witness's tree. Where it does not say who leads, the mark alone counts.
static enum fence_verdict judge_epoch(const struct fence_mark *mark, bool known,
                                      const struct fence_witness *witness,
                                      const struct pod_request *request) {
    if (request->epoch < witness->epoch)
        return FENCE_STALE;
    if (witness->epoch && request->epoch > witness->epoch)
        return FENCE_NOBODY;
    if (request->epoch > mark->epoch)
        return FENCE_RAISE;
    if (request->epoch < mark->epoch)
        return fence_is_younger(mark, witness) ? FENCE_LOWER : FENCE_STALE;
    return known ? judge_round(mark, request) : FENCE_RAISE;
}

enum fence_verdict fence_judge(const struct fence_mark *mark, const char *pod_id, bool attached,
                               const struct fence_witness *witness,
                               const struct pod_request *request) {
    if (request->target && strcmp(request->target, pod_id) != 0)
        return FENCE_STRANGER;
    if (request->scope == POD_OPERATOR)
        return FENCE_PASS;
    if (request->scope == POD_ORIGINAL)
        return judge_original(attached, witness);
    bool known = *mark->tree && request->tree && strcmp(request->tree, mark->tree) == 0;
    if (!attached)
        return known && request->epoch < mark->epoch ? FENCE_STALE : FENCE_DETACHED;
    if (!witness->asked)
        return known && mark->confirmed && request->epoch == mark->epoch
                   ? judge_round(mark, request)
                   : FENCE_WITNESS;
    if (!request->tree || strcmp(request->tree, witness->tree) != 0)
        return FENCE_FOREIGN;
    return judge_epoch(mark, known, witness, request);
}

bool fence_still(const struct fence_mark *mark, const struct pod_request *request) {
    int phase = fence_phase(request->task);
    return mark->confirmed && strcmp(request->tree, mark->tree) == 0 &&
           request->epoch == mark->epoch && request->round == mark->round &&
           (phase < 0 || phase >= mark->phase);
}
