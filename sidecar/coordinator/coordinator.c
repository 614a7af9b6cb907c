#include "sidecar/coordinator/coordinator.h"
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/coordinator/coordinator_fsm.h"
#include "sidecar/coordinator/glance.h"
#include "sidecar/coordinator/guard.h"
#include "sidecar/coordinator/leaving.h"
#include "sidecar/coordinator/nodes.h"
#include "sidecar/coordinator/reading.h"
#include "sidecar/registration/registration.h"
#include "sidecar/zk/lock.h"
#include <string.h>
#include <sys/random.h>

enum { PAUSE_MS = 2000, AGAIN_MS = 1000, WAITING = 8, MAX_RECORD = 64 * 1024 };

// Outlives the coordinator when that is freed before the session has ended.
struct closing {
    struct coordinator *coordinator;
};

struct coordinator {
    struct loop *loop;
    struct http *http;
    struct coordinator_config config; // strings borrowed
    char *servers, *auth, *known;     // known: literal addresses of an earlier session
    char *root, *name;                // name: "<namespace>.<cluster>"
    int64_t seq;
    enum coordinator_state_name state;
    bool stands;   // may lead
    bool attached; // as was told
    bool alone;    // zk: none
    bool entered;  // was registered once, or goes on for a worker that was
    struct zk *zk;
    struct guard *guard;
    struct registration *registration;
    struct lock *lock;
    struct lock *released; // being taken back; another one waits for that
    struct leader *leader;
    int64_t epoch;
    struct leaving *leaving;
    struct zk_follow *follow;
    json_t *record; // of /leader; NULL: none
    char *status;
    struct nodes *nodes;
    struct closing *closing;
    struct link readings, glances;
    struct loop_timer *pause, *lease, *again, *deposed;
    struct err why; // we failed
    enum coordinator_event waiting[WAITING];
    int waiting_n;
    bool busy;
    void (*left)(void *arg);
    void *left_arg;
    const struct coordinator_events *events;
    void *arg;
};

static void happen(struct coordinator *c, enum coordinator_event event);

// ---- attached ----

static bool is_registered(const struct coordinator *c) {
    return c->state == COORDINATOR_FOLLOWING || c->state == COORDINATOR_ASIDE ||
           c->state == COORDINATOR_LEADING;
}

static int64_t lease_left(const struct coordinator *c) {
    return (int64_t)zk_session_timeout(c->zk) * 2 / 3 - zk_silence(c->zk);
}

// Asked of the clock, not of what was told: after a stop of the process this may be the first line
// that runs.
bool coordinator_attached(const struct coordinator *c) {
    return is_registered(c) && c->zk && zk_state(c->zk) != ZK_LOST && lease_left(c) > 0;
}

static void set_attached(struct coordinator *c, bool attached) {
    if (c->attached == attached)
        return;
    c->attached = attached;
    c->events->on_attached(attached, c->arg);
}

static void on_lease(void *arg) {
    struct coordinator *c = arg;
    if (lease_left(c) > 0) {
        loop_timer_start(c->loop, &c->lease, lease_left(c), on_lease, c);
        return;
    }
    log_warn("coordinator %s: ZooKeeper is silent, our session may be gone", c->name);
    set_attached(c, false);
}

static void on_record(const char *data, size_t len, const struct zk_stat *stat,
                      const struct err *err, void *arg) {
    struct coordinator *c = arg;
    (void)stat;
    json_t *record = err->kind == ERR_NONE && len
                         ? json_read(data, len, MAX_RECORD, "/leader", NULL)
                         : NULL;
    json_decref(c->record);
    c->record = record;
}

// ---- what the stations below say ----

static void on_zk(enum zk_state state, void *arg) {
    struct coordinator *c = arg;
    static const enum coordinator_event events[] = {
        [ZK_CONNECTED] = COORDINATOR_CONNECTED,
        [ZK_SUSPENDED] = COORDINATOR_SUSPENDED,
        [ZK_LOST] = COORDINATOR_LOST,
    };
    if (state == ZK_CONNECTED) {
        free(c->known);
        c->known = xstrdup(zk_addresses(c->zk));
    }
    if (state != ZK_CONNECTING)
        happen(c, events[state]);
}

static void on_numbered(int64_t seq, void *arg) {
    struct coordinator *c = arg;
    c->seq = seq;
    c->events->on_seq(seq, c->arg);
}

static void on_registered(const char *path, int64_t seq, void *arg) {
    struct coordinator *c = arg;
    log_info("coordinator %s registered=%s seq=%lld", c->name, path, (long long)seq);
    c->entered = true;
    happen(c, c->stands ? COORDINATOR_REGISTERED : COORDINATOR_REGISTERED_ASIDE);
}

