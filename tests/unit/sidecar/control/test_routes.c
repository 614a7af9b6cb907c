// Each route, its methods and its codes.
#include "tests/unit/sidecar/control/harness.h"

static void each_route_takes_its_methods_only(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int status;
    } table[] = {
        {"GET /info", 200},
        {"POST /info", 200},
        {"PUT /info", 405},
        {"HEAD /info\r\nConnection: close", 405},
        {"DELETE /info", 405},
        {"OPTIONS /info", 405},
        {"GET /info/", 404},
        {"GET //info", 404},
        {"GET /INFO", 404},
        {"GET /info?x=y", 200},
        {"GET /%69nfo", 404},
        {"GET /info%00", 404},
        {"GET /", 404},
        {"GET /../info", 404},
        {"GET /%2e%2e/info", 404},
        {"GET /livez/%2e%2e/info", 404},
        {"GET /livez/%2E%2E%2Finfo", 404},
        {"GET /%c0%ae%c0%ae/info", 404}, // dots, overlong
        {"GET /livez/%c0%ae%c0%ae/info", 404},
        {"GET /livez%c0%afinfo", 404}, // a slash, overlong
        {"GET /livez/\xc0\xae\xc0\xae/info", 400},
        {"GET /..;/info", 404},
        {"GET /livez/..;/info", 404},
        {"GET /info;x=y", 404},
        {"GET /info%3fx=y", 404},
        {"GET /log", 200},
        {"POST /log", 200},
        {"GET /log/../../etc", 404},
        {"GET /log?format=xml", 400},
        {"POST /reset", 200},
        {"GET /reset", 405},
        {"POST /reset/", 404},
        {"GET /livez", 200},
        {"POST /livez", 405},
        {"GET /readyz", 503},
        {"GET /metrics", 200},
        {"POST /metrics", 405},
        {"GET /control/check", 405},
        {"POST /control", 404},
        {"POST /control/", 404},
        {"POST /control//", 404},
        {"POST /control/check/", 404},
        {"POST /control/nap", 400},
        {"POST /control/checks", 400},
        {"POST /control/check/abc", 400},
        {"POST /control/check/1.5", 400},
        {"POST /control/check/-1", 400},
        {"POST /control/check/999999999999999999999", 400},
        {"POST /control/check/1/2", 404},
        {"POST /livez/%2e%2e/control/off", 404},
        {"POST /livez/..;/control/off", 404},
        {"POST /control/%2e%2e/reset", 400},
        {"POST /control/%c0%ae%c0%ae/reset", 400},
        {"POST /control/..;/reset", 400},
        {"POST /control/..", 400},
        {"POST /control/off;x=y", 400},
        {"POST /exec", 400},
        {"GET /exec", 405},
        {"POST /shell", 404}, // no portal
        {"GET /wait", 400},
        {"GET /wait?for=sleeping", 400},
        {"GET /wait?for=running&timeout=x", 400},
        {"GET /wait?generation=-1", 400},
        {"GET /wait?for=running&timeout=0", 408},
        {"GET /terminate", 404},
        {"POST /cluster", 405},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct reply r = ask(table[i].line);
        if (r.status != table[i].status)
            fail_msg("%s: %d %s", table[i].line, r.status, r.body);
        bool head = text_starts(table[i].line, "HEAD");
        if (r.status >= 400 && !head && !strstr(r.body, "error"))
            fail_msg("%s: no error in %s", table[i].line, r.body);
        if (r.status == 405 && !strstr(r.head, "Allow: "))
            fail_msg("%s: no Allow in %s", table[i].line, r.head);
    }
    assert_int_equal(fake_pod_seen(it.pod), 0);
    assert_int_equal(it.resets, 1);
}

static void info_has_ochopods_keys_first(void **state) {
    (void)state;
    struct reply r = ask("POST /info");
    assert_string_equal(
        r.body,
        "{\"application\":\"app\",\"port\":\"8080\",\"ip\":\"127.0.0.1\","
        "\"public\":\"198.51.100.1\",\"metrics\":{},\"dependencies\":[],\"process\":\"stopped\","
        "\"state\":\"follower\",\"id\":\"uuid-own\",\"namespace\":\"marathon\","
        "\"cluster\":\"zk\",\"ready\":false}");
    assert_non_null(strstr(r.head, "Content-Type: application/json; charset=utf-8\r\n"));
}

