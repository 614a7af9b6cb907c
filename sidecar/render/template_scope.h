// What a template knows: JSON as tables of Lua that say which name is missing, instead of a nil
// that shows up somewhere else. Both may leave by Lua's error (longjmp): only under a protected
// call.
#pragma once
#include "base/json.h"

struct lua_State; // Lua itself is for the .c files

// Each key of scope becomes a field of the table on top. A null is as if it were not there.
void template_scope(struct lua_State *L, const json_t *scope);
// Whoever reads from the table on top what it does not hold is told so, with the table's path
// ("pods[1]"; "" of the outermost). In a table of ports a number that is not there stands for
// itself: a port that is not mapped is reached at its own.
void template_strict(struct lua_State *L, const char *path);
