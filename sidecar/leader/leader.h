// The pod that holds the lock runs rounds. A table (leader_fsm.c), its shell, watch (pods and
// dependencies), rollout (check off on ok over all pods) and peer (one request to one pod, itself
// too, always through the control port). Created when the lock is ours, freed the moment it is not;
// everything it started is cancelled then. It decides nothing while the session is SUSPENDED.
// Protocol: reliability 3; rounds: product.md "A round". Every write is a transaction with a check
// of our lock node.
#pragma once
#include "base/http.h"
#include "base/loop.h"
#include "sidecar/auth/auth.h"
#include "sidecar/cluster/cluster.h"
#include "sidecar/runner/runner.h"
#include "sidecar/spec/spec.h"
#include "sidecar/zk/zk.h"

struct leader;
struct leader_config {
    const struct spec *spec;
    const char *root;       // "/ochopod/clusters/ns.cluster"
    const char *namespace_; // for relative dependencies
    const char *pod_id;
    const char *lock_path;   // our lock node
    int64_t epoch;           // its czxid
    const struct auth *auth; // what signs; NULL: nothing
    // `zk: none`: the one pod is asked here, whatever its record says, which is for others.
    const char *own_url; // NULL: there may be others
    // The leader's look at the whole cluster (spec.probe): runs the action with the view as stdin,
    // answers its output. NULL: none. Given by app, so that the leader knows no runner.
    void (*probe)(const json_t *view,
                  void (*fn)(const char *line, const struct err *err, void *arg), void *fn_arg,
                  void *arg);
    void (*on_deposed)(const struct err *why,
                       void *arg); // a fenced write was refused, or a pod answered 412: step down
    void *arg;
};

struct leader *leader_create(struct loop *loop, struct http *http, struct zk *zk,
                             const struct leader_config *config);
void leader_suspend(struct leader *l,
                    bool suspended); // the session is SUSPENDED: decide nothing, send nothing new
const char *leader_state(
    const struct leader *l); // "leader", "leader (configuration pending)", "leader (configuring)"
const char *
leader_status(const struct leader *l); // "* configuring 3 pods", "* check refused by zk #3: ..."
void leader_free(struct leader *l);    // takes NULL
