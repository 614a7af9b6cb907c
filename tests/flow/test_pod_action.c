// Hooks, tools and what others ask to be run: what they are given, what is made of their end.
#include "base/log.h"
#include "sidecar/holder.h"
#include "tests/flow/pod_stage.h"
#include "tests/unit/folder.h"
#include <sys/socket.h>
#include <unistd.h>

struct played { // the last one, and what the next ones do
    int calls, exit_code, ms;
    const char *out, *err;
    char argv[128], cwd[256], env[4096], input[4096];
};

static void on_exec(struct fake_exec *it, void *arg) {
    struct played *p = arg;
    p->calls++;
    snprintf(p->argv, sizeof p->argv, "%s", it->argv[0]);
    for (size_t i = 1; it->argv[i]; i++)
        snprintf(p->argv + strlen(p->argv), sizeof p->argv - strlen(p->argv), " %s", it->argv[i]);
    snprintf(p->input, sizeof p->input, "%s", it->input ? it->input : "(none)");
    it->exit_code = p->exit_code;
    it->ms = p->ms;
    snprintf(it->out, sizeof it->out, "%s", p->out ? p->out : "");
    snprintf(it->err, sizeof it->err, "%s", p->err ? p->err : "");
}

static void on_hook(struct fake_hook *it, void *arg) {
    struct fake_exec same = {.argv = it->argv, .input = it->input};
    struct played *p = arg;
    on_exec(&same, p);
    snprintf(p->cwd, sizeof p->cwd, "%s", it->cwd ? it->cwd : "");
    *p->env = '\0';
    for (size_t i = 0; it->env[i]; i++)
        snprintf(p->env + strlen(p->env), sizeof p->env - strlen(p->env), "%s\n", it->env[i]);
    it->exit_code = same.exit_code;
    it->ms = same.ms;
    memcpy(it->out, same.out, sizeof it->out);
    memcpy(it->err, same.err, sizeof it->err);
}

static struct stage *playing(struct played *p, const char *more) {
    struct stage *s = stage_create(more);
    *p = (struct played){0};
    fake_runner_on_hook(s->runner, on_hook, p);
    fake_engine_on_exec(s->engine, on_exec, p);
    return s;
}

static struct stage *running(struct played *p, const char *more) {
    struct stage *s = playing(p, more);
    stage_configure(s);
    expect_process(s, "running");
    *p = (struct played){0};
    fake_engine_forget_calls(s->engine);
    return s;
}

static void expect_refused(struct said *said, const char *why) {
    expect_kind(said, ERR_REFUSED);
    if (!strstr(said->err.text, why))
        fail_msg("expected \"%s\", got \"%s\"", why, said->err.text);
}

static struct said *ok(struct stage *s) {
    struct said *said = stage_ask(s, POD_OK, 60000);
    fake_loop_advance(s->loop, 1000);
    return said;
}

static struct said *on(struct stage *s) {
    expect_done(stage_check(s));
    return stage_on(s);
}

// ---- the holder, which ends an exec whose time is over ----

static int told[2];

static void hear_holder(void) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, told), 0);
    holder_end_exec_through(told[0]);
}

// How many execs it was told to end.
static int ended(void) {
    char id[64];
    int n = 0;
    while (recv(told[1], id, sizeof id, MSG_DONTWAIT) == 36)
        n++;
    return n;
}

static void forget_holder(void) {
    holder_end_exec_through(-1);
    close(told[0]);
    close(told[1]);
}

#define SIGNALED "hooks:\n  signaled: {exec: [reload, now], timeout: 5s}\n"

static void an_exec_ends_with_its_code_and_its_last_line(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, SIGNALED);
    hear_holder();
    expect_done(stage_operator(s, POD_SIGNAL));
    assert_string_equal(p.argv, "reload now");
    assert_non_null(strstr(p.input, "\"pods\""));
    assert_non_null(strstr(p.input, "\"ordinal\":1"));
    p = (struct played){.exit_code = 3, .out = "fine\n", .err = "first\nno such file \n\n"};
    expect_refused(stage_operator(s, POD_SIGNAL), "signaled: exit 3: no such file");
    p = (struct played){.exit_code = 4, .out = "it is broken\n"};
    expect_refused(stage_operator(s, POD_SIGNAL), "signaled: exit 4: it is broken");
    p = (struct played){.exit_code = 5};
    expect_refused(stage_operator(s, POD_SIGNAL), "signaled: exit 5");
    log_secret_said("what-only-hooks-say");
    p = (struct played){.exit_code = 6, .err = "no login with what-only-hooks-say here"};
    expect_refused(stage_operator(s, POD_SIGNAL), "signaled: exit 6: no login with *** here");
    assert_int_equal(ended(), 0);
    forget_holder();
    stage_free(s);
}

