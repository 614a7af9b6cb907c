#include "sidecar/app_inside.h"
#include "base/check.h"
#include "base/log.h"
#include "base/names.h"
#include "base/own.h"
#include "base/watchdog.h"
#include "sidecar/clerk.h"
#include "sidecar/holder.h"
#include "sidecar/init.h"
#include "sidecar/pod/place.h"
#include "sidecar/runner/runner.h"
#include "sidecar/sandbox.h"
#include "sidecar/uploads.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum {
    HTTP_TOTAL = 160, // a round asks 64 peers at once; the engine's streams stand beside them
    HTTP_IDLE = 8,
    STOP_DEFAULT_MS = 10000, // the engine's, where the container says nothing
    STOP_MARGIN_MS = 2000,   // of that, what we keep for ourselves
    STOP_LEAST_MS = 1000,    // for the workload, however late we have found it
    SEARCH_AGAIN_MS = 1000,
};

static void end_with(struct app *app, int status) {
    app->status = status;
    loop_quit(app->loop);
}

void app_fatal(struct app *app, int status, const struct err *err) {
    log_err("sidecar %s", err->text);
    end_with(app, status);
}

// ---- stopping ----

static int exit_left(const struct app *app) {
    return app->workload_left && !app->unstopped ? EXIT_OK : EXIT_OVERDUE;
}

static void left(void *arg) {
    struct app *app = arg;
    if (app->unstopped)
        log_warn(
            "sidecar %s stopped, its workload did not: it ends with its holder or our container",
            app->full_name);
    else
        log_info("sidecar %s stopped in good order", app->full_name);
    end_with(app, exit_left(app));
}

static void workload_left(const struct err *why, void *arg) {
    struct app *app = arg;
    app->workload_left = true;
    app->unstopped = why->kind != ERR_NONE;
    coordinator_leave(app->coordinator, left, app);
}

