#include "base/loop.h"
#include "base/check.h"
#include "base/list.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

// Timers are ours and not libuv's: its clock stands still while the machine sleeps, it rounds to
// milliseconds and may fire one early, and its handles close asynchronously. A heap and one timerfd
// on CLOCK_BOOTTIME have none of this.
struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare; // runs once a turn, just before the loop sleeps
    uv_poll_t alarm_poll;
    int alarm;                // timerfd
    int64_t armed;            // what it is set to, ns; 0: not
    struct loop_timer **heap; // by (due, order)
    size_t timers, room;
    uint64_t order;
    struct link turns;
    int handles; // descriptors, signals and turns not stopped yet
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer **slot;
    size_t at; // in the heap
    int64_t due;
    uint64_t order;
    void (*fn)(void *arg);
    void *arg;
};

struct loop_fd {
    uv_poll_t uv; // first: freed as such
    struct loop *loop;
    int events;
    loop_fd_fn *fn;
    void *arg;
};

struct loop_signal {
    uv_signal_t uv; // first: freed as such
    struct loop *loop;
    void (*fn)(int signo, void *arg);
    void *arg;
};

struct loop_work {
    uv_work_t uv;
    void (*fn)(void *arg);
    void (*report)(void *arg); // done; drop once forgotten
    void (*drop)(void *arg);
    void *arg;
};

struct loop_turn {
    struct link link;
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
};

// ---- clock ----

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int64_t loop_now(struct loop *loop) {
    (void)loop;
    return now_ns() / 1000000;
}

