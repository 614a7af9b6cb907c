// The fake engine keeps what the real one was seen to do (tests/integration/docker): what flow
// tests of other stations stand on.
#include "base/own.h"
#include "tests/fake/docker.h"
#include "tests/fake/loop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct rig {
    struct loop *loop;
    struct fake_engine *engine;
    struct docker *docker;
    char said[4096]; // what the listener heard, and the callbacks, in order
};

static void __attribute__((format(printf, 2, 3))) note(struct rig *rig, const char *fmt, ...) {
    size_t len = strlen(rig->said);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(rig->said + len, sizeof rig->said - len, fmt, ap);
    va_end(ap);
}

static void on_up(const char *api_version, const char *engine_version, void *arg) {
    (void)engine_version;
    note(arg, "up %s\n", api_version);
}

static void on_down(const struct err *why, void *arg) {
    note(arg, "down%s\n", why->kind == ERR_RETRY ? "" : " oddly");
}

static void on_event(const char *container_id, const char *name, const json_t *attributes,
                     int64_t time_ns, void *arg) {
    (void)container_id;
    (void)time_ns;
    note(arg, "%s %s\n", name, json_text(attributes, "exitCode"));
}

static void on_done(const struct err *err, void *arg) {
    note(arg, "done %s\n", err_kind_name(err->kind));
}

static void on_id(const char *id, const struct err *err, void *arg) {
    note(arg, "id %s%s\n", id ? "yes" : "no", err->kind == ERR_NONE ? "" : err->text);
}

static void on_waited(int exit_code, const struct err *err, void *arg) {
    note(arg, "waited %d %s\n", exit_code, err_kind_name(err->kind));
}

static void on_exec(const struct docker_exec_result *result, const struct err *err, void *arg) {
    note(arg, "exec %s %s\n", result ? result->out : "-", err_kind_name(err->kind));
}

static void on_line(int stream, const char *line, size_t len, int64_t time_ns, void *arg) {
    (void)len;
    (void)time_ns;
    note(arg, "%s: %s\n", stream == 1 ? "out" : "err", line);
}

static void on_end(const struct err *err, void *arg) {
    note(arg, "end %s\n", err_kind_name(err->kind));
}

static int up(void **state) {
    static const struct docker_events_listener listener = {on_up, on_down, on_event};
    struct rig *rig = test_calloc(1, sizeof *rig);
    struct err err = ERR_INIT;
    rig->loop = loop_create();
    rig->engine = fake_engine_create(rig->loop, NULL);
    assert_int_equal(docker_open(rig->loop, NULL, NULL, &listener, NULL, rig, &rig->docker, &err),
                     0);
    fake_loop_run_until_idle(rig->loop);
    assert_string_equal(rig->said, "up 1.41\n");
    rig->said[0] = 0;
    *state = rig;
    return 0;
}

static int down(void **state) {
    struct rig *rig = *state;
    docker_close(rig->docker);
    fake_engine_free(rig->engine);
    loop_free(rig->loop);
    test_free(rig);
    return 0;
}

static void create(struct rig *rig, const char *name) {
    auto_json json_t *body = json_pack("{s:s}", "Image", "app:1");
    docker_create(rig->docker, name, body, on_id, rig);
    fake_loop_run_until_idle(rig->loop);
}

static void start(struct rig *rig, const char *name) {
    docker_start(rig->docker, name, on_done, rig);
    fake_loop_run_until_idle(rig->loop);
}

#define expect_said(rig, text)                                                                     \
    do {                                                                                           \
        assert_string_equal((rig)->said, text);                                                    \
        (rig)->said[0] = 0;                                                                        \
    } while (0)

static void an_event_comes_before_the_reply_that_caused_it(void **state) {
    struct rig *rig = *state;
    create(rig, "zk");
    start(rig, "zk");
    expect_said(rig, "create \nid yes\nstart \ndone none\n");
    start(rig, "zk"); // 304
    expect_said(rig, "done none\n");
    assert_string_equal(fake_engine_calls(rig->engine), "create zk\nstart zk\nstart zk\n");
}

static void inspect_sees_the_end_after_the_die_event(void **state) {
    struct rig *rig = *state;
    create(rig, "zk");
    start(rig, "zk");
    fake_engine_exit(rig->engine, "zk", 7);
    fake_loop_run_until_idle(rig->loop);
    struct docker_container *c = fake_engine_look(rig->engine, "zk");
    assert_true(c->running);
    docker_container_free(c);
    fake_loop_advance(rig->loop, 50);
    c = fake_engine_look(rig->engine, "zk");
    assert_false(c->running);
    assert_int_equal(c->exit_code, 7);
    assert_string_equal(c->status, "exited");
    docker_container_free(c);
}

