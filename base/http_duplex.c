#include "base/check.h"
#include "base/http_inside.h"
#include "base/own.h"
#include "base/text.h"
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

// Plain sockets: libcurl has no documented way to go on after 101, and none to half-close.

enum {
    HEAD_MAX = 16 * 1024,
    PIECE = 16 * 1024,
    PIECES_PER_TURN = 4, // a flood on one connection must not starve the loop
    CONNECT_MS = 1000,
};

struct lookup { // the addresses of a host; a name is resolved on another thread
    struct http_duplex *owner;
    struct loop_work *work; // while it runs
    char *host, *port;
    struct addrinfo *found, *next;
    int rc;
};

struct http_duplex {
    struct http_member member; // first: http_free closes it as such
    struct loop *loop;
    int socket;
    struct loop_fd *watch;
    struct loop_timer *timer; // the deadline of connecting, or an end to be told next turn
    struct lookup *lookup;    // until connected
    struct text head;         // until on_head
    struct text out;
    size_t sent;  // of out
    int64_t left; // bytes of the body still to come; -1: until the end of the connection
    bool connected, headed, half_closing, half_closed;
    bool busy;   // on_socket is on the stack, and frees it
    bool closed; // nothing may be told any more
    struct http_duplex_events events;
    void *arg;
    struct err err; // of end_soon
    char name[108];
};

// ---- the end ----

static void lookup_free(void *arg) {
    struct lookup *it = arg;
    if (it->found)
        freeaddrinfo(it->found);
    free(it->host);
    free(it->port);
    free(it);
}

static void drop_lookup(struct http_duplex *d) {
    struct lookup *it = d->lookup;
    d->lookup = NULL;
    if (it && it->work)
        loop_work_forget(&it->work); // frees it when the thread is back
    else if (it)
        lookup_free(it);
}

static void hang_up(struct http_duplex *d) {
    loop_fd_stop(&d->watch);
    if (d->socket >= 0)
        close(d->socket);
    d->socket = -1;
}

static void release(struct http_duplex *d) {
    if (!d->closed) {
        d->closed = true;
        list_remove(&d->member.link);
        loop_timer_stop(&d->timer);
        hang_up(d);
        drop_lookup(d);
        text_done(&d->head);
        text_done(&d->out);
    }
    if (!d->busy)
        free(d);
}

static void end(struct http_duplex *d, const struct err *why) {
    void (*on_end)(const struct err *err, void *arg) = d->events.on_end;
    void *arg = d->arg;
    struct err err = *why;
    release(d);
    on_end(&err, arg);
}

static void end_as(struct http_duplex *d, enum err_kind kind, const char *why) {
    struct err err = ERR_INIT;
    err_set(&err, kind, "%s: %s", d->name, why);
    end(d, &err);
}

static void on_end_soon(void *arg) {
    struct http_duplex *d = arg;
    end(d, &d->err);
}

// For what fails inside http_duplex_open.
static void end_soon(struct http_duplex *d) {
    loop_timer_start(d->loop, &d->timer, 0, on_end_soon, d);
}

// ---- writing ----

static void rewatch(struct http_duplex *d) {
    bool writes = !d->connected || d->sent < d->out.len || (d->half_closing && !d->half_closed);
    loop_fd_change(d->watch, (d->connected ? LOOP_READ : 0) | (writes ? LOOP_WRITE : 0));
}

