// docker-api while its engine is killed, stopped, frozen and started again. Needs an engine of its
// own: with-engine.
#include "base/check.h"
#include "base/own.h"
#include "tests/integration/docker/rig.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define assert_kind(g, expected)                                                                   \
    do {                                                                                           \
        if ((g)->err.kind != (expected))                                                           \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, err_kind_name((g)->err.kind),            \
                     (g)->err.text);                                                               \
    } while (0)

static const char script[] = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";

// ---- the engine's fate, while our loop runs ----

struct child {
    pid_t pid;
    bool done;
    int status;
};

static bool has_ended(void *arg) {
    struct child *child = arg;
    child->done = child->done || waitpid(child->pid, &child->status, WNOHANG) == child->pid;
    return child->done;
}

static void engine(struct rig *rig, const char *verb, const char *option) {
    struct child child = {0};
    child.pid = fork();
    if (child.pid == 0) {
        execl(SOURCE_DIR "/tests/lib/engine", "engine", verb, getenv("ENGINE_DIR"),
              option ? "--" : NULL, option, NULL);
        _exit(127);
    }
    until_true(rig, has_ended, &child, 120, verb);
    assert_int_equal(child.status, 0);
}

static pid_t engine_pid(void) {
    auto_free char *path = xasprintf("%s/pid", getenv("ENGINE_DIR"));
    auto_file FILE *f = fopen(path, "r");
    int pid = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1); // NOLINT: dockerd's own file
    return pid;
}

static int up(void **state) {
    if (!getenv("ENGINE_DIR"))
        fail_msg("run by tests/integration/docker/with-engine");
    return rig_up(state);
}

// Whatever a test left, the next one finds an engine that runs.
static int down(void **state) {
    struct rig *rig = *state;
    engine(rig, "stop", NULL);
    engine(rig, "start", NULL);
    until_true(rig, rig_is_up, rig, 60, "the engine answers");
    return rig_down(state);
}

static void restart_live(struct rig *rig) {
    engine(rig, "stop", NULL);
    engine(rig, "start", "--live-restore");
    until_true(rig, rig_is_up, rig, 60, "the engine answers");
    rig->ups = rig->downs = 0;
}

static struct docker_container *running(struct rig *rig, char ret_id[80]) {
    rig_create(rig, NULL, script, ret_id);
    rig_start(rig, ret_id);
    return rig_inspect(rig, ret_id);
}

// ---- logs in flight ----

struct log {
    bool any, ended;
    struct err err;
};

static void on_line(int stream, const char *line, size_t len, int64_t time_ns, void *arg) {
    (void)stream;
    (void)line;
    (void)len;
    (void)time_ns;
    ((struct log *)arg)->any = true;
}

static void on_end(const struct err *err, void *arg) {
    struct log *log = arg;
    log->ended = true;
    err_copy(&log->err, err);
}

// ---- tests ----

static void a_killed_engine_is_one_gap_and_the_container_lives_on(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got refused = {0}, killed = {0};
    restart_live(rig);
    struct docker_container *before = running(rig, id);
    engine(rig, "kill", NULL);
    until_true(rig, rig_is_down, rig, 30, "on_down");
    docker_inspect(rig->docker, id, on_container, &refused);
    assert_false(refused.done);
    until(rig, &refused, 60);
    assert_kind(&refused, ERR_RETRY);
    rig_spin(rig, 500);
    assert_int_equal(rig->downs, 1);
    assert_int_equal(rig->ups, 0);
    size_t from = rig->events_len;
    engine(rig, "start", "--live-restore");
    until_true(rig, rig_is_up, rig, 60, "on_up");
    assert_int_equal(rig->ups, 1);
    struct docker_container *after = rig_inspect(rig, id);
    assert_true(after->running);
    assert_int_equal(after->pid, before->pid);
    assert_string_equal(after->started_at, before->started_at);
    docker_kill(rig->docker, id, "KILL", on_done, &killed);
    until(rig, &killed, 60);
    assert_string_equal(rig_expect(rig, from, id, "die")->exit_code, "137"); // events flow again
    docker_container_free(before);
    docker_container_free(after);
}

