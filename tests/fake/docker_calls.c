// The calls of the door, each with what the engine does with it.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/decode.h"
#include "docker-api/encode.h"
#include "docker-api/pull.h"
#include "tests/fake/docker_inside.h"
#include <string.h>

enum { LOOK_MS = 10000, WORK_MS = 60000, KILL_MS = 20000, STOP_EXTRA_MS = 15000 };

static struct engine_reply later(void) {
    return (struct engine_reply){0};
}

static struct engine *memory(struct docker_call *call) {
    return call->d->f->memory;
}

// ---- containers ----

static struct engine_reply create_act(struct docker_call *call) {
    return engine_container_create(memory(call), call->text, call->body);
}

struct docker_call *docker_create(struct docker *d, const char *name, const json_t *body,
                                  docker_id_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_ID, create_act, NULL, arg);
    call->fn.id = fn;
    call->text = name ? xstrdup(name) : NULL;
    call->body = json_deep_copy(body);
    return fake_call_begin(call, xasprintf("create %s", name ? name : ""), WORK_MS);
}

// A start on the die event waits in the real engine until it has taken note of the end.
static struct engine_reply start_act(struct docker_call *call) {
    const struct engine_container *c = engine_find(memory(call), call->id);
    if (c && c->status == ENGINE_EXITED && engine_is_running(memory(call), c)) {
        loop_timer_start(call->d->f->loop, &call->timer, 1, fake_call_again, call);
        return later();
    }
    return engine_container_start(memory(call), call->id);
}

struct docker_call *docker_start(struct docker *d, const char *id, docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, start_act, id, arg);
    call->fn.done = fn;
    return fake_call_begin(call, xasprintf("start %s", fake_name_of(d, id)), WORK_MS);
}

static void stop_is_over(void *arg) {
    struct docker_call *call = arg;
    struct engine_container *c = engine_find(memory(call), call->id);
    if (c)
        engine_exit(memory(call), c, 137, false);
}

struct engine_reply fake_stop_act(struct docker_call *call) {
    struct engine_container *c = engine_find(memory(call), call->id);
    if (!c)
        return engine_refusal(404, "No such container: %s", call->id);
    const char *own = json_text(c->config, "StopSignal");
    const char *signal = call->text ? call->text : *own ? own : "TERM";
    struct engine_reply reply = engine_container_kill(memory(call), call->id, signal);
    if (reply.status == 409) {
        json_decref(reply.body);
        return (struct engine_reply){304, NULL};
    }
    if (reply.status != 204)
        return reply;
    loop_timer_start(call->d->f->loop, &call->timer, call->number * INT64_C(1000), stop_is_over,
                     call);
    fake_signal(call->d->f, c, signal);
    return later();
}

struct docker_call *docker_stop(struct docker *d, const char *id, const char *signal, int grace_s,
                                docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, fake_stop_act, id, arg);
    call->fn.done = fn;
    call->text = signal ? xstrdup(signal) : NULL;
    call->number = grace_s;
    return fake_call_begin(
        call, xasprintf("stop %s %s %d", fake_name_of(d, id), signal ? signal : "-", grace_s),
        grace_s * INT64_C(1000) + STOP_EXTRA_MS);
}

static struct engine_reply kill_act(struct docker_call *call) {
    struct engine_reply reply = engine_container_kill(memory(call), call->id, call->text);
    if (reply.status == 409) {
        json_decref(reply.body);
        return (struct engine_reply){204, NULL};
    }
    if (reply.status == 204)
        fake_signal(call->d->f, engine_find(memory(call), call->id), call->text);
    return reply;
}

struct docker_call *docker_kill(struct docker *d, const char *id, const char *signal,
                                docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, kill_act, id, arg);
    call->fn.done = fn;
    call->text = xstrdup(signal ? signal : "KILL");
    return fake_call_begin(call, xasprintf("kill %s %s", fake_name_of(d, id), call->text), KILL_MS);
}

