// Where a request ends: what the HTTP library lets pass and another server on the way might read
// differently is refused, so that no two ever disagree. Pure; fed with the headers one by one. All
// bytes of the header must be accounted for: microhttpd 0.9.75 joins a folded line to the NAME of
// the header above it, drops what follows a header without a name, cuts values at a NUL, and takes
// a bare LF for the end of a line.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { FRAMING_HEADERS = 64, FRAMING_BYTES = 8 * 1024, FRAMING_LINE = 2 * 1024 };

struct framing {
    size_t bytes;     // of the whole header, its empty line too
    size_t line;      // of the request line
    size_t accounted; // bytes of what was seen
    int headers, lengths, hosts;
    size_t length; // Content-Length
    bool chunked, expect, bad, version;
};

void framing_begin(struct framing *f, size_t bytes, const char *method, const char *version,
                   size_t target);
// ending: bytes between the end of what came before and the name. gap: bytes from the name's end to
// the value's start, the colon and blanks.
void framing_add(struct framing *f, size_t ending, const char *key, size_t key_len, size_t gap,
                 const char *value, size_t len);
bool framing_is_target(const char *uri); // of visible ASCII alone
// NULL: it may be believed. Else why not, and the status to answer before the connection is closed.
const char *framing_refuses(const struct framing *f, int *ret_status);
