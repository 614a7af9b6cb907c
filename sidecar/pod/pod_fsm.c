#include "sidecar/pod/pod_fsm.h"
#include "base/check.h"
#include <stdbool.h>

// A cell left out: stays as it is, nothing to do. `set` tells it from {UNKNOWN, 0}.
struct entry {
    bool set;
    struct pod_cell cell;
};
// clang-format off
#define GO(state, effects) { true, { POD_##state, (effects) } }
#define FX(name) POD_FX_##name

// The engine is away: what was believed is asked again when it is back. Checks go on meanwhile: a
// workload that answers is no worse for it.
#define ENGINE(extra)                                                                              \
    [POD_ENGINE_UP] = GO(UNKNOWN, FX(LOOK) | (extra)),                                             \
    [POD_ENGINE_DOWN] = GO(UNKNOWN, (extra))

static const struct entry table[POD_STATES][POD_EVENTS] = {
    [POD_UNKNOWN] = {
        [POD_ENGINE_UP] = GO(UNKNOWN, FX(LOOK)),
        [POD_SEEN_RUNNING] = GO(RUNNING, FX(WATCH)),
        [POD_SEEN_UNWANTED] = GO(STOPPING, FX(UNWATCH) | FX(HALT)),
        [POD_SEEN_STOPPED] = GO(STOPPED, FX(UNWATCH)),
        [POD_SEEN_WANTED] = GO(STARTING, FX(UNWATCH) | FX(LAUNCH)),
        [POD_SEEN_DEAD] = GO(DEAD, FX(UNWATCH)),
    },
    [POD_STOPPED] = {
        ENGINE(0),
        [POD_START] = GO(STARTING, FX(LAUNCH)),
        [POD_APPEARED] = GO(UNKNOWN, FX(LOOK)),
        [POD_BURY] = GO(DEAD, FX(BURY)),
    },
    [POD_STARTING] = {
        ENGINE(0),
        [POD_STARTED] = GO(RUNNING, FX(WATCH)),
        [POD_START_FAILED] = GO(WAITING, FX(PAUSE)),
    },
    [POD_RUNNING] = {
        ENGINE(0),
        [POD_STOP] = GO(STOPPING, FX(UNWATCH) | FX(HALT)),
        [POD_MISSED] = GO(UNKNOWN, FX(LOOK)),
        [POD_EXITED_CLEAN] = GO(ENDING, FX(UNWATCH) | FX(LOOK)),
        [POD_EXITED_AGAIN] = GO(STARTING, FX(UNWATCH) | FX(LAUNCH)),
        [POD_EXITED_LATER] = GO(WAITING, FX(UNWATCH) | FX(PAUSE)),
        [POD_EXITED_IDLE] = GO(STOPPED, FX(UNWATCH)),
        [POD_UNHEALTHY] = GO(FAILING, FX(UNWATCH) | FX(HALT)),
    },
    [POD_ENDING] = {
        ENGINE(0), // a gap: the exit is no longer proof of anything
        [POD_SEEN_RUNNING] = GO(RUNNING, FX(WATCH)), // somebody else was quicker
        [POD_SEEN_UNWANTED] = GO(STOPPING, FX(HALT)), // the exit was of the run before
        [POD_SEEN_STOPPED] = GO(STOPPED, 0),
        [POD_SEEN_WANTED] = GO(STARTING, FX(LAUNCH)),
        [POD_SEEN_DEAD] = GO(DEAD, 0), // killed meanwhile
        [POD_DONE] = GO(DEAD, FX(BURY)),
    },
    [POD_WAITING] = {
        ENGINE(FX(UNPAUSE)),
        [POD_START] = GO(STARTING, FX(UNPAUSE) | FX(LAUNCH)),
        [POD_PAUSE_OVER] = GO(STARTING, FX(LAUNCH)),
        [POD_STOP] = GO(STOPPED, FX(UNPAUSE)),
        [POD_APPEARED] = GO(UNKNOWN, FX(UNPAUSE) | FX(LOOK)),
    },
    [POD_FAILING] = {
        ENGINE(0),
        [POD_STOP] = GO(STOPPING, 0), // the halt is under way already
        [POD_HALTED] = GO(WAITING, FX(PAUSE)),
        [POD_HALT_FAILED] = GO(UNKNOWN, FX(LOOK)), // it may have ended all the same
        [POD_HALT_UNSEEN] = GO(UNKNOWN, FX(LOOK)),
    },
    [POD_STOPPING] = {
        ENGINE(0),
        [POD_HALTED] = GO(STOPPED, 0),
        [POD_HALT_FAILED] = GO(RUNNING, FX(WATCH)),
        [POD_HALT_UNSEEN] = GO(UNKNOWN, FX(LOOK)),
    },
    [POD_DEAD] = {
        [POD_WAKE] = GO(STOPPED, 0),
        [POD_APPEARED] = GO(UNKNOWN, FX(LOOK)),
    },
};
// clang-format on

