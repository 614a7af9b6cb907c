#include "sidecar/uploads.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/clerk.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_MAX_LEN = 100,
    UPLOADS_MAX = 1024,
    DEPTH_MAX = 100,  // folders open at a time
    REMOVE_MS = 3000, // the worker waits, and its watchdog with it
};
static const char PREFIX[] = "exec-";

static void close_dir(DIR **dir) {
    if (*dir)
        closedir(*dir);
}
#define auto_dir __attribute__((cleanup(close_dir)))

// ---- removed with all that a command left there ----

struct removal {
    int64_t until; // 0: takes its time
    bool late;
    int why; // 0: nothing stays
    char first[NAME_MAX + 1];
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_late(struct removal *r) {
    r->late = r->late || (r->until && now_ms() > r->until);
    return r->late;
}

static void stays(struct removal *r, const char *name, int why) {
    if (r->why || why == ENOENT)
        return;
    r->why = why;
    snprintf(r->first, sizeof r->first, "%s", name);
}

// What the command made, not what somebody has mounted there, nor what a link leads to.
static int open_inner(int at, const char *name) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, at, name, &how, sizeof how);
}

static void remove_folder(struct removal *r, int at, const char *name, int fd, int depth);

static void remove_entry(struct removal *r, int at, const char *name, int depth) {
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(at, name, 0) == 0)
        return;
    if (errno != EISDIR)
        stays(r, name, errno);
    else if (depth == DEPTH_MAX)
        stays(r, name, ENAMETOOLONG);
    else
        remove_folder(r, at, name, open_inner(at, name), depth + 1);
}

// Takes fd, of that folder; below 0: errno says why.
static void remove_folder(struct removal *r, int at, const char *name, int fd, int depth) {
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        stays(r, name, errno);
    if (!dir && fd >= 0)
        close(fd);
    for (struct dirent *e; dir && !is_late(r) && (e = readdir(dir));)
        remove_entry(r, dirfd(dir), e->d_name, depth);
    if (unlinkat(at, name, AT_REMOVEDIR))
        stays(r, name, r->late ? ETIME : errno);
}

static void empty(int at, const char *folder, int64_t budget_ms) {
    struct removal r = {.until = budget_ms ? now_ms() + budget_ms : 0};
    remove_folder(&r, at, folder,
                  openat(at, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), 0);
    if (r.why)
        log_warn("uploads %s: %s stays: %s (tried again when the sidecar starts)", folder, r.first,
                 strerror(r.why));
}

static void ask_remove(const char *folder) {
    auto_text struct text request = {0}, answer = {0};
    struct wire w;
    struct err err = ERR_INIT;
    wire_add_str(&request, folder);
    if (clerk_ask(UPLOADS_REMOVE, &request, &answer, &w, &err))
        log_warn("uploads %s stay: %s", folder, err.text);
}

void uploads_remove(char *folder) {
    if (folder && clerk_in_use())
        ask_remove(folder);
    else if (folder)
        empty(AT_FDCWD, folder, REMOVE_MS);
    free(folder);
}

void uploads_sweep(const char *below) {
    auto_dir DIR *dir = opendir(below);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (text_starts(e->d_name, PREFIX))
            empty(dirfd(dir), e->d_name, 0);
}

// The last component, without what a file name of ours never has.
static char *clean_name(const char *said) {
    const char *slash = strrchr(said, '/');
    const char *back = strrchr(said, '\\');
    const char *base = slash > back ? slash : back;
    char *name = xstrndup(base ? base + 1 : said, NAME_MAX_LEN);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '_';
    if (*name == '.' || *name == '-')
        *name = '_';
    return name;
}

static int write_upload(int dir, const struct upload *upload, struct err *err) {
    auto_free char *name = clean_name(upload->name);
    if (!*name)
        return err_set(err, ERR_USER, "an uploaded file has no name");
    auto_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_USER, "two uploaded files are both called %s", name);
    for (size_t at = 0; fd >= 0 && at < upload->len;) {
        ssize_t n = write(fd, (const char *)upload->data + at, upload->len - at);
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_REFUSED, errno, "upload %s", name);
        at += n > 0 ? (size_t)n : 0;
    }
    return fd < 0 ? err_errno(err, ERR_REFUSED, errno, "upload %s", name) : 0;
}

static char *write_here(const char *below, const struct upload *uploads, size_t n,
                        struct err *err) {
    auto_free char *folder = xasprintf("%s/%sXXXXXX", below, PREFIX);
    if (!mkdtemp(folder)) {
        err_errno(err, ERR_REFUSED, errno, "no folder for uploads below %s", below);
        return NULL;
    }
    auto_fd int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dir < 0 ? err_errno(err, ERR_REFUSED, errno, "%s", folder) : 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_upload(dir, &uploads[i], err);
    if (rc == 0)
        return take_ptr(folder);
    empty(AT_FDCWD, folder, REMOVE_MS);
    return NULL;
}

static char *ask_write(const struct upload *uploads, size_t n, struct err *err) {
    auto_text struct text request = {0}, answer = {0};
    struct wire w;
    struct err why = ERR_INIT;
    wire_add_int(&request, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        wire_add_str(&request, uploads[i].name);
        wire_add(&request, uploads[i].data, uploads[i].len);
    }
    if (clerk_ask(UPLOADS_WRITE, &request, &answer, &w, err))
        return NULL;
    wire_get_err(&w, &why);
    const char *folder = wire_str(&w);
    if (why.kind != ERR_NONE || !folder) {
        err_copy(err, &why);
        return NULL;
    }
    return xstrdup(folder);
}

char *uploads_write(const char *below, const struct upload *uploads, size_t n, struct err *err) {
    return clerk_in_use() ? ask_write(uploads, n, err) : write_here(below, uploads, n, err);
}

// ---- for who has no files ----

void uploads_write_duty(struct wire *request, struct text *answer, const void *arg) {
    struct err err = ERR_INIT;
    int64_t n = wire_int(request);
    if (n < 0 || n > UPLOADS_MAX)
        request->broken = 1;
    size_t len = request->broken ? 0 : (size_t)n;
    auto_free struct upload *uploads = xcalloc(len + 1, sizeof *uploads);
    for (size_t i = 0; i < len; i++) {
        const char *name = wire_str(request);
        uploads[i].name = name ? name : "";
        uploads[i].data = wire_bytes(request, &uploads[i].len);
    }
    auto_free char *folder = request->broken ? NULL : write_here(arg, uploads, len, &err);
    wire_add_err(answer, &err);
    wire_add_str(answer, folder);
}

bool uploads_is_folder(const char *below, const char *path) {
    auto_free char *start = xasprintf("%s/%s", below, PREFIX);
    return text_starts(path, start) && !strchr(path + strlen(start), '/');
}

void uploads_remove_duty(struct wire *request, struct text *answer, const void *arg) {
    const char *folder = wire_str(request);
    if (folder && uploads_is_folder(arg, folder))
        empty(AT_FDCWD, folder, REMOVE_MS);
    else
        request->broken = 1;
    wire_add_int(answer, 0);
}
