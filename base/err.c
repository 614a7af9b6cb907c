#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// An argument may be err->text itself, so nothing is formatted in place.
struct sentence {
    char s[sizeof(((struct err *)0)->text)];
};

// A cut in the middle of a UTF-8 character would make the sentence unfit for JSON.
static void trim_utf8(char *s) {
    size_t len = strlen(s), back = 0;
    while (back < 3 && back < len && ((unsigned char)s[len - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == len)
        return;
    unsigned char lead = (unsigned char)s[len - 1 - back];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (want > back + 1)
        s[len - 1 - back] = '\0';
}

static void store(struct err *err, enum err_kind kind, int code, const char *text, size_t wanted) {
    err->kind = kind;
    err->code = code;
    memcpy(err->text, text, strlen(text) + 1);
    if (wanted >= sizeof(err->text))
        trim_utf8(err->text);
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) {
    if (!err)
        return -1;
    struct sentence it;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(it.s, sizeof(it.s), fmt, ap);
    va_end(ap);
    store(err, kind, 0, it.s, (size_t)n);
    return -1;
}

int err_code(struct err *err, enum err_kind kind, int code, const char *fmt, ...) {
    if (!err)
        return -1;
    struct sentence it;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(it.s, sizeof(it.s), fmt, ap);
    va_end(ap);
    store(err, kind, code, it.s, (size_t)n);
    return -1;
}

int err_errno(struct err *err, enum err_kind kind, int errno_, const char *fmt, ...) {
    if (!err)
        return -1;
    struct sentence what, it;
    char buf[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what.s, sizeof(what.s), fmt, ap);
    va_end(ap);
    int n = snprintf(it.s, sizeof(it.s), "%s: %s", what.s, strerror_r(errno_, buf, sizeof(buf)));
    store(err, kind, errno_, it.s, (size_t)n);
    return -1;
}

int err_wrap(struct err *err, const char *fmt, ...) {
    if (!err)
        return -1;
    struct sentence context, it;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context.s, sizeof(context.s), fmt, ap);
    va_end(ap);
    int n = snprintf(it.s, sizeof(it.s), "%s: %s", context.s, err->text);
    store(err, err->kind, err->code, it.s, (size_t)n);
    return -1;
}

int err_copy(struct err *err, const struct err *from) {
    if (err && err != from)
        *err = *from;
    return -1;
}

const char *err_kind_name(enum err_kind kind) {
    static const char *const names[] = {
        [ERR_NONE] = "none",           [ERR_USER] = "user",         [ERR_REFUSED] = "refused",
        [ERR_RETRY] = "retry",         [ERR_TIMEOUT] = "timeout",   [ERR_GONE] = "gone",
        [ERR_ABSENT] = "absent",       [ERR_EXISTS] = "exists",     [ERR_FENCED] = "fenced",
        [ERR_DETACHED] = "detached",   [ERR_STRANGER] = "stranger", [ERR_LIMIT] = "limit",
        [ERR_CANCELLED] = "cancelled", [ERR_BUG] = "bug",
    };
    size_t i = (size_t)kind;
    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "unknown";
}
