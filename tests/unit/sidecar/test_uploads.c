#include "sidecar/uploads.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/sandbox.h"
#include "tests/unit/folder.h"
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char below[64];

// Mounts of our own.
static int begin(void **state) {
    (void)state;
    return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

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

// ---- what a command leaves in its folder ----

static char *in(const char *folder, const char *name) {
    return xasprintf("%s/%s", folder, name);
}

static void put(const char *folder, const char *name) {
    auto_free char *path = in(folder, name);
    auto_fd int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0400);
    assert_true(fd >= 0);
}

static char *make_folder(const char *folder, const char *name) {
    char *path = in(folder, name);
    assert_int_equal(mkdir(path, 0755), 0);
    return path;
}

static char *fresh(void) {
    struct err err = ERR_INIT;
    char *folder = write_two("a", "b", &err);
    if (!folder)
        fail_msg("%s", err.text);
    return folder;
}

// As tar unpacks it.
static void unpack(const char *folder) {
    auto_free char *top = make_folder(folder, "app"), *sub = make_folder(top, "sub"),
                   *deep = make_folder(sub, "deep"), *link = in(deep, "link"),
                   *pipe = in(deep, "pipe");
    free(make_folder(top, ".empty"));
    put(top, "a");
    put(sub, ".b");
    put(deep, "c");
    assert_int_equal(symlink("nowhere", link) | mkfifo(pipe, 0600) | chmod(sub, 0500), 0);
}

static void folders_that_a_command_made_go_too(void **state) {
    (void)state;
    char *folder = fresh();
    unpack(folder);
    uploads_remove(folder);
    assert_int_equal(folder_entries(below), 0);
    auto_free char *crashed = fresh();
    unpack(crashed);
    uploads_sweep(below);
    assert_int_equal(folder_entries(below), 0);
}

static void no_link_is_followed_out_of_it(void **state) {
    (void)state;
    char *folder = fresh();
    auto_free char *outside = make_folder(below, "outside"), *link = in(folder, "link"),
                   *canary = in(outside, "canary");
    put(outside, "canary");
    assert_int_equal(symlink(outside, link), 0);
    uploads_remove(folder);
    assert_int_equal(folder_entries(below), 1);
    assert_int_equal(unlink(canary) | rmdir(outside), 0);
}

// Of the same device, which its number would not tell.
static void what_is_mounted_in_it_stays(void **state) {
    (void)state;
    char *folder = fresh();
    auto_free char *outside = make_folder(below, "outside"), *canary = in(outside, "canary"),
                   *sub = make_folder(folder, "sub"), *inner = make_folder(sub, "inner"),
                   *name = xstrdup(folder);
    put(outside, "canary");
    assert_int_equal(mount(outside, inner, NULL, MS_BIND, NULL), 0);
    uploads_remove(folder);
    assert_int_equal(folder_entries(outside), 1);
    assert_int_equal(folder_entries(name), 1); // all but the way to it
    assert_int_equal(umount(inner), 0);
    uploads_sweep(below);
    assert_int_equal(unlink(canary) | rmdir(outside), 0);
}

enum { TOO_DEEP = 300 };

static void what_lies_too_deep_stays(void **state) {
    (void)state;
    char *folder = fresh();
    auto_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < TOO_DEEP; i++) {
        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    auto_free char *kept = xstrdup(folder), *remove = xasprintf("rm -r %s", folder);
    uploads_remove(folder);
    assert_int_equal(folder_entries(kept), 1);
    assert_int_equal(system(remove), 0); // NOLINT
}

// The runner removes it, for the worker, which has no files.
static void who_removes_it_may_do_all_that(void **state) {
    static const char *const everything[] = {"/", NULL};
    (void)state;
    char *folder = fresh();
    unpack(folder);
    pid_t pid = fork();
    if (pid == 0) {
        const char *const writes[] = {below, NULL};
        struct err err = ERR_INIT;
        if (sandbox_files(everything, writes, &err) < 0 || sandbox_filter(SANDBOX_RUNNER, &err))
            _exit(2);
        uploads_remove(folder);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(folder_entries(below), 0);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_names_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(none_is_an_empty_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_swept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_that_a_command_made_go_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_link_is_followed_out_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_mounted_in_it_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_lies_too_deep_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_removes_it_may_do_all_that, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
