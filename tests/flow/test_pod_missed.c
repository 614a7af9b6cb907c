// What a pod misses: files that were not put into the container before the worker ended, an engine
// that goes in the middle of an on, an end or a removal that comes while it stops its workload.
#include "tests/flow/pod_stage.h"

static struct stage *running(const char *more) {
    struct stage *s = stage_create(more);
    stage_configure(s);
    fake_engine_forget_calls(s->engine);
    return s;
}

static void expect_runs(struct stage *s, bool runs) {
    assert_int_equal(stage_runs(s), runs);
    expect_process(s, runs ? "running" : "stopped");
}

// ---- files below no shared volume ----

#define OUTSIDE "/etc/app.conf"

// Nothing but its files depends on the pods: the container stays.
static const char outside_yaml[] = "cluster: zk\n"
                                   "zk: 127.0.0.1:1\n"
                                   "state_dir: %s/state\n"
                                   "workload:\n"
                                   "  image: app:1\n"
                                   "  volumes: [%s/data]\n"
                                   "%s"
                                   "files:\n"
                                   "  - target: %s/conf/app.conf\n"
                                   "    content: \"peers {{ size }}\\n\"\n"
                                   "  - target: " OUTSIDE "\n"
                                   "    content: \"outer {{ size }}\\n\"\n";

static struct stage *with_outside(const char *more) {
    struct stage *s = stage_begin();
    s->yaml = xasprintf(outside_yaml, s->dir, s->dir, more, s->dir);
    stage_raise(s);
    stage_configure(s);
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, OUTSIDE), "outer 1\n");
    return s;
}

static void another_worker(struct stage *s) {
    stage_worker_gone(s);
    stage_worker(s);
}

static void expect_whole(struct stage *s) {
    expect_runs(s, true);
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, OUTSIDE), "outer 2\n");
    expect_file(s, "conf/app.conf", "peers 2\n");
}

// What came into force while it was off is put where it belongs before it is started, by whom ever.
static void one_that_was_off_is_started_with_all_of_its_files(void **unused) {
    (void)unused;
    for (int anew = 0; anew < 2; anew++) {
        struct stage *s = with_outside("");
        expect_done(stage_operator(s, POD_OFF));
        stage_grow(s);
        stage_configure(s);
        if (anew)
            another_worker(s);
        struct said *on = stage_operator(s, POD_ON);
        if (anew) { // it does not know them
            expect_kind(on, ERR_REFUSED);
            assert_false(stage_runs(s));
            assert_int_equal(s->state->renewals, 1);
            stage_configure(s);
        }
        expect_whole(s);
        another_worker(s); // who finds all in its place starts it as it is
        expect_whole(s);
        fake_engine_exit(s->engine, WORKLOAD, 1);
        fake_loop_advance(s->loop, 2000);
        expect_whole(s);
        stage_free(s);
    }
}

// The worker ends before the engine has them.
static void one_that_was_being_changed_is_started_by_the_next_round(void **unused) {
    (void)unused;
    struct stage *s = with_outside("");
    stage_grow(s);
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "archive " WORKLOAD, 1, FAKE_HANG, "");
    (void)stage_on(s);
    assert_false(stage_runs(s));
    another_worker(s);
    fake_loop_advance(s->loop, 20000);
    expect_kind(stage_operator(s, POD_ON), ERR_REFUSED);
    assert_false(stage_runs(s));
    stage_configure(s);
    expect_whole(s);
    stage_free(s);
}

// One runs on, and is not told of what it has half of; it crashes, and is not started with that.
static void one_that_runs_on_is_not_started_with_half_of_its_files(void **unused) {
    (void)unused;
    struct stage *s = with_outside("  on_change: {signal: HUP}\n");
    stage_grow(s);
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "archive " WORKLOAD, 1, 500, "disk is full");
    assert_non_null(strstr(stage_said(stage_on(s)), "disk is full"));
    another_worker(s);
    expect_runs(s, true);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 20000);
    assert_false(stage_runs(s));
    assert_int_equal(s->state->renewals, 1);
    expect_done(stage_check(s));
    (void)stage_on(s);
    fake_loop_advance(s->loop, 60000);
    expect_whole(s);
    stage_free(s);
}

// Nothing has changed while it was off: whoever comes next starts it, without a round.
static void one_that_was_off_and_has_all_of_them_needs_no_round(void **unused) {
    (void)unused;
    struct stage *s = with_outside("");
    expect_done(stage_operator(s, POD_OFF));
    stage_configure(s);
    another_worker(s);
    assert_int_equal(s->state->renewals, 0);
    struct err err = ERR_INIT; // another run of the sidecar's container: only that asks for a round
    state_set(&s->state->owner, "of before");
    assert_int_equal(state_save(s->state, &err), 0);
    another_worker(s);
    stage_configure(s);
    another_worker(s);
    assert_int_equal(s->state->renewals, 1);
    expect_done(stage_operator(s, POD_ON));
    expect_runs(s, true);
    stage_free(s);
}

