#include "base/check.h"
#include "base/http.h"
#include "base/text.h"
#include "tests/unit/base/server.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct talk {
    struct http_duplex *duplex;
    int heads, status, ends;
    struct text seen;
    size_t total;
    struct err err;
    enum { LISTEN, CLOSE_IN_HEAD, CLOSE_IN_DATA, FREE_ALL } then;
};

static struct loop *loop;
static struct http *http;
static struct server *server;
static char base[64];
static bool late;

static int set_up(void **state) {
    (void)state;
    loop = loop_create();
    http = http_create(loop, 8, 2);
    server = server_start(NULL);
    snprintf(base, sizeof(base), "http://127.0.0.1:%d", server->port);
    late = false;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    http_free(http);
    server_stop(server);
    loop_free(loop);
    return 0;
}

static void on_late(void *arg) {
    (void)arg;
    late = true;
    loop_quit(loop);
}

// Until something calls loop_quit.
static void run(void) {
    struct loop_timer *deadline = NULL;
    loop_timer_start(loop, &deadline, 30000, on_late, NULL);
    loop_run(loop);
    loop_timer_stop(&deadline);
    assert_false(late);
}

static void quit(void *arg) {
    (void)arg;
    loop_quit(loop);
}

static void let_pass(int64_t ms) {
    loop_timer_start(loop, NULL, ms, quit, NULL);
    run();
}

static void leave(struct talk *t) {
    if (t->then == FREE_ALL) {
        http_free(http);
        http = NULL;
    } else {
        http_duplex_close(&t->duplex);
        assert_null(t->duplex);
    }
    loop_quit(loop);
}

static void on_head(int status, void *arg) {
    struct talk *t = arg;
    t->heads++;
    t->status = status;
    if (t->then == CLOSE_IN_HEAD)
        leave(t);
}

static void on_data(const void *data, size_t len, void *arg) {
    struct talk *t = arg;
    assert_int_equal(t->heads, 1);
    t->total += len;
    text_addn(&t->seen, data, len);
    if (t->then == CLOSE_IN_DATA || t->then == FREE_ALL)
        leave(t);
}

static void on_end(const struct err *err, void *arg) {
    struct talk *t = arg;
    t->duplex = NULL;
    t->ends++;
    t->err = *err;
    loop_quit(loop);
}

static const struct http_duplex_events events = {
    .on_head = on_head, .on_data = on_data, .on_end = on_end};

static void start(struct talk *t, const char *unix_socket, const char *path) {
    char head[256];
    snprintf(head, sizeof(head),
             "POST %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", path);
    t->duplex = http_duplex_open(http, unix_socket, base, head, strlen(head), &events, t);
    assert_non_null(t->duplex);
    assert_int_equal(t->ends, 0);
}

static void what_is_sent_comes_back_until_half_closed(void **state) {
    (void)state;
    struct talk t = {0};
    start(&t, NULL, "/upgrade");
    http_duplex_send(t.duplex, "hello ", 6);
    http_duplex_send(t.duplex, "world\n", 6);
    http_duplex_half_close(t.duplex);
    http_duplex_send(t.duplex, "ignored", 7);
    run();
    assert_int_equal(t.err.kind, ERR_NONE);
    assert_int_equal(t.status, 101);
    assert_string_equal(text_str(&t.seen), "ready\nHELLO WORLD\nbye\n");
    text_done(&t.seen);
}

static void a_unix_socket_serves_as_well(void **state) {
    (void)state;
    struct talk away = {0}, t = {0};
    char dir[] = "/tmp/test_duplex.XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sock", dir);
    start(&away, path, "/upgrade");
    run();
    assert_int_equal(away.err.kind, ERR_RETRY);
    assert_non_null(strstr(away.err.text, path));
    struct server *unix_server = server_start(path);
    start(&t, path, "/upgrade");
    http_duplex_half_close(t.duplex);
    run();
    assert_int_equal(t.err.kind, ERR_NONE);
    assert_string_equal(text_str(&t.seen), "ready\nbye\n");
    text_done(&t.seen);
    server_stop(unix_server);
    unlink(path);
    rmdir(dir);
}

static void much_goes_both_ways_at_once(void **state) {
    (void)state;
    struct talk t = {0};
    enum { MUCH = 4 * 1024 * 1024 };
    char *much = xcalloc(1, MUCH);
    memset(much, 'x', MUCH);
    start(&t, NULL, "/upgrade");
    http_duplex_send(t.duplex, much, MUCH);
    http_duplex_half_close(t.duplex);
    free(much);
    run();
    assert_int_equal(t.err.kind, ERR_NONE);
    assert_int_equal(t.total, MUCH + strlen("ready\nbye\n"));
    text_done(&t.seen);
}

