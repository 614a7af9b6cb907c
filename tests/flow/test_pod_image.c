// The workload's image: there, pulled, refused, lost again. Nothing is touched before it is there.
#include "tests/flow/pod_stage.h"

// A worker whose image the registry gives within ms; -1: it has none.
static struct stage *wanting(int ms) {
    struct stage *s = stage_create("");
    auto_free char *yaml = xstrdup(s->yaml);
    char *at = strstr(yaml, "app:1");
    assert_non_null(at);
    memcpy(at, "app:2", strlen("app:2"));
    stage_worker_gone(s);
    if (ms >= 0)
        fake_engine_registry(s->engine, "app:2", NULL, ms);
    stage_spec(s, yaml);
    fake_engine_forget_calls(s->engine);
    stage_worker(s);
    return s;
}

static void expect_refused(struct stage *s, const char *why) {
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    if (!strstr(check->err.text, why))
        fail_msg("expected \"%s\", got \"%s\"", why, check->err.text);
}

static size_t pulls(struct stage *s) {
    return fake_engine_count(s->engine, "pull app:2");
}

static void one_that_is_missing_is_pulled_before_the_first_round(void **unused) {
    (void)unused;
    struct stage *s = wanting(10000);
    assert_int_equal(pulls(s), 1);
    expect_refused(s, "pulling 0 %");
    int changes = s->changes;
    fake_loop_advance(s->loop, 4000);
    expect_refused(s, "pulling 40 %");
    assert_true(s->changes > changes); // /wait hears of it
    assert_int_equal(fake_engine_count(s->engine, "create " WORKLOAD), 0);
    fake_loop_advance(s->loop, 6000);
    stage_configure(s);
    expect_process(s, "running");
    assert_int_equal(pulls(s), 1);
    stage_free(s);
}

static void one_that_is_there_is_not_pulled(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_configure(s);
    assert_int_equal(fake_engine_count(s->engine, "pull "), 0);
    stage_free(s);
}

