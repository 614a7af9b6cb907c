#include "sidecar/broker/broker.h"
#include "base/check.h"
#include "base/http.h"
#include "base/log.h"
#include "base/own.h"
#include "base/watchdog.h"
#include "sidecar/broker/broker_inside.h"
#include "sidecar/child.h"
#include "sidecar/holder.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

enum {
    HTTP_TOTAL = 64,
    HTTP_IDLE = 4,
    AGAIN_MS = 1000,
    SHUT_MS = 1000, // an engine that starts opens its socket a moment after it has made it
};

static void search(void *arg);

// ---- the user ----

// Outside a container it looks whether another sidecar's process still lives, which a host may show
// to root alone.
static void choose_user(struct sandbox_user *user, const char *host) {
    if (!user->leaves)
        return;
    if (!binding_in_container())
        *user = (struct sandbox_user){.why = "outside a container it looks at other processes"};
    else if (text_starts(host, "unix://"))
        sandbox_user_connects(user, host + strlen("unix://"));
    else
        sandbox_user_resolves(user);
    if (!user->leaves)
        log_info("broker stays root: %s", user->why);
}

// The socket of an engine that was started again may have another group: who is started anew looks
// again.
static void failed(const struct err *why, void *arg) {
    struct broker *b = arg;
    if (why->code != EACCES || !b->config.user.leaves)
        return;
    int64_t now = loop_now(b->loop);
    if (!b->shut_since)
        b->shut_since = now;
    if (now - b->shut_since < SHUT_MS)
        return;
    log_err("broker ends, to choose its user again: its group %u has no way to the engine's socket "
            "any more: %s",
            (unsigned)b->config.user.group, why->text);
    _exit(1);
}

// ---- who we are ----

// What it must see of files it has seen. Outside a container it looks whether another sidecar's
// process still lives; over TCP the engine's name is looked up again at each contact.
static int confine(const struct broker *b, struct err *err) {
    static const char *const everything[] = {"/", NULL};
    bool tcp = !docker_socket_path(b->docker), outside = !b->facts.self;
    if (sandbox_files(tcp || outside ? everything : NULL, NULL, err) < 0)
        return -1;
    if (!tcp && !outside)
        return sandbox_filter(SANDBOX_BROKER, err);
    return sandbox_filter(tcp ? SANDBOX_BROKER_TCP : SANDBOX_BROKER_START, err) ||
                   sandbox_filter(SANDBOX_SETTLED, err)
               ? -1
               : 0;
}

static void settle(struct broker *b) {
    auto_text struct text report = {0};
    struct err err = ERR_INIT, why = ERR_INIT;
    b->knows_self = true;
    b->place = place_make(b->spec, &b->facts, b->config.pod_id, "");
    if (mounts_choose(b->spec, b->facts.self, docker_socket_path(b->docker), &report, &b->mounts,
                      &err))
        log_debug("broker creates nothing: %s", err.text); // the worker says it aloud
    if (sandbox_become(&b->config.user, &why) || confine(b, &why)) {
        log_err("broker %s", why.text);
        _exit(1);
    }
    judge_go_on(b);
}

static void found(struct docker_container *self, const struct err *err, void *arg) {
    struct broker *b = arg;
    b->search = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        loop_timer_start(b->loop, &b->search_again, AGAIN_MS, search, b);
        return;
    }
    b->facts.self = self;
    settle(b);
}

static void search(void *arg) {
    struct broker *b = arg;
    b->search = binding_self_find(b->docker, &b->wish, found, b);
}

// ---- the line ----

static void judge(struct served_call *call, const struct door_request *request, void *arg) {
    judge_begin(arg, call, request);
}

static void forget(struct served_call *call, void *arg) {
    (void)arg;
    judge_forget(*served_slot(call));
}

static void answered(struct served_call *call, const struct door_request *request, int status,
                     struct text *body, void *arg) {
    struct broker *b = arg;
    (void)call;
    b->shut_since = 0;
    judge_answered(arg, request, status, body);
}

static void on_broken(const struct err *why, void *arg) {
    (void)arg;
    if (why->kind != ERR_GONE)
        log_err("broker ends: %s", why->text);
    _exit(why->kind == ERR_GONE ? 0 : 1);
}

static int build(struct broker *b, int fd, struct err *err) {
    static const struct served_rules rules = {
        .judge = judge,
        .forget = forget,
        .answered = answered,
        .failed = failed,
        .on_broken = on_broken,
    };
    b->spec = b->config.spec;
    b->known = json_object();
    b->volumes = json_object();
    b->execs = json_object();
    list_init(&b->waiting);
    b->wish = (struct binding_wish){.env = environ, .port = b->spec->port};
    b->loop = loop_create();
    b->http = http_create(b->loop, HTTP_TOTAL, HTTP_IDLE);
    if (watchdog_start(b->loop, WATCHDOG_TICK_MS, err) ||
        docker_open(b->loop, b->http, b->spec->docker_host, NULL, NULL, NULL, &b->docker, err) ||
        served_open(b->loop, b->http, fd, b->spec->docker_host, &rules, b, &b->served, err))
        return -1;
    if (binding_in_container())
        search(b);
    else
        settle(b);
    return 0;
}

static void on_order(int events, void *arg) {
    const struct broker *b = arg;
    (void)events;
    holder_serve(b->orders, b->config.tether);
}

static void serve(const int *fds, void *arg) {
    struct broker b = {.config = *(struct broker_config *)arg, .orders = fds[1]};
    struct err err = ERR_INIT;
    const char *host = docker_host(b.config.spec->docker_host);
    bool tcp = text_starts(host, "tcp:");
    choose_user(&b.config.user, host);
    if (sandbox_drop_until(&b.config.user, &err) || sandbox_memory(&err) ||
        sandbox_filter(tcp ? SANDBOX_BROKER_TCP : SANDBOX_BROKER_START, &err) ||
        build(&b, fds[0], &err)) {
        log_err("broker %s", err.text);
        _exit(1);
    }
    loop_fd_start(b.loop, b.orders, LOOP_READ, on_order, &b);
    loop_run(b.loop);
}

int broker_start(const struct broker_config *config, struct broker_line *ret, struct err *err) {
    const struct child child = {.name = "ochopod-broker",
                                .types = {SOCK_STREAM, SOCK_SEQPACKET},
                                .serve = serve,
                                .arg = (void *)config};
    int fds[CHILD_FDS_MAX];
    if (child_start(&child, &ret->pid, fds, err))
        return -1;
    ret->engine = fds[0];
    ret->holder = fds[1];
    return 0;
}
