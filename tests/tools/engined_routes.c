#include "base/check.h"
#include "base/own.h"
#include "tests/tools/engined.h"
#include <string.h>
#include <time.h>

enum { PAST = 256 };

static const char *asked(const struct exchange *x, const char *key) {
    return json_text(x->query, key);
}

static bool is_asked(const struct exchange *x, const char *key) {
    const char *value = asked(x, key);
    return *value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

static json_t *asked_json(const struct exchange *x, const char *key) {
    const char *s = asked(x, key);
    return *s ? json_read(s, strlen(s), 1 << 20, key, NULL) : NULL;
}

int64_t engined_clock(void *arg) {
    (void)arg;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

// ---- ends that are to come ----

struct death {
    struct link link;
    struct engined *d;
    char id[65];
    int exit_code;
    struct loop_timer *timer;
};

static void death_free(struct death *it) {
    list_remove(&it->link);
    loop_timer_stop(&it->timer);
    free(it);
}

void engined_forget_deaths(struct engined *d) {
    while (!list_empty(&d->deaths))
        death_free(list_first(&d->deaths, struct death, link));
}

static void on_death(void *arg) {
    struct death *it = arg;
    struct engine *engine = it->d->engine;
    struct engine_container *c = engine_find(engine, it->id);
    int exit_code = it->exit_code;
    death_free(it);
    if (c)
        engine_exit(engine, c, exit_code, false);
}

static void plan_death(struct engined *d, const struct engine_container *c) {
    const json_t *labels = json_object_get(c->config, "Labels");
    int64_t ms, code = 0;
    if (text_int(json_text(labels, "engined.exit_ms"), 0, INT32_MAX, &ms, NULL) < 0)
        return;
    if (text_int(json_text(labels, "engined.exit_code"), 0, 255, &code, NULL) < 0)
        code = 0;
    struct death *it = xnew(struct death);
    it->d = d;
    it->exit_code = (int)code;
    memcpy(it->id, c->id, sizeof it->id);
    list_append(&d->deaths, &it->link);
    loop_timer_start(d->loop, &it->timer, ms, on_death, it);
}

// ---- who follows what ----

static bool is_among(const json_t *filters, const char *key, const char *value, bool prefix) {
    const json_t *wanted = json_object_get(filters, key);
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const char *s = json_string_value(json_array_get(wanted, i));
        if (prefix ? text_starts(value, s) : text_same(value, s))
            return true;
    }
    return json_array_size(wanted) == 0;
}

static bool has_labels(const json_t *filters, const json_t *attributes) {
    const json_t *wanted = json_object_get(filters, "label");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        auto_free char *key = xstrdup(json_string_value(json_array_get(wanted, i)));
        char *equals = strchr(key, '=');
        if (equals)
            *equals = 0;
        const char *value = json_string_value(json_object_get(attributes, key));
        if (!value || (equals && strcmp(value, equals + 1) != 0))
            return false;
    }
    return true;
}

static void tell_event(struct exchange *x, const json_t *event) {
    const json_t *actor = json_object_get(event, "Actor");
    const json_t *attributes = json_object_get(actor, "Attributes");
    if (!is_among(x->filters, "type", json_text(event, "Type"), false) ||
        !is_among(x->filters, "event", json_text(event, "Action"), true) ||
        !is_among(x->filters, "container", json_text(actor, "ID"), true) ||
        !has_labels(x->filters, attributes))
        return;
    auto_text struct text line = {0};
    auto_free char *s = json_write(event);
    text_addf(&line, "%s\n", s);
    reply_chunk(x, line.s, line.len);
}

static void end_wait(struct exchange *x, int exit_code) {
    auto_free char *body = xasprintf("{\"Error\":null,\"StatusCode\":%d}\n", exit_code);
    reply_chunk(x, body, strlen(body));
    reply_end(x);
}

static void tell_log(struct exchange *x) {
    const json_t *log = json_object_get(x->d->logs, x->subject);
    for (; x->log_at < json_array_size(log); x->log_at++) {
        const json_t *entry = json_array_get(log, x->log_at);
        const char *stamp = x->stamps ? json_string_value(json_array_get(entry, 2)) : "";
        auto_text struct text line = {0};
        text_addf(&line, "%s%s%s\n", stamp, x->stamps ? " " : "",
                  json_string_value(json_array_get(entry, 1)));
        size_t n = line.len;
        char frame[8] = {(char)json_integer_value(json_array_get(entry, 0)),
                         0,
                         0,
                         0,
                         (char)(n >> 24),
                         (char)(n >> 16),
                         (char)(n >> 8),
                         (char)n};
        auto_text struct text out = {0};
        if (!x->tty)
            text_addn(&out, frame, sizeof frame);
        text_addn(&out, line.s, n);
        reply_chunk(x, out.s, out.len);
    }
}

