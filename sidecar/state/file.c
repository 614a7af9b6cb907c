// The files of the state directory: written beside, fsynced, renamed. Done here, or by whoever has
// files (clerk.h).
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/clerk.h"
#include "sidecar/state/state.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_STATE = 4 << 20 };

// ---- here ----

// NULL: there is none (ERR_NONE), or it cannot be read.
static char *read_file(const char *path, size_t *ret_len, struct err *err) {
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        err_errno(err, ERR_USER, errno, "state %s", path);
        return NULL;
    }
    size_t room = st.st_size > MAX_STATE ? 0 : (size_t)st.st_size, len = 0;
    auto_free char *data = xcalloc(room + 1, 1);
    ssize_t n;
    while (len < room && (n = read(fd, data + len, room - len)) != 0) {
        // What cannot be read now is not what does not parse: it must not be moved aside.
        if (n < 0 && errno != EINTR) {
            err_errno(err, ERR_USER, errno, "state %s", path);
            return NULL;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    *ret_len = len;
    return take_ptr(data);
}

static int move_aside(const char *path, struct err *err) {
    auto_free char *aside = xasprintf("%s.broken", path);
    if (rename(path, aside))
        return err_errno(err, ERR_USER, errno, "state %s cannot be moved aside", path);
    return 0;
}

static int write_whole(int fd, const char *data, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, data + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return fsync(fd);
}

static int sync_dir(const char *path) {
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

static int write_file(const char *dir, const char *name, const char *data, size_t len,
                      struct err *err) {
    auto_free char *path = xasprintf("%s/%s", dir, name);
    auto_free char *beside = xasprintf("%s/%s.new", dir, name);
    auto_fd int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write_whole(fd, data, len) || rename(beside, path) || sync_dir(dir))
        return err_errno(err, ERR_REFUSED, errno, "state directory %s cannot be written", dir);
    return 0;
}

// ---- asked for ----

// All that is kept by way of a clerk. Not the journal of a swap, nor what it is written to before
// it is renamed, nor the lock.
static bool is_kept(const char *name) {
    static const char *const names[] = {STATE_POD, STATE_CLUSTER, STATE_CONTROL};
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_of(const char *pod_id, const char *data, size_t len) {
    auto_json json_t *j = json_read(data, len, MAX_STATE, STATE_POD, NULL);
    return strcmp(json_text(j, "pod_id"), pod_id) == 0;
}

void state_write_duty(struct wire *request, struct text *answer, const void *arg) {
    size_t len;
    const struct state_duty *duty = arg;
    const char *name = wire_str(request), *data = wire_bytes(request, &len);
    struct err err = ERR_INIT;
    if (!is_kept(name) || !data)
        err_set(&err, ERR_BUG, "no file of the state directory");
    else if (strcmp(name, STATE_POD) == 0 && !is_of(duty->pod_id, data, len))
        err_set(&err, ERR_BUG, "another pod's state");
    else
        (void)write_file(duty->dir, name, data, len, &err);
    wire_add_err(answer, &err);
}

void state_read_duty(struct wire *request, struct text *answer, const void *arg) {
    const char *name = wire_str(request);
    bool aside = wire_int(request) != 0;
    struct err err = ERR_INIT;
    size_t len = 0;
    auto_free char *path = xasprintf("%s/%s", (const char *)arg, is_kept(name) ? name : "");
    auto_free char *data = NULL;
    if (!is_kept(name))
        err_set(&err, ERR_BUG, "no file of the state directory");
    else if (aside)
        (void)move_aside(path, &err);
    else
        data = read_file(path, &len, &err);
    wire_add_err(answer, &err);
    wire_add_int(answer, data != NULL);
    wire_add(answer, data, len);
}

static char *ask_read(const char *name, bool aside, size_t *ret_len, struct err *err) {
    auto_text struct text request = {0}, answer = {0};
    struct wire w;
    struct err why = ERR_INIT;
    wire_add_str(&request, name);
    wire_add_int(&request, aside);
    if (clerk_ask(STATE_READ, &request, &answer, &w, err))
        return NULL;
    wire_get_err(&w, &why);
    bool there = wire_int(&w) != 0;
    const char *data = wire_bytes(&w, ret_len);
    if (why.kind != ERR_NONE)
        err_copy(err, &why);
    return there ? xstrndup(data, *ret_len) : NULL;
}

static int ask_write(const char *name, const char *data, struct err *err) {
    auto_text struct text request = {0}, answer = {0};
    struct wire w;
    struct err why = ERR_INIT;
    wire_add_str(&request, name);
    wire_add_str(&request, data);
    if (clerk_ask(STATE_WRITE, &request, &answer, &w, err))
        return -1;
    wire_get_err(&w, &why);
    return why.kind != ERR_NONE ? err_copy(err, &why) : 0;
}

// ---- either way ----

static int set_aside(const char *name, const char *path, struct err *err) {
    struct err why = ERR_INIT;
    size_t len;
    if (!clerk_in_use())
        return move_aside(path, err);
    free(ask_read(name, true, &len, &why));
    return why.kind != ERR_NONE ? err_copy(err, &why) : 0;
}

int state_read(const char *dir, const char *name, state_take_fn *take_it, void *arg,
               bool *ret_there, struct err *err) {
    size_t len;
    struct err why = ERR_INIT;
    auto_free char *path = xasprintf("%s/%s", dir, name);
    auto_free char *data = clerk_in_use() ? ask_read(name, false, &len, &why)
                                          : read_file(path, &len, &why);
    *ret_there = false;
    if (why.kind != ERR_NONE)
        return err_copy(err, &why);
    if (!data)
        return 0;
    auto_json json_t *j = json_read(data, len, MAX_STATE, path, &why);
    *ret_there = j && !take_it(arg, j, &why);
    if (*ret_there)
        return 0;
    if (set_aside(name, path, err))
        return -1;
    log_err("state %s moved_to=%s.broken reason=\"%s\" (what it held starts anew)", path, path,
            why.text);
    return 0;
}

int state_write(const char *dir, const char *name, const json_t *j, struct err *err) {
    auto_free char *data = json_write(j);
    return clerk_in_use() ? ask_write(name, data, err)
                          : write_file(dir, name, data, strlen(data), err);
}
