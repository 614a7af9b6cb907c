// Process 1 of the sidecar's container (and its parent outside one): forks the worker, reaps,
// forwards signals, restarts a worker that crashed (at once, then 0.5 s doubling to 10 s), and
// holds the tether: the listening socket that the worker makes and hands over once, so that the
// holder sees its end close only when the whole sidecar is gone. Parses nothing, opens nothing. A
// worker that ends with 0, 2 (bad spec) or 78 (cloned state directory) is not restarted; its status
// is ours.
#pragma once
#include "base/err.h"

// What a restarted worker gets instead of a descriptor: init holds the tether of this pod already.
enum { INIT_TETHER_HELD = -2 };

// Runs worker(tether_fd, arg) in a child, with signals blocked until the worker listens; returns
// the exit status of the sidecar. TERM and INT are forwarded, QUIT as TERM; HUP USR1 USR2 do
// nothing. tether_fd: end of a socketpair for init_give_tether.
int init_run(int (*worker)(int tether_fd, void *arg), void *arg);

// In the worker: binds the abstract socket `name` and hands it to init, which owns it from then on.
// ERR_EXISTS: another sidecar with this pod's identity runs in the same network namespace.
int init_give_tether(int tether_fd, const char *name, struct err *err) must_check;
