#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include <string.h>

enum {
    LOOK_MS = 10000, // what the engine answers from memory, behind its lock of the container
    WORK_MS = 60000, // what waits for runc and for disks
    KILL_MS = 20000, // KILL waits for the end, at most 10 s
    STOP_EXTRA_MS = 15000,
};

// ---- one request, one reply ----

// False when id would change the path; the call then ends with that.
static bool check_name(struct docker_call *call, const char *id) {
    struct err err = ERR_INIT;
    if (is_name(id))
        return true;
    err_set(&err, ERR_USER, "not an id or a name of a container");
    call_fail(call, &err);
    return false;
}

static struct docker_call *send_to(struct docker_call *call, enum door_op op, const char *id,
                                   int64_t timeout_ms) {
    if (check_name(call, id))
        call_send(call,
                  &(struct call_request){.asked = {.op = op, .id = id, .timeout_ms = timeout_ms}});
    return call;
}

static void send_text(struct docker_call *call, enum door_op op, const char *id, const char *text,
                      int64_t timeout_ms) {
    if (check_name(call, id))
        call_send(call, &(struct call_request){
                            .asked = {.op = op, .id = id, .text = text, .timeout_ms = timeout_ms}});
}

static void id_reply(struct docker_call *call, const struct http_reply *reply,
                     const struct err *err) {
    docker_id_fn *fn = call->fn.id;
    void *arg = call->arg;
    struct err mine = *err;
    const char *id = NULL;
    auto_json json_t *j = NULL;
    if (mine.kind == ERR_NONE) {
        j = json_read_quoting(reply->body, reply->len, DECODE_MAX_REPLY, "reply", &mine);
        if (!j || decode_id(j, &id, &mine) < 0)
            call_unreadable(call, &mine);
    }
    call_free(call);
    fn(id, &mine, arg);
}

struct docker_call *docker_create(struct docker *d, const char *name, const json_t *body,
                                  docker_id_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, id_reply, arg, "create %s", name ? name : "");
    call->fn.id = fn;
    call_send(call,
              &(struct call_request){
                  .asked = {.op = DOOR_CREATE, .text = name, .timeout_ms = WORK_MS}, .json = body});
    return call;
}

struct docker_call *docker_start(struct docker *d, const char *id, docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "start %.12s", id);
    call->fn.done = fn;
    return send_to(call, DOOR_START, id, WORK_MS);
}

struct docker_call *docker_kill(struct docker *d, const char *id, const char *signal,
                                docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "kill %.12s", id);
    call->fn.done = fn;
    call->stopped_ok = true;
    send_text(call, DOOR_KILL, id, signal, KILL_MS);
    return call;
}

static void inspect_reply(struct docker_call *call, const struct http_reply *reply,
                          const struct err *err) {
    docker_container_fn *fn = call->fn.container;
    void *arg = call->arg;
    struct err mine = *err;
    struct docker_container *c = NULL;
    if (mine.kind == ERR_NONE && decode_container(reply->body, reply->len, &c, &mine) < 0)
        call_unreadable(call, &mine);
    call_free(call);
    fn(c, &mine, arg);
}

struct docker_call *docker_inspect(struct docker *d, const char *id_or_name,
                                   docker_container_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, inspect_reply, arg, "inspect %.12s", id_or_name);
    call->fn.container = fn;
    return send_to(call, DOOR_INSPECT, id_or_name, LOOK_MS);
}

static void list_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err) {
    docker_json_fn *fn = call->fn.json;
    void *arg = call->arg;
    struct err mine = *err;
    auto_json json_t *j = NULL;
    if (mine.kind == ERR_NONE) {
        j = json_read_quoting(reply->body, reply->len, DECODE_MAX_REPLY, "list of containers",
                              &mine);
        if (j && !json_is_array(j))
            err_set(&mine, ERR_RETRY, "list of containers: not an array");
        if (mine.kind != ERR_NONE)
            call_unreadable(call, &mine);
    }
    call_free(call);
    fn(mine.kind == ERR_NONE ? j : NULL, &mine, arg);
}

struct docker_call *docker_list(struct docker *d, bool all, const json_t *filters,
                                docker_json_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, list_reply, arg, "list containers");
    call->fn.json = fn;
    call_send(call, &(struct call_request){
                        .asked = {.op = DOOR_LIST, .number = all, .timeout_ms = LOOK_MS},
                        .json = filters});
    return call;
}

struct docker_call *docker_rename(struct docker *d, const char *id, const char *name,
                                  docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "rename %.12s", id);
    call->fn.done = fn;
    send_text(call, DOOR_RENAME, id, name, LOOK_MS);
    return call;
}

