// The faults: two are drawn, last for a while, are healed, and the cluster has some quiet before
// the next two. Each kind is a line of a table: what it does, and what heals it.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/pod/place.h"
#include "tests/fake/docker_inside.h"
#include "tests/fake/zk_inside.h"
#include "tests/sim/sim.h"
#include <string.h>

enum { REMOVE_UNTIL = 150000 }; // an orphan has five minutes, and the run has ten

static struct host *any_host(void) {
    return &sim->hosts[chance_in(0, HOSTS - 1)];
}

static struct host *any_in(void) {
    struct host *h = any_host();
    for (int i = 0; i < HOSTS && !(h->in && h->worker); i++)
        h = &sim->hosts[(h->index + 1) % HOSTS];
    return h;
}

static struct host *leader_or_any(void) {
    if (chance_of(60))
        for (int i = 0; i < HOSTS; i++)
            if (sim->hosts[i].worker && worker_leads(sim->hosts[i].worker))
                return &sim->hosts[i];
    return any_in();
}

static int count_in(void) {
    int n = 0;
    for (int i = 0; i < HOSTS; i++)
        n += sim->hosts[i].in;
    return n;
}

static struct zk *any_zk(void) {
    struct host *h = leader_or_any();
    struct zk *zk = h->worker ? worker_zk(h->worker) : NULL;
    return zk && zk->connected && !zk->frozen ? zk : NULL;
}

static struct engine_container *workload_of(struct host *h) {
    struct engine *e = fake_engine_memory(h->engine);
    struct engine_container *c = engine_find(e, h->truth.container);
    return c && c->status == ENGINE_RUNNING ? c : NULL;
}

// ---- workers ----

static bool do_pause(void) {
    static const int64_t of_session[] = {30, 90, 110, 200, 500, 900};
    struct host *h = leader_or_any();
    int64_t ms = SESSION_MS * of_session[chance_in(0, 5)] / 100;
    if (!h->worker)
        return false;
    host_pause(h, ms);
    world_say("%s stands still for %lld ms", h->name, (long long)ms);
    return true;
}

static bool do_pause_all(void) {
    int64_t ms = chance_in(500, 3 * SESSION_MS);
    for (int i = 0; i < HOSTS; i++)
        host_pause(&sim->hosts[i], ms + chance_in(0, 1000));
    world_say("all stand still for %lld ms", (long long)ms);
    return true;
}

static bool do_crash(void) {
    struct host *h = leader_or_any();
    if (!h->worker || h->crash_in)
        return false;
    h->crash_in = (int)(chance_of(50) ? chance_in(1, 30) : chance_in(1, 200));
    h->crash_by = world_now() + chance_in(500, 8000);
    world_say("%s dies within %d points", h->name, h->crash_in);
    return true;
}

// Sometimes: a while after something that must outlive its worker.
static void crash_after(struct host *h) {
    if (!chance_of(40))
        return;
    h->crash_in = 1000000;
    h->crash_by = world_now() + chance_in(1000, 4000);
}

static bool do_container(void) {
    struct host *h = any_in();
    world_say("%s: its container is started anew", h->name);
    host_container_restart(h);
    return h->in;
}

static bool do_power(void) {
    struct host *h = any_in();
    if (!h->in)
        return false;
    world_say("%s loses power", h->name);
    if (h->worker)
        host_crash(h, -1);
    disk_recover(h);
    host_container_restart(h);
    return true;
}

// ---- ZooKeeper ----

static bool do_expire(void) {
    struct zk *zk = any_zk();
    if (!zk)
        return false;
    world_say("%s: its session expires", host_of_loop(zk->loop)->name);
    fake_zk_expire(zk);
    return true;
}

static bool do_zk_cut(void) {
    struct zk *zk = any_zk();
    int64_t ms = chance_in(50, 3 * SESSION_MS);
    if (!zk)
        return false;
    world_say("%s: no ZooKeeper for %lld ms", host_of_loop(zk->loop)->name, (long long)ms);
    fake_zk_cut(zk, ms);
    return true;
}

