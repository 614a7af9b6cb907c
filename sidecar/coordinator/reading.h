// One look at all that ZooKeeper holds of a cluster, for /info, /cluster, /wait and fencing. The
// nodes are asked for in one flight, the pods in a second. What does not parse is left out. Private
// to the folder; loop thread.
#pragma once
#include "base/json.h"
#include "base/list.h"
#include "sidecar/zk/zk.h"

// answer: {"tree", "hash", "snapshot": {...}, "leader": {...} or null, "pods": {uuid: record}},
// and "skipped": {uuid: true} of those whose records were left out, as all together would take more
// of the heap than a reading may; borrowed; NULL with an error. Never inside the call. zk NULL or
// without a connection: ERR_DETACHED.
typedef void reading_fn(const json_t *answer, const struct err *err, void *arg);
// Into a list of the owner's, which it leaves when fn is called: exactly once, unless freed before.
void reading_start(struct link *list, struct loop *loop, struct zk *zk, const char *root,
                   reading_fn *fn, void *arg);
void reading_detach_all(struct link *list); // the session is going: ERR_DETACHED, soon
void reading_free_all(struct link *list);   // no callbacks
