#include "sidecar/render/files.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/render/beneath.h"
#include "sidecar/render/journal.h"
#include "sidecar/runner/runner.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { LEFT_S = 24 * 60 * 60, POD_MAX = 40 };

static const json_t *roots_of(const json_t *argument) {
    return json_object_get(argument, "roots");
}

static int open_place(const json_t *argument, const char *path, bool create, struct beneath *ret,
                      struct err *err) {
    const char *root = beneath_root(roots_of(argument), path);
    ret->dir = -1;
    if (!root)
        return err_set(err, ERR_REFUSED, "%s: lies in no shared volume", path);
    return beneath_open(root, path, create, ret, err);
}

static int store_refused(struct err *err, const char *path) {
    int why = errno;
    const char *what = why == ENOSPC || why == EDQUOT ? "its volume is full"
                       : why == EROFS                 ? "its volume is read-only"
                                                      : "cannot be written";
    return err_errno(err, ERR_REFUSED, why, "%s: %s", path, what);
}

// ---- what is there ----

// ERR_NONE and -1 in *ret_same: nothing there. Content, not owner or time: images chown our files.
static int compare(const struct beneath *at, const char *path, const char *content, size_t len,
                   bool *ret_same, struct err *err) {
    struct stat st;
    struct err look = ERR_INIT;
    *ret_same = false;
    if (beneath_look(at, path, &st, &look))
        return look.kind == ERR_ABSENT ? 0 : err_copy(err, &look);
    if ((size_t)st.st_size != len)
        return 0;
    auto_fd int fd = beneath_file(at, at->name, O_RDONLY, 0);
    if (fd < 0)
        return err_errno(err, ERR_REFUSED, errno, "%s", path);
    // Whatever stands there now: only the bytes of a plain file are looked at.
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return err_set(err, ERR_REFUSED, "%s: is no plain file; remove it from the volume", path);
    char buf[16384];
    size_t done = 0;
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0 && (size_t)n <= len - done &&
           !memcmp(buf, content + done, (size_t)n))
        done += (size_t)n;
    *ret_same = n == 0 && done == len;
    return 0;
}

// ---- names ----

// Pods may share a folder: whose it is is said by the name. No pod's is the beginning of another's.
static char *prefix_of(const json_t *argument) {
    const char *pod = json_text(argument, "pod");
    struct text prefix = {0};
    text_add(&prefix, RUNNER_STAGED);
    for (size_t i = 0; pod[i] && i < POD_MAX; i++)
        text_addc(&prefix, isalnum((unsigned char)pod[i]) ? pod[i] : '_');
    text_addc(&prefix, '-');
    return text_take(&prefix);
}

// Beside the target, under a name that cannot be guessed and did not exist.
static char *staged_name(const json_t *argument, size_t n) {
    unsigned char secret[8];
    CHECK(getrandom(secret, sizeof secret, 0) == (ssize_t)sizeof secret);
    auto_free char *prefix = prefix_of(argument);
    struct text name = {0};
    text_addf(&name, "%s%zu-", prefix, n);
    for (size_t i = 0; i < sizeof secret; i++)
        text_addf(&name, "%02x", secret[i]);
    return text_take(&name);
}

// Of a pod that is no more, or of a version that named none: nobody swaps in what is as old as
// that.
static bool is_left(const struct beneath *at, const char *name) {
    struct stat st;
    struct timespec now;
    return !fstatat(at->dir, name, &st, AT_SYMLINK_NOFOLLOW) &&
           !clock_gettime(CLOCK_REALTIME, &now) && st.st_mtime < now.tv_sec - LEFT_S;
}

static void sweep(const struct beneath *at, const char *own) {
    int fd = fcntl(at->dir, F_DUPFD_CLOEXEC, 3);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return;
    rewinddir(dir);
    for (const struct dirent *it; (it = readdir(dir));)
        if (text_starts(it->d_name, own) ||
            (text_starts(it->d_name, RUNNER_STAGED) && is_left(at, it->d_name)))
            (void)unlinkat(at->dir, it->d_name, 0);
    closedir(dir);
}

// ---- staging ----

