#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// The sanity_check hook: what it prints as JSON becomes the metrics of /info. It never restarts
// anything: that is what `check` is for.

enum { DEFAULT_EVERY_MS = 60000, MAX_METRICS = 64 * 1024 };

static void attempt(void *arg);

static void again(struct pod *pod) {
    int64_t every = pod->spec->sanity_every ? pod->spec->sanity_every : DEFAULT_EVERY_MS;
    loop_timer_start(pod->loop, &pod->sanity_timer, every, attempt, pod);
}

static void take(struct pod *pod, const struct action_result *result, const struct err *failure) {
    struct err err = ERR_INIT;
    if (action_judge("sanity_check", result, failure, &err)) {
        log_warn("pod %s %s", pod->config.full_name, err.text);
        return;
    }
    json_t *metrics = json_read(result->out, strlen(result->out), MAX_METRICS, "sanity_check",
                                &err);
    if (!metrics) {
        log_warn("pod %s %s", pod->config.full_name, err.text);
        return;
    }
    json_decref(pod->metrics);
    pod->metrics = metrics;
    pod_changed(pod);
}

static void done(const struct action_result *result, const struct err *failure, void *arg) {
    struct pod *pod = arg;
    pod->sanity = NULL;
    take(pod, result, failure);
    again(pod);
}

static void attempt(void *arg) {
    struct pod *pod = arg;
    const struct spec_action *hook = &pod->spec->hooks[HOOK_SANITY_CHECK];
    if (pod->at != POD_RUNNING) {
        again(pod);
        return;
    }
    struct action_want want = {.action = hook, .name = "sanity_check", .input = pod->view};
    pod->sanity = action_start(pod, &want, done, pod);
}

void sanity_begin(struct pod *pod) {
    if (pod->spec->hooks[HOOK_SANITY_CHECK].kind == ACTION_NONE || pod->sanity || pod->sanity_timer)
        return;
    loop_timer_start(pod->loop, &pod->sanity_timer, 0, attempt, pod);
}

void sanity_end(struct pod *pod) {
    loop_timer_stop(&pod->sanity_timer);
    action_cancel(&pod->sanity);
}
