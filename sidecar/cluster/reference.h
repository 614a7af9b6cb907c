// What a leader sends our own pods where the whole body would be large: a few words that say which
// /proposal is meant, so that a round of N pods costs N small bodies. The pod reads it from
// ZooKeeper, where only the leader that holds the lock can have written it, and takes it only if it
// is the very bytes the leader wrote: epoch, round, hash and digest must all be the same. One
// reference stands for one proposal: check, off, on and ok of a round carry the same. Pure.
//
//   {"key": id, "hash": hash, "proposal": {"epoch": n, "round": n, "digest": SHA-256 of /proposal}}
#pragma once
#include "sidecar/cluster/cluster.h"

struct reference {
    char *key, *hash, *digest;
    int64_t epoch, round;
};

// hash and digest are hex.
char *reference_write(const char *key, const char *hash, int64_t epoch, int64_t round,
                      const char *digest); // caller frees
// *ret is NULL when the body refers to nothing: a whole one, or none that can be read.
int reference_read(const char *body, size_t len, struct reference **ret,
                   struct err *err) must_check;
void reference_free(struct reference *r); // takes NULL

// What is written down for them: {"pods", "dependencies", "members", "hash", "epoch", "round"}, the
// pods as cluster_essence. c NULL: the numbers alone. Caller frees.
char *reference_proposal(const struct cluster *c, const char *hash, int64_t epoch, int64_t round);
// The cluster that r means, out of /proposal. ERR_ABSENT: another proposal stands there (an older
// one may be read from a server that lags behind). ERR_USER: it is the one, and makes no sense.
int reference_resolve(const struct reference *r, const char *data, size_t len, struct cluster **ret,
                      struct err *err) must_check;
