// sidecar/runner/runner.h in this process: our own functions are called after a moment of virtual
// time and answered after another, so that a worker may stand still, or die, before, between and
// within. The files are real.
#include "sidecar/runner/runner.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/holder.h"
#include "sidecar/render/confine.h"
#include "tests/sim/sim.h"
#include <string.h>

struct runner {
    const struct runner_function *functions;
    struct loop *loop;
};

struct runner_job {
    struct runner *runner;
    const struct runner_function *function;
    struct loop_timer *timer;
    json_t *argument, *answer;
    struct err err;
    runner_json_fn *fn;
    runner_hook_fn *hook;
    void *arg;
};

// For the runner's children alone, and here there are none.
int confine(struct err *err) {
    (void)err;
    return 0;
}

void holder_end_exec_through(int fd) {
    (void)fd;
}

void holder_serve(int fd, const char *tether) {
    (void)fd;
    (void)tether;
}

void holder_end_exec(const char *tether, const char *id) {
    (void)tether;
    (void)id;
}

int runner_start(const struct runner_setup *setup, struct runner **ret, struct err *err) {
    (void)err;
    *ret = xnew(struct runner);
    (*ret)->functions = setup->functions;
    return 0;
}

void runner_attach(struct runner *runner, struct loop *loop) {
    runner->loop = loop;
}

void runner_on_gone(struct runner *runner, void (*fn)(void *arg), void *arg) {
    (void)runner;
    (void)fn;
    (void)arg;
}

void runner_stop(struct runner *runner) {
    free(runner);
}

int runner_clerk(const struct runner *runner) {
    (void)runner;
    return -1;
}

pid_t runner_pid(const struct runner *runner) {
    (void)runner;
    return 0;
}

static void let_go(struct runner_job *job) {
    loop_timer_stop(&job->timer);
    json_decref(job->argument);
    json_decref(job->answer);
    free(job);
}

void runner_cancel(struct runner_job **slot) {
    if (*slot)
        let_go(take_ptr(*slot));
}

static void report(void *arg) {
    struct runner_job it = *(struct runner_job *)arg;
    struct err err = it.err;
    free(arg);
    if (it.fn)
        it.fn(it.answer, &err, it.arg);
    else
        it.hook(0, "", "", &err, it.arg);
    json_decref(it.argument);
    json_decref(it.answer);
}

static void carry_out(void *arg) {
    struct runner_job *job = arg;
    if (job->function) {
        check_files_before(sim->current);
        job->answer = job->function->fn(job->argument, &job->err);
        check_files_after(sim->current, job->function->name);
        check_files(sim->current);
    }
    loop_timer_start(job->runner->loop, &job->timer, chance_in(0, 3), report, job);
}

static struct runner_job *begin_job(struct runner *runner, void *arg) {
    struct runner_job *job = xnew(struct runner_job);
    job->runner = runner;
    job->arg = arg;
    loop_timer_start(runner->loop, &job->timer, chance_in(0, 4), carry_out, job);
    return job;
}

struct runner_job *runner_call(struct runner *runner, const char *function, const json_t *argument,
                               size_t memory, int64_t timeout_ms, runner_json_fn *fn, void *arg) {
    (void)memory;
    (void)timeout_ms;
    struct runner_job *job = begin_job(runner, arg);
    job->fn = fn;
    job->argument = json_deep_copy(argument);
    job->function = runner->functions;
    while (strcmp(job->function->name, function) != 0)
        job->function++;
    return job;
}

struct runner_job *runner_hook(struct runner *runner, const struct runner_hook *hook,
                               runner_hook_fn *fn, void *arg) {
    (void)hook;
    struct runner_job *job = begin_job(runner, arg);
    job->hook = fn;
    return job;
}
