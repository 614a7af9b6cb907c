#include "base/check.h"
#include "base/own.h"
#include "sidecar/control/framing.h"
#include "sidecar/control/server_inside.h"
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    // A refused body up to this is read, so that the refusal arrives; a larger one is cut off.
    DROPPED_BODY = 8 * 1024 * 1024,
    TAKEN = 16 * 1024, // of a stream, before what is left is moved to memory of its own
};
static const char CLOSING[] = "shutting down";

// ---- answers ----

static struct MHD_Response *with_type(struct MHD_Response *response, const char *type) {
    CHECK(response);
    CHECK(MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES);
    return response;
}

static struct MHD_Response *response_make(const char *type, char *body, size_t len) {
    return with_type(MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE), type);
}

struct server_answer {
    size_t users; // whoever keeps it, and the responses
    int status;
    const char *type;
    char *body;
    size_t len;
};

struct server_answer *server_keep(int status, const char *type, char *body, size_t len) {
    struct server_answer *answer = xnew(struct server_answer);
    *answer = (struct server_answer){1, status, type, body, len};
    return answer;
}

static void answer_leave(void *arg) {
    struct server_answer *answer = arg;
    if (--answer->users)
        return;
    free(answer->body);
    free(answer);
}

void server_drop(struct server_answer **slot) {
    struct server_answer *answer = take_ptr(*slot);
    if (answer)
        answer_leave(answer);
}

static void wake(struct request *request) {
    loop_fd_stop(&request->watch);
    list_remove(&request->link);
    MHD_resume_connection(request->mhd);
    request->server->resumed = true;
}

void request_add_header(struct request *request, const char *name, char *value) {
    CHECK(request->extras < REQUEST_EXTRAS);
    request->extra[request->extras].name = name;
    request->extra[request->extras++].value = value;
}

static void tell(struct request *request, int status, const void *body, size_t len) {
    struct server *server = request->server;
    if (server->events.on_answer)
        server->events.on_answer(request, status, body, len, server->arg);
}

static void add_extras(const struct request *request, struct MHD_Response *response) {
    for (size_t i = 0; i < request->extras; i++)
        CHECK(MHD_add_response_header(response, request->extra[i].name, request->extra[i].value) ==
              MHD_YES);
}

static void settle(struct request *request, int status, struct MHD_Response *response) {
    CHECK(request->phase == HANDED || request->phase == SUSPENDED);
    add_extras(request, response);
    bool suspended = request->phase == SUSPENDED;
    request->phase = ANSWERED;
    request->response = response;
    request->status = status;
    request->gone = NULL;
    if (suspended)
        wake(request);
}

void request_answer(struct request *request, int status, const char *type, char *body, size_t len) {
    tell(request, status, body, len);
    settle(request, status, response_make(type, body, len));
}

void request_refuse(struct request *request, int status, const char *allow, char *json) {
    tell(request, status, json, strlen(json));
    struct MHD_Response *response = response_make("application/json; charset=utf-8", json,
                                                  strlen(json));
    if (allow)
        CHECK(MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES);
    settle(request, status, response);
}

// The body is everybody's, the headers (a signature) are its own.
void request_answer_kept(struct request *request, struct server_answer *answer) {
    tell(request, answer->status, answer->body, answer->len);
    answer->users++;
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        answer->len, answer->body, answer_leave, answer);
    settle(request, answer->status, with_type(response, answer->type));
}

static void release_response(struct request *request) {
    if (request->response)
        MHD_destroy_response(request->response);
    request->response = NULL;
}

static enum MHD_Result queue_answer(struct request *request) {
    struct server *server = request->server;
    CHECK(request->status >= SERVER_STATUS_MIN && request->status < SERVER_STATUS_MAX);
    server->answered[request->status - SERVER_STATUS_MIN]++;
    crowd_busy(&server->crowd, &request->connection->member, true);
    request->connection->deadline = loop_now(server->loop) + SERVER_BODY_MS;
    enum MHD_Result ok = MHD_queue_response(request->mhd, (unsigned)request->status,
                                            request->response);
    release_response(request);
    return ok;
}

// ---- waiting ----

