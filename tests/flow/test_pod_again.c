// What is heard a second time, what has been overtaken while it waited, and what ZooKeeper says of
// it.
#include "tests/flow/pod_stage.h"

static struct said *operator_asks(struct stage *s, enum pod_task task) {
    struct pod_request request = {.task = task, .scope = POD_OPERATOR, .budget_ms = 60000};
    return stage_send(s, &request);
}

static void expect_nothing_yet(const struct said *said) {
    assert_string_equal(stage_said(said), "nothing yet");
}

// A check that takes 2 s, as it makes the container.
static struct said *slow_check(struct stage *s) {
    fake_engine_latency(s->engine, "create", 2000);
    s->round++;
    struct said *said = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 100);
    expect_nothing_yet(said);
    return said;
}

// ---- a second time ----

// An operator's on runs and his off waits: a leader who asks for off again hears what he heard, at
// once, and neither waits for the operator nor is waited for.
static void an_operators_request_is_no_leaders(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_check(s));
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_done(off);
    fake_engine_latency(s->engine, "start", 3000);
    struct said *on = operator_asks(s, POD_ON);
    fake_loop_advance(s->loop, 100);
    struct said *his = operator_asks(s, POD_OFF), *again = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 100);
    expect_done(again);
    expect_nothing_yet(on);
    expect_nothing_yet(his);
    fake_loop_advance(s->loop, 20000);
    expect_done(on);
    expect_done(his);
    expect_process(s, "stopped");
    stage_free(s);
}

// The check of an older leader, or of an older round, goes on. What is asked by the newer waits for
// it, twice the same, and is never answered with its answer.
static void an_older_check_that_runs_answers_nobody_newer(void **unused) {
    (void)unused;
    for (int i = 0; i < 4; i++) {
        bool epoch = i & 1, detached = i & 2;
        struct stage *s = stage_create("");
        struct said *older = slow_check(s);
        s->epoch += epoch;
        s->round += !epoch;
        struct said *newer = stage_ask(s, POD_CHECK, 60000),
                    *again = stage_ask(s, POD_CHECK, 60000);
        fake_loop_advance(s->loop, 100);
        if (detached) {
            pod_attached(s->pod, false);
            pod_attached(s->pod, true);
        }
        expect_nothing_yet(older);
        expect_nothing_yet(newer);
        expect_nothing_yet(again);
        fake_loop_advance(s->loop, 5000);
        expect_done(older);
        expect_kind(newer, detached ? ERR_DETACHED : ERR_NONE);
        expect_kind(again, detached ? ERR_DETACHED : ERR_NONE);
        stage_free(s);
    }
}

// Somebody turned out to be dead, so it is asked once more in the same round without him: while the
// first is under way and when it is over.
static void a_check_may_come_again_with_another_body(void **unused) {
    (void)unused;
    for (int late = 0; late < 2; late++) {
        struct stage *s = stage_create("");
        struct said *first = slow_check(s);
        fake_loop_advance(s->loop, late ? 5000 : 100);
        stage_grow(s);
        struct said *other = stage_ask(s, POD_CHECK, 60000), *twin = stage_ask(s, POD_CHECK, 60000);
        if (!late)
            expect_nothing_yet(first);
        fake_loop_advance(s->loop, 5000);
        expect_done(first);
        expect_done(other);
        expect_done(twin);
        fake_engine_latency(s->engine, "create", 0);
        expect_done(stage_on(s));
        expect_file(s, "conf/app.conf", "peers 2\n");
        stage_free(s);
    }
}

static void nothing_else_may_come_again_with_another_body(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "start", 2000);
    struct said *on = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 100);
    stage_grow(s);
    struct said *other = stage_ask(s, POD_ON, 60000), *check = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 100);
    expect_nothing_yet(on);
    expect_kind(other, ERR_FENCED);
    expect_kind(check, ERR_FENCED); // on has begun
    fake_loop_advance(s->loop, 5000);
    expect_done(on);
    expect_kind(stage_on(s), ERR_FENCED);
    expect_file(s, "conf/app.conf", "peers 1\n");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

