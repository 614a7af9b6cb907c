#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/workload.h"
#include <string.h>

// A successor is created beside the present container, before anything is stopped: what the engine
// refuses is refused while the old one still runs.

static void created(const char *id, const struct err *err, void *arg);

static char *next_name(const struct pod *pod, int tries) {
    const char *suffix = *pod->state->container ? "-next" : "";
    if (tries > 1)
        return NULL;
    return xasprintf("%s%s", tries ? pod->place->fallback_name : pod->place->name, suffix);
}

static void try_create(struct run *run) {
    struct pod *pod = run->pod;
    auto_free char *name = next_name(pod, run->tries);
    run->call = docker_create(pod->docker, name, pod->next_body, created, run);
}

static void created(const char *id, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    if (err->kind == ERR_EXISTS && run->tries++ < 2) { // the name is another container's
        try_create(run);
        return;
    }
    if (err->kind != ERR_NONE) {
        struct err why = *err;
        image_missed(pod, err);
        if (why.kind != ERR_RETRY && why.kind != ERR_TIMEOUT)
            why.kind = ERR_REFUSED;
        run_fail(run, &why);
        return;
    }
    log_info("pod %s container=%.12s image=%s", pod->config.full_name, id,
             pod->spec->workload.image);
    state_set(&pod->next_id, id);
    state_set(&pod->next_digest, workload_digest(pod->next_body));
    run_next(run);
}

static void replaced(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT)
        run_fail(run, err);
    else
        try_create(run);
}

static void remove_next(struct run *run, docker_done_fn *fn) {
    struct pod *pod = run->pod;
    auto_free char *id = xstrdup(pod->next_id);
    state_set(&pod->next_id, "");
    run->call = docker_remove(pod->docker, id, true, true, fn, run);
}

void container_create(struct run *run, const json_t *body) {
    struct pod *pod = run->pod;
    run->tries = 0;
    json_decref(pod->next_body);
    pod->next_body = json_incref((json_t *)body);
    if (*pod->next_id && strcmp(pod->next_digest, workload_digest(body)) == 0) {
        run_next(run); // of a round that came no further
        return;
    }
    if (*pod->next_id)
        remove_next(run, replaced);
    else
        try_create(run);
}

static void renamed(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT)
        run_fail(run, err);
    else
        run_next(run); // a name is for people; another one does as well
}

static void take(struct run *run) {
    struct pod *pod = run->pod;
    bool rename = *pod->state->container;
    look_set_container(pod, pod->next_id, pod->next_digest);
    state_set(&pod->next_id, "");
    pod_save(pod);
    if (rename)
        run->call = docker_rename(pod->docker, pod->state->container, pod->place->name, renamed,
                                  run);
    else
        run_next(run);
}

static void removed(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        struct err why = *err;
        err_wrap(&why, "the former container");
        run_fail(run, &why);
        return;
    }
    take(run);
}

static void dropped(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT)
        run_fail(run, err);
    else
        run_next(run);
}

void container_drop_next(struct run *run) {
    if (*run->pod->next_id)
        remove_next(run, dropped);
    else
        run_next(run);
}

// A round may have made it and gone no further, or have been followed by one that wants the present
// container while the pod was off.
static bool is_in_force(const struct pod *pod) {
    return strcmp(pod->next_digest, json_text(pod->state->applied, "container")) == 0;
}

// Never by force: if the old one still runs, the engine says so and nothing is started.
void container_take_next(struct run *run) {
    struct pod *pod = run->pod;
    if (!*pod->next_id || (*pod->state->container && !is_in_force(pod)))
        run_next(run);
    else if (*pod->state->container)
        run->call = docker_remove(pod->docker, pod->state->container, false, true, removed, run);
    else
        take(run);
}
