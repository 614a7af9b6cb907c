// One worker: the stations as app.c builds them, but for the search for its own container, whose
// answer is known here, and the sandbox.
#include "base/check.h"
#include "base/http.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/app_witness.h"
#include "sidecar/control/control.h"
#include "sidecar/coordinator/coordinator.h"
#include "sidecar/render/render.h"
#include "sidecar/runner/runner.h"
#include "sidecar/state/state.h"
#include "tests/fake/docker_inside.h"
#include "tests/fake/zk_inside.h"
#include "tests/sim/sim.h"
#include <string.h>

struct worker {
    struct host *host;
    const struct spec *spec;
    struct loop *loop;
    struct http *http;
    struct docker *docker;
    struct runner *runner;
    struct state *state;
    struct binding_facts facts;
    struct record_facts record;
    struct pod *pod;
    struct coordinator *coordinator;
    struct control *control;
    bool stopping, leads;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct loop_timer *overdue;
};

// ---- what travels up ----

static void on_seq(int64_t seq, void *arg) {
    struct worker *w = arg;
    struct err err = ERR_INIT;
    w->state->seq = seq;
    if (state_save(w->state, &err))
        log_err("sidecar %s", err.text);
    control_changed(w->control);
}

static bool is_attached(void *arg) {
    const struct worker *w = arg;
    return w->coordinator && coordinator_attached(w->coordinator);
}

static void on_attached(bool attached, void *arg) {
    struct worker *w = arg;
    pod_attached(w->pod, attached);
    control_changed(w->control);
}

static void on_fatal(const struct err *err, void *arg) {
    struct worker *w = arg;
    violate("S14", "%s ended by itself: %s", w->host->name, err->text);
    host_die();
}

static void on_leading(bool leading, void *arg) {
    struct worker *w = arg;
    w->leads = leading;
    sim->total.leaders += leading;
    note("%s leads %d", w->host->name, leading);
    control_changed(w->control);
}

static void on_dead(bool dead, void *arg) {
    struct worker *w = arg;
    if (w->coordinator && !w->stopping)
        coordinator_stand(w->coordinator, !dead);
}

static void on_change(void *arg) {
    struct worker *w = arg;
    if (w->record.renewals != w->state->renewals) {
        w->record.renewals = w->state->renewals;
        if (w->coordinator)
            coordinator_update(w->coordinator);
    }
    if (w->control)
        control_changed(w->control);
}

// ---- what the pod and the control port ask of ZooKeeper ----

static void witness(pod_witness_fn *fn, void *fn_arg, void *arg) {
    struct worker *w = arg;
    app_witness(w->coordinator, fn, fn_arg);
}

static void read_proposal(bool fresh, pod_proposal_fn *fn, void *fn_arg, void *arg) {
    struct worker *w = arg;
    coordinator_read_node(w->coordinator, "proposal", fresh, fn, fn_arg);
}

static void read_leader(pod_proposal_fn *fn, void *fn_arg, void *arg) {
    struct worker *w = arg;
    coordinator_read_node(w->coordinator, "leader", true, fn, fn_arg);
}

static void read_cluster(control_json_fn *fn, void *fn_arg, void *arg) {
    struct worker *w = arg;
    coordinator_read(w->coordinator, fn, fn_arg);
}

static void reset(void *arg) {
    struct worker *w = arg;
    coordinator_reset(w->coordinator);
}

static int64_t generation(void *arg) {
    struct worker *w = arg;
    int64_t n = -1;
    if (json_int(coordinator_leader_record(w->coordinator), "generation", &n, NULL))
        return -1;
    return n;
}

static bool alive(void *arg) {
    (void)arg;
    return true;
}

static json_t *info(void *arg) {
    struct worker *w = arg;
    return pod_info(w->pod);
}

// ---- the engine ----

static void engine_up(const char *api_version, const char *engine_version, void *arg) {
    struct worker *w = arg;
    (void)api_version;
    (void)engine_version;
    if (w->pod)
        pod_engine(w->pod, true);
    on_change(w);
}

static void engine_down(const struct err *why, void *arg) {
    struct worker *w = arg;
    log_warn("engine down: %s", why->text);
    // What ended while it was frozen is not told in this stream any more.
    if (w->host->engine->frozen)
        w->host->truth.clean_exit = false;
    if (w->pod)
        pod_engine(w->pod, false);
    on_change(w);
}

static void engine_event(const char *id, const char *name, const json_t *attributes,
                         int64_t time_ns, void *arg) {
    struct worker *w = arg;
    (void)time_ns;
    if (w->pod)
        pod_event(w->pod, id, name, attributes);
}

static void open_engine(struct worker *w) {
    static const struct docker_events_listener listener = {
        .on_up = engine_up, .on_down = engine_down, .on_event = engine_event};
    struct err err = ERR_INIT;
    auto_free char *label = xasprintf("io.ochopod.pod=%s", w->state->pod_id);
    const char *labels[] = {label, NULL};
    CHECK(docker_open(w->loop, w->http, w->spec->docker_host, &listener, labels, w, &w->docker,
                      &err) == 0);
}

// ---- the stations ----

