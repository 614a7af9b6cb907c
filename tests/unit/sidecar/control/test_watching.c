// Requests that last: /wait, /cluster, /log?follow.
#include "tests/unit/sidecar/control/harness.h"
#include "tests/unit/cli/stub.h"
#include <malloc.h>

static void begin(struct client *c, const char *path) {
    auto_text struct text t = {0};
    connect_client(c);
    text_addf(&t, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    send_bytes(c, t.s, t.len);
    for (int i = 0; i < 10; i++)
        breathe();
    receive(c);
}

// ---- wait ----

static void wait_answers_when_it_is_so(void **state) {
    (void)state;
    struct client c;
    begin(&c, "/wait?for=running&generation=3");
    assert_int_equal(c.got.len, 0);
    fake_pod_is(it.pod, "running", false);
    control_changed(it.control);
    for (int i = 0; i < 10; i++)
        breathe();
    receive(&c);
    assert_int_equal(c.got.len, 0);
    it.generation = 3;
    control_changed(it.control);
    struct reply r = take_reply(&c);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "{\"process\":\"running\",\"ready\":false,\"generation\":3}");
    drop_client(&c);
}

static void wait_looks_by_the_clock_too(void **state) {
    (void)state;
    struct client c;
    begin(&c, "/wait?for=ready");
    fake_pod_is(it.pod, "running", true);
    assert_int_equal(take_reply(&c).status, 200);
    drop_client(&c);
}

static void wait_is_408_when_its_time_is_over(void **state) {
    (void)state;
    struct client c;
    begin(&c, "/wait?for=dead&timeout=1");
    struct reply r = take_reply(&c);
    assert_int_equal(r.status, 408);
    assert_non_null(strstr(r.body, "\"process\":\"stopped\""));
    assert_non_null(strstr(r.body, "\"error\""));
    drop_client(&c);
}

// "Is it so now?"
static void wait_without_time_looks_once(void **state) {
    (void)state;
    fake_pod_is(it.pod, "running", true);
    it.cluster = json_pack("{s:{s:{}, s:{}}}", "snapshot", "a", "b");
    assert_int_equal(ask("GET /wait?for=running&timeout=0").status, 200);
    assert_int_equal(ask("GET /wait?for=dead&timeout=0").status, 408);
    assert_int_equal(ask("GET /wait?for=running&pods=2&timeout=0").status, 200);
    assert_int_equal(ask("GET /wait?for=running&pods=3&timeout=0").status, 408);
    it.cluster_fails = true;
    assert_int_equal(ask("GET /wait?pods=2&timeout=0").status, 408);
}

static void wait_reads_the_snapshot_for_pods(void **state) {
    (void)state;
    struct client c;
    it.cluster = json_pack("{s:{s:{}}}", "snapshot", "a");
    it.generation = 1;
    begin(&c, "/wait?generation=1&pods=2");
    pump(it.reads >= 2);
    receive(&c);
    assert_int_equal(c.got.len, 0);
    it.cluster_fails = true;
    int reads = it.reads;
    pump(it.reads > reads);
    it.cluster_fails = false;
    json_object_set_new(json_object_get(it.cluster, "snapshot"), "b", json_object());
    struct reply r = take_reply(&c);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"pods\":2"));
    drop_client(&c);
}

static void who_leaves_a_wait_is_forgotten(void **state) {
    (void)state;
    struct client c[50];
    for (int i = 0; i < 50; i++)
        begin(&c[i], "/wait?for=dead");
    for (int i = 0; i < 50; i++)
        drop_client(&c[i]);
    for (int i = 0; i < 20; i++)
        breathe();
    fake_pod_is(it.pod, "dead", false);
    control_changed(it.control);
    assert_int_equal(ask("GET /livez").status, 200);
}

// ---- cluster ----

static int silent_port(int *ret_fd) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static json_t *record_at(int seq, int port) {
    return json_pack("{s:i, s:s, s:s, s:{s:i}, s:s}", "seq", seq, "ip", "127.0.0.1", "port", "8080",
                     "ports", "8080", port, "node", "n1");
}

