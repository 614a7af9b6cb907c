#include "sidecar/state/state.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

void state_set(char **field, const char *value) {
    char *copy = xstrdup(value ? value : "");
    free(*field);
    *field = copy;
}

void state_uuid(char ret[37]) {
    unsigned char b[16];
    CHECK(getrandom(b, sizeof b, 0) == sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

static bool is_uuid(const char *s) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
            return false;
    }
    return n == 36;
}

// ---- fields ----

struct field {
    const char *key;
    enum { TEXT, NUMBER, FLAG } type;
    size_t at;
};
#define FIELD(key, type)                                                                           \
    { #key, type, offsetof(struct state, key) }
static const struct field fields[] = {
    FIELD(pod_id, TEXT),      FIELD(seq, NUMBER),        FIELD(tree, TEXT),
    FIELD(epoch, NUMBER),     FIELD(round, NUMBER),      FIELD(off, FLAG),
    FIELD(dead, FLAG),        FIELD(started, FLAG),      FIELD(joined, FLAG),
    FIELD(initialized, FLAG), FIELD(generation, NUMBER), FIELD(hash, TEXT),
    FIELD(renewals, NUMBER),  FIELD(killed, FLAG),       FIELD(container, TEXT),
    FIELD(started_at, TEXT),  FIELD(owner, TEXT),        FIELD(ending, TEXT),
    FIELD(rolled, FLAG),      FIELD(woken, FLAG),        FIELD(untold, FLAG),
    FIELD(holds, TEXT),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static int field_read(struct state *state, const struct field *f, const json_t *j,
                      struct err *err) {
    void *at = (char *)state + f->at;
    const char *text = NULL;
    switch (f->type) {
    case NUMBER:
        return json_int(j, f->key, at, err);
    case FLAG:
        return json_flag(j, f->key, at, err);
    case TEXT:
        if (json_str(j, f->key, &text, err))
            return -1;
        if (text)
            state_set(at, text);
        return 0;
    }
    return 0;
}

static json_t *field_write(const struct state *state, const struct field *f) {
    const void *at = (const char *)state + f->at;
    switch (f->type) {
    case NUMBER:
        return json_integer(*(const int64_t *)at);
    case FLAG:
        return json_boolean(*(const bool *)at);
    case TEXT:
        return json_string(*(char *const *)at);
    }
    return NULL;
}

static int take(void *arg, const json_t *j, struct err *err) {
    struct state *state = arg;
    for (size_t i = 0; i < FIELDS; i++)
        if (field_read(state, &fields[i], j, err))
            return -1;
    if (!is_uuid(state->pod_id))
        return err_set(err, ERR_USER, "pod_id is no uuid");
    if (state->seq < -1 || state->epoch < 0 || state->round < 0)
        return err_set(err, ERR_USER, "seq, epoch or round is negative");
    json_t *applied = json_object_get(j, "applied");
    state->applied = json_is_object(applied) ? json_incref(applied) : NULL;
    return 0;
}

static void forget(struct state *state) {
    for (size_t i = 0; i < FIELDS; i++) {
        void *at = (char *)state + fields[i].at;
        if (fields[i].type == TEXT)
            state_set(at, "");
        else if (fields[i].type == FLAG)
            *(bool *)at = false;
        else
            *(int64_t *)at = 0;
    }
    state->seq = -1;
    json_decref(state->applied);
    state->applied = NULL;
}

// ---- the file ----

int state_save(struct state *state, struct err *err) {
    auto_json json_t *j = json_object();
    for (size_t i = 0; i < FIELDS; i++)
        put(j, fields[i].key, field_write(state, &fields[i]));
    put(j, "applied", state->applied ? json_incref(state->applied) : json_null());
    return state_write(state->dir, STATE_POD, j, err);
}

// ---- open, close ----

static int make_dir(const char *dir, struct err *err) {
    auto_free char *path = xstrdup(dir);
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0755) && errno != EEXIST)
            return err_errno(err, ERR_USER, errno, "state directory %s cannot be made", dir);
        *at = '/';
    }
    if (mkdir(path, 0700) && errno != EEXIST)
        return err_errno(err, ERR_USER, errno, "state directory %s cannot be made", dir);
    return 0;
}

// A worker that was killed has children that end a moment after it and hold its lock until then.
static int lock_soon(int fd) {
    enum { TRIES = 100, PAUSE_NS = 20 * 1000 * 1000 };
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    for (int i = 0; rc && errno == EWOULDBLOCK && i < TRIES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        rc = flock(fd, LOCK_EX | LOCK_NB);
    }
    return rc;
}

static int lock(struct state *state, struct err *err) {
    auto_free char *path = xasprintf("%s/lock", state->dir);
    state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->lock_fd < 0)
        return err_errno(err, ERR_USER, errno, "state directory %s cannot be used", state->dir);
    if (lock_soon(state->lock_fd) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(err, ERR_EXISTS,
                       "state directory %s is in use by another sidecar; give each its own",
                       state->dir);
    return err_errno(err, ERR_USER, errno, "lock %s", path);
}

static void state_release(struct state **state) {
    state_close(*state);
}

int state_open(const char *dir, bool off, struct state **ret, struct err *err) {
    __attribute__((cleanup(state_release))) struct state *state = xnew(struct state);
    state->lock_fd = -1;
    state->dir = xstrdup(dir);
    forget(state);
    if (make_dir(dir, err) || lock(state, err))
        return -1;
    bool there;
    if (state_read(dir, STATE_POD, take, state, &there, err))
        return -1;
    if (!there) {
        forget(state);
        state->off = off;
        char id[37];
        state_uuid(id);
        state_set(&state->pod_id, id);
        if (state_save(state, err)) {
            if (err)
                err->kind = ERR_USER;
            return -1;
        }
    }
    *ret = take_ptr(state);
    return 0;
}

void state_close(struct state *state) {
    if (!state)
        return;
    forget(state);
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].type == TEXT)
            free(*(char **)((char *)state + fields[i].at));
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    free(state->dir);
    free(state);
}
