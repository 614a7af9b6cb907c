// The event loop: timers, descriptors, signals, child processes, work on another thread. The only
// file that knows libuv. One loop a process; every callback runs on the thread that calls loop_run,
// and only that thread may call anything here (other threads have inbox.h). A handle is freed by
// its _stop, which also clears the caller's pointer; after it no callback comes. Stopping a handle
// within its own callback is fine. tests/fake/loop.c implements the same over a virtual clock.
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct loop_timer;
struct loop_fd;
struct loop_signal;
struct loop_work;

struct loop *loop_create(void);    // SIGPIPE is ignored from now on
void loop_free(struct loop *loop); // all handles must have been stopped; waits for forgotten work
void loop_run(struct loop *loop);  // until loop_quit
void loop_quit(struct loop *loop); // the current turn is finished first
int64_t
loop_now(struct loop *loop); // CLOCK_BOOTTIME in ms: what every decision uses; wall clock never
double loop_wall(struct loop *loop); // seconds since the epoch, for people and log lines only

// Once after ms (0: next turn, never inside the call). The handle frees itself before the callback
// runs and *slot is cleared, so a slot says whether the timer is pending. Starting on a pending
// slot restarts it. slot may be NULL only for fire-and-forget.
void loop_timer_start(struct loop *loop, struct loop_timer **slot, int64_t ms,
                      void (*fn)(void *arg), void *arg);
void loop_timer_stop(struct loop_timer **slot); // no-op when not pending

enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_GONE = 4
}; // GONE: the peer hung up or shut down its side (RDHUP)
typedef void loop_fd_fn(int events, void *arg);
// The descriptor stays the caller's and must outlive the watch; it becomes non-blocking, and has
// one watch at a time (dup it for a second). Level-triggered. An error on it (refused, broken pipe)
// is told as every event that was asked for: the next read or write meets it.
struct loop_fd *loop_fd_start(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *arg);
void loop_fd_change(struct loop_fd *w, int events);
void loop_fd_stop(struct loop_fd **slot);

struct loop_signal *loop_signal_start(struct loop *loop, int signo,
                                      void (*fn)(int signo, void *arg), void *arg);
void loop_signal_stop(struct loop_signal **slot);

// fn runs on another thread and may block; done runs on the loop afterwards, always, unless
// cancelled by loop_work_forget, after which fn's result is dropped (fn itself cannot be stopped,
// and arg must stay valid for it: `drop`, if not NULL, is called on the loop instead of done, to
// free arg).
struct loop_work *loop_work_start(struct loop *loop, void (*fn)(void *arg), void (*done)(void *arg),
                                  void (*drop)(void *arg), void *arg);
void loop_work_forget(struct loop_work **slot);

// Called at the end of each turn, before the loop sleeps (microhttpd's own timeouts). One listener
// a slot.
struct loop_turn;
struct loop_turn *loop_turn_start(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_turn_stop(struct loop_turn **slot);
