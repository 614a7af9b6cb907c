// Growable text, durations and strict numbers. Not thread-safe; a struct text belongs to one scope
// or struct.
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *s; // always NUL-terminated once anything was added; NULL before
    size_t len, room;
};

#define auto_text __attribute__((cleanup(text_done)))
void text_done(struct text *t);  // frees the contents; t may be used again
void text_clear(struct text *t); // empty, memory kept
void text_add(struct text *t, const char *s);
void text_addn(struct text *t, const void *s, size_t n);
void text_addc(struct text *t, char c);
// What others wrote, as UTF-8: each byte that is none, and each NUL, becomes U+FFFD.
void text_add_utf8(struct text *t, const char *s, size_t len);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *text_str(const struct text *t); // "" when empty; never NULL
char *text_take(struct text *t);            // the caller frees; t is empty after

bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);
bool text_same(const char *a, const char *b); // NULL equals NULL only
bool text_is_utf8(const char *s, size_t len);
// s quoted as in a log: "..." with control characters, quotes and backslashes escaped, cut after
// max bytes.
void text_quote(struct text *t, const char *s, size_t max);

// Whole decimal number within [min, max]; nothing before or after it.
int text_int(const char *s, int64_t min, int64_t max, int64_t *ret, struct err *err) must_check;
// "500ms" "5s" "2m" "1h" in milliseconds; a bare "0" too. Anything else is ERR_USER.
int text_duration(const char *s, int64_t *ret_ms, struct err *err) must_check;
void text_add_duration(struct text *t, int64_t ms); // "500ms", "5s", "2m"
// "64m" "1g" "512k" bytes, as docker and compose read it.
int text_bytes(const char *s, int64_t *ret, struct err *err) must_check;

// A copy of s, of which nothing is left where it was: for passwords in argv, which anybody on the
// machine may read. s must be writable. Caller frees.
char *text_withdraw(char *s);

// Splits at any of the bytes of `at`; empty parts are left out. NULL-ended array; free with
// text_list_free.
char **text_split(const char *s, const char *at);
void text_list_free(char **list); // takes NULL
size_t text_list_len(char *const *list);