static void what_it_answers_as_json_is_the_answer(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, SIGNALED);
    p.out = "{\"reloaded\": 7}\n";
    struct said *said = stage_operator(s, POD_SIGNAL);
    expect_done(said);
    assert_int_equal(json_integer_value(json_object_get(said->answer, "reloaded")), 7);
    p.out = "done.\n"; // no JSON: no answer, and no failure
    said = stage_operator(s, POD_SIGNAL);
    expect_done(said);
    assert_int_equal(json_object_size(said->answer), 0);
    static const char body[] = "{\"what\": \"logs\"}";
    struct pod_request request = {.task = POD_SIGNAL,
                                  .scope = POD_OPERATOR,
                                  .budget_ms = 60000,
                                  .body = body,
                                  .body_len = strlen(body)};
    said = stage_send(s, &request);
    fake_loop_advance(s->loop, 1000);
    expect_done(said);
    assert_string_equal(p.input, "{\"what\":\"logs\"}");
    stage_free(s);
}

static void an_exec_whose_time_is_over_is_ended_by_the_holder(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, SIGNALED);
    hear_holder();
    p.ms = -1;
    struct said *said = stage_operator(s, POD_SIGNAL);
    fake_loop_advance(s->loop, 1000);
    expect_refused(said, "signaled: ");
    assert_non_null(strstr(said->err.text, "in time"));
    assert_int_equal(ended(), 1);
    expect_process(s, "running"); // only the exec is
    forget_holder();
    stage_free(s);
}

static void without_a_holder_nobody_can(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, "  lifetime: independent\n" SIGNALED);
    hear_holder();
    p.ms = -1;
    struct said *said = stage_operator(s, POD_SIGNAL);
    fake_loop_advance(s->loop, 1000);
    expect_refused(said, "in time");
    assert_int_equal(ended(), 0);
    forget_holder();
    stage_free(s);
}

// It runs on in there, and the next attempt would run beside it.
static void an_exec_that_the_engine_cuts_off_is_ended_too(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, SIGNALED);
    hear_holder();
    p.ms = -1;
    struct pod_request request = {.task = POD_SIGNAL, .scope = POD_OPERATOR, .budget_ms = 60000};
    struct said *said = stage_send(s, &request);
    fake_loop_advance(s->loop, 1000);
    fake_engine_down(s->engine, "restarting");
    fake_loop_advance(s->loop, 1000);
    expect_kind(said, ERR_RETRY);
    assert_int_equal(ended(), 1);
    said = stage_operator(s, POD_SIGNAL);
    expect_refused(said, "the workload does not run"); // as far as anybody knows
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 1000);
    p.ms = 0;
    expect_done(stage_operator(s, POD_SIGNAL));
    forget_holder();
    stage_free(s);
}

static void an_exec_whose_worker_ends_is_ended_and_not_called_back(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, SIGNALED);
    hear_holder();
    p.ms = -1;
    struct pod_request request = {.task = POD_SIGNAL, .scope = POD_OPERATOR, .budget_ms = 60000};
    stage_send(s, &request);
    fake_loop_advance(s->loop, 1000);
    stage_worker_gone(s);
    assert_int_equal(ended(), 1);
    fake_loop_advance(s->loop, 20000);
    stage_worker(s);
    forget_holder();
    stage_free(s);
}

static void an_exec_under_which_the_workload_dies_has_failed(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, SIGNALED);
    p.ms = -1;
    struct pod_request request = {.task = POD_SIGNAL, .scope = POD_OPERATOR, .budget_ms = 60000};
    struct said *said = stage_send(s, &request);
    fake_loop_advance(s->loop, 1000);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 100);
    expect_refused(said, "signaled: exit 137");
    stage_free(s);
}

static void nothing_is_executed_in_a_workload_that_does_not_run(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = playing(&p, SIGNALED);
    expect_refused(stage_operator(s, POD_SIGNAL), "signaled: the workload does not run");
    assert_int_equal(p.calls, 0);
    stage_free(s);
}

