// Loaded before everything else (LD_PRELOAD): one allocation of the program, or of a library that
// it uses, finds no memory, or one system call fails: the FAILING_AT-th. FAILING_WHAT says which,
// "memory" or "call". How many there were is written to FAILING_COUNT, those of its forks with
// them. FAILING_IN is a program that the first one runs, maybe often: each run of it has its n-th
// fail and its line there, a fault one more, as its parent may not tell. What the test's own
// library asks for, and libc for itself, is always granted.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

enum { RANGES = 64 };
static struct { uintptr_t from, to; } ranges[RANGES];
static size_t ranges_n;
static long at;
static bool calls; // fail, not allocations
static long *seen; // of all of its processes: NULL until it is ready
static pid_t first;

// Not libseccomp: when it is refused some (2.5.4), it frees twice, reads what it has not, or goes
// round in seccomp_load for ever, in a process that is only about to be confined.
static const char *const libraries[] = {"libjansson", "libcurl",        "libmicrohttpd",
                                        "libyaml",    "liblua",         "libuv",
                                        "libnettle",  "libzookeeper_mt"};

static bool is_ours(const char *path, const char *program) {
    if (strcmp(path, program) == 0)
        return true;
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
        if (strstr(path, libraries[i]))
            return true;
    return false;
}

static void note(const char *what, long n) {
    const char *path = getenv("FAILING_COUNT");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    dprintf(fd, "%s%ld\n", what, n);
    close(fd);
}

static void on_fault(int sig) {
    note("signal ", sig);
    signal(sig, SIG_DFL);
    raise(sig);
}

__attribute__((constructor)) static void look(void) {
    static char line[4096], program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    const char *name = n > 0 ? strrchr(program, '/') : NULL, *wanted = getenv("FAILING_IN");
    if (name && wanted && strcmp(name + 1, wanted) != 0)
        return;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!name || !maps)
        abort();
    while (fgets(line, sizeof(line), maps) && ranges_n < RANGES) {
        unsigned long from, to;
        char rights[8];
        const char *path = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        if (path && sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && rights[2] == 'x' &&
            is_ours(path, program)) {
            ranges[ranges_n].from = from;
            ranges[ranges_n++].to = to;
        }
    }
    fclose(maps);
    unsetenv("LD_PRELOAD"); // this program alone, not what it runs
    const char *which = getenv("FAILING_AT");
    at = which ? atol(which) : 0;
    which = getenv("FAILING_WHAT");
    calls = which && strcmp(which, "call") == 0;
    first = getpid();
    void *shared = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                        0);
    if (shared == MAP_FAILED)
        abort();
    seen = shared;
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; wanted && i < sizeof(faults) / sizeof(faults[0]); i++)
        signal(faults[i], on_fault);
}

__attribute__((destructor)) static void tell(void) {
    if (seen && getpid() == first)
        note("", *seen);
}

static bool fails(const void *caller, int error) {
    uintptr_t from = (uintptr_t)caller;
    for (size_t i = 0; seen && i < ranges_n; i++) {
        if (from < ranges[i].from || from >= ranges[i].to)
            continue;
        if (__atomic_add_fetch(seen, 1, __ATOMIC_RELAXED) != at)
            return false;
        errno = error;
        return true;
    }
    return false;
}
#define FAILS() (!calls && fails(__builtin_return_address(0), ENOMEM))

void *malloc(size_t size) {
    return FAILS() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    return FAILS() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
    return FAILS() ? NULL : __libc_realloc(p, size);
}

char *strdup(const char *s) {
    size_t size = strlen(s) + 1;
    char *copy = FAILS() ? NULL : __libc_malloc(size);
    return copy ? memcpy(copy, s, size) : NULL;
}

char *strndup(const char *s, size_t n) {
    size_t len = strnlen(s, n);
    char *copy = FAILS() ? NULL : __libc_calloc(len + 1, 1);
    return copy ? memcpy(copy, s, len) : NULL;
}

int __vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap);
int __vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap) {
    static int (*real)(char **ret, int flag, const char *fmt, va_list ap);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "__vasprintf_chk");
    return FAILS() ? -1 : real(ret, flag, fmt, ap);
}

// ---- calls ----

