#include "sidecar/app.h"
#include "base/check.h"
#include "base/http.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "bindings/bindings.h"
#include "docker-api/docker.h"
#include "sidecar/control/control.h"
#include "sidecar/coordinator/coordinator.h"
#include "sidecar/init.h"
#include "sidecar/pod/pod.h"
#include "sidecar/render/render.h"
#include "sidecar/runner/runner.h"
#include "sidecar/sandbox.h"
#include "sidecar/state/state.h"
#include <signal.h>
#include <string.h>

extern char **environ;

enum {
    HTTP_TOTAL = 160, // a round asks 64 peers at once; the engine's streams stand beside them
    HTTP_IDLE = 8,
    STOP_DEFAULT_MS = 10000, // the engine's, where the container says nothing
    STOP_MARGIN_MS = 2000,   // of that, what we keep for ourselves
    SEARCH_AGAIN_MS = 1000,
};

struct app {
    const struct spec *spec;
    struct loop *loop;
    struct http *http;
    struct docker *docker;
    struct runner *runner;
    struct state *state;
    struct binding_search *search;
    struct loop_timer *search_again;
    struct err search_err; // as was said
    struct binding_facts *facts;
    struct record_facts record;
    char *full_name; // "marathon.zookeeper"
    char *tether;
    struct pod *pod;
    struct coordinator *coordinator;
    struct control *control;
    struct loop_signal *term, *interrupt;
    struct loop_timer *overdue;
    bool stopping;
    int status;
};

static void end_with(struct app *app, int status) {
    app->status = status;
    loop_quit(app->loop);
}

static void fatal(struct app *app, int status, const struct err *err) {
    log_err("sidecar %s", err->text);
    end_with(app, status);
}

// ---- what travels up ----

static void on_seq(int64_t seq, void *arg) {
    struct app *app = arg;
    struct err err = ERR_INIT;
    app->state->seq = seq;
    if (state_save(app->state, &err))
        log_err("sidecar %s: the sequence number %lld will be lost at the next start", err.text,
                (long long)seq);
    control_changed(app->control);
}

static void on_attached(bool attached, void *arg) {
    struct app *app = arg;
    pod_attached(app->pod, attached);
    control_changed(app->control);
}

// ZooKeeper's own refusals (a wrong password) are the spec's to mend.
static void on_fatal(const struct err *err, void *arg) {
    fatal(arg, err->kind == ERR_EXISTS ? EXIT_CLONED : EXIT_SPEC, err);
}

static void on_leading(bool leading, void *arg) {
    struct app *app = arg;
    (void)leading;
    control_changed(app->control);
}

static void on_dead(bool dead, void *arg) {
    struct app *app = arg;
    if (app->coordinator && !app->stopping)
        coordinator_stand(app->coordinator, !dead);
}

static void on_change(void *arg) {
    struct app *app = arg;
    if (app->record.renewals != app->state->renewals) {
        app->record.renewals = app->state->renewals;
        if (app->coordinator)
            coordinator_update(app->coordinator);
    }
    if (app->control)
        control_changed(app->control);
}

// ---- what the pod and the control port ask of ZooKeeper ----

struct witness {
    pod_witness_fn *fn;
    void *arg;
};

static bool has_original(const json_t *pods) {
    const char *id;
    json_t *record;
    json_object_foreach((json_t *)pods, id, record) {
        if (!json_object_get(record, "sidecar"))
            return true;
    }
    return false;
}

static void witnessed(const json_t *answer, const struct err *err, void *arg) {
    struct witness *w = arg;
    if (err->kind != ERR_NONE)
        w->fn("", false, err, w->arg);
    else
        w->fn(json_text(answer, "tree"), has_original(json_object_get(answer, "pods")), err,
              w->arg);
    free(w);
}

static void witness(pod_witness_fn *fn, void *fn_arg, void *arg) {
    struct app *app = arg;
    struct witness *w = xnew(struct witness);
    *w = (struct witness){.fn = fn, .arg = fn_arg};
    coordinator_read(app->coordinator, witnessed, w);
}

static void read_cluster(control_json_fn *fn, void *fn_arg, void *arg) {
    struct app *app = arg;
    coordinator_read(app->coordinator, fn, fn_arg);
}

static void reset(void *arg) {
    struct app *app = arg;
    coordinator_reset(app->coordinator);
}

static int64_t generation(void *arg) {
    struct app *app = arg;
    int64_t n = -1;
    if (json_int(coordinator_leader_record(app->coordinator), "generation", &n, NULL))
        return -1;
    return n;
}

