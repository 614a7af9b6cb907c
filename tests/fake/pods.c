#include "tests/fake/pods.h"
#include "base/check.h"
#include "base/json.h"
#include "base/own.h"
#include <inttypes.h>
#include <string.h>

const char *const fake_tasks[FAKE_TASKS] = {
    [FAKE_CHECK] = "check",
    [FAKE_OFF] = "off",
    [FAKE_ON] = "on",
    [FAKE_OK] = "ok",
};

// ---- nodes ----

static char *record_of(const struct fake_pod *pod) {
    auto_free char *renewals = pod->renewals ? xasprintf(",\"renewals\":%d", pod->renewals)
                                             : xstrdup("");
    auto_free char *bulk = xcalloc((size_t)pod->bulk + 1, 1);
    memset(bulk, 'x', (size_t)pod->bulk);
    return xasprintf(
        "{\"application\":\"\",\"cluster\":\"zk\",\"namespace\":\"ns\",\"ip\":\"10.0.0.1\","
        "\"node\":\"n\",\"public\":\"10.0.0.1\",\"port\":\"8080\",\"ports\":{\"8080\":%d},"
        "\"task\":\"%s\",\"seq\":%d%s%s%s}",
        pod->port, bulk, pod->seq, renewals, pod->original ? "" : ",\"sidecar\":\"0.1\"",
        pod->original || pod->old ? "" : ",\"proposal\":true");
}

void fake_pod_renew(struct fake_pod *pod) {
    pod->renewals++;
    auto_free char *data = record_of(pod);
    fake_zk_put(pod->pods->zk, pod->session, pod->node, data, ZK_EPHEMERAL);
}

void fake_pod_register(struct fake_pod *pod) {
    auto_free char *path = xasprintf("%s/pods/%s.", pod->pods->root, pod->id);
    auto_free char *data = record_of(pod);
    if (pod->session)
        fake_zk_stranger_gone(pod->pods->zk, pod->session);
    pod->session = fake_zk_stranger(pod->pods->zk);
    free(pod->node);
    pod->node = xstrdup(
        fake_zk_put(pod->pods->zk, pod->session, path, data, ZK_EPHEMERAL | ZK_SEQUENCE));
}

struct fake_pod *fake_pods_add(struct fake_pods *pods, const char *id) {
    CHECK(pods->n < FAKE_PODS_MOST);
    struct fake_pod *pod = xnew(struct fake_pod);
    pod->pods = pods;
    snprintf(pod->id, sizeof pod->id, "%s", id);
    pod->seq = pods->n;
    pod->port = 9000 + pods->n;
    pods->all[pods->n++] = pod;
    fake_pod_register(pod);
    return pod;
}

void fake_pod_leave(struct fake_pod *pod) {
    pod->deaf = true;
    fake_zk_stranger_gone(pod->pods->zk, pod->session);
    pod->session = 0;
}

// ---- control ports ----

static void say(struct fake_http_answer *answer, int status, char *body) {
    answer->status = status;
    answer->body = body;
}

static char *what_it_is(const struct fake_pod *pod) {
    struct text t = {0};
    text_addf(&t, "{\"joined\":%s,\"started\":%s,\"running\":%s,\"ready\":%s",
              pod->joined ? "true" : "false", pod->started ? "true" : "false",
              pod->running ? "true" : "false", pod->running && !pod->unready ? "true" : "false");
    for (int i = 0; i < pod->chatter; i++)
        text_add(&t, i ? ",{}" : ",\"x\":[{}");
    text_add(&t, pod->chatter ? "]}" : "}");
    return text_take(&t);
}

static char *what_it_says(const struct fake_pod *pod, enum fake_task task) {
    if (pod->original)
        return NULL;
    if (task == FAKE_ON && pod->off)
        return xstrdup("{\"started\":false,\"status\":\"off by operator\"}");
    return task == FAKE_CHECK ? what_it_is(pod) : NULL;
}

static void carry_out(struct fake_pod *pod, enum fake_task task) {
    pod->done[task]++;
    if (task == FAKE_ON && !pod->off)
        pod->started = pod->running = pod->joined = true;
    if (task == FAKE_OFF)
        pod->running = false;
}

