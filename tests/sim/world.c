// Time, and whose turn it is. The world's own loop (ZooKeeper's server, engines, the network) and
// one for each worker share a clock; at each moment at which something is due, who has it runs
// until nothing is. Everything drawn comes from the seed, so a run is the same every time.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/place.h"
#include "tests/fake/docker_inside.h"
#include "tests/fake/zk_inside.h"
#include "tests/sim/sim.h"
#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sim *sim;

enum { BOOT_MS = 100 };

int64_t world_now(void) {
    return loop_now(sim->world) - 1000000;
}

void world_say(const char *fmt, ...) {
    va_list ap;
    auto_free char *line = NULL;
    va_start(ap, fmt);
    CHECK(vasprintf(&line, fmt, ap) >= 0);
    va_end(ap);
    text_addf(&sim->story, "%9.3f %s\n", (double)world_now() / 1000, line);
    if (sim->verbose)
        fprintf(stderr, "%9.3f == %s\n", (double)world_now() / 1000, line);
}

// ---- hosts ----

struct host *host_of_loop(const struct loop *loop) {
    for (int i = 0; i < HOSTS; i++)
        if (sim->hosts[i].loop == loop)
            return &sim->hosts[i];
    return NULL;
}

struct host *host_of_pod(const char *pod_id) {
    for (int i = 0; i < HOSTS; i++)
        if (*pod_id && strcmp(sim->hosts[i].truth.pod_id, pod_id) == 0)
            return &sim->hosts[i];
    return NULL;
}

static void each_zk(const struct host *h, void (*fn)(struct zk *zk)) {
    struct zk *zk;
    list_each(zk, &sim->zk->clients, struct zk, link) {
        if (zk->loop == h->loop && !zk->crashed)
            fn(zk);
    }
}

static void freeze_zk(struct zk *zk) {
    if (!zk->frozen && !zk->closed)
        fake_zk_freeze(zk);
}

static void thaw_zk(struct zk *zk) {
    if (zk->frozen)
        fake_zk_thaw(zk);
}

void host_pause(struct host *h, int64_t ms) {
    if (!h->worker || h->paused)
        return;
    h->paused = true;
    h->resume_at = world_now() + ms;
    each_zk(h, freeze_zk);
}

void host_resume(struct host *h) {
    if (!h->paused)
        return;
    h->paused = false;
    each_zk(h, thaw_zk);
}

// The kernel closes what it had open: its lock on the state directory too.
static void close_files(const struct host *h) {
    DIR *dir = opendir("/proc/self/fd");
    char path[512];
    size_t len = strlen(h->dir);
    CHECK(dir);
    for (const struct dirent *it; (it = readdir(dir));) {
        ssize_t n = readlinkat(dirfd(dir), it->d_name, path, sizeof path - 1);
        if (n > 0 && (size_t)n > len && strncmp(path, h->dir, len) == 0)
            close(atoi(it->d_name));
    }
    closedir(dir);
}

static void crash_zk(struct zk *zk) {
    fake_zk_crash(zk);
}

// Nothing of it runs any more, and nothing of it is freed: it is as it was when it was killed.
static void worker_gone(struct host *h, int64_t boot_in) {
    if (h->paused)
        host_resume(h);
    history_job_lost(h);
    each_zk(h, crash_zk);
    for (int i = 0; i < ENGINES; i++)
        fake_engine_client_gone(sim->engines[i], h->loop);
    net_host_gone(h);
    close_files(h);
    h->worker = NULL;
    h->crash_in = 0;
    h->boot_at = boot_in < 0 ? -1 : world_now() + boot_in;
}

void host_crash(struct host *h, int64_t boot_in) {
    if (!h->worker)
        return;
    sim->total.crashes++;
    note("%s crashes", h->name);
    worker_gone(h, boot_in);
}

_Noreturn void host_die(void) {
    CHECK(sim->current);
    longjmp(sim->jump, 1);
}

