#include "cli/send.h"
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

struct sent {
    struct link link;
    http_fn *fn;
    void *arg;
    char *line; // "GET url=..."
    int64_t began;
};

// Nobody hears of a call that is cancelled: its line stays here as long as the program runs.
static struct link open_ones;

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static char *describe(const struct http_request *request) {
    const char *at = strstr(request->url, "://"), *host = at ? at + 3 : request->url;
    const char *user = memchr(host, '@', strcspn(host, "/?#"));
    return xasprintf("%s url=%.*s%s", request->method ? request->method : "GET",
                     (int)(host - request->url), request->url, user ? user + 1 : host);
}

static void on_end(const struct http_reply *reply, const struct err *err, void *arg) {
    struct sent sent = *(struct sent *)arg;
    auto_free char *line = sent.line;
    list_remove(&((struct sent *)arg)->link);
    free(arg);
    log_debug("%s status=%d ms=%" PRId64 "%s%s", line, reply->status, now_ms() - sent.began,
              err->kind ? " error=" : "", err->kind ? err_kind_name(err->kind) : "");
    sent.fn(reply, err, sent.arg);
}

struct http_call *send_request(struct http *http, const struct http_request *request, http_fn *fn,
                               void *arg) {
    if (!log_is(LOG_LEVEL_DEBUG))
        return http_start(http, request, fn, arg);
    auto_free char *line = describe(request);
    if (request->on_data) { // it is called with arg as well
        log_debug("%s", line);
        return http_start(http, request, fn, arg);
    }
    struct sent *sent = xnew(struct sent);
    *sent = (struct sent){.fn = fn, .arg = arg, .line = take_ptr(line), .began = now_ms()};
    if (!open_ones.next)
        list_init(&open_ones);
    list_append(&open_ones, &sent->link);
    return http_start(http, request, on_end, sent);
}
