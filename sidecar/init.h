// Process 1 of the sidecar's container (and its parent outside one): forks the worker, reaps,
// forwards signals, restarts a worker that crashed (at once, then 0.5 s doubling to 10 s), and
// holds the tether: the listening socket that the worker makes and hands over, so that the
// holder sees its end close only when the whole sidecar is gone. Parses nothing, opens nothing. A
// worker that ends with 0 is not restarted, nor one that ends with 2 (bad spec), 77 (access lists)
// or 78 (cloned state directory) before any has handed the tether over; its status is ours. After
// that these three are an error that is said, and another try. The worker begins a session; what is
// left of it when the worker has ended is killed.
#pragma once
#include "base/err.h"
#include <stdbool.h>

// tether_fd: end of a socketpair for init_give_tether. resumed: it goes on for one that has handed
// a tether over. Answers its exit status.
typedef int init_worker_fn(int tether_fd, bool resumed, void *arg);

// Runs the worker in a child, with signals blocked until it listens; returns the exit status of the
// sidecar. TERM and INT are forwarded, QUIT as TERM; HUP USR1 USR2 do nothing.
int init_run(init_worker_fn *worker, void *arg);

// In the worker: binds the abstract socket `name` and hands it to init, which owns it from then on;
// who is connected to one of another name (of a pod whose state is lost) stays connected. Nothing
// is done where the name is bound already and the worker goes on for another: init has it. Else
// ERR_EXISTS: another sidecar with this pod's identity runs in the same network namespace.
int init_give_tether(int tether_fd, bool resumed, const char *name, struct err *err) must_check;