static void stop_ends_in_kill_when_the_process_does_not_care(void **state) {
    struct rig *rig = *state;
    fake_engine_habits(rig->engine, "deaf", (struct fake_habits){.term_ms = -1, .exit_ms = -1});
    create(rig, "deaf");
    start(rig, "deaf");
    rig->said[0] = 0;
    docker_stop(rig->docker, "deaf", NULL, 10, on_done, rig);
    fake_loop_advance(rig->loop, 9999);
    expect_said(rig, "kill \n");
    fake_loop_advance(rig->loop, 1);
    expect_said(rig, "die 137\nstop \ndone none\n");
    docker_stop(rig->docker, "deaf", NULL, 10, on_done, rig);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "done none\n");
}

static void stop_takes_as_long_as_the_process_does(void **state) {
    struct rig *rig = *state;
    fake_engine_habits(rig->engine, NULL,
                       (struct fake_habits){.term_ms = 300, .term_exit = 0, .exit_ms = -1});
    create(rig, "zk");
    start(rig, "zk");
    rig->said[0] = 0;
    docker_stop(rig->docker, "zk", "INT", 10, on_done, rig);
    fake_loop_advance(rig->loop, 300);
    expect_said(rig, "kill \ndie 0\nstop \ndone none\n");
    assert_int_equal(fake_engine_count(rig->engine, "stop zk INT 10"), 1);
}

static void who_lives_in_a_pid_namespace_dies_with_it(void **state) {
    struct rig *rig = *state;
    auto_json json_t *body = json_pack("{s:s, s:{s:s}}", "Image", "app:1", "HostConfig", "PidMode",
                                       "container:holder");
    create(rig, "holder");
    docker_create(rig->docker, "zk", body, on_id, rig);
    fake_loop_run_until_idle(rig->loop);
    start(rig, "zk");
    assert_non_null(strstr(rig->said, "done exists")); // the holder does not run
    start(rig, "holder");
    start(rig, "zk");
    rig->said[0] = 0;
    fake_engine_exit(rig->engine, "holder", 0);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "die 0\ndie 137\n");
}

static void set_flag(void *arg) {
    note(arg, "armed\n");
}

static void wait_is_armed_then_answers_at_the_end(void **state) {
    struct rig *rig = *state;
    create(rig, "zk");
    rig->said[0] = 0;
    docker_wait(rig->docker, "zk", "next-exit", set_flag, on_waited, rig);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "armed\n");
    start(rig, "zk");
    fake_engine_exit(rig->engine, "zk", 3);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "start \ndone none\ndie 3\nwaited 3 none\n");
}

static void what_is_scripted_fails_and_nothing_else(void **state) {
    struct rig *rig = *state;
    create(rig, "zk");
    rig->said[0] = 0;
    fake_engine_fail(rig->engine, "start zk", 1, 500, "driver failed");
    fake_engine_fail(rig->engine, "kill", 1, FAKE_HANG, "");
    start(rig, "zk");
    start(rig, "zk");
    expect_said(rig, "done retry\nstart \ndone none\n");
    docker_kill(rig->docker, "zk", "TERM", on_done, rig);
    fake_loop_advance(rig->loop, 19999);
    expect_said(rig, "");
    fake_loop_advance(rig->loop, 1);
    expect_said(rig, "done timeout\n");
    fake_engine_fail(rig->engine, "remove", 1, FAKE_LOST, "cut off");
    docker_remove(rig->docker, "zk", true, true, on_done, rig);
    fake_loop_run_until_idle(rig->loop);
    assert_non_null(strstr(rig->said, "destroy \n"));
    assert_non_null(strstr(rig->said, "done retry\n"));
    assert_null(fake_engine_look(rig->engine, "zk"));
}

static void a_gap_is_told_once_and_hides_events(void **state) {
    struct rig *rig = *state;
    create(rig, "zk");
    start(rig, "zk");
    rig->said[0] = 0;
    docker_wait(rig->docker, "zk", NULL, NULL, on_waited, rig);
    fake_loop_run_until_idle(rig->loop);
    fake_engine_down(rig->engine, "killed");
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "down\nwaited -1 retry\n");
    fake_engine_exit(rig->engine, "zk", 0);
    start(rig, "zk");
    expect_said(rig, "done retry\n");
    fake_engine_up(rig->engine);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "up 1.41\n");
}

static void a_frozen_engine_answers_after_it_was_thawed(void **state) {
    struct rig *rig = *state;
    create(rig, "zk");
    rig->said[0] = 0;
    fake_engine_freeze(rig->engine);
    start(rig, "zk");
    fake_loop_advance(rig->loop, 1000);
    expect_said(rig, "");
    fake_engine_thaw(rig->engine);
    fake_loop_advance(rig->loop, 10);
    expect_said(rig, "start \ndone none\n");
    fake_engine_freeze(rig->engine);
    fake_loop_advance(rig->loop, 20000);
    expect_said(rig, "down\n");
    fake_engine_thaw(rig->engine);
    fake_loop_advance(rig->loop, 10);
    expect_said(rig, "up 1.41\n");
}

