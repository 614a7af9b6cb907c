#include "base/check.h"
#include "base/http.h"
#include "base/text.h"
#include "tests/unit/base/server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct answer {
    int count;
    int status;
    struct err err;
    char body[16 * 1024];
    size_t len;
    char type[64];
    struct http_call *call;
};

struct bench {
    struct loop *loop;
    struct http *http;
    struct server *server;
    char base[64];
    int waiting_for;
    bool late;
};

static struct bench bench;

static int set_up(void **state) {
    (void)state;
    bench = (struct bench){.loop = loop_create(), .server = server_start(NULL)};
    bench.http = http_create(bench.loop, 64, 8);
    snprintf(bench.base, sizeof(bench.base), "http://127.0.0.1:%d", bench.server->port);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    http_free(bench.http);
    server_stop(bench.server);
    loop_free(bench.loop);
    return 0;
}

static void on_late(void *arg) {
    (void)arg;
    bench.late = true;
    loop_quit(bench.loop);
}

// Runs the loop until n things were reported by arrived().
static void await(int n) {
    struct loop_timer *deadline = NULL;
    bench.waiting_for += n;
    loop_timer_start(bench.loop, &deadline, 100000, on_late, NULL);
    if (bench.waiting_for > 0)
        loop_run(bench.loop);
    loop_timer_stop(&deadline);
    assert_false(bench.late);
}

static void arrived(void) {
    if (--bench.waiting_for == 0)
        loop_quit(bench.loop);
}

// Lets the loop turn for a while, to see that something does not happen.
static void let_pass(int64_t ms) {
    struct loop_timer *timer = NULL;
    loop_timer_start(bench.loop, &timer, ms, (void (*)(void *))loop_quit, bench.loop);
    loop_run(bench.loop);
}

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct answer *a = arg;
    a->call = NULL;
    a->count++;
    a->status = reply->status;
    a->err = *err;
    a->len = reply->len;
    snprintf(a->body, sizeof(a->body), "%s", reply->body);
    const char *type = http_header(reply, "content-type");
    snprintf(a->type, sizeof(a->type), "%s", type ? type : "none");
    arrived();
}

static const char *url(const char *path) {
    static char s[256];
    snprintf(s, sizeof(s), "%s%s", bench.base, path);
    return s;
}

static void ask(struct answer *a, struct http_request request, const char *path) {
    *a = (struct answer){0};
    request.url = url(path);
    if (!request.connect_ms)
        request.connect_ms = 100000; // its own one is short for a busy machine
    a->call = http_start(bench.http, &request, on_reply, a);
    assert_int_equal(a->count, 0);
    await(1);
    assert_int_equal(a->count, 1);
}

static void a_reply_arrives_with_status_headers_and_body(void **state) {
    (void)state;
    struct answer a;
    ask(&a, (struct http_request){0}, "/hello");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hello");
    assert_string_equal(a.type, "text/plain");
}

static void any_status_is_a_complete_reply(void **state) {
    (void)state;
    struct answer a;
    ask(&a, (struct http_request){0}, "/missing");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_int_equal(a.status, 404);
    assert_string_equal(a.body, "gone");
    ask(&a, (struct http_request){0}, "/moved");
    assert_int_equal(a.status, 302);
    ask(&a, (struct http_request){0}, "/continue");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "late");
}

static void a_body_is_sent_as_it_is(void **state) {
    (void)state;
    struct answer a;
    char *big = xcalloc(1, 300000);
    memset(big, 'x', 300000);
    ask(&a, (struct http_request){.method = "POST", .body = "a\0b", .body_len = 3}, "/echo");
    assert_int_equal(a.len, 3);
    ask(&a, (struct http_request){.method = "PUT", .body = big, .body_len = 300000}, "/echo");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_int_equal(a.len, 300000);
    free(big);
}