static bool alive(void *arg) {
    (void)arg;
    return true; // asked on the loop: a loop that hangs does not answer
}

static json_t *string_list(char *const *list) {
    json_t *array = json_array();
    for (; list && *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

// Ochopod's keys in Ochopod's order, then ours.
static json_t *info(void *arg) {
    struct app *app = arg;
    const struct binding_facts *f = app->facts;
    auto_json json_t *pod = pod_info(app->pod);
    const char *status = coordinator_status(app->coordinator);
    json_t *o = json_object();
    json_object_set_new(o, "application", json_string(app->record.application));
    json_object_set_new(o, "port", json_string(app->record.port));
    json_object_set_new(o, "task", json_string(app->record.task));
    json_object_set_new(o, "ip", json_string(f->ip));
    json_object_set_new(o, "node", json_string(f->node));
    json_object_set(o, "ports", f->ports);
    json_object_set_new(o, "public", json_string(f->public_));
    json_object_set(o, "metrics", json_object_get(pod, "metrics"));
    json_object_set_new(o, "dependencies", string_list(app->spec->depends_on));
    json_object_set(o, "process", json_object_get(pod, "process"));
    json_object_set_new(o, "state", json_string(coordinator_state(app->coordinator)));
    json_object_set_new(o, "status", json_string(*status ? status : json_text(pod, "status")));
    json_object_set_new(o, "cluster", json_string(app->record.cluster));
    json_object_set_new(o, "namespace", json_string(app->record.namespace_));
    json_object_set_new(o, "seq", json_integer(app->state->seq));
    json_object_set_new(o, "id", json_string(app->state->pod_id));
    json_object_set_new(o, "binding", json_string(f->binding));
    json_object_set_new(o, "attached", json_boolean(coordinator_attached(app->coordinator)));
    json_object_set_new(o, "docker", json_string(docker_is_up(app->docker) ? "up" : "down"));
    json_object_set_new(o, "generation", json_integer(generation(app)));
    json_object_set_new(o, "version", json_string(OCHOPOD_VERSION));
    json_object_update_missing(o, pod);
    return o;
}

// ---- the leader's look at the whole cluster ----

static void probe(const json_t *view,
                  void (*fn)(const char *line, const struct err *err, void *arg), void *fn_arg,
                  void *arg) {
    struct app *app = arg;
    pod_action(app->pod, &app->spec->probe.action, view, fn, fn_arg);
}

// ---- stopping ----

static void left(void *arg) {
    struct app *app = arg;
    log_info("sidecar %s stopped in good order", app->full_name);
    end_with(app, EXIT_OK);
}

static void workload_left(void *arg) {
    struct app *app = arg;
    coordinator_leave(app->coordinator, left, app);
}

static void overdue(void *arg) {
    struct app *app = arg;
    log_warn("sidecar %s: the time to stop is over; what is left runs until our container ends",
             app->full_name);
    end_with(app, EXIT_OK);
}

// What our own container is given between SIGTERM and SIGKILL, less a margin; a process outside a
// container has the spec's grace.
static int64_t stop_budget(const struct app *app) {
    const struct docker_container *self = app->facts ? app->facts->self : NULL;
    if (!self)
        return app->spec->workload.stop.grace;
    int64_t given = self->stop_timeout_s >= 0 ? self->stop_timeout_s * 1000 : STOP_DEFAULT_MS;
    return given > STOP_MARGIN_MS ? given - STOP_MARGIN_MS : given / 2;
}

static void stop(int signo, void *arg) {
    struct app *app = arg;
    if (app->stopping)
        return;
    app->stopping = true;
    log_info("sidecar stopping because=SIG%s", signo == SIGTERM ? "TERM" : "INT");
    if (!app->coordinator) {
        end_with(app, EXIT_OK);
        return;
    }
    int64_t budget = stop_budget(app);
    if (app->spec->workload.stop.grace < budget)
        budget = app->spec->workload.stop.grace;
    coordinator_stand(app->coordinator, false);
    loop_timer_start(app->loop, &app->overdue, budget + STOP_MARGIN_MS * 3 / 4, overdue, app);
    pod_leave(app->pod, budget, workload_left, app);
}

// ---- the stations that need to know where they are ----

// Spec before binding before default.
static const char *first_of(const char *spec, const char *binding, const char *default_) {
    if (spec && *spec)
        return spec;
    return *binding ? binding : default_;
}

static int name_cluster(struct app *app, struct err *err) {
    const struct spec *spec = app->spec;
    const struct binding_facts *facts = app->facts;
    const char *cluster = first_of(spec->cluster, facts->cluster, "");
    const char *namespace_ = first_of(spec->namespace_, facts->namespace_, "marathon");
    if (!*cluster)
        return err_set(
            err, ERR_USER,
            "no cluster name: set `cluster:` in the spec, OCHOPOD_CLUSTER or --cluster (binding %s "
            "knows none)",
            facts->binding);
    app->full_name = xasprintf("%s.%s", namespace_, cluster);
    char port[16];
    snprintf(port, sizeof port, "%d", spec->port);
    app->record = (struct record_facts){
        .application = first_of(spec->application, facts->application, ""),
        .cluster = cluster,
        .namespace_ = namespace_,
        .task = first_of(spec->task, facts->task, ""),
        .zk = first_of(spec->zk, facts->zk, ""),
        .fwk = facts->fwk,
        .ip = facts->ip,
        .node = facts->node,
        .public_ = facts->public_,
        .port = xstrdup(port),
        .debug = spec->debug,
        .start = spec->start,
        .ports = facts->ports,
        .renewals = app->state->renewals,
    };
    if (!*app->record.zk)
        return err_set(err, ERR_USER,
                       "no ZooKeeper address: set `zk:` in the spec, OCHOPOD_ZK or --zk");
    return 0;
}

static void warn_of_short_stop(const struct app *app) {
    int64_t budget = stop_budget(app), grace = app->spec->workload.stop.grace;
    if (app->facts->self && app->spec->workload.stop.grace_given && grace > budget)
        log_warn("sidecar stop.grace of %lld ms is cut to %lld: the stop timeout of our own "
                 "container allows no more "
                 "(stop_grace_period in compose)",
                 (long long)grace, (long long)budget);
}

static int build_pod(struct app *app, struct err *err) {
    struct pod_config config = {
        .spec = app->spec,
        .state = app->state,
        .docker = app->docker,
        .http = app->http,
        .runner = app->runner,
        .facts = app->facts,
        .full_name = app->full_name,
        .tether = app->tether,
        .witness = witness,
        .on_dead = on_dead,
        .on_change = on_change,
        .arg = app,
    };
    auto_text struct text report = {0};
    if (pod_verify(&config, &report, err)) {
        fputs(text_str(&report), stderr);
        return -1;
    }
    app->pod = pod_create(app->loop, &config);
    return 0;
}

static int build_control(struct app *app, struct err *err) {
    static const struct control_hooks hooks = {
        .info = info,
        .reset = reset,
        .cluster = read_cluster,
        .generation = generation,
        .alive = alive,
    };
    return control_open(app->loop, app->http, app->spec, app->pod, &hooks, app, &app->control, err);
}

static struct coordinator *build_coordinator(struct app *app, struct err *err) {
    static const struct coordinator_events events = {
        .on_seq = on_seq,
        .on_attached = on_attached,
        .on_fatal = on_fatal,
        .on_leading = on_leading,
    };
    struct coordinator_config config = {
        .spec = app->spec,
        .zk_url = app->record.zk,
        .namespace_ = app->record.namespace_,
        .cluster = app->record.cluster,
        .pod_id = app->state->pod_id,
        .facts = &app->record,
        .seq = app->state->seq,
        .probe = app->spec->probe.action.kind == ACTION_NONE ? NULL : probe,
        .probe_arg = app,
    };
    return coordinator_create(app->loop, app->http, &config, &events, app, err);
}

static void search(void *arg);

// Not only when the engine comes: a name may not resolve yet, an engine that is up may be slow.
static void search_later(struct app *app, const struct err *why) {
    if (strcmp(app->search_err.text, why->text) != 0)
        log_warn("sidecar %s (tried again every second)", why->text);
    app->search_err = *why;
    loop_timer_start(app->loop, &app->search_again, SEARCH_AGAIN_MS, search, app);
}

static void found(struct binding_facts *facts, const struct err *found_err, void *arg) {
    struct app *app = arg;
    app->search = NULL;
    if (found_err->kind == ERR_RETRY || found_err->kind == ERR_TIMEOUT) {
        search_later(app, found_err);
        return;
    }
    if (found_err->kind != ERR_NONE) {
        fatal(app, EXIT_SPEC, found_err);
        return;
    }
    struct err err = ERR_INIT;
    app->facts = facts;
    if (name_cluster(app, &err)) {
        fatal(app, EXIT_SPEC, &err);
        return;
    }
    log_info("sidecar %s pod=%s port=%d", app->full_name, app->state->pod_id, app->spec->port);
    warn_of_short_stop(app);
    if (build_pod(app, &err) || build_control(app, &err)) {
        fatal(app, EXIT_SPEC, &err);
        return;
    }
    app->coordinator = build_coordinator(app, &err);
    if (!app->coordinator) {
        fatal(app, EXIT_SPEC, &err);
        return;
    }
    if (app->state->dead)
        coordinator_stand(app->coordinator, false);
    pod_engine(app->pod, docker_is_up(app->docker));
    if (sandbox_filter(&err))
        fatal(app, 1, &err);
}

static void search(void *arg) {
    struct app *app = arg;
    loop_timer_stop(&app->search_again);
    struct binding_wish wish = {.name = app->spec->binding,
                                .env = environ,
                                .port = app->spec->port,
                                .local = app->spec->local};
    app->search = bindings_find(app->loop, app->docker, &wish, found, app);
}

// ---- the engine ----

static void engine_up(const char *api_version, const char *engine_version, void *arg) {
    struct app *app = arg;
    log_info("engine up version=%s api=%s", engine_version, api_version);
    if (!app->facts && !app->search)
        search(app);
    if (app->pod)
        pod_engine(app->pod, true);
    on_change(app);
}

static void engine_down(const struct err *why, void *arg) {
    struct app *app = arg;
    log_warn("engine down: %s (the workload is left as it is; asked again when it is back)",
             why->text);
    if (app->pod)
        pod_engine(app->pod, false);
    on_change(app);
}

static void engine_event(const char *id, const char *name, const json_t *attributes,
                         int64_t time_ns, void *arg) {
    struct app *app = arg;
    (void)time_ns;
    if (app->pod)
        pod_event(app->pod, id, name, attributes);
}

static int open_engine(struct app *app, struct err *err) {
    static const struct docker_events_listener listener = {
        .on_up = engine_up, .on_down = engine_down, .on_event = engine_event};
    auto_free char *label = xasprintf("io.ochopod.pod=%s", app->state->pod_id);
    const char *labels[] = {label, NULL};
    bool adopts = !app->spec->workload.image;
    return docker_open(app->loop, app->http, app->spec->docker_host, &listener,
                       adopts ? NULL : labels, app, &app->docker, err);
}

// ---- life ----

static void on_runner_gone(void *arg) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY,
            "the runner's process has ended: starting again with another (the workload runs on)");
    fatal(arg, 1, &err);
}

