// Our place in the queue for leadership: a node as kazoo makes it ("<32 hex>__lock__<10 digits>",
// ephemeral, under a folder), the wait for the immediate predecessor, and the proof that it is
// ours: lowest, and owned by the present session. An ambiguous create is settled by looking for our
// own hex prefix before another is made. Children without "__lock__" are ignored.
#pragma once
#include "sidecar/zk/zk.h"

struct lock;
struct lock_events {
    void (*on_held)(const char *path, int64_t czxid, void *arg); // we are lowest
    void (*on_gone)(
        void *arg); // our node was deleted by somebody, or is another session's: we hold nothing
};
struct lock *lock_create(struct loop *loop, struct zk *zk, const char *folder,
                         const struct lock_events *events, void *arg);
void lock_release(struct lock *lock, void (*done)(void *arg),
                  void *arg);      // deletes our node, then frees; done may be NULL
void lock_free(struct lock *lock); // touches nothing in ZooKeeper; takes NULL
