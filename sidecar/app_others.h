// The processes beside the worker that own files and names: forked from it while there is nothing
// that they should not have, no thread, no socket, no filter. The broker is one of its own
// (broker/broker.h).
#pragma once
#include "sidecar/runner/runner.h"
#include "sidecar/sandbox.h"
#include "sidecar/spec/spec.h"
#include "sidecar/state/state.h"

struct app_others {
    struct runner *runner; // renders, writes files, runs hooks: no sockets; also the clerk
    struct runner
        *portal; // runs `ocho`, which wants the network; NULL where the spec has no portal
    int names;   // to the process that looks names up, for names_use
    // What they were told; read by them, so kept where it is.
    struct sandbox_user names_user;
    struct runner_setup runner_setup, portal_setup;
    struct runner_program portal_program;
    struct clerk_duty duties[8];
    struct state_duty state;
    const char **readable, **writes;
};

// On failure what was started ends with us.
// user: whom the names' process becomes, if it can. The others write files with owners.
int app_others(const struct spec *spec, const char *pod_id, const struct sandbox_user *user,
               struct app_others *ret, struct err *err) must_check;
void app_others_done(struct app_others *others); // after the runners were stopped