static int write_all(int fd, const char *s, size_t len) {
    while (len) {
        ssize_t n = write(fd, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        s += n;
        len -= (size_t)n;
    }
    return 0;
}

static int64_t number(const json_t *file, const char *key) {
    return json_integer_value(json_object_get(file, key));
}

static int fill(int fd, const json_t *file, const char *content, size_t len) {
    struct stat st;
    uid_t uid = (uid_t)number(file, "uid");
    gid_t gid = (gid_t)number(file, "gid");
    if (write_all(fd, content, len) || fstat(fd, &st))
        return -1;
    if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid))
        return -1;
    return fchmod(fd, (mode_t)number(file, "mode") & 0777) || fsync(fd) ? -1 : 0;
}

static int stage_in(const struct beneath *at, const json_t *file, const char *name,
                    struct err *err) {
    const char *target = json_text(file, "target");
    const json_t *content = json_object_get(file, "content");
    auto_fd int fd = beneath_file(at, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return store_refused(err, target);
    if (!fill(fd, file, json_string_value(content), json_string_length(content)))
        return 0;
    store_refused(err, target);
    (void)unlinkat(at->dir, name, 0);
    return -1;
}

struct staging {
    const json_t *argument;
    json_t *staged, *changed, *outside;
};

static int stage_one(struct staging *s, const json_t *file, size_t n, struct err *err) {
    const char *target = json_text(file, "target");
    const json_t *content = json_object_get(file, "content");
    if (!json_is_string(content) || *target != '/')
        return err_set(err, ERR_BUG, "a rendering without target or content");
    if (!beneath_root(roots_of(s->argument), target)) {
        json_array_append_new(s->outside, json_string(target));
        return 0;
    }
    auto_beneath struct beneath at = {.dir = -1};
    bool same;
    if (open_place(s->argument, target, true, &at, err) ||
        compare(&at, target, json_string_value(content), json_string_length(content), &same, err))
        return -1;
    auto_free char *name = staged_name(s->argument, n);
    if (stage_in(&at, file, name, err))
        return -1;
    json_array_append_new(s->staged,
                          json_pack("{ssso}", "target", target, "staged",
                                    json_sprintf("%.*s%s", (int)(at.name - target), target, name)));
    if (!same)
        json_array_append_new(s->changed, json_string(target));
    return 0;
}

static void sweep_beside(const json_t *argument, const json_t *files) {
    auto_free char *own = prefix_of(argument);
    size_t i;
    json_t *file;
    json_array_foreach((json_t *)files, i, file) {
        auto_beneath struct beneath at = {.dir = -1};
        if (!open_place(argument, json_text(file, "target"), false, &at, NULL))
            sweep(&at, own);
    }
}

json_t *files_stage(const json_t *argument, struct err *err) {
    const json_t *files = json_object_get(argument, "files");
    struct staging s = {.argument = argument,
                        .staged = json_array(),
                        .changed = json_array(),
                        .outside = json_array()};
    size_t i;
    json_t *file;
    int result = 0;
    sweep_beside(argument, files);
    json_array_foreach((json_t *)files, i, file) if (!result) result = stage_one(&s, file, i, err);
    if (result)
        sweep_beside(argument, files);
    json_t *answer = json_pack("{sososo}", "staged", s.staged, "changed", s.changed, "outside",
                               s.outside);
    if (!result)
        return answer;
    json_decref(answer);
    return NULL;
}

// ---- swapping ----

// Of a pair as we gave it out; what comes back is checked all the same.
static int pair_of(const json_t *pair, const char **target, const char **name, struct err *err) {
    const char *staged = json_text(pair, "staged");
    *target = json_text(pair, "target");
    const char *slash = strrchr(staged, '/'), *end = strrchr(*target, '/');
    *name = slash ? slash + 1 : "";
    if (slash && end && slash - staged == end - *target &&
        !strncmp(staged, *target, (size_t)(slash - staged)) && text_starts(*name, RUNNER_STAGED))
        return 0;
    return err_set(err, ERR_BUG, "%.100s was not staged for %.100s", staged, *target);
}

static int look_staged(const struct beneath *at, const char *name, const char *target,
                       struct err *err) {
    struct beneath staged = {.dir = at->dir, .name = name};
    struct stat st;
    struct err look = ERR_INIT;
    if (!beneath_look(&staged, target, &st, &look))
        return 0;
    if (look.kind == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "%s: what was staged is gone; it must be checked again",
                       target);
    return err_copy(err, &look);
}

// Before anything is touched: everything that was staged is there, and nothing stands in the way.
static int ready_to_swap(const json_t *argument, const json_t *pair, struct err *err) {
    const char *target, *name;
    auto_beneath struct beneath at = {.dir = -1};
    struct stat st;
    struct err look = ERR_INIT;
    if (pair_of(pair, &target, &name, err) || open_place(argument, target, false, &at, err) ||
        look_staged(&at, name, target, err))
        return -1;
    if (beneath_look(&at, target, &st, &look) && look.kind != ERR_ABSENT)
        return err_copy(err, &look);
    return 0;
}

static int swap_one(const json_t *argument, const json_t *pair, struct err *err) {
    const char *target, *name;
    auto_beneath struct beneath at = {.dir = -1};
    if (pair_of(pair, &target, &name, err) || open_place(argument, target, false, &at, err) ||
        look_staged(&at, name, target, err))
        return -1;
    if (renameat(at.dir, name, at.dir, at.name) || fsync(at.dir))
        return store_refused(err, target);
    return 0;
}

static const json_t *pairs_of(const json_t *argument) {
    const json_t *staged = json_object_get(argument, "staged");
    return json_is_object(staged) ? json_object_get(staged, "staged") : staged;
}

static int all_ready(const json_t *argument, const json_t *pairs, struct err *err) {
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)pairs, i, pair) if (ready_to_swap(argument, pair, err)) {
        if (err->kind == ERR_ABSENT)
            err->kind = ERR_REFUSED;
        return -1;
    }
    return 0;
}

