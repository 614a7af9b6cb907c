// Rounds as one pod sees them: check, on, and what is left alone.
#include "sidecar/cluster/digest.h"
#include "sidecar/cluster/reference.h"
#include "tests/flow/pod_stage.h"
#include <dirent.h>

static void check_touches_nothing_and_on_starts_it(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_process(s, "stopped");
    struct said *check = stage_check(s);
    expect_done(check);
    assert_true(json_is_false(json_object_get(check->answer, "started")));
    assert_false(stage_runs(s));
    expect_file(s, "conf/app.conf", "");
    expect_done(stage_on(s));
    assert_true(stage_runs(s));
    expect_file(s, "conf/app.conf", "peers 1\n");
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

static void an_unchanged_pod_is_left_alone(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

// Repeated by a leader whose answer was lost, or by somebody who has listened.
static void strict_restarts_once_a_round_also_over_another_worker(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  strict: true\n");
    stage_configure(s);
    s->round++;
    stage_configure(s);
    int starts = stage_starts(s);
    stage_worker_gone(s);
    stage_worker(s);
    expect_done(stage_on(s));
    assert_int_equal(stage_starts(s), starts);
    expect_process(s, "running");
    s->round++;
    stage_configure(s);
    assert_int_equal(stage_starts(s), starts + 1);
    stage_free(s);
}

static void strict_restarts_at_every_round(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  strict: true\n");
    stage_configure(s);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 2);
    stage_free(s);
}

static char *mounts_of(struct stage *s) {
    struct docker_container *c = fake_engine_look(s->engine, WORKLOAD);
    assert_non_null(c);
    struct text t = {0};
    for (size_t i = 0; i < c->mounts_len; i++)
        text_addf(&t, "%s ", c->mounts[i].name);
    docker_container_free(c);
    return text_take(&t);
}

static void a_changed_environment_makes_another_container_with_the_same_volumes(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_json json_t *config = json_pack("{s:{s:{}}}", "Volumes", "/var/lib/app");
    stage_worker_gone(s);
    fake_engine_image(s->engine, "app:1", config);
    stage_worker(s);
    stage_configure(s);
    auto_free char *first = xstrdup(s->state->container);
    auto_free char *before = mounts_of(s);
    assert_non_null(strstr(before, "conf-volume"));
    assert_non_null(strstr(before, "ochopod-")); // of the image's own volume
    stage_grow(s);
    stage_configure(s);
    auto_free char *after = mounts_of(s);
    assert_string_not_equal(s->state->container, first);
    assert_string_equal(before, after);
    assert_null(engine_find(fake_engine_memory(s->engine), first));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static void the_engine_refusing_the_successor_leaves_the_old_one_running(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_grow(s);
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "create side-workload-next", 1, 400, "invalid something");
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "invalid something"));
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 1);
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_free(s);
}

static void a_failed_check_leaves_everything_as_it_was(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    stage_grow(s);
    fake_engine_forget_calls(s->engine);
    fake_runner_fail(s->runner, "stage", 1, ERR_REFUSED, "no space left");
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    assert_string_equal(fake_engine_calls(s->engine), "");
    expect_file(s, "conf/app.conf", "peers 1\n");
    expect_process(s, "running");
    stage_free(s);
}

static void needs_say_what_is_missing(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf("%sneeds: {pods: 3}\n", s->yaml);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    assert_string_equal(check->err.text, "needs 3 pods, has 1");
    stage_free(s);
}

#define KAFKA_A "\"aaaaaaaa\":{\"ip\":\"10.0.1.1\",\"ports\":{},\"port\":\"8080\",\"seq\":0}"
#define KAFKA_B "\"bbbbbbbb\":{\"ip\":\"10.0.1.2\",\"ports\":{},\"port\":\"8080\",\"seq\":0}"

