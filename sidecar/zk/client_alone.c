// A cluster of one has no ZooKeeper: its nodes are kept here, in the one process that reads and
// writes them, and in the state directory ("cluster.json"), written whole before a write is
// answered. What ZooKeeper promises holds here too, or nothing above could be the same: one order
// of all writes (the zxid, which is an epoch and never comes again), sequence numbers that are
// given once, transactions that happen whole or not at all, watches that fire once, and ephemerals
// that end with their session (they are not in the file). On the loop thread but for open and
// close.
#include "base/check.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/state/state.h"
#include "sidecar/zk/client_inside.h"
#include <string.h>

struct watch {
    struct link link;
    char *path;
    bool names; // of its children, else of itself
    watcher_fn watcher;
    void *arg;
};

struct alone {
    char *dir;
    int timeout;
    int64_t zxid, session;
    json_t *nodes; // {path: {data, czxid, mzxid, pzxid, version, sequence[, owner]}}
    struct link watches;
    bool complained;
};

// What a write is, for the transaction around it.
struct change {
    const char *path, *data;
    int len, flags, version;
    char *created;
    const zoo_op_t *ops;
    int n;
    zoo_op_result_t *results;
};
typedef int change_fn(struct alone *a, struct change *change);

static struct alone *alone_of(zhandle_t *zh) {
    return (struct alone *)zh;
}

// ---- nodes ----

static int64_t number(const json_t *node, const char *key) {
    return json_integer_value(json_object_get(node, key));
}

static void set_number(json_t *node, const char *key, int64_t n) {
    CHECK(json_object_set_new(node, key, json_integer(n)) == 0);
}

static json_t *find(const struct alone *a, const char *path) {
    return json_object_get(a->nodes, path);
}

static json_t *parent_of(const struct alone *a, const char *path) {
    const char *slash = strrchr(path, '/');
    auto_free char *parent = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
    return find(a, parent);
}

// The name of a child of `parent`, NULL for any other node.
static const char *child_name(const char *path, const char *parent) {
    size_t len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);
    if (strncmp(path, parent, len) != 0 || path[len] != '/' || !path[len + 1])
        return NULL;
    return strchr(path + len + 1, '/') ? NULL : path + len + 1;
}

static char **children_of(const struct alone *a, const char *parent, size_t *ret_n) {
    char **names = xcalloc(json_object_size(a->nodes) + 1, sizeof *names);
    size_t n = 0;
    const char *path;
    json_t *node;
    json_object_foreach(a->nodes, path, node) {
        const char *name = child_name(path, parent);
        if (name)
            names[n++] = xstrdup(name);
    }
    *ret_n = n;
    return names;
}

static size_t count_children(const struct alone *a, const char *parent) {
    size_t n;
    text_list_free(children_of(a, parent, &n));
    return n;
}

static struct Stat stat_of(const struct alone *a, const char *path, const json_t *node) {
    return (struct Stat){.czxid = number(node, "czxid"),
                         .mzxid = number(node, "mzxid"),
                         .pzxid = number(node, "pzxid"),
                         .version = (int32_t)number(node, "version"),
                         .ephemeralOwner = number(node, "owner"),
                         .numChildren = (int32_t)count_children(a, path)};
}

// What is kept here is JSON and names of ours, so text.
static int set_data(json_t *node, const char *data, int len) {
    json_t *text = json_stringn(len > 0 ? data : "", len > 0 ? (size_t)len : 0);
    if (!text)
        return ZMARSHALLINGERROR;
    CHECK(json_object_set_new(node, "data", text) == 0);
    return ZOK;
}

static int good_version(const json_t *node, int version) {
    return version == ZK_ANY_VERSION || version == number(node, "version") ? ZOK : ZBADVERSION;
}

// ---- writes ----

static int make(struct alone *a, struct change *c) {
    json_t *parent = parent_of(a, c->path);
    if (!parent)
        return ZNONODE;
    if (number(parent, "owner"))
        return ZNOCHILDRENFOREPHEMERALS;
    int64_t sequence = number(parent, "sequence");
    auto_free char *path = c->flags & ZOO_SEQUENCE ? xasprintf("%s%010d", c->path, (int)sequence)
                                                   : xstrdup(c->path);
    if (find(a, path))
        return ZNODEEXISTS;
    json_t *node = json_object();
    CHECK(json_object_set_new(a->nodes, path, node) == 0);
    set_number(node, "czxid", a->zxid);
    set_number(node, "mzxid", a->zxid);
    set_number(node, "pzxid", a->zxid);
    if (c->flags & ZOO_EPHEMERAL)
        set_number(node, "owner", a->session);
    set_number(parent, "sequence", sequence + 1);
    set_number(parent, "pzxid", a->zxid);
    c->created = take_ptr(path);
    return set_data(node, c->data, c->len);
}

static int change_data(struct alone *a, struct change *c) {
    json_t *node = find(a, c->path);
    int rc = node ? good_version(node, c->version) : ZNONODE;
    if (rc != ZOK)
        return rc;
    set_number(node, "mzxid", a->zxid);
    set_number(node, "version", number(node, "version") + 1);
    return set_data(node, c->data, c->len);
}

