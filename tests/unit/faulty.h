// A disk that fails: the calls that state and files are written and read with, each of which can be
// made to fail once, the n-th one that is made. A program with "faults" in its name is linked so
// that they come here first (tests/CMakeLists.txt). A part of each such program, so everything is
// static but what the linker looks for. FAULTY_INIT, said before: those of init too.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

// for EACH_ERROR(e): of the program's own `errors`.
#define EACH_ERROR(e) (size_t e = 0; e < sizeof errors / sizeof *errors; e++)

static struct {
    bool armed;
    int at;           // which call fails, from 1; 0: none
    int seen;         // calls since it was armed
    int error;        // what it says
    const char *call; // that failed; NULL: none has
} fault;

static void fault_arm(int at, int error) {
    fault = (typeof(fault)){.armed = true, .at = at, .error = error};
}

// How many calls there were.
static int fault_disarm(void) {
    fault.armed = false;
    return fault.seen;
}

static bool fails(const char *call) {
    if (!fault.armed || ++fault.seen != fault.at)
        return false;
    fault.call = call;
    errno = fault.error;
    return true;
}

#define FAULTY(type, name, args, pass)                                                             \
    type __real_##name args;                                                                       \
    type __wrap_##name args;                                                                       \
    type __wrap_##name args {                                                                      \
        return fails(#name) ? (type)-1 : __real_##name pass;                                       \
    }

FAULTY(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
FAULTY(int, openat, (int dir, const char *path, int flags, mode_t mode), (dir, path, flags, mode))
FAULTY(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
FAULTY(int, fsync, (int fd), (fd))
FAULTY(int, rename, (const char *from, const char *to), (from, to))
FAULTY(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
FAULTY(int, fstat, (int fd, struct stat *st), (fd, st))
FAULTY(int, mkdir, (const char *path, mode_t mode), (path, mode))
FAULTY(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
FAULTY(int, unlink, (const char *path), (path))
FAULTY(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
FAULTY(int, fchmod, (int fd, mode_t mode), (fd, mode))
FAULTY(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
FAULTY(int, flock, (int fd, int how), (fd, how))
FAULTY(long, syscall, (long n, long a, long b, long c, long d, long e, long f),
       (n, a, b, c, d, e, f)) // openat2

ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
// A disk that is full takes what still fits first.
ssize_t __wrap_write(int fd, const void *buf, size_t len) {
    if (!fails("write"))
        return __real_write(fd, buf, len);
    if (fault.error == ENOSPC && len > 1 && __real_write(fd, buf, len / 2) != (ssize_t)(len / 2))
        return -1;
    errno = fault.error;
    return -1;
}

#ifdef FAULTY_INIT
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

static int fault_forks; // that fork fails, from 1, and no other call

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void) {
    bool now = fault_forks > 0 && --fault_forks == 0;
    if (now)
        errno = EAGAIN;
    return now || fails("fork") ? -1 : __real_fork();
}

FAULTY(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
FAULTY(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
FAULTY(int, socketpair, (int domain, int type, int protocol, int *pair),
       (domain, type, protocol, pair))
FAULTY(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAULTY(int, bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
FAULTY(int, listen, (int fd, int n), (fd, n))
FAULTY(int, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags),
       (fd, from, len, flags))
FAULTY(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
FAULTY(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
#endif
