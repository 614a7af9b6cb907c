#include "tests/fake/runner.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/runner/serve.h"
#include <string.h>
#include <sys/wait.h>

struct runner {
    struct runner_setup setup;
    struct loop *loop;
    void (*on_hook)(struct fake_hook *hook, void *arg);
    void *hook_arg;
    char *fail_function;
    int fail_times;
    struct err fail;
    char *slow_function;
    int slow_ms;
    struct text calls;
};

struct runner_job {
    struct loop_timer *timer;
    json_t *answer;
    struct err err;
    int exit_code;
    char *out, *err_text;
    runner_json_fn *json;
    runner_hook_fn *hook;
    void *arg;
};

int runner_start(const struct runner_setup *setup, struct runner **ret, struct err *err) {
    (void)err;
    struct runner *runner = xnew(struct runner);
    runner->setup = *setup;
    *ret = runner;
    return 0;
}

void runner_attach(struct runner *runner, struct loop *loop) {
    runner->loop = loop;
}

void runner_stop(struct runner *runner) {
    if (!runner)
        return;
    text_done(&runner->calls);
    free(runner->fail_function);
    free(runner->slow_function);
    free(runner);
}

int runner_clerk(const struct runner *runner) {
    (void)runner;
    return -1;
}

pid_t runner_pid(const struct runner *runner) {
    (void)runner;
    return 0;
}

void fake_runner_on_hook(struct runner *runner, void (*fn)(struct fake_hook *hook, void *arg),
                         void *arg) {
    runner->on_hook = fn;
    runner->hook_arg = arg;
}

void fake_runner_fail(struct runner *runner, const char *function, int times, enum err_kind kind,
                      const char *text) {
    free(runner->fail_function);
    runner->fail_function = xstrdup(function);
    runner->fail_times = times;
    err_set(&runner->fail, kind, "%s", text);
}

void fake_runner_slow(struct runner *runner, const char *function, int ms) {
    free(runner->slow_function);
    runner->slow_function = function ? xstrdup(function) : NULL;
    runner->slow_ms = ms;
}

const char *fake_runner_calls(const struct runner *runner) {
    return text_str(&runner->calls);
}

void fake_runner_forget_calls(struct runner *runner) {
    text_clear(&runner->calls);
}

// ---- jobs ----

static void job_free(struct runner_job *job) {
    loop_timer_stop(&job->timer);
    json_decref(job->answer);
    free(job->out);
    free(job->err_text);
    free(job);
}

void runner_cancel(struct runner_job **slot) {
    if (*slot)
        job_free(take_ptr(*slot));
}

static void report(void *arg) {
    struct runner_job *job = arg;
    struct runner_job it = *job;
    struct err err = it.err;
    free(job);
    if (it.json)
        it.json(it.answer, &err, it.arg);
    else
        it.hook(it.exit_code, it.out, it.err_text, &err, it.arg);
    json_decref(it.answer);
    free(it.out);
    free(it.err_text);
}

// ---- our own functions ----

static void child(const struct runner_function *f, const json_t *argument, int fd) {
    struct err err = ERR_INIT;
    json_t *answer = f->fn(argument, &err);
    json_t *reply = answer ? json_pack("{s:o}", "answer", answer)
                           : json_pack("{s:i, s:s}", "kind", (int)err.kind, "text", err.text);
    char *text = json_write(reply);
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, text + at, len - at);
        if (n <= 0)
            _exit(1);
        at += (size_t)n;
    }
    _exit(0);
}

static json_t *in_child(const struct runner_function *f, const json_t *argument) {
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child(f, argument, pipes[1]);
    close(pipes[1]);
    auto_fd int fd = pipes[0];
    auto_text struct text reply = {0};
    char buf[4096];
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        text_addn(&reply, buf, (size_t)n);
    waitpid(pid, NULL, 0);
    return json_loadb(text_str(&reply), reply.len, 0, NULL);
}

static const struct runner_function *find(const struct runner *runner, const char *name) {
    for (const struct runner_function *f = runner->setup.functions; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static void call(struct runner *runner, struct runner_job *job, const char *function,
                 const json_t *argument) {
    if (runner->fail_times > 0 && strcmp(runner->fail_function, function) == 0) {
        runner->fail_times--;
        job->err = runner->fail;
        return;
    }
    const struct runner_function *f = find(runner, function);
    CHECK(f);
    auto_json json_t *reply = in_child(f, argument);
    json_t *answer = json_object_get(reply, "answer");
    if (answer)
        job->answer = json_incref(answer);
    else
        err_set(&job->err, (enum err_kind)json_integer_value(json_object_get(reply, "kind")), "%s",
                json_text(reply, "text"));
}

struct runner_job *runner_call(struct runner *runner, const char *function, const json_t *argument,
                               size_t memory, int64_t timeout_ms, runner_json_fn *fn, void *arg) {
    (void)memory;
    (void)timeout_ms;
    struct runner_job *job = xnew(struct runner_job);
    job->json = fn;
    job->arg = arg;
    text_addf(&runner->calls, "%s\n", function);
    call(runner, job, function, argument);
    bool slow = runner->slow_function && strcmp(runner->slow_function, function) == 0;
    loop_timer_start(runner->loop, &job->timer, slow ? runner->slow_ms : 0, report, job);
    return job;
}

// ---- hooks ----

struct runner_job *runner_hook(struct runner *runner, const struct runner_hook *hook,
                               runner_hook_fn *fn, void *arg) {
    struct runner_job *job = xnew(struct runner_job);
    auto_free char *input = xstrndup(hook->input ? hook->input : "", hook->input_len);
    struct fake_hook it = {.argv = hook->argv, .env = hook->env, .input = input, .cwd = hook->cwd};
    text_addf(&runner->calls, "hook %s\n", hook->argv[0]);
    struct err why = ERR_INIT;
    if (judge_hook(&runner->setup, hook, &why)) {
        fprintf(stderr, "the runner %s\n", why.text);
        CHECK(!"the pod asks for what is refused");
    }
    if (runner->on_hook)
        runner->on_hook(&it, runner->hook_arg);
    job->hook = fn;
    job->arg = arg;
    job->exit_code = it.exit_code;
    job->out = xstrdup(it.out);
    job->err_text = xstrdup(it.err);
    bool late = it.ms > hook->timeout_ms;
    if (late)
        err_set(&job->err, ERR_TIMEOUT, "not done within %lld ms", (long long)hook->timeout_ms);
    loop_timer_start(runner->loop, &job->timer, late ? hook->timeout_ms : it.ms, report, job);
    return job;
}
