#include "sidecar/runner/runner.h"
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/child.h"
#include "sidecar/runner/serve.h"
#include "base/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK = 16 * 1024,
    LATE_MS = 2000, // past its timeout a job has ended itself; this is for one that cannot
    NO_RUNNER_MS = 0,
};

struct runner {
    pid_t pid;
    int control, clerk;
    struct loop *loop;
    struct link jobs;
    struct loop_fd *watch;
    void (*on_gone)(void *arg);
    void *arg;
};

struct runner_job {
    struct link link;
    struct runner *runner;
    int line;
    struct loop_fd *watch;
    struct loop_timer *late;
    int64_t started, timeout_ms;
    struct text request, answer;
    size_t sent;
    bool lost; // never reached the runner
    runner_json_fn *on_json;
    runner_hook_fn *on_hook;
    void *arg;
};

// ---- the process ----

static void serve(const int *fds, void *arg) {
    const struct runner_setup *setup = arg;
    runner_serve(fds[0], setup->duties ? fds[1] : -1, setup);
}

int runner_start(const struct runner_setup *setup, struct runner **ret, struct err *err) {
    const struct child child = {.name = setup->name,
                                .types = {SOCK_SEQPACKET, setup->duties ? SOCK_STREAM : 0},
                                .serve = serve,
                                .arg = (void *)setup};
    pid_t pid;
    int fds[CHILD_FDS_MAX];
    if (child_start(&child, &pid, fds, err))
        return -1;
    struct runner *r = xnew(struct runner);
    r->pid = pid;
    r->control = fds[0];
    r->clerk = setup->duties ? fds[1] : -1;
    list_init(&r->jobs);
    *ret = r;
    return 0;
}

void runner_attach(struct runner *runner, struct loop *loop) {
    runner->loop = loop;
}

static void gone(int events, void *arg) {
    struct runner *r = arg;
    (void)events; // it never writes: this is its end
    loop_fd_stop(&r->watch);
    r->on_gone(r->arg);
}

void runner_on_gone(struct runner *runner, void (*fn)(void *arg), void *arg) {
    runner->on_gone = fn;
    runner->arg = arg;
    runner->watch = loop_fd_start(runner->loop, runner->control, LOOP_READ, gone, runner);
}

int runner_clerk(const struct runner *runner) {
    return runner->clerk;
}

pid_t runner_pid(const struct runner *runner) {
    return runner->pid;
}

// ---- a job, seen from the worker ----

static void job_free(struct runner_job *j) {
    list_remove(&j->link);
    loop_fd_stop(&j->watch);
    loop_timer_stop(&j->late);
    if (j->line >= 0)
        close(j->line);
    text_done(&j->request);
    text_done(&j->answer);
    free(j);
}

void runner_stop(struct runner *runner) {
    if (!runner)
        return;
    struct runner_job *j;
    list_each(j, &runner->jobs, struct runner_job, link) job_free(j);
    loop_fd_stop(&runner->watch);
    close(runner->control); // the runner reads the end and exits; its jobs go with it
    if (runner->clerk >= 0)
        close(runner->clerk);
    free(runner);
}

void runner_cancel(struct runner_job **slot) {
    if (*slot)
        job_free(take_ptr(*slot));
}

static void deliver_json(runner_json_fn *fn, void *arg, struct wire *w, struct err *err) {
    auto_json json_t *json = NULL;
    if (err->kind == ERR_NONE) {
        size_t len;
        const char *text = wire_bytes(w, &len);
        json = text ? json_loadb(text, len, 0, NULL) : NULL;
        if (!json)
            err_set(err, ERR_BUG, "a job of the runner gave no answer");
    }
    fn(json, err, arg);
}

static void deliver_hook(runner_hook_fn *fn, void *arg, struct wire *w, const struct err *err) {
    size_t len;
    int code = (int)wire_int(w);
    const char *out = wire_bytes(w, &len), *complaints = wire_bytes(w, &len);
    fn(w->broken ? -1 : code, out ? out : "", complaints ? complaints : "", err, arg);
}

static void no_answer(const struct runner_job *j, struct err *err) {
    if (j->lost)
        err_set(err, ERR_RETRY, "the runner is gone");
    else if (loop_now(j->runner->loop) - j->started >= j->timeout_ms)
        err_set(err, ERR_TIMEOUT, "not done within %lld ms, and ended", (long long)j->timeout_ms);
    else
        err_set(err, ERR_REFUSED, "ended without an answer: out of memory, or killed");
}

