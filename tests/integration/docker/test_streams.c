// exec, logs, archive, images and volumes on the real engine that DOCKER_HOST names.
#include "base/check.h"
#include "base/own.h"
#include "tests/integration/docker/rig.h"
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define assert_kind(g, expected)                                                                   \
    do {                                                                                           \
        if ((g)->err.kind != (expected))                                                           \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, err_kind_name((g)->err.kind),            \
                     (g)->err.text);                                                               \
    } while (0)

// ---- exec ----

static void exec_in(struct rig *rig, const char *id, struct docker_exec exec, struct got *g) {
    if (!exec.timeout_ms)
        exec.timeout_ms = 60000;
    docker_exec(rig->docker, id, &exec, on_exec, g);
    assert_false(g->done);
    until(rig, g, 90);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void running(struct rig *rig, char ret_id[80]) {
    rig_create(rig, NULL, "trap 'exit 0' TERM; while :; do sleep 0.1; done", ret_id);
    rig_start(rig, ret_id);
}

static void exec_tells_output_and_exit_code(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0};
    running(rig, id);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("sh", "-c", "echo out; echo err >&2; exit 7")}, &g);
    assert_kind(&g, ERR_NONE);
    assert_int_equal(g.exit_code, 7);
    assert_string_equal(g.out, "out\n");
    assert_string_equal(g.error, "err\n");
    assert_false(g.cut);
}

static void exec_takes_environment_user_and_directory(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0};
    running(rig, id);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("sh", "-c", "echo $A; id -u; pwd"),
                                 .env = ARGV("A=b c"),
                                 .user = "1234",
                                 .working_dir = "/bin"},
            &g);
    assert_kind(&g, ERR_NONE);
    assert_string_equal(g.out, "b c\n1234\n/bin\n");
}

static void exec_hands_over_stdin_and_closes_it(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0}, none = {0}, large = {0};
    running(rig, id);
    exec_in(rig, id, (struct docker_exec){.argv = ARGV("cat"), .input = "a\nb", .input_len = 3},
            &g);
    assert_kind(&g, ERR_NONE);
    assert_int_equal(g.exit_code, 0);
    assert_string_equal(g.out, "a\nb");
    exec_in(rig, id, (struct docker_exec){.argv = ARGV("wc", "-c"), .input = ""}, &none);
    assert_kind(&none, ERR_NONE);
    assert_string_equal(none.out, "0\n");
    enum { LARGE = 3 << 20 };
    auto_free char *data = xcalloc(LARGE, 1);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("wc", "-c"), .input = data, .input_len = LARGE},
            &large);
    assert_kind(&large, ERR_NONE);
    assert_string_equal(large.out, "3145728\n");
}

static void exec_output_is_capped_stream_by_stream(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0};
    running(rig, id);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("sh", "-c", "yes | head -c 300000; echo end >&2"),
                                 .max_output = 1000},
            &g);
    assert_kind(&g, ERR_NONE);
    assert_int_equal(g.exit_code, 0);
    assert_int_equal(g.out_len, 1000);
    assert_string_equal(g.error, "end\n");
    assert_true(g.cut);
}

static void exec_of_what_is_not_there_is_an_exit_code(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0}, with_input = {0};
    running(rig, id);
    exec_in(rig, id, (struct docker_exec){.argv = ARGV("/no/such/thing")}, &g);
    assert_kind(&g, ERR_NONE);
    assert_true(g.exit_code == 126 || g.exit_code == 127);
    assert_non_null(strstr(g.out, "/no/such/thing"));
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("/no/such/thing"), .input = "x", .input_len = 1},
            &with_input);
    assert_kind(&with_input, ERR_NONE);
    assert_true(with_input.exit_code == 126 || with_input.exit_code == 127);
}

static void exec_is_given_up_after_its_time(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0}, with_input = {0}, ps = {0};
    enum { LONG_ENOUGH_MS = 15000 }; // for the engine to begin, also where it is busy
    running(rig, id);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("sleep", "1000"), .timeout_ms = LONG_ENOUGH_MS}, &g);
    assert_kind(&g, ERR_TIMEOUT);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("sleep", "2000"),
                                 .input = "x",
                                 .input_len = 1,
                                 .timeout_ms = LONG_ENOUGH_MS},
            &with_input);
    assert_kind(&with_input, ERR_TIMEOUT);
    exec_in(rig, id, (struct docker_exec){.argv = ARGV("ps")}, &ps);
    assert_non_null(strstr(ps.out, "sleep 1000")); // nothing in the API ends it
    assert_non_null(strstr(ps.out, "sleep 2000"));
}

