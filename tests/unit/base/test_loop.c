#include "base/check.h"
#include "base/inbox.h"
#include "base/loop.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop *loop;
static char seen[256];
static bool late;

#define text(s) ((void *)(s)) // what a callback gets is not const

static int set_up(void **state) {
    (void)state;
    loop = loop_create();
    seen[0] = '\0';
    late = false;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    loop_free(loop);
    return 0;
}

static void on_late(void *arg) {
    (void)arg;
    late = true;
    loop_quit(loop);
}

// Until something calls loop_quit.
static void run(void) {
    struct loop_timer *deadline = NULL;
    loop_timer_start(loop, &deadline, 30000, on_late, NULL);
    loop_run(loop);
    loop_timer_stop(&deadline);
    assert_false(late);
}

static void say(void *arg) {
    strcat(seen, arg);
}

static void quit(void *arg) {
    (void)arg;
    loop_quit(loop);
}

static void let_pass(int64_t ms) {
    loop_timer_start(loop, NULL, ms, quit, NULL);
    run();
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

// ---- timers ----

static void the_clock_is_boottime_in_ms(void **state) {
    (void)state;
    int64_t before = clock_ns(CLOCK_BOOTTIME) / 1000000, now = loop_now(loop);
    assert_true(now >= before && now <= clock_ns(CLOCK_BOOTTIME) / 1000000);
    assert_true(loop_wall(loop) > 1.7e9);
}

static void timers_fire_by_due_time_and_then_by_start(void **state) {
    (void)state;
    loop_timer_start(loop, NULL, 20, say, text("d"));
    loop_timer_start(loop, NULL, 0, say, text("a"));
    loop_timer_start(loop, NULL, 0, say, text("b"));
    loop_timer_start(loop, NULL, -5, say, text("c"));
    assert_string_equal(seen, "");
    let_pass(21);
    assert_string_equal(seen, "abcd");
}

struct stopwatch {
    int64_t start, took, ms;
    struct loop_timer *timer;
};

static int running;

static void on_stopwatch(void *arg) {
    struct stopwatch *w = arg;
    w->took = clock_ns(CLOCK_BOOTTIME) - w->start;
    assert_null(w->timer);
    if (--running == 0)
        loop_quit(loop);
}

static void no_timer_ever_fires_early(void **state) {
    (void)state;
    static struct stopwatch watches[200];
    running = 200;
    for (int i = 0; i < 200; i++) {
        watches[i] = (struct stopwatch){.ms = i % 40, .start = clock_ns(CLOCK_BOOTTIME)};
        loop_timer_start(loop, &watches[i].timer, watches[i].ms, on_stopwatch, &watches[i]);
    }
    run();
    for (int i = 0; i < 200; i++)
        assert_true(watches[i].took >= watches[i].ms * 1000000);
}

static struct loop_timer *a, *b;

static void say_and_restart(void *arg) {
    assert_null(a);
    strcat(seen, arg);
    if (strlen(seen) < 4)
        loop_timer_start(loop, &a, 0, say_and_restart, arg);
    else
        loop_quit(loop);
}

static void a_timer_may_be_restarted_in_its_own_callback(void **state) {
    (void)state;
    loop_timer_start(loop, &a, 0, say_and_restart, text("r"));
    run();
    assert_string_equal(seen, "rrrr");
    assert_null(a);
}

static void starting_a_pending_slot_restarts_it(void **state) {
    (void)state;
    loop_timer_start(loop, &a, 1, say, text("old"));
    loop_timer_start(loop, &a, 5, say, text("new"));
    let_pass(10);
    assert_string_equal(seen, "new");
    loop_timer_start(loop, &a, 100000, say, text("far"));
    loop_timer_start(loop, &a, 0, say, text("near"));
    let_pass(1);
    assert_string_equal(seen, "newnear");
    loop_timer_start(loop, &a, INT64_MAX, say, text("never"));
    let_pass(2);
    assert_non_null(a);
    loop_timer_stop(&a);
    assert_null(a);
    loop_timer_stop(&a);
}

static void stop_b(void *arg) {
    strcat(seen, arg);
    loop_timer_stop(&b);
}

static void a_timer_stopped_by_another_of_the_same_time_does_not_fire(void **state) {
    (void)state;
    loop_timer_start(loop, &a, 0, stop_b, text("a"));
    loop_timer_start(loop, &b, 0, say, text("b"));
    let_pass(2);
    assert_string_equal(seen, "a");
}

static void thousands_of_timers_keep_their_order(void **state) {
    (void)state;
    enum { TIMERS = 3000 };
    static struct stopwatch watches[TIMERS];
    unsigned seed = 7;
    running = 0;
    for (int i = 0; i < TIMERS; i++) {
        watches[i] = (struct stopwatch){.ms = rand_r(&seed) % 50,
                                        .start = clock_ns(CLOCK_BOOTTIME)};
        loop_timer_start(loop, &watches[i].timer, watches[i].ms, on_stopwatch, &watches[i]);
        running++;
        if (i % 3 == 0) {
            int other = rand_r(&seed) % (i + 1);
            running -= watches[other].timer != NULL;
            loop_timer_stop(&watches[other].timer);
        }
    }
    run();
    for (int i = 0; i < TIMERS; i++)
        assert_true(watches[i].took == 0 || watches[i].took >= watches[i].ms * 1000000);
}

// ---- descriptors ----

struct end {
    int fd, turns, events;
    struct loop_fd *watch;
    char last;
};

static void on_readable(int events, void *arg) {
    struct end *e = arg;
    e->turns++;
    e->events = events;
    if (events & LOOP_READ && read(e->fd, &e->last, 1) == 0)
        e->last = '\0';
    if (e->last == 'q' || !e->last) {
        loop_fd_stop(&e->watch);
        loop_quit(loop);
    }
}

static void a_descriptor_is_level_triggered(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct end e = {.fd = fds[0], .last = 'x'};
    e.watch = loop_fd_start(loop, fds[0], LOOP_READ, on_readable, &e);
    assert_int_equal(write(fds[1], "abcq", 4), 4);
    run();
    assert_int_equal(e.turns, 4);
    assert_null(e.watch);
    close(fds[0]);
    close(fds[1]);
}

static void a_peer_that_leaves_is_gone_and_readable(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct end e = {.fd = fds[0], .last = 'x'};
    e.watch = loop_fd_start(loop, fds[0], LOOP_READ | LOOP_GONE, on_readable, &e);
    close(fds[1]);
    run();
    assert_int_equal(e.events, LOOP_READ | LOOP_GONE);
    close(fds[0]);
}

static void on_writable(int events, void *arg) {
    struct end *e = arg;
    e->events = events;
    if (++e->turns == 3) {
        loop_fd_stop(&e->watch);
        loop_quit(loop);
    }
}

static void a_descriptor_with_an_error_is_still_reported(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[0]); // the write end of a pipe nobody reads has an error
    struct end e = {.fd = fds[1]};
    e.watch = loop_fd_start(loop, fds[1], LOOP_WRITE, on_writable, &e);
    run();
    assert_int_equal(e.turns, 3);
    assert_int_equal(e.events, LOOP_WRITE);
    assert_int_equal(write(fds[1], "x", 1), -1); // and no signal
    assert_int_equal(errno, EPIPE);
    close(fds[1]);
}

