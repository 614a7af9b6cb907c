#include "docker-api/frames.h"
#include <string.h>
#include <time.h>

// ---- frames ----

enum { STREAM_MAX = 3, HEAD = 8 };

static bool head_is_sane(const unsigned char *head) {
    return head[0] <= STREAM_MAX && !head[1] && !head[2] && !head[3];
}

// How much of data the header took.
static size_t take_head(struct frames *f, const char *data, size_t len) {
    size_t n = HEAD - f->have < len ? HEAD - f->have : len;
    memcpy(f->head + f->have, data, n);
    f->have += n;
    if (f->have == HEAD)
        f->left = (uint32_t)f->head[4] << 24 | (uint32_t)f->head[5] << 16 |
                  (uint32_t)f->head[6] << 8 | f->head[7];
    return n;
}

int frames_feed(struct frames *f, const char *data, size_t len, frames_fn *fn, void *arg,
                struct err *err) {
    while (len) {
        bool had_head = f->have == HEAD;
        size_t n = had_head ? (f->left < len ? f->left : len) : take_head(f, data, len);
        if (f->have < HEAD)
            return 0;
        if (!had_head && !head_is_sane(f->head))
            return err_set(err, ERR_RETRY, "the engine's stream is not in frames");
        if (had_head)
            f->left -= (uint32_t)n;
        bool last = f->left == 0;
        if (last)
            f->have = 0;
        if ((had_head || last) && !fn(f->head[0], data, had_head ? n : 0, last, arg))
            return 0;
        data += n;
        len -= n;
    }
    return 0;
}

// ---- JSON lines ----

static size_t skip_blank(const char **s, size_t len) {
    while (len && strchr(" \t\r\x1e", **s) && **s) {
        (*s)++;
        len--;
    }
    return len;
}

// The text is taken out first: fn may end the reader.
static bool jsonl_emit(struct jsonl *j, jsonl_fn *fn, void *arg) {
    auto_text struct text taken = j->line;
    j->line = (struct text){0};
    const char *s = text_str(&taken);
    size_t len = skip_blank(&s, taken.len);
    return !len || fn(s, len, arg);
}

int jsonl_feed(struct jsonl *j, const char *data, size_t len, size_t max, jsonl_fn *fn, void *arg,
               struct err *err) {
    while (len) {
        const char *end = memchr(data, '\n', len);
        size_t n = end ? (size_t)(end - data) : len;
        if (n > max || j->line.len > max - n)
            return err_set(err, ERR_LIMIT, "a line of the engine's stream is longer than %zu bytes",
                           max);
        text_addn(&j->line, data, n);
        if (!end)
            return 0;
        data += n + 1;
        len -= n + 1;
        if (!jsonl_emit(j, fn, arg))
            return 0;
    }
    return 0;
}

void jsonl_done(struct jsonl *j) {
    text_done(&j->line);
}

// ---- log lines ----

enum { STAMP_MAX = 36 }; // 2006-01-02T15:04:05.000000000+00:00 and the space

// n digits at s, or -1.
static int digits(const char *s, size_t n) {
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        value = value * 10 + s[i] - '0';
    }
    return value;
}

// "Z" or "+hh:mm" in seconds; its length, or 0.
static size_t zone(const char *s, size_t len, int *ret_seconds) {
    if (len && *s == 'Z') {
        *ret_seconds = 0;
        return 1;
    }
    if (len < 6 || (*s != '+' && *s != '-') || s[3] != ':')
        return 0;
    int hours = digits(s + 1, 2), minutes = digits(s + 4, 2);
    if (hours < 0 || minutes < 0)
        return 0;
    *ret_seconds = (*s == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return 6;
}

static bool date(const char *s, struct tm *ret) {
    if (s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':')
        return false;
    int year = digits(s, 4), month = digits(s + 5, 2), day = digits(s + 8, 2);
    int hour = digits(s + 11, 2), minute = digits(s + 14, 2), second = digits(s + 17, 2);
    if (year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
        minute < 0 || second < 0)
        return false;
    *ret = (struct tm){.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};
    return true;
}

size_t lines_stamp(const char *s, size_t len, int64_t *ret_ns) {
    struct tm tm;
    if (len < 21 || !date(s, &tm))
        return 0;
    size_t at = 19;
    int64_t nanos = 0;
    if (s[at] == '.') {
        int64_t unit = 100000000;
        for (at++; at < len && s[at] >= '0' && s[at] <= '9'; at++, unit /= 10)
            nanos += unit * (s[at] - '0');
    }
    int offset = 0;
    size_t n = zone(s + at, len - at, &offset);
    if (!n || at + n >= len || s[at + n] != ' ')
        return 0;
    *ret_ns = ((int64_t)timegm(&tm) - offset) * 1000000000 + nanos;
    return at + n + 1;
}

static bool lines_emit(struct lines *l, lines_fn *fn, void *arg) {
    auto_text struct text piece = l->piece;
    l->piece = (struct text){0};
    size_t at = lines_stamp(text_str(&piece), piece.len, &l->time_ns);
    size_t len = piece.len - at;
    if (len && piece.s[at + len - 1] == '\r')
        len--;
    return fn(text_str(&piece) + at, len, l->time_ns, arg);
}

// How much the piece at hand may still take: the stamp does not count.
static size_t room(struct lines *l) {
    int64_t ignored;
    size_t stamp = lines_stamp(text_str(&l->piece), l->piece.len, &ignored);
    size_t max = LINES_MAX + (stamp ? stamp : l->piece.len < STAMP_MAX ? STAMP_MAX : 0);
    return l->piece.len < max ? max - l->piece.len : 0;
}

bool lines_feed(struct lines *l, const char *data, size_t len, lines_fn *fn, void *arg) {
    while (len) {
        size_t max = room(l);
        // Cut only when one byte more arrives, so that how the bytes came makes no difference.
        if (!max) {
            bool newline = *data == '\n';
            data += newline;
            len -= newline;
            if (!lines_emit(l, fn, arg))
                return false;
            continue;
        }
        // Not past where a stamp may end: whether there is one decides the room.
        if (l->piece.len < STAMP_MAX && max > STAMP_MAX - l->piece.len)
            max = STAMP_MAX - l->piece.len;
        const char *end = memchr(data, '\n', max < len ? max : len);
        size_t n = end ? (size_t)(end - data) : max < len ? max : len;
        text_addn(&l->piece, data, n);
        n += end != NULL;
        data += n;
        len -= n;
        if (end && !lines_emit(l, fn, arg))
            return false;
    }
    return true;
}

bool lines_flush(struct lines *l, lines_fn *fn, void *arg) {
    return !l->piece.len || lines_emit(l, fn, arg);
}

void lines_done(struct lines *l) {
    text_done(&l->piece);
}
