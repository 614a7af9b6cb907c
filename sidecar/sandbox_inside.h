// What a filter is made of; shared by the files of the sandbox.
#pragma once
#include "sidecar/sandbox.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    ALSO_UNIX = 1,        // socket(AF_UNIX)
    ALSO_INET = 2,        // socket(AF_INET), socket(AF_INET6)
    ALSO_NETLINK = 4,     // socket(AF_NETLINK)
    ALSO_PAIRS = 8,       // socketpair of streams: ends that cannot be connected anew
    ALSO_THREADS = 16,    // clone of a thread
    ALSO_FORK = 32,       // clone of a process
    ALSO_READ_FILES = 64, // openat, for reading only
    ALSO_LEAVING = 128    // sandbox_become
};

struct sandbox_list {
    const char *const *groups[12]; // each NULL-ended, and so are they
    unsigned also;
    bool refuses; // the groups are what is refused, the rest is allowed
};
extern const struct sandbox_list sandbox_lists[SANDBOX_COUNT];
extern const char *const sandbox_deadly[];   // in each of them, NULL-ended
extern const char *const sandbox_executes[]; // deadly where nothing is executed