static void listen_signals(struct app *app) {
    signal(SIGPIPE, SIG_IGN);
    app->term = loop_signal_start(app->loop, SIGTERM, stop, app);
    app->interrupt = loop_signal_start(app->loop, SIGINT, stop, app);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int build(struct app *app, int tether_fd, struct err *err) {
    if (state_open(app->spec->state_dir, &app->state, err) ||
        runner_start(render_functions, &app->runner, err) || sandbox_drop(err))
        return -1;
    app->tether = xasprintf("ochopod-%s", app->state->pod_id);
    if (init_give_tether(tether_fd, app->tether, err))
        return -1;
    app->loop = loop_create();
    listen_signals(app);
    runner_attach(app->runner, app->loop);
    runner_on_gone(app->runner, on_runner_gone, app);
    app->http = http_create(app->loop, HTTP_TOTAL, HTTP_IDLE);
    if (open_engine(app, err))
        return -1;
    search(app);
    return 0;
}

static void take_down(struct app *app) {
    if (app->loop)
        loop_timer_stop(&app->overdue);
    control_close(app->control);
    coordinator_free(app->coordinator);
    pod_free(app->pod);
    bindings_cancel(&app->search);
    if (app->loop)
        loop_timer_stop(&app->search_again);
    docker_close(app->docker);
    if (app->http)
        http_free(app->http);
    runner_stop(app->runner);
    loop_signal_stop(&app->term);
    loop_signal_stop(&app->interrupt);
    if (app->loop)
        loop_free(app->loop);
    state_close(app->state);
    binding_facts_free(app->facts);
    free((char *)app->record.port);
    free(app->full_name);
    free(app->tether);
}

static int exit_status(const struct err *err) {
    switch (err->kind) {
    case ERR_USER:
        return EXIT_SPEC;
    case ERR_EXISTS:
        return EXIT_CLONED;
    default:
        return 1;
    }
}

int app_run(const struct spec *spec, int tether_fd) {
    struct app app = {.spec = spec};
    struct err err = ERR_INIT;
    if (build(&app, tether_fd, &err)) {
        log_err("sidecar %s", err.text);
        app.status = exit_status(&err);
    } else {
        loop_run(app.loop);
    }
    take_down(&app);
    return app.status;
}
