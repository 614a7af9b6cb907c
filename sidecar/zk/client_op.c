#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/client_inside.h"
#include <string.h>

// ---- answers: on the library's thread, so they copy and post and touch nothing else ----

static void post(struct zk_op *op, int rc) {
    op->rc = rc;
    inbox_post(op->zk->inbox, &op->message.inbox);
}

static void keep_stat(struct zk_op *op, const struct Stat *stat) {
    if (!stat)
        return;
    op->stat = (struct zk_stat){.czxid = stat->czxid,
                                .mzxid = stat->mzxid,
                                .ephemeral_owner = stat->ephemeralOwner,
                                .version = stat->version,
                                .children = stat->numChildren};
}

static void on_void(int rc, const void *data) {
    post((struct zk_op *)data, rc);
}

void zk_op_on_stat(int rc, const struct Stat *stat, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    keep_stat(op, stat);
    post(op, rc);
}

static void on_string(int rc, const char *value, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    if (rc == ZOK && value)
        op->data = xstrdup(value);
    post(op, rc);
}

void zk_op_on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    op->len = rc == ZOK && value && len > 0 ? (size_t)len : 0;
    op->data = xcalloc(op->len + 1, 1);
    if (op->len)
        memcpy(op->data, value, op->len);
    keep_stat(op, stat);
    post(op, rc);
}

void zk_op_on_names(int rc, const struct String_vector *names, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    size_t n = rc == ZOK && names && names->count > 0 ? (size_t)names->count : 0;
    op->names = xcalloc(n + 1, sizeof *op->names);
    for (size_t i = 0; i < n; i++)
        op->names[i] = xstrdup(names->data[i]);
    op->len = n;
    post(op, rc);
}

// ---- life ----

static char *real_path(const struct zk *zk, const char *path) {
    if (strcmp(path, "/") == 0)
        return xstrdup(*zk->chroot ? zk->chroot : "/");
    return xasprintf("%s%s", zk->chroot, path);
}

static const char *user_path(const struct zk *zk, const char *path) {
    size_t root = strlen(zk->chroot);
    return path && strncmp(path, zk->chroot, root) == 0 ? path + root : path;
}

struct zk_op *zk_op_create(struct zk *zk, enum op_kind kind, const char *path) {
    CHECK(!zk->closed);
    struct zk_op *op = xnew(struct zk_op);
    op->message.kind = MESSAGE_ANSWER;
    op->zk = zk;
    op->kind = kind;
    op->path = path ? real_path(zk, path) : NULL;
    op->sent = loop_now(zk->loop);
    list_append(&zk->ops, &op->link);
    return op;
}

void zk_op_sent(struct zk_op *op, int rc) {
    if (rc == ZOK)
        op->zk->sent = op->sent;
    else
        post(op, rc); // the library did not take it and will not answer
}

void zk_op_free(struct zk_op *op) {
    list_remove(&op->link);
    zk_multi_free(op->multi);
    text_list_free(op->names);
    free(op->results);
    free(op->path);
    free(op->data);
    free(op);
}

// ---- what came of it ----

static enum err_kind kind_of(const struct zk_op *op) {
    switch (op->rc) {
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSYSTEMERROR:
    case ZMARSHALLINGERROR:
    case ZDATAINCONSISTENCY:
    case ZRUNTIMEINCONSISTENCY:
        return ERR_RETRY;
    case ZINVALIDSTATE:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZCLOSING:
    case ZAUTHFAILED:
        return ERR_DETACHED;
    case ZNONODE:
        return op->kind == OP_MULTI ? ERR_REFUSED : ERR_ABSENT;
    case ZNODEEXISTS:
        return op->kind == OP_MULTI ? ERR_REFUSED : ERR_EXISTS;
    default:
        return ERR_REFUSED;
    }
}

bool zk_op_was_answered(const struct zk_op *op) {
    return op->rc == ZOK || (op->rc < ZAPIERROR && kind_of(op) != ERR_DETACHED);
}

void zk_op_error(const struct zk_op *op, struct err *err) {
    const char *what = op->path ? user_path(op->zk, op->path) : "transaction";
    if (op->too_large)
        err_set(err, ERR_LIMIT, "%s: more than %d bytes, ZooKeeper would hang up", what,
                ZK_MAX_DATA);
    else if (op->rc != ZOK)
        err_code(err, kind_of(op), op->rc, "%s: %s", what, zerror(op->rc));
}

