// The invariants of the protocol: S1 S2 S4 S5 S8 S10 S11, from what pods were asked, what they
// began and what they answered.
#include "base/check.h"
#include "base/own.h"
#include "tests/fake/zk_inside.h"
#include "tests/sim/sim.h"
#include <string.h>

static unsigned bit(const struct host *h) {
    return 1u << h->index;
}

static struct proposal_seen *find(int64_t epoch, int64_t round) {
    struct proposal_seen *p = sim->proposals;
    while (p && (p->epoch != epoch || p->round != round))
        p = p->next;
    return p;
}

static const char *name_of(const struct job *job) {
    return pod_task_names[job->request.task];
}

// ---- asked and answered ----

void check_asked(struct host *h, const char *task, int64_t epoch, int64_t round, int64_t sent) {
    struct asked *a = &h->asked[h->asked_n++ % ASKED_KEPT];
    *a = (struct asked){.epoch = epoch, .round = round, .at = sent};
    snprintf(a->task, sizeof a->task, "%s", task);
}

// From here on no older leader may touch who is listed.
static void phase_over(const struct proposal_seen *p) {
    if (p->epoch < sim->finished_epoch)
        return;
    sim->finished_epoch = p->epoch;
    sim->finished_listed = p->listed;
    for (int i = 0; i < HOSTS; i++) {
        const struct host *h = &sim->hosts[i];
        const struct job *job = h->job;
        if (!(p->listed & bit(h)) || !job || job->request.scope != POD_LEADER)
            continue;
        bool touches = job->request.task == POD_ON || job->request.task == POD_OFF;
        if (touches && job->request.epoch < p->epoch)
            violate("S2", "%s still carries out %s of epoch %lld, all have answered check of %lld",
                    h->name, name_of(job), (long long)job->request.epoch, (long long)p->epoch);
    }
}

void check_answered(struct host *h, const char *task, int64_t epoch, int64_t round, int status) {
    note("%s %s %lld %lld -> %d", h->name, task, (long long)epoch, (long long)round, status);
    sim->total.fenced += status == 412;
    sim->total.detached += status == 409;
    if (status == 200 && sim->armed)
        nemesis_armed(task);
    struct proposal_seen *p = find(epoch, round);
    if (!p || strcmp(task, "check") != 0 || (status != 200 && status != 410))
        return;
    bool before = (p->answered & p->listed) == p->listed;
    p->answered |= bit(h);
    if (!before && (p->answered & p->listed) == p->listed)
        phase_over(p);
}

// ---- begun ----

static void check_budget(struct host *h, const struct job *job) {
    const char *task = name_of(job);
    int64_t at = -1;
    for (int i = 0; i < ASKED_KEPT; i++) {
        const struct asked *a = &h->asked[i];
        if (strcmp(a->task, task) == 0 && a->epoch == job->request.epoch &&
            a->round == job->request.round && a->at > at)
            at = a->at;
    }
    note("%s waited %lld ms", h->name, (long long)(world_now() - at));
    if (at < 0 || world_now() - at > sim->grace + sim->round_trip)
        violate("S10", "%s begins %s %lld %lld ms after it was sent", h->name, task,
                (long long)job->request.round, (long long)(at < 0 ? -1 : world_now() - at));
}

static void check_once(struct host *h, const struct job *job) {
    for (int i = 0; i < ASKED_KEPT; i++) {
        const struct asked *a = &h->done[i];
        if (a->at == h->incarnation && strcmp(a->task, name_of(job)) == 0 &&
            a->epoch == job->request.epoch && a->round == job->request.round)
            violate("S11", "%s carries out %s of %lld/%lld once more", h->name, a->task,
                    (long long)a->epoch, (long long)a->round);
    }
    struct asked *a = &h->done[h->done_n++ % ASKED_KEPT];
    *a = (struct asked){
        .epoch = job->request.epoch, .round = job->request.round, .at = h->incarnation};
    snprintf(a->task, sizeof a->task, "%s", name_of(job));
}

static void check_epoch(struct host *h, const struct job *job) {
    struct truth *t = &h->truth;
    if (strcmp(t->tree, job->request.tree) != 0) {
        snprintf(t->tree, sizeof t->tree, "%s", job->request.tree);
        t->max_epoch = 0;
    }
    if (job->request.epoch < t->max_epoch)
        violate("S1", "%s begins %s of epoch %lld, it has begun a check of %lld", h->name,
                name_of(job), (long long)job->request.epoch, (long long)t->max_epoch);
    if (job->request.task == POD_CHECK && job->request.epoch > t->max_epoch)
        t->max_epoch = job->request.epoch;
}

static void check_leader(const struct host *h, const struct job *job,
                         const struct proposal_seen *p) {
    if (!p || (p->answered & p->listed) != p->listed)
        violate("S4", "%s begins %s of %lld/%lld, not all have answered its check", h->name,
                name_of(job), (long long)job->request.epoch, (long long)job->request.round);
    if (sim->finished_listed & bit(h) && job->request.epoch < sim->finished_epoch)
        violate("S2", "%s begins %s of epoch %lld, all have answered check of %lld", h->name,
                name_of(job), (long long)job->request.epoch, (long long)sim->finished_epoch);
    const struct zk *zk = worker_zk(h->worker);
    if (!zk || zk_silence(zk) >= SESSION_MS * 2 / 3)
        violate("S2", "%s begins %s %lld ms after its last contact with ZooKeeper", h->name,
                name_of(job), (long long)(zk ? zk_silence(zk) : -1));
}

