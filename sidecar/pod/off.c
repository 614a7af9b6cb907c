#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// off, kill, ok, signal. What an operator decides is kept before the engine is asked, so that it
// holds also when the engine is away.

enum { FINALIZE_LEAST_MS = 1000 };

static void step_down(struct run *run) {
    pod_wish(run, WISH_DOWN);
}

static void refuse_unsaved(struct run *run, const struct err *why) {
    struct err err = *why;
    run_fail(run, &err);
}

// ---- off ----

static void off_begin(struct run *run) {
    struct pod *pod = run->pod;
    struct err err = ERR_INIT;
    if (job_of(run)->request.scope == POD_OPERATOR && !pod->state->off) {
        pod->state->off = true;
        if (state_save(pod->state, &err)) {
            pod->state->off = false;
            refuse_unsaved(run, &err);
            return;
        }
    }
    pod->wanted = false;
    run_next(run);
}

// One that waited to be started again was not stopped, only told not to: a new worker must not
// take its last run for one that was lost.
static void off_forget(struct run *run) {
    struct pod *pod = run->pod;
    struct state *state = pod->state;
    if (pod->at == POD_STOPPED && (*state->started_at || state->woken)) {
        state_set(&state->started_at, "");
        state->woken = false;
        pod_save(pod);
    }
    run_next(run);
}

const struct step *off_script(void) {
    static const struct step steps[] = {
        {"off", off_begin}, {"down", step_down}, {"forget", off_forget}, {0}};
    return steps;
}

// ---- kill ----

static void kill_begin(struct run *run) {
    struct pod *pod = run->pod;
    struct err err = ERR_INIT;
    bool was_dead = pod->state->dead, was_killed = pod->state->killed;
    bool leaves = pod_is_member(pod) && !was_dead;
    pod->state->dead = pod->state->killed = true;
    pod->state->renewals += leaves; // a round without it
    if (state_save(pod->state, &err)) {
        pod->state->dead = was_dead;
        pod->state->killed = was_killed;
        pod->state->renewals -= leaves;
        refuse_unsaved(run, &err);
        return;
    }
    pod->wanted = false;
    if (pod->config.on_dead)
        pod->config.on_dead(true, pod->config.arg);
    run_next(run);
}

static void finalized(const struct action_result *result, const struct err *failure, void *arg) {
    struct run *run = arg;
    struct err err = ERR_INIT;
    run->action = NULL;
    if (action_judge("finalize", result, failure, &err))
        log_warn("pod %s %s", run->pod->config.full_name, err.text);
    run_next(run);
}

// A workload that took all of it leaves what the sidecar has as a margin.
static int64_t left_for_finalize(const struct pod *pod) {
    int64_t left = pod->leave_by - loop_now(pod->loop);
    return left > FINALIZE_LEAST_MS ? left : FINALIZE_LEAST_MS;
}

static void step_finalize(struct run *run) {
    struct pod *pod = run->pod;
    const struct spec_action *hook = &pod->spec->hooks[HOOK_FINALIZE];
    if (hook->kind == ACTION_NONE) {
        run_next(run);
        return;
    }
    struct action_want want = {.action = hook, .name = "finalize", .input = pod->view};
    if (pod->leaving && hook->timeout > left_for_finalize(pod))
        want.timeout = left_for_finalize(pod);
    run->action = action_start(pod, &want, finalized, run);
}

static void kill_bury(struct run *run) {
    struct pod *pod = run->pod;
    if (pod->at == POD_STOPPED)
        pod_fire(pod, POD_BURY);
    run_next(run);
}

const struct step *kill_script(void) {
    static const struct step steps[] = {{"kill", kill_begin},
                                        {"down", step_down},
                                        {"finalize", step_finalize},
                                        {"bury", kill_bury},
                                        {0}};
    return steps;
}

// ---- ok ----

static void ok_configured(struct run *run) {
    action_hook(run, HOOK_CONFIGURED, run->pod->view);
}

const struct step *ok_script(void) {
    static const struct step steps[] = {{"configured", ok_configured}, {0}};
    return steps;
}

// ---- signal ----

static void signaled(const struct action_result *result, const struct err *failure, void *arg) {
    struct run *run = arg;
    struct err err = ERR_INIT;
    run->action = NULL;
    if (action_judge("signaled", result, failure, &err)) {
        run_fail(run, &err);
        return;
    }
    // What is no JSON is no answer; that it went well is.
    job_of(run)->answer = json_read(result->out, strlen(result->out), 64 * 1024, "signaled", NULL);
    run_next(run);
}

