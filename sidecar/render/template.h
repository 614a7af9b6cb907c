// One template: text with {{ expression }} and {% statement %}, both Lua 5.4. It is cut into pieces
// (pieces.c), written as a Lua chunk and run in a state of its own that knows nothing but the scope
// and a safe part of Lua's library (template.c, the only file that knows Lua). Strict: what is not
// there is an error that names template, line and key. Bounded: memory, instructions, output; but
// Lua's own hooks do not interrupt its string library, so a deadline that must hold needs a process
// to kill. Deterministic: pairs goes in order, there is no time and no chance.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

enum {
    TEMPLATE_OUTPUT_MAX = 1024 * 1024,
    TEMPLATE_MEMORY_MAX = 32 * 1024 * 1024,
};

// scope: every member is a name the template may use. ERR_REFUSED: "zoo.cfg.tmpl:7:
// pods[1].prots: no such name".
int template_render(const char *name, const char *text, const json_t *scope, struct text *ret,
                    struct err *err) must_check;
// Syntax only, nothing runs. ERR_USER; the same form.
int template_check(const char *name, const char *text, struct err *err) must_check;
