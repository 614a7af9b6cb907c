#include "base/names.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "base/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { HOST_MAX = 1025, ANSWER_MAX = 4096, PATIENCE_S = 40, CHILDREN_MAX = 16 };

static int line = -1;

void names_use(int fd) {
    line = fd;
}

// ---- here ----

// One a line.
static void look_up(const char *host, struct text *ret) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found))
        return;
    for (const struct addrinfo *it = found; it; it = it->ai_next) {
        char ip[INET6_ADDRSTRLEN] = "";
        if (getnameinfo(it->ai_addr, it->ai_addrlen, ip, sizeof ip, NULL, 0, NI_NUMERICHOST) == 0)
            text_addf(ret, "%s\n", ip);
    }
    freeaddrinfo(found);
}

// ---- there ----

static void read_all(int fd, struct text *ret) {
    char piece[512];
    for (;;) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || ret->len + (size_t)n > ANSWER_MAX)
            return;
        text_addn(ret, piece, (size_t)n);
    }
}

// A socket of its own for each question: askers on several threads need no lock.
static void ask(const char *host, struct text *ret) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return;
    auto_fd int ours = pair[0];
    int sent = wire_send_fd(line, pair[1]);
    close(pair[1]);
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    size_t len = strlen(host);
    if (sent || send(ours, host, len, MSG_NOSIGNAL) != (ssize_t)len || shutdown(ours, SHUT_WR))
        return;
    read_all(ours, ret);
}

static bool is_literal(const char *s) {
    struct in6_addr any;
    return inet_pton(AF_INET, s, &any) == 1 || inet_pton(AF_INET6, s, &any) == 1;
}

char **names_find(const char *host) {
    auto_text struct text found = {0};
    if (!*host || strlen(host) >= HOST_MAX)
        return NULL;
    if (line >= 0)
        ask(host, &found);
    else
        look_up(host, &found);
    char **list = text_split(text_str(&found), "\n");
    for (char **it = list; *it; it++) {
        if (is_literal(*it) || strchr(*it, '%')) // a link-local one has its interface behind it
            continue;
        text_list_free(list);
        return NULL;
    }
    if (*list)
        return list;
    text_list_free(list);
    return NULL;
}

// ---- the other process ----

static int receive(int control) {
    int fd;
    ssize_t n;
    do
        n = wire_receive_fd(control, 0, &fd);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        _exit(0); // the asker is gone
    if (fd < 0)
        _exit(1);
    return fd;
}

_Noreturn static void answer(int fd, pid_t parent) {
    char host[HOST_MAX];
    size_t len = 0;
    auto_text struct text found = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    alarm(PATIENCE_S);
    for (ssize_t n; (n = recv(fd, host + len, sizeof host - 1 - len, 0)) > 0;)
        len += (size_t)n;
    host[len] = '\0';
    look_up(host, &found);
    (void)!send(fd, text_str(&found), found.len, MSG_NOSIGNAL);
    _exit(0);
}

static void woken(int signo) {
    (void)signo;
}

// Until there is a question. Who has answered is reaped at once, whether or not anybody asks again:
// its end is heard in ppoll alone, so it is not missed.
static void wait_for_one(int control, int *children) {
    struct pollfd p = {.fd = control, .events = POLLIN};
    sigset_t none;
    sigemptyset(&none);
    do
        while (waitpid(-1, NULL, WNOHANG) > 0)
            --*children;
    while (ppoll(&p, 1, NULL, &none) < 0 && errno == EINTR);
}

_Noreturn void names_serve(int control) {
    pid_t self = getpid();
    int children = 0;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGCHLD, woken);
    for (;;) {
        wait_for_one(control, &children);
        int fd = receive(control);
        pid_t pid = children < CHILDREN_MAX ? fork() : -1;
        if (pid == 0) {
            close(control);
            answer(fd, self);
        }
        children += pid > 0;
        close(fd);
    }
}