static void signal_begin(struct run *run) {
    struct pod *pod = run->pod;
    const struct job *job = job_of(run);
    const struct spec_action *hook = &pod->spec->hooks[HOOK_SIGNALED];
    if (hook->kind == ACTION_NONE) {
        run_next(run);
        return;
    }
    auto_json json_t *said = job->request.body_len
                                 ? json_read(job->request.body, job->request.body_len, 1 << 20,
                                             "signal", NULL)
                                 : NULL;
    struct action_want want = {
        .action = hook, .name = "signaled", .input = said ? said : pod->view};
    run->action = action_start(pod, &want, signaled, run);
}

const struct step *signal_script(void) {
    static const struct step steps[] = {{"signaled", signal_begin}, {0}};
    return steps;
}

// ---- the sidecar itself stops ----

// Independent or adopted: it is left as it is.
static bool leaves_it(const struct pod *pod) {
    return !pod_launches(pod) || pod->spec->workload.lifetime == LIFETIME_INDEPENDENT;
}

static void down_or_not(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    // What was never made needs no stop.
    if (err->kind != ERR_NONE && *pod->state->container) {
        log_warn("pod %s workload does not stop: %s", pod->config.full_name, err->text);
        pod->left_why = *err;
    }
    pod->left_run.steps = NULL;
    run_start(&pod->left_run, pod, leave_script(), pod->left_done);
}

static void removed(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE)
        log_warn("pod %s %s", run->pod->config.full_name, err->text);
    run_next(run);
}

static void leave_container(struct run *run) {
    struct pod *pod = run->pod;
    if (leaves_it(pod) || !pod->engine || !*pod->state->container) {
        run_next(run);
        return;
    }
    run->call = docker_remove(pod->docker, pod->state->container, false, true, removed, run);
}

static void leave_next(struct run *run) {
    struct pod *pod = run->pod;
    if (!pod->engine || !*pod->next_id)
        run_next(run);
    else
        run->call = docker_remove(pod->docker, pod->next_id, true, true, removed, run);
}

static void leave_holder(struct run *run) {
    struct pod *pod = run->pod;
    if (leaves_it(pod) || !pod->engine || !*pod->holder)
        run_next(run);
    else
        run->call = docker_remove(pod->docker, pod->holder, true, true, removed, run);
}

// Volumes of ours outlive the container: the pod may come back with its state directory. One that
// was killed does not, unless an operator wakes it.
static void leave_volumes(struct run *run) {
    struct pod *pod = run->pod;
    bool gone = pod->state->killed && pod_launches(pod) && pod->engine && pod->image;
    char **paths = gone ? pod->image->volumes : NULL;
    if (!paths || !paths[run->tries]) {
        run_next(run);
        return;
    }
    const char *path = paths[run->tries++];
    if (mounts_cover(pod->mounts, path)) {
        leave_volumes(run);
        return;
    }
    auto_free char *name = place_volume(pod->place, path);
    run->at--; // this step once more
    run->call = docker_volume_remove(pod->docker, name, removed, run);
}

static void leave_begin(struct run *run) {
    run->tries = 0;
    run_next(run);
}

const struct step *leave_script(void) {
    static const struct step steps[] = {{"finalize", step_finalize}, {"container", leave_container},
                                        {"successor", leave_next},   {"settled", holder_settle},
                                        {"holder", leave_holder},    {"volumes", leave_begin},
                                        {"volume", leave_volumes},   {0}};
    return steps;
}

static void leave_done(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    (void)err;
    if (pod->left)
        pod->left(&pod->left_why, pod->left_arg);
}

void pod_leave(struct pod *pod, int64_t budget_ms, void (*done)(const struct err *why, void *arg),
               void *arg) {
    static const struct step down[] = {{"down", step_down}, {0}};
    static const struct err good = ERR_INIT;
    struct err why = ERR_INIT;
    err_set(&why, ERR_RETRY, "this sidecar is stopping");
    pod->leaving = true;
    pod->leave_budget = budget_ms;
    pod->leave_by = loop_now(pod->loop) + budget_ms;
    pod->left = done;
    pod->left_arg = arg;
    pod->left_done = leave_done;
    ask_close(pod, &why);
    orphans_end(pod);
    pod->left_run = (struct run){.pod = pod};
    if (leaves_it(pod)) {
        down_or_not(&pod->left_run, &good);
        return;
    }
    pod->wanted = false;
    run_start(&pod->left_run, pod, down, down_or_not);
}
