// Validators that run in a container of their own, and those that run beside us: what they are
// given, what they may say, how they end, and that nothing of them stays.
#include "tests/flow/pod_stage.h"

#define EXEC    "validate: {exec: [check-it, \"{}\"], timeout: 5s}"
#define CREATED "create \n" // it has no name of its own

static size_t oneshots(struct stage *s) {
    size_t n = 0;
    struct link *all = engine_containers(fake_engine_memory(s->engine));
    struct engine_container *c;
    list_each(c, all, struct engine_container, link) {
        const json_t *labels = json_object_get(c->config, "Labels");
        n += strcmp(json_text(labels, "io.ochopod.role"), "oneshot") == 0;
    }
    return n;
}

struct seen { // of the container, as it is started
    struct stage *stage;
    int exit_code, exit_ms;
    const char *says[3];
    int starts, steps;
    json_t *config, *host;
    char *file, *id;
};

static void on_event(const json_t *event, const struct engine_container *c, void *arg) {
    struct seen *seen = arg;
    const json_t *labels = json_object_get(c->config, "Labels");
    if (strcmp(json_text(labels, "io.ochopod.role"), "oneshot") != 0 ||
        strcmp(json_text(event, "Action"), "start") != 0)
        return;
    auto_free char *path = xasprintf("%s/conf/app.conf", seen->stage->dir);
    const char *file = fake_engine_file(seen->stage->engine, c->id, path);
    seen->starts++;
    seen->config = json_deep_copy(c->config);
    seen->host = json_deep_copy(c->host_config);
    seen->file = xstrdup(file ? file : "(no file)");
    seen->id = xstrdup(c->id);
    for (size_t i = 0; i < 3 && seen->says[i]; i++)
        fake_engine_say(seen->stage->engine, c->id, 2, seen->says[i]);
}

static void forget(struct seen *seen) {
    json_decref(seen->config);
    json_decref(seen->host);
    free(seen->file);
    free(seen->id);
    *seen = (struct seen){.stage = seen->stage};
}

static struct stage *validating(struct seen *seen, const char *key) {
    struct stage *s = stage_create("  user: \"1000:1000\"\n");
    stage_file_key(s, key);
    *seen = (struct seen){.stage = s};
    fake_engine_on_event(s->engine, on_event, seen);
    return s;
}

// The workload lives, what is made for a validator ends so.
static void ends(struct stage *s, int ms, int code) {
    fake_engine_habits(s->engine, NULL,
                       (struct fake_habits){.term_exit = 143, .exit_ms = ms, .exit_code = code});
    fake_engine_habits(s->engine, WORKLOAD, FAKE_HABITS_USUAL);
    fake_engine_habits(s->engine, "sidecar:1", FAKE_HABITS_USUAL);
}

static void expect_refused(struct said *said, const char *why) {
    expect_kind(said, ERR_REFUSED);
    if (!strstr(said->err.text, why))
        fail_msg("expected \"%s\", got \"%s\"", why, said->err.text);
}

static struct said *check_for(struct stage *s, int64_t ms) {
    s->round++;
    struct said *said = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, ms);
    return said;
}

static bool has_env(const json_t *config, const char *pair) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(config, "Env"), i, item) {
        if (strcmp(json_string_value(item), pair) == 0)
            return true;
    }
    return false;
}

static const char *first_of(const json_t *config, const char *key) {
    return json_string_value(json_array_get(json_object_get(config, key), 0));
}

// ---- in a container of its own ----

static void it_sees_the_files_and_nothing_else_and_is_removed(void **unused) {
    (void)unused;
    struct seen seen;
    struct stage *s = validating(&seen, EXEC);
    auto_free char *env = xasprintf("OCHOPOD_FILE=%s/conf/app.conf", s->dir);
    auto_free char *path = xasprintf("%s/conf/app.conf", s->dir);
    ends(s, 500, 0);
    struct said *check = check_for(s, 400);
    assert_false(check->came);
    assert_int_equal(oneshots(s), 1);
    fake_loop_advance(s->loop, 1000);
    expect_done(check);
    assert_int_equal(oneshots(s), 0);
    assert_int_equal(seen.starts, 1);
    assert_string_equal(seen.file, "peers 1\n");
    assert_string_equal(json_text(seen.config, "Image"), "app:1");
    assert_string_equal(json_text(seen.config, "User"), "1000:1000");
    assert_string_equal(first_of(seen.config, "Entrypoint"), "check-it");
    assert_string_equal(first_of(seen.config, "Cmd"), path);
    assert_true(has_env(seen.config, env));
    assert_string_equal(json_text(seen.host, "NetworkMode"), "none");
    assert_null(json_object_get(seen.host, "Mounts"));
    expect_file(s, "conf/app.conf", ""); // staged only
    expect_done(stage_on(s));
    assert_int_equal(seen.starts, 1); // what was checked is not checked again
    expect_file(s, "conf/app.conf", "peers 1\n");
    forget(&seen);
    stage_free(s);
}

