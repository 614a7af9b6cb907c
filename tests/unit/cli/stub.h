// A pod of another kind: a process that answers each connection with the bytes it was given, or
// with none at all. A part of each test program that includes it.
#pragma once
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// n: how many requests came before on that path; NULL: not a word, the connection stays open.
typedef const char *stub_fn(const char *request, int n);

static pid_t stubs[8];
static size_t stubs_len;

static void stub_answer(int fd, stub_fn *fn, int *n) {
    char request[8192] = "";
    for (size_t len = 0; len < sizeof(request) - 1 && !strstr(request, "\r\n\r\n");) {
        ssize_t got = recv(fd, request + len, sizeof(request) - 1 - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    const char *reply = fn(request, (*n)++);
    if (!reply)
        return; // and fd stays
    for (size_t len = strlen(reply); len;) {
        ssize_t sent = send(fd, reply, len, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        reply += sent;
        len -= (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
    recv(fd, request, sizeof(request), 0);
    close(fd);
}

static _Noreturn void stub_run(int fd, stub_fn *fn) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int n = 0;;) {
        int client = accept(fd, NULL, NULL);
        if (client >= 0)
            stub_answer(client, fn, &n);
    }
}

// Answers its port.
__attribute__((unused)) static int stub_start(stub_fn *fn) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && stubs_len < 8);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        stub_run(fd, fn);
    close(fd);
    stubs[stubs_len++] = pid;
    return ntohs(at.sin_port);
}

__attribute__((unused)) static void stub_end_all(void) {
    while (stubs_len) {
        kill(stubs[--stubs_len], SIGKILL);
        waitpid(stubs[stubs_len], NULL, 0);
    }
}
