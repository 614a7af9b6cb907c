// SIGINT and SIGTERM end what a verb waits for, as if the time were over, and not the program; a
// second one does.
#pragma once
#include "base/loop.h"

struct stop {
    int signo; // the one that came, 0: none
    struct loop_signal *signals[2];
    void (*fn)(void *arg);
    void *arg;
};

// fn is told when it has come. ret stays where it is until stop_done.
void stop_catch(struct stop *ret, struct loop *loop, void (*fn)(void *arg), void *arg);
void stop_done(struct stop *stop);
// The exit status of who was stopped, else status.
int stop_status(const struct stop *stop, int status);