static bool do_zk_lose(void) {
    struct zk *zk = any_zk();
    int nth = (int)chance_in(1, 12);
    enum fake_zk_loss when = chance_of(50) ? FAKE_ZK_BEFORE : FAKE_ZK_AFTER;
    if (!zk)
        return false;
    world_say("%s: its connection breaks %s request %d", host_of_loop(zk->loop)->name,
              when == FAKE_ZK_AFTER ? "after" : "before", nth);
    fake_zk_lose(zk, when, nth);
    return true;
}

static bool do_zk_stall(void) {
    struct zk *zk = any_zk();
    if (!zk || zk->stalled)
        return false;
    world_say("%s: ZooKeeper answers nothing", host_of_loop(zk->loop)->name);
    fake_zk_stall(zk);
    return true;
}

static bool do_zk_down(void) {
    if (sim->zk->down)
        return false;
    world_say("ZooKeeper is away");
    fake_zk_down(sim->zk);
    return true;
}

static bool do_zk_slow(void) {
    int64_t ms = chance_in(20, 400);
    world_say("ZooKeeper takes %lld ms one way", (long long)ms);
    fake_zk_latency(sim->zk, ms);
    return true;
}

static void heal_zk(void) {
    if (sim->zk->down)
        fake_zk_up(sim->zk);
    fake_zk_latency(sim->zk, 3);
    struct zk *zk;
    list_each(zk, &sim->zk->clients, struct zk, link) {
        if (zk->crashed || zk->closed)
            continue;
        if (zk->held || zk->stalled) {
            if (zk->stalled)
                fake_zk_cut(zk, RECONNECT_MS);
            fake_zk_mend(zk);
        }
    }
}

static bool delete_one(const char *folder) {
    auto_free char *at = xasprintf(SIM_ROOT "/%s", folder);
    char **nodes = fake_zk_children(sim->zk, at);
    size_t n = text_list_len(nodes);
    if (n) {
        auto_free char *path = xasprintf("%s/%s", at, nodes[chance_in(0, (int64_t)n - 1)]);
        world_say("a stranger deletes %s", path);
        fake_zk_remove(sim->zk, path);
    }
    text_list_free(nodes);
    return n > 0;
}

static bool do_zk_delete(void) {
    return delete_one(chance_of(50) ? "pods" : "coordinator");
}

static bool do_zk_junk(void) {
    static const char *const junk[] = {"", "{", "[]", "{\"ip\":\"1.2.3.4\"}",
                                       "{\"ip\":5,\"seq\":0,\"ports\":{}}"};
    auto_free char *path = xasprintf(SIM_ROOT "/pods/%08llx" SIM_JUNK,
                                     (unsigned long long)chance_next() & 0xffffffff);
    world_say("a stranger puts junk at %s", path);
    fake_zk_put(sim->zk, 0, path, junk[chance_in(0, 4)], 0);
    return true;
}

static void heal_junk(void) {
    char **nodes = fake_zk_children(sim->zk, SIM_ROOT "/pods");
    for (char **it = nodes; *it; it++) {
        if (!text_ends(*it, SIM_JUNK))
            continue;
        auto_free char *path = xasprintf(SIM_ROOT "/pods/%s", *it);
        fake_zk_remove(sim->zk, path);
    }
    text_list_free(nodes);
}

// ---- the network ----

static bool do_net_cut(void) {
    int from = leader_or_any()->index, to = any_in()->index;
    int way = (int)chance_in(0, 2);
    if (from == to)
        return false;
    if (way != 1)
        net_cut(from, to, true);
    if (way != 0)
        net_cut(to, from, true);
    world_say("cut %s %s %s", sim->hosts[from].name,
              way == 2 ? "<>"
              : way    ? "<-"
                       : "->",
              sim->hosts[to].name);
    return true;
}

static bool do_net_slow(void) {
    struct host *h = any_in();
    int64_t ms = chance_in(50, 4000);
    world_say("%s is up to %lld ms away", h->name, (long long)ms);
    net_slow(h->index, ms);
    return true;
}

static bool do_net_duplicate(void) {
    world_say("requests come twice");
    net_duplicate((int)chance_in(20, 100));
    return true;
}

static bool do_net_replay(void) {
    int n = (int)chance_in(1, 20);
    world_say("%d old requests come again", n);
    for (int i = 0; i < n; i++)
        net_replay();
    return true;
}

