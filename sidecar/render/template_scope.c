#include "sidecar/render/template_scope.h"
#include "base/text.h"
#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

// ---- names that are not there ----

static bool is_name(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_')
            return false;
    return true;
}

// "pods[1]" and "prots" -> "pods[1].prots", on the stack.
static const char *push_path(lua_State *L, const char *path, const char *key, lua_Integer index) {
    if (!key)
        return lua_pushfstring(L, "%s[%I]", path, (LUAI_UACINT)index);
    if (!is_name(key))
        return lua_pushfstring(L, "%s[\"%s\"]", path, key);
    return lua_pushfstring(L, "%s%s%s", path, *path ? "." : "", key);
}

static int missing(lua_State *L) {
    const char *path = lua_tostring(L, lua_upvalueindex(1));
    if (lua_isinteger(L, 2))
        path = push_path(L, path, NULL, lua_tointeger(L, 2));
    else if (lua_type(L, 2) == LUA_TSTRING)
        path = push_path(L, path, lua_tostring(L, 2), 0);
    else
        path = lua_pushfstring(L, "%s[%s]", path, luaL_typename(L, 2));
    lua_pushfstring(L, "%s: no such name", path);
    return lua_error(L);
}

// A port that is not mapped is reached at its own number; a number is as good as its label.
static int missing_port(lua_State *L) {
    if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_pushfstring(L, "%I", (LUAI_UACINT)lua_tointeger(L, 2));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL)
            return 1;
        lua_pop(L, 1);
        lua_replace(L, 2);
    }
    const char *label = lua_tostring(L, 2);
    int64_t port;
    if (!label || text_int(label, 1, 65535, &port, NULL))
        return missing(L);
    lua_pushinteger(L, port);
    return 1;
}

void template_strict(lua_State *L, const char *path) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, path);
    lua_pushcclosure(
        L, text_ends(path, "].ports") || text_ends(path, "self.ports") ? missing_port : missing, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

// ---- scope ----

static void push_json(lua_State *L, const json_t *j, const char *path);

static void push_object(lua_State *L, const json_t *j, const char *path) {
    const char *key;
    json_t *value;
    lua_createtable(L, 0, (int)json_object_size(j));
    json_object_foreach((json_t *)j, key, value) {
        const char *below = push_path(L, path, key, 0);
        push_json(L, value, below);
        if (lua_isnil(L, -1)) // null: as if it were not there
            lua_pop(L, 1);
        else
            lua_setfield(L, -3, key);
        lua_pop(L, 1);
    }
    template_strict(L, path);
}

static void push_array(lua_State *L, const json_t *j, const char *path) {
    size_t i;
    json_t *value;
    lua_createtable(L, (int)json_array_size(j), 0);
    json_array_foreach((json_t *)j, i, value) {
        const char *below = push_path(L, path, NULL, (lua_Integer)i + 1);
        push_json(L, value, below);
        lua_rawseti(L, -3, (lua_Integer)i + 1);
        lua_pop(L, 1);
    }
    template_strict(L, path);
}

static void push_json(lua_State *L, const json_t *j, const char *path) {
    luaL_checkstack(L, 8, "scope");
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        push_object(L, j, path);
        break;
    case JSON_ARRAY:
        push_array(L, j, path);
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(j));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(j));
        break;
    case JSON_NULL:
        lua_pushnil(L);
        break;
    }
}

void template_scope(lua_State *L, const json_t *scope) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)scope, key, value) {
        push_json(L, value, key);
        lua_setfield(L, -2, key);
    }
}