static void cluster_lists_every_pod_and_its_error(void **state) {
    (void)state;
    int refuses, hangs;
    int refusing = silent_port(&refuses), hanging = silent_port(&hangs);
    assert_int_equal(listen(hangs, 8), 0);
    it.generation = 4;
    it.cluster = json_pack("{s:s, s:s, s:n, s:{s:o, s:{}}, s:{s:o, s:o, s:o, s:o, s:{s:s}}}",
                           "tree", "t1", "hash", "h1", "leader", "snapshot", "other",
                           record_at(2, it.port), "left", "pods", "uuid-own", record_at(1, 1),
                           "other", record_at(2, it.port), "closed", record_at(3, refusing),
                           "stuck", record_at(4, hanging), "broken", "ip", "no address");
    struct client c[2];
    begin(&c[0], "/cluster");
    begin(&c[1], "/cluster");
    struct reply r = take_reply(&c[0]);
    assert_int_equal(r.status, 200);
    struct err err = ERR_INIT;
    auto_json json_t *got = json_read(r.body, strlen(r.body), 65536, "it", &err);
    json_t *pods = json_object_get(got, "pods");
    assert_string_equal(json_text(got, "cluster"), "marathon.zk");
    assert_string_equal(json_text(got, "tree"), "t1");
    assert_int_equal(json_integer_value(json_object_get(got, "generation")), 4);
    assert_int_equal(json_object_size(pods), 6);
    static const struct {
        const char *id;
        bool answers, configured;
    } want[] = {{"uuid-own", true, false}, {"other", true, true},    {"closed", false, false},
                {"stuck", false, false},   {"broken", false, false}, {"left", false, true}};
    for (size_t i = 0; i < 6; i++) {
        json_t *pod = json_object_get(pods, want[i].id);
        bool info = json_object_get(pod, "info"), error = json_object_get(pod, "error");
        if (info != want[i].answers || error == info ||
            json_is_true(json_object_get(pod, "configured")) != want[i].configured)
            fail_msg("%s in %s", want[i].id, r.body);
    }
    assert_int_equal(take_reply(&c[1]).status, 200);
    assert_int_equal(it.reads, 1);
    drop_client(&c[0]);
    drop_client(&c[1]);
    close(refuses);
    close(hangs);
}

// Of both ends: what the clients receive they do not keep. A sanitizer's heap says nothing.
static size_t memory(void) {
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

static void whoever_waits_for_one_look_is_sent_the_same_bytes(void **state) {
    (void)state;
    enum { N = 24, LARGE = 256 << 10 };
    static struct client c[N];
    int hangs, hanging = silent_port(&hangs);
    auto_free char *large = xcalloc(1, LARGE + 1);
    memset(large, 'x', LARGE);
    assert_int_equal(listen(hangs, 8), 0);
    it.cluster = json_pack("{s:{s:{s:s}}, s:{s:o}}", "snapshot", "left", "note", large, "pods",
                           "stuck", record_at(1, hanging));
    for (int i = 0; i < N; i++) {
        begin_small(&c[i], 1, "/cluster");
        breathe();
    }
    size_t before = memory();
    char first;
    pump(recv(c[N - 1].fd, &first, 1, MSG_PEEK) == 1);
    assert_int_equal(it.reads, 1);
    assert_true(memory() < before + 8 * LARGE);
    for (int i = 0; i < N; i++) {
        pump((receive(&c[i]), reply_len(&c[i])));
        assert_true(text_starts(c[i].got.s, "HTTP/1.1 200 ") && c[i].got.len > LARGE);
        assert_true(text_ends(c[i].got.s, "}"));
        drop_client(&c[i]);
    }
    close(hangs);
}

static int canary(int family, int *port) {
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)*port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)*port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (family == AF_INET6) {
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&v6, sizeof(v6)), 0);
    } else {
        socklen_t len = sizeof(v4);
        assert_int_equal(bind(fd, (struct sockaddr *)&v4, len), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&v4, &len), 0);
        *port = ntohs(v4.sin_port);
    }
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static int visitors(int fd) {
    int n = 0;
    for (int one; (one = accept(fd, NULL, NULL)) >= 0; n++)
        close(one);
    assert_true(errno == EAGAIN);
    return n;
}

