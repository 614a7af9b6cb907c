#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/client_inside.h"
#include <string.h>

// ---- answers: on the library's thread, so they copy and post and touch nothing else ----

void zk_op_post(struct zk_op *op, int rc) {
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
    zk_op_post((struct zk_op *)data, rc);
}

void zk_op_on_stat(int rc, const struct Stat *stat, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    keep_stat(op, stat);
    zk_op_post(op, rc);
}

// A server may answer anything: a path that is not what was asked for is no path at all.
static void on_string(int rc, const char *value, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    if (rc == ZOK && op->kind == OP_CREATE) {
        size_t len = strlen(op->path);
        bool meant = value && strncmp(value, op->path, len) == 0 && !strchr(value + len, '/');
        if (meant)
            op->data = xstrdup(value);
        else
            rc = ZMARSHALLINGERROR;
    }
    zk_op_post(op, rc);
}

void zk_op_on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    op->len = rc == ZOK && value && len > 0 ? (size_t)len : 0;
    op->excess = op->len > ZK_MAX_READ;
    if (op->excess)
        op->len = 0;
    op->data = xcalloc(op->len + 1, 1);
    if (op->len)
        memcpy(op->data, value, op->len);
    keep_stat(op, stat);
    zk_op_post(op, rc);
}

// Of an answer that breaks off the library tells the count and has not read all of them.
static bool is_whole(const struct String_vector *names) {
    if (names->count > 0 && !names->data)
        return false;
    for (int32_t i = 0; i < names->count; i++)
        if (!names->data[i])
            return false;
    return true;
}

static bool is_excess(const struct String_vector *names) {
    size_t bytes = 0;
    for (int32_t i = 0; i < names->count && bytes <= ZK_MAX_NAMES_BYTES; i++)
        bytes += strlen(names->data[i]);
    return bytes > ZK_MAX_NAMES_BYTES;
}

// What cannot be a node's name is left out: it would be part of paths.
static void keep_names(struct zk_op *op, const struct String_vector *names) {
    for (int32_t i = 0; i < names->count; i++)
        if (*names->data[i] && !strchr(names->data[i], '/'))
            op->names[op->len++] = xstrdup(names->data[i]);
}

