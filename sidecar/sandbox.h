// No new privileges, no capabilities, and an allow-list of system calls for the worker: the only
// file that knows libseccomp. Called in two steps, because capabilities are per thread and
// ZooKeeper's library starts threads: drop before the first thread, filter (with TSYNC) after all
// stations stand. Source of the list: sandbox.c.
#pragma once
#include "base/err.h"

int sandbox_drop(struct err *err)
    must_check; // no_new_privs, capabilities empty, bounding set too, not dumpable
int sandbox_filter(struct err *err)
    must_check; // seccomp; OCHOPOD_SECCOMP=log for development only logs
