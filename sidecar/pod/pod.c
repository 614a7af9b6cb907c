#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// ---- the table's shell ----

static void look_cancel_all(struct pod *pod) {
    run_cancel(&pod->look);
    run_cancel(&pod->launch);
    run_cancel(&pod->halt);
    run_cancel(&pod->verify);
}

static void unpause(struct pod *pod) {
    loop_timer_stop(&pod->pause);
    pod->pause_until = 0;
}

static void watch(struct pod *pod) {
    logs_follow(pod);
    health_begin(pod);
    sanity_begin(pod);
}

static void unwatch(struct pod *pod) {
    health_end(pod);
    sanity_end(pod);
}

bool pod_is_member(const struct pod *pod) {
    return pod->state->joined || pod->state->applied;
}

// Who was part of the cluster asks for a round that leaves it out: its peers and whoever depends on
// them go by the snapshot.
static void bury(struct pod *pod) {
    pod->wanted = false;
    pod->state->renewals += pod_is_member(pod) && !pod->state->dead;
    pod->state->dead = true;
    pod->state->woken = false;
    state_set(&pod->state->started_at, "");
    pod_save(pod);
    if (pod->config.on_dead)
        pod->config.on_dead(true, pod->config.arg);
}

// What is ours alone, and of what the status tells.
static void carry_out(struct pod *pod, unsigned effects) {
    if (effects & POD_FX_UNPAUSE)
        unpause(pod);
    if (effects & POD_FX_UNWATCH)
        unwatch(pod);
    if (effects & POD_FX_LOOK)
        look_begin(pod);
    if (effects & POD_FX_PAUSE)
        exit_pause(pod);
    if (effects & POD_FX_WATCH)
        watch(pod);
    if (effects & POD_FX_BURY)
        bury(pod);
}

// What the workload feels: the log has said it before the engine is asked, also where we are killed
// in the middle.
static void touch_workload(struct pod *pod, unsigned effects) {
    if (effects & POD_FX_LAUNCH)
        launch_begin(pod);
    if (effects & POD_FX_HALT)
        halt_begin(pod);
}

static void log_transition(const struct pod *pod, enum pod_state from, enum pod_event_kind event) {
    auto_text struct text status = {0};
    info_status(pod, &status);
    log_info("pod %s#%lld state=%s from=%s event=%s%s%s", pod->config.full_name,
             (long long)pod->state->seq, pod_state_name(pod->at), pod_state_name(from),
             pod_event_name(event), status.len ? " status=" : "", text_str(&status));
}

static void serve_wish(struct pod *pod);

static void apply(struct pod *pod, enum pod_event_kind event) {
    enum pod_state from = pod->at;
    struct pod_cell cell = pod_next(from, event);
    pod->at = cell.next;
    if (cell.next == POD_UNKNOWN) {
        launch_drop_verify(pod);
        look_cancel_all(pod);
    }
    carry_out(pod, cell.effects);
    if (cell.next != from)
        log_transition(pod, from, event);
    touch_workload(pod, cell.effects);
}

// Effects may name the next event at once; it waits until the present one is carried out.
static void settle(struct pod *pod) {
    if (pod->firing)
        return;
    pod->firing = true;
    do {
        while (pod->pending_len) {
            enum pod_event_kind first = pod->pending[0];
            memmove(pod->pending, pod->pending + 1, --pod->pending_len * sizeof *pod->pending);
            apply(pod, first);
        }
        serve_wish(pod);
    } while (pod->pending_len);
    pod->firing = false;
    pod_changed(pod);
}

void pod_fire(struct pod *pod, enum pod_event_kind event) {
    CHECK(pod->pending_len < EVENTS_MAX);
    pod->pending[pod->pending_len++] = event;
    settle(pod);
}

void pod_changed(struct pod *pod) {
    if (pod->config.on_change)
        pod->config.on_change(pod->config.arg);
}

void pod_unsaved(const struct pod *pod, const struct err *err) {
    log_err("pod %s %s: a restart would not know what is so now", pod->config.full_name, err->text);
}

void pod_save(struct pod *pod) {
    struct err err = ERR_INIT;
    if (state_save(pod->state, &err))
        pod_unsaved(pod, &err);
}

bool pod_launches(const struct pod *pod) {
    return pod->spec->workload.image != NULL;
}

// ---- wishes ----

enum fit { FIT_WAIT, FIT_GOOD, FIT_NEVER, FIT_ASK };

