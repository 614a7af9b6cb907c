#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "tests/fake/zk_inside.h"
#include <string.h>

// ---- watches ----

// Differs whenever what the watch looks at was changed.
static int64_t signature(const struct fake_zk *s, const struct zk_follow *f) {
    const struct node *n = tree_find(&s->tree, f->path);
    return !n ? 0 : f->data_fn ? n->stat.mzxid : n->pzxid;
}

static void inbound(struct zk *zk, struct zk_op *op, int64_t delay) {
    op->due = loop_now(zk->loop) + delay;
    list_append(&zk->inbound, &op->link);
    fake_zk_arm(zk);
}

static struct zk_op *op_create(struct zk *zk, enum op_kind kind) {
    struct zk_op *op = xnew(struct zk_op);
    list_init(&op->link);
    op->zk = zk;
    op->kind = kind;
    op->failed = -1;
    return op;
}

static void op_free(struct zk_op *op) {
    list_remove(&op->link);
    zk_multi_free(op->multi);
    text_list_free(op->names);
    free(op->path);
    free(op->data);
    free(op);
}

void fake_zk_fire(struct zk *zk) {
    struct zk_follow *f;
    list_each(f, &zk->follows, struct zk_follow, link) {
        if (!f->armed || f->blind || f->seen == signature(zk->server, f))
            continue;
        f->armed = false;
        struct zk_op *op = op_create(zk, NOTIFY);
        op->follow = f;
        inbound(zk, op, zk->server->latency);
    }
}

static bool is_barred(const struct fake_zk *s, const char *path) {
    return s->barred && strncmp(path, s->barred, strlen(s->barred)) == 0;
}

static bool is_hidden(const struct fake_zk *s, const char *path) {
    size_t len = s->hidden ? strlen(s->hidden) : 0;
    return len && strncmp(path, s->hidden, len) == 0 && (path[len] == '/' || !path[len]);
}

static bool is_refused(const struct fake_zk *s, const struct zk_multi_op *op) {
    if (op->kind == ZK_MULTI_CHECK)
        return is_hidden(s, op->path);
    return s->barred && strcmp(op->path, s->barred) == 0;
}

static int barred_in(const struct fake_zk *s, const struct zk_multi *m, int *ret_failed) {
    *ret_failed = -1;
    if (s->barred && !*s->barred)
        return ZK_NO_AUTH;
    for (size_t i = 0; i < m->n; i++) {
        if (!is_refused(s, &m->ops[i]))
            continue;
        *ret_failed = (int)i;
        return ZK_NO_AUTH;
    }
    return 0;
}

static int change_by(struct fake_zk *s, int64_t session, void *arg) {
    struct zk_op *op = arg;
    char *created = NULL;
    int rc;
    switch (op->kind) {
    case CREATE:
        rc = tree_create(&s->tree, op->path, op->data, op->len, op->flags, session, &created);
        if (rc == 0) {
            free(op->path);
            op->path = created;
        }
        return rc == 0 && is_barred(s, op->path) ? ZK_NO_AUTH : rc;
    case ENSURE:
        rc = tree_ensure(&s->tree, op->path);
        return rc == 0 && is_barred(s, op->path) ? ZK_NO_AUTH : rc;
    case SET:
        return tree_set(&s->tree, op->path, op->data, op->len, op->version);
    case DELETE:
        return tree_delete(&s->tree, op->path, op->version);
    case MULTI:
        rc = tree_multi(&s->tree, op->multi, session, &op->failed);
        return rc ? rc : barred_in(s, op->multi, &op->failed);
    default:
        CHECK(!"a write");
        return 0;
    }
}

// ---- the server's work ----

static void read_node(struct zk_op *op, const struct node *n) {
    op->stat = n->stat;
    if (n->len > ZK_MAX_READ) {
        err_set(&op->err, ERR_LIMIT, "%s: larger than what is read of a node", op->path);
        return;
    }
    free(op->data);
    op->data = xcalloc(n->len + 1, 1);
    memcpy(op->data, n->data, n->len);
    op->len = n->len;
}

