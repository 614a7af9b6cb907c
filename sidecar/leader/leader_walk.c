#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/leader/leader_inside.h"
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum { UNREAD_MS = 50 };

// Of a thousand pods each takes its time: a turn of its own, or nobody else is answered meanwhile.
static void in_turn(struct leader *l, void (*fn)(void *arg)) {
    loop_timer_start(l->loop, &l->timer, 0, fn, l);
}

// ---- answers ----

static void on_loaded(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE) {
        leader_fail(l, err);
        return;
    }
    l->loaded = true;
    if (!*l->tree) // the first time; later it is what we proposed, and may have given up
        watch_inherit(l->watch, l->ledger->proposed);
    free(l->tree);
    l->from.tree = l->tree = xstrdup(l->ledger->tree);
    leader_look(l);
}

static void on_proposed(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE)
        leader_fail(l, err);
    else
        leader_step(l, LEADER_PROPOSED);
}

static void on_checked(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->phase = NULL;
    if (result->err.kind != ERR_NONE) {
        leader_fail(l, &result->err);
        return;
    }
    struct err err = ERR_INIT;
    bool again = false;
    if (round_checked(&l->round, l->ledger, result, &again, &err))
        leader_fail(l, &err);
    else
        leader_step(l, again ? LEADER_AGAIN : LEADER_CHECKED);
}

static void on_marked(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE) {
        leader_fail(l, err);
        return;
    }
    // From here on pods are given it.
    watch_hold(l->watch, l->round.cluster->dependencies);
    leader_step(l, round_stops_all(&l->round, l->spec->full_shutdown) ? LEADER_MARKED_OFF
                                                                      : LEADER_MARKED);
}

static void on_stopped(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->phase = NULL;
    if (result->err.kind != ERR_NONE)
        leader_fail(l, &result->err);
    else
        leader_step(l, LEADER_STOPPED);
}

static void on_started(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->phase = NULL;
    if (result->err.kind != ERR_NONE) {
        leader_fail(l, &result->err);
        return;
    }
    round_started(&l->round, result);
    leader_step(l, LEADER_STARTED);
}

static void judge_now(void *arg) {
    leader_judge(arg);
}

static void on_committed(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE) {
        leader_fail(l, err);
        return;
    }
    int64_t took = loop_now(l->loop) - l->round.began;
    log_info("leader %s round=%" PRId64 " generation=%" PRId64 " pods=%zu ms=%" PRId64
             " hash=%.12s",
             l->name, l->ledger->round, l->ledger->generation,
             json_object_size(l->round.cluster->pods), took, l->round.hash);
    l->overtaken = 0;
    backoff_clear(&l->backoff);
    status_line(&l->status, "* configuration in %.1f seconds", (double)took / 1000);
    leader_step(l, LEADER_COMMITTED);
    in_turn(l, judge_now);
}

static void on_told(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->telling = NULL;
    if (result->err.kind == ERR_FENCED)
        leader_fail(l, &result->err);
}

// ---- effects ----

void leader_cancel(struct leader *l) {
    rollout_cancel(&l->phase);
    ledger_cancel(l->ledger);
    loop_timer_stop(&l->timer);
}

static void do_load(struct leader *l) {
    l->loaded = false;
    ledger_load(l->ledger, on_loaded, l);
}

// While a record is read a round would be one without its pod, and with it there would be another.
static void quiet(void *arg) {
    struct leader *l = arg;
    if (watch_is_complete(l->watch))
        leader_step(l, LEADER_QUIET);
    else
        loop_timer_start(l->loop, &l->timer, UNREAD_MS, quiet, l);
}

static void do_damp(struct leader *l) {
    int64_t wait = damper_wait(&l->damper, loop_now(l->loop));
    // Pods may be off, or two by two different, until a round that was begun is completed.
    if (l->ledger->open && wait > PACE_SETTLE)
        wait = PACE_SETTLE;
    loop_timer_start(l->loop, &l->timer, wait, quiet, l);
}

static void do_undamp(struct leader *l) {
    loop_timer_stop(&l->timer);
    damper_clear(&l->damper);
    backoff_clear(&l->backoff);
    l->overtaken = 0;
    status_trouble(&l->status, NULL);
}

static void do_begin(struct leader *l) {
    struct err err = ERR_INIT;
    memcpy(l->begun, l->seen, sizeof l->seen); // complete, and told: what the round takes
    if (round_begin(&l->round, l->watch, l->ledger, loop_now(l->loop), &err)) {
        leader_fail_later(l, &err);
        return;
    }
    size_t n = json_object_size(l->round.cluster->pods);
    status_trouble(&l->status, NULL);
    status_line(&l->status, "* configuring %zu pod%s", n, n == 1 ? "" : "s");
}

