#include "base/check.h"
#include "base/own.h"
#include "tests/tools/engined.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { REQUEST_MAX = 64 << 20, SEND_AT_ONCE = 256 << 10 };

static void on_socket(int events, void *arg);

// ---- a client comes and goes ----

static void request_done(struct exchange *x) {
    free(x->method);
    free(x->path);
    json_decref(x->query);
    json_decref(x->body);
    x->method = x->path = NULL;
    x->query = x->body = NULL;
}

static void exchange_free(struct exchange *x) {
    list_remove(&x->link);
    loop_fd_stop(&x->watch);
    loop_timer_stop(&x->drip);
    close(x->fd);
    request_done(x);
    text_done(&x->in);
    text_done(&x->out);
    json_decref(x->filters);
    free(x->subject);
    free(x->condition);
    free(x);
}

static void on_client(int events, void *arg) {
    struct engined *d = arg;
    (void)events;
    for (;;) {
        int fd = accept4(d->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct exchange *x = xnew(struct exchange);
        x->d = d;
        x->fd = fd;
        x->left = -1;
        list_append(&d->clients, &x->link);
        x->watch = loop_fd_start(d->loop, fd, LOOP_READ, on_socket, x);
    }
}

struct engined *engined_create(struct loop *loop, const char *api) {
    struct engined *d = xnew(struct engined);
    d->loop = loop;
    d->api = api;
    d->any_image = true;
    d->listener = -1;
    d->engine = engine_create(engined_clock, engined_on_event, d);
    d->past = json_array();
    d->logs = json_object();
    list_init(&d->clients);
    list_init(&d->whims);
    list_init(&d->deaths);
    return d;
}

void engined_forget_whims(struct engined *d) {
    while (!list_empty(&d->whims)) {
        struct whim *whim = list_first(&d->whims, struct whim, link);
        list_remove(&whim->link);
        free(whim->method);
        free(whim->path);
        free(whim->kind);
        free(whim->body);
        free(whim);
    }
}

void engined_free(struct engined *d) {
    while (!list_empty(&d->clients))
        exchange_free(list_first(&d->clients, struct exchange, link));
    engined_forget_deaths(d);
    engined_forget_whims(d);
    loop_fd_stop(&d->accepting);
    if (d->listener >= 0)
        close(d->listener);
    engine_free(d->engine);
    json_decref(d->past);
    json_decref(d->logs);
    free(d);
}

static int bind_unix(const char *path, struct err *err) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        return err_set(err, ERR_USER, "%s: too long for a socket", path);
    strcpy(at.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        return err_errno(err, ERR_USER, errno, "%s", path);
    return fd;
}

static int bind_tcp(const char *address, struct err *err) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    auto_free char *host = xstrndup(address, colon ? (size_t)(colon - address) : 0);
    int64_t port;
    int on = 1;
    if (!colon || inet_pton(AF_INET, host, &at.sin_addr) != 1 ||
        text_int(colon + 1, 1, 65535, &port, NULL) < 0)
        return err_set(err, ERR_USER, "%s: expected address:port", address);
    at.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        return err_errno(err, ERR_USER, errno, "%s", address);
    return fd;
}

int engined_listen(struct engined *d, const char *address, struct err *err) {
    if (text_starts(address, "unix://"))
        d->listener = bind_unix(address + 7, err);
    else if (text_starts(address, "tcp://"))
        d->listener = bind_tcp(address + 6, err);
    else
        return err_set(err, ERR_USER, "%s: expected unix:///path or tcp://address:port", address);
    if (d->listener < 0)
        return -1;
    if (listen(d->listener, 1024) < 0)
        return err_errno(err, ERR_USER, errno, "%s", address);
    d->accepting = loop_fd_start(d->loop, d->listener, LOOP_READ, on_client, d);
    return 0;
}

// ---- bytes out ----

static void flush(struct exchange *x);

static void on_drip(void *arg) {
    flush(arg);
}

static size_t allowed(const struct exchange *x) {
    size_t n = x->out.len - x->out_at;
    if (x->left >= 0 && (int64_t)n > x->left)
        n = (size_t)x->left;
    return x->rate > 0 ? n > 0 : n;
}

