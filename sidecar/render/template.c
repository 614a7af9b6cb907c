#include "sidecar/render/template.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/render/pieces.h"
#include "sidecar/render/prelude.h"
#include "sidecar/render/template_scope.h"
#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Some seconds of pure Lua; the clock is looked at as well, for a machine that is busy.
enum { HOOK_EVERY = 100000, HOOKS_MAX = 2000, SECONDS_MAX = 3, EXPRESSION_SHOWN = 60 };

#define CHUNK "=T"

// One run. Lua leaves functions by longjmp, so whatever must be released belongs to this and not to
// a scope within.
struct run {
    const char *name; // of the template
    struct pieces pieces;
    struct text code; // the chunk
    int *lines;       // line of the chunk, from 1 -> line of the template
    size_t lines_len, lines_room;
    const json_t *scope;
    struct text *out;
    size_t memory;
    int hooks;
    int64_t started;
    int line; // where it failed, 0 unknown
    struct err *err;
};

static struct run *run_of(lua_State *L) {
    return *(struct run **)lua_getextraspace(L);
}

static int64_t now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec;
}

// ---- writing the chunk ----

static void map_line(struct run *run, int line) {
    if (run->lines_len == run->lines_room) {
        run->lines_room = run->lines_room ? 2 * run->lines_room : 64;
        run->lines = xrealloc(run->lines, run->lines_room * sizeof *run->lines);
    }
    run->lines[run->lines_len++] = line;
}

// Lua text as it stands in the template, each of its lines mapped; what follows it in the chunk
// must begin with a newline, because it may end in a comment.
static void add_lua(struct run *run, const struct piece *it) {
    int line = it->line;
    for (size_t i = 0; i < it->len; i++)
        if (it->s[i] == '\n')
            map_line(run, line++);
    map_line(run, line);
    text_addn(&run->code, it->s, it->len);
}

static void write_chunk(struct run *run) {
    text_add(&run->code, "local __text, __put = ...\n");
    map_line(run, 1);
    for (size_t i = 0; i < run->pieces.len; i++) {
        const struct piece *it = &run->pieces.list[i];
        switch (it->kind) {
        case PIECE_TEXT:
            text_addf(&run->code, "__text(%zu)\n", i);
            map_line(run, it->line);
            break;
        case PIECE_EXPRESSION:
            text_add(&run->code, "__put((");
            add_lua(run, it);
            text_addf(&run->code, "\n), %zu)\n", i);
            map_line(run, it->line);
            break;
        case PIECE_STATEMENT:
            add_lua(run, it);
            text_add(&run->code, "\n");
            break;
        }
    }
}

static int template_line(const struct run *run, int chunk_line) {
    size_t i = chunk_line > 0 ? (size_t)chunk_line - 1 : 0;
    if (!run->lines_len)
        return 0;
    return run->lines[i < run->lines_len ? i : run->lines_len - 1];
}

// ---- errors ----

// A message of Lua's may repeat any byte of the template.
static void tame(char *s) {
    json_t *utf8 = json_string(s);
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || (!utf8 && (unsigned char)*c >= 0x80))
            *c = '?';
    json_decref(utf8);
}

// "T:12: what" -> 12 and "what".
static const char *strip_place(const char *message, int *line) {
    const char *s = message;
    size_t n = strcspn(s, ":");
    bool ours = !strncmp(s, "T:", 2) || !strncmp(s, "prelude:", 8);
    if (!ours || !isdigit((unsigned char)s[n + 1]))
        return message;
    size_t digits = strspn(s + n + 1, "0123456789");
    if (strncmp(s + n + 1 + digits, ": ", 2))
        return message;
    *line = *s == 'T' ? atoi(s + n + 1) : 0;
    return s + n + 1 + digits + 2;
}

static int refuse(struct run *run, enum err_kind kind, int line, const char *message) {
    auto_free char *s = xstrdup(message);
    tame(s);
    if (line)
        return err_set(run->err, kind, "%s:%d: %s", run->name, line, s);
    return err_set(run->err, kind, "%s: %s", run->name, s);
}

// The innermost line of the template that is being executed.
static int on_error(lua_State *L) {
    struct run *run = run_of(L);
    lua_Debug at;
    for (int level = 0; !run->line && lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (!strcmp(at.short_src, "T") && at.currentline > 0)
            run->line = template_line(run, at.currentline);
    }
    return 1;
}

// "'end' expected (to close 'for' at line 12)" speaks of the chunk.
static char *map_inner_line(const struct run *run, char *what) {
    static const char words[] = "' at line ";
    const char *at = strstr(what, words);
    if (!at)
        return what;
    const char *digits = at + strlen(words);
    char *mapped = xasprintf("%.*s%s%d%s", (int)(at - what), what, words,
                             template_line(run, atoi(digits)),
                             digits + strspn(digits, "0123456789"));
    free(what);
    return mapped;
}

