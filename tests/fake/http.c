#include "tests/fake/http.h"
#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include "base/text.h"
#include <string.h>
#include <strings.h>

struct http {
    struct loop *loop;
    struct link calls;
    int sent, flying, peak;
};

struct http_call {
    struct link link;
    struct http *http;
    struct loop_timer *timer, *deadline;
    char *method, *host, *path, *body;
    int port;
    size_t len;
    char **headers;
    int64_t timeout_ms;
    struct fake_http_answer answer;
    http_fn *fn;
    void *arg;
};

static fake_http_fn *server;
static void *server_arg;
static int64_t latency = 1;

void fake_http_serve(fake_http_fn *fn, void *arg) {
    server = fn;
    server_arg = arg;
}

void fake_http_latency(int64_t one_way_ms) {
    latency = one_way_ms;
}

int fake_http_sent(const struct http *http) {
    return http->sent;
}

int fake_http_flying(const struct http *http) {
    return http->flying;
}

int fake_http_peak(const struct http *http) {
    return http->peak;
}

// ---- a call ----

static void call_free(struct http_call *c) {
    c->http->flying--;
    list_remove(&c->link);
    loop_timer_stop(&c->timer);
    loop_timer_stop(&c->deadline);
    text_list_free(c->headers);
    free(c->answer.body);
    free(c->method);
    free(c->host);
    free(c->path);
    free(c->body);
    free(c);
}

static void report(struct http_call *c, int status, const char *body, const struct err *err) {
    auto_free char *copy = xstrdup(body);
    struct http_reply reply = {.status = status, .body = copy, .len = strlen(copy)};
    http_fn *fn = c->fn;
    void *arg = c->arg;
    call_free(c);
    fn(&reply, err, arg);
}

static void failed(struct http_call *c, enum err_kind kind, const char *what) {
    struct err err = ERR_INIT;
    err_set(&err, kind, "%s:%d: %s", c->host, c->port, what);
    report(c, 0, "", &err);
}

static void on_deadline(void *arg) {
    failed(arg, ERR_TIMEOUT, "no answer in time");
}

static void on_answer(void *arg) {
    struct http_call *c = arg;
    struct err none = ERR_INIT;
    switch (c->answer.fault) {
    case FAKE_HTTP_FINE:
        report(c, c->answer.status, c->answer.body ? c->answer.body : "{}", &none);
        return;
    case FAKE_HTTP_REFUSED:
        failed(c, ERR_RETRY, "connection refused");
        return;
    case FAKE_HTTP_RESET:
        failed(c, ERR_RETRY, "connection reset by peer");
        return;
    case FAKE_HTTP_SILENT:
        return;
    }
}

static void on_arrival(void *arg) {
    struct http_call *c = arg;
    struct fake_http_request request = {c->method, c->host, c->path, c->port, c->body, c->len, c};
    c->answer = (struct fake_http_answer){.status = 200};
    if (server)
        server(&request, &c->answer, server_arg);
    else
        c->answer.fault = FAKE_HTTP_REFUSED;
    loop_timer_start(c->http->loop, &c->timer, latency + c->answer.delay_ms, on_answer, c);
}

const char *fake_http_value(const struct fake_http_request *request, const char *name) {
    size_t len = strlen(name);
    for (char **h = request->call->headers; h && *h; h++)
        if (strncasecmp(*h, name, len) == 0 && (*h)[len] == ':')
            return *h + len + 1 + strspn(*h + len + 1, " ");
    return "";
}

// "http://host:port/path", "http://[v6]:port/path"
static void take_url(struct http_call *c, const char *url) {
    CHECK(text_starts(url, "http://"));
    url += strlen("http://");
    bool v6 = *url == '[';
    url += v6;
    size_t len = strcspn(url, v6 ? "]" : ":/");
    c->host = xstrndup(url, len);
    url += len + v6;
    if (*url == ':')
        c->port = atoi(url + 1);
    url += strcspn(url, "/");
    c->path = xstrdup(url);
}

static char **copy_headers(const char *const *headers) {
    size_t n = 0;
    while (headers && headers[n])
        n++;
    char **copy = xcalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(headers[i]);
    return copy;
}

struct http_call *http_start(struct http *http, const struct http_request *request, http_fn *fn,
                             void *arg) {
    CHECK(!request->on_data && !request->unix_socket);
    struct http_call *c = xnew(struct http_call);
    *c = (struct http_call){
        .http = http,
        .method = xstrdup(request->method ? request->method : "GET"),
        .body = xstrndup(request->body ? request->body : "", request->body_len),
        .len = request->body_len,
        .headers = copy_headers(request->headers),
        .fn = fn,
        .arg = arg,
    };
    take_url(c, request->url);
    list_append(&http->calls, &c->link);
    http->sent++;
    if (++http->flying > http->peak)
        http->peak = http->flying;
    loop_timer_start(http->loop, &c->timer, latency, on_arrival, c);
    if (request->timeout_ms)
        loop_timer_start(http->loop, &c->deadline, request->timeout_ms, on_deadline, c);
    return c;
}

void http_cancel(struct http_call **slot) {
    if (*slot)
        call_free(take_ptr(*slot));
}

const char *http_header(const struct http_reply *reply, const char *name) {
    (void)reply;
    (void)name;
    return NULL;
}

// ---- life ----

struct http *http_create(struct loop *loop, int max_total, int max_idle) {
    (void)max_total;
    (void)max_idle;
    struct http *http = xnew(struct http);
    http->loop = loop;
    list_init(&http->calls);
    return http;
}

void http_free(struct http *http) {
    while (!list_empty(&http->calls))
        call_free(list_first(&http->calls, struct http_call, link));
    free(http);
}

// ---- not played ----

struct http_duplex *http_duplex_open(struct http *http, const char *unix_socket,
                                     const char *host_url, const char *head, size_t head_len,
                                     const struct http_duplex_events *events, void *arg) {
    (void)http, (void)unix_socket, (void)host_url, (void)head, (void)head_len, (void)events,
        (void)arg;
    CHECK(!"duplex is not played");
    return NULL;
}

void http_duplex_send(struct http_duplex *d, const void *data, size_t len) {
    (void)d, (void)data, (void)len;
}

void http_duplex_half_close(struct http_duplex *d) {
    (void)d;
}

void http_duplex_close(struct http_duplex **slot) {
    *slot = NULL;
}
