#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include <string.h>

enum { HEAD_MS = 5000, REFUSAL_MAX = 4096 };

// What the life of a container consists of. Health checks alone would wake us three times a run
// (exec_create, exec_start, exec_die).
static const char *const wanted[] = {"create", "start",   "die",          "oom",    "kill",
                                     "stop",   "restart", "destroy",      "rename", "update",
                                     "pause",  "unpause", "health_status"};

static bool is_wanted(const char *name) {
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t len = strlen(wanted[i]);
        if (strncmp(name, wanted[i], len) == 0 && (!name[len] || name[len] == ':'))
            return true;
    }
    return false;
}

static bool has_label(const struct docker *d, const json_t *attributes) {
    for (size_t i = 0; d->labels && d->labels[i]; i++) {
        const char *equals = strchr(d->labels[i], '=');
        auto_free char *key = equals ? xstrndup(d->labels[i], (size_t)(equals - d->labels[i]))
                                     : xstrdup(d->labels[i]);
        const char *value = json_string_value(json_object_get(attributes, key));
        if (value && (!equals || strcmp(value, equals + 1) == 0))
            return true;
    }
    return !d->labels;
}

// ---- what comes ----

static bool deliver(struct docker *d, const struct decode_event *event) {
    bool gone = false;
    d->gone = &gone;
    d->listener.on_event(event->id, event->name, event->attributes, event->time_ns, d->arg);
    if (gone)
        return false;
    d->gone = NULL;
    return d->events != NULL;
}

// An event that cannot be read may be the one that mattered: a gap makes the owner ask for what is
// true.
static bool unreadable(struct docker *d, const struct err *err) {
    d->since_ns = (int64_t)(loop_wall(d->loop) * 1e6) * 1000;
    contact_lost(d, err);
    return false;
}

static bool on_line(const char *line, size_t len, void *arg) {
    struct docker *d = arg;
    struct err err = ERR_INIT;
    struct decode_event event;
    auto_json json_t *j = json_read_quoting(line, len, DECODE_MAX_EVENT, "event", &err);
    if (!j || decode_event(j, &event, &err) < 0)
        return unreadable(d, &err);
    // `since` is inclusive: the last one heard before a gap comes again. Not "earlier ones": clocks
    // are set back.
    if (event.time_ns == d->since_ns)
        return true;
    d->since_ns = event.time_ns;
    if (strcmp(event.type, "container") != 0 || !is_wanted(event.name) ||
        !has_label(d, event.attributes))
        return true;
    return deliver(d, &event);
}

static int on_data(const void *data, size_t len, void *arg) {
    struct docker *d = arg;
    struct err err = ERR_INIT;
    if (d->events_status != 200) {
        if (d->events_refusal.len < REFUSAL_MAX)
            text_addn(&d->events_refusal, data, len);
        return 0;
    }
    contact_quiet(d);
    if (jsonl_feed(&d->events_lines, data, len, DECODE_MAX_EVENT, on_line, d, &err) < 0)
        unreadable(d, &err);
    return 0;
}

static void on_head(const struct door_head *head, void *arg) {
    struct docker *d = arg;
    d->events_status = head->status;
    loop_timer_stop(&d->events_head);
    if (head->status == 200)
        contact_up(d);
}

static void on_end(const struct http_reply *reply, const struct err *err, void *arg) {
    struct docker *d = arg;
    struct err why = ERR_INIT;
    d->events = NULL;
    if (err->kind != ERR_NONE)
        err_copy(&why, err);
    else if (reply->status == 200)
        err_set(&why, ERR_RETRY, "the events stream ended");
    else
        decode_failure(reply->status, text_str(&d->events_refusal), d->events_refusal.len, &why);
    contact_lost(d, &why);
}

static void on_no_head(void *arg) {
    struct docker *d = arg;
    struct err why = ERR_INIT;
    err_set(&why, ERR_TIMEOUT, "the events stream did not open within %d s", HEAD_MS / 1000);
    contact_lost(d, &why);
}

// ---- opening and closing ----

// Several labels are several questions to the engine (it wants all of them), but one to us (any).
static json_t *filters(const struct docker *d) {
    json_t *events = json_array(), *labels = json_array();
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        json_array_append_new(events, json_string(wanted[i]));
    if (d->labels && !d->labels[1])
        json_array_append_new(labels, json_string(d->labels[0]));
    json_t *all = json_object();
    json_object_set_new(all, "type", json_pack("[s]", "container"));
    json_object_set_new(all, "event", events);
    json_object_set_new(all, "label", labels);
    return all;
}

// The head comes before the engine has subscribed us: only `since` closes that gap.
void events_open(struct docker *d) {
    static const struct door_events events = {
        .on_head = on_head, .on_data = on_data, .on_end = on_end};
    auto_json json_t *asked = filters(d);
    auto_free char *json = json_write(asked);
    const struct door_request request = {.op = DOOR_EVENTS,
                                         .version = d->version,
                                         .since_ns = d->since_ns,
                                         .json = json,
                                         .pieces = true};
    d->events_status = 0;
    d->events = door_start(d->door, &request, &events, d);
    loop_timer_start(d->loop, &d->events_head, HEAD_MS, on_no_head, d);
}

void events_close(struct docker *d) {
    door_cancel(&d->events);
    loop_timer_stop(&d->events_head);
    jsonl_done(&d->events_lines);
    text_done(&d->events_refusal);
}