static void a_watch_hears_only_what_it_asks_for(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct end e = {.fd = fds[0], .last = 'x'};
    e.watch = loop_fd_start(loop, fds[0], 0, on_readable, &e);
    assert_int_equal(write(fds[1], "q", 1), 1);
    let_pass(5);
    assert_int_equal(e.turns, 0);
    loop_fd_change(e.watch, LOOP_READ);
    run();
    assert_int_equal(e.turns, 1);
    close(fds[0]);
    close(fds[1]);
}

static struct end left, right;

static void stop_both(int events, void *arg) {
    (void)events;
    struct end *e = arg;
    e->turns++;
    loop_fd_stop(&left.watch);
    loop_fd_stop(&right.watch);
    // What is closed and opened again within one batch must not get the old one's events.
    close(right.fd);
    int again = dup(left.fd);
    right.watch = loop_fd_start(loop, again, LOOP_GONE, stop_both, &right);
    right.fd = again;
    loop_timer_start(loop, NULL, 5, quit, NULL);
}

static void a_descriptor_stopped_in_the_same_batch_is_not_heard(void **state) {
    (void)state;
    int l[2], r[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, l), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, r), 0);
    left = (struct end){.fd = l[0]};
    right = (struct end){.fd = r[0]};
    left.watch = loop_fd_start(loop, l[0], LOOP_READ, stop_both, &left);
    right.watch = loop_fd_start(loop, r[0], LOOP_READ, stop_both, &right);
    assert_int_equal(write(l[1], "x", 1) + write(r[1], "x", 1), 2);
    run();
    assert_int_equal(left.turns + right.turns, 1);
    loop_fd_stop(&right.watch);
    close(right.fd);
    close(l[0]);
    close(l[1]);
    close(r[1]);
}

// ---- signals, turns ----

static struct loop_signal *signal_watch;

static void on_signal(int signo, void *arg) {
    strcat(seen, signo == SIGUSR1 ? "U" : "?");
    assert_ptr_equal(arg, loop);
    loop_signal_stop(&signal_watch);
    loop_quit(loop);
}

static void a_signal_arrives_on_the_loop(void **state) {
    (void)state;
    signal_watch = loop_signal_start(loop, SIGUSR1, on_signal, loop);
    raise(SIGUSR1);
    assert_string_equal(seen, "");
    run();
    assert_string_equal(seen, "U");
}

static struct loop_turn *turn_a, *turn_b;

static void on_turn_a(void *arg) {
    strcat(seen, arg);
    loop_turn_stop(&turn_a);
    loop_turn_stop(&turn_b);
    loop_timer_start(loop, NULL, 0, quit, NULL);
}

