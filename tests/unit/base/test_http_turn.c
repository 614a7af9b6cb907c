// Answers that come together: one turn of the loop takes a part of them, so that others get theirs.
#include "base/check.h"
#include "base/http.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { CALLS = 64, PER_TURN = 32, DEADLINE_MS = 100000 };

// The server is a part of the same loop, so that all its answers are there before the next turn.
struct bench {
    struct loop *loop;
    struct http *http;
    struct loop_fd *listening;
    struct loop_timer *deadline;
    int listener, sockets[CALLS], accepted;
    int replies, of_this_turn, most;
    bool late;
};

static void on_late(void *arg) {
    struct bench *b = arg;
    b->late = true;
    loop_quit(b->loop);
}

static void await(struct bench *b) {
    loop_timer_start(b->loop, &b->deadline, DEADLINE_MS, on_late, b);
    loop_run(b->loop);
    loop_timer_stop(&b->deadline);
    assert_false(b->late);
}

static void on_connection(int events, void *arg) {
    struct bench *b = arg;
    (void)events;
    b->sockets[b->accepted] = accept(b->listener, NULL, NULL);
    assert_true(b->sockets[b->accepted] >= 0);
    if (++b->accepted == CALLS)
        loop_quit(b->loop);
}

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct bench *b = arg;
    assert_int_equal(err->kind, ERR_NONE);
    assert_int_equal(reply->status, 200);
    b->of_this_turn++;
    if (++b->replies == CALLS)
        loop_quit(b->loop);
}

static void on_turn(void *arg) {
    struct bench *b = arg;
    b->most = b->of_this_turn > b->most ? b->of_this_turn : b->most;
    b->of_this_turn = 0;
}

static int listen_anywhere(char *ret_url, size_t size) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, CALLS), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(ret_url, size, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    return fd;
}

static void answer_all(struct bench *b) {
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char request[4096];
    for (int i = 0; i < CALLS; i++) {
        assert_true(recv(b->sockets[i], request, sizeof request, 0) > 0);
        assert_int_equal(send(b->sockets[i], reply, sizeof reply - 1, MSG_NOSIGNAL),
                         sizeof reply - 1);
    }
}

// Each of them is sent what it waits for: recv above waits for a request that is under way.
static void wait_for_requests(struct bench *b) {
    struct loop_timer *soon = NULL;
    for (int i = 0; i < CALLS; i++) {
        char byte;
        while (recv(b->sockets[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) {
            loop_timer_start(b->loop, &soon, 1, (void (*)(void *))loop_quit, b->loop);
            await(b);
        }
    }
}

static void what_is_answered_together_takes_several_turns(void **state) {
    (void)state;
    struct bench b = {.loop = loop_create()};
    char url[64];
    b.http = http_create(b.loop, CALLS, 0);
    b.listener = listen_anywhere(url, sizeof url);
    b.listening = loop_fd_start(b.loop, b.listener, LOOP_READ, on_connection, &b);
    struct http_request request = {
        .url = url, .connect_ms = DEADLINE_MS, .timeout_ms = DEADLINE_MS};
    for (int i = 0; i < CALLS; i++)
        http_start(b.http, &request, on_reply, &b);
    await(&b);
    wait_for_requests(&b);
    struct loop_turn *turn = loop_turn_start(b.loop, on_turn, &b);
    answer_all(&b);
    await(&b);
    assert_int_equal(b.replies, CALLS);
    assert_in_range(b.most, 1, PER_TURN);
    loop_turn_stop(&turn);
    loop_fd_stop(&b.listening);
    http_free(b.http);
    for (int i = 0; i < CALLS; i++)
        close(b.sockets[i]);
    close(b.listener);
    loop_free(b.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_answered_together_takes_several_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
