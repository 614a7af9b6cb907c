#include "base/check.h"
#include "base/inbox.h"
#include "tests/fake/loop.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define text(s) ((void *)(s)) // what a callback gets is not const

static char seen[256];

static void say(void *arg) {
    strcat(seen, arg);
}

static int set_up(void **state) {
    seen[0] = '\0';
    *state = loop_create();
    return 0;
}

static int tear_down(void **state) {
    loop_free(*state);
    return 0;
}

static void time_moves_only_by_the_test(void **state) {
    struct loop *loop = *state;
    int64_t start = loop_now(loop);
    double wall = loop_wall(loop);
    struct loop_timer *a = NULL;
    loop_timer_start(loop, &a, 30000, say, text("a"));
    fake_loop_run_until_idle(loop);
    assert_int_equal(loop_now(loop), start);
    assert_int_equal(fake_loop_next(loop), 30000);
    fake_loop_advance(loop, 29999);
    assert_string_equal(seen, "");
    fake_loop_advance(loop, 1);
    assert_string_equal(seen, "a");
    assert_null(a);
    assert_int_equal(loop_now(loop), start + 30000);
    assert_true(loop_wall(loop) - wall > 29.9 && loop_wall(loop) - wall < 30.1);
}

static void timers_fire_by_due_time_and_then_by_start(void **state) {
    struct loop *loop = *state;
    loop_timer_start(loop, NULL, 20, say, text("c"));
    loop_timer_start(loop, NULL, 10, say, text("a"));
    loop_timer_start(loop, NULL, 10, say, text("b"));
    loop_timer_start(loop, NULL, 20, say, text("d"));
    fake_loop_freeze(loop, 100);
    assert_string_equal(seen, "");
    fake_loop_run_until_idle(loop);
    assert_string_equal(seen, "abcd");
}

static struct loop_timer *again;

static void say_and_restart(void *arg) {
    strcat(seen, "r");
    assert_null(again);
    loop_timer_start(arg, &again, 10, say_and_restart, arg);
}

static void a_timer_restarted_in_its_callback_fires_each_period(void **state) {
    struct loop *loop = *state;
    loop_timer_start(loop, &again, 10, say_and_restart, loop);
    fake_loop_advance(loop, 50);
    assert_string_equal(seen, "rrrrr");
    assert_int_equal(fake_loop_timers(loop), 1);
    loop_timer_stop(&again);
}

static void work_runs_and_reports_and_may_be_forgotten(void **state) {
    struct loop *loop = *state;
    loop_work_start(loop, say, say, NULL, text("w"));
    assert_string_equal(seen, "");
    fake_loop_run_until_idle(loop);
    assert_string_equal(seen, "ww");
    struct loop_work *work = loop_work_start(loop, say, say, say, text("x"));
    loop_work_forget(&work);
    fake_loop_run_until_idle(loop);
    assert_string_equal(seen, "wwx");
}

static void on_signal(int signo, void *arg) {
    strcat(seen, signo == SIGTERM ? "T" : "?");
    (void)arg;
}

static void a_signal_is_what_the_test_says(void **state) {
    struct loop *loop = *state;
    struct loop_signal *s = loop_signal_start(loop, SIGTERM, on_signal, NULL);
    fake_loop_signal(loop, SIGTERM);
    fake_loop_run_until_idle(loop);
    assert_string_equal(seen, "T");
    loop_signal_stop(&s);
}

struct message {
    struct inbox_message message;
    const char *text;
};

static void receive(struct inbox_message *message, void *arg) {
    (void)arg;
    struct message *m = (struct message *)message;
    strcat(seen, m->text);
    free(m);
}

static void post(struct inbox *inbox, const char *text) {
    struct message *m = xnew(struct message);
    m->text = text;
    inbox_post(inbox, &m->message);
}

static void the_inbox_works_over_it(void **state) {
    struct loop *loop = *state;
    struct inbox *inbox = inbox_create(loop, receive, NULL);
    post(inbox, "1");
    post(inbox, "2");
    assert_string_equal(seen, "");
    fake_loop_run_until_idle(loop);
    assert_string_equal(seen, "12");
    post(inbox, "dropped");
    inbox_free(inbox, receive);
    assert_string_equal(seen, "12dropped");
}

static struct loop_fd *pair_watch[2];

static void on_pair(int events, void *arg) {
    assert_int_equal(events & LOOP_READ, LOOP_READ);
    strcat(seen, arg);
    loop_fd_stop(&pair_watch[0]);
    loop_fd_stop(&pair_watch[1]);
}

static void a_descriptor_stopped_by_another_in_the_same_turn_is_not_heard(void **state) {
    struct loop *loop = *state;
    int a[2], b[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    pair_watch[0] = loop_fd_start(loop, a[0], LOOP_READ, on_pair, text("a"));
    pair_watch[1] = loop_fd_start(loop, b[0], LOOP_READ, on_pair, text("b"));
    assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
    fake_loop_run_until_idle(loop);
    assert_string_equal(seen, "a");
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void quit(void *arg) {
    loop_quit(arg);
}

static void run_ends_by_quit(void **state) {
    struct loop *loop = *state;
    loop_timer_start(loop, NULL, 0, say, text("q"));
    loop_timer_start(loop, NULL, 0, quit, loop);
    loop_run(loop);
    assert_string_equal(seen, "q");
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(time_moves_only_by_the_test),
        test(timers_fire_by_due_time_and_then_by_start),
        test(a_timer_restarted_in_its_callback_fires_each_period),
        test(work_runs_and_reports_and_may_be_forgotten),
        test(a_signal_is_what_the_test_says),
        test(the_inbox_works_over_it),
        test(a_descriptor_stopped_by_another_in_the_same_turn_is_not_heard),
        test(run_ends_by_quit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
