// One phase over all pods: check, off, on or ok, at most 64 requests at once, or one after another
// in the order of seq. After the first failure nothing more is sent. A failed check ends at once:
// nothing was touched; off and on wait for what is in flight, because it goes on in the pods
// anyway. ok goes to everybody, whatever they answer. A pod that answers 410 to check is not a
// failure.
#pragma once
#include "sidecar/cluster/cluster.h"
#include "sidecar/leader/peer.h"

enum rollout_task { ROLLOUT_CHECK, ROLLOUT_OFF, ROLLOUT_ON, ROLLOUT_OK };
extern const char *const rollout_names[];

struct rollout_result {    // borrowed until the callback returns
    const json_t *answers; // {id: what it said} of those that agreed
    const json_t *gone;    // {id: true} of the dead
    struct err err;        // the first failure, ERR_NONE when there was none
};
typedef void rollout_fn(const struct rollout_result *result, void *arg);

struct rollout;
// The cluster is read during the call only (bodies are made when they are sent: the rollout keeps a
// copy); from must outlive it. fn comes once, never inside the call; the handle is gone when it
// runs.
struct rollout *rollout_start(const struct peer_from *from, enum rollout_task task,
                              const struct cluster *cluster, const char *hash, int64_t round,
                              bool in_order, rollout_fn *fn, void *arg);
// Pods that are not among these have left the cluster: their answers are not waited for, it is a
// failure.
void rollout_keep(struct rollout *r, const json_t *pods);
void rollout_cancel(struct rollout **slot); // no callback after it; no-op on NULL