static void on_failed(const struct err *err, void *arg) {
    struct coordinator *c = arg;
    if (err->code == ZK_NO_AUTH)
        err_code(&c->why, err->kind, err->code,
                 "ZooKeeper: %s: put the credentials that it was made with into zk://, or set "
                 "`zk_acl: open`, or take another namespace",
                 err->text);
    else
        (void)err_copy(&c->why, err);
    happen(c, COORDINATOR_FAILED);
}

static void on_held(const char *path, int64_t czxid, void *arg) {
    struct coordinator *c = arg;
    (void)path;
    c->epoch = czxid;
    happen(c, COORDINATOR_HELD);
}

static void on_gone(void *arg) {
    happen(arg, COORDINATOR_GONE);
}

static void on_deposed_later(void *arg) {
    happen(arg, COORDINATOR_DEPOSED);
}

// Not from within the leader, which goes by it.
static void on_deposed(const struct err *why, void *arg) {
    struct coordinator *c = arg;
    log_warn("coordinator %s: deposed: %s", c->name, why->text);
    loop_timer_start(c->loop, &c->deposed, 0, on_deposed_later, c);
}

static void probe(const json_t *view,
                  void (*fn)(const char *line, const struct err *err, void *arg), void *fn_arg,
                  void *arg) {
    struct coordinator *c = arg;
    c->config.probe(view, fn, fn_arg, c->config.probe_arg);
}

// ---- effects ----

static void suspend(struct coordinator *c) {
    if (c->leader)
        leader_suspend(c->leader, true);
    int64_t left = lease_left(c);
    if (c->attached)
        loop_timer_start(c->loop, &c->lease, left > 0 ? left : 0, on_lease, c);
}

static void resume(struct coordinator *c) {
    loop_timer_stop(&c->lease);
    if (!is_registered(c))
        return;
    nodes_ensure(c->nodes);
    set_attached(c, true);
    if (c->leader)
        leader_suspend(c->leader, false);
}

static void keep_status(struct coordinator *c) {
    free(c->status);
    c->status = xstrdup(leader_status(c->leader));
}

static void unlead(struct coordinator *c) {
    loop_timer_stop(&c->deposed);
    if (!c->leader)
        return;
    keep_status(c);
    leader_free(c->leader);
    c->leader = NULL;
    c->events->on_leading(false, c->arg);
}

static void stand(struct coordinator *c) {
    static const struct lock_events events = {.on_held = on_held, .on_gone = on_gone};
    if (c->lock || c->released)
        return; // when that is done
    auto_free char *folder = xasprintf("%s/coordinator", c->root);
    c->lock = lock_create(c->loop, c->zk, folder, c->config.pod_id, &events, c);
}

static void on_released(void *arg) {
    struct coordinator *c = arg;
    c->released = NULL;
    if (c->state == COORDINATOR_FOLLOWING && !c->again)
        stand(c);
}

static void unstand(struct coordinator *c) {
    loop_timer_stop(&c->again);
    if (!c->lock)
        return;
    c->released = c->lock;
    c->lock = NULL;
    lock_release(c->released, on_released, c);
}

static void on_again(void *arg) {
    struct coordinator *c = arg;
    if (c->state == COORDINATOR_FOLLOWING)
        stand(c);
}

// All that leans on the session, what leans on it most first.
static void let_go(struct coordinator *c) {
    loop_timer_stop(&c->pause);
    loop_timer_stop(&c->lease);
    loop_timer_stop(&c->again);
    reading_detach_all(&c->readings);
    glance_detach_all(&c->glances);
    lock_free(c->lock);
    lock_free(c->released);
    c->lock = c->released = NULL;
    guard_free(&c->guard);
    registration_free(c->registration);
    c->registration = NULL;
    leaving_free(&c->leaving);
    nodes_free(c->nodes);
    c->nodes = NULL;
    zk_unfollow(&c->follow);
}

static void on_closed(void *arg) {
    struct closing *closing = arg;
    struct coordinator *c = closing->coordinator;
    free(closing);
    if (!c)
        return;
    c->closing = NULL;
    happen(c, COORDINATOR_CLOSED);
}

static void on_nothing_to_close(void *arg) {
    happen(arg, COORDINATOR_CLOSED);
}

static void close_and_tell(struct coordinator *c) {
    struct zk *zk = c->zk;
    let_go(c);
    c->zk = NULL;
    if (!zk) {
        loop_timer_start(c->loop, &c->pause, 0, on_nothing_to_close, c);
        return;
    }
    c->closing = xnew(struct closing);
    c->closing->coordinator = c;
    zk_close(zk, on_closed, c->closing);
}

