// Checks of our own mistakes, never compiled out, and allocation that does not come back without
// memory: the worker aborts and init restarts it. Never CHECK what a peer, a file or a user can
// cause.
#pragma once
#include <stddef.h>

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

_Noreturn void check_failed(const char *cond, const char *file, int line);

void *xcalloc(size_t n, size_t size) __attribute__((returns_nonnull, malloc));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((returns_nonnull)); // s must not be NULL
char *xstrndup(const char *s, size_t n) __attribute__((returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
