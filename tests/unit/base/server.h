// A small HTTP server on threads for the tests of base/http: it answers by path, rightly or
// wrongly, over TCP or a unix socket. server_stop ends whatever still hangs.
#pragma once
#include "base/check.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SERVER_CONNECTIONS = 2048 };

struct server {
    int listening;
    int port;
    pthread_t accepting;
    pthread_t threads[SERVER_CONNECTIONS];
    _Atomic int sockets[SERVER_CONNECTIONS];
    _Atomic int connections, requests;
};

struct server_connection {
    struct server *server;
    int socket;
    char buf[16 * 1024];
    size_t len;
};

struct server_request {
    char line[512]; // "POST /echo HTTP/1.1"
    char head[8 * 1024];
    char body[4 * 1024 * 1024];
    size_t body_len;
};

static inline bool server_send(int socket, const char *s, size_t len) {
    while (len) {
        ssize_t n = send(socket, s, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        s += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool server_say(int socket, const char *s) {
    return server_send(socket, s, strlen(s));
}

static inline bool server_ok(int socket, const char *type, const char *body, size_t len) {
    char head[256];
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type, len);
    return server_say(socket, head) && server_send(socket, body, len);
}

static inline bool server_more(struct server_connection *c) {
    ssize_t n = recv(c->socket, c->buf + c->len, sizeof(c->buf) - 1 - c->len, 0);
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    c->buf[c->len] = '\0';
    return true;
}

static inline bool server_read(struct server_connection *c, struct server_request *r) {
    char *end;
    while (!(end = c->len ? strstr(c->buf, "\r\n\r\n") : NULL))
        if (!server_more(c))
            return false;
    size_t head_len = (size_t)(end - c->buf) + 4, want = 0;
    snprintf(r->head, sizeof(r->head), "%.*s", (int)head_len, c->buf);
    snprintf(r->line, sizeof(r->line), "%.*s", (int)strcspn(c->buf, "\r"), c->buf);
    char *field = strcasestr(r->head, "\r\nContent-Length:");
    if (field)
        want = strtoul(field + 17, NULL, 10);
    r->body_len = c->len - head_len < want ? c->len - head_len : want;
    memcpy(r->body, c->buf + head_len, r->body_len);
    c->len -= head_len + r->body_len;
    memmove(c->buf, c->buf + head_len + r->body_len, c->len);
    c->buf[c->len] = '\0';
    while (r->body_len < want) {
        ssize_t n = recv(c->socket, r->body + r->body_len, want - r->body_len, 0);
        if (n <= 0)
            return false;
        r->body_len += (size_t)n;
    }
    return true;
}

static inline bool server_bytewise(int socket) {
    static const char reply[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd:  yes \r\n\r\n"
        "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n";
    for (size_t i = 0; i < sizeof(reply) - 1; i++)
        if (!server_send(socket, reply + i, 1))
            return false;
    return true;
}

static inline void server_endless_head(int socket) {
    server_say(socket, "HTTP/1.1 200 OK\r\n");
    while (server_say(socket, "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"))
        ;
}

static inline void server_flood(int socket) {
    static char piece[65536];
    server_say(socket, "HTTP/1.1 200 OK\r\n\r\n");
    while (server_send(socket, piece, sizeof(piece)))
        ;
}

// An exec with stdin: what comes back is what went in, in capitals, until the client half-closes.
static inline void server_upgrade(struct server_connection *c) {
    server_say(c->socket, "HTTP/1.1 100 Continue\r\n\r\n");
    server_say(c->socket,
               "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nready\n");
    do {
        for (size_t i = 0; i < c->len; i++)
            c->buf[i] = (char)(c->buf[i] >= 'a' && c->buf[i] <= 'z' ? c->buf[i] - 32 : c->buf[i]);
        server_send(c->socket, c->buf, c->len);
        c->len = 0;
    } while (server_more(c));
    server_say(c->socket, "bye\n");
}

// False when the connection is to be closed.
static inline bool server_answer(struct server_connection *c, const struct server_request *r) {
    int s = c->socket;
    if (strstr(r->line, " /hello "))
        return server_ok(s, "text/plain", "hello", 5);
    if (strstr(r->line, " /echo "))
        return server_ok(s, "application/octet-stream", r->body, r->body_len);
    if (strstr(r->line, " /head "))
        return server_ok(s, "text/plain", r->head, strlen(r->head));
    if (strstr(r->line, " /only-head "))
        return server_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    if (strstr(r->line, " /missing "))
        return server_say(s, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
    if (strstr(r->line, " /moved "))
        return server_say(s, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
    if (strstr(r->line, " /continue "))
        return server_say(s, "HTTP/1.1 100 Continue\r\n\r\n") && server_ok(s, "a/b", "late", 4);
    if (strstr(r->line, " /bytewise "))
        return server_bytewise(s);
    if (strstr(r->line, " /silent "))
        return server_more(c);
    if (strstr(r->line, " /cut "))
        server_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    if (strstr(r->line, " /chunk-cut "))
        server_say(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    if (strstr(r->line, " /garbage "))
        server_say(s, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    if (strstr(r->line, " /until-close "))
        server_say(s, "HTTP/1.1 200 OK\r\n\r\nall of it");
    if (strstr(r->line, " /endless-head "))
        server_endless_head(s);
    if (strstr(r->line, " /flood "))
        server_flood(s);
    if (strstr(r->line, " /upgrade "))
        server_upgrade(c);
    return false;
}

static inline void *server_serve(void *arg) {
    struct server_connection *c = arg;
    struct server_request *r = xnew(struct server_request);
    while (server_read(c, r)) {
        atomic_fetch_add(&c->server->requests, 1);
        if (!server_answer(c, r))
            break;
    }
    shutdown(c->socket, SHUT_RDWR); // closed by server_stop, so that it never shuts another one
    free(r);
    free(c);
    return NULL;
}

static inline void *server_accept(void *arg) {
    struct server *server = arg;
    for (int s; (s = accept(server->listening, NULL, NULL)) >= 0;) {
        int one = 1, n = atomic_load(&server->connections);
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct server_connection *c = xnew(struct server_connection);
        c->server = server;
        c->socket = s;
        atomic_store(&server->sockets[n], s);
        atomic_fetch_add(&server->connections, 1); // before the client can have an answer
        if (n == SERVER_CONNECTIONS - 1 ||
            pthread_create(&server->threads[n], NULL, server_serve, c) != 0)
            abort();
    }
    return NULL;
}

// unix_path NULL: a port of 127.0.0.1.
static inline struct server *server_start(const char *unix_path) {
    struct server *server = xnew(struct server);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(in);
    server->listening = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (unix_path)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
    if (bind(server->listening, unix_path ? (struct sockaddr *)&un : (struct sockaddr *)&in,
             unix_path ? sizeof(un) : sizeof(in)) < 0 ||
        listen(server->listening, 1024) < 0)
        abort();
    if (!unix_path)
        getsockname(server->listening, (struct sockaddr *)&in, &len);
    server->port = ntohs(in.sin_port);
    if (pthread_create(&server->accepting, NULL, server_accept, server) != 0)
        abort();
    return server;
}

static inline void server_stop(struct server *server) {
    shutdown(server->listening, SHUT_RDWR);
    pthread_join(server->accepting, NULL);
    close(server->listening);
    for (int i = 0; i < atomic_load(&server->connections); i++) {
        shutdown(atomic_load(&server->sockets[i]), SHUT_RDWR);
        pthread_join(server->threads[i], NULL);
        close(atomic_load(&server->sockets[i]));
    }
    free(server);
}
