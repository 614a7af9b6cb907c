// Faults that no other test of the pod is about: deaths by other hands, a workload that does not
// end, a stranger under our name, a state directory that cannot be written or is an older one,
// clocks.
#include "tests/flow/pod_stage.h"

static struct stage *running(const char *more) {
    struct stage *s = stage_create(more);
    stage_configure(s);
    fake_engine_forget_calls(s->engine);
    return s;
}

static int workloads_running(struct stage *s) {
    struct link *all = engine_containers(fake_engine_memory(s->engine));
    int n = 0;
    for (struct link *it = all->next; it != all; it = it->next) {
        const struct engine_container *c = list_entry(it, struct engine_container, link);
        const char *role = json_text(json_object_get(c->config, "Labels"), "io.ochopod.role");
        n += strcmp(role, "workload") == 0 && c->status == ENGINE_RUNNING;
    }
    return n;
}

// ---- deaths ----

// The shim's end takes the workload along: the event says 255, inspect 137, and nobody signalled.
static void a_death_by_other_hands_is_no_crash_of_its_own(void **unused) {
    (void)unused;
    static const int codes[] = {137, 255};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct stage *s = running("");
        for (int n = 1; n <= 3; n++) {
            fake_engine_exit(s->engine, WORKLOAD, codes[i]);
            fake_loop_advance(s->loop, 300); // no pause, however short it ran
            assert_int_equal(stage_starts(s), 1 + n);
            expect_process(s, "running");
        }
        assert_false(s->state->dead);
        fake_loop_advance(s->loop, 12000);
        fake_engine_exit(s->engine, WORKLOAD, 1);
        fake_loop_advance(s->loop, 300);
        assert_int_equal(stage_starts(s), 5); // the first of its own is as good as ever
        stage_free(s);
    }
}

static void at_most_five_starts_in_ten_seconds_whoever_kills_it(void **unused) {
    (void)unused;
    struct stage *s = running("");
    int64_t starts[64];
    int seen = stage_starts(s), n = 0;
    for (int ms = 0; ms < 60000; ms += 10) {
        if (stage_runs(s))
            fake_engine_exit(s->engine, WORKLOAD, 137);
        fake_loop_advance(s->loop, 10);
        if (stage_starts(s) == seen)
            continue;
        assert_int_equal(stage_starts(s), ++seen);
        starts[n++] = loop_now(s->loop);
        if (n > 5)
            assert_true(starts[n - 1] - starts[n - 6] >= 9990);
    }
    assert_in_range(n, 15, 30);
    expect_kind(stage_operator(s, POD_SIGNAL), ERR_NONE); // it answers all the while
    stage_free(s);
}

// ---- an engine that was killed while it started one ----

// It answers every start of that container in the same way from then on.
static void one_that_the_engine_will_never_start_is_made_anew(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    auto_free char *first = xstrdup(s->state->container);
    fake_engine_fail(s->engine, "start " WORKLOAD, 3, 500, "task 1234: already exists");
    fake_engine_forget_calls(s->engine);
    expect_kind(stage_on(s), ERR_RETRY);
    fake_loop_advance(s->loop, 20000);
    assert_true(stage_runs(s));
    assert_int_equal(workloads_running(s), 1);
    assert_string_not_equal(s->state->container, first);
    stage_configure(s);
    stage_free(s);
}

// It may run, unseen by the engine: it ends with the holder before another one is started.
static void one_that_may_run_unseen_ends_before_another_is_started(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "start " WORKLOAD, 1, 500, "id already in use");
    fake_engine_forget_calls(s->engine);
    (void)stage_on(s);
    fake_loop_advance(s->loop, 5000);
    assert_true(stage_runs(s));
    assert_int_equal(workloads_running(s), 1);
    const char *calls = fake_engine_calls(s->engine);
    const char *unseen = strstr(calls, "start " WORKLOAD),
               *holder = strstr(calls, "remove ochopod-");
    assert_true(unseen && holder && unseen < holder);
    assert_true(strstr(unseen + 1, "start " WORKLOAD) > holder);
    assert_int_equal(fake_engine_count(s->engine, "remove ochopod-"), 1);
    stage_free(s);
}

