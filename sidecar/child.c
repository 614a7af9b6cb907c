#include "sidecar/child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 3, ASIDE = 64 };

// To 3, 4, ...: whatever lies there may be one of those that are still to be moved.
static bool settle(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ASIDE)) < 0)
            return false;
    for (size_t i = 0; i < n; i++) {
        if (dup3(fds[i], FIRST + (int)i, O_CLOEXEC) < 0)
            return false;
        fds[i] = FIRST + (int)i;
    }
    return close_range(FIRST + (unsigned)n, ~0U, 0) == 0;
}

_Noreturn static void become(const struct child *child, pid_t parent, int *fds, size_t n) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || !settle(fds, n))
        _exit(1);
    prctl(PR_SET_NAME, child->name);
    struct rlimit no_core = {0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    child->serve(fds, child->arg);
    _exit(1);
}

static void close_all(int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

int child_start(const struct child *child, pid_t *ret_pid, int *ret_fds, struct err *err) {
    int theirs[CHILD_FDS_MAX];
    size_t n = 0;
    for (; n < CHILD_FDS_MAX && child->types[n]; n++) {
        int pair[2];
        if (socketpair(AF_UNIX, child->types[n] | SOCK_CLOEXEC, 0, pair)) {
            close_all(ret_fds, n);
            close_all(theirs, n);
            return err_errno(err, ERR_RETRY, errno, "start %s", child->name);
        }
        ret_fds[n] = pair[0];
        theirs[n] = pair[1];
    }
    pid_t parent = getpid();
    *ret_pid = fork();
    if (*ret_pid == 0)
        become(child, parent, theirs, n);
    int why = errno;
    close_all(theirs, n);
    if (*ret_pid > 0)
        return 0;
    close_all(ret_fds, n);
    return err_errno(err, ERR_RETRY, why, "start %s", child->name);
}
