#include "docker-api/docker.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include <string.h>
#include <sys/stat.h>

enum {
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 2000,
    STEADY_MS = 5000, // a contact that held so long starts the pauses anew
    PING_MS = 5000,   // an engine that restores its containers accepts long before it answers
    SILENCE_MS = 10000,
};

static void contact_begin(void *arg);

// ---- made and lost ----

static void on_met(const struct door_head *head, void *arg) {
    struct docker *d = arg;
    snprintf(d->met[0], sizeof d->met[0], "%s", head->api_version);
    snprintf(d->met[1], sizeof d->met[1], "%s", head->server);
}

static void ping_start(struct docker *d, http_fn *fn) {
    const struct door_request request = {.op = DOOR_PING, .timeout_ms = PING_MS, .max_reply = 4096};
    const struct door_events events = {.on_head = on_met, .on_end = fn};
    d->ping = door_start(d->door, &request, &events, d);
}

static int read_ping(struct docker *d, const struct http_reply *reply, const struct err *err,
                     struct err *ret) {
    if (err->kind != ERR_NONE)
        return err_copy(ret, err);
    if (reply->status != 200)
        return decode_failure(reply->status, reply->body, reply->len, ret);
    char version[16];
    if (decode_version(*d->met[0] ? d->met[0] : NULL, version, ret) < 0)
        return -1;
    memcpy(d->version, version, sizeof version);
    decode_server(*d->met[1] ? d->met[1] : NULL, d->engine);
    return 0;
}

static void contact_ping_done(const struct http_reply *reply, const struct err *err, void *arg) {
    struct docker *d = arg;
    struct err why = ERR_INIT;
    d->ping = NULL;
    if (read_ping(d, reply, err, &why) < 0)
        contact_lost(d, &why);
    else if (d->listening)
        events_open(d);
    else
        contact_up(d);
}

static void contact_begin(void *arg) {
    struct docker *d = arg;
    if (!d->since_ns)
        d->since_ns = (int64_t)(loop_wall(d->loop) * 1e6) * 1000;
    ping_start(d, contact_ping_done);
}

void contact_up(struct docker *d) {
    d->contact = CONTACT_UP;
    d->folder = false;
    d->up_since_ms = loop_now(d->loop);
    if (d->listening)
        log_info("docker %s up api=%s engine=%s", d->host, d->version, d->engine);
    contact_quiet(d);
    calls_release(d);
    if (d->listening)
        d->listener.on_up(d->version, d->engine, d->arg);
}

// Also from a first contact that failed. The owner hears of it once a gap.
void contact_lost(struct docker *d, const struct err *why) {
    bool news = d->contact != CONTACT_DOWN;
    int64_t now = loop_now(d->loop);
    if (d->contact == CONTACT_UP && now - d->up_since_ms >= STEADY_MS)
        d->retry_ms = RETRY_MIN_MS;
    if (d->folder)
        err_set(&d->down, ERR_RETRY, "%s is a directory: was the socket there when it was mounted?",
                d->socket);
    else
        err_copy(&d->down, why);
    err_wrap(&d->down, "docker engine %s", d->host);
    d->down.kind = ERR_RETRY;
    d->contact = CONTACT_DOWN;
    events_close(d);
    door_cancel(&d->ping);
    loop_timer_start(d->loop, &d->timer, d->retry_ms, contact_begin, d);
    d->retry_ms = d->retry_ms * 2 < RETRY_MAX_MS ? d->retry_ms * 2 : RETRY_MAX_MS;
    calls_drop(d, &d->down);
    if (news && d->listening) {
        struct err copy = d->down;
        d->listener.on_down(&copy, d->arg);
    }
}

// ---- silence ----

static void look_done(const struct http_reply *reply, const struct err *err, void *arg) {
    struct docker *d = arg;
    struct err why = ERR_INIT;
    d->ping = NULL;
    if (err->kind != ERR_NONE)
        contact_lost(d, err);
    else if (reply->status != 200) {
        decode_failure(reply->status, reply->body, reply->len, &why);
        contact_lost(d, &why);
    } else
        contact_quiet(d);
}

