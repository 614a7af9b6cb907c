// init runs in a child of this program, with workers that are functions here; what they saw comes
// back in shared memory.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/own.h"
#include "base/watchdog.h"
#include "sidecar/init.h"
#include "sidecar/sandbox.h"
#include "tests/unit/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { DEADLINE_MS = 60000 };

struct shared {
    atomic_int runs, ready, resumed, other;
    char name[64], next_name[64];
};
static struct shared *shared;

static void reset(void) {
    memset(shared, 0, sizeof *shared);
    snprintf(shared->name, sizeof shared->name, "ochopod-test-%d", getpid());
    snprintf(shared->next_name, sizeof shared->next_name, "ochopod-test-%d-next", getpid());
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

static pid_t begin(init_worker_fn *worker) {
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

static int ends_with_2(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
    atomic_fetch_add(&shared->runs, 1);
    return 2;
}

static void a_bad_spec_is_final(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(ends_with_2)), 2);
    assert_int_equal(atomic_load(&shared->runs), 1);
}

static int has_few_capabilities(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
    static const unsigned long long few = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE |
                                          1u << CAP_FOWNER | 1u << CAP_SETPCAP | 1u << CAP_SETUID |
                                          1u << CAP_SETGID | 1u << CAP_KILL;
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

// What is standard, the line to init, and the folder that is looked at.
static int has_four_descriptors(int fd, bool resumed, void *arg) {
    (void)resumed, (void)arg;
    return fd > 2 && folder_entries("/proc/self/fd") == 3 + 1 + 1 ? 0 : 2;
}

static void the_worker_has_no_descriptor_but_the_known(void **state) {
    (void)state;
    reset();
    auto_fd int low = open("/dev/null", O_RDONLY), high = fcntl(low, F_DUPFD, 200);
    assert_true(low >= 0 && high >= 200);
    assert_int_equal(finish(begin(has_four_descriptors)), 0);
}

static int crashes_twice(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
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

static void hang(void *arg) {
    (void)arg;
    for (;;)
        nap();
}

static int hangs_once(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
    if (atomic_fetch_add(&shared->runs, 1) == 1)
        return 0;
    struct loop *loop = loop_create();
    if (watchdog_start(loop, 50, NULL))
        return 2;
    loop_timer_start(loop, NULL, 0, hang, NULL);
    loop_run(loop);
    return 2;
}

static void a_worker_whose_loop_hangs_is_started_again(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(hangs_once)), 0);
    assert_int_equal(atomic_load(&shared->runs), 2);
}

static int waits_for_term(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
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

// Ctrl-C in a terminal is init's to hear, which tells the worker alone.
static int leads_a_group(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
    return getsid(0) == getpid() && getpgrp() == getpid() ? 0 : 2;
}

static void the_worker_is_in_no_terminals_group(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(leads_a_group)), 0);
}

static int leaves_an_orphan(int fd, bool resumed, void *arg) {
    (void)fd;
    if (fork() == 0) {
        if (fork() == 0) {
            nap();
            _exit(0);
        }
        atomic_store(&shared->ready, 1);
        _exit(0);
    }
    return waits_for_term(fd, resumed, arg);
}

// ---- a worker that is root no more ----

static int becomes_another(void) {
    struct err err = ERR_INIT;
    struct sandbox_user user;
    sandbox_user_choose(&user);
    return user.leaves && !sandbox_drop_until(&user, &err) && !sandbox_become(&user, &err) &&
           geteuid() == SANDBOX_USER;
}

static int waits_for_term_as_another(int fd, bool resumed, void *arg) {
    return becomes_another() ? waits_for_term(fd, resumed, arg) : 9;
}

static void term_reaches_a_worker_of_another_user(void **state) {
    (void)state;
    reset();
    pid_t pid = begin(waits_for_term_as_another);
    assert_true(until_at_least(&shared->ready, 1));
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 5);
}

static int dies_with_init(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
    if (!becomes_another())
        return 9;
    atomic_store(&shared->other, getpid());
    atomic_store(&shared->ready, 1);
    for (;;)
        nap();
}

static bool is_gone(pid_t pid) {
    for (int i = 0; i < DEADLINE_MS / 2; i++, nap())
        if (kill(pid, 0) && errno == ESRCH)
            return true;
    return false;
}

static void a_worker_of_another_user_dies_with_init(void **state) {
    (void)state;
    reset();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); // or nobody may reap it
    pid_t pid = begin(dies_with_init);
    assert_true(until_at_least(&shared->ready, 1));
    pid_t worker = atomic_load(&shared->other);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(waitpid(worker, NULL, 0), worker); // else this waits for ever
    assert_true(is_gone(worker));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// Root, stopped, and armed to die with its parent: the kernel does not let a user's death kill it.
static int leaves_a_stopped_root(int fd, bool resumed, void *arg) {
    if (atomic_fetch_add(&shared->runs, 1))
        return is_gone(atomic_load(&shared->other)) ? 0 : 2;
    (void)fd, (void)resumed, (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        atomic_store(&shared->ready, 1);
        raise(SIGSTOP);
        for (;;)
            nap();
    }
    atomic_store(&shared->other, pid);
    int status;
    if (!until_at_least(&shared->ready, 1) || waitpid(pid, &status, WUNTRACED) != pid ||
        !becomes_another())
        return 2;
    raise(SIGKILL);
    return 2;
}

static void nothing_of_a_dead_workers_set_lives_on(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(leaves_a_stopped_root)), 0);
    assert_int_equal(atomic_load(&shared->runs), 2);
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