static void heal_net(void) {
    for (int i = 0; i < HOSTS; i++) {
        net_slow(i, 0);
        for (int k = 0; k < HOSTS; k++)
            net_cut(i, k, false);
    }
    net_duplicate(0);
    net_cut_when_asked(NULL);
}

// ---- engines ----

static struct fake_engine *any_engine(void) {
    return sim->engines[chance_in(0, ENGINES - 1)];
}

static bool do_engine_down(void) {
    struct fake_engine *f = any_engine();
    if (f->down || f->frozen)
        return false;
    world_say("%s is away, containers run on", f->host);
    fake_engine_down(f, "killed");
    return true;
}

// What ends in the gap ends unseen, and an exit code of 0 proves nothing.
static bool do_engine_gap(void) {
    struct fake_engine *f = any_engine();
    if (f->down || f->frozen)
        return false;
    world_say("%s is away, and workloads end with 0 meanwhile", f->host);
    fake_engine_down(f, "killed");
    for (int i = 0; i < HOSTS; i++) {
        struct engine_container *c = workload_of(&sim->hosts[i]);
        if (sim->hosts[i].engine == f && c && chance_of(70))
            engine_exit(f->memory, c, 0, false);
    }
    return true;
}

// Without live-restore: everything on it ends, our own containers too, which it starts again.
static bool do_engine_restart(void) {
    struct fake_engine *f = any_engine();
    if (f->down || f->frozen)
        return false;
    world_say("%s is started anew, everything on it ends", f->host);
    for (int i = 0; i < HOSTS; i++)
        if (sim->hosts[i].engine == f && sim->hosts[i].worker)
            host_crash(&sim->hosts[i], -1);
    struct engine_container *c;
    list_each(c, engine_containers(f->memory), struct engine_container, link) {
        engine_exit(f->memory, c, chance_of(50) ? 0 : 143, false);
    }
    for (int i = 0; i < HOSTS; i++)
        if (sim->hosts[i].engine == f)
            host_container_restart(&sim->hosts[i]);
    return true;
}

static bool do_engine_freeze(void) {
    struct fake_engine *f = any_engine();
    if (f->down || f->frozen)
        return false;
    world_say("%s answers nothing", f->host);
    fake_engine_freeze(f);
    return true;
}

static bool do_engine_mute(void) {
    struct fake_engine *f = any_engine();
    world_say("%s tells of no event", f->host);
    fake_engine_mute(f, true);
    for (int i = 0; i < HOSTS; i++) {
        struct engine_container *c = workload_of(&sim->hosts[i]);
        if (sim->hosts[i].engine == f && c && chance_of(30))
            engine_exit(f->memory, c, 1, false);
    }
    return true;
}

static bool do_engine_slow(void) {
    struct fake_engine *f = any_engine();
    int ms = (int)chance_in(50, 2500);
    world_say("%s takes %d ms", f->host, ms);
    fake_engine_latency(f, "", ms);
    return true;
}

static bool do_engine_fail(void) {
    static const char *const calls[] = {"start",   "stop", "create", "remove",
                                        "inspect", "list", "rename", ""};
    static const int how[] = {500, FAKE_CUT, FAKE_LOST, FAKE_HANG};
    struct fake_engine *f = any_engine();
    const char *call = calls[chance_in(0, 7)];
    int status = how[chance_in(0, *call ? 3 : 2)], times = (int)chance_in(1, 4);
    world_say("%s: %d times %s %d", f->host, times, *call ? call : "any call", status);
    fake_engine_fail(f, call, times, status, "broken");
    return true;
}

static void heal_engines(void) {
    for (int i = 0; i < ENGINES; i++) {
        struct fake_engine *f = sim->engines[i];
        struct rule *rule;
        fake_engine_mute(f, false);
        if (f->down)
            fake_engine_up(f);
        if (f->frozen)
            fake_engine_thaw(f);
        fake_engine_latency(f, "", 2);
        list_each(rule, &f->failures, struct rule, link) rule->times = 0;
    }
}

// ---- workloads ----

static bool do_exit(void) {
    static const int codes[] = {1, 7, 137, 255, 143};
    struct host *h = any_in();
    struct engine_container *c = workload_of(h);
    int code = codes[chance_in(0, 4)];
    if (!c)
        return false;
    world_say("%s: its workload ends with %d", h->name, code);
    engine_exit(h->engine->memory, c, code, code == 137 && chance_of(50));
    return true;
}

