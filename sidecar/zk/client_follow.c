#include "base/check.h"
#include "sidecar/zk/client_inside.h"
#include <string.h>

// A follow reads with a watch, and reads again when the watch fired, the read was lost or the
// connection came back before the answer could be told, or after a while when it was refused. The
// library arms its watches anew on every reconnect by itself, and holds a pointer to us in each: an
// exists and a read may leave two, of which one fires. So what is unfollowed stays, dead, until the
// session is closed; a session sees few of them. Of lives it may see very many. These are only ever
// read, which leaves one watch however often it is done, and any change takes it away: what is
// unfollowed is freed when it has fired.
struct zk_follow {
    struct link link;
    struct zk *zk;
    char *path;            // as a user says it
    zk_data_fn *data_fn;   // one of the two;
    zk_names_fn *names_fn; // both NULL once unfollowed
    void *arg;
    bool reading; // a read is under way
    bool stale;   // to be read again once connected
    bool refused; // by an access list, say, which was told: no watch was left
    bool life;    // of a node that never comes again
    bool armed;   // by a read: the library may hold a watch, or have told of it
};

// What a watcher posts. A new one each time, because it may come before the read's own answer was
// received.
struct changed {
    struct message message;
    struct zk_follow *follow;
};

static bool dead(const struct zk_follow *f) {
    return !f->data_fn && !f->names_fn;
}

static void free_follow(struct zk_follow *f) {
    list_remove(&f->link);
    free(f->path);
    free(f);
}

static void free_if_over(struct zk_follow *f) {
    if (f->life && dead(f) && !f->reading && !f->armed)
        free_follow(f);
}

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
    (void)zh;
    (void)state;
    (void)path;
    struct zk_follow *f = ctx;
    if (type == ZOO_SESSION_EVENT)
        return; // every watcher is told; the session has its own
    struct changed *changed = xnew(struct changed);
    changed->message.kind = MESSAGE_CHANGED;
    changed->follow = f;
    inbox_post(f->zk->inbox, &changed->message.inbox);
}

static void send_read(struct zk_follow *f, enum op_kind kind) {
    struct zk *zk = f->zk;
    struct zk_op *op = zk_op_create(zk, kind, f->path);
    op->follow = f;
    f->reading = true;
    f->stale = false;
    int rc;
    if (kind == OP_AWAIT)
        rc = zk->library->exists(zk->zh, op->path, on_watch, f, zk_op_on_stat, op);
    else if (f->data_fn)
        rc = zk->library->get(zk->zh, op->path, on_watch, f, zk_op_on_data, op);
    else
        rc = zk->library->names(zk->zh, op->path, on_watch, f, zk_op_on_names, op);
    zk_op_sent(op, rc);
}

static void read_if_needed(struct zk_follow *f) {
    if (f->stale && !f->reading && !dead(f) && f->zk->state == ZK_CONNECTED)
        send_read(f, OP_FOLLOW);
}

static void on_reread(void *arg) {
    struct zk *zk = arg;
    struct zk_follow *f;
    list_each(f, &zk->follows, struct zk_follow, link) {
        f->stale |= f->refused;
        read_if_needed(f);
    }
}

static void reread_later(struct zk *zk) {
    if (!zk->reread)
        loop_timer_start(zk->loop, &zk->reread, zk_session_timeout(zk), on_reread, zk);
}

// A refusal is told once, and asked about again and again.
static bool is_news(struct zk_follow *f, const struct err *err) {
    bool before = f->refused;
    f->refused = err->kind == ERR_REFUSED;
    if (f->refused)
        reread_later(f->zk);
    return !f->refused || !before;
}

static void tell(struct zk_follow *f, const struct zk_op *op) {
    struct err err = ERR_INIT;
    zk_op_error(op, &err);
    if (!is_news(f, &err))
        return;
    bool good = err.kind == ERR_NONE;
    if (f->data_fn)
        f->data_fn(good ? op->data : NULL, good ? op->len : 0, zk_op_stat(op, &err), &err, f->arg);
    else
        f->names_fn(good ? op->names : NULL, good ? op->len : 0, &err, f->arg);
}

// Not where a server refused it or never answered; the rest may.
static bool leaves_a_watch(const struct zk_op *op) {
    return op->rc > ZAPIERROR && op->rc != ZCONNECTIONLOSS;
}

void zk_follow_answer(struct zk_op *op) {
    struct zk_follow *f = op->follow;
    f->reading = false;
    f->armed |= leaves_a_watch(op);
    if (dead(f)) {
        free_if_over(f);
        return;
    }
    if (op->rc == ZNONODE && op->kind == OP_FOLLOW && !f->life) {
        send_read(f, OP_AWAIT); // to be told when it comes; it may have come by now
        return;
    }
    if (op->rc == ZOK && op->kind == OP_AWAIT) {
        f->stale = true;
        read_if_needed(f);
        return;
    }
    if (zk_op_was_answered(op) && f->zk->state == ZK_CONNECTED) {
        tell(f, op);
        return;
    }
    f->stale = true;
    if (f->zk->state == ZK_CONNECTED) // the answer was broken, the connection is not
        reread_later(f->zk);
}

void zk_follow_changed(struct message *message) {
    struct changed *changed = (struct changed *)message;
    struct zk_follow *f = changed->follow;
    free(changed);
    f->stale = true;
    f->armed = false;
    read_if_needed(f);
    free_if_over(f);
}

void zk_follow_resume(struct zk *zk) {
    struct zk_follow *f;
    list_each(f, &zk->follows, struct zk_follow, link) {
        read_if_needed(f);
    }
}

static struct zk_follow *follow(struct zk *zk, const char *path, void *arg) {
    CHECK(!zk->closed);
    struct zk_follow *f = xnew(struct zk_follow);
    f->zk = zk;
    f->path = xstrdup(path);
    f->arg = arg;
    f->stale = true;
    list_append(&zk->follows, &f->link);
    return f;
}

struct zk_follow *zk_follow_data(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_follow *f = follow(zk, path, arg);
    f->data_fn = fn;
    read_if_needed(f);
    return f;
}

struct zk_follow *zk_follow_life(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_follow *f = follow(zk, path, arg);
    f->life = true;
    f->data_fn = fn;
    read_if_needed(f);
    return f;
}

struct zk_follow *zk_follow_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg) {
    struct zk_follow *f = follow(zk, path, arg);
    f->names_fn = fn;
    read_if_needed(f);
    return f;
}

void zk_unfollow(struct zk_follow **slot) {
    struct zk_follow *f = *slot;
    if (!f)
        return;
    *slot = NULL;
    f->data_fn = NULL;
    f->names_fn = NULL;
    free_if_over(f);
}

void zk_follow_free_all(struct zk *zk) {
    struct zk_follow *f;
    list_each(f, &zk->follows, struct zk_follow, link) {
        free_follow(f);
    }
}
