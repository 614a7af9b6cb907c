// Inside of runner/: what travels between the worker and a job. Length-prefixed byte strings and
// numbers in host order (both ends are the same program); a whole message is preceded by its
// length. Reading never goes past the end.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include <stddef.h>
#include <stdint.h>

enum { WIRE_MAX = 64 * 1024 * 1024 };

enum wire_job { WIRE_FUNCTION = 1, WIRE_HOOK };

struct wire { // a message being read; borrowed
    const char *at, *end;
    int broken; // something was missing: everything read since is empty
};

void wire_add(struct text *message, const void *data, size_t len); // length, then bytes, then a NUL
void wire_add_str(struct text *message, const char *s);            // NULL travels as NULL
void wire_add_int(struct text *message, int64_t n);
const char *wire_bytes(struct wire *w, size_t *ret_len); // NUL-terminated within the message
const char *wire_str(struct wire *w);                    // may be NULL
int64_t wire_int(struct wire *w);

void wire_add_err(struct text *message, const struct err *err);
void wire_get_err(struct wire *w, struct err *ret);