static void read_names(struct zk_op *op) {
    struct fake_zk *s = op->zk->server;
    op->names = tree_names(&s->tree, op->path);
    if (text_list_len(op->names) <= s->max_names)
        return;
    err_set(&op->err, ERR_LIMIT, "%s: larger than what is read of a node", op->path);
    text_list_free(op->names);
    op->names = NULL;
}

static int serve_read(struct fake_zk *s, struct zk_op *op) {
    if (op->kind == SYNC)
        return 0;
    if (op->kind == GUARD)
        return !tree_find(&s->tree, op->path)                    ? RC_NONODE
               : s->foreign && strcmp(s->foreign, op->path) == 0 ? ZK_NO_AUTH
                                                                 : 0;
    const struct node *n = tree_find(&s->tree, op->path);
    bool hidden = n && is_hidden(s, op->path);
    if (op->follow) {
        op->follow->seen = signature(s, op->follow);
        op->follow->armed = true;
        op->follow->blind = hidden || (!n && op->follow->life);
    }
    if (!n)
        return RC_NONODE;
    if (hidden)
        return ZK_NO_AUTH;
    if (op->names_fn || (op->follow && op->follow->names_fn))
        read_names(op);
    else
        read_node(op, n);
    return 0;
}

static void fail(struct zk_op *op, int rc) {
    enum err_kind kind = rc == RC_LOSS                        ? ERR_RETRY
                         : rc == RC_STATE || rc == RC_EXPIRED ? ERR_DETACHED
                         : op->kind == MULTI                  ? ERR_REFUSED
                         : rc == RC_NONODE                    ? ERR_ABSENT
                         : rc == RC_EXISTS                    ? ERR_EXISTS
                                                              : ERR_REFUSED;
    if (kind != ERR_REFUSED || op->kind != MULTI)
        op->failed = -1;
    err_code(&op->err, kind, rc, "%s: zookeeper says %d", op->path ? op->path : "multi", rc);
}

static void serve(struct zk *zk, struct zk_op *op) {
    struct fake_zk *s = zk->server;
    bool reads = op->kind == GET || op->kind == NAMES || op->kind == SYNC || op->kind == READ ||
                 op->kind == GUARD;
    s->requests++;
    bool nothing = op->kind == ENSURE && tree_find(&s->tree, op->path);
    int rc = nothing ? 0 : reads ? serve_read(s, op) : fake_zk_transact(s, zk->id, change_by, op);
    if (rc)
        fail(op, rc);
    else
        op->failed = -1;
    list_remove(&op->link);
    inbound(zk, op, s->latency);
}

// ---- the client's side ----

int64_t zk_silence(const struct zk *zk) {
    int64_t now = loop_now(zk->loop);
    if (!zk->id)
        return 0;
    if (zk->frozen)
        return 0;
    if (!zk->connected || zk->stalled || now < zk->since)
        return now - zk->contact;
    return (now - zk->since) % (zk->timeout * 3 / 10 + 1); // as the real one asks when idle
}

enum zk_state zk_state(const struct zk *zk) {
    if (zk->state == ZK_CONNECTING || zk->state == ZK_LOST)
        return zk->state;
    int64_t silence = zk_silence(zk);
    if (silence >= zk->lost_after)
        return ZK_LOST;
    return silence >= zk->timeout * 2 / 3 ? ZK_SUSPENDED : zk->state;
}

int64_t zk_session(const struct zk *zk) {
    return zk->id;
}

const char *zk_addresses(const struct zk *zk) {
    (void)zk;
    return "127.0.0.1:2181";
}

int zk_session_timeout(const struct zk *zk) {
    return zk->timeout;
}

