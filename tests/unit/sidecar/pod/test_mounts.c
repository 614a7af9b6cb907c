#include "sidecar/pod/mounts.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/pod/below.h"
#include "sidecar/sandbox.h"
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

// A folder that stands for our own file system: conf, data, run/engine.sock.
struct rig {
    char dir[64];
    char *conf, *data, *run, *socket;
    struct spec spec;
    struct spec_file file;
    char *listed[2];
    struct docker_mount mounts[3];
    struct docker_container self;
    struct mounts *chosen;
    struct text report;
    struct err err;
};

static char *below(struct rig *r, const char *name) {
    char *path = xasprintf("%s/%s", r->dir, name);
    return path;
}

// Mounts of our own.
static int begin(void **state) {
    (void)state;
    return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int make(void **state) {
    struct rig *r = test_calloc(1, sizeof *r);
    const char *tmp = getenv("TMPDIR"); // 50,000 files stay where a test ends before its time
    int n = snprintf(r->dir, sizeof r->dir, "%s/ocho-mounts-XXXXXX", tmp ? tmp : "/tmp");
    assert_in_range(n, 1, sizeof r->dir - 1);
    assert_non_null(mkdtemp(r->dir));
    r->conf = below(r, "conf");
    r->data = below(r, "data");
    r->run = below(r, "run");
    r->socket = below(r, "run/engine.sock");
    assert_int_equal(mkdir(r->conf, 0755) | mkdir(r->data, 0755) | mkdir(r->run, 0755), 0);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", r->socket);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    r->file.target = below(r, "conf/app.conf");
    r->spec.files = &r->file;
    r->spec.files_len = 1;
    r->spec.workload.volumes = r->listed;
    r->self.mounts = r->mounts;
    *state = r;
    return 0;
}

static int rm(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int drop(void **state) {
    struct rig *r = *state;
    mounts_free(r->chosen);
    text_done(&r->report);
    umount2(r->data, MNT_DETACH);
    umount2(r->conf, MNT_DETACH);
    free(r->conf);
    free(r->data);
    free(r->run);
    free(r->socket);
    free(r->file.target);
    nftw(r->dir, rm, 8, FTW_DEPTH | FTW_PHYS);
    test_free(r);
    return 0;
}

static void mount_at(struct rig *r, const char *type, const char *name, char *path) {
    r->mounts[r->self.mounts_len++] = (struct docker_mount){(char *)type, (char *)name, path, path,
                                                            true};
}

static int choose(struct rig *r) {
    return mounts_choose(&r->spec, &r->self, r->socket, &r->report, &r->chosen, &r->err);
}

static void volumes_that_hold_a_target_are_shared_and_no_others(void **state) {
    struct rig *r = *state;
    mount_at(r, "volume", "v1", r->conf);
    mount_at(r, "volume", "v2", r->data);
    mount_at(r, "bind", "", r->run);
    assert_int_equal(choose(r), 0);
    assert_string_equal(r->chosen->roots[0], r->conf);
    assert_null(r->chosen->roots[1]);
    assert_int_equal(json_array_size(r->chosen->api), 1);
    assert_string_equal(json_text(json_array_get(r->chosen->api, 0), "Source"), "v1");
    assert_true(mounts_cover(r->chosen, r->file.target));
    assert_false(mounts_cover(r->chosen, r->data));
}

static void a_bind_is_shared_only_when_listed(void **state) {
    struct rig *r = *state;
    mount_at(r, "bind", "", r->conf); // holds a target: not enough
    mount_at(r, "bind", "", r->data);
    r->listed[0] = r->data;
    assert_int_equal(choose(r), 0);
    assert_string_equal(r->chosen->roots[0], r->data);
    assert_null(r->chosen->roots[1]);
}

static void a_folder_with_the_engines_socket_is_refused(void **state) {
    struct rig *r = *state;
    mount_at(r, "bind", "", r->run);
    r->listed[0] = r->run;
    assert_int_equal(choose(r), -1);
    assert_int_equal(r->err.kind, ERR_USER);
    assert_non_null(strstr(r->err.text, "engine's socket"));
}

// By what it is, not by what it is called: a hard link has another name and the same inode.
static void the_socket_under_another_name_is_refused(void **state) {
    struct rig *r = *state;
    auto_free char *other = below(r, "data/innocent.txt");
    assert_int_equal(link(r->socket, other), 0);
    mount_at(r, "volume", "v2", r->data);
    r->listed[0] = r->data;
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->report.s, "engine's socket"));
}

enum { MANY = 50100 };

static void fill(const struct rig *r) {
    for (int i = 0; i < MANY; i++) {
        auto_free char *path = xasprintf("%s/%d", r->data, i);
        auto_fd int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
}

// Of one device with the socket, and not above it.
static void a_folder_of_any_size_is_shared(void **state) {
    struct rig *r = *state;
    fill(r);
    mount_at(r, "bind", "", r->data);
    r->listed[0] = r->data;
    assert_int_equal(choose(r), 0);
    assert_string_equal(r->chosen->roots[0], r->data);
}

// It could be any of them.
static void a_large_folder_is_refused_where_the_socket_has_another_name(void **state) {
    struct rig *r = *state;
    auto_free char *other = below(r, "run/second.sock");
    assert_int_equal(link(r->socket, other), 0);
    fill(r);
    mount_at(r, "bind", "", r->data);
    r->listed[0] = r->data;
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->err.text, "too large to be sure"));
}

