// base/log.h, with the simulated time and the host in front. Nothing is kept.
#include "base/log.h"
#include "base/check.h"
#include "base/own.h"
#include "tests/sim/sim.h"
#include <stdarg.h>
#include <stdio.h>

static enum log_level level = LOG_LEVEL_INFO;

void log_set_level(enum log_level it) {
    level = it;
}

bool log_is(enum log_level it) {
    return it <= level;
}

void log_secret(const char *secret) {
    (void)secret; // not cut here: a line with one in it is to be seen
}

void log_secret_said(const char *secret) {
    (void)secret;
}

void log_hide_said(char *s) {
    (void)s;
}

void log_hide(char *s) {
    (void)s;
}

__attribute__((format(printf, 2, 0))) static void say(const char *name, const char *fmt,
                                                      va_list ap) {
    auto_free char *message = NULL;
    CHECK(vasprintf(&message, fmt, ap) >= 0);
    check_text("a log line", message);
    if (sim->verbose)
        fprintf(stderr, "%9.3f %-6s %-5s %s\n", (double)world_now() / 1000,
                sim->current ? sim->current->name : "-", name, message);
}

#define SAY(function, at, name)                                                                    \
    void function(const char *fmt, ...) {                                                          \
        va_list ap;                                                                                \
        if (!log_is(at))                                                                           \
            return;                                                                                \
        va_start(ap, fmt);                                                                         \
        say(name, fmt, ap);                                                                        \
        va_end(ap);                                                                                \
    }

SAY(log_err, LOG_LEVEL_ERR, "err")
SAY(log_warn, LOG_LEVEL_WARN, "warn")
SAY(log_info, LOG_LEVEL_INFO, "info")
SAY(log_debug, LOG_LEVEL_DEBUG, "debug")

void log_keep(const char *line, size_t len) {
    (void)line;
    (void)len;
}

void log_each(void (*fn)(const char *line, size_t len, void *arg), void *arg) {
    (void)fn;
    (void)arg;
}

void log_listen(void (*fn)(const char *line, size_t len, void *arg), void *arg) {
    (void)fn;
    (void)arg;
}
