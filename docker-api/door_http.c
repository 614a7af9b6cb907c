// The door that speaks HTTP: the only file of docker-api that knows the engine's paths.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/door.h"
#include <string.h>

struct door_http {
    struct door door;
    struct http *http;
    char *socket, *base;
};

struct line {
    struct door_call call;
    struct door_events events;
    void *arg;
    struct http_call *http;
    struct http_duplex *duplex;
    char *input; // of an exec
    size_t input_len;
    int status; // of a duplex
};

// ---- paths ----

static void add_param(struct text *path, const char *key, const char *value) {
    if (!value)
        return;
    text_addf(path, "%c%s=", strchr(text_str(path), '?') ? '&' : '?', key);
    escape(path, value, "");
}

static void add_since(struct text *path, int64_t ns) {
    text_addf(path, "since=%lld.%09lld", (long long)(ns / 1000000000),
              (long long)(ns % 1000000000));
}

static void add_filters(struct text *path, const struct door_request *r) {
    add_param(path, "filters", r->json);
}

static void add_events(struct text *path, const struct door_request *r) {
    text_add(path, "?");
    add_since(path, r->since_ns);
    add_filters(path, r);
}

static void add_all(struct text *path, const struct door_request *r) {
    text_addf(path, "?all=%d", r->number != 0);
    add_filters(path, r);
}

static void add_name(struct text *path, const struct door_request *r) {
    add_param(path, "name", r->text);
}

static void add_new_name(struct text *path, const struct door_request *r) {
    add_param(path, "name", r->text ? r->text : "");
}

static void add_signal(struct text *path, const struct door_request *r) {
    add_param(path, "signal", r->text);
}

static void add_patience(struct text *path, const struct door_request *r) {
    text_addf(path, "?t=%lld", (long long)r->number);
    add_signal(path, r);
}

static void add_condition(struct text *path, const struct door_request *r) {
    add_param(path, "condition", r->text);
}

static void add_removal(struct text *path, const struct door_request *r) {
    text_addf(path, "?force=%d&v=%d", (r->number & DOOR_FORCE) != 0,
              (r->number & DOOR_VOLUMES) != 0);
}

static void add_logs(struct text *path, const struct door_request *r) {
    text_addf(path, "?follow=%d&stdout=1&stderr=1&timestamps=1&", r->follow);
    if (r->since_ns > 0)
        add_since(path, r->since_ns);
    else
        text_addf(path, "tail=%lld", (long long)r->number);
}

static void add_archive(struct text *path, const struct door_request *r) {
    text_add(path, "?path=");
    escape(path, r->text ? r->text : "", "/");
}

static void add_image(struct text *path, const struct door_request *r) {
    escape(path, r->id, "/:@");
    text_add(path, "/json");
}

static void add_pull(struct text *path, const struct door_request *r) {
    text_add(path, "?fromImage=");
    escape(path, r->id, "");
    text_add(path, "&tag=");
    escape(path, r->text ? r->text : "latest", "");
}

// Of each operation: the method, the path below the version, a * for the id, and what follows.
static const struct way {
    const char *method, *path;
    void (*more)(struct text *path, const struct door_request *r);
} ways[DOOR_OPS] = {
    [DOOR_PING] = {"GET", "/_ping", NULL},
    [DOOR_EVENTS] = {"GET", "/events", add_events},
    [DOOR_LIST] = {"GET", "/containers/json", add_all},
    [DOOR_INSPECT] = {"GET", "/containers/*/json", NULL},
    [DOOR_CREATE] = {"POST", "/containers/create", add_name},
    [DOOR_START] = {"POST", "/containers/*/start", NULL},
    [DOOR_STOP] = {"POST", "/containers/*/stop", add_patience},
    [DOOR_KILL] = {"POST", "/containers/*/kill", add_signal},
    [DOOR_WAIT] = {"POST", "/containers/*/wait", add_condition},
    [DOOR_RENAME] = {"POST", "/containers/*/rename", add_new_name},
    [DOOR_REMOVE] = {"DELETE", "/containers/*", add_removal},
    [DOOR_UPDATE] = {"POST", "/containers/*/update", NULL},
    [DOOR_EXEC_CREATE] = {"POST", "/containers/*/exec", NULL},
    [DOOR_EXEC_START] = {"POST", "/exec/*/start", NULL},
    [DOOR_EXEC_INSPECT] = {"GET", "/exec/*/json", NULL},
    [DOOR_LOGS] = {"GET", "/containers/*/logs", add_logs},
    [DOOR_ARCHIVE] = {"PUT", "/containers/*/archive", add_archive},
    [DOOR_STAT] = {"HEAD", "/containers/*/archive", add_archive},
    [DOOR_IMAGE] = {"GET", "/images/", add_image},
    [DOOR_PULL] = {"POST", "/images/create", add_pull},
    [DOOR_VOLUME_CREATE] = {"POST", "/volumes/create", NULL},
    [DOOR_VOLUME_LIST] = {"GET", "/volumes", add_filters},
    [DOOR_VOLUME_REMOVE] = {"DELETE", "/volumes/*", NULL},
};

// Answers the method.
static const char *path_of(const struct door_request *r, struct text *path) {
    CHECK(r->op < DOOR_OPS && ways[r->op].method); // door_unpack lets no other through
    const struct way *way = &ways[r->op];
    const char *star = strchr(way->path, '*');
    if (star)
        text_addf(path, "%.*s%s%s", (int)(star - way->path), way->path, r->id, star + 1);
    else
        text_add(path, way->path);
    if (way->more)
        way->more(path, r);
    return way->method;
}