static void another_file_system_holds_no_name_of_the_socket(void **state) {
    struct rig *r = *state;
    auto_free char *other = below(r, "run/second.sock");
    assert_int_equal(link(r->socket, other), 0);
    assert_int_equal(mount("none", r->data, "tmpfs", 0, NULL), 0);
    fill(r);
    mount_at(r, "bind", "", r->data);
    r->listed[0] = r->data;
    assert_int_equal(choose(r), 0);
}

static void a_folder_that_is_mounted_inside_and_shows_the_socket_is_refused(void **state) {
    struct rig *r = *state;
    auto_free char *inner = below(r, "data/a folder");
    assert_int_equal(mount("none", r->data, "tmpfs", 0, NULL), 0);
    assert_int_equal(mkdir(inner, 0755), 0);
    assert_int_equal(mount(r->run, inner, NULL, MS_BIND, NULL), 0);
    mount_at(r, "bind", "", r->data);
    r->listed[0] = r->data;
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->report.s, "engine's socket"));
}

// As Docker mounts it, which was started anew: its folder shows another socket of that name.
static void the_folder_of_a_socket_that_was_mounted_alone_is_refused(void **state) {
    struct rig *r = *state;
    assert_int_equal(mount("none", r->data, "tmpfs", 0, NULL), 0);
    auto_free char *alone = below(r, "data/engine.sock");
    close(open(alone, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(mount(r->socket, alone, NULL, MS_BIND, NULL), 0);
    assert_int_equal(unlink(r->socket), 0);
    free(r->socket);
    r->socket = xstrdup(alone);
    mount_at(r, "bind", "", r->run);
    r->listed[0] = r->run;
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->report.s, "engine's socket"));
}

static void worker_and_broker_are_told_under_their_filters(void **state) {
    static const enum sandbox filters[] = {SANDBOX_WORKER_START, SANDBOX_BROKER_START,
                                           SANDBOX_BROKER_TCP};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct err err = ERR_INIT;
            if (sandbox_memory(&err) || sandbox_filter(filters[i], &err))
                _exit(2);
            _exit(below_find(r->run, r->socket) == BELOW_YES ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void the_socket_itself_is_refused(void **state) {
    struct rig *r = *state;
    mount_at(r, "bind", "", r->socket);
    r->listed[0] = r->socket;
    assert_int_equal(choose(r), -1);
}

static void secrets_are_never_passed_on(void **state) {
    struct rig *r = *state;
    char secrets[] = "/run/secrets";
    mount_at(r, "bind", "", secrets);
    r->listed[0] = secrets;
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->err.text, "secrets"));
}

static void a_mount_inside_a_shared_one_is_refused(void **state) {
    struct rig *r = *state;
    auto_free char *inner = below(r, "conf/extra.cfg");
    mount_at(r, "volume", "v1", r->conf);
    mount_at(r, "bind", "", inner);
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->err.text, "inside the shared volume"));
}

static void what_is_listed_and_not_mounted_is_said(void **state) {
    struct rig *r = *state;
    char nowhere[] = "/nowhere";
    r->listed[0] = nowhere;
    assert_int_equal(choose(r), -1);
    assert_non_null(strstr(r->err.text, "nothing is mounted at /nowhere"));
}

static void a_longer_name_is_not_inside(void **state) {
    struct rig *r = *state;
    auto_free char *longer = below(r, "conf-more");
    mount_at(r, "volume", "v1", r->conf);
    mount_at(r, "volume", "v2", longer);
    assert_int_equal(choose(r), 0);
    assert_null(r->chosen->roots[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(volumes_that_hold_a_target_are_shared_and_no_others, make,
                                        drop),
        cmocka_unit_test_setup_teardown(a_bind_is_shared_only_when_listed, make, drop),
        cmocka_unit_test_setup_teardown(a_folder_with_the_engines_socket_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(the_socket_under_another_name_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(a_folder_of_any_size_is_shared, make, drop),
        cmocka_unit_test_setup_teardown(a_large_folder_is_refused_where_the_socket_has_another_name,
                                        make, drop),
        cmocka_unit_test_setup_teardown(another_file_system_holds_no_name_of_the_socket, make,
                                        drop),
        cmocka_unit_test_setup_teardown(
            a_folder_that_is_mounted_inside_and_shows_the_socket_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(the_folder_of_a_socket_that_was_mounted_alone_is_refused,
                                        make, drop),
        cmocka_unit_test_setup_teardown(worker_and_broker_are_told_under_their_filters, make, drop),
        cmocka_unit_test_setup_teardown(the_socket_itself_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(secrets_are_never_passed_on, make, drop),
        cmocka_unit_test_setup_teardown(a_mount_inside_a_shared_one_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(what_is_listed_and_not_mounted_is_said, make, drop),
        cmocka_unit_test_setup_teardown(a_longer_name_is_not_inside, make, drop),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
