#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/workload.h"
#include <string.h>

// The container whose PID namespace the workload lives in; it ends when the sidecar does. The same
// one is started again as long as it can be: the workload's container names it. One run makes it,
// for whoever waits. It begins as soon as the pod knows that nothing runs: a first round that
// waited for the engine to start the holder, then the workload, would take twice as long.

enum { LANES = 3 };

static bool is_needed(const struct pod *pod) {
    return pod_launches(pod) && pod->spec->workload.lifetime == LIFETIME_COUPLED &&
           pod->config.tether && (pod->place->self || pod->spec->holder_image);
}

// ---- who waits ----

static struct run *lane(struct pod *pod, size_t i) {
    struct run *lanes[LANES] = {pod->active ? &pod->active->run : NULL, &pod->launch,
                                &pod->left_run};
    return lanes[i];
}

// One that goes on may begin or end another: each is looked up when its turn comes.
static void resume(struct pod *pod, enum awaits most, const struct err *err) {
    static const struct err good = ERR_INIT;
    for (size_t i = 0; i < LANES; i++) {
        struct run *run = lane(pod, i);
        if (!run || run->awaits == AWAITS_NOTHING || run->awaits > most)
            continue;
        run->awaits = AWAITS_NOTHING;
        run_step_over(run, run == &pod->left_run ? &good : err); // leaving goes on anyway
    }
}

// ---- making it ----

static void started(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    struct err why = *err;
    if (why.kind != ERR_NONE)
        err_wrap(&why, "holder");
    run_step_over(run, &why);
}

static void created(const char *id, const struct err *err, void *arg);

static void create(struct run *run, const char *name) {
    struct pod *pod = run->pod;
    auto_json json_t *body = workload_holder(pod->spec, pod->place, pod->config.tether);
    run->call = docker_create(pod->docker, name, body, created, run);
}

static void created(const char *id, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    if (err->kind == ERR_EXISTS && run->tries++ == 0) { // its name is somebody's: any other will do
        create(run, NULL);
        return;
    }
    if (err->kind != ERR_NONE) {
        started(err, run);
        return;
    }
    log_info("pod %s holder=%.12s", pod->config.full_name, id);
    state_set(&pod->holder, id);
    run->call = docker_start(pod->docker, id, started, run);
    pod->holder_made = true;
    resume(pod, AWAITS_HOLDER_ID, err);
}

static void create_named(struct run *run) {
    auto_free char *name = xasprintf("%s-holder", run->pod->place->fallback_name);
    state_set(&run->pod->holder, "");
    run->tries = 0;
    create(run, name);
}

static void removed(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT)
        started(err, run);
    else
        create_named(run);
}

// It cannot be started again: its network is gone with a former container of ours, or the engine
// has lost it. A new one: nothing is in it.
static void restarted(const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    bool unheard = err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT;
    if (err->kind == ERR_NONE || (unheard && !launch_is_lost(err)))
        started(err, run);
    else
        run->call = docker_remove(pod->docker, pod->holder, true, true, removed, run);
}

static void inspected(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    bool running = c && c->running, ours = c && place_owns(pod->place, c);
    docker_container_free(c);
    if (running && ours)
        run_next(run);
    else if (ours)
        run->call = docker_start(pod->docker, pod->holder, restarted, run);
    else if (err->kind == ERR_ABSENT || err->kind == ERR_NONE)
        create_named(run);
    else
        started(err, run);
}

static void make(struct run *run) {
    struct pod *pod = run->pod;
    if (*pod->holder)
        run->call = docker_inspect(pod->docker, pod->holder, inspected, run);
    else
        create_named(run);
}

// ---- the steps ----

static void held(struct run *run, const struct err *err) {
    if (err->kind != ERR_NONE)
        log_debug("pod %s no holder yet: %s", run->pod->config.full_name, err->text);
    resume(run->pod, AWAITS_HOLDER, err);
}

static bool is_being_made(const struct pod *pod) {
    return pod->holding.steps != NULL;
}

static void hold(struct pod *pod) {
    static const struct step steps[] = {{"holder", make}, {0}};
    if (is_being_made(pod))
        return;
    pod->holder_made = false;
    run_start(&pod->holding, pod, steps, held);
}

void holder_begin(struct pod *pod) {
    if (is_needed(pod) && !pod->state->dead && !pod->state->off && !pod->leaving &&
        pod->misfit.kind == ERR_NONE)
        hold(pod);
}

void holder_ensure(struct run *run) {
    if (!is_needed(run->pod)) {
        run_next(run);
        return;
    }
    run->awaits = AWAITS_HOLDER;
    hold(run->pod);
}

void holder_name(struct run *run) {
    struct pod *pod = run->pod;
    if (!is_needed(pod) || (is_being_made(pod) && pod->holder_made)) {
        run_next(run);
        return;
    }
    run->awaits = AWAITS_HOLDER_ID;
    hold(pod);
}

static void ended(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        started(err, run);
        return;
    }
    run->pod->half_starts = 0;
    run_next(run);
}

void holder_end(struct run *run) {
    run->call = docker_remove(run->pod->docker, run->pod->holder, true, true, ended, run);
}

void holder_settle(struct run *run) {
    if (is_being_made(run->pod))
        run->awaits = AWAITS_HOLDER;
    else
        run_next(run);
}
