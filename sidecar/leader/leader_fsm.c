#include "sidecar/leader/leader_fsm.h"
#include "base/check.h"
#include <stdbool.h>

// A cell left out: stays as it is, nothing to do. `set` tells it from {LOADING, 0}.
struct entry {
    bool set;
    struct leader_cell cell;
};
// clang-format off
#define GO(state, effects) { true, { LEADER_##state, (effects) } }

// What ends any walk: the same columns for every state but DEPOSED.
#define ENDS                                                                                       \
    [LEADER_SUSPEND] = GO(SUSPENDED, LEADER_CANCEL),                                               \
    [LEADER_DEPOSE] = GO(DEPOSED, LEADER_CANCEL | LEADER_STEP_DOWN)

// Nothing touched yet: a change starts over, and the old content again needs no round.
#define UNTOUCHED                                                                                  \
    [LEADER_SAME] = GO(SETTLED, LEADER_CANCEL | LEADER_UNDAMP),                                    \
    [LEADER_CHANGED] = GO(DAMPING, LEADER_CANCEL | LEADER_DAMP),                                   \
    [LEADER_REFUSED] = GO(WAITING, LEADER_CANCEL | LEADER_BACK_OFF)

// Workloads are being touched: to the end, but nobody waits for a pod that has left.
#define TOUCHED(state)                                                                             \
    [LEADER_SAME] = GO(state, LEADER_LEAVERS),                                                     \
    [LEADER_CHANGED] = GO(state, LEADER_LEAVERS),                                                  \
    [LEADER_REFUSED] = GO(WAITING, LEADER_CANCEL | LEADER_BACK_OFF)

static const struct entry table[LEADER_STATES][LEADER_EVENTS] = {
    [LEADER_LOADING] = {
        [LEADER_SAME] = GO(SETTLED, LEADER_UNDAMP),
        [LEADER_CHANGED] = GO(DAMPING, LEADER_DAMP),
        [LEADER_REFUSED] = GO(WAITING, LEADER_CANCEL | LEADER_BACK_OFF),
        ENDS,
    },
    [LEADER_SETTLED] = {
        [LEADER_SAME] = GO(SETTLED, LEADER_UNDAMP),
        [LEADER_CHANGED] = GO(DAMPING, LEADER_DAMP),
        ENDS,
    },
    [LEADER_DAMPING] = {
        [LEADER_QUIET] = GO(PROPOSING, LEADER_BEGIN | LEADER_PROPOSE),
        UNTOUCHED,
        ENDS,
    },
    [LEADER_PROPOSING] = {
        [LEADER_PROPOSED] = GO(CHECKING, LEADER_CHECK),
        UNTOUCHED,
        ENDS,
    },
    [LEADER_CHECKING] = {
        [LEADER_CHECKED] = GO(MARKING, LEADER_MARK),
        [LEADER_AGAIN] = GO(PROPOSING, LEADER_PROPOSE),
        UNTOUCHED,
        ENDS,
    },
    [LEADER_MARKING] = {
        [LEADER_MARKED] = GO(STARTING, LEADER_ON),
        [LEADER_MARKED_OFF] = GO(STOPPING, LEADER_OFF),
        // Nothing touched yet, but the mark is under way and may stand there: what is written down is
        // asked for, and a round that stands open is completed.
        [LEADER_SAME] = GO(LOADING, LEADER_CANCEL | LEADER_LOAD),
        [LEADER_CHANGED] = GO(LOADING, LEADER_CANCEL | LEADER_LOAD),
        [LEADER_REFUSED] = GO(WAITING, LEADER_CANCEL | LEADER_BACK_OFF),
        ENDS,
    },
    [LEADER_STOPPING] = {
        [LEADER_STOPPED] = GO(STARTING, LEADER_ON),
        TOUCHED(STOPPING),
        ENDS,
    },
    [LEADER_STARTING] = {
        [LEADER_STARTED] = GO(COMMITTING, LEADER_COMMIT),
        TOUCHED(STARTING),
        ENDS,
    },
    [LEADER_COMMITTING] = {
        [LEADER_COMMITTED] = GO(SETTLED, LEADER_OK),
        [LEADER_REFUSED] = GO(WAITING, LEADER_CANCEL | LEADER_BACK_OFF),
        ENDS,
    },
    [LEADER_WAITING] = {
        [LEADER_SAME] = GO(SETTLED, LEADER_CANCEL | LEADER_UNDAMP),
        [LEADER_CHANGED] = GO(DAMPING, LEADER_CANCEL | LEADER_DAMP),
        [LEADER_RETRY] = GO(LOADING, LEADER_LOAD),
        ENDS,
    },
    [LEADER_SUSPENDED] = {
        [LEADER_RESUME] = GO(LOADING, LEADER_LOAD),
        [LEADER_DEPOSE] = GO(DEPOSED, LEADER_STEP_DOWN),
    },
    [LEADER_DEPOSED] = {{0}}, // for good
};
// clang-format on

struct leader_cell leader_next(enum leader_state state, enum leader_event event) {
    CHECK(state < LEADER_STATES && event < LEADER_EVENTS);
    const struct entry *entry = &table[state][event];
    return entry->set ? entry->cell : (struct leader_cell){state, 0};
}

const char *leader_state_name(enum leader_state state) {
    static const char *const names[LEADER_STATES] = {
        [LEADER_LOADING] = "loading",       [LEADER_SETTLED] = "settled",
        [LEADER_DAMPING] = "damping",       [LEADER_PROPOSING] = "proposing",
        [LEADER_CHECKING] = "checking",     [LEADER_MARKING] = "marking",
        [LEADER_STOPPING] = "stopping",     [LEADER_STARTING] = "starting",
        [LEADER_COMMITTING] = "committing", [LEADER_WAITING] = "waiting",
        [LEADER_SUSPENDED] = "suspended",   [LEADER_DEPOSED] = "deposed",
    };
    CHECK(state < LEADER_STATES);
    return names[state];
}

const char *leader_event_name(enum leader_event event) {
    static const char *const names[LEADER_EVENTS] = {
        [LEADER_SAME] = "same",           [LEADER_CHANGED] = "changed",
        [LEADER_QUIET] = "quiet",         [LEADER_PROPOSED] = "proposed",
        [LEADER_CHECKED] = "checked",     [LEADER_AGAIN] = "again",
        [LEADER_MARKED] = "marked",       [LEADER_MARKED_OFF] = "marked-off",
        [LEADER_STOPPED] = "stopped",     [LEADER_STARTED] = "started",
        [LEADER_COMMITTED] = "committed", [LEADER_REFUSED] = "refused",
        [LEADER_RETRY] = "retry",         [LEADER_SUSPEND] = "suspend",
        [LEADER_RESUME] = "resume",       [LEADER_DEPOSE] = "depose",
    };
    CHECK(event < LEADER_EVENTS);
    return names[event];
}
