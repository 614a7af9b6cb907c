#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/reference.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// From a body to a proposal: at once where the body is whole, by a look at ZooKeeper where it
// refers to /proposal. What is read there is taken only if it is what the leader meant, so nothing
// that was written since, or by somebody else, can slip in under a request that was checked.

struct referring { // outlives its run: the answer cannot be called off
    struct run *run;
    struct pod *pod;
    struct reference *reference;
    struct cluster *cluster; // what was read
    bool fresh, reading;
};

static void on_read(const char *data, size_t len, int64_t written, const struct err *err,
                    void *arg);

static void referring_free(struct referring *f) {
    reference_free(f->reference);
    cluster_free(f->cluster);
    free(f);
}

void refer_cancel(struct referring **slot) {
    if (!*slot)
        return;
    struct referring *f = take_ptr(*slot);
    f->run = NULL;
    if (!f->reading) // else freed by its answer
        referring_free(f);
}

static void fail(struct run *run, enum err_kind kind, const char *why) {
    struct err err = ERR_INIT;
    err_set(&err, kind, "%s", why);
    run_fail(run, &err);
}

static void look(struct referring *f, bool fresh) {
    f->fresh = fresh;
    f->reading = true;
    f->pod->config.read_proposal(fresh, on_read, f, f->pod->config.arg);
}

static void end(struct referring *f, const struct err *err) {
    struct run *run = f->run;
    run->referring = NULL;
    referring_free(f);
    if (err->kind == ERR_NONE)
        run_next(run);
    else if (err->kind == ERR_RETRY || err->kind == ERR_DETACHED)
        fail(run, ERR_DETACHED, "the proposal cannot be read: ZooKeeper is out of reach");
    else if (err->kind == ERR_STRANGER)
        run_fail(run, err);
    else
        fail(run, ERR_REFUSED, err->text);
}

static void go_on(void *arg) {
    static const struct err good = ERR_INIT;
    end(arg, &good);
}

// Reading, what is made of it, and rendering take a turn each: of a thousand pods each takes its
// time, and others wait to be answered.
static void make(void *arg) {
    struct referring *f = arg;
    struct job *job = job_of(f->run);
    struct err err = ERR_INIT;
    if (proposal_make(f->pod, take_ptr(f->cluster), f->reference->key, f->reference->hash,
                      job->digest, &job->proposal, &err))
        end(f, &err);
    else
        loop_timer_start(f->pod->loop, &f->run->timer, 0, go_on, f);
}

static void on_read(const char *data, size_t len, int64_t written, const struct err *read_err,
                    void *arg) {
    (void)written;
    struct referring *f = arg;
    struct err err = *read_err;
    if (!f->run) {
        referring_free(f);
        return;
    }
    f->reading = false;
    if (err.kind == ERR_NONE)
        (void)!reference_resolve(f->reference, data, len, &f->cluster, &err);
    // A server that lags behind the leader's: asked once more, after it has caught up.
    if (err.kind == ERR_ABSENT && !f->fresh)
        look(f, true);
    else if (err.kind != ERR_NONE)
        end(f, &err);
    else
        loop_timer_start(f->pod->loop, &f->run->timer, 0, make, f);
}

static bool is_meant(const struct job *job, const struct reference *r) {
    return job->request.scope == POD_LEADER && job->request.epoch == r->epoch &&
           job->request.round == r->round;
}

static void follow(struct run *run, struct reference *r) {
    struct referring *f = xnew(struct referring);
    *f = (struct referring){.run = run, .pod = run->pod, .reference = r};
    run->referring = f;
    look(f, false);
}

void refer_body(struct run *run) {
    struct job *job = job_of(run);
    const char *body = job->request.body;
    size_t len = job->request.body_len;
    struct reference *r = NULL;
    struct err err = ERR_INIT;
    proposal_free(job->proposal);
    job->proposal = NULL;
    if (len && reference_read(body, len, &r, &err)) {
        fail(run, ERR_REFUSED, err.text);
    } else if (r && !is_meant(job, r)) {
        reference_free(r);
        fail(run, ERR_REFUSED, "the body refers to the proposal of another round");
    } else if (r) {
        follow(run, r);
    } else if (proposal_read(run->pod, body, len, &job->proposal, &err)) {
        run_fail(run, &err);
    } else {
        run_next(run);
    }
}
