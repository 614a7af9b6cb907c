// The file with the token: one a line, two at most. The first signs; both are heard, so that a new
// one can be brought to all pods before it is used and the old one be taken back after.
#pragma once
#include "base/err.h"
#include "sidecar/secrets.h"
#include <stddef.h>

enum { TOKENS_MAX = 2, TOKEN_MIN = 16, TOKEN_MAX = 512 };

struct tokens {
    char text[TOKENS_MAX][TOKEN_MAX + 1];
    size_t n;
};
// ERR_USER: none, too many, too short, too long, something that is no visible ASCII. Never says
// what is in it.
int tokens_parse(const struct secret *file, const char *path, struct tokens *ret,
                 struct err *err) must_check;
int tokens_read(const char *path, struct tokens *ret, struct err *err) must_check;
void tokens_wipe(struct tokens *tokens);
