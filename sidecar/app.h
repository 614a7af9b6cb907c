// The worker as a whole: builds the stations in the order of the data flow, wires every upward
// callback, and takes them down in reverse. A reader who wants to know how a thing gets from here
// to there starts in app.c.
#pragma once
#include "sidecar/spec/spec.h"

enum {
    EXIT_OK = 0,
    EXIT_SPEC = 2,    // spec, option, port in use: nothing a restart would change
    EXIT_CLONED = 78, // this state directory belongs to another living sidecar
};

// Exit status of the worker. Runs until SIGTERM or SIGINT. tether_fd as of init_run.
int app_run(const struct spec *spec, int tether_fd);
