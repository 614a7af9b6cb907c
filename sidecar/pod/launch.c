#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/workload.h"
#include <string.h>

// Bringing the workload up with what is in force. A crash of what we know well takes the short way:
// the start call alone, sent on the die event itself (the engine finishes with the old process
// before it starts the new one). Only when the engine refuses is the whole way walked.

enum { VERIFY_TRIES = 100 }; // of LOOK_AGAIN_MS

// ---- after the start ----

static void container_release(struct docker_container **c) {
    docker_container_free(*c);
}

// It was started, and nobody knows which run that was: a worker that comes after us must not take
// its end for one that was asked for.
static void launch_unseen(struct pod *pod) {
    struct state *state = pod->state;
    if (pod->stale || !pod->wanted || *state->started_at || state->woken)
        return;
    state->woken = true;
    pod_save(pod);
}

void launch_drop_verify(struct pod *pod) {
    if (pod->verify.steps)
        launch_unseen(pod);
    run_cancel(&pod->verify);
}

static void step_verify(struct run *run);

static void verify_again(void *arg) {
    step_verify(arg);
}

static void verified(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    __attribute__((cleanup(container_release))) struct docker_container *held = c;
    run->call = NULL;
    bool unanswered = err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT;
    if (unanswered && run->tries++ < VERIFY_TRIES) {
        launch_unseen(pod);
        loop_timer_start(pod->loop, &run->timer, LOOK_AGAIN_MS, verify_again, run);
        return;
    }
    run->steps = NULL;
    if (err->kind != ERR_NONE || !held->running) {
        launch_unseen(pod);
        return; // its die event says the rest
    }
    pod->run_open = true;
    pod->has_healthcheck = held->has_healthcheck;
    state_set(&pod->state->started_at, held->started_at);
    pod->state->woken = false;
    if (place_is_apart(pod->place))
        state_set(&pod->address, held->ip);
    pod_save(pod);
    pod_changed(pod);
}

static void step_verify(struct run *run) {
    run->call = docker_inspect(run->pod->docker, run->pod->state->container, verified, run);
}

static void verify_done(struct run *run, const struct err *err) {
    (void)run;
    (void)err;
}

static void verify(struct pod *pod) {
    static const struct step steps[] = {{"verify", step_verify}, {0}};
    launch_drop_verify(pod);
    run_start(&pod->verify, pod, steps, verify_done);
}

static void launch_good(struct pod *pod) {
    pod->started_ms = loop_now(pod->loop);
    pod->live = true;
    pod->stale = !pod->configured;      // one that ran before the start call
    state_set(&pod->state->ending, ""); // who was asked to end has ended
    pod->state->untold &= !pod->plan;   // it reads what is in force, if all of it was there
    backoff_started(&pod->backoff, pod->started_ms);
    pod_fire(pod, POD_STARTED);
    if (pod->stale && pod->spec->workload.hold) {
        pod_fire(pod, POD_STOP);
    } else if (pod->died_early) {
        launch_unseen(pod);
        exit_name(pod);
    } else {
        verify(pod);
    }
}

static void launch_bad(struct pod *pod, const struct err *err) {
    err_copy(&pod->why, err);
    if (pod->why.kind != ERR_RETRY && pod->why.kind != ERR_TIMEOUT)
        pod->why.kind = ERR_REFUSED;
    pod->wish_failed = true;
    pod->started_ms = loop_now(pod->loop); // it has not run at all: what ran before does not count
    log_warn("pod %s workload cannot be started: %s", pod->config.full_name, err->text);
    pod_fire(pod, POD_START_FAILED);
    if (pod->run_open) // its start was told, the answer to ours was lost
        pod_fire(pod, POD_APPEARED);
}

// ---- steps ----

bool launch_is_lost(const struct err *err) {
    return err->kind != ERR_NONE && err->code >= 500;
}

// An engine that was killed while it started a container may know nothing of that afterwards, but
// containerd does: every start of it is refused in these words from then on, and it may run.
static bool is_half_started(const struct err *err) {
    static const char *const words[][2] = {{": id already in use", ""},
                                           {": task ", ": already exists"},
                                           {": failed to start shim: mkdir ", ": file exists"}};
    for (size_t i = 0; launch_is_lost(err) && i < sizeof words / sizeof *words; i++) {
        const char *begin = strstr(err->text, words[i][0]);
        if (begin && strstr(begin, words[i][1]))
            return true;
    }
    return false;
}

