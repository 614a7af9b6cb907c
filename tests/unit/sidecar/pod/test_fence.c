#include "sidecar/pod/fence.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define ME "11111111-1111-4111-8111-111111111111"

static const struct fence_mark mark = {"tree", 100, 5, 0, true}; // round 5 was checked
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

static enum fence_verdict judge_with(struct pod_request r, int64_t leads) {
    struct fence_witness said = {true, "tree", leads, 0, 120, false};
    return fence_judge(&mark, ME, true, &said, &r);
}

static void a_lower_epoch_is_stale_in_every_task(void **unused) {
    (void)unused;
    for (int task = 0; task < POD_TASKS; task++) {
        struct pod_request r = leader((enum pod_task)task, 99, 1000);
        assert_int_equal(judge(r), FENCE_WITNESS);
        assert_int_equal(judge_with(r, 100), FENCE_STALE);
        assert_int_equal(judge_with(r, 101), FENCE_STALE);
        assert_int_equal(judge_with(r, 0), FENCE_STALE); // it says of nobody
        assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_STALE);
    }
}

static void a_higher_epoch_raises_the_mark_whatever_its_round(void **unused) {
    (void)unused;
    static const enum pod_task tasks[] = {POD_CHECK, POD_ON};
    for (size_t i = 0; i < 2; i++) {
        struct pod_request r = leader(tasks[i], 101, 1);
        assert_int_equal(judge(r), FENCE_WITNESS);
        assert_int_equal(judge_with(r, 101), FENCE_RAISE);
        assert_int_equal(judge_with(r, 0), FENCE_RAISE);
        assert_int_equal(judge_with(r, 102), FENCE_STALE);
    }
}

// Whoever leads has written so before it asks. What is raised to an epoch of nobody's would hear no
// leader any more.
static void an_epoch_that_nobody_leads_with_is_not_raised_to(void **unused) {
    (void)unused;
    assert_int_equal(judge_with(leader(POD_CHECK, 101, 1), 100), FENCE_NOBODY);
    assert_int_equal(judge_with(leader(POD_CHECK, INT64_MAX, 1), 100), FENCE_NOBODY);
}

static enum fence_verdict judge_backup(struct pod_request r, const char *tree, int64_t written) {
    struct fence_witness said = {true, tree, 50, 0, written, false};
    r.tree = tree;
    return fence_judge(&mark, ME, true, &said, &r);
}

static void a_mark_ahead_of_who_leads_is_lowered(void **unused) {
    (void)unused;
    assert_int_equal(judge_backup(leader(POD_CHECK, 50, 1), "tree", 60), FENCE_LOWER);
    assert_int_equal(judge_backup(leader(POD_CHECK, 49, 1), "tree", 60), FENCE_STALE);
    assert_int_equal(judge_backup(leader(POD_CHECK, 51, 1), "tree", 60), FENCE_NOBODY);
    assert_int_equal(judge_backup(leader(POD_CHECK, 50, 1), "another", 60), FENCE_LOWER);
}

