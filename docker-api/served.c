#include "docker-api/served.h"
#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include "docker-api/line.h"
#include "docker-api/pull.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, CALLS_MAX = 1024, REFUSED = 403 };

struct served {
    struct loop *loop;
    struct door *door;
    int fd;
    struct loop_fd *watch;
    struct text in;
    struct link calls;
    size_t calls_len;
    struct served_rules rules;
    void *arg;
    bool *closed;
};

struct served_call {
    struct link link;
    struct served *served;
    int64_t serial;
    char *message; // what request borrows from
    struct door_request request;
    bool judged;
    struct door_call *sent;
    int status;
    void *slot;
};

static void asked_free(struct served_call *c) {
    struct served *s = c->served;
    if (!c->judged)
        s->rules.forget(c, s->arg);
    list_remove(&c->link);
    s->calls_len--;
    door_cancel(&c->sent);
    free(c->message);
    free(c);
}

// ---- answers ----

static void flush(const struct served *s, struct text *out) {
    for (size_t at = 0; at < out->len;) {
        ssize_t n = send(s->fd, out->s + at, out->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            at += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = s->fd, .events = POLLOUT};
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            break; // the asker is gone: reading says so
        }
    }
    text_done(out);
}

static void on_head(const struct door_head *head, void *arg) {
    struct served_call *c = arg;
    struct text out = {0};
    c->status = head->status;
    line_head(&out, c->serial, head);
    flush(c->served, &out);
}

static int on_data(const void *data, size_t len, void *arg) {
    const struct served_call *c = arg;
    struct text out = {0};
    line_data(&out, c->serial, data, len);
    flush(c->served, &out);
    return 0;
}

static void on_end(const struct http_reply *reply, const struct err *err, void *arg) {
    struct served_call *c = arg;
    struct served *s = c->served;
    struct text out = {0};
    auto_text struct text body = {0};
    c->sent = NULL;
    if (err->kind == ERR_NONE) // what broke off, or was too long, nobody has looked at
        text_addn(&body, reply->body, reply->len);
    if (!c->request.pieces && err->kind == ERR_NONE)
        s->rules.answered(c, &c->request, reply->status, &body, s->arg);
    if (s->rules.failed && err->kind != ERR_NONE)
        s->rules.failed(err, s->arg);
    line_data(&out, c->serial, text_str(&body), body.len);
    line_end(&out, c->serial, reply->status, err);
    asked_free(c);
    flush(s, &out);
}

// ---- verdicts ----

bool served_is_pull_of(const struct door_request *request, const char *image) {
    auto_free char *name = NULL, *tag = NULL;
    return request->op == DOOR_PULL && pull_split(image, &name, &tag, NULL) == 0 &&
           text_same(request->id, name) && text_same(request->text, tag);
}

void **served_slot(struct served_call *call) {
    return &call->slot;
}

void served_allow(struct served_call *c, const char *json) {
    static const struct door_events events = {
        .on_head = on_head, .on_data = on_data, .on_end = on_end};
    CHECK(!c->judged);
    c->judged = true;
    struct door_request request = c->request;
    if (json)
        request.json = json;
    c->sent = door_start(c->served->door, &request, &events, c);
}

void served_refuse(struct served_call *c, const char *why) {
    static const struct err good = ERR_INIT;
    const struct served *s = c->served;
    struct text out = {0};
    auto_text struct text said = {0};
    text_add_utf8(&said, why, strlen(why)); // it quotes what it refuses
    auto_json json_t *body = json_pack("{s:s}", "message", text_str(&said));
    auto_free char *text = json_write(body);
    const struct door_head head = {REFUSED, "", ""};
    CHECK(!c->judged);
    c->judged = true;
    line_head(&out, c->serial, &head);
    line_data(&out, c->serial, text, strlen(text));
    line_end(&out, c->serial, REFUSED, &good);
    asked_free(c);
    flush(s, &out);
}

void served_fail(struct served_call *c, const struct err *err) {
    const struct served *s = c->served;
    struct text out = {0};
    CHECK(!c->judged);
    c->judged = true;
    line_end(&out, c->serial, 0, err);
    asked_free(c);
    flush(s, &out);
}

// ---- what is asked ----

static struct served_call *find(struct served *s, int64_t serial) {
    struct served_call *c;
    list_each(c, &s->calls, struct served_call, link) {
        if (c->serial == serial)
            return c;
    }
    return NULL;
}