static void info_is_made_once_until_something_changes(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    auto_text struct text t = {0};
    for (int i = 0; i < 20; i++)
        text_add(&t, "GET /info HTTP/1.1\r\nHost: x\r\n\r\n");
    send_bytes(&c, t.s, t.len);
    for (int i = 0; i < 20; i++)
        assert_int_equal(take_reply(&c).status, 200);
    assert_true(it.infos < 20);
    drop_client(&c);
    fake_pod_is(it.pod, "running", true);
    control_changed(it.control);
    assert_non_null(strstr(ask("GET /info").body, "\"process\":\"running\""));
    // A status line that nobody told of is seen soon all the same.
    it.state = "leader (configuring)";
    pump(strstr(ask("GET /info").body, "leader (configuring)"));
}

static void livez_and_readyz_tell(void **state) {
    (void)state;
    fake_pod_is(it.pod, "running", true);
    assert_int_equal(ask("GET /readyz").status, 200);
    assert_int_equal(ask("GET /livez").status, 200);
    it.sick = true;
    assert_int_equal(ask("GET /livez").status, 503);
}

static void metrics_are_prometheus_text(void **state) {
    (void)state;
    ask("GET /nowhere");
    fake_pod_is(it.pod, "running", false);
    it.generation = 12;
    it.state = "leader";
    struct reply r = ask("GET /metrics");
    static const char *const lines[] = {
        "\nochopod_pod_running 1\n",
        "\nochopod_pod_ready 0\n",
        "\nochopod_generation 12\n",
        "\nochopod_leader 1\n",
        "\nochopod_workload_restarts_total 7\n",
        "\nochopod_http_requests_total{code=\"404\"} 1\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!strstr(r.body, lines[i]))
            fail_msg("%s is not in %s", lines[i], r.body);
    assert_non_null(strstr(r.head, "text/plain; version=0.0.4"));
}

// ---- control ----

static void headers_become_the_request(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /control/on/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                  "x-ochopod-epoch: 4f2a-b/123456789012\r\nX-Ochopod-Round: 9\r\n"
                  "X-Ochopod-Budget-Ms: 2500\r\nX-Ochopod-Target: uuid-own\r\n\r\n{}");
    pump(fake_pod_asks(it.pod) == 1);
    const struct fake_ask *got = fake_pod_ask(it.pod, 0);
    assert_int_equal(got->task, POD_ON);
    assert_int_equal(got->scope, POD_LEADER);
    assert_string_equal(got->tree, "4f2a-b");
    assert_int_equal(got->epoch, 123456789012);
    assert_int_equal(got->round, 9);
    assert_int_equal(got->budget_ms, 2500);
    assert_string_equal(got->target, "uuid-own");
    assert_string_equal(got->body, "{}");
    fake_pod_answer(it.pod, NULL, NULL);
    assert_int_equal(take_reply(&c).status, 200);
    drop_client(&c);
}

