// create, start (its stream is the output), inspect for the exit code. Without stdin the start is a
// plain POST whose body ends with the process; with stdin it is an upgraded connection, because
// only that can be closed in one direction.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include "docker-api/encode.h"
#include <string.h>

enum {
    OUTPUT_MAX = 64 << 10,
    STEP_MS = 15000,
    PING_MS = 5000,
    AGAIN_MIN_MS = 10,
    AGAIN_MAX_MS = 1000,
};

struct exec_run {
    char *exec_id;
    void *input;
    size_t input_len, max_output;
    int64_t timeout_ms;
    struct loop_timer *overdue, *again;
    int64_t again_ms;
    struct frames frames;
    struct text out, err;
    bool cut;
};

static void run_free(void *extra) {
    struct exec_run *run = extra;
    loop_timer_stop(&run->overdue);
    loop_timer_stop(&run->again);
    text_done(&run->out);
    text_done(&run->err);
    free(run->exec_id);
    free(run->input);
    free(run);
}

// ---- the end ----

static void finish(struct docker_call *call, int exit_code, const struct err *err) {
    struct exec_run *run = call->extra;
    docker_exec_fn *fn = call->fn.exec;
    void *arg = call->arg;
    struct err copy = *err;
    auto_text struct text out = run->out, error = run->err;
    run->out = run->err = (struct text){0};
    struct docker_exec_result result = {.exit_code = exit_code,
                                        .out = text_str(&out),
                                        .err = text_str(&error),
                                        .out_len = out.len,
                                        .err_len = error.len,
                                        .cut = run->cut};
    call_free(call);
    fn(copy.kind == ERR_NONE ? &result : NULL, &copy, arg);
}

static void failed(struct docker_call *call, struct err *err) {
    err_wrap(err, "docker %s", call->what);
    finish(call, -1, err);
}

static void unreadable(struct docker_call *call, struct err *err) {
    call_unreadable(call, err);
    finish(call, -1, err);
}

// A silent engine says nothing of the process.
static void overdue_reply(struct docker_call *call, const struct http_reply *reply,
                          const struct err *err) {
    const struct exec_run *run = call->extra;
    struct err mine = *err;
    (void)reply;
    if (mine.kind == ERR_NONE) {
        err_set(&mine, ERR_TIMEOUT, "not done within %lld ms; the process runs on",
                (long long)run->timeout_ms);
        failed(call, &mine);
        return;
    }
    mine.kind = ERR_RETRY;
    finish(call, -1, &mine);
}

static void on_overdue(void *arg) {
    struct docker_call *call = arg;
    struct exec_run *run = call->extra;
    loop_timer_stop(&run->again);
    loop_timer_stop(&call->timer); // it may have failed in this very turn
    door_cancel(&call->sent);
    call->on_reply = overdue_reply;
    call_send(call, &(struct call_request){.asked = {.op = DOOR_PING, .timeout_ms = PING_MS}});
}

// ---- inspect ----

static void inspect(void *arg);

static void inspect_reply(struct docker_call *call, const struct http_reply *reply,
                          const struct err *err) {
    struct exec_run *run = call->extra;
    struct err mine = *err;
    bool running = false;
    int64_t code = -1;
    if (mine.kind != ERR_NONE) {
        finish(call, -1, &mine);
        return;
    }
    auto_json json_t *j = json_read_quoting(reply->body, reply->len, DECODE_MAX_REPLY, "reply",
                                            &mine);
    if (!j || json_flag(j, "Running", &running, &mine) < 0 ||
        json_int(j, "ExitCode", &code, &mine) < 0) {
        unreadable(call, &mine);
        return;
    }
    // The stream ends when the process closes its output; it may live on for a while.
    if (running || code < 0 || code > INT32_MAX) {
        run->again_ms = run->again_ms * 2 < AGAIN_MAX_MS ? run->again_ms * 2 : AGAIN_MAX_MS;
        loop_timer_start(call->docker->loop, &run->again, run->again_ms, inspect, call);
        return;
    }
    finish(call, (int)code, &mine);
}

