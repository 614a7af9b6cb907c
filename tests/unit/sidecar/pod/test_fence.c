#include "sidecar/pod/fence.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ME "11111111-1111-4111-8111-111111111111"

static const struct fence_mark mark = {"tree", 100, 5, 0}; // round 5 was checked
static const struct fence_witness nobody = {0};

static struct pod_request leader(enum pod_task task, int64_t epoch, int64_t round) {
    return (struct pod_request){.task = task,
                                .scope = POD_LEADER,
                                .target = ME,
                                .tree = "tree",
                                .epoch = epoch,
                                .round = round};
}

static enum fence_verdict judge(struct pod_request r) {
    return fence_judge(&mark, ME, true, &nobody, &r);
}

static void another_pods_request_is_refused_before_all_else(void **unused) {
    (void)unused;
    struct pod_request r = leader(POD_CHECK, 99, 1);
    r.target = "somebody else";
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_STRANGER);
    r.scope = POD_OPERATOR;
    assert_int_equal(judge(r), FENCE_STRANGER);
}

static void an_operator_is_always_heard(void **unused) {
    (void)unused;
    struct pod_request r = {.task = POD_OFF, .scope = POD_OPERATOR};
    assert_int_equal(judge(r), FENCE_PASS);
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_PASS);
}

static void a_lower_epoch_is_stale_in_every_task(void **unused) {
    (void)unused;
    for (int task = 0; task < POD_TASKS; task++)
        assert_int_equal(judge(leader((enum pod_task)task, 99, 1000)), FENCE_STALE);
}

static void a_higher_epoch_raises_the_mark_whatever_its_round(void **unused) {
    (void)unused;
    assert_int_equal(judge(leader(POD_CHECK, 101, 1)), FENCE_RAISE);
    assert_int_equal(judge(leader(POD_ON, 101, 1)), FENCE_RAISE);
}

static void rounds_only_grow_within_an_epoch(void **unused) {
    (void)unused;
    assert_int_equal(judge(leader(POD_CHECK, 100, 4)), FENCE_STALE);
    assert_int_equal(judge(leader(POD_ON, 100, 5)), FENCE_PASS);
    assert_int_equal(judge(leader(POD_CHECK, 100, 6)), FENCE_RAISE);
}

static void phases_only_come_in_order(void **unused) {
    (void)unused;
    static const enum pod_task order[] = {POD_CHECK, POD_OFF, POD_ON, POD_OK};
    for (int at = 0; at < 4; at++)
        for (int asked = 0; asked < 4; asked++) {
            struct fence_mark m = mark;
            m.phase = fence_phase(order[at]);
            struct pod_request r = leader(order[asked], 100, 5);
            assert_int_equal(fence_judge(&m, ME, true, &nobody, &r),
                             asked <= at ? FENCE_AGAIN : FENCE_PASS);
        }
}

static void detached_hears_no_leader(void **unused) {
    (void)unused;
    struct pod_request r = leader(POD_ON, 100, 5);
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
    r = leader(POD_ON, 101, 1);
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
    r.scope = POD_ORIGINAL;
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
}

static void an_unknown_tree_is_asked_for_once(void **unused) {
    (void)unused;
    struct pod_request r = leader(POD_CHECK, 1, 1);
    r.tree = "other";
    struct fence_witness other = {true, "other", false}, same = {true, "tree", false};
    assert_int_equal(judge(r), FENCE_WITNESS);
    assert_int_equal(fence_judge(&mark, ME, true, &other, &r), FENCE_RAISE);
    assert_int_equal(fence_judge(&mark, ME, true, &same, &r), FENCE_FOREIGN);
    struct fence_mark none = {"", 0, 0, -1};
    r = leader(POD_CHECK, 1, 1);
    assert_int_equal(fence_judge(&none, ME, true, &nobody, &r), FENCE_WITNESS);
    assert_int_equal(fence_judge(&none, ME, true, &same, &r), FENCE_RAISE);
    r.tree = NULL;
    assert_int_equal(fence_judge(&none, ME, true, &same, &r), FENCE_FOREIGN);
}

static void an_original_leader_is_heard_while_an_original_pod_is_there(void **unused) {
    (void)unused;
    struct pod_request r = {.task = POD_ON, .scope = POD_ORIGINAL};
    struct fence_witness there = {true, "tree", true}, gone = {true, "tree", false};
    assert_int_equal(judge(r), FENCE_WITNESS);
    assert_int_equal(fence_judge(&mark, ME, true, &there, &r), FENCE_PASS);
    assert_int_equal(fence_judge(&mark, ME, true, &gone, &r), FENCE_STALE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_pods_request_is_refused_before_all_else),
        cmocka_unit_test(an_operator_is_always_heard),
        cmocka_unit_test(a_lower_epoch_is_stale_in_every_task),
        cmocka_unit_test(a_higher_epoch_raises_the_mark_whatever_its_round),
        cmocka_unit_test(rounds_only_grow_within_an_epoch),
        cmocka_unit_test(phases_only_come_in_order),
        cmocka_unit_test(detached_hears_no_leader),
        cmocka_unit_test(an_unknown_tree_is_asked_for_once),
        cmocka_unit_test(an_original_leader_is_heard_while_an_original_pod_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