static void find_itself(struct worker *w) {
    struct host *h = w->host;
    w->facts = (struct binding_facts){
        .binding = "local",
        .fwk = xstrdup("marathon"),
        .cluster = xstrdup(""),
        .namespace_ = xstrdup(""),
        .application = xstrdup(""),
        .task = xstrdup(""),
        .node = xasprintf("node-%d", h->index),
        .zone = xstrdup(""),
        .slot = xstrdup(""),
        .ip = xstrdup(h->ip),
        .public_ = xstrdup(h->ip),
        .zk = xstrdup(""),
        .ports = json_pack("{s:i}", "8080", 8080),
        .self = fake_engine_look(h->engine, h->self),
    };
    CHECK(w->facts.self);
    w->record = (struct record_facts){
        .application = "",
        .cluster = "app",
        .namespace_ = "marathon",
        .task = "",
        .zk = "zk:2181",
        .fwk = w->facts.fwk,
        .ip = w->facts.ip,
        .node = w->facts.node,
        .public_ = w->facts.public_,
        .zone = "",
        .slot = "",
        .port = "8080",
        .start = true,
        .ports = w->facts.ports,
        .renewals = w->state->renewals,
    };
}

static void build(struct worker *w) {
    struct err err = ERR_INIT;
    const struct pod_config config = {
        .spec = w->spec,
        .state = w->state,
        .docker = w->docker,
        .http = w->http,
        .runner = w->runner,
        .facts = &w->facts,
        .full_name = "marathon.app",
        .tether = "ochopod-sim",
        .witness = witness,
        .read_proposal = read_proposal,
        .read_leader = read_leader,
        .is_attached = is_attached,
        .on_dead = on_dead,
        .on_change = on_change,
        .arg = w,
    };
    w->pod = pod_create(w->loop, &config);
    const struct control_hooks hooks = {.info = info,
                                        .reset = reset,
                                        .cluster = read_cluster,
                                        .generation = generation,
                                        .alive = alive};
    CHECK(control_open(w->loop, w->http, w->spec, 8080, w->pod, &hooks, w, &w->control, &err) == 0);
    static const struct coordinator_events events = {
        .on_seq = on_seq,
        .on_attached = on_attached,
        .on_fatal = on_fatal,
        .on_leading = on_leading,
    };
    const struct coordinator_config where = {
        .spec = w->spec,
        .zk_url = w->spec->zk,
        .namespace_ = "marathon",
        .cluster = "app",
        .pod_id = w->state->pod_id,
        .facts = &w->record,
        .seq = w->state->seq,
    };
    w->coordinator = coordinator_create(w->loop, w->http, &where, &events, w, &err);
    CHECK(w->coordinator);
    if (w->state->dead)
        coordinator_stand(w->coordinator, false);
    pod_engine(w->pod, docker_is_up(w->docker));
}

struct worker *worker_create(struct host *h) {
    struct worker *w = xnew(struct worker);
    struct err err = ERR_INIT;
    w->host = h;
    w->spec = h->spec;
    w->loop = h->loop;
    if (state_open(w->spec->state_dir, !w->spec->start, &w->state, &err)) {
        note("%s cannot start", h->name);
        log_err("sidecar %s", err.text);
        free(w);
        return NULL;
    }
    static const struct runner_setup runner = {.name = "sim", .functions = render_functions};
    CHECK(runner_start(&runner, &w->runner, &err) == 0);
    runner_attach(w->runner, w->loop);
    w->http = http_create(w->loop, 160, 8);
    open_engine(w);
    find_itself(w);
    build(w);
    return w;
}

// ---- the end ----

static void left(void *arg) {
    struct worker *w = arg;
    w->stopped(w->stopped_arg);
}

static void overdue(void *arg) {
    log_warn("sidecar: the time to stop is over");
    left(arg);
}

static void workload_left(const struct err *why, void *arg) {
    struct worker *w = arg;
    (void)why;
    coordinator_leave(w->coordinator, left, w);
}

void worker_stop(struct worker *w, void (*done)(void *arg), void *arg) {
    if (w->stopping)
        return;
    w->stopping = true;
    w->stopped = done;
    w->stopped_arg = arg;
    coordinator_stand(w->coordinator, false);
    loop_timer_start(w->loop, &w->overdue, 9500, overdue, w);
    pod_leave(w->pod, 8000, workload_left, w);
}

// ---- looking ----

struct pod *worker_pod(const struct worker *w) {
    return w->pod;
}

struct zk *worker_zk(const struct worker *w) {
    struct zk *zk, *found = NULL;
    list_each(zk, &sim->zk->clients, struct zk, link) {
        if (zk->loop == w->loop && !zk->closed && !zk->crashed)
            found = zk;
    }
    return found;
}

const char *worker_state(const struct worker *w) {
    return coordinator_state(w->coordinator);
}

const char *worker_status(const struct worker *w) {
    return coordinator_status(w->coordinator);
}

bool worker_leads(const struct worker *w) {
    return w->leads;
}

bool worker_attached(const struct worker *w) {
    return coordinator_attached(w->coordinator);
}

void worker_reset(struct worker *w) {
    coordinator_reset(w->coordinator);
}
