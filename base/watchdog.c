#include "base/watchdog.h"
#include "base/own.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE = 2, LAST_TICKS = 2, NO_STATUS = -1 };

// A signal's handler reaches nothing else.
static volatile sig_atomic_t unanswered, poke = -1, last_status = NO_STATUS;
static struct loop_fd *watch;

// A full pipe must not hold up the end.
_Noreturn static void give_up(void) {
    static const char last_words[] =
        "err sidecar the loop stands still: aborting, all of its processes are started anew (the "
        "workload runs on)\n";
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) == 1)
        (void)!write(STDERR_FILENO, last_words, sizeof last_words - 1);
    abort();
}

static void on_tick(int signo) {
    int saved = errno;
    (void)signo;
    if (poke >= 0) {
        if (unanswered >= PATIENCE)
            give_up();
        unanswered++;
        eventfd_write(poke, 1);
    } else if (last_status != NO_STATUS && ++unanswered >= LAST_TICKS) {
        _exit(last_status);
    }
    errno = saved;
}

static void on_asked(int events, void *arg) {
    eventfd_t n;
    (void)events;
    (void)arg;
    (void)eventfd_read(poke, &n);
    unanswered = 0;
}

int watchdog_start(struct loop *loop, int64_t tick_ms, struct err *err) {
    const struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    const struct timeval tick = {.tv_sec = tick_ms / 1000, .tv_usec = tick_ms % 1000 * 1000};
    const struct itimerval timer = {.it_interval = tick, .it_value = tick};
    auto_fd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0 || sigaction(SIGALRM, &action, NULL) || setitimer(ITIMER_REAL, &timer, NULL))
        return err_errno(err, ERR_BUG, errno, "watchdog");
    unanswered = 0;
    last_status = NO_STATUS;
    watch = loop_fd_start(loop, fd, LOOP_READ, on_asked, NULL);
    poke = take_fd(fd);
    return 0;
}

void watchdog_stop(void) {
    int fd = poke;
    if (fd < 0)
        return;
    poke = -1; // the timer ticks on, for nobody
    loop_fd_stop(&watch);
    close(fd);
}

void watchdog_last(int status) {
    bool ticks = poke >= 0;
    watchdog_stop();
    unanswered = 0;
    if (ticks)
        last_status = status;
}
