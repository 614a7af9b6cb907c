#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/digest.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

const char *const pod_task_names[POD_TASKS] = {
    [POD_CHECK] = "check", [POD_ON] = "on",     [POD_OFF] = "off",
    [POD_OK] = "ok",       [POD_KILL] = "kill", [POD_SIGNAL] = "signal",
};

struct pod_ask {
    struct link link; // of job->asks, or of itself when it has none
    struct pod *pod;
    struct job *job; // NULL: answered in the next turn
    int64_t deadline;
    struct loop_timer *timer;
    struct err err;
    json_t *answer;
    bool *ret_first;
    pod_reply_fn *fn;
    void *arg;
};

static void pump_soon(struct pod *pod);

// ---- asks ----

static void ask_free(struct pod_ask *ask) {
    list_remove(&ask->link);
    loop_timer_stop(&ask->timer);
    json_decref(ask->answer);
    free(ask);
}

static void ask_reply(struct pod_ask *ask, const json_t *answer, const struct err *err) {
    pod_reply_fn *fn = ask->fn;
    void *arg = ask->arg;
    ask_free(ask);
    fn(answer, err, arg);
}

void job_free(struct job *job) {
    list_remove(&job->link);
    if (job->witness)
        job->witness->job = NULL;
    run_cancel(&job->run);
    proposal_free(job->proposal);
    tool_free(job->tool);
    json_decref(job->answer);
    job->pod->held -= job->request.body_len;
    free((char *)job->request.body);
    free((char *)job->request.target);
    free((char *)job->request.tree);
    free(job);
}

static const char *name_of(const struct job *job) {
    return job->tool ? "tool" : pod_task_names[job->request.task];
}

// Not begun and nobody waits for it: it is never begun.
static void job_abandon(struct job *job) {
    if (!job->begun && list_empty(&job->asks))
        job_free(job);
}

static void ask_overdue(void *arg) {
    struct pod_ask *ask = arg;
    struct job *job = ask->job;
    struct err err = ERR_INIT;
    err_set(&err, ERR_TIMEOUT,
            job->begun ? "%s goes on beyond its time; ask again to wait for it"
                       : "%s was not begun within its time",
            name_of(job));
    ask_reply(ask, NULL, &err);
    job_abandon(job);
}

static void ask_later(void *arg) {
    struct pod_ask *ask = arg;
    struct err err = ask->err;
    auto_json json_t *answer = json_incref(ask->answer);
    ask_reply(ask, answer, &err);
}

// Leaves its job and is answered in the next turn.
static void ask_answer(struct pod_ask *ask, const json_t *answer, const struct err *err) {
    list_remove(&ask->link);
    list_append(&ask->pod->answered, &ask->link);
    ask->job = NULL;
    ask->err = *err;
    ask->answer = answer ? json_incref((json_t *)answer) : NULL;
    loop_timer_start(ask->pod->loop, &ask->timer, 0, ask_later, ask);
}

static struct pod_ask *ask_create(struct pod *pod, int64_t budget_ms, pod_reply_fn *fn, void *arg) {
    struct pod_ask *ask = xnew(struct pod_ask);
    ask->pod = pod;
    ask->fn = fn;
    ask->arg = arg;
    ask->deadline = loop_now(pod->loop) + budget_ms;
    list_init(&ask->link);
    return ask;
}

void ask_attach(struct pod_ask *ask, struct job *job) {
    int64_t left = ask->deadline - loop_now(ask->pod->loop);
    ask->job = job;
    list_remove(&ask->link);
    list_append(&job->asks, &ask->link);
    loop_timer_start(ask->pod->loop, &ask->timer, left > 0 ? left : 0, ask_overdue, ask);
}

void pod_forget(struct pod_ask **slot) {
    if (!*slot)
        return;
    struct pod_ask *ask = take_ptr(*slot);
    struct job *job = ask->job;
    ask_free(ask);
    if (job)
        job_abandon(job);
}

struct pod_ask *ask_first(struct job *job) {
    return list_empty(&job->asks) ? NULL : list_first(&job->asks, struct pod_ask, link);
}