// An engine that comes back rarely sends the event too: nothing may depend on it, either way.
static void what_ended_meanwhile_is_told_by_inspect(void **state) {
    struct rig *rig = *state;
    char id[80];
    restart_live(rig);
    struct docker_container *before = running(rig, id);
    engine(rig, "kill", NULL);
    until_true(rig, rig_is_down, rig, 30, "on_down");
    assert_int_equal(kill((pid_t)before->pid, SIGKILL), 0);
    engine(rig, "start", "--live-restore");
    until_true(rig, rig_is_up, rig, 60, "on_up");
    struct docker_container *after = rig_inspect(rig, id);
    assert_false(after->running);
    assert_int_equal(after->exit_code, 137);
    docker_container_free(before);
    docker_container_free(after);
}

static void what_is_in_flight_ends_with_the_engine(void **state) {
    struct rig *rig = *state;
    static const struct docker_logs_events log_events = {on_line, on_end};
    static const char *const argv[] = {"sleep", "1000", NULL};
    const struct docker_exec plain = {.argv = argv, .timeout_ms = 100000};
    const struct docker_exec upgraded = {
        .argv = argv, .input = "x", .input_len = 1, .timeout_ms = 100000};
    char id[80];
    struct log log = {0};
    auto_got struct got wait = {0}, stop = {0}, first = {0}, second = {0};
    docker_container_free(running(rig, id));
    docker_logs(rig->docker, id, false, 0, 10, &log_events, &log);
    until_flag(rig, &log.any, 30, "a line");
    docker_wait(rig->docker, id, NULL, NULL, on_waited, &wait);
    docker_exec(rig->docker, id, &plain, on_exec, &first);
    docker_exec(rig->docker, id, &upgraded, on_exec, &second);
    rig_spin(rig, 500);
    assert_false(log.ended || wait.done || first.done || second.done);
    engine(rig, "kill", NULL);
    until_flag(rig, &log.ended, 60, "end of the log");
    until(rig, &wait, 60);
    until(rig, &first, 60);
    until(rig, &second, 60);
    assert_kind(&log, ERR_RETRY);
    assert_kind(&wait, ERR_RETRY);
    assert_kind(&first, ERR_RETRY);
    assert_kind(&second, ERR_RETRY);
    docker_stop(rig->docker, id, NULL, 10, on_done, &stop);
    until(rig, &stop, 60);
    assert_kind(&stop, ERR_RETRY);
}

// What looks like a job that is done: reliability demands that nobody believes it.
static void a_restart_ends_containers_with_exit_0(void **state) {
    struct rig *rig = *state;
    char id[80];
    docker_container_free(running(rig, id));
    engine(rig, "kill", NULL);
    engine(rig, "start", NULL);
    until_true(rig, rig_is_up, rig, 60, "on_up");
    assert_int_equal(rig->ups, 2);
    assert_int_equal(rig->downs, 1);
    struct docker_container *c = rig_inspect(rig, id);
    assert_false(c->running);
    assert_int_equal(c->exit_code, 0);
    docker_container_free(c);
}

