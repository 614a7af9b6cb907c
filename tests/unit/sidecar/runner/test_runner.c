// The real runner: forked, with real children, over the real loop.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/runner/runner.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 30000 };

static struct loop *loop;
static struct runner *runner;

static struct {
    int calls, exit_code;
    struct err err;
    char out[4096], complaints[4096];
    size_t out_len;
    json_t *json;
} seen;

static void give_up(void *arg) {
    (void)arg;
    fail_msg("no answer within the deadline");
}

static struct loop_timer *deadline;

static void wait_for_answer(void) {
    loop_timer_start(loop, &deadline, DEADLINE_MS, give_up, NULL);
    loop_run(loop);
    loop_timer_stop(&deadline);
}

static void on_json(json_t *answer, const struct err *err, void *arg) {
    (void)arg;
    seen.calls++;
    seen.err = *err;
    seen.json = json_incref(answer);
    loop_quit(loop);
}

static void on_hook(int code, const char *out, const char *complaints, const struct err *err,
                    void *arg) {
    (void)arg;
    seen.calls++;
    seen.exit_code = code;
    seen.err = *err;
    seen.out_len = strlen(out);
    snprintf(seen.out, sizeof seen.out, "%s", out);
    snprintf(seen.complaints, sizeof seen.complaints, "%s", complaints);
    loop_quit(loop);
}

// ---- functions that run in the children ----

static json_t *echo(const json_t *argument, struct err *err) {
    (void)err;
    return json_pack("{s:O, s:i}", "said", argument, "pid", (int)getpid());
}

static json_t *refuse(const json_t *argument, struct err *err) {
    (void)argument;
    err_set(err, ERR_REFUSED, "zoo.cfg.tmpl:7: no such name");
    return NULL;
}

static json_t *spin(const json_t *argument, struct err *err) {
    (void)argument, (void)err;
    for (volatile unsigned long n = 1; n; n++)
        ;
    return NULL;
}

static json_t *die(const json_t *argument, struct err *err) {
    (void)argument, (void)err;
    raise(SIGSEGV);
    return NULL;
}

static json_t *large(const json_t *argument, struct err *err) {
    (void)argument, (void)err;
    size_t len = 3 * 1024 * 1024;
    char *s = xcalloc(len + 1, 1);
    memset(s, 'x', len);
    s[len] = 0;
    json_t *o = json_pack("{s:s}", "s", s);
    free(s);
    return o;
}

static json_t *privileges(const json_t *argument, struct err *err) {
    (void)argument, (void)err;
    auto_file FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long effective = ~0ULL, bounding = ~0ULL;
    while (f && fgets(line, sizeof line, f)) {
        (void)sscanf(line, "CapEff: %llx", &effective);
        (void)sscanf(line, "CapBnd: %llx", &bounding);
    }
    return json_pack("{s:I, s:I}", "effective", (json_int_t)effective, "bounding",
                     (json_int_t)bounding);
}

static json_t *descriptors(const json_t *argument, struct err *err) {
    (void)argument, (void)err;
    int open = 0;
    for (int fd = 3; fd < 1024; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return json_pack("{s:i}", "open", open);
}

static const struct runner_function functions[] = {
    {.name = "echo", .fn = echo},
    {.name = "refuse", .fn = refuse},
    {.name = "spin", .fn = spin},
    {.name = "die", .fn = die},
    {.name = "large", .fn = large},
    {.name = "privileges", .fn = privileges},
    {.name = "descriptors", .fn = descriptors},
    {0},
};

// ---- cases ----

static json_t *ask(const char *function, int64_t timeout_ms) {
    auto_json json_t *argument = json_pack("{s:i}", "n", 7);
    seen.calls = 0;
    runner_call(runner, function, argument, 0, timeout_ms, on_json, NULL);
    wait_for_answer();
    assert_int_equal(seen.calls, 1);
    return take_ptr(seen.json);
}

static void a_function_answers_from_another_process(void **state) {
    (void)state;
    auto_json json_t *answer = ask("echo", 10000);
    assert_int_equal(seen.err.kind, ERR_NONE);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(answer, "said"), "n")), 7);
    assert_int_not_equal(json_integer_value(json_object_get(answer, "pid")), getpid());
}