static bool do_done(void) {
    struct host *h = any_in();
    struct engine_container *c = workload_of(h);
    if (!c || chance_of(50))
        return false;
    world_say("%s: its workload is done, 0", h->name);
    // A frozen engine tells it when it wakes, in the same stream if its worker has not given it up.
    h->truth.clean_exit = !h->engine->down && h->worker;
    engine_exit(h->engine->memory, c, 0, false);
    crash_after(h); // what is done stays so
    return true;
}

static bool do_loop(void) {
    struct host *h = any_in();
    struct engine_container *c = workload_of(h);
    if (!c)
        return false;
    world_say("%s: its workload ends soon after each start", h->name);
    h->loops = true;
    engine_exit(h->engine->memory, c, 1, false);
    return true;
}

static bool do_hang(void) {
    struct host *h = any_in();
    if (!workload_of(h))
        return false;
    world_say("%s: its workload hangs", h->name);
    h->hung = true;
    h->truth.causes |= CAUSE_UNHEALTHY;
    return true;
}

static bool do_stranger(void) {
    struct host *h = any_in();
    struct engine *e = h->engine->memory;
    struct engine_container *c = engine_find(e, h->truth.container);
    if (!c)
        return false;
    auto_free char *name = xstrdup(c->name);
    auto_json json_t *body = json_pack("{s:s}", "Image", "app:1");
    h->truth.causes |= CAUSE_STRANGER;
    int what = (int)chance_in(0, 2);
    world_say("%s: a stranger %s its container", h->name,
              what == 0   ? "removes"
              : what == 1 ? "renames"
                          : "puts another in the place of");
    if (what == 1) {
        auto_free char *other = xasprintf("%s-old-%lld", name, (long long)world_now());
        json_decref(engine_container_rename(e, c->id, other).body);
    } else {
        json_decref(engine_container_remove(e, c->id, true, false).body);
    }
    if (what == 0)
        return true;
    json_decref(engine_container_create(e, name, body).body);
    json_decref(engine_container_start(e, name).body);
    return true;
}

// What others have on the same engine, under names like ours.
static bool do_decoy(void) {
    struct fake_engine *f = any_engine();
    auto_json json_t *body = json_pack("{s:s, s:{s:s}}", "Image", "app:1", "Labels", "com.example",
                                       "io.ochopod");
    auto_free char *name = xasprintf("side-%lld-workload-next", (long long)chance_in(0, 4));
    struct engine_reply made = engine_container_create(f->memory, name, body);
    json_decref(made.body);
    if (made.status != 201)
        return false; // the name is taken, perhaps by us
    world_say("somebody runs %s", name);
    json_decref(engine_container_start(f->memory, name).body);
    return true;
}

static void heal_workloads(void) {
    for (int i = 0; i < HOSTS; i++)
        sim->hosts[i].hung = sim->hosts[i].loops = false;
}

// ---- disks and clocks ----

static bool do_disk(void) {
    struct host *h = any_in();
    int what = (int)chance_in(1, 3);
    h->read_only = chance_of(40);
    h->fails[DISK_CONF] = what & 1;
    h->fails[DISK_STATE] = what & 2;
    h->truth.causes |= CAUSE_INTERRUPTED;
    world_say("%s: %s%s %s", h->name, what & 1 ? "conf " : "", what & 2 ? "state" : "",
              h->read_only ? "read-only" : "full");
    return true;
}

// ---- the leader, in the middle of a round ----

enum { ARM_LOCK = 1, ARM_PAUSE, ARM_CRASH, ARM_EXPIRE, ARM_CUT, ARM_STALL, ARM_WRITE, ARMS };

