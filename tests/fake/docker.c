#include "tests/fake/docker.h"
#include "base/check.h"
#include "base/own.h"
#include "docker-api/decode.h"
#include "tests/fake/docker_inside.h"
#include <string.h>

static struct link engines = {&engines, &engines};

// ---- time and events ----

static int64_t clock_ns(void *arg) {
    struct fake_engine *f = arg;
    // Of its own: a test that sets the wall clock sets ours.
    int64_t now = (INT64_C(1700000000000) + loop_now(f->loop)) * 1000000;
    // Two things never happen at one time: whoever compares stamps would lose one.
    f->last_ns = now > f->last_ns ? now : f->last_ns + 1;
    return f->last_ns;
}

static void delivery_free(struct delivery *it) {
    list_remove(&it->link);
    loop_timer_stop(&it->timer);
    json_decref(it->event);
    free(it);
}

static void deliver(void *arg) {
    struct delivery *it = arg;
    struct docker *d = it->d;
    auto_json json_t *event = json_incref(it->event);
    struct decode_event e;
    struct err err = ERR_INIT;
    if (d->f->frozen) {
        loop_timer_start(d->loop, &it->timer, 10, deliver, it);
        return;
    }
    delivery_free(it);
    CHECK(decode_event(event, &e, &err) == 0);
    d->listener.on_event(e.id, e.name, e.attributes, e.time_ns, d->arg);
}

static bool has_label(const struct docker *d, const json_t *attributes) {
    for (size_t i = 0; d->labels && d->labels[i]; i++) {
        auto_free char *key = xstrdup(d->labels[i]);
        char *equals = strchr(key, '=');
        if (equals)
            *equals = 0;
        const char *value = json_string_value(json_object_get(attributes, key));
        if (value && (!equals || strcmp(value, equals + 1) == 0))
            return true;
    }
    return !d->labels;
}

static void tell(struct docker *d, const json_t *event) {
    if (!d->listening || !d->up || d->f->down || d->f->mute ||
        !has_label(d, json_object_get(json_object_get(event, "Actor"), "Attributes")))
        return;
    struct delivery *it = xnew(struct delivery);
    it->d = d;
    it->event = json_deep_copy(event);
    list_append(&d->deliveries, &it->link);
    loop_timer_start(d->loop, &it->timer, 0, deliver, it);
}

// ---- processes ----

static const struct fake_habits *habits_of(const struct fake_engine *f,
                                           const struct engine_container *c) {
    static const struct fake_habits usual = {.term_exit = 143, .exit_ms = -1};
    const struct fake_habits *found = &usual;
    const struct habit *h;
    list_each(h, &f->habits, struct habit, link) {
        if (!h->of)
            found = &h->habits;
    }
    list_each(h, &f->habits, struct habit, link) {
        if (h->of &&
            (strcmp(h->of, c->name) == 0 || strcmp(h->of, json_text(c->config, "Image")) == 0))
            found = &h->habits;
    }
    return found;
}

static void process_free(struct process *p) {
    list_remove(&p->link);
    loop_timer_stop(&p->timer);
    free(p);
}

static void process_ends(void *arg) {
    struct process *p = arg;
    struct fake_engine *f = p->f;
    struct engine_container *c = engine_find(f->memory, p->id);
    int exit_code = p->exit_code;
    process_free(p);
    if (c)
        engine_exit(f->memory, c, exit_code, false);
}

static void end_in(struct fake_engine *f, const struct engine_container *c, int ms, int exit_code) {
    struct process *p = xnew(struct process);
    p->f = f;
    memcpy(p->id, c->id, sizeof p->id);
    p->exit_code = exit_code;
    list_append(&f->processes, &p->link);
    loop_timer_start(f->loop, &p->timer, ms, process_ends, p);
}

static void forget_ends(struct fake_engine *f, const char *id) {
    struct process *p;
    list_each(p, &f->processes, struct process, link) {
        if (strcmp(p->id, id) == 0)
            process_free(p);
    }
}

