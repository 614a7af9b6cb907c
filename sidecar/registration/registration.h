// Our ephemeral record under <root>/pods: "<pod id>.<10 digits>", the first create carrying the
// payload (without seq when it is not known yet), completed by a set. Keeps pod id and sequence
// number over reconnects: the first suffix ever obtained is the seq, for the pod's life. After any
// doubt (connection loss during the create, a restart) the children are listed: ours by this
// session is kept, ours by another session (a ghost of ourselves) is deleted and replaced, never
// waited for. A pod id held by a living other sidecar (its node keeps coming back: two times) is
// ERR_EXISTS: a cloned state directory. That, and a refusal of ZooKeeper's, is final at a start
// (the first minute, of who was never registered before) and an alarm afterwards, asked again every
// 10 s: nobody who can write there, or stands in ZooKeeper's place, ends a pod that runs. The node
// goes with its session. Loop thread; owned by the coordinator; one per session.
#pragma once
#include "sidecar/cluster/record.h"
#include "sidecar/zk/zk.h"

struct registration;
struct registration_events {
    // It has been given a number, which nobody else has read yet: kept now, it is the same after a
    // crash at any moment.
    void (*on_numbered)(int64_t seq, void *arg);
    void (*on_registered)(const char *path, int64_t seq, void *arg);
    void (*on_failed)(const struct err *err,
                      void *arg); // it goes on trying on ERR_RETRY by itself; this is final
};

// facts are copied; seq -1: none yet.
struct registration *registration_create(struct loop *loop, struct zk *zk, const char *root,
                                         const char *pod_id, const struct record_facts *facts,
                                         int64_t seq, const struct registration_events *events,
                                         void *arg);
// It was registered before: nothing is final.
void registration_persist(struct registration *r, bool persist);
// What the pod says of itself has changed: written to our node, now or once there is one.
void registration_update(struct registration *r, const struct record_facts *facts);
void registration_free(struct registration *r); // touches nothing in ZooKeeper; takes NULL
