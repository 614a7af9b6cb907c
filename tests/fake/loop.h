// base/loop.h over a virtual clock: a 30 s damper takes microseconds and every run is the same. The
// clock moves by a call of the test and not otherwise. A turn is, in this order: due timers by due
// time and then by start, ready descriptors by start (real ones, asked without waiting), work,
// signals, turn listeners. Work runs on the calling thread: fn in the next turn, done in the one
// after, so that a test can forget it in between. What never comes to rest fails a CHECK.
#pragma once
#include "base/loop.h"

// Turns until nothing is due, ready, queued or raised at the present time.
void fake_loop_run_until_idle(struct loop *loop);
// The same at each time something is due within the next ms, and at the end of them.
void fake_loop_advance(struct loop *loop, int64_t ms);
// The clock jumps and nothing runs, as for a process that was stopped or a machine that slept; what
// has become due meanwhile runs with the next call, in order, late.
void fake_loop_freeze(struct loop *loop, int64_t ms);
// The wall clock alone is set; nothing may take notice.
void fake_loop_set_wall(struct loop *loop, double seconds);

// One clock for several loops, each a process: `loop` lives in the time of `with` from now on. The
// test moves it by fake_loop_freeze of any of them and runs each loop that has something due.
void fake_loop_share(struct loop *loop, const struct loop *with);

int64_t fake_loop_next(const struct loop *loop);  // ms until the next timer is due, -1: none
size_t fake_loop_timers(const struct loop *loop); // pending
bool fake_loop_has_quit(const struct loop *loop); // loop_quit was called
void fake_loop_signal(struct loop *loop, int signo);