static void exec_needs_a_running_container(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got stopped = {0}, absent = {0};
    rig_create(rig, NULL, "exit 0", id);
    exec_in(rig, id, (struct docker_exec){.argv = ARGV("true")}, &stopped);
    assert_kind(&stopped, ERR_EXISTS);
    exec_in(rig, "nobody-of-that-name", (struct docker_exec){.argv = ARGV("true")}, &absent);
    assert_kind(&absent, ERR_ABSENT);
}

static void many_execs_run_side_by_side(void **state) {
    struct rig *rig = *state;
    enum { MANY = 20 };
    struct got g[MANY] = {0};
    char id[80];
    running(rig, id);
    struct docker_exec exec = {.argv = ARGV("sh", "-c", "sleep 0.2; echo done"),
                               .timeout_ms = 60000};
    for (int i = 0; i < MANY; i++)
        docker_exec(rig->docker, id, &exec, on_exec, &g[i]);
    for (int i = 0; i < MANY; i++) {
        until(rig, &g[i], 90);
        assert_kind(&g[i], ERR_NONE);
        assert_string_equal(g[i].out, "done\n");
        got_done(&g[i]);
    }
}

static void a_cancelled_exec_never_reports(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0}, after = {0};
    running(rig, id);
    struct docker_exec exec = {.argv = ARGV("sleep", "0.1"), .timeout_ms = 60000};
    for (int ms = 0; ms < 60; ms += 7) {
        struct docker_call *call = docker_exec(rig->docker, id, &exec, on_exec, &g);
        rig_spin(rig, ms);
        if (!g.done)
            docker_cancel(&call);
        got_done(&g);
    }
    exec_in(rig, id, (struct docker_exec){.argv = ARGV("true")}, &after);
    assert_kind(&after, ERR_NONE);
}

// ---- logs ----

struct log {
    struct text text; // "1:line\n"
    size_t lines;
    int64_t last_ns;
    size_t stop_at; // stops itself at that many lines
    struct docker_stream *stream;
    bool ended;
    struct err err;
};

static void log_done(struct log *log) {
    docker_stream_stop(&log->stream);
    text_done(&log->text);
}
#define auto_log __attribute__((cleanup(log_done)))

static void on_line(int stream, const char *line, size_t len, int64_t time_ns, void *arg) {
    struct log *log = arg;
    assert_true(time_ns >= log->last_ns);
    log->last_ns = time_ns;
    log->lines++;
    if (len > 100)
        text_addf(&log->text, "%d:%zu bytes\n", stream, len);
    else
        text_addf(&log->text, "%d:%.*s\n", stream, (int)len, line);
    if (log->stop_at && log->lines == log->stop_at)
        docker_stream_stop(&log->stream);
}

static void on_end(const struct err *err, void *arg) {
    struct log *log = arg;
    log->ended = true;
    log->stream = NULL;
    err_copy(&log->err, err);
}

static void follow(struct rig *rig, const char *id, bool tty, int64_t since_ns, int tail,
                   struct log *log) {
    static const struct docker_logs_events events = {on_line, on_end};
    log->stream = docker_logs(rig->docker, id, tty, since_ns, tail, &events, log);
    assert_non_null(log->stream);
}

static bool has_a_line(void *log) {
    return ((struct log *)log)->lines > 0;
}

static bool has_two_lines(void *log) {
    return ((struct log *)log)->lines > 1;
}

static bool has_stopped(void *log) {
    return !((struct log *)log)->stream;
}

static void heard(struct rig *rig, const char *id) {
    auto_got struct got g = {0};
    docker_kill(rig->docker, id, "USR1", on_done, &g);
    until(rig, &g, 60);
    assert_kind(&g, ERR_NONE);
}