struct engine_reply fake_wait_act(struct docker_call *call) {
    const struct engine_container *c = engine_find(memory(call), call->id);
    bool *gone = call->gone;
    if (!c)
        return engine_refusal(404, "No such container: %s", call->id);
    bool now = (!call->text || strcmp(call->text, "not-running") == 0) &&
               !engine_is_running(memory(call), c);
    call->number = c->exit_code;
    if (call->aside && !call->orphan)
        call->aside(call->arg);
    if (*gone || !now)
        return later();
    return (struct engine_reply){200, NULL};
}

struct docker_call *docker_wait(struct docker *d, const char *id, const char *condition,
                                void (*armed)(void *arg), docker_wait_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_WAIT, fake_wait_act, id, arg);
    call->fn.wait = fn;
    call->aside = armed;
    call->text = condition ? xstrdup(condition) : NULL;
    return fake_call_begin(
        call, xasprintf("wait %s %s", fake_name_of(d, id), condition ? condition : "-"), 0);
}

static struct engine_reply inspect_act(struct docker_call *call) {
    return engine_container_inspect(memory(call), call->id);
}

struct docker_call *docker_inspect(struct docker *d, const char *id_or_name,
                                   docker_container_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_CONTAINER, inspect_act, id_or_name, arg);
    call->fn.container = fn;
    return fake_call_begin(call, xasprintf("inspect %s", fake_name_of(d, id_or_name)), LOOK_MS);
}

static struct engine_reply list_act(struct docker_call *call) {
    return engine_container_list(memory(call), call->flag, call->body);
}

struct docker_call *docker_list(struct docker *d, bool all, const json_t *filters,
                                docker_json_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_JSON, list_act, NULL, arg);
    call->fn.json = fn;
    call->flag = all;
    call->body = filters ? json_deep_copy(filters) : NULL;
    return fake_call_begin(call, xstrdup("list"), LOOK_MS);
}

static struct engine_reply rename_act(struct docker_call *call) {
    return engine_container_rename(memory(call), call->id, call->text);
}

struct docker_call *docker_rename(struct docker *d, const char *id, const char *name,
                                  docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, rename_act, id, arg);
    call->fn.done = fn;
    call->text = xstrdup(name);
    return fake_call_begin(call, xasprintf("rename %s %s", fake_name_of(d, id), name), LOOK_MS);
}

static struct engine_reply absent_is_fine(struct engine_reply reply) {
    if (reply.status != 404)
        return reply;
    json_decref(reply.body);
    return (struct engine_reply){204, NULL};
}

static struct engine_reply remove_act(struct docker_call *call) {
    return absent_is_fine(engine_container_remove(memory(call), call->id, call->flag, call->other));
}

struct docker_call *docker_remove(struct docker *d, const char *id, bool force, bool volumes,
                                  docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, remove_act, id, arg);
    call->fn.done = fn;
    call->flag = force;
    call->other = volumes;
    return fake_call_begin(call,
                           xasprintf("remove %s%s%s", fake_name_of(d, id), force ? " force" : "",
                                     volumes ? " volumes" : ""),
                           WORK_MS);
}

static struct engine_reply update_act(struct docker_call *call) {
    return engine_container_update(memory(call), call->id, call->body);
}

struct docker_call *docker_update(struct docker *d, const char *id, const json_t *body,
                                  docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, update_act, id, arg);
    call->fn.done = fn;
    call->body = json_deep_copy(body);
    return fake_call_begin(call, xasprintf("update %s", fake_name_of(d, id)), LOOK_MS);
}

// ---- exec ----

static void ask_test(struct docker_call *call, struct fake_exec *exec) {
    const json_t *cmd = json_object_get(call->body, "Cmd");
    const char *argv[64] = {0};
    for (size_t i = 0; i < json_array_size(cmd) && i < 63; i++)
        argv[i] = json_string_value(json_array_get(cmd, i));
    exec->container = fake_name_of(call->d, call->id);
    exec->argv = argv;
    exec->input = call->text;
    if (call->d->f->on_exec)
        call->d->f->on_exec(exec, call->d->f->exec_arg);
    exec->argv = NULL;
}

