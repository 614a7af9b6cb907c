// The quiet phase: what must come to be once faults have stopped, within its bound. L1 to L9, and
// what must not happen any more.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/pod/place.h"
#include "tests/fake/docker_inside.h"
#include "tests/fake/zk_inside.h"
#include "tests/sim/sim.h"
#include <string.h>

enum {
    LEADER_MS = 12000,  // L1: two sessions, jitter, a boot
    SETTLED_MS = 75000, // L2: with what is left of a back-off (30 s of a workload, 60 s of rounds)
    OWNED_MS = 2500,    // L4
    RELISTED_MS = 5000, // L5
    IDLE_MS = 60000,    // L7
    NAMED_MS = 15000,   // L9: the budget of one check
};

#define NO(...) (snprintf(why, size, __VA_ARGS__), false)

static struct host *leader(void) {
    struct host *found = NULL;
    int n = 0;
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        if (h->worker && worker_leads(h->worker)) {
            found = h;
            n++;
        }
    }
    return n == 1 ? found : NULL;
}

static char *data_of(const char *name) {
    auto_free char *path = xasprintf(SIM_ROOT "/%s", name);
    const char *data = fake_zk_data(sim->zk, path);
    return xstrdup(data ? data : "");
}

static size_t nodes_of(const char *id) {
    char **names = fake_zk_children(sim->zk, SIM_ROOT "/pods");
    size_t n = 0;
    for (char **it = names; *it; it++)
        n += text_starts(*it, id);
    text_list_free(names);
    return n;
}

static bool is_well(struct host *h, const char *hash, const json_t *snapshot, char *why,
                    size_t size) {
    if (!h->worker || !worker_attached(h->worker))
        return NO("%s is not attached", h->name);
    const struct pod *pod = worker_pod(h->worker);
    size_t nodes = nodes_of(pod->state->pod_id);
    if (nodes != 1)
        return NO("L3: %s is registered %zu times", h->name, nodes);
    if (!json_object_get(snapshot, pod->state->pod_id))
        return NO("L2: %s is not in the snapshot", h->name);
    if (strcmp(pod->state->hash, hash) != 0)
        return NO("L2: %s has not the hash of the cluster", h->name);
    if (pod->at != POD_RUNNING || !pod_ready(pod) || !h->truth.running)
        return NO("L5: %s is %s, %s", h->name, pod_state_name(pod->at),
                  pod_ready(pod) ? "ready" : "not ready");
    return true;
}

static bool is_whole(char *why, size_t size) {
    auto_free char *hash = data_of("hash");
    auto_free char *text = data_of("snapshot");
    auto_json json_t *snapshot = json_loads(text, 0, NULL);
    size_t in = 0;
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        if (!h->in)
            continue;
        if (h->truth.dead)
            continue;
        in++;
        if (!is_well(h, hash, snapshot, why, size))
            return false;
    }
    if (json_object_size(snapshot) != in)
        return NO("L2: the snapshot has %zu pods, there are %zu", json_object_size(snapshot), in);
    return true;
}

bool check_settled(char *why, size_t size) {
    const struct host *l = leader();
    if (!l)
        return NO("L1: not exactly one leads");
    if (strcmp(worker_state(l->worker), "leader") != 0)
        return NO("L2: %s: %s: %s", l->name, worker_state(l->worker), worker_status(l->worker));
    return is_whole(why, size);
}

static bool within(int64_t ms, bool (*cond)(char *why, size_t size), const char *id,
                   const char *what) {
    char why[512] = "";
    int64_t end = world_now() + ms;
    while (!cond(why, sizeof why)) {
        if (world_now() >= end) {
            violate(id, "%s: %s", what, why);
            return false;
        }
        world_run(50);
    }
    world_say("%s after %lld ms", what, (long long)(world_now() - end + ms));
    return true;
}

static bool has_leader(char *why, size_t size) {
    return leader() ? true : NO("not exactly one leads");
}

// ---- drills: one thing at a time, each with its bound ----

