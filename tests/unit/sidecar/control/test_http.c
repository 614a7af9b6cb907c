// What comes over the wire: splits, limits, connections. What is malformed: test_smuggling.c.
#include "tests/unit/sidecar/control/harness.h"
#include <sys/resource.h>

static const char valid[] = "POST /control/check/30 HTTP/1.1\r\n"
                            "Host: x\r\n"
                            "X-Ochopod-Epoch: tree-1/77\r\n"
                            "X-Ochopod-Round: 5\r\n"
                            "Content-Length: 13\r\n\r\n"
                            "{\"pods\": {}}\n";

static void check_valid(size_t seen) {
    assert_int_equal(fake_pod_seen(it.pod), seen);
    const struct fake_ask *got = fake_pod_ask(it.pod, 0);
    assert_int_equal(got->task, POD_CHECK);
    assert_int_equal(got->epoch, 77);
    assert_int_equal(got->round, 5);
    assert_string_equal(got->body, "{\"pods\": {}}\n");
    fake_pod_answer(it.pod, NULL, NULL);
}

static void every_split_reads_the_same(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    for (size_t at = 1; at < sizeof(valid) - 1; at++) {
        send_bytes(&c, valid, at);
        breathe();
        send_bytes(&c, valid + at, sizeof(valid) - 1 - at);
        pump(fake_pod_asks(it.pod) == 1);
        check_valid(at);
        struct reply r = take_reply(&c);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "{}");
    }
    drop_client(&c);
}

static void byte_by_byte_reads_the_same(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    for (size_t i = 0; i < sizeof(valid) - 1; i++) {
        send_bytes(&c, valid + i, 1);
        breathe();
    }
    pump(fake_pod_asks(it.pod) == 1);
    check_valid(1);
    assert_int_equal(take_reply(&c).status, 200);
    drop_client(&c);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    auto_text struct text t = {0};
    for (int i = 0; i < 40; i++)
        text_addf(&t, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", i % 2 ? "/livez" : "/nowhere");
    send_bytes(&c, t.s, t.len);
    for (int i = 0; i < 40; i++)
        assert_int_equal(take_reply(&c).status, i % 2 ? 200 : 404);
    drop_client(&c);
}

static void what_is_pipelined_behind_a_waiting_request_waits(void **state) {
    (void)state;
    struct client c;
    hang(&c, "/control/on");
    send_text(&c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 20; i++)
        breathe();
    receive(&c);
    assert_int_equal(c.got.len, 0);
    auto_json json_t *answer = json_pack("{s:s}", "first", "yes");
    fake_pod_answer(it.pod, answer, NULL);
    assert_string_equal(take_reply(&c).body, "{\"first\":\"yes\"}");
    assert_string_equal(take_reply(&c).body, "{}");
    drop_client(&c);
}

static char *filler(char c, size_t n) {
    char *s = xcalloc(n + 1, 1);
    memset(s, c, n);
    return s;
}

static void large_headers_are_refused(void **state) {
    (void)state;
    auto_free char *long_path = filler('p', 2500), *value = filler('v', 9000);
    auto_free char *line = xasprintf("GET /%s", long_path);
    assert_int_equal(ask(line).status, 414);
    auto_free char *query = xasprintf("GET /wait?for=%s", long_path);
    assert_int_equal(ask(query).status, 414);
    auto_free char *header = xasprintf("GET /livez\r\nX-A: %s", value);
    assert_int_equal(ask(header).status, 431);
    auto_free char *larger = filler('v', 100000);
    auto_free char *huge = xasprintf("GET /livez\r\nX-A: %s", larger);
    int status = ask(huge).status;
    assert_true(status == 431 || status == 413 || status == 0);
    auto_text struct text many = {0};
    text_add(&many, "GET /livez");
    for (int i = 0; i < 70; i++)
        text_addf(&many, "\r\nX-%d: y", i);
    assert_int_equal(ask(many.s).status, 431);
    auto_free char *fits = filler('v', 7000);
    auto_free char *ok = xasprintf("GET /livez\r\nX-A: %s", fits);
    assert_int_equal(ask(ok).status, 200);
}

static void a_declared_large_body_is_refused_before_it_is_sent(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\n\r\n");
    assert_int_equal(take_reply(&c).status, 413);
    drop_client(&c);
    connect_client(&c);
    send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                  "Content-Length: 3000000\r\n\r\n");
    assert_int_equal(take_reply(&c).status, 413);
    drop_client(&c);
    assert_int_equal(fake_pod_seen(it.pod), 0);
}