static void each_pod_of_a_dependency_counts_once(void **unused) {
    (void)unused;
    static const struct {
        const char *dependencies, *says;
    } ways[] = {
        {"\"kafka-1\":{" KAFKA_A "},\"kafka-*\":{" KAFKA_A "}", "needs 2 kafka-*, has 1"},
        {"\"kafka-1\":{" KAFKA_A "},\"kafka-*\":{" KAFKA_A "," KAFKA_B "}", "done"},
        {"\"kafka-1\":{" KAFKA_A "},\"kafka-[12]\":{" KAFKA_A "}", "needs 2 kafka-*, has 1"},
        {"\"kafka-1\":{" KAFKA_A "},\"kafka-2\":{" KAFKA_B "}", "done"},
    };
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf(
        "%sdepends_on: [kafka-1, \"kafka-*\"]\nneeds: {\"kafka-*\": 2}\n", s->yaml);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        auto_free char *body = xasprintf("{\"pods\":{\"%s\":{\"ip\":\"10.0.0.1\",\"ports\":{},"
                                         "\"port\":\"8080\",\"seq\":1}},"
                                         "\"dependencies\":{%s},\"key\":\"%s\"}",
                                         s->state->pod_id, ways[i].dependencies, s->state->pod_id);
        s->refers = body;
        assert_string_equal(stage_said(stage_check(s)), ways[i].says);
    }
    s->refers = NULL;
    stage_free(s);
}

static void another_body_than_the_checked_one_is_checked_before_anything_is_touched(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    expect_done(stage_check(s));
    stage_grow(s);
    fake_runner_forget_calls(s->runner);
    fake_runner_fail(s->runner, "render", 1, ERR_REFUSED, "only half of them hold data");
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 1);
    expect_done(stage_check(s));
    expect_done(stage_on(s));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static void a_body_that_is_new_to_on_is_staged_and_started(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    expect_done(stage_check(s));
    stage_grow(s);
    expect_done(stage_on(s));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static size_t files_in(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    assert_non_null(d);
    for (const struct dirent *it; (it = readdir(d));)
        n += strcmp(it->d_name, ".") != 0 && strcmp(it->d_name, "..") != 0;
    closedir(d);
    return n;
}

static void what_was_staged_and_is_as_before_does_not_stay_in_the_volume(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    stage_configure(s);
    assert_int_equal(files_in(conf), 1);
    expect_done(stage_check(s));
    assert_int_equal(files_in(conf), 2);
    expect_done(stage_on(s));
    fake_loop_advance(s->loop, 1000);
    assert_int_equal(stage_starts(s), 1);
    assert_int_equal(files_in(conf), 1);
    stage_free(s);
}

// Another pod on the same engine, whose files go into the same folder of the same volume.
static struct stage *neighbour_create(const struct stage *of) {
    struct stage *s = test_calloc(1, sizeof *s);
    strcpy(s->dir, of->dir);
    const char *rest = strstr(of->yaml, "/state\n");
    s->yaml = xasprintf("%.*s/other%s", (int)(rest - of->yaml), of->yaml, rest + strlen("/state"));
    s->loop = of->loop;
    s->engine = of->engine;
    s->zk_tree = TREE;
    s->epoch = 100;
    s->others = xstrdup("");
    stage_spec(s, s->yaml);
    stage_self(s, "next-door");
    stage_worker(s);
    return s;
}

static void neighbour_free(struct stage *s) {
    stage_worker_gone(s);
    for (size_t i = 0; i < s->saids; i++)
        json_decref(s->said[i].answer);
    spec_free(s->spec);
    docker_container_free(s->facts.self);
    free(s->yaml);
    free(s->others);
    test_free(s);
}

static void two_pods_in_one_folder_leave_each_other_what_they_staged(void **unused) {
    (void)unused;
    struct stage *a = stage_create(""), *b = neighbour_create(a);
    auto_free char *conf = xasprintf("%s/conf", a->dir);
    assert_string_not_equal(a->state->pod_id, b->state->pod_id);
    stage_configure(a);
    stage_configure(b);
    stage_grow(a);
    stage_grow(b);
    expect_done(stage_check(a));
    expect_done(stage_check(b));
    assert_int_equal(files_in(conf), 3);
    expect_done(stage_on(a));
    expect_done(stage_on(b));
    expect_process(a, "running");
    expect_process(b, "running");
    expect_file(a, "conf/app.conf", "peers 2\n");
    assert_int_equal(files_in(conf), 1);
    // A worker that comes back sweeps what it left itself.
    expect_done(stage_check(a));
    expect_done(stage_check(b));
    stage_worker_gone(a);
    stage_worker(a);
    assert_int_equal(files_in(conf), 2);
    expect_done(stage_on(b));
    fake_loop_advance(b->loop, 1000);
    assert_int_equal(files_in(conf), 1);
    neighbour_free(b);
    stage_free(a);
}

static void unstage(const char *dir) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *it; (it = readdir(d));)
        if (text_starts(it->d_name, ".ochopod-"))
            assert_int_equal(unlinkat(dirfd(d), it->d_name, 0), 0);
    closedir(d);
}

