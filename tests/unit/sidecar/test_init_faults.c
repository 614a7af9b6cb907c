// Each system call of init fails in turn, while it starts a worker, takes its tether, starts
// another one in its place and is told to stop: it says that it cannot start at all, or all is done
// as ever.
#define FAULTY_INIT
#include "sidecar/init.h"
#include "base/own.h"
#include "tests/unit/faulty.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

enum { DEADLINE_MS = 60000 };

static const int errors[] = {EAGAIN, ENOMEM, EMFILE, EINTR};

static struct {
    atomic_int runs, waits, failed, second; // second: its pid
    char name[64], call[32];
} * shared;

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static int until_stopped(void) {
    sigset_t set;
    int signo;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    atomic_fetch_add(&shared->waits, 1);
    sigwait(&set, &signo);
    return 5;
}

// The first one gives its tether and dies; whoever follows waits.
static int worker(int fd, bool resumed, void *arg) {
    struct err err = ERR_INIT;
    (void)arg;
    fault_disarm();
    int run = atomic_fetch_add(&shared->runs, 1);
    if (init_give_tether(fd, resumed, shared->name, &err))
        return 1;
    if (run == 0)
        raise(SIGKILL);
    return until_stopped();
}

static pid_t begin(int at, int error) {
    memset(shared, 0, sizeof *shared);
    snprintf(shared->name, sizeof shared->name, "ochopod-faults-%d-%d", getpid(), at);
    pid_t pid = fork();
    if (pid == 0) {
        fault_arm(at, error);
        int status = init_run(worker, NULL);
        snprintf(shared->call, sizeof shared->call, "%s", fault.call ? fault.call : "");
        _exit(status);
    }
    return pid;
}

// Its end; TERM once, when a worker waits for it.
static int stopped(pid_t pid) {
    bool told = false;
    int status;
    for (int i = 0; i < DEADLINE_MS / 2; i++, nap()) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (!told && atomic_load(&shared->waits)) {
            kill(pid, SIGTERM);
            told = true;
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

static void whatever_fails_it_starts_and_stops_them(void **unused) {
    (void)unused;
    for
        EACH_ERROR(e) {
            int n = 0;
            do {
                int status = stopped(begin(++n, errors[e]));
                int runs = atomic_load(&shared->runs);
                // It is only at its own start that it may give up. A tether that is taken late is
                // still held when the second worker comes, which costs a third.
                bool good = status == 5 && (runs == 2 || runs == 3);
                if (!good && !(status == 1 && runs == 0))
                    fail_msg("%s (%s) as call %d: status %d, %d workers", shared->call,
                             strerror(errors[e]), n, status, runs);
            } while (*shared->call);
            assert_true(n > 8);
        }
}

// The fork that a TERM between two workers asks for: the one that is forked later is told as well.
static int dies(int fd, bool resumed, void *arg) {
    (void)fd, (void)resumed, (void)arg;
    fault_disarm();
    int run = atomic_fetch_add(&shared->runs, 1);
    if (run == 1)
        atomic_store(&shared->second, getpid());
    if (run < 2)
        raise(SIGKILL);
    return until_stopped();
}

static void a_term_outlives_a_fork_that_fails(void **unused) {
    (void)unused;
    memset(shared, 0, sizeof *shared);
    pid_t pid = fork();
    if (pid == 0) {
        fault_forks = 3;
        _exit(init_run(dies, NULL));
    }
    int status;
    // Two died: the next one comes half a second later, but for a TERM.
    for (int i = 0; i < DEADLINE_MS / 2 && !atomic_load(&shared->second); i++)
        nap();
    pid_t second = atomic_load(&shared->second);
    for (int i = 0; i < DEADLINE_MS / 2 && second && kill(second, 0) == 0; i++)
        nap(); // init has reaped it when it is nobody's any more
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_int_equal(atomic_load(&shared->runs), 3);
}

static bool give_with(int error, int n) {
    struct err err = ERR_INIT;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    auto_fd int mine = pair[0], theirs = pair[1];
    fault_arm(n, error);
    int rc = init_give_tether(mine, false, shared->name, &err);
    fault_disarm();
    if (fault.call && (!rc || err.kind != ERR_RETRY || !strstr(err.text, strerror(error))))
        fail_msg("%s as call %d: %d, kind %d: %s", fault.call, n, rc, err.kind, err.text);
    // Its name is free for another try.
    err = (struct err)ERR_INIT;
    if (fault.call && init_give_tether(mine, false, shared->name, &err))
        fail_msg("after %s: %s", fault.call, err.text);
    (void)theirs;
    return fault.call;
}

static void a_tether_that_fails_is_given_again(void **unused) {
    (void)unused;
    snprintf(shared->name, sizeof shared->name, "ochopod-faults-%d", getpid());
    for
        EACH_ERROR(e) {
            int n = 1;
            while (give_with(errors[e], n))
                n++;
            assert_int_equal(n, 5); // socket, bind, listen, sendmsg
        }
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_fails_it_starts_and_stops_them),
        cmocka_unit_test(a_term_outlives_a_fork_that_fails),
        cmocka_unit_test(a_tether_that_fails_is_given_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
