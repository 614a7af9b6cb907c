// The invariants of what runs: S6 S7 S9 S15 S17, from the engines' own events and the files.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/cluster/cluster.h"
#include "sidecar/pod/place.h"
#include "tests/fake/docker_inside.h"
#include "tests/sim/sim.h"
#include <string.h>

enum { WINDOW_MS = 10000, FULL_ID = 64 };

static const char *label(const struct engine_container *c, const char *key) {
    return json_text(json_object_get(c->config, "Labels"), key);
}

// ---- files ----

static char *content_of(const struct host *h, const char *name) {
    auto_free char *path = xasprintf("%s/conf/%s", h->dir, name);
    auto_file FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *data = xcalloc(1, 4096);
    size_t n = fread(data, 1, 4095, f);
    data[n] = '\0';
    return data;
}

static const char *const names[] = {"a.conf", "sub/b.conf"};

static char *before[2];

void check_files_before(const struct host *h) {
    for (size_t i = 0; i < 2; i++) {
        free(before[i]);
        before[i] = content_of(h, names[i]);
    }
}

static bool is_same(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

// Files change by a swap alone, whatever else a job of the runner does.
void check_files_after(const struct host *h, const char *function) {
    bool swaps = strcmp(function, "swap") == 0 || strcmp(function, "recover") == 0;
    for (size_t i = 0; i < 2; i++) {
        auto_free char *data = content_of(h, names[i]);
        if (!swaps && !is_same(data, before[i]))
            violate("S15", "%s: %s is changed by %s", h->name, names[i], function);
    }
}

// At every moment: the old or the new content, never half of one.
void check_files(struct host *h) {
    if (!h)
        return;
    for (size_t i = 0; i < 2; i++) {
        auto_free char *data = content_of(h, names[i]);
        if (data && !text_ends(data, "\nend\n"))
            violate("S15", "%s: %s is not whole: \"%.60s\"", h->name, names[i], data);
    }
}

// When the workload reads them: both of one round.
static void check_set(const struct host *h, const char *when) {
    auto_free char *a = content_of(h, names[0]), *b = content_of(h, names[1]);
    if (!a || !b || strcmp(a, b) != 0)
        violate("S15", "%s: the files are not of one round at %s: \"%.60s\" and \"%.60s\"", h->name,
                when, a ? a : "none", b ? b : "none");
}

// ---- starts ----

static void check_pace(struct host *h) {
    struct truth *t = &h->truth;
    if (t->paced != h->incarnation)
        t->starts_n = 0; // who has just begun does not know of the starts before
    t->paced = h->incarnation;
    if (t->stopped_by_us || (h->job && h->job->request.task == POD_ON))
        return; // a round's or an operator's will
    t->starts[t->starts_n++ % STARTS_KEPT] = world_now();
    int64_t ago = world_now() - t->starts[t->starts_n % STARTS_KEPT];
    if (t->starts_n >= STARTS_KEPT && ago < WINDOW_MS)
        violate("S9", "%s was started %d times within %lld ms", h->name, STARTS_KEPT,
                (long long)ago);
}

static void check_need(struct host *h, const struct engine_container *c) {
    struct truth *t = &h->truth;
    auto_free char *files = content_of(h, names[0]);
    auto_free char *env = json_dumps(json_object_get(c->config, "Env"), JSON_ENCODE_ANY);
    // Whom it depends on is part of it, also where no template looks. Only a round brings that; who
    // is started otherwise runs with what it knew.
    bool by_round = h->job && h->job->request.task == POD_ON && h->job->request.scope == POD_LEADER;
    if (!t->db || by_round) {
        const struct proposal *p = by_round ? h->job->proposal : NULL;
        free(t->db);
        t->db = p && p->cluster ? json_dumps(p->cluster->dependencies, JSON_SORT_KEYS)
                                : xstrdup("");
    }
    char *config = xasprintf("%s %s%s", env ? env : "", files ? files : "", t->db);
    bool same = t->config && strcmp(t->config, config) == 0;
    if (same && t->stopped_by_us && !t->causes && !sim->full_shutdown)
        violate("S6", "%s was restarted with what it ran with: %s", h->name, config);
    sim->total.restarts += t->config != NULL;
    free(t->config);
    t->config = config;
}

// Who was told off, or is done, is started by nobody but an operator.
static void check_wanted(const struct host *h) {
    const struct state *state = h->worker ? worker_pod(h->worker)->state : NULL;
    if (h->truth.off)
        violate("S8", "%s is started, an operator has said off", h->name);
    if (state && state->dead)
        violate("S8", "%s is started and dead", h->name);
}

void check_swap(const struct host *h, const char *path) {
    bool on = h->job && h->job->request.task == POD_ON;
    bool booting = !h->worker || !worker_pod(h->worker)->looked;
    if (!on && !booting)
        violate("S15", "%s: %s takes its place outside of on", h->name, path);
}

struct ending {
    struct host *host;
    char id[65];
};

static void on_loops(void *arg) {
    struct ending *it = arg;
    struct engine_container *c = engine_find(it->host->engine->memory, it->id);
    if (c && it->host->loops)
        engine_exit(it->host->engine->memory, c, 1, false);
    free(it);
}

// It ends soon after each start.
static void end_soon(struct host *h, const struct engine_container *c) {
    struct ending *it = xnew(struct ending);
    it->host = h;
    snprintf(it->id, sizeof it->id, "%s", c->id);
    loop_timer_start(sim->world, NULL, chance_in(5, 700), on_loops, it);
}

static void on_start(struct host *h, const struct engine_container *c) {
    struct truth *t = &h->truth;
    check_wanted(h);
    if (h->loops)
        end_soon(h, c);
    if (t->running && strcmp(t->container, c->id) != 0)
        violate("S17", "%s: two workloads run at once", h->name);
    check_set(h, "its start");
    check_pace(h);
    check_need(h, c);
    t->running = true;
    t->clean_exit = t->asked_stop = t->dying = t->stopped_by_us = false;
    t->causes = 0;
    h->hung = false;
    snprintf(t->container, sizeof t->container, "%s", c->id);
}

static void on_die(struct host *h, const struct engine_container *c) {
    struct truth *t = &h->truth;
    if (strcmp(t->container, c->id) != 0)
        return;
    t->running = false;
    t->stopped_by_us = t->asked_stop;
    if (!t->asked_stop)
        t->causes |= CAUSE_DIED;
    t->ended_ms = world_now();
}

static void on_kill(struct host *h, const struct engine_container *c, const json_t *event) {
    const json_t *attributes = json_object_get(json_object_get(event, "Actor"), "Attributes");
    struct truth *t = &h->truth;
    if (strcmp(json_text(attributes, "signal"), "1") == 0)
        check_set(h, "its signal");
    else if (strcmp(t->container, c->id) == 0)
        t->dying = t->asked_stop; // a stop that the engine refuses takes nobody down
}

void check_event(const json_t *event, const struct engine_container *c, void *arg) {
    (void)arg;
    const char *what = json_text(event, "Action");
    struct host *h = host_of_pod(label(c, LABEL_POD));
    if (!h || strcmp(label(c, LABEL_ROLE), "workload") != 0)
        return;
    note("engine %s %s", h->name, what);
    if (strcmp(what, "start") == 0)
        on_start(h, c);
    else if (strcmp(what, "die") == 0)
        on_die(h, c);
    else if (strcmp(what, "kill") == 0)
        on_kill(h, c, event);
}

// ---- calls ----

static bool is_mutating(const char *line) {
    static const char *const verbs[] = {"start ",  "stop ",   "kill ", "remove ",
                                        "rename ", "update ", "exec ", "archive "};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (text_starts(line, verbs[i]))
            return true;
    return false;
}

// Its own, or left by a sidecar that is gone.
static bool may_touch(const struct host *h, struct engine *e, const struct engine_container *c) {
    const char *owner = label(c, LABEL_OWNER);
    if (!*label(c, LABEL_ROLE))
        return false;
    if (strcmp(owner, h->self) == 0 || strcmp(label(c, LABEL_POD), h->truth.pod_id) == 0)
        return true;
    return !engine_find(e, owner);
}

void check_call(const char *line, const char *id, const struct loop *who, void *arg) {
    struct fake_engine *f = arg;
    struct host *h = host_of_loop(who);
    if (!h || !is_mutating(line))
        return;
    const struct engine_container *c = engine_find(f->memory, id);
    if (strlen(id) != FULL_ID)
        violate("S7", "%s: \"%s\" names a container by less than its id", h->name, line);
    else if (c && !may_touch(h, f->memory, c))
        violate("S7", "%s touches what is not its own: %s", h->name, line);
    bool ends = text_starts(line, "stop ") || text_starts(line, "remove ") ||
                (text_starts(line, "kill ") && !text_ends(line, " HUP"));
    if (!c || !ends || strcmp(h->truth.container, c->id) != 0)
        return;
    if (h->truth.running && !h->truth.asked_stop)
        check_spared(h);
    h->truth.asked_stop = true;
}