// ---- hooks of a round ----

#define HOOKS                                                                                      \
    "hooks:\n"                                                                                     \
    "  initialize: {run: [initialize]}\n"                                                          \
    "  can_configure: {run: [can_configure], timeout: 5s}\n"                                       \
    "  configure: {run: [configure], timeout: 5s}\n"                                               \
    "  configured: {run: [configured]}\n"                                                          \
    "  finalize: {run: [finalize]}\n"

static int hooks(const struct stage *s, const char *name) {
    auto_free char *line = xasprintf("hook %s\n", name);
    int n = 0;
    for (const char *at = fake_runner_calls(s->runner); (at = strstr(at, line)); at++)
        n++;
    return n;
}

static void a_hook_beside_us_is_told_who_and_where_it_is(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, HOOKS);
    assert_int_equal(hooks(s, "initialize"), 1);
    assert_int_equal(hooks(s, "can_configure"), 1);
    assert_int_equal(hooks(s, "configure"), 1);
    expect_done(ok(s));
    auto_free char *id = xasprintf("OCHOPOD_POD=%s\n", s->state->pod_id);
    const char *const env[] = {"OCHOPOD_NAMESPACE=marathon\n",
                               "OCHOPOD_CLUSTER=zk\n",
                               "OCHOPOD_HOOK=configured\n",
                               "OCHOPOD_SEQ=1\n",
                               "OCHOPOD_INDEX=0\n",
                               "OCHOPOD_ORDINAL=1\n",
                               "OCHOPOD_SIZE=1\n",
                               "OCHOPOD_IP=10.0.0.1\n",
                               id};
    for (size_t i = 0; i < sizeof env / sizeof *env; i++)
        if (!strstr(p.env, env[i]))
            fail_msg("no %s in\n%s", env[i], p.env);
    assert_null(strstr(p.env, "OCHOPOD_EXEC="));
    stage_grow(s);
    expect_done(on(s));
    assert_int_equal(hooks(s, "initialize"), 1); // once in a pod's life
    assert_int_equal(hooks(s, "configure"), 2);
    stage_free(s);
}

static void can_configure_refuses_before_anything_is_touched(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, HOOKS);
    stage_grow(s);
    p = (struct played){.exit_code = 1, .err = "not on a sunday\n"};
    expect_refused(stage_check(s), "can_configure: exit 1: not on a sunday");
    p = (struct played){.ms = 6000};
    s->round++;
    struct said *check = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 5500);
    expect_refused(check, "can_configure: not done within 5000 ms");
    assert_true(stage_runs(s));
    assert_int_equal(stage_starts(s), 1);
    expect_file(s, "conf/app.conf", "peers 1\n");
    stage_free(s);
}

// What it says goes to whoever asks for /info, and is no reason to fall.
static void what_a_check_says_need_not_be_utf8(void **unused) {
    (void)unused;
    static const char *const words[][2] = {{"caf\xe9\n", "exit 1: caf\xef\xbf\xbd"},
                                           {NULL, "exit 1: "}};
    char cyrillic[401] = "x"; // cut off in the middle of one
    for (int i = 0; i < 199; i++)
        strcat(cyrillic, "\xd0\xb9");
    for (size_t i = 0; i < 2; i++) {
        struct played p;
        struct stage *s = running(&p,
                                  "  check: {exec: [alive], every: 1s, timeout: 1s, retries: 3}\n");
        p = (struct played){.exit_code = 1, .err = words[i][0] ? words[i][0] : cyrillic};
        for (int k = 0; k < 40; k++) {
            fake_loop_advance(s->loop, 100);
            auto_json json_t *info = pod_info(s->pod);
            assert_non_null(info);
        }
        assert_int_equal(stage_starts(s), 2);
        fake_loop_advance(s->loop, 1000);
        if (!strstr(stage_status(s), words[i][1]))
            fail_msg("%s", stage_status(s));
        stage_free(s);
    }
}

