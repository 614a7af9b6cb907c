// A real control port on loopback over the real loop and a fake pod, and clients that are raw
// sockets on the same thread: pump() turns the loop until what the test waits for is so. A part of
// each test program here (one .c each), so everything is static.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/http.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/control.h"
#include "tests/fake/pod.c"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define UNUSED __attribute__((unused))
enum { DEADLINE_MS = 60000 };

static struct {
    struct loop *loop;
    struct http *http;
    struct spec spec;
    struct spec_tool tools[1];
    struct pod *pod;
    struct control *control;
    struct portal *portal;
    struct auth *auth;
    int port;
    // what the hooks answer
    int64_t generation;
    bool sick, cluster_fails;
    const char *state, *ip;
    json_t *cluster;
    json_t *metrics, *ports; // NULL: none
    int resets, reads, infos;
    int64_t seq; // 0: it does not say
} it;

// ---- hooks ----

static json_t *give_info(void *arg) {
    (void)arg;
    it.infos++;
    json_t *info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[], s:s, s:s, s:s, s:s, s:O?, s:O?}",
                             "id", "uuid-own", "namespace", "marathon", "cluster", "zk",
                             "application", "app", "port", "8080", "dependencies", "process",
                             pod_process(it.pod), "state", it.state, "ip", it.ip, "public",
                             "198.51.100.1", "metrics", it.metrics, "ports", it.ports);
    if (!it.metrics)
        json_object_set_new(info, "metrics", json_object());
    if (!it.ports)
        json_object_del(info, "ports");
    if (it.seq)
        json_object_set_new(info, "seq", json_integer(it.seq));
    return info;
}

static void take_reset(void *arg) {
    (void)arg;
    it.resets++;
}

struct later {
    control_json_fn *fn;
    void *arg;
};

static void answer_cluster(void *arg) {
    struct later *later = arg;
    struct err err = ERR_INIT;
    if (it.cluster_fails)
        err_set(&err, ERR_DETACHED, "no session");
    later->fn(it.cluster_fails ? NULL : it.cluster, &err, later->arg);
    free(later);
}

static void read_cluster(control_json_fn *fn, void *fn_arg, void *arg) {
    (void)arg;
    it.reads++;
    struct later *later = xnew(struct later);
    *later = (struct later){fn, fn_arg};
    loop_timer_start(it.loop, NULL, 0, answer_cluster, later);
}

static int64_t give_generation(void *arg) {
    (void)arg;
    return it.generation;
}

static bool is_alive(void *arg) {
    (void)arg;
    return !it.sick;
}

static const struct control_hooks hooks = {.info = give_info,
                                           .reset = take_reset,
                                           .cluster = read_cluster,
                                           .generation = give_generation,
                                           .alive = is_alive};

// ---- the port ----

// A test program that has a portal sets it before setup.
UNUSED static struct portal *(*make_portal)(struct loop *loop);
UNUSED static struct auth *(*make_auth)(struct loop *loop);

