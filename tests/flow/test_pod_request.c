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

static bool is_first(struct stage *s, enum pod_task task, enum pod_scope scope) {
    bool first = false, leads = scope == POD_LEADER;
    auto_free char *body = leads ? stage_body(s) : xstrdup("");
    struct said *said = stage_send(s, &(struct pod_request){.task = task,
                                                            .scope = scope,
                                                            .target = s->state->pod_id,
                                                            .tree = leads ? TREE : NULL,
                                                            .epoch = s->epoch,
                                                            .round = s->round,
                                                            .budget_ms = 60000,
                                                            .body = body,
                                                            .body_len = strlen(body),
                                                            .ret_first = &first});
    fake_loop_advance(s->loop, 5000);
    expect_done(said);
    return first;
}

// Who has recorded one and sends it again is no leader for it.
static void only_the_first_to_send_a_request_is_told_so(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->round++;
    for (enum pod_task task = POD_CHECK; task <= POD_ON; task++) {
        assert_true(is_first(s, task, POD_LEADER));
        assert_false(is_first(s, task, POD_LEADER));
    }
    assert_false(is_first(s, POD_CHECK, POD_LEADER));
    assert_false(is_first(s, POD_KILL, POD_LEADER)); // of no phase: how often it came nobody knows
    assert_false(is_first(s, POD_ON, POD_OPERATOR));
    stage_free(s);
}

// Neither has begun when the other comes.
static void the_same_request_twice_in_the_queue_is_carried_out_once(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  strict: true\n");
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    expect_done(stage_check(s));
    struct said *first = stage_ask(s, POD_ON, 60000), *second = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 20000);
    expect_done(first);
    expect_done(second);
    assert_int_equal(stage_starts(s), 2);
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

// Stopped for longer than its session: what it reads first when it wakes is of a round that has
// gone on without it.
static void a_pod_that_was_frozen_beyond_its_session_begins_nothing(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    struct said *on = stage_ask(s, POD_ON, 60000);
    s->session_over = true; // between the hearing and the beginning
    fake_loop_advance(s->loop, 1000);
    expect_kind(on, ERR_DETACHED);
    expect_kind(stage_check(s), ERR_DETACHED);
    assert_false(stage_runs(s));
    assert_int_equal(stage_operator(s, POD_SIGNAL)->err.kind, ERR_NONE);
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

// While it is off rounds go by; what one of them has made and the next one does not want is no
// configuration to wake up with.
static void who_wakes_runs_what_the_last_round_wanted(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    auto_free char *first = xstrdup(s->state->container);
    expect_done(stage_operator(s, POD_OFF));
    stage_grow(s); // another environment, so another container
    stage_configure(s);
    assert_non_null(engine_find(fake_engine_memory(s->engine), WORKLOAD "-next"));
    stage_shrink(s);
    stage_configure(s);
    assert_null(engine_find(fake_engine_memory(s->engine), WORKLOAD "-next"));
    expect_done(stage_operator(s, POD_ON));
    expect_process(s, "running");
    assert_string_equal(s->state->container, first);
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_free(s);
}

// The same where the round got no further than to make it.
static void a_crash_does_not_bring_up_what_a_failed_round_has_made(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    auto_free char *first = xstrdup(s->state->container);
    stage_grow(s);
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "stop side-workload", 50, 500, "broken");
    assert_int_not_equal(stage_on(s)->err.kind, ERR_NONE);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 60000);
    assert_string_equal(s->state->container, first);
    stage_free(s);
}

static void dead_answers_410_until_an_operators_on(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_operator(s, POD_KILL));
    expect_process(s, "dead");
    assert_int_equal(s->state->renewals, 1); // it asks for a round that leaves it out
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
    assert_int_equal(s->state->renewals, 2); // and for one that does not
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

static void who_comes_back_asks_who_leads_and_hears_nobody_older(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    int asked = s->asked_who_leads;
    expect_done(stage_check(s));
    assert_int_equal(s->asked_who_leads, asked); // once
    pod_attached(s->pod, false);
    pod_attached(s->pod, true);
    s->zk_epoch = 101; // led a round without us
    expect_kind(stage_check(s), ERR_FENCED);
    expect_kind(stage_on(s), ERR_FENCED);
    stage_worker_gone(s);
    stage_worker(s);
    s->zk_epoch = 0;
    expect_kind(stage_check(s), ERR_FENCED); // was kept
    s->epoch = 101;
    expect_done(stage_check(s));
    stage_free(s);
}