// Somebody who may write into /pods sends nobody to this machine's own services.
static void cluster_asks_no_address_that_is_nobodys(void **state) {
    (void)state;
    static const char *const ips[] = {"127.0.0.1",
                                      "127.1.2.3",
                                      "::1",
                                      "0.0.0.0",
                                      "::",
                                      "::ffff:127.0.0.1",
                                      "::127.0.0.1",
                                      "localhost",
                                      "127.1",
                                      "2130706433",
                                      "0x7f.1",
                                      "[::1]",
                                      "127.0.0.1#",
                                      "0",
                                      "",
                                      "64:ff9b::127.0.0.1",
                                      "x@127.0.0.1",
                                      "127.0.0.1/info?"};
    int port = 0, v4 = canary(AF_INET, &port), v6 = canary(AF_INET6, &port);
    json_t *pods = json_object();
    for (size_t i = 0; i < sizeof(ips) / sizeof(*ips); i++) {
        char id[16];
        snprintf(id, sizeof(id), "h%zu", i);
        json_t *record = record_at((int)i + 1, port);
        json_object_set_new(record, "ip", json_string(ips[i]));
        json_object_set_new(pods, id, record);
    }
    it.ip = "10.0.0.1";
    it.cluster = json_pack("{s:{}, s:o}", "snapshot", "pods", pods);
    struct reply r = ask("GET /cluster");
    auto_json json_t *got = json_read(r.body, strlen(r.body), 65536, "it", NULL);
    const char *id;
    json_t *pod;
    assert_int_equal(json_object_size(json_object_get(got, "pods")), sizeof(ips) / sizeof(*ips));
    json_object_foreach(json_object_get(got, "pods"), id, pod) {
        if (json_object_get(pod, "info") || !*json_text(pod, "error"))
            fail_msg("%s in %s", id, r.body);
    }
    assert_int_equal(visitors(v4), 0);
    assert_int_equal(visitors(v6), 0);
    // And it would have been seen, had anybody come.
    it.ip = "127.0.0.1";
    it.reads = 0;
    struct client c;
    begin(&c, "/cluster");
    int came = 0;
    pump((came += visitors(v4)) > 0);
    drop_client(&c);
    close(v4);
    close(v6);
}

// What /info may hold as text, and 4.8 MB of heap.
static const char *heavy_info(const char *request, int n) {
    static char reply[64 * 1024];
    (void)request;
    (void)n;
    if (!*reply) {
        int at = snprintf(reply, sizeof(reply), "HTTP/1.0 200 OK\r\n\r\n{\"x\":[{}");
        for (int i = 1; i < 20000; i++, at += 3)
            memcpy(reply + at, ",{}", 3);
        memcpy(reply + at, "]}", 3);
    }
    return reply;
}

static void cluster_keeps_no_infos_without_end(void **state) {
    (void)state;
    enum { MANY = 12 };
    int port = stub_start(heavy_info);
    json_t *pods = json_object(), *pod;
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof(id), "h%d", i);
        json_object_set_new(pods, id, record_at(i + 1, port));
    }
    it.cluster = json_pack("{s:{}, s:o}", "snapshot", "pods", pods);
    struct client c;
    begin(&c, "/cluster");
    pump((receive(&c), reply_len(&c)));
    assert_true(text_starts(c.got.s, "HTTP/1.1 200 "));
    auto_json json_t *got = json_loads(strstr(c.got.s, "\r\n\r\n"), 0, NULL);
    assert_non_null(got);
    int kept = 0, refused = 0;
    const char *id;
    json_object_foreach(json_object_get(got, "pods"), id, pod) {
        kept += json_object_get(pod, "info") != NULL;
        refused += strstr(json_text(pod, "error"), "more than 32 MiB") != NULL;
    }
    assert_in_range(kept, 1, 8);
    assert_int_equal(refused, MANY - kept);
    drop_client(&c);
    stub_end_all();
}

