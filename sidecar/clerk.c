#include "sidecar/clerk.h"
#include "base/check.h"
#include "base/own.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int line = -1;

void clerk_use(int fd) {
    line = fd;
}

bool clerk_in_use(void) {
    return line >= 0;
}

// ---- a whole message ----

static int read_whole(int fd, void *buf, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)buf + at, len - at, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

static int write_whole(int fd, const void *buf, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)buf + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

static int take(int fd, struct text *ret) {
    int64_t len;
    if (read_whole(fd, &len, sizeof len) || len <= 0 || len > WIRE_MAX)
        return -1;
    text_clear(ret);
    auto_free char *data = xcalloc(1, (size_t)len);
    if (read_whole(fd, data, (size_t)len))
        return -1;
    text_addn(ret, data, (size_t)len);
    return 0;
}

static int give(int fd, const struct text *message) {
    int64_t len = (int64_t)message->len;
    return write_whole(fd, &len, sizeof len) || write_whole(fd, message->s, message->len) ? -1 : 0;
}

// ---- asking ----

int clerk_ask(const char *duty, const struct text *request, struct text *answer, struct wire *ret,
              struct err *err) {
    auto_text struct text message = {0};
    wire_add_str(&message, duty);
    text_addn(&message, text_str(request), request->len);
    if (give(line, &message) || take(line, answer))
        return err_set(err, ERR_RETRY, "the process that writes our files is gone");
    *ret = (struct wire){.at = answer->s, .end = answer->s + answer->len};
    return 0;
}

// ---- serving ----

void clerk_serve(int fd, const struct clerk_duty *duties) {
    auto_text struct text message = {0}, answer = {0};
    if (take(fd, &message))
        _exit(0);
    struct wire w = {.at = message.s, .end = message.s + message.len};
    const char *name = wire_str(&w);
    const struct clerk_duty *d = duties;
    while (d->name && (w.broken || !text_same(d->name, name)))
        d++;
    if (!d->name)
        _exit(1);
    d->fn(&w, &answer, d->arg);
    if (w.broken || w.at != w.end)
        _exit(1);
    if (give(fd, &answer))
        _exit(0);
}