void fake_signal(struct fake_engine *f, struct engine_container *c, const char *signal) {
    int usual = engine_signal_exit(signal);
    const struct fake_habits *h = habits_of(f, c);
    if (usual == 137)
        engine_exit(f->memory, c, 137, false);
    else if (usual >= 0 && h->term_ms >= 0)
        end_in(f, c, h->term_ms, h->term_exit);
}

// The end of a container is the answer to those who wait for it.
static void container_ended(struct fake_engine *f, const struct engine_container *c) {
    struct docker *d;
    struct docker_call *call;
    list_each(d, &f->clients, struct docker, link) {
        list_each(call, &d->calls, struct docker_call, link) {
            if (!call->pending || engine_find(f->memory, call->id) != c)
                continue;
            call->number = c->exit_code;
            bool removal = call->act == fake_wait_act && call->text &&
                           !strcmp(call->text, "removed");
            if (call->act == fake_wait_act && !removal)
                fake_call_resolve(call, (struct engine_reply){200, NULL}, 0);
            else if (call->act == fake_stop_act) {
                engine_stopped(f->memory, (struct engine_container *)c);
                fake_call_resolve(call, (struct engine_reply){204, NULL}, 0);
            } else if (call->act == fake_exec_act) {
                call->number = 137;
                fake_call_resolve(call, (struct engine_reply){200, NULL}, 0);
            }
        }
        struct docker_stream *s;
        list_each(s, &d->streams, struct docker_stream, link) {
            if (strcmp(s->id, c->id) == 0)
                fake_stream_poke(s);
        }
    }
}

static void container_removed(struct fake_engine *f, const struct engine_container *c) {
    struct docker *d;
    struct docker_call *call;
    list_each(d, &f->clients, struct docker, link) {
        list_each(call, &d->calls, struct docker_call, link) {
            if (call->pending && call->act == fake_wait_act &&
                engine_find(f->memory, call->id) == c) {
                call->number = c->exit_code;
                fake_call_resolve(call, (struct engine_reply){200, NULL}, 0);
            }
        }
    }
}

static void on_engine_event(const json_t *event, const struct engine_container *c, void *arg) {
    struct fake_engine *f = arg;
    const char *name = json_text(event, "Action");
    struct docker *d;
    if (f->on_event)
        f->on_event(event, c, f->event_arg);
    list_each(d, &f->clients, struct docker, link) tell(d, event);
    const struct fake_habits *h = habits_of(f, c);
    if (strcmp(name, "start") == 0 && h->exit_ms >= 0)
        end_in(f, c, h->exit_ms, h->exit_code);
    if (strcmp(name, "die") == 0) {
        forget_ends(f, c->id);
        container_ended(f, c);
    }
    if (strcmp(name, "destroy") == 0)
        container_removed(f, c);
}

// ---- the client ----

static void client_up(struct docker *d) {
    d->up = true;
    d->down = false;
    if (d->listening)
        d->listener.on_up("1.41", "20.10.24-fake", d->arg);
}

static void client_down(struct docker *d, const struct err *why) {
    bool news = !d->down;
    struct err copy = *why;
    d->up = false;
    d->down = true;
    while (!list_empty(&d->deliveries))
        delivery_free(list_first(&d->deliveries, struct delivery, link));
    if (news && d->listening)
        d->listener.on_down(&copy, d->arg);
}

static void contact(void *arg) {
    struct docker *d = arg;
    struct err silent = ERR_INIT;
    err_set(&silent, ERR_RETRY, "docker engine %s: no answer", d->f->host);
    if (d->f->down)
        client_down(d, &d->f->why);
    else if (d->f->suspected)
        client_down(d, &silent);
    else if (!d->up && !d->f->frozen)
        client_up(d);
}

