// The way of a pod into its cluster: session, register, lock, lead, reset. A table
// (coordinator_fsm.c) and its shell. Owns the ZooKeeper session, the registration, the lock node
// and, while it holds the lock, the leader. Reconnects for ever, at once at first, with jitter (0
// to 2 s) after a loss. While SUSPENDED nothing is decided and nothing is torn down; when LOST the
// leader goes first, then everything of that session, then a new one is opened with the same pod id
// and seq. Lock: nodes as kazoo's, "<32 hex>__lock__<10 digits>" under <root>/coordinator, lowest
// leads, others watch their immediate predecessor; leading means: lowest AND ephemeralOwner is our
// session AND zk_silence below 2/3 of the session. A dead pod does not lead: it gives its lock node
// back and does not stand again (coordinator_stand). Events may call anything here but
// coordinator_free.
#pragma once
#include "sidecar/auth/auth.h"
#include "sidecar/cluster/record.h"
#include "sidecar/leader/leader.h"
#include "sidecar/spec/spec.h"
#include "sidecar/zk/zk.h"

struct coordinator;
struct coordinator_events {
    void (*on_seq)(int64_t seq, void *arg); // to be kept in the state directory
    void (*on_attached)(
        bool attached,
        void *arg); // false: our session may be gone (2/3 of its time), control answers 409
    void (*on_fatal)(const struct err *err, void *arg); // e.g. a cloned pod id: exit 78
    void (*on_leading)(bool leading, void *arg);
};

struct coordinator_config {
    const struct spec *spec;
    const char *zk_url; // from spec or binding
    const char *namespace_, *cluster, *pod_id;
    const struct record_facts *facts;
    int64_t seq;             // -1: none yet
    bool resumed;            // the start was accepted before: what refuses us is an alarm
    const struct auth *auth; // what signs as a leader; NULL: nothing
    const char *own_url;     // where we are asked with `zk: none`
    // The leader's probe, passed on to it (leader.h); NULL: none.
    void (*probe)(const json_t *view,
                  void (*fn)(const char *line, const struct err *err, void *arg), void *fn_arg,
                  void *arg);
    void *probe_arg;
};

struct coordinator *coordinator_create(struct loop *loop, struct http *http,
                                       const struct coordinator_config *config,
                                       const struct coordinator_events *events, void *arg,
                                       struct err *err);
void coordinator_reset(
    struct coordinator *c); // drops the session and registers again; the workload runs on
void coordinator_stand(struct coordinator *c,
                       bool stand); // false: step down and do not stand for leader
// config.facts, which are borrowed, have changed: the record is written anew.
void coordinator_update(struct coordinator *c);
bool coordinator_attached(const struct coordinator *c);
// "follower", "leader", "leader (configuration pending)", "leader (configuring)"
const char *coordinator_state(const struct coordinator *c);
const char *coordinator_status(const struct coordinator *c); // the status line; "" when never led
// Reads for /info, /cluster, /wait and fencing: the present tree uuid and generation from
// ZooKeeper. answer is
// {"tree", "hash", "snapshot": {...}, "leader": {...}|null, "pods": {uuid: record}}; borrowed.
// Once, unless we are freed before; never inside the call. ERR_DETACHED without a connection.
typedef void coordinator_read_fn(const json_t *answer, const struct err *err, void *arg);
void coordinator_read(struct coordinator *c, coordinator_read_fn *fn, void *arg);
// One of the cluster's nodes as it stands, "proposal": its bytes, borrowed. fresh: not from a
// server that lags behind what was written when it is asked. ERR_ABSENT: there is none. Once,
// unless we are freed before; never inside the call. written: by which transaction (mzxid), 0 with
// an error. ERR_DETACHED without a connection.
typedef void coordinator_node_fn(const char *data, size_t len, int64_t written,
                                 const struct err *err, void *arg);
void coordinator_read_node(struct coordinator *c, const char *name, bool fresh,
                           coordinator_node_fn *fn, void *arg);
// What /leader said last (a watch keeps it): {"epoch", "round", "generation", "hash"...}; borrowed
// until the loop turns, NULL when it is not known.
const json_t *coordinator_leader_record(const struct coordinator *c);
// The last pod to leave in good order writes an empty snapshot. Unregisters, gives the lock back,
// closes; done on the loop.
void coordinator_leave(struct coordinator *c, void (*done)(void *arg), void *arg);
void coordinator_free(struct coordinator *c); // takes NULL
