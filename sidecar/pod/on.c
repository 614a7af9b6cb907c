#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/validate.h"
#include <string.h>

// on: what was checked comes into force. Up to "stop" nothing that runs is touched, and what is out
// of the engine's sight is not stopped: nobody would start it again. Between "swap" and "take" the
// state directory says that nothing whole is in force, so that a crash there is followed by a
// round, never by a start with half of a set.

// ---- by an operator, without a body ----

// Kept before it is started: whoever comes after us would not know that it is to run.
static int wake_up(struct pod *pod, struct err *err) {
    struct state *state = pod->state;
    bool was_dead = state->dead, was_killed = state->killed, was_off = state->off;
    bool was_woken = state->woken, sleeps = pod->configured && !*state->started_at && !was_woken;
    if (!was_dead && !was_off && !sleeps)
        return 0;
    state->dead = state->killed = state->off = false;
    state->woken = pod->configured;
    state->started |= pod->configured; // from here on there may be data
    state->renewals += was_dead;       // rounds went by without it
    if (!state_save(state, err))
        return 0;
    state->dead = was_dead;
    state->killed = was_killed;
    state->off = was_off;
    state->woken = was_woken;
    state->renewals -= was_dead;
    return -1;
}

// Clears what held it; says whether there is something to start with.
static int wake(struct pod *pod, struct err *err) {
    bool was_dead = pod->state->dead;
    if (wake_up(pod, err))
        return -1;
    if (was_dead && pod->config.on_dead)
        pod->config.on_dead(false, pod->config.arg);
    if (pod->at == POD_DEAD)
        pod_fire(pod, POD_WAKE);
    if (pod->configured)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "nothing holds it any more, but it has no configuration yet: the next round "
                   "brings one and starts it");
}

static void on_wake(struct run *run) {
    struct pod *pod = run->pod;
    struct err err = ERR_INIT;
    if (wake(pod, &err)) {
        run_fail(run, &err);
        return;
    }
    pod->wanted = true;
    run_skip(run, "start");
}

// ---- the body ----

static bool is_plain(const struct job *job) {
    return job->request.scope == POD_OPERATOR && !job->request.body_len;
}

static void on_body(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    if (is_plain(job)) {
        on_wake(run);
        return;
    }
    if (pod->checked && strcmp(pod->checked->digest, job->digest) == 0) {
        job->proposal = take_ptr(pod->checked);
        run_skip(run, "initialize");
        return;
    }
    if (pod->checked) {
        log_info("pod %s the body of on is not the one that was checked: checked again",
                 pod->config.full_name);
        proposal_free(pod->checked);
        pod->checked = NULL;
    }
    refer_body(run);
}

// ---- hooks before ----

static void on_initialize(struct run *run) {
    if (run->pod->state->initialized)
        run_next(run);
    else
        action_hook(run, HOOK_INITIALIZE, job_of(run)->proposal->view);
}

static bool all_strings(const json_t *value) {
    size_t i;
    json_t *item;
    const char *key;
    bool good = json_is_array(value) || json_is_object(value);
    json_array_foreach((json_t *)value, i, item) {
        good &= json_is_string(item);
    }
    json_object_foreach((json_t *)value, key, item) {
        good &= json_is_string(item);
    }
    return good;
}

// {"command": [...], "environment": {...}}, both optional; nothing at all is fine too.
static int merge(struct proposal *p, const char *out, struct err *err) {
    size_t len = strlen(out);
    if (strspn(out, " \t\r\n") == len)
        return 0;
    auto_json json_t *said = json_read(out, len, 64 * 1024, "configure", err);
    json_t *command = json_object_get(said, "command");
    json_t *environment = json_object_get(said, "environment");
    if (!json_is_object(said) || (command && !(json_is_array(command) && all_strings(command))) ||
        (environment && !(json_is_object(environment) && all_strings(environment))))
        return err_set(err, ERR_REFUSED,
                       "configure must print nothing, or JSON {\"command\": [strings], "
                       "\"environment\": {name: string}}");
    if (command)
        json_object_set(p->rendering, "command", command);
    if (environment)
        json_object_update(json_object_get(p->rendering, "environment"), environment);
    return 0;
}

static void configured(const struct action_result *result, const struct err *failure, void *arg) {
    struct run *run = arg;
    struct err err = ERR_INIT;
    run->action = NULL;
    if (action_judge("configure", result, failure, &err) ||
        merge(job_of(run)->proposal, result->out, &err))
        run_fail(run, &err);
    else
        run_next(run);
}

static void on_configure(struct run *run) {
    struct pod *pod = run->pod;
    const struct spec_action *hook = &pod->spec->hooks[HOOK_CONFIGURE];
    if (!pod->state->initialized && pod->spec->hooks[HOOK_INITIALIZE].kind != ACTION_NONE) {
        pod->state->initialized = true;
        pod_save(pod);
    }
    if (hook->kind == ACTION_NONE) {
        run_next(run);
        return;
    }
    struct proposal *p = job_of(run)->proposal;
    struct err err = ERR_INIT;
    if (proposal_plain(pod, p, p->plain, &err)) {
        run_fail(run, &err);
        return;
    }
    struct action_want want = {.action = hook, .name = "configure", .input = p->view};
    run->action = action_start(pod, &want, configured, run);
}