static struct fake_engine *find_engine(const char *host) {
    struct fake_engine *f;
    CHECK(!list_empty(&engines));
    list_each(f, &engines, struct fake_engine, link) {
        if (host && strcmp(f->host, host) == 0)
            return f;
    }
    return list_first(&engines, struct fake_engine, link);
}

static char **copy_list(const char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    char **copy = n ? xcalloc(n + 1, sizeof *copy) : NULL;
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(list[i]);
    return copy;
}

int docker_open(struct loop *loop, struct http *http, const char *host,
                const struct docker_events_listener *listener, const char *const *container_label,
                void *arg, struct docker **ret, struct err *err) {
    (void)http;
    if (host && !text_starts(host, "unix:///") && !text_starts(host, "tcp://"))
        return err_set(err, ERR_USER, "docker host %s: expected unix:// or tcp://", host);
    struct docker *d = xnew(struct docker);
    d->f = find_engine(host);
    d->loop = loop;
    d->listening = listener != NULL;
    if (listener)
        d->listener = *listener;
    d->labels = copy_list(container_label);
    d->arg = arg;
    list_init(&d->calls);
    list_init(&d->streams);
    list_init(&d->deliveries);
    list_append(&d->f->clients, &d->link);
    loop_timer_start(loop, &d->contact, 0, contact, d);
    *ret = d;
    return 0;
}

void docker_close(struct docker *d) {
    if (!d)
        return;
    while (!list_empty(&d->calls))
        fake_call_free(list_first(&d->calls, struct docker_call, link));
    while (!list_empty(&d->streams))
        fake_stream_free(list_first(&d->streams, struct docker_stream, link));
    while (!list_empty(&d->deliveries))
        delivery_free(list_first(&d->deliveries, struct delivery, link));
    list_remove(&d->link);
    loop_timer_stop(&d->contact);
    text_list_free(d->labels);
    free(d);
}

bool docker_is_up(const struct docker *d) {
    return d->up;
}

const char *docker_version(const struct docker *d) {
    return d->up || d->down ? "1.41" : "";
}

const char *docker_host(const char *host) {
    return host ? host : "unix:///var/run/docker.sock";
}

const char *docker_socket_path(const struct docker *d) {
    const char *host = d->f->host;
    return text_starts(host, "unix://") ? host + strlen("unix://") : NULL;
}

// ---- the engine ----

struct fake_engine *fake_engine_create(struct loop *loop, const char *host) {
    struct fake_engine *f = xnew(struct fake_engine);
    f->loop = loop;
    f->host = xstrdup(host ? host : "unix:///var/run/docker.sock");
    f->memory = engine_create(clock_ns, on_engine_event, f);
    f->logs = json_object();
    f->registry = json_object();
    struct link *lists[] = {&f->clients, &f->failures, &f->latencies, &f->habits, &f->processes};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    list_append(&engines, &f->link);
    engine_image_add(f->memory, "app:1", NULL);
    fake_engine_lag(f, 50);
    return f;
}

static void rules_free(struct link *rules) {
    while (!list_empty(rules)) {
        struct rule *rule = list_first(rules, struct rule, link);
        list_remove(&rule->link);
        free(rule->prefix);
        free(rule->message);
        free(rule);
    }
}

void fake_engine_free(struct fake_engine *f) {
    if (!f)
        return;
    CHECK(list_empty(&f->clients));
    list_remove(&f->link);
    while (!list_empty(&f->processes))
        process_free(list_first(&f->processes, struct process, link));
    while (!list_empty(&f->habits)) {
        struct habit *h = list_first(&f->habits, struct habit, link);
        list_remove(&h->link);
        free(h->of);
        free(h);
    }
    rules_free(&f->failures);
    rules_free(&f->latencies);
    loop_timer_stop(&f->suspicion);
    loop_timer_stop(&f->restart);
    engine_free(f->memory);
    json_decref(f->logs);
    json_decref(f->registry);
    text_done(&f->calls);
    free(f->host);
    free(f);
}