static void an_error_travels_whole(void **state) {
    (void)state;
    assert_null(ask("refuse", 10000));
    assert_int_equal(seen.err.kind, ERR_REFUSED);
    assert_string_equal(seen.err.text, "zoo.cfg.tmpl:7: no such name");
}

static void an_endless_loop_is_ended(void **state) {
    (void)state;
    assert_null(ask("spin", 200));
    assert_int_equal(seen.err.kind, ERR_TIMEOUT);
}

static void a_crash_is_an_error(void **state) {
    (void)state;
    assert_null(ask("die", 10000));
    assert_int_equal(seen.err.kind, ERR_REFUSED);
    assert_int_equal(ask("refuse", 10000) == NULL, 1); // and the runner lives
}

static void an_unknown_function_is_our_bug(void **state) {
    (void)state;
    assert_null(ask("nonsense", 10000));
    assert_int_equal(seen.err.kind, ERR_BUG);
}

static void a_large_answer_arrives(void **state) {
    (void)state;
    auto_json json_t *answer = ask("large", 10000);
    assert_int_equal(json_string_length(json_object_get(answer, "s")), 3 * 1024 * 1024);
}

static void only_file_capabilities_are_kept(void **state) {
    (void)state;
    auto_json json_t *answer = ask("privileges", 10000);
    const json_int_t file_caps = 1 << 0 | 1 << 1 | 1 << 3; // CHOWN, DAC_OVERRIDE, FOWNER
    assert_int_equal(json_integer_value(json_object_get(answer, "effective")) & ~file_caps, 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "bounding")) & ~file_caps, 0);
}

static void nothing_of_ours_is_inherited(void **state) {
    (void)state;
    auto_json json_t *answer = ask("descriptors", 10000);
    assert_int_equal(json_integer_value(json_object_get(answer, "open")), 1); // its own line
}

static const char *const env[] = {"PATH=/usr/bin:/bin", "NAME=a value; $(not a shell)", NULL};

static void run_with(const char *const *argv, const char *input, int64_t timeout_ms) {
    seen.calls = 0;
    struct runner_hook hook = {.argv = argv,
                               .env = env,
                               .cwd = "/",
                               .input = input,
                               .input_len = input ? strlen(input) : 0,
                               .max_output = 1000,
                               .timeout_ms = timeout_ms};
    runner_hook(runner, &hook, on_hook, NULL);
    wait_for_answer();
    assert_int_equal(seen.calls, 1);
}

static void a_hook_gets_input_and_environment_and_gives_output(void **state) {
    (void)state;
    const char *argv[] = {"sh", "-c", "cat; printf '%s' \"$NAME\" >&2; exit 3", NULL};
    run_with(argv, "{\"pods\": []}", 10000);
    assert_int_equal(seen.err.kind, ERR_NONE);
    assert_int_equal(seen.exit_code, 3);
    assert_string_equal(seen.out, "{\"pods\": []}");
    assert_string_equal(seen.complaints, "a value; $(not a shell)");
}

static void output_is_cut_at_its_cap(void **state) {
    (void)state;
    const char *argv[] = {"sh", "-c", "yes | head -c 100000", NULL};
    run_with(argv, NULL, 10000);
    assert_int_equal(seen.exit_code, 0);
    assert_int_equal(seen.out_len, 1000);
}

static void a_missing_command_is_127(void **state) {
    (void)state;
    const char *argv[] = {"no-such-command-here", NULL};
    run_with(argv, NULL, 10000);
    assert_int_equal(seen.exit_code, 127);
    assert_non_null(strstr(seen.complaints, "no-such-command-here"));
}

// Sixty of one kind are looked for by a number that only they carry.
static int alive_with(const char *mark) {
    char command[128];
    snprintf(command, sizeof command, "ps -eo args | grep -cw '[s]leep %s'", mark);
    auto_free char *line = NULL;
    size_t room = 0;
    FILE *p = popen(command, "re");
    int n = getline(&line, &room, p) > 0 ? atoi(line) : -1;
    pclose(p);
    return n;
}