static void what_configure_prints_is_part_of_the_container(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = playing(&p, "hooks:\n  configure: {run: [configure]}\n");
    p.out = "{\"command\": [\"serve\", \"-v\"], \"environment\": {\"MODE\": \"old\"}}";
    stage_configure(s);
    const struct engine_container *c = engine_find(fake_engine_memory(s->engine), WORKLOAD);
    auto_free char *cmd = json_write(json_object_get(c->config, "Cmd"));
    auto_free char *env = json_write(json_object_get(c->config, "Env"));
    assert_string_equal(cmd, "[\"serve\",\"-v\"]");
    assert_non_null(strstr(env, "MODE=old"));
    assert_non_null(strstr(env, "SIZE=1"));
    for (int worker = 0; worker < 2;
         worker++) { // it is not asked before on: check takes it as it was
        struct said *check = stage_check(s);
        expect_done(check);
        assert_true(json_is_false(json_object_get(check->answer, "changed")));
        stage_worker_gone(s);
        stage_worker(s);
        fake_runner_on_hook(s->runner, on_hook, &p);
    }
    stage_grow(s);
    struct said *check = stage_check(s);
    assert_true(json_is_true(json_object_get(check->answer, "changed")));
    stage_shrink(s);
    p.out = " \n"; // nothing: as the spec says
    expect_done(on(s));
    c = engine_find(fake_engine_memory(s->engine), WORKLOAD);
    assert_null(json_object_get(c->config, "Cmd"));
    static const char *const bad[] = {"ready.",
                                      "[1]",
                                      "{\"command\": \"serve\"}",
                                      "{\"command\": [1]}",
                                      "{\"environment\": [\"A=b\"]}",
                                      "{\"environment\": {\"A\": 1}}"};
    auto_free char *before = xstrdup(c->id);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p.out = bad[i];
        expect_refused(on(s), "configure must print nothing, or JSON");
        assert_string_equal(s->state->container, before);
        assert_true(stage_runs(s));
    }
    p.out = NULL;
    p.exit_code = 9;
    expect_refused(on(s), "configure: exit 9");
    stage_free(s);
}

// Only the hook looks at them, and it is asked in on: then it would be too late to stop all first.
static void what_it_can_go_by_is_a_change_in_check(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = playing(&p, "hooks:\n  configure: {run: [configure]}\n");
    auto_free char *yaml = xstrdup(s->yaml);
    for (char *at; (at = strstr(yaml, "{{ size }}"));)
        memcpy(at, "constant  ", strlen("constant  "));
    stage_respec(s, yaml);
    fake_runner_on_hook(s->runner, on_hook, &p);
    stage_configure(s);
    for (int grown = 0; grown < 2; grown++) {
        struct said *check = stage_check(s);
        expect_done(check);
        assert_int_equal(json_is_true(json_object_get(check->answer, "changed")), grown);
        stage_grow(s);
    }
    stage_free(s);
}

static void one_that_could_not_initialize_tries_again(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = playing(&p, "hooks:\n  initialize: {run: [initialize]}\n");
    p = (struct played){.exit_code = 2, .err = "no disk"};
    expect_refused(on(s), "initialize: exit 2: no disk");
    assert_false(s->state->initialized);
    assert_false(stage_runs(s));
    p = (struct played){0};
    expect_done(on(s));
    assert_true(s->state->initialized);
    assert_int_equal(hooks(s, "initialize"), 2);
    stage_free(s);
}

static void a_finalize_that_fails_does_not_keep_it_alive(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, HOOKS);
    p = (struct played){.exit_code = 1, .err = "no"};
    expect_done(stage_operator(s, POD_KILL));
    assert_int_equal(hooks(s, "finalize"), 1);
    expect_process(s, "dead");
    assert_false(stage_runs(s));
    stage_free(s);
}

// ---- the stop ----

#define TEAR_DOWN "  stop: {grace: 3s}\nhooks:\n  tear_down: {exec: [shut-down], timeout: 10s}\n"

static void ends_in_good_order(void *arg) {
    struct stage *s = arg;
    fake_engine_exit(s->engine, WORKLOAD, 0);
}

static void on_tear_down(struct fake_exec *it, void *arg) {
    struct stage *s = arg;
    if (strcmp(it->argv[0], "shut-down") == 0)
        loop_timer_start(s->loop, NULL, 500, ends_in_good_order, s);
}