static void one_that_nobody_has_is_asked_for_later_and_later(void **unused) {
    (void)unused;
    struct stage *s = wanting(-1);
    fake_loop_advance(s->loop, 100);
    assert_int_equal(pulls(s), 1);
    static const int pauses[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        expect_refused(s, "manifest unknown");
        fake_loop_advance(s->loop, pauses[i] - 1000);
        assert_int_equal(pulls(s), i + 1);
        fake_loop_advance(s->loop, 1000);
        assert_int_equal(pulls(s), i + 2);
    }
    fake_engine_registry(s->engine, "app:2", NULL, 100);
    fake_loop_advance(s->loop, 62000);
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

static void an_engine_that_cannot_say_is_asked_again(void **unused) {
    (void)unused;
    struct stage *s = wanting(100);
    stage_worker_gone(s);
    fake_engine_fail(s->engine, "image app:2", 1, 500, "its disk is busy");
    fake_engine_forget_calls(s->engine);
    stage_worker(s);
    expect_refused(s, "its disk is busy");
    assert_int_equal(pulls(s), 0);
    fake_loop_advance(s->loop, 5000);
    stage_configure(s);
    assert_int_equal(pulls(s), 1);
    stage_free(s);
}

static void a_pull_cut_off_by_the_engines_end_begins_again(void **unused) {
    (void)unused;
    struct stage *s = wanting(10000);
    fake_loop_advance(s->loop, 5000);
    expect_refused(s, "pulling");
    fake_engine_down(s->engine, "restarting");
    fake_loop_advance(s->loop, 1000);
    expect_kind(stage_check(s), ERR_RETRY);
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(pulls(s), 1); // of whom
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 500);
    assert_int_equal(pulls(s), 2);
    expect_refused(s, "pulling");
    fake_loop_advance(s->loop, 11000);
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

// As from a registry that was asked for a name that the engine keeps under another one.
static void a_pull_that_brings_nothing_is_not_repeated_at_once(void **unused) {
    (void)unused;
    struct stage *s = wanting(0);
    stage_worker_gone(s);
    fake_engine_fail(s->engine, "image app:2", 1000, 404, "No such image: app:2");
    fake_engine_forget_calls(s->engine);
    stage_worker(s);
    fake_loop_advance(s->loop, 60000);
    assert_in_range(pulls(s), 2, 8);
    expect_refused(s, "No such image");
    stage_free(s);
}

static void a_worker_that_ends_in_the_middle_is_not_called_back(void **unused) {
    (void)unused;
    struct stage *s = wanting(10000);
    fake_loop_advance(s->loop, 5000);
    stage_worker_gone(s);
    fake_loop_advance(s->loop, 20000);
    stage_worker(s);
    fake_loop_advance(s->loop, 20000);
    stage_configure(s);
    stage_free(s);
}

// ---- lost again ----

static void cleaned(struct stage *s) {
    struct engine *engine = fake_engine_memory(s->engine);
    json_decref(engine_container_remove(engine, WORKLOAD, true, true).body);
    assert_true(engine_image_remove(engine, "app:2"));
    fake_loop_advance(s->loop, 1000);
    fake_engine_forget_calls(s->engine);
}

static struct stage *with_volume(void) {
    struct stage *s = wanting(-1);
    auto_json json_t *config = json_pack("{s:{s:{}}}", "Volumes", "/var/lib/app");
    fake_engine_registry(s->engine, "app:2", config, 5000);
    fake_loop_advance(s->loop, 10000);
    stage_configure(s);
    return s;
}

static char *volume_of(struct stage *s) {
    const struct engine_container *c = engine_find(fake_engine_memory(s->engine), WORKLOAD);
    size_t i;
    json_t *mount;
    json_array_foreach(c ? c->mounts : NULL, i, mount) {
        if (strcmp(json_text(mount, "Destination"), "/var/lib/app") == 0)
            return xstrdup(json_text(mount, "Name"));
    }
    return xstrdup("");
}

// As by `docker system prune --all` while an operator had it off.
static void one_that_was_cleaned_away_is_pulled_again(void **unused) {
    (void)unused;
    struct stage *s = with_volume();
    auto_free char *before = volume_of(s);
    assert_true(text_starts(before, "ochopod-"));
    expect_done(stage_operator(s, POD_OFF));
    cleaned(s);
    expect_kind(stage_operator(s, POD_ON), ERR_REFUSED);
    assert_int_equal(pulls(s), 1);
    fake_loop_advance(s->loop, 60000);
    expect_process(s, "running");
    assert_int_equal(pulls(s), 1);
    auto_free char *after = volume_of(s);
    assert_string_equal(before, after); // its data
    stage_free(s);
}

static void so_it_is_for_a_round(void **unused) {
    (void)unused;
    struct stage *s = with_volume();
    auto_free char *before = volume_of(s);
    expect_done(stage_check(s));
    struct said *off = stage_ask(s, POD_OFF, 60000);
    fake_loop_advance(s->loop, 1000);
    expect_done(off);
    cleaned(s);
    expect_refused(s, "No such image");
    expect_refused(s, "pulling");
    fake_loop_advance(s->loop, 6000);
    stage_configure(s);
    expect_process(s, "running");
    auto_free char *after = volume_of(s);
    assert_string_equal(before, after);
    stage_free(s);
}

// What runs is not disturbed; only a validator that needs the image finds that it is gone.
static void so_it_is_for_a_validator(void **unused) {
    (void)unused;
    struct stage *s = wanting(5000);
    auto_free char *yaml = xasprintf("%s    validate: {exec: [check-it], timeout: 5s}\n", s->yaml);
    char *at = strstr(yaml, "app:1");
    memcpy(at, "app:2", strlen("app:2"));
    stage_respec(s, yaml);
    fake_loop_advance(s->loop, 10000);
    fake_engine_habits(s->engine, NULL, (struct fake_habits){.exit_ms = 10});
    fake_engine_habits(s->engine, WORKLOAD, FAKE_HABITS_USUAL);
    fake_engine_habits(s->engine, "sidecar:1", FAKE_HABITS_USUAL);
    stage_configure(s);
    assert_true(engine_image_remove(fake_engine_memory(s->engine), "app:2"));
    fake_engine_forget_calls(s->engine);
    expect_refused(s, "No such image");
    expect_refused(s, "pulling");
    assert_true(stage_runs(s));
    fake_loop_advance(s->loop, 6000);
    stage_configure(s);
    assert_int_equal(pulls(s), 1);
    assert_int_equal(stage_starts(s), 1);
    stage_free(s);
}

// As by `docker pull` or `docker build` of the same name. The broker has seen the new one.
static void one_whose_name_was_moved_is_looked_at_anew(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_json json_t *config = json_pack("{s:{s:{}}}", "Volumes", "/var/lib/app");
    stage_configure(s);
    fake_engine_image(s->engine, "app:1", config);
    stage_grow(s);
    fake_engine_fail(s->engine, "create " WORKLOAD "-next", 1, 403,
                     "refused by the sidecar's broker: HostConfig.Mounts is not what the spec "
                     "asks for");
    expect_done(stage_check(s));
    struct said *on = stage_on(s);
    expect_kind(on, ERR_REFUSED);
    assert_non_null(strstr(on->err.text, "HostConfig.Mounts is not what the spec asks for"));
    assert_true(stage_runs(s));
    auto_free char *before = volume_of(s);
    assert_string_equal(before, "");
    stage_configure(s); // the next round
    expect_process(s, "running");
    auto_free char *after = volume_of(s);
    assert_true(text_starts(after, "ochopod-"));
    assert_int_equal(fake_engine_count(s->engine, "pull "), 0);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_missing_is_pulled_before_the_first_round),
        cmocka_unit_test(one_that_is_there_is_not_pulled),
        cmocka_unit_test(one_that_nobody_has_is_asked_for_later_and_later),
        cmocka_unit_test(an_engine_that_cannot_say_is_asked_again),
        cmocka_unit_test(a_pull_cut_off_by_the_engines_end_begins_again),
        cmocka_unit_test(a_pull_that_brings_nothing_is_not_repeated_at_once),
        cmocka_unit_test(a_worker_that_ends_in_the_middle_is_not_called_back),
        cmocka_unit_test(one_that_was_cleaned_away_is_pulled_again),
        cmocka_unit_test(so_it_is_for_a_round),
        cmocka_unit_test(so_it_is_for_a_validator),
        cmocka_unit_test(one_whose_name_was_moved_is_looked_at_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