static enum fit fits(const struct pod *pod) {
    switch (pod->at) {
    case POD_UNKNOWN: // who leaves does not wait for what was tried and cannot be seen
        return pod->engine && !(pod->leaving && pod->wish_failed) ? FIT_WAIT : FIT_NEVER;
    case POD_RUNNING:
        if (pod->wish == WISH_DOWN)
            return pod->wish_failed ? FIT_NEVER : FIT_ASK;
        return FIT_GOOD;
    case POD_STOPPED:
    case POD_WAITING:
        if (pod->wish == WISH_UP)
            return pod->wish_failed ? FIT_NEVER : FIT_ASK;
        return pod->wish == WISH_DOWN && pod->at == POD_WAITING ? FIT_ASK : FIT_GOOD;
    case POD_DEAD:
        return pod->wish == WISH_UP ? FIT_NEVER : FIT_GOOD;
    default:
        return pod->wish == WISH_KNOWN ? FIT_GOOD : FIT_WAIT;
    }
}

static void why_never(const struct pod *pod, struct err *err) {
    if (pod->at == POD_UNKNOWN && !pod->engine)
        err_set(err, ERR_RETRY, "the Docker engine is out of reach");
    else if (pod->at == POD_DEAD)
        err_set(err, ERR_GONE, "the pod is dead");
    else if (pod->why.kind != ERR_NONE)
        err_copy(err, &pod->why);
    else
        err_set(err, ERR_REFUSED, "the workload is %s", pod_state_name(pod->at));
}

static void serve_wish(struct pod *pod) {
    if (pod->wish == WISH_NONE)
        return;
    struct run *run = pod->wish_run;
    struct err err = ERR_INIT;
    enum wish wish = pod->wish;
    switch (fits(pod)) {
    case FIT_WAIT:
        return;
    case FIT_ASK:
        pod_fire(pod, wish == WISH_UP ? POD_START : POD_STOP);
        return;
    case FIT_NEVER:
        why_never(pod, &err);
        pod->wish = WISH_NONE;
        run_fail(run, &err);
        return;
    case FIT_GOOD:
        pod->wish = WISH_NONE;
        pod->wish_run = NULL;
        run_next(run);
        return;
    }
}

static void first_service(void *arg) {
    struct run *run = arg;
    settle(run->pod);
}

void pod_wish(struct run *run, enum wish wish) {
    struct pod *pod = run->pod;
    CHECK(pod->wish == WISH_NONE);
    pod->wish = wish;
    pod->wish_run = run;
    pod->wish_failed = false;
    loop_timer_start(pod->loop, &run->timer, 0, first_service, run);
}

// ---- what the engine says ----

void pod_engine(struct pod *pod, bool up) {
    pod->engine = up;
    pod->live = false; // a gap: what happened in it was not seen
    pod->run_open = false;
    pod_fire(pod, up ? POD_ENGINE_UP : POD_ENGINE_DOWN);
    if (up) {
        glance_begin(pod);
        image_look(pod);
        orphans_begin(pod);
    } else {
        glance_end(pod);
        image_end(pod);
        orphans_end(pod);
    }
}

static void started_by_somebody(struct pod *pod) {
    pod->run_open = true;
    if (pod->at == POD_STOPPED || pod->at == POD_WAITING || pod->at == POD_DEAD)
        pod_fire(pod, POD_APPEARED);
}

static int exit_code_of(const json_t *attributes) {
    int64_t code = 0;
    if (text_int(json_text(attributes, "exitCode"), -1, 1 << 16, &code, NULL))
        return -1;
    return (int)code;
}

void pod_event(struct pod *pod, const char *container_id, const char *name,
               const json_t *attributes) {
    if (!*pod->state->container || strcmp(container_id, pod->state->container) != 0)
        return;
    glance_heard(pod);
    if (pod->at == POD_UNKNOWN && (strcmp(name, "die") == 0 || strcmp(name, "start") == 0))
        look_later(pod); // what the look under way is about to say is of before
    else if (strcmp(name, "die") == 0)
        exit_die(pod, exit_code_of(attributes));
    else if (strcmp(name, "start") == 0)
        started_by_somebody(pod);
    else if (strcmp(name, "kill") == 0)
        exit_note_signal(pod, json_text(attributes, "signal"));
    else if (strcmp(name, "oom") == 0)
        pod->oom = true;
    else if (strcmp(name, "pause") == 0 || strcmp(name, "unpause") == 0)
        pod->paused = name[0] == 'p';
    else if (text_starts(name, "health_status: "))
        health_docker(pod, name + strlen("health_status: "));
    else if (strcmp(name, "destroy") == 0 && pod->at != POD_STARTING)
        look_set_container(pod, "", "");
    else
        return;
    pod_changed(pod);
}

void pod_attached(struct pod *pod, bool attached) {
    pod->attachment += attached && !pod->attached;
    pod->attached = attached;
}

struct fence_mark pod_mark(const struct pod *pod) {
    const struct state *state = pod->state;
    return (struct fence_mark){state->tree, state->epoch, state->round, pod->phase,
                               pod->confirmed == pod->attachment};
}

