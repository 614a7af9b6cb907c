// One phase over all pods: check, off, on or ok, at most 64 requests at once, or one after another
// in the order of seq, those first who are down. After the first failure nothing more is sent. A
// failed check ends at once: nothing was touched; off and on wait for what is in flight, because it
// goes on in the pods anyway. ok goes to everybody, whatever they answer. A pod that answers 410 to
// check is not a failure.
//
// What a pod is sent: the whole body while that is small. Above 64 KiB those of our pods whose
// record says that they can are referred to /proposal, which they read from ZooKeeper; original
// pods, and ours of an older version, are sent the whole body as ever, a few at a time.
#pragma once
#include "sidecar/cluster/cluster.h"
#include "sidecar/leader/peer.h"

enum rollout_task { ROLLOUT_CHECK, ROLLOUT_OFF, ROLLOUT_ON, ROLLOUT_OK };
extern const char *const rollout_names[];

struct rollout_result {    // borrowed until the callback returns
    const json_t *answers; // {id: what it said (census_said)} of those that agreed
    const json_t *gone;    // {id: true} of the dead
    struct err err;        // the first failure, ERR_NONE when there was none
};
typedef void rollout_fn(const struct rollout_result *result, void *arg);

struct rollout_about { // a round; read during rollout_start only
    const struct cluster *cluster;
    const char *hash;
    int64_t round;
    const char *digest;    // of /proposal, "": nobody can be referred to it
    size_t proposal_len;   // a whole body is never smaller
    const json_t *checked; // {id: what it said in check}, NULL: then seq alone is the order
};

struct rollout;
// from must outlive it. fn comes once, never inside the call; the handle is gone when it
// runs.
struct rollout *rollout_start(const struct peer_from *from, enum rollout_task task,
                              const struct rollout_about *about, bool in_order, rollout_fn *fn,
                              void *arg);
// Pods that are not among these have left the cluster: their answers are not waited for, it is a
// failure.
void rollout_keep(struct rollout *r, const json_t *pods);
void rollout_cancel(struct rollout **slot); // no callback after it; no-op on NULL