// Nothing hostile: an engine that hangs leaves open whatever it is asked meanwhile.
static void refuse_for_room(struct served_call *c) {
    struct err full = ERR_INIT;
    err_set(&full, ERR_RETRY, "%d requests are open at the engine, and no more may be", CALLS_MAX);
    served_fail(c, &full);
}

static int take_ask(struct served *s, int64_t serial, struct wire *w, struct err *err) {
    if (find(s, serial))
        return err_set(err, ERR_BUG, "a request's number is taken");
    struct served_call *c = xnew(struct served_call);
    size_t len = (size_t)(w->end - w->at);
    c->served = s;
    c->serial = serial;
    c->message = xcalloc(len + 1, 1);
    memcpy(c->message, w->at, len);
    struct wire own = {.at = c->message, .end = c->message + len};
    if (door_unpack(&own, &c->request) || own.at != own.end) {
        free(c->message);
        free(c);
        return err_set(err, ERR_BUG, "a request is none of ours");
    }
    list_append(&s->calls, &c->link);
    s->calls_len++;
    if (s->calls_len > CALLS_MAX) {
        refuse_for_room(c);
        return 0;
    }
    s->rules.judge(c, &c->request, s->arg);
    return 0;
}

static int take(struct served *s, struct wire *w, struct err *err) {
    int64_t kind = wire_int(w), serial = wire_int(w);
    if (!w->broken && kind == LINE_ASK)
        return take_ask(s, serial, w, err);
    if (w->broken || kind != LINE_CANCEL || w->at != w->end)
        return err_set(err, ERR_BUG, "a message is none of ours");
    struct served_call *c = find(s, serial);
    if (c) // else its answer has crossed it
        asked_free(c);
    return 0;
}

static void broken(struct served *s, const struct err *err) {
    loop_fd_stop(&s->watch);
    s->rules.on_broken(err, s->arg); // may close: the last line
}

static void take_all(struct served *s) {
    struct wire w;
    struct err err = ERR_INIT;
    bool closed = false;
    size_t at = 0;
    int rc;
    s->closed = &closed;
    while ((rc = line_next(&s->in, &at, &w)) > 0) {
        if (take(s, &w, &err)) {
            rc = -1;
            break;
        }
        if (closed)
            return;
    }
    s->closed = NULL;
    if (rc < 0) {
        if (err.kind == ERR_NONE)
            err_set(&err, ERR_BUG, "a message has no length of ours");
        broken(s, &err);
        return;
    }
    struct text rest = {0};
    text_addn(&rest, text_str(&s->in) + at, s->in.len - at);
    text_done(&s->in);
    s->in = rest;
}

static void on_line(int events, void *arg) {
    struct served *s = arg;
    struct err err = ERR_INIT;
    (void)events;
    auto_free char *piece = xcalloc(1, CHUNK);
    ssize_t n = recv(s->fd, piece, CHUNK, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        err_set(&err, ERR_GONE, "the asker has ended");
        broken(s, &err);
        return;
    }
    text_addn(&s->in, piece, (size_t)n);
    take_all(s);
}

int docker_container_read(const json_t *inspected, struct docker_container **ret, struct err *err) {
    return decode_container_json(inspected, ret, err);
}

// ---- life ----

int served_open(struct loop *loop, struct http *http, int fd, const char *host,
                const struct served_rules *rules, void *arg, struct served **ret, struct err *err) {
    auto_free char *socket = NULL, *base = NULL;
    if (read_host(docker_host(host), &socket, &base, err))
        return -1;
    struct served *s = xnew(struct served);
    s->loop = loop;
    s->door = door_http_create(http, socket, base);
    s->fd = fd;
    s->rules = *rules;
    s->arg = arg;
    list_init(&s->calls);
    s->watch = loop_fd_start(loop, fd, LOOP_READ, on_line, s);
    *ret = s;
    return 0;
}

void served_close(struct served *s) {
    if (!s)
        return;
    if (s->closed)
        *s->closed = true;
    while (!list_empty(&s->calls))
        asked_free(list_first(&s->calls, struct served_call, link));
    loop_fd_stop(&s->watch);
    door_close(s->door);
    text_done(&s->in);
    close(s->fd);
    free(s);
}
