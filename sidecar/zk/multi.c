#include "sidecar/zk/multi.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

struct zk_multi *zk_multi(void) {
    return xnew(struct zk_multi);
}

static struct zk_multi_op *add(struct zk_multi *m, enum zk_multi_kind kind, const char *path) {
    m->ops = xrealloc(m->ops, (m->n + 1) * sizeof *m->ops);
    struct zk_multi_op *op = &m->ops[m->n++];
    *op = (struct zk_multi_op){.kind = kind, .path = xstrdup(path), .version = ZK_ANY_VERSION};
    return op;
}

static void carry(struct zk_multi *m, struct zk_multi_op *op, const void *data, size_t len) {
    op->data = xcalloc(len + 1, 1);
    if (len)
        memcpy(op->data, data, len);
    op->len = len;
    m->bytes += len;
    if (len > m->largest)
        m->largest = len;
}

void zk_multi_check(struct zk_multi *m, const char *path, int version) {
    add(m, ZK_MULTI_CHECK, path)->version = version;
}

void zk_multi_create(struct zk_multi *m, const char *path, const void *data, size_t len,
                     int flags) {
    struct zk_multi_op *op = add(m, ZK_MULTI_CREATE, path);
    op->flags = flags;
    carry(m, op, data, len);
}

void zk_multi_set(struct zk_multi *m, const char *path, const void *data, size_t len, int version) {
    struct zk_multi_op *op = add(m, ZK_MULTI_SET, path);
    op->version = version;
    carry(m, op, data, len);
}

void zk_multi_delete(struct zk_multi *m, const char *path, int version) {
    add(m, ZK_MULTI_DELETE, path)->version = version;
}

void zk_multi_free(struct zk_multi *m) {
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        free(m->ops[i].path);
        free(m->ops[i].data);
    }
    free(m->ops);
    free(m);
}
