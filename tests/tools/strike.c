// Kills a process at its n-th system call, before the kernel carries it out. strace's `inject`
// counts each thread, and each call by its name, by itself; here all calls are one row, from the
// moment at which we say `attached`.
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "usage: strike [OPTION...] PID\n"
    "Says `attached` once it sees every system call of PID, in whatever thread.\n"
    "  --at N       who makes the N-th call is killed; says `struck N CALL` and exits 0\n"
    "  --children   calls are counted of what PID forks from then on, and not of PID itself\n"
    "  --with PID   is killed at the same moment\n"
    "  --list       prints every call as `N CALL`\n"
    "When PID ends or SIGTERM comes before, it says `seen N`, exits 3, and PID goes on "
    "undisturbed.\n";

enum { TRACED_MAX = 4096, LINE = 64 };

static struct {
    long at, seen;
    pid_t target, with;
    bool children, list;
    pid_t first[TRACED_MAX]; // threads that were there; negative: it need not stop first, or has
    size_t first_len, waiting;
} my;

static volatile sig_atomic_t over;

static void on_term(int signo) {
    (void)signo;
    over = 1;
}

static _Noreturn void die(const char *what) {
    fprintf(stderr, "strike: %s: %s\n", what, strerror(errno));
    exit(2);
}

// ---- attaching ----

static bool is_known(pid_t tid) {
    for (size_t i = 0; i < my.first_len; i++)
        if (my.first[i] == tid || my.first[i] == -tid)
            return true;
    return false;
}

// False: it has ended, or who created it brought it along.
static bool seize(pid_t tid) {
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
    if (my.children)
        options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SEIZE, tid, NULL, options))
        return errno == ESRCH || errno == EPERM ? false : (die("seize"), false);
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && errno != ESRCH)
        die("interrupt");
    return true;
}

static size_t seize_new(const char *tasks) {
    size_t found = 0;
    DIR *dir = opendir(tasks);
    if (!dir)
        die(tasks);
    for (const struct dirent *it; (it = readdir(dir));) {
        pid_t tid = (pid_t)strtol(it->d_name, NULL, 10);
        if (tid <= 0 || is_known(tid) || my.first_len == TRACED_MAX)
            continue;
        bool seized = seize(tid);
        my.first[my.first_len++] = seized ? tid : -tid;
        found += seized;
    }
    closedir(dir);
    return found;
}

static void seize_all(void) {
    char tasks[LINE];
    snprintf(tasks, sizeof tasks, "/proc/%d/task", my.target);
    for (size_t found; (found = seize_new(tasks));)
        my.waiting += found;
}

// ---- counting ----

static bool is_of_target(pid_t tid) {
    char task[LINE];
    snprintf(task, sizeof task, "/proc/%d/task/%d", my.target, tid);
    return access(task, F_OK) == 0;
}

static void strike(pid_t tid, const char *name) {
    if (kill(tid, SIGKILL) || (my.with && kill(my.with, SIGKILL)))
        die("kill");
    printf("struck %ld %s\n", my.seen, name);
    exit(0);
}

static void entered(pid_t tid) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY || my.waiting || is_of_target(tid) == my.children)
        return;
    my.seen++;
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)info.entry.nr);
    if (my.list)
        printf("%ld %s\n", my.seen, name);
    if (my.seen == my.at)
        strike(tid, name);
    free(name);
}

static void first_stop(pid_t tid) {
    for (size_t i = 0; i < my.first_len; i++) {
        if (my.first[i] != tid)
            continue;
        my.first[i] = -tid;
        if (--my.waiting == 0) {
            puts("attached");
            fflush(stdout);
        }
        return;
    }
}

static bool stops(int signo) {
    return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

// How it goes on from a stop: a signal meant for it is handed on, one that stops it keeps it so.
static void go_on(pid_t tid, int status) {
    int signo = WSTOPSIG(status), event = status >> 16;
    if (signo == (SIGTRAP | 0x80))
        entered(tid);
    if (event == PTRACE_EVENT_STOP)
        first_stop(tid);
    if (event == PTRACE_EVENT_STOP && stops(signo))
        (void)ptrace(PTRACE_LISTEN, tid, NULL, NULL);
    else
        (void)ptrace(PTRACE_SYSCALL, tid, NULL, (long)(event || signo & 0x80 ? 0 : signo));
}

static void follow(void) {
    while (!over) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return;
        if (WIFSTOPPED(status))
            go_on(tid, status);
        else if (tid == my.target)
            return;
        else
            first_stop(tid);
    }
}

static long number(const char *text) {
    char *end;
    long n = strtol(text, &end, 10);
    if (n > 0 && !*end)
        return n;
    fprintf(stderr, "strike: %s is no number\n%s", text, usage);
    exit(2);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"at", required_argument, NULL, 'a'},
                                            {"children", no_argument, NULL, 'c'},
                                            {"with", required_argument, NULL, 'w'},
                                            {"list", no_argument, NULL, 'l'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        switch (c) {
        case 'a':
            my.at = number(optarg);
            break;
        case 'c':
            my.children = true;
            break;
        case 'w':
            my.with = (pid_t)number(optarg);
            break;
        case 'l':
            my.list = true;
            break;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind != argc - 1) {
        fputs(usage, stderr);
        return 2;
    }
    my.target = (pid_t)number(argv[optind]);
    struct sigaction term = {.sa_handler = on_term}; // without SA_RESTART: waitpid returns
    sigaction(SIGTERM, &term, NULL);
    seize_all();
    follow();
    printf("seen %ld\n", my.seen);
    return 3; // and the kernel lets go of all that we traced
}