// What a former worker answered is not known any more, yet the phases come in order.
static void a_check_that_comes_behind_its_on_is_refused_after_a_crash_too(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    stage_worker_gone(s);
    stage_worker(s);
    expect_done(stage_on(s));
    struct said *check = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_kind(check, ERR_FENCED);
    expect_process(s, "running");
    stage_free(s);
}

// ---- overtaken ----

static void what_waits_of_an_older_round_is_not_begun(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "stop", 2000);
    struct said *off = stage_ask(s, POD_OFF, 60000), *on = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 100);
    s->round++;
    struct said *check = stage_ask(s, POD_CHECK, 60000), *again = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 100);
    expect_nothing_yet(check); // the step that runs is waited for
    fake_loop_advance(s->loop, 5000);
    expect_done(off);
    expect_kind(on, ERR_FENCED);
    expect_done(check);
    expect_done(again);
    expect_process(s, "stopped");
    expect_done(stage_on(s));
    expect_process(s, "running");
    stage_free(s);
}

static void an_operators_request_outlives_a_change_of_leaders(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "stop", 2000);
    struct said *off = stage_ask(s, POD_OFF, 60000), *on = operator_asks(s, POD_ON);
    fake_loop_advance(s->loop, 100);
    s->epoch++;
    struct said *check = stage_ask(s, POD_CHECK, 60000), *again = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 20000);
    expect_done(off);
    expect_done(on);
    expect_done(check);
    expect_done(again);
    expect_process(s, "running");
    stage_free(s);
}

static void who_is_leaving_hears_nobody(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    fake_engine_latency(s->engine, "stop", 2000);
    pod_leave(s->pod, 8000, NULL, NULL);
    s->epoch++;
    expect_kind(stage_check(s), ERR_RETRY);
    struct said *on = operator_asks(s, POD_ON);
    fake_loop_advance(s->loop, 20000);
    expect_kind(on, ERR_RETRY);
    assert_int_equal(s->state->epoch, 100);
    assert_false(stage_runs(s));
    stage_free(s);
}

// ---- what ZooKeeper says ----

// It was away for a moment and nothing has happened meanwhile: its round goes on, and what was
// answered in it is not carried out again.
static void who_comes_back_into_its_own_round_goes_on_with_it(void **unused) {
    (void)unused;
    for (int behind = 0; behind < 2; behind++) {
        struct stage *s = stage_create("");
        stage_configure(s);
        expect_done(stage_check(s));
        expect_done(stage_on(s));
        pod_attached(s->pod, false);
        pod_attached(s->pod, true);
        s->zk_epoch = s->epoch;
        s->zk_round = s->round - behind; // the round may have touched nobody yet
        int asked = s->asked_who_leads;
        fake_engine_forget_calls(s->engine);
        expect_done(stage_on(s));
        assert_int_equal(s->asked_who_leads, asked + 1);
        assert_string_equal(fake_engine_calls(s->engine), "");
        assert_int_equal(s->state->round, s->round);
        struct said *ok = stage_ask(s, POD_OK, 60000);
        fake_loop_advance(s->loop, 1000);
        expect_done(ok);
        stage_free(s);
    }
}

