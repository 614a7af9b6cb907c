#include "base/check.h"
#include "base/log.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// Who is heard: the verdict of fence.c carried out, before a request may wait for its turn.

static void admit(struct job *job, const struct fence_witness *witness);

static bool is_same(const struct job *a, const struct job *b) {
    return a != b && a->request.scope == POD_LEADER && a->request.task == b->request.task &&
           a->request.epoch == b->request.epoch && a->request.round == b->request.round &&
           strcmp(a->digest, b->digest) == 0;
}

// The same thing asked before and not answered yet.
static struct job *twin_of(struct pod *pod, const struct job *job) {
    struct job *other;
    if (pod->active && is_same(pod->active, job))
        return pod->active;
    list_each(other, &pod->queue, struct job, link) {
        if (is_same(other, job))
            return other;
    }
    return NULL;
}

static void join(struct job *twin, struct job *job) {
    for (struct pod_ask *ask; (ask = ask_first(job));)
        ask_attach(ask, twin);
    job_free(job);
}

void ask_forget_recorded(struct pod *pod) {
    for (int i = 0; i < PHASES; i++) {
        json_decref(pod->recorded[i].answer);
        pod->recorded[i] = (struct recorded){0};
    }
}

static void drop_older(struct pod *pod) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_FENCED, "a newer leader has spoken");
    struct job *job;
    list_each(job, &pod->queue, struct job, link) {
        if (job->request.scope == POD_LEADER && job->request.epoch < pod->state->epoch)
            ask_refuse(job, &err);
    }
}

// Kept durably before anything else: no older leader is obeyed after this, also not after a crash.
static int raise(struct pod *pod, const struct job *job, struct err *err) {
    struct state *state = pod->state;
    bool same_tree = strcmp(state->tree, job->request.tree) == 0;
    state_set(&state->tree, job->request.tree);
    state->epoch = job->request.epoch;
    state->round = job->request.round;
    pod->phase = -1;
    ask_forget_recorded(pod);
    if (state_save(state, err))
        return -1;
    if (!same_tree)
        log_info("pod %s follows tree=%s", pod->config.full_name, state->tree);
    drop_older(pod);
    return 0;
}

// Asked before in this round: attach to it, or say again what was said. A check may come again with
// another body, when a pod turned out to be dead; anything else may not.
static void admit_again(struct pod *pod, struct job *job) {
    struct job *twin = twin_of(pod, job);
    int phase = fence_phase(job->request.task);
    const struct recorded *r = &pod->recorded[phase];
    struct err err = ERR_INIT;
    if (twin) {
        join(twin, job);
    } else if (r->set && strcmp(r->digest, job->digest) == 0) {
        ask_answer_all(job, r->answer, &r->err);
        job_free(job);
    } else if (phase == 0 && pod->phase == 0) {
        ask_enqueue(pod, job);
    } else {
        err_set(&err, ERR_FENCED, "%s of round %lld came before, with another body",
                pod_task_names[job->request.task], (long long)job->request.round);
        ask_refuse(job, &err);
    }
}

static void witnessed(const char *tree, bool has_original, const struct err *err, void *arg) {
    struct witness_call *call = arg;
    struct job *job = call->job;
    list_remove(&call->link);
    free(call);
    if (!job)
        return;
    job->witness = NULL;
    if (err->kind != ERR_NONE) {
        struct err detached = ERR_INIT;
        err_set(&detached, ERR_DETACHED, "ZooKeeper cannot say who may be heard: %s", err->text);
        ask_refuse(job, &detached);
        return;
    }
    struct fence_witness witness = {true, tree, has_original};
    admit(job, &witness);
}

static void ask_witness(struct pod *pod, struct job *job) {
    struct witness_call *call = xnew(struct witness_call);
    call->job = job;
    call->pod = pod;
    list_append(&pod->witnesses, &call->link);
    job->witness = call;
    pod->config.witness(witnessed, call, pod->config.arg);
}

static void say_no(const struct pod *pod, const struct job *job, enum fence_verdict verdict,
                   struct err *err) {
    switch (verdict) {
    case FENCE_STRANGER:
        err_set(err, ERR_STRANGER, "meant for pod %s, this is %s", job->request.target,
                pod->state->pod_id);
        return;
    case FENCE_FOREIGN:
        err_set(err, ERR_DETACHED, "epoch of another tree than ours");
        return;
    case FENCE_DETACHED:
        err_set(err, ERR_DETACHED, "detached: our own ZooKeeper session may be gone");
        return;
    default:
        if (job->request.scope == POD_ORIGINAL)
            err_set(err, ERR_FENCED, "no epoch, and the cluster has no original pod");
        else
            err_set(err, ERR_FENCED, "epoch %lld round %lld has spoken", // what the leader reads
                    (long long)pod->state->epoch, (long long)pod->state->round);
    }
}

static void admit(struct job *job, const struct fence_witness *witness) {
    struct pod *pod = job->pod;
    struct fence_mark mark = {pod->state->tree, pod->state->epoch, pod->state->round, pod->phase};
    struct err err = ERR_INIT;
    enum fence_verdict verdict = fence_judge(&mark, pod->state->pod_id, pod->attached, witness,
                                             &job->request);
    switch (verdict) {
    case FENCE_WITNESS:
        ask_witness(pod, job);
        return;
    case FENCE_AGAIN:
        admit_again(pod, job);
        return;
    case FENCE_RAISE:
        if (raise(pod, job, &err))
            break;
        __attribute__((fallthrough));
    case FENCE_PASS:
        if (ask_is_buried(job)) {
            ask_say_dead(&err);
            break;
        }
        ask_enqueue(pod, job);
        return;
    default:
        say_no(pod, job, verdict, &err);
        break;
    }
    ask_refuse(job, &err);
}

static void refuse_leaving(struct job *job) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY, "this sidecar is stopping");
    ask_refuse(job, &err);
}

struct pod_ask *pod_request(struct pod *pod, const struct pod_request *request, pod_reply_fn *fn,
                            void *arg) {
    static const struct fence_witness nobody = {0};
    struct job *job = job_create(pod, request);
    struct pod_ask *ask = ask_job(pod, job, request->budget_ms, fn, arg);
    if (pod->leaving)
        refuse_leaving(job);
    else
        admit(job, &nobody);
    return ask;
}
