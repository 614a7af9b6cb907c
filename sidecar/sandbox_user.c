// Which user our processes become, and whether they can.
#include "base/check.h"
#include "base/text.h"
#include "sidecar/sandbox.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The kernel counts tasks of a user over the whole host, and root's not: a container's own small
// limit would be used up by the other sidecars of that host. A set of ours has some twenty tasks.
enum { TASKS_MIN = 4096 };

__attribute__((format(printf, 2, 3))) static void stay(struct sandbox_user *user, const char *fmt,
                                                       ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(user->why, sizeof user->why, fmt, args);
    va_end(args);
    user->leaves = false;
}

// ---- whether it can be done ----

// KILL is init's, so that it can still signal the worker; what is forked from it has it at first.
static bool has_capabilities(void) {
    static const unsigned wanted[] = {CAP_SETUID, CAP_SETGID, CAP_KILL};
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data))
        return false;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!(data[0].effective & 1U << wanted[i]))
            return false;
    return true;
}

static int change(gid_t group) {
    const uid_t user = SANDBOX_USER;
    return setgroups(0, NULL) || setresgid(group, group, group) || setresuid(user, user, user) ? -1
                                                                                               : 0;
}

// In a child, which is gone afterwards: there is no way back for who did it. 0, or errno; *ret_at:
// the path that cannot be used, NULL: the change itself.
static int try_it(gid_t group, const char *const *paths, int mode, const char **ret_at) {
    enum { NOT_CHANGED = 200 };
    size_t n = 0;
    *ret_at = NULL;
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        if (change(group))
            _exit(NOT_CHANGED);
        for (; paths && paths[n]; n++)
            if (access(paths[n], mode))
                _exit((int)n + 1);
        _exit(0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    if (!WIFEXITED(status))
        return EAGAIN;
    if (WEXITSTATUS(status) == NOT_CHANGED)
        return EINVAL;
    if (WEXITSTATUS(status))
        *ret_at = paths[WEXITSTATUS(status) - 1];
    return WEXITSTATUS(status) ? EACCES : 0;
}

static void must_work(struct sandbox_user *user, const char *const *paths, int mode) {
    const char *at;
    int why = user->leaves ? try_it(user->group, paths, mode, &at) : 0;
    if (why && at)
        stay(user, "user %d with group %u has no way to %.100s", SANDBOX_USER,
             (unsigned)user->group, at);
    else if (why)
        stay(user, "this container cannot have user %d with group %u", SANDBOX_USER,
             (unsigned)user->group);
}

void sandbox_user_choose(struct sandbox_user *ret) {
    struct rlimit tasks;
    *ret = (struct sandbox_user){.leaves = true, .group = SANDBOX_USER};
    if (geteuid() != 0)
        stay(ret, "the container has user %u already", (unsigned)geteuid());
    else if (!has_capabilities())
        stay(ret, "the container lacks one of the capabilities KILL, SETGID and SETUID");
    else if (getrlimit(RLIMIT_NPROC, &tasks) || tasks.rlim_cur < TASKS_MIN)
        stay(ret, "the limit of tasks (nproc) is below %d, and counts those of a user", TASKS_MIN);
    must_work(ret, NULL, 0);
}

void sandbox_user_reads(struct sandbox_user *user, const char *const *paths) {
    const char *there[8];
    size_t n = 0;
    for (; *paths; paths++)
        if (n + 1 < sizeof there / sizeof *there && access(*paths, R_OK) == 0)
            there[n++] = *paths;
    there[n] = NULL;
    must_work(user, there, R_OK);
}

void sandbox_user_resolves(struct sandbox_user *user) {
    sandbox_user_reads(user, sandbox_resolver);
}

bool sandbox_user_group(const struct stat *socket, gid_t *ret_group) {
    const mode_t both = S_IRGRP | S_IWGRP;
    if (!S_ISSOCK(socket->st_mode) || (socket->st_mode & both) != both)
        return false;
    *ret_group = socket->st_gid;
    return true;
}

void sandbox_user_connects(struct sandbox_user *user, const char *socket) {
    struct stat st;
    if (!user->leaves)
        return;
    if (stat(socket, &st))
        stay(user, "%.100s is not there yet: %s", socket, strerror(errno));
    else if (!sandbox_user_group(&st, &user->group))
        stay(user, "the group of %.100s may not read and write it (mode %04o)", socket,
             (unsigned)st.st_mode & 07777U);
    must_work(user, (const char *const[]){socket, NULL}, R_OK | W_OK);
}

// ---- doing it ----

// A change of user clears what the parent's death sends, and resets what may be dumped.
int sandbox_become(const struct sandbox_user *user, struct err *err) {
    int at_death = 0;
    pid_t parent = getppid();
    if (!user->leaves)
        return 0;
    if (prctl(PR_GET_PDEATHSIG, &at_death) || change(user->group))
        return err_errno(err, ERR_BUG, errno, "become user %d", SANDBOX_USER);
    if (prctl(PR_SET_PDEATHSIG, at_death) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return err_errno(err, ERR_BUG, errno, "set up as user %d", SANDBOX_USER);
    if (at_death && getppid() != parent)
        _exit(1);
    return 0;
}