static void the_head_says_what_was_asked_and_no_more(void **state) {
    (void)state;
    struct answer a;
    const char *const headers[] = {"X-Ochopod-Epoch: 7", "Content-Type: application/json", NULL};
    ask(&a,
        (struct http_request){.method = "POST", .headers = headers, .body = "{}", .body_len = 2},
        "/head");
    assert_non_null(strstr(a.body, "POST /head HTTP/1.1\r\n"));
    assert_non_null(strstr(a.body, "X-Ochopod-Epoch: 7\r\n"));
    assert_non_null(strstr(a.body, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(a.body, "Content-Length: 2\r\n"));
    assert_null(strstr(a.body, "Expect"));
    ask(&a, (struct http_request){.method = "POST"}, "/head");
    assert_non_null(strstr(a.body, "Content-Length: 0\r\n"));
    assert_null(strstr(a.body, "Content-Type"));
    ask(&a, (struct http_request){.method = "DELETE"}, "/head");
    assert_non_null(strstr(a.body, "DELETE /head HTTP/1.1\r\n"));
    assert_null(strstr(a.body, "Content-Length"));
}

static void a_head_request_does_not_wait_for_a_body(void **state) {
    (void)state;
    struct answer a;
    ask(&a, (struct http_request){.method = "HEAD"}, "/only-head");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_int_equal(a.status, 200);
}

static void a_line_break_in_a_header_is_refused(void **state) {
    (void)state;
    struct answer a;
    const char *const headers[] = {"X-A: 1\r\nX-B: 2", NULL};
    ask(&a, (struct http_request){.headers = headers}, "/head");
    assert_int_equal(a.err.kind, ERR_BUG);
    assert_int_equal(bench.server->requests, 0);
}

static void a_reply_in_single_bytes_is_one_reply(void **state) {
    (void)state;
    struct answer a;
    ask(&a, (struct http_request){0}, "/bytewise");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_string_equal(a.body, "hello world");
}

static void a_reply_over_its_cap_is_refused(void **state) {
    (void)state;
    struct answer a;
    ask(&a, (struct http_request){.max_reply = 5}, "/hello");
    assert_int_equal(a.err.kind, ERR_NONE);
    ask(&a, (struct http_request){.max_reply = 4}, "/hello");
    assert_int_equal(a.err.kind, ERR_LIMIT);
    ask(&a, (struct http_request){0}, "/flood");
    assert_int_equal(a.err.kind, ERR_LIMIT);
    ask(&a, (struct http_request){0}, "/endless-head");
    assert_int_equal(a.err.kind, ERR_LIMIT);
}

static void a_reply_that_is_cut_off_may_be_tried_again(void **state) {
    (void)state;
    struct answer a;
    const char *const paths[] = {"/cut", "/chunk-cut", "/close"};
    for (size_t i = 0; i < 3; i++) {
        ask(&a, (struct http_request){0}, paths[i]);
        assert_int_equal(a.err.kind, ERR_RETRY);
        assert_non_null(strstr(a.err.text, paths[i]));
    }
    ask(&a, (struct http_request){0}, "/until-close");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_string_equal(a.body, "all of it");
}

static void what_is_not_http_is_an_error(void **state) {
    (void)state;
    struct answer a;
    ask(&a, (struct http_request){0}, "/garbage");
    assert_int_equal(a.err.kind, ERR_RETRY);
    assert_int_equal(a.status, 0);
}

static void a_server_that_never_answers_meets_the_deadline(void **state) {
    (void)state;
    struct answer a;
    int64_t start = loop_now(bench.loop);
    ask(&a, (struct http_request){.timeout_ms = 60}, "/silent");
    assert_int_equal(a.err.kind, ERR_TIMEOUT);
    assert_true(loop_now(bench.loop) - start >= 60);
}

static void the_deadline_counts_while_the_call_waits_its_turn(void **state) {
    (void)state;
    struct http *narrow = http_create(bench.loop, 1, 1);
    struct answer stuck = {0}, queued = {0};
    struct http_request request = {.url = url("/silent")};
    stuck.call = http_start(narrow, &request, on_reply, &stuck);
    request.timeout_ms = 30;
    queued.call = http_start(narrow, &request, on_reply, &queued);
    await(1);
    assert_int_equal(queued.err.kind, ERR_TIMEOUT);
    assert_int_equal(stuck.count, 0);
    http_free(narrow);
}

static void a_call_that_waited_starts_when_another_is_cancelled(void **state) {
    (void)state;
    struct http *narrow = http_create(bench.loop, 1, 1);
    struct answer stuck = {0}, queued = {0};
    struct http_request request = {.url = url("/silent")};
    stuck.call = http_start(narrow, &request, on_reply, &stuck);
    request.url = url("/hello");
    queued.call = http_start(narrow, &request, on_reply, &queued);
    let_pass(30);
    assert_int_equal(queued.count, 0);
    http_cancel(&stuck.call);
    assert_null(stuck.call);
    await(1);
    assert_string_equal(queued.body, "hello");
    http_free(narrow);
}

static void nobody_listens_may_be_tried_again(void **state) {
    (void)state;
    struct answer a;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int bound = socket(AF_INET, SOCK_STREAM, 0); // bound and not listening: refuses for sure
    assert_int_equal(bind(bound, (struct sockaddr *)&in, len), 0);
    getsockname(bound, (struct sockaddr *)&in, &len);
    snprintf(bench.base, sizeof(bench.base), "http://127.0.0.1:%d", ntohs(in.sin_port));
    ask(&a, (struct http_request){0}, "/hello");
    assert_int_equal(a.err.kind, ERR_RETRY);
    assert_int_equal(a.err.code, ECONNREFUSED);
    close(bound);
}

static void a_url_that_cannot_be_is_the_users(void **state) {
    (void)state;
    struct answer a;
    snprintf(bench.base, sizeof(bench.base), "https://127.0.0.1:1");
    ask(&a, (struct http_request){0}, "/hello");
    assert_int_equal(a.err.kind, ERR_USER);
    snprintf(bench.base, sizeof(bench.base), "file:///etc/passwd?");
    ask(&a, (struct http_request){0}, "/hello");
    assert_int_equal(a.err.kind, ERR_USER);
}

static void a_unix_socket_serves_as_well_as_tcp_and_may_be_away(void **state) {
    (void)state;
    struct answer a;
    char dir[] = "/tmp/test_http.XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sock", dir);
    snprintf(bench.base, sizeof(bench.base), "http://engine");
    ask(&a, (struct http_request){.unix_socket = path}, "/hello");
    assert_int_equal(a.err.kind, ERR_RETRY);
    struct server *server = server_start(path);
    ask(&a, (struct http_request){.unix_socket = path}, "/hello");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_string_equal(a.body, "hello");
    server_stop(server);
    // The kept connection is dead now, and so is the address.
    ask(&a, (struct http_request){.unix_socket = path}, "/hello");
    assert_int_equal(a.err.kind, ERR_RETRY);
    unlink(path);
    server = server_start(path);
    ask(&a, (struct http_request){.unix_socket = path}, "/hello");
    assert_int_equal(a.err.kind, ERR_NONE);
    server_stop(server);
    unlink(path);
    rmdir(dir);
}