// The engine reads both at once: what is said next waits until the last has been heard.
static void logs_follow_both_streams_until_the_end(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_log struct log log = {0};
    rig_create(rig, NULL,
               "n=0; trap 'n=$((n+1))' USR1; echo one; until [ $n = 1 ]; do sleep 0.05; done;"
               " echo two >&2; until [ $n = 2 ]; do sleep 0.05; done; printf three",
               id);
    rig_start(rig, id);
    follow(rig, id, false, 0, 100, &log);
    until_true(rig, has_a_line, &log, 60, "a line before the end");
    heard(rig, id);
    until_true(rig, has_two_lines, &log, 60, "a line of the other stream");
    heard(rig, id);
    until_flag(rig, &log.ended, 60, "end of the log");
    assert_kind(&log, ERR_NONE);
    assert_string_equal(text_str(&log.text), "1:one\n2:two\n1:three\n");
}

static void logs_go_on_behind_the_last_line(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_log struct log first = {.stop_at = 3}, rest = {0}, tail = {0};
    rig_create(rig, NULL, "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.01; done", id);
    rig_start(rig, id);
    rig_expect(rig, 0, id, "die");
    follow(rig, id, false, 0, 100, &first);
    until_true(rig, has_stopped, &first, 60, "three lines");
    rig_spin(rig, 100);
    assert_int_equal(first.lines, 3);
    follow(rig, id, false, first.last_ns, 0, &rest);
    until_flag(rig, &rest.ended, 60, "end of the log");
    assert_string_equal(text_str(&rest.text), "1:line 4\n1:line 5\n1:line 6\n");
    follow(rig, id, false, 0, 2, &tail);
    until_flag(rig, &tail.ended, 60, "end of the log");
    assert_string_equal(text_str(&tail.text), "1:line 5\n1:line 6\n");
}

static void a_long_line_of_the_log_comes_in_pieces(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_log struct log log = {0};
    rig_create(rig, NULL, "head -c 40000 /dev/zero | tr '\\0' x; echo; echo end", id);
    rig_start(rig, id);
    rig_expect(rig, 0, id, "die");
    follow(rig, id, false, 0, 100, &log);
    until_flag(rig, &log.ended, 60, "end of the log");
    assert_string_equal(text_str(&log.text), "1:16384 bytes\n1:16384 bytes\n1:7232 bytes\n1:end\n");
}

static void logs_of_a_terminal_are_lines_too(void **state) {
    struct rig *rig = *state;
    auto_got struct got g = {0};
    auto_log struct log log = {0};
    auto_json json_t *body = json_pack("{s:s, s:[s,s,s], s:b, s:{s:s}}", "Image",
                                       "ochopod/busybox:1", "Cmd", "sh", "-c",
                                       "echo one; echo two >&2", "Tty", 1, "Labels", "test", "rig");
    docker_create(rig->docker, NULL, body, on_id, &g);
    until(rig, &g, 60);
    rig_start(rig, g.id);
    rig_expect(rig, 0, g.id, "die");
    follow(rig, g.id, true, 0, 100, &log);
    until_flag(rig, &log.ended, 60, "end of the log");
    assert_kind(&log, ERR_NONE);
    assert_string_equal(text_str(&log.text), "1:one\n1:two\n");
}

static void logs_of_nobody_end_with_absent(void **state) {
    struct rig *rig = *state;
    auto_log struct log log = {0}, bad = {0};
    follow(rig, "nobody-of-that-name", false, 0, 10, &log);
    until_flag(rig, &log.ended, 30, "end of the log");
    assert_kind(&log, ERR_ABSENT);
    follow(rig, "../bad", false, 0, 10, &bad);
    until_flag(rig, &bad.ended, 30, "end of the log");
    assert_kind(&bad, ERR_USER);
}

// ---- archive ----

static void files_arrive_with_owner_and_mode(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got put = {0}, seen = {0}, there = {0}, missing = {0}, nowhere = {0};
    const struct docker_file files[] = {
        {.path = "a.cfg", .data = "hello\n", .len = 6, .mode = 0640, .uid = 1000, .gid = 1001},
        {.path = "sub dir/b", .data = "", .len = 0, .mode = 0755},
    };
    rig_create(rig, NULL, "sleep 1000", id);
    docker_archive_put(rig->docker, id, "/bin", files, 2, on_done, &put); // before the first start
    until(rig, &put, 60);
    assert_kind(&put, ERR_NONE);
    rig_start(rig, id);
    exec_in(rig, id,
            (struct docker_exec){.argv = ARGV("sh", "-c",
                                              "cd /bin && cat a.cfg && stat -c '%n %a %u %g' a.cfg "
                                              "'sub dir/b'")},
            &seen);
    assert_string_equal(seen.out, "hello\na.cfg 640 1000 1001\nsub dir/b 755 0 0\n");
    docker_path_stat(rig->docker, id, "/bin/sub dir/b", on_stat, &there);
    docker_path_stat(rig->docker, id, "/bin/none", on_stat, &missing);
    docker_archive_put(rig->docker, id, "/no/such/dir", files, 1, on_done, &nowhere);
    until(rig, &there, 30);
    until(rig, &missing, 30);
    until(rig, &nowhere, 30);
    assert_kind(&there, ERR_NONE);
    assert_true(there.flag);
    assert_kind(&missing, ERR_NONE);
    assert_false(missing.flag);
    assert_kind(&nowhere, ERR_ABSENT);
}

