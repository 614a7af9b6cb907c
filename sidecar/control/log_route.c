// GET or POST /log: the ring of the last 32 KiB of lines, the sidecar's and the workload's. As
// Ochopod: a JSON array of lines that end in "\n"; ?format=text: as they are. ?follow: the same
// lines and then each new one as it comes, one JSON string a line (or text), until the client
// leaves.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <stdlib.h>
#include <string.h>

enum { BEHIND_MAX = 256 * 1024 }; // a follower that would be further behind is let go

struct follower {
    struct link link;
    struct control *control;
    struct request *request;
    bool as_text;
    uint64_t seen; // lines up to here were in the ring when it came
};

struct line {
    struct inbox_message message; // first
    uint64_t number;
    size_t len;
    char text[];
};

static void add_line(struct text *t, bool as_text, const char *line, size_t len) {
    auto_text struct text clean = {0};
    if (as_text) {
        text_addn(t, line, len);
        text_addc(t, '\n');
        return;
    }
    text_add_utf8(&clean, line, len);
    text_addc(&clean, '\n');
    auto_json json_t *j = json_stringn(clean.s, clean.len);
    auto_free char *s = json_dumps(j, JSON_ENCODE_ANY);
    CHECK(s);
    text_add(t, s);
}

// ---- followers ----

static void listen_no_more(struct control *c) {
    if (list_empty(&c->follows.list))
        log_listen(NULL, NULL);
}

static void let_go(struct follower *f) {
    struct control *c = f->control;
    list_remove(&f->link);
    free(f);
    listen_no_more(c);
}

static void on_gone(void *arg) {
    let_go(arg);
}

static void follower_add(struct follower *f, const char *line, size_t len) {
    auto_text struct text t = {0};
    add_line(&t, f->as_text, line, len);
    if (!f->as_text)
        text_addc(&t, '\n');
    if (request_stream_pending(f->request) + t.len <= BEHIND_MAX &&
        request_stream_add(f->request, t.s, t.len))
        return;
    request_stream_break(f->request);
    let_go(f);
}

static void on_line(struct inbox_message *message, void *arg) {
    struct control *c = arg;
    struct line *line = (struct line *)message;
    struct follower *f;
    list_each(f, &c->follows.list, struct follower, link) {
        if (line->number > f->seen)
            follower_add(f, line->text, line->len);
    }
    free(line);
}

static void drop_line(struct inbox_message *message, void *arg) {
    (void)arg;
    free(message);
}

// On whatever thread logs, under the log's lock.
static void post_line(const char *s, size_t len, void *arg) {
    struct control *c = arg;
    struct line *line = xcalloc(1, sizeof(*line) + len + 1);
    line->number = ++c->follows.posted;
    line->len = len;
    memcpy(line->text, s, len);
    inbox_post(c->follows.inbox, &line->message);
}

struct snapshot {
    struct control *control;
    struct text lines;
    bool as_text, array;
    uint64_t posted; // read under the log's lock: what is in the ring and what is yet to come
};

static void take_line(const char *s, size_t len, void *arg) {
    struct snapshot *it = arg;
    it->posted = it->control->follows.posted;
    if (it->array)
        text_addc(&it->lines, it->lines.len ? ',' : '[');
    add_line(&it->lines, it->as_text, s, len);
    if (!it->array && !it->as_text)
        text_addc(&it->lines, '\n');
}

static const char *type_of(bool as_text, bool follow) {
    return as_text  ? "text/plain; charset=utf-8"
           : follow ? "application/x-ndjson; charset=utf-8"
                    : "application/json; charset=utf-8";
}

static void follow(struct control *c, struct request *request, bool as_text) {
    if (!c->follows.inbox)
        c->follows.inbox = inbox_create(c->loop, on_line, c);
    log_listen(post_line, c);
    struct snapshot it = {.control = c, .as_text = as_text};
    log_each(take_line, &it);
    bool room = request_stream_add(request, text_str(&it.lines), it.lines.len);
    text_done(&it.lines);
    if (!room) {
        reply_complaint(request, 503, "too many lines that nobody reads: try again");
        listen_no_more(c);
        return;
    }
    struct follower *f = xnew(struct follower);
    *f = (struct follower){.control = c, .request = request, .as_text = as_text, .seen = it.posted};
    list_append(&c->follows.list, &f->link);
    request_on_gone(request, on_gone, f);
    request_stream(request, type_of(as_text, true));
}

void log_close(struct control *c) {
    log_listen(NULL, NULL);
    if (c->follows.inbox)
        inbox_free(c->follows.inbox, drop_line);
}

void log_route(struct control *c, struct request *request) {
    const char *format = request_query(request, "format");
    bool as_text = text_same(format, "text");
    if (format && !as_text && strcmp(format, "json") != 0) {
        reply_complaint(request, 400, "format: json or text");
        return;
    }
    if (request_query(request, "follow")) {
        follow(c, request, as_text);
        return;
    }
    struct snapshot it = {.control = c, .as_text = as_text, .array = !as_text};
    log_each(take_line, &it);
    if (it.array)
        text_add(&it.lines, it.lines.len ? "]" : "[]");
    size_t len = it.lines.len;
    request_answer(request, 200, type_of(as_text, false), text_take(&it.lines), len);
}
