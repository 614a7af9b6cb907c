// What the leader sees: the pods of its cluster and of those it depends on, by standing watches,
// never by polling. A record is read once when its node appears; a node that cannot be used (not
// JSON, no address, control port not mapped unless alone, loopback where ours is not) is skipped,
// named in the log once and in the status, and followed until it can. So is an original pod's node,
// which is empty at first. Two nodes of one pod: the newest (by czxid) is the pod, the other its
// ghost. What changes together is told once.
#pragma once
#include "base/loop.h"
#include "base/text.h"
#include "sidecar/cluster/cluster.h"
#include "sidecar/zk/zk.h"

struct watch;
struct watch_config {
    const char *root;       // "/ochopod/clusters/ns.cluster"
    const char *namespace_; // for relative dependencies
    char *const *depends_on;
    const char *pod_id;           // ours: its address says whether loopback means anybody
    bool alone;                   // there is no other, and no port of ours need be mapped
    void (*on_change)(void *arg); // something may have changed and everything is read
    void *arg;
};

struct watch *watch_create(struct loop *loop, struct zk *zk, const struct watch_config *config);
void watch_free(struct watch *w);              // takes NULL
bool watch_is_complete(const struct watch *w); // everything there is was read, and told
// Dependencies as the leader before us proposed them, or as they are in force: what to hold on to
// when they are gone.
void watch_inherit(struct watch *w, json_t *dependencies);
void watch_hold(struct watch *w, json_t *dependencies);
// Pods and dependencies as they are now, no members. ret_births: {pod id: birth}, new
// reference, may be NULL.
struct cluster *watch_look(struct watch *w, json_t **ret_births);
// What is skipped and what is held on to, each "; <text>": for the end of a status line.
void watch_notes(const struct watch *w, struct text *t);