static int failed(struct run *run, lua_State *L, int rc, enum err_kind kind) {
    if (rc == LUA_ERRMEM)
        return err_set(run->err, kind, "%s: needs more than %d MiB of memory", run->name,
                       TEMPLATE_MEMORY_MAX >> 20);
    const char *message = lua_tostring(L, -1);
    int chunk_line = 0;
    auto_free char *what = xstrdup(strip_place(message ? message : "failed", &chunk_line));
    // The parser stumbled over a line of ours: what it misses belongs to the statement before.
    char *ours = strstr(what, " near '__");
    if (ours) {
        *ours = '\0';
        chunk_line -= chunk_line > 1;
    }
    if (!run->line && chunk_line)
        run->line = template_line(run, chunk_line);
    if (chunk_line) // of the parser
        what = map_inner_line(run, take_ptr(what));
    return refuse(run, kind, run->line, what);
}

// ---- the state ----

static void *allocate(void *arg, void *p, size_t before, size_t after) {
    struct run *run = arg;
    size_t was = p ? before : 0;
    if (!after) {
        free(p);
        run->memory -= was;
        return NULL;
    }
    if (after > was && run->memory - was + after > TEMPLATE_MEMORY_MAX)
        return NULL;
    void *it = realloc(p, after);
    if (it)
        run->memory = run->memory - was + after;
    return it;
}

static void on_count(lua_State *L, lua_Debug *at) {
    (void)at;
    struct run *run = run_of(L);
    if (++run->hooks > HOOKS_MAX || now_s() - run->started > SECONDS_MAX)
        luaL_error(L, "runs too long");
}

static lua_State *open_state(struct run *run) {
    run->started = now_s();
    lua_State *L = lua_newstate(allocate, run);
    CHECK(L);
    *(struct run **)lua_getextraspace(L) = run;
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_EVERY);
    return L;
}

// ---- functions of ours ----

// As text, in place; false when there is none.
static bool to_text(lua_State *L, int at) {
    if (lua_isinteger(L, at) || lua_type(L, at) == LUA_TSTRING)
        return true;
    if (lua_type(L, at) == LUA_TBOOLEAN) {
        lua_pushstring(L, lua_toboolean(L, at) ? "true" : "false");
        lua_replace(L, at);
        return true;
    }
    if (lua_type(L, at) != LUA_TNUMBER)
        return false;
    lua_Number n = lua_tonumber(L, at);
    if (!isfinite(n))
        return false;
    char s[64];
    snprintf(s, sizeof s, n > -1e15 && n < 1e15 && n == (lua_Number)(long long)n ? "%.0f" : "%.14g",
             n);
    lua_pushstring(L, s);
    lua_replace(L, at);
    return true;
}

static const char *what_is(lua_State *L, int at) {
    if (lua_isnil(L, at))
        return "has no value";
    return lua_type(L, at) == LUA_TNUMBER
               ? lua_pushstring(L, "is not a finite number")
               : lua_pushfstring(L, "is a %s, not text", luaL_typename(L, at));
}

static int fn_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    if (lua_isnil(L, 1))
        lua_pushstring(L, "nil");
    else if (to_text(L, 1))
        lua_settop(L, 1), lua_tostring(L, 1);
    else
        return luaL_error(L, "tostring: the value %s", what_is(L, 1));
    return 1;
}

static int fn_fail(lua_State *L) {
    lua_settop(L, 1);
    if (!to_text(L, 1))
        lua_pushstring(L, "fail() without a reason");
    lua_tostring(L, -1);
    return lua_error(L);
}

static int fn_rep(lua_State *L) {
    size_t len, sep;
    luaL_checklstring(L, 1, &len);
    double n = (double)luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &sep);
    if (n > 0 && n * (double)(len + sep) > TEMPLATE_OUTPUT_MAX)
        return luaL_error(L, "string.rep: longer than %d KiB", TEMPLATE_OUTPUT_MAX / 1024);
    lua_settop(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 3, 1);
    return 1;
}

static void put(lua_State *L, const char *s, size_t len) {
    struct run *run = run_of(L);
    if (len > TEMPLATE_OUTPUT_MAX - run->out->len)
        luaL_error(L, "the result is larger than %d KiB", TEMPLATE_OUTPUT_MAX / 1024);
    text_addn(run->out, s, len);
}

static const struct piece *piece_of(lua_State *L, int at) {
    const struct run *run = run_of(L);
    lua_Integer i = luaL_checkinteger(L, at);
    luaL_argcheck(L, i >= 0 && (size_t)i < run->pieces.len, at, "no piece");
    return &run->pieces.list[i];
}

static int fn_text(lua_State *L) {
    const struct piece *it = piece_of(L, 1);
    put(L, it->s, it->len);
    return 0;
}