void fake_zk_tell(struct zk *zk, enum zk_state state, int64_t delay) {
    struct zk_op *op = op_create(zk, STATE);
    op->state = state;
    inbound(zk, op, delay);
}

void fake_zk_on_lost(void *arg) {
    struct zk *zk = arg;
    fake_zk_tell(zk, ZK_LOST, 0);
}

// What is too large to be read is there all the same.
static const struct zk_stat *stat_of(const struct zk_op *op) {
    return op->err.kind == ERR_NONE || op->err.kind == ERR_LIMIT ? &op->stat : NULL;
}

static void deliver_op(struct zk_op *op) {
    if (op->forgotten)
        return;
    const struct err *err = &op->err;
    bool good = op->err.kind == ERR_NONE;
    if (op->path_fn)
        op->path_fn(good ? op->path : NULL, NULL, err, op->arg);
    else if (op->data_fn)
        op->data_fn(good ? op->data : NULL, good ? op->len : 0, stat_of(op), err, op->arg);
    else if (op->names_fn)
        op->names_fn(op->names, good ? text_list_len(op->names) : 0, err, op->arg);
    else if (op->multi_fn)
        op->multi_fn(op->failed, err, op->arg);
    else if (op->done_fn)
        op->done_fn(err, op->arg);
}

static void send_read(struct zk_follow *f) {
    struct zk *zk = f->zk;
    if (f->reading || !zk->connected)
        return; // read when it is back
    struct zk_op *op = op_create(zk, READ);
    op->follow = f;
    op->path = xstrdup(f->path);
    op->due = loop_now(zk->loop) + zk->server->latency;
    f->reading = true;
    list_append(&zk->outbound, &op->link);
    fake_zk_arm(zk);
}

static void on_reread(void *arg) {
    struct zk *zk = arg;
    struct zk_follow *f;
    list_each(f, &zk->follows, struct zk_follow, link) {
        if (!f->refused)
            continue;
        f->armed = false; // read when it is back, if not now
        send_read(f);
    }
}

// A refusal is told once, and asked about again after the time of a session.
static bool is_news(struct zk_follow *f, const struct err *err) {
    struct zk *zk = f->zk;
    bool before = f->refused;
    f->refused = err->kind == ERR_REFUSED;
    if (f->refused && !zk->reread)
        loop_timer_start(zk->loop, &zk->reread, zk->timeout, on_reread, zk);
    return !f->refused || !before;
}

static void deliver_read(struct zk *zk, struct zk_op *op) {
    struct zk_follow *f = op->follow;
    if (!f)
        return;
    f->reading = false;
    bool good = op->err.kind == ERR_NONE;
    bool lost = op->err.kind == ERR_RETRY || op->err.kind == ERR_DETACHED;
    if (lost || zk->state != ZK_CONNECTED) {
        f->armed = false; // read again when it is back
        return;
    }
    if (!is_news(f, &op->err))
        return;
    if (f->data_fn)
        f->data_fn(good ? op->data : NULL, good ? op->len : 0, stat_of(op), &op->err, f->arg);
    else
        f->names_fn(op->names, good ? text_list_len(op->names) : 0, &op->err, f->arg);
}

void fake_zk_fail_all(struct zk *zk, struct link *from, int rc) {
    struct zk_op *op;
    struct link failed;
    list_init(&failed);
    list_each(op, from, struct zk_op, link) {
        if (op->kind == STATE)
            continue;
        list_remove(&op->link);
        if (op->kind == NOTIFY) {
            op_free(op); // the change is seen again when it is back
            continue;
        }
        op->err = (struct err)ERR_INIT;
        fail(op, rc);
        if (op->follow)
            op->follow->armed = false;
        list_append(&failed, &op->link);
    }
    list_each(op, &failed, struct zk_op, link) {
        list_remove(&op->link);
        inbound(zk, op, 0);
    }
}

