#include "sidecar/registration/registration.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <string.h>

// A node of our id that is older than our session's first is a ghost of ourselves, as many as
// sessions were lost. A younger one is another sidecar's. It may be met so often: by who found
// somebody there when it came, and is the likelier copy, LATECOMER times; by who was there first,
// more.
//
// A start may be refused. Afterwards a workload runs, and what ZooKeeper says is no reason to give
// it up: neither who can write there nor who stands in its place shall end it. Then it is an alarm.
enum {
    PAUSE_MS = 250,
    ALARM_MS = 10000,
    SUFFIX = 10,
    LATECOMER = 1,
    FIRST_THERE = 6,
    START_MS = 60 * 1000
};

struct registration {
    struct loop *loop;
    struct zk *zk;
    char *folder, *prefix; // "<root>/pods", "<pod id>."
    json_t *record;
    int64_t seq; // -1: none yet
    char *path;  // our node; NULL: none, or not known
    const char *name;
    char *ghost;     // being looked at: a node of our id that we did not make knowingly
    char *deleted;   // the last ghost
    bool doubt;      // whether our last create made a node
    bool registered; // on_registered was called
    bool stale;      // our node holds an older record, or one without its seq
    bool over;
    bool persists;
    bool alarmed;  // we are refused, and that was said
    int64_t since; // we are there
    int64_t first; // suffix of our first node, -1: none yet
    int met;       // younger ones of our id that we did not make, deleted so far
    bool late;     // an older one was there when we came
    struct zk_op *op;
    struct zk_follow *own;
    struct loop_timer *pause;
    const struct registration_events *events;
    void *arg;
};

static void make(struct registration *r);
static void look(struct registration *r);

// ---- our record ----

// Its keys stay in the order that record_make gave them: the marker is the last one.
static void set_seq(struct registration *r, int64_t seq) {
    auto_json json_t *marker = json_incref(json_object_get(r->record, "sidecar"));
    r->seq = seq;
    json_object_del(r->record, "sidecar");
    CHECK(json_object_set_new(r->record, "seq", json_integer(seq)) == 0);
    CHECK(json_object_set(r->record, "sidecar", marker) == 0);
}

static int64_t suffix_of(const char *name) {
    size_t len = strlen(name);
    int64_t n = -1;
    if (len < SUFFIX || text_int(name + len - SUFFIX, 0, 9999999999, &n, NULL))
        return -1;
    return n;
}

static void set_path(struct registration *r, char *path) {
    free(r->path);
    r->path = path;
    r->name = path ? strrchr(path, '/') + 1 : NULL;
    zk_unfollow(&r->own);
}

static char *path_of(const struct registration *r, const char *name) {
    return xasprintf("%s/%s", r->folder, name);
}

// ---- ends and pauses ----

static void fail(struct registration *r, const struct err *err) {
    r->over = true;
    zk_unfollow(&r->own);
    r->events->on_failed(err, r->arg);
}

static void on_pause(void *arg) {
    struct registration *r = arg;
    enum zk_state state = zk_state(r->zk);
    if (state == ZK_CONNECTED)
        look(r);
    else if (state != ZK_LOST) // then our owner is told by the session itself
        loop_timer_start(r->loop, &r->pause, PAUSE_MS, on_pause, r);
}

static void alarm_later(struct registration *r, const struct err *err) {
    const char *who = err->code == ZK_NO_AUTH   ? "an access list of ZooKeeper refuses us"
                      : err->kind == ERR_EXISTS ? "it is not given up for that"
                                                : "ZooKeeper refuses us";
    if (!r->alarmed)
        log_err("registration %s: %s, tried again every %d s", err->text, who, ALARM_MS / 1000);
    r->alarmed = true;
    loop_timer_start(r->loop, &r->pause, ALARM_MS, on_pause, r);
}

// What may succeed later is tried later; the rest is final at a start.
static void retry(struct registration *r, const struct err *err) {
    if (err->kind == ERR_RETRY || err->kind == ERR_DETACHED || err->kind == ERR_ABSENT)
        loop_timer_start(r->loop, &r->pause, PAUSE_MS, on_pause, r);
    else if (r->persists || r->registered || err->kind == ERR_LIMIT)
        alarm_later(r, err);
    else
        fail(r, err);
}

// ---- registered ----

static void on_own(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                   void *arg) {
    struct registration *r = arg;
    (void)data;
    (void)len;
    (void)stat;
    if (err->kind != ERR_ABSENT)
        return;
    log_warn("registration %s was deleted by somebody, registering again", r->path);
    set_path(r, NULL);
    look(r);
}

static void on_completed(const struct err *err, void *arg) {
    struct registration *r = arg;
    r->op = NULL;
    if (err->kind == ERR_NONE || err->kind == ERR_ABSENT) {
        look(r); // absent: it finds that out
        return;
    }
    r->stale = true;
    retry(r, err);
}

static void complete(struct registration *r) {
    r->stale = false;
    auto_free char *payload = json_write(r->record);
    r->op = zk_set(r->zk, r->path, payload, strlen(payload), ZK_ANY_VERSION, on_completed, r);
}

static void settle(struct registration *r) {
    if (r->stale) {
        complete(r);
        return;
    }
    if (!r->own)
        r->own = zk_follow_life(r->zk, r->path, on_own, r);
    r->alarmed = false;
    if (r->registered)
        return;
    r->registered = true;
    r->events->on_registered(r->path, r->seq, r->arg);
}

