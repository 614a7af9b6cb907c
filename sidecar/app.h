// The worker as a whole: builds the stations in the order of the data flow, wires every upward
// callback, and takes them down in reverse. A reader who wants to know how a thing gets from here
// to there starts in app.c (its life) and app_stations.c (its wires).
#pragma once
#include "base/err.h"
#include "sidecar/spec/spec.h"
#include <stdbool.h>

enum {
    EXIT_OK = 0,
    EXIT_OVERDUE = 3, // told to stop, and the workload did not
    // These three are the sidecar's where no worker was there before; else init tries again.
    EXIT_SPEC = 2,     // spec, option, port in use: nothing a restart would change
    EXIT_FOREIGN = 77, // ZooKeeper's access lists: nodes are another's, or open to everybody
    EXIT_CLONED = 78,  // this state directory belongs to another living sidecar
};

// The process that looks names up (app_names.c). Forked before the spec is read, so that it never
// had what stands there; what argv and the environment hold of it, it forgets. It ends with us.
int app_start_names(const struct spec_flags *flags, int *ret_fd, struct err *err) must_check;

// Exit status of the worker. Runs until SIGTERM or SIGINT. names: of app_start_names; taken.
// tether_fd, resumed: see init.h.
int app_run(const struct spec *spec, int names, int tether_fd, bool resumed);