double loop_wall(struct loop *loop) {
    (void)loop;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// ---- timers ----

static bool earlier(const struct loop_timer *a, const struct loop_timer *b) {
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void heap_put(struct loop *loop, size_t at, struct loop_timer *t) {
    loop->heap[at] = t;
    t->at = at;
}

static void heap_up(struct loop *loop, struct loop_timer *t) {
    size_t at = t->at;
    for (size_t parent; at > 0 && earlier(t, loop->heap[parent = (at - 1) / 2]); at = parent)
        heap_put(loop, at, loop->heap[parent]);
    heap_put(loop, at, t);
}

static void heap_down(struct loop *loop, struct loop_timer *t) {
    size_t at = t->at;
    for (size_t child; (child = 2 * at + 1) < loop->timers; at = child) {
        if (child + 1 < loop->timers && earlier(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!earlier(loop->heap[child], t))
            break;
        heap_put(loop, at, loop->heap[child]);
    }
    heap_put(loop, at, t);
}

static void heap_add(struct loop *loop, struct loop_timer *t) {
    if (loop->timers == loop->room) {
        loop->room = loop->room ? 2 * loop->room : 16;
        loop->heap = xrealloc(loop->heap, loop->room * sizeof(struct loop_timer *));
    }
    t->at = loop->timers++;
    heap_up(loop, t);
}

static void heap_remove(struct loop *loop, struct loop_timer *t) {
    struct loop_timer *last = loop->heap[--loop->timers];
    if (last == t)
        return;
    last->at = t->at;
    heap_up(loop, last);
    heap_down(loop, last);
}

void loop_timer_start(struct loop *loop, struct loop_timer **slot, int64_t ms,
                      void (*fn)(void *arg), void *arg) {
    struct loop_timer *t = slot ? *slot : NULL;
    if (t)
        heap_remove(loop, t);
    else
        t = xnew(struct loop_timer);
    *t = (struct loop_timer){.loop = loop, .slot = slot, .fn = fn, .arg = arg};
    int64_t now = now_ns(), most = (INT64_MAX - now) / 1000000;
    t->due = now + (ms < 0 ? 0 : ms > most ? most : ms) * 1000000;
    t->order = loop->order++;
    heap_add(loop, t);
    if (slot)
        *slot = t;
}

void loop_timer_stop(struct loop_timer **slot) {
    struct loop_timer *t = *slot;
    if (!t)
        return;
    *slot = NULL;
    heap_remove(t->loop, t);
    free(t);
}

static void fire(struct loop_timer *t) {
    void (*fn)(void *arg) = t->fn;
    void *arg = t->arg;
    if (t->slot)
        *t->slot = NULL;
    heap_remove(t->loop, t);
    free(t);
    fn(arg);
}

// Timers started by these callbacks wait for the next turn, so that descriptors get theirs.
static void on_alarm(uv_poll_t *uv, int status, int events) {
    (void)status;
    (void)events;
    struct loop *loop = uv->data;
    int64_t now = now_ns();
    uint64_t newest = loop->order;
    loop->armed = -1; // setting it anew is what makes it unreadable
    while (loop->timers && loop->heap[0]->due <= now && loop->heap[0]->order < newest)
        fire(loop->heap[0]);
}

static void arm(struct loop *loop) {
    int64_t due = loop->timers ? loop->heap[0]->due : 0;
    if (due == loop->armed)
        return;
    struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};
    CHECK(timerfd_settime(loop->alarm, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    loop->armed = due;
}

// ---- the end of a turn ----

static void on_prepare(uv_prepare_t *uv) {
    struct loop *loop = uv->data;
    struct link todo;
    list_init(&todo);
    while (!list_empty(&loop->turns)) {
        struct link *it = loop->turns.next;
        list_remove(it);
        list_append(&todo, it);
    }
    while (!list_empty(&todo)) {
        struct loop_turn *turn = list_first(&todo, struct loop_turn, link);
        list_remove(&turn->link);
        list_append(&loop->turns, &turn->link);
        turn->fn(turn->arg);
    }
    arm(loop);
}

struct loop_turn *loop_turn_start(struct loop *loop, void (*fn)(void *arg), void *arg) {
    struct loop_turn *turn = xnew(struct loop_turn);
    *turn = (struct loop_turn){.loop = loop, .fn = fn, .arg = arg};
    list_append(&loop->turns, &turn->link);
    loop->handles++;
    return turn;
}

void loop_turn_stop(struct loop_turn **slot) {
    struct loop_turn *turn = *slot;
    if (!turn)
        return;
    *slot = NULL;
    turn->loop->handles--;
    list_remove(&turn->link);
    free(turn);
}

// ---- the loop ----

static void *uv_malloc(size_t size) {
    return xrealloc(NULL, size);
}

struct loop *loop_create(void) {
    struct loop *loop = xnew(struct loop);
    // Without memory libuv aborts and says nothing (uv__malloc in maybe_resize).
    CHECK(uv_replace_allocator(uv_malloc, xrealloc, xcalloc, free) == 0);
    // A peer that closes is an error of write, never a signal.
    signal(SIGPIPE, SIG_IGN);
    list_init(&loop->turns);
    CHECK(uv_loop_init(&loop->uv) == 0);
    loop->alarm = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    CHECK(loop->alarm >= 0);
    CHECK(uv_poll_init(&loop->uv, &loop->alarm_poll, loop->alarm) == 0);
    loop->alarm_poll.data = loop;
    CHECK(uv_poll_start(&loop->alarm_poll, UV_READABLE, on_alarm) == 0);
    CHECK(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
    loop->prepare.data = loop;
    CHECK(uv_prepare_start(&loop->prepare, on_prepare) == 0);
    return loop;
}

void loop_free(struct loop *loop) {
    if (!loop)
        return;
    CHECK(loop->handles == 0);
    while (loop->timers) {
        CHECK(!loop->heap[0]->slot); // fire-and-forget ones are dropped
        free(loop->heap[0]);
        loop->heap[0] = loop->heap[--loop->timers];
    }
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->alarm_poll, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop->uv) == 0);
    close(loop->alarm);
    free(loop->heap);
    free(loop);
}

void loop_run(struct loop *loop) {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_quit(struct loop *loop) {
    uv_stop(&loop->uv);
}

static void on_closed(uv_handle_t *uv) {
    free(uv);
}

// ---- descriptors ----

static int to_uv(int events) {
    return (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0) |
           (events & LOOP_GONE ? UV_DISCONNECT : 0);
}

static void on_poll(uv_poll_t *uv, int status, int events) {
    struct loop_fd *w = (struct loop_fd *)uv;
    int happened = (events & UV_READABLE ? LOOP_READ : 0) |
                   (events & UV_WRITABLE ? LOOP_WRITE : 0) |
                   (events & UV_DISCONNECT ? LOOP_GONE : 0);
    // libuv stops a watch whose descriptor has an error. Ours goes on: the owner meets the error in
    // its next read or write.
    if (status < 0) {
        happened = w->events;
        loop_fd_change(w, w->events);
    }
    w->fn(happened, w->arg);
}

struct loop_fd *loop_fd_start(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *arg) {
    struct loop_fd *w = xnew(struct loop_fd);
    *w = (struct loop_fd){.loop = loop, .fn = fn, .arg = arg};
    CHECK(uv_poll_init(&loop->uv, &w->uv, fd) == 0);
    loop->handles++;
    loop_fd_change(w, events);
    return w;
}

void loop_fd_change(struct loop_fd *w, int events) {
    w->events = events;
    CHECK(uv_poll_start(&w->uv, to_uv(events), on_poll) == 0);
}

void loop_fd_stop(struct loop_fd **slot) {
    struct loop_fd *w = *slot;
    if (!w)
        return;
    *slot = NULL;
    w->loop->handles--;
    uv_close((uv_handle_t *)&w->uv, on_closed);
}

// ---- signals ----

static void on_signal(uv_signal_t *uv, int signo) {
    struct loop_signal *s = (struct loop_signal *)uv;
    s->fn(signo, s->arg);
}

struct loop_signal *loop_signal_start(struct loop *loop, int signo,
                                      void (*fn)(int signo, void *arg), void *arg) {
    struct loop_signal *s = xnew(struct loop_signal);
    *s = (struct loop_signal){.loop = loop, .fn = fn, .arg = arg};
    CHECK(uv_signal_init(&loop->uv, &s->uv) == 0);
    CHECK(uv_signal_start(&s->uv, on_signal, signo) == 0);
    loop->handles++;
    return s;
}

void loop_signal_stop(struct loop_signal **slot) {
    struct loop_signal *s = *slot;
    if (!s)
        return;
    *slot = NULL;
    s->loop->handles--;
    uv_close((uv_handle_t *)&s->uv, on_closed);
}

// ---- work on another thread ----

static void on_thread(uv_work_t *uv) {
    struct loop_work *w = (struct loop_work *)uv;
    w->fn(w->arg);
}

static void on_worked(uv_work_t *uv, int status) {
    (void)status;
    struct loop_work *w = (struct loop_work *)uv;
    void (*report)(void *arg) = w->report;
    void *arg = w->arg;
    free(w);
    if (report)
        report(arg);
}

struct loop_work *loop_work_start(struct loop *loop, void (*fn)(void *arg), void (*done)(void *arg),
                                  void (*drop)(void *arg), void *arg) {
    struct loop_work *w = xnew(struct loop_work);
    *w = (struct loop_work){.fn = fn, .report = done, .drop = drop, .arg = arg};
    CHECK(uv_queue_work(&loop->uv, &w->uv, on_thread, on_worked) == 0);
    return w;
}

void loop_work_forget(struct loop_work **slot) {
    struct loop_work *w = *slot;
    if (!w)
        return;
    *slot = NULL;
    w->report = w->drop;
    uv_cancel((uv_req_t *)&w->uv); // fn never begins, if it has not
}