// What cannot fail when it is asked rightly (clocks, masks, random bytes) is not here. Each takes
// what fits into seven registers or words, whatever its own shape is: what it does not take is not
// looked at.
typedef long call_fn(long a, long b, long c, long d, long e, long f, long g);

#define CALL(name, bad, error)                                                                     \
    long fail_##name(long a, long b, long c, long d, long e, long f, long g) __asm__(#name);       \
    long fail_##name(long a, long b, long c, long d, long e, long f, long g) {                     \
        static call_fn *real;                                                                      \
        if (!real)                                                                                 \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        return calls && fails(__builtin_return_address(0), error) ? (bad)                          \
                                                                  : real(a, b, c, d, e, f, g);     \
    }

#define FILES(name) CALL(name, -1, EMFILE)
#define DISK(name)  CALL(name, -1, EIO)
#define ROOM(name)  CALL(name, -1, ENOSPC)
#define NET(name)   CALL(name, -1, ECONNRESET)
#define ODD(name)   CALL(name, -1, EINVAL)
#define NONE(name)  CALL(name, 0, EIO)

FILES(open)
FILES(open64)
FILES(openat)
FILES(openat64)
FILES(__open_2)
FILES(__open64_2)
FILES(__openat_2)
FILES(__openat64_2)
FILES(socket)
FILES(socketpair)
FILES(accept)
FILES(accept4)
FILES(pipe)
FILES(pipe2)
FILES(dup)
FILES(dup2)
FILES(dup3)
FILES(fcntl)
FILES(fcntl64)
FILES(epoll_create)
FILES(epoll_create1)
FILES(eventfd)
FILES(signalfd)
FILES(timerfd_create)
FILES(inotify_init1)

DISK(read)
DISK(__read_chk)
DISK(pread)
DISK(pread64)
DISK(__pread64_chk)
DISK(readv)
DISK(readlink)
DISK(readlinkat)
DISK(__readlink_chk)
DISK(stat)
DISK(stat64)
DISK(lstat)
DISK(lstat64)
DISK(fstat)
DISK(fstat64)
DISK(fstatat)
DISK(fstatat64)
DISK(statx)
DISK(fstatfs64)
DISK(statfs64)
DISK(access)
DISK(lseek)
DISK(fsync)
DISK(fdatasync)
DISK(unlink)
DISK(unlinkat)
DISK(rmdir)
DISK(flock)
DISK(chmod)
DISK(fchmod)
DISK(chown)
DISK(fchown)
DISK(lchown)
DISK(utimensat)
DISK(futimens)

ROOM(write)
ROOM(writev)
ROOM(pwrite)
ROOM(pwrite64)
ROOM(ftruncate)
ROOM(ftruncate64)
ROOM(rename)
ROOM(renameat)
ROOM(mkdir)
ROOM(mkdirat)
ROOM(link)
ROOM(symlink)
ROOM(sendfile64)

NET(recv)
NET(__recv_chk)
NET(recvfrom)
NET(recvmsg)
NET(send)
NET(sendto)
NET(sendmsg)
NET(connect)
NET(bind)
NET(listen)
NET(shutdown)
NET(getsockname)
NET(getpeername)

ODD(setsockopt)
ODD(getsockopt)
ODD(ioctl)
ODD(epoll_ctl)
ODD(inotify_add_watch)
ODD(poll)
ODD(ppoll)
ODD(kill)
ODD(prctl)
ODD(setrlimit)
ODD(setrlimit64)
ODD(getrlimit64)
ODD(setresuid)
ODD(setresgid)
ODD(setgroups)
ODD(setsid)
ODD(setpgid)
ODD(chdir)
ODD(waitpid)
ODD(waitid)

NONE(fopen)
NONE(fopen64)
NONE(fdopen)
NONE(opendir)
NONE(fdopendir)
NONE(readdir)
NONE(readdir64)
NONE(realpath)
NONE(getcwd)
CALL(fork, -1, EAGAIN)
CALL(mmap, -1, ENOMEM)
CALL(pthread_create, EAGAIN, EAGAIN)

// libuv ends the process where the kernel does what it cannot do, and says nothing.
void abort(void) {
    Dl_info by;
    if (dladdr(__builtin_return_address(0), &by) && by.dli_fname && strstr(by.dli_fname, "libuv"))
        dprintf(STDERR_FILENO, "libuv gives up\n");
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
    _exit(134);
}
