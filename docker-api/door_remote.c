// The door to another process that holds the engine's socket. What is asked is queued and never
// blocks; what comes back is read as it comes. That process may be killed or hang: each call with a
// time of its own ends by it here too, and the end of the line is told once.
#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/line.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, LATE_MS = 1000, READS_PER_TURN = 16 };

struct remote {
    struct door door;
    struct loop *loop;
    int fd;
    struct loop_fd *watch;
    struct loop_timer *broken; // the end of the line is told in a turn of its own
    struct text in, out;
    size_t sent;
    int64_t last;
    struct link calls;
    void (*on_gone)(void *arg);
    void *arg;
    bool *closed; // where close tells a caller up the stack
};

struct remote_call {
    struct door_call call;
    struct link link;
    int64_t serial;
    bool pieces;
    size_t max_reply;
    int status;
    struct text body;
    struct loop_timer *late;
    struct door_events events;
    void *arg;
};

static void call_drop(struct remote_call *c) {
    list_remove(&c->link);
    loop_timer_stop(&c->late);
    text_done(&c->body);
    free(c);
}

// ---- what is sent ----

static void push(struct remote *r) {
    while (r->sent < r->out.len) {
        ssize_t n = send(r->fd, r->out.s + r->sent, r->out.len - r->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break; // full, or broken: then reading says so
        r->sent += (size_t)n;
    }
    bool all = r->sent == r->out.len;
    if (all) {
        text_done(&r->out);
        r->sent = 0;
    }
    if (r->watch)
        loop_fd_change(r->watch, all ? LOOP_READ : LOOP_READ | LOOP_WRITE);
}

// ---- what comes ----

static void end(struct remote_call *c, const struct err *err) {
    const struct door_events events = c->events;
    void *arg = c->arg;
    struct err copy = *err;
    auto_text struct text body = c->body;
    c->body = (struct text){0};
    const struct http_reply reply = {
        .status = c->status, .body = text_str(&body), .len = body.len, .sent = true};
    call_drop(c);
    events.on_end(&reply, &copy, arg);
}

static void call_off(struct remote *r, struct remote_call *c, const struct err *err) {
    line_cancel(&r->out, c->serial);
    push(r);
    end(c, err);
}

static void on_late(void *arg) {
    struct remote_call *c = arg;
    struct err err = ERR_INIT;
    err_set(&err, ERR_TIMEOUT, "no complete reply in time");
    call_off((struct remote *)c->call.door, c, &err);
}

static void take_data(struct remote *r, struct remote_call *c, struct wire *w) {
    size_t len;
    const char *data = wire_bytes(w, &len);
    struct err err = ERR_INIT;
    if (w->broken || !data || !len)
        return;
    int64_t serial = c->serial;
    const bool *closed = r->closed;
    if (!c->pieces && len > c->max_reply - c->body.len) {
        err_set(&err, ERR_LIMIT, "reply over %zu bytes", c->max_reply);
        call_off(r, c, &err);
    } else if (!c->pieces) {
        text_addn(&c->body, data, len);
    } else if (c->events.on_data(data, len, c->arg) && !*closed) {
        struct remote_call *still;
        err_set(&err, ERR_CANCELLED, "not wanted any more");
        list_each(still, &r->calls, struct remote_call, link) if (still->serial == serial) {
            call_off(r, still, &err);
            return;
        }
    }
}

static void take(struct remote *r, struct wire *w) {
    int64_t kind = wire_int(w), serial = wire_int(w);
    struct remote_call *c = NULL, *it;
    list_each(it, &r->calls, struct remote_call, link) if (it->serial == serial) c = it;
    if (!c)
        return; // cancelled meanwhile
    if (kind == LINE_HEAD) {
        c->status = (int)wire_int(w);
        const char *api = wire_str(w), *server = wire_str(w);
        const struct door_head head = {c->status, api ? api : "", server ? server : ""};
        if (c->events.on_head)
            c->events.on_head(&head, c->arg);
    } else if (kind == LINE_DATA) {
        take_data(r, c, w);
    } else if (kind == LINE_END) {
        struct err err = ERR_INIT;
        c->status = (int)wire_int(w);
        wire_get_err(w, &err);
        end(c, &err);
    }
}

static void gone(void *arg) {
    struct remote *r = arg;
    r->on_gone(r->arg);
}

static void break_off(struct remote *r) {
    loop_fd_stop(&r->watch);
    if (r->on_gone)
        loop_timer_start(r->loop, &r->broken, 0, gone, r);
}

// Answers may cancel calls, start others, or close the door.
static void take_all(struct remote *r) {
    struct wire w;
    size_t at = 0;
    bool closed = false;
    auto_text struct text in = r->in;
    r->in = (struct text){0};
    int rc;
    r->closed = &closed;
    while ((rc = line_next(&in, &at, &w)) > 0) {
        take(r, &w);
        if (closed)
            return;
    }
    r->closed = NULL;
    if (rc < 0)
        break_off(r);
    text_addn(&r->in, text_str(&in) + at, in.len - at);
}

static void on_line(int events, void *arg) {
    struct remote *r = arg;
    if (events & LOOP_WRITE)
        push(r);
    if (!(events & (LOOP_READ | LOOP_GONE)))
        return;
    auto_free char *piece = xcalloc(1, CHUNK);
    ssize_t n = 1;
    for (int i = 0; i < READS_PER_TURN && n > 0; i++) {
        n = recv(r->fd, piece, CHUNK, MSG_DONTWAIT);
        if (n > 0)
            text_addn(&r->in, piece, (size_t)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        break_off(r);
    take_all(r);
}

// ---- the door ----

static struct door_call *start(struct door *door, const struct door_request *request,
                               const struct door_events *events, void *arg) {
    struct remote *r = (struct remote *)door;
    struct remote_call *c = xnew(struct remote_call);
    c->call.door = door;
    c->serial = ++r->last;
    c->pieces = request->pieces;
    c->max_reply = request->max_reply;
    c->events = *events;
    c->arg = arg;
    list_append(&r->calls, &c->link);
    if (request->timeout_ms)
        loop_timer_start(r->loop, &c->late, request->timeout_ms + LATE_MS, on_late, c);
    line_ask(&r->out, c->serial, request);
    push(r);
    return &c->call;
}

static void cancel(struct door_call *call) {
    struct remote *r = (struct remote *)call->door;
    struct remote_call *c = (struct remote_call *)call;
    line_cancel(&r->out, c->serial);
    call_drop(c);
    push(r);
}

static void close_door(struct door *door) {
    struct remote *r = (struct remote *)door;
    if (r->closed)
        *r->closed = true;
    while (!list_empty(&r->calls))
        call_drop(list_first(&r->calls, struct remote_call, link));
    loop_fd_stop(&r->watch);
    loop_timer_stop(&r->broken);
    close(r->fd);
    text_done(&r->in);
    text_done(&r->out);
    free(r);
}

struct door *door_remote_create(struct loop *loop, int fd, void (*on_gone)(void *arg), void *arg) {
    struct remote *r = xnew(struct remote);
    r->door = (struct door){.start = start, .cancel = cancel, .close = close_door};
    r->loop = loop;
    r->fd = fd;
    r->on_gone = on_gone;
    r->arg = arg;
    list_init(&r->calls);
    r->watch = loop_fd_start(loop, fd, LOOP_READ, on_line, r);
    return &r->door;
}
