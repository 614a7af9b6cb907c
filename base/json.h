// The only file that names jansson's header: JSON values are json_t everywhere in the program.
// Strict reading of what others wrote: depth and size are capped before parsing, duplicate keys are
// refused, a member of the wrong type is an error that names it. Readers never abort on content.
#pragma once
#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline void json_release(json_t **j) {
    json_decref(*j);
}
#define auto_json __attribute__((cleanup(json_release)))

// `what` names the source in the message ("info of pod x"). Object or array only. ERR_USER when it
// is not JSON, ERR_LIMIT when it is larger than max bytes, deeper than 32 or of more than 100,000
// values. New reference.
json_t *json_read(const char *s, size_t len, size_t max, const char *what,
                  struct err *err) must_check;
// The same of who quotes what programs wrote, as an engine does: a string may hold \u0000. As text
// it ends there.
json_t *json_read_quoting(const char *s, size_t len, size_t max, const char *what,
                          struct err *err) must_check;
// About how many bytes of heap it takes, which may be eighty times its text: what is kept of others
// is counted so. Never less than half; of what json_read made, for it walks down. NULL: 0.
size_t json_weight(const json_t *j);
char *json_write(const json_t *j);     // compact, keys in insertion order; caller frees
char *json_canonical(const json_t *j); // compact, keys sorted: what is hashed; caller frees

// Member access. A missing or null member leaves *ret as it was and answers 0; a wrong type is
// ERR_USER naming key.
int json_str(const json_t *obj, const char *key, const char **ret,
             struct err *err) must_check; // borrowed
int json_int(const json_t *obj, const char *key, int64_t *ret, struct err *err) must_check;
int json_flag(const json_t *obj, const char *key, bool *ret, struct err *err) must_check;
const char *json_text(const json_t *obj,
                      const char *key); // "" when missing or not a string; borrowed
