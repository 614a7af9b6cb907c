// A metadata service of EC2 on loopback, on a thread: as it is meant to be, or wrong in one way.
#pragma once
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum imds_mood {
    IMDS_V2,     // a token is wanted
    IMDS_V1_404, // knows no tokens
    IMDS_V1_405,
    IMDS_HOP_LIMIT,    // the token's answer never comes; v1 is allowed
    IMDS_HOP_LIMIT_V2, // and is not
    IMDS_OFF,
    IMDS_NOTHING_PUBLIC,
    IMDS_HANGS,
    IMDS_SICK,
    IMDS_HTML,
    IMDS_NO_ADDRESS, // local-ipv4 is something else
    IMDS_CUT,
    IMDS_FLOOD,
};

struct imds {
    enum imds_mood mood;
    int listening, port;
    pthread_t thread;
    int held[64]; // connections that are never answered
    int held_len;
    _Atomic int gets, puts, with_token;
};

static inline void imds_say(int fd, int status, const char *body) {
    char reply[512];
    snprintf(reply, sizeof reply,
             "HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s",
             status, strlen(body), body);
    send(fd, reply, strlen(reply), MSG_NOSIGNAL);
    close(fd);
}

static inline void imds_odd(int fd, const char *reply, int times) {
    for (int i = 0; i < times && send(fd, reply, strlen(reply), MSG_NOSIGNAL) > 0; i++)
        ;
    close(fd);
}

static inline void imds_get(struct imds *s, int fd, const char *head) {
    bool token = strstr(head, "X-aws-ec2-metadata-token: dG9rZW4=\r\n");
    bool v1_allowed = s->mood != IMDS_V2 && s->mood != IMDS_HOP_LIMIT_V2;
    s->gets++;
    s->with_token += token;
    if (!token && !v1_allowed)
        imds_say(fd, 401, "");
    else if (strstr(head, " /latest/meta-data/local-ipv4 "))
        imds_say(fd, 200, s->mood == IMDS_NO_ADDRESS ? "172.16.0" : "172.16.0.5");
    else if (strstr(head, " /latest/meta-data/instance-id "))
        imds_say(fd, 200, "i-0abc\n");
    else if (strstr(head, " /latest/meta-data/public-ipv4 ") && s->mood != IMDS_NOTHING_PUBLIC)
        imds_say(fd, 200, "203.0.113.9");
    else if (strstr(head, " /latest/meta-data/placement/availability-zone "))
        imds_say(fd, 200, "eu-west-1a");
    else
        imds_say(fd, 404, "<?xml version=\"1.0\"?><html>404</html>");
}

static inline void imds_put(struct imds *s, int fd, const char *head) {
    s->puts++;
    if (!strstr(head, " /latest/api/token ") ||
        !strstr(head, "X-aws-ec2-metadata-token-ttl-seconds: "))
        imds_say(fd, 400, "");
    else if (s->mood == IMDS_HOP_LIMIT || s->mood == IMDS_HOP_LIMIT_V2)
        s->held[s->held_len++] = fd;
    else if (s->mood == IMDS_V1_404)
        imds_say(fd, 404, "");
    else if (s->mood == IMDS_V1_405)
        imds_say(fd, 405, "");
    else
        imds_say(fd, 200, "dG9rZW4=");
}

static inline void imds_answer(struct imds *s, int fd, const char *head) {
    switch (s->mood) {
    case IMDS_HANGS:
        s->held[s->held_len++] = fd;
        break;
    case IMDS_OFF:
        imds_say(fd, 403, "");
        break;
    case IMDS_SICK:
        imds_say(fd, 500, "");
        break;
    case IMDS_HTML:
        imds_say(fd, 200, "<html><body>Sign in to this hotel's network</body></html>");
        break;
    case IMDS_CUT:
        imds_odd(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", 1);
        break;
    case IMDS_FLOOD:
        send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
        imds_odd(fd, "172.16.0.5 172.16.0.5 172.16.0.5 172.16.0.5 172.16.0.5 ", 4096);
        break;
    default:
        (strncmp(head, "PUT ", 4) == 0 ? imds_put : imds_get)(s, fd, head);
    }
}

static inline void *imds_serve(void *arg) {
    struct imds *s = arg;
    int fd;
    while ((fd = accept(s->listening, NULL, NULL)) >= 0) {
        char head[4096];
        size_t len = 0;
        ssize_t n = 1;
        while (len + 1 < sizeof head && n > 0) {
            head[len] = '\0';
            if (strstr(head, "\r\n\r\n"))
                break;
            n = recv(fd, head + len, sizeof head - 1 - len, 0);
            len += n > 0 ? (size_t)n : 0;
        }
        head[len] = '\0';
        if (s->held_len < 60)
            imds_answer(s, fd, head);
        else
            close(fd);
    }
    return NULL;
}

// Answers its endpoint, "http://127.0.0.1:PORT", in ret.
static inline void imds_start(struct imds *s, enum imds_mood mood, char ret[64]) {
    memset(s, 0, sizeof *s);
    s->mood = mood;
    s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    if (bind(s->listening, (struct sockaddr *)&at, len) || listen(s->listening, 64) ||
        getsockname(s->listening, (struct sockaddr *)&at, &len) ||
        pthread_create(&s->thread, NULL, imds_serve, s))
        fail_msg("no metadata service");
    s->port = ntohs(at.sin_port);
    snprintf(ret, 64, "http://127.0.0.1:%d", s->port);
}

static inline void imds_stop(struct imds *s) {
    shutdown(s->listening, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listening);
    for (int i = 0; i < s->held_len; i++)
        close(s->held[i]);
}