static void nothing_is_stopped_for_staged_files_that_are_gone(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    stage_configure(s);
    auto_free char *first = xstrdup(s->state->container);
    stage_grow(s);
    expect_done(stage_check(s));
    unstage(conf);
    fake_engine_forget_calls(s->engine);
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "/conf/app.conf: what was staged is gone"));
    assert_null(strstr(fake_engine_calls(s->engine), "stop"));
    assert_true(stage_runs(s));
    assert_string_equal(s->state->container, first);
    expect_process(s, "running");
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_configure(s); // the next round
    assert_true(stage_runs(s));
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

// A leader that gives up a round says so to nobody.
static void what_was_checked_and_is_not_asked_for_is_forgotten(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    stage_configure(s);
    stage_grow(s);
    expect_done(stage_check(s));
    assert_int_equal(files_in(conf), 2);
    fake_loop_advance(s->loop, 50000);
    assert_int_equal(files_in(conf), 2);
    fake_loop_advance(s->loop, 15000);
    assert_int_equal(files_in(conf), 1);
    // Who was slow only is not refused for it.
    expect_done(stage_on(s));
    expect_process(s, "running");
    expect_file(s, "conf/app.conf", "peers 2\n");
    assert_int_equal(files_in(conf), 1);
    stage_free(s);
}

static const char quiet_yaml[] = "cluster: zk\nzk: 127.0.0.1:1\nstate_dir: %s/state\n"
                                 "workload:\n  image: app:1\n  on_change: {signal: HUP}\n"
                                 "files:\n  - target: %s/conf/app.conf\n"
                                 "    content: \"peers {{ size }}\\n\"\n";

static void changed_files_alone_may_be_told_by_a_signal(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf(quiet_yaml, s->dir, s->dir);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    stage_configure(s);
    stage_grow(s);
    fake_engine_forget_calls(s->engine);
    stage_configure(s);
    assert_int_equal(stage_starts(s), 1);
    assert_int_equal(fake_engine_count(s->engine, "kill side-workload HUP"), 1);
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

// Else it would be in force no more, and restarted by the next round.
static void who_is_told_by_a_signal_is_not_restarted_for_staged_files_that_are_gone(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf(quiet_yaml, s->dir, s->dir);
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    stage_configure(s);
    stage_grow(s);
    expect_done(stage_check(s));
    unstage(conf);
    expect_kind(stage_on(s), ERR_REFUSED);
    assert_true(pod_ready(s->pod));
    stage_configure(s); // the next round
    assert_int_equal(stage_starts(s), 1);
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_free(s);
}

static void on_answers_only_when_it_is_ready_or_never_will_be(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  ready: {exec: [ready], timeout: 30s}\n");
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "exec side-workload", 10000, 500, "not today");
    struct said *on = stage_on(s);
    assert_string_equal(stage_said(on), "nothing yet");
    fake_loop_advance(s->loop, 28000);
    assert_string_equal(stage_said(on), "nothing yet");
    fake_loop_advance(s->loop, 3000);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "not ready within 30s"));
    expect_process(s, "running");
    assert_false(pod_ready(s->pod));
    stage_free(s);
}

