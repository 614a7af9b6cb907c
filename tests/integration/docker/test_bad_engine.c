// docker-api before an engine that is slow, broken, old or no engine at all: engined, a test tool.
// Nothing here may crash, hang past a deadline or delay another call.
#include "base/check.h"
#include "base/own.h"
#include "tests/integration/docker/rig.h"
#include "tests/integration/port.h"
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define assert_kind(g, expected)                                                                   \
    do {                                                                                           \
        if ((g)->err.kind != (expected))                                                           \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, err_kind_name((g)->err.kind),            \
                     (g)->err.text);                                                               \
    } while (0)

struct bad {
    struct rig *rig;
    pid_t pid;
    char socket[64], host[80];
};

static void spawn(struct bad *bad, const char *api) {
    bad->pid = fork();
    if (bad->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(ENGINED, ENGINED, "--api", api, bad->host, NULL);
        _exit(127);
    }
    assert_true(bad->pid > 0);
    for (int i = 0; *bad->socket && access(bad->socket, F_OK) < 0; i++) {
        assert_true(i < 3000);
        usleep(10000);
    }
}

static struct bad *bad_open(const char *api) {
    struct bad *bad = xnew(struct bad);
    snprintf(bad->socket, sizeof bad->socket, "/tmp/ocho-engined-%d.sock", (int)getpid());
    snprintf(bad->host, sizeof bad->host, "unix://%s", bad->socket);
    unlink(bad->socket);
    spawn(bad, api);
    bad->rig = rig_open(bad->host, NULL);
    return bad;
}

static void bad_close(struct bad *bad) {
    rig_close(bad->rig);
    kill(bad->pid, SIGTERM);
    waitpid(bad->pid, NULL, 0);
    if (*bad->socket)
        unlink(bad->socket);
    free(bad);
}

static int up(void **state) {
    struct bad *bad = bad_open("1.41");
    until_true(bad->rig, rig_is_up, bad->rig, 30, "engined answers");
    *state = bad;
    return 0;
}

static int down(void **state) {
    bad_close(*state);
    return 0;
}

static void on_told(const struct http_reply *reply, const struct err *err, void *arg) {
    struct got *g = arg;
    g->done = true;
    err_copy(&g->err, err);
    g->exit_code = reply->status;
}

// A word to engined itself: "misbehave?kind=...".
static void tell(struct bad *bad, const char *what, const char *body) {
    auto_got struct got g = {0};
    auto_free char *url = xasprintf("http://docker/engined/%s", what);
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .unix_socket = bad->socket,
                                   .body = body,
                                   .body_len = strlen(body),
                                   .fresh = true};
    http_start(bad->rig->http, &request, on_told, &g);
    until(bad->rig, &g, 30);
    assert_kind(&g, ERR_NONE);
    assert_int_equal(g.exit_code, 204);
}

static void create(struct bad *bad, const char *name) {
    auto_got struct got g = {0};
    auto_json json_t *body = json_pack("{s:s}", "Image", "app:1");
    docker_create(bad->rig->docker, name, body, on_id, &g);
    until(bad->rig, &g, 30);
    assert_kind(&g, ERR_NONE);
}

static void inspect(struct bad *bad, const char *name, struct got *g) {
    docker_inspect(bad->rig->docker, name, on_container, g);
    until(bad->rig, g, 60);
}

static void expect_well(struct bad *bad) {
    auto_got struct got g = {0};
    inspect(bad, "zk", &g);
    assert_kind(&g, ERR_NONE);
    assert_string_equal(g.container->name, "zk");
}

static void it_is_an_engine_when_it_behaves(void **state) {
    struct bad *bad = *state;
    struct rig *rig = bad->rig;
    auto_got struct got exec = {0}, killed = {0}, waited = {0}, pulled = {0};
    static const char *const argv[] = {"cat", NULL};
    const struct docker_exec cat = {
        .argv = argv, .input = "words", .input_len = 5, .timeout_ms = 30000};
    create(bad, "zk");
    rig_start(rig, "zk");
    docker_exec(rig->docker, "zk", &cat, on_exec, &exec);
    docker_wait(rig->docker, "zk", "next-exit", NULL, on_waited, &waited);
    docker_pull(rig->docker, "other:2", NULL, on_done, &pulled);
    until(rig, &exec, 30);
    until(rig, &pulled, 30);
    assert_kind(&exec, ERR_NONE);
    assert_string_equal(exec.out, "words");
    assert_kind(&pulled, ERR_NONE);
    docker_kill(rig->docker, "zk", "KILL", on_done, &killed);
    until(rig, &killed, 30);
    until(rig, &waited, 30);
    assert_int_equal(waited.exit_code, 137);
}

