// What comes over the wire: splits, limits, malformed requests, connections.
#include "tests/unit/sidecar/control/harness.h"

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

#define LINE "POST /control/off HTTP/1.1\r\nHost: x\r\n"
// Each followed by a request that nobody may mistake for the first one's body, or take at all.
static const struct {
    const char *what, *bytes;
    int status; // 0: closed without an answer, -1: any refusal
} malformed[] = {
    {"chunked", LINE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
    {"chunked with a length",
     LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"chunked first", LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
    {"odd coding", LINE "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n", 400},
    {"identity", LINE "Transfer-Encoding: identity\r\n\r\n", 411},
    {"two lengths", LINE "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400},
    {"equal lengths", LINE "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400},
    {"length list", LINE "Content-Length: 0, 0\r\n\r\n", -1},
    {"signed length", LINE "Content-Length: +0\r\n\r\n", -1},
    {"negative length", LINE "Content-Length: -1\r\n\r\n", -1},
    {"hex length", LINE "Content-Length: 0x0\r\n\r\n", -1},
    {"huge length", LINE "Content-Length: 99999999999999999999999\r\n\r\n", -1},
    {"empty length", LINE "Content-Length:\r\n\r\n", -1},
    {"space before colon", LINE "Content-Length : 0\r\n\r\n", -1},
    {"leading zero", LINE "Content-Length: 05\r\n\r\n", 400},
    {"bare LF", "POST /control/off HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 400},
    {"folded length", LINE "Content-Length: 0\r\n 5\r\n\r\n", 400},
    {"folded", LINE "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", 400},
    {"folded by a tab", LINE "X-A: b\r\n\tc\r\nContent-Length: 0\r\n\r\n", 400},
    {"no name", LINE ": v\r\nContent-Length: 0\r\n\r\n", 400},
    {"wide blank", LINE "Content-Length:                                       0\r\n\r\n", 400},
    {"folded coding", LINE "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
    {"control character", LINE "X-A: b\x01\r\nContent-Length: 0\r\n\r\n", 400},
    {"bare CR in a value", LINE "X-A: b\rc\r\nContent-Length: 0\r\n\r\n", -1},
    {"no colon", LINE "garbage\r\nContent-Length: 0\r\n\r\n", -1},
    {"no host", "POST /control/off HTTP/1.1\r\nContent-Length: 0\r\n\r\n", -1},
    {"HTTP/2.0", "POST /control/off HTTP/2.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n", -1},
    {"HTTP/9", "POST /control/off HTTP/9\r\nHost: x\r\nContent-Length: 0\r\n\r\n", -1},
    {"HTTP/0.9", "POST /control/off\r\n\r\n", -1},
    {"TLS hello", "\x16\x03\x01\x02", 400},
    {"GET with a chunked body",
     "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     411},
};

static void malformed_requests_end_their_connection(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct client c;
        connect_client(&c);
        send_text(&c, malformed[i].bytes);
        send_text(&c, "POST /reset HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        pump((receive(&c), c.eof || c.got.len > 4000));
        int status = c.got.len > 12 ? atoi(c.got.s + 9) : 0;
        bool as_told = malformed[i].status < 0 ? status == 0 || (status >= 400 && status <= 505)
                                               : status == malformed[i].status;
        if (!as_told || it.resets || fake_pod_seen(it.pod))
            fail_msg("%s: status %d, %d resets, %zu asks: %s", malformed[i].what, status, it.resets,
                     fake_pod_seen(it.pod), text_str(&c.got));
        drop_client(&c);
    }
    assert_int_equal(ask("GET /livez").status, 200);
}

static void a_nul_anywhere_in_a_header_is_refused(void **state) {
    (void)state;
    static const char bytes[] = LINE "X-Ochopod-Target: ab\r\nContent-Length: 0\r\n\r\n";
    for (size_t at = 0; at < sizeof(bytes) - 1; at++) {
        if (bytes[at] == '\r')
            continue; // in the place of a CR it ends a line as one does, and hides nothing
        char broken[sizeof(bytes)];
        memcpy(broken, bytes, sizeof(bytes));
        broken[at] = '\0';
        struct client c;
        connect_client(&c);
        send_bytes(&c, broken, sizeof(broken) - 1);
        // What never ends its header is left to the clock.
        for (int i = 0; i < 50 && !c.eof && !reply_len(&c); i++) {
            breathe();
            receive(&c);
        }
        int status = reply_len(&c) ? take_reply(&c).status : 400;
        if (status < 400 || fake_pod_seen(it.pod))
            fail_msg("NUL at %zu: %d", at, status);
        drop_client(&c);
    }
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
    for (int i = 0; i < N; i++) {
        connect_client(&c[i]);
        if (i % 50 == 0)
            breathe();
    }
    for (int i = 0; i < N; i++)
        send_text(&c[i], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < N; i++) {
        assert_int_equal(take_reply(&c[i]).status, 200);
        drop_client(&c[i]);
    }
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(every_split_reads_the_same),
        test(byte_by_byte_reads_the_same),
        test(pipelined_requests_are_answered_in_order),
        test(what_is_pipelined_behind_a_waiting_request_waits),
        test(malformed_requests_end_their_connection),
        test(a_nul_anywhere_in_a_header_is_refused),
        test(large_headers_are_refused),
        test(a_declared_large_body_is_refused_before_it_is_sent),
        test(a_large_body_is_refused_and_the_connection_goes_on),
        test(a_body_of_two_mebibytes_arrives),
        test(a_form_encoded_body_is_not_lost),
        test(a_slow_client_is_closed_and_delays_nobody),
        test(http_1_0_is_answered_and_closed),
        test(four_hundred_connections_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