static struct host *someone(void) {
    struct host *h = &sim->hosts[chance_in(0, HOSTS - 1)];
    while (!h->in)
        h = &sim->hosts[(h->index + 1) % HOSTS];
    return h;
}

static struct host *drilled;

static bool owns(char *why, size_t size) {
    if (!drilled->worker)
        return NO("%s does not run", drilled->name);
    const struct pod *pod = worker_pod(drilled->worker);
    if (pod->at != POD_RUNNING || strcmp(pod->state->container, drilled->truth.container) != 0)
        return NO("%s is %s", drilled->name, pod_state_name(pod->at));
    return true;
}

static void drill_worker(void) {
    drilled = chance_of(50) && leader() ? leader() : someone();
    int before = sim->total.restarts, rounds = sim->total.rounds;
    world_say("drill: the worker of %s dies", drilled->name);
    host_crash(drilled, 100);
    within(OWNED_MS, owns, "L4", "the workload is owned again");
    within(SETTLED_MS, check_settled, "L2", "settled after a worker died");
    world_run(2 * SESSION_MS);
    within(SETTLED_MS, check_settled, "L2", "settled after a worker died");
    if (sim->total.restarts != before || sim->total.rounds != rounds)
        violate("S6", "a worker that died has cost %d restarts and %d rounds",
                sim->total.restarts - before, sim->total.rounds - rounds);
}

static void drill_engine(void) {
    drilled = someone();
    int before = sim->total.restarts;
    world_say("drill: the engine of %s goes and comes", drilled->name);
    fake_engine_down(drilled->engine, "drill");
    world_run(3000);
    fake_engine_up(drilled->engine);
    within(RELISTED_MS, owns, "L5", "the workload is owned again");
    within(SETTLED_MS, check_settled, "L2", "settled after an engine went");
    if (sim->total.restarts != before)
        violate("S6", "an engine that was away has cost a restart");
}

static void drill_leader(void) {
    int before = sim->total.restarts;
    struct host *l = leader();
    if (!l)
        return;
    world_say("drill: the leader %s stands still", l->name);
    host_pause(l, 3 * SESSION_MS);
    world_run(2 * SESSION_MS + 1000);
    world_run(3 * SESSION_MS);
    within(LEADER_MS, has_leader, "L1", "one leads");
    within(SETTLED_MS, check_settled, "L2", "settled after the leader stood still");
    (void)before;
}

static void drill_zk(void) {
    int before = sim->total.restarts, rounds = sim->total.rounds;
    world_say("drill: ZooKeeper is away for less than a session");
    fake_zk_down(sim->zk);
    world_run(SESSION_MS / 2);
    fake_zk_up(sim->zk);
    world_run(2000);
    within(SETTLED_MS, check_settled, "L2", "settled after ZooKeeper was away");
    if (sim->total.restarts != before || sim->total.rounds != rounds)
        violate("S6", "ZooKeeper away for a moment has cost %d restarts and %d rounds",
                sim->total.restarts - before, sim->total.rounds - rounds);
}

static int how_many(void) {
    int n = 0;
    for (int i = 0; i < HOSTS; i++)
        n += sim->hosts[i].in;
    return n;
}

// The others go on without it, and with it when it is woken. Of none nobody leads.
static void drill_dead(void) {
    drilled = someone();
    if (how_many() < 2)
        return;
    world_say("drill: %s is killed by an operator", drilled->name);
    drilled->truth.causes |= CAUSE_OPERATOR;
    net_operator(drilled, "kill");
    world_run(15000);
    within(SETTLED_MS, check_settled, "L2", "settled without the dead");
    auto_free char *text = data_of("snapshot");
    if (strstr(text, drilled->truth.pod_id))
        violate("L2", "%s is dead and stayed in the snapshot", drilled->name);
    nemesis_wake();
    world_run(10000);
    within(SETTLED_MS, check_settled, "L2", "settled with who was dead");
}

