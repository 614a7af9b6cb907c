#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/validate.h"
#include <string.h>

// check: everything that can fail, fails here, before any workload is touched. What it makes (an
// image, a container that was never there, staged files) changes nothing that runs.

// The step both scripts begin with.
void check_engine(struct run *run) {
    struct pod *pod = run->pod;
    struct err err = ERR_INIT;
    if (!pod->engine) {
        err_set(&err, ERR_RETRY, "the Docker engine is out of reach");
        run_fail(run, &err);
        return;
    }
    if (pod->misfit.kind != ERR_NONE) {
        err_copy(&err, &pod->misfit);
        err.kind = ERR_REFUSED;
        run_fail(run, &err);
        return;
    }
    pod_wish(run, WISH_KNOWN);
}

void check_needs(struct run *run) {
    struct err err = ERR_INIT;
    if (proposal_needs(run->pod->spec, job_of(run)->proposal, &err))
        run_fail(run, &err);
    else
        run_next(run);
}

void check_can_configure(struct run *run) {
    action_hook(run, HOOK_CAN_CONFIGURE, job_of(run)->proposal->view);
}

void check_image(struct run *run) {
    struct err err = ERR_INIT;
    if (pod_launches(run->pod) && image_judge(run->pod, &err))
        run_fail(run, &err);
    else
        run_next(run);
}

static void rendered(json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct proposal *p = job_of(run)->proposal;
    run->job = NULL;
    if (err->kind == ERR_NONE) {
        json_decref(p->rendering);
        p->rendering = json_incref(answer);
        run_next(run);
        return;
    }
    struct err why = *err;
    why.kind = ERR_REFUSED;
    run_fail(run, &why);
}

void check_render(struct run *run) {
    struct pod *pod = run->pod;
    run->job = render_start(pod->config.runner, pod->spec, job_of(run)->proposal->view, rendered,
                            run);
}

static void adopted(struct run *run, struct docker_container *c, const struct err *err) {
    struct pod *pod = run->pod;
    bool other = c && strcmp(c->id, pod->state->container) != 0, runs = c && c->running;
    if (other)
        look_set_container(pod, c->id, c->id);
    docker_container_free(c);
    if (!other || !runs) {
        run_step_over(run, err);
        return;
    }
    // It came after the last look, and its start was no event of ours: on must know that it runs.
    // A look that is under way may be of the one before.
    if (pod->at == POD_UNKNOWN)
        look_later(pod);
    else
        pod_fire(pod, POD_APPEARED);
    pod_wish(run, WISH_KNOWN);
}

// What an image ships at a volume's path is copied when a container is created with that volume,
// and only into an empty one: so there is a container before the first file is staged.
void check_container(struct run *run) {
    struct pod *pod = run->pod;
    struct proposal *p = job_of(run)->proposal;
    struct err err = ERR_INIT;
    if (!pod_launches(pod))
        adopt_find(run, adopted);
    else if (proposal_shape(pod, p, &err))
        run_fail(run, &err);
    else if (*pod->state->container)
        run_next(run);
    else
        container_create(run, p->body);
}

void check_take(struct run *run) {
    if (*run->pod->state->container)
        run_next(run);
    else
        container_take_next(run);
}

static void staged(json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct proposal *p = job_of(run)->proposal;
    run->job = NULL;
    if (err->kind == ERR_NONE) {
        json_decref(p->staged);
        p->staged = json_incref(answer);
    }
    run_step_over(run, err);
}

void check_stage(struct run *run) {
    struct pod *pod = run->pod;
    run->job = render_stage(pod->config.runner, job_of(run)->proposal->rendering, pod->roots,
                            pod->state->pod_id, staged, run);
}

enum { FORGET_MS = 60000 };

// A round that a leader gave up is followed by no other one where all is as before; whoever comes
// back to it later has it checked once more.
static void forget(void *arg) {
    struct pod *pod = arg;
    struct proposal *p = take_ptr(pod->checked);
    if (!p)
        return;
    log_debug("pod %s what was checked is not asked for: forgotten", pod->config.full_name);
    proposal_discard(pod, p);
    proposal_free(p);
}

static void check_done(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    struct err err = ERR_INIT;
    if (proposal_compare(pod, job->proposal, &err)) {
        run_fail(run, &err);
        return;
    }
    bool changed = pod->spec->workload.strict || pod->state->untold ||
                   proposal_is_changed(job->proposal);
    proposal_free(pod->checked);
    pod->checked = take_ptr(job->proposal);
    loop_timer_start(pod->loop, &pod->forget, FORGET_MS, forget, pod);
    job->answer = json_pack("{s:b, s:b, s:b, s:b, s:b}", "joined", pod->state->joined, "started",
                            pod->state->started, "running", pod->at == POD_RUNNING, "ready",
                            pod_ready(pod) && !halt_was_begun(pod), "changed", changed);
    run_next(run);
}

const struct step *check_script(void) {
    static const struct step steps[] = {{"engine", check_engine},
                                        {"body", refer_body},
                                        {"needs", check_needs},
                                        {"can_configure", check_can_configure},
                                        {"image", check_image},
                                        {"render", check_render},
                                        {"holder", holder_name},
                                        {"container", check_container},
                                        {"take", check_take},
                                        {"recover", look_step_recover},
                                        {"stage", check_stage},
                                        {"validate", validate_files},
                                        {"held", holder_settle},
                                        {"done", check_done},
                                        {0}};
    return steps;
}