static void lose(struct request *request) {
    void (*gone)(void *arg) = request->gone;
    request->gone = NULL;
    request->phase = LOST;
    if (gone)
        gone(request->gone_arg);
}

static void on_left(int events, void *arg) {
    (void)events;
    struct request *request = arg;
    lose(request);
    wake(request);
}

// While suspended microhttpd has the socket in no epoll set, so it is ours to watch; the watch ends
// before it is resumed. A client that closes only its sending half counts as gone.
static void suspend(struct request *request) {
    struct server *server = request->server;
    request->phase = SUSPENDED;
    request->connection->deadline = SERVER_NEVER;
    list_append(&server->waiting, &request->link);
    crowd_busy(&server->crowd, &request->connection->member, true);
    MHD_suspend_connection(request->mhd);
    request->watch = loop_fd_start(server->loop, request->connection->fd, LOOP_GONE, on_left,
                                   request);
}

// What lay in the socket while this process was stopped may have nobody who waits for it.
static bool has_left(const struct request *request) {
    struct pollfd it = {.fd = request->connection->fd, .events = POLLRDHUP};
    return poll(&it, 1, 0) == 1;
}

void request_on_gone(struct request *request, void (*fn)(void *arg), void *arg) {
    request->gone = fn;
    request->gone_arg = arg;
}

// ---- streams ----

// What was taken is given back, its memory too: a client may be behind for as long as it lasts.
static void stream_trim(struct request *request) {
    struct text left = {0}, *text = &request->stream.text;
    if (request->stream.taken < text->len)
        text_addn(&left, text->s + request->stream.taken, text->len - request->stream.taken);
    crowd_give_back(&request->server->crowd, &request->connection->member, request->stream.taken);
    text_done(text);
    *text = left;
    request->stream.taken = 0;
}

static void stream_drop(struct request *request) {
    request->stream.taken = request->stream.text.len;
    stream_trim(request);
}

static ssize_t on_more(void *cls, uint64_t pos, char *buf, size_t max) {
    (void)pos;
    struct request *request = cls;
    size_t left = request->stream.text.len - request->stream.taken;
    if (request->phase == LOST)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (left) {
        size_t n = left < max ? left : max;
        memcpy(buf, request->stream.text.s + request->stream.taken, n);
        request->stream.taken += n;
        if (n == left || request->stream.taken >= TAKEN)
            stream_trim(request);
        request->connection->deadline = loop_now(request->server->loop) + SERVER_BODY_MS;
        return (ssize_t)n;
    }
    if (request->stream.ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    suspend(request);
    return 0;
}

void request_stream(struct request *request, const char *type) {
    tell(request, MHD_HTTP_OK, NULL, 0);
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096,
                                                                      on_more, request, NULL);
    CHECK(response);
    CHECK(MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES);
    CHECK(MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES);
    void (*gone)(void *arg) = request->gone;
    request->stream.on = true;
    settle(request, MHD_HTTP_OK, response);
    request->gone = gone; // of a stream its owner must hear for as long as it lasts
}

static void stream_go_on(struct request *request) {
    if (request->phase != SUSPENDED)
        return;
    request->phase = ANSWERED;
    wake(request);
}

bool request_stream_add(struct request *request, const void *data, size_t len) {
    if (!crowd_keep(&request->server->crowd, &request->connection->member, len))
        return false;
    text_addn(&request->stream.text, data, len);
    stream_go_on(request);
    return true;
}

size_t request_stream_pending(const struct request *request) {
    return request->stream.text.len - request->stream.taken;
}

void request_stream_end(struct request *request) {
    request->gone = NULL;
    request->stream.ended = true;
    stream_go_on(request);
}

// Shut down as well: microhttpd asks for more only when the client has taken what it was given.
void request_stream_break(struct request *request) {
    bool suspended = request->phase == SUSPENDED;
    request->gone = NULL;
    request->phase = LOST;
    stream_drop(request);
    if (suspended)
        wake(request);
    shutdown(request->connection->fd, SHUT_RDWR);
}

// ---- reading ----