static bool do_arm(void) {
    static const char *const names[] = {
        [ARM_LOCK] = "loses its lock",
        [ARM_PAUSE] = "stands still",
        [ARM_CRASH] = "dies",
        [ARM_EXPIRE] = "loses its session",
        [ARM_CUT] = "loses its connection",
        [ARM_STALL] = "hears nothing of ZooKeeper",
        [ARM_WRITE] = "loses its lock before a write",
    };
    static const int next[] = {ARM_LOCK, ARM_PAUSE, ARM_CRASH, ARM_EXPIRE,
                               ARM_CUT,  ARM_STALL, ARM_STALL, ARM_WRITE};
    sim->armed = next[chance_in(0, sizeof next / sizeof *next - 1)];
    world_say("the leader %s in its next round", names[sim->armed]);
    struct host *h = any_in();
    if (h->worker && !worker_leads(h->worker) && chance_of(60)) { // which comes soon then
        world_say("%s: its container is started anew", h->name);
        host_container_restart(h);
    }
    return true;
}

// A stranger deletes the lock of who leads.
void nemesis_unlock(void) {
    char **nodes = fake_zk_children(sim->zk, SIM_ROOT "/coordinator");
    const char *lowest = NULL;
    for (char **it = nodes; *it; it++)
        if (strstr(*it, "__lock__") &&
            (!lowest || strcmp(strstr(*it, "__lock__"), strstr(lowest, "__lock__")) < 0))
            lowest = *it;
    if (lowest) {
        auto_free char *path = xasprintf(SIM_ROOT "/coordinator/%s", lowest);
        fake_zk_remove(sim->zk, path);
    }
    text_list_free(nodes);
}

static void on_armed(void *arg) {
    int what = (int)(intptr_t)arg;
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        struct zk *zk = h->worker && worker_leads(h->worker) ? worker_zk(h->worker) : NULL;
        if (!zk || h->paused)
            continue;
        if (what == ARM_PAUSE)
            host_pause(h, chance_in(SESSION_MS / 2, 3 * SESSION_MS));
        else if (what == ARM_CRASH)
            host_crash(h, chance_in(100, 3000));
        else if (what == ARM_EXPIRE)
            fake_zk_expire(zk);
        else if (what == ARM_CUT && zk->connected)
            fake_zk_cut(zk, chance_in(20, 3 * SESSION_MS));
        else if (what == ARM_STALL && zk->connected && !zk->stalled)
            fake_zk_stall(zk);
    }
    if (what == ARM_LOCK)
        nemesis_unlock();
}

// Soon, while the answer is on its way or what it leads to is.
void nemesis_armed(const char *task) {
    if (sim->armed == ARM_WRITE || strcmp(task, "ok") == 0 || chance_of(60))
        return;
    int64_t soon = chance_in(0, sim->round_trip + 12);
    loop_timer_start(sim->world, NULL, soon, on_armed, (void *)(intptr_t)sim->armed);
    sim->armed = 0;
}

// It has been found to lead, and its write is on its way when its lock goes.
void nemesis_writes(void) {
    const struct host *h = sim->current;
    if (sim->armed != ARM_WRITE || !h || !h->worker || !worker_leads(h->worker))
        return;
    sim->armed = 0;
    nemesis_unlock();
}

static void heal_disks(void) {
    for (int i = 0; i < HOSTS; i++)
        sim->hosts[i].fails[DISK_CONF] = sim->hosts[i].fails[DISK_STATE] = false;
}

static void on_storm(void *arg) {
    (void)arg;
    struct host *h = any_host();
    double by = (double)chance_in(-3600 * 24, 3600 * 24);
    if (h->worker && !sim->twin)
        fake_loop_set_wall(h->loop, loop_wall(h->loop) + by);
    loop_timer_start(sim->world, &sim->storm, chance_in(20, 400), on_storm, NULL);
}

// For as long as it lasts no wall clock can be trusted.
static bool do_storm(void) {
    world_say("wall clocks jump");
    on_storm(NULL);
    return true;
}

static bool do_clock(void) {
    double by = (double)chance_in(-3600 * 24, 3600 * 24);
    struct host *h = any_in();
    if (!h->worker)
        return false;
    world_say("%s: the wall clock jumps by %.0f s", h->name, by);
    if (!sim->twin)
        fake_loop_set_wall(h->loop, loop_wall(h->loop) + by);
    return true;
}

// ---- operators, dependencies, scale ----