static void propose(void *arg) {
    struct leader *l = arg;
    struct err err = ERR_INIT;
    if (leader_must(l, &err)) {
        leader_fail(l, &err);
        return;
    }
    rollout_cancel(&l->telling); // an ok of the last round is stale from here on
    ledger_propose(l->ledger, l->round.cluster, l->round.hash, l->ledger->round + 1, on_proposed,
                   l);
}

static void weigh(void *arg) {
    struct leader *l = arg;
    struct err err = ERR_INIT;
    if (ledger_fits(l->round.cluster, &err))
        leader_fail(l, &err);
    else
        in_turn(l, propose);
}

static void hash(void *arg) {
    struct leader *l = arg;
    round_hash(&l->round);
    in_turn(l, weigh);
}

static void do_propose(struct leader *l) {
    in_turn(l, hash);
}

static struct rollout *start(struct leader *l, enum rollout_task task, bool in_order,
                             rollout_fn *fn) {
    // Where all were turned off there is nobody left to spare.
    bool by_turn = task == ROLLOUT_ON && in_order &&
                   !round_stops_all(&l->round, l->spec->full_shutdown);
    const struct rollout_about about = {l->round.cluster,        l->round.hash,
                                        l->ledger->round,        l->ledger->digest,
                                        l->ledger->proposal_len, by_turn ? l->round.checked : NULL};
    return rollout_start(&l->from, task, &about, in_order, fn, l);
}

static void do_check(struct leader *l) {
    // Whoever has heard of this round takes an ok of the one before for an older leader's.
    rollout_cancel(&l->telling);
    l->phase = start(l, ROLLOUT_CHECK, l->spec->sequential, on_checked);
}

static void do_mark(struct leader *l) {
    // Not before: a round that a change overtakes must not be damped all over again.
    damper_clear(&l->damper);
    struct err err = ERR_INIT;
    if (leader_must(l, &err))
        leader_fail_later(l, &err);
    else
        ledger_mark(l->ledger, l->round.cluster->members, on_marked, l);
}

static void do_off(struct leader *l) {
    l->phase = start(l, ROLLOUT_OFF, false, on_stopped);
}

static void do_on(struct leader *l) {
    bool together = l->spec->together && round_none_runs(&l->round, l->spec->full_shutdown);
    l->phase = start(l, ROLLOUT_ON, l->spec->sequential && !together, on_started);
}

static void commit(void *arg) {
    struct leader *l = arg;
    struct err err = ERR_INIT;
    if (leader_must(l, &err))
        leader_fail(l, &err);
    else
        ledger_commit(l->ledger, l->round.cluster, l->round.hash, l->ledger->round, l->round.dead,
                      on_committed, l);
}

static void do_commit(struct leader *l) {
    in_turn(l, commit);
}

static void do_ok(struct leader *l) {
    rollout_cancel(&l->telling);
    l->telling = start(l, ROLLOUT_OK, false, on_told);
}

static void retry(void *arg) {
    leader_step(arg, LEADER_RETRY);
}

static void do_back_off(struct leader *l) {
    uint32_t chance;
    CHECK(getrandom(&chance, sizeof chance, 0) == (ssize_t)sizeof chance);
    damper_clear(&l->damper);
    bool first = l->backoff.failures == 0;
    int64_t wait = backoff_next(&l->backoff, chance);
    // Who died under our hands is left out by the next check: no reason to let the others wait.
    if (first && l->why.kind == ERR_GONE)
        wait = 0;
    loop_timer_start(l->loop, &l->timer, wait, retry, l);
}

static void do_leavers(struct leader *l) {
    struct cluster *c = watch_look(l->watch, NULL);
    if (l->phase)
        rollout_keep(l->phase, c->pods);
    cluster_free(c);
}

static void deposed(void *arg) {
    struct leader *l = arg;
    struct err why = l->why;
    l->config.on_deposed(&why, l->config.arg); // frees us
}

static void do_step_down(struct leader *l) {
    loop_timer_start(l->loop, &l->deposed, 0, deposed, l);
}

static const struct {
    enum leader_effect effect;
    void (*carry_out)(struct leader *l);
} effects[] = {
    {LEADER_CANCEL, leader_cancel},
    {LEADER_LOAD, do_load},
    {LEADER_DAMP, do_damp},
    {LEADER_UNDAMP, do_undamp},
    {LEADER_BEGIN, do_begin},
    {LEADER_PROPOSE, do_propose},
    {LEADER_CHECK, do_check},
    {LEADER_MARK, do_mark},
    {LEADER_OFF, do_off},
    {LEADER_ON, do_on},
    {LEADER_COMMIT, do_commit},
    {LEADER_OK, do_ok},
    {LEADER_BACK_OFF, do_back_off},
    {LEADER_LEAVERS, do_leavers},
    {LEADER_STEP_DOWN, do_step_down},
};

void leader_carry_out(struct leader *l, unsigned wanted) {
    for (size_t i = 0; i < sizeof effects / sizeof *effects && l->tail == LEADER_EVENTS; i++)
        if (wanted & effects[i].effect)
            effects[i].carry_out(l);
}
