#include "base/text.h"
#include "base/check.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_done(struct text *t) {
    free(t->s);
    *t = (struct text){0};
}

void text_clear(struct text *t) {
    t->len = 0;
    if (t->s)
        t->s[0] = '\0';
}

static void reserve(struct text *t, size_t more) {
    CHECK(more < SIZE_MAX / 4 - t->len);
    size_t need = t->len + more + 1;
    if (need <= t->room)
        return;
    size_t room = t->room ? t->room : 64;
    while (room < need)
        room *= 2;
    t->s = xrealloc(t->s, room);
    t->room = room;
}

void text_addn(struct text *t, const void *s, size_t n) {
    reserve(t, n);
    if (n)
        memcpy(t->s + t->len, s, n);
    t->len += n;
    t->s[t->len] = '\0';
}

void text_add(struct text *t, const char *s) {
    text_addn(t, s, strlen(s));
}

void text_addc(struct text *t, char c) {
    text_addn(t, &c, 1);
}

void text_addf(struct text *t, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    reserve(t, (size_t)n);
    vsnprintf(t->s + t->len, (size_t)n + 1, fmt, again);
    va_end(again);
    t->len += (size_t)n;
}

const char *text_str(const struct text *t) {
    return t->s ? t->s : "";
}

char *text_take(struct text *t) {
    char *s = t->s ? t->s : xstrdup("");
    *t = (struct text){0};
    return s;
}

bool text_starts(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool text_same(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

// Length of the UTF-8 character at s, 0 when there is none.
static size_t character(const unsigned char *s, size_t room, uint32_t *ret) {
    *ret = s[0];
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > room)
        return 0;
    uint32_t c = s[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    static const uint32_t least[] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    *ret = c;
    return c < least[n] || surrogate || c > 0x10ffff ? 0 : n;
}

bool text_is_utf8(const char *s, size_t len) {
    uint32_t c;
    for (size_t i = 0, n; i < len; i += n)
        if ((n = character((const unsigned char *)s + i, len - i, &c)) == 0)
            return false;
    return true;
}

void text_add_utf8(struct text *t, const char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t n = character((const unsigned char *)s + i, len - i, &c);
        if (n && c)
            text_addn(t, s + i, n);
        else
            text_add(t, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
}

// Of a character that may stand in a log as it is: none that would control a terminal.
static size_t printable(const unsigned char *s, size_t room) {
    uint32_t c;
    size_t n = character(s, room, &c);
    return c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : n;
}

static const char *escape_of(char c) {
    switch (c) {
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    default:
        return NULL;
    }
}

void text_quote(struct text *t, const char *s, size_t max) {
    size_t i = 0, len = strnlen(s, max);
    text_addc(t, '"');
    while (i < len) {
        const char *escape = escape_of(s[i]);
        size_t n = printable((const unsigned char *)s + i, strnlen(s + i, 4));
        if (escape)
            text_add(t, escape);
        else if (n)
            text_addn(t, s + i, n);
        else
            text_addf(t, "\\x%02x", (unsigned char)s[i]);
        i += escape || !n ? 1 : n;
    }
    text_add(t, s[i] ? "...\"" : "\"");
}

int text_int(const char *s, int64_t min, int64_t max, int64_t *ret, struct err *err) {
    const char *digits = s + (*s == '-');
    if (*digits && strspn(digits, "0123456789") == strlen(digits)) {
        errno = 0;
        int64_t v = strtoll(s, NULL, 10);
        if (errno == 0 && v >= min && v <= max) {
            *ret = v;
            return 0;
        }
    }
    return err_set(err, ERR_USER, "\"%.80s\" is not a whole number from %" PRId64 " to %" PRId64, s,
                   min, max);
}

static const struct {
    const char *name;
    int64_t ms;
} duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define DURATION_UNITS (sizeof(duration_units) / sizeof(duration_units[0]))

int text_duration(const char *s, int64_t *ret_ms, struct err *err) {
    size_t digits = strspn(s, "0123456789");
    errno = 0;
    int64_t n = digits ? strtoll(s, NULL, 10) : -1;
    if (strcmp(s, "0") == 0) {
        *ret_ms = 0;
        return 0;
    }
    for (size_t i = 0; n >= 0 && errno == 0 && i < DURATION_UNITS; i++)
        if (strcmp(s + digits, duration_units[i].name) == 0 &&
            n <= INT64_MAX / 1000000 / duration_units[i].ms) {
            *ret_ms = n * duration_units[i].ms;
            return 0;
        }
    return err_set(err, ERR_USER, "\"%.80s\" is not a duration like 500ms, 5s, 2m or 1h", s);
}

void text_add_duration(struct text *t, int64_t ms) {
    if (ms == 0) {
        text_addc(t, '0');
        return;
    }
    size_t i = 0;
    while (ms % duration_units[i].ms)
        i++;
    text_addf(t, "%" PRId64 "%s", ms / duration_units[i].ms, duration_units[i].name);
}

// Power of 1024 that a unit of docker's units.RAMInBytes stands for ("k", "KB", "kib", ...), or -1.
static int bytes_power(const char *unit) {
    static const char letters[] = "bkmgtp";
    if (!*unit)
        return 0;
    const char *at = strchr(letters, tolower((unsigned char)*unit));
    if (!at)
        return -1;
    bool plain = !unit[1];
    bool spelled = at != letters && (!strcasecmp(unit + 1, "b") || !strcasecmp(unit + 1, "ib"));
    return plain || spelled ? (int)(at - letters) : -1;
}

int text_bytes(const char *s, int64_t *ret, struct err *err) {
    size_t whole = strspn(s, "0123456789"), n = whole;
    if (whole && s[n] == '.' && isdigit((unsigned char)s[n + 1]))
        n += 1 + strspn(s + n + 1, "0123456789");
    int power = whole ? bytes_power(s + n + (s[n] == ' ' && s[n + 1])) : -1;
    if (power >= 0) {
        double v = strtod(s, NULL) * (double)(INT64_C(1) << 10 * power);
        if (v < 9e18) {
            *ret = (int64_t)v;
            return 0;
        }
    }
    return err_set(err, ERR_USER, "\"%.80s\" is not a size like 512k, 64m or 1g", s);
}

char *text_withdraw(char *s) {
    char *copy = xstrdup(s);
    explicit_bzero(s, strlen(s));
    return copy;
}

char **text_split(const char *s, const char *at) {
    size_t n = 0, room = 4;
    char **list = xcalloc(room, sizeof(*list));
    for (;;) {
        s += strspn(s, at);
        size_t len = strcspn(s, at);
        if (!len)
            break;
        if (n + 2 > room)
            list = xrealloc(list, (room *= 2) * sizeof(*list));
        list[n++] = xstrndup(s, len);
        s += len;
    }
    list[n] = NULL;
    return list;
}

void text_list_free(char **list) {
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

size_t text_list_len(char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}
