// An HTTP server on a thread that answers as the test says: one connection after the other, one
// request each, every request kept. What the script writes is what the client gets, byte for byte.
#pragma once
#include "tests/unit/base/server.h"

enum { SCRIPTED_MAX = 512 };

struct scripted;
// Writes the answer to fd; n counts from 0.
typedef void scripted_fn(struct scripted *s, int n, const struct server_request *r, int fd);

struct scripted {
    int listening, port;
    pthread_t thread;
    scripted_fn *fn;
    void *arg;
    _Atomic int n;
    char *lines[SCRIPTED_MAX]; // "PUT /v2/apps/x HTTP/1.1"
    char *heads[SCRIPTED_MAX];
    char *bodies[SCRIPTED_MAX];
};

static inline void *scripted_serve(void *arg) {
    struct scripted *s = arg;
    struct server_request *r = xnew(struct server_request);
    for (int fd; (fd = accept(s->listening, NULL, NULL)) >= 0; close(fd)) {
        struct server_connection c = {.socket = fd};
        int n = atomic_load(&s->n);
        if (n == SCRIPTED_MAX || !server_read(&c, r))
            continue;
        s->lines[n] = xstrdup(r->line);
        s->heads[n] = xstrdup(r->head);
        s->bodies[n] = xstrndup(r->body, r->body_len);
        atomic_store(&s->n, n + 1);
        s->fn(s, n, r, fd);
        shutdown(fd, SHUT_WR);
    }
    free(r);
    return NULL;
}

static inline struct scripted *scripted_start(scripted_fn *fn, void *arg) {
    struct scripted *s = xnew(struct scripted);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    s->fn = fn;
    s->arg = arg;
    s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listening, (struct sockaddr *)&in, len) || listen(s->listening, 64) ||
        getsockname(s->listening, (struct sockaddr *)&in, &len))
        abort();
    s->port = ntohs(in.sin_port);
    if (pthread_create(&s->thread, NULL, scripted_serve, s))
        abort();
    return s;
}

static inline void scripted_stop(struct scripted *s) {
    shutdown(s->listening, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listening);
    for (int i = 0; i < s->n; i++) {
        free(s->lines[i]);
        free(s->heads[i]);
        free(s->bodies[i]);
    }
    free(s);
}

static inline void scripted_answer(int fd, int status, const char *body) {
    char head[256];
    snprintf(head, sizeof(head),
             "HTTP/1.1 %d Some\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             status, strlen(body));
    server_say(fd, head);
    server_say(fd, body);
}

static inline void scripted_redirect(int fd, const char *location) {
    char head[1024];
    snprintf(head, sizeof(head), "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             location);
    server_say(fd, head);
}
