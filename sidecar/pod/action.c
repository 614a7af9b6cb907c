#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/holder.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

enum { MAX_LAST_LINE = 200 };

struct action {
    struct pod *pod;
    char *name;
    char exec_id[37]; // "" unless it is an exec under way
    struct docker_call *call;
    struct runner_job *job;
    struct loop_timer *timer;
    struct err refused;
    action_fn *fn;
    void *arg;
};

// ---- environment ----

static void set_text(json_t *env, const char *key, const char *value) {
    CHECK(json_object_set_new(env, key, json_string(value)) == 0);
}

static void set_number(json_t *env, const char *key, const json_t *view, const char *member) {
    const json_t *value = json_object_get(view, member);
    if (!json_is_integer(value))
        return;
    auto_free char *text = xasprintf("%lld", (long long)json_integer_value(value));
    set_text(env, key, text);
}

static void set_ours(const struct pod *pod, json_t *env, const struct action_want *want) {
    const char *full = pod->config.full_name;
    const char *dot = strchr(full, '.');
    auto_free char *namespace = xstrndup(full, dot ? (size_t)(dot - full) : 0);
    set_text(env, "OCHOPOD_NAMESPACE", namespace);
    set_text(env, "OCHOPOD_CLUSTER", dot ? dot + 1 : full);
    set_text(env, "OCHOPOD_POD", pod->state->pod_id);
    set_text(env, "OCHOPOD_HOOK", want->name);
    set_number(env, "OCHOPOD_SEQ", want->input, "seq");
    set_number(env, "OCHOPOD_INDEX", want->input, "index");
    set_number(env, "OCHOPOD_ORDINAL", want->input, "ordinal");
    set_number(env, "OCHOPOD_SIZE", want->input, "size");
    const json_t *self = json_object_get(want->input, "self");
    if (self)
        set_text(env, "OCHOPOD_IP", json_text(self, "ip"));
}

static char **flatten(const json_t *env, const char *const *extra) {
    size_t n = 0, room = json_object_size(env) + text_list_len((char *const *)extra) + 1;
    char **list = xcalloc(room, sizeof *list);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)env, key, value)
        list[n++] = xasprintf("%s=%s", key, json_string_value(value));
    for (; extra && *extra; extra++)
        list[n++] = xstrdup(*extra);
    return list;
}

static void list_release(char ***list) {
    text_list_free(*list);
}
#define auto_list __attribute__((cleanup(list_release)))

// ---- the end ----

static void action_free(struct action *a) {
    docker_cancel(&a->call);
    runner_cancel(&a->job);
    loop_timer_stop(&a->timer);
    free(a->name);
    free(a);
}

// The engine has no call to end an exec, and the process outlives its caller.
static void end_exec(struct action *a) {
    if (!*a->exec_id)
        return;
    bool held = a->pod->config.tether && *a->pod->holder;
    if (held)
        holder_end_exec(a->pod->config.tether, a->exec_id);
    else
        log_warn("pod %s hook=%s runs on in the workload: without a holder nothing can end it",
                 a->pod->config.full_name, a->name);
}

void action_cancel(struct action **slot) {
    if (!*slot)
        return;
    struct action *a = take_ptr(*slot);
    end_exec(a);
    action_free(a);
}

static void finish(struct action *a, const struct action_result *result, const struct err *err) {
    action_fn *fn = a->fn;
    void *arg = a->arg;
    struct err copy = *err;
    if (copy.kind == ERR_TIMEOUT || copy.kind == ERR_RETRY)
        end_exec(a); // what was cut off runs on too, beside the next attempt
    if (copy.kind != ERR_NONE)
        err_wrap(&copy, "%s", a->name);
    action_free(a);
    fn(result, &copy, arg);
}

static void on_exec(const struct docker_exec_result *result, const struct err *err, void *arg) {
    struct action *a = arg;
    a->call = NULL;
    struct action_result r = {0, "", ""};
    if (result)
        r = (struct action_result){result->exit_code, result->out, result->err};
    finish(a, &r, err);
}

static void on_hook(int code, const char *out, const char *err_text, const struct err *err,
                    void *arg) {
    struct action *a = arg;
    a->job = NULL;
    struct action_result r = {code, out ? out : "", err_text ? err_text : ""};
    finish(a, &r, err);
}

static void on_refused(void *arg) {
    struct action *a = arg;
    struct action_result r = {0, "", ""};
    struct err refused = a->refused;
    finish(a, &r, &refused);
}

// ---- the start ----

static void start_exec(struct action *a, const struct action_want *want, const json_t *env,
                       const char *input, int64_t timeout) {
    struct pod *pod = a->pod;
    if (pod->at != POD_RUNNING && pod->at != POD_STOPPING) {
        err_set(&a->refused, ERR_REFUSED, "the workload does not run");
        loop_timer_start(pod->loop, &a->timer, 0, on_refused, a);
        return;
    }
    auto_list char **list = flatten(env, want->env);
    struct docker_exec exec = {
        .argv = (const char *const *)(want->argv ? want->argv : want->action->argv),
        .env = (const char *const *)list,
        .input = input,
        .input_len = input ? strlen(input) : 0,
        .timeout_ms = timeout,
    };
    a->call = docker_exec(pod->docker, pod->state->container, &exec, on_exec, a);
}

