#include "sidecar/leader/round.h"
#include "base/check.h"
#include "base/log.h"
#include <string.h>

// Once when a pod starts while it is checked; that several do so one after the other is no
// accident.
enum { CORRECTED_MOST = 3 };

void round_done(struct round *r) {
    cluster_free(r->cluster);
    json_decref(r->births);
    json_decref(r->dead);
    json_decref(r->checked);
    memset(r, 0, sizeof *r);
}

int round_begin(struct round *r, struct watch *watch, const struct ledger *ledger, int64_t now,
                struct err *err) {
    round_done(r);
    r->cluster = watch_look(watch, &r->births);
    r->dead = json_object();
    r->began = now;
    if (json_object_size(r->cluster->pods) == 0)
        return err_set(err, ERR_REFUSED, "no pod of this cluster can be used");
    census_open(r->cluster, ledger->members);
    return 0;
}

void round_hash(struct round *r) {
    cluster_hash(r->cluster, r->hash);
}

static void bury(struct round *r, const json_t *gone) {
    const char *id;
    json_t *value;
    json_object_foreach((json_t *)gone, id, value) {
        CHECK(json_object_set(r->dead, id, json_object_get(r->births, id)) == 0);
        log_info("leader pod=%s is=dead left-out=true", id);
    }
}

int round_checked(struct round *r, const struct ledger *ledger, const struct rollout_result *result,
                  bool *ret_again, struct err *err) {
    bool completed = *ledger->hash != '\0';
    census_take(r->cluster, ledger->members, result->answers, result->gone, completed, &r->census);
    json_decref(r->checked);
    r->checked = json_incref((json_t *)result->answers);
    bury(r, result->gone);
    *ret_again = r->census.dropped || r->census.corrected;
    r->corrected += r->census.corrected;
    if (r->corrected > CORRECTED_MOST)
        return err_set(err, ERR_REFUSED,
                       "what the pods say about their data is another thing each time they are "
                       "asked: %d times in this round",
                       r->corrected);
    return 0;
}

void round_started(struct round *r, const struct rollout_result *result) {
    const char *id;
    json_t *answer;
    json_object_foreach((json_t *)result->answers, id, answer) {
        // Off by an operator: configured, yet it holds no data that others could count on.
        if (!json_is_false(json_object_get(answer, "started")))
            cluster_joined(r->cluster, id);
    }
}

bool round_stops_all(const struct round *r, bool full_shutdown) {
    return full_shutdown && r->census.changed && !r->census.none_started;
}

bool round_none_runs(const struct round *r, bool full_shutdown) {
    return r->census.none_runs || round_stops_all(r, full_shutdown);
}
