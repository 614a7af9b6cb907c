#include "sidecar/leader/leader.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/leader/leader_fsm.h"
#include "sidecar/leader/ledger.h"
#include "sidecar/leader/pace.h"
#include "sidecar/leader/rollout.h"
#include "sidecar/leader/round.h"
#include "sidecar/leader/status.h"
#include "sidecar/leader/watch.h"
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum {
    OVERTAKEN_MOST = 10, // then a round runs although something changed: a pod that flaps must not
                         // hold up the others for ever
};

struct leader {
    struct loop *loop;
    struct zk *zk;
    const struct spec *spec;
    struct leader_config config;
    char *name, *pod_id; // "marathon.zookeeper"
    struct peer_from from;
    struct ledger *ledger;
    struct watch *watch;

    enum leader_state state;
    enum leader_event tail; // raised by an effect, LEADER_EVENTS: none
    bool loaded;
    char seen[65];  // hash of what was seen last
    char begun[65]; // the same when the last round began; "" before
    struct damper damper;
    struct backoff backoff;
    struct loop_timer *timer; // damper or back-off

    struct round round;
    int overtaken;           // rounds in a row that a change ended
    struct rollout *phase;   // check, off, on
    struct rollout *telling; // ok of the last round

    struct loop_timer *probe_timer;
    struct status status;

    struct err why; // of the deposition, or of the last failure
    struct loop_timer *deposed;
};

static void step(struct leader *l, enum leader_event event);
static void look(struct leader *l);
static void judge(struct leader *l);

// ---- what others are told ----

const char *leader_status(const struct leader *l) {
    return text_str(&l->status.text);
}

const char *leader_state(const struct leader *l) {
    if (l->state == LEADER_SETTLED)
        return "leader";
    bool in_round = l->state >= LEADER_PROPOSING && l->state <= LEADER_COMMITTING;
    return in_round ? "leader (configuring)" : "leader (configuration pending)";
}

// ---- may we? ----

// Asked before every request and every write: a process that was frozen must find out here, before
// it does what it had decided when it still led.
static bool may(void *arg) {
    const struct leader *l = arg;
    if (l->state == LEADER_SUSPENDED || l->state == LEADER_DEPOSED)
        return false;
    return zk_state(l->zk) == ZK_CONNECTED &&
           zk_silence(l->zk) < (int64_t)zk_session_timeout(l->zk) * 2 / 3;
}

static void fail(struct leader *l, const struct err *err) {
    log_warn("leader %s state=%s round=%" PRId64 " failed=%s reason=\"%s\"", l->name,
             leader_state_name(l->state), l->ledger->round, err_kind_name(err->kind), err->text);
    l->why = *err;
    // Connection loss: what we wrote may stand there or not.
    if (err->kind == ERR_RETRY || err->kind == ERR_DETACHED)
        l->loaded = false;
    status_trouble(&l->status, err->text);
    step(l, err->kind == ERR_FENCED ? LEADER_DEPOSE : LEADER_REFUSED);
    // What changed while the round ran is looked at now.
    bool changed = *l->begun && strcmp(l->seen, l->begun) != 0;
    if (l->state == LEADER_WAITING && l->loaded && changed)
        judge(l);
}

// From within an effect: the event is raised when the step is over.
static void fail_later(struct leader *l, const struct err *err) {
    log_warn("leader %s state=%s reason=\"%s\"", l->name, leader_state_name(l->state), err->text);
    l->why = *err;
    status_trouble(&l->status, err->text);
    l->tail = LEADER_REFUSED;
}

static bool may_or_fail(struct leader *l) {
    if (may(l))
        return true;
    struct err err = ERR_INIT;
    err_set(&err, ERR_DETACHED, "waiting for ZooKeeper");
    fail_later(l, &err);
    return false;
}

// ---- what is seen ----

static void free_cluster(struct cluster **c) {
    cluster_free(*c);
}
#define auto_cluster __attribute__((cleanup(free_cluster)))

// The dead of the last round are no part of it, as long as their nodes are the same.
static void see(struct leader *l, char ret[65]) {
    auto_json json_t *births = NULL;
    auto_cluster struct cluster *c = watch_look(l->watch, &births);
    ledger_bury(l->ledger, c, births);
    cluster_hash(c, ret);
    status_refresh(&l->status);
}

static void decide(struct leader *l) {
    step(l, ledger_matches(l->ledger, l->seen) ? LEADER_SAME : LEADER_CHANGED);
}