json_t *files_ready(const json_t *argument, struct err *err) {
    const json_t *pairs = pairs_of(argument);
    if (all_ready(argument, pairs, err))
        return NULL;
    return json_pack("{sI}", "ready", (json_int_t)json_array_size(pairs));
}

json_t *files_swap(const json_t *argument, struct err *err) {
    const json_t *pairs = pairs_of(argument);
    const char *state_dir = json_text(argument, "state_dir");
    size_t i;
    json_t *pair;
    if (!json_array_size(pairs))
        return json_pack("{si}", "swapped", 0);
    if (all_ready(argument, pairs, err) || journal_write(state_dir, pairs, err))
        return NULL;
    json_array_foreach((json_t *)pairs, i, pair) if (swap_one(argument, pair, err)) {
        err->kind = ERR_REFUSED;
        return NULL; // the journal stays: recovering rolls forward what can be
    }
    journal_remove(state_dir);
    return json_pack("{sI}", "swapped", (json_int_t)json_array_size(pairs));
}

json_t *files_recover(const json_t *argument, struct err *err) {
    const char *state_dir = json_text(argument, "state_dir");
    auto_json json_t *pairs = journal_read(state_dir, err);
    if (!pairs)
        return NULL;
    size_t i;
    json_t *pair;
    json_int_t recovered = 0;
    struct err first = ERR_INIT;
    json_array_foreach(pairs, i, pair) {
        struct err one = ERR_INIT;
        if (!swap_one(argument, pair, &one))
            recovered++;
        else if (one.kind != ERR_ABSENT && first.kind == ERR_NONE) // absent: renamed before
            first = one;
    }
    if (first.kind != ERR_NONE) { // the journal stays: it can be tried again
        err_copy(err, &first);
        return NULL;
    }
    journal_remove(state_dir);
    // Whoever staged what still lies there was killed before it could rename or remove it.
    sweep_beside(argument, json_object_get(argument, "files"));
    return json_pack("{sI}", "recovered", recovered);
}

json_t *files_discard(const json_t *argument, struct err *err) {
    size_t i;
    json_t *pair;
    json_int_t discarded = 0;
    json_array_foreach((json_t *)pairs_of(argument), i, pair) {
        const char *target, *name;
        auto_beneath struct beneath at = {.dir = -1};
        if (pair_of(pair, &target, &name, err))
            return NULL;
        if (!open_place(argument, target, false, &at, NULL) && !unlinkat(at.dir, name, 0))
            discarded++;
    }
    return json_pack("{sI}", "discarded", discarded);
}