static void tell_followers(struct engined *d, const json_t *event,
                           const struct engine_container *c) {
    const char *name = json_text(event, "Action");
    bool died = strcmp(name, "die") == 0, removed = strcmp(name, "destroy") == 0;
    struct exchange *x;
    list_each(x, &d->clients, struct exchange, link) {
        bool mine = x->subject && strcmp(x->subject, c->id) == 0;
        bool removal = x->condition && strcmp(x->condition, "removed") == 0;
        if (x->following == FOLLOW_EVENTS)
            tell_event(x, event);
        else if (x->following == FOLLOW_WAIT && mine && ((died && !removal) || removed))
            end_wait(x, c->exit_code);
        else if (x->following == FOLLOW_LOGS && mine && (died || removed))
            reply_end(x);
    }
}

void engined_on_event(const json_t *event, const struct engine_container *c, void *arg) {
    struct engined *d = arg;
    json_array_append(d->past, (json_t *)event);
    if (json_array_size(d->past) > PAST)
        json_array_remove(d->past, 0);
    tell_followers(d, event, c);
    if (strcmp(json_text(event, "Action"), "start") == 0)
        plan_death(d, c);
    if (strcmp(json_text(event, "Action"), "destroy") == 0)
        json_object_del(d->logs, c->id);
}

// ---- routes: the engine ----

static void on_ping(struct exchange *x, const char *id) {
    (void)id;
    reply_raw(x, 200, "text/plain; charset=utf-8", "OK", 2);
}

static void on_version(struct exchange *x, const char *id) {
    (void)id;
    auto_json json_t *body = json_pack("{s:s, s:s, s:s}", "Version", "20.10.24-engined",
                                       "ApiVersion", x->d->api, "MinAPIVersion", "1.12");
    reply_json(x, 200, body);
}

static int64_t stamp_ns(const char *s) {
    long long seconds = 0;
    char nanos[10] = "000000000";
    char *end;
    seconds = strtoll(s, &end, 10);
    for (int i = 0; *end == '.' && i < 9 && end[1 + i] >= '0' && end[1 + i] <= '9'; i++)
        nanos[i] = end[1 + i];
    return seconds * 1000000000 + strtoll(nanos, NULL, 10);
}

static void on_events(struct exchange *x, const char *id) {
    (void)id;
    int64_t since = *asked(x, "since") ? stamp_ns(asked(x, "since")) : INT64_MAX;
    json_decref(x->filters);
    x->filters = asked_json(x, "filters");
    x->following = FOLLOW_EVENTS;
    reply_stream(x);
    for (size_t i = 0; i < json_array_size(x->d->past); i++) {
        const json_t *event = json_array_get(x->d->past, i);
        if (json_integer_value(json_object_get(event, "timeNano")) >= since)
            tell_event(x, event);
    }
}

// ---- routes: containers ----

static void on_list(struct exchange *x, const char *id) {
    (void)id;
    auto_json json_t *filters = asked_json(x, "filters");
    reply_engine(x, engine_container_list(x->d->engine, is_asked(x, "all"), filters));
}

static void provide_image(struct exchange *x, const char *name) {
    struct engine_reply reply = engine_image_inspect(x->d->engine, name);
    json_decref(reply.body);
    if (reply.status == 404 && x->d->any_image && *name)
        engine_image_add(x->d->engine, name, NULL);
}

static void on_create(struct exchange *x, const char *id) {
    (void)id;
    const char *name = asked(x, "name");
    if (!x->body) {
        reply_status(x, 400, "the body is not JSON");
        return;
    }
    provide_image(x, json_text(x->body, "Image"));
    reply_engine(x, engine_container_create(x->d->engine, *name ? name : NULL, x->body));
}

static void on_inspect(struct exchange *x, const char *id) {
    reply_engine(x, engine_container_inspect(x->d->engine, id));
}

static void on_start(struct exchange *x, const char *id) {
    reply_engine(x, engine_container_start(x->d->engine, id));
}