// Nobody has led this tree yet: that it is ours is enough, and asked for.
static void where_nobody_has_led_yet_the_tree_decides(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_nobody = true;
    s->zk_tree = OTHER;
    expect_kind(stage_check(s), ERR_DETACHED);
    assert_int_equal(s->state->epoch, 0);
    s->zk_tree = TREE;
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

// A newer leader is known of, and that cannot be kept: nobody is heard, and it is asked again.
static void a_newer_leader_that_cannot_be_kept_lets_nobody_in(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *beside = xasprintf("%s/state/pod.json.new", s->dir);
    assert_int_equal(mkdir(beside, 0700), 0); // it cannot be opened for writing, by root neither
    s->zk_epoch = 101;
    for (int i = 0; i < 2; i++) {
        struct said *check = stage_check(s);
        expect_kind(check, ERR_REFUSED);
        assert_non_null(strstr(check->err.text, "state directory"));
        assert_int_equal(s->asked_who_leads, i + 1);
        assert_int_equal(s->state->epoch, 0);
    }
    assert_int_equal(rmdir(beside), 0);
    expect_kind(stage_check(s), ERR_FENCED);
    assert_int_equal(s->state->epoch, 101);
    stage_free(s);
}

// The answer finds nobody: what it says is not taken for anybody, nor is anything begun.
static void who_leaves_while_zookeeper_is_asked_is_forgotten(void **unused) {
    (void)unused;
    for (int i = 0; i < 4; i++) {
        bool original = i & 1, away = i & 2;
        struct stage *s = stage_create("");
        auto_free char *body = stage_body(s);
        struct pod_request request = {.task = POD_CHECK,
                                      .scope = original ? POD_ORIGINAL : POD_LEADER,
                                      .tree = original ? NULL : TREE,
                                      .epoch = original ? 0 : 100,
                                      .budget_ms = 60000,
                                      .body = body,
                                      .body_len = strlen(body)};
        s->zk_original = true;
        s->zk_away = away;
        struct said *said = stage_send(s, &request);
        pod_forget(&said->ask);
        fake_loop_advance(s->loop, 1000);
        assert_false(said->came);
        assert_int_equal(s->state->epoch, 0);
        assert_int_equal(stage_starts(s), -1); // no container
        int asked = s->asked_who_leads;
        assert_int_equal(asked, !original);
        s->zk_away = false;
        stage_configure(s);
        assert_int_equal(s->asked_who_leads, asked + 1);
        stage_free(s);
    }
}

static void a_pod_that_ends_while_zookeeper_is_asked_is_not_called_back(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->round++;
    struct said *said = stage_ask(s, POD_CHECK, 60000);
    stage_worker_gone(s);
    fake_loop_advance(s->loop, 1000);
    assert_false(said->came);
    assert_int_equal(s->asked_who_leads, 1);
    stage_worker(s);
    assert_int_equal(s->state->epoch, 0);
    stage_free(s);
}

// ---- another worker ----

static void worker_again(struct stage *s) {
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 1000);
}

static bool check_says(struct stage *s, const char *key) {
    struct said *said = stage_check(s);
    expect_done(said);
    return json_is_true(json_object_get(said->answer, key));
}

// The stop goes on in the engine without the worker that asked for it: the leader must not take it
// for one that is well, and stop another beside it.
static void who_is_still_being_stopped_by_a_worker_that_is_gone_is_not_ready(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct fake_habits slow = FAKE_HABITS_USUAL;
    assert_false(check_says(s, "ready"));
    expect_done(stage_on(s));
    assert_true(check_says(s, "ready"));
    slow.term_ms = 8000;
    fake_engine_habits(s->engine, WORKLOAD, slow);
    stage_grow(s);
    assert_true(check_says(s, "ready"));
    expect_nothing_yet(stage_on(s));
    worker_again(s);
    expect_process(s, "running");
    assert_true(check_says(s, "running"));
    assert_false(check_says(s, "ready"));
    fake_engine_habits(s->engine, WORKLOAD, FAKE_HABITS_USUAL);
    struct said *on = stage_on(s);
    fake_loop_advance(s->loop, 12000);
    expect_done(on);
    assert_true(check_says(s, "ready"));
    stage_free(s);
}

// ---- an operator's on ----

