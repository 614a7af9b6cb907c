// The disk of the host whose turn it is: real files in a folder of the run, by calls that may find
// it full or read-only, and at each of which the worker may die. What was synced is remembered: a
// loss of power leaves that and nothing else. The linker puts these in front of the system's own
// (--wrap).
#include "base/check.h"
#include "base/own.h"
#include "tests/sim/sim.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
long __real_syscall(long number, ...);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
long __wrap_syscall(long number, ...);

static json_t *synced_files; // inode -> content
static json_t *synced_dirs;  // path -> {name: content}

static bool path_of(int fd, char *ret, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static enum disk_place place_of(const struct host *h, const char *path) {
    size_t n = strlen(h->dir);
    return strncmp(path, h->dir, n) == 0 && text_starts(path + n, "/conf") ? DISK_CONF : DISK_STATE;
}

// What the call fails with, 0: it does not.
static int trouble(const char *path, bool changes_names) {
    const struct host *h = sim->current;
    if (!h || !(h->fails[DISK_CONF] || h->fails[DISK_STATE]))
        return 0;
    if (!h->fails[place_of(h, path)])
        return 0;
    if (h->read_only)
        return EROFS;
    return changes_names ? 0 : ENOSPC;
}

static bool in_trouble(int fd, bool changes_names) {
    char path[512];
    const struct host *h = sim->current;
    if (!h || !(h->fails[DISK_CONF] || h->fails[DISK_STATE]) || !path_of(fd, path, sizeof path))
        return false;
    errno = trouble(path, changes_names);
    return errno != 0;
}

// ---- what survives ----

static void inode_key(ino_t ino, char ret[24]) {
    snprintf(ret, 24, "%llu", (unsigned long long)ino);
}

static void sync_file(int fd, const struct stat *st) {
    char key[24], link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    auto_fd int again = __real_open(link, O_RDONLY | O_CLOEXEC);
    char buf[32768];
    ssize_t n = again < 0 ? -1 : pread(again, buf, sizeof buf, 0);
    inode_key(st->st_ino, key);
    if (n >= 0)
        json_object_set_new(synced_files, key, json_stringn_nocheck(buf, (size_t)n));
}

static void sync_names(int fd) {
    char path[512], key[24];
    struct stat st;
    DIR *dir = path_of(fd, path, sizeof path) ? opendir(path) : NULL;
    if (!dir)
        return;
    json_t *names = json_object();
    for (const struct dirent *it; (it = readdir(dir));) {
        if (*it->d_name == '.' && (!it->d_name[1] || it->d_name[1] == '.'))
            continue;
        if (fstatat(dirfd(dir), it->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
            continue;
        inode_key(st.st_ino, key);
        json_t *content = json_object_get(synced_files, key);
        json_object_set_new(names, it->d_name, content ? json_incref(content) : json_string(""));
    }
    closedir(dir);
    json_object_set_new(synced_dirs, path, names);
}

static void put_back(const char *path, const json_t *names) {
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (const struct dirent *it; (it = readdir(dir));)
        unlinkat(dirfd(dir), it->d_name, 0);
    const char *name;
    json_t *content;
    json_object_foreach((json_t *)names, name, content) {
        auto_fd int fd = __real_openat(dirfd(dir), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        CHECK(fd >= 0 &&
              __real_write(fd, json_string_value(content), json_string_length(content)) >= 0);
    }
    closedir(dir);
}

void disk_recover(struct host *h) {
    static const char *const folders[] = {"conf", "state"};
    for (size_t i = 0; i < 2; i++) {
        auto_free char *path = xasprintf("%s/%s", h->dir, folders[i]);
        put_back(path, json_object_get(synced_dirs, path));
    }
}

// ---- the calls ----

ssize_t __wrap_write(int fd, const void *data, size_t len) {
    if (!sim || !sim->current)
        return __real_write(fd, data, len);
    point();
    if (in_trouble(fd, false)) {
        int why = errno;
        (void)!__real_write(fd, data, len / 2);
        errno = why;
        return -1;
    }
    ssize_t n = __real_write(fd, data, len);
    check_files(sim->current);
    point();
    return n;
}

int __wrap_fsync(int fd) {
    struct stat st;
    if (!sim || !sim->current)
        return __real_fsync(fd);
    point();
    if (!synced_files) {
        synced_files = json_object();
        synced_dirs = json_object();
    }
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        sync_names(fd);
    else
        sync_file(fd, &st);
    return 0;
}

int __wrap_rename(const char *from, const char *to) {
    point();
    int why = trouble(to, true);
    if (why) {
        errno = why;
        return -1;
    }
    int rc = __real_rename(from, to);
    point();
    return rc;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to) {
    point();
    if (in_trouble(to_dir, true))
        return -1;
    if (sim->current && text_ends(to, ".conf"))
        check_swap(sim->current, to);
    int rc = __real_renameat(from_dir, from, to_dir, to);
    if (sim->current)
        check_files(sim->current);
    point();
    return rc;
}

int __wrap_open(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    int why = flags & O_CREAT ? trouble(path, true) : 0;
    if (why) {
        errno = why;
        return -1;
    }
    return __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (flags & O_CREAT && in_trouble(dir, true))
        return -1;
    return __real_openat(dir, path, flags, mode);
}

// beneath.c has no other way to openat2.
long __wrap_syscall(long number, ...) {
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    const struct open_how *how = number == SYS_openat2 ? (const struct open_how *)a[2] : NULL;
    if (how && how->flags & O_CREAT && in_trouble((int)a[0], true))
        return -1;
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
