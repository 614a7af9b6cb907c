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
    text_add_utf8(&clean, text, strlen(text));
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
