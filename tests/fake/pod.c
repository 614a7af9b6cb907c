#include "tests/fake/pod.h"
#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include <stdlib.h>

const char *const pod_task_names[POD_TASKS] = {
    [POD_CHECK] = "check", [POD_ON] = "on",     [POD_OFF] = "off",
    [POD_OK] = "ok",       [POD_KILL] = "kill", [POD_SIGNAL] = "signal",
};

struct pod_ask {
    struct link link;
    struct pod *pod;
    struct fake_ask seen;
    struct loop_timer *soon;
    pod_reply_fn *fn;
    void *arg;
};

struct pod {
    struct loop *loop;
    struct link asks;
    size_t seen, forgotten;
    bool answer_all, ready, again;
    const char *process;
};

struct pod *pod_create(struct loop *loop, const struct pod_config *config) {
    (void)config;
    struct pod *pod = xnew(struct pod);
    pod->loop = loop;
    pod->process = "stopped";
    list_init(&pod->asks);
    return pod;
}

static void ask_free(struct pod_ask *ask) {
    loop_timer_stop(&ask->soon);
    list_remove(&ask->link);
    free(ask->seen.target);
    free(ask->seen.tree);
    free(ask->seen.body);
    free(ask->seen.line);
    free(ask->seen.upload_name);
    free(ask->seen.upload_data);
    free(ask);
}

void pod_free(struct pod *pod) {
    if (!pod)
        return;
    CHECK(list_empty(&pod->asks)); // each was answered or forgotten
    free(pod);
}

static void answer(struct pod_ask *ask, const json_t *j, const struct err *err) {
    static const struct err none = ERR_INIT;
    pod_reply_fn *fn = ask->fn;
    void *arg = ask->arg;
    ask_free(ask);
    fn(j, err ? err : &none, arg);
}

static void on_soon(void *arg) {
    answer(arg, NULL, NULL);
}

static struct pod_ask *ask_add(struct pod *pod, pod_reply_fn *fn, void *arg) {
    struct pod_ask *ask = xnew(struct pod_ask);
    *ask = (struct pod_ask){.pod = pod, .fn = fn, .arg = arg};
    list_append(&pod->asks, &ask->link);
    pod->seen++;
    if (pod->answer_all)
        loop_timer_start(pod->loop, &ask->soon, 0, on_soon, ask);
    return ask;
}

static char *copy(const char *s) {
    return s ? xstrdup(s) : NULL;
}

struct pod_ask *pod_request(struct pod *pod, const struct pod_request *request, pod_reply_fn *fn,
                            void *arg) {
    struct pod_ask *ask = ask_add(pod, fn, arg);
    if (request->ret_first)
        *request->ret_first = request->scope == POD_LEADER && !pod->again;
    ask->seen = (struct fake_ask){.task = request->task,
                                  .scope = request->scope,
                                  .target = copy(request->target),
                                  .tree = copy(request->tree),
                                  .body = xstrndup(request->body, request->body_len),
                                  .epoch = request->epoch,
                                  .round = request->round,
                                  .budget_ms = request->budget_ms};
    return ask;
}

struct pod_ask *pod_tool(struct pod *pod, const char *line, const struct upload *uploads, size_t n,
                         int64_t budget_ms, pod_reply_fn *fn, void *arg) {
    struct pod_ask *ask = ask_add(pod, fn, arg);
    ask->seen.line = xstrdup(line);
    ask->seen.budget_ms = budget_ms;
    ask->seen.uploads = n;
    if (n) {
        ask->seen.upload_name = xstrdup(uploads[n - 1].name);
        ask->seen.upload_len = uploads[n - 1].len;
        ask->seen.upload_data = xstrndup(uploads[n - 1].data, uploads[n - 1].len);
    }
    return ask;
}

void pod_forget(struct pod_ask **slot) {
    struct pod_ask *ask = take_ptr(*slot);
    if (!ask)
        return;
    ask->pod->forgotten++;
    ask_free(ask);
}

void pod_attached(struct pod *pod, bool attached) {
    (void)pod;
    (void)attached;
}

void pod_engine(struct pod *pod, bool up) {
    (void)pod;
    (void)up;
}

void pod_event(struct pod *pod, const char *container_id, const char *name,
               const json_t *attributes) {
    (void)pod;
    (void)container_id;
    (void)name;
    (void)attributes;
}

const char *pod_process(const struct pod *pod) {
    return pod->process;
}

bool pod_ready(const struct pod *pod) {
    return pod->ready;
}

json_t *pod_info(const struct pod *pod) {
    return json_pack("{s:s, s:{s:i}}", "process", pod->process, "workload", "restarts", 7);
}

// ---- for the test ----

size_t fake_pod_asks(const struct pod *pod) {
    size_t n = 0;
    for (const struct link *it = pod->asks.next; it != &pod->asks; it = it->next)
        n++;
    return n;
}

const struct fake_ask *fake_pod_ask(const struct pod *pod, size_t i) {
    const struct link *it = pod->asks.next;
    while (i--)
        it = it->next;
    CHECK(it != &pod->asks);
    return &list_entry(it, struct pod_ask, link)->seen;
}

size_t fake_pod_seen(const struct pod *pod) {
    return pod->seen;
}

size_t fake_pod_forgotten(const struct pod *pod) {
    return pod->forgotten;
}

void fake_pod_answer(struct pod *pod, const json_t *j, const struct err *err) {
    CHECK(!list_empty(&pod->asks));
    answer(list_first(&pod->asks, struct pod_ask, link), j, err);
}

void fake_pod_answer_all(struct pod *pod, bool on) {
    pod->answer_all = on;
}

void fake_pod_again(struct pod *pod, bool on) {
    pod->again = on;
}

void fake_pod_is(struct pod *pod, const char *process, bool ready) {
    pod->process = process;
    pod->ready = ready;
}
