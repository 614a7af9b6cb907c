// A PID namespace of our own with the real holder as its process 1: needs root, as the whole of
// tests/run does.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/own.h"
#include "sidecar/holder.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { DEADLINE_MS = 60000 };

static const char id[] = "0f0e0d0c-0b0a-4908-8706-050403020100";
static char name[64];

static int bind_name(const char *suffix) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, "%s%s", name, suffix);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)),
                     0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static bool holder_listens(void) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, "%s.holder", name);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&sa,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0;
}

static int become_holder(char *tether) {
    char *argv[] = {(char *)"ochopod-holder", tether, NULL};
    execv(BUILD_DIR "/ochopod-holder", argv);
    return 127;
}

static pid_t spawn_holder(void) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("proc", "/proc", "proc", 0, NULL))
            _exit(99);
        _exit(become_holder(name));
    }
    return pid;
}

static pid_t spawn_process(char *env) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char sleep_[] = "sleep", seconds[] = "600";
        char *argv[] = {sleep_, seconds, NULL};
        char *envp[] = {env, NULL};
        execve("/bin/sleep", argv, envp);
        _exit(127);
    }
    return pid;
}

static bool ends(pid_t pid) {
    for (int i = 0; i < DEADLINE_MS / 10; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

// Runs in a child of its own, since unshare(CLONE_NEWPID) cannot be taken back.
static int scene(void) {
    snprintf(name, sizeof name, "ochopod-holder-test-%d", getpid());
    auto_fd int tether = bind_name("");
    if (unshare(CLONE_NEWPID))
        return 10;
    pid_t holder = spawn_holder();
    auto_fd int line = accept4(tether, NULL, NULL, SOCK_CLOEXEC);
    for (int i = 0; i < DEADLINE_MS / 10 && !holder_listens(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    char mine[] = "OCHOPOD_EXEC=0f0e0d0c-0b0a-4908-8706-050403020100";
    char theirs[] = "OCHOPOD_EXEC=ffffffff-0b0a-4908-8706-050403020100";
    pid_t marked = spawn_process(mine);
    pid_t other = spawn_process(theirs);
    // The environment is there only once execve has been done.
    for (int i = 0; i < DEADLINE_MS / 10; i++) {
        char path[64], comm[32] = "";
        snprintf(path, sizeof path, "/proc/%d/comm", marked);
        auto_file FILE *f = fopen(path, "re");
        if (f && fgets(comm, sizeof comm, f) && strncmp(comm, "sleep", 5) == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    holder_end_exec(name, id);
    if (!ends(marked))
        return 11;
    if (waitpid(other, NULL, WNOHANG) != 0)
        return 12; // only what carries the mark
    if (waitpid(holder, NULL, WNOHANG) != 0)
        return 13;
    close(tether);
    close(line);
    tether = line = -1;
    // The kernel ends the namespace with its first process, which is gone only when all of it have
    // been reaped.
    if (!ends(other))
        return 14;
    return ends(holder) ? 0 : 15;
}

static void a_marked_exec_ends_and_all_end_with_the_tether(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(2 * DEADLINE_MS / 1000);
        _exit(scene());
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void without_a_sidecar_it_does_not_stay(void **state) {
    (void)state;
    char nobody[] = "ochopod-nobody-is-there";
    pid_t pid = fork();
    if (pid == 0)
        _exit(become_holder(nobody));
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_marked_exec_ends_and_all_end_with_the_tether),
        cmocka_unit_test(without_a_sidecar_it_does_not_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
