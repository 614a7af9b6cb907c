// Pods, and pods of --url, that answer what they should not: each is one clear line.
#include "tests/unit/cli/program.h"
#include "tests/unit/cli/stub.h"
#include <time.h>

#define URL " --url http://127.0.0.1:PORT"

static char huge[3 * 1024 * 1024];

#define STUB(name, reply)                                                                          \
    static const char *name(const char *request, int n) {                                          \
        (void)request;                                                                             \
        (void)n;                                                                                   \
        return reply;                                                                              \
    }

STUB(html, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")
STUB(not_found, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
STUB(cut, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"process\": \"run")
STUB(half_json, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"process\": ")
STUB(no_http, "SSH-2.0-OpenSSH_9.2\r\n")
STUB(nothing, "")
STUB(list, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
STUB(hangs, NULL)
STUB(too_much, huge)

// Cut in the middle of a character, wherever the cut is.
#define A_10  "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
#define A_100 A_10 A_10 A_10 A_10 A_10 A_10 A_10 A_10 A_10 A_10
STUB(wordy, "HTTP/1.1 500 No\r\nContent-Length: 414\r\n\r\n"
            "{\"error\": \"x" A_100 A_100 A_100 A_100 "\"}")
STUB(steers, "HTTP/1.1 500 No\r\nContent-Length: 29\r\n\r\n{\"error\": \"\\u001b[2Jno\\nway\"}")
STUB(colours, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
              "{\"process\": \"running\", \"state\": \"\\u001b[31m\\nred\"}")
STUB(no_pods, "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"
              "{\"cluster\": \"marathon.zk\", \"pods\": {\"a\": 1, \"b\": [], \"c\": null}}")
STUB(nameless, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"pods\": {}}")

STUB(large_code, "HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n"
                 "{\"code\": 4294967296, \"stdout\": []}")

static int begin(void **state) {
    int len = snprintf(huge, sizeof(huge), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                       sizeof(huge) - 1024);
    memset(huge + len, 'x', sizeof(huge) - (size_t)len - 1);
    return setup(state);
}

static int end(void **state) {
    stub_end_all();
    return teardown(state);
}

static void a_cluster_with(int port) {
    json_decref(it.cluster);
    it.cluster = json_pack("{s:{}, s:{s:{s:i, s:s, s:s, s:{s:i}}}}", "snapshot", "pods", "bad",
                           "seq", 5, "ip", "127.0.0.1", "port", "8080", "ports", "8080", port);
}

static size_t lines(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static const struct {
    stub_fn *stub;
    const char *why;
} bad[] = {
    {html, "/info is not JSON"},
    {not_found, "/info answered 404"},
    {cut, "127.0.0.1"},
    {half_json, "/info is not JSON"},
    {no_http, "127.0.0.1"},
    {nothing, "127.0.0.1"},
    {hangs, "no complete reply within"},
    {too_much, "reply over"},
};

static void a_pod_that_answers_wrongly_is_one_line(void **state) {
    (void)state;
    static const char *const verbs[] = {"grep", "ls", "info -j", "poll", "check"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        a_cluster_with(stub_start(bad[i].stub));
        for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
            auto_free char *line = xasprintf("%s -t %d" URL, verbs[v],
                                             bad[i].stub == hangs ? 1 : 30);
            struct said said = ocho(line);
            const char *where = strcmp(verbs[v], "check") ? said.err : said.out;
            if (said.status != 1 || !strstr(where, bad[i].why) ||
                lines(said.err) != (strcmp(verbs[v], "check") ? 2 : 1))
                fail_msg("ocho %s, %zu: status %d\n%s\n%s", verbs[v], i, said.status, said.out,
                         said.err);
        }
        stub_end_all();
    }
}

static const char *leads(const char *request, int n) {
    (void)request;
    (void)n;
    return "HTTP/1.0 200 OK\r\n\r\n{\"seq\":5,\"process\":\"running\",\"ready\":true,"
           "\"state\":\"leader\",\"hash\":\"new\"}";
}

static const char *missed_a_round(const char *request, int n) {
    (void)request;
    (void)n;
    return "HTTP/1.0 200 OK\r\n\r\n{\"seq\":6,\"process\":\"running\",\"ready\":true,"
           "\"state\":\"follower\",\"hash\":\"old\"}";
}

// Who leads is not among those that are asked for.
static void check_of_one_compares_it_with_its_leader(void **state) {
    (void)state;
    a_cluster_with(stub_start(leads));
    json_object_set_new(json_object_get(it.cluster, "pods"), "stale",
                        json_pack("{s:i, s:s, s:s, s:{s:i}}", "seq", 6, "ip", "127.0.0.1", "port",
                                  "8080", "ports", "8080", stub_start(missed_a_round)));
    check("check -i 5" URL, 0, NULL, "");
    check("check -i 6 -j" URL, 1, "its configuration is not the leader's",
          "ocho: 0 of 1 are well\n");
    check("check -i 5,7" URL, 1, NULL, "ocho: no pod has the number 7\nocho: 1 of 2 are well\n");
    stub_end_all();
}

static void whoever_steers_it_hears_the_same(void **state) {
    (void)state;
    a_cluster_with(stub_start(hangs));
    check("off zk --force -t 1 -j" URL, 1,
          "{\"zk\":{\"ok\":false,\"off\":[],\"failed\":", "0 of 1 off");
    check("exec zk --force -t 1 backup" URL, 1, "", "no complete reply within");
    a_cluster_with(stub_start(html));
    check("exec zk --force backup -j" URL, 1, "\"error\":", "/exec is not JSON");
    check("signal zk --force" URL, 1, "", "/control/signal is not JSON");
    check("log -i 5" URL, 1, "", "/log is not JSON");
    a_cluster_with(stub_start(list));
    check("grep" URL, 1, "marathon.zk #5", "/info answered no object");
    check("ls" URL, 1, "marathon.zk", "0 of 1 answered");
    check("port 80" URL, 1, NULL, "0 of 1 answered");
    check("exec zk --force backup" URL, 1, "", "/exec answered neither code nor stdout");
    check("log" URL, 0, "", "");
}

static void a_wrong_pod_of_url_is_out_of_reach(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (bad[i].stub == hangs || bad[i].stub == too_much)
            continue;
        auto_free char *line = xasprintf("ls --url http://127.0.0.1:%d", stub_start(bad[i].stub));
        struct said said = ocho(line);
        if (said.status != 3 || *said.out || lines(said.err) != 1 ||
            !strstr(said.err, "http://127.0.0.1:"))
            fail_msg("%zu: status %d\n%s\n%s", i, said.status, said.out, said.err);
        stub_end_all();
    }
    auto_free char *line = xasprintf("grep --url http://127.0.0.1:%d", stub_start(list));
    check(line, 3, "", "/cluster");
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

// What no -t bounds would take ten seconds.
static void a_silent_one_is_waited_for_as_long_as_told(void **state) {
    (void)state;
    static const char *const lines[] = {"wait zk -t 1 --url http://",
                                        "ls -t 1 --url http://",
                                        "grep -t 1 --url http://",
                                        "off zk --force -t 1 --url http://",
                                        "kill zk --force -t 1 --url http://",
                                        "completion clusters --url http://",
                                        "completion clusters --zk ",
                                        "ls -t 1 --zk "};
    int port = stub_start(hangs);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        auto_free char *line = xasprintf("%s127.0.0.1:%d", lines[i], port);
        int64_t began = now_ms();
        check(line, 3, "", NULL);
        if (now_ms() - began >= 8000)
            fail_msg("ocho %s: %lld ms", line, (long long)(now_ms() - began));
    }
}

static void what_others_say_is_fit_to_be_shown(void **state) {
    (void)state;
    a_cluster_with(stub_start(wordy));
    check("off zk --force -j" URL, 1, "\"/control/off answered 500: x", "0 of 1 off");
    a_cluster_with(stub_start(steers));
    check("off zk --force" URL, 1, "", "answered 500:  [2Jno way\n");
    a_cluster_with(stub_start(colours));
    check("grep" URL, 0, "running  ?[31m?red\n", "");
    a_cluster_with(stub_start(large_code));
    check("exec zk --force backup" URL, 1, "", "exit code 4294967296\n");
}

static void pods_of_url_that_are_none_are_listed_and_count(void **state) {
    (void)state;
    static const char *const verbs[] = {"ls",      "grep", "info -j",        "poll",
                                        "port 80", "log",  "off zk --force", "kill zk --force"};
    int port = stub_start(no_pods);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        auto_free char *line = xasprintf("%s --url http://127.0.0.1:%d", verbs[i], port);
        check(line, 1, NULL, "marathon.zk #-1: /cluster says nothing of it\n");
        check(line, 1, NULL, "0 of 3 ");
    }
    auto_free char *line = xasprintf("ls --url http://127.0.0.1:%d", stub_start(nameless));
    check(line, 3, "", "/cluster answered no cluster");
}

static void pods_of_url_that_were_skipped_are_said_and_count(void **state) {
    (void)state;
    a_cluster_with(stub_start(leads));
    check("ls" URL, 0, NULL, "");
    check("cluster" URL, 0, NULL, "");
    json_object_set_new(it.cluster, "skipped", json_pack("{s:b, s:b}", "a", 1, "b", 1));
    static const char said_[] = "ocho: marathon.zk: 2 pods are left out: their records are too "
                                "large together\n";
    static const char *const verbs[] = {"ls", "grep", "info -j", "poll", "off zk --force"};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        auto_free char *line = xasprintf("%s" URL, verbs[i]);
        check(line, 1, NULL, said_);
        check(line, 1, NULL, "ocho: 1 of 3 ");
    }
    check("check" URL, 1, NULL, said_);
    check("check" URL, 1, NULL, "ocho: 1 of 3 are well\n");
    check("cluster" URL, 1, "\"skipped\": 2", said_);
    check("wait zk -t 1" URL, 4, NULL, ", 2 left out");
    check("check -i 5" URL, 0, NULL, said_);
    stub_end_all();
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        test(a_pod_that_answers_wrongly_is_one_line),
        test(check_of_one_compares_it_with_its_leader),
        test(whoever_steers_it_hears_the_same),
        test(a_wrong_pod_of_url_is_out_of_reach),
        test(a_silent_one_is_waited_for_as_long_as_told),
        test(what_others_say_is_fit_to_be_shown),
        test(pods_of_url_that_are_none_are_listed_and_count),
        test(pods_of_url_that_were_skipped_are_said_and_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