static bool deliver(struct exchange *x, const char *id, const char *signal) {
    struct engine_container *c = engine_find(x->d->engine, id);
    int exit_code = engine_signal_exit(signal);
    if (c && exit_code >= 0)
        engine_exit(x->d->engine, c, exit_code, false);
    return exit_code >= 0;
}

static void on_stop(struct exchange *x, const char *id) {
    struct engine_container *c = engine_find(x->d->engine, id);
    const char *own = c ? json_text(c->config, "StopSignal") : "";
    const char *signal = *asked(x, "signal") ? asked(x, "signal") : *own ? own : "TERM";
    struct engine_reply reply = engine_container_kill(x->d->engine, id, signal);
    if (reply.status == 409) {
        json_decref(reply.body);
        reply_json(x, 304, NULL);
        return;
    }
    if (reply.status == 204) {
        if (!deliver(x, id, signal))
            deliver(x, id, "KILL");
        engine_stopped(x->d->engine, c);
    }
    reply_engine(x, reply);
}

static void on_kill(struct exchange *x, const char *id) {
    struct engine_reply reply = engine_container_kill(x->d->engine, id, asked(x, "signal"));
    if (reply.status == 204)
        deliver(x, id, asked(x, "signal"));
    reply_engine(x, reply);
}

static void follow(struct exchange *x, enum following what, const char *subject) {
    free(x->subject);
    free(x->condition);
    x->subject = xstrdup(subject);
    x->condition = xstrdup(asked(x, "condition"));
    x->following = what;
}

static void on_wait(struct exchange *x, const char *id) {
    const struct engine_container *c = engine_find(x->d->engine, id);
    const char *condition = asked(x, "condition");
    if (!c) {
        reply_engine(x, engine_refusal(404, "No such container: %s", id));
        return;
    }
    follow(x, FOLLOW_WAIT, c->id);
    reply_stream(x);
    if ((!*condition || strcmp(condition, "not-running") == 0) &&
        !engine_is_running(x->d->engine, c))
        end_wait(x, c->exit_code);
}

static void on_rename(struct exchange *x, const char *id) {
    reply_engine(x, engine_container_rename(x->d->engine, id, asked(x, "name")));
}

static void on_update(struct exchange *x, const char *id) {
    reply_engine(x, engine_container_update(x->d->engine, id, x->body));
}

static void on_remove(struct exchange *x, const char *id) {
    reply_engine(x,
                 engine_container_remove(x->d->engine, id, is_asked(x, "force"), is_asked(x, "v")));
}

static void on_logs(struct exchange *x, const char *id) {
    const struct engine_container *c = engine_find(x->d->engine, id);
    int64_t tail = 0;
    if (!c) {
        reply_engine(x, engine_refusal(404, "No such container: %s", id));
        return;
    }
    size_t n = json_array_size(json_object_get(x->d->logs, c->id));
    bool all = text_int(asked(x, "tail"), 0, INT32_MAX, &tail, NULL) < 0 || (size_t)tail > n;
    follow(x, FOLLOW_LOGS, c->id);
    x->log_at = all ? 0 : n - (size_t)tail;
    x->stamps = is_asked(x, "timestamps");
    x->tty = json_is_true(json_object_get(c->config, "Tty"));
    reply_stream(x);
    tell_log(x);
    if (!is_asked(x, "follow") || !engine_is_running(x->d->engine, c))
        reply_end(x);
}

// ---- routes: files ----

// Only that it came: what a tar holds is for the real engine to say.
static void on_archive_put(struct exchange *x, const char *id) {
    const struct engine_container *c = engine_find(x->d->engine, id);
    if (!c) {
        reply_engine(x, engine_refusal(404, "No such container: %s", id));
        return;
    }
    if (x->raw_len > 100 && *x->raw) {
        auto_free char *name = xstrndup(x->raw, 100);
        auto_free char *path = xasprintf("%s/%s", asked(x, "path"), name);
        json_object_set_new(c->files, path, json_string(""));
    }
    reply_json(x, 200, NULL);
}

static void on_archive_head(struct exchange *x, const char *id) {
    const struct engine_container *c = engine_find(x->d->engine, id);
    bool there = c && json_object_get(c->files, asked(x, "path"));
    reply_json(x, there ? 200 : 404, NULL);
}

// ---- routes: exec ----

static void on_exec_create(struct exchange *x, const char *id) {
    reply_engine(x, engine_exec_create(x->d->engine, id, x->body));
}