// It runs before they are put there, started by hand: that is not what was configured.
static void one_that_somebody_starts_with_half_of_them_is_started_anew(void **unused) {
    (void)unused;
    for (int anew = 0; anew < 2; anew++) {
        struct stage *s = with_outside("");
        stage_grow(s);
        expect_done(stage_check(s));
        fake_engine_fail(s->engine, "archive " WORKLOAD, 2, 500, "disk is full");
        assert_non_null(strstr(stage_said(stage_on(s)), "disk is full"));
        if (anew)
            stage_worker_gone(s);
        json_decref(engine_container_start(fake_engine_memory(s->engine), WORKLOAD).body);
        if (anew)
            stage_worker(s);
        fake_loop_advance(s->loop, 5000);
        assert_true(stage_runs(s));
        assert_false(pod_ready(s->pod));
        assert_int_equal(s->state->renewals, 1);
        expect_done(stage_check(s));
        (void)stage_on(s);
        fake_loop_advance(s->loop, 30000);
        expect_whole(s);
        assert_true(pod_ready(s->pod));
        stage_free(s);
    }
}

// The container is another one: what was put into the former is not there.
static void one_that_was_removed_has_them_put_into_the_next(void **unused) {
    (void)unused;
    for (int anew = 0; anew < 2; anew++) {
        struct stage *s = with_outside("");
        if (anew)
            another_worker(s);
        struct engine *engine = fake_engine_memory(s->engine);
        json_decref(engine_container_remove(engine, WORKLOAD, true, false).body);
        fake_loop_advance(s->loop, 20000);
        if (anew)
            stage_configure(s);
        expect_runs(s, true);
        assert_string_equal(fake_engine_file(s->engine, WORKLOAD, OUTSIDE), "outer 1\n");
        stage_free(s);
    }
}

// ---- the engine goes in the middle of an on ----

// It is back with the same run: nothing was to be changed, or its leader was told 503.
static void an_on_that_lost_the_engine_stops_nothing(void **unused) {
    (void)unused;
    for (int grown = 0; grown < 2; grown++) {
        struct stage *s = running("");
        if (grown)
            stage_grow(s);
        expect_done(stage_check(s));
        fake_loop_advance(s->loop, 70000); // forgotten: rendered anew
        fake_runner_slow(s->runner, grown ? "ready" : "render", 3000);
        struct said *on = stage_ask(s, POD_ON, 60000);
        fake_loop_advance(s->loop, 500);
        fake_engine_down(s->engine, "restarted");
        fake_loop_advance(s->loop, 5000);
        expect_kind(on, ERR_RETRY);
        fake_engine_up(s->engine);
        fake_loop_advance(s->loop, 60000);
        expect_runs(s, true);
        assert_int_equal(stage_starts(s), 1);
        assert_int_equal(fake_engine_count(s->engine, "stop "), 0);
        fake_runner_slow(s->runner, NULL, 0);
        stage_configure(s);
        expect_runs(s, true);
        assert_int_equal(fake_engine_count(s->engine, "stop "), grown);
        stage_free(s);
    }
}

// It is looked at because somebody started it: that is waited for.
static void an_on_waits_for_a_look_that_is_under_way(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    fake_runner_slow(s->runner, "ready", 1000);
    struct said *on = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 900);
    fake_engine_latency(s->engine, "inspect " WORKLOAD, 300);
    json_decref(engine_container_start(fake_engine_memory(s->engine), WORKLOAD).body);
    fake_loop_advance(s->loop, 10000);
    expect_done(on);
    expect_runs(s, true);
    stage_free(s);
}

// ---- what comes while it is stopped ----

static void expect_woken(struct stage *s) {
    expect_done(stage_operator(s, POD_ON));
    expect_runs(s, true);
}

// Its end is told before the answer to the stop is lost, and is not told again.
static void an_end_that_was_told_during_a_stop_is_believed(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_fail(s->engine, "stop " WORKLOAD, 1, FAKE_CUT, "lost");
    fake_engine_latency(s->engine, "stop " WORKLOAD, 2000);
    struct pod_request request = {.task = POD_OFF, .scope = POD_OPERATOR, .budget_ms = 60000};
    struct said *off = stage_send(s, &request);
    fake_loop_advance(s->loop, 1000);
    fake_engine_exit(s->engine, WORKLOAD, 0);
    fake_loop_advance(s->loop, 10000);
    expect_done(off);
    expect_runs(s, false);
    expect_woken(s);
    stage_free(s);
}

// It was asked to end, is off, and ends after the engine was away or another worker has come.
static void an_end_after_a_soft_stop_is_seen(void **unused) {
    (void)unused;
    for (int anew = 0; anew < 2; anew++) {
        struct stage *s = running("  stop: {grace: 2s, soft: true}\n");
        fake_engine_habits(s->engine, WORKLOAD, (struct fake_habits){.term_ms = -1, .exit_ms = -1});
        expect_kind(stage_operator(s, POD_OFF), ERR_TIMEOUT);
        if (anew) {
            another_worker(s);
        } else {
            fake_engine_down(s->engine, "restarted");
            fake_loop_advance(s->loop, 1000);
            fake_engine_up(s->engine);
        }
        fake_loop_advance(s->loop, 10000);
        assert_true(stage_runs(s));
        fake_engine_exit(s->engine, WORKLOAD, 0);
        fake_loop_advance(s->loop, 10000);
        expect_runs(s, false);
        expect_woken(s);
        stage_free(s);
    }
}