static int fn_put(lua_State *L) {
    if (!to_text(L, 1)) {
        const struct piece *it = piece_of(L, 2);
        size_t n = it->len < EXPRESSION_SHOWN ? it->len : EXPRESSION_SHOWN;
        const char *what = what_is(L, 1), *shown = lua_pushlstring(L, it->s, n);
        return luaL_error(L, "{{%s%s}} %s", shown, n < it->len ? "... " : "", what);
    }
    size_t len;
    const char *s = lua_tolstring(L, 1, &len);
    put(L, s, len);
    return 0;
}

// ---- what a template may call ----

static void without(lua_State *L, const char *const *names) {
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
}

// env is on top and stays there.
static void add_libraries(lua_State *L) {
    static const char *const no_string[] = {"dump", "pack", "packsize", "unpack", NULL};
    static const char *const no_math[] = {"random", "randomseed", NULL};
    static const char *const from_base[] = {"tonumber", "type", "select", NULL};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    without(L, no_string);
    lua_getfield(L, -1, "rep");
    lua_pushcclosure(L, fn_rep, 1);
    lua_setfield(L, -2, "rep");
    lua_setfield(L, -2, "string");
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    lua_setfield(L, -2, "table");
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    without(L, no_math);
    lua_setfield(L, -2, "math");
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    for (const char *const *name = from_base; *name; name++) {
        lua_getfield(L, -1, *name);
        lua_setfield(L, -3, *name);
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, fn_tostring);
    lua_setfield(L, -2, "tostring");
    lua_pushcfunction(L, fn_fail);
    lua_setfield(L, -2, "fail");
}

// The prelude is written in Lua and adds its functions to env; it is given what templates are not.
static void run_prelude(lua_State *L) {
    int env = lua_gettop(L);
    if (luaL_loadbufferx(L, prelude, strlen(prelude), "=prelude", "t"))
        lua_error(L);
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    int base = lua_gettop(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, env);
    lua_pushvalue(L, base);
    lua_call(L, 2, 0);
    lua_settop(L, env);
}

// ---- running ----

static int execute(lua_State *L) {
    struct run *run = run_of(L);
    lua_newtable(L);
    add_libraries(L);
    template_scope(L, run->scope);
    run_prelude(L);
    template_strict(L, "");
    if (luaL_loadbufferx(L, text_str(&run->code), run->code.len, CHUNK, "t"))
        return lua_error(L);
    lua_pushvalue(L, -2);
    lua_setupvalue(L, -2, 1);
    lua_pushcfunction(L, fn_text);
    lua_pushcfunction(L, fn_put);
    lua_call(L, 2, 0);
    return 0;
}

static int compile(lua_State *L) {
    struct run *run = run_of(L);
    if (luaL_loadbufferx(L, text_str(&run->code), run->code.len, CHUNK, "t"))
        return lua_error(L);
    return 0;
}

static int with_state(struct run *run, lua_CFunction fn, enum err_kind kind) {
    lua_State *L = open_state(run);
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, fn);
    int rc = lua_pcall(L, 0, 0, 1);
    int result = rc ? failed(run, L, rc, kind) : 0;
    lua_close(L);
    return result;
}

static void run_done(struct run *run) {
    pieces_done(&run->pieces);
    text_done(&run->code);
    free(run->lines);
}

// An expression must be one by itself: `a) .. (b` is none, though the chunk would take it.
static int check_expression(struct run *run, const struct piece *it) {
    text_clear(&run->code);
    run->lines_len = 0;
    for (size_t i = 0; i < it->len && isspace((unsigned char)it->s[i]); i++)
        if (i + 1 == it->len)
            return refuse(run, ERR_USER, it->line, "{{ }} holds no expression");
    if (!it->len)
        return refuse(run, ERR_USER, it->line, "{{}} holds no expression");
    text_add(&run->code, "return ");
    add_lua(run, it);
    text_add(&run->code, "\n");
    return with_state(run, compile, ERR_USER);
}

static int prepare(struct run *run, const char *text) {
    struct err cut = ERR_INIT;
    if (pieces_cut(text, &run->pieces, &cut))
        return err_set(run->err, ERR_USER, "%s:%s", run->name, cut.text);
    for (size_t i = 0; i < run->pieces.len; i++)
        if (run->pieces.list[i].kind == PIECE_EXPRESSION &&
            check_expression(run, &run->pieces.list[i]))
            return -1;
    text_clear(&run->code);
    run->lines_len = 0;
    run->line = 0;
    write_chunk(run);
    return 0;
}

int template_check(const char *name, const char *text, struct err *err) {
    struct run run = {.name = name, .err = err};
    int result = prepare(&run, text);
    if (!result)
        result = with_state(&run, compile, ERR_USER);
    run_done(&run);
    return result;
}

int template_render(const char *name, const char *text, const json_t *scope, struct text *ret,
                    struct err *err) {
    struct text out = {0};
    struct run run = {.name = name, .scope = scope, .out = &out, .err = err};
    int result = prepare(&run, text);
    if (!result)
        result = with_state(&run, execute, ERR_REFUSED);
    run_done(&run);
    if (!result) {
        text_addn(ret, text_str(&out), out.len);
    }
    text_done(&out);
    return result;
}
