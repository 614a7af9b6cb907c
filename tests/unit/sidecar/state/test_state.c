#include "sidecar/state/state.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];

static int make(void **unused) {
    (void)unused;
    strcpy(dir, "/tmp/ocho-state-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop(void **unused) {
    (void)unused;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(dir);
}

static struct state *reopened(struct state *old) {
    state_close(old);
    struct state *state = NULL;
    struct err err = ERR_INIT;
    if (state_open(dir, false, &state, &err))
        fail_msg("%s", err.text);
    return state;
}

static void a_new_directory_gets_a_pod_id_that_stays(void **unused) {
    (void)unused;
    struct state *state = reopened(NULL);
    assert_int_equal(strlen(state->pod_id), 36);
    assert_int_equal(state->seq, -1);
    auto_free char *id = xstrdup(state->pod_id);
    state = reopened(state);
    assert_string_equal(state->pod_id, id);
    state_close(state);
}

static bool is_off(bool begins_off) {
    struct state *state = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(state_open(dir, begins_off, &state, &err), 0);
    bool off = state->off;
    state_close(state);
    return off;
}

// Its first start may get no further than that.
static void a_new_pod_that_begins_off_stays_off(void **unused) {
    (void)unused;
    assert_true(is_off(true));
    assert_true(is_off(false));
    struct state *state = reopened(NULL);
    struct err err = ERR_INIT;
    state->off = false;
    assert_int_equal(state_save(state, &err), 0);
    state_close(state);
    assert_false(is_off(true)); // counts once
}

static enum err_kind asked_to_write(const struct state_duty *duty, const char *name,
                                    const char *data) {
    auto_text struct text request = {0}, answer = {0};
    struct err err = ERR_INIT;
    wire_add_str(&request, name);
    wire_add(&request, data, strlen(data));
    struct wire in = {.at = request.s, .end = request.s + request.len};
    state_write_duty(&in, &answer, duty);
    struct wire out = {.at = answer.s, .end = answer.s + answer.len};
    wire_get_err(&out, &err);
    return err.kind;
}

static void who_has_no_files_writes_no_journal_and_nothing_elsewhere(void **unused) {
    (void)unused;
    const struct state_duty duty = {dir, "ours"};
    assert_int_equal(asked_to_write(&duty, STATE_CLUSTER, "{}"), ERR_NONE);
    static const char *const names[] = {
        STATE_JOURNAL, STATE_JOURNAL ".new", "lock", "other.json", "../pod.json",
        ".pod.json",   "pod.json.new",       "",     NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(asked_to_write(&duty, names[i], "{}"), ERR_BUG);
}

// Whoever asks may have been taken over: under that id the next broker would own its containers.
static void another_pods_identity_is_not_written(void **unused) {
    (void)unused;
    const struct state_duty duty = {dir, "ours"};
    assert_int_equal(asked_to_write(&duty, "pod.json", "{\"pod_id\": \"ours\"}"), ERR_NONE);
    static const char *const bad[] = {"{\"pod_id\": \"theirs\"}", "{}", "[]", "", "no JSON",
                                      "{\"pod_id\": 1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(asked_to_write(&duty, "pod.json", bad[i]), ERR_BUG);
}

static void everything_saved_comes_back(void **unused) {
    (void)unused;
    struct state *state = reopened(NULL);
    struct err err = ERR_INIT;
    state_set(&state->tree, "t");
    state->seq = 7;
    state->epoch = 1LL << 40;
    state->round = 3;
    state->off = state->dead = state->started = state->joined = state->initialized = true;
    state->generation = 9;
    state_set(&state->hash, "h");
    state_set(&state->container, "c");
    state_set(&state->started_at, "s");
    state_set(&state->owner, "o");
    state->applied = json_pack("{s:s}", "a", "b");
    assert_int_equal(state_save(state, &err), 0);
    state = reopened(state);
    assert_string_equal(state->tree, "t");
    assert_int_equal(state->seq, 7);
    assert_int_equal(state->epoch, 1LL << 40);
    assert_int_equal(state->round, 3);
    assert_true(state->off && state->dead && state->started && state->joined && state->initialized);
    assert_int_equal(state->generation, 9);
    assert_string_equal(state->hash, "h");
    assert_string_equal(state->container, "c");
    assert_string_equal(state->started_at, "s");
    assert_string_equal(state->owner, "o");
    assert_string_equal(json_text(state->applied, "a"), "b");
    state_close(state);
}

static void a_second_sidecar_is_refused(void **unused) {
    (void)unused;
    struct state *first = reopened(NULL), *second = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(state_open(dir, false, &second, &err), -1);
    assert_int_equal(err.kind, ERR_EXISTS);
    state_close(first);
}

// It was killed, and its children are about to be.
static void a_predecessor_that_is_about_to_end_is_waited_for(void **unused) {
    (void)unused;
    struct state *first = reopened(NULL), *second = NULL;
    struct err err = ERR_INIT;
    pid_t child = fork();
    if (child == 0) {
        usleep(200 * 1000);
        _exit(0);
    }
    assert_true(child > 0);
    state_close(first); // the child holds its lock on
    assert_int_equal(state_open(dir, false, &second, &err), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    state_close(second);
}

static char *slurp(size_t *len) {
    auto_free char *path = xasprintf("%s/pod.json", dir);
    auto_file FILE *f = fopen(path, "re");
    char *data = xcalloc(1, 65536);
    *len = f ? fread(data, 1, 65535, f) : 0;
    return data;
}

static void write_over(const char *data, size_t len) {
    auto_free char *path = xasprintf("%s/pod.json", dir);
    auto_file FILE *f = fopen(path, "we");
    assert_int_equal(fwrite(data, 1, len, f), len);
}

// A crash of the file system may leave any prefix.
static void a_file_cut_at_any_length_makes_a_new_pod(void **unused) {
    (void)unused;
    struct state *state = reopened(NULL);
    auto_free char *id = xstrdup(state->pod_id);
    state_close(state);
    size_t len;
    auto_free char *whole = slurp(&len);
    for (size_t cut = 0; cut < len; cut++) {
        write_over(whole, cut);
        state = reopened(NULL);
        assert_string_not_equal(state->pod_id, id);
        state_close(state);
        auto_free char *aside = xasprintf("%s/pod.json.broken", dir);
        assert_int_equal(unlink(aside), 0);
    }
}

static void values_of_the_wrong_type_are_refused_whole(void **unused) {
    (void)unused;
    static const char *const bad[] = {
        "[]",
        "{\"pod_id\":5}",
        "{\"pod_id\":\"../../etc/passwd-aaaa-bbbb-cccccccc\"}",
        "{\"pod_id\":\"00000000-0000-4000-8000-000000000000\",\"epoch\":-1}",
        "{\"pod_id\":\"00000000-0000-4000-8000-000000000000\",\"dead\":\"yes\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_over(bad[i], strlen(bad[i]));
        struct state *state = reopened(NULL);
        assert_false(text_starts(state->pod_id, "00000000-"));
        assert_false(state->dead);
        state_close(state);
    }
    auto_free char *aside = xasprintf("%s/pod.json.broken", dir);
    assert_int_equal(unlink(aside), 0);
}

static void a_directory_that_cannot_be_made_says_so(void **unused) {
    (void)unused;
    struct state *state = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(state_open("/proc/nowhere/state", false, &state, &err), -1);
    assert_int_equal(err.kind, ERR_USER);
    assert_non_null(strstr(err.text, "/proc/nowhere/state"));
}

static void a_control_port_of_another_number_is_noted_and_forgotten(void **unused) {
    (void)unused;
    assert_int_equal(state_control(dir, 8080), 8080);
    state_note_control(dir, 8080, 31005);
    assert_int_equal(state_control(dir, 8080), 31005);
    assert_int_equal(state_control(dir, 9090), 9090); // another spec since
    state_note_control(dir, 8080, 8080);
    assert_int_equal(state_control(dir, 8080), 8080);
    assert_int_equal(state_control("/nowhere", 8080), 8080);
}

// What is written breaks off after any number of bytes, as on a disk that is full: what was there
// stays, and the next write that finds room replaces it.
static void a_write_that_breaks_off_anywhere_leaves_what_was_there(void **unused) {
    (void)unused;
    struct state *state = reopened(NULL);
    struct err err = ERR_INIT;
    state->epoch = 100;
    assert_int_equal(state_save(state, &err), 0);
    struct rlimit before, little;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    int failed = 0;
    for (rlim_t n = 0; n < 4096; n++) {
        state->epoch = 200;
        little = (struct rlimit){.rlim_cur = n, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
        int rc = state_save(state, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (rc == 0)
            break;
        failed++;
        assert_int_equal(err.kind, ERR_REFUSED);
        state = reopened(state);
        assert_int_equal(state->epoch, 100);
    }
    assert_true(failed > 200);
    state = reopened(state);
    assert_int_equal(state->epoch, 200);
    state_close(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_directory_gets_a_pod_id_that_stays, make, drop),
        cmocka_unit_test_setup_teardown(a_new_pod_that_begins_off_stays_off, make, drop),
        cmocka_unit_test_setup_teardown(a_control_port_of_another_number_is_noted_and_forgotten,
                                        make, drop),
        cmocka_unit_test_setup_teardown(everything_saved_comes_back, make, drop),
        cmocka_unit_test_setup_teardown(who_has_no_files_writes_no_journal_and_nothing_elsewhere,
                                        make, drop),
        cmocka_unit_test_setup_teardown(a_second_sidecar_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(a_predecessor_that_is_about_to_end_is_waited_for, make,
                                        drop),
        cmocka_unit_test_setup_teardown(a_file_cut_at_any_length_makes_a_new_pod, make, drop),
        cmocka_unit_test_setup_teardown(values_of_the_wrong_type_are_refused_whole, make, drop),
        cmocka_unit_test_setup_teardown(a_write_that_breaks_off_anywhere_leaves_what_was_there,
                                        make, drop),
        cmocka_unit_test(a_directory_that_cannot_be_made_says_so),
        cmocka_unit_test_setup_teardown(another_pods_identity_is_not_written, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
