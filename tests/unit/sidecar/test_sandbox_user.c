// Each case runs in a child: there is no way back to root. Files lie below /tmp, where another user
// can look.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "sidecar/sandbox.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUP = 4321 };

static char folder[32], path[64];

static int in_child(int (*fn)(void)) {
    pid_t pid = fork();
    int status;
    if (pid == 0)
        _exit(fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int with_socket(void **state) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)state;
    strcpy(folder, "/tmp/ochopod-user.XXXXXX");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!mkdtemp(folder) || chmod(folder, 0755))
        return -1;
    snprintf(path, sizeof path, "%s/socket", folder);
    strcpy(sa.sun_path, path);
    return bind(fd, (const struct sockaddr *)&sa, sizeof sa) || listen(fd, 8) ? -1 : 0;
}

static int without_socket(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

// ---- the rule ----

static bool lets_in(mode_t mode) {
    const struct stat st = {.st_mode = mode, .st_gid = GROUP};
    gid_t group = 0;
    bool in = sandbox_user_group(&st, &group);
    assert_int_equal(group, in ? GROUP : 0);
    return in;
}

static void the_group_must_read_and_write(void **state) {
    (void)state;
    assert_true(lets_in(S_IFSOCK | 0660));
    assert_true(lets_in(S_IFSOCK | 0666));
    assert_true(lets_in(S_IFSOCK | 0060));
    assert_false(lets_in(S_IFSOCK | 0600));
    assert_false(lets_in(S_IFSOCK | 0640));
    assert_false(lets_in(S_IFSOCK | 0620));
    assert_false(lets_in(S_IFSOCK | 0606));
    assert_false(lets_in(S_IFREG | 0660));
}

// ---- the choice, as root ----

static struct sandbox_user choose(void) {
    struct sandbox_user user;
    sandbox_user_choose(&user);
    assert_true(user.leaves);
    return user;
}

static void assert_stays(mode_t mode, const char *why) {
    struct sandbox_user user = choose();
    assert_int_equal(chown(path, 0, GROUP), 0);
    assert_int_equal(chmod(path, mode), 0);
    sandbox_user_connects(&user, path);
    assert_false(user.leaves);
    assert_non_null(strstr(user.why, why));
}

static void a_socket_that_its_group_may_use_is_left_to_the_group(void **state) {
    (void)state;
    assert_int_equal(geteuid(), 0); // or there is nothing to leave
    struct sandbox_user user = choose();
    assert_int_equal(user.group, SANDBOX_USER);
    assert_int_equal(chown(path, 0, GROUP), 0);
    assert_int_equal(chmod(path, 0660), 0);
    sandbox_user_connects(&user, path);
    assert_true(user.leaves);
    assert_int_equal(user.group, GROUP);
}

static void any_other_socket_needs_root(void **state) {
    (void)state;
    assert_stays(0600, "may not read and write it (mode 0600)");
    assert_stays(0640, "(mode 0640)");
    assert_int_equal(chmod(folder, 0700), 0); // allowed, and yet there is no way to it
    assert_stays(0660, "has no way to /tmp/ochopod-user.");
    assert_int_equal(chmod(folder, 0755), 0);
    struct sandbox_user user = choose();
    sandbox_user_connects(&user, "/tmp/ochopod-no-such-socket");
    assert_false(user.leaves);
    assert_non_null(strstr(user.why, "is not there yet"));
}

static void what_is_read_must_stay_readable(void **state) {
    (void)state;
    const char *const names[] = {path, "/tmp/ochopod-no-such-file", NULL};
    struct sandbox_user user = choose();
    assert_int_equal(chmod(path, 0644), 0);
    sandbox_user_reads(&user, names);
    assert_true(user.leaves);
    assert_int_equal(chmod(path, 0600), 0);
    sandbox_user_reads(&user, names);
    assert_false(user.leaves);
    assert_non_null(strstr(user.why, path));
}

// ---- where it cannot be done ----

static int stays_because(const char *why) {
    struct sandbox_user user;
    struct err err = ERR_INIT;
    sandbox_user_choose(&user);
    if (user.leaves || !strstr(user.why, why)) {
        fprintf(stderr, "%d %s\n", user.leaves, user.why);
        return 1;
    }
    uid_t before = geteuid();
    return sandbox_become(&user, &err) || geteuid() != before ? 2 : 0;
}

static int as_another_user(void) {
    if (setgroups(0, NULL) || setgid(7) || setuid(7))
        return 9;
    return stays_because("has user 7 already");
}

static int without(unsigned cap) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data))
        return 9;
    data[0].effective &= ~(1U << cap);
    data[0].permitted &= ~(1U << cap);
    if (syscall(SYS_capset, &head, data))
        return 9;
    return stays_because("lacks one of the capabilities KILL, SETGID and SETUID");
}

static int without_setuid(void) {
    return without(CAP_SETUID);
}

static int without_setgid(void) {
    return without(CAP_SETGID);
}

static int without_kill(void) {
    return without(CAP_KILL);
}

static int with_few_tasks(void) {
    const struct rlimit few = {64, 64};
    return setrlimit(RLIMIT_NPROC, &few) ? 9 : stays_because("limit of tasks");
}

