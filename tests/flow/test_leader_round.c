// A round from its first change to the last ok.
#include "tests/flow/leader_stage.h"

static void a_round_walks_check_on_ok_and_is_written_down(void **state) {
    (void)state;
    struct stage *s = stage_create();
    fake_pods_add(s->pods, "a");
    fake_pods_add(s->pods, "b");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, generation(s) == 1, 200);
    run(s, 50);
    assert_story(s, "check a 1\ncheck b 1\non a 1\non b 1\nok a 1\nok b 1\n");
    assert_int_equal(strlen(node(s, "hash")), 64);
    assert_true(in_snapshot(s, "a") && in_snapshot(s, "b"));
    assert_true(member_is(s, "a", "joined") && member_is(s, "b", "founder"));
    assert_int_equal(leader_number(s, "epoch"), seat->epoch);
    assert_int_equal(leader_number(s, "round"), 1);
    assert_int_equal(strlen(node(s, "tree")), 36);
    assert_string_equal(leader_state(seat->leader), "leader");
    assert_string_equal(leader_status(seat->leader), "* configuration in 0.0 seconds");
    struct zk_stat stat;
    assert_true(fake_zk_stat(s->zk, ROOT "/snapshot", &stat));
    assert_int_equal(stat.ephemeral_owner, 0);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_walks_check_on_ok_and_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