static void dying_before_it_is_ready_fails_the_on(void **unused) {
    (void)unused;
    struct stage *s = stage_create("  ready: {exec: [ready], timeout: 30s}\n");
    expect_done(stage_check(s));
    fake_engine_fail(s->engine, "exec side-workload", 10000, 500, "not today");
    struct said *on = stage_on(s);
    fake_engine_exit(s->engine, WORKLOAD, 3);
    fake_loop_advance(s->loop, 100);
    expect_kind(on, ERR_REFUSED);
    assert_string_equal(on->err.text, "the workload ended with 3 before it was ready");
    stage_free(s);
}

static void a_file_below_no_shared_volume_goes_in_by_the_archive_call(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf(
        "%s  - {target: /etc/app.conf, content: \"{{ size }} of them\"}\n", s->yaml);
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    stage_configure(s);
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, "/etc/app.conf"), "1 of them");
    stage_grow(s);
    stage_configure(s);
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, "/etc/app.conf"), "2 of them");
    expect_process(s, "running");
    stage_free(s);
}

// ---- a body that refers to /proposal ----

static char *stage_propose(struct stage *s, int64_t round, const char *ip) {
    struct cluster *c = cluster_create();
    json_object_set_new(c->pods, s->state->pod_id,
                        json_pack("{s:s, s:s, s:{s:i}, s:i}", "ip", ip, "port", "8080", "ports",
                                  "8080", 8080, "seq", 1));
    cluster_assign(c, true);
    char hash[65];
    cluster_hash(c, hash);
    char *proposal = reference_proposal(c, hash, s->epoch, round);
    cluster_free(c);
    return proposal;
}

static char *stage_refer(struct stage *s, const char *proposal, int64_t round) {
    auto_json json_t *json = json_loads(proposal, 0, NULL);
    char digest[65];
    digest_hex(proposal, strlen(proposal), digest);
    return reference_write(s->state->pod_id, json_text(json, "hash"), s->epoch, round, digest);
}

static void a_proposal_that_is_referred_to_is_read_once_a_round(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *proposal = stage_propose(s, 1, "10.0.0.1");
    auto_free char *body = stage_refer(s, proposal, 1);
    s->zk_proposal = proposal;
    s->refers = body;
    stage_configure(s);
    assert_int_equal(s->readings, 1); // check; on has what was checked
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_worker_gone(s);
    stage_worker(s);
    expect_done(stage_on(s)); // of the same round, by a worker that did not see the check
    assert_int_equal(s->readings, 2);
    stage_free(s);
}

static void a_server_that_lags_behind_is_asked_again_after_it_has_caught_up(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *old = stage_propose(s, 0, "10.0.0.1");
    auto_free char *proposal = stage_propose(s, 1, "10.0.0.1");
    auto_free char *body = stage_refer(s, proposal, 1);
    s->zk_stale = old;
    s->zk_proposal = proposal;
    s->refers = body;
    stage_configure(s);
    assert_int_equal(s->readings, 2);
    stage_free(s);
}