static void overdue(void *arg) {
    struct app *app = arg;
    log_warn("sidecar %s: the time to stop is over; %s", app->full_name ? app->full_name : "",
             app->workload_left ? "our record goes when its session is over"
                                : "what is left runs until our container ends");
    end_with(app, exit_left(app));
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

static void stop_within(struct app *app, int64_t budget) {
    loop_timer_start(app->loop, &app->overdue, budget + STOP_MARGIN_MS * 3 / 4, overdue, app);
}

static void leave(struct app *app) {
    int64_t budget = stop_budget(app) - (loop_now(app->loop) - app->stop_began);
    if (budget < STOP_LEAST_MS)
        budget = STOP_LEAST_MS;
    app->leaving = true;
    coordinator_stand(app->coordinator, false);
    stop_within(app, budget);
    pod_leave(app->pod, budget, workload_left, app);
}

// Whoever goes on for another has to find first what that one left running. An engine that says
// nothing of itself yet is waited for, one that is down is not: as it is later.
static bool knows_what_runs(const struct app *app) {
    return app->coordinator && (app->engine_heard || !app->resumed);
}

static void leave_if_asked(struct app *app) {
    if (app->stopping && !app->leaving && knows_what_runs(app))
        leave(app);
}

// What our own container allows is not known yet, and what runs is stopped within it later.
static int64_t wait_for_news(const struct app *app) {
    int64_t usual = STOP_DEFAULT_MS - STOP_MARGIN_MS, grace = app->spec->workload.stop.grace;
    return grace > usual ? grace : usual;
}

static void stop(int signo, void *arg) {
    struct app *app = arg;
    if (app->stopping)
        return;
    app->stopping = true;
    app->stop_began = loop_now(app->loop);
    log_info("sidecar stopping because=SIG%s", signo == SIGTERM ? "TERM" : "INT");
    if (!app->coordinator && !app->resumed)
        end_with(app, EXIT_OK); // nothing was started
    else if (knows_what_runs(app))
        leave(app);
    else
        stop_within(app, wait_for_news(app));
}

// ---- where we are, and what waits for that ----

static void warn_of_short_stop(const struct app *app) {
    int64_t budget = stop_budget(app), grace = app->spec->workload.stop.grace;
    if (app->facts->self && app->spec->workload.stop.grace_given && grace > budget)
        log_warn("sidecar stop.grace of %lld ms is cut to %lld: the stop timeout of our own "
                 "container allows no more "
                 "(stop_grace_period in compose)",
                 (long long)grace, (long long)budget);
}

static void search(void *arg);

// Not only when the engine comes: a name may not resolve yet, an engine that is up may be slow. The
// first time is no news: we have just started, and the engine has hardly been asked.
static void search_later(struct app *app, const struct err *why) {
    int tries = ++app->search_tries;
    if (tries == 2 || (tries > 2 && strcmp(app->search_err.text, why->text) != 0))
        log_warn("sidecar %s (tried again every second)", why->text);
    app->search_err = *why;
    loop_timer_start(app->loop, &app->search_again, SEARCH_AGAIN_MS, search, app);
}

// What root's files hold has been read, or is asked for from now on; before ZooKeeper's threads.
static int leave_root(const struct app *app, struct err *err) {
    clerk_use(runner_clerk(app->others.runner));
    names_use(app->names);
    return sandbox_become(&app->user, err);
}

// From here on no file, no unix socket, nothing that listens.
static int confine(struct err *err) {
    return sandbox_files(NULL, NULL, err) < 0 || sandbox_filter(SANDBOX_WORKER, err) ? -1 : 0;
}

static void found(struct binding_facts *facts, const struct err *found_err, void *arg) {
    struct app *app = arg;
    app->search = NULL;
    if (found_err->kind == ERR_RETRY || found_err->kind == ERR_TIMEOUT) {
        search_later(app, found_err);
        return;
    }
    if (found_err->kind != ERR_NONE) {
        app_fatal(app, EXIT_SPEC, found_err);
        return;
    }
    struct err err = ERR_INIT;
    app->facts = facts;
    if (app_name_cluster(app, &err)) {
        app_fatal(app, EXIT_SPEC, &err);
        return;
    }
    int port = binding_local_port(facts, app->spec->port);
    state_note_control(app->spec->state_dir, app->spec->port, port);
    log_info("sidecar %s pod=%s port=%d", app->full_name, app->state->pod_id, port);
    warn_of_short_stop(app);
    if (app_build_pod(app, &err) || app_build_control(app, &err)) {
        app_fatal(app, EXIT_SPEC, &err);
        return;
    }
    if (leave_root(app, &err)) {
        app_fatal(app, 1, &err);
        return;
    }
    app->coordinator = app_build_coordinator(app, &err);
    if (!app->coordinator) {
        app_fatal(app, EXIT_SPEC, &err);
        return;
    }
    if (app->state->dead)
        coordinator_stand(app->coordinator, false);
    pod_engine(app->pod, docker_is_up(app->docker));
    if (confine(&err)) {
        app_fatal(app, 1, &err);
        return;
    }
    leave_if_asked(app);
}

static void search(void *arg) {
    struct app *app = arg;
    loop_timer_stop(&app->search_again);
    struct binding_wish wish = {.name = app->spec->binding,
                                .env = environ,
                                .port = app->spec->port,
                                .local = app->spec->local,
                                .zk_given = app->spec->zk && *app->spec->zk};
    app->search = bindings_find(app->loop, app->http, app->docker, &wish, found, app);
}

// ---- the engine ----

static void engine_up(const char *api_version, const char *engine_version, void *arg) {
    struct app *app = arg;
    log_info("engine up version=%s api=%s", engine_version, api_version);
    app->engine_heard = true;
    if (!app->facts && !app->search)
        search(app);
    if (app->pod)
        pod_engine(app->pod, true);
    app_changed(app);
    leave_if_asked(app);
}

static void engine_down(const struct err *why, void *arg) {
    struct app *app = arg;
    log_warn("engine down: %s (the workload is left as it is; asked again when it is back)",
             why->text);
    app->engine_heard = true;
    if (app->pod)
        pod_engine(app->pod, false);
    app_changed(app);
    leave_if_asked(app);
}

static void engine_event(const char *id, const char *name, const json_t *attributes,
                         int64_t time_ns, void *arg) {
    struct app *app = arg;
    (void)time_ns;
    if (app->pod)
        pod_event(app->pod, id, name, attributes);
}

static void on_broker_gone(void *arg) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY,
            "the broker's process has ended: starting again with another (the workload runs on)");
    app_fatal(arg, 1, &err);
}

