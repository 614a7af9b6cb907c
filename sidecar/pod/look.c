#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

enum {
    LOOK_TRIES = 100,   // of LOOK_AGAIN_MS: an engine that never agrees is believed then
    RECOVER_TRIES = 10, // then what stands in the way is somebody's, and the next round's business
};

void look_set_container(struct pod *pod, const char *id, const char *digest) {
    if (strcmp(id, pod->state->container) != 0)
        logs_end(pod);
    state_set(&pod->state->container, id);
    state_set(&pod->config_digest, digest);
}

bool look_is_applied(const struct pod *pod) {
    return strcmp(json_text(pod->state->applied, "container"), pod->config_digest) == 0;
}

bool look_lacks_files(const struct pod *pod) {
    const struct state *state = pod->state;
    return json_is_true(json_object_get(state->applied, "outside")) &&
           strcmp(state->holds, state->container) != 0;
}

// ---- recover ----

static void recovered(json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    (void)answer;
    run->job = NULL;
    if (err->kind != ERR_NONE && pod->recover_tries++ == 0)
        log_warn("pod %s files cannot be recovered: %s", pod->config.full_name, err->text);
    // A disk that fails for a moment must not leave the files of two rounds side by side.
    pod->recovered = err->kind == ERR_NONE || pod->recover_tries >= RECOVER_TRIES;
    if (pod->recovered)
        run_next(run);
    else
        run_fail(run, err);
}

void look_step_recover(struct run *run) {
    struct pod *pod = run->pod;
    if (pod->recovered || !pod->roots || !*pod->roots)
        run_next(run);
    else
        run->job = render_recover(pod->config.runner, pod->spec, pod->roots, pod->state->pod_id,
                                  recovered, run);
}

// ---- find ----

static bool is_role(const json_t *entry, const char *role) {
    return strcmp(json_text(json_object_get(entry, "Labels"), LABEL_ROLE), role) == 0;
}

static bool is_own(const struct pod *pod, const json_t *entry) {
    return strcmp(json_text(json_object_get(entry, "Labels"), LABEL_OWNER), pod->place->owner) == 0;
}

static bool is_running(const json_t *entry) {
    return strcmp(json_text(entry, "State"), "running") == 0;
}

static int rank(const struct pod *pod, const json_t *entry) {
    const char *id = json_text(entry, "Id");
    if (strcmp(id, pod->state->container) == 0)
        return 3;
    return is_running(entry) ? 2 : 1;
}

// The one we know, else one that runs, else the newest, which the engine lists first.
static const json_t *choose(const struct pod *pod, const json_t *list) {
    const json_t *best = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)list, i, entry) {
        if (is_role(entry, "workload") && is_own(pod, entry) &&
            (!best || rank(pod, entry) > rank(pod, best)))
            best = entry;
    }
    return best;
}

static void swept(const struct err *err, void *arg) {
    (void)err;
    (void)arg;
}

// What a crash between two of our own steps left: a successor never started, a validator.
static void sweep(struct pod *pod, const json_t *list, const json_t *chosen) {
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)list, i, entry) {
        bool ours = pod_launches(pod) ? !is_role(entry, "holder") : is_role(entry, "oneshot");
        if (!is_own(pod, entry) || entry == chosen || !ours)
            continue;
        log_info("pod %s removes leftover container=%s", pod->config.full_name,
                 json_text(entry, "Id"));
        docker_remove(pod->docker, json_text(entry, "Id"), true, true, swept, NULL);
    }
}

static void take_holder(struct pod *pod, const json_t *list) {
    size_t i;
    json_t *entry;
    state_set(&pod->holder, "");
    json_array_foreach((json_t *)list, i, entry) {
        if (is_role(entry, "holder") && is_own(pod, entry) && (!*pod->holder || is_running(entry)))
            state_set(&pod->holder, json_text(entry, "Id"));
    }
}

// ---- what the pod's former sidecar left running ----

static const json_t *former_of(const struct pod *pod, const json_t *list) {
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)list, i, entry) {
        if (is_role(entry, "workload") && !is_own(pod, entry) && is_running(entry))
            return entry;
    }
    return NULL;
}

static void former_stopped(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind == ERR_NONE || err->kind == ERR_ABSENT)
        run_next(run);
    else
        run_fail(run, err);
}

static void stop_former(struct run *run) {
    struct pod *pod = run->pod;
    int64_t grace = pod->spec->workload.stop.grace;
    log_info("pod %s stops container=%.12s of its former sidecar", pod->config.full_name,
             pod->former);
    run->call = docker_stop(pod->docker, pod->former, NULL, (int)((grace + 999) / 1000),
                            former_stopped, run);
}

static void former_owner(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    bool gone = c ? place_is_over(c) : err->kind == ERR_ABSENT;
    docker_container_free(c);
    if (gone)
        stop_former(run);
    else
        run_step_over(run, err); // its owner is there: hands off
}