static bool do_operator(void) {
    static const char *const tasks[] = {"off", "on", "kill", "/reset", "ok"};
    struct host *h = any_in();
    int what = (int)chance_in(0, 4);
    if (!h->worker || (what == 2 && chance_of(50)))
        return false;
    h->truth.causes |= CAUSE_OPERATOR;
    world_say("operator: %s of %s", tasks[what], h->name);
    net_operator(h, tasks[what]);
    crash_after(h);
    return true;
}

#define DB "/ochopod/clusters/marathon.db"

static char *node_of_db(int i) {
    return xasprintf(DB "/pods/%08d-0000-4000-8000-000000000000.%010d", i, i);
}

void nemesis_depend(int from, int to) {
    auto_text struct text data = {0};
    for (int i = from; i < to; i++) {
        auto_free char *node = node_of_db(i);
        fake_zk_put(sim->zk, 0, node, "", 0);
    }
    text_addc(&data, '{');
    for (int i = from; i < to; i++)
        text_addf(&data,
                  "%s\"%08d-0000-4000-8000-000000000000\":{\"application\":\"\",\"cluster\":\"db\","
                  "\"namespace\":\"marathon\",\"ip\":\"10.1.0.%d\",\"node\":\"n\",\"public\":\"\","
                  "\"port\":\"8080\",\"ports\":{\"8080\":8080},\"task\":\"\",\"seq\":%d}",
                  i > from ? "," : "", i, i + 1, i);
    text_addc(&data, '}');
    fake_zk_put(sim->zk, 0, DB "/snapshot", text_str(&data), 0);
}

static bool do_dependency(void) {
    int n = (int)chance_in(0, 3);
    if (!sim->depends)
        return false;
    if (chance_of(20)) {
        world_say("db is gone");
        fake_zk_remove(sim->zk, DB "/snapshot");
        return true;
    }
    world_say("db has %d pods", n);
    nemesis_depend(0, n);
    if (n && chance_of(20)) {
        auto_free char *node = node_of_db(n - 1);
        world_say("one of them has died");
        fake_zk_remove(sim->zk, node);
    }
    return true;
}

static bool do_flap(void) {
    bool any = false;
    int n = (int)chance_in(3, 12);
    for (int i = 0; i < n; i++) {
        any |= do_dependency();
        world_run(chance_in(50, 700));
    }
    return any;
}

// A leader asks a pod that is busy for longer than the leader's budget, and is cut off then: that
// it has hung up is heard by nobody.
static bool do_busy(void) {
    struct host *h = any_in();
    if (!h->worker || !sim->depends || sim->grace >= sim->term_ms || worker_leads(h->worker) ||
        !workload_of(h))
        return false;
    world_say("%s is busy when it is asked, and then cut off", h->name);
    nemesis_depend(20, 20 + (int)chance_in(1, 9));
    world_run(DAMPER_MS - 150);
    h->truth.causes |= CAUSE_OPERATOR;
    net_operator(h, "off");
    net_cut_when_asked(h);
    return true;
}

static void on_stopped(void *arg) {
    struct host *h = arg;
    world_say("%s has left in good order", h->name);
    loop_quit(h->loop);
}

static bool do_leave(void) {
    struct host *h = any_in();
    if (!h->worker || count_in() < 3 || h->paused)
        return false;
    world_say("%s is asked to leave", h->name);
    h->crash_in = 0;
    h->truth.causes |= CAUSE_SIDECAR; // also if its worker dies while it leaves, and stays
    sim->current = h;
    worker_stop(h->worker, on_stopped, h);
    sim->current = NULL;
    return true;
}

static bool do_remove(void) {
    struct host *h = any_in();
    if (!h->in || count_in() < 3 || world_now() > REMOVE_UNTIL)
        return false;
    world_say("%s is removed for good", h->name);
    host_remove(h);
    return true;
}

static bool do_join(void) {
    struct host *h = any_host();
    if (h->in)
        return false;
    world_say("%s joins", h->name);
    host_join(h);
    return true;
}