// Something else has become of what we compare with.
static void judge(struct leader *l) {
    see(l, l->seen);
    decide(l);
}

// Answers whether it is something else than last time.
static bool notice(struct leader *l) {
    char hash[65];
    see(l, hash);
    if (strcmp(hash, l->seen) == 0)
        return false;
    memcpy(l->seen, hash, sizeof hash);
    damper_change(&l->damper, loop_now(l->loop));
    backoff_clear(&l->backoff);
    return true;
}

static void look(struct leader *l) {
    if (!l->loaded || !watch_is_complete(l->watch))
        return; // we look again when they are
    if (l->state == LEADER_SUSPENDED || l->state == LEADER_DEPOSED)
        return;
    bool changed = notice(l);
    if (!changed && l->state != LEADER_LOADING)
        return;
    bool early = l->state >= LEADER_PROPOSING && l->state <= LEADER_MARKING;
    if (!early || ++l->overtaken <= OVERTAKEN_MOST)
        decide(l);
}

static void on_change(void *arg) {
    look(arg);
}

// ---- answers ----

static void on_loaded(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE) {
        fail(l, err);
        return;
    }
    l->loaded = true;
    l->from.tree = l->ledger->tree;
    watch_hold(l->watch, l->ledger->proposed);
    look(l);
}

static void on_proposed(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE)
        fail(l, err);
    else
        step(l, LEADER_PROPOSED);
}

static void on_checked(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->phase = NULL;
    if (result->err.kind != ERR_NONE) {
        fail(l, &result->err);
        return;
    }
    bool again = round_checked(&l->round, l->ledger, result);
    step(l, again ? LEADER_AGAIN : LEADER_CHECKED);
}

static void on_marked(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE)
        fail(l, err);
    else
        step(l, round_stops_all(&l->round, l->spec->full_shutdown) ? LEADER_MARKED_OFF
                                                                   : LEADER_MARKED);
}

static void on_stopped(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->phase = NULL;
    if (result->err.kind != ERR_NONE)
        fail(l, &result->err);
    else
        step(l, LEADER_STOPPED);
}

static void on_started(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->phase = NULL;
    if (result->err.kind != ERR_NONE) {
        fail(l, &result->err);
        return;
    }
    round_started(&l->round, result);
    step(l, LEADER_STARTED);
}