static void a_file_outside_its_directory_is_not_sent(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0};
    const struct docker_file file = {.path = "../etc/passwd", .data = "", .mode = 0644};
    rig_create(rig, NULL, "exit 0", id);
    docker_archive_put(rig->docker, id, "/bin", &file, 1, on_done, &g);
    assert_false(g.done);
    until(rig, &g, 30);
    assert_kind(&g, ERR_USER);
}

// ---- images ----

static void an_image_tells_what_it_declares(void **state) {
    struct rig *rig = *state;
    auto_got struct got g = {0}, absent = {0}, bad = {0};
    docker_image_inspect(rig->docker, "ochopod/busybox:1", on_image, &g);
    docker_image_inspect(rig->docker, "ochopod/nothing", on_image, &absent);
    docker_image_inspect(rig->docker, "../containers/x", on_image, &bad);
    until(rig, &g, 30);
    until(rig, &absent, 30);
    until(rig, &bad, 30);
    assert_kind(&g, ERR_NONE);
    assert_int_equal(strncmp(g.image->id, "sha256:", 7), 0);
    assert_kind(&absent, ERR_ABSENT);
    assert_kind(&bad, ERR_USER);
}

static void a_pull_without_a_registry_fails_and_says_so(void **state) {
    struct rig *rig = *state;
    auto_got struct got g = {0}, bad = {0};
    docker_pull(rig->docker, "127.0.0.1:1/nothing:1", NULL, on_done, &g);
    docker_pull(rig->docker, "Not An Image", NULL, on_done, &bad);
    until(rig, &g, 90);
    until(rig, &bad, 30);
    assert_kind(&g, ERR_RETRY);
    assert_non_null(strstr(g.err.text, "127.0.0.1:1"));
    assert_kind(&bad, ERR_USER);
}

// In the engine's own network namespace.
static pid_t registry_start(void) {
    int out[2];
    char ready[16] = "";
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a failed test leaves nothing behind
        dup2(out[1], 1);
        execl(SOURCE_DIR "/tests/lib/engine", "engine", "run", getenv("ENGINE_DIR"),
              "/usr/bin/python3", SOURCE_DIR "/tests/integration/docker/registry", "5000", NULL);
        _exit(127);
    }
    close(out[1]);
    assert_true(read(out[0], ready, sizeof ready - 1) > 0);
    close(out[0]);
    assert_int_equal(strncmp(ready, "ready", 5), 0);
    return pid;
}