static int setup(void **state) {
    (void)state;
    memset(&it, 0, sizeof(it));
    log_set_level(LOG_LEVEL_ERR);
    it.loop = loop_create();
    it.http = http_create(it.loop, 64, 8);
    it.tools[0] = (struct spec_tool){.name = (char *)"backup", .action.timeout = 90000};
    it.spec = (struct spec){
        .listen = (char *)"127.0.0.1", .grace = 60000, .tools = it.tools, .tools_len = 1};
    it.pod = pod_create(it.loop, NULL);
    it.generation = -1;
    it.state = "follower";
    it.ip = "127.0.0.1";
    struct err err = ERR_INIT;
    struct control_hooks given = hooks;
    given.portal = it.portal = make_portal ? make_portal(it.loop) : NULL;
    given.auth = it.auth = make_auth ? make_auth(it.loop) : NULL;
    if (control_open(it.loop, it.http, &it.spec, 0, it.pod, &given, NULL, &it.control, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    it.port = control_port(it.control);
    return 0;
}

static void turn_over(void *arg) {
    (void)arg;
    loop_quit(it.loop);
}

// One turn and what it left for the next millisecond.
static void breathe(void) {
    loop_timer_start(it.loop, NULL, 1, turn_over, NULL);
    loop_run(it.loop);
}

static int teardown(void **state) {
    (void)state;
    control_close(it.control);
    portal_free(it.portal);
    auth_close(it.auth);
    for (int i = 0; i < 3; i++)
        breathe(); // hooks that answer late
    http_free(it.http);
    pod_free(it.pod);
    json_decref(it.cluster);
    json_decref(it.metrics);
    json_decref(it.ports);
    breathe();
    loop_free(it.loop);
    return 0;
}

// ---- clients ----

struct client {
    int fd;
    struct text got;
    bool eof;
};

static void connect_made(struct client *c, unsigned host) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)it.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + host)};
    assert_int_equal(bind(c->fd, (struct sockaddr *)&own, sizeof(own)), 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

static void make_client(struct client *c) {
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(c->fd >= 0);
}

// host: of 127.0.0.0/8, the last byte of the address it comes from.
static void connect_from(struct client *c, unsigned host) {
    make_client(c);
    connect_made(c, host);
}

// Of what is sent to it the kernel keeps a few KiB, and not more and more: a connection has the
// room of the socket that accepts it.
UNUSED static void connect_small(struct client *c, unsigned host) {
    enum { FDS = 256 };
    static const int room = 4096;
    for (int fd = 0; fd < FDS; fd++) {
        int listens = 0;
        socklen_t len = sizeof(listens);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    }
    make_client(c);
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
    connect_made(c, host);
}

static void connect_client(struct client *c) {
    connect_from(c, 1);
}

static void drop_client(struct client *c) {
    close(c->fd);
    text_done(&c->got);
}

static void receive(struct client *c) {
    char buf[65536];
    while (!c->eof) {
        ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
        if (n > 0)
            text_addn(&c->got, buf, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            c->eof = true;
        else
            return;
    }
}

// Turns the loop until done says so; fails the test when it never does.
#define pump(cond)                                                                                 \
    do {                                                                                           \
        int64_t pump_end = loop_now(it.loop) + DEADLINE_MS;                                        \
        while (!(cond)) {                                                                          \
            if (loop_now(it.loop) > pump_end)                                                      \
                fail_msg("never: %s", #cond);                                                      \
            breathe();                                                                             \
        }                                                                                          \
    } while (0)

static void send_bytes(struct client *c, const void *data, size_t len) {
    const char *s = data;
    int64_t end = loop_now(it.loop) + DEADLINE_MS;
    while (len) {
        ssize_t n = send(c->fd, s, len, MSG_NOSIGNAL);
        if (n > 0) {
            s += n;
            len -= (size_t)n;
            continue;
        }
        if (errno != EAGAIN)
            return; // the other side has closed; the test looks at what it said
        assert_true(loop_now(it.loop) < end);
        receive(c);
        breathe();
    }
}

UNUSED static void send_text(struct client *c, const char *s) {
    send_bytes(c, s, strlen(s));
}

// The kernel keeps little for it.
UNUSED static void begin_small(struct client *c, unsigned host, const char *path) {
    auto_text struct text t = {0};
    connect_small(c, host);
    text_addf(&t, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    send_bytes(c, t.s, t.len);
}

// Length of the first complete reply in what was received, 0 when there is none yet.
static size_t reply_len(const struct client *c) {
    const char *got = text_str(&c->got), *end = strstr(got, "\r\n\r\n");
    if (!end)
        return 0;
    const char *length = strcasestr(got, "\r\nContent-Length:");
    size_t len = (size_t)(end + 4 - got);
    if (length && length < end)
        len += strtoul(length + 17, NULL, 10);
    return c->got.len >= len ? len : 0;
}

struct reply {
    int status; // 0: the connection was closed without one
    char body[8192];
    char head[2048];
};

// Takes one reply off what the client receives.
UNUSED static struct reply take_reply(struct client *c) {
    struct reply r = {0};
    pump((receive(c), reply_len(c) || c->eof));
    char *end = strstr(text_str(&c->got), "\r\n\r\n"), *body = end + 4;
    if (!end)
        return r;
    size_t len = reply_len(c) ? reply_len(c) : c->got.len; // of a HEAD the body never comes
    r.status = atoi(c->got.s + 9);
    snprintf(r.head, sizeof(r.head), "%.*s", (int)(body - c->got.s), c->got.s);
    snprintf(r.body, sizeof(r.body), "%.*s", (int)(len - (size_t)(body - c->got.s)), body);
    memmove(c->got.s, c->got.s + len, c->got.len - len + 1);
    c->got.len -= len;
    return r;
}

// One request on a connection of its own. head: "GET /info" and more header lines.
UNUSED static struct reply ask_body(const char *head, const char *body, size_t len) {
    struct client c;
    connect_client(&c);
    auto_text struct text t = {0};
    size_t line = strcspn(head, "\r");
    text_addf(&t, "%.*s HTTP/1.1\r\nHost: x%s\r\n", (int)line, head, head + line);
    if (body)
        text_addf(&t, "Content-Length: %zu\r\n", len);
    text_add(&t, "\r\n");
    text_addn(&t, body, len);
    send_bytes(&c, t.s, t.len);
    struct reply r = take_reply(&c);
    drop_client(&c);
    return r;
}

UNUSED static struct reply ask(const char *head) {
    return ask_body(head, NULL, 0);
}

// Sends it and waits until it is suspended in the pod.
UNUSED static void hang(struct client *c, const char *path) {
    size_t seen = fake_pod_seen(it.pod);
    connect_client(c);
    auto_text struct text t = {0};
    text_addf(&t, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", path);
    send_bytes(c, t.s, t.len);
    pump(fake_pod_seen(it.pod) > seen);
}

// ---- what is followed ----

enum { LINE = 4000 };

// One more line of that length, which nobody wants on stderr.
UNUSED static void say_much(void) {
    char line[LINE];
    memset(line, 'x', sizeof(line));
    int muted = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(STDERR_FILENO);
    assert_true(dup2(muted, STDERR_FILENO) >= 0);
    log_keep(line, sizeof(line));
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(muted);
    close(saved);
}
