#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include <stdarg.h>
#include <string.h>

enum { REFUSAL_MAX = 4096 };

// ---- paths ----

void escape(struct text *t, const char *s, const char *safe) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) || strchr(safe, c))
            text_addc(t, *s);
        else
            text_addf(t, "%%%02X", c);
    }
}

bool is_name(const char *s) {
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return len && !s[len] && len <= 256 && *s != '.' && *s != '-';
}

// ---- a call's life ----

struct docker_call *call_create(struct docker *d, call_reply_fn *fn, void *arg, const char *fmt,
                                ...) {
    struct docker_call *call = xnew(struct docker_call);
    auto_free char *what = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&what, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    call->what = take_ptr(what);
    call->docker = d;
    call->on_reply = fn;
    call->arg = arg;
    list_append(&d->calls, &call->link);
    return call;
}

void call_free(struct docker_call *call) {
    if (call->gone)
        *call->gone = true;
    list_remove(&call->link);
    door_cancel(&call->sent);
    loop_timer_stop(&call->timer);
    if (call->extra)
        call->extra_free(call->extra);
    text_done(&call->request);
    text_done(&call->refusal);
    free(call->what);
    free(call);
}

void docker_cancel(struct docker_call **slot) {
    struct docker_call *call = *slot;
    if (!call)
        return;
    *slot = NULL; // first: the slot may go with the call
    call_free(call);
}

static void report_failure(void *arg) {
    struct docker_call *call = arg;
    struct http_reply none = {.body = ""};
    door_cancel(&call->sent);
    call->on_reply(call, &none, &call->failure);
}

void call_fail(struct docker_call *call, const struct err *err) {
    err_copy(&call->failure, err);
    err_wrap(&call->failure, "docker %s", call->what);
    call->waiting = false;
    loop_timer_start(call->docker->loop, &call->timer, 0, report_failure, call);
}

// ---- the reply ----

static bool is_success(const struct docker_call *call, int status, const char *body) {
    if ((status >= 200 && status < 300) || status == 304 || status == 101)
        return true;
    if (status == 404)
        return call->absent_ok;
    return status == 409 && call->stopped_ok && strstr(body, "is not running");
}

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct docker_call *call = arg;
    struct err mine = ERR_INIT;
    const char *body = call->on_data ? text_str(&call->refusal) : reply->body;
    call->sent = NULL;
    if (err->kind != ERR_NONE)
        err_copy(&mine, err);
    else if (!is_success(call, reply->status, body))
        decode_failure(reply->status, body, strlen(body), &mine);
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT)
        contact_suspect(call->docker);
    if (mine.kind != ERR_NONE)
        err_wrap(&mine, "docker %s", call->what);
    call->on_reply(call, reply, &mine);
}

static void on_head(const struct door_head *head, void *arg) {
    struct docker_call *call = arg;
    call->status = head->status;
    if (call->on_head)
        call->on_head(call, head->status);
}

static int on_data(const void *data, size_t len, void *arg) {
    struct docker_call *call = arg;
    if (call->status >= 200 && call->status < 300)
        return call->on_data(call, data, len) ? 0 : 1;
    if (call->refusal.len < REFUSAL_MAX)
        text_addn(&call->refusal, data, len);
    return 0;
}

void call_done_reply(struct docker_call *call, const struct http_reply *reply,
                     const struct err *err) {
    (void)reply;
    docker_done_fn *fn = call->fn.done;
    void *arg = call->arg;
    struct err copy = *err;
    call_free(call);
    fn(&copy, arg);
}

void call_unreadable(const struct docker_call *call, struct err *err) {
    if (err->kind != ERR_LIMIT)
        err->kind = ERR_RETRY;
    err_wrap(err, "docker %s", call->what);
}

// ---- the request ----

static void send_now(struct docker_call *call) {
    static const struct door_events events = {
        .on_head = on_head, .on_data = on_data, .on_end = on_reply};
    struct docker *d = call->docker;
    struct door_request request;
    struct wire w = {.at = text_str(&call->request), .end = call->request.s + call->request.len};
    CHECK(door_unpack(&w, &request) == 0);
    request.version = request.op == DOOR_PING ? NULL : d->version;
    call->waiting = false;
    call->status = 0;
    call->sent = door_start(d->door, &request, &events, call);
    text_done(&call->request);
}

static void keep_request(struct docker_call *call, const struct call_request *r) {
    struct door_request asked = r->asked;
    auto_free char *json = r->json ? json_write(r->json) : NULL;
    if (json)
        asked.json = json;
    if (asked.op != DOOR_PING)
        asked.version = "1.41"; // the one to use is known when it is sent
    asked.max_reply = asked.max_reply ? asked.max_reply : DECODE_MAX_REPLY;
    asked.pieces = r->on_data != NULL;
    call->on_head = r->on_head;
    call->on_data = r->on_data;
    text_clear(&call->request);
    door_pack(&call->request, &asked);
}

void call_send(struct docker_call *call, const struct call_request *request) {
    if (call->docker->contact == CONTACT_DOWN) {
        call_fail(call, &call->docker->down);
        return;
    }
    keep_request(call, request);
    call->waiting = true;
    if (call->docker->contact == CONTACT_UP)
        send_now(call);
}

// ---- all of them ----

void calls_release(struct docker *d) {
    struct docker_call *call;
    list_each(call, &d->calls, struct docker_call, link) {
        if (call->waiting)
            send_now(call);
    }
}

// Those with a deadline see for themselves: an engine that only paused will answer them.
void calls_drop(struct docker *d, const struct err *why) {
    struct docker_call *call;
    list_each(call, &d->calls, struct docker_call, link) {
        if (call->waiting || (call->open_ended && call->sent))
            call_fail(call, why);
    }
}