bool pod_is_attached(const struct pod *pod) {
    const struct pod_config *config = &pod->config;
    return pod->attached && (!config->is_attached || config->is_attached(config->arg));
}

void pod_swap_over(struct pod *pod) {
    pod->swapping = false;
    if (pod->launch_deferred && pod->at == POD_STARTING) {
        pod->launch_deferred = false;
        launch_begin(pod);
    }
}

// ---- what others see ----

static bool runs(const struct pod *pod) {
    return pod->at == POD_RUNNING || (pod->at == POD_UNKNOWN && pod->health.on);
}

const char *pod_process(const struct pod *pod) {
    if (pod->state->dead)
        return "dead";
    bool unseen = pod->at == POD_UNKNOWN && pod->wish == WISH_DOWN; // its end is not certain yet
    if (pod->at == POD_STOPPING || pod->at == POD_FAILING || pod->at == POD_ENDING || unseen)
        return "terminating";
    return runs(pod) ? "running" : "stopped";
}

bool pod_ready(const struct pod *pod) {
    return runs(pod) && pod->configured && !pod->stale && pod->health.ready && pod->health.good;
}

// ---- life ----

static int fit(const struct pod_config *config, const struct place *place, struct text *report,
               struct mounts **ret, struct err *err) {
    if (place_verify(place, config->spec, report, err))
        return -1;
    return mounts_choose(config->spec, config->facts->self, docker_socket_path(config->docker),
                         report, ret, err);
}

// What would be refused later, on every check, is said at once as well.
static void choose_mounts(struct pod *pod) {
    auto_text struct text report = {0};
    if (fit(&pod->config, pod->place, &report, &pod->mounts, &pod->misfit)) {
        log_err("pod %s cannot be configured: %s", pod->config.full_name, pod->misfit.text);
        pod->mounts = xnew(struct mounts);
        pod->mounts->api = json_array();
        pod->mounts->roots = xcalloc(1, sizeof *pod->mounts->roots);
    }
    if (pod_launches(pod))
        pod->roots = pod->mounts->roots;
}

int pod_verify(const struct pod_config *config, struct text *report, struct err *err) {
    struct mounts *mounts = NULL;
    struct place *place = place_make(config->spec, config->facts, config->state->pod_id,
                                     config->full_name);
    int rc = fit(config, place, report, &mounts, err);
    mounts_free(mounts);
    place_free(place);
    return rc;
}

struct pod *pod_create(struct loop *loop, const struct pod_config *config) {
    struct pod *pod = xnew(struct pod);
    pod->loop = loop;
    pod->config = *config;
    pod->spec = config->spec;
    pod->state = config->state;
    pod->docker = config->docker;
    pod->phase = pod->state->rolled ? fence_phase(POD_OFF) : -1;
    pod->place = place_make(pod->spec, config->facts, pod->state->pod_id, config->full_name);
    pod->config_digest = xstrdup("");
    pod->next_id = xstrdup("");
    pod->next_digest = xstrdup("");
    pod->holder = xstrdup("");
    pod->address = xstrdup("127.0.0.1");
    pod->adopted_image = xstrdup("");
    pod->metrics = json_object();
    pod->orphan_volumes = json_object();
    list_init(&pod->queue);
    list_init(&pod->witnesses);
    list_init(&pod->answered);
    list_init(&pod->foreign);
    list_init(&pod->tools);
    choose_mounts(pod);
    if (pod->state->dead && config->on_dead)
        config->on_dead(true, config->arg);
    return pod;
}

void pod_free(struct pod *pod) {
    if (!pod)
        return;
    struct err gone = ERR_INIT;
    err_set(&gone, ERR_RETRY, "this sidecar is stopping");
    ask_close(pod, &gone);
    ask_drop(pod);
    look_cancel_all(pod);
    run_cancel(&pod->left_run);
    run_cancel(&pod->holding);
    unpause(pod);
    unwatch(pod);
    logs_end(pod);
    glance_end(pod);
    image_end(pod);
    orphans_end(pod);
    action_drop_foreign(pod);
    runner_cancel(&pod->discard);
    loop_timer_stop(&pod->forget);
    proposal_free(pod->checked);
    docker_image_free(pod->image);
    if (pod->roots && pod->roots != pod->mounts->roots)
        text_list_free(pod->roots);
    mounts_free(pod->mounts);
    place_free(pod->place);
    json_decref(pod->plan);
    json_decref(pod->view);
    json_decref(pod->next_body);
    json_decref(pod->outside);
    json_decref(pod->metrics);
    json_decref(pod->orphan_list);
    json_decref(pod->orphan_volumes);
    free(pod->config_digest);
    free(pod->next_id);
    free(pod->next_digest);
    free(pod->holder);
    free(pod->address);
    free(pod->adopted_image);
    free(pod);
}
