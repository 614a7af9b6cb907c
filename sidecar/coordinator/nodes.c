#include "sidecar/coordinator/nodes.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/state/state.h"
#include <string.h>

struct nodes {
    struct zk *zk;
    char *root;
    bool done;
    struct zk_op *op;
};

static bool contains(char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

// Nobody waits for them: a node that comes to be there meanwhile is as good, and what a broken
// connection swallows the leader makes up for.
static void make(struct nodes *n, const char *name, const char *data) {
    auto_free char *path = xasprintf("%s/%s", n->root, name);
    zk_create(n->zk, path, data, strlen(data), 0, NULL, NULL);
}

static void on_names(char *const *names, size_t len, const struct err *err, void *arg) {
    struct nodes *n = arg;
    char uuid[37];
    n->op = NULL;
    if (err->kind != ERR_NONE)
        return;
    state_uuid(uuid);
    const struct {
        const char *name, *data;
    } wanted[] = {{"coordinator", ""}, {"hash", ""}, {"snapshot", "{}"}, {"tree", uuid}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!contains(names, len, wanted[i].name))
            make(n, wanted[i].name, wanted[i].data);
    }
    n->done = true;
}

struct nodes *nodes_create(struct zk *zk, const char *root) {
    struct nodes *n = xnew(struct nodes);
    n->zk = zk;
    n->root = xstrdup(root);
    return n;
}

void nodes_ensure(struct nodes *n) {
    if (!n->done && !n->op)
        n->op = zk_names(n->zk, n->root, on_names, n);
}

void nodes_free(struct nodes *n) {
    if (!n)
        return;
    zk_forget(&n->op);
    free(n->root);
    free(n);
}