static void resume(struct zk *zk) {
    struct zk_follow *f;
    list_each(f, &zk->follows, struct zk_follow, link) {
        if (!f->armed)
            send_read(f);
    }
    fake_zk_fire(zk);
}

static void deliver_state(struct zk *zk, enum zk_state state) {
    if (zk->state == state || zk->state == ZK_LOST)
        return;
    zk->state = state;
    if (state == ZK_LOST) {
        zk->connected = false;
        loop_timer_stop(&zk->reconnect);
        loop_timer_stop(&zk->lost);
        loop_timer_stop(&zk->notice);
        loop_timer_stop(&zk->reread);
        fake_zk_fail_all(zk, &zk->outbound, RC_EXPIRED);
        fake_zk_fail_all(zk, &zk->inbound, RC_EXPIRED);
    }
    zk->on_state(state, zk->arg);
    if (!zk->closed && zk->state == ZK_CONNECTED && zk->connected)
        resume(zk);
}

static void deliver(struct zk *zk, struct zk_op *op) {
    list_remove(&op->link);
    if (op->kind == STATE)
        deliver_state(zk, op->state);
    else if (op->kind == NOTIFY && op->follow)
        send_read(op->follow);
    else if (op->kind == READ)
        deliver_read(zk, op);
    else if (op->kind != NOTIFY)
        deliver_op(op);
    op_free(op);
}

// true: the connection broke at this request.
static bool breaks(struct zk *zk, struct zk_op *op) {
    if (zk->lose_in == 0 || --zk->lose_in > 0)
        return false;
    if (zk->lose_when == FAKE_ZK_AFTER)
        serve(zk, op);
    fake_zk_cut(zk, RECONNECT_MS);
    return true;
}

static void serve_due(struct zk *zk) {
    int64_t now = loop_now(zk->loop);
    while (!list_empty(&zk->outbound) && zk->connected && !zk->stalled && !zk->crashed) {
        struct zk_op *op = list_first(&zk->outbound, struct zk_op, link);
        if (op->due > now || breaks(zk, op))
            break;
        serve(zk, op);
    }
}

// On the server's loop: what was sent arrives, whatever has become of the sender.
static void on_sending(void *arg) {
    struct zk *zk = arg;
    serve_due(zk);
    fake_zk_arm_sending(zk);
}

static void on_clock(void *arg) {
    struct zk *zk = arg;
    int64_t now = loop_now(zk->loop);
    if (zk->frozen || zk->crashed)
        return;
    while (!zk->closed && !list_empty(&zk->inbound)) {
        struct zk_op *op = list_first(&zk->inbound, struct zk_op, link);
        if (op->due > now)
            break;
        deliver(zk, op);
    }
    if (!zk->closed)
        fake_zk_arm(zk);
}

static int64_t first_due(const struct link *list) {
    return list_empty(list) ? INT64_MAX : list_first(list, struct zk_op, link)->due;
}

static void arm(struct loop *loop, struct loop_timer **slot, int64_t due, void (*fn)(void *arg),
                struct zk *zk) {
    int64_t wait = due - loop_now(loop);
    if (due != INT64_MAX)
        loop_timer_start(loop, slot, wait > 0 ? wait : 0, fn, zk);
}

void fake_zk_arm_sending(struct zk *zk) {
    if (!zk->closed && !zk->crashed && zk->connected && !zk->stalled)
        arm(zk->server->loop, &zk->sending, first_due(&zk->outbound), on_sending, zk);
}

void fake_zk_arm(struct zk *zk) {
    if (zk->closed || zk->crashed)
        return;
    fake_zk_arm_sending(zk);
    if (!zk->frozen)
        arm(zk->loop, &zk->clock, first_due(&zk->inbound), on_clock, zk);
}