static void connections_are_kept_unless_a_fresh_one_is_asked_for(void **state) {
    (void)state;
    struct answer a;
    for (int i = 0; i < 3; i++)
        ask(&a, (struct http_request){0}, "/hello");
    assert_int_equal(bench.server->connections, 1);
    for (int i = 0; i < 3; i++)
        ask(&a, (struct http_request){.fresh = true}, "/hello");
    assert_int_equal(bench.server->connections, 4);
}

// ---- cancelling ----

static void a_cancelled_call_is_never_heard_of_again(void **state) {
    (void)state;
    struct answer a = {0}, b = {0};
    struct http_request request = {.url = url("/hello")};
    a.call = http_start(bench.http, &request, on_reply, &a);
    http_cancel(&a.call);
    request.url = url("/silent");
    b.call = http_start(bench.http, &request, on_reply, &b);
    let_pass(30);
    http_cancel(&b.call);
    http_cancel(&b.call);
    let_pass(30);
    assert_int_equal(a.count + b.count, 0);
}

struct stream {
    struct http_call *call;
    struct http_call *other;
    int heads, pieces, ends;
    int status;
    enum { GO_ON, REFUSE, CANCEL, CANCEL_IN_HEAD, FREE_ALL, CANCEL_OTHER } then;
    struct text seen;
    struct err err;
};

