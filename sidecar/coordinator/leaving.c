#include "sidecar/coordinator/leaving.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <string.h>

enum { BUDGET_MS = 10000 }; // whoever stops us may have less patience

struct leaving {
    struct zk *zk;
    char *root, *prefix; // "<pod id>."
    int version;         // of the snapshot; -1: there is none
    struct zk_op *read, *list, *write;
    struct loop_timer *deadline;
    void (*done)(void *arg);
    void *arg;
};

void leaving_free(struct leaving **slot) {
    struct leaving *l = *slot;
    if (!l)
        return;
    *slot = NULL;
    zk_forget(&l->read);
    zk_forget(&l->list);
    zk_forget(&l->write);
    loop_timer_stop(&l->deadline);
    free(l->root);
    free(l->prefix);
    free(l);
}

static void finish(void *arg) {
    struct leaving *l = arg;
    void (*done)(void *arg) = l->done;
    void *done_arg = l->arg;
    leaving_free(&l);
    done(done_arg);
}

static void on_written(int failed, const struct err *err, void *arg) {
    struct leaving *l = arg;
    (void)failed;
    l->write = NULL;
    if (err->kind == ERR_NONE)
        log_info("coordinator %s: the last pod leaves, snapshot emptied", l->root);
    finish(l);
}

static void empty_snapshot(struct leaving *l) {
    auto_free char *snapshot = xasprintf("%s/snapshot", l->root);
    auto_free char *hash = xasprintf("%s/hash", l->root);
    struct zk_multi *m = zk_multi();
    zk_multi_set(m, snapshot, "{}", 2, l->version);
    zk_multi_set(m, hash, "", 0, ZK_ANY_VERSION);
    l->write = zk_commit(l->zk, m, on_written, l);
}

static void on_pods(char *const *names, size_t n, const struct err *err, void *arg) {
    struct leaving *l = arg;
    bool alone = err->kind == ERR_NONE && l->version >= 0;
    l->list = NULL;
    for (size_t i = 0; i < n; i++)
        alone = alone && text_starts(names[i], l->prefix);
    if (alone)
        empty_snapshot(l);
    else
        finish(l);
}

// Asked for before the pods that are left and answered before them.
static void on_snapshot(const char *data, size_t len, const struct zk_stat *stat,
                        const struct err *err, void *arg) {
    struct leaving *l = arg;
    (void)data;
    (void)err;
    l->read = NULL;
    // An empty one needs no writing, an original leader's goes by itself.
    bool full = stat && len > strlen("{}") && !stat->ephemeral_owner;
    l->version = full ? stat->version : -1;
}

// Our own record goes first: of several that leave at once, whoever's goes last sees nobody.
static void on_ours(char *const *names, size_t n, const struct err *err, void *arg) {
    struct leaving *l = arg;
    auto_free char *snapshot = xasprintf("%s/snapshot", l->root);
    auto_free char *pods = xasprintf("%s/pods", l->root);
    l->list = NULL;
    if (err->kind != ERR_NONE) {
        finish(l);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        auto_free char *ours = xasprintf("%s/%s", pods, names[i]);
        if (text_starts(names[i], l->prefix))
            zk_delete(l->zk, ours, ZK_ANY_VERSION, NULL, NULL);
    }
    l->read = zk_get(l->zk, snapshot, on_snapshot, l);
    l->list = zk_names(l->zk, pods, on_pods, l);
}

struct leaving *leaving_start(struct loop *loop, struct zk *zk, const char *root,
                              const char *pod_id, void (*done)(void *arg), void *arg) {
    struct leaving *l = xnew(struct leaving);
    auto_free char *pods = xasprintf("%s/pods", root);
    bool there = zk && zk_state(zk) == ZK_CONNECTED;
    l->zk = zk;
    l->root = xstrdup(root);
    l->prefix = xasprintf("%s.", pod_id);
    l->done = done;
    l->arg = arg;
    loop_timer_start(loop, &l->deadline, there ? BUDGET_MS : 0, finish, l);
    if (there)
        l->list = zk_names(zk, pods, on_ours, l);
    return l;
}
