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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_touches_nothing_and_on_starts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
