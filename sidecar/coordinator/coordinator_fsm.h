// What a pod does next on its way into its cluster: table[STATE][EVENT], total and pure. The shell
// (coordinator.c) tests the conditions and names the event; it alone writes the state and carries
// out the effects, in the order of their bits.
#pragma once

enum coordinator_state_name {
    COORDINATOR_ABSENT,      // no session; a pause runs
    COORDINATOR_CONNECTING,  // a session is being opened
    COORDINATOR_REGISTERING, // our record is being made
    COORDINATOR_FOLLOWING,   // registered and in the queue for the lock
    COORDINATOR_ASIDE,       // registered, and not to lead
    COORDINATOR_LEADING,
    COORDINATOR_LEAVING, // in good order
    COORDINATOR_FAILING, // for good: the session is being closed
    COORDINATOR_ENDED,
    COORDINATOR_STATES
};

enum coordinator_event {
    COORDINATOR_OPEN,             // the pause is over
    COORDINATOR_CONNECTED,        // the session is ours, at first or again
    COORDINATOR_SUSPENDED,        // the connection broke; the session may live
    COORDINATOR_LOST,             // the session is gone
    COORDINATOR_REGISTERED,       // and may stand for leader
    COORDINATOR_REGISTERED_ASIDE, // and may not
    COORDINATOR_FAILED,           // somebody else has our pod id, or we may not register
    COORDINATOR_HELD,             // the lock is ours
    COORDINATOR_GONE,             // our lock node is
    COORDINATOR_DEPOSED,          // the leader met a newer one
    COORDINATOR_STAND,
    COORDINATOR_STEP_ASIDE,
    COORDINATOR_RESET,
    COORDINATOR_LEAVE,
    COORDINATOR_CLOSED, // the session has ended
    COORDINATOR_EVENTS
};

enum coordinator_effect {
    COORDINATOR_FX_SUSPEND = 1 << 0,  // the leader decides nothing; the lease runs
    COORDINATOR_FX_RESUME = 1 << 1,   // all as it was
    COORDINATOR_FX_UNLEAD = 1 << 2,   // the leader goes, and all that it started
    COORDINATOR_FX_UNSTAND = 1 << 3,  // our lock node goes
    COORDINATOR_FX_DROP = 1 << 4,     // everything of this session, then the session
    COORDINATOR_FX_PAUSE = 1 << 5,    // 0 to 2 s, so that not all come back at once
    COORDINATOR_FX_CONNECT = 1 << 6,  // a new session
    COORDINATOR_FX_REGISTER = 1 << 7, // our record, with the same pod id and seq as ever
    COORDINATOR_FX_ATTACH = 1 << 8,   // we are in: the cluster's nodes, the record of its leader
    COORDINATOR_FX_STAND = 1 << 9,    // a lock node
    COORDINATOR_FX_AGAIN = 1 << 10,   // a lock node, after a while
    COORDINATOR_FX_LEAD = 1 << 11,
    COORDINATOR_FX_LEAVE = 1 << 12, // the last one out empties the snapshot; then the session ends
    COORDINATOR_FX_FAIL = 1 << 13,  // the session ends, and why is kept
    COORDINATOR_FX_TELL = 1 << 14,  // what we ended for
};

struct coordinator_cell {
    enum coordinator_state_name next;
    unsigned effects;
};

struct coordinator_cell coordinator_next(enum coordinator_state_name state,
                                         enum coordinator_event event);
const char *coordinator_state_text(enum coordinator_state_name state);
const char *coordinator_event_text(enum coordinator_event event);