// What is written now into a ZooKeeper that knows of the mark is newer than the mark.
static void no_hand_brings_back_a_leader_of_yesterday(void **unused) {
    (void)unused;
    assert_int_equal(judge_backup(leader(POD_ON, 50, 1), "tree", 101), FENCE_STALE);
    assert_int_equal(judge_backup(leader(POD_ON, 50, 1), "tree", 100), FENCE_STALE);
    assert_int_equal(judge_backup(leader(POD_ON, 50, 1), "another", 101), FENCE_STALE);
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

// They have no place in a round: heard in each phase, as often as they are sent, and no less
// fenced.
static void kill_and_signal_come_at_any_time_of_the_present_round(void **unused) {
    (void)unused;
    static const enum pod_task tasks[] = {POD_KILL, POD_SIGNAL};
    for (size_t i = 0; i < 2; i++)
        for (int phase = -1; phase < 4; phase++) {
            struct fence_mark m = mark;
            m.phase = phase;
            struct pod_request r = leader(tasks[i], 100, 5);
            assert_int_equal(fence_judge(&m, ME, true, &nobody, &r), FENCE_PASS);
            assert_true(fence_still(&m, &r));
            r.round = 4;
            assert_int_equal(fence_judge(&m, ME, true, &nobody, &r), FENCE_STALE);
            assert_false(fence_still(&m, &r));
        }
}

// An epoch alone says nothing: it is compared within one tree.
static void who_names_no_tree_is_foreign(void **unused) {
    (void)unused;
    for (int64_t epoch = 99; epoch <= 101; epoch++) {
        struct pod_request r = leader(POD_ON, epoch, 5);
        r.tree = NULL;
        struct fence_witness same = {true, "tree", 0, 0, 0, false};
        assert_int_equal(judge(r), FENCE_WITNESS);
        assert_int_equal(fence_judge(&mark, ME, true, &same, &r), FENCE_FOREIGN);
    }
}

static void detached_hears_no_leader(void **unused) {
    (void)unused;
    struct pod_request r = leader(POD_ON, 100, 5);
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
    r = leader(POD_ON, 101, 1);
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
    r.tree = "other"; // of which nothing is known
    r.epoch = 1;
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
    r.scope = POD_ORIGINAL;
    assert_int_equal(fence_judge(&mark, ME, false, &nobody, &r), FENCE_DETACHED);
}

static void an_unknown_tree_is_asked_for_once(void **unused) {
    (void)unused;
    struct pod_request r = leader(POD_CHECK, 1, 1);
    r.tree = "other";
    struct fence_witness other = {true, "other", 0, 0, 0, false},
                         same = {true, "tree", 0, 0, 0, false};
    assert_int_equal(judge(r), FENCE_WITNESS);
    assert_int_equal(fence_judge(&mark, ME, true, &other, &r), FENCE_STALE); // nobody leads there
    r.epoch = 101;
    assert_int_equal(fence_judge(&mark, ME, true, &other, &r), FENCE_RAISE);
    assert_int_equal(fence_judge(&mark, ME, true, &same, &r), FENCE_FOREIGN);
    r.epoch = 100; // the number that we know, of another
    assert_int_equal(fence_judge(&mark, ME, true, &other, &r), FENCE_RAISE);
    struct fence_mark none = {"", 0, 0, -1, true};
    r = leader(POD_CHECK, 1, 1);
    assert_int_equal(fence_judge(&none, ME, true, &nobody, &r), FENCE_WITNESS);
    assert_int_equal(fence_judge(&none, ME, true, &same, &r), FENCE_RAISE);
    r.tree = NULL;
    assert_int_equal(fence_judge(&none, ME, true, &same, &r), FENCE_FOREIGN);
}

static void who_just_attached_asks_who_leads(void **unused) {
    (void)unused;
    struct fence_mark m = mark;
    m.confirmed = false;
    struct fence_witness same = {true, "tree", 100, 5, 0, false},
                         older = {true, "tree", 99, 0, 0, false},
                         newer = {true, "tree", 101, 0, 0, false},
                         none = {true, "", 0, 0, 0, false};
    struct pod_request r = leader(POD_CHECK, 100, 6);
    assert_int_equal(fence_judge(&m, ME, true, &nobody, &r), FENCE_WITNESS);
    assert_int_equal(fence_judge(&m, ME, true, &same, &r), FENCE_RAISE);
    assert_int_equal(fence_judge(&m, ME, true, &older, &r), FENCE_NOBODY);
    assert_int_equal(fence_judge(&m, ME, true, &newer, &r), FENCE_STALE);
    assert_int_equal(fence_judge(&m, ME, true, &none, &r), FENCE_FOREIGN);
}

static void what_waited_may_have_been_overtaken(void **unused) {
    (void)unused;
    struct fence_mark m = mark;
    struct pod_request on = leader(POD_ON, 100, 5), off = leader(POD_OFF, 100, 5);
    assert_true(fence_still(&m, &on));
    m.phase = fence_phase(POD_ON);
    assert_true(fence_still(&m, &on));
    assert_false(fence_still(&m, &off));
    m.round = 6;
    assert_false(fence_still(&m, &on));
    m = mark;
    m.epoch = 101;
    assert_false(fence_still(&m, &on));
    m = mark;
    m.tree = "other";
    assert_false(fence_still(&m, &on));
    m = mark;
    m.confirmed = false;
    assert_false(fence_still(&m, &on));
}

static void an_original_leader_is_heard_while_an_original_pod_is_there(void **unused) {
    (void)unused;
    struct pod_request r = {.task = POD_ON, .scope = POD_ORIGINAL};
    struct fence_witness there = {true, "tree", 0, 0, 0, true},
                         gone = {true, "tree", 0, 0, 0, false};
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
        cmocka_unit_test(an_epoch_that_nobody_leads_with_is_not_raised_to),
        cmocka_unit_test(a_mark_ahead_of_who_leads_is_lowered),
        cmocka_unit_test(no_hand_brings_back_a_leader_of_yesterday),
        cmocka_unit_test(rounds_only_grow_within_an_epoch),
        cmocka_unit_test(phases_only_come_in_order),
        cmocka_unit_test(kill_and_signal_come_at_any_time_of_the_present_round),
        cmocka_unit_test(who_names_no_tree_is_foreign),
        cmocka_unit_test(detached_hears_no_leader),
        cmocka_unit_test(an_unknown_tree_is_asked_for_once),
        cmocka_unit_test(who_just_attached_asks_who_leads),
        cmocka_unit_test(what_waited_may_have_been_overtaken),
        cmocka_unit_test(an_original_leader_is_heard_while_an_original_pod_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
