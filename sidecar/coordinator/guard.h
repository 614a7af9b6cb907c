// Whether the cluster's nodes are ours alone, before anything is written there: its root and what
// stands directly below it, as far as it is there. What a stranger may write could depose a leader,
// feed every dependant and name any address a peer. Asked once a session: a ZooKeeper that lost its
// data is filled anew by whoever comes first. Loop thread; tries again by itself while the
// connection is away.
#pragma once
#include "sidecar/zk/zk.h"

struct guard;
// fn comes once, never inside the call: ERR_NONE, or ERR_REFUSED with ZK_NO_AUTH and a sentence for
// a person. The handle is gone then. patient: what is amiss is an error in the log, and looked at
// again until it is put right.
struct guard *guard_start(struct loop *loop, struct zk *zk, const char *root, bool patient,
                          zk_done_fn *fn, void *arg);
void guard_free(struct guard **slot); // no callback after it; no-op on NULL
