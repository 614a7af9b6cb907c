// Secrets that lie in files: the token, the certificate, its key, the CA. This is the only door to
// their bytes, at start and at every later look: a process without files asks the clerk (clerk.h).
// Loop thread; blocks as long as the file takes. What is read is the caller's to wipe.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include <stddef.h>

enum { SECRETS_MAX = 64 * 1024 };

struct secret {
    char *data; // NUL-terminated; NULL: nothing
    size_t len;
};

// ERR_USER: no such file, not a regular one, writable by others, larger than SECRETS_MAX, empty.
// The text names the file, never what is in it.
int secrets_read(const char *path, struct secret *ret, struct err *err) must_check;
void secrets_wipe(struct secret *secret); // overwrites and frees; no-op on an empty one
// What a clerk does: secrets_read asks it. arg: the files that the spec names, a NULL-ended
// const char *const [].
#define SECRETS_READ "secrets read"
void secrets_read_duty(struct wire *request, struct text *answer, const void *arg);