static void one_that_is_removed_during_its_stop_is_off(void **unused) {
    (void)unused;
    static const enum pod_task tasks[] = {POD_OFF, POD_KILL};
    for (size_t i = 0; i < 2; i++) {
        struct stage *s = running("");
        fake_engine_latency(s->engine, "stop " WORKLOAD, 2000);
        struct pod_request request = {.task = tasks[i], .scope = POD_OPERATOR, .budget_ms = 60000};
        struct said *said = stage_send(s, &request);
        fake_loop_advance(s->loop, 1000);
        struct engine *engine = fake_engine_memory(s->engine);
        json_decref(engine_container_remove(engine, WORKLOAD, true, false).body);
        fake_loop_advance(s->loop, 10000);
        expect_done(said);
        expect_process(s, tasks[i] == POD_KILL ? "dead" : "stopped");
        expect_woken(s);
        stage_free(s);
    }
}

// ---- events that were not told ----

static void expect_told_by_a_look(struct stage *s, bool runs) {
    fake_engine_mute(s->engine, false);
    fake_loop_advance(s->loop, 13000); // ten seconds, two of doubt, and the look
    expect_runs(s, runs);
    assert_int_equal(s->state->off, !runs);
}

static void an_end_that_no_event_told_is_seen(void **unused) {
    (void)unused;
    struct stage *s = running("  restart: on-failure\n");
    fake_engine_mute(s->engine, true);
    fake_engine_exit(s->engine, WORKLOAD, 0); // of which it cannot be told that nobody caused it
    fake_loop_advance(s->loop, 100);
    assert_false(stage_runs(s));
    expect_process(s, "running"); // as was believed
    expect_told_by_a_look(s, true);
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void a_start_that_no_event_told_is_seen(void **unused) {
    (void)unused;
    struct stage *s = running("");
    expect_done(stage_operator(s, POD_OFF));
    fake_engine_mute(s->engine, true);
    struct engine *e = fake_engine_memory(s->engine);
    json_decref(engine_container_start(e, WORKLOAD).body);
    assert_true(stage_runs(s));
    expect_told_by_a_look(s, false);
    stage_free(s);
}

static void another_run_that_no_event_told_is_seen(void **unused) {
    (void)unused;
    struct stage *s = running("");
    auto_free char *before = xstrdup(s->state->started_at);
    fake_engine_mute(s->engine, true);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    struct engine *e = fake_engine_memory(s->engine);
    json_decref(engine_container_start(e, WORKLOAD).body);
    expect_told_by_a_look(s, true);
    assert_string_not_equal(s->state->started_at, before);
    assert_int_equal(stage_starts(s), 2); // and somebody's: none of ours
    stage_free(s);
}

// What looks like it for a moment is none: inspect and events do not come at one time.
static void what_is_seen_once_is_no_gap(void **unused) {
    (void)unused;
    struct stage *s = running("");
    expect_done(stage_operator(s, POD_OFF));
    fake_engine_mute(s->engine, true);
    fake_engine_record_reads(s->engine, true);
    fake_engine_forget_calls(s->engine);
    for (int i = 0; i < 1100 && !fake_engine_count(s->engine, "inspect"); i++)
        fake_loop_advance(s->loop, 10);
    assert_int_equal(fake_engine_count(s->engine, "inspect"), 1);
    json_decref(engine_container_start(fake_engine_memory(s->engine), WORKLOAD).body);
    fake_loop_advance(s->loop, 10500);
    assert_true(stage_runs(s)); // doubted
    fake_engine_exit(s->engine, WORKLOAD, 0);
    fake_loop_advance(s->loop, 30000);
    assert_true(fake_engine_count(s->engine, "inspect") > 3);
    assert_int_equal(fake_engine_count(s->engine, "stop"), 0);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_was_off_is_started_with_all_of_its_files),
        cmocka_unit_test(one_that_was_being_changed_is_started_by_the_next_round),
        cmocka_unit_test(one_that_runs_on_is_not_started_with_half_of_its_files),
        cmocka_unit_test(one_that_was_off_and_has_all_of_them_needs_no_round),
        cmocka_unit_test(one_that_somebody_starts_with_half_of_them_is_started_anew),
        cmocka_unit_test(one_that_was_removed_has_them_put_into_the_next),
        cmocka_unit_test(an_on_that_lost_the_engine_stops_nothing),
        cmocka_unit_test(an_on_waits_for_a_look_that_is_under_way),
        cmocka_unit_test(an_end_that_was_told_during_a_stop_is_believed),
        cmocka_unit_test(an_end_after_a_soft_stop_is_seen),
        cmocka_unit_test(one_that_is_removed_during_its_stop_is_off),
        cmocka_unit_test(an_end_that_no_event_told_is_seen),
        cmocka_unit_test(a_start_that_no_event_told_is_seen),
        cmocka_unit_test(another_run_that_no_event_told_is_seen),
        cmocka_unit_test(what_is_seen_once_is_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
