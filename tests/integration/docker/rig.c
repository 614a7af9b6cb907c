#include "tests/integration/docker/rig.h"
#include "base/check.h"
#include "base/own.h"
#include <stdio.h>

// ---- waiting ----

struct wait {
    struct rig *rig;
    bool (*fn)(void *arg);
    void *arg;
    struct loop_timer *tick;
    int64_t deadline_ms;
    bool over;
};

static void tick(void *arg) {
    struct wait *w = arg;
    w->over = loop_now(w->rig->loop) >= w->deadline_ms;
    if (w->over || w->fn(w->arg)) {
        loop_quit(w->rig->loop);
        return;
    }
    loop_timer_start(w->rig->loop, &w->tick, 1, tick, w);
}

static bool wait_for(struct rig *rig, bool (*fn)(void *arg), void *arg, int64_t ms) {
    struct wait w = {.rig = rig, .fn = fn, .arg = arg, .deadline_ms = loop_now(rig->loop) + ms};
    if (fn(arg))
        return true;
    loop_timer_start(rig->loop, &w.tick, 0, tick, &w);
    loop_run(rig->loop);
    loop_timer_stop(&w.tick);
    return fn(arg);
}

static bool is_set(void *arg) {
    return *(const bool *)arg;
}

static bool never(void *arg) {
    (void)arg;
    return false;
}

void until_true(struct rig *rig, bool (*fn)(void *arg), void *arg, int seconds, const char *what) {
    if (!wait_for(rig, fn, arg, seconds * 1000))
        fail_msg("not within %d s: %s (up %d, down %d: %s)", seconds, what, rig->ups, rig->downs,
                 rig->why.text);
}

void until_flag(struct rig *rig, const bool *flag, int seconds, const char *what) {
    until_true(rig, is_set, (void *)flag, seconds, what);
}

void rig_spin(struct rig *rig, int ms) {
    (void)wait_for(rig, never, NULL, ms);
}

bool rig_is_up(void *rig) {
    return docker_is_up(((struct rig *)rig)->docker);
}

bool rig_is_down(void *rig) {
    return !rig_is_up(rig);
}

// ---- the listener ----

static void on_up(const char *api_version, const char *engine_version, void *arg) {
    struct rig *rig = arg;
    rig->ups++;
    snprintf(rig->version, sizeof rig->version, "%s", api_version);
    snprintf(rig->engine, sizeof rig->engine, "%s", engine_version);
}

static void on_down(const struct err *why, void *arg) {
    struct rig *rig = arg;
    rig->downs++;
    err_copy(&rig->why, why);
}

static void on_event(const char *container_id, const char *name, const json_t *attributes,
                     int64_t time_ns, void *arg) {
    struct rig *rig = arg;
    if (rig->events_len == RIG_EVENTS)
        return;
    struct rig_event *e = &rig->events[rig->events_len++];
    snprintf(e->id, sizeof e->id, "%s", container_id);
    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->exit_code, sizeof e->exit_code, "%s", json_text(attributes, "exitCode"));
    snprintf(e->signal, sizeof e->signal, "%s", json_text(attributes, "signal"));
    snprintf(e->label, sizeof e->label, "%s", json_text(attributes, "test"));
    e->time_ns = time_ns;
}

const struct rig_event *rig_find(const struct rig *rig, size_t from, const char *id,
                                 const char *name) {
    for (size_t i = from; i < rig->events_len; i++)
        if (strcmp(rig->events[i].id, id) == 0 && strcmp(rig->events[i].name, name) == 0)
            return &rig->events[i];
    return NULL;
}

struct sought {
    const struct rig *rig;
    size_t from;
    const char *id, *name;
};

static bool is_found(void *arg) {
    const struct sought *s = arg;
    return rig_find(s->rig, s->from, s->id, s->name) != NULL;
}

const struct rig_event *rig_expect(struct rig *rig, size_t from, const char *id, const char *name) {
    struct sought sought = {rig, from, id, name};
    until_true(rig, is_found, &sought, 30, name);
    return rig_find(rig, from, id, name);
}

// ---- up and down ----

struct rig *rig_open(const char *host, const char *const *labels) {
    static const struct docker_events_listener listener = {on_up, on_down, on_event};
    struct rig *rig = xnew(struct rig);
    struct err err = ERR_INIT;
    rig->loop = loop_create();
    rig->http = http_create(rig->loop, 32, 4);
    if (docker_open(rig->loop, rig->http, host, &listener, labels, rig, &rig->docker, &err) < 0)
        fail_msg("%s", err.text);
    return rig;
}