static void an_answer_with_a_length_ends_there(void **state) {
    (void)state;
    struct talk t = {0};
    start(&t, NULL, "/missing");
    run();
    assert_int_equal(t.err.kind, ERR_NONE);
    assert_int_equal(t.status, 404);
    assert_string_equal(text_str(&t.seen), "gone");
    text_done(&t.seen);
}

static void what_goes_wrong_is_said(void **state) {
    (void)state;
    static const struct {
        const char *path;
        int kind, heads;
    } cases[] = {{"/cut", ERR_RETRY, 1},
                 {"/close", ERR_RETRY, 0},
                 {"/garbage", ERR_RETRY, 0},
                 {"/endless-head", ERR_LIMIT, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct talk t = {0};
        start(&t, NULL, cases[i].path);
        run();
        assert_int_equal(t.ends, 1);
        assert_int_equal(t.heads, cases[i].heads);
        assert_int_equal(t.err.kind, cases[i].kind);
        text_done(&t.seen);
    }
}

static void an_address_that_refuses_or_cannot_be_is_said(void **state) {
    (void)state;
    struct talk refused = {0}, impossible = {0}, longer = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int bound = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(bound, (struct sockaddr *)&in, len), 0);
    getsockname(bound, (struct sockaddr *)&in, &len);
    snprintf(base, sizeof(base), "http://127.0.0.1:%d/x", ntohs(in.sin_port));
    start(&refused, NULL, "/upgrade");
    run();
    assert_int_equal(refused.err.kind, ERR_RETRY);
    assert_int_equal(refused.err.code, ECONNREFUSED);
    close(bound);
    snprintf(base, sizeof(base), "http://127.0.0.1:nonsense");
    start(&impossible, NULL, "/upgrade");
    run();
    assert_int_equal(impossible.err.kind, ERR_RETRY);
    char path[300];
    memset(path, 'p', sizeof(path));
    path[299] = '\0';
    start(&longer, path, "/upgrade");
    run();
    assert_int_equal(longer.err.kind, ERR_USER);
}

static void a_name_is_resolved_and_all_its_addresses_tried(void **state) {
    (void)state;
    struct talk t = {0};
    snprintf(base, sizeof(base), "http://localhost:%d", server->port); // ::1 first, as a rule
    start(&t, NULL, "/upgrade");
    http_duplex_half_close(t.duplex);
    run();
    assert_int_equal(t.err.kind, ERR_NONE);
    assert_string_equal(text_str(&t.seen), "ready\nbye\n");
    text_done(&t.seen);
}

static void it_may_be_closed_from_its_callbacks(void **state) {
    (void)state;
    struct talk head = {.then = CLOSE_IN_HEAD}, data = {.then = CLOSE_IN_DATA};
    start(&head, NULL, "/flood");
    run();
    start(&data, NULL, "/flood");
    run();
    let_pass(10);
    assert_int_equal(head.heads + data.heads, 2);
    assert_int_equal(head.ends + data.ends, 0);
    assert_int_equal(head.total, 0);
    text_done(&data.seen);
}

static void the_client_takes_it_along(void **state) {
    (void)state;
    struct talk busy = {.then = FREE_ALL}, idle = {0}, young = {0};
    start(&idle, NULL, "/silent");
    let_pass(10);
    start(&busy, NULL, "/flood");
    start(&young, NULL, "/silent");
    run();
    assert_null(http);
    let_pass(10);
    assert_int_equal(busy.ends + idle.ends + young.ends, 0);
    text_done(&busy.seen);
}

static void closed_before_it_began_it_is_never_heard_of(void **state) {
    (void)state;
    struct talk t = {0}, name = {0}, away = {0};
    start(&t, NULL, "/upgrade");
    http_duplex_close(&t.duplex);
    http_duplex_close(&t.duplex);
    start(&away, "/nowhere", "/upgrade");
    http_duplex_close(&away.duplex);
    snprintf(base, sizeof(base), "http://localhost:%d", server->port);
    start(&name, NULL, "/upgrade");
    http_duplex_close(&name.duplex);
    let_pass(20);
    assert_int_equal(t.ends + name.ends + away.ends, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(what_is_sent_comes_back_until_half_closed),
        test(a_unix_socket_serves_as_well),
        test(much_goes_both_ways_at_once),
        test(an_answer_with_a_length_ends_there),
        test(what_goes_wrong_is_said),
        test(an_address_that_refuses_or_cannot_be_is_said),
        test(a_name_is_resolved_and_all_its_addresses_tried),
        test(it_may_be_closed_from_its_callbacks),
        test(the_client_takes_it_along),
        test(closed_before_it_began_it_is_never_heard_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
