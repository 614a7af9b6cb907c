// Ends the process when the loop no longer turns: whoever started it starts it again, which is
// better than a worker that answers nobody for ever. A signal of a timer of the kernel (SIGALRM)
// asks for a turn, and the loop answers on a descriptor; two questions without an answer in a row,
// and the third aborts: between two and three ticks of standing still. The signal is handled by the
// loop's own thread, so a process that was stopped, or got no time, has one question to answer when
// it goes on, not all that it missed. One a process; loop thread. Nothing is inherited by fork but
// the handler, which has no timer there.
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include <stdint.h>

enum { WATCHDOG_TICK_MS = 5000 };
int watchdog_start(struct loop *loop, int64_t tick_ms, struct err *err) must_check;
void watchdog_stop(void); // no-op when it was not started; makes no system call but close
// Stops it for good; a process that is still there after one to two ticks more, because something
// that it waits for does not end, then ends with this status.
void watchdog_last(int status);