struct pod_cell pod_next(enum pod_state state, enum pod_event_kind event) {
    CHECK(state < POD_STATES && event < POD_EVENTS);
    const struct entry *entry = &table[state][event];
    return entry->set ? entry->cell : (struct pod_cell){state, 0};
}

const char *pod_state_name(enum pod_state state) {
    static const char *const names[POD_STATES] = {
        [POD_UNKNOWN] = "unknown", [POD_STOPPED] = "stopped",   [POD_STARTING] = "starting",
        [POD_RUNNING] = "running", [POD_ENDING] = "ending",     [POD_WAITING] = "waiting",
        [POD_FAILING] = "failing", [POD_STOPPING] = "stopping", [POD_DEAD] = "dead",
    };
    CHECK(state < POD_STATES);
    return names[state];
}

const char *pod_event_name(enum pod_event_kind event) {
    static const char *const names[POD_EVENTS] = {
        [POD_ENGINE_UP] = "engine-up",
        [POD_ENGINE_DOWN] = "engine-down",
        [POD_SEEN_RUNNING] = "seen-running",
        [POD_SEEN_UNWANTED] = "seen-unwanted",
        [POD_SEEN_STOPPED] = "seen-stopped",
        [POD_SEEN_WANTED] = "seen-wanted",
        [POD_SEEN_DEAD] = "seen-dead",
        [POD_START] = "start",
        [POD_STARTED] = "started",
        [POD_START_FAILED] = "start-failed",
        [POD_STOP] = "stop",
        [POD_HALTED] = "halted",
        [POD_HALT_FAILED] = "halt-failed",
        [POD_HALT_UNSEEN] = "halt-unseen",
        [POD_EXITED_CLEAN] = "exited-clean",
        [POD_EXITED_AGAIN] = "exited-again",
        [POD_EXITED_LATER] = "exited-later",
        [POD_EXITED_IDLE] = "exited-idle",
        [POD_DONE] = "done",
        [POD_PAUSE_OVER] = "pause-over",
        [POD_UNHEALTHY] = "unhealthy",
        [POD_APPEARED] = "appeared",
        [POD_MISSED] = "missed",
        [POD_BURY] = "bury",
        [POD_WAKE] = "wake",
    };
    CHECK(event < POD_EVENTS);
    return names[event];
}

const char *pod_effect_name(unsigned bit) {
    switch (bit) {
    case POD_FX_UNPAUSE:
        return "unpause";
    case POD_FX_UNWATCH:
        return "unwatch";
    case POD_FX_LOOK:
        return "look";
    case POD_FX_LAUNCH:
        return "launch";
    case POD_FX_HALT:
        return "halt";
    case POD_FX_PAUSE:
        return "pause";
    case POD_FX_WATCH:
        return "watch";
    case POD_FX_BURY:
        return "bury";
    default:
        return "?";
    }
}