static void connected(void *arg) {
    struct zk *zk = arg;
    struct fake_zk *s = zk->server;
    if (s->down || zk->held)
        return;
    if (zk->id && !zk->session) {
        fake_zk_tell(zk, ZK_LOST, 0);
        return;
    }
    if (!zk->session) {
        zk->session = fake_zk_session_create(s, zk->timeout);
        zk->id = zk->session->id;
    }
    loop_timer_stop(&zk->session->expiry);
    loop_timer_stop(&zk->lost);
    zk->connected = true;
    zk->stalled = false;
    zk->since = loop_now(zk->loop);
    if (zk->frozen)
        fake_zk_session_unheard(zk->session);
    fake_zk_tell(zk, ZK_CONNECTED, 0);
}

void fake_zk_try_connect(void *arg) {
    struct zk *zk = arg;
    if (zk->server->down || zk->held || zk->crashed || zk->closed)
        return;
    loop_timer_start(zk->loop, &zk->reconnect, 2 * zk->server->latency, connected, zk);
}

int zk_open(struct loop *loop, const struct zk_config *config,
            void (*on_state)(enum zk_state state, void *arg), void *arg, struct zk **ret,
            struct err *err) {
    CHECK(fake_zk_the_server);
    if (!config->kept && (!config->servers || !*config->servers))
        return err_set(err, ERR_USER, "zk: no server");
    struct zk *zk = xnew(struct zk);
    zk->server = fake_zk_the_server;
    zk->loop = loop;
    zk->guarded = config->auth && !config->open;
    zk->timeout = config->session_ms;
    zk->lost_after = config->lost_after_ms ? config->lost_after_ms : config->session_ms;
    zk->on_state = on_state;
    zk->arg = arg;
    list_init(&zk->outbound);
    list_init(&zk->inbound);
    list_init(&zk->follows);
    list_append(&fake_zk_the_server->clients, &zk->link);
    fake_zk_try_connect(zk);
    *ret = zk;
    return 0;
}

// ---- closing ----

struct closing {
    struct zk *zk;
    void (*done)(void *arg);
    void *arg;
};

static void drop_ops(struct link *list) {
    while (!list_empty(list))
        op_free(list_first(list, struct zk_op, link));
}

static void on_closed(void *arg) {
    struct closing *c = arg;
    struct zk *zk = c->zk;
    if (zk->session && zk->connected && !zk->stalled && !zk->crashed && !zk->server->down)
        fake_zk_session_end(zk->session);
    else if (zk->session)
        fake_zk_session_unheard(zk->session);
    list_remove(&zk->link);
    void (*done)(void *arg) = c->done;
    void *done_arg = c->arg;
    free(zk);
    free(c);
    if (done)
        done(done_arg);
}

void zk_close(struct zk *zk, void (*done)(void *arg), void *arg) {
    CHECK(!zk->closed);
    zk->closed = true;
    // What was sent before it reaches the server before it, as on any connection.
    while (!list_empty(&zk->outbound) && zk->connected && !zk->stalled && !zk->crashed)
        serve(zk, list_first(&zk->outbound, struct zk_op, link));
    loop_timer_stop(&zk->clock);
    loop_timer_stop(&zk->sending);
    loop_timer_stop(&zk->reconnect);
    loop_timer_stop(&zk->lost);
    loop_timer_stop(&zk->notice);
    loop_timer_stop(&zk->reread);
    drop_ops(&zk->outbound);
    drop_ops(&zk->inbound);
    while (!list_empty(&zk->follows)) {
        struct zk_follow *f = list_first(&zk->follows, struct zk_follow, link);
        list_remove(&f->link);
        free(f->path);
        free(f);
    }
    struct closing *c = xnew(struct closing);
    *c = (struct closing){zk, done, arg};
    loop_timer_start(zk->loop, NULL, zk->server->latency, on_closed, c);
}

// ---- calls ----