static int flush(struct http_duplex *d) {
    while (d->sent < d->out.len) {
        ssize_t n = send(d->socket, d->out.s + d->sent, d->out.len - d->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        d->sent += (size_t)n;
    }
    text_done(&d->out);
    d->sent = 0;
    if (!d->half_closing || d->half_closed)
        return 0;
    d->half_closed = true;
    return shutdown(d->socket, SHUT_WR);
}

// A peer that does not read any more may still have something to say: reading tells the end.
static void stop_writing(struct http_duplex *d) {
    text_done(&d->out);
    d->sent = 0;
    d->half_closing = d->half_closed = true;
}

// ---- reading ----

static void take_body(struct http_duplex *d, const char *data, size_t len) {
    if (d->left >= 0 && len > (size_t)d->left)
        len = (size_t)d->left;
    d->left -= d->left >= 0 ? (int64_t)len : 0;
    if (len && d->events.on_data)
        d->events.on_data(data, len, d->arg);
    struct err none = ERR_INIT;
    if (!d->closed && d->left == 0)
        end(d, &none);
}

// The status, or -1. Of the fields only the length of the body matters: an answer that has one ends
// there, because its server may keep the connection.
static int read_head(const char *head, int64_t *ret_left) {
    int status = -1;
    if (text_starts(head, "HTTP/1.") && strlen(head) >= 12 && head[8] == ' ')
        status = (int)strtol(head + 9, NULL, 10);
    *ret_left = status == 204 || status == 304 ? 0 : -1;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (status != 101 && strncasecmp(line + 2, "Content-Length:", 15) == 0)
            *ret_left = strtoll(line + 17, NULL, 10);
    return status >= 100 && status <= 599 ? status : -1;
}

static void take_head(struct http_duplex *d, const char *data, size_t len) {
    text_addn(&d->head, data, len);
    for (char *stop; (stop = memmem(d->head.s, d->head.len, "\r\n\r\n", 4));) {
        stop[2] = '\0';
        int status = read_head(d->head.s, &d->left);
        if (status < 0) {
            end_as(d, ERR_RETRY, "the answer is not HTTP");
            return;
        }
        auto_text struct text all = d->head; // body lies behind the head
        size_t rest = all.len - (size_t)(stop + 4 - all.s);
        d->head = (struct text){0};
        if (status >= 200 || status == 101) {
            d->headed = true;
            if (d->events.on_head)
                d->events.on_head(status, d->arg);
            if (!d->closed)
                take_body(d, stop + 4, rest);
            return;
        }
        text_addn(&d->head, stop + 4, rest); // 100 Continue and the like
    }
    if (d->head.len > HEAD_MAX)
        end_as(d, ERR_LIMIT, "the header has no end");
}

static void at_eof(struct http_duplex *d) {
    struct err err = ERR_INIT;
    if (!d->headed)
        err_set(&err, ERR_RETRY, "%s: closed before it answered", d->name);
    else if (d->left > 0)
        err_set(&err, ERR_RETRY, "%s: cut off", d->name);
    end(d, &err);
}

static void receive(struct http_duplex *d) {
    char piece[PIECE];
    for (int i = 0; i < PIECES_PER_TURN && !d->closed; i++) {
        ssize_t n = recv(d->socket, piece, sizeof(piece), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            end_as(d, ERR_RETRY, strerrordesc_np(errno));
        else if (n == 0)
            at_eof(d);
        else if (d->headed)
            take_body(d, piece, (size_t)n);
        else
            take_head(d, piece, (size_t)n);
    }
}

// ---- connecting ----

static void on_socket(int events, void *arg);

static int try_connect(struct http_duplex *d, const struct sockaddr *to, socklen_t len) {
    d->socket = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->socket < 0 || (connect(d->socket, to, len) < 0 && errno != EINPROGRESS)) {
        err_errno(&d->err, ERR_RETRY, errno, "could not connect to %s", d->name);
        hang_up(d);
        return -1;
    }
    d->watch = loop_fd_start(d->loop, d->socket, LOOP_WRITE, on_socket, d);
    return 0;
}

static void connect_unix(struct http_duplex *d, const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(to.sun_path)) {
        err_set(&d->err, ERR_USER, "%.120s...: longer than a socket's path may be", path);
        end_soon(d);
        return;
    }
    memcpy(to.sun_path, path, strlen(path));
    if (try_connect(d, (struct sockaddr *)&to, sizeof(to)) < 0)
        end_soon(d);
}

// The next of the host's addresses; d->err tells of the last when none is left.
static void connect_next(struct http_duplex *d) {
    for (struct addrinfo *to; (to = d->lookup->next);) {
        d->lookup->next = to->ai_next;
        if (try_connect(d, to->ai_addr, to->ai_addrlen) == 0)
            return;
    }
    end_soon(d);
}

static void resolve(struct lookup *it, int flags) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    it->rc = getaddrinfo(it->host, it->port, &hints, &it->found);
    it->next = it->rc ? NULL : it->found;
}

