#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// Who is heard: the verdict of fence.c carried out, before a request may wait for its turn.

enum {
    MAX_LEADER = 1 << 20,
    HELD_MIB = 16, // of bodies, of whoever waits and of the one whose turn it is
};

static void admit(struct job *job, const struct fence_witness *witness);

static bool is_same(const struct job *a, const struct job *b) {
    return a->request.scope == POD_LEADER && a->request.task == b->request.task &&
           a->request.epoch == b->request.epoch && a->request.round == b->request.round &&
           strcmp(a->digest, b->digest) == 0;
}

// The same thing asked before and not answered yet. The job itself has no turn so far.
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

// The highest phase of the present round that has begun or waits for its turn: what comes a second
// time meanwhile is no less a second time.
static int phase_reached(const struct pod *pod) {
    int reached = pod->phase;
    const struct job *job;
    list_each(job, &pod->queue, struct job, link) {
        int phase = fence_phase(job->request.task);
        bool present = job->request.epoch == pod->state->epoch &&
                       job->request.round == pod->state->round;
        if (job->request.scope == POD_LEADER && present && phase > reached)
            reached = phase;
    }
    return reached;
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

static void drop_others(struct pod *pod) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_FENCED, "another leader has spoken");
    struct job *job;
    list_each(job, &pod->queue, struct job, link) {
        if (job->request.scope == POD_LEADER && job->request.epoch != pod->state->epoch)
            ask_refuse(job, &err);
    }
}

// Kept durably before anything else: no older leader is obeyed after this, also not after a crash,
// unless ZooKeeper itself has gone back.
// What cannot be kept is not raised: the same request must not pass when it comes again.
static int raise(struct pod *pod, const char *tree, int64_t epoch, int64_t round, struct err *err) {
    struct state *state = pod->state;
    auto_free char *old_tree = xstrdup(state->tree);
    int64_t old_epoch = state->epoch, old_round = state->round;
    bool same_tree = strcmp(old_tree, tree) == 0, old_rolled = state->rolled;
    state_set(&state->tree, tree);
    state->epoch = epoch;
    state->round = round;
    state->rolled = false;
    if (state_save(state, err)) {
        state_set(&state->tree, old_tree);
        state->epoch = old_epoch;
        state->round = old_round;
        state->rolled = old_rolled;
        return -1;
    }
    pod->phase = -1;
    ask_forget_recorded(pod);
    if (!same_tree)
        log_info("pod %s follows tree=%s", pod->config.full_name, state->tree);
    drop_others(pod);
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
    } else if (phase == 0 && phase_reached(pod) == 0) {
        ask_enqueue(pod, job);
    } else {
        err_set(&err, ERR_FENCED, "%s of round %lld came before, with another body",
                pod_task_names[job->request.task], (long long)job->request.round);
        ask_refuse(job, &err);
    }
}

// ---- what ZooKeeper says ----

// A leader that we have not heard of may have led a round without us, or ours a newer one.
static int confirm(struct pod *pod, const struct witness_call *call,
                   const struct fence_witness *said, struct err *err) {
    const struct state *state = pod->state;
    struct fence_mark mark = pod_mark(pod);
    bool other = strcmp(said->tree, state->tree) != 0;
    bool newer = said->epoch > state->epoch ||
                 (said->epoch == state->epoch && (other || said->round > state->round)) ||
                 (other && fence_is_younger(&mark, said));
    if (said->epoch && newer && raise(pod, said->tree, said->epoch, said->round, err))
        return -1;
    pod->confirmed = call->attachment;
    return 0;
}

static void witnessed(struct witness_call *call, const struct fence_witness *said,
                      const struct err *failure) {
    struct job *job = call->job;
    struct err err = ERR_INIT;
    list_remove(&call->link);
    if (job)
        job->witness = NULL;
    if (failure->kind != ERR_NONE)
        err_set(&err, ERR_DETACHED, "ZooKeeper cannot say who may be heard: %s", failure->text);
    else if (job && job->request.scope == POD_LEADER)
        (void)confirm(call->pod, call, said, &err);
    free(call);
    if (job && err.kind != ERR_NONE)
        ask_refuse(job, &err);
    else if (job)
        admit(job, said);
}

static void on_witness(const char *tree, bool has_original, const struct err *err, void *arg) {
    struct fence_witness said = {.asked = true, .tree = tree, .has_original = has_original};
    witnessed(arg, &said, err);
}