// Volumes hold what is to stay; a container that can never be started again keeps nothing.
static void refused_for_ever(const char *why) {
    struct stage *s = running("");
    auto_free char *first = xstrdup(s->state->container);
    fake_loop_advance(s->loop, 12000);
    fake_engine_fail(s->engine, "start " WORKLOAD, 2, 500, why);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 5000);
    assert_true(stage_runs(s));
    assert_int_equal(workloads_running(s), 1);
    assert_string_not_equal(s->state->container, first);
    stage_free(s);
}

static void one_that_ran_and_will_never_start_is_made_anew(void **unused) {
    (void)unused;
    refused_for_ever("task 1234: already exists");
    refused_for_ever("task 1234: already exists: unknown");
    refused_for_ever("failed to start shim: mkdir /run/1234: file exists: unknown");
    refused_for_ever("id already in use");
}

// A name or a port that is taken is another's.
static void what_is_taken_by_another_costs_no_holder(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_loop_advance(s->loop, 12000);
    fake_engine_fail(s->engine, "start " WORKLOAD, 1, 500,
                     "endpoint with name side already exists in network front");
    fake_engine_fail(s->engine, "start " WORKLOAD, 1, 500, "bind: address already in use");
    fake_engine_forget_calls(s->engine);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 20000);
    assert_true(stage_runs(s));
    assert_int_equal(fake_engine_count(s->engine, "remove ochopod-"), 0);
    stage_free(s);
}

// What ran before holds what the workload wrote: it is kept, and started when the engine can.
static void one_that_ran_is_kept_whatever_the_engine_answers(void **unused) {
    (void)unused;
    struct stage *s = running("");
    auto_free char *first = xstrdup(s->state->container);
    fake_loop_advance(s->loop, 12000);
    fake_engine_fail(s->engine, "start " WORKLOAD, 3, 500, "no room for a shim");
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 20000);
    assert_true(stage_runs(s));
    assert_string_equal(s->state->container, first);
    stage_free(s);
}

// ---- a check that hangs ----

static void for_ever(struct fake_exec *exec, void *arg) {
    (void)arg;
    exec->ms = -1;
}

static void a_check_that_hangs_counts_and_holds_up_nobody(void **unused) {
    (void)unused;
    struct stage *s = running("  check: {exec: [alive], every: 1s, timeout: 2s, retries: 2}\n");
    fake_engine_on_exec(s->engine, for_ever, NULL);
    fake_loop_advance(s->loop, 1500); // the first one hangs
    struct said *check = stage_check(s);
    expect_done(check);
    expect_process(s, "running");
    fake_loop_advance(s->loop, 8000);
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

// ---- one that does not end ----

// Neither the stop nor what the engine does after its grace ends it: dockerd says so with a 500.
static void what_cannot_be_stopped_has_no_successor(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_grow(s); // another environment: another container
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "stop side-workload", 1, 500, "did not receive an exit event");
    struct said *on = stage_on(s);
    assert_true(on->came && on->err.kind != ERR_NONE);
    assert_non_null(strstr(on->err.text, "did not receive an exit event"));
    fake_loop_advance(s->loop, 120000);
    assert_int_equal(workloads_running(s), 1);
    assert_int_equal(stage_starts(s), 1);
    expect_process(s, "running");
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_configure(s); // it can be stopped again
    assert_int_equal(workloads_running(s), 1);
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

// An operator who was told that it does not end asks again, and is not told that it has.
static void a_kill_that_did_not_end_it_may_be_asked_for_again(void **unused) {
    (void)unused;
    for (int away = 0; away < 2; away++) {
        struct stage *s = running("");
        if (away)
            fake_engine_down(s->engine, "restarted");
        else
            fake_engine_fail(s->engine, "stop side-workload", 2, 500,
                             "did not receive an exit event");
        for (int i = 0; i < 2; i++) {
            expect_kind(stage_operator(s, POD_KILL), ERR_RETRY);
            fake_loop_advance(s->loop, 120000);
            assert_int_equal(workloads_running(s), 1);
            assert_true(s->state->dead && s->state->killed);
        }
        if (away)
            fake_engine_up(s->engine);
        expect_done(stage_operator(s, POD_KILL));
        assert_int_equal(workloads_running(s), 0);
        expect_process(s, "dead");
        expect_kind(stage_operator(s, POD_KILL), ERR_GONE);
        stage_free(s);
    }
}

// The engine says that it was stopped, and inspect that it runs: inspect is believed.
static void what_is_said_to_be_stopped_and_runs_has_no_successor(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_grow(s);
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "stop side-workload", 1, 304, "");
    struct said *on = stage_ask(s, POD_ON, 120000);
    fake_loop_advance(s->loop, 30000);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "still runs after stop and kill"));
    assert_int_equal(workloads_running(s), 1);
    assert_int_equal(stage_starts(s), 1);
    stage_configure(s);
    assert_int_equal(workloads_running(s), 1);
    stage_free(s);
}