// The state directory says which sidecar put there what is in force, and its lock is ours now.
static bool had_our_state(const struct pod *pod, const char *owner) {
    return strcmp(pod->state->owner, owner) == 0;
}

// A pod whose sidecar's container was made anew: an independent workload still uses the data, and
// has no successor before it has ended.
static void await_former(struct run *run, const json_t *former) {
    struct pod *pod = run->pod;
    const char *owner = json_text(json_object_get(former, "Labels"), LABEL_OWNER);
    snprintf(pod->former, sizeof pod->former, "%s", json_text(former, "Id"));
    switch (place_fate(pod->place, owner)) {
    case OWNER_ALIVE:
        run_next(run);
        return;
    case OWNER_GONE:
        stop_former(run);
        return;
    case OWNER_UNKNOWN:
        if (had_our_state(pod, owner))
            stop_former(run);
        else
            run_next(run);
        return;
    case OWNER_ASK:
        run->call = docker_inspect(pod->docker, owner, former_owner, run);
        return;
    }
}

static void listed(const json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    if (err->kind != ERR_NONE) {
        run_fail(run, err);
        return;
    }
    const json_t *chosen = choose(pod, answer);
    if (!pod->holding.steps) // the list may be older than the one that is being made
        take_holder(pod, answer);
    if (!pod->looked)
        sweep(pod, answer, chosen);
    const json_t *labels = json_object_get(chosen, "Labels");
    look_set_container(pod, chosen ? json_text(chosen, "Id") : "",
                       chosen ? json_text(labels, LABEL_CONFIG) : "");
    const json_t *former = pod->looked ? NULL : former_of(pod, answer);
    if (former)
        await_former(run, former);
    else
        run_next(run);
}

static void adopted(struct run *run, struct docker_container *c, const struct err *err) {
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT) {
        run_fail(run, err);
        return;
    }
    struct pod *pod = run->pod;
    look_set_container(pod, c ? c->id : "", c ? c->id : "");
    if (c && c->running && pod->looked && !look_is_applied(pod))
        launch_ask_for_round(pod); // it took the place of the one that was configured
    docker_container_free(c);
    run_next(run);
}

static void leftovers_listed(const json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE) {
        run_fail(run, err);
        return;
    }
    sweep(run->pod, answer, NULL);
    adopt_find(run, adopted);
}

static void step_find(struct run *run) {
    struct pod *pod = run->pod;
    if (!pod_launches(pod) && pod->looked) {
        adopt_find(run, adopted);
        return;
    }
    auto_free char *label = xasprintf("%s=%s", LABEL_POD, pod->state->pod_id);
    auto_json json_t *filters = json_pack("{s:[s]}", "label", label);
    run->call = docker_list(pod->docker, true, filters,
                            pod_launches(pod) ? listed : leftovers_listed, run);
}

// ---- judge ----

// It ran on while our container did not, in a network that is not ours.
static bool is_outliving(const struct pod *pod, bool running) {
    return running && pod_launches(pod) && !pod->place->shares_network &&
           pod->spec->workload.lifetime == LIFETIME_INDEPENDENT;
}

// In force, and put there by this run of our container, whose network it shares.
static bool is_in_force(const struct pod *pod, bool running) {
    const struct state *state = pod->state;
    bool ours = strcmp(state->owner, pod->place->run) == 0 || is_outliving(pod, running);
    // What is to be put there only a round knows. One that was to be told of it ran before.
    bool whole = !look_lacks_files(pod) || (running && state->untold);
    return state->applied && ours && whole && look_is_applied(pod);
}

static void take_facts(struct pod *pod, const struct docker_container *c) {
    const char *given = pod->spec->workload.address;
    const char *own = place_is_apart(pod->place) ? c->ip : "127.0.0.1";
    state_set(&pod->address, given ? given : own);
    pod->has_healthcheck = c->has_healthcheck;
    pod->tty = json_is_true(json_object_get(c->config, "Tty"));
    pod->paused = c->paused;
    snprintf(pod->health.docker_health, sizeof pod->health.docker_health, "%s", c->health);
}

static enum pod_event_kind judge_running(struct pod *pod, const struct docker_container *c) {
    struct state *state = pod->state;
    pod->run_open = true;
    bool meant = pod->wanted && !state->off && !state->dead;
    if (meant && look_lacks_files(pod) && !state->untold)
        launch_ask_for_round(pod); // somebody started it with half of its files
    bool held = pod->spec->workload.hold && !pod->configured;
    if (state->dead || state->off || held || (pod->configured && !pod->wanted))
        return POD_SEEN_UNWANTED;
    pod->live = true;
    pod->stale = !pod->configured;
    if (strcmp(state->started_at, c->started_at) != 0) {
        health_end(pod); // another run than the one it was watched in
        pod->started_ms = loop_now(pod->loop);
        if (pod->configured) {
            state_set(&state->started_at, c->started_at);
            state->woken = false;
        }
        pod_save(pod);
    } else if (!pod->started_ms) {
        pod->started_ms = loop_now(pod->loop) - BACKOFF_SETTLED_MS; // it ran long before us
    }
    return POD_SEEN_RUNNING;
}

