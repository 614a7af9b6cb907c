// What we pack is read back by the tar of the system.
#include "docker-api/archive.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct text packed(const struct docker_file *files, size_t n) {
    struct text tar = {0};
    struct err err = ERR_INIT;
    if (archive_pack(files, n, 1700000000, &tar, &err) < 0)
        fail_msg("%s", err.text);
    return tar;
}

// Output of `tar ARGS -f tar`.
static char *through_tar(const struct text *tar, const char *args) {
    char path[] = "/tmp/ocho-archive-XXXXXX", line[256];
    auto_text struct text command = {0}, out = {0};
    auto_fd int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, tar->s, tar->len), tar->len);
    text_addf(&command, "TZ=UTC tar %s -f %s 2>&1", args, path);
    FILE *pipe = popen(text_str(&command), "r"); // NOLINT: a test, with arguments of its own
    while (fgets(line, sizeof line, pipe))
        text_add(&out, line);
    int status = pclose(pipe);
    unlink(path);
    if (status)
        fail_msg("tar: %s", text_str(&out));
    return text_take(&out);
}

static void files_keep_owner_mode_and_contents(void **state) {
    (void)state;
    const struct docker_file files[] = {
        {.path = "zoo.cfg",
         .data = "tickTime=500\n",
         .len = 13,
         .mode = 0644,
         .uid = 1000,
         .gid = 7},
        {.path = "sub/empty", .data = "", .len = 0, .mode = 0600},
    };
    auto_text struct text tar = packed(files, 2);
    assert_int_equal(tar.len % 512, 0);
    auto_free char *list = through_tar(&tar, "--numeric-owner -tv");
    assert_non_null(strstr(list, "-rw-r--r-- 1000/7 "));
    assert_non_null(strstr(list, " 13 2023-11-14 22:13 zoo.cfg"));
    assert_non_null(strstr(list, "-rw------- 0/0 "));
    assert_non_null(strstr(list, " sub/empty"));
    auto_free char *contents = through_tar(&tar, "-xO zoo.cfg");
    assert_string_equal(contents, "tickTime=500\n");
}

static void a_file_of_whole_blocks_has_no_padding(void **state) {
    (void)state;
    char data[1024];
    memset(data, 'x', sizeof data);
    const struct docker_file file = {.path = "f", .data = data, .len = sizeof data, .mode = 0400};
    auto_text struct text tar = packed(&file, 1);
    assert_int_equal(tar.len, 512 + 1024 + 1024);
    auto_free char *list = through_tar(&tar, "-t");
    assert_string_equal(list, "f\n");
}

static void owners_beyond_octal_survive(void **state) {
    (void)state;
    const struct docker_file file = {
        .path = "f", .data = "", .len = 0, .mode = 0644, .uid = 4294967294U, .gid = 2097152};
    auto_text struct text tar = packed(&file, 1);
    auto_free char *list = through_tar(&tar, "--numeric-owner -tv");
    assert_non_null(strstr(list, "4294967294/2097152"));
}

static void long_paths_are_split_or_refused(void **state) {
    (void)state;
    auto_text struct text fits = {0}, too_long = {0};
    for (int i = 0; i < 15; i++)
        text_add(&fits, "directory/");
    text_add(&fits, "file");
    for (int i = 0; i < 30; i++)
        text_add(&too_long, "directory");
    struct docker_file file = {.path = text_str(&fits), .data = "", .len = 0, .mode = 0644};
    auto_text struct text tar = packed(&file, 1), none = {0};
    auto_free char *list = through_tar(&tar, "-t");
    assert_int_equal(strncmp(list, text_str(&fits), fits.len), 0);
    struct err err = ERR_INIT;
    file.path = text_str(&too_long);
    assert_int_equal(archive_pack(&file, 1, 0, &none, &err), -1);
    assert_int_equal(err.kind, ERR_USER);
}

static void a_path_that_leaves_its_directory_is_refused(void **state) {
    (void)state;
    static const char *const paths[] = {"",     "/etc/passwd", "..",  "../x", "a/../../x",
                                        "a/..", ".",           "./a", "a//b", "a/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct docker_file file = {.path = paths[i], .data = "", .mode = 0644};
        struct text tar = {0};
        struct err err = ERR_INIT;
        assert_int_equal(archive_pack(&file, 1, 0, &tar, &err), -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_null(tar.s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_keep_owner_mode_and_contents),
        cmocka_unit_test(a_file_of_whole_blocks_has_no_padding),
        cmocka_unit_test(owners_beyond_octal_survive),
        cmocka_unit_test(long_paths_are_split_or_refused),
        cmocka_unit_test(a_path_that_leaves_its_directory_is_refused),
    };
    return cmocka_run_group_tests_name("docker-api archive", tests, NULL, NULL);
}
