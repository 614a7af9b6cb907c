// The life of a call: recorded, failed as the test wants, carried out, answered a turn later.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/decode.h"
#include "tests/fake/docker_inside.h"
#include <string.h>

const char *fake_name_of(struct docker *d, const char *ref) {
    const struct engine_container *c = engine_find(d->f->memory, ref);
    return c ? c->name : ref;
}

static bool is_read(const char *line) {
    static const char *const reads[] = {"inspect", "list",  "image",      "logs",
                                        "wait",    "stat ", "volume-list"};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        if (text_starts(line, reads[i]))
            return true;
    return false;
}

void fake_record(struct fake_engine *f, const char *line) {
    if (f->record_reads || !is_read(line))
        text_addf(&f->calls, "%s\n", line);
}

static struct rule *find_rule(struct link *rules, const char *line) {
    struct rule *rule, *found = NULL;
    list_each(rule, rules, struct rule, link) {
        if (rule->times != 0 && text_starts(line, rule->prefix))
            found = rule;
    }
    return found;
}

struct rule *fake_failure(struct fake_engine *f, const char *line) {
    return find_rule(&f->failures, line);
}

void fake_call_free(struct docker_call *call) {
    if (call->gone)
        *call->gone = true;
    list_remove(&call->link);
    loop_timer_stop(&call->timer);
    loop_timer_stop(&call->deadline);
    json_decref(call->later.body);
    json_decref(call->body);
    free(call->line);
    free(call->id);
    free(call->text);
    free(call->more);
    free(call);
}

static bool is_answered(const struct docker_call *call) {
    return !call->pending && (call->later.status || call->failure.kind != ERR_NONE);
}

void fake_call_orphan(struct docker_call *call) {
    loop_timer_stop(&call->deadline);
    call->orphan = true;
    call->gone = NULL;
    if (is_answered(call) || call->act == fake_wait_act)
        fake_call_free(call);
}

// The engine goes on with a stop that it has begun, whether its client stays or not.
void docker_cancel(struct docker_call **slot) {
    struct docker_call *call = *slot;
    *slot = NULL;
    if (call && call->act == fake_stop_act && call->pending)
        fake_call_orphan(call);
    else if (call)
        fake_call_free(call);
}

// One of the eight callbacks, with what the reply decodes to. The call is gone before.
static void answer(struct docker_call *call, const json_t *body, struct err *err) {
    struct docker_call it = *call;
    struct docker_container *c = NULL;
    struct docker_image *image = NULL;
    const char *id = NULL;
    struct docker_exec_result result = {.exit_code = call->number,
                                        .out = it.out,
                                        .err = it.err,
                                        .out_len = strlen(it.out),
                                        .err_len = strlen(it.err)};
    bool good = err->kind == ERR_NONE;
    fake_call_free(call);
    switch (it.kind) {
    case REPLY_DONE:
        it.fn.done(err, it.arg);
        break;
    case REPLY_ID:
        CHECK(!good || decode_id(body, &id, err) == 0);
        it.fn.id(id, err, it.arg);
        break;
    case REPLY_CONTAINER:
        CHECK(!good || decode_container_json(body, &c, err) == 0);
        it.fn.container(c, err, it.arg);
        break;
    case REPLY_JSON:
        it.fn.json(good ? body : NULL, err, it.arg);
        break;
    case REPLY_WAIT:
        it.fn.wait(good ? it.number : -1, err, it.arg);
        break;
    case REPLY_EXEC:
        it.fn.exec(good ? &result : NULL, err, it.arg);
        break;
    case REPLY_IMAGE:
        CHECK(!good || decode_image_json(body, &image, err) == 0);
        it.fn.image(image, err, it.arg);
        break;
    case REPLY_STAT:
        it.fn.stat(good && it.flag, err, it.arg);
        break;
    }
}

static void fail_now(struct docker_call *call, enum err_kind kind, const char *why) {
    struct err err = ERR_INIT;
    err_set(&err, kind, "docker %s: %s", call->line, why);
    answer(call, NULL, &err);
}

static void on_failed(void *arg) {
    struct docker_call *call = arg;
    struct err err = call->failure;
    answer(call, NULL, &err);
}