static void who_comes_back_hears_nothing_of_an_older_round(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_check(s));
    pod_attached(s->pod, false);
    pod_attached(s->pod, true);
    s->zk_epoch = s->epoch;
    s->zk_round = s->round + 1; // was begun without us
    expect_kind(stage_on(s), ERR_FENCED);
    s->round++;
    expect_done(stage_check(s));
    expect_done(stage_on(s));
    stage_free(s);
}

static void a_lost_state_directory_lets_no_older_leader_in(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_epoch = 101;
    expect_kind(stage_check(s), ERR_FENCED);
    assert_int_equal(s->state->epoch, 101);
    stage_free(s);
}

// Whoever sends it has no lock: one request would end all rounds of this pod.
static void an_epoch_that_nobody_leads_with_is_refused_and_not_kept(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_epoch = s->epoch;
    stage_configure(s);
    s->epoch = INT64_MAX;
    struct said *forged = stage_check(s);
    expect_kind(forged, ERR_DETACHED);
    assert_non_null(strstr(forged->err.text, "is no leader's"));
    assert_int_equal(s->state->epoch, 100);
    s->epoch = 100;
    s->round++;
    stage_configure(s);
    s->epoch = s->zk_epoch = 101;
    stage_configure(s);
    assert_int_equal(s->state->epoch, 101);
    stage_free(s);
}

// Somebody has recorded what he asked, and writes to ZooKeeper that he leads again: in the same
// tree, and by way of another one.
static void a_leader_of_yesterday_is_not_brought_back_by_who_can_write(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_epoch = s->epoch;
    stage_configure(s);
    s->epoch = s->zk_epoch = 50;
    s->zk_written = 170;
    expect_kind(stage_check(s), ERR_FENCED);
    expect_kind(stage_on(s), ERR_FENCED);
    pod_attached(s->pod, false);
    pod_attached(s->pod, true);
    s->zk_tree = OTHER;
    expect_kind(stage_check(s), ERR_DETACHED);
    s->zk_tree = TREE;
    expect_kind(stage_check(s), ERR_FENCED);
    assert_int_equal(s->state->epoch, 100);
    s->epoch = s->zk_epoch = 100;
    s->round++;
    stage_configure(s);
    stage_free(s);
}

// Nobody would be heard any more: the lock nodes of today have smaller numbers.
static void a_zookeeper_restored_from_a_backup_is_followed(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_epoch = s->epoch;
    stage_configure(s);
    s->epoch = s->zk_epoch = 50;
    s->round = 1;
    s->zk_written = 60;
    stage_configure(s);
    assert_int_equal(s->state->epoch, 50);
    s->epoch = 100; // of the time before
    expect_kind(stage_check(s), ERR_DETACHED);
    s->epoch = 49;
    expect_kind(stage_check(s), ERR_FENCED);
    stage_worker_gone(s);
    stage_worker(s);
    s->epoch = 50;
    s->round++;
    stage_configure(s);
    stage_free(s);
}

// Another one under the same name: who leads there was written before ours.
static void a_zookeeper_of_another_tree_from_a_backup_is_followed(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->zk_epoch = s->epoch;
    stage_configure(s);
    pod_attached(s->pod, false);
    pod_attached(s->pod, true);
    s->zk_tree = OTHER;
    s->zk_epoch = 50;
    s->zk_written = 60;
    expect_kind(stage_check(s), ERR_DETACHED); // the leader of before
    assert_int_equal(s->state->epoch, 50);
    assert_string_equal(s->state->tree, OTHER);
    stage_free(s);
}

static void junk_in_the_leaders_record_stops_no_round(void **unused) {
    (void)unused;
    static const char *const junk[] = {"",
                                       "{",
                                       "[1]",
                                       "{}",
                                       "\"x\"",
                                       "\xff",
                                       "{\"epoch\":9007199254740991}",
                                       "{\"epoch\":\"x\",\"tree\":7}",
                                       "{\"epoch\":-1,\"tree\":\"" TREE "\"}"};
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        struct stage *s = stage_create("");
        s->zk_leader = junk[i];
        stage_configure(s);
        pod_attached(s->pod, false);
        pod_attached(s->pod, true);
        stage_configure(s);
        assert_int_equal(s->state->epoch, 100);
        s->epoch = 99;
        expect_kind(stage_check(s), ERR_FENCED);
        stage_free(s);
    }
}

static void what_waited_while_we_were_detached_is_not_begun(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    fake_engine_latency(s->engine, "stop", 2000);
    s->round++;
    struct said *running = stage_ask(s, POD_OFF, 60000);
    struct said *queued = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 100);
    pod_attached(s->pod, false);
    pod_attached(s->pod, true);
    fake_loop_advance(s->loop, 5000);
    expect_done(running);
    expect_kind(queued, ERR_DETACHED);
    expect_process(s, "stopped");
    stage_free(s);
}

