#include "sidecar/leader/leader.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/leader/leader_inside.h"
#include <inttypes.h>
#include <string.h>

enum {
    OVERTAKEN_MOST = 10, // then a round runs although something changed: a pod that flaps must not
                         // hold up the others for ever
};

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
bool leader_may(void *arg) {
    const struct leader *l = arg;
    if (l->state == LEADER_SUSPENDED || l->state == LEADER_DEPOSED)
        return false;
    return zk_state(l->zk) == ZK_CONNECTED &&
           zk_silence(l->zk) < (int64_t)zk_session_timeout(l->zk) * 2 / 3;
}

void leader_fail(struct leader *l, const struct err *err) {
    // Of an access list nothing becomes by itself: a person must act.
    void (*say)(const char *fmt, ...) = err->code == ZK_NO_AUTH ? log_err : log_warn;
    say("leader %s state=%s round=%" PRId64 " failed=%s reason=\"%s\"", l->name,
        leader_state_name(l->state), l->ledger->round, err_kind_name(err->kind), err->text);
    l->why = *err;
    // Connection loss: what we wrote may stand there or not.
    if (err->kind == ERR_RETRY || err->kind == ERR_DETACHED)
        l->loaded = false;
    status_trouble(&l->status, err->text);
    leader_step(l, err->kind == ERR_FENCED ? LEADER_DEPOSE : LEADER_REFUSED);
    // What changed while the round ran is looked at now.
    bool changed = *l->begun && strcmp(l->seen, l->begun) != 0;
    if (l->state == LEADER_WAITING && l->loaded && changed)
        leader_judge(l);
}

// From within an effect: the event is raised when the step is over.
void leader_fail_later(struct leader *l, const struct err *err) {
    log_warn("leader %s state=%s reason=\"%s\"", l->name, leader_state_name(l->state), err->text);
    l->why = *err;
    status_trouble(&l->status, err->text);
    l->tail = LEADER_REFUSED;
}

int leader_must(struct leader *l, struct err *err) {
    return leader_may(l) ? 0 : err_set(err, ERR_DETACHED, "waiting for ZooKeeper");
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
    if (ledger_matches(l->ledger, ret))
        watch_hold(l->watch, c->dependencies);
    status_refresh(&l->status);
}

static void decide(struct leader *l) {
    leader_step(l, ledger_matches(l->ledger, l->seen) ? LEADER_SAME : LEADER_CHANGED);
}

// Something else has become of what we compare with.
void leader_judge(struct leader *l) {
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

void leader_look(struct leader *l) {
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
    leader_look(arg);
}
void leader_step(struct leader *l, enum leader_event event) {
    struct leader_cell cell = leader_next(l->state, event);
    if (cell.next != l->state)
        log_info("leader %s state=%s from=%s event=%s", l->name, leader_state_name(cell.next),
                 leader_state_name(l->state), leader_event_name(event));
    l->state = cell.next;
    leader_carry_out(l, cell.effects);
    if (l->tail == LEADER_EVENTS)
        return;
    enum leader_event next = l->tail;
    l->tail = LEADER_EVENTS;
    leader_step(l, next);
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
        .tree = xstrdup(""),
        .tail = LEADER_EVENTS,
    };
    damper_init(&l->damper, l->spec->damper);
    l->ledger = ledger_create(zk, config->root, config->lock_path, config->epoch);
    l->from = (struct peer_from){
        .loop = loop,
        .http = http,
        .tree = l->tree,
        .epoch = config->epoch,
        .auth = config->auth,
        .own_url = config->own_url,
        .grace = l->spec->grace,
        .may = leader_may,
        .arg = l,
    };
    struct watch_config watch = {
        .root = config->root,
        .namespace_ = config->namespace_,
        .depends_on = l->spec->depends_on,
        .pod_id = config->pod_id,
        .alone = config->own_url,
        .on_change = on_change,
        .arg = l,
    };
    l->watch = watch_create(loop, zk, &watch);
    status_init(&l->status, l->watch);
    leader_carry_out(l, LEADER_LOAD);
    if (config->probe && l->spec->probe.action.kind != ACTION_NONE)
        loop_timer_start(loop, &l->probe_timer, l->spec->probe.every, probe, l);
    return l;
}

void leader_suspend(struct leader *l, bool suspended) {
    leader_step(l, suspended ? LEADER_SUSPEND : LEADER_RESUME);
}

void leader_free(struct leader *l) {
    if (!l)
        return;
    leader_cancel(l);
    rollout_cancel(&l->telling);
    loop_timer_stop(&l->probe_timer);
    loop_timer_stop(&l->deposed);
    status_done(&l->status);
    round_done(&l->round);
    watch_free(l->watch);
    ledger_free(l->ledger);
    free(l->name);
    free(l->pod_id);
    free(l->tree);
    free(l);
}