static void close_session(struct coordinator *c) {
    struct zk *zk = c->zk;
    let_go(c);
    c->zk = NULL;
    if (zk)
        zk_close(zk, NULL, NULL);
}

static void drop(struct coordinator *c) {
    close_session(c);
    set_attached(c, false);
}

static void on_pause(void *arg) {
    happen(arg, COORDINATOR_OPEN);
}

static void pause_a_while(struct coordinator *c) {
    uint32_t chance = 0;
    CHECK(getrandom(&chance, sizeof chance, 0) == (ssize_t)sizeof chance);
    loop_timer_start(c->loop, &c->pause, chance % (PAUSE_MS + 1), on_pause, c);
}

static void connect_zk(struct coordinator *c) {
    const struct zk_config config = {.kept = c->alone ? c->config.spec->state_dir : NULL,
                                     .servers = c->servers,
                                     .session_ms = (int)c->config.spec->session,
                                     .auth = c->auth,
                                     .open = c->config.spec->zk_acl == ZK_ACL_OPEN,
                                     .known = c->known};
    struct err err = ERR_INIT;
    loop_timer_stop(&c->pause);
    if (zk_open(c->loop, &config, on_zk, c, &c->zk, &err) == 0)
        return;
    (void)err_copy(&c->why, &err);
    happen(c, COORDINATOR_FAILED);
}

static void enter(struct coordinator *c) {
    static const struct registration_events events = {
        .on_numbered = on_numbered, .on_registered = on_registered, .on_failed = on_failed};
    c->registration = registration_create(c->loop, c->zk, c->root, c->config.pod_id,
                                          c->config.facts, c->seq, &events, c);
    registration_persist(c->registration, c->entered);
}

static void on_guarded(const struct err *err, void *arg) {
    struct coordinator *c = arg;
    c->guard = NULL;
    if (err->kind != ERR_NONE)
        on_failed(err, c);
    else
        enter(c);
}

// At the start it is refused. What becomes of them later is an alarm and no reason to give up a
// workload.
static void enlist(struct coordinator *c) {
    if (zk_is_guarded(c->zk))
        c->guard = guard_start(c->loop, c->zk, c->root, c->entered, on_guarded, c);
    else
        enter(c);
}

static void attach(struct coordinator *c) {
    auto_free char *path = xasprintf("%s/leader", c->root);
    c->nodes = nodes_create(c->zk, c->root);
    nodes_ensure(c->nodes);
    c->follow = zk_follow_data(c->zk, path, on_record, c);
    set_attached(c, true);
}

static void lead(struct coordinator *c) {
    const struct leader_config config = {.spec = c->config.spec,
                                         .auth = c->config.auth,
                                         .root = c->root,
                                         .namespace_ = c->config.namespace_,
                                         .pod_id = c->config.pod_id,
                                         .lock_path = lock_path(c->lock),
                                         .epoch = c->epoch,
                                         .own_url = c->alone ? c->config.own_url : NULL,
                                         .probe = c->config.probe ? probe : NULL,
                                         .on_deposed = on_deposed,
                                         .arg = c};
    c->leader = leader_create(c->loop, c->http, c->zk, &config);
    c->events->on_leading(true, c->arg);
}

static void on_left(void *arg) {
    struct coordinator *c = arg;
    c->leaving = NULL;
    close_and_tell(c);
}

static void leave(struct coordinator *c) {
    loop_timer_stop(&c->pause);
    loop_timer_stop(&c->again);
    registration_free(c->registration); // else it would register again
    c->registration = NULL;
    c->leaving = leaving_start(c->loop, c->zk, c->root, c->config.pod_id, on_left, c);
}

static void fail(struct coordinator *c) {
    close_and_tell(c);
    set_attached(c, false);
}

static void tell(struct coordinator *c) {
    void (*left)(void *arg) = c->left;
    void *left_arg = c->left_arg;
    struct err why = c->why;
    c->left = NULL;
    c->why = (struct err)ERR_INIT;
    if (why.kind != ERR_NONE)
        c->events->on_fatal(&why, c->arg);
    if (left)
        left(left_arg);
}

// ---- the table ----

static void carry_out(struct coordinator *c, unsigned effects) {
    static void (*const steps[])(struct coordinator * c) = {
        suspend, resume, unlead, unstand, drop,  pause_a_while, connect_zk, enlist,
        attach,  stand,  NULL,   lead,    leave, fail,          tell,
    };
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!(effects & 1u << i))
            continue;
        if (1u << i == COORDINATOR_FX_AGAIN)
            loop_timer_start(c->loop, &c->again, AGAIN_MS, on_again, c);
        else
            steps[i](c);
    }
}

