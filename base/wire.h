// What travels between our own processes: length-prefixed byte strings and numbers in host order
// (all of them are the same program). Reading never goes past the end. What a whole message is
// preceded by is the matter of whoever sends it.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WIRE_MAX = 64 * 1024 * 1024 }; // of one message

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

// A descriptor to who holds the other end of a unix socket, with one byte. 0, or -1 with errno.
int wire_send_fd(int socket, int fd);
// What recvmsg answers (0: nobody is there any more; -1: errno). *ret_fd is the caller's to close,
// -1 where none came; where more than one came all are closed, and it is -1 too. flags: as
// recvmsg's; it is close-on-exec anyway.
ssize_t wire_receive_fd(int socket, int flags, int *ret_fd);