struct docker_call *docker_remove(struct docker *d, const char *id, bool force, bool volumes,
                                  docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "remove %.12s", id);
    call->fn.done = fn;
    call->absent_ok = true;
    int64_t flags = (force ? DOOR_FORCE : 0) | (volumes ? DOOR_VOLUMES : 0);
    if (check_name(call, id))
        call_send(
            call,
            &(struct call_request){
                .asked = {.op = DOOR_REMOVE, .id = id, .number = flags, .timeout_ms = WORK_MS}});
    return call;
}

struct docker_call *docker_update(struct docker *d, const char *id, const json_t *body,
                                  docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "update %.12s", id);
    call->fn.done = fn;
    if (check_name(call, id))
        call_send(call,
                  &(struct call_request){
                      .asked = {.op = DOOR_UPDATE, .id = id, .timeout_ms = LOOK_MS}, .json = body});
    return call;
}

// ---- wait ----

struct waiting {
    void (*armed)(void *arg);
};

static void wait_head(struct docker_call *call, int status) {
    struct waiting *w = call->extra;
    if (status == 200 && w->armed)
        w->armed(call->arg); // may cancel the call: the last line
}

static int read_wait(const struct http_reply *reply, int *ret, struct err *err) {
    int64_t code = -1;
    auto_json json_t *j = json_read_quoting(reply->body, reply->len, DECODE_MAX_REPLY, "reply",
                                            err);
    if (!j || json_int(j, "StatusCode", &code, err) < 0)
        return -1;
    const char *message = json_text(json_object_get(j, "Error"), "Message");
    if (*message)
        return err_set(err, ERR_RETRY, "%s", message);
    if (code < 0 || code > INT32_MAX)
        return err_set(err, ERR_USER, "StatusCode: missing or out of range");
    *ret = (int)code;
    return 0;
}

static void wait_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err) {
    docker_wait_fn *fn = call->fn.wait;
    void *arg = call->arg;
    struct err mine = *err;
    int exit_code = -1;
    if (mine.kind == ERR_NONE && read_wait(reply, &exit_code, &mine) < 0)
        call_unreadable(call, &mine);
    call_free(call);
    fn(exit_code, &mine, arg);
}

struct docker_call *docker_wait(struct docker *d, const char *id, const char *condition,
                                void (*armed)(void *arg), docker_wait_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, wait_reply, arg, "wait %.12s", id);
    struct waiting *w = xnew(struct waiting);
    w->armed = armed;
    call->fn.wait = fn;
    call->open_ended = true;
    call->extra = w;
    call->extra_free = free;
    if (check_name(call, id))
        call_send(call,
                  &(struct call_request){.asked = {.op = DOOR_WAIT, .id = id, .text = condition},
                                         .on_head = wait_head});
    return call;
}

// ---- stop ----
// A signal other than the container's own is a parameter of stop from 1.42 on. Before that: kill
// with it, wait for the grace, then KILL.

struct stopping {
    char *id, *signal;
    int grace_s;
};

static void stopping_free(void *extra) {
    struct stopping *s = extra;
    free(s->id);
    free(s->signal);
    free(s);
}

static void stop_waited(struct docker_call *call, const struct http_reply *reply,
                        const struct err *err) {
    struct stopping *s = call->extra;
    if (err->kind != ERR_TIMEOUT) {
        call_done_reply(call, reply, err);
        return;
    }
    call->on_reply = call_done_reply;
    send_to(call, DOOR_KILL, s->id, KILL_MS);
}

static void stop_signalled(struct docker_call *call, const struct http_reply *reply,
                           const struct err *err) {
    struct stopping *s = call->extra;
    if (err->kind != ERR_NONE) {
        call_done_reply(call, reply, err);
        return;
    }
    call->on_reply = stop_waited;
    send_text(call, DOOR_WAIT, s->id, "not-running",
              s->grace_s > 0 ? s->grace_s * INT64_C(1000) : 1);
}

static void stop_ready(struct docker_call *call) {
    struct stopping *s = call->extra;
    if (s->signal && !decode_version_at_least(docker_version(call->docker), 1, 42)) {
        call->on_reply = stop_signalled;
        call->stopped_ok = true;
        send_text(call, DOOR_KILL, s->id, s->signal, KILL_MS);
        return;
    }
    if (check_name(call, s->id))
        call_send(call, &(struct call_request){
                            .asked = {.op = DOOR_STOP,
                                      .id = s->id,
                                      .text = s->signal,
                                      .number = s->grace_s,
                                      .timeout_ms = s->grace_s * INT64_C(1000) + STOP_EXTRA_MS}});
}

struct docker_call *docker_stop(struct docker *d, const char *id, const char *signal, int grace_s,
                                docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "stop %.12s", id);
    struct stopping *s = xnew(struct stopping);
    s->id = xstrdup(id);
    s->signal = signal ? xstrdup(signal) : NULL;
    s->grace_s = grace_s > 0 ? grace_s : 0;
    call->fn.done = fn;
    call->extra = s;
    call->extra_free = stopping_free;
    stop_ready(call);
    return call;
}
