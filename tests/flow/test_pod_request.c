// Who is heard, in which order, and what is never begun.
#include "tests/flow/pod_stage.h"

static void a_lower_epoch_is_fenced_also_after_a_crash(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    s->epoch = 99;
    expect_kind(stage_check(s), ERR_FENCED);
    stage_worker_gone(s);
    stage_worker(s);
    expect_kind(stage_check(s), ERR_FENCED);
    expect_process(s, "running");
    stage_free(s);
}

static void a_newer_epoch_drops_what_an_older_one_has_queued(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    fake_engine_latency(s->engine, "stop", 2000);
    s->round++;
    struct said *running = stage_ask(s, POD_OFF, 60000);
    struct said *queued = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 100);
    s->epoch++;
    struct said *newer = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 100);
    expect_kind(queued, ERR_FENCED);
    assert_string_equal(stage_said(newer), "nothing yet"); // waits for the step that runs
    fake_loop_advance(s->loop, 5000);
    expect_done(running);
    expect_done(newer);
    expect_process(s, "stopped");
    stage_free(s);
}

static void detached_answers_leaders_409_and_operators_as_ever(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    pod_attached(s->pod, false);
    expect_kind(stage_check(s), ERR_DETACHED);
    expect_done(stage_operator(s, POD_OFF));
    expect_process(s, "stopped");
    stage_free(s);
}

static void a_request_for_another_pod_is_421(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct pod_request request = {
        .task = POD_OFF, .scope = POD_OPERATOR, .target = OTHER, .budget_ms = 1000};
    struct said *said = stage_send(s, &request);
    fake_loop_run_until_idle(s->loop);
    expect_kind(said, ERR_STRANGER);
    stage_free(s);
}

static void the_same_request_is_carried_out_once_and_answered_twice(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    struct said *first = stage_ask(s, POD_ON, 60000), *second = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_done(first);
    expect_done(second);
    fake_engine_forget_calls(s->engine);
    expect_done(stage_on(s)); // the recorded answer
    assert_string_equal(fake_engine_calls(s->engine), "");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static void a_budget_that_is_over_is_never_begun(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    fake_engine_latency(s->engine, "stop", 5000);
    s->round++;
    struct said *off = stage_ask(s, POD_OFF, 60000);
    struct said *on = stage_ask(s, POD_ON, 1000);
    fake_loop_advance(s->loop, 1500);
    expect_kind(on, ERR_TIMEOUT);
    fake_loop_advance(s->loop, 60000);
    expect_done(off);
    expect_process(s, "stopped");
    stage_free(s);
}

// Woken late, as after SIGSTOP: the deadline has passed though no timer has run yet.
static void a_pod_that_was_frozen_begins_nothing_that_is_overdue(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    struct said *on = stage_ask(s, POD_ON, 1000);
    fake_loop_freeze(s->loop, 8000);
    fake_loop_advance(s->loop, 1000);
    expect_kind(on, ERR_TIMEOUT);
    assert_false(stage_runs(s));
    stage_free(s);
}

static void what_has_begun_goes_on_beyond_its_budget_and_can_be_attached_to(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "start", 3000);
    struct said *first = stage_ask(s, POD_ON, 1000);
    fake_loop_advance(s->loop, 1500);
    expect_kind(first, ERR_TIMEOUT);
    struct said *second = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 5000);
    expect_done(second);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static void who_leaves_before_it_began_is_forgotten(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    struct said *on = stage_ask(s, POD_ON, 60000);
    pod_forget(&on->ask);
    fake_loop_advance(s->loop, 1000);
    assert_false(on->came);
    assert_false(stage_runs(s));
    stage_free(s);
}

static void an_operators_off_holds_against_rounds_and_restarts_until_on(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_operator(s, POD_OFF));
    expect_process(s, "stopped");
    stage_worker_gone(s);
    stage_worker(s);
    stage_grow(s);
    stage_configure(s); // answers 200, and stays stopped
    expect_process(s, "stopped");
    assert_string_equal(stage_status(s), "off by operator");
    expect_file(s, "conf/app.conf", "peers 2\n");
    expect_done(stage_operator(s, POD_ON));
    expect_process(s, "running");
    stage_free(s);
}

static void dead_answers_410_until_an_operators_on(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_operator(s, POD_KILL));
    expect_process(s, "dead");
    expect_kind(stage_operator(s, POD_KILL), ERR_GONE);
    expect_kind(stage_check(s), ERR_GONE);
    stage_worker_gone(s);
    stage_worker(s);
    expect_process(s, "dead");
    expect_kind(stage_check(s), ERR_GONE);
    struct said *on = stage_operator(s, POD_ON);
    if (on->err.kind != ERR_NONE)
        expect_kind(on, ERR_REFUSED);
    assert_false(s->state->dead);
    assert_int_equal(s->state->renewals, 1); // rounds left it out: it asks for one
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

static void not_to_start_means_configured_and_stopped_until_an_operators_on(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_worker_gone(s);
    auto_free char *file = xasprintf("%s/state/pod.json", s->dir);
    assert_int_equal(unlink(file), 0);
    s->spec->start = false;
    stage_worker(s);
    stage_configure(s);
    expect_process(s, "stopped");
    expect_file(s, "conf/app.conf", "peers 1\n");
    assert_false(s->state->started);
    expect_done(stage_operator(s, POD_ON));
    expect_process(s, "running");
    assert_true(s->state->started); // or it could be named a founder beside its own data
    stage_free(s);
}

static struct said *original(struct stage *s, enum pod_task task) {
    auto_free char *body = stage_body(s);
    struct pod_request request = {.task = task,
                                  .scope = POD_ORIGINAL,
                                  .budget_ms = 60000,
                                  .body = body,
                                  .body_len = strlen(body)};
    struct said *said = stage_send(s, &request);
    fake_loop_advance(s->loop, 2000);
    return said;
}

static void an_original_leader_is_heard_while_an_original_pod_is_there(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_kind(original(s, POD_CHECK), ERR_FENCED);
    s->zk_original = true;
    expect_done(original(s, POD_CHECK));
    expect_done(original(s, POD_ON));
    expect_process(s, "running");
    stage_free(s);
}

static void a_leader_of_another_tree_is_refused(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_tree = OTHER;
    expect_kind(stage_check(s), ERR_DETACHED);
    s->zk_away = true;
    expect_kind(stage_check(s), ERR_DETACHED);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lower_epoch_is_fenced_also_after_a_crash),
        cmocka_unit_test(a_newer_epoch_drops_what_an_older_one_has_queued),
        cmocka_unit_test(detached_answers_leaders_409_and_operators_as_ever),
        cmocka_unit_test(a_request_for_another_pod_is_421),
        cmocka_unit_test(the_same_request_is_carried_out_once_and_answered_twice),
        cmocka_unit_test(a_budget_that_is_over_is_never_begun),
        cmocka_unit_test(a_pod_that_was_frozen_begins_nothing_that_is_overdue),
        cmocka_unit_test(what_has_begun_goes_on_beyond_its_budget_and_can_be_attached_to),
        cmocka_unit_test(who_leaves_before_it_began_is_forgotten),
        cmocka_unit_test(an_operators_off_holds_against_rounds_and_restarts_until_on),
        cmocka_unit_test(dead_answers_410_until_an_operators_on),
        cmocka_unit_test(not_to_start_means_configured_and_stopped_until_an_operators_on),
        cmocka_unit_test(an_original_leader_is_heard_while_an_original_pod_is_there),
        cmocka_unit_test(a_leader_of_another_tree_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