#ifndef __SANITIZE_THREAD__ // which has a thread of its own, so that the kernel refuses
// A user namespace of root alone: there are no other users.
static int where_there_is_root_alone(void) {
    if (unshare(CLONE_NEWUSER))
        return 9;
    FILE *map = fopen("/proc/self/uid_map", "we");
    if (!map || fprintf(map, "0 0 1") < 0 || fclose(map))
        return 8;
    return stays_because("cannot have user 65525");
}
#endif

static void where_it_cannot_be_done_it_stays_and_says_why(void **state) {
    (void)state;
    assert_int_equal(in_child(as_another_user), 0);
    assert_int_equal(in_child(without_setuid), 0);
    assert_int_equal(in_child(without_setgid), 0);
    assert_int_equal(in_child(without_kill), 0);
    assert_int_equal(in_child(with_few_tasks), 0);
#ifndef __SANITIZE_THREAD__
    assert_int_equal(in_child(where_there_is_root_alone), 0);
#endif
}

// ---- the change ----

static pthread_barrier_t changed;
static const char *wrong; // of the thread

// Of this thread, as the kernel shows it.
static const char *what_is_wrong(void) {
    static const char *const wanted[] = {"Uid:\t65525\t65525\t65525\t65525\n",
                                         "Gid:\t4321\t4321\t4321\t4321\n",
                                         "Groups:\t \n",
                                         "CapInh:\t0000000000000000\n",
                                         "CapPrm:\t0000000000000000\n",
                                         "CapEff:\t0000000000000000\n",
                                         "CapBnd:\t0000000000000000\n",
                                         "CapAmb:\t0000000000000000\n",
                                         "NoNewPrivs:\t1\n"};
    static __thread char status[8192];
    FILE *f = fopen("/proc/thread-self/status", "re");
    if (!f)
        return "no status";
    status[fread(status, 1, sizeof status - 1, f)] = '\0';
    fclose(f);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(status, wanted[i]))
            return wanted[i];
    if (!syscall(SYS_setresuid, 0, 0, 0) || !syscall(SYS_setgroups, 1, &(gid_t){0}))
        return "a way back";
    return NULL;
}

static void *in_thread(void *arg) {
    pthread_barrier_wait(&changed);
    pthread_barrier_wait(&changed);
    wrong = what_is_wrong();
    return arg;
}

// As the worker does it: in its first filter, with threads.
static int becomes_another_in_all_threads(void) {
    struct sandbox_user user = {.leaves = true, .group = GROUP};
    struct err err = ERR_INIT;
    pthread_t thread;
    int at_death = 0;
    if (setgroups(2, (const gid_t[]){0, 7}) || prctl(PR_SET_PDEATHSIG, SIGKILL) ||
        sandbox_drop_until(&user, &err) || sandbox_filter(SANDBOX_WORKER_START, &err))
        return 9;
    pthread_barrier_init(&changed, NULL, 2);
    if (pthread_create(&thread, NULL, in_thread, NULL))
        return 8;
    pthread_barrier_wait(&changed);
    if (sandbox_become(&user, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 7;
    }
    pthread_barrier_wait(&changed);
    pthread_join(thread, NULL);
    const char *here = what_is_wrong();
    if (wrong || here) {
        fprintf(stderr, "thread: %s, main: %s\n", wrong ? wrong : "", here ? here : "");
        return 1;
    }
    if (prctl(PR_GET_PDEATHSIG, &at_death) || at_death != SIGKILL || prctl(PR_GET_DUMPABLE) != 0)
        return 2;
    return 0;
}

static void all_threads_become_another_for_good(void **state) {
    (void)state;
    assert_int_equal(in_child(becomes_another_in_all_threads), 0);
}

static int to_whom_else(void) {
    struct sandbox_user user = {.leaves = true, .group = GROUP};
    struct err err = ERR_INIT;
    if (sandbox_drop_until(&user, &err) || sandbox_filter(SANDBOX_BROKER_START, &err))
        return 9;
    static const uid_t users[] = {0, 1, 1000, 65534};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        if (!syscall(SYS_setresuid, users[i], users[i], users[i]) || errno != EPERM)
            return 1;
    if (!syscall(SYS_setresuid, SANDBOX_USER, SANDBOX_USER, 0) || errno != EPERM)
        return 2;
    if (!syscall(SYS_setuid, SANDBOX_USER) || errno != EPERM)
        return 3;
    return !syscall(SYS_setgroups, 1, &(gid_t){GROUP}) || errno != EPERM ? 4 : 0;
}

static void before_it_no_other_user_can_be_had(void **state) {
    (void)state;
    assert_int_equal(in_child(to_whom_else), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_group_must_read_and_write),
        cmocka_unit_test_setup_teardown(a_socket_that_its_group_may_use_is_left_to_the_group,
                                        with_socket, without_socket),
        cmocka_unit_test_setup_teardown(any_other_socket_needs_root, with_socket, without_socket),
        cmocka_unit_test_setup_teardown(what_is_read_must_stay_readable, with_socket,
                                        without_socket),
        cmocka_unit_test(where_it_cannot_be_done_it_stays_and_says_why),
        cmocka_unit_test(all_threads_become_another_for_good),
        cmocka_unit_test(before_it_no_other_user_can_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
