// The parts of a multipart/form-data body, in place: pure, nothing is copied but names. Strict: the
// body begins with its boundary and ends with the closing one. Names are what the client said and
// are nothing else; whoever makes files of them decides what they may be.
#pragma once
#include "base/err.h"
#include <stddef.h>

enum { MULTIPART_MAX = 64 };

struct multipart_part {
    char *name;       // the file's name, else the field's
    char *field;      // NULL: none
    const void *data; // borrowed from the body
    size_t len;
};

struct multipart {
    struct multipart_part parts[MULTIPART_MAX];
    size_t n;
};

// ERR_USER: what is wrong with it; ERR_LIMIT: too many parts. m is empty then.
int multipart_read(struct multipart *m, const char *content_type, const char *body, size_t len,
                   struct err *err) must_check;
void multipart_done(struct multipart *m);