static void what_is_not_the_proposal_that_is_meant_is_refused(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    const struct {
        int64_t stands, meant; // round of what stands in ZooKeeper, 0: nothing; of the reference
        const char *ip;        // of what stands there
        const char *why;
    } cases[] = {
        {0, 1, NULL, "no node"},
        {2, 2, "10.0.0.7",
         "/proposal has another hash"}, // somebody wrote it over, the numbers are the same
        {1, 3, "10.0.0.1", "/proposal is of epoch 100 round 1, meant is epoch 100 round 3"},
        {9, 9, "10.0.0.1", "the proposal of another round"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_free char *meant = stage_propose(s, cases[i].meant, "10.0.0.1");
        auto_free char *body = stage_refer(s, meant, cases[i].meant);
        auto_free char *stands = stage_propose(s, cases[i].stands, cases[i].ip ? cases[i].ip : "");
        s->zk_proposal = cases[i].ip ? stands : NULL;
        s->refers = body;
        struct said *said = stage_check(s);
        expect_kind(said, ERR_REFUSED);
        assert_non_null(strstr(said->err.text, cases[i].why));
    }
    s->refers = "{\"key\":\"x\",\"hash\":\"y\",\"proposal\":{\"epoch\":\"1\"}}";
    expect_kind(stage_check(s), ERR_REFUSED);
    assert_false(stage_runs(s));
    stage_free(s);
}

static void a_proposal_out_of_reach_is_detached_and_may_come_later(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s); // the tree is known
    auto_free char *proposal = stage_propose(s, 2, "10.0.0.1");
    auto_free char *body = stage_refer(s, proposal, 2);
    s->zk_proposal = proposal;
    s->refers = body;
    s->zk_away = true;
    expect_kind(stage_check(s), ERR_DETACHED);
    s->zk_away = false;
    auto_free char *next = stage_propose(s, 3, "10.0.0.1");
    auto_free char *again = stage_refer(s, next, 3);
    s->zk_proposal = next;
    s->refers = again;
    stage_configure(s);
    s->refers = NULL;
    stage_free(s);
}

// What is asked of ZooKeeper cannot be called off: the answer finds nobody.
static void a_pod_that_ends_while_the_proposal_is_read_is_not_called_back(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    auto_free char *proposal = stage_propose(s, 2, "10.0.0.1");
    auto_free char *body = stage_refer(s, proposal, 2);
    s->zk_proposal = proposal;
    s->refers = body;
    s->round++;
    s->slow_zk = 500;
    struct said *said = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 100);
    assert_false(said->came);
    pod_forget(&said->ask);
    stage_worker_gone(s);
    fake_loop_advance(s->loop, 1000);
    assert_int_equal(s->readings, 1);
    stage_worker(s);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_touches_nothing_and_on_starts_it),
        cmocka_unit_test(an_unchanged_pod_is_left_alone),
        cmocka_unit_test(strict_restarts_at_every_round),
        cmocka_unit_test(strict_restarts_once_a_round_also_over_another_worker),
        cmocka_unit_test(a_changed_environment_makes_another_container_with_the_same_volumes),
        cmocka_unit_test(the_engine_refusing_the_successor_leaves_the_old_one_running),
        cmocka_unit_test(a_failed_check_leaves_everything_as_it_was),
        cmocka_unit_test(needs_say_what_is_missing),
        cmocka_unit_test(each_pod_of_a_dependency_counts_once),
        cmocka_unit_test(another_body_than_the_checked_one_is_checked_before_anything_is_touched),
        cmocka_unit_test(a_body_that_is_new_to_on_is_staged_and_started),
        cmocka_unit_test(what_was_staged_and_is_as_before_does_not_stay_in_the_volume),
        cmocka_unit_test(two_pods_in_one_folder_leave_each_other_what_they_staged),
        cmocka_unit_test(nothing_is_stopped_for_staged_files_that_are_gone),
        cmocka_unit_test(what_was_checked_and_is_not_asked_for_is_forgotten),
        cmocka_unit_test(changed_files_alone_may_be_told_by_a_signal),
        cmocka_unit_test(who_is_told_by_a_signal_is_not_restarted_for_staged_files_that_are_gone),
        cmocka_unit_test(on_answers_only_when_it_is_ready_or_never_will_be),
        cmocka_unit_test(a_file_below_no_shared_volume_goes_in_by_the_archive_call),
        cmocka_unit_test(dying_before_it_is_ready_fails_the_on),
        cmocka_unit_test(a_proposal_that_is_referred_to_is_read_once_a_round),
        cmocka_unit_test(a_server_that_lags_behind_is_asked_again_after_it_has_caught_up),
        cmocka_unit_test(what_is_not_the_proposal_that_is_meant_is_refused),
        cmocka_unit_test(a_proposal_out_of_reach_is_detached_and_may_come_later),
        cmocka_unit_test(a_pod_that_ends_while_the_proposal_is_read_is_not_called_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
