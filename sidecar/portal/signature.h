// X-Signature as Ochothon's client makes it: "sha1=" and the HMAC-SHA1 of the X-Shell line under
// the token, in lower-case hex. Pure.
#pragma once
#include <stdbool.h>

enum { SIGNATURE_LEN = 45 }; // "sha1=" and 40 digits
void signature_make(const char *token, const char *line, char ret[SIGNATURE_LEN + 1]);
// In the same time wherever they differ.
bool signature_matches(const char *token, const char *line, const char *said);