static void a_large_body_is_refused_and_the_connection_goes_on(void **state) {
    (void)state;
    auto_free char *body = filler('b', 3000000);
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
    send_bytes(&c, body, 3000000);
    assert_int_equal(take_reply(&c).status, 413);
    send_text(&c, "POST /reset HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n");
    send_bytes(&c, body, 70000);
    assert_int_equal(take_reply(&c).status, 413);
    send_text(&c, "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(take_reply(&c).status, 200);
    assert_int_equal(it.resets, 0);
    drop_client(&c);
}

static void a_body_of_two_mebibytes_arrives(void **state) {
    (void)state;
    enum { LEN = 2 * 1024 * 1024 };
    auto_free char *body = filler('b', LEN);
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n");
    send_bytes(&c, body, LEN);
    pump(fake_pod_asks(it.pod) == 1);
    assert_int_equal(strlen(fake_pod_ask(it.pod, 0)->body), LEN);
    fake_pod_answer(it.pod, NULL, NULL);
    assert_int_equal(take_reply(&c).status, 200);
    drop_client(&c);
}

static void a_form_encoded_body_is_not_lost(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n"
                  "Content-Type: application/x-www-form-urlencoded\r\n\r\n{\"a\":\"b=c\"}");
    pump(fake_pod_asks(it.pod) == 1);
    assert_string_equal(fake_pod_ask(it.pod, 0)->body, "{\"a\":\"b=c\"}");
    fake_pod_answer(it.pod, NULL, NULL);
    assert_int_equal(take_reply(&c).status, 200);
    drop_client(&c);
}

