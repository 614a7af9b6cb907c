// A peer that resets the connection in the middle of its reply, after any byte of it: what was not
// answered whole may be asked again, and is never taken for an answer.
#include "base/check.h"
#include "base/http.h"
#include "base/own.h"
#include "base/text.h"
#include "tests/unit/base/server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char reply[] = "HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 00:00:00 GMT\r\n"
                            "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n"
                            "{\"joined\":true}";
enum { WHOLE = sizeof reply - 1, DEADLINE_MS = 60000 };

static struct loop *loop;
static int listening, port;
static _Atomic int cut_at;
static _Atomic bool ending;

// As a process that is killed with data unread: the kernel sends RST, not FIN.
static void reset(int s) {
    const struct linger now = {.l_onoff = 1};
    setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(s);
}

static void *serve(void *arg) {
    (void)arg;
    for (int s; (s = accept(listening, NULL, NULL)) >= 0 && !ending;) {
        char request[4096];
        size_t len = 0;
        ssize_t n = 1;
        while (n > 0 && !memmem(request, len, "\r\n\r\n{}", 6)) {
            n = recv(s, request + len, sizeof request - len, 0);
            len += n > 0 ? (size_t)n : 0;
        }
        server_send(s, reply, (size_t)cut_at);
        reset(s);
    }
    return NULL;
}

struct answer {
    int count, status;
    struct err err;
    char body[64];
};

static void on_reply(const struct http_reply *r, const struct err *err, void *arg) {
    struct answer *a = arg;
    a->count++;
    a->status = r->status;
    a->err = *err;
    snprintf(a->body, sizeof a->body, "%s", r->body);
    loop_quit(loop);
}

static void a_reply_reset_after_any_byte_is_none_and_may_be_asked_for_again(void **state) {
    (void)state;
    struct http *http = http_create(loop, 8, 4);
    auto_free char *url = xasprintf("http://127.0.0.1:%d/control/check/60", port);
    for (cut_at = 0; cut_at < WHOLE; cut_at++) {
        struct answer a = {0};
        struct http_request request = {.method = "POST",
                                       .url = url,
                                       .body = "{}",
                                       .body_len = 2,
                                       .timeout_ms = DEADLINE_MS,
                                       .max_reply = 1024};
        http_start(http, &request, on_reply, &a);
        loop_run(loop);
        assert_int_equal(a.count, 1);
        if (a.err.kind != ERR_RETRY)
            fail_msg("after %d bytes: %s, status %d \"%s\"", cut_at, err_kind_name(a.err.kind),
                     a.status, a.body);
    }
    http_free(http);
}

int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    pthread_t server;
    loop = loop_create();
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listening, (struct sockaddr *)&at, len) == 0 && listen(listening, 16) == 0);
    CHECK(getsockname(listening, (struct sockaddr *)&at, &len) == 0);
    port = ntohs(at.sin_port);
    CHECK(pthread_create(&server, NULL, serve, NULL) == 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_reset_after_any_byte_is_none_and_may_be_asked_for_again),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ending = true;
    shutdown(listening, SHUT_RDWR);
    pthread_join(server, NULL);
    close(listening);
    loop_free(loop);
    return failed;
}
