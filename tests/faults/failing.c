// Loaded before everything else (LD_PRELOAD): one allocation of the program, or of a library that
// it uses, finds no memory: the FAILING_AT-th. How many there were is written to FAILING_COUNT,
// those of its forks with them. FAILING_IN is a program that the first one runs, maybe often: each
// run of it has its n-th fail and its line there, a fault one more, as its parent may not tell.
// What the test's own library asks for, and libc for itself, is always granted.
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

static bool fails(const void *caller) {
    uintptr_t from = (uintptr_t)caller;
    for (size_t i = 0; seen && i < ranges_n; i++) {
        if (from < ranges[i].from || from >= ranges[i].to)
            continue;
        if (__atomic_add_fetch(seen, 1, __ATOMIC_RELAXED) != at)
            return false;
        errno = ENOMEM;
        return true;
    }
    return false;
}
#define FAILS() fails(__builtin_return_address(0))

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
