#include "sidecar/render/pieces.h"
#include "base/check.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void add(struct pieces *p, enum piece_kind kind, const char *s, size_t len, int line) {
    if (kind == PIECE_TEXT && !len)
        return;
    if (p->len == p->room) {
        p->room = p->room ? 2 * p->room : 16;
        p->list = xrealloc(p->list, p->room * sizeof *p->list);
    }
    p->list[p->len++] = (struct piece){kind, s, len, line};
}

void pieces_done(struct pieces *p) {
    free(p->list);
    *p = (struct pieces){0};
}

static int lines(const char *s, size_t len) {
    int n = 0;
    for (size_t i = 0; i < len; i++)
        n += s[i] == '\n';
    return n;
}

// ---- where Lua ends ----

// "[[", "[==[": the number of '=' plus one; 0: no long bracket.
static size_t long_open(const char *s) {
    if (*s != '[')
        return 0;
    size_t n = strspn(s + 1, "=");
    return s[1 + n] == '[' ? n + 1 : 0;
}

static const char *after_long(const char *s, size_t level) {
    for (s += level + 1; (s = strchr(s, ']')); s++)
        if (strspn(s + 1, "=") == level - 1 && s[level] == ']')
            return s + level + 1;
    return NULL;
}

static const char *after_quoted(const char *s) {
    char quote = *s;
    for (s++; *s && *s != quote && *s != '\n'; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s == quote ? s + 1 : s;
}

// A line comment ends with its line, or with what closes the piece.
static const char *after_comment(const char *s, const char *close) {
    size_t level = long_open(s + 2);
    if (level)
        return after_long(s + 2, level);
    for (s += 2; *s && *s != '\n' && !(s[0] == close[0] && s[1] == close[1]); s++)
        ;
    return s;
}

// The end of the Lua text that begins at s: where `close` stands outside strings, comments and
// tables. NULL: nowhere.
static const char *end_of_lua(const char *s, const char *close) {
    int depth = 0;
    while (s && *s) {
        if (depth == 0 && s[0] == close[0] && s[1] == close[1])
            return s;
        size_t level = long_open(s);
        if (*s == '"' || *s == '\'')
            s = after_quoted(s);
        else if (s[0] == '-' && s[1] == '-')
            s = after_comment(s, close);
        else if (level)
            s = after_long(s, level);
        else {
            depth += (*s == '{') - (*s == '}' && depth > 0);
            s++;
        }
    }
    return NULL;
}

// ---- cutting ----

static const char *next_open(const char *s) {
    while ((s = strchr(s, '{')) && s[1] != '{' && s[1] != '%')
        s++;
    return s;
}

static int cut_all(const char *text, struct pieces *p, struct err *err) {
    int line = 1;
    for (;;) {
        const char *open = next_open(text);
        size_t len = open ? (size_t)(open - text) : strlen(text);
        add(p, PIECE_TEXT, text, len, line);
        if (!open)
            return 0;
        line += lines(text, len);
        bool expression = open[1] == '{';
        const char *end = end_of_lua(open + 2, expression ? "}}" : "%}");
        if (!end)
            return err_set(err, ERR_USER, "%d: %s is never closed", line, expression ? "{{" : "{%");
        len = (size_t)(end - open) - 2;
        add(p, expression ? PIECE_EXPRESSION : PIECE_STATEMENT, open + 2, len, line);
        line += lines(open + 2, len);
        text = end + 2;
    }
}

// ---- lines of statements ----

static bool blank(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

// The line in hand as it goes to the result: what lies between two newlines of text.
struct line {
    struct pieces pieces;
    bool statement, visible;
};

static void flush(struct pieces *ret, struct line *line) {
    bool drop = line->statement && !line->visible;
    for (size_t i = 0; i < line->pieces.len; i++) {
        const struct piece *it = &line->pieces.list[i];
        if (!drop || it->kind == PIECE_STATEMENT)
            add(ret, it->kind, it->s, it->len, it->line);
    }
    line->pieces.len = 0;
    line->statement = line->visible = false;
}

static void add_text(struct pieces *ret, struct line *line, const struct piece *it) {
    const char *s = it->s, *end = it->s + it->len;
    int at = it->line;
    while (s < end) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t len = newline ? (size_t)(newline - s) : (size_t)(end - s);
        line->visible = line->visible || !blank(s, len);
        add(&line->pieces, PIECE_TEXT, s, len + (newline != NULL), at);
        if (newline)
            flush(ret, line);
        at += newline != NULL;
        s += len + (newline != NULL);
    }
}

int pieces_cut(const char *text, struct pieces *ret, struct err *err) {
    struct pieces raw = {0}, out = {0};
    struct line line = {0};
    int result = cut_all(text, &raw, err);
    for (size_t i = 0; !result && i < raw.len; i++) {
        const struct piece *it = &raw.list[i];
        if (it->kind == PIECE_TEXT) {
            add_text(&out, &line, it);
            continue;
        }
        line.statement = line.statement || it->kind == PIECE_STATEMENT;
        line.visible = line.visible || it->kind == PIECE_EXPRESSION;
        add(&line.pieces, it->kind, it->s, it->len, it->line);
    }
    flush(&out, &line);
    pieces_done(&raw);
    pieces_done(&line.pieces);
    if (result)
        pieces_done(&out);
    else
        *ret = out;
    return result;
}
