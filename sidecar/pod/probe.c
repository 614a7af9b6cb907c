#include "base/check.h"
#include "base/http.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

// One attempt of a check: tcp by a socket of ours that never blocks, http, exec in the workload.

enum { MAX_HEARD = 64 * 1024, MAX_AWAITED = 256 * 1024 };

struct probe {
    struct pod *pod;
    const struct spec_check *check;
    int port; // the one that the workload binds for check->port
    struct loop_timer *timer;
    struct loop_fd *watch;
    int fd;
    bool connected;
    size_t sent;
    struct text heard;
    size_t awaited; // of the http body, so far
    struct http_call *http;
    struct action *action;
    probe_fn *fn;
    void *arg;
};

static void probe_free(struct probe *p) {
    loop_timer_stop(&p->timer);
    loop_fd_stop(&p->watch);
    if (p->fd >= 0)
        close(p->fd);
    http_cancel(&p->http);
    action_cancel(&p->action);
    text_done(&p->heard);
    free(p);
}

void probe_cancel(struct probe **slot) {
    if (*slot)
        probe_free(take_ptr(*slot));
}

static void finish(struct probe *p, enum probe_verdict verdict, const char *why) {
    probe_fn *fn = p->fn;
    void *arg = p->arg;
    auto_free char *copy = xstrdup(why);
    probe_free(p);
    fn(verdict, copy, arg);
}

static void overdue(void *arg) {
    struct probe *p = arg;
    finish(p, PROBE_BAD,
           p->connected ? "it does not answer in time" : "it does not accept a connection in time");
}

static void fail_errno(struct probe *p, const char *what, int errno_) {
    auto_free char *why = xasprintf("port %d: %s: %s", p->port, what, strerror(errno_));
    finish(p, PROBE_BAD, why);
}

// ---- tcp ----

// What was expected did not come: its first words say more than that.
static void disappointed(struct probe *p) {
    auto_text struct text heard = {0};
    text_quote(&heard, text_str(&p->heard), 80);
    auto_free char *why = xasprintf("port %d said %s, without \"%s\"", p->port, text_str(&heard),
                                    p->check->expect);
    finish(p, PROBE_BAD, why);
}

static void hear(struct probe *p) {
    char buf[4096];
    for (;;) {
        ssize_t n = recv(p->fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            fail_errno(p, "read", errno);
            return;
        }
        text_addn(&p->heard, buf, (size_t)n);
        if (p->heard.len &&
            memmem(p->heard.s, p->heard.len, p->check->expect, strlen(p->check->expect))) {
            finish(p, PROBE_GOOD, "");
            return;
        }
        if (n == 0 || p->heard.len > MAX_HEARD) {
            disappointed(p);
            return;
        }
    }
}

static void speak(struct probe *p) {
    size_t len = strlen(p->check->send);
    if (p->sent < len) {
        ssize_t n = send(p->fd, p->check->send + p->sent, len - p->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            fail_errno(p, "write", errno);
            return;
        }
        p->sent += n > 0 ? (size_t)n : 0;
    }
    if (p->sent < len)
        return;
    if (!*p->check->expect)
        finish(p, PROBE_GOOD, "");
    else
        loop_fd_change(p->watch, LOOP_READ);
}

static void on_socket(int events, void *arg) {
    struct probe *p = arg;
    if (p->connected && events & LOOP_READ) {
        hear(p);
        return;
    }
    int error = 0;
    socklen_t len = sizeof error;
    if (!p->connected) {
        if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
            fail_errno(p, "connect", error ? error : errno);
            return;
        }
        p->connected = true;
    }
    if (p->sent < strlen(p->check->send) || !*p->check->expect)
        speak(p);
    else if (events & LOOP_GONE)
        hear(p);
    else
        loop_fd_change(p->watch, LOOP_READ);
}

static int connect_to(const char *address, int port, struct err *err) {
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    if (getaddrinfo(address, service, &hints, &found))
        return err_set(err, ERR_USER, "\"%s\" is no address", address);
    auto_fd int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                            IPPROTO_TCP);
    int rc = fd < 0 ? -1 : connect(fd, found->ai_addr, found->ai_addrlen);
    int saved = errno;
    freeaddrinfo(found);
    if (rc && saved != EINPROGRESS)
        return err_errno(err, ERR_RETRY, saved, "port %d: connect", port);
    return take_fd(fd);
}

static void refused(void *arg) {
    struct probe *p = arg;
    finish(p, PROBE_BAD, text_str(&p->heard));
}

static void start_tcp(struct probe *p) {
    struct err err = ERR_INIT;
    p->fd = connect_to(p->pod->address, p->port, &err);
    if (p->fd < 0) {
        text_add(&p->heard, err.text);
        loop_timer_start(p->pod->loop, &p->timer, 0, refused, p);
        return;
    }
    p->watch = loop_fd_start(p->pod->loop, p->fd, LOOP_WRITE, on_socket, p);
}

// ---- http ----

// The status is what counts. That the body comes too shows that the server goes on, for so long: a
// page may be of any size, and one without end is no failure.
static int on_body(const void *data, size_t len, void *arg) {
    struct probe *p = arg;
    (void)data;
    p->awaited += len;
    return p->awaited > MAX_AWAITED;
}

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct probe *p = arg;
    p->http = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_CANCELLED) {
        finish(p, PROBE_BAD, err->text);
        return;
    }
    if (reply->status >= 200 && reply->status < 400) {
        finish(p, PROBE_GOOD, "");
        return;
    }
    auto_free char *why = xasprintf(":%d%s answers %d", p->port, p->check->path, reply->status);
    finish(p, PROBE_BAD, why);
}

static void start_http(struct probe *p, int64_t timeout) {
    bool v6 = strchr(p->pod->address, ':');
    auto_free char *url = xasprintf("http://%s%s%s:%d%s", v6 ? "[" : "", p->pod->address,
                                    v6 ? "]" : "", p->port, p->check->path);
    struct http_request request = {
        .url = url, .timeout_ms = timeout, .fresh = true, .on_data = on_body};
    p->http = http_start(p->pod->config.http, &request, on_reply, p);
}

// ---- exec ----

static void on_action(const struct action_result *result, const struct err *failure, void *arg) {
    struct probe *p = arg;
    struct err err = ERR_INIT;
    p->action = NULL;
    int rc = action_judge("check", result, failure, &err);
    enum probe_verdict verdict = rc ? PROBE_BAD : PROBE_GOOD;
    if (failure->kind == ERR_RETRY && failure->code < 400) // no HTTP status
        verdict = PROBE_UNSEEN; // the engine did not answer, not even with a refusal
    finish(p, verdict, err.text);
}

static void start_exec(struct probe *p, int64_t timeout) {
    struct spec_action exec = {.kind = ACTION_EXEC, .argv = p->check->argv, .timeout = timeout};
    struct action_want want = {.action = &exec, .name = "check"};
    p->action = action_start(p->pod, &want, on_action, p);
}

struct probe *probe_start(struct pod *pod, const struct spec_check *check, int64_t timeout,
                          probe_fn *fn, void *arg) {
    struct probe *p = xnew(struct probe);
    *p = (struct probe){.pod = pod,
                        .check = check,
                        .port = place_port(pod->place, check->port),
                        .fd = -1,
                        .fn = fn,
                        .arg = arg};
    if (check->kind == CHECK_HTTP) {
        start_http(p, timeout);
    } else if (check->kind == CHECK_EXEC) {
        start_exec(p, timeout);
    } else {
        loop_timer_start(pod->loop, &p->timer, timeout, overdue, p);
        start_tcp(p);
    }
    return p;
}
