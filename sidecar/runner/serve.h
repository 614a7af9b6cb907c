// Inside of runner/: the runner's own process and the children it forks, one a job. Here nothing is
// on the loop; everything blocks.
#pragma once
#include "sidecar/runner/runner.h"

enum wire_job { WIRE_FUNCTION = 1, WIRE_HOOK }; // what a job's message begins with

// The runner's process: takes a socket for each job over `control` and forks. Never returns; ends
// with the worker.
_Noreturn void runner_serve(int control, int clerk, const struct runner_setup *setup);

// In the child: a command in a session of its own, with pipes, a deadline and an end for everything
// it left behind.
struct wire;
struct text;
void runner_run_hook(struct wire *request, int line, const struct runner_setup *setup,
                     struct text *answer);

// ERR_REFUSED, in words that hold no value: its argv, environment or folder are none that we would
// have been asked for. Pure; argv has a first word.
int judge_hook(const struct runner_setup *setup, const struct runner_hook *hook,
               struct err *err) must_check;