static void start_hook(struct action *a, const struct action_want *want, json_t *env,
                       const char *input, int64_t timeout) {
    auto_json json_t *whole = json_copy(a->pod->spec->environment_);
    json_object_update(whole, env);
    auto_list char **list = flatten(whole, want->env);
    struct runner_hook hook = {
        .argv = (const char *const *)(want->argv ? want->argv : want->action->argv),
        .env = (const char *const *)list,
        .cwd = want->cwd,
        .input = input,
        .input_len = input ? strlen(input) : 0,
        .timeout_ms = timeout,
    };
    a->job = runner_hook(a->pod->config.runner, &hook, on_hook, a);
}

struct action *action_start(struct pod *pod, const struct action_want *want, action_fn *fn,
                            void *arg) {
    struct action *a = xnew(struct action);
    a->pod = pod;
    a->name = xstrdup(want->name);
    a->fn = fn;
    a->arg = arg;
    auto_json json_t *env = json_object();
    set_ours(pod, env, want);
    auto_free char *written = want->input ? json_write(want->input) : NULL;
    const char *input = written ? written : want->text;
    int64_t timeout = want->timeout ? want->timeout : want->action->timeout;
    if (want->action->kind == ACTION_EXEC) {
        state_uuid(a->exec_id);
        set_text(env, "OCHOPOD_EXEC", a->exec_id);
        start_exec(a, want, env, input, timeout);
    } else {
        start_hook(a, want, env, input, timeout);
    }
    return a;
}

// ---- judging ----

// Without the secrets that we know of, also where it is cut off.
static void last_line(const char *said, char *ret, size_t size) {
    size_t end = strlen(said);
    while (end && strchr("\r\n \t", said[end - 1]))
        end--;
    size_t from = end;
    while (from && said[from - 1] != '\n')
        from--;
    auto_free char *line = xstrndup(said + from, end - from);
    log_hide_said(line);
    snprintf(ret, size, "%s", line);
}

int action_judge(const char *what, const struct action_result *result, const struct err *failure,
                 struct err *err) {
    if (failure->kind != ERR_NONE) {
        err_copy(err, failure);
        if (err && err->kind != ERR_RETRY)
            err->kind = ERR_REFUSED;
        return -1;
    }
    if (!result->code)
        return 0;
    char line[MAX_LAST_LINE];
    last_line(*result->err ? result->err : result->out, line, sizeof line);
    return err_set(err, ERR_REFUSED, "%s: exit %d%s%s", what, result->code, *line ? ": " : "",
                   line);
}

static void hook_done(const struct action_result *result, const struct err *failure, void *arg) {
    struct run *run = arg;
    struct err err = ERR_INIT;
    run->action = NULL;
    if (action_judge(run->steps[run->at].name, result, failure, &err))
        run_fail(run, &err);
    else
        run_next(run);
}

void action_hook(struct run *run, enum spec_hook hook, const json_t *input) {
    const struct spec_action *action = &run->pod->spec->hooks[hook];
    if (action->kind == ACTION_NONE) {
        run_next(run);
        return;
    }
    struct action_want want = {.action = action, .name = spec_hook_names[hook], .input = input};
    run->action = action_start(run->pod, &want, hook_done, run);
}

// ---- not the pod's own ----

struct foreign {
    struct link link;
    struct action *action;
    char *name;
    void (*fn)(const char *line, const struct err *err, void *arg);
    void *arg;
};

static void foreign_done(const struct action_result *result, const struct err *failure, void *arg) {
    struct foreign *f = arg;
    struct err err = ERR_INIT;
    f->action = NULL;
    list_remove(&f->link);
    auto_free char *line = xstrndup(result->out, strcspn(result->out, "\r\n"));
    log_hide_said(line);
    int rc = action_judge("probe", result, failure, &err);
    f->fn(rc ? "" : line, &err, f->arg);
    free(f);
}

void pod_action(struct pod *pod, const struct spec_action *action, const json_t *input,
                void (*fn)(const char *line, const struct err *err, void *arg), void *arg) {
    struct foreign *f = xnew(struct foreign);
    f->fn = fn;
    f->arg = arg;
    list_append(&pod->foreign, &f->link);
    struct action_want want = {.action = action, .name = "probe", .input = input};
    f->action = action_start(pod, &want, foreign_done, f);
}

void action_drop_foreign(struct pod *pod) {
    struct foreign *f;
    list_each(f, &pod->foreign, struct foreign, link) {
        action_cancel(&f->action);
        list_remove(&f->link);
        free(f);
    }
}
