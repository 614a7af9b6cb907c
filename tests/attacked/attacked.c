// The attacked build: the sidecar as it is, main and all, in which each process, once it has all
// its filters, takes an intruder's steps (steps.h) and says how each went. Two calls are wrapped by
// the linker: init's, so that a supervisor stands between init and its worker, and the one that
// loads a filter. A step that ends a process ends its set; another set then goes on with the next
// step. When all are taken the last worker goes on as any other: the pod must live.
//
// One line each on stderr: `attacked worker: executes: SIGSYS`, `... WRONG` behind those that the
// sandbox should not have let be. tests/e2e/test_attacked.py runs it; nothing of it is installed.
#include "base/check.h"
#include "sidecar/init.h"
#include "sidecar/sandbox.h"
#include "tests/attacked/steps.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKER, BROKER, NAMES, RUNNER, JOB, PORTAL, PROCESSES, NOBODY = PROCESSES };
enum { POLL_MS = 5, SET_MS = 60000 };

static const struct process {
    const char *name;
    enum sandbox last; // of its filters
    uint64_t may;
    bool forks; // it may still, when the last filter is about to come: each step in a child
} processes[PROCESSES] = {
    [WORKER] = {"worker", SANDBOX_WORKER, ATTACK_WORKER, false},
    [BROKER] = {"broker", SANDBOX_BROKER, ATTACK_BROKER, false},
    [NAMES] = {"names", SANDBOX_NAMES, ATTACK_NAMES, true},
    [RUNNER] = {"runner", SANDBOX_RUNNER, ATTACK_RUNNER, true},
    [JOB] = {"job", SANDBOX_JOB, ATTACK_JOB, true},
    [PORTAL] = {"portal", SANDBOX_PORTAL, ATTACK_PORTAL, true},
};

// Shared by all that is forked from init.
static struct page {
    int who; // whose turn it is
    struct {
        enum attack_outcome outcomes[STEPS];
        int next;
        pid_t pid;           // who takes the step
        atomic_flag claimed; // of jobs there may be two at once
    } of[PROCESSES];
} * page;

static const struct attack_aim aim = {.init = 1,
                                      .file = "/tmp/ochopod-intruder",
                                      .secret = "/run/secrets/ochopod-attacked",
                                      .state = "/var/lib/ochopod/pod.json",
                                      .socket = "/var/run/docker.sock"};

int __real_sandbox_filter(enum sandbox which, struct err *err);
int __wrap_sandbox_filter(enum sandbox which, struct err *err);
int __real_init_run(init_worker_fn *worker, void *arg);
int __wrap_init_run(init_worker_fn *worker, void *arg);

// ---- in the process ----

static int who_is(enum sandbox which) {
    for (int i = 0; i < PROCESSES; i++)
        if (processes[i].last == which)
            return i;
    return NOBODY;
}

static void take(int who, int step) {
    page->of[who].pid = getpid();
    page->of[who].outcomes[step] = ATTACK_BEGUN;
    page->of[who].outcomes[step] = attack_take((enum attack_step)step, &aim);
}

static int take_in_children(int who, enum sandbox which) {
    for (int *next = &page->of[who].next; *next < STEPS; ++*next) {
        pid_t pid = fork();
        if (pid == 0) {
            struct err err = ERR_INIT;
            if (__real_sandbox_filter(which, &err))
                _exit(99);
            take(who, *next);
            _exit(0);
        }
        int status;
        enum attack_outcome *outcome = &page->of[who].outcomes[*next];
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return -1;
        if (*outcome <= ATTACK_BEGUN)
            *outcome = attack_ended(status);
    }
    return 0;
}

int __wrap_sandbox_filter(enum sandbox which, struct err *err) {
    int who = who_is(which);
    bool turn = who != NOBODY && page->who == who;
    if (turn && processes[who].forks && !atomic_flag_test_and_set(&page->of[who].claimed) &&
        take_in_children(who, which))
        return err_errno(err, ERR_BUG, errno, "attack in a child");
    if (__real_sandbox_filter(which, err))
        return -1;
    while (turn && !processes[who].forks && page->of[who].next < STEPS)
        take(who, page->of[who].next++);
    return 0;
}

// ---- between init and its worker ----

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
}

static void say(int who) {
    for (int step = 0; step < STEPS; step++) {
        enum attack_outcome got = page->of[who].outcomes[step];
        bool right = attack_is_right((enum attack_step)step, processes[who].may, got);
        fprintf(stderr, "attacked %s: %s: %s%s\n", processes[who].name, attack_step_names[step],
                attack_outcome_names[got], right ? "" : " WRONG");
    }
}

// All of them, the worker first; who has no parent any more is ours. How the one ended that took a
// step is the step's outcome.
static void end_set(pid_t worker, int who) {
    int status;
    kill(-worker, SIGKILL);
    for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0;) {
        int step = page->of[who].next - 1;
        if (pid == page->of[who].pid && step >= 0 && page->of[who].outcomes[step] == ATTACK_BEGUN)
            page->of[who].outcomes[step] = attack_ended(status);
    }
}

static pid_t start_set(init_worker_fn *worker, int tether_fd, bool resumed, void *arg) {
    for (int who = 0; who < PROCESSES; who++)
        atomic_flag_clear(&page->of[who].claimed);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        exit(worker(tether_fd, resumed, arg));
    }
    CHECK(pid > 0);
    setpgid(pid, pid);
    return pid;
}

// A set, until its process has taken all steps, or it has ended by one, or does not come to them.
static void attack_once(int who, pid_t worker) {
    const volatile enum attack_outcome *last = &page->of[who].outcomes[STEPS - 1];
    siginfo_t ended = {0};
    for (int ms = 0; *last <= ATTACK_BEGUN && !ended.si_pid && ms < SET_MS; ms += POLL_MS) {
        nap();
        waitid(P_PID, (id_t)worker, &ended, WEXITED | WNOHANG | WNOWAIT);
    }
    end_set(worker, who);
}

static struct wrapped {
    init_worker_fn *worker;
    void *arg;
} wrapped;

static void attack(int who, int tether_fd) {
    static bool resumed; // by the second set: the tether has been handed over
    page->who = who;
    while (page->of[who].next < STEPS) {
        int before = page->of[who].next;
        pid_t worker = start_set(wrapped.worker, tether_fd, resumed, wrapped.arg);
        resumed = true;
        attack_once(who, worker);
        if (page->of[who].next == before) {
            fprintf(stderr, "attacked %s: it does not come to its steps WRONG\n",
                    processes[who].name);
            break;
        }
    }
    say(who);
}

static int supervise(int tether_fd, bool resumed, void *arg) {
    (void)arg;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int who = 0; !resumed && who < PROCESSES; who++)
        attack(who, tether_fd);
    page->who = NOBODY;
    fprintf(stderr, "attacked: all %d steps are taken\n", STEPS);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    return wrapped.worker(tether_fd, true, wrapped.arg);
}

int __wrap_init_run(init_worker_fn *worker, void *arg) {
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    page->who = NOBODY;
    wrapped = (struct wrapped){worker, arg};
    return __real_init_run(supervise, NULL);
}