static void tear_down_takes_the_place_of_the_stop_signal(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, TEAR_DOWN);
    fake_engine_on_exec(s->engine, on_tear_down, s);
    expect_done(stage_operator(s, POD_OFF));
    assert_int_equal(fake_engine_count(s->engine, "exec " WORKLOAD " shut-down"), 1);
    assert_false(stage_runs(s));
    assert_int_equal(fake_engine_count(s->engine, "stop "), 0);
    assert_false(s->state->dead);
    stage_free(s);
}

static void without_a_grace_it_has_no_time_either(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, "  stop: {grace: 0s}\n"
                                  "hooks:\n  tear_down: {exec: [shut-down], timeout: 10s}\n");
    p = (struct played){.ms = -1};
    expect_done(stage_operator(s, POD_OFF));
    assert_false(stage_runs(s));
    stage_free(s);
}

static void has_left(const struct err *why, void *arg) {
    *(bool *)arg = why->kind == ERR_NONE;
}

// What hangs has the stop's grace, of the 8 s that there are, and finalize what is left of them.
static void a_finalize_has_what_the_stop_left(void **unused) {
    (void)unused;
    static const char *const graces[] = {"1s", "3s", "60s"};
    static const int until[] = {8000, 8000, 9000}; // at least a second
    for (size_t i = 0; i < 3; i++) {
        auto_free char *more = xasprintf("  stop: {grace: %s}\nhooks:\n"
                                         "  tear_down: {exec: [shut-down], timeout: 30s}\n"
                                         "  finalize: {run: [finalize], timeout: 30s}\n",
                                         graces[i]);
        struct played p;
        struct stage *s = running(&p, more);
        bool left = false;
        p = (struct played){.ms = 60000};
        pod_leave(s->pod, 8000, has_left, &left);
        fake_loop_advance(s->loop, until[i] - 500);
        assert_false(left || stage_runs(s));
        assert_int_equal(hooks(s, "finalize"), 1);
        fake_loop_advance(s->loop, 1000);
        assert_true(left);
        stage_free(s);
    }
}

static void one_that_fails_is_followed_by_it(void **unused) {
    (void)unused;
    static const struct played ways[] = {{.exit_code = 1}, {.ms = -1}};
    for (size_t i = 0; i < 2; i++) {
        struct played p;
        struct stage *s = running(&p, TEAR_DOWN);
        p = ways[i];
        expect_done(stage_operator(s, POD_OFF)); // within the stop's grace: not 10 s
        assert_int_equal(fake_engine_count(s->engine, "stop " WORKLOAD), 1);
        assert_false(stage_runs(s));
        stage_free(s);
    }
}

// ---- changed files ----

// Of the environment nothing may change.
static struct stage *told_of_files(struct played *p, const char *more) {
    struct stage *s = running(p, more);
    auto_free char *yaml = xstrdup(s->yaml);
    char *at = strstr(yaml, "{{ size }}\"}");
    memcpy(at, "constant  \"}", strlen("constant  \"}"));
    stage_respec(s, yaml);
    fake_engine_on_exec(s->engine, on_exec, p);
    stage_configure(s);
    *p = (struct played){0};
    fake_engine_forget_calls(s->engine);
    return s;
}

// A round tells it once, and the one after it not again.
static void expect_told_once(struct stage *s, const int *calls) {
    for (int round = 0; round < 2; round++) {
        struct said *check = stage_check(s);
        expect_done(check);
        assert_int_equal(json_is_true(json_object_get(check->answer, "changed")), round == 0);
        expect_done(stage_on(s));
        assert_int_equal(*calls, 1);
    }
}

static void a_running_workload_is_told_of_its_files_by_an_exec(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = told_of_files(&p, "  on_change: {exec: [reload], timeout: 2s}\n");
    int starts = stage_starts(s);
    stage_grow(s);
    expect_done(on(s));
    assert_string_equal(p.argv, "reload");
    assert_non_null(strstr(p.input, OTHER));
    assert_int_equal(stage_starts(s), starts);
    expect_file(s, "conf/app.conf", "peers 2\n");
    stage_shrink(s);
    p = (struct played){.exit_code = 1, .err = "syntax"};
    expect_refused(on(s), "on_change: exit 1: syntax");
    assert_true(stage_runs(s));
    p = (struct played){0};
    expect_told_once(s, &p.calls); // though nothing differs any more
    assert_string_equal(p.argv, "reload");
    assert_int_equal(stage_starts(s), starts);
    stage_free(s);
}