// Waits until as many sleepers carry the mark, or the deadline is over.
static int await_alive(const char *mark, int wanted) {
    for (int i = 0; i < DEADLINE_MS / 20 && alive_with(mark) != wanted; i++)
        usleep(20000);
    return alive_with(mark);
}

// On a busy machine a job that is over is given up before it could end all it started.
static void a_hook_past_its_time_ends_with_all_it_started(void **state) {
    (void)state;
    char script[160];
    snprintf(script, sizeof script, "setsid sleep 7%d & (setsid sleep 7%d &) ; sleep 7%d", getpid(),
             getpid(), getpid());
    char mark[16];
    snprintf(mark, sizeof mark, "7%d", getpid());
    const char *argv[] = {"sh", "-c", script, NULL};
    run_with(argv, NULL, 500);
    assert_int_equal(seen.err.kind, ERR_TIMEOUT);
    assert_int_equal(await_alive(mark, 0), 0);
}

static void what_a_finished_hook_left_behind_ends_too(void **state) {
    (void)state;
    char script[160], mark[16];
    snprintf(script, sizeof script,
             "for i in 1 2 3 4 5; do setsid sleep 8%d >/dev/null 2>&1 & done; echo done", getpid());
    snprintf(mark, sizeof mark, "8%d", getpid());
    const char *argv[] = {"sh", "-c", script, NULL};
    run_with(argv, NULL, 20000);
    assert_int_equal(seen.exit_code, 0);
    assert_string_equal(seen.out, "done\n");
    assert_int_equal(alive_with(mark), 0);
}

static int children_of(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *f = fopen(path, "re");
    int child, n = 0;
    while (f && fscanf(f, "%d", &child) == 1)
        n++;
    if (f)
        fclose(f);
    return n;
}

// Each of its processes starts two more of itself and leaves a daemon behind, some six generations
// deep; most have no parent any more when the time is over. Zombies would still be children.
static void a_hook_that_multiplies_leaves_nobody_and_no_zombie(void **state) {
    (void)state;
    char script[320], mark[16];
    snprintf(mark, sizeof mark, "5%d", getpid());
    snprintf(
        script, sizeof script,
        "b() { (setsid sleep %s &) ; [ $1 -gt 0 ] || return 0; (b $(($1-1)) &) ; b $(($1-1)) & }; "
        "b 5; sleep %s",
        mark, mark);
    const char *argv[] = {"sh", "-c", script, NULL};
    run_with(argv, NULL, 1500);
    assert_int_equal(seen.err.kind, ERR_TIMEOUT);
    assert_int_equal(await_alive(mark, 0), 0);
    int left = -1;
    for (int i = 0; i < DEADLINE_MS / 5 && (left = children_of(runner_pid(runner))); i++)
        usleep(5000);
    assert_int_equal(left, 0);
    assert_int_equal(children_of(getpid()), 1); // the runner
    run_with((const char *[]){"sh", "-c", "echo well", NULL}, NULL, 20000);
    assert_string_equal(seen.out, "well\n");
}

static void turn_over(void *arg) {
    (void)arg;
    loop_quit(loop);
}

static int looks;
static struct loop_timer *look;
static void look_again(void *arg) {
    const char *mark = arg;
    if (alive_with(mark) == 0 || ++looks > 1000)
        loop_quit(loop);
    else
        loop_timer_start(loop, &look, 20, look_again, arg);
}

static void a_cancelled_hook_ends_and_says_nothing(void **state) {
    (void)state;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "9%d", getpid());
    const char *argv[] = {"sleep", seconds, NULL};
    struct runner_hook hook = {.argv = argv, .env = env, .timeout_ms = 600000};
    seen.calls = 0;
    struct runner_job *job = runner_hook(runner, &hook, on_hook, NULL);
    for (int i = 0; i < 1000 && alive_with(seconds) < 1; i++) {
        loop_timer_start(loop, &look, 5, turn_over, NULL);
        loop_run(loop);
    }
    runner_cancel(&job);
    assert_null(job);
    looks = 0;
    loop_timer_start(loop, &look, 20, look_again, seconds);
    wait_for_answer();
    assert_int_equal(alive_with(seconds), 0);
    assert_int_equal(seen.calls, 0);
}

static const struct runner_setup setup_of_all = {
    .name = "runner-test", .functions = functions, .sandbox = SANDBOX_RUNNER};

