// What a process without files still wants of files, asked of one that has them: the worker, once
// its filter stands, of the runner's process. A duty is one such matter, by name; whoever knows it
// (state/, uploads) does it itself until clerk_use was called, and asks from then on. Blocks: what
// is asked is short and must be done before we go on, as it was when it was done here. Loop thread.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include <stdbool.h>

struct clerk_duty { // a table ends with a NULL name
    const char *name;
    // Reads what was asked (check `broken`) and adds its answer.
    void (*fn)(struct wire *request, struct text *answer, const void *arg);
    const void *arg; // what the duty may do it to: known before the fork, never asked for
};

void clerk_use(int fd); // a SOCK_STREAM to whoever serves; stays the caller's
bool clerk_in_use(void);
// ERR_RETRY: the clerk is gone. *answer: the caller's, read through *ret.
int clerk_ask(const char *duty, const struct text *request, struct text *answer, struct wire *ret,
              struct err *err) must_check;

// The other side: takes one request and answers it; ends the process on one that is none of ours
// and at the end of the line.
void clerk_serve(int fd, const struct clerk_duty *duties);