// A leader writes it before it asks anything of anybody. What does not say who leads is no
// leader's: then the tree alone is asked for, or rounds would wait until somebody else leads.
static void on_leader(const char *data, size_t len, int64_t written, const struct err *err,
                      void *arg) {
    struct witness_call *call = arg;
    auto_json json_t *record = err->kind == ERR_NONE && len
                                   ? json_read(data, len, MAX_LEADER, "/leader", NULL)
                                   : NULL;
    json_int_t epoch = json_integer_value(json_object_get(record, "epoch"));
    json_int_t round = json_integer_value(json_object_get(record, "round"));
    struct fence_witness said = {.asked = true,
                                 .tree = json_text(record, "tree"),
                                 .epoch = epoch > 0 ? epoch : 0,
                                 .round = round > 0 ? round : 0,
                                 .written = written};
    bool says = said.epoch && *said.tree;
    if (call->job && !says && (err->kind == ERR_NONE || err->kind == ERR_ABSENT))
        call->pod->config.witness(on_witness, call, call->pod->config.arg);
    else
        witnessed(call, &said, err);
}

static void ask_witness(struct pod *pod, struct job *job) {
    struct witness_call *call = xnew(struct witness_call);
    call->job = job;
    call->pod = pod;
    call->attachment = pod->attachment;
    list_append(&pod->witnesses, &call->link);
    job->witness = call;
    if (job->request.scope == POD_LEADER)
        pod->config.read_leader(on_leader, call, pod->config.arg);
    else
        pod->config.witness(on_witness, call, pod->config.arg);
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
    case FENCE_NOBODY:
        err_set(err, ERR_DETACHED, "epoch %lld is no leader's, as ZooKeeper says",
                (long long)job->request.epoch);
        return;
    case FENCE_DETACHED:
        ask_say_detached(err);
        return;
    default:
        if (job->request.scope == POD_ORIGINAL)
            err_set(err, ERR_FENCED, "no epoch, and the cluster has no original pod");
        else
            ask_say_overtaken(pod, err);
    }
}

static void admit(struct job *job, const struct fence_witness *witness) {
    struct pod *pod = job->pod;
    struct fence_mark mark = pod_mark(pod);
    mark.phase = phase_reached(pod);
    struct err err = ERR_INIT;
    enum fence_verdict verdict = fence_judge(&mark, pod->state->pod_id, pod_is_attached(pod),
                                             witness, &job->request);
    switch (verdict) {
    case FENCE_WITNESS:
        ask_witness(pod, job);
        return;
    case FENCE_AGAIN:
        admit_again(pod, job);
        return;
    case FENCE_LOWER:
        log_err("pod %s has followed epoch %lld, and ZooKeeper knows of %lld as the last: it was "
                "restored from a backup or set up anew; followed is %lld",
                pod->config.full_name, (long long)pod->state->epoch, (long long)witness->epoch,
                (long long)job->request.epoch);
        __attribute__((fallthrough));
    case FENCE_RAISE:
        if (raise(pod, job->request.tree, job->request.epoch, job->request.round, &err))
            break;
        __attribute__((fallthrough));
    case FENCE_PASS:
        if (ask_is_buried(job)) {
            ask_say_dead(&err);
            break;
        }
        if (job->request.scope == POD_LEADER && fence_phase(job->request.task) >= 0)
            ask_is_first(job);
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

// The control port's room for bodies is given back as soon as they are here. One alone always has
// room, and so has what has no body, as an operator's.
static bool has_room(const struct job *job) {
    size_t len = job->request.body_len, held = job->pod->held;
    return !len || held == len || held <= (size_t)HELD_MIB << 20;
}

static void refuse_for_room(struct job *job) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY, "requests that wait hold the %d MiB of bodies that they may",
            HELD_MIB);
    ask_refuse(job, &err);
}

struct pod_ask *pod_request(struct pod *pod, const struct pod_request *request, pod_reply_fn *fn,
                            void *arg) {
    static const struct fence_witness nobody = {0};
    struct job *job = job_create(pod, request);
    struct pod_ask *ask = ask_job(pod, job, request->budget_ms, request->ret_first, fn, arg);
    if (pod->leaving)
        refuse_leaving(job);
    else if (!has_room(job))
        refuse_for_room(job);
    else
        admit(job, &nobody);
    return ask;
}
