#include "sidecar/render/beneath.h"
#include "base/own.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_below(int dir, const char *path, int flags, mode_t mode) {
    // No link is followed anywhere on the way; O_NOFOLLOW besides, where the last part is looked at
    // as what it is. With O_DIRECTORY it would only hide that there was a link.
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC | (flags & O_DIRECTORY ? 0 : O_NOFOLLOW),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    // A path that changes while it is walked is tried again; whoever changes it for ever gets an
    // error.
    for (int i = 0; i < 100; i++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            return (int)fd;
    }
    return -1;
}

static int refuse(struct err *err, int why, const char *path) {
    if (why == ENOENT)
        return err_set(err, ERR_ABSENT, "%s: its directory is not there", path);
    if (why == ENOSYS || why == EPERM)
        return err_set(err, ERR_REFUSED,
                       "%s: openat2 is refused; it takes Linux 5.6 and an engine whose seccomp "
                       "profile knows it (Docker 20.10)",
                       path);
    if (why == ELOOP)
        return err_set(err, ERR_REFUSED, "%s: goes through a symlink; remove it from the volume",
                       path);
    if (why == EXDEV)
        return err_set(err, ERR_REFUSED, "%s: leads out of its volume, or into another mount",
                       path);
    return err_errno(err, ERR_REFUSED, why, "%s", path);
}

// ---- roots ----

const char *beneath_root(const json_t *roots, const char *path) {
    const char *best = NULL;
    size_t i, longest = 0;
    json_t *it;
    json_array_foreach((json_t *)roots, i, it) {
        const char *root = json_string_value(it);
        size_t n = root ? strlen(root) : 0;
        while (n > 1 && root[n - 1] == '/')
            n--;
        if (!n || n < longest || strncmp(path, root, n) != 0)
            continue;
        if (n > 1 ? path[n] == '/' && path[n + 1] : path[1] != '\0') {
            best = root;
            longest = n;
        }
    }
    return best;
}

// ---- directories ----

static int enter(int at, const char *name, bool create) {
    int fd = open_below(at, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0 || errno != ENOENT || !create)
        return fd;
    if (mkdirat(at, name, 0755) && errno != EEXIST)
        return -1;
    fd = open_below(at, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        (void)fchmod(fd, 0755); // whatever the umask is
    return fd;
}

// Part by part: each is opened below the one before, so none can lead out.
static int walk(int root, const char *path, const char *end, bool create) {
    auto_fd int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
    while (at >= 0 && path < end) {
        size_t n = (size_t)((const char *)memchr(path, '/', (size_t)(end - path) + 1) - path);
        char part[NAME_MAX + 1];
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        int next = n ? enter(at, part, create) : fcntl(at, F_DUPFD_CLOEXEC, 3);
        int why = errno;
        close(at);
        at = next;
        errno = why;
        path += n + 1;
    }
    return take_fd(at);
}

int beneath_open(const char *root, const char *path, bool create, struct beneath *ret,
                 struct err *err) {
    ret->dir = -1;
    auto_fd int top = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0)
        return err_errno(err, ERR_REFUSED, errno, "%s: its volume %s", path, root);
    size_t n = strlen(root);
    while (n && root[n - 1] == '/')
        n--;
    const char *below = path + n + 1, *slash = strrchr(below, '/');
    int dir = walk(top, below, slash ? slash : below, create);
    if (dir < 0)
        return refuse(err, errno, path);
    ret->dir = dir;
    ret->name = slash ? slash + 1 : below;
    return 0;
}

void beneath_close(struct beneath *b) {
    if (b->dir >= 0)
        close(b->dir);
    b->dir = -1;
}

// ---- files ----

int beneath_file(const struct beneath *b, const char *name, int flags, mode_t mode) {
    return open_below(b->dir, name, flags | O_NONBLOCK | O_NOCTTY, mode);
}

int beneath_look(const struct beneath *b, const char *path, struct stat *ret, struct err *err) {
    auto_fd int fd = open_below(b->dir, b->name, O_PATH, 0);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_ABSENT, "%s: not there", path);
    if (fd < 0 && errno == EXDEV)
        return err_set(err, ERR_REFUSED, "%s: something is mounted there; it cannot be replaced",
                       path);
    if (fd < 0)
        return refuse(err, errno, path);
    struct stat st;
    if (fstat(fd, &st))
        return err_errno(err, ERR_REFUSED, errno, "%s", path);
    if (S_ISLNK(st.st_mode))
        return refuse(err, ELOOP, path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_REFUSED, "%s: is no plain file; remove it from the volume", path);
    if (st.st_nlink > 1)
        return err_set(err, ERR_REFUSED, "%s: is a file with other names (hard links); remove it",
                       path);
    *ret = st;
    return 0;
}
