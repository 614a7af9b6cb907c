// What a workload can be and what can happen to it: table[STATE][EVENT], total and pure. The shell
// (pod.c) tests the conditions and names the event; one function there writes the state and carries
// out the effects in the order of their bits. A cell that is not in the table stays as it is: a
// wish that does not fit the state (on while it stops) is kept by the shell and put again after the
// next transition.
#pragma once

enum pod_state {
    POD_UNKNOWN,  // the engine is away, or has not answered yet what is true
    POD_STOPPED,  // does not run, and nothing is under way
    POD_STARTING, // a launch is under way
    POD_RUNNING,
    POD_ENDING,   // exit 0 seen live: inspect must agree before it is "done"
    POD_WAITING,  // crashed: the next start is at its time
    POD_FAILING,  // its check failed: being stopped, to be started again
    POD_STOPPING, // being stopped because somebody wants it so
    POD_DEAD,     // done or killed, until an operator's on
    POD_STATES
};

enum pod_event_kind {
    POD_ENGINE_UP,     // reachable again, or for the first time
    POD_ENGINE_DOWN,   //
    POD_SEEN_RUNNING,  // inspect: ours, it runs, and it may
    POD_SEEN_UNWANTED, // inspect: it runs, but an operator's off, dead or hold says it must not
    POD_SEEN_STOPPED,  // inspect: it does not run, nor should it
    POD_SEEN_WANTED,   // inspect: it does not run, but should, with what is in force
    POD_SEEN_DEAD,     // inspect: it does not run, and the pod is dead
    POD_START,         // asked to run
    POD_STARTED,       // the engine has started it
    POD_START_FAILED,  //
    POD_STOP,          // asked to stop
    POD_HALTED,        // inspect agrees that it no longer runs
    POD_HALT_FAILED,   // it still runs after all of its time
    POD_HALT_UNSEEN,   // whether it does the engine cannot tell
    POD_EXITED_CLEAN,  // died by itself with 0, which would mean done
    POD_EXITED_AGAIN,  // died, and is started again at once
    POD_EXITED_LATER,  // died, and is started again after a pause
    POD_EXITED_IDLE,   // died, and nobody wants it to run
    POD_DONE,          // inspect agrees with the clean exit
    POD_PAUSE_OVER,    //
    POD_UNHEALTHY,     // its check failed too often in a row
    POD_APPEARED,      // somebody else has started it
    POD_MISSED,        // it does not run as was believed, and no event said so
    POD_BURY,          // kill has finished
    POD_WAKE,          // an operator's on
    POD_EVENTS
};

enum pod_effect {
    POD_FX_UNPAUSE = 1 << 0, // forget the next start
    POD_FX_UNWATCH = 1 << 1, // end health checks and metrics
    POD_FX_LOOK = 1 << 2,    // inspect what is true
    POD_FX_LAUNCH = 1 << 3,  // container, holder, start
    POD_FX_HALT = 1 << 4,    // tear_down or signal, grace, kill
    POD_FX_PAUSE = 1 << 5,   // start again later
    POD_FX_WATCH = 1 << 6,   // readiness, health checks, logs, metrics
    POD_FX_BURY = 1 << 7,    // keep "dead" durably, do not lead
};

struct pod_cell {
    enum pod_state next;
    unsigned effects;
};

struct pod_cell pod_next(enum pod_state state, enum pod_event_kind event);
const char *pod_state_name(enum pod_state state);      // "running"
const char *pod_event_name(enum pod_event_kind event); // "exited-again"
const char *pod_effect_name(unsigned bit);             // "launch"; one bit
