// The workload's life: crashes, the end, the engine's and other people's doings, restarts of ours.
#include "base/log.h"
#include "tests/flow/pod_stage.h"
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

static struct stage *running(const char *more) {
    struct stage *s = stage_create(more);
    stage_configure(s);
    fake_engine_forget_calls(s->engine);
    return s;
}

static void exits(struct stage *s, int code) {
    fake_engine_exit(s->engine, WORKLOAD, code);
    fake_loop_advance(s->loop, 100); // the engine is done with the old run by then
}

static void a_crash_after_ten_seconds_is_answered_by_the_start_call_alone(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_loop_advance(s->loop, 10000);
    exits(s, 1);
    assert_string_equal(fake_engine_calls(s->engine), "start side-workload\n");
    assert_true(stage_runs(s));
    expect_process(s, "running");
    stage_free(s);
}

static void quick_crashes_are_started_again_later_and_later(void **unused) {
    (void)unused;
    struct stage *s = running("");
    static const int pauses[] = {500, 1000, 2000, 4000};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        int before = stage_starts(s);
        exits(s, 1);
        expect_process(s, "stopped");
        assert_non_null(strstr(stage_status(s), "after exit 1"));
        fake_loop_advance(s->loop, pauses[i] * 8 / 10 - 120);
        assert_int_equal(stage_starts(s), before);
        fake_loop_advance(s->loop, pauses[i] * 4 / 10 + 240);
        assert_int_equal(stage_starts(s), before + 1);
    }
    stage_free(s);
}

