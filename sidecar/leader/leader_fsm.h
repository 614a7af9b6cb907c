// What a leader does next: table[STATE][EVENT], total and pure. The shell (leader.c) tests the
// conditions and names the event; it alone writes the state and carries out the effects, in the
// order of their bits. A round is the walk PROPOSING .. COMMITTING. Up to MARKING no workload has
// been touched, so a change simply starts again; from STOPPING on, a round runs to its end, since
// half of the pods may be down, and what changed meanwhile is looked at after it.
#pragma once

enum leader_state {
    LEADER_LOADING,    // reads what the leaders before us wrote, and the first look at the pods
    LEADER_SETTLED,    // what we see is what the last round completed
    LEADER_DAMPING,    // something changed: waits for quiet
    LEADER_PROPOSING,  // round: /proposal is being written
    LEADER_CHECKING,   // round: check
    LEADER_MARKING,    // round: /members, and the mark that workloads are about to be touched
    LEADER_STOPPING,   // round: off
    LEADER_STARTING,   // round: on
    LEADER_COMMITTING, // round: snapshot, hash, record, members in one transaction
    LEADER_WAITING,    // a round ended without a result: back-off
    LEADER_SUSPENDED,  // the session may be gone: nothing is decided, nothing is sent
    LEADER_DEPOSED,    // somebody newer leads: for good, the owner frees us
    LEADER_STATES
};

enum leader_event {
    LEADER_SAME,       // what we see is what the last round completed, and nothing is half done
    LEADER_CHANGED,    // it is not, or no longer what the running round is about
    LEADER_QUIET,      // the damper's time is over
    LEADER_PROPOSED,   // /proposal is written
    LEADER_CHECKED,    // every pod agreed
    LEADER_AGAIN,      // pods are dead, or know better what they are: propose and check again
    LEADER_MARKED,     // /members is written, pods may be started
    LEADER_MARKED_OFF, // /members is written, all pods go off first
    LEADER_STOPPED,    // every pod is off
    LEADER_STARTED,    // every pod is on
    LEADER_COMMITTED,  // the round is written down
    LEADER_REFUSED,    // a pod or ZooKeeper said no, or our session may be gone: the round ends
    LEADER_RETRY,      // the back-off is over
    LEADER_SUSPEND,
    LEADER_RESUME,
    LEADER_DEPOSE, // a fenced write was refused, or a pod follows a newer leader
    LEADER_EVENTS
};

enum leader_effect {
    LEADER_CANCEL = 1 << 0,  // what is in flight: requests, writes, timers
    LEADER_LOAD = 1 << 1,    // read the ledger
    LEADER_DAMP = 1 << 2,    // (re)start the damper's timer
    LEADER_UNDAMP = 1 << 3,  // forget the damper
    LEADER_BEGIN = 1 << 4,   // take what is seen as the subject of a new round
    LEADER_PROPOSE = 1 << 5, // write /proposal
    LEADER_CHECK = 1 << 6,
    LEADER_MARK = 1 << 7,
    LEADER_OFF = 1 << 8,
    LEADER_ON = 1 << 9,
    LEADER_COMMIT = 1 << 10,
    LEADER_OK = 1 << 11, // tell every pod; nobody waits for it
    LEADER_BACK_OFF = 1 << 12,
    LEADER_LEAVERS = 1 << 13, // stop waiting for pods that are gone
    LEADER_STEP_DOWN = 1 << 14,
};

struct leader_cell {
    enum leader_state next;
    unsigned effects;
};

struct leader_cell leader_next(enum leader_state state, enum leader_event event);
const char *leader_state_name(enum leader_state state); // "settled"
const char *leader_event_name(enum leader_event event); // "marked-off"