static const struct kind {
    const char *name;
    bool (*begin)(void);
    int weight;
} kinds[] = {
    {"pause", do_pause, 4},
    {"pause all", do_pause_all, 1},
    {"crash", do_crash, 6},
    {"container", do_container, 2},
    {"power", do_power, 2},
    {"expire", do_expire, 2},
    {"zk cut", do_zk_cut, 3},
    {"zk lose", do_zk_lose, 4},
    {"zk stall", do_zk_stall, 2},
    {"zk down", do_zk_down, 2},
    {"zk slow", do_zk_slow, 1},
    {"zk delete", do_zk_delete, 2},
    {"zk junk", do_zk_junk, 1},
    {"net cut", do_net_cut, 4},
    {"net slow", do_net_slow, 3},
    {"net duplicate", do_net_duplicate, 2},
    {"net replay", do_net_replay, 3},
    {"engine down", do_engine_down, 2},
    {"engine gap", do_engine_gap, 2},
    {"engine restart", do_engine_restart, 1},
    {"engine freeze", do_engine_freeze, 1},
    {"engine mute", do_engine_mute, 1},
    {"engine slow", do_engine_slow, 2},
    {"engine fail", do_engine_fail, 4},
    {"exit", do_exit, 4},
    {"done", do_done, 2},
    {"crash loop", do_loop, 2},
    {"hang", do_hang, 2},
    {"stranger", do_stranger, 2},
    {"decoy", do_decoy, 1},
    {"disk", do_disk, 3},
    {"clock", do_clock, 1},
    {"clock storm", do_storm, 6},
    {"leader in a round", do_arm, 8},
    {"operator", do_operator, 3},
    {"dependency", do_dependency, 3},
    {"flap", do_flap, 1},
    {"busy", do_busy, 12},
    {"leave", do_leave, 2},
    {"remove", do_remove, 2},
    {"join", do_join, 6},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const char *nemesis_name(int kind) {
    return kinds[kind].name;
}

int nemesis_kinds(void) {
    return KINDS;
}

static int draw(void) {
    int sum = 0;
    for (int i = 0; i < KINDS; i++)
        sum += kinds[i].weight;
    int64_t at = chance_in(0, sum - 1);
    for (int i = 0; i < KINDS; i++)
        if ((at -= kinds[i].weight) < 0)
            return i;
    return 0;
}

static void inject(void) {
    for (int tries = 0; tries < 8; tries++) {
        int i = draw();
        if (!kinds[i].begin())
            continue;
        sim->total.faults++;
        sim->total.kinds[i]++;
        return;
    }
}

// A dead pod, or one that was switched off, is woken by an operator.
bool nemesis_wake(struct host *h) {
    if (!h->worker || h->paused)
        return false;
    const struct state *state = worker_pod(h->worker)->state;
    if (!state->dead && !state->off)
        return false;
    h->truth.causes |= CAUSE_OPERATOR;
    net_operator(h, "on");
    return true;
}

void nemesis_heal(void) {
    heal_zk();
    heal_junk();
    heal_net();
    heal_engines();
    heal_workloads();
    heal_disks();
    sim->armed = 0;
    loop_timer_stop(&sim->storm);
    bool wakes = chance_of(40);
    for (int i = 0; wakes && i < HOSTS; i++)
        nemesis_wake(&sim->hosts[i]);
}

// A call that the engine has dropped is otherwise given up after up to 60 s.
static void cut_what_hangs(const struct fake_engine *f) {
    struct docker *d;
    struct docker_call *call;
    list_each(d, &f->clients, struct docker, link) {
        list_each(call, &d->calls, struct docker_call, link) {
            if (!d->crashed && !call->timer && !call->pending)
                fake_call_cut(call);
        }
    }
}

// What was drawn and has not come so far does not come any more, and nothing of it lasts.
void nemesis_calm(void) {
    world_workloads_end(sim->term_ms < 300 ? sim->term_ms : 300);
    for (int i = 0; i < ENGINES; i++)
        cut_what_hangs(sim->engines[i]);
    struct zk *zk;
    list_each(zk, &sim->zk->clients, struct zk, link) {
        fake_zk_lose(zk, FAKE_ZK_BEFORE, 0);
    }
    nemesis_heal();
}

// Ends with faults: whoever measures how long it takes from the heal heals himself.
void nemesis_run(int64_t ms) {
    int64_t end = world_now() + ms;
    for (;;) {
        inject();
        world_run(chance_in(0, 2500));
        inject();
        world_run(chance_in(1000, 12000));
        if (world_now() >= end)
            return;
        nemesis_heal();
        world_say("healed");
        world_run(chance_in(1000, 15000));
    }
}