// Its worker ends between the swap and what it was to be told.
static void another_worker_tells_it_too(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = told_of_files(&p, "  on_change: {exec: [reload], timeout: 2s}\n");
    int starts = stage_starts(s);
    p.ms = -1;
    stage_grow(s);
    expect_done(stage_check(s));
    (void)stage_ask(s, POD_ON, 60000);
    for (int i = 0; i < 100 && !p.calls; i++)
        fake_loop_advance(s->loop, 10);
    assert_int_equal(p.calls, 1);
    stage_worker_gone(s);
    stage_worker(s);
    p = (struct played){0};
    fake_engine_on_exec(s->engine, on_exec, &p);
    expect_told_once(s, &p.calls);
    assert_int_equal(stage_starts(s), starts);
    stage_free(s);
}

// The engine goes while the files are exchanged, and is back before or after that: the workload ran
// all the time, and none of the new ones.
static void who_could_not_be_told_for_the_engine_is_told_later(void **unused) {
    (void)unused;
    for (int back = 0; back < 2; back++) {
        struct played p;
        struct stage *s = told_of_files(&p, "  on_change: {signal: HUP}\n");
        int starts = stage_starts(s);
        stage_grow(s);
        expect_done(stage_check(s));
        fake_runner_slow(s->runner, "swap", 3000);
        struct said *on = stage_ask(s, POD_ON, 60000);
        fake_loop_advance(s->loop, 500);
        fake_engine_down(s->engine, "restarted");
        fake_loop_advance(s->loop, 500);
        if (back)
            fake_engine_up(s->engine);
        fake_loop_advance(s->loop, 5000);
        assert_true(on->came);
        fake_engine_up(s->engine);
        fake_loop_advance(s->loop, 5000);
        fake_runner_slow(s->runner, NULL, 0);
        expect_done(stage_check(s));
        expect_done(stage_on(s));
        bool restarted = stage_starts(s) > starts;
        assert_true(restarted || fake_engine_count(s->engine, "kill " WORKLOAD " HUP") > 0);
        stage_free(s);
    }
}

// What it was not told it has read by then.
static void who_is_started_anew_needs_no_telling(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = told_of_files(&p, "  on_change: {exec: [reload], timeout: 2s}\n");
    stage_grow(s);
    p.exit_code = 1;
    expect_refused(on(s), "on_change: exit 1");
    fake_loop_advance(s->loop, 20000);
    fake_engine_exit(s->engine, WORKLOAD, 1);
    fake_loop_advance(s->loop, 1000);
    assert_true(stage_runs(s));
    p = (struct played){0};
    struct said *check = stage_check(s);
    expect_done(check);
    assert_true(json_is_false(json_object_get(check->answer, "changed")));
    expect_done(stage_on(s));
    assert_int_equal(p.calls, 0);
    stage_free(s);
}

static void or_by_a_signal(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = told_of_files(&p, "  on_change: {signal: HUP}\n");
    int starts = stage_starts(s);
    stage_grow(s);
    expect_done(on(s));
    assert_int_equal(fake_engine_count(s->engine, "kill " WORKLOAD " HUP"), 1);
    assert_int_equal(stage_starts(s), starts);
    stage_shrink(s);
    fake_engine_fail(s->engine, "kill " WORKLOAD, 1, FAKE_CUT, "reset");
    expect_kind(on(s), ERR_RETRY);
    fake_engine_forget_calls(s->engine);
    expect_done(on(s));
    assert_int_equal(fake_engine_count(s->engine, "kill " WORKLOAD " HUP"), 1);
    stage_free(s);
}

// ---- tools ----

#define TOOLS "tools:\n  backup: {exec: [backup, --all], timeout: 5s}\n  report: {run: [report]}\n"

static struct said *tool(struct stage *s, const char *line, const struct upload *uploads,
                         size_t n) {
    struct said *said = &s->said[s->saids++];
    said->ask = pod_tool(s->pod, line, uploads, n, 60000, stage_replied, said);
    fake_loop_advance(s->loop, 6000);
    return said;
}

