// Columns of text for a terminal: as wide as their widest cell, two blanks between them, the last
// one as it comes.
#pragma once
#include "base/json.h"
#include <stddef.h>

// heads: NULL-ended; one that begins with '>' is a column of numbers, ranged right. rows: an array
// of arrays of strings, one for each head; an empty one is printed as "-".
void table_print(const char *const *heads, const json_t *rows);
