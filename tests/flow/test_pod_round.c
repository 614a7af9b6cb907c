// Rounds as one pod sees them: check, on, and what is left alone.
#include "tests/flow/pod_stage.h"

static void check_touches_nothing_and_on_starts_it(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_process(s, "stopped");
    struct said *check = stage_check(s);
    expect_done(check);
    assert_true(json_is_false(json_object_get(check->answer, "started")));
    assert_false(stage_runs(s));
    expect_file(s, "conf/app.conf", "");
    expect_done(stage_on(s));
    assert_true(stage_runs(s));
    expect_file(s, "conf/app.conf", "peers 1\n");
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

static void an_unchanged_pod_is_left_alone(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static void strict_restarts_at_every_round(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  strict: true\n");
    stage_configure(s);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static char *mounts_of(struct stage *s) {
    struct docker_container *c = fake_engine_look(s->engine, WORKLOAD);
    assert_non_null(c);
    struct text t = {0};
    for (size_t i = 0; i < c->mounts_len; i++)
        text_addf(&t, "%s ", c->mounts[i].name);
    docker_container_free(c);
    return text_take(&t);
}

static void a_changed_environment_makes_another_container_with_the_same_volumes(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_json json_t *config = json_pack("{s:{s:{}}}", "Volumes", "/var/lib/app");
    stage_worker_gone(s);
    fake_engine_image(s->engine, "app:1", config);
    stage_worker(s);
    stage_configure(s);
    auto_free char *first = xstrdup(s->state->container);
    auto_free char *before = mounts_of(s);
    assert_non_null(strstr(before, "conf-volume"));
    assert_non_null(strstr(before, "ochopod-")); // of the image's own volume
    stage_grow(s);
    stage_configure(s);
    auto_free char *after = mounts_of(s);
    assert_string_not_equal(s->state->container, first);
    assert_string_equal(before, after);
    assert_null(engine_find(fake_engine_memory(s->engine), first));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static void the_engine_refusing_the_successor_leaves_the_old_one_running(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_grow(s);
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "create side-workload-next", 1, 400, "invalid something");
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "invalid something"));
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 1);
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_free(s);
}

static void a_failed_check_leaves_everything_as_it_was(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_grow(s);
    fake_engine_forget_calls(s->engine);
    fake_runner_fail(s->runner, "stage", 1, ERR_REFUSED, "no space left");
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    assert_string_equal(fake_engine_calls(s->engine), "");
    expect_file(s, "conf/app.conf", "peers 1\n");
    expect_process(s, "running");
    stage_free(s);
}

static void needs_say_what_is_missing(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf("%sneeds: {pods: 3}\n", s->yaml);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    assert_string_equal(check->err.text, "needs 3 pods, has 1");
    stage_free(s);
}

static void another_body_than_the_checked_one_is_checked_before_anything_is_touched(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_check(s));
    stage_grow(s);
    fake_runner_forget_calls(s->runner);
    fake_runner_fail(s->runner, "render", 1, ERR_REFUSED, "only half of them hold data");
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 1);
    expect_done(stage_check(s));
    expect_done(stage_on(s));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static void a_body_that_is_new_to_on_is_staged_and_started(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    stage_grow(s);
    expect_done(stage_on(s));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static const char quiet_yaml[] = "cluster: zk\nzk: 127.0.0.1:1\nstate_dir: %s/state\n"
                                 "workload:\n  image: app:1\n  on_change: {signal: HUP}\n"
                                 "files:\n  - target: %s/conf/app.conf\n"
                                 "    content: \"peers {{ size }}\\n\"\n";

static void changed_files_alone_may_be_told_by_a_signal(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf(quiet_yaml, s->dir, s->dir);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    stage_configure(s);
    stage_grow(s);
    fake_engine_forget_calls(s->engine);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    assert_int_equal(fake_engine_count(s->engine, "kill side-workload HUP"), 1);
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static void on_answers_only_when_it_is_ready_or_never_will_be(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  ready: {exec: [ready], timeout: 30s}\n");
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "exec side-workload", 10000, 500, "not today");
    struct said *on = stage_on(s);
    assert_string_equal(stage_said(on), "nothing yet");
    fake_loop_advance(s->loop, 28000);
    assert_string_equal(stage_said(on), "nothing yet");
    fake_loop_advance(s->loop, 3000);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "not ready within 30s"));
    expect_process(s, "running");
    assert_false(pod_ready(s->pod));
    stage_free(s);
}

static void dying_before_it_is_ready_fails_the_on(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  ready: {exec: [ready], timeout: 30s}\n");
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "exec side-workload", 10000, 500, "not today");
    struct said *on = stage_on(s);
    fake_engine_exit(s->engine, WORKLOAD, 3);
    fake_loop_advance(s->loop, 100);
    expect_kind(on, ERR_REFUSED);
    assert_string_equal(on->err.text, "the workload ended with 3 before it was ready");
    stage_free(s);
}

static void a_file_below_no_shared_volume_goes_in_by_the_archive_call(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf(
        "%s  - {target: /etc/app.conf, content: \"{{ size }} of them\"}\n", s->yaml);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    stage_configure(s);
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, "/etc/app.conf"), "1 of them");
    stage_grow(s);
    stage_configure(s);
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, "/etc/app.conf"), "2 of them");
    expect_process(s, "running");
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_touches_nothing_and_on_starts_it),
        cmocka_unit_test(an_unchanged_pod_is_left_alone),
        cmocka_unit_test(strict_restarts_at_every_round),
        cmocka_unit_test(a_changed_environment_makes_another_container_with_the_same_volumes),
        cmocka_unit_test(the_engine_refusing_the_successor_leaves_the_old_one_running),
        cmocka_unit_test(a_failed_check_leaves_everything_as_it_was),
        cmocka_unit_test(needs_say_what_is_missing),
        cmocka_unit_test(another_body_than_the_checked_one_is_checked_before_anything_is_touched),
        cmocka_unit_test(a_body_that_is_new_to_on_is_staged_and_started),
        cmocka_unit_test(changed_files_alone_may_be_told_by_a_signal),
        cmocka_unit_test(on_answers_only_when_it_is_ready_or_never_will_be),
        cmocka_unit_test(a_file_below_no_shared_volume_goes_in_by_the_archive_call),
        cmocka_unit_test(dying_before_it_is_ready_fails_the_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
