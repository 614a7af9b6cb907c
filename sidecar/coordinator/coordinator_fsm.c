#include "sidecar/coordinator/coordinator_fsm.h"
#include "base/check.h"
#include <stdbool.h>
#include <stddef.h>

// A cell left out: stays as it is, nothing to do. `set` tells it from {ABSENT, 0}.
struct entry {
    bool set;
    struct coordinator_cell cell;
};
// clang-format off
#define FX(name) COORDINATOR_FX_##name
#define GO(state, effects) { true, { COORDINATOR_##state, (effects) } }

// With a session, whatever was reached in it. `first` is what has to go before it.
#define SESSION(first)                                                                             \
    [COORDINATOR_LOST] = GO(ABSENT, (first) | FX(DROP) | FX(PAUSE)),                               \
    [COORDINATOR_RESET] = GO(CONNECTING, (first) | FX(DROP) | FX(CONNECT)),                        \
    [COORDINATOR_FAILED] = GO(FAILING, (first) | FX(FAIL)),                                        \
    [COORDINATOR_LEAVE] = GO(LEAVING, (first) | FX(LEAVE))

#define BREAKS(state)                                                                              \
    [COORDINATOR_SUSPENDED] = GO(state, FX(SUSPEND)),                                              \
    [COORDINATOR_CONNECTED] = GO(state, FX(RESUME))

static const struct entry table[COORDINATOR_STATES][COORDINATOR_EVENTS] = {
    [COORDINATOR_ABSENT] = {
        [COORDINATOR_OPEN] = GO(CONNECTING, FX(CONNECT)), // a reset meanwhile waits for it
        [COORDINATOR_LEAVE] = GO(LEAVING, FX(LEAVE)),
    },
    [COORDINATOR_CONNECTING] = {
        [COORDINATOR_CONNECTED] = GO(REGISTERING, FX(REGISTER)),
        [COORDINATOR_LOST] = GO(ABSENT, FX(DROP) | FX(PAUSE)),
        // Reset again and again, it would have more sessions to close than threads to do it.
        [COORDINATOR_RESET] = GO(ABSENT, FX(DROP) | FX(PAUSE)),
        [COORDINATOR_FAILED] = GO(FAILING, FX(FAIL)),
        [COORDINATOR_LEAVE] = GO(LEAVING, FX(LEAVE)),
    },
    [COORDINATOR_REGISTERING] = {
        [COORDINATOR_REGISTERED] = GO(FOLLOWING, FX(ATTACH) | FX(STAND)),
        [COORDINATOR_REGISTERED_ASIDE] = GO(ASIDE, FX(ATTACH)),
        BREAKS(REGISTERING),
        SESSION(0),
    },
    [COORDINATOR_FOLLOWING] = {
        [COORDINATOR_HELD] = GO(LEADING, FX(LEAD)),
        [COORDINATOR_GONE] = GO(FOLLOWING, FX(UNSTAND) | FX(AGAIN)),
        [COORDINATOR_STEP_ASIDE] = GO(ASIDE, FX(UNSTAND)),
        BREAKS(FOLLOWING),
        SESSION(0),
    },
    [COORDINATOR_ASIDE] = {
        [COORDINATOR_STAND] = GO(FOLLOWING, FX(STAND)),
        BREAKS(ASIDE),
        SESSION(0),
    },
    [COORDINATOR_LEADING] = {
        [COORDINATOR_GONE] = GO(FOLLOWING, FX(UNLEAD) | FX(UNSTAND) | FX(AGAIN)),
        [COORDINATOR_DEPOSED] = GO(FOLLOWING, FX(UNLEAD) | FX(UNSTAND) | FX(AGAIN)),
        [COORDINATOR_STEP_ASIDE] = GO(ASIDE, FX(UNLEAD) | FX(UNSTAND)),
        BREAKS(LEADING),
        SESSION(FX(UNLEAD)),
    },
    [COORDINATOR_LEAVING] = {
        [COORDINATOR_CLOSED] = GO(ENDED, FX(TELL)),
    },
    [COORDINATOR_FAILING] = {
        [COORDINATOR_CLOSED] = GO(ENDED, FX(TELL)),
    },
    [COORDINATOR_ENDED] = {
        [COORDINATOR_LEAVE] = GO(LEAVING, FX(LEAVE)),
    },
};

static const char *const state_texts[COORDINATOR_STATES] = {
    [COORDINATOR_ABSENT] = "absent",       [COORDINATOR_CONNECTING] = "connecting",
    [COORDINATOR_REGISTERING] = "registering", [COORDINATOR_FOLLOWING] = "following",
    [COORDINATOR_ASIDE] = "aside",         [COORDINATOR_LEADING] = "leading",
    [COORDINATOR_LEAVING] = "leaving",     [COORDINATOR_FAILING] = "failing",
    [COORDINATOR_ENDED] = "ended",
};

static const char *const event_texts[COORDINATOR_EVENTS] = {
    [COORDINATOR_OPEN] = "open",           [COORDINATOR_CONNECTED] = "connected",
    [COORDINATOR_SUSPENDED] = "suspended", [COORDINATOR_LOST] = "lost",
    [COORDINATOR_REGISTERED] = "registered",
    [COORDINATOR_REGISTERED_ASIDE] = "registered-aside",
    [COORDINATOR_FAILED] = "failed",       [COORDINATOR_HELD] = "held",
    [COORDINATOR_GONE] = "gone",           [COORDINATOR_DEPOSED] = "deposed",
    [COORDINATOR_STAND] = "stand",         [COORDINATOR_STEP_ASIDE] = "step-aside",
    [COORDINATOR_RESET] = "reset",         [COORDINATOR_LEAVE] = "leave",
    [COORDINATOR_CLOSED] = "closed",
};
// clang-format on

struct coordinator_cell coordinator_next(enum coordinator_state_name state,
                                         enum coordinator_event event) {
    CHECK(state < COORDINATOR_STATES && event < COORDINATOR_EVENTS);
    const struct entry *it = &table[state][event];
    return it->set ? it->cell : (struct coordinator_cell){state, 0};
}

const char *coordinator_state_text(enum coordinator_state_name state) {
    return state_texts[state];
}

const char *coordinator_event_text(enum coordinator_event event) {
    return event_texts[event];
}