static void a_tool_answers_with_its_code_and_its_lines(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, TOOLS);
    p = (struct played){.exit_code = 3, .out = "one\n\xff\xfe\nthree"};
    struct said *said = tool(s, "backup  to here", NULL, 0);
    expect_done(said); // that it was run is done: its code is the answer
    assert_string_equal(p.argv, "backup --all to here");
    auto_free char *answer = json_canonical(said->answer);
    assert_string_equal(answer,
                        "{\"code\":3,\"stdout\":[\"one\",\"\xef\xbf\xbd\xef\xbf\xbd\",\"three\"]}");
    expect_kind(tool(s, "restore", NULL, 0), ERR_ABSENT);
    expect_kind(tool(s, "", NULL, 0), ERR_ABSENT);
    p = (struct played){.ms = -1};
    expect_kind(tool(s, "backup", NULL, 0), ERR_TIMEOUT);
    expect_done(stage_operator(s, POD_OFF));
    expect_kind(tool(s, "backup", NULL, 0), ERR_REFUSED);
    p = (struct played){0};
    expect_done(tool(s, "report", NULL, 0)); // it needs no workload
    stage_free(s);
}

// As from a terminal that writes Latin-1. It never runs with other arguments than were asked for.
static void an_argument_that_is_no_utf8_is_refused(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, TOOLS);
    p = (struct played){0};
    fake_engine_forget_calls(s->engine);
    struct said *said = tool(s, "backup to caf\xe9 now", NULL, 0);
    expect_kind(said, ERR_USER);
    assert_non_null(strstr(said->err.text, "argument 3 is not UTF-8: \"caf\\xe9\""));
    assert_string_equal(fake_engine_calls(s->engine), "");
    expect_done(tool(s, "backup to caf\xc3\xa9 now", NULL, 0));
    assert_string_equal(p.argv, "backup --all to caf\xc3\xa9 now");
    stage_free(s);
}

static void its_files_lie_where_it_runs_and_are_gone_with_it(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, TOOLS);
    const struct upload file = {.name = (char *)"a.txt", .data = (char *)"hello", .len = 5};
    expect_done(tool(s, "report a.txt", &file, 1));
    assert_string_equal(p.argv, "report a.txt");
    assert_true(text_starts(p.cwd, s->dir));
    assert_int_not_equal(access(p.cwd, F_OK), 0);
    struct said *said = tool(s, "backup a.txt", &file, 1);
    expect_kind(said, ERR_USER);
    assert_non_null(strstr(said->err.text, "where uploads are not seen"));
    stage_free(s);
}

static void more_tools_than_may_run_at_once_are_refused(void **unused) {
    (void)unused;
    enum { MAX = 64 };
    struct played p;
    struct stage *s = running(&p, TOOLS);
    const struct upload file = {.name = (char *)"a.txt", .data = (char *)"hello", .len = 5};
    struct said many[MAX + 1] = {0};
    auto_free char *folder = xasprintf("%s/state", s->dir);
    size_t before = folder_entries(folder);
    p = (struct played){.ms = 3000};
    for (size_t i = 0; i <= MAX; i++)
        many[i].ask = pod_tool(s->pod, "report", &file, 1, 60000, stage_replied, &many[i]);
    assert_int_equal(folder_entries(folder), before + MAX); // refused before it is written
    fake_loop_advance(s->loop, 1000);
    expect_kind(&many[MAX], ERR_RETRY);
    assert_non_null(strstr(many[MAX].err.text, "64"));
    expect_kind(tool(s, "unheard-of", NULL, 0), ERR_ABSENT);
    fake_loop_advance(s->loop, 5000);
    for (size_t i = 0; i < MAX; i++) {
        expect_done(&many[i]);
        json_decref(many[i].answer);
    }
    p = (struct played){0};
    expect_done(tool(s, "report", NULL, 0));
    stage_free(s);
}

// ---- what is not the pod's own ----

struct line {
    int calls;
    char said[512];
    enum err_kind kind;
};

static void on_line(const char *said, const struct err *err, void *arg) {
    struct line *line = arg;
    line->calls++;
    line->kind = err->kind;
    snprintf(line->said, sizeof line->said, "%s", err->kind == ERR_NONE ? said : err->text);
}

