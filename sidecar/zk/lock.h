// Our place in the queue for leadership: a node as kazoo makes it ("<32 hex>__lock__<10 digits>",
// ephemeral, under a folder), the wait for the immediate predecessor, and the proof that it is
// ours: lowest, and owned by the present session. The hex is the pod's own (its id, a uuid, without
// the dashes) and stays: nodes of ours are found by it after an ambiguous create, and those of an
// earlier session of ours are deleted instead of waited for. Children without "__lock__" are
// ignored. Once on_gone was called it does nothing more. Loop thread; one per session, freed before
// it.
#pragma once
#include "sidecar/zk/zk.h"

struct lock;
struct lock_events {
    void (*on_held)(const char *path, int64_t czxid, void *arg); // we are lowest
    void (*on_gone)(
        void *arg); // our node was deleted by somebody, or is another session's: we hold nothing
};
struct lock *lock_create(struct loop *loop, struct zk *zk, const char *folder, const char *pod_id,
                         const struct lock_events *events, void *arg);
// Deletes our node, then frees; done, if not NULL, comes when no node of ours is left or the
// session is gone. No event after it. zk must stay open until then, or lock_free be called.
void lock_release(struct lock *lock, void (*done)(void *arg), void *arg);
const char *lock_path(const struct lock *lock); // of our node; NULL while there is none
void lock_free(struct lock *lock);              // touches nothing in ZooKeeper; takes NULL