static void on_stream_head(const struct http_reply *head, void *arg) {
    struct stream *s = arg;
    assert_int_equal(s->pieces, 0);
    s->heads++;
    s->status = head->status;
    if (s->then == CANCEL_IN_HEAD) {
        http_cancel(&s->call);
        arrived();
    }
}

static int on_stream_data(const void *data, size_t len, void *arg) {
    struct stream *s = arg;
    assert_int_equal(s->heads, 1);
    s->pieces++;
    text_addn(&s->seen, data, len);
    if (s->then == CANCEL)
        http_cancel(&s->call);
    if (s->then == CANCEL_OTHER)
        http_cancel(&s->other);
    if (s->then == FREE_ALL) {
        http_free(bench.http);
        bench.http = NULL;
    }
    if (s->then == CANCEL || s->then == FREE_ALL)
        arrived();
    return s->then == REFUSE;
}

static void on_stream_end(const struct http_reply *reply, const struct err *err, void *arg) {
    struct stream *s = arg;
    s->call = NULL;
    s->ends++;
    s->err = *err;
    assert_string_equal(reply->body, "");
    arrived();
}

static void stream(struct stream *s, const char *path) {
    struct http_request request = {
        .url = url(path), .on_head = on_stream_head, .on_data = on_stream_data};
    s->call = http_start(bench.http, &request, on_stream_end, s);
    await(1);
    let_pass(10);
}

static void a_stream_is_handed_over_piece_by_piece(void **state) {
    (void)state;
    struct stream s = {0};
    stream(&s, "/bytewise");
    assert_int_equal(s.heads, 1);
    assert_int_equal(s.status, 200);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.err.kind, ERR_NONE);
    assert_string_equal(text_str(&s.seen), "hello world");
    text_done(&s.seen);
}

static void a_stream_may_be_refused_from_within(void **state) {
    (void)state;
    struct stream s = {.then = REFUSE};
    stream(&s, "/flood");
    assert_int_equal(s.pieces, 1);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.err.kind, ERR_CANCELLED);
    text_done(&s.seen);
}

static void a_call_may_be_cancelled_from_its_own_callbacks(void **state) {
    (void)state;
    struct stream s = {.then = CANCEL}, h = {.then = CANCEL_IN_HEAD};
    stream(&s, "/flood");
    assert_int_equal(s.pieces, 1);
    assert_int_equal(s.ends, 0);
    text_done(&s.seen);
    stream(&h, "/flood");
    assert_int_equal(h.heads, 1);
    assert_int_equal(h.pieces + h.ends, 0);
    text_done(&h.seen);
}

static void a_call_may_be_cancelled_from_anothers_callback(void **state) {
    (void)state;
    struct answer silent = {0};
    struct http_request request = {.url = url("/silent")};
    struct stream s = {.then = CANCEL_OTHER};
    s.other = http_start(bench.http, &request, on_reply, &silent);
    stream(&s, "/bytewise");
    assert_null(s.other);
    assert_int_equal(s.ends, 1);
    assert_int_equal(silent.count, 0);
    text_done(&s.seen);
}

static void the_client_may_be_freed_from_a_callback(void **state) {
    (void)state;
    struct answer silent = {0};
    struct http_request request = {.url = url("/silent"), .timeout_ms = 20000};
    struct stream s = {.then = FREE_ALL};
    http_start(bench.http, &request, on_reply, &silent);
    stream(&s, "/flood");
    assert_int_equal(s.ends + silent.count, 0);
    text_done(&s.seen);
}

static void on_reply_free(const struct http_reply *reply, const struct err *err, void *arg) {
    http_free(bench.http);
    bench.http = NULL;
    assert_string_equal(reply->body, "hello");
    on_reply(reply, err, arg);
}