struct engine *fake_engine_memory(struct fake_engine *f) {
    return f->memory;
}

struct docker_container *fake_engine_look(struct fake_engine *f, const char *ref) {
    struct engine_reply reply = engine_container_inspect(f->memory, ref);
    auto_json json_t *body = reply.body;
    struct docker_container *c = NULL;
    struct err err = ERR_INIT;
    CHECK(reply.status != 200 || decode_container_json(body, &c, &err) == 0);
    return c;
}

// What was acted on but not answered never will be; what was not yet begun finds the engine away.
static void cut_off(struct docker *d) {
    struct docker_call *call;
    struct docker_stream *s;
    list_each(call, &d->calls, struct docker_call, link) {
        fake_call_cut(call);
    }
    list_each(s, &d->streams, struct docker_stream, link) fake_stream_poke(s);
}

void fake_engine_down(struct fake_engine *f, const char *why) {
    struct docker *d;
    f->down = true;
    err_set(&f->why, ERR_RETRY, "docker engine %s: %s", f->host, why);
    list_each(d, &f->clients, struct docker, link) {
        if (!d->crashed)
            loop_timer_start(d->loop, &d->contact, 0, contact, d);
        cut_off(d);
    }
}

void fake_engine_up(struct fake_engine *f) {
    struct docker *d;
    f->down = false;
    list_each(d, &f->clients, struct docker, link) {
        if (!d->crashed)
            loop_timer_start(d->loop, &d->contact, 0, contact, d);
    }
}

static void on_suspicion(void *arg) {
    struct fake_engine *f = arg;
    struct docker *d;
    f->suspected = true;
    list_each(d, &f->clients, struct docker, link) {
        if (!d->crashed)
            loop_timer_start(d->loop, &d->contact, 0, contact, d);
    }
}

void fake_engine_freeze(struct fake_engine *f) {
    f->frozen = true;
    loop_timer_start(f->loop, &f->suspicion, 15000, on_suspicion, f);
}

void fake_engine_mute(struct fake_engine *f, bool mute) {
    f->mute = mute;
}

void fake_engine_thaw(struct fake_engine *f) {
    f->frozen = f->suspected = false;
    loop_timer_stop(&f->suspicion);
    fake_engine_up(f);
}

void fake_engine_client_gone(struct fake_engine *f, const struct loop *loop) {
    struct docker *d;
    list_each(d, &f->clients, struct docker, link) {
        if (d->loop != loop || d->crashed)
            continue;
        d->crashed = true;
        d->listening = false;
        loop_timer_stop(&d->contact);
        while (!list_empty(&d->streams))
            fake_stream_free(list_first(&d->streams, struct docker_stream, link));
        while (!list_empty(&d->deliveries))
            delivery_free(list_first(&d->deliveries, struct delivery, link));
        struct docker_call *call;
        list_each(call, &d->calls, struct docker_call, link) fake_call_orphan(call);
    }
}

void fake_engine_on_event(struct fake_engine *f,
                          void (*fn)(const json_t *event, const struct engine_container *c,
                                     void *arg),
                          void *arg) {
    f->on_event = fn;
    f->event_arg = arg;
}

void fake_engine_on_call(struct fake_engine *f,
                         void (*fn)(const char *line, const char *id, const struct loop *who,
                                    void *arg),
                         void *arg) {
    f->on_call = fn;
    f->call_arg = arg;
}

static void on_restarted(void *arg) {
    fake_engine_up(arg);
}

void fake_engine_restart(struct fake_engine *f) {
    struct engine_container *c;
    fake_engine_down(f, "restarting");
    list_each(c, engine_containers(f->memory), struct engine_container, link) {
        const struct fake_habits *h = habits_of(f, c);
        engine_exit(f->memory, c, h->term_ms < 0 ? 137 : h->term_exit, false);
    }
    loop_timer_start(f->loop, &f->restart, 100, on_restarted, f);
}