// cat hands back stdin, echo its words, false is false; all else is true and silent.
static int play(const json_t *cmd, const char *input, struct text *out) {
    const char *name = json_string_value(json_array_get(cmd, 0));
    if (strcmp(name, "cat") == 0)
        text_add(out, input);
    for (size_t i = 1; strcmp(name, "echo") == 0 && i < json_array_size(cmd); i++)
        text_addf(out, "%s%s", json_string_value(json_array_get(cmd, i)),
                  i + 1 < json_array_size(cmd) ? " " : "\n");
    return strcmp(name, "false") == 0;
}

static void finish_exec(struct exchange *x, const char *input) {
    const char *container;
    const json_t *body = engine_exec_body(x->d->engine, x->subject, &container);
    auto_text struct text out = {0};
    int exit_code = play(json_object_get(body, "Cmd"), input, &out);
    engine_exec_end(x->d->engine, x->subject, exit_code);
    if (out.len) {
        char frame[8] = {1,
                         0,
                         0,
                         0,
                         (char)(out.len >> 24),
                         (char)(out.len >> 16),
                         (char)(out.len >> 8),
                         (char)out.len};
        reply_bytes(x, frame, sizeof frame);
        reply_bytes(x, out.s, out.len);
    }
    reply_close(x);
}

void engined_input_ended(struct exchange *x) {
    finish_exec(x, text_str(&x->in));
}

static void on_exec_start(struct exchange *x, const char *id) {
    const char *container;
    const json_t *body = engine_exec_body(x->d->engine, id, &container);
    bool upgraded = strcasestr(x->in.s, "\r\nUpgrade: tcp") != NULL;
    if (!body) {
        reply_engine(x, engine_refusal(404, "No such exec instance: %s", id));
        return;
    }
    follow(x, FOLLOW_EXEC, id);
    reply_upgrade(x, upgraded);
    if (!json_is_true(json_object_get(body, "AttachStdin")))
        finish_exec(x, "");
}

static void on_exec_inspect(struct exchange *x, const char *id) {
    reply_engine(x, engine_exec_inspect(x->d->engine, id));
}

// ---- routes: images and volumes ----

static void on_image(struct exchange *x, const char *id) {
    provide_image(x, id);
    reply_engine(x, engine_image_inspect(x->d->engine, id));
}

static void on_pull(struct exchange *x, const char *id) {
    (void)id;
    auto_free char *name = xasprintf("%s:%s", asked(x, "fromImage"), asked(x, "tag"));
    struct engine_reply reply = engine_image_inspect(x->d->engine, name);
    bool there = reply.status == 200 || x->d->any_image;
    const char *line =
        there ? "{\"status\":\"Downloading\",\"id\":\"layer\",\"progressDetail\":{\"current\":5,"
                "\"total\":10}}\r\n{\"status\":\"Pull complete\",\"id\":\"layer\","
                "\"progressDetail\":{}}\r\n"
              : "{\"errorDetail\":{\"message\":\"manifest unknown\"},\"error\":\"manifest "
                "unknown\"}\r\n";
    json_decref(reply.body);
    provide_image(x, name);
    reply_stream(x);
    reply_chunk(x, line, strlen(line));
    reply_end(x);
}

static void on_volume_create(struct exchange *x, const char *id) {
    (void)id;
    reply_engine(x, engine_volume_create(x->d->engine, json_text(x->body, "Name"),
                                         json_object_get(x->body, "Labels")));
}

static void on_volume_list(struct exchange *x, const char *id) {
    (void)id;
    auto_json json_t *filters = asked_json(x, "filters");
    reply_engine(x, engine_volume_list(x->d->engine, filters));
}

static void on_volume_remove(struct exchange *x, const char *id) {
    reply_engine(x, engine_volume_remove(x->d->engine, id));
}

// ---- routes: what the tests say ----

static int64_t asked_number(const struct exchange *x, const char *key, int64_t otherwise) {
    int64_t n;
    return text_int(asked(x, key), INT64_MIN, INT64_MAX, &n, NULL) == 0 ? n : otherwise;
}

static void on_misbehave(struct exchange *x, const char *id) {
    (void)id;
    struct whim *whim = xnew(struct whim);
    whim->kind = xstrdup(asked(x, "kind"));
    whim->method = xstrdup(asked(x, "method"));
    whim->path = xstrdup(asked(x, "path"));
    whim->number = asked_number(x, "number", 0);
    whim->times = asked_number(x, "times", 1);
    whim->body = xstrndup(x->raw, x->raw_len);
    list_append(&x->d->whims, &whim->link);
    reply_json(x, 204, NULL);
}