struct engine_reply fake_exec_act(struct docker_call *call) {
    struct engine_reply reply = engine_exec_create(memory(call), call->id, call->body);
    struct fake_exec exec = {0};
    if (reply.status != 201)
        return reply;
    const char *id = json_text(reply.body, "Id");
    engine_exec_end(memory(call), id, 0);
    json_decref(engine_exec_inspect(memory(call), id).body); // forgotten
    json_decref(reply.body);
    ask_test(call, &exec);
    call->number = exec.exit_code;
    memcpy(call->out, exec.out, sizeof call->out);
    memcpy(call->err, exec.err, sizeof call->err);
    if (exec.ms < 0)
        return later();
    if (exec.ms == 0)
        return (struct engine_reply){200, NULL};
    fake_call_resolve(call, (struct engine_reply){200, NULL}, exec.ms);
    call->pending = true; // its container may end before
    return later();
}

struct docker_call *docker_exec(struct docker *d, const char *container_id,
                                const struct docker_exec *exec, docker_exec_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_EXEC, fake_exec_act, container_id, arg);
    auto_text struct text line = {0};
    struct err err = ERR_INIT;
    call->fn.exec = fn;
    call->text = exec->input ? xstrndup(exec->input, exec->input_len) : NULL;
    call->body = encode_exec(exec, &err);
    if (!call->body)
        return fake_call_refuse(call, xasprintf("exec %s", fake_name_of(d, container_id)), &err);
    text_addf(&line, "exec %s", fake_name_of(d, container_id));
    for (size_t i = 0; exec->argv[i]; i++)
        text_addf(&line, " %s", exec->argv[i]);
    return fake_call_begin(call, text_take(&line), exec->timeout_ms);
}

// ---- logs ----

void fake_stream_free(struct docker_stream *s) {
    if (s->gone)
        *s->gone = true;
    list_remove(&s->link);
    loop_timer_stop(&s->timer);
    free(s->ref);
    free(s);
}

static void stream_fail(struct docker_stream *s, const struct err *why) {
    void (*on_end)(const struct err *err, void *arg) = s->events.on_end;
    void *arg = s->arg;
    struct err err = *why;
    if (err.kind != ERR_NONE)
        err_wrap(&err, "docker logs %s", s->ref);
    fake_stream_free(s);
    on_end(&err, arg);
}

static void stream_end(struct docker_stream *s, enum err_kind kind, const char *why) {
    struct err err = ERR_INIT;
    if (kind != ERR_NONE)
        err_set(&err, kind, "%s", why);
    stream_fail(s, &err);
}

static bool stream_open(struct docker_stream *s) {
    const struct engine_container *c = engine_find(s->d->f->memory, s->ref);
    if (!c) {
        stream_end(s, ERR_ABSENT, "No such container");
        return false;
    }
    memcpy(s->id, c->id, sizeof s->id);
    size_t n = json_array_size(json_object_get(s->d->f->logs, s->id));
    s->next = s->since_ns > 0 || (size_t)s->tail > n ? 0 : n - (size_t)s->tail;
    s->opened = true;
    return true;
}

static bool stream_refuse(struct docker_stream *s) {
    auto_free char *line = xasprintf("logs %s", fake_name_of(s->d, s->ref));
    struct rule *rule = fake_failure(s->d->f, line);
    struct err err = ERR_INIT;
    if (!rule)
        return false;
    rule->times--;
    auto_json json_t *body = engine_refusal(rule->status, "%s", rule->message).body;
    auto_free char *text = json_write(body);
    decode_failure(rule->status, text, strlen(text), &err);
    stream_fail(s, &err);
    return true;
}

