#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/act.h"
#include "cli/target.h"
#include <stdio.h>
#include <string.h>

enum { FIRST_MS = 50, MOST_MS = 500, MARATHON_MS = 15000 };

struct kill {
    const struct cli_options *options;
    struct pods pods;
    struct marathon *marathon; // NULL: no pod is Marathon's
    int64_t deadline;
    size_t late; // killed, and their deployment goes on
};

static const char *app_of(const struct pod_seen *pod) {
    const char *app = json_text(json_object_get(pod->json, "record"), "application");
    return app + (*app == '/');
}

static bool was_killed(const struct pod_seen *pod) {
    return !*pods_error(pod);
}

static struct loop *loop_of(const struct kill *k) {
    return source_loop(k->pods.source);
}

// Before anything is killed: a pod that is dead and stays would be the worst of both.
static int open_marathon(struct kill *k) {
    struct marathon_where where;
    struct err err = ERR_INIT;
    bool needed = false;
    for (size_t i = 0; i < k->pods.n; i++)
        needed = needed || target_is_marathon(&k->pods.list[i]);
    if (!needed)
        return EXIT_DONE;
    if (marathon_where_read(&where, &err))
        return cli_fail(&err);
    k->marathon = marathon_open(loop_of(k), source_http(k->pods.source), &where);
    auto_json json_t *info = marathon_get(k->marathon, "/v2/deployments", &err);
    return info ? EXIT_DONE : cli_fail(&err);
}

static void tell_others(const struct kill *k) {
    for (size_t i = 0; i < k->pods.n; i++) {
        const struct pod_seen *pod = &k->pods.list[i];
        const char *fwk = json_text(json_object_get(pod->json, "record"), "fwk");
        if (was_killed(pod) && !target_is_marathon(pod))
            fprintf(stderr,
                    "ocho: %s is killed, and its container stays: removing it is up to its "
                    "framework (%s)\n",
                    pod->label, *fwk ? fwk : "unknown");
    }
}

// ---- one app ----

static json_t *tasks_of(const struct kill *k, const char *app) {
    json_t *ids = json_array();
    for (size_t i = 0; i < k->pods.n; i++) {
        const struct pod_seen *pod = &k->pods.list[i];
        if (was_killed(pod) && target_is_marathon(pod) && strcmp(app_of(pod), app) == 0)
            CHECK(json_array_append_new(ids, json_string(target_task(pod))) == 0);
    }
    return ids;
}

static bool holds(const json_t *ids, const char *id) {
    size_t i;
    json_t *it;
    json_array_foreach((json_t *)ids, i,
                       it) if (strcmp(json_string_value(it), id) == 0) return true;
    return false;
}

// Their number alone says nothing: one that we killed may be gone, and another one live.
static bool are_all_ours(const json_t *tasks, const json_t *ids) {
    size_t i;
    json_t *task;
    json_array_foreach((json_t *)tasks, i,
                       task) if (!holds(ids, json_text(task, "id"))) return false;
    return true;
}

// What is about to be launched again has no task yet, and by -i it was not meant. -1: err.
static int are_all_meant(const struct kill *k, const char *app, const json_t *ids,
                         struct err *err) {
    int64_t instances = 0;
    if (!k->options->indices_len)
        return 1;
    auto_json json_t *now = marathon_app(k->marathon, app, err);
    if (!now || json_int(now, "instances", &instances, err))
        return -1;
    return instances <= (int64_t)json_array_size(ids);
}

// The whole app where all of its tasks are ours to remove. Its DELETE overrides what is going on.
static json_t *remove_tasks(struct kill *k, const char *app, char **ret_deployment,
                            struct err *err) {
    auto_json json_t *ids = tasks_of(k, app);
    auto_free char *tasks = marathon_path(app, "/tasks");
    auto_free char *whole = marathon_path(app, "");
    auto_json json_t *running = marathon_get(k->marathon, tasks, err);
    if (!running)
        return NULL;
    const json_t *list = json_object_get(running, "tasks");
    int all = json_is_array(list) && are_all_ours(list, ids) ? are_all_meant(k, app, ids, err) : 0;
    if (all < 0)
        return NULL;
    if (all)
        return marathon_change(k->marathon, "DELETE", whole, NULL, ret_deployment, err);
    auto_json json_t *body = json_pack("{s:O}", "ids", ids);
    return marathon_change(k->marathon, "POST", "/v2/tasks/delete?scale=true", body, ret_deployment,
                           err);
}

