// One attempt of a check, against a server on the loopback that does what each test says.
#include "base/check.h"
#include "base/http.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

enum { DEADLINE_MS = 60000, LARGE = 4 * 1024 * 1024 };

// What the server does with who connects, in this order.
struct play {
    size_t reads;        // bytes that it waits for
    const char *says[4]; // each in a turn of its own
    size_t floods;       // bytes of 'x' that it says then, as far as they are taken
    bool resets, hangs;  // RST; nothing more, the connection stays. Neither: it closes
};

struct bench {
    struct loop *loop;
    struct http *http;
    struct pod pod;
    struct place place;
    struct state state;
    int listener, peer;
    struct loop_fd *accepts, *serves;
    struct loop_timer *deadline, *turn;
    const struct play *play;
    size_t heard, said, flooded;
    int done;
    bool good;
    char why[512];
};

// ---- the server ----

static void hang_up(struct bench *b) {
    struct linger abort = {.l_onoff = 1, .l_linger = 0};
    loop_fd_stop(&b->serves);
    if (b->play->hangs)
        return;
    if (b->play->resets)
        assert_int_equal(setsockopt(b->peer, SOL_SOCKET, SO_LINGER, &abort, sizeof abort), 0);
    close(b->peer);
    b->peer = -1;
}

static void speak(void *arg) {
    struct bench *b = arg;
    const struct play *play = b->play;
    static char flood[4096];
    if (b->peer < 0)
        return;
    if (b->said < 4 && play->says[b->said]) {
        const char *text = play->says[b->said++];
        assert_int_equal(send(b->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
        loop_timer_start(b->loop, &b->turn, 1, speak, b);
        return;
    }
    memset(flood, 'x', sizeof flood);
    while (b->flooded < play->floods) {
        ssize_t n = send(b->peer, flood, sizeof flood, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            loop_timer_start(b->loop, &b->turn, 1, speak, b);
            return;
        }
        if (n < 0)
            break; // the client had enough
        b->flooded += (size_t)n;
    }
    hang_up(b);
}

static void on_heard(int events, void *arg) {
    struct bench *b = arg;
    static char buf[64 * 1024];
    (void)events;
    ssize_t n = recv(b->peer, buf, sizeof buf, MSG_DONTWAIT);
    if (n > 0)
        b->heard += (size_t)n;
    if (b->heard < b->play->reads && n != 0)
        return;
    loop_fd_stop(&b->serves);
    speak(b);
}

static void on_accept(int events, void *arg) {
    struct bench *b = arg;
    (void)events;
    b->peer = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(b->peer >= 0);
    loop_fd_stop(&b->accepts);
    if (b->play->reads)
        b->serves = loop_fd_start(b->loop, b->peer, LOOP_READ, on_heard, b);
    else
        speak(b);
}

static int listen_somewhere(int *ret_port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

// ---- the bench ----

static void too_late(void *arg) {
    (void)arg;
    fail_msg("no answer within %d ms", DEADLINE_MS);
}

static void on_probed(enum probe_verdict verdict, const char *why, void *arg) {
    struct bench *b = arg;
    b->done++;
    b->good = verdict == PROBE_GOOD;
    assert_int_not_equal(verdict, PROBE_UNSEEN);
    snprintf(b->why, sizeof b->why, "%s", why);
    loop_quit(b->loop);
}

static void bench_init(struct bench *b, struct spec_check *check, const struct play *play) {
    *b = (struct bench){.loop = loop_create(), .play = play, .peer = -1};
    b->http = http_create(b->loop, 4, 0);
    b->listener = listen_somewhere(&check->port);
    b->accepts = loop_fd_start(b->loop, b->listener, LOOP_READ, on_accept, b);
    b->state.pod_id = (char *)"11111111-2222-4333-8444-555555555555";
    b->pod = (struct pod){.loop = b->loop,
                          .place = &b->place,
                          .state = &b->state,
                          .at = POD_STOPPED,
                          .address = (char *)"127.0.0.1",
                          .holder = (char *)"",
                          .config = {.http = b->http, .full_name = "marathon.zk"}};
}

static void bench_done(struct bench *b) {
    loop_timer_stop(&b->deadline);
    loop_timer_stop(&b->turn);
    loop_fd_stop(&b->accepts);
    loop_fd_stop(&b->serves);
    if (b->peer >= 0)
        close(b->peer);
    if (b->listener >= 0)
        close(b->listener);
    http_free(b->http);
    loop_free(b->loop);
}

static void probe(struct bench *b, const struct spec_check *check, int64_t timeout) {
    struct probe *p = probe_start(&b->pod, check, timeout, on_probed, b);
    assert_non_null(p);
    assert_int_equal(b->done, 0); // never inside the call
    loop_timer_start(b->loop, &b->deadline, DEADLINE_MS, too_late, b);
    loop_run(b->loop);
    assert_int_equal(b->done, 1);
}

// why: "" good, else a part of what is said of it.
static void expect(struct spec_check check, struct play play, int64_t timeout, const char *why) {
    struct bench b;
    bench_init(&b, &check, &play);
    probe(&b, &check, timeout);
    if (b.good != !*why || !strstr(b.why, why))
        fail_msg("expected \"%s\", got %d \"%s\"", why, b.good, b.why);
    bench_done(&b);
}

static struct spec_check tcp(const char *send, const char *answer) {
    return (struct spec_check){.kind = CHECK_TCP, .send = (char *)send, .expect = (char *)answer};
}

static struct spec_check http(const char *path) {
    return (struct spec_check){.kind = CHECK_HTTP, .path = (char *)path};
}

// ---- tcp ----

static void an_open_port_is_enough(void **unused) {
    (void)unused;
    expect(tcp("", ""), (struct play){.hangs = true}, DEADLINE_MS, "");
    expect(tcp("hello", ""), (struct play){.reads = 5}, DEADLINE_MS, "");
}

static void a_closed_port_is_not(void **unused) {
    (void)unused;
    struct spec_check check = tcp("", "");
    struct play play = {0};
    struct bench b;
    bench_init(&b, &check, &play);
    loop_fd_stop(&b.accepts);
    close(b.listener);
    b.listener = -1;
    probe(&b, &check, DEADLINE_MS);
    assert_false(b.good);
    assert_non_null(strstr(b.why, "connect: Connection refused"));
    bench_done(&b);
}

static void what_is_expected_may_come_in_pieces_and_amid_other_things(void **unused) {
    (void)unused;
    expect(tcp("ruok", "imok"), (struct play){.reads = 4, .says = {"im", "ok"}}, DEADLINE_MS, "");
    expect(tcp("", "220 "),
           (struct play){.says = {"hello\r\n", "22", "0 ready\r\n"}, .hangs = true}, DEADLINE_MS,
           "");
    expect(tcp("", "end"), (struct play){.floods = 32 * 1024, .hangs = true, .says = {"the end"}},
           DEADLINE_MS, "");
}

static void another_answer_is_quoted(void **unused) {
    (void)unused;
    expect(tcp("ruok", "imok"), (struct play){.reads = 4, .says = {"no\n"}}, DEADLINE_MS,
           "said \"no\\n\", without \"imok\"");
    expect(tcp("ruok", "imok"), (struct play){.reads = 4}, DEADLINE_MS, "without \"imok\"");
    expect(tcp("", "imok"), (struct play){.floods = 1024 * 1024}, DEADLINE_MS, "without \"imok\"");
}

static void who_says_nothing_is_not_waited_for(void **unused) {
    (void)unused;
    expect(tcp("ruok", "imok"), (struct play){.reads = 4, .says = {"im"}, .hangs = true}, 200,
           " in time");
}

static void a_connection_cut_off_is_told_as_such(void **unused) {
    (void)unused;
    expect(tcp("ruok", "imok"), (struct play){.reads = 4, .resets = true}, DEADLINE_MS,
           "Connection reset by peer");
}

// More than the kernel takes at once.
static void a_long_request_is_sent_whole(void **unused) {
    (void)unused;
    auto_free char *large = xcalloc(1, LARGE + 1);
    memset(large, 'a', LARGE);
    expect(tcp(large, "thanks"), (struct play){.reads = LARGE, .says = {"thanks"}}, DEADLINE_MS,
           "");
    expect(tcp(large, ""), (struct play){.reads = LARGE}, DEADLINE_MS, "");
    expect(tcp(large, "thanks"), (struct play){.reads = 1, .resets = true}, DEADLINE_MS, "port ");
}

static void what_is_no_address_is_said(void **unused) {
    (void)unused;
    struct spec_check check = tcp("", "");
    struct play play = {0};
    struct bench b;
    bench_init(&b, &check, &play);
    b.pod.address = (char *)"no address";
    probe(&b, &check, DEADLINE_MS);
    assert_false(b.good);
    assert_string_equal(b.why, "\"no address\" is no address");
    bench_done(&b);
}

// On the host's network the port that was allotted is asked.
static void the_port_is_the_one_that_was_allotted(void **unused) {
    (void)unused;
    struct spec_check check = tcp("", "");
    struct play play = {.hangs = true};
    struct bench b;
    bench_init(&b, &check, &play);
    auto_json json_t *local = json_pack("{s:i}", "2181", check.port);
    b.place.local = local;
    check.port = 2181;
    probe(&b, &check, DEADLINE_MS);
    assert_true(b.good);
    bench_done(&b);
}

// ---- http ----

#define REPLY(status) "HTTP/1.1 " status "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

static void of_http_the_status_counts(void **unused) {
    (void)unused;
    static const char *const good[] = {REPLY("200 OK"), REPLY("204 None"), REPLY("302 Found")};
    static const char *const bad[] = {REPLY("404 Not Found"), REPLY("503 Busy")};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        expect(http("/healthz"), (struct play){.reads = 20, .says = {good[i]}}, DEADLINE_MS, "");
    expect(http("/healthz"), (struct play){.reads = 20, .says = {bad[0]}}, DEADLINE_MS,
           "/healthz answers 404");
    expect(http("/healthz"), (struct play){.reads = 20, .says = {bad[1]}}, DEADLINE_MS,
           "/healthz answers 503");
}

// A page of metrics grows, and some never end.
static void of_http_a_large_body_is_no_failure(void **unused) {
    (void)unused;
    static const char large[] = "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n",
                      endless[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
                      busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 4194304\r\n\r\n";
    struct play play = {.reads = 20, .says = {large}, .floods = LARGE};
    expect(http("/metrics"), play, DEADLINE_MS, "");
    play.says[0] = busy;
    expect(http("/metrics"), play, DEADLINE_MS, "/metrics answers 503");
    play = (struct play){.reads = 20, .says = {endless}, .floods = 1024 * 1024, .hangs = true};
    expect(http("/metrics"), play, DEADLINE_MS, "");
}

static void of_http_a_body_that_breaks_off_is_one(void **unused) {
    (void)unused;
    static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n";
    expect(http("/"), (struct play){.reads = 10, .says = {cut}, .floods = 4096}, DEADLINE_MS, ":");
}

static void an_http_server_that_does_not_answer_is_not_waited_for(void **unused) {
    (void)unused;
    expect(http("/"), (struct play){.reads = 10, .hangs = true}, 200, "no complete reply");
    expect(http("/"), (struct play){.reads = 10}, DEADLINE_MS, ":");
}

// ---- exec ----

static void nothing_is_executed_in_what_does_not_run(void **unused) {
    (void)unused;
    char *argv[] = {(char *)"test", NULL};
    struct spec_check check = {.kind = CHECK_EXEC, .argv = argv};
    expect(check, (struct play){0}, DEADLINE_MS, "check: the workload does not run");
}

// ---- let go of ----

static void nothing(void *arg) {
    struct bench *b = arg;
    loop_quit(b->loop);
}

static void one_that_was_cancelled_says_nothing(void **unused) {
    (void)unused;
    char *argv[] = {(char *)"test", NULL};
    struct spec_check all[] = {tcp("ruok", "imok"), http("/"), {.kind = CHECK_EXEC, .argv = argv}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct play play = {.says = {REPLY("200 imok")}};
        struct bench b;
        bench_init(&b, &all[i], &play);
        struct probe *p = probe_start(&b.pod, &all[i], DEADLINE_MS, on_probed, &b);
        probe_cancel(&p);
        assert_null(p);
        probe_cancel(&p);
        loop_timer_start(b.loop, &b.deadline, 50, nothing, &b);
        loop_run(b.loop);
        assert_int_equal(b.done, 0);
        bench_done(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_port_is_enough),
        cmocka_unit_test(a_closed_port_is_not),
        cmocka_unit_test(what_is_expected_may_come_in_pieces_and_amid_other_things),
        cmocka_unit_test(another_answer_is_quoted),
        cmocka_unit_test(who_says_nothing_is_not_waited_for),
        cmocka_unit_test(a_connection_cut_off_is_told_as_such),
        cmocka_unit_test(a_long_request_is_sent_whole),
        cmocka_unit_test(what_is_no_address_is_said),
        cmocka_unit_test(the_port_is_the_one_that_was_allotted),
        cmocka_unit_test(of_http_the_status_counts),
        cmocka_unit_test(of_http_a_large_body_is_no_failure),
        cmocka_unit_test(of_http_a_body_that_breaks_off_is_one),
        cmocka_unit_test(an_http_server_that_does_not_answer_is_not_waited_for),
        cmocka_unit_test(nothing_is_executed_in_what_does_not_run),
        cmocka_unit_test(one_that_was_cancelled_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
