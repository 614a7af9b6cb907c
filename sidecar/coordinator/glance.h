// One look at one node of the cluster, for who was referred to it. Private to the folder; loop
// thread.
#pragma once
#include "base/list.h"
#include "sidecar/zk/zk.h"

// Borrowed bytes; never inside the call. written: by which transaction (mzxid), 0 with an error. zk
// NULL or without a connection: ERR_DETACHED.
typedef void glance_fn(const char *data, size_t len, int64_t written, const struct err *err,
                       void *arg);
// Into a list of the owner's, which it leaves when fn is called: exactly once, unless freed before.
// fresh: after a sync, so that a server that lags behind has caught up.
void glance_start(struct link *list, struct loop *loop, struct zk *zk, const char *path, bool fresh,
                  glance_fn *fn, void *arg);
void glance_detach_all(struct link *list); // the session is going: ERR_DETACHED, soon
void glance_free_all(struct link *list);   // no callbacks
