// What the files of the leader share: leader.c looks, judges and steps through the table of
// leader_fsm.c; leader_walk.c carries out what a step wants, and takes the answers. Nobody else's.
#pragma once
#include "sidecar/leader/leader.h"
#include "sidecar/leader/leader_fsm.h"
#include "sidecar/leader/ledger.h"
#include "sidecar/leader/pace.h"
#include "sidecar/leader/rollout.h"
#include "sidecar/leader/round.h"
#include "sidecar/leader/status.h"
#include "sidecar/leader/watch.h"

struct leader {
    struct loop *loop;
    struct zk *zk;
    const struct spec *spec;
    struct leader_config config;
    char *name, *pod_id; // "marathon.zookeeper"
    char *tree;          // what requests carry: the ledger's as of the last complete load
    struct peer_from from;
    struct ledger *ledger;
    struct watch *watch;

    enum leader_state state;
    enum leader_event tail; // raised by an effect, LEADER_EVENTS: none
    bool loaded;
    char seen[65];  // hash of what was seen last
    char begun[65]; // the same when the last round began; "" before
    struct damper damper;
    struct backoff backoff;
    struct loop_timer *timer; // damper or back-off

    struct round round;
    int overtaken;           // rounds in a row that a change ended
    struct rollout *phase;   // check, off, on
    struct rollout *telling; // ok of the last round

    struct loop_timer *probe_timer;
    struct status status;

    struct err why; // of the deposition, or of the last failure
    struct loop_timer *deposed;
};

void leader_step(struct leader *l, enum leader_event event);
void leader_look(struct leader *l);  // has anything changed?
void leader_judge(struct leader *l); // something else has become of what we compare with
bool leader_may(void *arg);          // send and write: we lead, and ZooKeeper said so lately
int leader_must(struct leader *l, struct err *err) must_check; // the same; ERR_DETACHED
void leader_fail(struct leader *l, const struct err *err);
void leader_fail_later(struct leader *l, const struct err *err); // from within an effect
void leader_carry_out(struct leader *l, unsigned wanted);        // until one raises an event
void leader_cancel(struct leader *l);                            // all but ok of the last round