static void look(void *arg) {
    struct docker *d = arg;
    ping_start(d, look_done);
}

void contact_quiet(struct docker *d) {
    if (d->contact == CONTACT_UP && !d->ping)
        loop_timer_start(d->loop, &d->timer, SILENCE_MS, look, d);
}

void contact_suspect(struct docker *d) {
    if (d->contact != CONTACT_UP || d->ping)
        return;
    loop_timer_stop(&d->timer);
    look(d);
}

// ---- the client ----

int read_host(const char *host, char **ret_socket, char **ret_base, struct err *err) {
    if (text_starts(host, "unix://") && host[7] == '/') {
        *ret_socket = xstrdup(host + 7);
        *ret_base = xstrdup("http://docker");
        return 0;
    }
    if (text_starts(host, "tcp://") && host[6] && !strpbrk(host + 6, "/?#@ ")) {
        *ret_base = xasprintf("http://%s", host + 6);
        return 0;
    }
    auto_text struct text quoted = {0};
    text_quote(&quoted, host, 100);
    return err_set(err, ERR_USER,
                   "docker host %s: expected unix:///path/of/docker.sock or tcp://address:port",
                   text_str(&quoted));
}

static char **copy_list(const char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    if (!n)
        return NULL;
    char **copy = xcalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(list[i]);
    return copy;
}

// What Docker makes of a mount whose source is not there. Looked for at the beginning: later we may
// see no files.
static bool is_folder(const char *path) {
    struct stat st;
    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

// Takes socket.
static struct docker *create(struct loop *loop, const char *host, char *socket,
                             const struct docker_events_listener *listener,
                             const char *const *container_label, void *arg) {
    struct docker *d = xnew(struct docker);
    d->loop = loop;
    d->host = xstrdup(host);
    d->socket = socket;
    d->folder = is_folder(socket);
    d->listening = listener != NULL;
    if (listener)
        d->listener = *listener;
    d->labels = copy_list(container_label);
    d->arg = arg;
    d->retry_ms = RETRY_MIN_MS;
    list_init(&d->calls);
    loop_timer_start(loop, &d->timer, 0, contact_begin, d);
    return d;
}

const char *docker_host(const char *host) {
    const char *told = host ? host : getenv("DOCKER_HOST");
    return told && *told ? told : "unix:///var/run/docker.sock";
}

int docker_open(struct loop *loop, struct http *http, const char *host,
                const struct docker_events_listener *listener, const char *const *container_label,
                void *arg, struct docker **ret, struct err *err) {
    const char *told = docker_host(host);
    auto_free char *socket = NULL, *base = NULL;
    if (read_host(told, &socket, &base, err) < 0)
        return -1;
    struct docker *d = create(loop, told, take_ptr(socket), listener, container_label, arg);
    d->door = door_http_create(http, d->socket, base);
    *ret = d;
    return 0;
}

int docker_open_through(struct loop *loop, int fd, const char *host,
                        const struct docker_events_listener *listener,
                        const char *const *container_label, void (*on_gone)(void *arg), void *arg,
                        struct docker **ret, struct err *err) {
    const char *told = docker_host(host);
    auto_free char *socket = NULL, *base = NULL;
    if (read_host(told, &socket, &base, err) < 0)
        return -1;
    struct docker *d = create(loop, told, take_ptr(socket), listener, container_label, arg);
    d->door = door_remote_create(loop, fd, on_gone, arg);
    *ret = d;
    return 0;
}

void docker_close(struct docker *d) {
    if (!d)
        return;
    if (d->gone)
        *d->gone = true;
    while (!list_empty(&d->calls))
        call_free(list_first(&d->calls, struct docker_call, link));
    events_close(d);
    door_cancel(&d->ping);
    loop_timer_stop(&d->timer);
    door_close(d->door);
    text_list_free(d->labels);
    free(d->host);
    free(d->socket);
    free(d);
}

bool docker_is_up(const struct docker *d) {
    return d->contact == CONTACT_UP;
}

const char *docker_version(const struct docker *d) {
    return d->version;
}

const char *docker_socket_path(const struct docker *d) {
    return d->socket;
}
