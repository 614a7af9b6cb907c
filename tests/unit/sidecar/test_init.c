// init runs in a child of this program, with workers that are functions here; what they saw comes
// back in shared memory.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/own.h"
#include "sidecar/init.h"
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { DEADLINE_MS = 20000 };

struct shared {
    atomic_int runs, ready, tether_fd;
    char name[64];
};
static struct shared *shared;

static void reset(void) {
    memset(shared, 0, sizeof *shared);
    snprintf(shared->name, sizeof shared->name, "ochopod-test-%d", getpid());
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static int until_at_least(atomic_int *what, int n) {
    for (int i = 0; i < DEADLINE_MS / 2; i++, nap())
        if (atomic_load(what) >= n)
            return 1;
    return 0;
}

static pid_t begin(int (*worker)(int, void *)) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(init_run(worker, NULL));
    return pid;
}

static int finish(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int ends_with_2(int fd, void *arg) {
    (void)fd, (void)arg;
    atomic_fetch_add(&shared->runs, 1);
    return 2;
}

static void a_bad_spec_is_final(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(ends_with_2)), 2);
    assert_int_equal(atomic_load(&shared->runs), 1);
}

static int has_few_capabilities(int fd, void *arg) {
    (void)fd, (void)arg;
    static const unsigned long long few = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE |
                                          1u << CAP_FOWNER | 1u << CAP_SETPCAP;
    auto_file FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long caps;
    int seen = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "CapPrm: %llx", &caps) != 1 && sscanf(line, "CapEff: %llx", &caps) != 1 &&
            sscanf(line, "CapBnd: %llx", &caps) != 1)
            continue;
        seen++;
        if (caps & ~few)
            return 2;
    }
    return seen == 3 ? 0 : 2;
}

static void the_worker_is_forked_with_few_capabilities(void **state) {
    (void)state;
    reset();
    assert_int_equal(geteuid(), 0); // or there is nothing to see
    assert_int_equal(finish(begin(has_few_capabilities)), 0);
}

static int crashes_twice(int fd, void *arg) {
    (void)fd, (void)arg;
    if (atomic_fetch_add(&shared->runs, 1) < 2)
        raise(SIGKILL);
    return 0;
}

static void a_crashed_worker_is_started_again(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(crashes_twice)), 0);
    assert_int_equal(atomic_load(&shared->runs), 3);
}

static int waits_for_term(int fd, void *arg) {
    (void)fd, (void)arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    atomic_store(&shared->ready, 1);
    int signo;
    sigwait(&set, &signo);
    return signo == SIGTERM ? 5 : 6;
}

static void term_goes_to_the_worker_whose_status_is_ours(void **state) {
    (void)state;
    reset();
    pid_t pid = begin(waits_for_term);
    assert_true(until_at_least(&shared->ready, 1));
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 5);
}

static int leaves_an_orphan(int fd, void *arg) {
    (void)fd;
    if (fork() == 0) {
        if (fork() == 0) {
            nap();
            _exit(0);
        }
        atomic_store(&shared->ready, 1);
        _exit(0);
    }
    return waits_for_term(fd, arg);
}

// A zombie of init's would be listed as its child in state Z.
static int zombies_of(pid_t pid) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    auto_file FILE *f = fopen(path, "re");
    int zombies = 0, child;
    while (f && fscanf(f, "%d", &child) == 1) {
        snprintf(path, sizeof path, "/proc/%d/stat", child);
        auto_file FILE *stat = fopen(path, "re");
        if (stat && fgets(line, sizeof line, stat))
            zombies += strstr(line, ") Z ") != NULL;
    }
    return zombies;
}

// HUP is no reason to restart, QUIT none to leave a workload without its grace.
static void what_would_end_the_worker_on_the_spot_never_reaches_it(void **state) {
    (void)state;
    reset();
    pid_t pid = begin(waits_for_term);
    assert_true(until_at_least(&shared->ready, 1));
    kill(pid, SIGHUP);
    kill(pid, SIGQUIT);
    assert_int_equal(finish(pid), 5);
}

static void orphans_are_reaped(void **state) {
    (void)state;
    reset();
    pid_t pid = begin(leaves_an_orphan);
    assert_true(until_at_least(&shared->ready, 1));
    int clean = 0;
    for (int i = 0; i < DEADLINE_MS / 2 && clean < 20; i++, nap())
        clean = zombies_of(pid) ? 0 : clean + 1;
    assert_int_equal(clean, 20);
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 5);
}

static int connect_to(const char *name) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path + 1, name, strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sa,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)))) {
        close(fd);
        return -1;
    }
    return fd;
}

static int gives_a_tether(int fd, void *arg) {
    struct err err = ERR_INIT;
    int run = atomic_fetch_add(&shared->runs, 1);
    if (init_give_tether(fd, shared->name, &err))
        return 1;
    atomic_store(&shared->tether_fd, fd);
    if (run == 0) {
        atomic_store(&shared->ready, 1);
        for (int i = 0; i < DEADLINE_MS / 2 && atomic_load(&shared->ready) < 2; i++)
            nap();
        raise(SIGKILL);
    }
    return waits_for_term(fd, arg);
}

static void the_tether_outlives_the_worker_and_not_init(void **state) {
    (void)state;
    reset();
    pid_t pid = begin(gives_a_tether);
    assert_true(until_at_least(&shared->ready, 1));
    auto_fd int line = connect_to(shared->name);
    assert_true(line >= 0);
    atomic_store(&shared->ready, 2);
    assert_true(until_at_least(&shared->runs, 2));
    for (int i = 0; i < DEADLINE_MS / 2 && atomic_load(&shared->tether_fd) != INIT_TETHER_HELD; i++)
        nap();
    assert_int_equal(atomic_load(&shared->tether_fd), INIT_TETHER_HELD);
    struct pollfd p = {.fd = line, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0); // a worker came and went, the line stands
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
    char byte;
    assert_int_equal(recv(line, &byte, 1, 0) > 0, 0);
}

static void a_second_sidecar_of_the_same_pod_is_told(void **state) {
    (void)state;
    reset();
    int pair[2];
    struct err err = ERR_INIT;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    auto_fd int mine = pair[0], theirs = pair[1];
    assert_int_equal(init_give_tether(mine, shared->name, &err), 0);
    assert_int_equal(init_give_tether(mine, shared->name, &err),
                     -1); // held by the message in flight
    assert_int_equal(err.kind, ERR_EXISTS);
    assert_non_null(strstr(err.text, "state directory"));
    (void)theirs;
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worker_is_forked_with_few_capabilities),
        cmocka_unit_test(a_bad_spec_is_final),
        cmocka_unit_test(a_crashed_worker_is_started_again),
        cmocka_unit_test(term_goes_to_the_worker_whose_status_is_ours),
        cmocka_unit_test(what_would_end_the_worker_on_the_spot_never_reaches_it),
        cmocka_unit_test(orphans_are_reaped),
        cmocka_unit_test(the_tether_outlives_the_worker_and_not_init),
        cmocka_unit_test(a_second_sidecar_of_the_same_pod_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
