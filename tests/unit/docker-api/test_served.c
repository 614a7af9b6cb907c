// What the holder of the engine's socket makes of requests: none of them is answered by an engine
// here, they are judged or not.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/http.h"
#include "docker-api/line.h"
#include "docker-api/served.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPEN_MAX_CALLS = 1024, TURN_MS = 20, TURNS = 500 };

static struct {
    struct loop *loop;
    struct http *http;
    struct served *served;
    int line;
    struct text in; // what was answered
    size_t at;
    int judged, forgotten;
    struct err broken;
} it;

static void judge(struct served_call *call, const struct door_request *request, void *arg) {
    (void)call, (void)request, (void)arg;
    it.judged++;
}

static void forget(struct served_call *call, void *arg) {
    (void)call, (void)arg;
    it.forgotten++;
}

static void broken(const struct err *why, void *arg) {
    (void)arg;
    it.broken = *why;
}

static int setup(void **state) {
    static const struct served_rules rules = {
        .judge = judge, .forget = forget, .on_broken = broken};
    struct err err = ERR_INIT;
    int pair[2];
    (void)state;
    memset(&it, 0, sizeof it);
    it.loop = loop_create();
    it.http = http_create(it.loop, 4, 4);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -1;
    it.line = pair[0];
    return served_open(it.loop, it.http, pair[1], "unix:///nowhere", &rules, NULL, &it.served,
                       &err);
}

static int teardown(void **state) {
    (void)state;
    served_close(it.served);
    http_free(it.http);
    loop_free(it.loop);
    text_done(&it.in);
    return close(it.line);
}

static void over(void *arg) {
    (void)arg;
    loop_quit(it.loop);
}

static void turn(void) {
    loop_timer_start(it.loop, NULL, TURN_MS, over, NULL);
    loop_run(it.loop);
}

static void say(struct text *message) {
    assert_int_equal(send(it.line, message->s, message->len, 0), message->len);
    text_clear(message);
}

static void ask(struct text *out, int64_t serial) {
    static const struct door_request ping = {.op = DOOR_PING};
    line_ask(out, serial, &ping);
}

static void until_judged(int n) {
    for (int i = 0; i < TURNS && it.judged < n && !it.broken.kind; i++)
        turn();
    assert_string_equal(it.broken.text, "");
    assert_int_equal(it.judged, n);
}

// The next answer is the end of that request, with this error.
static void expect_end(int64_t serial, enum err_kind kind) {
    struct wire w;
    int rc = 0;
    for (int i = 0; i < TURNS && !it.broken.kind && !rc; i++) {
        char piece[4096];
        ssize_t n = recv(it.line, piece, sizeof piece, MSG_DONTWAIT);
        if (n > 0)
            text_addn(&it.in, piece, (size_t)n);
        rc = line_next(&it.in, &it.at, &w);
        if (!rc)
            turn();
    }
    assert_string_equal(it.broken.text, "");
    assert_int_equal(rc, 1);
    assert_int_equal(wire_int(&w), LINE_END);
    assert_int_equal(wire_int(&w), serial);
    assert_int_equal(wire_int(&w), 0);
    struct err err = ERR_INIT;
    wire_get_err(&w, &err);
    assert_int_equal(err.kind, kind);
    assert_non_null(strstr(err.text, "1024"));
}

static void one_more_than_may_be_open_fails_alone(void **state) {
    (void)state;
    auto_text struct text out = {0};
    for (int64_t serial = 1; serial <= OPEN_MAX_CALLS; serial++) {
        ask(&out, serial);
        if (serial % 128 == 0)
            say(&out);
    }
    until_judged(OPEN_MAX_CALLS);
    ask(&out, OPEN_MAX_CALLS + 1);
    say(&out);
    expect_end(OPEN_MAX_CALLS + 1, ERR_RETRY);
    assert_int_equal(it.judged, OPEN_MAX_CALLS);
    assert_int_equal(it.forgotten, 0); // nobody had judged it
    line_cancel(&out, 1);
    ask(&out, OPEN_MAX_CALLS + 1); // its number is free again
    say(&out);
    until_judged(OPEN_MAX_CALLS + 1);
    assert_int_equal(it.forgotten, 1);
}

static void a_number_that_is_taken_breaks_the_line(void **state) {
    (void)state;
    auto_text struct text out = {0};
    ask(&out, 7);
    ask(&out, 7);
    say(&out);
    for (int i = 0; i < TURNS && !it.broken.kind; i++)
        turn();
    assert_int_equal(it.broken.kind, ERR_BUG);
    assert_int_equal(it.judged, 1);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_more_than_may_be_open_fails_alone),
        TEST(a_number_that_is_taken_breaks_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