static void on_committed(const struct err *err, void *arg) {
    struct leader *l = arg;
    if (err->kind != ERR_NONE) {
        fail(l, err);
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
    step(l, LEADER_COMMITTED);
    judge(l);
}

static void on_told(const struct rollout_result *result, void *arg) {
    struct leader *l = arg;
    l->telling = NULL;
    if (result->err.kind == ERR_FENCED)
        fail(l, &result->err);
}

// ---- effects ----

static void do_cancel(struct leader *l) {
    rollout_cancel(&l->phase);
    ledger_cancel(l->ledger);
    loop_timer_stop(&l->timer);
}

static void do_load(struct leader *l) {
    l->loaded = false;
    ledger_load(l->ledger, on_loaded, l);
}

static void quiet(void *arg) {
    step(arg, LEADER_QUIET);
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
    memcpy(l->begun, l->seen, sizeof l->seen);
    if (round_begin(&l->round, l->watch, l->ledger, loop_now(l->loop), &err)) {
        fail_later(l, &err);
        return;
    }
    size_t n = json_object_size(l->round.cluster->pods);
    status_trouble(&l->status, NULL);
    status_line(&l->status, "* configuring %zu pod%s", n, n == 1 ? "" : "s");
}

static void do_propose(struct leader *l) {
    if (may_or_fail(l))
        ledger_propose(l->ledger, l->round.cluster, l->round.hash, l->ledger->round + 1,
                       on_proposed, l);
}

static void start(struct leader *l, enum rollout_task task, bool in_order, rollout_fn *fn) {
    l->phase = rollout_start(&l->from, task, l->round.cluster, l->round.hash, l->ledger->round,
                             in_order, fn, l);
}

static void do_check(struct leader *l) {
    start(l, ROLLOUT_CHECK, l->spec->sequential, on_checked);
}

static void do_mark(struct leader *l) {
    // Not before: a round that a change overtakes must not be damped all over again.
    damper_clear(&l->damper);
    if (may_or_fail(l))
        ledger_mark(l->ledger, l->round.cluster->members, on_marked, l);
}

static void do_off(struct leader *l) {
    start(l, ROLLOUT_OFF, false, on_stopped);
}

static void do_on(struct leader *l) {
    bool together = l->spec->together && round_none_runs(&l->round, l->spec->full_shutdown);
    start(l, ROLLOUT_ON, l->spec->sequential && !together, on_started);
}

static void do_commit(struct leader *l) {
    if (may_or_fail(l))
        ledger_commit(l->ledger, l->round.cluster, l->round.hash, l->ledger->round, l->round.dead,
                      on_committed, l);
}

static void do_ok(struct leader *l) {
    rollout_cancel(&l->telling);
    l->telling = rollout_start(&l->from, ROLLOUT_OK, l->round.cluster, l->round.hash,
                               l->ledger->round, false, on_told, l);
}

static void retry(void *arg) {
    step(arg, LEADER_RETRY);
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
    auto_cluster struct cluster *c = watch_look(l->watch, NULL);
    if (l->phase)
        rollout_keep(l->phase, c->pods);
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
    {LEADER_CANCEL, do_cancel},
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

static void step(struct leader *l, enum leader_event event) {
    struct leader_cell cell = leader_next(l->state, event);
    if (cell.next != l->state)
        log_info("leader %s state=%s from=%s event=%s", l->name, leader_state_name(cell.next),
                 leader_state_name(l->state), leader_event_name(event));
    l->state = cell.next;
    for (size_t i = 0; i < sizeof effects / sizeof *effects && l->tail == LEADER_EVENTS; i++)
        if (cell.effects & effects[i].effect)
            effects[i].carry_out(l);
    if (l->tail == LEADER_EVENTS)
        return;
    enum leader_event next = l->tail;
    l->tail = LEADER_EVENTS;
    step(l, next);
}

// ---- the leader's look at the whole cluster ----

static void probe(void *arg) {
    struct leader *l = arg;
    loop_timer_start(l->loop, &l->probe_timer, l->spec->probe.every, probe, l);
    if (l->state != LEADER_SETTLED)
        return;
    auto_json json_t *births = NULL;
    auto_cluster struct cluster *c = watch_look(l->watch, &births);
    ledger_bury(l->ledger, c, births);
    json_decref(c->members);
    c->members = json_deep_copy(l->ledger->members);
    auto_json json_t *view = cluster_view(c, l->pod_id, NULL);
    if (view)
        status_probe(&l->status, &l->config, view);
}

// ---- life ----

struct leader *leader_create(struct loop *loop, struct http *http, struct zk *zk,
                             const struct leader_config *config) {
    struct leader *l = xnew(struct leader);
    *l = (struct leader){
        .loop = loop,
        .zk = zk,
        .spec = config->spec,
        .config = *config,
        .name = xstrdup(strrchr(config->root, '/') + 1),
        .pod_id = xstrdup(config->pod_id),
        .tail = LEADER_EVENTS,
    };
    damper_init(&l->damper, l->spec->damper);
    l->ledger = ledger_create(zk, config->root, config->lock_path, config->epoch);
    l->from = (struct peer_from){
        .loop = loop,
        .http = http,
        .tree = l->ledger->tree,
        .epoch = config->epoch,
        .grace = l->spec->grace,
        .may = may,
        .arg = l,
    };
    struct watch_config watch = {
        .root = config->root,
        .namespace_ = config->namespace_,
        .depends_on = l->spec->depends_on,
        .on_change = on_change,
        .arg = l,
    };
    l->watch = watch_create(loop, zk, &watch);
    status_init(&l->status, l->watch);
    do_load(l);
    if (config->probe && l->spec->probe.action.kind != ACTION_NONE)
        loop_timer_start(loop, &l->probe_timer, l->spec->probe.every, probe, l);
    return l;
}

void leader_suspend(struct leader *l, bool suspended) {
    step(l, suspended ? LEADER_SUSPEND : LEADER_RESUME);
}

void leader_free(struct leader *l) {
    if (!l)
        return;
    do_cancel(l);
    rollout_cancel(&l->telling);
    loop_timer_stop(&l->probe_timer);
    loop_timer_stop(&l->deposed);
    status_done(&l->status);
    round_done(&l->round);
    watch_free(l->watch);
    ledger_free(l->ledger);
    free(l->name);
    free(l->pod_id);
    free(l);
}