static void check_order(const struct host *h, const struct job *job, struct proposal_seen *p) {
    if (!sim->sequential || job->request.task != POD_ON || !p)
        return;
    unsigned others = p->on_begun & ~bit(h);
    if (others & ~p->on_done || (p->failed_on && others))
        violate("S5", "%s begins on of %lld/%lld while another one's is under way or has failed",
                h->name, (long long)job->request.epoch, (long long)job->request.round);
    p->on_begun |= bit(h);
}

// By our hand alone: not by itself, by an operator or a stranger, for its health, or because its
// sidecar's container went or was told to.
static bool is_down_by_us(const struct host *h) {
    const struct truth *t = &h->truth;
    const struct pod *pod = h->worker ? worker_pod(h->worker) : NULL;
    bool unwanted = t->off || t->dead || (pod && (pod->state->off || pod->state->dead));
    bool leaves = !h->in || (pod && pod->leaving);
    bool stopped = t->running ? t->dying : t->stopped_by_us;
    bool otherwise = t->causes & ~(unsigned)CAUSE_INTERRUPTED;
    return *t->container && stopped && !unwanted && !leaves && !otherwise;
}

// What truly runs, whichever round stopped it: a roll takes nobody down beside one that is down.
// Who has left the cluster is not in the round, and not waited for.
void check_spared(const struct host *h) {
    const struct job *job = h->job;
    if (!sim->sequential || sim->full_shutdown || !job || job->request.task != POD_ON ||
        job->request.scope != POD_LEADER)
        return;
    const struct proposal_seen *p = find(job->request.epoch, job->request.round);
    for (int i = 0; i < HOSTS; i++) {
        const struct host *other = &sim->hosts[i];
        if (p && other != h && p->listed & bit(other) && is_down_by_us(other))
            violate("S5", "%s is stopped by on of %lld/%lld, %s of the same round is down by us",
                    h->name, (long long)job->request.epoch, (long long)job->request.round,
                    other->name);
    }
}

// The lease: ZooKeeper may have given our lock to another one.
void check_sends(const struct host *h, const char *task) {
    const struct zk *zk = worker_zk(h->worker);
    if (!zk || zk_silence(zk) >= SESSION_MS * 2 / 3)
        violate("S2", "%s sends %s %lld ms after its last contact with ZooKeeper", h->name, task,
                (long long)(zk ? zk_silence(zk) : -1));
}

static void note_operator(struct host *h, const struct job *job) {
    h->truth.causes |= CAUSE_OPERATOR;
    if (job->request.task == POD_ON)
        h->truth.off = false;
}

void check_begun(struct host *h, const struct job *job) {
    sim->total.steps++;
    note("%s begins %s %lld %lld scope %d", h->name, name_of(job), (long long)job->request.epoch,
         (long long)job->request.round, (int)job->request.scope);
    if (job->request.scope != POD_LEADER) {
        note_operator(h, job);
        return;
    }
    struct proposal_seen *p = find(job->request.epoch, job->request.round);
    check_epoch(h, job);
    check_budget(h, job);
    check_once(h, job);
    if (job->request.task == POD_ON || job->request.task == POD_OFF)
        check_leader(h, job, p);
    check_order(h, job, p);
}

void check_ended(struct host *h, const struct job *job, const struct err *err) {
    struct proposal_seen *p = find(job->request.epoch, job->request.round);
    bool good = err->kind == ERR_NONE;
    note("%s ends %s %lld %lld %s", h->name, name_of(job), (long long)job->request.epoch,
         (long long)job->request.round, err_kind_name(err->kind));
    if (job->request.task == POD_OFF && job->request.scope == POD_OPERATOR && good)
        h->truth.off = true;
    if (job->request.task != POD_ON)
        return;
    if (!good)
        h->truth.causes |= CAUSE_INTERRUPTED;
    if (!p)
        return;
    if (good)
        p->on_done |= bit(h);
    else
        p->failed_on = true;
}

// ---- after each turn of a worker ----

// The state directory is what makes a pod: another id, or a mark that went back, is a state that
// was not kept.
void check_boot(struct host *h) {
    const struct state *state = worker_pod(h->worker)->state;
    struct truth *t = &h->truth;
    if (*t->pod_id && strcmp(t->pod_id, state->pod_id) != 0)
        violate("S12", "%s was %s and is %s", h->name, t->pod_id, state->pod_id);
    if (strcmp(t->tree, state->tree) == 0 && state->epoch < t->max_epoch)
        violate("S1", "%s remembers epoch %lld, it has begun a check of %lld", h->name,
                (long long)state->epoch, (long long)t->max_epoch);
    snprintf(t->pod_id, sizeof t->pod_id, "%s", state->pod_id);
}

// Its check was not answered in time: an engine that is slow is enough.
void check_failing(struct host *h) {
    if (h->worker && worker_pod(h->worker)->at == POD_FAILING)
        h->truth.causes |= CAUSE_UNHEALTHY;
}

void check_turn(struct host *h) {
    if (!h->worker)
        return;
    const struct state *state = worker_pod(h->worker)->state;
    check_failing(h);
    if (state->dead && !h->truth.dead) {
        note("%s is dead", h->name);
        sim->total.dead++;
        if (!state->killed && !h->truth.clean_exit)
            violate("S8", "%s is done, its workload has not ended by itself with 0", h->name);
    }
    h->truth.dead = state->dead;
}
