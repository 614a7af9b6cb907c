// Who answers a session's calls: the C client, or client_alone.c for a cluster of one. The same
// functions with the same signatures, so that everything above them (client.c, client_op.c,
// client_follow.c) is one.
#pragma once
#include <stdbool.h>
#include <zookeeper/zookeeper.h>

struct zk;

struct zk_library {
    bool alone; // it has no connection that could break, and its session no end
    // On a worker; NULL: not now, it is tried again. state, session and timeout: of an open handle.
    zhandle_t *(*open)(struct zk *zk);
    void (*close)(zhandle_t *zh); // on a worker
    int (*state)(zhandle_t *zh);
    int64_t (*session)(zhandle_t *zh);
    int (*timeout)(zhandle_t *zh);
    int (*create)(zhandle_t *zh, const char *path, const char *value, int len,
                  const struct ACL_vector *acl, int flags, string_completion_t fn, const void *arg);
    int (*exists)(zhandle_t *zh, const char *path, watcher_fn watcher, void *watched,
                  stat_completion_t fn, const void *arg);
    int (*get)(zhandle_t *zh, const char *path, watcher_fn watcher, void *watched,
               data_completion_t fn, const void *arg);
    int (*names)(zhandle_t *zh, const char *path, watcher_fn watcher, void *watched,
                 strings_completion_t fn, const void *arg);
    int (*set)(zhandle_t *zh, const char *path, const char *value, int len, int version,
               stat_completion_t fn, const void *arg);
    int (*delete)(zhandle_t *zh, const char *path, int version, void_completion_t fn,
                  const void *arg);
    int (*sync)(zhandle_t *zh, const char *path, string_completion_t fn, const void *arg);
    int (*acl)(zhandle_t *zh, const char *path, acl_completion_t fn, const void *arg);
    int (*multi)(zhandle_t *zh, int n, const zoo_op_t *ops, zoo_op_result_t *results,
                 void_completion_t fn, const void *arg);
};

extern const struct zk_library zk_client; // client.c
extern const struct zk_library zk_alone;  // client_alone.c