static void a_late_off_of_a_round_that_came_into_force_is_refused_after_a_crash_too(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_worker_gone(s);
    stage_worker(s);
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_kind(off, ERR_FENCED);
    expect_process(s, "running");
    expect_done(stage_on(s)); // asked again by who never got its answer
    expect_process(s, "running");
    stage_free(s);
}

// Only after a crash can an off be heard behind an on that has not begun.
static void an_off_that_waits_behind_an_on_of_its_round_is_not_begun(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "start", 2000);
    struct said *on = stage_ask(s, POD_ON, 60000);
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 5000);
    expect_done(on);
    expect_kind(off, ERR_FENCED);
    expect_process(s, "running");
    stage_free(s);
}

static struct said *signal_with(struct stage *s, const char *body, size_t len) {
    return stage_send(s, &(struct pod_request){.task = POD_SIGNAL,
                                               .scope = POD_OPERATOR,
                                               .budget_ms = 60000,
                                               .body = body,
                                               .body_len = len});
}

// The control port has let go of them by then.
static void bodies_that_wait_have_a_limit_together(void **unused) {
    (void)unused;
    enum { MIB = 1 << 20, FIT = 16, SENT = 20 };
    struct stage *s = stage_create("");
    stage_configure(s);
    fake_engine_latency(s->engine, "stop", 5000);
    auto_free char *body = xcalloc(1, MIB);
    memset(body, ' ', MIB);
    struct said *sent[SENT],
        *off = stage_send(
            s, &(struct pod_request){.task = POD_OFF, .scope = POD_OPERATOR, .budget_ms = 60000});
    fake_loop_advance(s->loop, 100);
    for (int i = 0; i < SENT; i++)
        sent[i] = signal_with(s, body, MIB);
    s->round++;
    struct said *leaders = stage_ask(s, POD_CHECK, 60000), *bare = signal_with(s, NULL, 0);
    fake_loop_advance(s->loop, 100);
    for (int i = 0; i < FIT; i++)
        assert_string_equal(stage_said(sent[i]), "nothing yet");
    for (int i = FIT; i < SENT; i++) {
        expect_kind(sent[i], ERR_RETRY);
        assert_non_null(strstr(sent[i]->err.text, "16 MiB"));
    }
    expect_kind(leaders, ERR_RETRY);
    assert_string_equal(stage_said(bare), "nothing yet");
    fake_loop_advance(s->loop, 30000);
    expect_done(off);
    expect_done(bare);
    assert_int_equal(sent[FIT - 1]->came, true);
    expect_done(stage_operator(s, POD_ON));
    for (; s->saids; s->said[s->saids] = (struct said){0}) // there is no room for so many
        json_decref(s->said[--s->saids].answer);
    for (int i = 0; i < FIT; i++)
        sent[i] = signal_with(s, body, MIB);
    fake_loop_advance(s->loop, 30000);
    for (int i = 0; i < FIT; i++)
        expect_done(sent[i]);
    expect_done(stage_check(s));
    stage_free(s);
}

// Its copy is as long as it is: nothing is read that lies behind it.
static void a_body_of_nul_bytes_is_no_json_and_that_is_all(void **unused) {
    (void)unused;
    enum { LEN = 64 << 20 }; // behind which nothing is mapped
    struct stage *s = stage_create("");
    auto_free char *body = xcalloc(1, LEN);
    s->round++;
    struct said *said = stage_send(s, &(struct pod_request){.task = POD_CHECK,
                                                            .scope = POD_LEADER,
                                                            .target = s->state->pod_id,
                                                            .tree = TREE,
                                                            .epoch = s->epoch,
                                                            .round = s->round,
                                                            .budget_ms = 60000,
                                                            .body = body,
                                                            .body_len = LEN});
    fake_loop_advance(s->loop, 1000);
    expect_kind(said, ERR_REFUSED);
    stage_configure(s);
    stage_free(s);
}

// Also one that is larger than all that may wait behind another.
static void a_body_that_waits_alone_is_always_taken(void **unused) {
    (void)unused;
    enum { LEN = 17 << 20 };
    struct stage *s = stage_create("");
    stage_configure(s);
    auto_free char *body = xcalloc(1, LEN);
    struct said *first = signal_with(s, body, LEN), *second = signal_with(s, body, 1);
    fake_loop_advance(s->loop, 5000);
    expect_done(first);
    expect_kind(second, ERR_RETRY);
    second = signal_with(s, body, 1);
    fake_loop_advance(s->loop, 5000);
    expect_done(second);
    stage_free(s);
}