static void registry_stop(pid_t pid) {
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

struct pulled {
    struct got got;
    int last, steps;
};

static void on_progress(int percent, void *arg) {
    struct pulled *p = arg;
    assert_true(percent > p->last && percent <= 100);
    p->last = percent;
    p->steps++;
}

static void a_pull_tells_how_far_it_is(void **state) {
    struct rig *rig = *state;
    struct pulled pulled = {0};
    auto_got struct got image = {0}, broken = {0}, absent = {0}, never = {0};
    pid_t registry = registry_start();
    docker_pull(rig->docker, "127.0.0.1:5000/thing:1", on_progress, on_done, &pulled);
    until(rig, &pulled.got, 90);
    assert_kind(&pulled.got, ERR_NONE);
    assert_true(pulled.steps > 3);
    assert_int_equal(pulled.last, 100);
    docker_image_inspect(rig->docker, "127.0.0.1:5000/thing:1", on_image, &image);
    docker_pull(rig->docker, "127.0.0.1:5000/broken:1", NULL, on_done, &broken);
    docker_pull(rig->docker, "127.0.0.1:5000/thing:2", NULL, on_done, &absent);
    struct docker_call *call = docker_pull(rig->docker, "127.0.0.1:5000/broken:1", NULL, on_done,
                                           &never);
    rig_spin(rig, 20);
    bool cancelled = !never.done; // else it was quick, and the handle is gone
    if (cancelled)
        docker_cancel(&call);
    until(rig, &image, 30);
    until(rig, &broken, 90);
    until(rig, &absent, 90);
    registry_stop(registry);
    assert_string_equal(image.image->volumes[0], "/data");
    assert_string_equal(image.image->cmd[0], "/none");
    assert_kind(&broken, ERR_RETRY);
    assert_non_null(strstr(broken.err.text, "unknown blob"));
    assert_kind(&absent, ERR_ABSENT);
    assert_int_equal(never.done, !cancelled);
}

// ---- volumes ----

static void volumes_come_are_listed_and_go(void **state) {
    struct rig *rig = *state;
    auto_got struct got made = {0}, listed = {0}, none = {0}, used = {0}, removed = {0},
                        again = {0}, created = {0};
    auto_json json_t *labels = json_pack("{s:s}", "test", "rig-volume");
    auto_json json_t *mine = json_pack("{s:[s]}", "label", "test=rig-volume");
    auto_json json_t *others = json_pack("{s:[s]}", "label", "test=nobody");
    docker_volume_create(rig->docker, "rig-volume", labels, on_done, &made);
    until(rig, &made, 30);
    assert_kind(&made, ERR_NONE);
    docker_volume_list(rig->docker, mine, on_json, &listed);
    docker_volume_list(rig->docker, others, on_json, &none);
    until(rig, &listed, 30);
    until(rig, &none, 30);
    assert_int_equal(json_array_size(listed.json), 1);
    assert_string_equal(json_text(json_array_get(listed.json, 0), "Name"), "rig-volume");
    assert_true(json_is_array(none.json));
    assert_int_equal(json_array_size(none.json), 0);

    auto_json json_t *body = json_pack(
        "{s:s, s:{s:s}, s:{s:[{s:s, s:s, s:s}]}}", "Image", "ochopod/busybox:1", "Labels", "test",
        "rig", "HostConfig", "Mounts", "Type", "volume", "Source", "rig-volume", "Target", "/data");
    docker_create(rig->docker, NULL, body, on_id, &created);
    until(rig, &created, 60);
    struct docker_container *c = rig_inspect(rig, created.id);
    assert_int_equal(c->mounts_len, 1);
    assert_string_equal(c->mounts[0].name, "rig-volume");
    assert_string_equal(c->mounts[0].destination, "/data");
    assert_true(c->mounts[0].rw);
    docker_container_free(c);
    docker_volume_remove(rig->docker, "rig-volume", on_done, &used);
    until(rig, &used, 30);
    assert_kind(&used, ERR_EXISTS);
    rig_remove(rig, created.id);
    docker_volume_remove(rig->docker, "rig-volume", on_done, &removed);
    until(rig, &removed, 30);
    assert_kind(&removed, ERR_NONE);
    docker_volume_remove(rig->docker, "rig-volume", on_done, &again);
    until(rig, &again, 30);
    assert_kind(&again, ERR_NONE);
}

#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, rig_up, rig_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        rig_test(exec_tells_output_and_exit_code),
        rig_test(exec_takes_environment_user_and_directory),
        rig_test(exec_hands_over_stdin_and_closes_it),
        rig_test(exec_output_is_capped_stream_by_stream),
        rig_test(exec_of_what_is_not_there_is_an_exit_code),
        rig_test(exec_is_given_up_after_its_time),
        rig_test(exec_needs_a_running_container),
        rig_test(many_execs_run_side_by_side),
        rig_test(a_cancelled_exec_never_reports),
        rig_test(logs_follow_both_streams_until_the_end),
        rig_test(logs_go_on_behind_the_last_line),
        rig_test(a_long_line_of_the_log_comes_in_pieces),
        rig_test(logs_of_a_terminal_are_lines_too),
        rig_test(logs_of_nobody_end_with_absent),
        rig_test(files_arrive_with_owner_and_mode),
        rig_test(a_file_outside_its_directory_is_not_sent),
        rig_test(an_image_tells_what_it_declares),
        rig_test(a_pull_without_a_registry_fails_and_says_so),
        rig_test(a_pull_tells_how_far_it_is),
        rig_test(volumes_come_are_listed_and_go),
    };
    return cmocka_run_group_tests_name("docker-api streams", tests, NULL, NULL);
}
