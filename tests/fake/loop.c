#include "tests/fake/loop.h"
#include "base/check.h"
#include "base/list.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RESTLESS = 100000, // turns at one time after which nothing will ever come to rest
    WAIT_MS = 30000,   // real time that loop_run waits for a descriptor
};

struct loop {
    int64_t own_now, *now; // of this loop, or of the one whose clock it shares
    double wall;           // at now 0
    bool quit;
    uint64_t order;
    struct link timers; // by (due, order)
    struct link fds, dead_fds, works, signals, turns;
    uint64_t raised; // signals, by bit
    int handles;
};

struct loop_timer {
    struct link link;
    struct loop_timer **slot;
    int64_t due;
    uint64_t order;
    void (*fn)(void *arg);
    void *arg;
};

struct loop_fd {
    struct link link;
    struct loop *loop;
    int fd, events;
    loop_fd_fn *fn;
    void *arg;
    bool stopped;
};

struct loop_signal {
    struct link link;
    struct loop *loop;
    int signo;
    void (*fn)(int signo, void *arg);
    void *arg;
};

struct loop_work {
    struct link link;
    bool ran;
    void (*fn)(void *arg);
    void (*report)(void *arg);
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

int64_t loop_now(struct loop *loop) {
    return *loop->now;
}

double loop_wall(struct loop *loop) {
    return loop->wall + (double)*loop->now / 1000;
}

void fake_loop_set_wall(struct loop *loop, double seconds) {
    loop->wall = seconds - (double)*loop->now / 1000;
}

// ---- timers ----

void loop_timer_start(struct loop *loop, struct loop_timer **slot, int64_t ms,
                      void (*fn)(void *arg), void *arg) {
    struct loop_timer *t = xnew(struct loop_timer);
    if (slot)
        loop_timer_stop(slot);
    *t = (struct loop_timer){.slot = slot, .fn = fn, .arg = arg, .order = loop->order++};
    t->due = ms > INT64_MAX - *loop->now ? INT64_MAX : *loop->now + (ms < 0 ? 0 : ms);
    struct link *at = loop->timers.next;
    while (at != &loop->timers && list_entry(at, struct loop_timer, link)->due <= t->due)
        at = at->next;
    list_insert_before(at, &t->link);
    if (slot)
        *slot = t;
}

void loop_timer_stop(struct loop_timer **slot) {
    struct loop_timer *t = *slot;
    if (!t)
        return;
    *slot = NULL;
    list_remove(&t->link);
    free(t);
}

static void fire(struct loop_timer *t) {
    struct loop_timer it = *t;
    list_remove(&t->link);
    free(t);
    if (it.slot)
        *it.slot = NULL;
    it.fn(it.arg);
}

// Timers started meanwhile wait for the next turn.
static bool turn_timers(struct loop *loop) {
    bool any = false;
    uint64_t newest = loop->order;
    while (!list_empty(&loop->timers)) {
        struct loop_timer *t = list_first(&loop->timers, struct loop_timer, link);
        if (t->due > *loop->now || t->order >= newest)
            break;
        fire(t);
        any = true;
    }
    return any;
}

int64_t fake_loop_next(const struct loop *loop) {
    if (list_empty(&loop->timers))
        return -1;
    int64_t due = list_first(&loop->timers, struct loop_timer, link)->due;
    return due > *loop->now ? due - *loop->now : 0;
}

size_t fake_loop_timers(const struct loop *loop) {
    size_t n = 0;
    for (const struct link *it = loop->timers.next; it != &loop->timers; it = it->next)
        n++;
    return n;
}

// ---- descriptors ----

struct loop_fd *loop_fd_start(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *arg) {
    struct loop_fd *w = xnew(struct loop_fd);
    *w = (struct loop_fd){.loop = loop, .fd = fd, .events = events, .fn = fn, .arg = arg};
    list_append(&loop->fds, &w->link);
    loop->handles++;
    return w;
}

void loop_fd_change(struct loop_fd *w, int events) {
    w->events = events;
}

// Freed at the end of the turn, which may have it on its list.
void loop_fd_stop(struct loop_fd **slot) {
    struct loop_fd *w = *slot;
    if (!w)
        return;
    *slot = NULL;
    w->stopped = true;
    w->loop->handles--;
    list_remove(&w->link);
    list_append(&w->loop->dead_fds, &w->link);
}

static void bury(struct loop *loop) {
    while (!list_empty(&loop->dead_fds)) {
        struct loop_fd *w = list_first(&loop->dead_fds, struct loop_fd, link);
        list_remove(&w->link);
        free(w);
    }
}

static int happened(const struct pollfd *p, int wanted) {
    if (p->revents & (POLLERR | POLLHUP | POLLNVAL))
        return wanted;
    return wanted &
           ((p->revents & POLLIN ? LOOP_READ : 0) | (p->revents & POLLOUT ? LOOP_WRITE : 0) |
            (p->revents & POLLRDHUP ? LOOP_GONE : 0));
}

static bool turn_fds(struct loop *loop, int wait_ms) {
    struct pollfd asked[256];
    struct loop_fd *watches[256], *w;
    nfds_t n = 0;
    if (list_empty(&loop->fds) && wait_ms == 0)
        return false; // no call of the system for nothing
    list_each(w, &loop->fds, struct loop_fd, link) {
        CHECK(n < 256);
        short events = (short)((w->events & LOOP_READ ? POLLIN : 0) |
                               (w->events & LOOP_WRITE ? POLLOUT : 0) |
                               (w->events & LOOP_GONE ? POLLRDHUP : 0));
        asked[n] = (struct pollfd){.fd = w->events ? w->fd : -1, .events = events};
        watches[n++] = w;
    }
    if (poll(asked, n, wait_ms) <= 0)
        return false;
    for (nfds_t i = 0; i < n; i++) {
        int events = watches[i]->stopped ? 0 : happened(&asked[i], watches[i]->events);
        if (events)
            watches[i]->fn(events, watches[i]->arg);
    }
    return true;
}

// ---- work ----

struct loop_work *loop_work_start(struct loop *loop, void (*fn)(void *arg), void (*done)(void *arg),
                                  void (*drop)(void *arg), void *arg) {
    struct loop_work *w = xnew(struct loop_work);
    *w = (struct loop_work){.fn = fn, .report = done, .drop = drop, .arg = arg};
    list_append(&loop->works, &w->link);
    return w;
}

void loop_work_forget(struct loop_work **slot) {
    struct loop_work *w = *slot;
    if (!w)
        return;
    *slot = NULL;
    w->report = w->drop;
    w->ran = true;
}

static bool turn_works(struct loop *loop) {
    struct link todo;
    if (list_empty(&loop->works))
        return false;
    list_init(&todo);
    while (!list_empty(&loop->works)) {
        struct link *it = loop->works.next;
        list_remove(it);
        list_append(&todo, it);
    }
    while (!list_empty(&todo)) {
        struct loop_work *w = list_first(&todo, struct loop_work, link);
        list_remove(&w->link);
        if (!w->ran) {
            w->ran = true;
            list_append(&loop->works, &w->link);
            w->fn(w->arg);
            continue;
        }
        struct loop_work it = *w;
        free(w);
        if (it.report)
            it.report(it.arg);
    }
    return true;
}

// ---- signals ----

struct loop_signal *loop_signal_start(struct loop *loop, int signo,
                                      void (*fn)(int signo, void *arg), void *arg) {
    CHECK(signo > 0 && signo < 64);
    struct loop_signal *s = xnew(struct loop_signal);
    *s = (struct loop_signal){.loop = loop, .signo = signo, .fn = fn, .arg = arg};
    list_append(&loop->signals, &s->link);
    loop->handles++;
    return s;
}

void loop_signal_stop(struct loop_signal **slot) {
    struct loop_signal *s = *slot;
    if (!s)
        return;
    *slot = NULL;
    s->loop->handles--;
    list_remove(&s->link);
    free(s);
}

void fake_loop_signal(struct loop *loop, int signo) {
    CHECK(signo > 0 && signo < 64);
    loop->raised |= UINT64_C(1) << signo;
}

// One signal a turn, and one listener of each.
static bool turn_signals(struct loop *loop) {
    if (!loop->raised)
        return false;
    int signo = __builtin_ctzll(loop->raised);
    loop->raised &= loop->raised - 1;
    struct loop_signal *s;
    list_each(s, &loop->signals, struct loop_signal, link) {
        if (s->signo == signo) {
            s->fn(signo, s->arg);
            break;
        }
    }
    return true;
}

// ---- turns ----

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

static void turn_listeners(struct loop *loop) {
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
}

// True when anything ran beside the listeners.
static bool turn(struct loop *loop, int wait_ms) {
    bool any = turn_timers(loop);
    any |= turn_fds(loop, any ? 0 : wait_ms);
    any |= turn_works(loop);
    any |= turn_signals(loop);
    turn_listeners(loop);
    bury(loop);
    return any;
}

// ---- the loop ----

struct loop *loop_create(void) {
    struct loop *loop = xnew(struct loop);
    loop->now = &loop->own_now;
    *loop->now = 1000000; // nothing may take 0 for the present
    loop->wall = 1700000000;
    struct link *lists[] = {&loop->timers, &loop->fds,     &loop->dead_fds,
                            &loop->works,  &loop->signals, &loop->turns};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        list_init(lists[i]);
    return loop;
}

void loop_free(struct loop *loop) {
    if (!loop)
        return;
    CHECK(loop->handles == 0);
    while (turn_works(loop))
        ;
    while (!list_empty(&loop->timers)) {
        struct loop_timer *t = list_first(&loop->timers, struct loop_timer, link);
        CHECK(!t->slot);
        list_remove(&t->link);
        free(t);
    }
    bury(loop);
    free(loop);
}

void loop_quit(struct loop *loop) {
    loop->quit = true;
}

bool fake_loop_has_quit(const struct loop *loop) {
    return loop->quit;
}

void loop_run(struct loop *loop) {
    while (!loop->quit) {
        if (turn(loop, 0) || loop->quit || fake_loop_next(loop) == 0)
            continue;
        // Nobody can advance the clock now: only a descriptor can bring news.
        CHECK(!list_empty(&loop->fds));
        CHECK(turn(loop, WAIT_MS) || loop->quit);
    }
    loop->quit = false;
}

void fake_loop_run_until_idle(struct loop *loop) {
    int turns = 0;
    while (turn(loop, 0) || fake_loop_next(loop) == 0 || !list_empty(&loop->works))
        CHECK(++turns < RESTLESS);
}

void fake_loop_advance(struct loop *loop, int64_t ms) {
    int64_t end = *loop->now + ms;
    fake_loop_run_until_idle(loop);
    for (int64_t next; (next = fake_loop_next(loop)) >= 0 && next <= end - *loop->now;) {
        *loop->now += next;
        fake_loop_run_until_idle(loop);
    }
    *loop->now = end;
    fake_loop_run_until_idle(loop);
}

void fake_loop_share(struct loop *loop, const struct loop *with) {
    loop->now = with->now;
}

void fake_loop_freeze(struct loop *loop, int64_t ms) {
    *loop->now += ms;
}
