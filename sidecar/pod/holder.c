#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/workload.h"
#include <string.h>

// The container whose PID namespace the workload lives in; it ends when the sidecar does. The same
// one is started again as long as it can be: the workload's container names it.

static bool is_needed(const struct pod *pod) {
    return pod_launches(pod) && pod->spec->workload.lifetime == LIFETIME_COUPLED &&
           pod->config.tether && (pod->place->self || pod->spec->holder_image);
}

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

// It cannot be started again (its network is gone with a former container of ours): a new one.
static void restarted(const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    if (err->kind == ERR_NONE || err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT)
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

void holder_ensure(struct run *run) {
    struct pod *pod = run->pod;
    if (!is_needed(pod))
        run_next(run);
    else if (*pod->holder)
        run->call = docker_inspect(pod->docker, pod->holder, inspected, run);
    else
        create_named(run);
}
