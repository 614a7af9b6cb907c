// The processes beside the worker that own files: forked from it while there is nothing
// that they should not have, no thread, no socket, no filter. The broker is one of its own
// (broker/broker.h), and so is who looks names up (app_names.c).
#pragma once
#include "sidecar/runner/runner.h"
#include "sidecar/spec/spec.h"
#include "sidecar/state/state.h"

struct app_others {
    struct runner *runner; // renders, writes files, runs hooks: no sockets; also the clerk
    struct runner
        *portal; // runs `ocho`, which wants the network; NULL where the spec has no portal
    // What they were told; read by them, so kept where it is.
    struct runner_setup runner_setup, portal_setup;
    struct runner_program portal_program;
    struct clerk_duty duties[8];
    struct state_duty state;
    const char **readable, **writes;
};

// On failure what was started ends with us.
int app_others(const struct spec *spec, const char *pod_id, struct app_others *ret,
               struct err *err) must_check;
void app_others_done(struct app_others *others); // after the runners were stopped