// The descriptor says when there is room again; a client that is done is freed by its own watch.
static void flush(struct exchange *x) {
    for (size_t n; (n = allowed(x)) > 0;) {
        ssize_t sent = send(x->fd, x->out.s + x->out_at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        x->out_at += (size_t)sent;
        x->left -= x->left >= 0 ? sent : 0;
        if (x->rate > 0)
            break;
    }
    if (x->out_at == x->out.len) {
        text_clear(&x->out);
        x->out_at = 0;
    }
    bool over = x->left == 0 || (x->closing && !x->out.len);
    if (x->rate > 0 && x->out.len)
        loop_timer_start(x->d->loop, &x->drip, 1000 / x->rate, on_drip, x);
    if (over)
        shutdown(x->fd, SHUT_RDWR); // which makes it readable
    // The end of stdin stays readable: not asked again while the output is not out.
    bool reads = !x->half_closed || over, writes = x->out.len && !over && x->rate == 0;
    loop_fd_change(x->watch, (reads ? LOOP_READ : 0) | (writes ? LOOP_WRITE : 0));
}

void reply_bytes(struct exchange *x, const void *data, size_t len) {
    text_addn(&x->out, data, len);
    if (x->out.len > SEND_AT_ONCE)
        flush(x);
}

static const char *reason(int status) {
    return status < 300 ? "OK" : status < 500 ? "Refused" : "Internal Server Error";
}

static void head(struct exchange *x, int status, const char *type) {
    text_addf(&x->out,
              "HTTP/1.1 %d %s\r\nApi-Version: %s\r\nServer: Docker/20.10.24-engined (linux)\r\n",
              status, reason(status), x->d->api);
    if (type)
        text_addf(&x->out, "Content-Type: %s\r\n", type);
}

void reply_raw(struct exchange *x, int status, const char *type, const char *body, size_t len) {
    head(x, status, type);
    if (status != 204 && status != 304)
        text_addf(&x->out, "Content-Length: %zu\r\n", len);
    text_add(&x->out, "\r\n");
    if (strcmp(x->method, "HEAD") != 0)
        reply_bytes(x, body, len);
}

void reply_json(struct exchange *x, int status, const json_t *body) {
    auto_free char *s = body ? json_write(body) : xstrdup("");
    reply_raw(x, status, body ? "application/json" : NULL, s, strlen(s));
}

void reply_status(struct exchange *x, int status, const char *message) {
    auto_json json_t *body = json_pack("{s:s}", "message", message);
    reply_json(x, status, body);
}

void reply_engine(struct exchange *x, struct engine_reply reply) {
    reply_json(x, reply.status, reply.body);
    json_decref(reply.body);
}

void reply_stream(struct exchange *x) {
    head(x, 200, "application/json");
    text_add(&x->out, "Transfer-Encoding: chunked\r\n\r\n");
}

void reply_upgrade(struct exchange *x, bool upgraded) {
    text_addf(&x->out, "HTTP/1.1 %s\r\nContent-Type: application/vnd.docker.raw-stream\r\n%s\r\n",
              upgraded ? "101 UPGRADED" : "200 OK",
              upgraded ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "Connection: close\r\n");
}

void reply_chunk(struct exchange *x, const void *data, size_t len) {
    text_addf(&x->out, "%zx\r\n", len);
    text_addn(&x->out, data, len);
    text_add(&x->out, "\r\n");
    flush(x);
}

void reply_end(struct exchange *x) {
    text_add(&x->out, "0\r\n\r\n");
    x->following = FOLLOW_NOTHING;
    flush(x);
}

void reply_close(struct exchange *x) {
    x->closing = true;
    flush(x);
}

// ---- whims ----

static struct whim *find_whim(struct exchange *x) {
    struct whim *whim;
    if (text_starts(x->path, "/engined/"))
        return NULL;
    list_each(whim, &x->d->whims, struct whim, link) {
        if (whim->times != 0 && text_starts(x->method, whim->method) &&
            text_starts(x->path, whim->path)) {
            whim->times -= whim->times > 0;
            return whim;
        }
    }
    return NULL;
}

static void bomb(struct exchange *x) {
    static char zeros[64 << 10];
    reply_stream(x);
    for (int i = 0; i < 1024; i++) { // 64 MiB: more than anyone keeps
        text_addf(&x->out, "%zx\r\n", sizeof zeros);
        text_addn(&x->out, zeros, sizeof zeros);
        text_add(&x->out, "\r\n");
    }
}

// True: the reply is made; else it is to be made as usual, to arrive badly.
static bool indulge(struct exchange *x, const struct whim *whim) {
    if (strcmp(whim->kind, "cut") == 0)
        x->left = whim->number;
    else if (strcmp(whim->kind, "slow") == 0)
        x->rate = whim->number > 0 ? whim->number : 1;
    else if (strcmp(whim->kind, "status") == 0)
        reply_raw(x, (int)whim->number, "application/json", whim->body, strlen(whim->body));
    else if (strcmp(whim->kind, "garbage") == 0)
        reply_raw(x, 200, "application/json", whim->body, strlen(whim->body));
    else if (strcmp(whim->kind, "hang") == 0)
        x->hung = true;
    else if (strcmp(whim->kind, "raw") == 0)
        reply_bytes(x, whim->body, strlen(whim->body));
    else if (strcmp(whim->kind, "bomb") == 0)
        bomb(x);
    else if (strcmp(whim->kind, "huge") == 0) {
        head(x, 200, "application/json");
        text_addf(&x->out, "Content-Length: %lld\r\n\r\n{", (long long)whim->number);
    }
    x->closing = strcmp(whim->kind, "raw") == 0;
    return strcmp(whim->kind, "cut") != 0 && strcmp(whim->kind, "slow") != 0;
}

// ---- requests in ----

static char *decoded(const char *s, size_t len) {
    struct text t = {0};
    text_add(&t, "");
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        if (s[i] == '%' && i + 2 < len + 0 && sscanf(s + i + 1, "%2x", &byte) == 1) {
            text_addc(&t, (char)byte);
            i += 2;
        } else {
            text_addc(&t, s[i] == '+' ? ' ' : s[i]);
        }
    }
    char *taken = text_take(&t);
    return taken ? taken : xstrdup("");
}

