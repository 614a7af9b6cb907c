// POST /control/<task>[/<seconds>]: the headers and the body become a struct pod_request, the pod's
// reply the answer. A budget that is over is answered here, by our own clock: the pod goes on with
// what it has begun and nobody waits for it any more.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS_MAX = 24 * 3600, TREE_MAX = 64, TARGET_MAX = 128 };

static void task_free(struct task *task) {
    loop_timer_stop(&task->budget);
    pod_forget(&task->ask);
    free(task);
}

void task_reply(const json_t *answer, const struct err *err, void *arg) {
    struct task *task = arg;
    task->ask = NULL;
    // Whoever has recorded a request can send it once more, and gets the same answer.
    if (!err->kind && task->first)
        request_from_peer(task->request);
    if (err->kind)
        reply_error(task->request, err);
    else
        reply_json(task->request, 200, answer);
    task_free(task);
}

static void on_over(void *arg) {
    struct task *task = arg;
    reply_complaint(task->request, 408,
                    "the budget is over: what has begun goes on, ask again to wait for it");
    task_free(task);
}

static void on_gone(void *arg) {
    task_free(arg);
}

struct task *task_begin(struct control *c, struct request *request, int64_t budget_ms) {
    struct task *task = xnew(struct task);
    task->request = request;
    request_on_gone(request, on_gone, task);
    loop_timer_start(c->loop, &task->budget, budget_ms, on_over, task);
    return task;
}

// ---- what was asked ----

int task_read_budget(struct request *request, int64_t *ret_ms, struct err *err) {
    static const char name[] = "X-Ochopod-Budget-Ms";
    return reply_number(name, request_header(request, name), 0, SECONDS_MAX * INT64_C(1000), ret_ms,
                        err);
}

// Length of the word at s, -1 when there is none or it is longer than max.
static int word_len(const char *s, size_t max) {
    size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.");
    return n && n <= max ? (int)n : -1;
}

// "<task>[/<seconds>]". ERR_ABSENT: no such path at all.
static int read_path(const char *path, struct pod_request *ask, struct err *err) {
    const char *word = path + strlen("/control/"), *slash = strchr(word, '/');
    size_t len = slash ? (size_t)(slash - word) : strlen(word);
    int task = 0;
    while (task < POD_TASKS &&
           (strlen(pod_task_names[task]) != len || strncmp(pod_task_names[task], word, len) != 0))
        task++;
    if (task == POD_TASKS)
        return err_set(err, ERR_USER, "unknown task: check, on, off, ok, kill or signal");
    int64_t seconds = ask->budget_ms / 1000;
    if (slash && strchr(slash + 1, '/'))
        return err_set(err, ERR_ABSENT, "no such route: %.200s", path);
    if (slash && reply_number("seconds", slash + 1, 0, SECONDS_MAX, &seconds, err))
        return -1;
    ask->task = (enum pod_task)task;
    if (slash)
        ask->budget_ms = seconds * 1000;
    return 0;
}

static int read_epoch(struct request *request, struct pod_request *ask, char **ret_tree,
                      struct err *err) {
    const char *epoch = request_header(request, "X-Ochopod-Epoch");
    const char *round = request_header(request, "X-Ochopod-Round");
    if (!epoch && !round)
        return 0;
    int len = epoch ? word_len(epoch, TREE_MAX) : -1;
    if (len < 0 || epoch[len] != '/')
        return err_set(err, ERR_USER, "X-Ochopod-Epoch must be <tree>/<czxid>");
    if (reply_number("X-Ochopod-Epoch", epoch + len + 1, 0, INT64_MAX, &ask->epoch, err))
        return -1;
    if (reply_number("X-Ochopod-Round", round ? round : "", 0, INT64_MAX, &ask->round, err))
        return -1;
    ask->scope = POD_LEADER;
    ask->tree = *ret_tree = xstrndup(epoch, (size_t)len);
    return 0;
}

static int read_headers(struct request *request, struct pod_request *ask, char **ret_tree,
                        struct err *err) {
    if (task_read_budget(request, &ask->budget_ms, err))
        return -1;
    ask->target = request_header(request, "X-Ochopod-Target");
    if (ask->target && (word_len(ask->target, TARGET_MAX) != (int)strlen(ask->target)))
        return err_set(err, ERR_USER, "X-Ochopod-Target must be a pod's id");
    ask->body = request_body(request, &ask->body_len);
    ask->scope = ask->body_len ? POD_ORIGINAL : POD_OPERATOR;
    enum auth_role role;
    if (gate_signed(request, &role) && role == AUTH_OPERATOR)
        ask->scope = POD_OPERATOR; // whose `signal` may have a body
    return read_epoch(request, ask, ret_tree, err);
}

void task_route(struct control *c, struct request *request) {
    struct pod_request ask = {.budget_ms = c->spec->grace};
    struct err err = ERR_INIT;
    auto_free char *tree = NULL;
    if (read_path(request_path(request), &ask, &err) || read_headers(request, &ask, &tree, &err)) {
        reply_error(request, &err);
        return;
    }
    log_debug("control task=%s scope=%d epoch=%" PRId64 " round=%" PRId64 " budget=%" PRId64 "ms",
              pod_task_names[ask.task], (int)ask.scope, ask.epoch, ask.round, ask.budget_ms);
    struct task *task = task_begin(c, request, ask.budget_ms);
    ask.ret_first = &task->first;
    task->ask = pod_request(c->pod, &ask, task_reply, task);
}