void rig_close(struct rig *rig) {
    docker_close(rig->docker);
    http_free(rig->http);
    loop_free(rig->loop);
    free(rig);
}

int rig_up(void **state) {
    if (!getenv("DOCKER_HOST"))
        fail_msg("DOCKER_HOST must name the engine to test against (tests/lib/engine)");
    struct rig *rig = rig_open(NULL, NULL);
    until_true(rig, rig_is_up, rig, 30, "the engine answers");
    rig_sweep(rig);
    *state = rig;
    return 0;
}

int rig_down(void **state) {
    rig_sweep(*state);
    rig_close(*state);
    return 0;
}

// ---- outcomes ----

void got_done(struct got *g) {
    free(g->out);
    free(g->error);
    docker_container_free(g->container);
    docker_image_free(g->image);
    json_decref(g->json);
    *g = (struct got){0};
}

static struct got *note(void *arg, const struct err *err) {
    struct got *g = arg;
    assert_false(g->done);
    g->done = true;
    err_copy(&g->err, err);
    return g;
}

void on_done(const struct err *err, void *arg) {
    note(arg, err);
}

void on_id(const char *id, const struct err *err, void *arg) {
    struct got *g = note(arg, err);
    snprintf(g->id, sizeof g->id, "%s", id ? id : "");
}

void on_container(struct docker_container *c, const struct err *err, void *arg) {
    note(arg, err)->container = c;
}

void on_json(const json_t *answer, const struct err *err, void *arg) {
    note(arg, err)->json = answer ? json_deep_copy(answer) : NULL;
}

void on_waited(int exit_code, const struct err *err, void *arg) {
    note(arg, err)->exit_code = exit_code;
}

void on_exec(const struct docker_exec_result *result, const struct err *err, void *arg) {
    struct got *g = note(arg, err);
    if (!result)
        return;
    g->exit_code = result->exit_code;
    g->cut = result->cut;
    g->out = xstrndup(result->out, result->out_len);
    g->out_len = result->out_len;
    g->error = xstrndup(result->err, result->err_len);
    g->error_len = result->err_len;
}

void on_image(struct docker_image *image, const struct err *err, void *arg) {
    note(arg, err)->image = image;
}

void on_stat(bool exists, const struct err *err, void *arg) {
    note(arg, err)->flag = exists;
}

// ---- containers ----

static void expect_none(const struct got *g) {
    if (g->err.kind != ERR_NONE)
        fail_msg("%s: %s", err_kind_name(g->err.kind), g->err.text);
}

void rig_create(struct rig *rig, const char *name, const char *script, char ret_id[80]) {
    auto_got struct got g = {0};
    auto_json json_t *body = json_pack("{s:s, s:[s,s,s], s:{s:s}, s:{s:s}}", "Image",
                                       "ochopod/busybox:1", "Cmd", "sh", "-c", script, "Labels",
                                       "test", "rig", "HostConfig", "NetworkMode", "none");
    docker_create(rig->docker, name, body, on_id, &g);
    until(rig, &g, 60);
    expect_none(&g);
    snprintf(ret_id, 80, "%s", g.id);
}

void rig_start(struct rig *rig, const char *id) {
    auto_got struct got g = {0};
    docker_start(rig->docker, id, on_done, &g);
    until(rig, &g, 90);
    expect_none(&g);
}

void rig_await_file(struct rig *rig, const char *id, const char *path) {
    for (int i = 0; i < 600; i++) {
        auto_got struct got g = {0};
        docker_path_stat(rig->docker, id, path, on_stat, &g);
        until(rig, &g, 90);
        expect_none(&g);
        if (g.flag)
            return;
        rig_spin(rig, 100);
    }
    fail_msg("%s does not appear in the container", path);
}

void rig_remove(struct rig *rig, const char *id) {
    auto_got struct got g = {0};
    docker_remove(rig->docker, id, true, true, on_done, &g);
    until(rig, &g, 90);
    expect_none(&g);
}

struct docker_container *rig_inspect(struct rig *rig, const char *id) {
    auto_got struct got g = {0};
    docker_inspect(rig->docker, id, on_container, &g);
    until(rig, &g, 30);
    expect_none(&g);
    return take_ptr(g.container);
}

void rig_sweep(struct rig *rig) {
    auto_got struct got g = {0};
    auto_json json_t *mine = json_pack("{s:[s]}", "label", "test=rig");
    docker_list(rig->docker, true, mine, on_json, &g);
    until(rig, &g, 30);
    expect_none(&g);
    for (size_t i = 0; i < json_array_size(g.json); i++)
        rig_remove(rig, json_text(json_array_get(g.json, i), "Id"));
}