static void a_leaders_probe_answers_with_its_first_line(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = running(&p, "probe: {run: [probe-it], timeout: 5s}\n");
    struct line line = {0};
    const struct spec_action *action = &s->spec->probe.action;
    auto_json json_t *input = json_pack("{s:i}", "size", 1);
    p.out = "3 of 3\r\nmore\n";
    pod_action(s->pod, action, input, on_line, &line);
    assert_int_equal(line.calls, 0);
    fake_loop_advance(s->loop, 1000);
    assert_int_equal(line.calls, 1);
    assert_string_equal(line.said, "3 of 3");
    assert_string_equal(p.input, "{\"size\":1}");
    p = (struct played){.exit_code = 1, .err = "lost one\n"};
    pod_action(s->pod, action, input, on_line, &line);
    fake_loop_advance(s->loop, 1000);
    assert_int_equal(line.kind, ERR_REFUSED);
    assert_string_equal(line.said, "probe: exit 1: lost one");
    p = (struct played){.ms = 3000};
    pod_action(s->pod, action, input, on_line, &line);
    fake_loop_advance(s->loop, 1000);
    stage_worker_gone(s);
    fake_loop_advance(s->loop, 10000);
    assert_int_equal(line.calls, 2); // not after the pod's end
    stage_worker(s);
    stage_free(s);
}

// ---- metrics ----

static void what_sanity_check_prints_are_the_metrics(void **unused) {
    (void)unused;
    struct played p;
    struct stage *s = playing(&p, "hooks:\n  sanity_check: {exec: [metrics], every: 10s}\n");
    p.out = "{\"lag\": 5}";
    stage_configure(s);
    fake_loop_advance(s->loop, 1000);
    auto_json json_t *info = pod_info(s->pod);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(info, "metrics"), "lag")),
                     5);
    int calls = p.calls;
    p.out = "lost"; // the last good ones stay
    fake_loop_advance(s->loop, 10000);
    p.exit_code = 1;
    fake_loop_advance(s->loop, 10000);
    assert_int_equal(p.calls, calls + 2);
    auto_json json_t *later = pod_info(s->pod);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(later, "metrics"), "lag")),
                     5);
    expect_process(s, "running");
    expect_done(stage_operator(s, POD_OFF));
    fake_loop_advance(s->loop, 60000);
    assert_int_equal(p.calls, calls + 2);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exec_ends_with_its_code_and_its_last_line),
        cmocka_unit_test(what_it_answers_as_json_is_the_answer),
        cmocka_unit_test(an_exec_whose_time_is_over_is_ended_by_the_holder),
        cmocka_unit_test(without_a_holder_nobody_can),
        cmocka_unit_test(an_exec_that_the_engine_cuts_off_is_ended_too),
        cmocka_unit_test(an_exec_whose_worker_ends_is_ended_and_not_called_back),
        cmocka_unit_test(an_exec_under_which_the_workload_dies_has_failed),
        cmocka_unit_test(nothing_is_executed_in_a_workload_that_does_not_run),
        cmocka_unit_test(a_hook_beside_us_is_told_who_and_where_it_is),
        cmocka_unit_test(can_configure_refuses_before_anything_is_touched),
        cmocka_unit_test(what_a_check_says_need_not_be_utf8),
        cmocka_unit_test(what_configure_prints_is_part_of_the_container),
        cmocka_unit_test(what_it_can_go_by_is_a_change_in_check),
        cmocka_unit_test(one_that_could_not_initialize_tries_again),
        cmocka_unit_test(a_finalize_that_fails_does_not_keep_it_alive),
        cmocka_unit_test(tear_down_takes_the_place_of_the_stop_signal),
        cmocka_unit_test(without_a_grace_it_has_no_time_either),
        cmocka_unit_test(a_finalize_has_what_the_stop_left),
        cmocka_unit_test(one_that_fails_is_followed_by_it),
        cmocka_unit_test(a_running_workload_is_told_of_its_files_by_an_exec),
        cmocka_unit_test(another_worker_tells_it_too),
        cmocka_unit_test(who_could_not_be_told_for_the_engine_is_told_later),
        cmocka_unit_test(who_is_started_anew_needs_no_telling),
        cmocka_unit_test(or_by_a_signal),
        cmocka_unit_test(a_tool_answers_with_its_code_and_its_lines),
        cmocka_unit_test(an_argument_that_is_no_utf8_is_refused),
        cmocka_unit_test(its_files_lie_where_it_runs_and_are_gone_with_it),
        cmocka_unit_test(more_tools_than_may_run_at_once_are_refused),
        cmocka_unit_test(a_leaders_probe_answers_with_its_first_line),
        cmocka_unit_test(what_sanity_check_prints_are_the_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