static struct zk_op *submit(struct zk *zk, enum op_kind kind, const char *path, const void *data,
                            size_t len) {
    struct zk_op *op = op_create(zk, kind);
    op->path = path ? xstrdup(path) : NULL;
    if (data) {
        op->data = xcalloc(len + 1, 1);
        memcpy(op->data, data, len);
    }
    op->len = len;
    CHECK(!zk->closed);
    if (len > (kind == MULTI ? ZK_MAX_PACKET : ZK_MAX_DATA)) {
        err_set(&op->err, ERR_LIMIT, "%s: %zu bytes are too many", path ? path : "multi", len);
        inbound(zk, op, 0);
    } else if (zk->state == ZK_LOST) {
        fail(op, RC_STATE);
        inbound(zk, op, 0);
    } else if (zk->state == ZK_SUSPENDED && !zk->connected) {
        fail(op, RC_LOSS);
        inbound(zk, op, zk->server->latency);
    } else {
        op->due = loop_now(zk->loop) + zk->server->latency;
        list_append(&zk->outbound, &op->link);
        fake_zk_arm(zk);
    }
    return op;
}

struct zk_op *zk_create(struct zk *zk, const char *path, const void *data, size_t len, int flags,
                        zk_path_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, CREATE, path, data, len);
    op->flags = flags;
    op->path_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_ensure(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, ENSURE, path, NULL, 0);
    op->done_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_get(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, GET, path, NULL, 0);
    op->data_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_set(struct zk *zk, const char *path, const void *data, size_t len, int version,
                     zk_done_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, SET, path, data, len);
    op->version = version;
    op->done_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_delete(struct zk *zk, const char *path, int version, zk_done_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, DELETE, path, NULL, 0);
    op->version = version;
    op->done_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, NAMES, path, NULL, 0);
    op->names_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_sync(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, SYNC, path, NULL, 0);
    op->done_fn = fn;
    op->arg = arg;
    return op;
}

bool zk_is_guarded(const struct zk *zk) {
    return zk->guarded;
}

struct zk_op *zk_guard(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = submit(zk, GUARD, path, NULL, 0);
    op->done_fn = fn;
    op->arg = arg;
    return op;
}

struct zk_op *zk_commit(struct zk *zk, struct zk_multi *m, zk_multi_fn *fn, void *arg) {
    bool large = m->largest > ZK_MAX_DATA;
    struct zk_op *op = submit(zk, MULTI, NULL, NULL, large ? ZK_MAX_PACKET + 1 : m->bytes);
    op->multi = m;
    op->multi_fn = fn;
    op->arg = arg;
    return op;
}

void zk_forget(struct zk_op **slot) {
    if (!*slot)
        return;
    (*slot)->forgotten = true;
    *slot = NULL;
}

static struct zk_follow *follow(struct zk *zk, const char *path, void *arg) {
    struct zk_follow *f = xnew(struct zk_follow);
    f->zk = zk;
    f->path = xstrdup(path);
    f->arg = arg;
    list_append(&zk->follows, &f->link);
    return f;
}

struct zk_follow *zk_follow_data(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_follow *f = follow(zk, path, arg);
    f->data_fn = fn;
    send_read(f);
    return f;
}

struct zk_follow *zk_follow_life(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_follow *f = zk_follow_data(zk, path, fn, arg);
    f->life = true;
    return f;
}

struct zk_follow *zk_follow_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg) {
    struct zk_follow *f = follow(zk, path, arg);
    f->names_fn = fn;
    send_read(f);
    return f;
}

static void let_go(struct link *list, const struct zk_follow *f) {
    struct zk_op *op;
    list_each(op, list, struct zk_op, link) {
        if (op->follow == f)
            op->follow = NULL;
    }
}

void zk_unfollow(struct zk_follow **slot) {
    struct zk_follow *f = *slot;
    if (!f)
        return;
    *slot = NULL;
    let_go(&f->zk->outbound, f);
    let_go(&f->zk->inbound, f);
    list_remove(&f->link);
    free(f->path);
    free(f);
}