static void step(struct coordinator *c, enum coordinator_event event) {
    struct coordinator_cell cell = coordinator_next(c->state, event);
    if (cell.next != c->state)
        log_info("coordinator %s state=%s from=%s event=%s", c->name,
                 coordinator_state_text(cell.next), coordinator_state_text(c->state),
                 coordinator_event_text(event));
    c->state = cell.next;
    carry_out(c, cell.effects);
}

// What happens while the effects of something else are carried out, in a callback upwards, waits.
static void happen(struct coordinator *c, enum coordinator_event event) {
    CHECK(c->waiting_n < WAITING);
    c->waiting[c->waiting_n++] = event;
    if (c->busy)
        return;
    c->busy = true;
    while (c->waiting_n) {
        enum coordinator_event next = c->waiting[0];
        memmove(c->waiting, c->waiting + 1, (size_t)--c->waiting_n * sizeof next);
        step(c, next);
    }
    c->busy = false;
}

// ---- the door ----

static void keep_secret(const char *auth) {
    const char *password = auth ? strchr(auth, ':') : NULL;
    if (password && password[1])
        log_secret(password + 1);
}

struct coordinator *coordinator_create(struct loop *loop, struct http *http,
                                       const struct coordinator_config *config,
                                       const struct coordinator_events *events, void *arg,
                                       struct err *err) {
    auto_free char *servers = NULL, *auth = NULL;
    if (!config->zk_url || !*config->zk_url) {
        err_set(err, ERR_USER,
                "no ZooKeeper: set `zk:` in the spec, ochopod_zk or OCHOPOD_ZK, as "
                "zk://host:2181,host:2181/path");
        return NULL;
    }
    bool alone = strcmp(config->zk_url, "none") == 0;
    if (!alone && zk_parse_url(config->zk_url, &servers, &auth, err))
        return NULL;
    struct coordinator *c = xnew(struct coordinator);
    c->loop = loop;
    c->http = http;
    c->config = *config;
    c->alone = alone;
    c->servers = take_ptr(servers);
    c->auth = take_ptr(auth);
    c->root = zk_cluster_path(config->namespace_, config->cluster);
    c->name = xasprintf("%s.%s", config->namespace_, config->cluster);
    c->seq = config->seq;
    c->entered = config->resumed;
    c->stands = true;
    c->events = events;
    c->arg = arg;
    list_init(&c->readings);
    list_init(&c->glances);
    keep_secret(c->auth);
    loop_timer_start(loop, &c->pause, 0, on_pause, c);
    return c;
}

void coordinator_reset(struct coordinator *c) {
    happen(c, COORDINATOR_RESET);
}

void coordinator_update(struct coordinator *c) {
    if (c->registration)
        registration_update(c->registration, c->config.facts);
}

void coordinator_stand(struct coordinator *c, bool stand_) {
    c->stands = stand_;
    happen(c, stand_ ? COORDINATOR_STAND : COORDINATOR_STEP_ASIDE);
}

const char *coordinator_state(const struct coordinator *c) {
    return c->leader ? leader_state(c->leader) : "follower";
}

const char *coordinator_status(const struct coordinator *c) {
    return c->leader ? leader_status(c->leader) : c->status ? c->status : "";
}

const json_t *coordinator_leader_record(const struct coordinator *c) {
    return c->record;
}

void coordinator_read(struct coordinator *c, coordinator_read_fn *fn, void *arg) {
    reading_start(&c->readings, c->loop, c->zk, c->root, fn, arg);
}

void coordinator_read_node(struct coordinator *c, const char *name, bool fresh,
                           coordinator_node_fn *fn, void *arg) {
    auto_free char *path = xasprintf("%s/%s", c->root, name);
    glance_start(&c->glances, c->loop, c->zk, path, fresh, fn, arg);
}

void coordinator_leave(struct coordinator *c, void (*done)(void *arg), void *arg) {
    c->left = done;
    c->left_arg = arg;
    happen(c, COORDINATOR_LEAVE);
}

void coordinator_free(struct coordinator *c) {
    if (!c)
        return;
    if (c->leader)
        leader_free(c->leader);
    loop_timer_stop(&c->deposed);
    close_session(c);
    reading_free_all(&c->readings);
    glance_free_all(&c->glances);
    if (c->closing)
        c->closing->coordinator = NULL;
    json_decref(c->record);
    free(c->status);
    free(c->servers);
    free(c->auth);
    free(c->known);
    free(c->root);
    free(c->name);
    free(c);
}