static void keep_why(const struct err *why, void *arg) {
    *(struct err *)arg = *why;
}

static struct err leave(struct stage *s) {
    struct err why = ERR_INIT;
    err_set(&why, ERR_BUG, "not done yet");
    pod_leave(s->pod, 8000, keep_why, &why);
    fake_loop_advance(s->loop, 20000);
    return why;
}

// It runs, and the engine has told so before it lost its answer: what is to be off is stopped, and
// what is to be replaced can be.
static void one_whose_start_was_answered_to_nobody_is_seen(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    for (int round = 0; round < 2; round++) {
        fake_engine_fail(s->engine, "start " WORKLOAD, 2, FAKE_LOST, "lost");
        stage_grow(s);
        expect_done(stage_check(s));
        expect_kind(stage_on(s), ERR_RETRY);
        assert_true(stage_runs(s));
        expect_process(s, "running");
        stage_shrink(s);
        expect_done(stage_check(s));
        struct said *off = stage_ask(s, POD_OFF, 60000);
        fake_loop_advance(s->loop, 1000);
        expect_done(off);
        assert_false(stage_runs(s));
        (void)stage_on(s); // lost once more, where it was seen in time
        stage_configure(s);
        assert_int_equal(workloads_running(s), 1);
    }
    stage_free(s);
}

// The engine ends it a while after it lost its answer, and by then the round is another one, which
// changes nothing.
static void what_may_still_end_is_not_said_to_be_up(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    fake_engine_habits(s->engine, NULL,
                       (struct fake_habits){.term_ms = 8000, .term_exit = 143, .exit_ms = -1});
    fake_engine_fail(s->engine, "stop " WORKLOAD, 1, FAKE_LOST, "lost");
    stage_grow(s);
    expect_done(stage_check(s));
    expect_kind(stage_on(s), ERR_RETRY);
    assert_true(stage_runs(s));
    stage_shrink(s);
    expect_done(stage_check(s));
    struct said *on = stage_on(s);
    assert_string_equal(stage_said(on), "nothing yet");
    fake_loop_advance(s->loop, 9000);
    expect_done(on);
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 2);
    fake_loop_advance(s->loop, 30000);
    assert_int_equal(stage_starts(s), 2);
    stage_configure(s); // from here on it is as any other
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void who_leaves_says_what_did_not_stop(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_fail(s->engine, "stop side-workload", 1, 304, "");
    struct err why = leave(s);
    assert_int_equal(why.kind, ERR_REFUSED);
    assert_non_null(strstr(why.text, "still runs after stop and kill"));
    assert_int_equal(workloads_running(s), 0); // it ended with its holder
    stage_free(s);
}

static void who_leaves_without_an_engine_has_stopped_only_what_it_never_made(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_down(s->engine, "gone");
    assert_int_equal(leave(s).kind, ERR_RETRY);
    stage_free(s);
    s = stage_create("");
    fake_engine_down(s->engine, "gone");
    assert_int_equal(leave(s).kind, ERR_NONE);
    stage_free(s);
}

// ---- other people's containers ----