// Its asks are its own so far: who asks the same again joins later.
void ask_is_first(struct job *job) {
    struct pod_ask *ask;
    list_each(ask, &job->asks, struct pod_ask, link) {
        if (ask->ret_first)
            *ask->ret_first = true;
    }
}

void ask_answer_all(struct job *job, const json_t *answer, const struct err *err) {
    struct pod_ask *ask;
    list_each(ask, &job->asks, struct pod_ask, link) {
        ask_answer(ask, answer, err);
    }
}

// ---- jobs ----

// As long as it was said to be, also where it holds a NUL: whoever reads it goes by its length.
static char *copy_of(const char *body, size_t len) {
    char *copy = xcalloc(len + 1, 1);
    memcpy(copy, body, len);
    return copy;
}

struct job *job_create(struct pod *pod, const struct pod_request *request) {
    struct job *job = xnew(struct job);
    list_init(&job->link);
    list_init(&job->asks);
    job->pod = pod;
    job->request = *request;
    job->request.ret_first = NULL; // the asker's, who may leave before
    job->request.body = request->body ? copy_of(request->body, request->body_len) : NULL;
    job->request.target = request->target ? xstrdup(request->target) : NULL;
    job->request.tree = request->tree ? xstrdup(request->tree) : NULL;
    pod->held += request->body_len;
    if (request->body_len)
        digest_hex(request->body, request->body_len, job->digest);
    return job;
}

void ask_refuse(struct job *job, const struct err *err) {
    ask_answer_all(job, NULL, err);
    job_free(job);
}

static void record(struct pod *pod, const struct job *job, const struct err *err) {
    int phase = fence_phase(job->request.task);
    if (job->request.scope != POD_LEADER || phase < 0 || job->request.epoch != pod->state->epoch ||
        job->request.round != pod->state->round)
        return;
    struct recorded *r = &pod->recorded[phase];
    json_decref(r->answer);
    *r = (struct recorded){.set = true, .err = *err, .answer = json_incref(job->answer)};
    snprintf(r->digest, sizeof r->digest, "%s", job->digest);
}

static void log_done(const struct job *job, const struct err *err) {
    const struct pod *pod = job->pod;
    const char *task = name_of(job);
    if (err->kind == ERR_NONE)
        log_info("pod %s#%lld task=%s round=%lld done", pod->config.full_name,
                 (long long)pod->state->seq, task, (long long)job->request.round);
    else
        log_warn("pod %s#%lld task=%s round=%lld code=%s reason=\"%s\"", pod->config.full_name,
                 (long long)pod->state->seq, task, (long long)job->request.round,
                 err_kind_name(err->kind), err->text);
}

static void job_done(struct run *run, const struct err *err) {
    struct job *job = job_of(run);
    struct pod *pod = job->pod;
    pod->active = NULL;
    if (pod->swapping)
        pod_swap_over(pod);
    if (job->proposal) // refused, or all is as it was: what is still staged comes into force never
        proposal_discard(pod, job->proposal);
    log_done(job, err);
    record(pod, job, err);
    ask_answer_all(job, job->answer, err);
    job_free(job);
    pump_soon(pod);
    pod_changed(pod);
}

static const struct step *script_of(const struct job *job) {
    switch (job->request.task) {
    case POD_CHECK:
        return check_script();
    case POD_ON:
        return on_script();
    case POD_OFF:
        return off_script();
    case POD_OK:
        return ok_script();
    case POD_KILL:
        return kill_script();
    default:
        return signal_script();
    }
}

// A tool is nobody's turn: it may take long, and control must not wait for it.
static void tool_done(struct run *run, const struct err *err) {
    struct job *job = job_of(run);
    log_done(job, err);
    ask_answer_all(job, job->answer, err);
    job_free(job);
}

void ask_run_tool(struct pod *pod, struct job *job) {
    job->begun = true;
    list_append(&pod->tools, &job->link);
    run_start(&job->run, pod, tool_script(), tool_done);
}

// Dead answers everybody but an operator who wakes it, or who asks once more for an end that has
// not come.
bool ask_is_buried(const struct job *job) {
    const struct pod *pod = job->pod;
    enum pod_task task = job->request.task;
    bool heard = task == POD_ON || (task == POD_KILL && pod->at != POD_DEAD);
    return pod->state->dead && !(heard && job->request.scope == POD_OPERATOR);
}

