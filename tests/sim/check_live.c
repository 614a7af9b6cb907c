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
    LEADER_MS = 2 * SESSION_MS + 1000, // L1
    SETTLED_MS = 15000,                // L2, and what a back-off takes meanwhile
    REGISTERED_MS = 3 * SESSION_MS,    // L3
    OWNED_MS = 2000,                   // L4
    RELISTED_MS = 5000,                // L5
    IDLE_MS = 60000,                   // L7
    BACK_OFF_MS = 60000,               // the longest that is allowed for
    STEADY_MS = 3000,                  // what holds so long is taken to stay so
    LOOK_MS = 50,
    AGAIN_MS = 5000, // an operator who is not obeyed says it once more
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

// ---- clocks ----

static void took(int id, int64_t ms) {
    if (ms > sim->total.slowest[id])
        sim->total.slowest[id] = (int)ms;
}

static bool within(int64_t ms, bool (*cond)(char *why, size_t size), int id, const char *what) {
    char why[512] = "", name[8];
    int64_t begun = world_now();
    snprintf(name, sizeof name, "L%d", id);
    while (!cond(why, sizeof why)) {
        if (world_now() >= begun + ms) {
            violate(name, "%s: %s", what, why);
            return false;
        }
        world_run(LOOK_MS);
    }
    took(id, world_now() - begun);
    world_say("%s after %lld ms", what, (long long)(world_now() - begun));
    return true;
}

static bool has_leader(char *why, size_t size) {
    return leader() ? true : NO("not exactly one leads");
}

static bool is_registered(char *why, size_t size) {
    for (int i = 0; i < HOSTS; i++) {
        const struct host *h = &sim->hosts[i];
        size_t nodes = h->in && !h->truth.dead ? nodes_of(h->truth.pod_id) : 1;
        if (nodes != 1)
            return NO("%s is registered %zu times", h->name, nodes);
    }
    return true;
}

// Somebody waits because something failed before: a round, or a workload.
static bool is_backing_off(void) {
    for (int i = 0; i < HOSTS; i++) {
        const struct host *h = &sim->hosts[i];
        if (!h->worker)
            continue;
        if (worker_pod(h->worker)->at == POD_WAITING)
            return true;
        if (world_now() < h->round_at && strstr(worker_state(h->worker), "pending"))
            return true;
    }
    return false;
}

// What must come to be once faults have stopped, and when it was seen not to be so last.
struct clock {
    int id;
    bool (*cond)(char *why, size_t size);
    int64_t bound, last;
};

static int64_t healed_at, excused;

static void heal_now(void) {
    healed_at = world_now();
    excused = 0;
}

// False: its time is over.
static bool look(struct clock *c, const char *what, bool *ret_holds) {
    char why[512] = "", name[8];
    int64_t ms = world_now() - healed_at, more = c->id == 2 ? excused : 0;
    *ret_holds = c->cond(why, sizeof why);
    if (*ret_holds)
        return true;
    c->last = ms - more + LOOK_MS;
    if (ms <= c->bound + more)
        return true;
    snprintf(name, sizeof name, "L%d", c->id);
    violate(name, "%s, %lld ms after the heal, %lld of them a back-off: %s", what, (long long)ms,
            (long long)more, why);
    return false;
}

