#include "sidecar/secrets.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/clerk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void secrets_wipe(struct secret *secret) {
    if (secret->data)
        explicit_bzero(secret->data, secret->len);
    free(secret->data);
    *secret = (struct secret){0};
}

// A file that others may write is theirs. One that others may read is how engines hand out secrets
// (0444 in a folder of the container's own), so that is no reason to refuse it.
static int judge(int fd, const char *path, struct err *err) {
    struct stat st;
    if (fstat(fd, &st))
        return err_errno(err, ERR_USER, errno, "cannot read %.200s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_USER, "%.200s is not a file", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, ERR_USER, "%.200s can be written by others: chmod 0400", path);
    return 0;
}

static int fill(int fd, const char *path, struct secret *s, struct err *err) {
    ssize_t n = 1;
    while (s->len <= SECRETS_MAX && (n = read(fd, s->data + s->len, SECRETS_MAX + 1 - s->len)) > 0)
        s->len += (size_t)n;
    if (n < 0)
        return err_errno(err, ERR_USER, errno, "cannot read %.200s", path);
    if (s->len > SECRETS_MAX)
        return err_set(err, ERR_USER, "%.200s is larger than %d KiB", path, SECRETS_MAX / 1024);
    return s->len ? 0 : err_set(err, ERR_USER, "%.200s is empty", path);
}

static int read_here(const char *path, struct secret *ret, struct err *err) {
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, ERR_USER, errno, "cannot read %.200s", path);
    if (judge(fd, path, err))
        return -1;
    struct secret s = {.data = xcalloc(1, SECRETS_MAX + 2)};
    if (fill(fd, path, &s, err)) {
        s.len = SECRETS_MAX + 1;
        secrets_wipe(&s);
        return -1;
    }
    *ret = s;
    return 0;
}

static int ask_for(const char *path, struct secret *ret, struct err *err) {
    auto_text struct text request = {0}, answer = {0};
    struct wire w;
    struct err why = ERR_INIT;
    wire_add_str(&request, path);
    if (clerk_ask(SECRETS_READ, &request, &answer, &w, err))
        return -1;
    wire_get_err(&w, &why);
    size_t len;
    const char *data = wire_bytes(&w, &len);
    if (why.kind == ERR_NONE && (w.broken || !data || len > SECRETS_MAX))
        err_set(&why, ERR_RETRY, "cannot read %.200s: no answer", path);
    if (why.kind == ERR_NONE && data) {
        *ret = (struct secret){.data = xcalloc(1, SECRETS_MAX + 2), .len = len};
        memcpy(ret->data, data, len);
    }
    if (answer.s)
        explicit_bzero(answer.s, answer.len);
    return why.kind == ERR_NONE ? 0 : err_copy(err, &why);
}

int secrets_read(const char *path, struct secret *ret, struct err *err) {
    return clerk_in_use() ? ask_for(path, ret, err) : read_here(path, ret, err);
}

void secrets_read_duty(struct wire *request, struct text *answer, const void *arg) {
    const char *path = wire_str(request);
    struct err err = ERR_INIT;
    struct secret s = {0};
    bool named = false;
    for (const char *const *it = arg; path && *it; it++)
        named |= strcmp(*it, path) == 0;
    if (named)
        (void)read_here(path, &s, &err);
    else
        err_set(&err, ERR_USER, "no file that the spec names");
    wire_add_err(answer, &err);
    wire_add(answer, s.data, s.len);
    secrets_wipe(&s);
}
