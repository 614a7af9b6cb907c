// Process 1 of the sidecar's container (and its parent outside one): forks the worker, reaps,
// forwards signals, restarts a worker that crashed (at once, then 0.5 s doubling to 10 s), and
// holds the tether: the listening socket that the worker makes and hands over once, so that the
// holder sees its end close only when the whole sidecar is gone. Parses nothing, opens nothing. A
// worker that ends with 0, 2 (bad spec) or 78 (cloned state directory) is not restarted; its status
// is ours.
#pragma once
#include "base/err.h"

// Runs worker(tether_fd, arg) in a child; returns the exit status of the sidecar. tether_fd: end of
// a socketpair for init_give_tether.
int init_run(int (*worker)(int tether_fd, void *arg), void *arg);

// In the worker: binds the abstract socket `name`, hands it to init. Already bound by ours: fine.
int init_give_tether(int tether_fd, const char *name, struct err *err) must_check;