static void what_it_refuses_changes_nothing_and_its_last_line_says_why(void **unused) {
    (void)unused;
    struct seen seen;
    struct stage *s = validating(&seen, EXEC);
    ends(s, 100, 0);
    expect_done(check_for(s, 1000));
    expect_done(stage_on(s));
    forget(&seen);
    stage_grow(s);
    ends(s, 100, 3);
    static const char *const says[] = {"reading", "line 1: no such key"};
    memcpy(seen.says, says, sizeof says);
    expect_refused(check_for(s, 1000), "/conf/app.conf is refused by its validator: exit 3: line "
                                       "1: no such key");
    assert_string_equal(seen.file, "peers 2\n");
    assert_int_equal(oneshots(s), 0);
    expect_file(s, "conf/app.conf", "peers 1\n");
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 1);
    forget(&seen);
    ends(s, 100, 3); // and says nothing
    expect_refused(check_for(s, 1000), "is refused by its validator: exit 3");
    forget(&seen);
    stage_free(s);
}

// Of much that it says, the end.
static void of_much_that_it_says_the_end_counts(void **unused) {
    (void)unused;
    struct seen seen;
    struct stage *s = validating(&seen, EXEC);
    char large[3000];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    const char *says[] = {large, large, "the end"};
    memcpy(seen.says, says, sizeof says);
    ends(s, 100, 1);
    expect_refused(check_for(s, 1000), "exit 1: the end");
    forget(&seen);
    stage_free(s);
}

static void one_that_does_not_end_is_ended(void **unused) {
    (void)unused;
    struct seen seen;
    struct stage *s = validating(&seen, EXEC);
    struct said *check = check_for(s, 4900);
    assert_false(check->came);
    assert_int_equal(oneshots(s), 1);
    fake_loop_advance(s->loop, 1000);
    expect_refused(check, "not done in time");
    assert_non_null(strstr(check->err.text, "/conf/app.conf"));
    assert_int_equal(oneshots(s), 0);
    forget(&seen);
    ends(s, 100, 0); // the next round tries again
    expect_done(check_for(s, 1000));
    forget(&seen);
    stage_free(s);
}

// At each call of the engine's: refused, or cut off. Nothing stays, the next round heals.
static void whatever_the_engine_refuses_refuses_the_check(void **unused) {
    (void)unused;
    static const struct {
        const char *call;
        int status;
        enum err_kind kind;
    } all[] = {{"create \n", 500, ERR_RETRY},           {"create \n", 409, ERR_REFUSED},
               {"create \n", FAKE_CUT, ERR_RETRY},      {"archive ", 400, ERR_REFUSED},
               {"archive ", FAKE_LOST, ERR_RETRY},      {"start nameless", 400, ERR_REFUSED},
               {"start nameless", FAKE_CUT, ERR_RETRY}, {"wait ", FAKE_CUT, ERR_RETRY}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct seen seen;
        struct stage *s = validating(&seen, EXEC);
        expect_done(stage_operator(s, POD_SIGNAL));
        ends(s, 100, 0);
        auto_free char *call = xstrndup(all[i].call, strcspn(all[i].call, "\n"));
        if (text_starts(call, "create"))
            expect_done(check_for(s, 1000)); // the workload's own container is there then
        forget(&seen);
        fake_engine_fail(s->engine, call, 1, all[i].status, "as the test wants");
        struct said *check = check_for(s, 2000);
        if (!check->came || check->err.kind != all[i].kind ||
            !strstr(check->err.text, "as the test wants"))
            fail_msg("%s %d: %s", all[i].call, all[i].status, stage_said(check));
        assert_int_equal(oneshots(s), 0);
        forget(&seen);
        expect_done(check_for(s, 1000));
        forget(&seen);
        stage_free(s);
    }
}

static void an_engine_that_goes_away_meanwhile_is_a_retry(void **unused) {
    (void)unused;
    struct seen seen;
    struct stage *s = validating(&seen, EXEC);
    struct said *check = check_for(s, 1000);
    fake_engine_down(s->engine, "restarting");
    fake_loop_advance(s->loop, 1000);
    expect_kind(check, ERR_RETRY);
    forget(&seen);
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 1000);
    ends(s, 100, 0);
    expect_done(check_for(s, 1000));
    forget(&seen);
    stage_worker_gone(s);
    stage_worker(s); // removes what had to stay
    assert_int_equal(oneshots(s), 0);
    forget(&seen);
    stage_free(s);
}