// The node is ours. Its suffix is our seq when we have none, and then it does not say so yet.
static void take(struct registration *r, char *path) {
    set_path(r, path);
    r->doubt = false;
    if (r->first < 0)
        r->first = suffix_of(r->name);
    if (r->seq < 0) {
        set_seq(r, suffix_of(r->name));
        r->events->on_numbered(r->seq, r->arg);
        r->stale = true;
    }
    if (r->stale)
        complete(r);
    else
        look(r);
}

// ---- others of our id ----

static void refuse_clone(struct registration *r) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_EXISTS,
            "another sidecar is registered with our pod id (%.*s): its state directory is a copy "
            "of ours; give each pod its own",
            (int)strlen(r->prefix) - 1, r->prefix);
    if (!r->persists && loop_now(r->loop) - r->since <= START_MS) {
        fail(r, &err);
        return;
    }
    auto_free char *path = path_of(r, r->ghost);
    zk_delete(r->zk, path, ZK_ANY_VERSION, NULL, NULL);
    alarm_later(r, &err);
}

static void delete_ghost(struct registration *r) {
    bool again = text_same(r->deleted, r->ghost); // it does not go: no hurry
    auto_free char *path = path_of(r, r->ghost);
    if (!again)
        log_info("registration %s is of an earlier session of ours, deleted", path);
    free(r->deleted);
    r->deleted = xstrdup(r->ghost);
    zk_delete(r->zk, path, ZK_ANY_VERSION, NULL, NULL); // the list is read again after it
    if (again)
        loop_timer_start(r->loop, &r->pause, PAUSE_MS, on_pause, r);
    else
        look(r);
}

static void on_ghost(const char *data, size_t len, const struct zk_stat *stat,
                     const struct err *err, void *arg) {
    struct registration *r = arg;
    (void)data;
    (void)len;
    r->op = NULL;
    if (err->kind == ERR_ABSENT) {
        look(r);
        return;
    }
    if (!stat) {
        retry(r, err);
        return;
    }
    bool foreign = stat->ephemeral_owner != zk_session(r->zk);
    if (!foreign && !r->path) {
        take(r, path_of(r, r->ghost)); // the create whose answer was lost
        return;
    }
    bool younger = suffix_of(r->ghost) > r->first;
    r->met += foreign && younger && !text_same(r->deleted, r->ghost);
    r->late |= foreign && !younger;
    if (r->met > (r->late ? LATECOMER : FIRST_THERE))
        refuse_clone(r);
    else
        delete_ghost(r);
}

static const char *other_of_ours(const struct registration *r, char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (text_starts(names[i], r->prefix) && !text_same(names[i], r->name))
            return names[i];
    }
    return NULL;
}

static bool contains(char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    struct registration *r = arg;
    r->op = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        retry(r, err);
        return;
    }
    if (r->path && !contains(names, n, r->name))
        set_path(r, NULL);
    const char *other = other_of_ours(r, names, n);
    if (!r->path && !(other && r->doubt)) {
        make(r); // before ghosts are deleted: peers shall always see one of us
    } else if (other) {
        free(r->ghost);
        r->ghost = xstrdup(other);
        auto_free char *path = path_of(r, other);
        r->op = zk_get(r->zk, path, on_ghost, r);
    } else {
        settle(r);
    }
}

static void look(struct registration *r) {
    if (!r->op && !r->over)
        r->op = zk_names(r->zk, r->folder, on_names, r);
}

// ---- our node ----

static void on_folder(const struct err *err, void *arg) {
    struct registration *r = arg;
    r->op = NULL;
    if (err->kind == ERR_NONE)
        make(r);
    else
        retry(r, err);
}

static void on_made(const char *path, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct registration *r = arg;
    (void)stat;
    r->op = NULL;
    if (err->kind == ERR_NONE) {
        take(r, xstrdup(path));
    } else if (err->kind == ERR_ABSENT) {
        r->op = zk_ensure(r->zk, r->folder, on_folder, r);
    } else {
        r->doubt = true;
        retry(r, err);
    }
}

// With the payload in it: nobody ever sees an empty node of ours.
static void make(struct registration *r) {
    auto_free char *payload = json_write(r->record);
    auto_free char *path = path_of(r, r->prefix);
    r->stale = false;
    r->op = zk_create(r->zk, path, payload, strlen(payload), ZK_EPHEMERAL | ZK_SEQUENCE, on_made,
                      r);
}

struct registration *registration_create(struct loop *loop, struct zk *zk, const char *root,
                                         const char *pod_id, const struct record_facts *facts,
                                         int64_t seq, const struct registration_events *events,
                                         void *arg) {
    struct registration *r = xnew(struct registration);
    r->loop = loop;
    r->zk = zk;
    r->folder = xasprintf("%s/pods", root);
    r->prefix = xasprintf("%s.", pod_id);
    r->record = record_make(facts, seq);
    r->seq = seq;
    r->first = -1;
    r->since = loop_now(loop);
    r->events = events;
    r->arg = arg;
    make(r);
    return r;
}

void registration_persist(struct registration *r, bool persist) {
    r->persists = persist;
}

void registration_update(struct registration *r, const struct record_facts *facts) {
    json_decref(r->record);
    r->record = record_make(facts, r->seq);
    r->stale = true;
    if (!r->pause)
        look(r); // does nothing while a call is under way, which ends in a look
}

void registration_free(struct registration *r) {
    if (!r)
        return;
    zk_forget(&r->op);
    zk_unfollow(&r->own);
    loop_timer_stop(&r->pause);
    json_decref(r->record);
    free(r->folder);
    free(r->prefix);
    free(r->path);
    free(r->ghost);
    free(r->deleted);
    free(r);
}
