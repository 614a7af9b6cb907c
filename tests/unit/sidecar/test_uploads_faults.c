// Each system call of writing uploads and of removing them fails in turn: all of them are there or
// it is said that they are not, and nothing stays.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/uploads.h"
#include "tests/unit/faulty.h"
#include "tests/unit/folder.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const int errors[] = {ENOSPC, EIO, EROFS, EMFILE, EACCES};

static const struct upload uploads[] = {{"a", "one", 3}, {"b", "two", 3}};
static char below[64];

static int make(void **unused) {
    (void)unused;
    strcpy(below, "/tmp/ocho-uploads-XXXXXX");
    return mkdtemp(below) ? 0 : -1;
}

static int drop(void **unused) {
    (void)unused;
    return rmdir(below);
}

static char *written(struct err *err) {
    return uploads_write(below, uploads, sizeof uploads / sizeof *uploads, err);
}

// One write with the n-th call failing; false: there is no n-th.
static bool write_with(size_t e, int n) {
    struct err err = ERR_INIT;
    fault_arm(n, errors[e]);
    char *folder = written(&err);
    fault_disarm();
    const char *call = fault.call ? fault.call : "nothing";
    if (folder && fault.call)
        fail_msg("%s as call %d: and it is said to be written", call, n);
    if (!folder && (err.kind != ERR_REFUSED || !strstr(err.text, strerror(errors[e]))))
        fail_msg("%s as call %d: kind %d: %s", call, n, err.kind, err.text);
    if (folder)
        assert_int_equal(folder_entries(folder), 2);
    uploads_remove(folder);
    assert_int_equal(folder_entries(below), 0);
    return fault.call;
}

static void a_write_that_fails_leaves_nothing(void **unused) {
    (void)unused;
    for
        EACH_ERROR(e) {
            int n = 1;
            while (write_with(e, n))
                n++;
            assert_true(n > 5); // the folder, two files and what they hold
        }
}

static void what_a_removal_leaves_is_swept(void **unused) {
    (void)unused;
    for
        EACH_ERROR(e) {
            bool more = true;
            for (int n = 1; more; n++) {
                struct err err = ERR_INIT;
                char *folder = written(&err);
                assert_non_null(folder);
                fault_arm(n, errors[e]);
                uploads_remove(folder);
                fault_disarm();
                more = fault.call;
                assert_true(more || folder_entries(below) == 0);
                uploads_sweep(below);
                assert_int_equal(folder_entries(below), 0);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_that_fails_leaves_nothing, make, drop),
        cmocka_unit_test_setup_teardown(what_a_removal_leaves_is_swept, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