static bool is_named(char *why, size_t size) {
    const struct host *l = leader();
    auto_free char *label = xasprintf("app #%lld", (long long)drilled->truth.seq);
    const char *status = l ? worker_status(l->worker) : "";
    return strstr(status, label) ? true : NO("the status is \"%s\"", status);
}

// The record asks for a round; one pod cannot be reached.
static void drill_unreachable(void) {
    struct host *l = leader();
    drilled = someone();
    if (!l || drilled == l || !sim->depends)
        return;
    world_say("drill: %s cannot be reached", drilled->name);
    net_cut(l->index, drilled->index, true);
    nemesis_depend(10, 10 + (int)chance_in(4, 9));
    within(NAMED_MS, is_named, "L9", "the pod is named");
    net_cut(l->index, drilled->index, false);
    within(SETTLED_MS, check_settled, "L2", "settled after a pod could not be reached");
}

static void drill_idle(void) {
    int before = sim->total.restarts, rounds = sim->total.rounds, writes = fake_zk_writes(sim->zk);
    int requests = fake_zk_requests(sim->zk);
    world_run(IDLE_MS);
    if (sim->total.restarts != before || sim->total.rounds != rounds)
        violate("L7", "an idle cluster had %d restarts and %d rounds", sim->total.restarts - before,
                sim->total.rounds - rounds);
    requests = fake_zk_requests(sim->zk) - requests;
    if (requests > 2 * IDLE_MS / 1000 || fake_zk_writes(sim->zk) != writes)
        violate("L7", "an idle cluster made %d requests of ZooKeeper", requests);
    if (net_flying())
        violate("L8", "%d requests are under way in an idle cluster", net_flying());
    for (int i = 0; i < HOSTS; i++)
        if (sim->hosts[i].worker && fake_loop_timers(sim->hosts[i].loop) > 12)
            violate("L8", "%s has %zu timers", sim->hosts[i].name,
                    fake_loop_timers(sim->hosts[i].loop));
}

static bool has_sidecar(int engine) {
    for (int i = 0; i < HOSTS; i++)
        if (sim->hosts[i].in && sim->hosts[i].engine == sim->engines[engine])
            return true;
    return false;
}

// L6, S17: nothing runs that belongs to nobody.
static void check_orphans(void) {
    for (int i = 0; i < ENGINES; i++) {
        struct engine_container *c;
        list_each(c, engine_containers(sim->engines[i]->memory), struct engine_container, link) {
            const json_t *labels = json_object_get(c->config, "Labels");
            bool workload = strcmp(json_text(labels, LABEL_ROLE), "workload") == 0;
            const struct host *h = host_of_pod(json_text(labels, LABEL_POD));
            if (workload && c->status == ENGINE_RUNNING && (!h || !h->in))
                violate("L6", "%s runs and its pod is gone", c->name);
            const char *owner = json_text(labels, LABEL_OWNER);
            if (*owner && has_sidecar(i) && !engine_find(sim->engines[i]->memory, owner))
                violate("L6", "%s is there and its sidecar is gone", c->name);
        }
    }
}

static void settle_down(void) {
    nemesis_calm();
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        h->crash_in = 0;
        if (h->paused)
            h->resume_at = world_now();
    }
    sim->quiet = true;
    world_say("quiet");
    world_run(100);
    within(LEADER_MS, has_leader, "L1", "one leads");
    for (int i = 0; i < 20; i++) { // whoever ends up dead or off meanwhile is woken
        world_run(1000);
        nemesis_heal();
        nemesis_wake();
    }
}

void check_end(void) {
    static void (*const drills[])(void) = {drill_worker, drill_engine,      drill_leader,
                                           drill_zk,     drill_unreachable, drill_dead};
    settle_down();
    if (!within(SETTLED_MS, check_settled, "L2", "settled"))
        return;
    drill_idle();
    int first = (int)chance_in(0, 5);
    for (int i = 0; i < 2; i++)
        drills[(first + i) % 6]();
    check_orphans();
}