static void who_asks_shows_in_what_comes_along(void **state) {
    (void)state;
    struct client c;
    hang(&c, "/control/off");
    assert_int_equal(fake_pod_ask(it.pod, 0)->scope, POD_OPERATOR);
    assert_int_equal(fake_pod_ask(it.pod, 0)->budget_ms, 60000);
    fake_pod_answer(it.pod, NULL, NULL);
    drop_client(&c);
    connect_client(&c);
    send_text(&c, "POST /control/signal/3 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    pump(fake_pod_asks(it.pod) == 1);
    assert_int_equal(fake_pod_ask(it.pod, 0)->scope, POD_ORIGINAL);
    assert_int_equal(fake_pod_ask(it.pod, 0)->task, POD_SIGNAL);
    assert_int_equal(fake_pod_ask(it.pod, 0)->budget_ms, 3000);
    auto_json json_t *answer = json_pack("{s:[i]}", "hook", 1);
    fake_pod_answer(it.pod, answer, NULL);
    assert_string_equal(take_reply(&c).body, "{\"hook\":[1]}");
    drop_client(&c);
}

static void malformed_headers_are_400_and_named(void **state) {
    (void)state;
    static const struct {
        const char *headers, *named;
    } table[] = {
        {"X-Ochopod-Epoch: abc\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: /1\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: t/\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: t/1x\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: t/-1\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: t/99999999999999999999\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: t t/1\r\nX-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Epoch: t/1", "X-Ochopod-Round"},
        {"X-Ochopod-Epoch: t/1\r\nX-Ochopod-Round: one", "X-Ochopod-Round"},
        {"X-Ochopod-Round: 1", "X-Ochopod-Epoch"},
        {"X-Ochopod-Budget-Ms: 5s", "X-Ochopod-Budget-Ms"},
        {"X-Ochopod-Budget-Ms: -5", "X-Ochopod-Budget-Ms"},
        {"X-Ochopod-Target: a b", "X-Ochopod-Target"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        auto_free char *line = xasprintf("POST /control/check\r\n%s", table[i].headers);
        struct reply r = ask_body(line, "{}", 2);
        if (r.status != 400 || !strstr(r.body, table[i].named))
            fail_msg("%s: %d %s", table[i].headers, r.status, r.body);
    }
    assert_int_equal(fake_pod_seen(it.pod), 0);
}

static void each_kind_of_failure_has_its_code(void **state) {
    (void)state;
    static const int codes[] = {
        [ERR_USER] = 400,     [ERR_REFUSED] = 406,  [ERR_RETRY] = 503,  [ERR_TIMEOUT] = 408,
        [ERR_GONE] = 410,     [ERR_ABSENT] = 404,   [ERR_EXISTS] = 409, [ERR_FENCED] = 412,
        [ERR_DETACHED] = 409, [ERR_STRANGER] = 421, [ERR_LIMIT] = 413,  [ERR_BUG] = 500,
    };
    for (size_t kind = ERR_USER; kind < sizeof(codes) / sizeof(codes[0]); kind++) {
        if (!codes[kind])
            continue;
        struct client c;
        hang(&c, "/control/check");
        struct err err = ERR_INIT;
        err_set(&err, (enum err_kind)kind, "why \"%s\" \xff", err_kind_name((enum err_kind)kind));
        fake_pod_answer(it.pod, NULL, &err);
        struct reply r = take_reply(&c);
        assert_int_equal(r.status, codes[kind]);
        auto_free char *body = xasprintf("{\"error\":\"why \\\"%s\\\" \xef\xbf\xbd\"}",
                                         err_kind_name((enum err_kind)kind));
        assert_string_equal(r.body, body);
        drop_client(&c);
    }
}

static void a_budget_that_is_over_is_408_and_the_ask_goes_on(void **state) {
    (void)state;
    struct reply r = ask("POST /control/check/0");
    assert_int_equal(r.status, 408);
    r = ask("POST /control/on/30\r\nX-Ochopod-Budget-Ms: 50");
    assert_int_equal(r.status, 408);
    assert_int_equal(fake_pod_seen(it.pod), 2);
    assert_int_equal(fake_pod_forgotten(it.pod), 2);
}

static void a_client_that_leaves_is_noticed_while_it_waits(void **state) {
    (void)state;
    struct client c;
    hang(&c, "/control/on");
    drop_client(&c);
    pump(fake_pod_forgotten(it.pod) == 1);
    assert_int_equal(fake_pod_asks(it.pod), 0);
    assert_int_equal(ask("GET /livez").status, 200);
}

// A leader that gave up while we were stopped: its request lies in the socket, and its end behind
// it. What the pod would begin in its next turn it must not.
static void a_client_that_left_before_it_was_read_is_forgotten_at_once(void **state) {
    (void)state;
    fake_pod_answer_all(it.pod, true);
    for (size_t i = 1; i <= 20; i++) {
        struct client c;
        connect_client(&c);
        send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
        drop_client(&c);
        pump(fake_pod_seen(it.pod) == i && fake_pod_asks(it.pod) == 0);
        assert_int_equal(fake_pod_forgotten(it.pod), i);
    }
}

static void two_hundred_wait_and_info_is_quick(void **state) {
    (void)state;
    enum { N = 200 };
    static struct client c[N];
    for (int i = 0; i < N; i++)
        hang(&c[i], "/control/check");
    assert_int_equal(fake_pod_asks(it.pod), N);
    assert_int_equal(ask("GET /info").status, 200);
    for (int i = 0; i < N; i += 2)
        drop_client(&c[i]);
    pump(fake_pod_asks(it.pod) == N / 2);
    while (fake_pod_asks(it.pod))
        fake_pod_answer(it.pod, NULL, NULL);
    for (int i = 1; i < N; i += 2) {
        assert_int_equal(take_reply(&c[i]).status, 200);
        drop_client(&c[i]);
    }
}

static void those_who_wait_are_told_when_it_closes(void **state) {
    (void)state;
    struct client c[3];
    hang(&c[0], "/control/on");
    hang(&c[1], "/control/on");
    connect_client(&c[2]);
    send_text(&c[2], "GET /wait?for=dead HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5; i++)
        breathe();
    control_close(it.control);
    it.control = NULL;
    for (int i = 0; i < 3; i++) {
        struct reply r = take_reply(&c[i]);
        assert_int_equal(r.status, 503);
        assert_string_equal(r.body, "{\"error\":\"shutting down\"}");
        drop_client(&c[i]);
    }
    assert_int_equal(fake_pod_forgotten(it.pod), 2);
}

// ---- exec ----

static struct reply run_tool(const char *headers, const char *body) {
    struct client c;
    connect_client(&c);
    auto_text struct text t = {0};
    text_addf(&t, "POST /exec HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %zu\r\n\r\n%s", headers,
              strlen(body), body);
    send_bytes(&c, t.s, t.len);
    pump((receive(&c), reply_len(&c) || fake_pod_asks(it.pod)));
    if (fake_pod_asks(it.pod)) {
        const struct fake_ask *got = fake_pod_ask(it.pod, 0);
        auto_json json_t *answer = json_pack("{s:i, s:[s, s*, s*], s:i, s:i}", "code", 0, "stdout",
                                             got->line, got->upload_name, got->upload_data, "files",
                                             (int)got->uploads, "budget", (int)got->budget_ms);
        fake_pod_answer(it.pod, answer, NULL);
    }
    struct reply r = take_reply(&c);
    drop_client(&c);
    return r;
}

static void a_tool_gets_its_line_and_files(void **state) {
    (void)state;
    assert_string_equal(
        run_tool("X-Shell: backup --all x", "").body,
        "{\"code\":0,\"stdout\":[\"backup --all x\"],\"files\":0,\"budget\":90000}");
    struct reply r = run_tool(
        "X-Shell: other\r\nContent-Type: multipart/form-data; boundary=b7",
        "--b7\r\nContent-Disposition: form-data; name=\"one\"; filename=\"../../etc/passwd\"\r\n"
        "Content-Type: text/plain\r\n\r\nfirst\r\n--b7\r\n"
        "Content-Disposition: form-data; name=\"b.txt\"; filename=\"b.txt\"\r\n\r\n"
        "sec\r\n--b8ond\r\n--b7--\r\n");
    assert_string_equal(r.body, "{\"code\":0,\"stdout\":[\"other\",\"b.txt\",\"sec\\r\\n--b8ond\"],"
                                "\"files\":2,\"budget\":60000}");
}

static void files_that_are_no_multipart_are_refused(void **state) {
    (void)state;
    assert_int_equal(run_tool("X-Shell: backup", "a=b").status, 400);
    assert_int_equal(run_tool("X-Shell: backup\r\nContent-Type: multipart/form-data", "a=b").status,
                     400);
    assert_int_equal(
        run_tool("X-Shell: backup\r\nContent-Type: multipart/form-data; boundary=x", "--x\r\n\r\n")
            .status,
        400);
    assert_int_equal(fake_pod_seen(it.pod), 0);
}

static void an_unknown_tool_is_404(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /exec HTTP/1.1\r\nHost: x\r\nX-Shell: nope\r\nContent-Length: 0\r\n\r\n");
    pump(fake_pod_asks(it.pod) == 1);
    struct err err = ERR_INIT;
    err_set(&err, ERR_ABSENT, "no such tool");
    fake_pod_answer(it.pod, NULL, &err);
    assert_int_equal(take_reply(&c).status, 404);
    drop_client(&c);
}

// ---- where it listens ----

static void a_port_in_use_says_what_to_do(void **state) {
    (void)state;
    struct spec spec = it.spec;
    struct control *second;
    struct err err = ERR_INIT;
    spec.port = it.port;
    assert_int_equal(
        control_open(it.loop, it.http, &spec, spec.port, it.pod, &hooks, NULL, &second, &err), -1);
    assert_int_equal(err.kind, ERR_USER);
    assert_non_null(strstr(err.text, "choose another `port`"));
}

static void an_address_that_is_none_or_not_ours_is_refused(void **state) {
    (void)state;
    struct spec spec = it.spec;
    struct control *second;
    static const char *const addresses[] = {"here", "192.0.2.7", "1.2.3", ""};
    for (size_t i = 0; i < 4; i++) {
        struct err err = ERR_INIT;
        spec.listen = (char *)addresses[i];
        assert_int_equal(
            control_open(it.loop, it.http, &spec, spec.port, it.pod, &hooks, NULL, &second, &err),
            -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_non_null(strstr(err.text, "listen"));
    }
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(each_route_takes_its_methods_only),
        test(info_has_ochopods_keys_first),
        test(info_is_made_once_until_something_changes),
        test(livez_and_readyz_tell),
        test(metrics_are_prometheus_text),
        test(headers_become_the_request),
        test(who_asks_shows_in_what_comes_along),
        test(malformed_headers_are_400_and_named),
        test(each_kind_of_failure_has_its_code),
        test(a_budget_that_is_over_is_408_and_the_ask_goes_on),
        test(a_client_that_leaves_is_noticed_while_it_waits),
        test(a_client_that_left_before_it_was_read_is_forgotten_at_once),
        test(two_hundred_wait_and_info_is_quick),
        test(those_who_wait_are_told_when_it_closes),
        test(a_tool_gets_its_line_and_files),
        test(files_that_are_no_multipart_are_refused),
        test(an_unknown_tool_is_404),
        test(a_port_in_use_says_what_to_do),
        test(an_address_that_is_none_or_not_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