static void exit_0_seen_live_is_done_and_stays_so(void **unused) {
    (void)unused;
    struct stage *s = running("");
    exits(s, 0);
    fake_loop_advance(s->loop, 500);
    expect_process(s, "dead");
    assert_true(s->state->dead);
    assert_int_equal(s->dead_told, 1);
    assert_int_equal(s->state->renewals, 1); // a round leaves it out
    expect_kind(stage_check(s), ERR_GONE);
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static void restart_always_restarts_on_exit_0(void **unused) {
    (void)unused;
    struct stage *s = running("  restart: always\n");
    exits(s, 0);
    fake_loop_advance(s->loop, 2000);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

// As after a restart of dockerd: it ended in good order, and nobody heard of it.
static void exit_0_caused_by_the_engine_is_not_done(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_down(s->engine, "restarting");
    exits(s, 0);
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 20000);
    assert_false(s->state->dead);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void a_start_that_keeps_failing_is_tried_later_and_later(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_loop_advance(s->loop, 60000);
    fake_engine_fail(s->engine, "start side-workload", 1000, 500, "no space left on device");
    exits(s, 1);
    fake_loop_advance(s->loop, 60000);
    assert_in_range(fake_engine_count(s->engine, "start side-workload"), 4, 12);
    assert_non_null(strstr(stage_status(s), "no space left"));
    stage_free(s);
}

static void a_foreign_stop_is_not_done_and_is_restarted(void **unused) {
    (void)unused;
    struct stage *s = running("");
    struct engine_container *c = engine_find(fake_engine_memory(s->engine), WORKLOAD);
    json_decref(engine_container_kill(fake_engine_memory(s->engine), c->id, "TERM").body);
    fake_loop_advance(s->loop, 10 * 60 * 1000); // a database writes down what it holds
    exits(s, 0);
    fake_loop_advance(s->loop, 2000);
    assert_false(s->state->dead);
    expect_process(s, "running");
    exits(s, 0); // by itself
    fake_loop_advance(s->loop, 2000);
    assert_true(s->state->dead);
    stage_free(s);
}

static void a_foreign_removal_is_made_again_from_what_is_in_force(void **unused) {
    (void)unused;
    struct stage *s = running("");
    auto_free char *first = xstrdup(s->state->container);
    json_decref(engine_container_remove(fake_engine_memory(s->engine), WORKLOAD, true, false).body);
    fake_loop_advance(s->loop, 40000);
    expect_process(s, "running");
    assert_string_not_equal(s->state->container, first);
    stage_free(s);
}

static void a_restarted_worker_leaves_the_workload_alone(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    stage_worker(s);
    assert_int_equal(s->state->renewals, 0);
    fake_loop_advance(s->loop, 1000);
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    assert_string_equal(fake_engine_calls(s->engine), "");
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

struct heard {
    struct stage *stage;
    bool said, begun; // begun: it had been when it was said
};

static void hears(const char *line, size_t len, void *arg) {
    struct heard *heard = arg;
    if (!memmem(line, len, " state=stopping ", strlen(" state=stopping ")))
        return;
    heard->said = true;
    heard->begun = *heard->stage->state->ending;
}

// Who is killed between the two would leave a workload that ends for no reason in the log.
static void a_stop_is_said_before_it_is_begun(void **unused) {
    (void)unused;
    struct heard heard = {.stage = running("")};
    log_listen(hears, &heard);
    expect_done(stage_operator(heard.stage, POD_OFF));
    log_listen(NULL, NULL);
    assert_true(heard.said && !heard.begun);
    assert_string_not_equal(heard.stage->state->ending, "");
    stage_free(heard.stage);
}

static void what_died_while_no_worker_was_there_is_started_again(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    exits(s, 0); // not seen: proves nothing
    stage_worker(s);
    fake_loop_advance(s->loop, 2000);
    assert_false(s->state->dead);
    expect_process(s, "running");
    stage_free(s);
}

// It never lived long enough for anybody to see which run it was.
static void so_is_what_ends_at_once_at_each_start(void **unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        struct stage *s = stage_create("");
        fake_engine_habits(s->engine, NULL, (struct fake_habits){.exit_ms = i, .exit_code = 1});
        fake_engine_lag(s->engine, 0);
        expect_done(stage_check(s));
        (void)stage_on(s);
        fake_loop_advance(s->loop, 10);
        stage_worker_gone(s);
        stage_worker(s);
        int before = stage_starts(s);
        fake_loop_advance(s->loop, 60000);
        assert_true(stage_starts(s) > before);
        fake_engine_habits(s->engine, NULL, FAKE_HABITS_USUAL);
        fake_loop_advance(s->loop, 60000);
        expect_process(s, "running");
        assert_false(s->state->woken);
        expect_done(stage_check(s));
        struct said *off = stage_ask(s, POD_OFF, 60000);
        fake_loop_advance(s->loop, 1000);
        expect_done(off);
        stage_worker_gone(s);
        stage_worker(s);
        fake_loop_advance(s->loop, 60000);
        expect_process(s, "stopped");
        stage_free(s);
    }
}

// Another start of the sidecar's container is another network: what lies in the volume is not
// trusted.
static void after_a_restart_of_the_sidecars_container_a_round_starts_it(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    exits(s, 137); // with the holder
    fake_loop_advance(s->loop, 1000);
    fake_loop_run_until_idle(s->loop);
    free(s->facts.self->started_at);
    s->facts.self->started_at = strdup("2030-01-01T00:00:00Z");
    stage_worker(s);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "stopped");
    assert_int_equal(stage_starts(s), 1);
    assert_string_equal(stage_status(s), "waits for a round");
    assert_int_equal(s->state->renewals, 1); // what tells the cluster
    stage_configure(s);
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

// Neither its processes nor its network end with our container.
static void an_independent_workload_outlives_the_sidecars_container(void **unused) {
    (void)unused;
    struct stage *s = running("  lifetime: independent\n  network: host\n");
    stage_worker_gone(s);
    free(s->facts.self->started_at);
    s->facts.self->started_at = strdup("2030-01-01T00:00:00Z");
    stage_worker(s);
    fake_loop_advance(s->loop, 5000);
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    assert_int_equal(s->state->renewals, 0);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static bool is_up(struct stage *s, const char *name) {
    const struct engine_container *c = engine_find(fake_engine_memory(s->engine), name);
    return c && c->status == ENGINE_RUNNING;
}

// The next task is the same pod, by its state directory; Mesos keeps the ended one's container.
static void an_independent_workload_of_an_ended_task_ends_before_its_successor(void **unused) {
    (void)unused;
    struct stage *s = running("  lifetime: independent\n  network: host\n  stop: {grace: 40s}\n");
    struct engine *engine = fake_engine_memory(s->engine);
    struct fake_habits slow = FAKE_HABITS_USUAL;
    slow.term_ms = 5000;
    fake_engine_habits(s->engine, WORKLOAD, slow);
    stage_worker_gone(s);
    json_decref(engine_container_rename(engine, "side", "mesos-1234").body);
    fake_engine_exit(s->engine, "mesos-1234", 137);
    fake_loop_advance(s->loop, 100);
    assert_true(is_up(s, WORKLOAD));
    stage_self(s, "next");
    stage_worker(s);
    s->round++;
    struct said *check = stage_ask(s, POD_CHECK, 60000), *on = NULL;
    for (int i = 0; i < 300 && !is_up(s, "next-workload"); i++) {
        fake_loop_advance(s->loop, 100);
        if (check->came && !on)
            on = stage_ask(s, POD_ON, 60000);
    }
    assert_true(is_up(s, "next-workload"));
    assert_false(is_up(s, WORKLOAD));
    // Whoever stops it, the engine gives it no less than its own time.
    assert_true(fake_engine_count(s->engine, "stop " WORKLOAD) > 0);
    assert_int_equal(fake_engine_count(s->engine, "stop " WORKLOAD " - 40"),
                     fake_engine_count(s->engine, "stop " WORKLOAD));
    fake_loop_advance(s->loop, 1000);
    expect_done(on);
    stage_free(s);
}

static void a_leaders_off_is_not_undone_by_a_restart_of_the_worker(void **unused) {
    (void)unused;
    struct stage *s = running("");
    expect_done(stage_check(s));
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_done(off);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "stopped");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static void neither_is_one_of_a_workload_that_waited_to_be_started_again(void **unused) {
    (void)unused;
    struct stage *s = running("");
    exits(s, 1);
    expect_process(s, "stopped");
    assert_non_null(strstr(stage_status(s), "after exit 1"));
    s->round++;
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 50);
    expect_done(off);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "stopped");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

// What it was made of, only a round knows after a restart of the worker; without one it would be
// tried for ever.
static void a_container_lost_to_a_restarted_worker_asks_for_a_round(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    stage_worker(s);
    json_decref(engine_container_remove(fake_engine_memory(s->engine), WORKLOAD, true, false).body);
    fake_loop_advance(s->loop, 120000);
    expect_process(s, "stopped");
    assert_int_equal(s->state->renewals, 1);
    stage_configure(s);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

static void a_workload_that_dies_while_it_is_looked_at_is_started_again(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_loop_advance(s->loop, 20000);
    fake_engine_latency(s->engine, "list", 20); // inspect goes on to say "running" for 50 ms
    fake_engine_down(s->engine, "restarting");
    while (docker_is_up(s->docker))
        fake_loop_advance(s->loop, 1);
    fake_engine_up(s->engine);
    while (!docker_is_up(s->docker))
        fake_loop_advance(s->loop, 1);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 60000);
    assert_true(stage_runs(s));
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void the_engine_gone_in_the_middle_of_on_is_503_and_the_next_round_heals(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "start", 500);
    struct said *on = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 100);
    fake_engine_down(s->engine, "gone");
    fake_loop_advance(s->loop, 1000);
    expect_kind(on, ERR_RETRY);
    expect_kind(stage_check(s), ERR_RETRY);
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 5000);
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

static void an_engine_that_comes_back_with_the_same_run_changes_nothing(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_down(s->engine, "gone");
    fake_loop_advance(s->loop, 3000);
    expect_process(s, "running");
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 5000);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

// It was believed to run on: the engine had answered nothing. What ends then was ended by us.
static void exit_0_after_a_stop_whose_answer_was_lost_is_not_done(void **unused) {
    (void)unused;
    struct stage *s = running("  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
    fake_engine_habits(s->engine, NULL,
                       (struct fake_habits){.term_ms = 500, .term_exit = 0, .exit_ms = -1});
    fake_engine_fail(s->engine, "exec side-workload", 3, 500, "no");
    fake_engine_fail(s->engine, "stop side-workload", 1, FAKE_LOST, "lost");
    fake_loop_advance(s->loop, 20000);
    assert_int_equal(fake_engine_count(s->engine, "stop side-workload"), 1);
    assert_false(s->state->dead);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void exit_0_of_a_run_that_a_former_worker_was_stopping_is_not_done(void **unused) {
    (void)unused;
    struct stage *s = running("  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
    fake_engine_habits(s->engine, NULL,
                       (struct fake_habits){.term_ms = 3000, .term_exit = 0, .exit_ms = -1});
    fake_engine_fail(s->engine, "exec side-workload", 3, 500, "no");
    while (!fake_engine_count(s->engine, "stop side-workload"))
        fake_loop_advance(s->loop, 100);
    stage_worker_gone(s);
    stage_worker(s);
    expect_process(s, "running");
    fake_loop_advance(s->loop, 20000);
    assert_false(s->state->dead);
    expect_process(s, "running");
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void an_end_that_the_engine_cannot_tell_at_once_is_asked_again(void **unused) {
    (void)unused;
    struct stage *s = running("  ready: {exec: [up], every: 1s}\n"
                              "  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
    fake_engine_habits(s->engine, NULL,
                       (struct fake_habits){.term_ms = 500, .term_exit = 0, .exit_ms = -1});
    fake_engine_fail(s->engine, "exec side-workload", 3, 500, "no");
    while (!fake_engine_count(s->engine, "stop side-workload"))
        fake_loop_advance(s->loop, 10);
    fake_engine_fail(s->engine, "inspect side-workload", 1, 500, "broken");
    fake_loop_advance(s->loop, 20000);
    assert_int_equal(stage_starts(s), 2);
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

// Nothing runs, and nobody may be told that it does.
static void an_end_that_the_engine_cannot_tell_at_all_is_not_taken_for_running(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_fail(s->engine, "inspect side-workload", 40, 500, "broken");
    stage_operator(s, POD_OFF);
    assert_false(stage_runs(s));
    expect_process(s, "terminating");
    assert_false(pod_ready(s->pod));
    fake_loop_advance(s->loop, 20000);
    expect_process(s, "stopped");
    expect_done(stage_operator(s, POD_ON));
    expect_process(s, "running");
    stage_free(s);
}

static void keep_why(const struct err *why, void *arg) {
    *(struct err *)arg = *why;
}

static void who_leaves_does_not_wait_for_an_end_that_nobody_can_tell(void **unused) {
    (void)unused;
    struct stage *s = running("");
    struct err why = ERR_INIT;
    fake_engine_fail(s->engine, "inspect side-workload", 1000, 500, "broken");
    pod_leave(s->pod, 8000, keep_why, &why);
    fake_loop_advance(s->loop, 5000);
    assert_string_equal(why.text, "docker inspect side-workload: broken");
    assert_null(engine_find(fake_engine_memory(s->engine), WORKLOAD));
    stage_free(s);
}

static void a_log_that_no_driver_can_read_is_asked_for_once_a_run(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_record_reads(s->engine, true);
    fake_engine_fail(s->engine, "logs side-workload", 100, 501,
                     "configured logging driver does not support reading");
    exits(s, 1);
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(fake_engine_count(s->engine, "logs side-workload"), 1);
    fake_engine_fail(s->engine, "logs side-workload", 3, 500, "not now");
    exits(s, 1);
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(fake_engine_count(s->engine, "logs side-workload"), 5);
    stage_free(s);
}

static int listens(const char *address, int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    assert_true(fd >= 0 && inet_pton(AF_INET, address, &at.sin_addr) == 1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static int port_of(int fd) {
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static void is_at(struct stage *s, const char *address) {
    struct engine_container *c = engine_find(fake_engine_memory(s->engine), WORKLOAD);
    assert_non_null(c);
    snprintf(c->ip, sizeof c->ip, "%s", address);
}

// Not in our own network meanwhile, where the control port may answer, nor where it was before.
static void one_with_a_network_of_its_own_is_asked_there_alone(void **unused) {
    (void)unused;
    int ours = listens("127.0.0.1", 0), port = port_of(ours);
    auto_free char *more = xasprintf("  network: mine\n  ready: {tcp: %d, every: 1s}\n", port);
    struct stage *s = stage_create(more);
    expect_done(stage_check(s));
    fake_engine_latency(s->engine, "inspect side-workload", 300);
    fake_engine_fail(s->engine, "inspect side-workload", 1, 500, "not now");
    struct said *on = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 100);
    is_at(s, "127.0.0.2");
    fake_loop_advance(s->loop, 3000);
    assert_true(stage_runs(s) && !on->came);
    int first = listens("127.0.0.2", port);
    fake_loop_advance(s->loop, 3000);
    expect_done(on);
    assert_true(pod_ready(s->pod));

    fake_loop_advance(s->loop, 20000);
    exits(s, 1);
    is_at(s, "127.0.0.3");
    fake_loop_advance(s->loop, 3000);
    assert_true(stage_runs(s) && !pod_ready(s->pod));
    int second = listens("127.0.0.3", port);
    fake_loop_advance(s->loop, 3000);
    assert_true(pod_ready(s->pod));
    close(ours);
    close(first);
    close(second);
    stage_free(s);
}

static void a_check_that_could_not_be_made_restarts_nothing(void **unused) {
    (void)unused;
    struct stage *s = running("  check: {tcp: 1, every: 1s, timeout: 1s, retries: 3}\n");
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fake_loop_advance(s->loop, 20000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(stage_starts(s), 1);
    fake_loop_advance(s->loop, 5000); // nobody listens on that port
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static void a_check_that_fails_too_often_restarts_it(void **unused) {
    (void)unused;
    struct stage *s = running("  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
    fake_engine_fail(s->engine, "exec side-workload", 3, 500, "no");
    fake_loop_advance(s->loop, 2500);
    assert_int_equal(stage_starts(s), 1);
    assert_false(pod_ready(s->pod));
    fake_loop_advance(s->loop, 5000);
    assert_int_equal(stage_starts(s), 2);
    assert_true(pod_ready(s->pod));
    auto_json json_t *info = pod_info(s->pod);
    int64_t restarts = 0;
    assert_int_equal(json_int(json_object_get(info, "workload"), "restarts", &restarts, NULL), 0);
    assert_int_equal(restarts, 1); // it counts like a crash
    stage_free(s);
}

// It says nothing of the workload that nobody could ask it.
static void a_check_that_the_engine_did_not_answer_restarts_nothing(void **unused) {
    (void)unused;
    struct stage *s = running("  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
    fake_engine_fail(s->engine, "exec side-workload", 20, FAKE_CUT, "no answer");
    fake_loop_advance(s->loop, 19000);
    assert_int_equal(stage_starts(s), 1);
    assert_true(pod_ready(s->pod));
    fake_engine_fail(s->engine, "exec side-workload", 3, FAKE_HANG, ""); // the workload's own doing
    fake_loop_advance(s->loop, 10000);
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

// What the engine said of a run holds for that run alone.
static void its_healthcheck_is_asked_anew_in_each_run(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  check: {docker: true, every: 10s}\n");
    stage_configure(s);
    fake_engine_health(s->engine, WORKLOAD, "healthy");
    fake_loop_advance(s->loop, 30000);
    assert_int_equal(stage_starts(s), 1);
    fake_engine_health(s->engine, WORKLOAD, "unhealthy");
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(stage_starts(s), 2);     // and is left in peace until it is told something
    fake_engine_down(s->engine, "restarted"); // it calls unhealthy what it stops
    fake_engine_exit(s->engine, WORKLOAD, 143);
    fake_engine_health(s->engine, WORKLOAD, "unhealthy");
    fake_loop_advance(s->loop, 1000);
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(stage_starts(s), 3);
    expect_process(s, "running");
    stage_free(s);
}

static void one_that_was_healthy_is_not_ready_for_it_when_it_is_started_again(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  ready: {docker: true, timeout: 30s}\n");
    struct said *on;
    for (int round = 0; round < 2; round++) {
        if (round)
            stage_grow(s); // another environment: another container
        expect_done(stage_check(s));
        on = stage_ask(s, POD_ON, 60000);
        fake_loop_advance(s->loop, 5000);
        assert_true(stage_runs(s));
        assert_false(on->came);
        fake_engine_health(s->engine, WORKLOAD, "healthy");
        fake_loop_advance(s->loop, 1000);
        expect_done(on);
    }
    stage_free(s);
}

// It takes its time to end, has closed its port by then, and is not started for that.
static void a_check_that_fails_starts_nothing_that_is_to_be_off(void **unused) {
    (void)unused;
    static const enum pod_task tasks[] = {POD_OFF, POD_KILL};
    for (size_t i = 0; i < 2; i++) {
        struct stage *s = running("  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n"
                                  "  stop: {grace: 2s, soft: true}\n");
        struct fake_habits slow = FAKE_HABITS_USUAL;
        slow.term_ms = 60000;
        fake_engine_habits(s->engine, WORKLOAD, slow);
        expect_kind(stage_operator(s, tasks[i]), ERR_TIMEOUT);
        assert_true(stage_runs(s));
        fake_engine_fail(s->engine, "exec " WORKLOAD, 1000, 500, "no");
        fake_loop_advance(s->loop, 300000);
        assert_false(stage_runs(s));
        assert_int_equal(stage_starts(s), 1);
        stage_free(s);
    }
}

static void done_leaving(const struct err *why, void *arg) {
    *(bool *)arg = why->kind == ERR_NONE;
}

static void leaving_stops_and_removes_it_and_its_holder(void **unused) {
    (void)unused;
    struct stage *s = running("");
    bool left = false;
    pod_leave(s->pod, 8000, done_leaving, &left);
    fake_loop_advance(s->loop, 9000);
    assert_true(left);
    assert_null(engine_find(fake_engine_memory(s->engine), WORKLOAD));
    struct link *all = engine_containers(fake_engine_memory(s->engine));
    assert_true(all->next->next == all); // the sidecar alone
    stage_free(s);
}

// Another worker, which is told to leave before the engine has answered its first question.
static void leaves_unlooked(struct stage *s) {
    bool left = false;
    fake_engine_latency(s->engine, "", 20);
    stage_worker_begins(s);
    expect_process(s, "stopped"); // as far as it knows
    fake_engine_forget_calls(s->engine);
    pod_leave(s->pod, 8000, done_leaving, &left);
    fake_loop_advance(s->loop, 9000);
    assert_true(left);
    assert_null(engine_find(fake_engine_memory(s->engine), WORKLOAD));
    assert_int_equal(fake_engine_count(s->engine, "start"), 0);
}

static void one_that_has_not_looked_yet_stops_what_runs(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    leaves_unlooked(s);
    assert_int_equal(fake_engine_count(s->engine, "stop " WORKLOAD), 1);
    stage_free(s);
}

static void one_that_has_not_looked_yet_starts_nothing_that_died(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    exits(s, 1);
    leaves_unlooked(s);
    stage_free(s);
}

// A pod whose image keeps data in a volume of its own.
static struct stage *with_data(void) {
    struct stage *s = stage_create("");
    auto_json json_t *config = json_pack("{s:{s:{}}}", "Volumes", "/data");
    stage_worker_gone(s);
    engine_image_add(fake_engine_memory(s->engine), "app:1", config);
    stage_worker(s);
    stage_configure(s);
    return s;
}

static size_t volumes_after_leaving(struct stage *s) {
    bool left = false;
    pod_leave(s->pod, 8000, done_leaving, &left);
    fake_loop_advance(s->loop, 9000);
    assert_true(left);
    struct engine_reply reply = engine_volume_list(fake_engine_memory(s->engine), NULL);
    size_t i, n = 0;
    json_t *volume;
    json_array_foreach(json_object_get(reply.body, "Volumes"), i, volume)
        n += text_starts(json_text(volume, "Name"), "ochopod-"); // the others are the sidecar's own
    json_decref(reply.body);
    return n;
}

static void data_of_a_done_pod_stays_and_of_a_killed_one_goes(void **unused) {
    (void)unused;
    struct stage *s = with_data();
    exits(s, 0);
    fake_loop_advance(s->loop, 1000);
    expect_process(s, "dead");
    assert_int_equal(volumes_after_leaving(s), 1);
    stage_free(s);

    s = with_data();
    stage_operator(s, POD_KILL);
    fake_loop_advance(s->loop, 15000);
    expect_process(s, "dead");
    assert_int_equal(volumes_after_leaving(s), 0);
    stage_free(s);
}

#define MADE "ochopod-" OTHER "-12345678"

static void an_orphan_is_removed_and_a_stranger_is_not(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct engine *engine = fake_engine_memory(s->engine);
    char gone[65];
    memset(gone, 'a', 64);
    gone[64] = '\0';
    auto_json json_t *orphan = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:s}}", "Image", "app:1", "Labels", "io.ochopod.role", "workload",
        "io.ochopod.owner", gone, "io.ochopod.pod", OTHER, "io.ochopod.cluster", "marathon.other");
    auto_json json_t *stranger = json_pack("{s:s, s:{s:s}}", "Image", "app:1", "Labels",
                                           "io.ochopod.role", "workload");
    json_decref(engine_container_create(engine, "orphan", orphan).body);
    json_decref(engine_container_start(engine, "orphan").body);
    json_decref(engine_container_create(engine, "stranger", stranger).body);
    json_object_set_new(json_object_get(orphan, "Labels"), "io.ochopod.lifetime",
                        json_string("independent")); // it was to outlive its sidecar
    json_decref(engine_container_create(engine, "independent", orphan).body);
    json_decref(engine_container_start(engine, "independent").body);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_null(engine_find(engine, "orphan"));
    assert_non_null(engine_find(engine, "stranger"));
    assert_non_null(engine_find(engine, "independent"));
    assert_non_null(engine_find(engine, "side"));
    stage_free(s);
}

// A workload whose sidecar was a process of another machine, as our engine has it.
static void elsewhere(struct stage *s, const char *name, const char *owner, const char *pod) {
    struct engine *engine = fake_engine_memory(s->engine);
    auto_json json_t *body = json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "Image", "app:1", "Labels",
                                       "io.ochopod.role", "workload", "io.ochopod.owner", owner,
                                       "io.ochopod.pod", pod, "io.ochopod.cluster", "marathon.zk");
    json_decref(engine_container_create(engine, name, body).body);
    json_decref(engine_container_start(engine, name).body);
}

#define ELSEWHERE "host:22222222-2222-4333-8444-555555555555:1:7:4026531836"

static void another_machines_workload_is_no_orphan_of_an_engine_that_both_have(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct engine *engine = fake_engine_memory(s->engine);
    elsewhere(s, "theirs", ELSEWHERE, OTHER);
    s->spec->docker_host = strdup("tcp://engine:2375");
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_true(is_up(s, "theirs"));
    free(s->spec->docker_host);
    s->spec->docker_host = NULL;
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_null(engine_find(engine, "theirs")); // left before the machine's last boot
    stage_free(s);
}

// Who was there before us is not seen, but it had our state directory, and so is gone.
static void a_former_sidecar_that_had_our_state_is_gone_wherever_it_ran(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    s->spec->docker_host = strdup("tcp://engine:2375");
    elsewhere(s, "earlier", ELSEWHERE, s->state->pod_id);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 1000);
    assert_true(is_up(s, "earlier"));
    struct err err = ERR_INIT;
    free(s->state->owner);
    s->state->owner = strdup(ELSEWHERE);
    assert_int_equal(state_save(s->state, &err), 0);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_false(is_up(s, "earlier"));
    stage_free(s);
}

// A sidecar of some cluster, and the workload that it left with three volumes: the sidecar's own
// anonymous one, one that it made and one that a user named.
struct left {
    char *id, *anonymous;
};

static struct left leave(struct stage *s, const char *sidecar, const char *task) {
    struct engine *engine = fake_engine_memory(s->engine);
    auto_json json_t *side = json_pack("{s:s, s:{s:s*}, s:{s:{}}}", "Image", "sidecar:1", "Labels",
                                       "MESOS_TASK_ID", task, "Volumes", "/data");
    json_decref(engine_container_create(engine, sidecar, side).body);
    json_decref(engine_container_start(engine, sidecar).body);
    const struct engine_container *c = engine_find(engine, sidecar);
    struct left left = {xstrdup(c->id), xstrdup(json_text(json_array_get(c->mounts, 0), "Name"))};
    auto_json json_t *work = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:s*}, s:{s:[{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s,s:s}]}}",
        "Image", "app:1", "Labels", "io.ochopod.role", "workload", "io.ochopod.owner", left.id,
        "io.ochopod.pod", OTHER, "io.ochopod.task", task, "HostConfig", "Mounts", "Type", "volume",
        "Source", left.anonymous, "Target", "/data", "Type", "volume", "Source", MADE, "Target",
        "/more", "Type", "volume", "Source", "named", "Target", "/named");
    json_decref(engine_container_create(engine, "left", work).body);
    return left;
}

static void left_done(struct left *left) {
    free(left->id);
    free(left->anonymous);
}

static bool has_volume(struct stage *s, const char *name) {
    auto_json json_t *list = engine_volume_list(fake_engine_memory(s->engine), NULL).body;
    size_t i;
    json_t *volume;
    json_array_foreach(json_object_get(list, "Volumes"), i,
                       volume) if (strcmp(json_text(volume, "Name"), name) == 0) return true;
    return false;
}

// Mesos keeps what exited for hours, and never starts it again.
static void a_task_that_ended_is_gone_though_its_container_lies_there(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct engine *engine = fake_engine_memory(s->engine);
    struct left left = leave(s, "mesos-1234", "zk.instance-1._app.1");
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_non_null(engine_find(engine, "left"));
    fake_engine_exit(s->engine, left.id, 137);
    fake_loop_advance(s->loop, 5 * 60 * 1000);
    assert_null(engine_find(engine, "left"));
    assert_true(has_volume(s, MADE)); // the next task may be the same pod, and look for its data
    assert_non_null(engine_find(engine, "mesos-1234")); // it is Mesos's
    assert_true(has_volume(s, left.anonymous));         // and so is this, which it has
    json_decref(engine_container_remove(engine, "mesos-1234", false, true).body);
    assert_false(has_volume(s, left.anonymous));
    fake_loop_advance(s->loop, 10 * 60 * 1000);
    assert_false(has_volume(s, MADE));
    assert_true(has_volume(s, "named"));
    left_done(&left);
    stage_free(s);
}

// Removed with `-v` while its workload still named the volume: the engine left that lying.
static void a_removed_tasks_anonymous_volumes_go_at_once(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct left left = leave(s, "mesos-1234", "zk.instance-1._app.1");
    json_decref(engine_container_remove(fake_engine_memory(s->engine), left.id, true, true).body);
    assert_true(has_volume(s, left.anonymous));
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_null(engine_find(fake_engine_memory(s->engine), "left"));
    assert_false(has_volume(s, left.anonymous));
    assert_true(has_volume(s, MADE) && has_volume(s, "named"));
    left_done(&left);
    stage_free(s);
}

static void an_exited_sidecar_that_may_be_started_again_keeps_what_it_made(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct engine *engine = fake_engine_memory(s->engine);
    struct left left = leave(s, "compose_zk_1", NULL);
    fake_engine_exit(s->engine, left.id, 137);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 11 * 60 * 1000);
    assert_non_null(engine_find(engine, "left"));
    json_decref(engine_container_remove(engine, left.id, false, true).body);
    fake_loop_advance(s->loop, 5 * 60 * 1000);
    assert_null(engine_find(engine, "left"));
    assert_true(has_volume(s, left.anonymous)); // one that is re-created would find its data
    fake_loop_advance(s->loop, 6 * 60 * 1000);
    assert_false(has_volume(s, left.anonymous));
    assert_true(has_volume(s, "named"));
    left_done(&left);
    stage_free(s);
}

// The one that takes its place may look while the engine is still at it, and looks again in
// minutes.
static void a_sidecar_that_is_being_removed_is_gone(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct engine *engine = fake_engine_memory(s->engine);
    struct left left = leave(s, "compose_zk_1", NULL);
    fake_engine_exit(s->engine, left.id, 137);
    engine_find(engine, left.id)->removing = true;
    fake_loop_advance(s->loop, 100); // until inspect has noticed its end
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_null(engine_find(engine, "left"));
    left_done(&left);
    stage_free(s);
}

// Its state directory was lost: it is another pod, and what it made as the former one is nobody's.
static void what_a_former_pod_of_this_sidecar_left_is_removed(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    struct engine *engine = fake_engine_memory(s->engine);
    auto_json json_t *former = json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "Image", "app:1",
                                         "Labels", "io.ochopod.role", "workload",
                                         "io.ochopod.owner", s->facts.self->id, "io.ochopod.pod",
                                         OTHER, "io.ochopod.cluster", "marathon.zk");
    json_decref(engine_container_create(engine, "former", former).body);
    json_decref(engine_container_start(engine, "former").body);
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 15000);
    assert_null(engine_find(engine, "former"));
    assert_non_null(engine_find(engine, "side"));
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_after_ten_seconds_is_answered_by_the_start_call_alone),
        cmocka_unit_test(quick_crashes_are_started_again_later_and_later),
        cmocka_unit_test(exit_0_seen_live_is_done_and_stays_so),
        cmocka_unit_test(restart_always_restarts_on_exit_0),
        cmocka_unit_test(exit_0_caused_by_the_engine_is_not_done),
        cmocka_unit_test(a_start_that_keeps_failing_is_tried_later_and_later),
        cmocka_unit_test(a_foreign_stop_is_not_done_and_is_restarted),
        cmocka_unit_test(a_foreign_removal_is_made_again_from_what_is_in_force),
        cmocka_unit_test(a_restarted_worker_leaves_the_workload_alone),
        cmocka_unit_test(a_stop_is_said_before_it_is_begun),
        cmocka_unit_test(what_died_while_no_worker_was_there_is_started_again),
        cmocka_unit_test(so_is_what_ends_at_once_at_each_start),
        cmocka_unit_test(after_a_restart_of_the_sidecars_container_a_round_starts_it),
        cmocka_unit_test(an_independent_workload_outlives_the_sidecars_container),
        cmocka_unit_test(an_independent_workload_of_an_ended_task_ends_before_its_successor),
        cmocka_unit_test(a_leaders_off_is_not_undone_by_a_restart_of_the_worker),
        cmocka_unit_test(neither_is_one_of_a_workload_that_waited_to_be_started_again),
        cmocka_unit_test(a_container_lost_to_a_restarted_worker_asks_for_a_round),
        cmocka_unit_test(a_workload_that_dies_while_it_is_looked_at_is_started_again),
        cmocka_unit_test(the_engine_gone_in_the_middle_of_on_is_503_and_the_next_round_heals),
        cmocka_unit_test(an_engine_that_comes_back_with_the_same_run_changes_nothing),
        cmocka_unit_test(exit_0_after_a_stop_whose_answer_was_lost_is_not_done),
        cmocka_unit_test(exit_0_of_a_run_that_a_former_worker_was_stopping_is_not_done),
        cmocka_unit_test(an_end_that_the_engine_cannot_tell_at_once_is_asked_again),
        cmocka_unit_test(an_end_that_the_engine_cannot_tell_at_all_is_not_taken_for_running),
        cmocka_unit_test(who_leaves_does_not_wait_for_an_end_that_nobody_can_tell),
        cmocka_unit_test(a_log_that_no_driver_can_read_is_asked_for_once_a_run),
        cmocka_unit_test(one_with_a_network_of_its_own_is_asked_there_alone),
        cmocka_unit_test(a_check_that_could_not_be_made_restarts_nothing),
        cmocka_unit_test(a_check_that_fails_too_often_restarts_it),
        cmocka_unit_test(a_check_that_the_engine_did_not_answer_restarts_nothing),
        cmocka_unit_test(its_healthcheck_is_asked_anew_in_each_run),
        cmocka_unit_test(one_that_was_healthy_is_not_ready_for_it_when_it_is_started_again),
        cmocka_unit_test(a_check_that_fails_starts_nothing_that_is_to_be_off),
        cmocka_unit_test(leaving_stops_and_removes_it_and_its_holder),
        cmocka_unit_test(one_that_has_not_looked_yet_stops_what_runs),
        cmocka_unit_test(one_that_has_not_looked_yet_starts_nothing_that_died),
        cmocka_unit_test(data_of_a_done_pod_stays_and_of_a_killed_one_goes),
        cmocka_unit_test(an_orphan_is_removed_and_a_stranger_is_not),
        cmocka_unit_test(another_machines_workload_is_no_orphan_of_an_engine_that_both_have),
        cmocka_unit_test(a_former_sidecar_that_had_our_state_is_gone_wherever_it_ran),
        cmocka_unit_test(a_task_that_ended_is_gone_though_its_container_lies_there),
        cmocka_unit_test(a_removed_tasks_anonymous_volumes_go_at_once),
        cmocka_unit_test(an_exited_sidecar_that_may_be_started_again_keeps_what_it_made),
        cmocka_unit_test(a_sidecar_that_is_being_removed_is_gone),
        cmocka_unit_test(what_a_former_pod_of_this_sidecar_left_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