enum request_method request_method(const struct request *request) {
    if (strcmp(request->method, MHD_HTTP_METHOD_GET) == 0)
        return METHOD_GET;
    return strcmp(request->method, MHD_HTTP_METHOD_POST) == 0 ? METHOD_POST : METHOD_OTHER;
}

const char *request_method_name(const struct request *request) {
    return request->method;
}

void request_from_peer(struct request *request) {
    crowd_trust(&request->server->crowd, &request->connection->member);
}

const char *request_path(const struct request *request) {
    return request->path;
}

const char *request_target(const struct request *request) {
    return request->target;
}

struct counting {
    const char *name;
    int n;
};

static enum MHD_Result count_one(void *cls, enum MHD_ValueKind kind, const char *key,
                                 const char *value) {
    (void)kind;
    (void)value;
    struct counting *counting = cls;
    counting->n += strcasecmp(key, counting->name) == 0;
    return MHD_YES;
}

int request_header_count(struct request *request, const char *name) {
    struct counting counting = {.name = name};
    MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, count_one, &counting);
    return counting.n;
}

void request_attach(struct request *request, void *data, void (*release)(void *data)) {
    CHECK(!request->attached);
    request->attached = data;
    request->release = release;
}

void *request_attached(const struct request *request) {
    return request->attached;
}

const char *request_header(struct request *request, const char *name) {
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const char *request_query(struct request *request, const char *name) {
    const char *value = NULL;
    size_t len;
    if (MHD_lookup_connection_value_n(request->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &value, &len) != MHD_YES)
        return NULL;
    return value ? value : "";
}

const char *request_body(const struct request *request, size_t *ret_len) {
    *ret_len = request->body.len;
    return text_str(&request->body);
}

static char *complaint(const char *text) {
    return xasprintf("{\"error\":\"%s\"}", text);
}

struct header_walk {
    struct framing *f;
    const char *end; // of what was seen last
};

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                 size_t key_len, const char *value, size_t len) {
    (void)kind;
    // Both lie where they were received, so what is between them is what was sent.
    struct header_walk *walk = cls;
    size_t ending = (size_t)((uintptr_t)key - (uintptr_t)walk->end);
    size_t gap = value ? (size_t)((uintptr_t)value - (uintptr_t)key) - key_len : SIZE_MAX;
    framing_add(walk->f, ending, key, key_len, gap, value ? value : "", value ? len : 0);
    walk->end = value ? value + len : key + key_len;
    return MHD_YES;
}

static void read_framing(struct request *request, const char *version, struct framing *f) {
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(
        request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    framing_begin(f, size ? size->header_size : 0, request->method, version, request->line_len);
    f->bad |= request->odd_target;
    struct header_walk walk = {f, version + strlen(version)};
    MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, on_header, &walk);
    // Behind the last value two line ends are left, over which microhttpd has written zeros.
    static const char ends[sizeof "\r\n\r\n" - 1];
    f->bad |= f->accounted == f->bytes &&
              ((uintptr_t)walk.end + sizeof ends != (uintptr_t)request->method + f->bytes ||
               memcmp(walk.end, ends, sizeof ends) != 0);
}

// Answers true when the request must not be believed any further; the connection ends with it.
static bool refuse_framing(struct request *request, const struct framing *f) {
    int status;
    const char *why = framing_refuses(f, &status);
    if (!why)
        return false;
    char *json = complaint(why);
    struct MHD_Response *response = response_make("application/json; charset=utf-8", json,
                                                  strlen(json));
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    settle(request, status, response);
    return true;
}

static void drop_body(struct request *request) {
    crowd_give_back(&request->server->crowd, &request->connection->member, request->body.len);
    text_done(&request->body);
}

static void refuse_body(struct request *request, int status, const char *why) {
    drop_body(request);
    request->phase = HANDED;
    request_refuse(request, status, NULL, complaint(why));
}

// The request line is complete. What is made here comes back as the request's own pointer and is
// freed in on_completed, whatever becomes of the rest of the header.
void *server_on_line(void *cls, const char *uri, struct MHD_Connection *mhd) {
    struct server *server = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct request *request = xnew(struct request);
    request->server = server;
    request->mhd = mhd;
    request->connection = info->socket_context;
    request->connection->deadline = loop_now(server->loop) + SERVER_HEADER_MS;
    request->line_len = strlen(uri);
    request->target = xstrdup(uri);
    request->odd_target = !framing_is_target(uri);
    list_init(&request->link);
    return request;
}