static void cluster_says_how_many_were_skipped(void **state) {
    (void)state;
    it.cluster = json_pack("{s:{s:{}}, s:{}, s:{s:b, s:b}}", "snapshot", "heavy", "pods", "skipped",
                           "heavy", 1, "light", 1);
    struct reply r = ask("GET /cluster");
    assert_non_null(strstr(r.body, "\"skipped\":2"));
    assert_null(strstr(r.body, "heavy")); // it is no pod that has gone
    json_object_del(it.cluster, "skipped");
    r = ask("GET /cluster");
    assert_int_equal(r.status, 200);
    assert_null(strstr(r.body, "skipped"));
}

static void cluster_without_zookeeper_says_so(void **state) {
    (void)state;
    it.cluster_fails = true;
    struct reply r = ask("GET /cluster");
    assert_int_equal(r.status, 409);
    assert_string_equal(r.body, "{\"error\":\"no session\"}");
}

static void closing_during_a_look_at_the_cluster_is_clean(void **state) {
    (void)state;
    int hangs, hanging = silent_port(&hangs);
    assert_int_equal(listen(hangs, 8), 0);
    it.cluster = json_pack("{s:{}, s:{s:o}}", "snapshot", "pods", "stuck", record_at(1, hanging));
    struct client c;
    begin(&c, "/cluster");
    control_close(it.control);
    it.control = NULL;
    assert_int_equal(take_reply(&c).status, 503);
    drop_client(&c);
    close(hangs);
}

static void leaving_during_a_look_at_the_cluster_is_clean(void **state) {
    (void)state;
    it.cluster = json_pack("{s:{}, s:{}}", "snapshot", "pods");
    struct client c;
    connect_client(&c);
    send_text(&c, "GET /cluster HTTP/1.1\r\nHost: x\r\n\r\n");
    drop_client(&c);
    for (int i = 0; i < 20; i++)
        breathe();
    assert_int_equal(ask("GET /cluster").status, 200);
}

// ---- log ----

static void log_is_ochopods_array(void **state) {
    (void)state;
    static const char odd[] = "\xc3\xa9 \xff \"q\" \t end";
    log_keep(odd, sizeof(odd) - 1);
    struct reply r = ask("POST /log");
    assert_int_equal(r.status, 200);
    const char *line = "\"\xc3\xa9 \xef\xbf\xbd \\\"q\\\" \\t end\\n\"]";
    assert_true(text_ends(r.body, line));
    assert_int_equal(r.body[0], '[');
    r = ask("GET /log?format=text");
    assert_true(text_ends(r.body, "\"q\" \t end\n"));
}

static void follow_gives_what_is_there_and_each_new_line_once(void **state) {
    (void)state;
    log_keep("before", 6);
    struct client json, text;
    begin(&json, "/log?follow");
    log_keep("between", 7);
    begin(&text, "/log?follow&format=text");
    log_keep("after", 5);
    pump((receive(&text), strstr(text_str(&text.got), "after")));
    pump((receive(&json), strstr(text_str(&json.got), "after")));
    const char *got = strstr(json.got.s, "before");
    assert_non_null(got);
    assert_non_null(strstr(got, "\"between\\n\"\n"));
    assert_null(strstr(strstr(got, "between") + 1, "between"));
    got = strstr(text.got.s, "before\nbetween\n");
    assert_non_null(got);
    assert_null(strstr(strstr(got, "between") + 1, "between"));
    drop_client(&json);
    drop_client(&text);
    for (int i = 0; i < 10; i++)
        breathe();
    log_keep("nobody", 6);
    assert_int_equal(ask("GET /livez").status, 200);
}

static void a_follower_that_does_not_read_is_let_go(void **state) {
    (void)state;
    struct client c;
    begin(&c, "/log?follow");
    for (int i = 0; i < 3000; i++) {
        say_much();
        if (i % 100 == 0)
            breathe();
    }
    pump((receive(&c), c.eof));
    assert_true(c.got.len < 3000 * LINE);
    drop_client(&c);
}

