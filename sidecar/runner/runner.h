// A small process forked from the worker before its threads, sockets and filter: it forks a child
// for each job and ends it when its time is over. Two kinds of jobs: hooks (execve of an argv in a
// session of its own, killed as a group) and our own functions that must not run in the worker
// (rendering, writing files). It keeps CHOWN, DAC_OVERRIDE and FOWNER, no other capability, no
// network code; the worker keeps none. It ends when the worker ends. A job's answer comes back over
// a socket of its own, so jobs never wait for each other. Loop thread only.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"
#include "sidecar/clerk.h"
#include "sidecar/sandbox.h"
#include "sidecar/spec/spec.h"
#include <stddef.h>

struct runner;
struct runner_job;

// One of our own functions, by name; runs in a child of the runner. Answers a JSON object (new
// reference), or fills err (kind and text travel back). May use all capabilities of the runner;
// rlimits as given in the call.
struct runner_function {
    const char *name;
    json_t *(*fn)(const json_t *argument, struct err *err);
    // Whether the spec that we were forked with lets it be asked so; NULL: always. ERR_REFUSED.
    int (*judge)(const struct spec *spec, const json_t *argument, struct err *err);
};

// How what render/files.c has staged beside a target is called; a validator is given it.
#define RUNNER_STAGED ".ochopod-"

enum { RUNNER_OPEN = 2 };
// What the portal runs, with any words, in a folder of uploads.
struct runner_program {
    char *path;
    char **env; // NULL-ended "K=V": these, and beside them
    struct {
        char *begin; // what begins so, where the rest is not known before the fork; NULL: no more
        bool number; // the rest is one
    } open[RUNNER_OPEN];
};

struct runner_setup {                        // static
    const char *name;                        // of the process, at most 15 characters
    const struct runner_function *functions; // a table that ends with a NULL name
    const struct clerk_duty *duties;         // what it does as a clerk (clerk.h), or NULL
    enum sandbox sandbox;                    // SANDBOX_RUNNER or SANDBOX_PORTAL
    // Functions write below what is there of these paths (a target's folder may come and go), and
    // nowhere else; NULL-ended. NULL: functions are not confined, which is for tests alone.
    const char *const *writes;
    // What it is asked for is held against what we know from before the fork (judge.c; a function's
    // judge): with a program that one is run, else what the spec names. NULL: anything goes, which
    // is for tests alone.
    const struct spec *spec;
    const struct runner_program *program;
};

// Forks the runner; call before the loop, threads and sandbox.
int runner_start(const struct runner_setup *setup, struct runner **ret, struct err *err) must_check;
int runner_clerk(const struct runner *runner);                // for clerk_use; -1: it has no duties
void runner_attach(struct runner *runner, struct loop *loop); // in the worker, once the loop exists
// Called when the runner's process has ended by itself (killed, out of memory): no job can be run
// any more, and only a new worker can fork another.
void runner_on_gone(struct runner *runner, void (*fn)(void *arg), void *arg);
void runner_stop(struct runner *runner); // ends it and its jobs; takes NULL
pid_t runner_pid(const struct runner *runner);

typedef void runner_json_fn(json_t *answer, const struct err *err, void *arg); // answer borrowed
// memory: address space cap in bytes, 0 none. cpu and wall deadline: timeout_ms (ERR_TIMEOUT, and
// the job is really ended).
struct runner_job *runner_call(struct runner *runner, const char *function, const json_t *argument,
                               size_t memory, int64_t timeout_ms, runner_json_fn *fn, void *arg);

struct runner_hook {
    const char *const *argv; // NULL-ended
    const char *const *env;  // NULL-ended "K=V": the whole environment
    const char *cwd;         // or NULL
    const void *input;       // stdin
    size_t input_len;
    size_t max_output;  // of each stream, 64 KiB when 0; more is cut
    int64_t timeout_ms; // then the whole process group is killed: ERR_TIMEOUT
};
// exit_code: 0 to 255; 128 + n for signal n; 126/127 when it could not be executed (err_text says
// why).
typedef void runner_hook_fn(int exit_code, const char *out, const char *err_text,
                            const struct err *err, void *arg);
struct runner_job *runner_hook(struct runner *runner, const struct runner_hook *hook,
                               runner_hook_fn *fn, void *arg);
void runner_cancel(struct runner_job **slot); // ends the job; no callback after it; no-op on NULL