// A body that comes slower than it may is over before its 30 s are.
static int64_t body_deadline(const struct request *request) {
    int64_t ms = SERVER_HEADER_MS + (int64_t)(request->received / SERVER_BODY_RATE);
    return request->body_began + (ms < SERVER_BODY_MS ? ms : SERVER_BODY_MS);
}

// The header is complete. A POST that is refused may be answered before its body; any other method
// is not expected to have one, so microhttpd would take the body for the next request.
static enum MHD_Result take_head(struct request *request, const char *version) {
    struct server *server = request->server;
    struct framing f;
    read_framing(request, version, &f);
    request->phase = HANDED;
    request->body_began = loop_now(server->loop);
    request->connection->deadline = body_deadline(request);
    bool fatal = refuse_framing(request, &f);
    if (!fatal)
        request->body_max = server->events.on_head(request, server->arg);
    if (request->phase == HANDED && f.length > request->body_max)
        refuse_body(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
    if (request->phase == HANDED)
        request->phase = READING;
    bool at_once = fatal || f.expect || f.length > DROPPED_BODY;
    if (request->phase == ANSWERED && at_once && request_method(request) == METHOD_POST)
        return queue_answer(request);
    return MHD_YES;
}

static void take_body(struct request *request, const char *data, size_t len) {
    request->received += len;
    request->connection->deadline = body_deadline(request);
    if (request->phase != READING)
        return;
    struct server *server = request->server;
    if (request->body.len + len > request->body_max) {
        refuse_body(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
    } else if (!crowd_keep(&server->crowd, &request->connection->member, len)) {
        refuse_body(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many bodies at once: try again");
    } else {
        text_addn(&request->body, data, len);
        if (server->events.on_body)
            server->events.on_body(request, data, len, server->arg);
    }
}

static enum MHD_Result take_end(struct request *request) {
    struct server *server = request->server;
    if (request->phase == READING) {
        request->phase = HANDED;
        if (server->closing)
            request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, complaint(CLOSING));
        else
            server->events.on_request(request, server->arg);
        drop_body(request); // read by then: what was asked for may take hours
    }
    if (request->phase == LOST)
        return MHD_NO;
    if (request->phase == ANSWERED)
        return queue_answer(request);
    if (has_left(request)) {
        lose(request); // before anything begins
        return MHD_NO;
    }
    suspend(request);
    return MHD_YES;
}

// Called by microhttpd once with the header, then with each piece of the body, once without any,
// and again after a resume.
enum MHD_Result server_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **con_cls) {
    (void)cls;
    (void)mhd;
    struct request *request = *con_cls;
    if (request->phase == HEAD) {
        request->path = url;
        request->method = method;
        return take_head(request, version);
    }
    if (!*len)
        return take_end(request);
    take_body(request, data, *len);
    *len = 0;
    return MHD_YES;
}

void server_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                         enum MHD_RequestTerminationCode why) {
    (void)mhd;
    (void)why;
    struct server *server = cls;
    struct request *request = *con_cls;
    *con_cls = NULL;
    if (!request)
        return;
    lose(request); // a stream that broke off
    loop_fd_stop(&request->watch);
    list_remove(&request->link);
    drop_body(request);
    crowd_busy(&server->crowd, &request->connection->member, false);
    request->connection->deadline = loop_now(server->loop) + SERVER_IDLE_MS;
    release_response(request);
    stream_drop(request);
    if (request->attached)
        request->release(request->attached);
    for (size_t i = 0; i < request->extras; i++)
        free(request->extra[i].value);
    free(request->target);
    free(request);
}

// microhttpd must not be stopped while a connection is suspended.
void server_dismiss(struct request *request) {
    lose(request);
    request->phase = SUSPENDED;
    if (request->stream.on)
        request_stream_end(request);
    else
        request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, complaint(CLOSING));
}