static void a_500_is_retry_with_its_message(void **state) {
    struct bad *bad = *state;
    auto_got struct got g = {0};
    create(bad, "zk");
    tell(bad, "misbehave?kind=status&number=500&path=/containers/zk",
         "{\"message\":\"driver failed\"}");
    inspect(bad, "zk", &g);
    assert_kind(&g, ERR_RETRY);
    assert_int_equal(g.err.code, 500);
    assert_string_equal(g.err.text, "docker inspect zk: driver failed");
    expect_well(bad);
}

static void what_cannot_be_read_is_retry(void **state) {
    struct bad *bad = *state;
    static const char *const garbage[] = {"",
                                          "not JSON",
                                          "[]",
                                          "{}",
                                          "null",
                                          "{\"Id\":",
                                          "{\"Id\":\"../x\"}",
                                          "{\"a\":1,\"a\":2}",
                                          "\xff\xfe\xfd",
                                          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["};
    enum { DEEP = sizeof garbage / sizeof *garbage - 1 };
    create(bad, "zk");
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        auto_got struct got one = {0}, id = {0}, image = {0}, list = {0};
        auto_json json_t *body = json_pack("{s:s}", "Image", "app:1");
        struct docker *d = bad->rig->docker;
        tell(bad, "misbehave?kind=garbage&path=/containers/zk", garbage[i]);
        tell(bad, "misbehave?kind=garbage&path=/containers/create", garbage[i]);
        tell(bad, "misbehave?kind=garbage&path=/images/app:1", garbage[i]);
        docker_inspect(d, "zk", on_container, &one);
        docker_create(d, "x1", body, on_id, &id);
        docker_image_inspect(d, "app:1", on_image, &image);
        until(bad->rig, &one, 30);
        until(bad->rig, &id, 30);
        until(bad->rig, &image, 30);
        if (i != DEEP) // over the depth we read
            assert_kind(&one, ERR_RETRY);
        assert_true(one.err.kind != ERR_NONE && !one.container);
        if (i == DEEP)
            continue;
        if (i != 6) // an id that is none is the engine's, and it is refused where it is used
            assert_kind(&id, ERR_RETRY);
        assert_kind(&image, ERR_RETRY);
        if (i == 2) // [] is a list
            continue;
        tell(bad, "misbehave?kind=garbage&path=/containers/json", garbage[i]);
        docker_list(d, true, NULL, on_json, &list);
        until(bad->rig, &list, 30);
        assert_kind(&list, ERR_RETRY);
        assert_null(list.json);
    }
    expect_well(bad);
}

static void a_reply_cut_at_any_byte_is_retry(void **state) {
    struct bad *bad = *state;
    int whole = 0;
    create(bad, "zk");
    for (int n = 1; !whole; n++) {
        auto_got struct got g = {0};
        auto_free char *what = xasprintf(
            "misbehave?kind=cut&number=%d&path=/containers/zk&times=-1", n); // and when tried again
        tell(bad, what, "");
        inspect(bad, "zk", &g);
        tell(bad, "behave", "");
        if (g.err.kind == ERR_NONE)
            whole = n;
        else
            assert_kind(&g, ERR_RETRY);
    }
    assert_true(whole > 500);
    expect_well(bad);
}

static void a_stuck_call_times_out_and_delays_nobody(void **state) {
    struct bad *bad = *state;
    struct rig *rig = bad->rig;
    auto_got struct got slow = {0}, hung = {0}, huge = {0}, other = {0};
    create(bad, "zk");
    tell(bad, "misbehave?kind=slow&number=1&path=/containers/zk", "");
    docker_inspect(rig->docker, "zk", on_container, &slow);
    rig_spin(rig, 50);
    tell(bad, "misbehave?kind=hang&path=/containers/zk", "");
    docker_inspect(rig->docker, "zk", on_container, &hung);
    rig_spin(rig, 50);
    tell(bad, "misbehave?kind=huge&number=4294967296&path=/containers/zk", "");
    docker_inspect(rig->docker, "zk", on_container, &huge);
    rig_spin(rig, 50);
    expect_well(bad);
    assert_false(slow.done || hung.done || huge.done);
    until(rig, &slow, 60);
    until(rig, &hung, 60);
    until(rig, &huge, 60);
    assert_kind(&slow, ERR_TIMEOUT);
    assert_kind(&hung, ERR_TIMEOUT);
    assert_kind(&huge, ERR_TIMEOUT);
    docker_list(rig->docker, true, NULL, on_json, &other);
    until(rig, &other, 30);
    assert_kind(&other, ERR_NONE);
    assert_int_equal(rig->downs, 0);
}

static void a_reply_without_end_is_cut_off(void **state) {
    struct bad *bad = *state;
    auto_got struct got g = {0};
    create(bad, "zk");
    tell(bad, "misbehave?kind=bomb&path=/containers/zk", "");
    inspect(bad, "zk", &g);
    assert_kind(&g, ERR_LIMIT);
    expect_well(bad);
}

static void what_is_not_http_is_retry(void **state) {
    struct bad *bad = *state;
    static const char *const raw[] = {
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "HTTP/1.1 999999 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnot a length\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        "\r\n\r\n"};
    create(bad, "zk");
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        auto_got struct got g = {0};
        tell(bad, "misbehave?kind=raw&path=/containers/zk", raw[i]);
        inspect(bad, "zk", &g);
        assert_kind(&g, ERR_RETRY);
    }
    expect_well(bad);
}

static bool is_up_again(void *arg) {
    const struct rig *rig = arg;
    return rig->ups > 1 && rig->downs > 0 && docker_is_up(rig->docker);
}

static void an_event_that_cannot_be_read_is_a_gap(void **state) {
    struct bad *bad = *state;
    struct rig *rig = bad->rig;
    static const char body[] = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n\r\nnot an event\n";
    create(bad, "zk");
    tell(bad, "misbehave?kind=raw&path=/events&times=2", body);
    // The stream that is open ends with its engine's patience: a fresh client meets the raw one.
    struct rig *fresh = rig_open(bad->host, NULL);
    until_true(fresh, is_up_again, fresh, 30, "down and up again");
    assert_non_null(strstr(fresh->why.text, "event"));
    assert_int_equal(rig->downs, 0);
    size_t from = fresh->events_len;
    create(bad, "after");
    auto_got struct got g = {0};
    inspect(bad, "after", &g);
    rig_expect(fresh, from, g.container->id, "create");
    rig_close(fresh);
}

static bool is_up_after_down(void *arg) {
    const struct rig *rig = arg;
    return rig->downs == 1 && rig->ups == 1;
}

static void a_refused_events_stream_is_down(void **state) {
    struct bad *bad = *state;
    tell(bad, "misbehave?kind=status&number=403&path=/events&times=1",
         "{\"message\":\"no events for you\"}");
    struct rig *fresh = rig_open(bad->host, NULL);
    until_true(fresh, is_up_after_down, fresh, 30, "down and up again");
    assert_non_null(strstr(fresh->why.text, "no events for you"));
    rig_close(fresh);
}

static bool was_down(void *arg) {
    return ((struct rig *)arg)->downs > 0;
}

static void who_is_no_engine_is_told_so(void **state) {
    struct bad *bad = *state;
    tell(bad, "misbehave?kind=raw&path=/_ping&times=-1",
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
    struct rig *fresh = rig_open(bad->host, NULL);
    until_true(fresh, was_down, fresh, 30, "down");
    assert_non_null(strstr(fresh->why.text, "not a Docker engine"));
    rig_close(fresh);
}

static void a_directory_in_its_place_is_told_so(void **state) {
    (void)state;
    char folder[] = "/tmp/ocho-socket-XXXXXX";
    assert_non_null(mkdtemp(folder));
    auto_free char *host = xasprintf("unix://%s", folder);
    auto_free char *line = xasprintf(
        "docker engine %s: %s is a directory: was the socket there when it was mounted?", host,
        folder);
    struct rig *rig = rig_open(host, NULL);
    until_true(rig, was_down, rig, 30, "down");
    assert_string_equal(rig->why.text, line);
    assert_int_equal(rig->why.kind, ERR_RETRY);
    rig_close(rig);
    rmdir(folder);
}

static void an_engine_that_is_too_old_is_told_so(void **state) {
    (void)state;
    struct bad *bad = bad_open("1.40");
    auto_got struct got g = {0};
    until_true(bad->rig, was_down, bad->rig, 30, "down");
    assert_non_null(strstr(bad->rig->why.text, "too old"));
    assert_non_null(strstr(bad->rig->why.text, "upgrade"));
    docker_inspect(bad->rig->docker, "zk", on_container, &g);
    until(bad->rig, &g, 30);
    assert_kind(&g, ERR_RETRY);
    assert_int_equal(bad->rig->ups, 0);
    bad_close(bad);
}

// Nobody waits until it listens: the client tries again by itself.
static void an_engine_over_tcp_is_the_same(void **state) {
    (void)state;
    struct bad *bad = xnew(struct bad);
    auto_got struct got exec = {0};
    static const char *const argv[] = {"cat", NULL};
    const struct docker_exec cat = {
        .argv = argv, .input = "words", .input_len = 5, .timeout_ms = 30000};
    snprintf(bad->host, sizeof bad->host, "tcp://127.0.0.1:%d", free_port());
    bad->rig = rig_open(bad->host, NULL);
    assert_null(docker_socket_path(bad->rig->docker));
    until_true(bad->rig, was_down, bad->rig, 30, "nobody there yet");
    spawn(bad, "1.41");
    until_true(bad->rig, rig_is_up, bad->rig, 30, "up");
    create(bad, "zk");
    rig_start(bad->rig, "zk");
    docker_exec(bad->rig->docker, "zk", &cat, on_exec, &exec);
    until(bad->rig, &exec, 30);
    assert_kind(&exec, ERR_NONE);
    assert_string_equal(exec.out, "words");
    bad_close(bad);
}

static void a_newer_engine_is_spoken_to_in_our_version(void **state) {
    (void)state;
    struct bad *bad = bad_open("1.54");
    until_true(bad->rig, rig_is_up, bad->rig, 30, "up");
    assert_string_equal(docker_version(bad->rig->docker), "1.51");
    create(bad, "zk");
    expect_well(bad);
    bad_close(bad);
}

static void exec_of_garbage_is_retry(void **state) {
    struct bad *bad = *state;
    struct rig *rig = bad->rig;
    static const char *const argv[] = {"true", NULL};
    static const char *const starts[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nno frames at all",
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nno frames at all",
        "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n{\"message\":\"no\"}", ""};
    create(bad, "zk");
    rig_start(rig, "zk");
    for (size_t i = 0; i < 8; i++) {
        auto_got struct got g = {0};
        if (i == 2) // 101 to who did not ask: not even HTTP, and the deadline's business
            continue;
        struct docker_exec exec = {
            .argv = argv, .input = i % 2 ? "x" : NULL, .input_len = i % 2, .timeout_ms = 20000};
        tell(bad, "misbehave?kind=raw&path=/exec", starts[i / 2]);
        docker_exec(rig->docker, "zk", &exec, on_exec, &g);
        until(rig, &g, 60);
        assert_kind(&g, ERR_RETRY);
        tell(bad, "behave", "");
    }
    expect_well(bad);
}

static void an_exec_that_cannot_be_said_is_not_asked_for(void **state) {
    struct bad *bad = *state;
    static const char *const words[] = {"cat", "-", "caf\xe9", NULL};
    static const char *const env[] = {"A=b", "C=\xff", NULL};
    const struct docker_exec wrong[] = {{.argv = words, .timeout_ms = 20000},
                                        {.argv = words + 3, .env = env, .timeout_ms = 20000}};
    static const char *const said[] = {"exec cat in zk: argument 2 is not UTF-8: \"caf\\xe9\"",
                                       "variable 1 is not UTF-8: \"C=\\xff\""};
    create(bad, "zk");
    rig_start(bad->rig, "zk");
    tell(bad, "misbehave?kind=hang&path=/exec", "");
    for (size_t i = 0; i < 2; i++) {
        auto_got struct got g = {0};
        docker_exec(bad->rig->docker, "zk", &wrong[i], on_exec, &g);
        assert_false(g.done);
        until(bad->rig, &g, 60);
        assert_kind(&g, ERR_USER);
        assert_non_null(strstr(g.err.text, said[i]));
    }
    tell(bad, "behave", "");
    expect_well(bad);
}

static void clients_that_come_and_go_leave_nothing_behind(void **state) {
    struct bad *bad = *state;
    create(bad, "zk");
    for (int ms = 0; ms < 12; ms++) {
        struct rig *fresh = rig_open(bad->host, NULL);
        auto_got struct got one = {0}, all = {0};
        docker_inspect(fresh->docker, "zk", on_container, &one);
        docker_list(fresh->docker, true, NULL, on_json, &all);
        rig_spin(fresh, ms / 4);
        rig_close(fresh); // with whatever is in flight
    }
    expect_well(bad);
}

#define bad_test(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void) {
    const struct CMUnitTest tests[] = {
        bad_test(it_is_an_engine_when_it_behaves),
        bad_test(a_500_is_retry_with_its_message),
        bad_test(what_cannot_be_read_is_retry),
        bad_test(a_reply_cut_at_any_byte_is_retry),
        bad_test(a_stuck_call_times_out_and_delays_nobody),
        bad_test(a_reply_without_end_is_cut_off),
        bad_test(what_is_not_http_is_retry),
        bad_test(an_event_that_cannot_be_read_is_a_gap),
        bad_test(a_refused_events_stream_is_down),
        bad_test(who_is_no_engine_is_told_so),
        cmocka_unit_test(a_directory_in_its_place_is_told_so),
        cmocka_unit_test(an_engine_that_is_too_old_is_told_so),
        cmocka_unit_test(an_engine_over_tcp_is_the_same),
        cmocka_unit_test(a_newer_engine_is_spoken_to_in_our_version),
        bad_test(exec_of_garbage_is_retry),
        bad_test(an_exec_that_cannot_be_said_is_not_asked_for),
        bad_test(clients_that_come_and_go_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("docker-api before a bad engine", tests, NULL, NULL);
}