// ---- a call ----

static void line_free(struct line *line) {
    http_cancel(&line->http);
    http_duplex_close(&line->duplex);
    free(line->input);
    free(line);
}

static void on_head(const struct http_reply *reply, void *arg) {
    const struct line *line = arg;
    const char *api = http_header(reply, "Api-Version"), *server = http_header(reply, "Server");
    const struct door_head head = {reply->status, api ? api : "", server ? server : ""};
    if (line->events.on_head)
        line->events.on_head(&head, line->arg);
}

static int on_data(const void *data, size_t len, void *arg) {
    const struct line *line = arg;
    return line->events.on_data(data, len, line->arg);
}

static void on_end(const struct http_reply *reply, const struct err *err, void *arg) {
    struct line *line = arg;
    const struct door_events events = line->events;
    void *owner = line->arg;
    line->http = NULL;
    line_free(line);
    events.on_end(reply, err, owner);
}

// ---- an exec with stdin: an upgraded connection, which can be closed in one direction ----

static void on_duplex_head(int status, void *arg) {
    struct line *line = arg;
    line->status = status;
    if (status == 101 || status == 200)
        http_duplex_send(line->duplex, line->input, line->input_len);
    http_duplex_half_close(line->duplex);
    const struct door_head head = {status == 101 ? 200 : status, "", ""};
    if (line->events.on_head)
        line->events.on_head(&head, line->arg);
}

static void on_duplex_data(const void *data, size_t len, void *arg) {
    const struct line *line = arg;
    line->events.on_data(data, len, line->arg); // who wants no more cancels
}

static void on_duplex_end(const struct err *err, void *arg) {
    struct line *line = arg;
    const struct door_events events = line->events;
    void *owner = line->arg;
    struct err copy = *err;
    struct http_reply reply = {.status = line->status == 101 ? 200 : line->status, .body = ""};
    line->duplex = NULL;
    line_free(line);
    events.on_end(&reply, &copy, owner);
}

static void start_upgraded(struct line *line, const struct door_http *d,
                           const struct door_request *r) {
    static const struct http_duplex_events events = {
        .on_head = on_duplex_head, .on_data = on_duplex_data, .on_end = on_duplex_end};
    static const char body[] = "{\"Detach\":false,\"Tty\":false}";
    auto_text struct text head = {0};
    line->input = xcalloc(r->body_len + 1, 1);
    memcpy(line->input, r->body, r->body_len);
    line->input_len = r->body_len;
    text_addf(&head,
              "POST /v%s/exec/%s/start HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
              "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: %zu\r\n\r\n%s",
              r->version, r->id, d->base + strlen("http://"), sizeof body - 1, body);
    line->duplex = http_duplex_open(d->http, d->socket, d->base, head.s, head.len, &events, line);
}

// ---- all others ----

static void body_of(const struct door_request *r, struct http_request *request) {
    if (r->op == DOOR_EXEC_START) {
        request->body = "{\"Detach\":false,\"Tty\":false}";
        request->body_len = strlen(request->body);
    } else if (r->body) {
        request->body = r->body;
        request->body_len = r->body_len;
    } else if (r->json && strcmp(request->method, "POST") == 0) {
        request->body = r->json;
        request->body_len = strlen(r->json);
    }
}

static void start_plain(struct line *line, const struct door_http *d,
                        const struct door_request *r) {
    auto_text struct text url = {0};
    text_add(&url, d->base);
    if (r->version)
        text_addf(&url, "/v%s", r->version);
    struct http_request request = {.method = path_of(r, &url),
                                   .url = text_str(&url),
                                   .unix_socket = d->socket,
                                   .timeout_ms = r->timeout_ms,
                                   .max_reply = r->max_reply,
                                   .on_head = on_head,
                                   .on_data = r->pieces ? on_data : NULL};
    body_of(r, &request);
    const char *type = r->op == DOOR_ARCHIVE ? "Content-Type: application/x-tar"
                                             : "Content-Type: application/json";
    const char *headers[] = {request.body ? type : NULL, NULL};
    request.headers = headers;
    // On a kept connection that turns out dead libcurl sends a request again: not one that changes
    // something. What looks whether the engine is there must not believe in an old one either.
    bool reads = strcmp(request.method, "GET") == 0 || strcmp(request.method, "HEAD") == 0;
    request.fresh = !reads || r->op == DOOR_PING || r->op == DOOR_EVENTS;
    line->http = http_start(d->http, &request, on_end, line);
}

static struct door_call *start(struct door *door, const struct door_request *request,
                               const struct door_events *events, void *arg) {
    const struct door_http *d = (struct door_http *)door;
    struct line *line = xnew(struct line);
    line->call.door = door;
    line->events = *events;
    line->arg = arg;
    if (request->op == DOOR_EXEC_START && request->body)
        start_upgraded(line, d, request);
    else
        start_plain(line, d, request);
    return &line->call;
}

static void cancel(struct door_call *call) {
    line_free((struct line *)call);
}

static void close_door(struct door *door) {
    struct door_http *d = (struct door_http *)door;
    free(d->socket);
    free(d->base);
    free(d);
}

struct door *door_http_create(struct http *http, const char *socket, const char *base) {
    struct door_http *d = xnew(struct door_http);
    d->door = (struct door){.start = start, .cancel = cancel, .close = close_door};
    d->http = http;
    d->socket = socket ? xstrdup(socket) : NULL;
    d->base = xstrdup(base);
    return &d->door;
}