static int outlast(struct kill *k, const char *deployment, struct err *err) {
    for (int64_t ms = FIRST_MS; deployment; ms = ms * 2 < MOST_MS ? ms * 2 : MOST_MS) {
        int going = marathon_deploying(k->marathon, deployment, err);
        if (going <= 0)
            return going;
        if (loop_now(loop_of(k)) + ms >= k->deadline)
            return err_set(err, ERR_TIMEOUT, "deployment %.60s goes on", deployment);
        marathon_pause(k->marathon, ms);
    }
    return 0;
}

// Marathon's pods are no apps, and not ours to scale: true, and err says so.
static bool is_pod(struct kill *k, const char *app, struct err *err) {
    struct err none = ERR_INIT;
    auto_free char *path = xasprintf("/v2/pods/%s", app);
    auto_json json_t *pod = marathon_get(k->marathon, path, &none);
    if (!pod)
        return false;
    err_set(
        err, ERR_REFUSED,
        "killed, but %.200s is a pod of Marathon's, which keeps its instances: scale it down or "
        "delete it there (/v2/pods)",
        app);
    return true;
}

static void remove_app(struct kill *k, const char *app) {
    struct err err = ERR_INIT;
    auto_free char *deployment = NULL;
    auto_json json_t *said = remove_tasks(k, app, &deployment, &err);
    bool failed = !said || outlast(k, deployment, &err);
    if (failed && err.kind == ERR_ABSENT)
        failed = is_pod(k, app, &err); // else somebody removed it before us
    if (!failed)
        return;
    fprintf(stderr, "%s", marathon_details(k->marathon));
    for (size_t i = 0; i < k->pods.n; i++) {
        if (!was_killed(&k->pods.list[i]) || strcmp(app_of(&k->pods.list[i]), app) != 0)
            continue;
        pods_fail(&k->pods.list[i], err.text);
        k->late += err.kind == ERR_TIMEOUT;
    }
}

static void remove_apps(struct kill *k) {
    for (size_t i = 0; i < k->pods.n; i++) {
        const struct pod_seen *pod = &k->pods.list[i];
        bool first = was_killed(pod) && target_is_marathon(pod);
        for (size_t j = 0; first && j < i; j++)
            first = !target_is_marathon(&k->pods.list[j]) || !was_killed(&k->pods.list[j]) ||
                    strcmp(app_of(&k->pods.list[j]), app_of(pod)) != 0;
        if (first)
            remove_app(k, app_of(pod));
    }
}

// ---- the verb ----

// As of the other verbs of Marathon's: a status that all share that failed, else 1.
static int status_of(const struct kill *k) {
    bool all = k->late && k->late == k->pods.n && !k->pods.missing;
    for (char *const *pattern = k->options->args; *pattern; pattern++)
        all = all && act_means(&k->pods, *pattern);
    int status = act_status(&k->pods, k->options->args, "killed");
    return all ? EXIT_TIME : status;
}

static void print(const struct kill *k) {
    auto_json json_t *all = act_outcome(&k->pods, k->options->args, "down", true);
    size_t down = 0, good = 0;
    const char *pattern;
    json_t *it;
    if (k->options->json) {
        cli_print(all, true);
        return;
    }
    json_object_foreach(all, pattern, it) {
        down += json_array_size(json_object_get(it, "down"));
        good += json_is_true(json_object_get(it, "ok"));
    }
    printf("%zu%% success (-%zu pods)\n", 100 * good / json_object_size(all), down);
}

static int kill_pods(struct kill *k) {
    int64_t timeout = act_timeout(k->options);
    int status = open_marathon(k);
    if (status)
        return status;
    k->deadline = loop_now(loop_of(k)) + timeout;
    act_kill(&k->pods, timeout);
    if (k->marathon) {
        // Those that did end go, also when another one took all the time.
        int64_t least = loop_now(loop_of(k)) + MARATHON_MS;
        k->deadline = k->deadline > least ? k->deadline : least;
        marathon_until(k->marathon, k->deadline);
        remove_apps(k);
    }
    tell_others(k);
    print(k);
    return status_of(k);
}

static int run(const struct cli_options *options) {
    struct kill k = {.options = options};
    int status = act_begin(options, options->args, &k.pods);
    if (status)
        return status;
    status = kill_pods(&k);
    marathon_close(k.marathon);
    pods_end(&k.pods);
    return status;
}

const struct verb kill_verb = {
    .name = "kill",
    .args = "PATTERN...",
    .summary = "end pods for good; an app of Marathon's whose pods are all dead is removed",
    .details =
        "Takes -i, or --force for all that match. Of an app that keeps pods only the tasks of "
        "those go, and it\nis scaled down. What Marathon does not run is killed, and its "
        "container left to its framework.\nJSON: {\"PATTERN\": {\"ok\", \"down\": [number...]}}, "
        "and \"failed\" where any did\n",
    .options = "ji!tzud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