// The operation that was refused. Those before it were good, those after it were not looked at.
static int failed_of(const struct zk_op *op) {
    for (size_t i = 0; op->results && i < op->multi->n; i++) {
        if (op->results[i].err != ZOK && op->results[i].err != ZRUNTIMEINCONSISTENCY)
            return (int)i;
    }
    return -1;
}

static void call_back(struct zk_op *op) {
    struct err err = ERR_INIT;
    zk_op_error(op, &err);
    bool good = err.kind == ERR_NONE;
    if (op->path_fn)
        op->path_fn(good ? user_path(op->zk, op->data) : NULL, NULL, &err, op->arg);
    else if (op->data_fn)
        op->data_fn(good ? op->data : NULL, good ? op->len : 0, good ? &op->stat : NULL, &err,
                    op->arg);
    else if (op->names_fn)
        op->names_fn(good ? op->names : NULL, good ? op->len : 0, &err, op->arg);
    else if (op->multi_fn)
        op->multi_fn(err.kind == ERR_REFUSED ? failed_of(op) : -1, &err, op->arg);
    else if (op->done_fn)
        op->done_fn(&err, op->arg);
}

static void forget(struct zk_op *op) {
    op->done_fn = NULL;
    op->path_fn = NULL;
    op->data_fn = NULL;
    op->names_fn = NULL;
    op->multi_fn = NULL;
}

void zk_forget(struct zk_op **slot) {
    if (!*slot)
        return;
    forget(*slot);
    *slot = NULL;
}

// ---- ensure: the node itself first, for it is nearly always there ----

static const struct ACL_vector *acl_of(const struct zk *zk) {
    return zk->auth ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
}

static void make_empty(struct zk_op *op) {
    op->sent = loop_now(op->zk->loop);
    zk_op_sent(op, zoo_acreate(op->zk->zh, op->path, "", 0, acl_of(op->zk), 0, on_string, op));
}

// All in one flight: the server takes them in this order, so the node finds its parent, whoever
// made that.
static void make_with_parents(struct zk_op *op) {
    for (const char *slash = strchr(op->path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct zk_op *step = zk_op_create(op->zk, OP_STEP, NULL);
        step->path = xstrndup(op->path, (size_t)(slash - op->path));
        make_empty(step);
    }
    op->parents = true;
    make_empty(op);
}

// true: it is under way once more.
static bool ensure_again(struct zk_op *op) {
    if (op->rc == ZNODEEXISTS)
        op->rc = ZOK;
    if (op->rc != ZNONODE || op->parents || !op->done_fn)
        return false;
    make_with_parents(op);
    return true;
}

void zk_op_deliver(struct zk_op *op) {
    if (op->kind == OP_ENSURE && ensure_again(op))
        return;
    if (op->kind == OP_FOLLOW || op->kind == OP_AWAIT)
        zk_follow_answer(op);
    else
        call_back(op);
    zk_op_free(op);
}

// What the library may still write into an op is not looked at.
static void fail(struct zk_op *op) {
    struct zk_op said = {.zk = op->zk,
                         .kind = op->kind,
                         .path = op->path,
                         .done_fn = op->done_fn,
                         .path_fn = op->path_fn,
                         .data_fn = op->data_fn,
                         .names_fn = op->names_fn,
                         .multi_fn = op->multi_fn,
                         .arg = op->arg,
                         .rc = ZSESSIONEXPIRED};
    forget(op);
    call_back(&said);
}

void zk_op_fail_all(struct zk *zk) {
    size_t n = 0; // those of now: a callback may ask anew
    struct zk_op *op;
    list_each(op, &zk->ops, struct zk_op, link) {
        n++;
    }
    list_each(op, &zk->ops, struct zk_op, link) {
        if (n-- == 0 || zk->closed)
            return;
        fail(op);
    }
}

// ---- calls ----

// What is not sent is answered all the same. Once the session is lost nothing is, for the library
// may still find it alive and carry out what its owner has given up.
static bool sendable(struct zk_op *op, size_t len) {
    bool lost = zk_state(op->zk) == ZK_LOST;
    op->too_large = len > ZK_MAX_DATA;
    if (!op->too_large && !lost && op->zk->zh)
        return true;
    post(op, lost ? ZSESSIONEXPIRED : ZCONNECTIONLOSS);
    return false;
}

struct zk_op *zk_create(struct zk *zk, const char *path, const void *data, size_t len, int flags,
                        zk_path_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_CREATE, path);
    op->path_fn = fn;
    op->arg = arg;
    int how = (flags & ZK_EPHEMERAL ? ZOO_EPHEMERAL : 0) | (flags & ZK_SEQUENCE ? ZOO_SEQUENCE : 0);
    if (sendable(op, len))
        zk_op_sent(op, zoo_acreate(zk->zh, op->path, len ? data : "", (int)len, acl_of(zk), how,
                                   on_string, op));
    return op;
}

