// GET /wait: answers when everything that was asked for is so at once, 408 when the timeout is over
// first. Looked at when something has changed and by the clock, never while somebody else's change
// is half done.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <stdlib.h>
#include <string.h>

enum { SECONDS = 60, SECONDS_MAX = 24 * 3600, LOOK_MS = 1000 };

struct wait {
    struct link link;
    struct control *control;
    struct request *request;
    struct loop_timer *timeout;
    char *state;              // "running" "stopped" "dead" "ready", "" any
    int64_t generation, pods; // at least; -1, 0: any
    bool over;                // the time is; what is being read is looked at first
};

static void wait_free(struct wait *w) {
    loop_timer_stop(&w->timeout);
    list_remove(&w->link);
    free(w->state);
    free(w);
}

static json_t *describe(struct control *c, int64_t pods) {
    json_t *j = json_object();
    json_object_set_new(j, "process", json_string(pod_process(c->pod)));
    json_object_set_new(j, "ready", json_boolean(pod_ready(c->pod)));
    json_object_set_new(j, "generation", json_integer(c->hooks.generation(c->arg)));
    if (pods >= 0)
        json_object_set_new(j, "pods", json_integer(pods));
    return j;
}

static void give_up(struct wait *w) {
    struct control *c = w->control;
    auto_json json_t *j = describe(c, -1);
    json_object_set_new(j, "error", json_string("not so within the timeout"));
    reply_json(w->request, 408, j);
    wait_free(w);
}

// Each is looked at once at least: a timeout of 0 asks whether it is so.
static void on_timeout(void *arg) {
    struct wait *w = arg;
    w->over = w->pods && w->control->waits.reading;
    if (!w->over)
        give_up(w);
}

static void on_gone(void *arg) {
    wait_free(arg);
}

// What can be told without ZooKeeper.
static bool here(const struct wait *w) {
    struct control *c = w->control;
    bool ready = pod_ready(c->pod);
    if (*w->state &&
        !(text_same(w->state, "ready") ? ready : text_same(w->state, pod_process(c->pod))))
        return false;
    return c->hooks.generation(c->arg) >= w->generation;
}

// pods: of the last completed round, just read; -1: not known now. Answers true when reading them
// would settle something.
static bool look(struct control *c, int64_t pods) {
    bool wanted = false;
    struct wait *w;
    list_each(w, &c->waits.list, struct wait, link) {
        if (!here(w))
            continue;
        if (w->pods && pods < w->pods) {
            wanted = true;
            continue;
        }
        auto_json json_t *j = describe(c, w->pods ? pods : -1);
        reply_json(w->request, 200, j);
        wait_free(w);
    }
    return wanted;
}

static void on_look(void *arg);

static void look_later(struct control *c) {
    if (!list_empty(&c->waits.list) && !c->waits.look)
        loop_timer_start(c->loop, &c->waits.look, LOOK_MS, on_look, c);
}

// A snapshot that cannot be read now is read again by the clock.
static void on_read(struct control *c, const json_t *answer, const struct err *err) {
    c->waits.reading = false;
    look(c, err->kind ? -1 : (int64_t)json_object_size(json_object_get(answer, "snapshot")));
    struct wait *w;
    list_each(w, &c->waits.list, struct wait, link) {
        if (w->over)
            give_up(w);
    }
    look_later(c);
}

static void on_look(void *arg) {
    struct control *c = arg;
    if (look(c, -1) && !c->waits.reading) {
        c->waits.reading = true;
        cluster_read(c, on_read);
    }
    look_later(c);
}

void wait_changed(struct control *c) {
    if (!list_empty(&c->waits.list))
        loop_timer_start(c->loop, &c->waits.look, 0, on_look, c);
}

static int read_wait(struct request *request, struct wait *w, int64_t *seconds, struct err *err) {
    const char *state = request_query(request, "for");
    if (state && strcmp(state, "running") && strcmp(state, "stopped") && strcmp(state, "dead") &&
        strcmp(state, "ready"))
        return err_set(err, ERR_USER, "for: running, stopped, dead or ready");
    if (reply_number("generation", request_query(request, "generation"), 0, INT64_MAX,
                     &w->generation, err) ||
        reply_number("pods", request_query(request, "pods"), 1, 100000, &w->pods, err) ||
        reply_number("timeout", request_query(request, "timeout"), 0, SECONDS_MAX, seconds, err))
        return -1;
    if (!state && !request_query(request, "generation") && !w->pods)
        return err_set(err, ERR_USER, "wait for what? for=, generation= or pods=");
    w->state = xstrdup(state ? state : "");
    return 0;
}

void wait_route(struct control *c, struct request *request) {
    struct wait read = {.control = c, .request = request, .generation = -1};
    int64_t seconds = SECONDS;
    struct err err = ERR_INIT;
    if (read_wait(request, &read, &seconds, &err)) {
        reply_error(request, &err);
        return;
    }
    struct wait *w = xnew(struct wait);
    *w = read;
    list_append(&c->waits.list, &w->link);
    request_on_gone(request, on_gone, w);
    wait_changed(c); // the first look comes before a timeout of 0
    loop_timer_start(c->loop, &w->timeout, seconds * 1000, on_timeout, w);
}
