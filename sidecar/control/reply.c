#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char JSON[] = "application/json; charset=utf-8";

int reply_status(enum err_kind kind) {
    static const int status[] = {
        [ERR_NONE] = 200,      [ERR_USER] = 400,     [ERR_REFUSED] = 406,  [ERR_RETRY] = 503,
        [ERR_TIMEOUT] = 408,   [ERR_GONE] = 410,     [ERR_ABSENT] = 404,   [ERR_EXISTS] = 409,
        [ERR_FENCED] = 412,    [ERR_DETACHED] = 409, [ERR_STRANGER] = 421, [ERR_LIMIT] = 413,
        [ERR_CANCELLED] = 503, [ERR_BUG] = 500,
    };
    size_t i = (size_t)kind;
    return i < sizeof(status) / sizeof(status[0]) ? status[i] : 500;
}

void reply_json(struct request *request, int status, const json_t *j) {
    char *body = j ? json_write(j) : xstrdup("{}");
    log_hide(body);
    request_answer(request, status, JSON, body, strlen(body));
}

struct server_answer *reply_keep(const json_t *j) {
    char *body = json_write(j);
    log_hide(body);
    return server_keep(200, JSON, body, strlen(body));
}

static char *error_body(const char *text) {
    auto_text struct text clean = {0};
    reply_add_utf8(&clean, text, strlen(text));
    auto_json json_t *j = json_object();
    CHECK(json_object_set_new(j, "error", json_string(text_str(&clean))) == 0);
    char *body = json_write(j);
    log_hide(body);
    return body;
}

void reply_error(struct request *request, const struct err *err) {
    request_refuse(request, reply_status(err->kind), NULL, error_body(err->text));
}

void reply_complaint(struct request *request, int status, const char *fmt, ...) {
    char text[sizeof(((struct err *)0)->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    request_refuse(request, status, NULL, error_body(text));
}

int reply_number(const char *name, const char *value, int64_t min, int64_t max, int64_t *ret,
                 struct err *err) {
    if (!value)
        return 0;
    return text_int(value, min, max, ret, err) ? err_wrap(err, "%s", name) : 0;
}

// Length of the UTF-8 character at s, 0 when there is none.
static size_t character(const unsigned char *s, size_t room) {
    if (s[0] < 0x80)
        return s[0] != 0;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > room)
        return 0;
    unsigned c = s[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    static const unsigned least[] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
    return c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff ? 0 : n;
}

void reply_add_utf8(struct text *t, const char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        size_t n = character((const unsigned char *)s + i, len - i);
        if (n)
            text_addn(t, s + i, n);
        else
            text_add(t, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
}