static void a_stranger_under_its_name_is_left_alone(void **unused) {
    (void)unused;
    struct stage *s = running("");
    struct engine *engine = fake_engine_memory(s->engine);
    auto_free char *first = xstrdup(s->state->container);
    json_decref(engine_container_remove(engine, WORKLOAD, true, false).body);
    auto_json json_t *body = json_pack("{s:s}", "Image", "sidecar:1");
    json_decref(engine_container_create(engine, WORKLOAD, body).body);
    json_decref(engine_container_start(engine, WORKLOAD).body);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "running");
    assert_string_not_equal(s->state->container, first);
    const struct engine_container *stranger = engine_find(engine, WORKLOAD);
    assert_string_not_equal(s->state->container, stranger->id);
    stage_configure(s);
    expect_done(stage_operator(s, POD_OFF));
    assert_int_equal(stranger->status, ENGINE_RUNNING);
    assert_int_equal(stranger->starts, 1);
    stage_free(s);
}

static void a_new_name_changes_nothing(void **unused) {
    (void)unused;
    struct stage *s = running("");
    struct engine *engine = fake_engine_memory(s->engine);
    fake_loop_advance(s->loop, 20000);
    json_decref(engine_container_rename(engine, WORKLOAD, "elsewhere").body);
    fake_engine_exit(s->engine, "elsewhere", 1);
    fake_loop_advance(s->loop, 1000);
    const struct engine_container *c = engine_find(engine, "elsewhere");
    assert_int_equal(c->status, ENGINE_RUNNING);
    assert_int_equal(c->starts, 2);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 1000);
    expect_process(s, "running");
    assert_string_equal(s->state->container, c->id);
    assert_int_equal(c->starts, 2);
    stage_free(s);
}

// ---- the engine ----

static void a_frozen_engine_is_503_and_nothing_else(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_freeze(s->engine);
    fake_loop_advance(s->loop, 30000);
    expect_process(s, "running");
    expect_kind(stage_check(s), ERR_RETRY);
    fake_engine_thaw(s->engine);
    fake_loop_advance(s->loop, 10000);
    stage_configure(s);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

// ---- the state directory ----

// What cannot be opened for writing, for root neither.
static void state_is_full(struct stage *s, bool full) {
    auto_free char *beside = xasprintf("%s/state/pod.json.new", s->dir);
    assert_int_equal(full ? mkdir(beside, 0700) : rmdir(beside), 0);
}

static void a_state_that_cannot_be_kept_refuses_the_round(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_grow(s);
    state_is_full(s, true);
    s->epoch = 200;
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    assert_non_null(strstr(check->err.text, "state directory"));
    struct said *again = stage_ask(s, POD_CHECK, 60000); // the same once more
    struct said *on = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_kind(again, ERR_REFUSED);
    expect_kind(on, ERR_REFUSED);
    assert_string_equal(fake_engine_calls(s->engine), "");
    expect_file(s, "conf/app.conf", "peers 1\n");
    state_is_full(s, false);
    stage_configure(s);
    expect_file(s, "conf/app.conf", "peers 2\n");
    s->epoch = 199;
    stage_worker_gone(s);
    stage_worker(s);
    expect_kind(stage_check(s), ERR_FENCED); // 200 is kept
    stage_free(s);
}

// Full between check and on: nothing is started with a set that the state does not know of.
static void a_state_that_fills_up_in_a_round_is_healed_by_the_next(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_grow(s);
    expect_done(stage_check(s));
    state_is_full(s, true);
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    expect_file(s, "conf/app.conf", "peers 1\n");
    assert_true(workloads_running(s) <= 1);
    state_is_full(s, false);
    stage_worker_gone(s); // also after a crash
    stage_worker(s);
    stage_configure(s);
    expect_process(s, "running");
    expect_file(s, "conf/app.conf", "peers 2\n");
    assert_int_equal(workloads_running(s), 1);
    stage_free(s);
}

// A worker that came after would not know it for what the round had started, and ask for another.
static void nothing_is_started_that_cannot_be_written_down(void **unused) {
    (void)unused;
    struct stage *s = running("  strict: true\n");
    expect_done(stage_check(s));
    state_is_full(s, true);
    expect_kind(stage_on(s), ERR_REFUSED); // at the last save before the start: no file is swapped
    assert_int_equal(workloads_running(s), 0);
    assert_int_equal(stage_starts(s), 1);
    fake_loop_advance(s->loop, 60000); // nor by itself
    assert_int_equal(stage_starts(s), 1);
    state_is_full(s, false);
    stage_configure(s);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void what_an_operator_says_and_cannot_be_kept_is_refused(void **unused) {
    (void)unused;
    struct stage *s = running("");
    state_is_full(s, true);
    expect_kind(stage_operator(s, POD_KILL), ERR_REFUSED);
    expect_process(s, "running");
    expect_kind(stage_operator(s, POD_OFF), ERR_REFUSED);
    expect_process(s, "running");
    fake_loop_advance(s->loop, 10000);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 1000);
    expect_process(s, "running"); // it is as if nothing had been asked
    state_is_full(s, false);
    expect_done(stage_operator(s, POD_OFF));
    expect_process(s, "stopped");
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "stopped");
    assert_true(s->state->off);
    state_is_full(s, true);
    expect_kind(stage_operator(s, POD_ON), ERR_REFUSED);
    expect_kind(stage_operator(s, POD_ON), ERR_REFUSED);
    expect_process(s, "stopped");
    state_is_full(s, false);
    expect_done(stage_operator(s, POD_ON));
    expect_process(s, "running");
    stage_free(s);
}

