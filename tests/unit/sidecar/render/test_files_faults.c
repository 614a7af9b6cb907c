// Each system call of staging, swapping and recovering fails in turn: a reader never sees half a
// file, after recovering the set is of one round, and nothing of ours is left lying.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/render/files.h"
#include "tests/unit/faulty.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FILES = 3, BYTES = 20000 };
static const int errors[] = {ENOSPC, EIO, EROFS, EMFILE};

static char folder[64];
static char *volume, *state_dir;

static int make(void **unused) {
    (void)unused;
    strcpy(folder, "/tmp/ocho-files-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    volume = xasprintf("%s/volume", folder);
    state_dir = xasprintf("%s/state", folder);
    return mkdir(volume, 0755) || mkdir(state_dir, 0755);
}

static int drop(void **unused) {
    (void)unused;
    auto_free char *cmd = xasprintf("rm -rf %s", folder);
    free(volume);
    free(state_dir);
    return system(cmd); // NOLINT
}

static char *content_of(char round) {
    char *s = xcalloc(BYTES + 1, 1);
    memset(s, round, BYTES);
    return s;
}

static json_t *argument(void) {
    return json_pack("{s[s]ssss}", "roots", volume, "state_dir", state_dir, "pod", "7");
}

static json_t *stage(char round, struct err *err) {
    auto_json json_t *arg = argument();
    auto_free char *content = content_of(round);
    json_t *files = json_array();
    for (int i = 0; i < FILES; i++) {
        auto_free char *target = xasprintf("%s/d%d/f", volume, i);
        json_array_append_new(files, json_pack("{sssssisisi}", "target", target, "content", content,
                                               "mode", 0644, "uid", 0, "gid", 0));
    }
    json_object_set_new(arg, "files", files);
    return files_stage(arg, err);
}

static json_t *swap(const json_t *staged, struct err *err) {
    auto_json json_t *arg = argument();
    json_object_set(arg, "staged", json_object_get(staged, "staged"));
    return files_swap(arg, err);
}

static json_t *recover(struct err *err) {
    auto_json json_t *arg = argument();
    return files_recover(arg, err);
}

static void must_be(char round) {
    struct err err = ERR_INIT;
    auto_json json_t *staged = stage(round, &err);
    auto_json json_t *swapped = staged ? swap(staged, &err) : NULL;
    if (!swapped)
        fail_msg("%s", err.text);
}

// Whose round a file is; fails the test when it is nobody's.
static char round_of(int i, const char *what) {
    auto_free char *path = xasprintf("%s/d%d/f", volume, i);
    auto_file FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: %s is gone", what, path);
    auto_free char *got = xcalloc(BYTES + 2, 1);
    size_t len = fread(got, 1, BYTES + 1, f);
    auto_free char *wanted = content_of(*got);
    if (len != BYTES || strcmp(got, wanted) != 0)
        fail_msg("%s: %s is torn: %zu bytes", what, path, len);
    return *got;
}

static char round_of_all(const char *what) {
    char first = round_of(0, what);
    for (int i = 1; i < FILES; i++)
        if (round_of(i, what) != first)
            fail_msg("%s: of several rounds: %c and %c", what, first, round_of(i, what));
    return first;
}

static void nothing_is_left(const char *what) {
    for (int i = 0; i < FILES; i++) {
        auto_free char *path = xasprintf("%s/d%d", volume, i);
        DIR *dir = opendir(path);
        assert_non_null(dir);
        for (const struct dirent *it; (it = readdir(dir));)
            if (strncmp(it->d_name, ".ochopod", 8) == 0)
                fail_msg("%s: %s/%s is left", what, path, it->d_name);
        closedir(dir);
    }
}

static char *failing(size_t e) {
    return xasprintf("%s (%s) as call %d", fault.call ? fault.call : "nothing", strerror(errors[e]),
                     fault.at);
}

static void must_recover(const char *what) {
    struct err err = ERR_INIT;
    auto_json json_t *answer = recover(&err);
    if (!answer)
        fail_msg("%s: recovering: %s", what, err.text);
}

static bool stage_with(size_t e, int n) {
    struct err err = ERR_INIT;
    fault_arm(n, errors[e]);
    auto_json json_t *staged = stage('n', &err);
    fault_disarm();
    auto_free char *what = failing(e);
    assert_int_equal(round_of_all(what), 'o');
    if (!staged && (err.kind != ERR_REFUSED || !strstr(err.text, volume)))
        fail_msg("%s: kind %d: %s", what, err.kind, err.text);
    if (!staged && strcmp(fault.call, "unlinkat") != 0)
        nothing_is_left(what);
    return fault.call;
}

static void a_staging_that_fails_touches_nothing(void **unused) {
    (void)unused;
    must_be('o');
    for
        EACH_ERROR(e) {
            int n = 1;
            while (stage_with(e, n))
                n++;
            assert_true(n > 10);
        }
}

static bool swap_with(size_t e, int n) {
    struct err err = ERR_INIT;
    must_be('o');
    auto_json json_t *staged = stage('n', &err);
    assert_non_null(staged);
    fault_arm(n, errors[e]);
    auto_json json_t *swapped = swap(staged, &err);
    fault_disarm();
    auto_free char *what = failing(e);
    if (!swapped && (err.kind != ERR_REFUSED || !*err.text))
        fail_msg("%s: kind %d: %s", what, err.kind, err.text);
    for (int i = 0; i < FILES; i++)
        round_of(i, what);
    bool more = fault.call;
    must_recover(what); // before anything is started
    char now = round_of_all(what);
    if (swapped && now != 'n')
        fail_msg("%s: swapped, and it is not there", what);
    return more;
}

static void a_swap_that_fails_is_of_one_round_once_recovered(void **unused) {
    (void)unused;
    for
        EACH_ERROR(e) {
            int n = 1;
            while (swap_with(e, n))
                n++;
            assert_true(n > 10);
        }
}

// A swap that ended at its `at`-th call. True: that was a rename.
static bool break_off(int at) {
    struct err err = ERR_INIT;
    must_recover("before");
    must_be('o');
    auto_json json_t *staged = stage('n', &err);
    fault_arm(at, EIO);
    auto_json json_t *swapped = swap(staged, &err);
    fault_disarm();
    assert_null(swapped);
    return strcmp(fault.call, "renameat") == 0;
}

// Of the journal's rename and those of the files, the one of the second file: the first is new.
static int between_renames(void) {
    for (int at = 1, renames = 0;; at++)
        if (break_off(at) && ++renames == 3)
            return at;
}

// A crash between the renames, and then recovering itself fails once: it is said, or it is done.
static bool recover_with(size_t e, int n, int crash) {
    struct err err = ERR_INIT;
    assert_true(break_off(crash));
    assert_int_equal(round_of(0, "crash"), 'n');
    assert_int_equal(round_of(1, "crash"), 'o');
    fault_arm(n, errors[e]);
    auto_json json_t *answer = recover(&err);
    fault_disarm();
    auto_free char *what = failing(e);
    bool more = fault.call;
    if (!answer) {
        if (err.kind == ERR_NONE || !*err.text)
            fail_msg("%s: nothing is said", what);
        must_recover(what);
    }
    assert_int_equal(round_of_all(what), 'n');
    return more;
}

static void recovering_that_fails_is_said_and_can_be_repeated(void **unused) {
    (void)unused;
    int crash = between_renames();
    for
        EACH_ERROR(e) {
            int n = 1;
            while (recover_with(e, n, crash))
                n++;
            assert_true(n > 5);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_staging_that_fails_touches_nothing, make, drop),
        cmocka_unit_test_setup_teardown(a_swap_that_fails_is_of_one_round_once_recovered, make,
                                        drop),
        cmocka_unit_test_setup_teardown(recovering_that_fails_is_said_and_can_be_repeated, make,
                                        drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