// In its own network it would ask itself.
static void a_check_of_a_network_that_it_cannot_reach_is_refused(void **unused) {
    (void)unused;
    static const char *const bad[] = {"  network: host\n  check: {tcp: 80}\n",
                                      "  network: host\n  ready: {http: \":80/\"}\n",
                                      "  network: none\n  check: {tcp: 80}\n"},
                             *const good[] = {"  network: host\n  check: {exec: [up]}\n",
                                              "  network: mine\n  check: {tcp: 80}\n",
                                              "  check: {tcp: 80}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct stage *s = stage_create(bad[i]);
        struct pod_config config = {.spec = s->spec,
                                    .facts = &s->facts,
                                    .state = s->state,
                                    .docker = s->docker,
                                    .full_name = "marathon.zk"};
        auto_text struct text report = {0};
        struct err err = ERR_INIT;
        assert_int_equal(pod_verify(&config, &report, &err), -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_non_null(strstr(text_str(&report), "workload.network: "));
        struct said *check = stage_check(s);
        expect_kind(check, ERR_REFUSED);
        assert_non_null(
            strstr(stage_said(check), i == 1 ? "workload.ready.http" : "workload.check.tcp"));
        stage_free(s);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct stage *s = stage_create(good[i]);
        expect_done(stage_check(s));
        stage_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_of_a_network_that_it_cannot_reach_is_refused),
        cmocka_unit_test(a_lower_epoch_is_fenced_also_after_a_crash),
        cmocka_unit_test(a_newer_epoch_drops_what_an_older_one_has_queued),
        cmocka_unit_test(detached_answers_leaders_409_and_operators_as_ever),
        cmocka_unit_test(a_request_for_another_pod_is_421),
        cmocka_unit_test(the_same_request_is_carried_out_once_and_answered_twice),
        cmocka_unit_test(only_the_first_to_send_a_request_is_told_so),
        cmocka_unit_test(the_same_request_twice_in_the_queue_is_carried_out_once),
        cmocka_unit_test(a_budget_that_is_over_is_never_begun),
        cmocka_unit_test(a_pod_that_was_frozen_begins_nothing_that_is_overdue),
        cmocka_unit_test(a_pod_that_was_frozen_beyond_its_session_begins_nothing),
        cmocka_unit_test(what_has_begun_goes_on_beyond_its_budget_and_can_be_attached_to),
        cmocka_unit_test(who_leaves_before_it_began_is_forgotten),
        cmocka_unit_test(an_operators_off_holds_against_rounds_and_restarts_until_on),
        cmocka_unit_test(who_wakes_runs_what_the_last_round_wanted),
        cmocka_unit_test(a_crash_does_not_bring_up_what_a_failed_round_has_made),
        cmocka_unit_test(dead_answers_410_until_an_operators_on),
        cmocka_unit_test(not_to_start_means_configured_and_stopped_until_an_operators_on),
        cmocka_unit_test(an_original_leader_is_heard_while_an_original_pod_is_there),
        cmocka_unit_test(a_leader_of_another_tree_is_refused),
        cmocka_unit_test(who_comes_back_asks_who_leads_and_hears_nobody_older),
        cmocka_unit_test(who_comes_back_hears_nothing_of_an_older_round),
        cmocka_unit_test(a_lost_state_directory_lets_no_older_leader_in),
        cmocka_unit_test(an_epoch_that_nobody_leads_with_is_refused_and_not_kept),
        cmocka_unit_test(a_leader_of_yesterday_is_not_brought_back_by_who_can_write),
        cmocka_unit_test(a_zookeeper_restored_from_a_backup_is_followed),
        cmocka_unit_test(a_zookeeper_of_another_tree_from_a_backup_is_followed),
        cmocka_unit_test(junk_in_the_leaders_record_stops_no_round),
        cmocka_unit_test(what_waited_while_we_were_detached_is_not_begun),
        cmocka_unit_test(a_late_off_of_a_round_that_came_into_force_is_refused_after_a_crash_too),
        cmocka_unit_test(an_off_that_waits_behind_an_on_of_its_round_is_not_begun),
        cmocka_unit_test(bodies_that_wait_have_a_limit_together),
        cmocka_unit_test(a_body_that_waits_alone_is_always_taken),
        cmocka_unit_test(a_body_of_nul_bytes_is_no_json_and_that_is_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