// A worker of its own, with a hook that has daemonised.
static void worker_with_hook(const char *const *argv, const char *const *hook_env) {
    struct runner_hook hook = {.argv = argv, .env = hook_env, .timeout_ms = 600000};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (runner_start(&setup_of_all, &runner, NULL))
        _exit(1);
    loop = loop_create();
    runner_attach(runner, loop);
    runner_hook(runner, &hook, on_hook, NULL);
    loop_run(loop);
    _exit(1);
}

static void ends_with_its_hooks(bool whole_group) {
    char mark[16], variable[32];
    snprintf(mark, sizeof mark, "6%d", getpid());
    snprintf(variable, sizeof variable, "MARK=%s", mark);
    const char *hook_env[] = {"PATH=/usr/bin:/bin", variable, NULL};
    const char *argv[] = {"sh", "-c", "(setsid sleep $MARK &) ; setsid sleep $MARK & sleep $MARK",
                          NULL};
    pid_t pid = fork();
    if (pid == 0)
        worker_with_hook(argv, hook_env);
    assert_int_equal(await_alive(mark, 3), 3);
    kill(whole_group ? -pid : pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(await_alive(mark, 0), 0);
}

static void a_killed_worker_takes_its_hooks_with_it(void **state) {
    (void)state;
    ends_with_its_hooks(false);
}

// As init does.
static void a_killed_set_takes_its_hooks_with_it(void **state) {
    (void)state;
    ends_with_its_hooks(true);
}

// By which init ends the runner; a terminal's Ctrl-C reaches neither (see unit-sidecar-test_init).
static void the_runner_is_in_the_workers_group(void **state) {
    (void)state;
    auto_json json_t *answer = ask("echo", 10000);
    assert_non_null(answer); // it has come that far
    assert_int_equal(getpgid(runner_pid(runner)), getpgrp());
}

static void note_gone(void *arg) {
    *(bool *)arg = true;
    loop_quit(loop);
}

static void its_end_is_noticed(void **state) {
    (void)state;
    bool gone = false;
    runner_on_gone(runner, note_gone, &gone);
    kill(runner_pid(runner), SIGKILL);
    wait_for_answer();
    assert_true(gone);
    ask("echo", 10000);
    assert_int_equal(seen.err.kind, ERR_RETRY);
}

static int setup(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    if (runner_start(&setup_of_all, &runner, &err))
        return -1;
    loop = loop_create();
    runner_attach(runner, loop);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (!runner)
        return -1;
    pid_t pid = runner_pid(runner);
    runner_stop(runner);
    loop_free(loop);
    int status; // it ends by itself once our end is closed
    return waitpid(pid, &status, 0) == pid ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_answers_from_another_process),
        cmocka_unit_test(an_error_travels_whole),
        cmocka_unit_test(an_endless_loop_is_ended),
        cmocka_unit_test(a_crash_is_an_error),
        cmocka_unit_test(an_unknown_function_is_our_bug),
        cmocka_unit_test(a_large_answer_arrives),
        cmocka_unit_test(only_file_capabilities_are_kept),
        cmocka_unit_test(nothing_of_ours_is_inherited),
        cmocka_unit_test(a_hook_gets_input_and_environment_and_gives_output),
        cmocka_unit_test(output_is_cut_at_its_cap),
        cmocka_unit_test(a_missing_command_is_127),
        cmocka_unit_test(a_killed_worker_takes_its_hooks_with_it),
        cmocka_unit_test(a_killed_set_takes_its_hooks_with_it),
        cmocka_unit_test(the_runner_is_in_the_workers_group),
        cmocka_unit_test(a_hook_past_its_time_ends_with_all_it_started),
        cmocka_unit_test(what_a_finished_hook_left_behind_ends_too),
        cmocka_unit_test(a_hook_that_multiplies_leaves_nobody_and_no_zombie),
        cmocka_unit_test(a_cancelled_hook_ends_and_says_nothing),
    };
    const struct CMUnitTest last[] = {cmocka_unit_test(its_end_is_noticed)};
    return cmocka_run_group_tests(tests, setup, teardown) +
           cmocka_run_group_tests(last, setup, teardown);
}