static void answer_exec(struct fake_exec *exec, void *arg) {
    (void)arg;
    snprintf(exec->out, sizeof exec->out, "%s:%s<%s", exec->container, exec->argv[0],
             exec->input ? exec->input : "");
    exec->ms = 100;
}

static void execs_are_answered_by_the_test(void **state) {
    struct rig *rig = *state;
    static const char *const argv[] = {"srvr", "x", NULL};
    const struct docker_exec exec = {
        .argv = argv, .input = "in", .input_len = 2, .timeout_ms = 5000};
    fake_engine_on_exec(rig->engine, answer_exec, NULL);
    create(rig, "zk");
    docker_exec(rig->docker, "zk", &exec, on_exec, rig);
    fake_loop_run_until_idle(rig->loop);
    assert_non_null(strstr(rig->said, "exec - exists\n")); // not running
    start(rig, "zk");
    rig->said[0] = 0;
    docker_exec(rig->docker, "zk", &exec, on_exec, rig);
    fake_loop_advance(rig->loop, 99);
    expect_said(rig, "");
    fake_loop_advance(rig->loop, 1);
    expect_said(rig, "exec zk:srvr<in none\n");
    assert_int_equal(fake_engine_count(rig->engine, "exec zk srvr x"), 2);
}

static void logs_follow_until_the_end(void **state) {
    struct rig *rig = *state;
    static const struct docker_logs_events events = {on_line, on_end};
    create(rig, "zk");
    start(rig, "zk");
    fake_engine_say(rig->engine, "zk", 1, "before");
    rig->said[0] = 0;
    docker_logs(rig->docker, "zk", false, 0, 10, &events, rig);
    fake_loop_run_until_idle(rig->loop);
    fake_engine_say(rig->engine, "zk", 2, "after");
    fake_loop_run_until_idle(rig->loop);
    fake_engine_exit(rig->engine, "zk", 0);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "out: before\nerr: after\ndie 0\nend none\n");
}

static void an_image_is_there_after_its_pull(void **state) {
    struct rig *rig = *state;
    auto_json json_t *body = json_pack("{s:s}", "Image", "other:2");
    docker_create(rig->docker, "x1", body, on_id, rig);
    docker_pull(rig->docker, "other:2", NULL, on_done, rig);
    fake_loop_run_until_idle(rig->loop);
    assert_non_null(strstr(rig->said, "No such image: other:2"));
    assert_non_null(strstr(rig->said, "done absent\n"));
    rig->said[0] = 0;
    fake_engine_registry(rig->engine, "other:2", NULL, 1000);
    docker_pull(rig->docker, "other:2", NULL, on_done, rig);
    fake_loop_advance(rig->loop, 999);
    expect_said(rig, "");
    fake_loop_advance(rig->loop, 1);
    docker_create(rig->docker, "x1", body, on_id, rig);
    fake_loop_run_until_idle(rig->loop);
    expect_said(rig, "done none\ncreate \nid yes\n");
}

static void a_restarted_engine_ended_what_ran_and_nobody_heard(void **state) {
    struct rig *rig = *state;
    fake_engine_habits(rig->engine, "zk",
                       (struct fake_habits){.term_ms = 10, .term_exit = 0, .exit_ms = -1});
    create(rig, "zk");
    start(rig, "zk");
    rig->said[0] = 0;
    fake_engine_restart(rig->engine);
    fake_loop_advance(rig->loop, 200);
    expect_said(rig, "down\nup 1.41\n");
    struct docker_container *c = fake_engine_look(rig->engine, "zk");
    assert_string_equal(c->status, "exited");
    assert_int_equal(c->exit_code, 0);
    docker_container_free(c);
}

#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void) {
    const struct CMUnitTest tests[] = {
        rig_test(an_event_comes_before_the_reply_that_caused_it),
        rig_test(inspect_sees_the_end_after_the_die_event),
        rig_test(stop_ends_in_kill_when_the_process_does_not_care),
        rig_test(stop_takes_as_long_as_the_process_does),
        rig_test(who_lives_in_a_pid_namespace_dies_with_it),
        rig_test(wait_is_armed_then_answers_at_the_end),
        rig_test(what_is_scripted_fails_and_nothing_else),
        rig_test(a_gap_is_told_once_and_hides_events),
        rig_test(a_frozen_engine_answers_after_it_was_thawed),
        rig_test(execs_are_answered_by_the_test),
        rig_test(logs_follow_until_the_end),
        rig_test(an_image_is_there_after_its_pull),
        rig_test(a_restarted_engine_ended_what_ran_and_nobody_heard),
    };
    return cmocka_run_group_tests_name("fake engine", tests, NULL, NULL);
}
