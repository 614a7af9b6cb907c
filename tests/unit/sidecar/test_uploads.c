#include "sidecar/uploads.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static char below[64];

static int set_up(void **state) {
    (void)state;
    strcpy(below, "/tmp/ochopod-uploads-XXXXXX");
    assert_non_null(mkdtemp(below));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    assert_int_equal(rmdir(below), 0); // nothing was left in it
    return 0;
}

static char *write_two(const char *a, const char *b, struct err *err) {
    const struct upload uploads[] = {{a, "one", 3}, {b, "two", 3}};
    return uploads_write(below, uploads, 2, err);
}

static void holds(const char *folder, const char *name, const char *wanted) {
    auto_free char *path = xasprintf("%s/%s", folder, name);
    char got[64] = "";
    auto_file FILE *f = fopen(path, "r");
    if (!f || !fgets(got, sizeof got, f))
        fail_msg("%s is not there", path);
    assert_string_equal(got, wanted);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void names_are_ours(void **state) {
    (void)state;
    static const char *const said[][2] = {
        {"web.yml", "web.yml"},      {"../../etc/passwd", "passwd"},
        {"/etc/shadow", "shadow"},   {"C:\\a\\b.yml", "b.yml"},
        {".profile", "_profile"},    {"-rf", "_rf"},
        {"a b;$(c)\n", "a_b___c__"}, {"..", "_."},
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        struct err err = ERR_INIT;
        char *folder = write_two(said[i][0], "other", &err);
        if (!folder)
            fail_msg("%s: %s", said[i][0], err.text);
        holds(folder, said[i][1], "one");
        holds(folder, "other", "two");
        uploads_remove(folder);
    }
}

static void bad_names_leave_nothing(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    assert_null(write_two("a", "b/", &err));
    assert_string_equal(err.text, "an uploaded file has no name");
    assert_null(write_two("a b", "x/a_b", &err));
    assert_string_equal(err.text, "two uploaded files are both called a_b");
    assert_int_equal(err.kind, ERR_USER);
}

static void none_is_an_empty_folder(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    char *folder = uploads_write(below, NULL, 0, &err),
         *other = uploads_write(below, NULL, 0, &err);
    assert_true(folder && other && strcmp(folder, other) != 0);
    uploads_remove(folder);
    uploads_remove(other);
    uploads_remove(NULL);
}

static void what_a_crash_left_is_swept(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_free char *folder = write_two("a", "b", &err);
    auto_free char *kept = xasprintf("%s/pod.json", below);
    auto_file FILE *f = fopen(kept, "w");
    assert_true(folder && f);
    uploads_sweep(below);
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(unlink(kept), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_names_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(none_is_an_empty_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_swept, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
