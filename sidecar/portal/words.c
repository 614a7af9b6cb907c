#include "sidecar/portal/words.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <string.h>

static const char GAPS[] = " \t";

struct words {
    char **list;
    size_t n;
};

static void add(struct words *w, struct text *word) {
    w->list = xrealloc(w->list, (w->n + 2) * sizeof *w->list);
    w->list[w->n++] = word->s ? text_take(word) : xstrdup("");
    w->list[w->n] = NULL;
}

// What stands in quotes, from behind the first to behind the last; NULL: there is no last.
static const char *take_quoted(const char *at, char quote, struct text *word) {
    for (; *at && *at != quote; at++) {
        if (quote == '"' && *at == '\\' && at[1] && strchr("\"\\$`", at[1]))
            at++;
        text_addc(word, *at);
    }
    return *at ? at + 1 : NULL;
}

static const char *take_word(const char *at, struct text *word) {
    while (at && *at && !strchr(GAPS, *at)) {
        if (*at == '\'' || *at == '"') {
            at = take_quoted(at + 1, *at, word);
            continue;
        }
        if (*at == '\\' && at[1])
            at++;
        text_addc(word, *at++);
    }
    return at;
}

char **words_split(const char *line, struct err *err) {
    struct words w = {.list = xcalloc(1, sizeof(char *))};
    const char *at = line + strspn(line, GAPS);
    while (at && *at) {
        auto_text struct text word = {0};
        at = take_word(at, &word);
        if (!at)
            break;
        add(&w, &word);
        at += strspn(at, GAPS);
    }
    if (at)
        return w.list;
    text_list_free(w.list);
    err_set(err, ERR_USER, "a quote is not closed");
    return NULL;
}