// ---- our own end ----

// The worker is gone t ms into an on that makes another container, and another worker is there: one
// workload at most, all the time; a set that is whole, whenever it is read; the next round heals.
static void the_worker_may_end_at_any_moment_of_an_on(void **unused) {
    (void)unused;
    enum { STEP_MS = 15, WHOLE_MS = 270 };
    bool begun = false, done = false;
    for (int t = 0; t <= WHOLE_MS; t += STEP_MS) {
        struct stage *s = running("");
        static const char *const slow[] = {"create", "stop", "remove", "rename", "start"};
        for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
            fake_engine_latency(s->engine, slow[i], 10);
        stage_grow(s);
        expect_done(stage_check(s));
        fake_engine_forget_calls(s->engine);
        struct said *on = stage_ask(s, POD_ON, 60000);
        for (int i = 0; i < t; i++) {
            fake_loop_advance(s->loop, 1);
            assert_true(workloads_running(s) <= 1);
        }
        begun |= *fake_engine_calls(s->engine) && !on->came;
        done |= on->came;
        stage_worker_gone(s);
        stage_worker(s);
        for (int i = 0; i < 30; i++) {
            fake_loop_advance(s->loop, 50);
            assert_true(workloads_running(s) <= 1);
        }
        auto_free char *file = stage_file(s, "conf/app.conf");
        assert_true(strcmp(file, "peers 1\n") == 0 || strcmp(file, "peers 2\n") == 0);
        stage_configure(s);
        expect_process(s, "running");
        expect_file(s, "conf/app.conf", "peers 2\n");
        assert_int_equal(workloads_running(s), 1);
        struct docker_container *c = fake_engine_look(s->engine, s->state->container);
        bool told = false;
        for (size_t i = 0; i < json_array_size(json_object_get(c->config, "Env")); i++)
            told |= strcmp(json_string_value(json_array_get(json_object_get(c->config, "Env"), i)),
                           "SIZE=2") == 0;
        assert_true(told);
        docker_container_free(c);
        stage_free(s);
    }
    assert_true(begun && done); // it was met in the middle, and at its end
}

// ---- an older copy of the state ----

static char *state_file(struct stage *s) {
    return xasprintf("%s/state/pod.json", s->dir);
}

static void put_file(const char *path, const char *data) {
    auto_file FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(data, f) >= 0);
}