static void started(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    run->pod->start_lost = launch_is_lost(err);
    run->pod->half_starts = is_half_started(err) ? run->pod->half_starts + 1 : 0;
    run_step_over(run, err);
}

static void step_start(struct run *run) {
    run->call = docker_start(run->pod->docker, run->pod->state->container, started, run);
}

// Never run: nothing is lost with it.
static bool is_new(const struct docker_container *c) {
    return strcmp(c->status, "created") == 0 && text_starts(c->started_at, "0001-");
}

// What ran holds what the workload wrote, and is given up when it is refused so a second time.
static bool is_beyond_hope(const struct pod *pod, const struct docker_container *c) {
    return (pod->start_lost && is_new(c)) || (pod->half_starts > 1 && *pod->holder && !c->running);
}

static void known(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        run_fail(run, err);
        return;
    }
    if (!c)
        look_set_container(run->pod, "", "");
    else if (is_beyond_hope(run->pod, c))
        state_set(&run->pod->config_digest, ""); // as if it were made of something else
    docker_container_free(c);
    run_next(run);
}

static void step_known(struct run *run) {
    if (*run->pod->state->container)
        run->call = docker_inspect(run->pod->docker, run->pod->state->container, known, run);
    else
        run_next(run);
}

// To the leader nothing about us has changed.
void launch_ask_for_round(struct pod *pod) {
    if (!pod->configured)
        return; // it was asked for
    pod->configured = false;
    pod->state->renewals++;
    pod_save(pod);
}

// Another one is made only when this one cannot run any more.
static void step_half(struct run *run) {
    struct pod *pod = run->pod;
    if (!pod->half_starts || *pod->config_digest || !*pod->holder) {
        run_next(run);
        return;
    }
    log_warn("pod %s container=%.12s was half started by an engine that ended: it is made anew",
             pod->config.full_name, pod->state->container);
    holder_end(run);
}

// In the place of the one that was configured. If it runs it was started without what is in force;
// if not, it is given that, as far as this worker knows it.
static int take_successor(struct pod *pod, const struct docker_container *c, struct err *err) {
    if (c->running) {
        launch_ask_for_round(pod);
        return 0;
    }
    if (!pod->plan) {
        launch_ask_for_round(pod);
        return err_set(err, ERR_REFUSED,
                       "its container is another one, and after a restart of the sidecar's worker "
                       "only a round knows what belongs into it");
    }
    json_object_set_new(pod->state->applied, "container", json_string(c->id));
    return 0;
}

static void adopted(struct run *run, struct docker_container *c, const struct err *err) {
    struct pod *pod = run->pod;
    struct err why = *err;
    if (c || (err->kind != ERR_RETRY && err->kind != ERR_TIMEOUT))
        look_set_container(pod, c ? c->id : "", c ? c->id : "");
    if (c && !look_is_applied(pod) && take_successor(pod, c, &why))
        log_debug("pod %s container=%.12s is not started", pod->config.full_name, c->id);
    bool ran_before = c && c->running && !look_is_applied(pod);
    docker_container_free(c);
    if (ran_before)
        run_skip(run, "start"); // it has read what it found
    else
        run_step_over(run, &why);
}

static void step_find(struct run *run) {
    adopt_find(run, adopted);
}

// The holder may be another one than when it was made; then so must the container be.
static json_t *wanted_body(struct pod *pod, struct err *err) {
    struct workload_want want = {
        .spec = pod->spec,
        .place = pod->place,
        .mounts = pod->mounts,
        .image = pod->image,
        .plan = pod->plan,
        .holder = *pod->holder ? pod->holder : NULL,
    };
    return workload_body(&want, err);
}