static void a_turns_end_is_told_before_the_loop_sleeps(void **state) {
    (void)state;
    turn_a = loop_turn_start(loop, on_turn_a, text("a"));
    turn_b = loop_turn_start(loop, say, text("b"));
    run();
    assert_string_equal(seen, "a");
}

static void quit_before_run_ends_it_at_once(void **state) {
    (void)state;
    loop_quit(loop);
    run();
    loop_timer_start(loop, NULL, 0, say, text("later"));
    let_pass(1);
    assert_string_equal(seen, "later");
}

// ---- work ----

struct job {
    pthread_t thread;
    _Atomic bool go, ran;
    int done, dropped;
};

static void work(void *arg) {
    struct job *job = arg;
    job->thread = pthread_self();
    while (!atomic_load(&job->go))
        usleep(1000);
    atomic_store(&job->ran, true);
}

static void on_done(void *arg) {
    struct job *job = arg;
    job->done++;
    loop_quit(loop);
}

static void on_drop(void *arg) {
    struct job *job = arg;
    job->dropped++;
    loop_quit(loop);
}

static void work_runs_elsewhere_and_reports_here(void **state) {
    (void)state;
    struct job job = {.go = true};
    loop_work_start(loop, work, on_done, on_drop, &job);
    run();
    assert_true(job.ran);
    assert_false(pthread_equal(job.thread, pthread_self()));
    assert_int_equal(job.done, 1);
    assert_int_equal(job.dropped, 0);
}

static void forgotten_work_is_dropped_when_it_ends(void **state) {
    (void)state;
    struct job job = {0};
    struct loop_work *it = loop_work_start(loop, work, on_done, on_drop, &job);
    let_pass(5);
    loop_work_forget(&it);
    assert_null(it);
    loop_work_forget(&it);
    let_pass(5);
    atomic_store(&job.go, true);
    if (!job.dropped)
        run();
    assert_int_equal(job.done, 0);
    assert_int_equal(job.dropped, 1);
}

static void the_loop_is_freed_only_when_forgotten_work_is_back(void **state) {
    (void)state;
    struct job job = {.go = true};
    struct loop_work *it = loop_work_start(loop, work, on_done, on_drop, &job);
    loop_work_forget(&it);
    loop_free(loop);
    loop = loop_create();
    assert_int_equal(job.done, 0);
    assert_int_equal(job.dropped, 1);
}

// ---- inbox ----

struct message {
    struct inbox_message message;
    int from, n;
};

static struct inbox *inbox;
static int next_of[4], received, free_at;

static void receive(struct inbox_message *message, void *arg) {
    struct message *m = (struct message *)message;
    assert_ptr_equal(arg, loop);
    assert_int_equal(m->n, next_of[m->from]);
    next_of[m->from]++;
    free(m);
    if (++received == free_at) {
        inbox_free(inbox, receive);
        inbox = NULL;
    }
    if (received == 4000)
        loop_quit(loop);
}

static void *post_many(void *arg) {
    for (int i = 0; i < 1000; i++) {
        struct message *m = xnew(struct message);
        m->from = *(int *)arg;
        m->n = i;
        inbox_post(inbox, &m->message);
    }
    return NULL;
}

static void messages_of_each_thread_arrive_in_order(void **state) {
    (void)state;
    pthread_t threads[4];
    int names[4] = {0, 1, 2, 3};
    memset(next_of, 0, sizeof(next_of));
    received = free_at = 0;
    inbox = inbox_create(loop, receive, loop);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &names[i]), 0);
    run();
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(received, 4000);
    inbox_free(inbox, receive);
}

static void an_inbox_may_be_freed_by_its_receiver(void **state) {
    (void)state;
    int name = 0;
    memset(next_of, 0, sizeof(next_of));
    received = 0;
    free_at = 10;
    inbox = inbox_create(loop, receive, loop);
    post_many(&name);
    let_pass(5);
    assert_null(inbox);
    assert_int_equal(received, 1000); // the other 990 were dropped, in order, each once
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(the_clock_is_boottime_in_ms),
        test(timers_fire_by_due_time_and_then_by_start),
        test(no_timer_ever_fires_early),
        test(a_timer_may_be_restarted_in_its_own_callback),
        test(starting_a_pending_slot_restarts_it),
        test(a_timer_stopped_by_another_of_the_same_time_does_not_fire),
        test(thousands_of_timers_keep_their_order),
        test(a_descriptor_is_level_triggered),
        test(a_peer_that_leaves_is_gone_and_readable),
        test(a_descriptor_with_an_error_is_still_reported),
        test(a_watch_hears_only_what_it_asks_for),
        test(a_descriptor_stopped_in_the_same_batch_is_not_heard),
        test(a_signal_arrives_on_the_loop),
        test(a_turns_end_is_told_before_the_loop_sleeps),
        test(quit_before_run_ends_it_at_once),
        test(work_runs_elsewhere_and_reports_here),
        test(forgotten_work_is_dropped_when_it_ends),
        test(the_loop_is_freed_only_when_forgotten_work_is_back),
        test(messages_of_each_thread_arrive_in_order),
        test(an_inbox_may_be_freed_by_its_receiver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
