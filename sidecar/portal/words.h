// A command line as words, without a shell: pure. Spaces and tabs part words; '...' keeps
// everything as it is; "..." keeps everything but \" \\ \$ and \`; a backslash outside of quotes
// keeps the next character. Everything else stands for itself: no variable, no pattern, no pipe, no
// second command.
#pragma once
#include "base/err.h"

// NULL-ended, free with text_list_free; may be empty. NULL: ERR_USER, a quote is not closed.
char **words_split(const char *line, struct err *err) must_check;