static bool stream_line(struct docker_stream *s, const json_t *entry) {
    bool gone = false;
    int64_t ns = json_integer_value(json_array_get(entry, 2));
    const char *line = json_string_value(json_array_get(entry, 1));
    s->next++;
    if (ns <= s->since_ns)
        return true;
    s->gone = &gone;
    s->events.on_line((int)json_integer_value(json_array_get(entry, 0)), line, strlen(line), ns,
                      s->arg);
    if (gone)
        return false;
    s->gone = NULL;
    return true;
}

static void stream_pump(void *arg) {
    struct docker_stream *s = arg;
    struct fake_engine *f = s->d->f;
    if (f->down || !s->d->up) {
        stream_end(s, ERR_RETRY, "cut off");
        return;
    }
    if (!s->opened && (stream_refuse(s) || !stream_open(s)))
        return;
    const json_t *log = json_object_get(f->logs, s->id);
    while (s->next < json_array_size(log))
        if (!stream_line(s, json_array_get(log, s->next)))
            return;
    const struct engine_container *c = engine_find(f->memory, s->id);
    if (!c || (c->status != ENGINE_RUNNING && c->status != ENGINE_PAUSED))
        stream_end(s, ERR_NONE, "");
}

void fake_stream_poke(struct docker_stream *s) {
    loop_timer_start(s->d->loop, &s->timer, 0, stream_pump, s);
}

struct docker_stream *docker_logs(struct docker *d, const char *id, bool tty, int64_t since_ns,
                                  int tail, const struct docker_logs_events *events, void *arg) {
    struct docker_stream *s = xnew(struct docker_stream);
    auto_free char *line = xasprintf("logs %s", fake_name_of(d, id));
    (void)tty;
    s->d = d;
    s->ref = xstrdup(id);
    s->events = *events;
    s->arg = arg;
    s->since_ns = since_ns;
    s->tail = tail > 0 ? tail : 0;
    list_append(&d->streams, &s->link);
    fake_record(d->f, line);
    fake_stream_poke(s);
    return s;
}

void docker_stream_stop(struct docker_stream **slot) {
    if (*slot)
        fake_stream_free(*slot);
    *slot = NULL;
}

// ---- files ----

static struct engine_reply archive_act(struct docker_call *call) {
    const struct engine_container *c = engine_find(memory(call), call->id);
    if (!c)
        return engine_refusal(404, "No such container: %s", call->id);
    json_object_update(c->files, call->body);
    return (struct engine_reply){200, NULL};
}

struct docker_call *docker_archive_put(struct docker *d, const char *id, const char *dir,
                                       const struct docker_file *files, size_t n,
                                       docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, archive_act, id, arg);
    auto_text struct text line = {0};
    call->fn.done = fn;
    call->body = json_object();
    text_addf(&line, "archive %s %s", fake_name_of(d, id), dir);
    for (size_t i = 0; i < n; i++) {
        auto_free char *path = xasprintf("%s%s%s", dir, text_ends(dir, "/") ? "" : "/",
                                         files[i].path);
        json_object_set_new(call->body, path, json_stringn(files[i].data, files[i].len));
        text_addf(&line, " %s", files[i].path);
    }
    return fake_call_begin(call, text_take(&line), WORK_MS);
}

static struct engine_reply stat_act(struct docker_call *call) {
    const struct engine_container *c = engine_find(memory(call), call->id);
    call->flag = c && json_object_get(c->files, call->text);
    return (struct engine_reply){200, NULL};
}

struct docker_call *docker_path_stat(struct docker *d, const char *id, const char *path,
                                     docker_stat_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_STAT, stat_act, id, arg);
    call->fn.stat = fn;
    call->text = xstrdup(path);
    return fake_call_begin(call, xasprintf("stat %s %s", fake_name_of(d, id), path), WORK_MS);
}

// ---- images ----

static struct engine_reply image_act(struct docker_call *call) {
    auto_free char *image = NULL, *tag = NULL;
    struct err err = ERR_INIT;
    if (pull_split(call->id, &image, &tag, &err) < 0)
        return engine_refusal(400, "%s", err.text);
    return engine_image_inspect(memory(call), call->id);
}