// All of it: its threads stop one after the other, and one that still runs may answer.
static bool is_frozen(void *arg) {
    auto_free char *folder = xasprintf("/proc/%d/task", (int)*(const pid_t *)arg);
    DIR *tasks = opendir(folder);
    bool all = tasks != NULL;
    for (struct dirent *e; all && (e = readdir(tasks));) {
        if (*e->d_name == '.')
            continue;
        auto_free char *path = xasprintf("%s/%s/stat", folder, e->d_name);
        char stat[512] = "";
        FILE *file = fopen(path, "r");
        size_t n = file ? fread(stat, 1, sizeof stat - 1, file) : 0;
        stat[n] = '\0';
        const char *name_end = strrchr(stat, ')');
        all = name_end && name_end[2] == 'T';
        if (file)
            (void)fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return all;
}

static void a_frozen_engine_is_noticed_and_forgiven(void **state) {
    struct rig *rig = *state;
    auto_got struct got inspect = {0}, after = {0};
    char id[80];
    docker_container_free(running(rig, id));
    pid_t pid = engine_pid();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    until_true(rig, is_frozen, &pid, 30, "every thread of the engine stands");
    docker_inspect(rig->docker, id, on_container, &inspect);
    until(rig, &inspect, 30);
    until_true(rig, rig_is_down, rig, 40, "on_down");
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_kind(&inspect, ERR_TIMEOUT);
    until_true(rig, rig_is_up, rig, 30, "on_up");
    docker_inspect(rig->docker, id, on_container, &after);
    until(rig, &after, 30);
    assert_kind(&after, ERR_NONE);
    assert_true(after.container->running);
}

// A process that takes too long and an engine that is silent are two things.
static void an_exec_beside_a_frozen_engine_is_retry(void **state) {
    struct rig *rig = *state;
    auto_got struct got slow = {0}, cut = {0};
    char id[80];
    docker_container_free(running(rig, id));
    const char *const argv[] = {"sleep", "60", NULL};
    const struct docker_exec exec = {.argv = argv, .timeout_ms = 1000};
    docker_exec(rig->docker, id, &exec, on_exec, &slow);
    until(rig, &slow, 30);
    assert_kind(&slow, ERR_TIMEOUT);
    assert_non_null(strstr(slow.err.text, "not done within 1000 ms; the process runs on"));
    pid_t pid = engine_pid();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    until_true(rig, is_frozen, &pid, 30, "every thread of the engine stands");
    docker_exec(rig->docker, id, &exec, on_exec, &cut);
    until(rig, &cut, 30);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_kind(&cut, ERR_RETRY);
    assert_int_equal(cut.err.code, 0);
    until_true(rig, rig_is_up, rig, 30, "on_up");
}

static void an_engine_that_comes_late_is_found(void **state) {
    struct rig *rig = *state;
    engine(rig, "stop", NULL);
    struct rig *early = rig_open(NULL, NULL);
    until_true(early, rig_is_down, early, 30, "down");
    rig_spin(early, 1000);
    assert_int_equal(early->ups, 0);
    assert_int_equal(early->downs, 1);
    engine(early, "start", NULL);
    until_true(early, rig_is_up, early, 30, "up");
    assert_int_equal(early->ups, 1);
    rig_close(early);
}

static void a_client_without_listener_notices_by_its_calls(void **state) {
    struct rig *rig = *state;
    struct docker *plain = NULL;
    struct err err = ERR_INIT;
    auto_got struct got first = {0}, cut = {0}, refused = {0}, again = {0};
    assert_int_equal(docker_open(rig->loop, rig->http, NULL, NULL, NULL, NULL, &plain, &err), 0);
    docker_list(plain, true, NULL, on_json, &first);
    until(rig, &first, 30);
    assert_kind(&first, ERR_NONE);
    engine(rig, "kill", NULL);
    docker_list(plain, true, NULL, on_json, &cut);
    until(rig, &cut, 30);
    assert_kind(&cut, ERR_RETRY);
    rig_spin(rig, 300);
    assert_false(docker_is_up(plain));
    docker_list(plain, true, NULL, on_json, &refused);
    until(rig, &refused, 60);
    assert_kind(&refused, ERR_RETRY);
    engine(rig, "start", NULL);
    until_true(rig, rig_is_up, rig, 60, "up");
    for (int i = 0; i < 1200 && !docker_is_up(plain); i++)
        rig_spin(rig, 50);
    docker_list(plain, true, NULL, on_json, &again);
    until(rig, &again, 30);
    assert_kind(&again, ERR_NONE);
    docker_close(plain);
}

#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void) {
    const struct CMUnitTest tests[] = {
        rig_test(a_killed_engine_is_one_gap_and_the_container_lives_on),
        rig_test(what_ended_meanwhile_is_told_by_inspect),
        rig_test(what_is_in_flight_ends_with_the_engine),
        rig_test(a_restart_ends_containers_with_exit_0),
        rig_test(a_frozen_engine_is_noticed_and_forgiven),
        rig_test(an_exec_beside_a_frozen_engine_is_retry),
        rig_test(an_engine_that_comes_late_is_found),
        rig_test(a_client_without_listener_notices_by_its_calls),
    };
    return cmocka_run_group_tests_name("docker-api in an outage", tests, NULL, NULL);
}
