#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include "docker-api/pull.h"

enum { LOOK_MS = 10000, STALLED_MS = 120000, UNPACKING_MS = 1800000 };

// ---- inspect ----

static void inspect_reply(struct docker_call *call, const struct http_reply *reply,
                          const struct err *err) {
    docker_image_fn *fn = call->fn.image;
    void *arg = call->arg;
    struct err mine = *err;
    struct docker_image *image = NULL;
    if (mine.kind == ERR_NONE && decode_image(reply->body, reply->len, &image, &mine) < 0)
        call_unreadable(call, &mine);
    call_free(call);
    fn(image, &mine, arg);
}

struct docker_call *docker_image_inspect(struct docker *d, const char *name, docker_image_fn *fn,
                                         void *arg) {
    struct docker_call *call = call_create(d, inspect_reply, arg, "image inspect %s", name);
    auto_free char *image = NULL, *tag = NULL;
    struct err err = ERR_INIT;
    call->fn.image = fn;
    if (pull_split(name, &image, &tag, &err) < 0) {
        call_fail(call, &err);
        return call;
    }
    call_send(call, &(struct call_request){
                        .asked = {.op = DOOR_IMAGE, .id = name, .timeout_ms = LOOK_MS}});
    return call;
}

// ---- pull ----
// How long it may take nobody knows; that it goes on is seen from what it says. An engine that is
// gone while it unpacks, and says nothing, is missed by its events.

struct pulling {
    struct docker_call *call;
    struct pull pull;
    struct jsonl lines;
    struct err failure;
    struct loop_timer *stalled;
    void (*progress)(int percent, void *arg);
};

static void pulling_free(void *extra) {
    struct pulling *p = extra;
    loop_timer_stop(&p->stalled);
    pull_done(&p->pull);
    jsonl_done(&p->lines);
    free(p);
}

static int patience_ms(const struct pulling *p) {
    return pull_is_unpacking(&p->pull) ? UNPACKING_MS : STALLED_MS;
}

static void on_stalled(void *arg) {
    struct docker_call *call = arg;
    struct err err = ERR_INIT;
    err_set(&err, ERR_TIMEOUT, "docker %s: nothing for %d s", call->what,
            patience_ms(call->extra) / 1000);
    call_done_reply(call, NULL, &err);
}

static void await_word(struct docker_call *call) {
    struct pulling *p = call->extra;
    loop_timer_start(call->docker->loop, &p->stalled, patience_ms(p), on_stalled, call);
}

static bool on_line(const char *line, size_t len, void *arg) {
    struct pulling *p = arg;
    struct docker_call *call = p->call;
    int before = p->pull.percent;
    bool gone = false;
    // The last word counts; what comes behind a failure is dropped.
    if (p->failure.kind != ERR_NONE || pull_feed(&p->pull, line, len, &p->failure) < 0)
        return true;
    await_word(call);
    if (!p->progress || p->pull.percent == before)
        return true;
    call->gone = &gone;
    p->progress(p->pull.percent, call->arg);
    if (gone)
        return false;
    call->gone = NULL;
    return true;
}

static bool on_data(struct docker_call *call, const char *data, size_t len) {
    struct pulling *p = call->extra;
    struct err err = ERR_INIT;
    if (jsonl_feed(&p->lines, data, len, DECODE_MAX_EVENT, on_line, p, &err) == 0)
        return true;
    call_unreadable(call, &err);
    call_done_reply(call, NULL, &err);
    return false;
}

static void pull_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err) {
    const struct pulling *p = call->extra;
    struct err mine = *err;
    if (mine.code >= 500 && pull_is_absence(mine.text))
        mine.kind = ERR_ABSENT;
    if (mine.kind == ERR_NONE && p->failure.kind != ERR_NONE) {
        err_copy(&mine, &p->failure);
        err_wrap(&mine, "docker %s", call->what);
    }
    call_done_reply(call, reply, &mine);
}

struct docker_call *docker_pull(struct docker *d, const char *name,
                                void (*progress)(int percent, void *arg), docker_done_fn *fn,
                                void *arg) {
    struct docker_call *call = call_create(d, pull_reply, arg, "pull %s", name);
    struct pulling *p = xnew(struct pulling);
    auto_free char *image = NULL, *tag = NULL;
    struct err err = ERR_INIT;
    p->call = call;
    p->progress = progress;
    pull_init(&p->pull);
    call->fn.done = fn;
    call->extra = p;
    call->extra_free = pulling_free;
    call->open_ended = true;
    if (pull_split(name, &image, &tag, &err) < 0) {
        call_fail(call, &err);
        return call;
    }
    await_word(call);
    call_send(call, &(struct call_request){.asked = {.op = DOOR_PULL, .id = image, .text = tag},
                                           .on_data = on_data});
    return call;
}
