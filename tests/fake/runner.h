// sidecar/runner/runner.h without the process beside us: our own functions run in a child that is
// forked and waited for on the spot (they confine themselves), hooks are played by the test.
// Answers come from the loop, in virtual time.
#pragma once
#include "sidecar/runner/runner.h"

struct fake_hook {
    const char *const *argv, *const *env; // borrowed
    const char *input, *cwd;
    int exit_code; // what the test answers
    char out[1024], err[1024];
    int ms; // how long it takes; more than its time is ERR_TIMEOUT
};
// Without it every hook ends at once with 0 and says nothing.
void fake_runner_on_hook(struct runner *runner, void (*fn)(struct fake_hook *hook, void *arg),
                         void *arg);
// The next `times` calls of that function fail so.
void fake_runner_fail(struct runner *runner, const char *function, int times, enum err_kind kind,
                      const char *text);
// Calls of that function take so long; NULL: none does.
void fake_runner_slow(struct runner *runner, const char *function, int ms);
// One line for each call and each hook, in order.
const char *fake_runner_calls(const struct runner *runner);
void fake_runner_forget_calls(struct runner *runner);