// ---- what is to be done ----

// It came into force already; another worker does not remember what was answered.
static bool is_repeated(const struct pod *pod, const struct job *job) {
    const struct pod_request *request = &job->request;
    const struct state *state = pod->state;
    return request->scope == POD_LEADER && state->rolled && request->epoch == state->epoch &&
           request->round == state->round;
}

// It was asked to end, for a change that is none any more, and may do so at any moment: not while
// another pod is stopped.
static bool may_end(const struct pod *pod) {
    return pod->at == POD_RUNNING && halt_was_begun(pod);
}

// Changed files alone may be told to the running workload instead.
static bool wants_restart(const struct pod *pod, const struct job *job) {
    const struct proposal *p = job->proposal;
    return pod->stale || !pod->configured || p->container_changed || may_end(pod) ||
           (pod->spec->workload.strict && !is_repeated(pod, job)) ||
           (proposal_is_changed(p) && pod->spec->workload.on_change.kind == CHANGE_RESTART);
}

static int take_over(struct pod *pod, const struct job *job, struct err *err);

static void on_compare(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    struct err err = ERR_INIT;
    if (proposal_compare(pod, job->proposal, &err)) {
        run_fail(run, &err);
        return;
    }
    job->parked = pod->state->off;
    job->anew = job->proposal->files_changed || job->proposal->container_changed;
    bool up = pod->at == POD_RUNNING || pod->at == POD_WAITING || pod->at == POD_STARTING;
    if (up && !job->parked && !pod->state->untold && !proposal_is_changed(job->proposal) &&
        !wants_restart(pod, job)) {
        pod->wanted = true;
        if (!look_lacks_files(pod)) // an older sidecar has not written it down
            state_set(&pod->state->holds, pod->state->container);
        if (take_over(pod, job, &err)) // it is as it was before
            pod_unsaved(pod, &err);
        run_skip(run, "ready");
        return;
    }
    job->restart = !job->parked && wants_restart(pod, job);
    log_info("pod %s#%lld configures files=%s container=%s dependencies=%s%s",
             pod->config.full_name, (long long)pod->state->seq,
             job->proposal->files_changed ? "changed" : "same",
             job->proposal->container_changed ? "changed" : "same",
             job->proposal->dependencies_changed ? "changed" : "same",
             job->parked ? " start=no (off by operator)" : "");
    run_next(run);
}

static void on_successor(struct run *run) {
    struct job *job = job_of(run);
    if (job->proposal->container_changed && pod_launches(run->pod))
        container_create(run, job->proposal->body);
    else
        container_drop_next(run);
}

static bool is_told(const struct run *run) {
    return run->pod->at == POD_RUNNING && !job_of((struct run *)run)->restart;
}

static void ready(json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    (void)answer;
    run->job = NULL;
    run_step_over(run, err);
}

// The check was a while ago, in a folder that is not ours alone: nothing is stopped for files that
// cannot be swapped in, nor is what is in force given up for them.
static void on_staged(struct run *run) {
    struct pod *pod = run->pod;
    const json_t *staged = job_of(run)->proposal->staged;
    if (!json_array_size(json_object_get(staged, "staged")))
        run_next(run);
    else
        run->job = render_ready(pod->config.runner, staged, pod->roots, ready, run);
}

static void on_stop(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    job->told = is_told(run);
    if (job->told) {
        run_next(run);
        return;
    }
    pod->wanted = false;
    backoff_reset(&pod->backoff);
    pod_wish(run, WISH_DOWN);
}

// ---- the swap ----

static json_t *outside_of(const struct proposal *p) {
    json_t *outside = json_array();
    size_t i, k;
    json_t *target, *file;
    json_array_foreach(json_object_get(p->staged, "outside"), i, target) {
        json_array_foreach(json_object_get(p->rendering, "files"), k, file) {
            if (json_equal(json_object_get(file, "target"), target))
                json_array_append(outside, file);
        }
    }
    return outside;
}

static void replace_json(json_t **where, json_t *with) {
    json_decref(*where);
    *where = with;
}

// In force from here on, in memory and in the state directory.
static int take_over(struct pod *pod, const struct job *job, struct err *err) {
    struct state *state = pod->state;
    const struct pod_request *request = &job->request;
    struct proposal *p = job->proposal;
    if (request->scope == POD_LEADER && request->epoch == state->epoch &&
        request->round == state->round)
        state->rolled = true;
    replace_json(&pod->plan, json_incref(p->rendering));
    replace_json(&pod->view, json_incref(p->view));
    replace_json(&pod->outside, outside_of(p));
    replace_json(&state->applied, json_incref(p->applied));
    if (json_array_size(pod->outside))
        json_object_set_new(state->applied, "outside", json_true());
    state_set(&state->hash, p->hash);
    state_set(&state->owner, pod->place->run);
    pod->configured = true;
    return state_save(state, err);
}