static void stop_self(struct host *h);

// It ended in good order, and with it its container.
static void has_left(struct host *h) {
    worker_gone(h, -1);
    h->in = false;
    stop_self(h);
}

// What of the host runs with its loop; it may die within.
static void run_host(struct host *h, void (*fn)(struct host *h)) {
    sim->current = h;
    if (setjmp(sim->jump) == 0) {
        fn(h);
        sim->current = NULL;
        if (h->worker && fake_loop_has_quit(h->loop))
            has_left(h);
        return;
    }
    sim->current = NULL;
    world_say("%s dies at a point", h->name);
    check_failing(h);
    host_crash(h, chance_in(BOOT_MS, 3000));
}

static void turn(struct host *h) {
    fake_loop_run_until_idle(h->loop);
    check_turn(h);
}

static void boot(struct host *h) {
    h->boot_at = -1;
    h->incarnation++;
    h->loop = loop_create();
    fake_loop_share(h->loop, sim->world);
    h->worker = worker_create(h);
    if (!h->worker) {
        h->boot_at = world_now() + 1000;
        return;
    }
    check_boot(h);
    note("%s boots", h->name);
}

// ---- the sidecar's own container ----

static void start_self(struct host *h) {
    struct engine *e = fake_engine_memory(h->engine);
    if (!*h->self) {
        auto_free char *conf = xasprintf("%s/conf", h->dir);
        auto_free char *volume = xasprintf("conf-%d", h->index);
        auto_json json_t *body = json_pack("{s:s, s:{s:[{s:s,s:s,s:s}]}}", "Image", "sidecar:1",
                                           "HostConfig", "Mounts", "Type", "volume", "Source",
                                           volume, "Target", conf);
        struct engine_reply made = engine_container_create(e, h->name, body);
        CHECK(made.status == 201);
        snprintf(h->self, sizeof h->self, "%s", json_text(made.body, "Id"));
        json_decref(made.body);
    }
    json_decref(engine_container_start(e, h->self).body);
}

// With init goes the tether, with that the holder, with that what lives in its namespace.
static void stop_self(struct host *h) {
    struct engine *e = fake_engine_memory(h->engine);
    struct engine_container *self = engine_find(e, h->self), *c;
    list_each(c, engine_containers(e), struct engine_container, link) {
        const json_t *labels = json_object_get(c->config, "Labels");
        if (strcmp(json_text(labels, LABEL_ROLE), "holder") == 0 &&
            strcmp(json_text(labels, LABEL_OWNER), h->self) == 0)
            engine_exit(e, c, 0, false);
    }
    if (self)
        engine_exit(e, self, 137, false);
}

void host_join(struct host *h) {
    h->in = true;
    h->truth.causes |= CAUSE_SIDECAR;
    start_self(h);
    h->boot_at = world_now() + BOOT_MS;
}

