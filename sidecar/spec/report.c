#include "sidecar/spec/report.h"
#include "base/check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINTS_MAX = 200 };

// What is quoted comes from outside: nothing in it may break the line or steer a terminal.
static void tame(char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

void report_add(struct report *r, int line, int col, const char *key, const char *fmt, ...) {
    if (r->len == COMPLAINTS_MAX) {
        r->cut = true;
        return;
    }
    char *sentence = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&sentence, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *what = *key ? xasprintf("%s: %s", key, sentence) : xstrdup(sentence);
    free(sentence);
    tame(what);
    if (r->len == r->room) {
        r->room = r->room ? 2 * r->room : 8;
        r->list = xrealloc(r->list, r->room * sizeof *r->list);
    }
    r->list[r->len] = (struct complaint){line, col, what, r->len};
    r->len++;
}

static int by_place(const void *va, const void *vb) {
    const struct complaint *a = va, *b = vb;
    if (!a->line != !b->line) // what is not in the text comes last
        return !a->line - !b->line;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->col != b->col)
        return a->col < b->col ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void tell_one(const struct report *r, const struct complaint *c, struct text *ret) {
    if (c->line)
        text_addf(ret, "%s:%d:%d: %s\n", r->name, c->line, c->col, c->what);
    else
        text_addf(ret, "%s\n", c->what);
}

int report_tell(struct report *r, struct text *ret, struct err *err) {
    if (!r->len)
        return 0;
    qsort(r->list, r->len, sizeof *r->list, by_place);
    for (size_t i = 0; ret && i < r->len; i++)
        tell_one(r, &r->list[i], ret);
    if (ret && r->cut)
        text_addf(ret, "%s: there are more mistakes than these %d\n", r->name, COMPLAINTS_MAX);
    struct text first = {0};
    tell_one(r, &r->list[0], &first);
    first.s[first.len - 1] = '\0';
    err_set(err, ERR_USER, "%s", first.s);
    text_done(&first);
    return -1;
}

void report_done(struct report *r) {
    for (size_t i = 0; i < r->len; i++)
        free(r->list[i].what);
    free(r->list);
    *r = (struct report){.name = r->name};
}
