// A log stream is a call without a deadline whose reply is read as it comes. Following ends with
// the container, and the engine then often leaves out what was written last (seen with 20.10): one
// more request, which does not follow, fetches the rest.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"

enum { STREAMS = 4, REST_MS = 10000 };

struct docker_stream {
    struct docker_call *call;
    struct docker_logs_events events;
    bool tty;
    char *id;
    int tail;
    int64_t since_ns; // lines up to here are known
    int64_t last_ns;
    bool following;
    struct frames frames;
    struct lines lines[STREAMS];
    int speaking; // the stream whose lines are read just now
};

static void stream_free(void *extra) {
    struct docker_stream *s = extra;
    for (int i = 0; i < STREAMS; i++)
        lines_done(&s->lines[i]);
    free(s->id);
    free(s);
}

void docker_stream_stop(struct docker_stream **slot) {
    if (!*slot)
        return;
    docker_cancel(&(*slot)->call);
    *slot = NULL;
}

// `since` is inclusive: the last line read before comes again.
static bool on_line(const char *line, size_t len, int64_t time_ns, void *arg) {
    struct docker_stream *s = arg;
    bool gone = false;
    if (time_ns && time_ns == s->since_ns)
        return true;
    s->last_ns = time_ns;
    s->call->gone = &gone;
    s->events.on_line(s->speaking, line, len, time_ns, s->call->arg);
    if (gone)
        return false;
    s->call->gone = NULL;
    return true;
}

// A frame is one message of the log driver: without a newline it is a piece of a longer line.
static bool on_frame(int stream, const char *data, size_t len, bool last, void *arg) {
    struct docker_stream *s = arg;
    struct lines *lines = &s->lines[stream];
    s->speaking = stream == 1 ? 1 : 2;
    return lines_feed(lines, data, len, on_line, s) && (!last || lines_flush(lines, on_line, s));
}

static void finish(struct docker_stream *s, const struct err *err) {
    void (*on_end)(const struct err *err, void *arg) = s->events.on_end;
    void *arg = s->call->arg;
    struct err copy = *err;
    call_free(s->call);
    on_end(&copy, arg);
}

static bool on_data(struct docker_call *call, const char *data, size_t len) {
    struct docker_stream *s = call->extra;
    struct err err = ERR_INIT;
    if (s->tty) {
        s->speaking = 1;
        return lines_feed(&s->lines[1], data, len, on_line, s);
    }
    if (frames_feed(&s->frames, data, len, on_frame, s, &err) == 0)
        return true;
    err_wrap(&err, "docker %s", call->what);
    finish(s, &err);
    return false;
}

static void logs_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err);

static void ask(struct docker_stream *s) {
    s->call->on_reply = logs_reply;
    call_send(s->call, &(struct call_request){.asked = {.op = DOOR_LOGS,
                                                        .id = s->id,
                                                        .number = s->tail,
                                                        .since_ns = s->since_ns,
                                                        .follow = s->following,
                                                        .timeout_ms = s->following ? 0 : REST_MS},
                                              .on_data = on_data});
}

static void ask_rest(struct docker_stream *s) {
    s->following = false;
    s->frames = (struct frames){0};
    s->since_ns = s->last_ns ? s->last_ns : s->since_ns;
    ask(s);
}

// A container that is gone has no more to say.
static void logs_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err) {
    struct docker_stream *s = call->extra;
    struct err mine = *err;
    (void)reply;
    for (int i = 1; i <= 2; i++) {
        s->speaking = i;
        if (!lines_flush(&s->lines[i], on_line, s))
            return;
    }
    if (!s->following && mine.kind == ERR_ABSENT)
        mine = (struct err)ERR_INIT;
    if (s->following && mine.kind == ERR_NONE)
        ask_rest(s);
    else
        finish(s, &mine);
}

struct docker_stream *docker_logs(struct docker *d, const char *id, bool tty, int64_t since_ns,
                                  int tail, const struct docker_logs_events *events, void *arg) {
    struct docker_call *call = call_create(d, logs_reply, arg, "logs %.12s", id);
    struct docker_stream *s = xnew(struct docker_stream);
    s->call = call;
    s->events = *events;
    s->tty = tty;
    s->id = xstrdup(id);
    s->tail = tail > 0 ? tail : 0;
    s->since_ns = since_ns;
    s->following = true;
    call->open_ended = true;
    call->extra = s;
    call->extra_free = stream_free;
    struct err err = ERR_INIT;
    if (is_name(id)) {
        ask(s);
    } else {
        err_set(&err, ERR_USER, "not an id or a name of a container");
        s->following = false;
        call_fail(call, &err);
    }
    return s;
}