struct zk_op *zk_ensure(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_ENSURE, path);
    op->done_fn = fn;
    op->arg = arg;
    if (sendable(op, 0))
        make_empty(op);
    return op;
}

struct zk_op *zk_get(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_GET, path);
    op->data_fn = fn;
    op->arg = arg;
    if (sendable(op, 0))
        zk_op_sent(op, zoo_aget(zk->zh, op->path, 0, zk_op_on_data, op));
    return op;
}

struct zk_op *zk_set(struct zk *zk, const char *path, const void *data, size_t len, int version,
                     zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_SET, path);
    op->done_fn = fn;
    op->arg = arg;
    if (sendable(op, len))
        zk_op_sent(
            op, zoo_aset(zk->zh, op->path, len ? data : "", (int)len, version, zk_op_on_stat, op));
    return op;
}

struct zk_op *zk_delete(struct zk *zk, const char *path, int version, zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_DELETE, path);
    op->done_fn = fn;
    op->arg = arg;
    if (sendable(op, 0))
        zk_op_sent(op, zoo_adelete(zk->zh, op->path, version, on_void, op));
    return op;
}

struct zk_op *zk_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_NAMES, path);
    op->names_fn = fn;
    op->arg = arg;
    if (sendable(op, 0))
        zk_op_sent(op, zoo_aget_children(zk->zh, op->path, 0, zk_op_on_names, op));
    return op;
}

struct zk_op *zk_sync(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_SYNC, path);
    op->done_fn = fn;
    op->arg = arg;
    if (sendable(op, 0))
        zk_op_sent(op, zoo_async(zk->zh, op->path, on_string, op));
    return op;
}

// "/" needs no right to be read and is on every server.
void zk_ask(struct zk *zk) {
    struct zk_op *op = zk_op_create(zk, OP_ASK, NULL);
    zk->asking = true;
    zk_op_sent(op, zoo_aexists(zk->zh, "/", 0, zk_op_on_stat, op));
}

static void fill(struct zk *zk, zoo_op_t *to, struct zk_multi_op *from) {
    char *path = real_path(zk, from->path);
    free(from->path);
    from->path = path;
    switch (from->kind) {
    case ZK_MULTI_CHECK:
        zoo_check_op_init(to, path, from->version);
        break;
    case ZK_MULTI_CREATE:
        zoo_create_op_init(to, path, from->data, (int)from->len, acl_of(zk),
                           (from->flags & ZK_EPHEMERAL ? ZOO_EPHEMERAL : 0) |
                               (from->flags & ZK_SEQUENCE ? ZOO_SEQUENCE : 0),
                           NULL, 0);
        break;
    case ZK_MULTI_SET:
        zoo_set_op_init(to, path, from->data, (int)from->len, from->version, NULL);
        break;
    case ZK_MULTI_DELETE:
        zoo_delete_op_init(to, path, from->version);
        break;
    }
}

struct zk_op *zk_commit(struct zk *zk, struct zk_multi *m, zk_multi_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_MULTI, NULL);
    auto_free zoo_op_t *ops = xcalloc(m->n + 1, sizeof *ops);
    op->multi = m;
    op->multi_fn = fn;
    op->arg = arg;
    if (!sendable(op, m->bytes))
        return op;
    for (size_t i = 0; i < m->n; i++)
        fill(zk, &ops[i], &m->ops[i]);
    op->results = xcalloc(m->n + 1, sizeof *op->results);
    zk_op_sent(op, zoo_amulti(zk->zh, (int)m->n, ops, op->results, on_void, op));
    return op;
}