// It takes as much as there is new, once it is as far behind as that.
static void a_follower_that_is_always_behind_does_not_grow(void **state) {
    (void)state;
    enum { BEHIND = 128 << 10, LINES = 1200 };
    struct client c;
    begin_small(&c, 1, "/log?follow&format=text");
    for (int i = 0; i < 50; i++)
        breathe();
    size_t before = memory(), most = 0;
    for (int i = 0; i < LINES; i++) {
        char buf[LINE];
        say_much();
        breathe();
        for (size_t left = !before || memory() >= before + BEHIND ? LINE : 0; left;) {
            ssize_t n = recv(c.fd, buf, left, 0);
            assert_true(n > 0 || (n < 0 && errno == EAGAIN));
            left -= n < 0 ? 0 : (size_t)n;
            if (n < 0)
                breathe();
        }
        most = memory() > most ? memory() : most;
    }
    assert_true(most < before + (1 << 20));
    drop_client(&c);
}

// Each is less far behind than one may be; together they are too many. Another one is not.
static void followers_that_do_not_read_have_a_share_together(void **state) {
    (void)state;
    enum { N = 80, LINES = 150 };
    static struct client crowd[N];
    struct client reader, late;
    for (int i = 0; i < N; i++)
        begin_small(&crowd[i], 2, "/log?follow&format=text");
    begin_small(&reader, 3, "/log?follow&format=text");
    for (int i = 0; i < 50; i++)
        breathe();
    size_t before = memory(), most = 0, taken = 0;
    for (int i = 0; i < LINES; i++) {
        say_much();
        breathe();
        most = memory() > most ? memory() : most;
        pump((receive(&reader), taken += reader.got.len, text_done(&reader.got),
              taken >= (size_t)(i + 1) * LINE));
    }
    assert_true(most < before + (12 << 20));
    log_keep("the end", 7);
    pump((receive(&reader), strstr(text_str(&reader.got), "the end")));
    for (int i = 0; i < N; i++)
        pump((receive(&crowd[i]), text_done(&crowd[i].got), crowd[i].eof));
    begin_small(&late, 2, "/log?follow&format=text");
    pump((receive(&late), strstr(text_str(&late.got), "the end"))); // what they kept is given back
    for (int i = 0; i < N; i++)
        drop_client(&crowd[i]);
    drop_client(&reader);
    drop_client(&late);
}

static void followers_end_when_it_closes(void **state) {
    (void)state;
    struct client c;
    begin(&c, "/log?follow");
    log_keep("last words", 10);
    breathe();
    control_close(it.control);
    it.control = NULL;
    pump((receive(&c), c.eof));
    assert_true(text_ends(c.got.s, "0\r\n\r\n"));
    log_keep("unheard", 7);
    drop_client(&c);
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(wait_answers_when_it_is_so),
        test(wait_looks_by_the_clock_too),
        test(wait_is_408_when_its_time_is_over),
        test(wait_without_time_looks_once),
        test(wait_reads_the_snapshot_for_pods),
        test(who_leaves_a_wait_is_forgotten),
        test(cluster_lists_every_pod_and_its_error),
        test(whoever_waits_for_one_look_is_sent_the_same_bytes),
        test(cluster_asks_no_address_that_is_nobodys),
        test(cluster_keeps_no_infos_without_end),
        test(cluster_says_how_many_were_skipped),
        test(cluster_without_zookeeper_says_so),
        test(closing_during_a_look_at_the_cluster_is_clean),
        test(leaving_during_a_look_at_the_cluster_is_clean),
        test(log_is_ochopods_array),
        test(follow_gives_what_is_there_and_each_new_line_once),
        test(a_follower_that_does_not_read_is_let_go),
        test(a_follower_that_is_always_behind_does_not_grow),
        test(followers_that_do_not_read_have_a_share_together),
        test(followers_end_when_it_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