// L1, L2 and L3, from the last heal_now() on: from its bound on each holds, and L2 only when all of
// them have held for a while. `also` is asked for now and then, and may set the clocks back.
static bool settle_with(const char *what, void (*also)(void)) {
    struct clock clocks[] = {{1, has_leader, LEADER_MS, 0},
                             {3, is_registered, REGISTERED_MS, 0},
                             {2, check_settled, SETTLED_MS, 0}};
    int64_t steady = world_now(), from = healed_at;
    while (world_now() - steady < STEADY_MS) {
        bool holds = false;
        if (also)
            also();
        if (healed_at != from)
            clocks[0].last = clocks[1].last = clocks[2].last = 0;
        from = healed_at;
        for (int i = 0; i < 3; i++)
            if (!look(&clocks[i], what, &holds))
                return false;
        if (!holds)
            steady = world_now();
        bool waits = is_backing_off();
        world_run(LOOK_MS);
        if (waits && excused < BACK_OFF_MS)
            excused += LOOK_MS;
    }
    for (int i = 0; i < 3; i++)
        took(clocks[i].id, clocks[i].last);
    world_say("%s: one leads after %lld ms, all are registered after %lld, settled after %lld and "
              "%lld of back-off",
              what, (long long)clocks[0].last, (long long)clocks[1].last, (long long)clocks[2].last,
              (long long)excused);
    return true;
}