// As from a backup: the pod is the same, what it forgot it is told by the next round, and the
// workload that runs meanwhile with a newer configuration is not another pod's.
static void an_older_copy_of_the_state_is_brought_up_by_a_round(void **unused) {
    (void)unused;
    struct stage *s = running("");
    auto_free char *old = stage_file(s, "state/pod.json");
    s->epoch = 200;
    stage_grow(s);
    stage_configure(s);
    auto_free char *id = xstrdup(s->state->pod_id);
    stage_worker_gone(s);
    auto_free char *path = state_file(s);
    put_file(path, old);
    stage_worker(s);
    fake_loop_advance(s->loop, 60000);
    assert_string_equal(s->state->pod_id, id);
    assert_true(workloads_running(s) <= 1);
    stage_configure(s); // of epoch 200
    expect_process(s, "running");
    assert_int_equal(workloads_running(s), 1);
    expect_file(s, "conf/app.conf", "peers 2\n");
    s->epoch = 150;
    expect_kind(stage_check(s), ERR_FENCED);
    stage_free(s);
}

// ---- the wall clock ----

// What happens to a pod, as far as it shows outside; jumps: years, forwards and back, all the time.
static char *story(bool jumps) {
    static const double years[] = {3e9, 1e9, 2.5e9, 0, 1.7e9};
    struct stage *s = stage_create(
        "  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
    struct text t = {0};
    int64_t began = loop_now(s->loop);
    stage_configure(s);
    for (int i = 0; i < 40; i++) {
        if (jumps)
            fake_loop_set_wall(s->loop, years[i % 5]);
        if (i == 12)
            fake_engine_exit(s->engine, WORKLOAD, 1);
        if (i == 20)
            expect_done(stage_operator(s, POD_OFF));
        if (i == 25)
            expect_done(stage_operator(s, POD_ON));
        if (i == 30)
            stage_grow(s);
        if (i == 32)
            stage_configure(s);
        fake_loop_advance(s->loop, 1000);
        text_addf(&t, "%lld %s %d\n", (long long)(loop_now(s->loop) - began), pod_process(s->pod),
                  stage_starts(s));
    }
    text_add(&t, fake_engine_calls(s->engine));
    stage_free(s);
    return text_take(&t);
}

static void the_wall_clock_decides_nothing(void **unused) {
    (void)unused;
    auto_free char *quiet = story(false);
    auto_free char *wild = story(true);
    assert_string_equal(quiet, wild);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_by_other_hands_is_no_crash_of_its_own),
        cmocka_unit_test(at_most_five_starts_in_ten_seconds_whoever_kills_it),
        cmocka_unit_test(one_that_the_engine_will_never_start_is_made_anew),
        cmocka_unit_test(one_that_may_run_unseen_ends_before_another_is_started),
        cmocka_unit_test(one_that_ran_and_will_never_start_is_made_anew),
        cmocka_unit_test(what_is_taken_by_another_costs_no_holder),
        cmocka_unit_test(one_that_ran_is_kept_whatever_the_engine_answers),
        cmocka_unit_test(a_check_that_hangs_counts_and_holds_up_nobody),
        cmocka_unit_test(what_cannot_be_stopped_has_no_successor),
        cmocka_unit_test(a_kill_that_did_not_end_it_may_be_asked_for_again),
        cmocka_unit_test(what_is_said_to_be_stopped_and_runs_has_no_successor),
        cmocka_unit_test(one_whose_start_was_answered_to_nobody_is_seen),
        cmocka_unit_test(what_may_still_end_is_not_said_to_be_up),
        cmocka_unit_test(who_leaves_says_what_did_not_stop),
        cmocka_unit_test(who_leaves_without_an_engine_has_stopped_only_what_it_never_made),
        cmocka_unit_test(a_stranger_under_its_name_is_left_alone),
        cmocka_unit_test(a_new_name_changes_nothing),
        cmocka_unit_test(a_frozen_engine_is_503_and_nothing_else),
        cmocka_unit_test(a_state_that_cannot_be_kept_refuses_the_round),
        cmocka_unit_test(a_state_that_fills_up_in_a_round_is_healed_by_the_next),
        cmocka_unit_test(nothing_is_started_that_cannot_be_written_down),
        cmocka_unit_test(what_an_operator_says_and_cannot_be_kept_is_refused),
        cmocka_unit_test(the_worker_may_end_at_any_moment_of_an_on),
        cmocka_unit_test(an_older_copy_of_the_state_is_brought_up_by_a_round),
        cmocka_unit_test(the_wall_clock_decides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
