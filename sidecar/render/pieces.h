// A template cut into text, expressions and statements. Pure. A line that holds nothing but
// statements leaves no empty line behind; everything else is kept to the byte. Braces within Lua
// strings, comments and tables do not end an expression.
#pragma once
#include "base/err.h"
#include <stddef.h>

enum piece_kind { PIECE_TEXT, PIECE_EXPRESSION, PIECE_STATEMENT };

struct piece {
    enum piece_kind kind;
    const char *s; // borrowed from the template
    size_t len;
    int line; // where s begins
};

struct pieces {
    struct piece *list;
    size_t len, room;
};

// ERR_USER: "7: {{ is never closed".
int pieces_cut(const char *text, struct pieces *ret, struct err *err) must_check;
void pieces_done(struct pieces *p);