static void inspect(void *arg) {
    struct docker_call *call = arg;
    const struct exec_run *run = call->extra;
    call->on_reply = inspect_reply;
    call_send(call,
              &(struct call_request){
                  .asked = {.op = DOOR_EXEC_INSPECT, .id = run->exec_id, .timeout_ms = STEP_MS}});
}

// ---- start ----

static bool on_frame(int stream, const char *data, size_t len, bool last, void *arg) {
    struct exec_run *run = arg;
    struct text *into = stream == 2 ? &run->err : &run->out;
    size_t room = run->max_output - into->len;
    (void)last;
    if (len > room)
        run->cut = true;
    text_addn(into, data, len < room ? len : room);
    return true;
}

static bool on_output(struct docker_call *call, const char *data, size_t len) {
    struct exec_run *run = call->extra;
    struct err err = ERR_INIT;
    if (frames_feed(&run->frames, data, len, on_frame, run, &err) == 0)
        return true;
    failed(call, &err);
    return false;
}

static void start_reply(struct docker_call *call, const struct http_reply *reply,
                        const struct err *err) {
    (void)reply;
    if (err->kind != ERR_NONE)
        finish(call, -1, err);
    else
        inspect(call);
}

static void start(struct docker_call *call) {
    const struct exec_run *run = call->extra;
    call->on_reply = start_reply;
    call_send(call, &(struct call_request){.asked = {.op = DOOR_EXEC_START,
                                                     .id = run->exec_id,
                                                     .body = run->input,
                                                     .body_len = run->input_len},
                                           .on_data = on_output});
}

// ---- create ----

static void create_reply(struct docker_call *call, const struct http_reply *reply,
                         const struct err *err) {
    struct exec_run *run = call->extra;
    struct err mine = *err;
    const char *id = NULL;
    if (mine.kind != ERR_NONE) {
        finish(call, -1, &mine);
        return;
    }
    auto_json json_t *j = json_read_quoting(reply->body, reply->len, DECODE_MAX_REPLY, "reply",
                                            &mine);
    if (!j || decode_id(j, &id, &mine) < 0) {
        unreadable(call, &mine);
        return;
    }
    if (!is_name(id)) {
        err_set(&mine, ERR_RETRY, "Id: not an id");
        unreadable(call, &mine);
        return;
    }
    run->exec_id = xstrdup(id);
    start(call);
}

static struct exec_run *run_create(const struct docker_exec *exec) {
    struct exec_run *run = xnew(struct exec_run);
    run->max_output = exec->max_output ? exec->max_output : OUTPUT_MAX;
    run->timeout_ms = exec->timeout_ms;
    run->again_ms = AGAIN_MIN_MS;
    if (exec->input) {
        run->input = xcalloc(exec->input_len + 1, 1);
        memcpy(run->input, exec->input, exec->input_len);
        run->input_len = exec->input_len;
    }
    return run;
}

// What ended before the exec was made, or could not be asked for.
struct docker_call *docker_exec(struct docker *d, const char *container_id,
                                const struct docker_exec *exec, docker_exec_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, create_reply, arg, "exec %s in %.12s",
                                           exec->argv[0] ? exec->argv[0] : "", container_id);
    struct exec_run *run = run_create(exec);
    call->fn.exec = fn;
    call->extra = run;
    call->extra_free = run_free;
    loop_timer_start(d->loop, &run->overdue, run->timeout_ms, on_overdue, call);
    struct err err = ERR_INIT;
    auto_json json_t *body = encode_exec(exec, &err);
    if (body && !is_name(container_id))
        err_set(&err, ERR_USER, "not an id or a name of a container");
    if (err.kind != ERR_NONE) {
        call_fail(call, &err);
        return call;
    }
    call_send(call,
              &(struct call_request){
                  .asked = {.op = DOOR_EXEC_CREATE, .id = container_id, .timeout_ms = STEP_MS},
                  .json = body});
    return call;
}