static int gives_a_tether(int fd, bool resumed, void *arg) {
    struct err err = ERR_INIT;
    int run = atomic_fetch_add(&shared->runs, 1);
    if (init_give_tether(fd, resumed, shared->name, &err))
        return 1;
    atomic_store(&shared->resumed, resumed);
    if (run == 0) {
        atomic_store(&shared->ready, 1);
        for (int i = 0; i < DEADLINE_MS / 2 && atomic_load(&shared->ready) < 2; i++)
            nap();
        raise(SIGKILL);
    }
    return waits_for_term(fd, resumed, arg);
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
    assert_true(until_at_least(&shared->resumed, 1));
    struct pollfd p = {.fd = line, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0); // a worker came and went, the line stands
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
    char byte;
    assert_int_equal(recv(line, &byte, 1, 0) > 0, 0);
}

// Its state is lost after the first run: the next ones are another pod's.
static int gives_another_tether(int fd, bool resumed, void *arg) {
    struct err err = ERR_INIT;
    int run = atomic_fetch_add(&shared->runs, 1);
    if (init_give_tether(fd, resumed, run ? shared->next_name : shared->name, &err))
        return 2;
    for (int i = 0; i < DEADLINE_MS / 2 && run == 0 && !atomic_load(&shared->other); i++)
        nap();
    if (run < 2)
        raise(SIGKILL);
    return waits_for_term(fd, resumed, arg);
}

static void one_of_another_name_is_taken_and_who_is_on_the_first_stays(void **state) {
    (void)state;
    reset();
    pid_t pid = begin(gives_another_tether);
    int line = -1;
    for (int i = 0; i < DEADLINE_MS / 2 && line < 0; i++, nap())
        line = connect_to(shared->name);
    assert_true(line >= 0);
    atomic_store(&shared->other, 1);
    assert_true(until_at_least(&shared->ready, 1));
    int next = connect_to(shared->next_name);
    assert_true(next >= 0);
    assert_int_equal(connect_to(shared->name), -1); // nobody new is held by it
    struct pollfd p = {.fd = line, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 5);
    close(line);
    close(next);
}

// Its first run hands the tether over and dies, the second ends with `other`.
static int refuses_once(int fd, bool resumed, void *arg) {
    struct err err = ERR_INIT;
    int run = atomic_fetch_add(&shared->runs, 1);
    if (run == 1)
        return atomic_load(&shared->other);
    if (init_give_tether(fd, resumed, shared->name, &err))
        return 1;
    if (run == 0)
        raise(SIGKILL);
    return waits_for_term(fd, resumed, arg);
}

static void what_ends_a_first_worker_does_not_end_a_later_one(void **state) {
    (void)state;
    static const int refusals[] = {2, 77, 78};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        reset();
        atomic_store(&shared->other, refusals[i]);
        pid_t pid = begin(refuses_once);
        assert_true(until_at_least(&shared->ready, 1));
        kill(pid, SIGTERM);
        assert_int_equal(finish(pid), 5);
        assert_int_equal(atomic_load(&shared->runs), 3);
    }
}

// Nobody has got through: neither one that died too early, nor one that refuses after the tether.
static int dies_then_refuses(int fd, bool resumed, void *arg) {
    struct err err = ERR_INIT;
    (void)arg;
    if (atomic_fetch_add(&shared->runs, 1) == 0)
        raise(SIGKILL);
    return init_give_tether(fd, resumed, shared->name, &err) ? 1 : 2;
}

static void a_bad_spec_is_final_while_nobody_got_through(void **state) {
    (void)state;
    reset();
    assert_int_equal(finish(begin(dies_then_refuses)), 2);
    assert_int_equal(atomic_load(&shared->runs), 2);
}

static void a_second_sidecar_of_the_same_pod_is_told(void **state) {
    (void)state;
    reset();
    int pair[2];
    struct err err = ERR_INIT;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    auto_fd int mine = pair[0], theirs = pair[1];
    assert_int_equal(init_give_tether(mine, false, shared->name, &err), 0);
    assert_int_equal(init_give_tether(mine, false, shared->name, &err),
                     -1); // held by the message in flight
    assert_int_equal(err.kind, ERR_EXISTS);
    assert_non_null(strstr(err.text, "state directory"));
    (void)theirs;
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worker_is_forked_with_few_capabilities),
        cmocka_unit_test(the_worker_has_no_descriptor_but_the_known),
        cmocka_unit_test(a_bad_spec_is_final),
        cmocka_unit_test(a_crashed_worker_is_started_again),
        cmocka_unit_test(a_worker_whose_loop_hangs_is_started_again),
        cmocka_unit_test(term_goes_to_the_worker_whose_status_is_ours),
        cmocka_unit_test(what_would_end_the_worker_on_the_spot_never_reaches_it),
        cmocka_unit_test(the_worker_is_in_no_terminals_group),
        cmocka_unit_test(term_reaches_a_worker_of_another_user),
        cmocka_unit_test(a_worker_of_another_user_dies_with_init),
        cmocka_unit_test(nothing_of_a_dead_workers_set_lives_on),
        cmocka_unit_test(orphans_are_reaped),
        cmocka_unit_test(the_tether_outlives_the_worker_and_not_init),
        cmocka_unit_test(one_of_another_name_is_taken_and_who_is_on_the_first_stays),
        cmocka_unit_test(what_ends_a_first_worker_does_not_end_a_later_one),
        cmocka_unit_test(a_bad_spec_is_final_while_nobody_got_through),
        cmocka_unit_test(a_second_sidecar_of_the_same_pod_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