void ask_say_dead(struct err *err) {
    err_set(err, ERR_GONE, "the pod is dead; an operator's on wakes it");
}

void ask_say_detached(struct err *err) {
    err_set(err, ERR_DETACHED, "detached: our own ZooKeeper session may be gone");
}

void ask_say_overtaken(const struct pod *pod, struct err *err) {
    err_set(err, ERR_FENCED, "epoch %lld round %lld has spoken", // what the leader reads
            (long long)pod->state->epoch, (long long)pod->state->round);
}

// Since it was heard the session may have gone, and with it whoever sent this; or a newer round, or
// a later phase, has been begun.
static bool may_still(const struct job *job, struct err *err) {
    const struct pod *pod = job->pod;
    struct fence_mark mark = pod_mark(pod);
    if (job->request.scope == POD_OPERATOR)
        return true;
    if (!pod_is_attached(pod) || (job->request.scope == POD_LEADER && !mark.confirmed))
        ask_say_detached(err);
    else if (job->request.scope == POD_LEADER && !fence_still(&mark, &job->request))
        ask_say_overtaken(pod, err);
    return err->kind == ERR_NONE;
}

static bool in_time(struct job *job) {
    struct pod_ask *ask;
    int64_t now = loop_now(job->pod->loop);
    list_each(ask, &job->asks, struct pod_ask, link) {
        if (ask->deadline > now)
            return true;
    }
    return false;
}

static void begin(struct pod *pod, struct job *job) {
    struct err err = ERR_INIT;
    list_remove(&job->link);
    if (ask_is_buried(job)) {
        ask_say_dead(&err);
        ask_refuse(job, &err);
        return;
    }
    if (!may_still(job, &err)) {
        ask_refuse(job, &err);
        return;
    }
    int phase = fence_phase(job->request.task);
    if (job->request.scope == POD_LEADER && phase > pod->phase)
        pod->phase = phase;
    job->begun = true;
    pod->active = job;
    run_start(&job->run, pod, script_of(job), job_done);
}

// Between two jobs there is a turn of the loop: whoever is answered may ask the next thing first.
static void pump(void *arg) {
    struct pod *pod = arg;
    while (!pod->active && !list_empty(&pod->queue) && !pod->leaving) {
        struct job *job = list_first(&pod->queue, struct job, link);
        if (in_time(job)) {
            begin(pod, job);
            continue;
        }
        struct err err = ERR_INIT;
        err_set(&err, ERR_TIMEOUT, "%s was not begun within its time", name_of(job));
        ask_refuse(job, &err);
    }
}

static void pump_soon(struct pod *pod) {
    if (!pod->pump)
        loop_timer_start(pod->loop, &pod->pump, 0, pump, pod);
}

void ask_enqueue(struct pod *pod, struct job *job) {
    list_append(&pod->queue, &job->link);
    pump_soon(pod);
}

struct pod_ask *ask_job(struct pod *pod, struct job *job, int64_t budget_ms, bool *ret_first,
                        pod_reply_fn *fn, void *arg) {
    struct pod_ask *ask = ask_create(pod, budget_ms, fn, arg);
    ask->ret_first = ret_first;
    ask_attach(ask, job);
    return ask;
}

// ---- the end ----

void ask_close(struct pod *pod, const struct err *why) {
    struct witness_call *call;
    struct job *job;
    list_each(call, &pod->witnesses, struct witness_call, link) {
        if (call->job)
            ask_refuse(call->job, why);
        list_remove(&call->link); // freed by its answer, which may come after us
    }
    list_each(job, &pod->queue, struct job, link) {
        ask_refuse(job, why);
    }
    if (pod->active) {
        job = take_ptr(pod->active);
        ask_refuse(job, why);
    }
    list_each(job, &pod->tools, struct job, link) {
        ask_refuse(job, why);
    }
    loop_timer_stop(&pod->pump);
    ask_forget_recorded(pod);
}

void ask_drop(struct pod *pod) {
    struct pod_ask *ask;
    list_each(ask, &pod->answered, struct pod_ask, link) {
        ask_free(ask);
    }
}