static void swapped(json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct proposal *p = job_of(run)->proposal;
    (void)answer;
    run->job = NULL;
    replace_json(&p->staged, // what was renamed must not be discarded
                 json_pack("{s:O}", "outside", json_object_get(p->staged, "outside")));
    run_step_over(run, err);
}

static void on_swap(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    struct err err = ERR_INIT;
    pod->swapping = true;
    if (!json_array_size(json_object_get(job->proposal->staged, "staged"))) {
        run_next(run);
        return;
    }
    replace_json(&pod->state->applied, NULL);
    pod->configured = false;
    if (state_save(pod->state, &err)) {
        run_fail(run, &err);
        return;
    }
    run->job = render_swap(pod->config.runner, job->proposal->staged, pod->roots,
                           pod->spec->state_dir, swapped, run);
}

// What is started and not written down is started once more by whoever comes after us: not at all,
// then, until a round can be.
static void on_take(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    struct err err = ERR_INIT;
    bool starts = !job->parked && !is_told(run);
    pod->state->started |= !job->parked; // from here on there may be data
    pod->state->untold = job->told;
    if (job->anew)
        state_set(&pod->state->holds, "");
    if (take_over(pod, job, &err)) {
        pod_unsaved(pod, &err);
        if (starts) {
            pod->configured = false;
            replace_json(&pod->state->applied, NULL);
            run_fail(run, &err);
            return;
        }
    }
    pod->wanted |= !job->parked;
    pod_swap_over(pod);
    if (job->parked) {
        job->answer = json_pack("{s:b, s:s}", "started", 0, "status",
                                "configured, and not started: off by operator");
        run_skip(run, "done");
        return;
    }
    run_next(run);
}

// ---- telling the running workload ----

static void told(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    run_step_over(run, err);
}

static void told_by_exec(const struct action_result *result, const struct err *failure, void *arg) {
    struct run *run = arg;
    struct err err = ERR_INIT;
    run->action = NULL;
    if (action_judge("on_change", result, failure, &err))
        run_fail(run, &err);
    else
        run_next(run);
}

// The engine went meanwhile: whether what was left running still runs is not known.
static bool is_out_of_sight(struct run *run) {
    struct err err = ERR_INIT;
    if (!job_of(run)->told || run->pod->at != POD_UNKNOWN)
        return false;
    err_set(&err, ERR_RETRY, "the Docker engine was out of reach before the workload was told");
    run_fail(run, &err);
    return true;
}

static void on_outside(struct run *run) {
    if (is_out_of_sight(run))
        return;
    if (is_told(run))
        launch_step_outside(run);
    else
        run_next(run);
}

static void on_tell(struct run *run) {
    struct pod *pod = run->pod;
    const struct spec_workload *w = &pod->spec->workload;
    if (is_out_of_sight(run))
        return;
    if (!is_told(run) || w->on_change.kind == CHANGE_NONE || w->on_change.kind == CHANGE_RESTART) {
        run_next(run);
        return;
    }
    if (w->on_change.kind == CHANGE_SIGNAL) {
        run->call = docker_kill(pod->docker, pod->state->container, w->on_change.signal, told, run);
        return;
    }
    struct spec_action exec = {
        .kind = ACTION_EXEC, .argv = w->on_change.argv, .timeout = w->on_change.timeout};
    struct action_want want = {.action = &exec, .name = "on_change", .input = pod->view};
    run->action = action_start(pod, &want, told_by_exec, run);
}

// Until then the next round tells it, though nothing differs any more.
static void on_told(struct run *run) {
    struct pod *pod = run->pod;
    if (pod->state->untold && is_told(run)) {
        pod->state->untold = false;
        pod_save(pod);
    }
    run_next(run);
}

// ---- up ----

static void on_start(struct run *run) {
    pod_wish(run, WISH_UP);
}

static void on_ready(struct run *run) {
    health_await(run);
}

static void on_done(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    if (!job->parked && !pod->state->joined) {
        pod->state->joined = true;
        pod_save(pod);
    }
    run_next(run);
}

const struct step *on_script(void) {
    static const struct step steps[] = {{"engine", check_engine},
                                        {"body", on_body},
                                        {"needs", check_needs},
                                        {"can_configure", check_can_configure},
                                        {"image", check_image},
                                        {"render", check_render},
                                        {"holder", holder_ensure},
                                        {"container", check_container},
                                        {"container taken", check_take},
                                        {"stage", check_stage},
                                        {"validate", validate_files},
                                        {"initialize", on_initialize},
                                        {"configure", on_configure},
                                        {"known", check_engine},
                                        {"compare", on_compare},
                                        {"successor", on_successor},
                                        {"staged", on_staged},
                                        {"still known", check_engine},
                                        {"stop", on_stop},
                                        {"swap", on_swap},
                                        {"take", on_take},
                                        {"outside", on_outside},
                                        {"tell", on_tell},
                                        {"told", on_told},
                                        {"start", on_start},
                                        {"ready", on_ready},
                                        {"done", on_done},
                                        {0}};
    return steps;
}