// ---- what a test sets and reads ----

static struct engine_container *need(struct fake_engine *f, const char *ref) {
    struct engine_container *c = engine_find(f->memory, ref);
    CHECK(c);
    return c;
}

void fake_engine_habits(struct fake_engine *f, const char *of, struct fake_habits habits) {
    struct habit *h = xnew(struct habit);
    h->of = of ? xstrdup(of) : NULL;
    h->habits = habits;
    list_append(&f->habits, &h->link);
}

void fake_engine_exit(struct fake_engine *f, const char *ref, int exit_code) {
    engine_exit(f->memory, need(f, ref), exit_code, false);
}

void fake_engine_oom(struct fake_engine *f, const char *ref) {
    engine_exit(f->memory, need(f, ref), 137, true);
}

void fake_engine_health(struct fake_engine *f, const char *ref, const char *health) {
    engine_health(f->memory, need(f, ref), health);
}

void fake_engine_lag(struct fake_engine *f, int ms) {
    engine_set_lag(f->memory, ms * INT64_C(1000000));
}

void fake_engine_say(struct fake_engine *f, const char *ref, int stream, const char *line) {
    const struct engine_container *c = need(f, ref);
    struct docker *d;
    struct docker_stream *s;
    if (!json_object_get(f->logs, c->id))
        json_object_set_new(f->logs, c->id, json_array());
    json_array_append_new(json_object_get(f->logs, c->id),
                          json_pack("[i, s, I]", stream, line, (json_int_t)clock_ns(f)));
    list_each(d, &f->clients, struct docker, link) {
        list_each(s, &d->streams, struct docker_stream, link) {
            if (strcmp(s->id, c->id) == 0)
                fake_stream_poke(s);
        }
    }
}

static struct rule *rule_add(struct link *rules, const char *prefix) {
    struct rule *rule = xnew(struct rule);
    rule->prefix = xstrdup(prefix);
    rule->times = -1;
    list_append(rules, &rule->link);
    return rule;
}

void fake_engine_fail(struct fake_engine *f, const char *prefix, int times, int status,
                      const char *message) {
    struct rule *rule = rule_add(&f->failures, prefix);
    rule->times = times;
    rule->status = status;
    rule->message = xstrdup(message);
}

void fake_engine_latency(struct fake_engine *f, const char *prefix, int ms) {
    rule_add(&f->latencies, prefix)->ms = ms;
}

const char *fake_engine_calls(const struct fake_engine *f) {
    return text_str(&f->calls);
}

size_t fake_engine_count(const struct fake_engine *f, const char *prefix) {
    size_t n = 0;
    for (const char *line = text_str(&f->calls); *line; line = strchr(line, '\n') + 1)
        n += text_starts(line, prefix);
    return n;
}

void fake_engine_forget_calls(struct fake_engine *f) {
    text_clear(&f->calls);
}

void fake_engine_record_reads(struct fake_engine *f, bool on) {
    f->record_reads = on;
}

void fake_engine_on_exec(struct fake_engine *f, void (*fn)(struct fake_exec *exec, void *arg),
                         void *arg) {
    f->on_exec = fn;
    f->exec_arg = arg;
}

const char *fake_engine_file(struct fake_engine *f, const char *ref, const char *path) {
    return json_string_value(json_object_get(need(f, ref)->files, path));
}

void fake_engine_touch(struct fake_engine *f, const char *ref, const char *path) {
    json_object_set_new(need(f, ref)->files, path, json_string(""));
}

void fake_engine_image(struct fake_engine *f, const char *name, const json_t *config) {
    engine_image_add(f->memory, name, config);
}

void fake_engine_registry(struct fake_engine *f, const char *name, const json_t *config, int ms) {
    json_object_set_new(f->registry, name,
                        json_pack("[o, i]", config ? json_deep_copy(config) : json_object(), ms));
}