static void on_behave(struct exchange *x, const char *id) {
    (void)id;
    engined_forget_whims(x->d);
    reply_json(x, 204, NULL);
}

static struct engine_container *named(struct exchange *x) {
    struct engine_container *c = engine_find(x->d->engine, asked(x, "container"));
    if (!c)
        reply_engine(x, engine_refusal(404, "No such container: %s", asked(x, "container")));
    return c;
}

static void on_exit_asked(struct exchange *x, const char *id) {
    (void)id;
    struct engine_container *c = named(x);
    if (!c)
        return;
    engine_exit(x->d->engine, c, (int)asked_number(x, "code", 0), is_asked(x, "oom"));
    reply_json(x, 204, NULL);
}

static void on_health(struct exchange *x, const char *id) {
    (void)id;
    struct engine_container *c = named(x);
    if (!c)
        return;
    engine_health(x->d->engine, c, asked(x, "status"));
    reply_json(x, 204, NULL);
}

static void on_say(struct exchange *x, const char *id) {
    (void)id;
    const struct engine_container *c = named(x);
    if (!c)
        return;
    int64_t ns = engined_clock(NULL);
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    char day[32];
    gmtime_r(&seconds, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    auto_free char *stamp = xasprintf("%s.%09lldZ", day, (long long)(ns % 1000000000));
    if (!json_object_get(x->d->logs, c->id))
        json_object_set_new(x->d->logs, c->id, json_array());
    json_array_append_new(json_object_get(x->d->logs, c->id),
                          json_pack("[I, s%, s]", (json_int_t)asked_number(x, "stream", 1), x->raw,
                                    x->raw_len, stamp));
    struct exchange *other;
    list_each(other, &x->d->clients, struct exchange, link) {
        if (other->following == FOLLOW_LOGS && strcmp(other->subject, c->id) == 0)
            tell_log(other);
    }
    reply_json(x, 204, NULL);
}

// ---- the table ----

// In a path * stands for an id or a name; of an image it may hold slashes.
static const struct route {
    const char *method, *path;
    void (*fn)(struct exchange *x, const char *id);
} routes[] = {
    {"GET", "/_ping", on_ping},
    {"HEAD", "/_ping", on_ping},
    {"GET", "/version", on_version},
    {"GET", "/events", on_events},
    {"GET", "/containers/json", on_list},
    {"POST", "/containers/create", on_create},
    {"GET", "/containers/*/json", on_inspect},
    {"POST", "/containers/*/start", on_start},
    {"POST", "/containers/*/stop", on_stop},
    {"POST", "/containers/*/kill", on_kill},
    {"POST", "/containers/*/wait", on_wait},
    {"POST", "/containers/*/rename", on_rename},
    {"POST", "/containers/*/update", on_update},
    {"POST", "/containers/*/exec", on_exec_create},
    {"GET", "/containers/*/logs", on_logs},
    {"PUT", "/containers/*/archive", on_archive_put},
    {"HEAD", "/containers/*/archive", on_archive_head},
    {"DELETE", "/containers/*", on_remove},
    {"POST", "/exec/*/start", on_exec_start},
    {"GET", "/exec/*/json", on_exec_inspect},
    {"POST", "/images/create", on_pull},
    {"GET", "/images/*/json", on_image},
    {"POST", "/volumes/create", on_volume_create},
    {"GET", "/volumes", on_volume_list},
    {"DELETE", "/volumes/*", on_volume_remove},
    {"POST", "/engined/misbehave", on_misbehave},
    {"POST", "/engined/behave", on_behave},
    {"POST", "/engined/exit", on_exit_asked},
    {"POST", "/engined/health", on_health},
    {"POST", "/engined/say", on_say},
};

// What * stands for, "" where there is none; NULL when it does not fit. The caller frees.
static char *fits(const char *pattern, const char *path) {
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, path) == 0 ? xstrdup("") : NULL;
    size_t before = (size_t)(star - pattern), after = strlen(star + 1), len = strlen(path);
    if (len <= before + after || strncmp(path, pattern, before) != 0 ||
        strcmp(path + len - after, star + 1) != 0)
        return NULL;
    return xstrndup(path + before, len - before - after);
}

void engined_answer(struct exchange *x) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(x->method, routes[i].method) != 0)
            continue;
        auto_free char *id = fits(routes[i].path, x->path);
        if (id) {
            routes[i].fn(x, id);
            return;
        }
    }
    reply_status(x, 404, "page not found");
}