struct docker_call *docker_image_inspect(struct docker *d, const char *name, docker_image_fn *fn,
                                         void *arg) {
    struct docker_call *call = fake_call(d, REPLY_IMAGE, image_act, name, arg);
    call->fn.image = fn;
    return fake_call_begin(call, xasprintf("image %s", name), LOOK_MS);
}

enum { PULL_STEPS = 10 };

static bool tell_progress(struct docker_call *call) {
    bool gone = false;
    if (!call->progress)
        return true;
    call->gone = &gone;
    call->progress(call->number * 100 / PULL_STEPS, call->arg);
    if (gone)
        return false;
    call->gone = NULL;
    return true;
}

static void pull_step(void *arg) {
    struct docker_call *call = arg;
    const json_t *entry = json_object_get(call->d->f->registry, call->id);
    int64_t ms = json_integer_value(json_array_get(entry, 1));
    call->number++;
    if (!tell_progress(call))
        return;
    if (call->number < PULL_STEPS) {
        loop_timer_start(call->d->f->loop, &call->timer, ms / PULL_STEPS, pull_step, call);
        return;
    }
    engine_image_add(memory(call), call->id, json_array_get(entry, 0));
    fake_call_resolve(call, (struct engine_reply){200, NULL}, 0);
}

static struct engine_reply pull_act(struct docker_call *call) {
    const json_t *entry = json_object_get(call->d->f->registry, call->id);
    auto_free char *image = NULL, *tag = NULL;
    struct err err = ERR_INIT;
    if (pull_split(call->id, &image, &tag, &err) < 0)
        return engine_refusal(400, "%s", err.text);
    if (!entry)
        return engine_refusal(404, "manifest for %s not found: manifest unknown", call->id);
    loop_timer_start(call->d->f->loop, &call->timer,
                     json_integer_value(json_array_get(entry, 1)) / PULL_STEPS, pull_step, call);
    return later();
}

struct docker_call *docker_pull(struct docker *d, const char *name,
                                void (*progress)(int percent, void *arg), docker_done_fn *fn,
                                void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, pull_act, name, arg);
    call->fn.done = fn;
    call->progress = progress;
    return fake_call_begin(call, xasprintf("pull %s", name), 0);
}

// ---- volumes ----

static struct engine_reply volume_create_act(struct docker_call *call) {
    return engine_volume_create(memory(call), call->text, call->body);
}

struct docker_call *docker_volume_create(struct docker *d, const char *name, const json_t *labels,
                                         docker_done_fn *fn, void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, volume_create_act, NULL, arg);
    call->fn.done = fn;
    call->text = xstrdup(name);
    call->body = labels ? json_deep_copy(labels) : NULL;
    return fake_call_begin(call, xasprintf("volume-create %s", name), LOOK_MS);
}

static struct engine_reply volume_list_act(struct docker_call *call) {
    struct engine_reply reply = engine_volume_list(memory(call), call->body);
    json_t *list = json_incref(json_object_get(reply.body, "Volumes"));
    json_decref(reply.body);
    return (struct engine_reply){200, list};
}

struct docker_call *docker_volume_list(struct docker *d, const json_t *filters, docker_json_fn *fn,
                                       void *arg) {
    struct docker_call *call = fake_call(d, REPLY_JSON, volume_list_act, NULL, arg);
    call->fn.json = fn;
    call->body = filters ? json_deep_copy(filters) : NULL;
    return fake_call_begin(call, xstrdup("volume-list"), LOOK_MS);
}

static struct engine_reply volume_remove_act(struct docker_call *call) {
    return absent_is_fine(engine_volume_remove(memory(call), call->text));
}

struct docker_call *docker_volume_remove(struct docker *d, const char *name, docker_done_fn *fn,
                                         void *arg) {
    struct docker_call *call = fake_call(d, REPLY_DONE, volume_remove_act, NULL, arg);
    call->fn.done = fn;
    call->text = xstrdup(name);
    return fake_call_begin(call, xasprintf("volume-remove %s", name), LOOK_MS);
}
