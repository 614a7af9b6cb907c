#include "base/log.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    RING = 32 * 1024,
    LINE_KEPT = 4 * 1024, // one endless line must not push all others out of the ring
};

// The one lock beside the inbox's: ZooKeeper's library logs from its threads.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int threshold = LOG_LEVEL_INFO;
static struct {
    char lines[RING]; // whole lines, each with its newline, oldest first
    size_t len;
    char **secrets; // longest first, NULL-ended
    char **said;    // the same, of log_secret_said
    void (*listener)(const char *line, size_t len, void *arg);
    void *listener_arg;
    uint64_t dropped; // lines that stderr had no room for
} ring;

void log_set_level(enum log_level level) {
    atomic_store(&threshold, level);
}

bool log_is(enum log_level level) {
    return (int)level <= atomic_load(&threshold);
}

static void insert_secret(char ***list, const char *secret) {
    size_t n = text_list_len(*list), at = 0;
    while (at < n && strlen((*list)[at]) >= strlen(secret))
        if (strcmp((*list)[at++], secret) == 0)
            return;
    *list = xrealloc(*list, (n + 2) * sizeof(**list));
    memmove(*list + at + 1, *list + at, (n - at) * sizeof(**list));
    (*list)[at] = xstrdup(secret);
    (*list)[n + 1] = NULL;
}

void log_secret(const char *secret) {
    if (!secret || !*secret)
        return;
    auto_text struct text quoted = {0};
    text_quote(&quoted, secret, SIZE_MAX);
    quoted.s[quoted.len - 1] = '\0';
    pthread_mutex_lock(&lock);
    insert_secret(&ring.secrets, secret);
    insert_secret(&ring.secrets, quoted.s + 1); // as text_quote would write it
    pthread_mutex_unlock(&lock);
}

void log_secret_said(const char *secret) {
    pthread_mutex_lock(&lock);
    insert_secret(&ring.said, secret);
    pthread_mutex_unlock(&lock);
}

static const char *secret_at(char *const *list, const char *s, size_t room, size_t *ret_len) {
    for (; list && *list; list++) {
        size_t len = strlen(*list);
        if (len <= room && memcmp(s, *list, len) == 0) {
            *ret_len = len;
            return *list;
        }
    }
    return NULL;
}

// One line, whatever it holds, and none of the secrets.
static void cleaned(struct text *t, const char *s, size_t len) {
    size_t skip;
    for (size_t i = 0; i < len; i++) {
        if (secret_at(ring.secrets, s + i, len - i, &skip)) {
            text_add(t, "***");
            i += skip - 1;
        } else {
            bool breaks = s[i] == '\n' || s[i] == '\0';
            text_addn(t, breaks ? " " : s + i, 1);
        }
    }
}

static void hide(char *s, char *const *list) {
    enum { LEAST = 8 };
    size_t len = strlen(s), to = 0, skip;
    for (size_t i = 0; i < len && list; i++) {
        bool hides = secret_at(list, s + i, len - i, &skip) && skip >= LEAST;
        if (hides) {
            memcpy(s + to, "***", 3);
            to += 3;
            i += skip - 1;
        } else {
            s[to++] = s[i];
        }
    }
    s[list ? to : len] = '\0';
}

void log_hide(char *s) {
    pthread_mutex_lock(&lock);
    hide(s, ring.secrets);
    pthread_mutex_unlock(&lock);
}

void log_hide_said(char *s) {
    pthread_mutex_lock(&lock);
    hide(s, ring.said);
    pthread_mutex_unlock(&lock);
}

static void keep(const char *line, size_t len) {
    while (ring.len + len + 1 > RING) {
        char *end = memchr(ring.lines, '\n', ring.len);
        size_t oldest = (size_t)(end + 1 - ring.lines);
        ring.len -= oldest;
        memmove(ring.lines, end + 1, ring.len);
    }
    memcpy(ring.lines + ring.len, line, len);
    ring.len += len;
    ring.lines[ring.len++] = '\n';
    if (ring.listener)
        ring.listener(line, len, ring.listener_arg);
}

// A pipe that nobody reads (the engine is away and its shim's buffers are full) must not stop the
// loop: POLLOUT on a pipe promises room for PIPE_BUF bytes, and without it the rest is dropped.
static bool pass_on(const char *s, size_t len) {
    while (len) {
        struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
            return false;
        ssize_t n = write(STDERR_FILENO, s, len < PIPE_BUF ? len : PIPE_BUF);
        if (n <= 0)
            return false;
        s += n;
        len -= (size_t)n;
    }
    return true;
}

static void emit(struct text *line) {
    if (line->len > LINE_KEPT) {
        auto_text struct text cut = {0};
        text_addn(&cut, line->s, LINE_KEPT - 3);
        text_add(&cut, "...");
        keep(cut.s, cut.len);
    } else {
        keep(text_str(line), line->len);
    }
    text_addc(line, '\n');
    if (!pass_on(line->s, line->len))
        ring.dropped++;
}

static void stamp(struct text *t, const char *level) {
    struct timespec now;
    struct tm utc;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    text_addf(t, "%s.%03ldZ %s ", date, now.tv_nsec / 1000000, level);
}

static void say_dropped(void) {
    auto_text struct text line = {0};
    stamp(&line, "warn");
    text_addf(&line, "log dropped=%llu reason=\"stderr was full\"",
              (unsigned long long)ring.dropped);
    text_addc(&line, '\n');
    if (pass_on(line.s, line.len))
        ring.dropped = 0;
}

__attribute__((format(printf, 3, 0))) static void say(enum log_level level, const char *name,
                                                      const char *fmt, va_list ap) {
    if (!log_is(level))
        return;
    auto_free char *message = NULL;
    int len = vasprintf(&message, fmt, ap);
    CHECK(len >= 0);
    auto_text struct text line = {0};
    pthread_mutex_lock(&lock);
    stamp(&line, name);
    cleaned(&line, message, (size_t)len);
    if (ring.dropped)
        say_dropped();
    emit(&line);
    pthread_mutex_unlock(&lock);
}

void log_err(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(LOG_LEVEL_ERR, "err", fmt, ap);
    va_end(ap);
}

void log_warn(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(LOG_LEVEL_WARN, "warn", fmt, ap);
    va_end(ap);
}

void log_info(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(LOG_LEVEL_INFO, "info", fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(LOG_LEVEL_DEBUG, "debug", fmt, ap);
    va_end(ap);
}

void log_keep(const char *line, size_t len) {
    if (len && line[len - 1] == '\n')
        len--;
    auto_text struct text t = {0};
    pthread_mutex_lock(&lock);
    cleaned(&t, line, len);
    emit(&t);
    pthread_mutex_unlock(&lock);
}

void log_each(void (*fn)(const char *line, size_t len, void *arg), void *arg) {
    pthread_mutex_lock(&lock);
    for (size_t at = 0; at < ring.len;) {
        size_t len = (size_t)((char *)memchr(ring.lines + at, '\n', ring.len - at) - ring.lines) -
                     at;
        fn(ring.lines + at, len, arg);
        at += len + 1;
    }
    pthread_mutex_unlock(&lock);
}

void log_listen(void (*fn)(const char *line, size_t len, void *arg), void *arg) {
    pthread_mutex_lock(&lock);
    ring.listener = fn;
    ring.listener_arg = arg;
    pthread_mutex_unlock(&lock);
}
