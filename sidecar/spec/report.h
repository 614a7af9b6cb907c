// Every complaint about one spec, so that a person mends it in one go: collected in any order, told
// in the order of the text. A complaint says where, which key, what is wrong and what to do.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include <stdbool.h>
#include <stddef.h>

struct complaint {
    int line, col; // from 1; 0: not in the text (environment, flag)
    char *what;    // "key: sentence"
    size_t order;  // of two at one place the first comes first
};

struct report {
    const char *name; // of the text: "pod.yaml"
    struct complaint *list;
    size_t len, room;
    bool cut; // there were more than anybody reads
};

// key "" when the complaint is about the whole.
void report_add(struct report *r, int line, int col, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
// Sorts, writes one line each into ret, fills err with the first. Answers 0 when there was nothing
// to say.
int report_tell(struct report *r, struct text *ret, struct err *err) must_check;
void report_done(struct report *r);
