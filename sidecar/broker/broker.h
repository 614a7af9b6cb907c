// The only process that holds the engine's socket: forked from the worker before its threads and
// its filter, with the spec in its memory. It takes typed requests over a socket
// (docker-api/served.h) and carries out a closed list of them on what is this pod's own: by its own
// look at labels and full ids, never by what the worker says of them. What is created it builds
// itself from the spec and from its own look at our container; of the worker it takes what was
// rendered (environment, command, entrypoint) and nothing else. A message that is none of ours ends
// it, and with it the whole set, which init starts again.
#pragma once
#include "base/err.h"
#include "sidecar/sandbox.h"
#include "sidecar/spec/spec.h"
#include <sys/types.h>

struct broker_config { // borrowed; stays as it was at the fork
    const struct spec *spec;
    const char *pod_id;
    const char *tether;       // the holder's, see workload_holder
    struct sandbox_user user; // whom it becomes, where the socket's group lets it in
};

struct broker_line {
    pid_t pid;
    int engine; // for docker_open_through
    int holder; // for holder_end_exec_through
};

// Before threads, sockets and filter.
int broker_start(const struct broker_config *config, struct broker_line *ret,
                 struct err *err) must_check;