void host_container_restart(struct host *h) {
    if (!h->in)
        return;
    h->truth.causes |= CAUSE_SIDECAR;
    if (h->worker)
        host_crash(h, -1);
    stop_self(h);
    start_self(h);
    h->boot_at = world_now() + chance_in(BOOT_MS, 2000);
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void make_folders(struct host *h) {
    auto_free char *conf = xasprintf("%s/conf", h->dir);
    CHECK(mkdir(h->dir, 0755) == 0 && mkdir(conf, 0755) == 0);
}

void host_remove(struct host *h) {
    struct engine *e = fake_engine_memory(h->engine);
    if (h->worker)
        host_crash(h, -1);
    h->boot_at = -1;
    h->in = false;
    stop_self(h);
    json_decref(engine_container_remove(e, h->self, true, false).body);
    *h->self = '\0';
    nftw(h->dir, forget, 16, FTW_DEPTH | FTW_PHYS);
    make_folders(h);
    h->truth = (struct truth){.seq = -1};
}

// ---- time ----

static bool is_due(const struct host *h) {
    return h->worker && !h->paused && fake_loop_next(h->loop) == 0;
}

static void run_due(void) {
    bool any = true;
    while (any) {
        any = false;
        if (fake_loop_next(sim->world) == 0) {
            fake_loop_run_until_idle(sim->world);
            any = true;
        }
        int first = (int)chance_in(0, HOSTS - 1);
        for (int i = 0; i < HOSTS; i++) {
            struct host *h = &sim->hosts[(first + i) % HOSTS];
            if (!is_due(h))
                continue;
            run_host(h, turn);
            any = true;
        }
    }
}

static void run_hosts_clock(struct host *h) {
    if (h->paused && world_now() >= h->resume_at)
        host_resume(h);
    if (h->crash_in && world_now() >= h->crash_by) {
        h->crash_in = 0;
        if (h->worker)
            host_crash(h, chance_in(BOOT_MS, 3000));
    }
    if (!h->worker && h->in && h->boot_at >= 0 && world_now() >= h->boot_at)
        run_host(h, boot);
}

static void earlier(int64_t *at, int64_t it) {
    if (it >= 0 && it < *at)
        *at = it;
}

static int64_t next_step(int64_t most) {
    int64_t next = most;
    earlier(&next, fake_loop_next(sim->world));
    for (int i = 0; i < HOSTS; i++) {
        const struct host *h = &sim->hosts[i];
        int64_t now = world_now();
        if (h->worker && !h->paused)
            earlier(&next, fake_loop_next(h->loop));
        if (h->paused)
            earlier(&next, h->resume_at > now ? h->resume_at - now : 0);
        if (h->crash_in)
            earlier(&next, h->crash_by > now ? h->crash_by - now : 0);
        if (!h->worker && h->in && h->boot_at >= 0)
            earlier(&next, h->boot_at > now ? h->boot_at - now : 0);
    }
    return next;
}

void world_run(int64_t ms) {
    int64_t end = world_now() + ms;
    for (;;) {
        for (int i = 0; i < HOSTS; i++)
            run_hosts_clock(&sim->hosts[i]);
        run_due();
        int64_t left = end - world_now();
        if (left <= 0)
            return;
        int64_t step = next_step(left);
        fake_loop_freeze(sim->world, step > 0 ? step : 0);
    }
}

// ---- setting up ----

static const char yaml[] = "cluster: app\n"
                           "zk: zk://u:" SIM_CANARY "@zk:2181\n"
                           "session: %dms\n"
                           "damper: %dms\n"
                           "grace: %lldms\n"
                           "sequential: %s\n"
                           "full_shutdown: %s\n"
                           "state_dir: %s/state\n"
                           "%s"
                           "workload:\n"
                           "  image: app:1\n"
                           "  stop: {grace: 3s}\n"
                           "  on_change: %s\n"
                           "  ready: {exec: [ready], every: 200ms, timeout: 6s}\n"
                           "  check: {exec: [check], every: 2s, timeout: 1s, retries: 2}\n"
                           "%s"
                           "files:\n"
                           "  - target: %s/conf/a.conf\n"
                           "    content: \"{%% for i, p in ipairs(pods) do %%}{{ p.seq }} "
                           "{%% end %%}\\n%send\\n\"\n"
                           "  - target: %s/conf/sub/b.conf\n"
                           "    content: \"{%% for i, p in ipairs(pods) do %%}{{ p.seq }} "
                           "{%% end %%}\\n%send\\n\"\n";

static void make_spec(struct host *h) {
    struct err err = ERR_INIT;
    auto_text struct text report = {0};
    struct spec_flags flags = {.port = 8080, .docker_host = sim->engines[h->index % ENGINES]->host};
    char *const env[] = {NULL};
    const char *more = sim->depends ? "{{ #dependencies.db }}\\n" : "";
    h->yaml = xasprintf(yaml, SESSION_MS, DAMPER_MS, (long long)sim->grace,
                        sim->sequential ? "true" : "false", sim->full_shutdown ? "true" : "false",
                        h->dir, sim->depends ? "depends_on: [db]\n" : "",
                        sim->by_signal ? "{signal: HUP}" : "restart",
                        sim->in_environment ? "  environment: {SIZE: \"{{ size }}\"}\n" : "",
                        h->dir, more, h->dir, more);
    if (spec_parse(h->yaml, strlen(h->yaml), "pod.yaml", h->dir, &flags, env, &h->spec, &report,
                   &err)) {
        fprintf(stderr, "%s%s", h->yaml, text_str(&report));
        abort();
    }
}

static void on_exec(struct fake_exec *exec, void *arg) {
    (void)arg;
    const struct host *h = NULL;
    for (int i = 0; i < HOSTS; i++) {
        const char *name = sim->hosts[i].name;
        if (text_starts(exec->container, name) && exec->container[strlen(name)] == '-')
            h = &sim->hosts[i];
    }
    exec->ms = h && h->hung ? -1 : 5;
}

static void make_engine(int i) {
    auto_free char *host = xasprintf("unix:///nowhere/engine-%d.sock", i);
    struct fake_engine *f = fake_engine_create(sim->world, host);
    sim->engines[i] = f;
    fake_engine_image(f, "sidecar:1", NULL);
    fake_engine_on_exec(f, on_exec, NULL);
    fake_engine_on_event(f, check_event, f);
    fake_engine_on_call(f, check_call, f);
    fake_engine_latency(f, "", 2);
}

void world_workloads_end(int64_t ms) {
    for (int i = 0; i < ENGINES; i++)
        fake_engine_habits(sim->engines[i], NULL,
                           (struct fake_habits){.term_ms = (int)ms,
                                                .term_exit = chance_of(50) ? 0 : 143,
                                                .exit_ms = -1});
}

void world_create(uint64_t seed) {
    static const char *const tops[] = {"/dev/shm", "/tmp"};
    sim = xnew(struct sim);
    sim->seed = seed;
    chance_seed(seed);
    json_object_seed(1);
    snprintf(sim->dir, sizeof sim->dir, "%s/ocho-sim-XXXXXX", tops[access(tops[0], W_OK) ? 1 : 0]);
    CHECK(mkdtemp(sim->dir));
    sim->sequential = chance_of(50);
    sim->full_shutdown = chance_of(20);
    sim->by_signal = chance_of(30);
    sim->in_environment = chance_of(40);
    sim->depends = chance_of(50);
    sim->round_trip = chance_in(1, 20);
    // A third has little time for a step, and workloads that take more than that to end.
    bool hurried = chance_of(33);
    sim->grace = hurried ? chance_in(1000, 2000) : 10000;
    sim->term_ms = hurried ? chance_in(500, 2900) : chance_in(1, 800);
    sim->depends |= hurried;
    sim->finished_epoch = -1;
    net_init();
    sim->world = loop_create();
    sim->zk = fake_zk_create(sim->world);
    fake_zk_latency(sim->zk, chance_in(1, 10));
    fake_zk_on_change(sim->zk, check_zk, NULL);
    for (int i = 0; i < ENGINES; i++)
        make_engine(i);
    world_workloads_end(sim->term_ms);
    for (int i = 0; i < HOSTS; i++) {
        struct host *h = &sim->hosts[i];
        *h = (struct host){.sim = sim, .index = i, .boot_at = -1, .truth = {.seq = -1}};
        snprintf(h->name, sizeof h->name, "side-%d", i);
        snprintf(h->ip, sizeof h->ip, "10.0.0.%d", i + 1);
        snprintf(h->dir, sizeof h->dir, "%s/%d", sim->dir, i);
        h->engine = sim->engines[i % ENGINES];
        make_folders(h);
        make_spec(h);
    }
}

void world_free(void) {
    nftw(sim->dir, forget, 16, FTW_DEPTH | FTW_PHYS);
}
