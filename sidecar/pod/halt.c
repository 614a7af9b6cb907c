#include "base/check.h"
#include "base/log.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// Taking the workload down: the tear_down hook or the stop signal, its grace, then the end by force
// (never when soft). It is down when inspect says so.

enum {
    FAILING_GRACE_MS = 10000, // a workload that fails its check is not waited for as long
    CONFIRM_TRIES = 200,      // of LOOK_AGAIN_MS
    CONFIRM_ERRORS = 20,      // of these, answers that cannot be read from an engine that is there
};

static int64_t grace_of(const struct pod *pod) {
    int64_t grace = pod->spec->workload.stop.grace;
    if (pod->leaving && pod->leave_budget < grace)
        grace = pod->leave_budget;
    if (pod->at == POD_FAILING && grace > FAILING_GRACE_MS)
        grace = FAILING_GRACE_MS;
    return grace;
}

// ---- tear down ----

static void torn_down(const struct action_result *result, const struct err *failure, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    struct err err = ERR_INIT;
    run->action = NULL;
    pod->torn_down = !action_judge("tear_down", result, failure, &err);
    if (!pod->torn_down)
        log_warn("pod %s %s: stopped by its signal instead", pod->config.full_name, err.text);
    run_next(run);
}

static void step_tear_down(struct run *run) {
    struct pod *pod = run->pod;
    const struct spec_action *hook = &pod->spec->hooks[HOOK_TEAR_DOWN];
    pod->torn_down = false;
    if (hook->kind == ACTION_NONE || pod->at == POD_FAILING) {
        run_next(run);
        return;
    }
    struct action_want want = {.action = hook, .name = "tear_down", .input = pod->view};
    int64_t grace = grace_of(pod) ? grace_of(pod) : 1; // 0 would be the action's own
    if (hook->timeout > grace)
        want.timeout = grace;
    run->action = action_start(pod, &want, torn_down, run);
}

// ---- stop ----

static void stopped(const struct err *err, void *arg) {
    struct run *run = arg;
    const struct pod *pod = run->pod;
    run->call = NULL;
    // Whatever it said, inspect knows. Of an end that was told meanwhile nobody hears again.
    if (err->kind == ERR_RETRY && (pod->run_open || !docker_is_up(pod->docker)))
        run_fail(run, err);
    else
        run_next(run);
}

static void force(struct run *run, int64_t grace) {
    struct pod *pod = run->pod;
    const char *signal = pod_launches(pod) ? NULL : pod->spec->workload.stop.signal;
    run->call = docker_stop(pod->docker, pod->state->container, signal, (int)((grace + 999) / 1000),
                            stopped, run);
}

static void waited_enough(void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    docker_cancel(&run->call);
    if (!pod->spec->workload.stop.soft) {
        force(run, 0);
        return;
    }
    struct err err = ERR_INIT;
    auto_text struct text grace = {0};
    text_add_duration(&grace, grace_of(pod));
    err_set(&err, ERR_TIMEOUT, "still running after %s, and stop.soft says never to kill it",
            text_str(&grace));
    run_fail(run, &err);
}

static void ended(int exit_code, const struct err *err, void *arg) {
    struct run *run = arg;
    (void)exit_code;
    run->call = NULL;
    loop_timer_stop(&run->timer);
    stopped(err, run);
}

static void await_end(struct run *run) {
    struct pod *pod = run->pod;
    run->call = docker_wait(pod->docker, pod->state->container, "not-running", NULL, ended, run);
    loop_timer_start(pod->loop, &run->timer, grace_of(pod), waited_enough, run);
}

static void signalled(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind == ERR_NONE)
        await_end(run);
    else
        stopped(err, run);
}

static void step_stop(struct run *run) {
    struct pod *pod = run->pod;
    if (!*pod->state->container) // somebody removed it meanwhile
        run_next(run);
    else if (pod->torn_down)
        await_end(run);
    else if (pod->spec->workload.stop.soft)
        run->call = docker_kill(pod->docker, pod->state->container, pod->spec->workload.stop.signal,
                                signalled, run);
    else
        force(run, grace_of(pod));
}

// ---- confirm ----

static void halt_bad(struct pod *pod, const struct err *err, enum pod_event_kind event) {
    err_copy(&pod->why, err);
    pod->wish_failed = true;
    log_warn("pod %s workload does not stop: %s", pod->config.full_name, err->text);
    pod_fire(pod, event);
}

static void confirm(void *arg);

static void inspected(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    bool running = c && c->running;
    if (c && !running)
        pod->exit_code = c->exit_code;
    docker_container_free(c);
    if (err->kind == ERR_RETRY && docker_is_up(pod->docker) && run->tries++ < CONFIRM_ERRORS) {
        // Its end was told while we waited for the stop, and is not told again.
        loop_timer_start(pod->loop, &run->timer, LOOK_AGAIN_MS, confirm, run);
        return;
    }
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        run->steps = NULL;
        halt_bad(pod, err, POD_HALT_UNSEEN);
        return;
    }
    if (err->kind == ERR_ABSENT)
        look_set_container(pod, "", "");
    if (!running) {
        run_next(run);
        return;
    }
    if (run->tries++ < CONFIRM_TRIES) {
        loop_timer_start(pod->loop, &run->timer, LOOK_AGAIN_MS, confirm, run);
        return;
    }
    struct err why = ERR_INIT;
    err_set(&why, ERR_REFUSED, "the workload still runs after stop and kill");
    run_fail(run, &why);
}

static void confirm(void *arg) {
    struct run *run = arg;
    const struct pod *pod = run->pod;
    if (*pod->state->container)
        run->call = docker_inspect(pod->docker, pod->state->container, inspected, run);
    else
        run_next(run); // somebody removed it meanwhile
}

static void step_confirm(struct run *run) {
    run->tries = 0;
    confirm(run);
}

static void halt_done(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    if (err->kind != ERR_NONE) {
        halt_bad(pod, err, POD_HALT_FAILED);
        return;
    }
    pod->run_open = false;
    if (!pod->wanted || !pod->configured)
        pod_fire(pod, POD_STOP);          // meanwhile: a round or an operator starts it
    pod->exited = pod->at == POD_FAILING; // its check failed, which counts like a crash
    if (pod->at == POD_STOPPING) {
        state_set(&pod->state->started_at, "");
        pod->state->woken &= pod->wanted; // meanwhile, by an operator
        pod_save(pod);
    }
    pod_fire(pod, POD_HALTED);
    if (pod->state->dead)
        pod_fire(pod, POD_BURY);
}

void halt_begin(struct pod *pod) {
    static const struct step steps[] = {
        {"tear_down", step_tear_down}, {"stop", step_stop}, {"confirm", step_confirm}, {0}};
    // Kept: a worker that comes after us would take its end for its own will.
    state_set(&pod->state->ending, pod->state->started_at);
    pod_save(pod);
    run_start(&pod->halt, pod, steps, halt_done);
}

// Of this run, by whichever worker; it may still run.
bool halt_was_begun(const struct pod *pod) {
    return *pod->state->ending && strcmp(pod->state->ending, pod->state->started_at) == 0;
}