static int drop(struct alone *a, struct change *c) {
    json_t *node = find(a, c->path), *parent = parent_of(a, c->path);
    int rc = node && parent ? good_version(node, c->version) : ZNONODE;
    if (rc != ZOK)
        return rc;
    if (count_children(a, c->path))
        return ZNOTEMPTY;
    set_number(parent, "pzxid", a->zxid);
    json_object_del(a->nodes, c->path);
    return ZOK;
}

static int carry_out(struct alone *a, const zoo_op_t *op) {
    struct change c = {.path = NULL};
    int rc = ZUNIMPLEMENTED;
    const json_t *node;
    switch (op->type) {
    case ZOO_CREATE_OP:
        c = (struct change){.path = op->create_op.path,
                            .data = op->create_op.data,
                            .len = op->create_op.datalen,
                            .flags = op->create_op.flags};
        rc = make(a, &c);
        free(c.created);
        return rc;
    case ZOO_DELETE_OP:
        c = (struct change){.path = op->delete_op.path, .version = op->delete_op.version};
        return drop(a, &c);
    case ZOO_SETDATA_OP:
        c = (struct change){.path = op->set_op.path,
                            .data = op->set_op.data,
                            .len = op->set_op.datalen,
                            .version = op->set_op.version};
        return change_data(a, &c);
    case ZOO_CHECK_OP:
        node = find(a, op->check_op.path);
        return node ? good_version(node, op->check_op.version) : ZNONODE;
    default:
        return rc;
    }
}

static int carry_out_all(struct alone *a, struct change *c) {
    int rc = ZOK;
    for (int i = 0; i < c->n; i++) {
        c->results[i].err = rc == ZOK ? carry_out(a, &c->ops[i]) : ZRUNTIMEINCONSISTENCY;
        if (rc == ZOK)
            rc = c->results[i].err;
    }
    return rc;
}

// ---- the file ----

static int keep(struct alone *a) {
    auto_json json_t *kept = json_object();
    auto_json json_t *all = json_pack("{s:I, s:O}", "zxid", (json_int_t)a->zxid, "nodes", kept);
    struct err err = ERR_INIT;
    const char *path;
    json_t *node;
    json_object_foreach(a->nodes, path, node) {
        if (!number(node, "owner"))
            CHECK(json_object_set(kept, path, node) == 0);
    }
    CHECK(all);
    if (state_write(a->dir, STATE_CLUSTER, all, &err) == 0) {
        a->complained = false;
        return ZOK;
    }
    if (!a->complained)
        log_err("zk none: %s: nothing is decided until it can be", err.text);
    a->complained = true;
    return ZSYSTEMERROR;
}

static int take(void *arg, const json_t *j, struct err *err) {
    struct alone *a = arg;
    json_t *nodes = json_object_get(j, "nodes"), *node;
    const char *path;
    if (json_int(j, "zxid", &a->zxid, err))
        return -1;
    if (a->zxid < 0 || !json_is_object(nodes) || !json_object_get(nodes, "/"))
        return err_set(err, ERR_USER, "zxid or nodes are missing");
    json_object_foreach(nodes, path, node) {
        if (*path != '/' || !json_is_object(node))
            return err_set(err, ERR_USER, "a node is none");
    }
    CHECK(json_object_update(a->nodes, nodes) == 0);
    return 0;
}

// ---- transactions ----

// Differs whenever what the watch looks at was changed.
static int64_t signature(const json_t *nodes, const struct watch *w) {
    return number(json_object_get(nodes, w->path), w->names ? "pzxid" : "mzxid");
}

static void watch_free(struct watch *w) {
    list_remove(&w->link);
    free(w->path);
    free(w);
}

static void fire(struct alone *a, const json_t *before) {
    struct watch *w;
    list_each(w, &a->watches, struct watch, link) {
        if (signature(before, w) == signature(a->nodes, w))
            continue;
        int type = w->names ? ZOO_CHILD_EVENT : ZOO_CHANGED_EVENT;
        w->watcher((zhandle_t *)a, type, ZOO_CONNECTED_STATE, w->path, w->arg);
        watch_free(w);
    }
}

static int transact(struct alone *a, change_fn *fn, struct change *change) {
    auto_json json_t *before = json_deep_copy(a->nodes);
    CHECK(before);
    a->zxid++;
    int rc = fn(a, change);
    if (rc == ZOK)
        rc = keep(a);
    if (rc == ZOK) {
        fire(a, before);
        return ZOK;
    }
    json_t *spoilt = a->nodes;
    a->nodes = json_incref(before);
    json_decref(spoilt);
    return rc;
}

static void add_watch(struct alone *a, const char *path, bool names, watcher_fn watcher,
                      void *arg) {
    struct watch *w;
    list_each(w, &a->watches, struct watch, link) {
        if (w->arg == arg && w->names == names && strcmp(w->path, path) == 0)
            return;
    }
    w = xnew(struct watch);
    *w = (struct watch){.path = xstrdup(path), .names = names, .watcher = watcher, .arg = arg};
    list_append(&a->watches, &w->link);
}