static void resolve_on_thread(void *arg) {
    resolve(arg, 0);
}

static void on_resolved(void *arg) {
    struct lookup *it = arg;
    it->work = NULL;
    if (it->rc)
        err_set(&it->owner->err, ERR_RETRY, "%s: %s", it->owner->name, gai_strerror(it->rc));
    connect_next(it->owner);
}

// "http://host:port", the host perhaps in brackets; a path behind it does not matter.
static struct lookup *lookup_of(const char *url) {
    const char *host = url + (text_starts(url, "http://") ? 7 : 0);
    const char *end_of_all = host + strcspn(host, "/"), *end_of_host;
    if (*host == '[') {
        host++;
        end_of_host = host + strcspn(host, "]/");
    } else {
        end_of_host = host + strcspn(host, ":/");
    }
    const char *port = end_of_host + (*end_of_host == ']');
    struct lookup *it = xnew(struct lookup);
    it->host = xstrndup(host, (size_t)(end_of_host - host));
    it->port = *port == ':' ? xstrndup(port + 1, (size_t)(end_of_all - port - 1)) : xstrdup("80");
    return it;
}

static void connect_tcp(struct http_duplex *d, const char *url) {
    struct lookup *it = d->lookup = lookup_of(url);
    it->owner = d;
    resolve(it, AI_NUMERICHOST);
    if (it->rc == EAI_NONAME)
        it->work = loop_work_start(d->loop, resolve_on_thread, on_resolved, lookup_free, it);
    else
        on_resolved(it);
}

static void on_connect_timeout(void *arg) {
    end_as(arg, ERR_RETRY, "could not connect: Connection timed out");
}

// False when it did not succeed.
static bool connected(struct http_duplex *d) {
    int failed = 0;
    socklen_t len = sizeof(failed);
    getsockopt(d->socket, SOL_SOCKET, SO_ERROR, &failed, &len);
    if (failed) {
        err_errno(&d->err, ERR_RETRY, failed, "could not connect to %s", d->name);
        hang_up(d);
        if (d->lookup)
            connect_next(d);
        else
            end_soon(d);
        return false;
    }
    d->connected = true;
    loop_timer_stop(&d->timer);
    drop_lookup(d);
    return true;
}

static void on_socket(int events, void *arg) {
    struct http_duplex *d = arg;
    if (!d->connected && !connected(d))
        return;
    d->busy = true;
    if (events & LOOP_WRITE && flush(d) < 0)
        stop_writing(d);
    if (events & LOOP_READ)
        receive(d);
    d->busy = false;
    if (d->closed)
        free(d);
    else
        rewatch(d);
}

// ---- the door ----

static void close_member(struct http_member *it) {
    release((struct http_duplex *)it);
}

struct http_duplex *http_duplex_open(struct http *http, const char *unix_socket,
                                     const char *host_url, const char *head, size_t head_len,
                                     const struct http_duplex_events *events, void *arg) {
    struct http_duplex *d = xnew(struct http_duplex);
    d->member.close = close_member;
    http_join(http, &d->member);
    d->loop = http_loop(http);
    d->socket = -1;
    d->left = -1;
    d->events = *events;
    d->arg = arg;
    snprintf(d->name, sizeof(d->name), "%s", unix_socket ? unix_socket : host_url);
    text_addn(&d->out, head, head_len);
    loop_timer_start(d->loop, &d->timer, CONNECT_MS, on_connect_timeout, d);
    if (unix_socket)
        connect_unix(d, unix_socket);
    else
        connect_tcp(d, host_url);
    return d;
}

void http_duplex_send(struct http_duplex *d, const void *data, size_t len) {
    if (d->closed || d->half_closing || !len)
        return;
    text_addn(&d->out, data, len);
    if (d->watch)
        rewatch(d);
}

void http_duplex_half_close(struct http_duplex *d) {
    if (d->closed)
        return;
    d->half_closing = true;
    if (d->watch)
        rewatch(d);
}

void http_duplex_close(struct http_duplex **slot) {
    struct http_duplex *d = *slot;
    *slot = NULL;
    if (d && !d->closed)
        release(d);
}
