// The tree of the fake ZooKeeper: nodes and single writes. Answers ZooKeeper's codes. Watches, the
// zxid and sessions are the caller's.
#pragma once
#include "base/list.h"
#include "sidecar/zk/multi.h"

enum {
    RC_LOSS = -4,
    RC_STATE = -9,
    RC_NONODE = -101,
    RC_VERSION = -103,
    RC_EPHEMERALS = -108,
    RC_EXISTS = -110,
    RC_NOTEMPTY = -111,
    RC_EXPIRED = -112,
};
struct node {
    struct link link;
    char *path, *data;
    size_t len;
    struct zk_stat stat;
    int sequence;  // children ever made
    int64_t pzxid; // last change of the children
};

// What a node was before the transaction in progress; one entry for each node it touches.
struct before {
    struct link link;
    struct node *node; // a copy; NULL: it was not there
    char *path;
};

struct tree {
    struct link nodes;
    void *by_path; // tsearch's
    struct link touched;
    int64_t zxid; // of the transaction in progress
};

void tree_init(struct tree *t); // with "/"
void tree_done(struct tree *t);
// Ends a transaction: all that it did stays, or nothing of it.
void tree_keep(struct tree *t);
void tree_undo(struct tree *t);

struct node *tree_find(const struct tree *t, const char *path);
char **tree_names(const struct tree *t, const char *path); // unsorted; text_list_free
char *tree_parent(const char *path);
int tree_create(struct tree *t, const char *path, const void *data, size_t len, int flags,
                int64_t session, char **ret_path); // ret_path may be NULL
int tree_set(struct tree *t, const char *path, const void *data, size_t len, int version);
int tree_delete(struct tree *t, const char *path, int version);
int tree_ensure(struct tree *t, const char *path);
int tree_multi(struct tree *t, const struct zk_multi *m, int64_t session, int *ret_failed);