static void one_whose_worker_ends_is_not_called_back(void **unused) {
    (void)unused;
    struct seen seen;
    struct stage *s = validating(&seen, EXEC);
    struct said *check = check_for(s, 1000);
    assert_false(check->came);
    stage_worker_gone(s);
    fake_loop_advance(s->loop, 10000);
    stage_worker(s);
    assert_int_equal(oneshots(s), 0);
    forget(&seen);
    stage_free(s);
}

// ---- beside us ----

struct hook {
    int exit_code, ms, calls;
    const char *out, *err;
    char argv[256], input[256], file[256], target[256], cwd[64];
};

static void keep_env(const char *const *env, const char *name, char ret[256]) {
    *ret = '\0';
    for (; *env; env++)
        if (text_starts(*env, name))
            snprintf(ret, 256, "%s", *env + strlen(name));
}

static void on_hook(struct fake_hook *it, void *arg) {
    struct hook *h = arg;
    h->calls++;
    snprintf(h->argv, sizeof h->argv, "%s %s", it->argv[0], it->argv[1]);
    snprintf(h->input, sizeof h->input, "%s", it->input);
    keep_env(it->env, "OCHOPOD_FILE=", h->file);
    keep_env(it->env, "OCHOPOD_TARGET=", h->target);
    it->exit_code = h->exit_code;
    it->ms = h->ms;
    snprintf(it->out, sizeof it->out, "%s", h->out ? h->out : "");
    snprintf(it->err, sizeof it->err, "%s", h->err ? h->err : "");
}

static void one_that_runs_beside_us_is_given_the_staged_file_and_its_text(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    stage_file_key(s, "validate: {run: [check-it, \"{}\"], timeout: 5s}");
    struct hook hook = {0};
    fake_runner_on_hook(s->runner, on_hook, &hook);
    auto_free char *target = xasprintf("%s/conf/app.conf", s->dir);
    auto_free char *argv = xasprintf("check-it %s/conf/", s->dir);
    expect_done(stage_check(s));
    assert_int_equal(hook.calls, 1);
    assert_string_equal(hook.input, "peers 1\n");
    assert_string_equal(hook.target, target);
    assert_string_not_equal(hook.file, target);
    assert_true(text_starts(hook.argv, argv));
    assert_string_equal(hook.argv + strlen("check-it "), hook.file);
    hook.exit_code = 2;
    hook.out = "fine\n";
    hook.err = "first\nline 7: bad\r\n";
    expect_refused(stage_check(s), "is refused by its validator: exit 2: line 7: bad");
    hook.err = "";
    expect_refused(stage_check(s), "is refused by its validator: exit 2: fine");
    hook = (struct hook){.ms = 6000};
    struct said *check = check_for(s, 5500);
    expect_refused(check, "not done within 5000 ms");
    hook = (struct hook){0};
    expect_done(stage_check(s));
    expect_done(stage_on(s));
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_free(s);
}

// Without a shared volume there is no staged file: it reads its text.
static void of_a_file_below_no_volume_it_reads_the_text(void **unused) {
    (void)unused;
    struct stage *s = stage_create("");
    auto_free char *yaml = xasprintf("%s  - target: /etc/app.conf\n    content: \"x {{ size }}\"\n"
                                     "    validate: {run: [check-it, \"{}\"]}\n",
                                     s->yaml);
    stage_respec(s, yaml);
    struct hook hook = {0};
    fake_runner_on_hook(s->runner, on_hook, &hook);
    stage_configure(s);
    assert_string_equal(hook.file, "/dev/stdin");
    assert_string_equal(hook.argv, "check-it /dev/stdin");
    assert_string_equal(hook.input, "x 1");
    assert_string_equal(hook.target, "/etc/app.conf");
    assert_string_equal(fake_engine_file(s->engine, WORKLOAD, "/etc/app.conf"), "x 1");
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sees_the_files_and_nothing_else_and_is_removed),
        cmocka_unit_test(what_it_refuses_changes_nothing_and_its_last_line_says_why),
        cmocka_unit_test(of_much_that_it_says_the_end_counts),
        cmocka_unit_test(one_that_does_not_end_is_ended),
        cmocka_unit_test(whatever_the_engine_refuses_refuses_the_check),
        cmocka_unit_test(an_engine_that_goes_away_meanwhile_is_a_retry),
        cmocka_unit_test(one_whose_worker_ends_is_not_called_back),
        cmocka_unit_test(one_that_runs_beside_us_is_given_the_staged_file_and_its_text),
        cmocka_unit_test(of_a_file_below_no_volume_it_reads_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
