// The holder, made ahead of whoever needs it: by one run, for all who wait.
#include "tests/flow/pod_stage.h"

enum { STARTS_MS = 300 }; // as an engine that is busy

static char *holder_name_of(const struct stage *s) {
    return xasprintf("ochopod-marathon.zk-%.8s-holder", s->state->pod_id);
}

static bool holder_runs(struct stage *s) {
    auto_free char *name = holder_name_of(s);
    struct docker_container *c = fake_engine_look(s->engine, name);
    bool runs = c && c->running;
    docker_container_free(c);
    return runs;
}

static size_t containers(struct stage *s) {
    size_t n = 0;
    struct link *all = engine_containers(fake_engine_memory(s->engine));
    for (struct link *it = all->next; it != all; it = it->next)
        n++;
    return n;
}

// A stage whose worker has just begun to make the holder.
static struct stage *making(void) {
    struct stage *s = stage_create("");
    auto_free char *name = holder_name_of(s);
    auto_free char *start = xasprintf("start %s", name);
    stage_worker_gone(s);
    json_decref(engine_container_remove(fake_engine_memory(s->engine), name, true, true).body);
    fake_engine_latency(s->engine, start, STARTS_MS);
    fake_engine_forget_calls(s->engine);
    stage_worker(s);
    assert_int_equal(fake_engine_count(s->engine, "create ochopod-"), 1);
    assert_false(holder_runs(s));
    return s;
}

static void it_runs_before_the_first_round(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    assert_true(holder_runs(s));
    stage_configure(s);
    assert_int_equal(fake_engine_count(s->engine, "create ochopod-"), 0);
    stage_free(s);
}

static void check_creates_the_workload_beside_it_and_ends_when_it_runs(void **unused) {
    (void)unused;
    struct stage *s = making();
    struct said *check = stage_check(s); // 100 ms
    assert_false(check->came);
    assert_int_equal(fake_engine_count(s->engine, "create " WORKLOAD), 1);
    fake_loop_advance(s->loop, STARTS_MS);
    expect_done(check);
    expect_done(stage_on(s));
    assert_true(stage_runs(s));
    assert_int_equal(fake_engine_count(s->engine, "create ochopod-"), 1);
    struct docker_container *workload = fake_engine_look(s->engine, WORKLOAD);
    auto_free char *name = holder_name_of(s);
    struct docker_container *holder = fake_engine_look(s->engine, name);
    assert_string_equal(workload->pid_mode + strlen("container:"), holder->id);
    docker_container_free(workload);
    docker_container_free(holder);
    stage_free(s);
}

static void one_that_cannot_start_fails_the_check(void **unused) {
    (void)unused;
    struct stage *s = making();
    auto_free char *name = holder_name_of(s);
    auto_free char *start = xasprintf("start %s", name);
    struct said *check = stage_check(s);
    json_decref(engine_container_remove(fake_engine_memory(s->engine), name, true, true).body);
    fake_loop_advance(s->loop, STARTS_MS);
    assert_true(check->came);
    assert_int_not_equal(check->err.kind, ERR_NONE);
    assert_false(stage_runs(s));
    fake_engine_latency(s->engine, start, 0);
    stage_configure(s); // the next round makes another
    assert_true(holder_runs(s) && stage_runs(s));
    stage_free(s);
}

// A worker that finds its holder ended, and an engine that answers the first start of it so.
static struct stage *not_started(int status, const char *why) {
    struct stage *s = stage_create("");
    auto_free char *name = holder_name_of(s);
    auto_free char *start = xasprintf("start %s", name);
    stage_worker_gone(s);
    fake_engine_exit(s->engine, name, 137);
    fake_engine_fail(s->engine, start, 1, status, why);
    fake_engine_forget_calls(s->engine);
    stage_worker(s);
    return s;
}

static void expect_holders(struct stage *s, size_t removed, size_t created) {
    auto_free char *name = holder_name_of(s);
    auto_free char *remove = xasprintf("remove %s", name);
    stage_configure(s);
    assert_true(holder_runs(s) && stage_runs(s));
    assert_int_equal(fake_engine_count(s->engine, remove), removed);
    assert_int_equal(fake_engine_count(s->engine, "create ochopod-"), created);
    stage_free(s);
}

// As dockerd does for ever where it was killed at the wrong moment.
static void one_that_the_engine_will_never_start_is_replaced(void **unused) {
    (void)unused;
    expect_holders(not_started(500, "task 1234: already exists"), 1, 1);
}

static void one_that_an_engine_away_did_not_start_is_kept(void **unused) {
    (void)unused;
    struct stage *s = not_started(FAKE_CUT, "");
    stage_check(s);
    assert_int_equal(stage_on(s)->err.kind, ERR_RETRY);
    expect_holders(s, 0, 0);
}

static void done_leaving(const struct err *why, void *arg) {
    *(bool *)arg = why->kind == ERR_NONE;
}

static void leaving_waits_for_it_and_removes_it(void **unused) {
    (void)unused;
    struct stage *s = making();
    bool left = false;
    pod_leave(s->pod, 8000, done_leaving, &left);
    fake_loop_advance(s->loop, STARTS_MS * 2);
    assert_true(left);
    assert_int_equal(containers(s), 1); // the sidecar alone
    stage_free(s);
}

static void a_pod_that_is_off_has_none(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *name = holder_name_of(s);
    expect_done(stage_operator(s, POD_OFF));
    stage_worker_gone(s);
    json_decref(engine_container_remove(fake_engine_memory(s->engine), name, true, true).body);
    stage_worker(s);
    assert_int_equal(containers(s), 1);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_before_the_first_round),
        cmocka_unit_test(check_creates_the_workload_beside_it_and_ends_when_it_runs),
        cmocka_unit_test(one_that_cannot_start_fails_the_check),
        cmocka_unit_test(one_that_the_engine_will_never_start_is_replaced),
        cmocka_unit_test(one_that_an_engine_away_did_not_start_is_kept),
        cmocka_unit_test(leaving_waits_for_it_and_removes_it),
        cmocka_unit_test(a_pod_that_is_off_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