static void the_client_may_be_freed_from_a_reply(void **state) {
    (void)state;
    struct answer a = {0}, b = {0};
    struct http_request request = {.url = url("/hello")};
    http_start(bench.http, &request, on_reply_free, &a);
    request.url = url("/silent");
    http_start(bench.http, &request, on_reply, &b);
    await(1);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 0);
}

static void on_reply_again(const struct http_reply *reply, const struct err *err, void *arg) {
    struct answer *a = arg;
    on_reply(reply, err, a);
    struct http_request request = {.url = url("/hello")};
    if (a->count < 5) {
        a->call = http_start(bench.http, &request, on_reply_again, a);
        assert_non_null(a->call);
    }
}

static void a_reply_may_start_the_next_call_on_the_same_connection(void **state) {
    (void)state;
    struct answer a = {0};
    struct http_request request = {.url = url("/hello")};
    http_start(bench.http, &request, on_reply_again, &a);
    await(5);
    assert_int_equal(a.count, 5);
    assert_int_equal(bench.server->connections, 1);
}

// ---- many ----

static void on_tick(void *arg) {
    int *ticks = arg;
    static struct loop_timer *timer;
    ++*ticks;
    if (*ticks > 0)
        loop_timer_start(bench.loop, &timer, 1, on_tick, ticks);
    else
        timer = NULL;
}

static void a_thousand_calls_all_arrive_and_timers_run_between_them(void **state) {
    (void)state;
    enum { CALLS = 1000 };
    static struct answer answers[CALLS];
    int ticks = 0;
    memset(answers, 0, sizeof(answers));
    struct http_request request = {
        .url = url("/hello"), .connect_ms = 100000, .timeout_ms = 100000};
    for (int i = 0; i < CALLS; i++)
        answers[i].call = http_start(bench.http, &request, on_reply, &answers[i]);
    on_tick(&ticks);
    await(CALLS);
    assert_true(ticks > 5);
    ticks = INT32_MIN; // ends the ticking
    let_pass(5);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(answers[i].err.kind, ERR_NONE);
        assert_int_equal(answers[i].status, 200);
    }
    assert_int_equal(bench.server->requests, CALLS);
}

static void a_stuck_call_does_not_delay_another(void **state) {
    (void)state;
    struct answer stuck = {0}, a;
    struct http_request request = {.url = url("/silent")};
    stuck.call = http_start(bench.http, &request, on_reply, &stuck);
    ask(&a, (struct http_request){.timeout_ms = 20000}, "/hello");
    assert_int_equal(a.err.kind, ERR_NONE);
    http_cancel(&stuck.call);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_reply_arrives_with_status_headers_and_body),
        test(any_status_is_a_complete_reply),
        test(a_body_is_sent_as_it_is),
        test(the_head_says_what_was_asked_and_no_more),
        test(a_head_request_does_not_wait_for_a_body),
        test(a_line_break_in_a_header_is_refused),
        test(a_reply_in_single_bytes_is_one_reply),
        test(a_reply_over_its_cap_is_refused),
        test(a_reply_that_is_cut_off_may_be_tried_again),
        test(what_is_not_http_is_an_error),
        test(a_server_that_never_answers_meets_the_deadline),
        test(the_deadline_counts_while_the_call_waits_its_turn),
        test(a_call_that_waited_starts_when_another_is_cancelled),
        test(nobody_listens_may_be_tried_again),
        test(a_url_that_cannot_be_is_the_users),
        test(a_unix_socket_serves_as_well_as_tcp_and_may_be_away),
        test(connections_are_kept_unless_a_fresh_one_is_asked_for),
        test(a_cancelled_call_is_never_heard_of_again),
        test(a_stream_is_handed_over_piece_by_piece),
        test(a_stream_may_be_refused_from_within),
        test(a_call_may_be_cancelled_from_its_own_callbacks),
        test(a_call_may_be_cancelled_from_anothers_callback),
        test(the_client_may_be_freed_from_a_callback),
        test(the_client_may_be_freed_from_a_reply),
        test(a_reply_may_start_the_next_call_on_the_same_connection),
        test(a_thousand_calls_all_arrive_and_timers_run_between_them),
        test(a_stuck_call_does_not_delay_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
