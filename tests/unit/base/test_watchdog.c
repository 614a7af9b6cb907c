// Processes of their own, with a loop each: one that hangs is ended, one that is idle, busy or was
// stopped is not.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/watchdog.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 300 }; // twice that without a core must not be taken for a hang

static void nap(int ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    while (nanosleep(&left, &left))
        ;
}

static void hang(void *arg) {
    (void)arg;
    for (;;)
        nap(1000);
}

// Whoever reads our stderr has stopped, too.
static void hang_with_a_full_pipe(void *arg) {
    static const char line[4096];
    int pair[2];
    if (pipe2(pair, O_NONBLOCK) || dup2(pair[1], STDERR_FILENO) < 0)
        _exit(1);
    while (write(STDERR_FILENO, line, sizeof line) > 0)
        ;
    fcntl(STDERR_FILENO, F_SETFL, 0);
    hang(arg);
}

static struct loop *loop;
static int turns;

static void end(void *arg) {
    (void)arg;
    loop_quit(loop);
}

// Never long, always at it.
static void drudge(void *arg) {
    nap(TICK_MS / 2);
    if (++turns == 12)
        loop_quit(loop);
    else
        loop_timer_start(loop, NULL, 0, drudge, arg);
}

static pid_t begin(void (*fn)(void *arg), int64_t after_ms) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    loop = loop_create();
    if (watchdog_start(loop, TICK_MS, NULL))
        _exit(1);
    loop_timer_start(loop, NULL, after_ms, fn, NULL);
    loop_run(loop);
    watchdog_stop();
    nap(4 * TICK_MS); // whatever it does afterwards is nobody's business
    loop_free(loop);
    _exit(0);
}

static int finish(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void a_loop_that_hangs_is_the_end_of_its_process(void **state) {
    (void)state;
    assert_int_equal(finish(begin(hang, 0)), -SIGABRT);
    assert_int_equal(finish(begin(hang, 3 * TICK_MS)), -SIGABRT); // it had answered before
    assert_int_equal(finish(begin(hang_with_a_full_pipe, 0)), -SIGABRT);
}

static void one_that_is_idle_or_busy_goes_on(void **state) {
    (void)state;
    assert_int_equal(finish(begin(end, 6 * TICK_MS)), 0);
    assert_int_equal(finish(begin(drudge, 0)), 0);
}

static void a_process_that_was_stopped_goes_on(void **state) {
    (void)state;
    pid_t pid = begin(end, 14 * TICK_MS);
    for (int i = 0; i < 2; i++) {
        nap(TICK_MS);
        kill(pid, SIGSTOP);
        nap(5 * TICK_MS);
        kill(pid, SIGCONT);
    }
    assert_int_equal(finish(pid), 0);
}

// What blocks the end of a process in good order, and what does not.
static pid_t leave(int nap_ms) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    loop = loop_create();
    if (watchdog_start(loop, TICK_MS, NULL))
        _exit(1);
    watchdog_last(42);
    nap(nap_ms);
    loop_free(loop);
    _exit(7);
}

static void what_blocks_the_end_is_cut_short(void **state) {
    (void)state;
    assert_int_equal(finish(leave(0)), 7);
    assert_int_equal(finish(leave(60 * 1000)), 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_hangs_is_the_end_of_its_process),
        cmocka_unit_test(one_that_is_idle_or_busy_goes_on),
        cmocka_unit_test(a_process_that_was_stopped_goes_on),
        cmocka_unit_test(what_blocks_the_end_is_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