// ---- the calls ----

static int on_create(zhandle_t *zh, const char *path, const char *value, int len,
                     const struct ACL_vector *acl, int flags, string_completion_t fn,
                     const void *arg) {
    struct change c = {.path = path, .data = value, .len = len, .flags = flags};
    (void)acl;
    int rc = transact(alone_of(zh), make, &c);
    fn(rc, rc == ZOK ? c.created : NULL, arg);
    free(c.created);
    return ZOK;
}

static int on_exists(zhandle_t *zh, const char *path, watcher_fn watcher, void *watched,
                     stat_completion_t fn, const void *arg) {
    struct alone *a = alone_of(zh);
    const json_t *node = find(a, path);
    struct Stat stat = stat_of(a, path, node);
    if (watcher)
        add_watch(a, path, false, watcher, watched);
    fn(node ? ZOK : ZNONODE, node ? &stat : NULL, arg);
    return ZOK;
}

static int on_get(zhandle_t *zh, const char *path, watcher_fn watcher, void *watched,
                  data_completion_t fn, const void *arg) {
    struct alone *a = alone_of(zh);
    const json_t *node = find(a, path), *data = json_object_get(node, "data");
    struct Stat stat = stat_of(a, path, node);
    if (node && watcher)
        add_watch(a, path, false, watcher, watched);
    fn(node ? ZOK : ZNONODE, json_string_value(data), (int)json_string_length(data),
       node ? &stat : NULL, arg);
    return ZOK;
}

static int on_names(zhandle_t *zh, const char *path, watcher_fn watcher, void *watched,
                    strings_completion_t fn, const void *arg) {
    struct alone *a = alone_of(zh);
    size_t n = 0;
    bool there = find(a, path) != NULL;
    if (there && watcher)
        add_watch(a, path, true, watcher, watched);
    char **names = children_of(a, path, &n);
    const struct String_vector list = {.count = (int32_t)n, .data = names};
    fn(there ? ZOK : ZNONODE, there ? &list : NULL, arg);
    text_list_free(names);
    return ZOK;
}

static int on_set(zhandle_t *zh, const char *path, const char *value, int len, int version,
                  stat_completion_t fn, const void *arg) {
    struct alone *a = alone_of(zh);
    struct change c = {.path = path, .data = value, .len = len, .version = version};
    int rc = transact(a, change_data, &c);
    struct Stat stat = stat_of(a, path, find(a, path));
    fn(rc, rc == ZOK ? &stat : NULL, arg);
    return ZOK;
}

static int on_delete(zhandle_t *zh, const char *path, int version, void_completion_t fn,
                     const void *arg) {
    struct change c = {.path = path, .version = version};
    fn(transact(alone_of(zh), drop, &c), arg);
    return ZOK;
}

static int on_sync(zhandle_t *zh, const char *path, string_completion_t fn, const void *arg) {
    (void)zh;
    fn(ZOK, path, arg);
    return ZOK;
}

static int on_multi(zhandle_t *zh, int n, const zoo_op_t *ops, zoo_op_result_t *results,
                    void_completion_t fn, const void *arg) {
    struct change c = {.ops = ops, .n = n, .results = results};
    fn(transact(alone_of(zh), carry_out_all, &c), arg);
    return ZOK;
}

// ---- life ----

static void alone_close(zhandle_t *zh) {
    struct alone *a = alone_of(zh);
    struct watch *w;
    list_each(w, &a->watches, struct watch, link) {
        watch_free(w);
    }
    json_decref(a->nodes);
    free(a->dir);
    free(a);
}

static zhandle_t *alone_open(struct zk *zk) {
    struct alone *a = xnew(struct alone);
    struct err err = ERR_INIT;
    bool there = false;
    a->dir = xstrdup(zk->kept);
    a->timeout = zk->timeout;
    a->nodes = json_object();
    list_init(&a->watches);
    int rc = state_read(a->dir, STATE_CLUSTER, take, a, &there, &err);
    if (!there) {
        a->zxid = 0;
        CHECK(json_object_set_new(a->nodes, "/", json_object()) == 0);
    }
    a->session = ++a->zxid; // kept with the first write, which comes before anybody sees it
    if (rc == 0)
        return (zhandle_t *)a;
    log_warn("zk none: %s", err.text);
    alone_close((zhandle_t *)a);
    return NULL;
}

static int alone_state(zhandle_t *zh) {
    (void)zh;
    return ZOO_CONNECTED_STATE;
}

static int64_t alone_session(zhandle_t *zh) {
    return alone_of(zh)->session;
}

static int alone_timeout(zhandle_t *zh) {
    return alone_of(zh)->timeout;
}

const struct zk_library zk_alone = {
    .alone = true,
    .open = alone_open,
    .close = alone_close,
    .state = alone_state,
    .session = alone_session,
    .timeout = alone_timeout,
    .create = on_create,
    .exists = on_exists,
    .get = on_get,
    .names = on_names,
    .set = on_set,
    .delete = on_delete,
    .sync = on_sync,
    .multi = on_multi,
};
