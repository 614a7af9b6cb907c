#include "sidecar/coordinator/glance.h"
#include "base/check.h"
#include "base/json.h"
#include "base/own.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_LEADER = 1 << 20 };

struct glance {
    struct link link;
    struct loop *loop;
    struct zk *zk;
    char *path;
    struct zk_op *op;
    struct loop_timer *detached;
    glance_fn *fn;
    void *arg;
};

static void glance_free(struct glance *g) {
    list_remove(&g->link);
    zk_forget(&g->op);
    loop_timer_stop(&g->detached);
    free(g->path);
    free(g);
}

static void finish(struct glance *g, const char *data, size_t len, int64_t written,
                   const struct err *err) {
    glance_fn *fn = g->fn;
    void *arg = g->arg;
    struct err copy = *err;
    glance_free(g);
    fn(data, len, written, &copy, arg);
}

// A leader's lock node is older than all it writes. An epoch in /leader that is not was written by
// a hand, and who believed it would obey no leader any more.
static bool is_junk(const struct glance *g, const char *data, size_t len, int64_t mzxid) {
    const char *name = strrchr(g->path, '/');
    if (!name || strcmp(name, "/leader") != 0)
        return false;
    auto_json json_t *record = json_read(data, len, MAX_LEADER, g->path, NULL);
    return json_integer_value(json_object_get(record, "epoch")) >= mzxid;
}

static void on_data(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct glance *g = arg;
    struct err junk = ERR_INIT;
    g->op = NULL;
    if (err->kind == ERR_NONE && len && is_junk(g, data, len, stat->mzxid)) {
        err_set(&junk, ERR_ABSENT, "%s holds an epoch that is newer than itself", g->path);
        finish(g, NULL, 0, 0, &junk);
    } else {
        finish(g, data, len, err->kind == ERR_NONE ? stat->mzxid : 0, err);
    }
}

static void on_synced(const struct err *err, void *arg) {
    struct glance *g = arg;
    g->op = NULL;
    if (err->kind != ERR_NONE)
        finish(g, NULL, 0, 0, err);
    else
        g->op = zk_get(g->zk, g->path, on_data, g);
}

static void on_detached(void *arg) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_DETACHED, "ZooKeeper is out of reach");
    finish(arg, NULL, 0, 0, &err);
}

static void detach(struct glance *g) {
    zk_forget(&g->op);
    loop_timer_start(g->loop, &g->detached, 0, on_detached, g);
}

void glance_start(struct link *list, struct loop *loop, struct zk *zk, const char *path, bool fresh,
                  glance_fn *fn, void *arg) {
    struct glance *g = xnew(struct glance);
    *g = (struct glance){.loop = loop, .zk = zk, .path = xstrdup(path), .fn = fn, .arg = arg};
    list_init(&g->link);
    list_append(list, &g->link);
    if (!zk || zk_state(zk) != ZK_CONNECTED)
        detach(g);
    else if (fresh)
        g->op = zk_sync(zk, path, on_synced, g);
    else
        g->op = zk_get(zk, path, on_data, g);
}

void glance_detach_all(struct link *list) {
    struct glance *g;
    list_each(g, list, struct glance, link) {
        detach(g);
    }
}

void glance_free_all(struct link *list) {
    while (!list_empty(list))
        glance_free(list_first(list, struct glance, link));
}
