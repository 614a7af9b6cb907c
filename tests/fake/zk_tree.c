#include "tests/fake/zk_tree.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <search.h>
#include <string.h>

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

struct node *tree_find(const struct tree *t, const char *path) {
    const struct node key = {.path = (char *)path};
    struct node *const *found = tfind(&key, &t->by_path, by_path);
    return found ? *found : NULL;
}

char *tree_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static void node_free(struct node *n) {
    free(n->path);
    free(n->data);
    free(n);
}

static void put_data(struct node *n, const void *data, size_t len) {
    free(n->data);
    n->data = xcalloc(len + 1, 1);
    if (len)
        memcpy(n->data, data, len);
    n->len = len;
}

static struct node *tree_add(struct tree *t, const char *path, const void *data, size_t len) {
    struct node *n = xnew(struct node);
    n->path = xstrdup(path);
    put_data(n, data, len);
    list_append(&t->nodes, &n->link);
    CHECK(tsearch(n, &t->by_path, by_path));
    return n;
}

static void tree_drop(struct tree *t, struct node *n) {
    list_remove(&n->link);
    tdelete(n, &t->by_path, by_path);
    node_free(n);
}

// ---- transactions ----

// Before path is changed, made or removed.
static void touch(struct tree *t, const char *path) {
    struct before *b;
    list_each(b, &t->touched, struct before, link) {
        if (strcmp(b->path, path) == 0)
            return;
    }
    b = xnew(struct before);
    b->path = xstrdup(path);
    const struct node *n = tree_find(t, path);
    if (n) {
        b->node = xnew(struct node);
        *b->node = *n;
        b->node->path = xstrdup(n->path);
        b->node->data = NULL;
        put_data(b->node, n->data, n->len);
    }
    list_append(&t->touched, &b->link);
}

static void before_free(struct before *b) {
    list_remove(&b->link);
    if (b->node)
        node_free(b->node);
    free(b->path);
    free(b);
}

void tree_keep(struct tree *t) {
    while (!list_empty(&t->touched))
        before_free(list_first(&t->touched, struct before, link));
}

static void put_back(struct tree *t, const struct before *b) {
    struct node *n = tree_find(t, b->path);
    if (!b->node) {
        if (n)
            tree_drop(t, n);
        return;
    }
    if (!n)
        n = tree_add(t, b->path, "", 0);
    put_data(n, b->node->data, b->node->len);
    n->stat = b->node->stat;
    n->sequence = b->node->sequence;
    n->pzxid = b->node->pzxid;
}

void tree_undo(struct tree *t) {
    struct before *b;
    list_each(b, &t->touched, struct before, link) {
        put_back(t, b);
    }
    tree_keep(t);
}

// ---- single writes ----

static bool is_child(const struct node *n, const char *parent) {
    size_t len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);
    return strncmp(n->path, parent, len) == 0 && n->path[len] == '/' && n->path[len + 1] &&
           !strchr(n->path + len + 1, '/');
}

void tree_init(struct tree *t) {
    t->by_path = NULL;
    list_init(&t->nodes);
    list_init(&t->touched);
    tree_add(t, "/", "", 0);
}

void tree_done(struct tree *t) {
    tree_keep(t);
    while (!list_empty(&t->nodes))
        tree_drop(t, list_first(&t->nodes, struct node, link));
}

int tree_create(struct tree *t, const char *path, const void *data, size_t len, int flags,
                int64_t session, char **ret_path) {
    auto_free char *above = tree_parent(path);
    struct node *parent = tree_find(t, above);
    if (!parent)
        return RC_NONODE;
    if (parent->stat.ephemeral_owner)
        return RC_EPHEMERALS;
    auto_free char *name = flags & ZK_SEQUENCE ? xasprintf("%s%010d", path, parent->sequence)
                                               : xstrdup(path);
    if (tree_find(t, name))
        return RC_EXISTS;
    touch(t, above);
    touch(t, name);
    struct node *n = tree_add(t, name, data, len);
    n->stat.czxid = n->stat.mzxid = n->pzxid = t->zxid;
    n->stat.ephemeral_owner = flags & ZK_EPHEMERAL ? session : 0;
    parent->sequence++;
    parent->stat.children++;
    parent->pzxid = t->zxid;
    if (ret_path)
        *ret_path = take_ptr(name);
    return 0;
}

int tree_set(struct tree *t, const char *path, const void *data, size_t len, int version) {
    struct node *n = tree_find(t, path);
    if (!n)
        return RC_NONODE;
    if (version != ZK_ANY_VERSION && version != n->stat.version)
        return RC_VERSION;
    touch(t, path);
    put_data(n, data, len);
    n->stat.mzxid = t->zxid;
    n->stat.version++;
    return 0;
}

int tree_delete(struct tree *t, const char *path, int version) {
    struct node *n = tree_find(t, path);
    if (!n)
        return RC_NONODE;
    if (version != ZK_ANY_VERSION && version != n->stat.version)
        return RC_VERSION;
    if (n->stat.children)
        return RC_NOTEMPTY;
    auto_free char *above = tree_parent(path);
    touch(t, above);
    touch(t, path);
    struct node *parent = tree_find(t, above);
    parent->stat.children--;
    parent->pzxid = t->zxid;
    tree_drop(t, n);
    return 0;
}

static int tree_check(struct tree *t, const char *path, int version) {
    struct node *n = tree_find(t, path);
    if (!n)
        return RC_NONODE;
    return version == ZK_ANY_VERSION || version == n->stat.version ? 0 : RC_VERSION;
}

int tree_ensure(struct tree *t, const char *path) {
    if (strcmp(path, "/") == 0 || tree_find(t, path))
        return 0;
    auto_free char *above = tree_parent(path);
    int rc = tree_ensure(t, above);
    return rc ? rc : tree_create(t, path, "", 0, 0, 0, NULL);
}

int tree_multi(struct tree *t, const struct zk_multi *m, int64_t session, int *ret_failed) {
    int rc = 0;
    for (size_t i = 0; i < m->n && rc == 0; i++) {
        const struct zk_multi_op *op = &m->ops[i];
        switch (op->kind) {
        case ZK_MULTI_CHECK:
            rc = tree_check(t, op->path, op->version);
            break;
        case ZK_MULTI_CREATE:
            rc = tree_create(t, op->path, op->data, op->len, op->flags, session, NULL);
            break;
        case ZK_MULTI_SET:
            rc = tree_set(t, op->path, op->data, op->len, op->version);
            break;
        case ZK_MULTI_DELETE:
            rc = tree_delete(t, op->path, op->version);
            break;
        }
        *ret_failed = (int)i;
    }
    return rc;
}

char **tree_names(const struct tree *t, const char *path) {
    size_t count = 0;
    struct node *n;
    char **names = xcalloc(1, sizeof *names);
    list_each(n, &t->nodes, struct node, link) {
        if (!is_child(n, path))
            continue;
        names = xrealloc(names, (count + 2) * sizeof *names);
        names[count++] = xstrdup(strrchr(n->path, '/') + 1);
        names[count] = NULL;
    }
    return names;
}