// From the engine's side: who asked hears of it in his own turn.
static void fail_soon(struct docker_call *call, enum err_kind kind, const char *why) {
    call->pending = false;
    err_set(&call->failure, kind, "docker %s: %s", call->line, why);
    if (call->orphan)
        fake_call_free(call);
    else
        loop_timer_start(call->d->loop, &call->timer, 0, on_failed, call);
}

void fake_call_cut(struct docker_call *call) {
    fail_soon(call, ERR_RETRY, "cut off");
}

static void answer_reply(struct docker_call *call, struct engine_reply reply) {
    auto_json json_t *body = reply.body;
    struct err err = ERR_INIT;
    if (reply.status >= 400) {
        auto_free char *text = json_write(body);
        decode_failure(reply.status, text, strlen(text), &err);
        err_wrap(&err, "docker %s", call->line);
    }
    answer(call, body, &err);
}

static void on_later(void *arg) {
    struct docker_call *call = arg;
    struct engine_reply reply = call->later;
    call->later.body = NULL;
    answer_reply(call, reply);
}

void fake_call_resolve(struct docker_call *call, struct engine_reply reply, int ms) {
    call->pending = false;
    call->later = reply;
    if (call->orphan)
        fake_call_free(call);
    else
        loop_timer_start(call->d->loop, &call->timer, ms, on_later, call);
}

// False when the call was cancelled meanwhile, by its own `armed`.
static bool carry_out(struct docker_call *call, struct engine_reply *ret) {
    bool gone = false;
    call->pending = true;
    call->gone = &gone;
    *ret = call->act(call);
    if (gone)
        return false;
    call->gone = NULL;
    return true;
}

void fake_call_again(void *arg) {
    struct docker_call *call = arg;
    struct engine_reply reply = {0};
    // Answered in the next turn: behind the events that it caused.
    if (carry_out(call, &reply) && reply.status)
        fake_call_resolve(call, reply, 0);
}

static void obey(struct docker_call *call, struct rule *rule) {
    struct engine_reply lost = {0};
    rule->times--;
    if (rule->status == FAKE_HANG)
        return;
    if (rule->status > 0) {
        fake_call_resolve(call, engine_refusal(rule->status, "%s", rule->message), 0);
        return;
    }
    if (rule->status == FAKE_LOST && !carry_out(call, &lost))
        return;
    json_decref(lost.body);
    fail_soon(call, ERR_RETRY, rule->message);
}

static void process(void *arg) {
    struct docker_call *call = arg;
    struct fake_engine *f = call->d->f;
    if (f->frozen) {
        loop_timer_start(f->loop, &call->timer, 10, process, call);
        return;
    }
    if (f->down || (!call->d->up && !call->orphan)) {
        fail_soon(call, ERR_RETRY, f->down ? f->why.text : "no contact yet");
        return;
    }
    fake_record(f, call->line);
    if (f->on_call)
        f->on_call(call->line, call->id, call->d->loop, f->call_arg);
    struct rule *rule = fake_failure(f, call->line);
    if (rule)
        obey(call, rule);
    else
        fake_call_again(call);
}

static void on_deadline(void *arg) {
    fail_now(arg, ERR_TIMEOUT, "no complete reply in time");
}

struct docker_call *fake_call(struct docker *d, enum reply_kind kind, fake_act_fn *fn,
                              const char *id, void *arg) {
    struct docker_call *call = xnew(struct docker_call);
    call->d = d;
    call->kind = kind;
    call->act = fn;
    call->id = id ? xstrdup(id) : NULL;
    call->arg = arg;
    list_append(&d->calls, &call->link);
    return call;
}

// Ours to refuse: the engine is not asked. line: taken.
struct docker_call *fake_call_refuse(struct docker_call *call, char *line, const struct err *err) {
    call->line = line;
    fail_soon(call, err->kind, err->text);
    return call;
}

// line: what is recorded. timeout_ms 0: none.
struct docker_call *fake_call_begin(struct docker_call *call, char *line, int64_t timeout_ms) {
    struct fake_engine *f = call->d->f;
    call->line = line;
    if (call->id && !*call->id) { // the engine is not asked: docker-api/container.c
        fail_soon(call, ERR_USER, "not an id or a name of a container");
        return call;
    }
    const struct rule *slow = find_rule(&f->latencies, line);
    loop_timer_start(f->loop, &call->timer, slow ? slow->ms : 0, process, call);
    if (timeout_ms > 0)
        loop_timer_start(call->d->loop, &call->deadline, timeout_ms, on_deadline, call);
    return call;
}
