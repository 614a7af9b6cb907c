// Leaving in good order: our record is deleted, and whoever then finds no pod in the cluster
// empties /snapshot and /hash, so that dependants learn that nobody is left and the next pod to
// come configures anew; of several that leave at once the last to delete sees nobody. It is written
// only on top of the snapshot that was read before the pods were listed: a leader that came
// meanwhile has the last word. Private to the folder; loop thread.
#pragma once
#include "sidecar/zk/zk.h"

struct leaving;
// done: once, never inside the call, within 2 s; the leaving is gone when it runs.
struct leaving *leaving_start(struct loop *loop, struct zk *zk, const char *root,
                              const char *pod_id, void (*done)(void *arg), void *arg);
void leaving_free(struct leaving **slot); // no callback after it; no-op on NULL
