#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/act.h"
#include "cli/target.h"
#include <stdio.h>
#include <string.h>

enum {
    FIRST_MS = 50,
    MOST_MS = 500,
    MARATHON_MS = 15000,
    ASK_MS = 3000,
    STEADY_MS = 2000,
    CONTROL = 8080,
};
#define APP_PREFIX "ochopod."

struct kill {
    const struct cli_options *options;
    struct pods pods;
    struct progress progress;
    struct marathon *marathon; // NULL: not needed
    json_t *apps;              // with --force alone: those that may be the patterns', as listed
    struct stray *strays;      // of these, those that no pod is registered of
    size_t strays_len;
    int64_t deadline;
    struct stop stop;
    size_t late; // killed, and their deployment goes on
};

struct stray {
    const char *app; // borrowed
    char *cluster;
    struct err err;
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

// All that a pattern means, and not some of them.
static bool means_all(const struct kill *k) {
    return k->options->force && !k->options->indices_len;
}

// A pattern without a pod may mean an app without one.
static bool needs_marathon(const struct kill *k) {
    bool needed = false;
    for (size_t i = 0; i < k->pods.n; i++)
        needed = needed || target_is_marathon(&k->pods.list[i]);
    for (char *const *pattern = k->options->args; *pattern && !needed; pattern++)
        needed = means_all(k) && getenv("MARATHON_MASTER") && !act_means(&k->pods, *pattern);
    return needed;
}

// Marathon's pods are no apps, and not ours to scale: 1. -1: err.
static int is_pod(const struct kill *k, const char *app, struct err *err) {
    struct err none = ERR_INIT;
    auto_free char *path = xasprintf("/v2/pods/%s", app);
    auto_json json_t *pod = NULL;
    do
        pod = marathon_get(k->marathon, path, &none);
    while (!pod && marathon_again(k->marathon, &none));
    return pod ? 1 : none.kind == ERR_ABSENT ? 0 : err_copy(err, &none);
}

// Another Marathon knows none of them either, and theirs would launch them again.
static int check_known(const struct kill *k, struct err *err) {
    for (size_t i = 0; i < k->pods.n; i++) {
        const struct pod_seen *pod = &k->pods.list[i];
        const char *app = app_of(pod);
        if (!target_is_marathon(pod) || (i && goal_is_of(pod - 1, app)))
            continue;
        struct err last = ERR_INIT;
        auto_json json_t *known = marathon_app(k->marathon, app, &last);
        int pods = known ? 1 : last.kind == ERR_ABSENT ? is_pod(k, app, &last) : -1;
        if (pods < 0)
            return err_copy(err, &last);
        if (!pods)
            return err_set(err, ERR_ABSENT,
                           "MARATHON_MASTER knows no app %.200s, which %.150s is of: no pod is "
                           "killed",
                           app, pod->label);
    }
    return 0;
}

// Before anything is killed: a pod that is dead and stays would be the worst of both.
static int open_marathon(struct kill *k) {
    struct marathon_where where;
    struct err err = ERR_INIT;
    if (!needs_marathon(k))
        return EXIT_DONE;
    if (marathon_where_read(&where, &err))
        return cli_fail(&err);
    k->marathon = marathon_open(loop_of(k), source_http(k->pods.source), &where);
    marathon_tell(k->marathon, progress_of_marathon, &k->progress);
    const char *path = means_all(k) ? "/v2/apps?id=" APP_PREFIX : "/v2/deployments";
    k->apps = marathon_get(k->marathon, path, &err);
    return k->apps && !check_known(k, &err) ? EXIT_DONE : cli_fail(&err);
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

static bool are_all_killed(const struct kill *k, const char *app) {
    for (size_t i = 0; i < k->pods.n; i++)
        if (goal_is_of(&k->pods.list[i], app) && !was_killed(&k->pods.list[i]))
            return false;
    return true;
}

// What is about to be launched again has no task yet, and by -i it was not meant. -1: err.
static int are_all_meant(const struct kill *k, const char *app, const json_t *tasks,
                         const json_t *ids, struct err *err) {
    int64_t instances = 0;
    if (!json_is_array(tasks) || !are_all_ours(tasks, ids))
        return 0;
    auto_json json_t *now = marathon_app(k->marathon, app, err);
    if (!now || json_int(now, "instances", &instances, err))
        return -1;
    return instances <= (int64_t)json_array_size(ids);
}

// Its DELETE overrides what is going on.
static json_t *remove_whole(struct kill *k, const char *app, char **ret_deployment,
                            struct err *err) {
    auto_free char *path = marathon_path(app, "");
    return marathon_change(k->marathon, "DELETE", path, NULL, ret_deployment, err);
}

// 1: all of its pods were meant, those too that have not come up, or all of its tasks are ours to
// remove. -1: err.
static int is_whole(struct kill *k, const char *app, const json_t *ids, struct err *err) {
    auto_free char *tasks = marathon_path(app, "/tasks");
    auto_json json_t *running = marathon_get(k->marathon, tasks, err);
    if (!running)
        return -1;
    return means_all(k) ? are_all_killed(k, app)
                        : are_all_meant(k, app, json_object_get(running, "tasks"), ids, err);
}

static json_t *remove_tasks(struct kill *k, const char *app, char **ret_deployment,
                            struct err *err) {
    auto_json json_t *ids = tasks_of(k, app);
    int whole;
    do
        whole = is_whole(k, app, ids, err);
    while (whole < 0 && marathon_again(k->marathon, err));
    if (whole < 0)
        return NULL;
    if (whole)
        return remove_whole(k, app, ret_deployment, err);
    auto_json json_t *body = json_pack("{s:O}", "ids", ids);
    return marathon_change(k->marathon, "POST", "/v2/tasks/delete?scale=true", body, ret_deployment,
                           err);
}

// What Marathon cannot say now it may say later, as after a change of its leader.
static int outlast(struct kill *k, const char *deployment, struct err *err) {
    auto_free char *line = xasprintf("waiting for deployment %.60s", deployment ? deployment : "");
    if (deployment)
        progress_tell(&k->progress, line);
    for (int64_t ms = FIRST_MS; deployment; ms = ms * 2 < MOST_MS ? ms * 2 : MOST_MS) {
        struct err last = ERR_INIT;
        int going = marathon_deploying(k->marathon, deployment, &last);
        if (going == 0)
            return 0;
        if (going < 0 && !marathon_may_pass(&last))
            return err_copy(err, &last);
        const char *why = last.kind == ERR_RETRY ? last.text : "";
        if (k->stop.signo || loop_now(loop_of(k)) + ms >= k->deadline)
            return err_set(err, ERR_TIMEOUT, "deployment %.60s goes on%s%.300s", deployment,
                           *why ? "; " : "", why);
        marathon_pause(k->marathon, ms);
    }
    return 0;
}

// It was there before we killed: somebody removed it meanwhile, or it never was an app.
static int is_gone(const struct kill *k, const char *app, struct err *err) {
    int pod = is_pod(k, app, err);
    return pod > 0 ? err_set(err, ERR_REFUSED,
                             "killed, but %.200s is a pod of Marathon's, which keeps its "
                             "instances: scale it down or delete it there (/v2/pods)",
                             app)
                   : pod;
}

static void remove_app(struct kill *k, const char *app) {
    struct err err = ERR_INIT;
    auto_free char *deployment = NULL;
    auto_json json_t *said = remove_tasks(k, app, &deployment, &err);
    bool failed = !said || outlast(k, deployment, &err);
    if (failed && err.kind == ERR_ABSENT)
        failed = is_gone(k, app, &err);
    if (!failed)
        return;
    progress_end(&k->progress);
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

// ---- apps that no pod is registered of ----

// "marathon.zk" of "/ochopod.marathon.zk-2026-11-25-18-00-00", as deploy names it, or NULL. Caller
// frees.
static char *cluster_of(const char *app) {
    static const char stamp[] = "-dddd-dd-dd-dd-dd-dd";
    size_t len = strlen(app += *app == '/'), own = sizeof(stamp) - 1;
    if (!text_starts(app, APP_PREFIX) || len <= strlen(APP_PREFIX) + own)
        return NULL;
    for (size_t i = 0; i < own; i++) {
        char c = app[len - own + i];
        if (stamp[i] == 'd' ? c < '0' || c > '9' : c != stamp[i])
            return NULL;
    }
    app += strlen(APP_PREFIX);
    return xstrndup(app, len - strlen(APP_PREFIX) - own);
}

static bool is_meant(const struct kill *k, const char *app, const char *cluster) {
    bool matches = false;
    for (char *const *pattern = k->options->args; *pattern; pattern++)
        matches = matches || source_matches(*pattern, cluster);
    for (size_t i = 0; i < k->pods.n && matches; i++)
        matches = !goal_is_of(&k->pods.list[i], app);
    return matches;
}

// Ours has the number -1 before; what does not say its number is taken for one that has.
static bool has_registered(const struct pod_seen *pod) {
    const json_t *seq = json_object_get(pods_info(pod), "seq");
    bool before = json_is_integer(seq) && json_integer_value(seq) < 0;
    return json_is_object(pods_info(pod)) && !before;
}

// Those that do not tell how they are, of those that this answer of Marathon's says to run.
static size_t unseen(const struct pods *pods, const json_t *app, const char **ret_why) {
    size_t n = 0;
    for (size_t i = pods->n; i--;) {
        const struct pod_seen *pod = &pods->list[i];
        if (!*pods_error(pod) || !marathon_runs(app, pod->id))
            continue;
        *ret_why = pods_error(pod);
        n++;
    }
    return n;
}

// On an agent that is cut off from Mesos.
static int check_reached(struct stray *stray, const json_t *app) {
    size_t i, n = 0;
    const json_t *task;
    json_array_foreach(json_object_get(app, "tasks"), i, task)
        n += strcmp(json_text(task, "state"), "TASK_UNREACHABLE") == 0;
    return n ? err_set(&stray->err, ERR_REFUSED,
                       "stays: %zu of its tasks are unreachable and may run on", n)
             : 0;
}

// What runs on and is not heard may be well: we may lack the token, the authority, or a way to its
// port. One that ends as soon as it is started runs now and then, too.
static int check_seen(struct kill *k, struct stray *stray, const json_t *app,
                      const struct pods *pods) {
    const char *why;
    if (!unseen(pods, app, &why))
        return 0;
    marathon_pause(k->marathon, STEADY_MS);
    auto_json json_t *now = marathon_app(k->marathon, stray->app, &stray->err);
    if (!now || check_reached(stray, now))
        return -1;
    size_t n = unseen(pods, now, &why);
    return n ? err_set(&stray->err, ERR_REFUSED,
                       "stays: %zu of its tasks running, which cannot be seen: %.200s", n, why)
             : 0;
}

// One of another ZooKeeper, or another than --url's, only looks as if nobody had registered.
static int check_tasks(struct kill *k, struct stray *stray, const json_t *app,
                       const struct pods *pods) {
    for (size_t i = 0; i < pods->n; i++)
        if (has_registered(&pods->list[i]))
            return err_set(&stray->err, ERR_REFUSED,
                           "stays: its pods have registered where we do not look (another "
                           "ZooKeeper?)");
    return check_seen(k, stray, app, pods);
}

static int check_stray(struct kill *k, struct stray *stray) {
    auto_json json_t *app = marathon_app(k->marathon, stray->app, &stray->err);
    if (!app)
        return -1;
    if (!json_is_array(json_object_get(app, "tasks")))
        return err_set(&stray->err, ERR_RETRY, "stays: Marathon does not say which tasks it has");
    if (check_reached(stray, app))
        return -1;
    struct pods pods;
    pods_of(k->pods.source, marathon_pods(app, stray->cluster, CONTROL), k->options, &pods);
    pods_ask_info(&pods, ASK_MS);
    int failed = check_tasks(k, stray, app, &pods);
    pods_done(&pods);
    return failed;
}

static int remove_checked(struct kill *k, struct stray *stray) {
    auto_free char *deployment = NULL;
    if (check_stray(k, stray))
        return -1;
    auto_json json_t *said = remove_whole(k, stray->app, &deployment, &stray->err);
    return said ? outlast(k, deployment, &stray->err) : -1;
}

static void remove_stray(struct kill *k, struct stray *stray) {
    const char *app = stray->app + (*stray->app == '/');
    if (remove_checked(k, stray) && stray->err.kind == ERR_ABSENT)
        stray->err = (struct err)ERR_INIT; // somebody removed it before us
    k->late += stray->err.kind == ERR_TIMEOUT;
    progress_end(&k->progress);
    if (stray->err.kind)
        fprintf(stderr, "ocho: %s: %s\n%s", app, stray->err.text, marathon_details(k->marathon));
    else
        fprintf(stderr, "ocho: %s is removed, no pod of it has registered\n", app);
}

// What nobody has killed yet stays.
static void remove_strays(struct kill *k) {
    const json_t *list = json_object_get(k->apps, "apps");
    size_t i;
    json_t *it;
    k->strays = xcalloc(json_array_size(list) + 1, sizeof(*k->strays));
    json_array_foreach((json_t *)list, i, it) {
        const char *app = json_text(it, "id");
        auto_free char *cluster = cluster_of(app);
        if (k->stop.signo || !cluster || !is_meant(k, app, cluster))
            continue;
        struct stray *stray = &k->strays[k->strays_len++];
        *stray = (struct stray){.app = app, .cluster = take_ptr(cluster)};
        remove_stray(k, stray);
    }
}

// ---- the verb ----

// A pattern's apps without pods, and how many of these are still there.
static size_t strays_of(const struct kill *k, const char *pattern, size_t *ret_left) {
    size_t n = 0;
    *ret_left = 0;
    for (size_t i = 0; i < k->strays_len; i++) {
        if (!source_matches(pattern, k->strays[i].cluster))
            continue;
        n++;
        *ret_left += k->strays[i].err.kind != ERR_NONE;
    }
    return n;
}

// As of the other verbs of Marathon's: a status that all share that failed, else 1.
static int status_of(const struct kill *k) {
    size_t left, others = 0, kept = 0;
    bool all = k->late && k->late == k->pods.n + k->strays_len && !k->pods.missing;
    auto_free char **patterns = xcalloc(text_list_len(k->options->args) + 1, sizeof(*patterns));
    for (char *const *pattern = k->options->args; *pattern; pattern++) {
        if (!strays_of(k, *pattern, &left))
            patterns[others++] = *pattern;
        kept += left;
        all = all && (act_means(&k->pods, *pattern) || strays_of(k, *pattern, &left));
    }
    int status = act_status(&k->pods, patterns, "killed");
    return all ? EXIT_TIME : status == EXIT_DONE && kept ? EXIT_SOME : status;
}

// Without a pod the removal of the app is all there is to do.
static json_t *outcome(const struct kill *k) {
    json_t *all = act_outcome(&k->pods, k->options->args, "down", true), *it;
    const char *pattern;
    json_object_foreach(all, pattern, it) {
        size_t left;
        if (!strays_of(k, pattern, &left))
            continue;
        bool ok = json_is_true(json_object_get(it, "ok")) || !act_means(&k->pods, pattern);
        CHECK(json_object_set_new(it, "ok", json_boolean(ok && !left)) == 0);
    }
    return all;
}

static void print(const struct kill *k) {
    auto_json json_t *all = outcome(k);
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

// Those that did end go, also when another one took all the time.
static void set_deadline(struct kill *k) {
    int64_t least = loop_now(loop_of(k)) + MARATHON_MS;
    k->deadline = k->stop.signo || k->deadline < least ? least : k->deadline;
    if (k->marathon)
        marathon_until(k->marathon, k->deadline);
}

static void on_stop(void *arg) {
    struct kill *k = arg;
    set_deadline(k);
    progress_end(&k->progress);
}

static int kill_pods(struct kill *k) {
    int64_t timeout = act_timeout(k->options);
    int status = open_marathon(k);
    if (status)
        return status;
    k->deadline = loop_now(loop_of(k)) + timeout;
    auto_free char *line = xasprintf("waiting for the end of %zu pods", k->pods.n);
    if (k->pods.n)
        progress_tell(&k->progress, line);
    stop_catch(&k->stop, loop_of(k), on_stop, k); // who is dead goes
    act_kill(&k->pods, timeout, &k->stop.signo);
    set_deadline(k);
    if (k->marathon) {
        marathon_insist(k->marathon);
        remove_apps(k);
        remove_strays(k);
    }
    progress_end(&k->progress);
    tell_others(k);
    print(k);
    return stop_status(&k->stop, status_of(k));
}

static int run(const struct cli_options *options) {
    struct kill k = {.options = options};
    int status = act_begin(options, options->args, &k.pods);
    if (status)
        return status;
    progress_open(&k.progress);
    k.pods.unmatched = 0; // a pattern without a pod may mean an app, and is told at the end
    status = kill_pods(&k);
    for (size_t i = 0; i < k.strays_len; i++)
        free(k.strays[i].cluster);
    free(k.strays);
    json_decref(k.apps);
    stop_done(&k.stop);
    marathon_close(k.marathon);
    pods_end(&k.pods);
    return status;
}

const struct verb kill_verb = {
    .name = "kill",
    .args = "PATTERN...",
    .summary = "end pods for good; an app of Marathon's whose pods are all dead is removed",
    .details =
        "Takes -i, or --force for all that match: then their apps are removed, with what has not "
        "come up of\nthem, and so are those of deploy's of which no pod has registered. By -i the "
        "tasks of those pods go, and\ntheir app is scaled down, or removed where these were all. "
        "What Marathon does not run is killed, and\nits container left to its framework.\nJSON: "
        "{\"PATTERN\": {\"ok\", \"down\": [number...]}}, and \"failed\" where any did\n",
    .options = "ji!tzud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
