#include "base/check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Straight to stderr: the log may be what failed.
void check_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, cond);
    abort();
}

static void *granted(void *p, const char *what) {
    if (!p) {
        fprintf(stderr, "out of memory: %s\n", what);
        abort();
    }
    return p;
}

void *xcalloc(size_t n, size_t size) {
    return granted(calloc(n ? n : 1, size ? size : 1), "xcalloc");
}

void *xrealloc(void *p, size_t size) {
    return granted(realloc(p, size ? size : 1), "xrealloc");
}

char *xstrdup(const char *s) {
    return granted(strdup(s), "xstrdup");
}

char *xstrndup(const char *s, size_t n) {
    return granted(strndup(s, n), "xstrndup");
}

char *xasprintf(const char *fmt, ...) {
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return granted(n < 0 ? NULL : s, "xasprintf");
}