// Woken, and the worker ends before the engine has heard of it, or while it starts it.
static struct stage *woken_in_vain(void) {
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_operator(s, POD_OFF));
    worker_again(s);
    expect_process(s, "stopped");
    fake_engine_fail(s->engine, "start " WORKLOAD, 1, FAKE_HANG, "");
    struct said *on = operator_asks(s, POD_ON);
    fake_loop_advance(s->loop, 100);
    expect_nothing_yet(on);
    assert_false(stage_runs(s));
    return s;
}

static void an_operators_on_is_kept_before_it_is_carried_out(void **unused) {
    (void)unused;
    struct stage *s = woken_in_vain();
    worker_again(s);
    expect_process(s, "running");
    assert_true(stage_runs(s));
    assert_false(s->state->woken);
    // It has run: from here on a leader's off is what counts.
    expect_done(stage_check(s));
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_done(off);
    worker_again(s);
    expect_process(s, "stopped");
    // And that it is to run is kept also where nothing but the leader held it.
    fake_engine_fail(s->engine, "start " WORKLOAD, 1, FAKE_HANG, "");
    expect_nothing_yet(stage_operator(s, POD_ON));
    worker_again(s);
    expect_process(s, "running");
    stage_free(s);
}

static void an_off_behind_it_is_what_counts(void **unused) {
    (void)unused;
    for (int leaders = 0; leaders < 2; leaders++) {
        struct stage *s = woken_in_vain();
        stage_worker_gone(s);
        fake_engine_fail(s->engine, "start " WORKLOAD, 1000, 500, "no such runtime");
        stage_worker(s);
        fake_loop_advance(s->loop, 1000);
        expect_process(s, "stopped");
        assert_true(s->state->woken);
        if (leaders)
            expect_done(stage_check(s));
        struct said *off = leaders ? stage_ask(s, POD_OFF, 60000) : operator_asks(s, POD_OFF);
        fake_loop_advance(s->loop, 1000);
        expect_done(off);
        assert_false(s->state->woken);
        fake_engine_forget_calls(s->engine);
        worker_again(s);
        fake_loop_advance(s->loop, 60000);
        assert_int_equal(fake_engine_count(s->engine, "start " WORKLOAD "\n"), 0);
        stage_free(s);
    }
}

static void so_it_is_for_one_that_was_dead(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_operator(s, POD_KILL));
    int64_t renewals = s->state->renewals;
    fake_engine_fail(s->engine, "start " WORKLOAD, 1, FAKE_HANG, "");
    expect_nothing_yet(stage_operator(s, POD_ON));
    worker_again(s);
    expect_process(s, "running");
    assert_int_equal(s->state->renewals, renewals + 1);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operators_request_is_no_leaders),
        cmocka_unit_test(an_older_check_that_runs_answers_nobody_newer),
        cmocka_unit_test(a_check_may_come_again_with_another_body),
        cmocka_unit_test(nothing_else_may_come_again_with_another_body),
        cmocka_unit_test(a_check_that_comes_behind_its_on_is_refused_after_a_crash_too),
        cmocka_unit_test(what_waits_of_an_older_round_is_not_begun),
        cmocka_unit_test(an_operators_request_outlives_a_change_of_leaders),
        cmocka_unit_test(who_is_leaving_hears_nobody),
        cmocka_unit_test(who_comes_back_into_its_own_round_goes_on_with_it),
        cmocka_unit_test(where_nobody_has_led_yet_the_tree_decides),
        cmocka_unit_test(a_newer_leader_that_cannot_be_kept_lets_nobody_in),
        cmocka_unit_test(who_is_still_being_stopped_by_a_worker_that_is_gone_is_not_ready),
        cmocka_unit_test(an_operators_on_is_kept_before_it_is_carried_out),
        cmocka_unit_test(an_off_behind_it_is_what_counts),
        cmocka_unit_test(so_it_is_for_one_that_was_dead),
        cmocka_unit_test(who_leaves_while_zookeeper_is_asked_is_forgotten),
        cmocka_unit_test(a_pod_that_ends_while_zookeeper_is_asked_is_not_called_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