// Fencing as the protocol has it: epochs and rounds only grow, and a phase is done once.
static bool is_stale(struct fake_pod *pod, int64_t epoch, int64_t round, enum fake_task task) {
    bool newer = epoch > pod->max_epoch || (epoch == pod->max_epoch && round > pod->round);
    if (newer && task == FAKE_CHECK) {
        pod->max_epoch = epoch;
        pod->round = round;
        memset(pod->did, 0, sizeof pod->did);
        return false;
    }
    return epoch != pod->max_epoch || round != pod->round;
}

static void serve_pod(struct fake_pod *pod, enum fake_task task,
                      const struct fake_http_request *request, struct fake_http_answer *answer) {
    const char *epoch = fake_http_value(request, "X-Ochopod-Epoch");
    int64_t round = atoll(fake_http_value(request, "X-Ochopod-Round"));
    const char *slash = strrchr(epoch, '/');
    pod->asked[task]++;
    free(pod->body);
    pod->body = xstrdup(request->body);
    free(pod->epoch);
    pod->epoch = xstrdup(epoch);
    text_addf(&pod->pods->story, "%s %s %" PRId64 "\n", fake_tasks[task], pod->id, round);
    answer->delay_ms = pod->delay[task];
    answer->fault = pod->fault[task];
    pod->fault[task] = FAKE_HTTP_FINE;
    if (pod->dead)
        say(answer, 410, NULL);
    else if (strcmp(fake_http_value(request, "X-Ochopod-Target"), pod->id) != 0)
        say(answer, 421, NULL);
    else if (!pod->original && is_stale(pod, slash ? atoll(slash + 1) : 0, round, task))
        pod->fenced++, say(answer, 412, NULL);
    else if (pod->refuses[task])
        say(answer, 406, xasprintf("{\"error\":\"%s\"}", pod->refuses[task]));
    else {
        if (!pod->did[task] || pod->original)
            carry_out(pod, task);
        pod->did[task] = true;
        say(answer, 200, what_it_says(pod, task));
    }
}

static void serve(const struct fake_http_request *request, struct fake_http_answer *answer,
                  void *arg) {
    struct fake_pods *pods = arg;
    char task[16] = "";
    int seconds = 0;
    int at = request->port - 9000;
    CHECK(strcmp(request->method, "POST") == 0);
    CHECK(sscanf(request->path, "/control/%15[a-z]/%d", task, &seconds) == 2 && seconds > 0);
    if (at < 0 || at >= pods->n || pods->all[at]->deaf) {
        answer->fault = FAKE_HTTP_REFUSED;
        return;
    }
    for (int i = 0; i < FAKE_TASKS; i++) {
        if (strcmp(task, fake_tasks[i]) != 0)
            continue;
        if (pods->all[at]->before)
            pods->all[at]->before(pods->all[at], i, pods->all[at]->arg);
        serve_pod(pods->all[at], i, request, answer);
        return;
    }
    CHECK(!"a task of a leader");
}

// ---- life ----

struct fake_pods *fake_pods_create(struct fake_zk *zk, const char *root) {
    struct fake_pods *pods = xnew(struct fake_pods);
    pods->zk = zk;
    pods->root = xstrdup(root);
    fake_http_serve(serve, pods);
    return pods;
}

void fake_pods_reset(struct fake_pods *pods) {
    text_clear(&pods->story);
    for (int i = 0; i < pods->n; i++) {
        memset(pods->all[i]->asked, 0, sizeof pods->all[i]->asked);
        memset(pods->all[i]->done, 0, sizeof pods->all[i]->done);
        pods->all[i]->fenced = 0;
    }
}

int fake_pods_asked(const struct fake_pods *pods) {
    int n = 0;
    for (int i = 0; i < pods->n; i++)
        for (int t = 0; t < FAKE_TASKS; t++)
            n += pods->all[i]->asked[t];
    return n;
}

void fake_pods_free(struct fake_pods *pods) {
    fake_http_serve(NULL, NULL);
    for (int i = 0; i < pods->n; i++) {
        free(pods->all[i]->node);
        free(pods->all[i]->body);
        free(pods->all[i]->epoch);
        free(pods->all[i]);
    }
    text_done(&pods->story);
    free(pods->root);
    free(pods);
}