static enum pod_event_kind judge_stopped(struct pod *pod, const struct docker_container *c) {
    struct state *state = pod->state;
    if (c && strcmp(c->started_at, state->started_at) == 0) {
        pod->exited = true;
        pod->exit_code = c->exit_code;
        pod->oom |= c->oom_killed;
    }
    if (state->dead)
        return POD_SEEN_DEAD;
    if (pod->configured && pod->wanted && !state->off)
        return POD_SEEN_WANTED;
    return POD_SEEN_STOPPED;
}

// A worker that was restarted: what was in force still is. That it was to run is said by its
// running, by started_at, which is cleared when it is stopped on purpose, or by who woke it.
static void resume(struct pod *pod, bool running) {
    if (pod->looked)
        return;
    pod->looked = true;
    pod->configured = is_in_force(pod, running) && *pod->state->container;
    if (pod->configured)
        state_set(&pod->state->owner, pod->place->run);
    bool starts = (*pod->state->started_at || pod->state->woken) && !pod->leaving;
    pod->wanted = pod->configured && (running || starts) && !pod->state->off && !pod->state->dead;
    // What is in force was put there by another run of our container: only a round may start it,
    // and to the leader nothing about us has changed.
    if (!pod->configured && pod->state->applied && !pod->state->dead) {
        pod->state->renewals++;
        pod_save(pod);
        log_info("pod %s asks for a round renewals=%lld", pod->config.full_name,
                 (long long)pod->state->renewals);
    }
}

static void look_again(void *arg) {
    look_begin(arg);
}

void look_later(struct pod *pod) {
    run_cancel(&pod->look);
    loop_timer_start(pod->loop, &pod->look.timer, LOOK_AGAIN_MS * 2, look_again, pod);
}

// inspect lags behind the event: the same run that still "runs" is asked for again.
static bool must_look_again(struct pod *pod, const struct docker_container *c) {
    if (pod->at != POD_ENDING || !c || !c->running || ++pod->look_tries > LOOK_TRIES ||
        strcmp(c->started_at, pod->state->started_at) != 0)
        return false;
    loop_timer_start(pod->loop, &pod->look.timer, LOOK_AGAIN_MS, look_again, pod);
    return true;
}

// Of a run that ended just before this worker subscribed to the engine's events it hears nothing,
// and inspect still says that it runs.
static bool is_worth_another_look(struct pod *pod, const struct docker_container *c) {
    if (pod->looked || pod->glanced || !c || !c->running ||
        strcmp(c->started_at, pod->state->started_at) != 0)
        return false;
    pod->glanced = true;
    loop_timer_start(pod->loop, &pod->look.timer, LOOK_AGAIN_MS * 4, look_again, pod);
    return true;
}

static void judge(struct pod *pod, const struct docker_container *c) {
    if (must_look_again(pod, c) || is_worth_another_look(pod, c))
        return;
    pod->look_tries = 0;
    if (c)
        take_facts(pod, c);
    resume(pod, c && c->running);
    if (c && c->running)
        pod_fire(pod, judge_running(pod, c));
    else if (pod->at == POD_ENDING && c && c->exit_code == 0)
        pod_fire(pod, POD_DONE);
    else
        pod_fire(pod, judge_stopped(pod, c));
    if (pod->at == POD_STOPPED)
        holder_begin(pod);
}

static void container_release(struct docker_container **c) {
    docker_container_free(*c);
}

static void inspected(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    __attribute__((cleanup(container_release))) struct docker_container *held = c;
    run->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        run_fail(run, err);
        return;
    }
    if (!held)
        look_set_container(run->pod, "", "");
    run->steps = NULL;
    judge(run->pod, held);
}

static void step_inspect(struct run *run) {
    struct pod *pod = run->pod;
    if (*pod->state->container) {
        run->call = docker_inspect(pod->docker, pod->state->container, inspected, run);
        return;
    }
    run->steps = NULL;
    judge(pod, NULL);
}

// An engine that is there but does not answer is asked until it does.
static void look_failed(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    log_debug("pod %s look failed: %s", pod->config.full_name, err->text);
    if (pod->engine)
        loop_timer_start(pod->loop, &run->timer, LOOK_AGAIN_MS * 10, look_again, pod);
}

void look_begin(struct pod *pod) {
    static const struct step whole[] = {
        {"recover", look_step_recover},
        {"find", step_find},
        {"found", look_step_recover}, // of one that is adopted the folders are known from here on
        {"inspect", step_inspect},
        {0}};
    static const struct step known[] = {{"inspect", step_inspect}, {0}};
    run_cancel(&pod->look);
    run_start(&pod->look, pod, pod->at == POD_ENDING ? known : whole, look_failed);
}
