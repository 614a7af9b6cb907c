// A process of ours that is forked from the worker before threads, sockets and filter, and serves
// it over sockets: how broker, runner and resolver begin. The child keeps stdout, stderr and its
// ends of the sockets, as descriptors 3 and on, nothing else; no signal of the worker is its
// business; it ends with the worker (by its parent's death, by the end of its sockets, and by init,
// which ends the worker's process group: it stays in that).
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <sys/types.h>

enum { CHILD_FDS_MAX = 2 };

struct child {
    const char *name;                         // of the process, at most 15 characters
    int types[CHILD_FDS_MAX];                 // SOCK_STREAM or SOCK_SEQPACKET; 0: no more
    void (*serve)(const int *fds, void *arg); // must not return
    void *arg;
};

// ret_fds: our ends, as many as types.
int child_start(const struct child *child, pid_t *ret_pid, int *ret_fds,
                struct err *err) must_check;