static void a_slow_client_is_closed_and_delays_nobody(void **state) {
    (void)state;
    struct client slow, silent, fast;
    connect_client(&slow);
    connect_client(&silent);
    int64_t start = loop_now(it.loop);
    size_t at = 0;
    while (!slow.eof || !silent.eof) {
        if (at < sizeof(valid) - 1 && loop_now(it.loop) - start > (int64_t)at * 200)
            send_bytes(&slow, valid + at++, 1);
        assert_int_equal(ask("GET /livez").status, 200);
        receive(&slow);
        receive(&silent);
        assert_true(loop_now(it.loop) - start < DEADLINE_MS);
    }
    assert_true(loop_now(it.loop) - start >= 4900);
    assert_int_equal(fake_pod_seen(it.pod), 0);
    drop_client(&slow);
    drop_client(&silent);
    connect_client(&fast);
    send_text(&fast, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(take_reply(&fast).status, 200);
    drop_client(&fast);
}

// 20 KiB a second is enough, for more than the five seconds that any body has; a byte is not.
static void a_body_that_trickles_is_cut_off(void **state) {
    (void)state;
    enum { PIECES = 8, PIECE = 20 * 1024 };
    struct client steady, trickling;
    auto_free char *piece = filler('b', PIECE);
    auto_free char *head = xasprintf("POST /control/on HTTP/1.1\r\nHost: x\r\n"
                                     "Content-Length: %d\r\n\r\n",
                                     PIECES * PIECE);
    connect_client(&steady);
    connect_client(&trickling);
    send_text(&steady, head);
    send_text(&trickling, head);
    int64_t start = loop_now(it.loop);
    for (int sent = 0, bytes = 0; sent < PIECES || !trickling.eof;) {
        if (sent < PIECES && loop_now(it.loop) - start >= sent * 1000) {
            send_bytes(&steady, piece, PIECE);
            sent++;
        }
        if (!trickling.eof && loop_now(it.loop) - start >= bytes * 100) {
            send_bytes(&trickling, "b", 1);
            bytes++;
        }
        breathe();
        receive(&trickling);
        assert_true(loop_now(it.loop) - start < DEADLINE_MS);
    }
    pump(fake_pod_asks(it.pod) == 1);
    assert_int_equal(fake_pod_seen(it.pod), 1);
    fake_pod_answer(it.pod, NULL, NULL);
    assert_int_equal(take_reply(&steady).status, 200);
    drop_client(&steady);
    drop_client(&trickling);
}

// More than there are places for, half of them silent and half in the middle of a header; meanwhile
// a leader's requests are answered, and those of somebody who comes for the first time.
static void a_crowd_keeps_nobody_else_out(void **state) {
    (void)state;
    enum { N = 1400 };
    static struct client crowd[N];
    struct rlimit files, before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    files = before;
    files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
    assert_true(files.rlim_cur >= 2 * N + 256);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    teardown(NULL); // the places are counted when it opens
    setup(NULL);
    for (int i = 0; i < N; i++) {
        connect_from(&crowd[i], 2);
        if (i % 2)
            send_text(&crowd[i], "POST /control/on HTTP/1.1\r\nHost:");
        if (i % 8 == 0)
            breathe();
    }
    for (int i = 0; i < 50; i++) {
        assert_int_equal(ask("GET /livez").status, 200);
        struct client c;
        hang(&c, "/control/check");
        fake_pod_answer(it.pod, NULL, NULL);
        assert_int_equal(take_reply(&c).status, 200);
        drop_client(&c);
    }
    for (int i = 0; i < N; i++)
        drop_client(&crowd[i]);
    pump(strstr(ask("GET /metrics").body, "ochopod_http_connections 1\n"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// As a leader sends one, without its last byte.
static void send_most(struct client *c, unsigned host, const char *body, size_t len) {
    auto_text struct text head = {0};
    text_addf(&head,
              "POST /control/check HTTP/1.1\r\nHost: x\r\nX-Ochopod-Epoch: tree-1/77\r\n"
              "X-Ochopod-Round: 5\r\nContent-Length: %zu\r\n\r\n",
              len);
    connect_from(c, host);
    send_text(c, text_str(&head));
    send_bytes(c, body, len - 1);
}

// And waits until that is read.
static void hold(struct client *c, unsigned host, const char *body, size_t len) {
    send_most(c, host, body, len);
    for (int i = 0; i < 300; i++)
        breathe();
}

static void get_through(struct client *c, unsigned host, const char *body, size_t len) {
    size_t seen = fake_pod_seen(it.pod);
    send_most(c, host, body, len);
    send_text(c, "b");
    pump(fake_pod_seen(it.pod) > seen);
}

static void answer_one(struct client *c) {
    fake_pod_answer(it.pod, NULL, NULL);
    assert_int_equal(take_reply(c).status, 200);
    drop_client(c);
}

// Who never says the end of its bodies is given no more than a share of what all may keep; a leader
// comes through, for the first time too, and from then on keeps more than a stranger might.
static void kept_bodies_keep_no_leader_out(void **state) {
    (void)state;
    enum { LARGE = 2 << 20, LEN = 1 << 20, N = 6 };
    auto_free char *body = filler('b', LARGE);
    struct client flood[3], leader[N];
    for (int i = 0; i < 3; i++)
        hold(&flood[i], 2, body, LARGE);
    send_text(&flood[2], "b");
    assert_int_equal(take_reply(&flood[2]).status, 503);
    get_through(&leader[0], 3, body, LEN);
    answer_one(&leader[0]);
    for (int i = 0; i < N; i++)
        get_through(&leader[i], 3, body, LEN);
    for (int i = 0; i < N; i++)
        answer_one(&leader[i]);
    for (int i = 0; i < 3; i++)
        drop_client(&flood[i]);
    pump(strstr(ask("GET /metrics").body, "ochopod_http_connections 1\n"));
    get_through(&flood[0], 2, body, LARGE); // what it kept is given back
    answer_one(&flood[0]);
}

// Whoever has recorded a leader's request and sends it again gets its answer, and stays a stranger.
static void who_repeats_a_leader_is_none(void **state) {
    (void)state;
    enum { LARGE = 2 << 20, LEN = 64 * 1024, N = 4 };
    auto_free char *body = filler('b', LARGE);
    struct client replayed, flood[N], leader;
    fake_pod_again(it.pod, true);
    get_through(&replayed, 2, body, LEN);
    answer_one(&replayed);
    for (int i = 0; i < N; i++)
        hold(&flood[i], 2, body, LARGE);
    for (int i = 2; i < N; i++) {
        send_text(&flood[i], "b");
        assert_int_equal(take_reply(&flood[i]).status, 503);
    }
    fake_pod_again(it.pod, false);
    get_through(&leader, 3, body, LEN);
    answer_one(&leader);
    for (int i = 0; i < N; i++)
        drop_client(&flood[i]);
}

// Where few descriptors are to be had, most are not the control port's.
static void a_crowd_leaves_descriptors_for_others(void **state) {
    (void)state;
    enum { FILES = 96, N = 40 };
    static struct client crowd[N];
    struct rlimit before, few = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = FILES;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    teardown(NULL);
    setup(NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0); // for the clients
    for (int i = 0; i < N; i++) {
        connect_from(&crowd[i], 2);
        breathe();
    }
    for (int i = 0; i < 10; i++)
        breathe();
    int open = 0;
    for (int i = 0; i < N; i++) {
        receive(&crowd[i]);
        open += !crowd[i].eof;
        drop_client(&crowd[i]);
    }
    assert_in_range(open, 1, FILES / 3);
    assert_int_equal(ask("GET /livez").status, 200);
}

// microhttpd stops accepting then, until a connection ends.
static void it_accepts_again_when_there_are_descriptors_again(void **state) {
    (void)state;
    struct client early, late;
    connect_client(&early);
    send_text(&early, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(take_reply(&early).status, 200);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    connect_client(&late); // its place in the backlog needs none of ours
    int next = dup(late.fd);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next, before.rlim_max}), 0);
    for (int i = 0; i < 10; i++)
        breathe();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    drop_client(&early);
    send_text(&late, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(take_reply(&late).status, 200);
    drop_client(&late);
}

static void http_1_0_is_answered_and_closed(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "GET /livez HTTP/1.0\r\n\r\n");
    assert_int_equal(take_reply(&c).status, 200);
    pump((receive(&c), c.eof));
    drop_client(&c);
}

static void four_hundred_connections_are_served(void **state) {
    (void)state;
    enum { N = 400 };
    static struct client c[N];
    // Each asks at once: on a slow machine the first one's five seconds are over before the last
    // one is there.
    for (int i = 0; i < N; i++) {
        connect_client(&c[i]);
        send_text(&c[i], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        if (i % 50 == 0)
            breathe();
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(take_reply(&c[i]).status, 200);
        drop_client(&c[i]);
    }
}

// What is asked for may take hours: what it was asked with is read by then, and no longer kept.
static void what_was_read_takes_no_room(void **state) {
    (void)state;
    enum { CLIENTS = 6, LEN = 2 << 20 };
    static struct client c[CLIENTS];
    auto_free char *body = filler('a', LEN);
    for (size_t i = 0; i < CLIENTS; i++)
        get_through(&c[i], 9, body, LEN);
    for (size_t i = 0; i < CLIENTS; i++)
        answer_one(&c[i]);
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(every_split_reads_the_same),
        test(byte_by_byte_reads_the_same),
        test(pipelined_requests_are_answered_in_order),
        test(what_is_pipelined_behind_a_waiting_request_waits),
        test(large_headers_are_refused),
        test(a_declared_large_body_is_refused_before_it_is_sent),
        test(a_large_body_is_refused_and_the_connection_goes_on),
        test(a_body_of_two_mebibytes_arrives),
        test(a_form_encoded_body_is_not_lost),
        test(a_slow_client_is_closed_and_delays_nobody),
        test(a_body_that_trickles_is_cut_off),
        test(a_crowd_keeps_nobody_else_out),
        test(kept_bodies_keep_no_leader_out),
        test(who_repeats_a_leader_is_none),
        test(what_was_read_takes_no_room),
        test(a_crowd_leaves_descriptors_for_others),
        test(it_accepts_again_when_there_are_descriptors_again),
        test(http_1_0_is_answered_and_closed),
        test(four_hundred_connections_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
