// Killing: what verbs that end pods do first.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/own.h"
#include "cli/act.h"
#include "tests/unit/cli/stub.h"

static int kills(int n, const char *request) {
    return strstr(request, "POST /control/kill ") ? n : -1;
}

// The engine is away, then it is done, then it is dead.
static const char *dies(const char *request, int n) {
    if (kills(n, request) == 0)
        return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";
    if (kills(n, request) == 1)
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    return "HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\n{}";
}

static const char *lives(const char *request, int n) {
    (void)request;
    (void)n;
    return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
}

// Not before it has been asked for a second, so that little time is left for the answer.
static const char *falls_silent(const char *request, int n) {
    return n < 10 ? lives(request, n) : NULL;
}

// Its worker falls over what it was told, and the next one says that it is done.
static const char *is_restarted(const char *request, int n) {
    return n == 1 ? "" : dies(request, n);
}

static json_t *pod_at(int seq, int port) {
    return json_pack("{s:i, s:{s:i, s:s, s:s, s:{s:i}}}", "seq", seq, "record", "seq", seq, "ip",
                     "127.0.0.1", "port", "8080", "ports", "8080", port);
}

static void kill_asks_until_the_pod_is_dead(void **state) {
    (void)state;
    char url[] = "http://127.0.0.1:1";
    char *patterns[] = {(char *)"zk", NULL};
    struct cli_options options = {.url = url, .args = patterns, .timeout_ms = -1, .force = true};
    struct pods pods = {0};
    struct err err = ERR_INIT;
    assert_int_equal(source_open(&options, 1000, &pods.source, &err), 0);
    struct pod_seen seen[] = {
        {.cluster = "m.zk",
         .id = "a",
         .label = (char *)"m.zk #1",
         .seq = 1,
         .json = pod_at(1, stub_start(dies))},
        {.cluster = "m.zk",
         .id = "b",
         .label = (char *)"m.zk #2",
         .seq = 2,
         .json = pod_at(2, stub_start(lives))},
        {.cluster = "m.zk", .id = "c", .label = (char *)"m.zk #3", .seq = 3, .json = pod_at(3, 1)},
        {.cluster = "m.zk",
         .id = "d",
         .label = (char *)"m.zk #4",
         .seq = 4,
         .json = pod_at(4, stub_start(falls_silent))},
        {.cluster = "m.zk",
         .id = "e",
         .label = (char *)"m.zk #5",
         .seq = 5,
         .json = pod_at(5, stub_start(is_restarted))},
    };
    pods.list = seen;
    pods.n = 5;
    act_kill(&pods, 1500, NULL);
    auto_json json_t *outcome = act_outcome(&pods, patterns, "down", true);
    json_t *zk = json_object_get(outcome, "zk");
    auto_free char *down = json_write(json_object_get(zk, "down"));
    assert_string_equal(down, "[1,5]");
    assert_true(json_is_false(json_object_get(zk, "ok")));
    json_t *failed = json_object_get(zk, "failed");
    assert_int_equal(json_object_size(failed), 3);
    assert_string_equal(json_text(failed, "m.zk #2"), "/control/kill answered 200");
    assert_string_equal(json_text(failed, "m.zk #4"), "/control/kill answered 200");
    for (size_t i = 0; i < 5; i++)
        json_decref(seen[i].json);
    source_close(pods.source);
    stub_end_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kill_asks_until_the_pod_is_dead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