static bool settle(const char *what) {
    return settle_with(what, NULL);
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

static int how_many(void) {
    int n = 0;
    for (int i = 0; i < HOSTS; i++)
        n += sim->hosts[i].in;
    return n;
}

static void drill_worker(void) {
    drilled = chance_of(50) && leader() ? leader() : someone();
    int before = sim->total.restarts, rounds = sim->total.rounds;
    world_say("drill: the worker of %s dies", drilled->name);
    host_crash(drilled, 100);
    heal_now();
    within(OWNED_MS, owns, 4, "the workload is owned again");
    settle("after a worker died");
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
    heal_now();
    within(RELISTED_MS, owns, 5, "the workload is owned again");
    settle("after an engine went");
    if (sim->total.restarts != before)
        violate("S6", "an engine that was away has cost a restart");
}

// Who stands still believes what it believed.
static bool another_leads(char *why, size_t size) {
    for (int i = 0; i < HOSTS; i++) {
        const struct host *h = &sim->hosts[i];
        if (h != drilled && h->worker && worker_leads(h->worker))
            return true;
    }
    return NO("no other leads");
}

static int64_t away;

static void watch_away(void) {
    if (!nodes_of(drilled->truth.pod_id))
        away += LOOK_MS;
}

// Another one leads. Who led and is back before the damper is over is missed by nobody: no round,
// no restart.
static void drill_leader(void) {
    enum { NO_LOCK, NO_SESSION, STILL, WAYS };
    static const char *const how[] = {"loses its lock", "loses its session", "stands still"};
    int before = sim->total.restarts, rounds = sim->total.rounds;
    int way = (int)chance_in(0, WAYS - 1);
    drilled = leader();
    if (!drilled || how_many() < 2)
        return;
    away = 0;
    world_say("drill: the leader %s %s", drilled->name, how[way]);
    if (way == NO_LOCK)
        nemesis_unlock();
    else if (way == NO_SESSION)
        fake_zk_expire(worker_zk(drilled->worker));
    else
        host_pause(drilled, 10 * LEADER_MS);
    heal_now();
    int64_t begun = world_now();
    within(LEADER_MS, another_leads, 1, "another one leads");
    if (way == STILL) {
        away = world_now() - begun;
        drilled->resume_at = world_now();
        heal_now();
    }
    settle_with("after another leader", watch_away);
    int cost = sim->total.restarts - before;
    rounds = sim->total.rounds - rounds;
    if (rounds > 2 || ((cost || rounds) && away < DAMPER_MS - 2 * LOOK_MS))
        violate("S6",
                "another leader has cost %d restarts and %d rounds, the old one was away for "
                "%lld ms",
                cost, rounds, (long long)away);
}

// For so long that its pod is left out: a round without it, and one with it again.
static void drill_leader_long(void) {
    int rounds = sim->total.rounds;
    struct host *l = leader();
    if (!l || how_many() < 2)
        return;
    world_say("drill: the leader %s stands still for long", l->name);
    host_pause(l, 5 * SESSION_MS);
    world_run(5 * SESSION_MS);
    heal_now();
    settle("after the leader stood still");
    if (sim->total.rounds > rounds + 2)
        violate("S6", "a leader that stood still has cost %d rounds", sim->total.rounds - rounds);
}

static void drill_zk(void) {
    int before = sim->total.restarts, rounds = sim->total.rounds;
    world_say("drill: ZooKeeper is away for less than a session");
    fake_zk_down(sim->zk);
    world_run(SESSION_MS / 2);
    fake_zk_up(sim->zk);
    heal_now();
    settle("after ZooKeeper was away");
    if (sim->total.restarts != before || sim->total.rounds != rounds)
        violate("S6", "ZooKeeper away for a moment has cost %d restarts and %d rounds",
                sim->total.restarts - before, sim->total.rounds - rounds);
}

// The others go on without it, and with it when it is woken. Of none nobody leads.
static void drill_dead(void) {
    drilled = someone();
    if (how_many() < 2)
        return;
    world_say("drill: %s is killed by an operator", drilled->name);
    drilled->truth.causes |= CAUSE_OPERATOR;
    net_operator(drilled, "kill");
    for (int i = 0; i < 100 && !drilled->truth.dead; i++)
        world_run(LOOK_MS);
    heal_now();
    settle("without the dead");
    auto_free char *text = data_of("snapshot");
    if (strstr(text, drilled->truth.pod_id))
        violate("L2", "%s is dead and stayed in the snapshot", drilled->name);
    nemesis_wake(drilled);
    for (int i = 0; i < 100 && drilled->truth.dead; i++)
        world_run(LOOK_MS);
    heal_now();
    settle("with who was dead");
}

static bool is_named(char *why, size_t size) {
    const struct host *l = leader();
    auto_free char *label = xasprintf("app #%lld", (long long)drilled->truth.seq);
    const char *status = l ? worker_status(l->worker) : "";
    return strstr(status, label) ? true : NO("the status is \"%s\"", status);
}

// The record asks for a round; one pod cannot be reached. After the damper it has its budget and a
// quarter to answer check; the rest is the way.
static void drill_unreachable(void) {
    struct host *l = leader();
    if (!l || how_many() < 2 || !sim->depends)
        return;
    do
        drilled = someone();
    while (drilled == l);
    world_say("drill: %s cannot be reached", drilled->name);
    net_cut(l->index, drilled->index, true);
    nemesis_depend(10, 10 + (int)chance_in(4, 9));
    within(DAMPER_MS + sim->grace * 5 / 4 + 500, is_named, 9, "the pod is named");
    net_cut(l->index, drilled->index, false);
    heal_now();
    settle("after a pod could not be reached");
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

static unsigned woken;

// Whoever ends up dead or off meanwhile is woken, and it is from then on that all is well.
static void wake(void) {
    static int64_t said[HOSTS];
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        bool known = woken & 1u << i;
        if (known && world_now() - said[i] < AGAIN_MS)
            continue;
        if (!nemesis_wake(h))
            continue;
        said[i] = world_now();
        if (!known)
            heal_now();
        woken |= 1u << i;
    }
}

// The last two faults end here, all at once.
static bool settle_down(void) {
    sim->quiet = true;
    nemesis_calm();
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        h->crash_in = 0;
        if (h->paused)
            h->resume_at = world_now();
        if (h->boot_at > world_now())
            h->boot_at = world_now();
    }
    world_say("quiet");
    heal_now();
    return settle_with("at the end", wake);
}

void check_end(void) {
    static void (*const drills[])(void) = {drill_worker, drill_engine,      drill_leader,
                                           drill_zk,     drill_unreachable, drill_leader_long,
                                           drill_dead};
    enum { DRILLS = sizeof drills / sizeof *drills };
    if (!settle_down())
        return;
    drill_idle();
    int first = (int)chance_in(0, DRILLS - 1);
    for (int i = 0; i < 3; i++)
        drills[(first + i) % DRILLS]();
    check_orphans();
}