// The callback's owner may free or cancel anything: the job is gone before it runs.
static void finish(struct runner_job *j) {
    struct text answer = j->answer;
    j->answer = (struct text){0};
    struct err err = ERR_INIT;
    struct wire w = {.at = text_str(&answer), .end = text_str(&answer) + answer.len};
    int64_t len = wire_int(&w);
    if (w.broken || w.end - w.at != len) {
        no_answer(j, &err);
        w = (struct wire){.broken = 1};
    } else {
        wire_get_err(&w, &err);
    }
    runner_json_fn *on_json = j->on_json;
    runner_hook_fn *on_hook = j->on_hook;
    void *arg = j->arg;
    job_free(j);
    if (on_json)
        deliver_json(on_json, arg, &w, &err);
    else
        deliver_hook(on_hook, arg, &w, &err);
    text_done(&answer);
}

static void push(struct runner_job *j) {
    while (j->sent < j->request.len) {
        ssize_t n = send(j->line, j->request.s + j->sent, j->request.len - j->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            return;
        j->sent += (size_t)n;
    }
    text_done(&j->request);
    loop_fd_change(j->watch, LOOP_READ);
}

static void on_line(int events, void *arg) {
    struct runner_job *j = arg;
    if (events & LOOP_WRITE && j->sent < j->request.len)
        push(j);
    if (!(events & (LOOP_READ | LOOP_GONE)))
        return;
    char buf[CHUNK];
    ssize_t n;
    while ((n = recv(j->line, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        text_addn(&j->answer, buf, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || j->answer.len > WIRE_MAX)
        finish(j);
}

static void on_late(void *arg) {
    finish(arg);
}

// Takes the message that was built.
static struct runner_job *submit(struct runner *r, struct text *message, int64_t timeout_ms) {
    struct runner_job *j = xnew(struct runner_job);
    int pair[2];
    j->runner = r;
    j->line = -1;
    j->started = loop_now(r->loop);
    j->timeout_ms = timeout_ms;
    list_append(&r->jobs, &j->link);
    int64_t len = (int64_t)message->len;
    text_addn(&j->request, &len, sizeof len);
    text_addn(&j->request, message->s, message->len);
    text_done(message);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        j->line = pair[0];
        j->lost = wire_send_fd(r->control, pair[1]) != 0;
        close(pair[1]);
    } else {
        j->lost = true;
    }
    if (j->lost) {
        loop_timer_start(r->loop, &j->late, NO_RUNNER_MS, on_late, j);
        return j;
    }
    j->watch = loop_fd_start(r->loop, j->line, LOOP_READ | LOOP_WRITE, on_line, j);
    loop_timer_start(r->loop, &j->late, timeout_ms + LATE_MS, on_late, j);
    return j;
}

struct runner_job *runner_call(struct runner *runner, const char *function, const json_t *argument,
                               size_t memory, int64_t timeout_ms, runner_json_fn *fn, void *arg) {
    struct text message = {0};
    auto_free char *text = json_write(argument);
    wire_add_int(&message, WIRE_FUNCTION);
    wire_add_str(&message, function);
    wire_add_str(&message, text);
    wire_add_int(&message, (int64_t)memory);
    wire_add_int(&message, timeout_ms);
    struct runner_job *j = submit(runner, &message, timeout_ms);
    j->on_json = fn;
    j->arg = arg;
    return j;
}

static void add_list(struct text *message, const char *const *list) {
    int64_t n = 0;
    while (list && list[n])
        n++;
    wire_add_int(message, n);
    for (int64_t i = 0; i < n; i++)
        wire_add_str(message, list[i]);
}

struct runner_job *runner_hook(struct runner *runner, const struct runner_hook *hook,
                               runner_hook_fn *fn, void *arg) {
    struct text message = {0};
    wire_add_int(&message, WIRE_HOOK);
    wire_add_str(&message, hook->cwd);
    wire_add(&message, hook->input, hook->input_len);
    wire_add_int(&message, (int64_t)hook->max_output);
    wire_add_int(&message, hook->timeout_ms);
    add_list(&message, hook->argv);
    add_list(&message, hook->env);
    struct runner_job *j = submit(runner, &message, hook->timeout_ms);
    j->on_hook = fn;
    j->arg = arg;
    return j;
}