static json_t *read_query(const char *s) {
    json_t *query = json_object();
    while (*s) {
        size_t len = strcspn(s, "&"), key = strcspn(s, "=&");
        auto_free char *name = decoded(s, key);
        auto_free char *value = key < len ? decoded(s + key + 1, len - key - 1) : xstrdup("");
        json_object_set_new(query, name, json_string(value));
        s += len + (s[len] == '&');
    }
    return query;
}

static const char *after_version(const char *path) {
    if (!text_starts(path, "/v1.") && !text_starts(path, "/v2."))
        return path;
    const char *rest = strchr(path + 1, '/');
    return rest ? rest : path;
}

static size_t content_length(const char *head_text) {
    const char *at = strcasestr(head_text, "\r\nContent-Length:");
    return at ? strtoul(at + 17, NULL, 10) : 0;
}

// The length of the whole request once it is there, else 0.
static size_t complete(const struct exchange *x) {
    const char *end = x->in.len ? strstr(x->in.s, "\r\n\r\n") : NULL;
    if (!end)
        return 0;
    size_t whole = (size_t)(end + 4 - x->in.s) + content_length(x->in.s);
    return x->in.len >= whole ? whole : 0;
}

static bool read_request(struct exchange *x) {
    const char *space = strchr(x->in.s, ' ');
    const char *target = space ? space + 1 : NULL;
    size_t len = target ? strcspn(target, " \r\n") : 0;
    if (!len || *target != '/')
        return false;
    auto_free char *url = xstrndup(target, len);
    const char *query = strchr(url, '?');
    auto_free char *path = decoded(url, query ? (size_t)(query - url) : len);
    request_done(x);
    x->method = xstrndup(x->in.s, (size_t)(space - x->in.s));
    x->path = xstrdup(after_version(path));
    x->query = read_query(query ? query + 1 : "");
    x->raw = strstr(x->in.s, "\r\n\r\n") + 4;
    x->raw_len = content_length(x->in.s);
    x->body = x->raw_len ? json_read(x->raw, x->raw_len, REQUEST_MAX, "body", NULL) : NULL;
    return true;
}

static void serve(struct exchange *x) {
    size_t whole;
    while (!x->following && !x->closing && !x->hung && (whole = complete(x)) > 0) {
        if (!read_request(x)) {
            reply_close(x);
            return;
        }
        const struct whim *whim = find_whim(x);
        if (!whim || !indulge(x, whim))
            engined_answer(x);
        // What is left is the next request, or what an upgraded one says on stdin.
        memmove(x->in.s, x->in.s + whole, x->in.len - whole + 1);
        x->in.len -= whole;
    }
    flush(x);
}

static void on_socket(int events, void *arg) {
    struct exchange *x = arg;
    char data[64 << 10];
    if (events & LOOP_WRITE)
        flush(x);
    if (!(events & LOOP_READ))
        return;
    ssize_t n = recv(x->fd, data, sizeof data, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 0 && x->following == FOLLOW_EXEC && !x->half_closed && !x->closing) {
        x->half_closed = true;
        loop_fd_change(x->watch, 0);
        engined_input_ended(x);
        return;
    }
    if (n <= 0 || x->in.len + (size_t)n > REQUEST_MAX) {
        exchange_free(x);
        return;
    }
    text_addn(&x->in, data, (size_t)n);
    serve(x);
}