static void step_container(struct run *run) {
    struct pod *pod = run->pod;
    struct err err = ERR_INIT;
    if (!pod->plan) {
        if (*pod->state->container && *pod->config_digest && pod->configured) {
            run_next(run);
            return;
        }
        launch_ask_for_round(pod);
        err_set(&err, ERR_REFUSED,
                "its container is gone or was never started, and after a restart of the sidecar's "
                "worker only a round knows what it was made of");
        run_fail(run, &err);
        return;
    }
    if (!pod->state->applied) { // files of two sets
        err_set(&err, ERR_REFUSED, "what is in force is not whole: a round starts it");
        run_fail(run, &err);
        return;
    }
    // Without what the image declares its volumes would be the container's, not the pod's.
    auto_json json_t *body = image_judge(pod, &err) ? NULL : wanted_body(pod, &err);
    if (!body) {
        run_fail(run, &err);
        return;
    }
    json_object_set_new(pod->state->applied, "container", json_string(workload_digest(body)));
    if (*pod->state->container && strcmp(pod->config_digest, workload_digest(body)) == 0)
        run_next(run);
    else
        container_create(run, body);
}

static void put_done(const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    struct err why = *err;
    if (why.kind != ERR_NONE) {
        err_wrap(&why, "files below no shared volume");
    } else if (strcmp(pod->state->holds, pod->state->container) != 0) {
        state_set(&pod->state->holds, pod->state->container);
        pod_save(pod);
    }
    run_step_over(run, &why);
}

struct docker_file *outside_files(const json_t *list) {
    size_t n = json_array_size(list);
    struct docker_file *files = xcalloc(n + 1, sizeof *files);
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(list, i);
        files[i] = (struct docker_file){
            .path = json_text(f, "target") + 1,
            .data = json_text(f, "content"),
            .len = json_string_length(json_object_get(f, "content")),
            .mode = (unsigned)json_integer_value(json_object_get(f, "mode")),
            .uid = (unsigned)json_integer_value(json_object_get(f, "uid")),
            .gid = (unsigned)json_integer_value(json_object_get(f, "gid")),
        };
    }
    return files;
}

void launch_step_outside(struct run *run) {
    struct pod *pod = run->pod;
    size_t n = json_array_size(pod->outside);
    if (!n && look_lacks_files(pod)) {
        struct err err = ERR_INIT;
        launch_ask_for_round(pod);
        err_set(&err, ERR_REFUSED,
                "its files below no shared volume are not in its container, and after a restart of "
                "the sidecar's worker only a round knows them");
        run_fail(run, &err);
        return;
    }
    if (!n) {
        run_next(run);
        return;
    }
    auto_free struct docker_file *files = outside_files(pod->outside);
    run->call = docker_archive_put(pod->docker, pod->state->container, "/", files, n, put_done,
                                   run);
}

static const struct step whole_way[] = {{"known", step_known},
                                        {"half", step_half},
                                        {"holder", holder_ensure},
                                        {"container", step_container},
                                        {"replace", container_take_next},
                                        {"files", launch_step_outside},
                                        {"start", step_start},
                                        {0}};
static const struct step adopted_way[] = {
    {"find", step_find}, {"files", launch_step_outside}, {"start", step_start}, {0}};
static const struct step short_way[] = {{"start", step_start}, {0}};

static void launch_done(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    if (err->kind == ERR_NONE)
        launch_good(pod);
    else
        launch_bad(pod, err);
}

static void short_done(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    bool refused = err->kind != ERR_NONE && err->kind != ERR_RETRY && err->kind != ERR_TIMEOUT;
    if (!refused && !pod->start_lost) {
        launch_done(run, err);
        return;
    }
    log_info("pod %s start refused, looks at all of it: %s", pod->config.full_name, err->text);
    run_start(run, pod, pod_launches(pod) ? whole_way : adopted_way, launch_done);
}

static bool is_as_wanted(const struct pod *pod) {
    return pod->configured && *pod->state->container && !*pod->next_id &&
           !json_array_size(pod->outside) && !look_lacks_files(pod) && look_is_applied(pod);
}

void launch_begin(struct pod *pod) {
    if (pod->swapping) {
        pod->launch_deferred = true;
        return;
    }
    if (pod->exited)
        pod->restarts++;
    pod->exited = pod->oom = pod->died_early = pod->run_open = pod->signalled = false;
    pod->health.docker_health[0] = '\0'; // of the run before; of this one nothing is said yet
    if (place_is_apart(pod->place))
        state_set(&pod->address, "");
    launch_drop_verify(pod);
    if (is_as_wanted(pod) && !pod->start_lost)
        run_start(&pod->launch, pod, short_way, short_done);
    else
        run_start(&pod->launch, pod, pod_launches(pod) ? whole_way : adopted_way, launch_done);
}