static int open_engine(struct app *app, struct err *err) {
    static const struct docker_events_listener listener = {
        .on_up = engine_up, .on_down = engine_down, .on_event = engine_event};
    auto_free char *label = xasprintf("io.ochopod.pod=%s", app->state->pod_id);
    const char *labels[] = {label, NULL};
    bool adopts = !app->spec->workload.image;
    return docker_open_through(app->loop, app->broker.engine, app->spec->docker_host, &listener,
                               adopts ? NULL : labels, on_broker_gone, app, &app->docker, err);
}

// ---- life ----

static void on_runner_gone(void *arg) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY,
            "the runner's process has ended: starting again with another (the workload runs on)");
    app_fatal(arg, 1, &err);
}

static void on_names_gone(int events, void *arg) {
    struct app *app = arg;
    struct err err = ERR_INIT;
    (void)events; // it never writes: this is its end
    loop_fd_stop(&app->names_watch);
    err_set(&err, ERR_RETRY,
            "the process that looks names up has ended: starting again with another (the workload "
            "runs on)");
    app_fatal(app, 1, &err);
}

static void attach(struct app *app) {
    app->names_watch = loop_fd_start(app->loop, app->names, LOOP_READ, on_names_gone, app);
    struct runner *runners[] = {app->others.runner, app->others.portal};
    for (size_t i = 0; i < sizeof runners / sizeof *runners; i++)
        if (runners[i]) {
            runner_attach(runners[i], app->loop);
            runner_on_gone(runners[i], on_runner_gone, app);
        }
}

static void listen_signals(struct app *app) {
    signal(SIGPIPE, SIG_IGN);
    app->term = loop_signal_start(app->loop, SIGTERM, stop, app);
    app->interrupt = loop_signal_start(app->loop, SIGINT, stop, app);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Forked while there is nothing yet that they should not have: no thread, no socket, no filter.
static int start_others(struct app *app, struct err *err) {
    place_here();
    sandbox_user_choose(&app->user);
    if (!app->user.leaves)
        log_info("sidecar all its processes keep their user: %s", app->user.why);
    app->tether = xasprintf("ochopod-%s", app->state->pod_id);
    app->broker_config = (struct broker_config){
        .spec = app->spec, .pod_id = app->state->pod_id, .tether = app->tether, .user = app->user};
    if (broker_start(&app->broker_config, &app->broker, err) ||
        app_others(app->spec, app->state->pod_id, &app->others, err))
        return -1;
    holder_end_exec_through(app->broker.holder);
    return 0;
}

static int build(struct app *app, int tether_fd, struct err *err) {
    // ochopod_start=false: as if an operator had said off before anything else
    if (state_open(app->spec->state_dir, !app->spec->start, &app->state, err))
        return -1;
    uploads_sweep(app->spec->state_dir);
    if (start_others(app, err) || sandbox_drop_until(&app->user, err) || sandbox_memory(err))
        return -1;
    if (init_give_tether(tether_fd, app->resumed, app->tether, err))
        return -1;
    close(tether_fd); // who takes us over later has nothing to say to init
    if (sandbox_filter(SANDBOX_WORKER_START, err))
        return -1;
    app->loop = loop_create();
    if (watchdog_start(app->loop, WATCHDOG_TICK_MS, err))
        return -1;
    listen_signals(app);
    attach(app);
    app->http = http_create(app->loop, HTTP_TOTAL, HTTP_IDLE);
    if (open_engine(app, err))
        return -1;
    search(app);
    return 0;
}

static void take_down(struct app *app) {
    watchdog_last(app->status); // what may block now ends by itself, or the process does
    if (app->loop)
        loop_timer_stop(&app->overdue);
    control_close(app->control);
    portal_free(app->portal);
    coordinator_free(app->coordinator);
    auth_close(app->auth);
    pod_free(app->pod);
    bindings_cancel(&app->search);
    if (app->loop)
        loop_timer_stop(&app->search_again);
    docker_close(app->docker);
    if (app->http)
        http_free(app->http);
    loop_fd_stop(&app->names_watch);
    runner_stop(app->others.portal);
    runner_stop(app->others.runner);
    loop_signal_stop(&app->term);
    loop_signal_stop(&app->interrupt);
    if (app->loop)
        loop_free(app->loop);
    app_others_done(&app->others);
    close(app->names);
    state_close(app->state);
    binding_facts_free(app->facts);
    free((char *)app->record.port);
    free(app->full_name);
    free(app->own_url);
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

int app_run(const struct spec *spec, int names, int tether_fd, bool resumed) {
    struct app app = {.spec = spec, .names = names, .resumed = resumed};
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
