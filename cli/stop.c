#include "cli/stop.h"
#include <signal.h>
#include <stdio.h>

void stop_done(struct stop *stop) {
    loop_signal_stop(&stop->signals[0]);
    loop_signal_stop(&stop->signals[1]);
}

static void on_signal(int signo, void *arg) {
    struct stop *stop = arg;
    stop->signo = signo;
    stop_done(stop); // the next one does what it does by itself
    stop->fn(stop->arg);
    fprintf(stderr, "ocho: interrupted (once more: ends at once)\n");
}

void stop_catch(struct stop *ret, struct loop *loop, void (*fn)(void *arg), void *arg) {
    *ret = (struct stop){.fn = fn, .arg = arg};
    ret->signals[0] = loop_signal_start(loop, SIGINT, on_signal, ret);
    ret->signals[1] = loop_signal_start(loop, SIGTERM, on_signal, ret);
}

int stop_status(const struct stop *stop, int status) {
    return stop->signo ? 128 + stop->signo : status;
}