void zk_op_on_names(int rc, const struct String_vector *names, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    bool there = rc == ZOK && names && names->count > 0;
    op->excess = there && names->count > ZK_MAX_NAMES;
    if (there && !op->excess && !is_whole(names)) {
        rc = ZMARSHALLINGERROR;
        there = false;
    }
    op->excess = op->excess || (there && is_excess(names));
    there = there && !op->excess;
    op->names = xcalloc(there ? (size_t)names->count + 1 : 1, sizeof *op->names);
    if (there)
        keep_names(op, names);
    zk_op_post(op, rc);
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
        zk_op_post(op, rc); // the library did not take it and will not answer
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

static size_t limit_of(const struct zk_op *op) {
    return op->kind == OP_MULTI ? ZK_MAX_PACKET : ZK_MAX_DATA;
}

void zk_op_error(const struct zk_op *op, struct err *err) {
    const char *what = op->path ? user_path(op->zk, op->path) : "transaction";
    if (op->too_large)
        err_set(err, ERR_LIMIT, "%s: more than %d bytes, ZooKeeper would hang up", what,
                (int)limit_of(op));
    else if (op->rc != ZOK)
        err_code(err, kind_of(op), op->rc, "%s: %s", what, zerror(op->rc));
    else if (op->excess)
        err_set(err, ERR_LIMIT, "%s: larger than what is read of a node", what);
    else if (op->kind == OP_GUARD && op->data)
        err_code(err, ERR_REFUSED, ZNOAUTH, "%s is not ours alone: %s", what, op->data);
}

// What is too large to be read is there all the same.
const struct zk_stat *zk_op_stat(const struct zk_op *op, const struct err *err) {
    return err->kind == ERR_NONE || (err->kind == ERR_LIMIT && op->excess) ? &op->stat : NULL;
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
        op->data_fn(good ? op->data : NULL, good ? op->len : 0, zk_op_stat(op, &err), &err,
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
    return zk->own ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
}

static void make_empty(struct zk_op *op) {
    op->sent = loop_now(op->zk->loop);
    zk_op_sent(
        op, op->zk->library->create(op->zk->zh, op->path, "", 0, acl_of(op->zk), 0, on_string, op));
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
// may still find it alive and carry out what its owner has given up. The other way round it may
// know of the end what has not reached us: a transaction that is begun then is freed twice in it
// (zoo_amulti of 3.8.0).
static bool is_lost(const struct zk *zk) {
    return zk_state(zk) == ZK_LOST || (zk->zh && zk->library->state(zk->zh) < 0);
}

bool zk_op_sendable(struct zk_op *op, size_t len) {
    bool lost = is_lost(op->zk);
    op->too_large = len > limit_of(op) || (op->multi && op->multi->largest > ZK_MAX_DATA);
    if (!op->too_large && !lost && op->zk->zh)
        return true;
    zk_op_post(op, lost ? ZSESSIONEXPIRED : ZCONNECTIONLOSS);
    return false;
}

struct zk_op *zk_create(struct zk *zk, const char *path, const void *data, size_t len, int flags,
                        zk_path_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_CREATE, path);
    op->path_fn = fn;
    op->arg = arg;
    int how = (flags & ZK_EPHEMERAL ? ZOO_EPHEMERAL : 0) | (flags & ZK_SEQUENCE ? ZOO_SEQUENCE : 0);
    if (zk_op_sendable(op, len))
        zk_op_sent(op, zk->library->create(zk->zh, op->path, len ? data : "", (int)len, acl_of(zk),
                                           how, on_string, op));
    return op;
}

struct zk_op *zk_ensure(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_ENSURE, path);
    op->done_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, 0))
        make_empty(op);
    return op;
}

struct zk_op *zk_get(struct zk *zk, const char *path, zk_data_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_GET, path);
    op->data_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, 0))
        zk_op_sent(op, zk->library->get(zk->zh, op->path, NULL, NULL, zk_op_on_data, op));
    return op;
}

struct zk_op *zk_set(struct zk *zk, const char *path, const void *data, size_t len, int version,
                     zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_SET, path);
    op->done_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, len))
        zk_op_sent(op, zk->library->set(zk->zh, op->path, len ? data : "", (int)len, version,
                                        zk_op_on_stat, op));
    return op;
}

struct zk_op *zk_delete(struct zk *zk, const char *path, int version, zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_DELETE, path);
    op->done_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, 0))
        zk_op_sent(op, zk->library->delete (zk->zh, op->path, version, on_void, op));
    return op;
}

struct zk_op *zk_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_NAMES, path);
    op->names_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, 0))
        zk_op_sent(op, zk->library->names(zk->zh, op->path, NULL, NULL, zk_op_on_names, op));
    return op;
}

struct zk_op *zk_sync(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    struct zk_op *op = zk_op_create(zk, OP_SYNC, path);
    op->done_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, 0))
        zk_op_sent(op, zk->library->sync(zk->zh, op->path, on_string, op));
    return op;
}

// "/" needs no right to be read and is on every server.
void zk_ask(struct zk *zk) {
    struct zk_op *op = zk_op_create(zk, OP_ASK, NULL);
    zk->asking = true;
    zk_op_sent(op, zk->library->exists(zk->zh, "/", NULL, NULL, zk_op_on_stat, op));
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
    if (!zk_op_sendable(op, m->bytes))
        return op;
    for (size_t i = 0; i < m->n; i++)
        fill(zk, &ops[i], &m->ops[i]);
    op->results = xcalloc(m->n + 1, sizeof *op->results);
    zk_op_sent(op, zk->library->multi(zk->zh, (int)m->n, ops, op->results, on_void, op));
    return op;
}
