#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/image.h"
#include "cli/target.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SPEC_MAX = 256 * 1024 };

struct bump {
    struct follow f;
    struct target *targets;
    struct goal *goals;
    size_t n;
};

// ---- the new definition ----

static void set(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

// The pods are dead when Marathon hears of it: nothing is gained by keeping their tasks until there
// is room for as many again, and with fixed ports there never is. Who said otherwise is heard.
static void set_strategy(const json_t *now, json_t *body) {
    const json_t *is = json_object_get(now, "upgradeStrategy");
    const json_t *least = json_object_get(is, "minimumHealthCapacity");
    const json_t *over = json_object_get(is, "maximumOverCapacity");
    bool usual = (!least || json_number_value(least) == 1) &&
                 (!over || json_number_value(over) == 1);
    if (usual)
        set(body, "upgradeStrategy",
            json_pack("{s:i, s:i}", "minimumHealthCapacity", 0, "maximumOverCapacity", 0));
}

// In the container of the app. *ret_was and *ret_is: its image before and after.
static int move_container(json_t *body, const json_t *now, const char *tag, char **ret_was,
                          char **ret_is, struct err *err) {
    json_t *container = json_deep_copy(json_object_get(now, "container"));
    json_t *docker = json_object_get(container, "docker");
    const char *image = json_text(docker, "image");
    if (!*image) {
        json_decref(container);
        return err_set(err, ERR_REFUSED, "its app names no Docker image");
    }
    *ret_was = xstrdup(image);
    *ret_is = image_with_tag(image, tag);
    set(docker, "image", json_string(*ret_is));
    set(body, "container", container);
    return 0;
}

// In the spec that the app carries.
static int move_workload(json_t *body, const json_t *now, const char *text, const char *tag,
                         char **ret_was, char **ret_is, struct err *err) {
    auto_json json_t *spec = json_read(text, strlen(text), SPEC_MAX, "its OCHOPOD_SPEC", err);
    json_t *workload = json_object_get(spec, "workload");
    const char *image = json_text(workload, "image");
    if (!spec)
        return -1;
    if (!*image)
        return err_set(err, ERR_REFUSED, "its spec names no image of the workload");
    *ret_was = xstrdup(image);
    *ret_is = image_with_tag(image, tag);
    set(workload, "image", json_string(*ret_is));
    json_t *env = json_deep_copy(json_object_get(now, "env"));
    auto_free char *written = json_write(spec);
    set(env, "OCHOPOD_SPEC", json_string(written));
    set(body, "env", env);
    return 0;
}

// Whether the image to move is in the spec that the app carries. Where that is not ours to write
// anew, the app's own image is the sidecar's, and nobody has said that it is meant.
static int find_spec(const struct bump *b, const json_t *now, const char **ret_spec,
                     bool *ret_inside, struct err *err) {
    const json_t *env = json_object_get(now, "env");
    const char *spec = json_text(env, "OCHOPOD_SPEC");
    bool any = *spec || *json_text(env, "ochopod_spec");
    *ret_spec = spec;
    *ret_inside = *spec == '{' && !b->f.options->sidecar;
    if (*ret_inside || !any || b->f.options->sidecar)
        return 0;
    return err_set(err, ERR_REFUSED,
                   "its spec is no JSON in OCHOPOD_SPEC, where the workload's image could be "
                   "changed: change the app itself, or say --sidecar for the sidecar's own image");
}

static json_t *changed(struct bump *b, const struct target *t, bool tell, bool *ret_same,
                       struct err *err) {
    const char *tag = b->f.options->release ? b->f.options->release : "latest";
    const char *spec;
    bool inside;
    if (find_spec(b, t->now, &spec, &inside, err))
        return NULL;
    auto_json json_t *body = json_object();
    auto_free char *was = NULL;
    auto_free char *is = NULL;
    if (inside ? move_workload(body, t->now, spec, tag, &was, &is, err)
               : move_container(body, t->now, tag, &was, &is, err))
        return NULL;
    CHECK(was && is);
    *ret_same = strcmp(was, is) == 0;
    if (tell)
        fprintf(stderr, "ocho: %s: %s %s -> %s\n", t->pattern,
                inside ? "the workload's image" : "the image", was, is);
    set_strategy(t->now, body);
    return take_ptr(body);
}

// ---- one cluster ----

// The anonymous volumes that deploy has given it end with its tasks. What an image has besides is
// not known here.
static void warn_of_volumes(const struct target *t) {
    const json_t *docker = json_object_get(json_object_get(t->now, "container"), "docker");
    auto_text struct text volumes = {0};
    size_t i;
    json_t *it;
    json_array_foreach(json_object_get(docker, "parameters"), i, it) {
        const char *value = json_text(it, "value");
        if (strcmp(json_text(it, "key"), "volume") == 0 && !strchr(value, ':'))
            text_addf(&volumes, "%s%.100s", volumes.len ? ", " : "", value);
    }
    if (volumes.len)
        fprintf(stderr,
                "ocho: %s: warning: what is in %.300s goes with the pods: volumes that do not "
                "outlive their tasks\n",
                t->pattern, text_str(&volumes));
}

static int kill_all(struct bump *b, const struct target *t, struct err *err) {
    auto_free int64_t *seqs = xcalloc(t->pods.n + 1, sizeof(*seqs));
    for (size_t i = 0; i < t->pods.n; i++)
        seqs[i] = t->pods.list[i].seq;
    return target_kill(&b->f, t, seqs, t->pods.n, err);
}

// An app whose definition stays as it is would keep its dead pods. Another strategy is another
// definition. Made of what the app is now: somebody may have changed it while its pods were killed.
static json_t *put_once(struct bump *b, struct target *t, struct goal *goal, bool *ret_waited) {
    bool same;
    *ret_waited = false;
    if (target_read(&b->f, t, &goal->err))
        return NULL;
    auto_json json_t *body = changed(b, t, false, &same, &goal->err);
    if (!body)
        return NULL;
    goal->pods = t->instances;
    bool restart = same && !json_object_get(body, "upgradeStrategy");
    auto_free char *path = marathon_path(t->app, restart ? "/restart" : "");
    return marathon_try(b->f.marathon, restart ? "POST" : "PUT", path, restart ? NULL : body,
                        &goal->deployment, ret_waited, &goal->err);
}

static int put(struct bump *b, struct target *t, struct goal *goal) {
    bool waited;
    auto_json json_t *said = NULL;
    do
        said = put_once(b, t, goal, &waited);
    while (waited);
    follow_changed(&b->f);
    return said ? 0 : err_wrap(&goal->err, "its pods are dead (`ocho on` brings them back)");
}

static int begin(struct bump *b, size_t i, const char *pattern) {
    struct goal *goal = &b->goals[i];
    struct target *t = &b->targets[i];
    *goal = (struct goal){.what = pattern, .cluster = pattern, .strict = b->f.options->strict};
    if (b->f.stop.signo)
        return err_set(&goal->err, ERR_TIMEOUT, "%s stays as it is", pattern);
    if (target_find(&b->f, pattern, -1, t, &goal->err))
        return -1;
    goal->app = t->app;
    goal->cluster = t->pods.list[0].cluster; // in full: requests to it are signed for that
    goal->control = t->control;
    goal->newer = t->pods.list[t->pods.n - 1].seq;
    bool same = false;
    auto_json json_t *body = changed(b, t, true, &same, &goal->err);
    if (body)
        warn_of_volumes(t);
    if (!body || kill_all(b, t, &goal->err) || put(b, t, goal))
        return err_wrap(&goal->err, "%s", pattern);
    return 0;
}

// ---- the verb ----

static void print(const struct bump *b) {
    auto_json json_t *all = json_object();
    size_t pods = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct goal *goal = &b->goals[i];
        json_t *up = json_array();
        for (size_t k = 0; k < goal->up_len; k++)
            json_array_append_new(up, json_integer(goal->up[k]));
        pods += goal->up_len;
        set(all, goal->what, json_pack("{s:b, s:o}", "ok", !goal->err.kind, "up", up));
    }
    if (b->f.options->json)
        cli_print(all, true);
    else
        printf("%d%% success (%zu pods)\n", follow_percent(b->goals, b->n), pods);
}

static int bump_all(struct bump *b, char *const *patterns) {
    auto_free bool *told = xcalloc(b->n, sizeof(*told));
    for (size_t i = 0; i < b->n; i++) {
        told[i] = b->goals[i].settled = begin(b, i, patterns[i]) != 0;
        if (told[i])
            fprintf(stderr, "ocho: %s\n%s", b->goals[i].err.text, marathon_details(b->f.marathon));
    }
    follow_goals(&b->f, b->goals, b->n);
    for (size_t i = 0; i < b->n; i++)
        if (!told[i])
            follow_fail(&b->f, &b->goals[i]);
    print(b);
    return follow_status(b->goals, b->n);
}

static int run(const struct cli_options *options) {
    struct bump b = {.n = text_list_len(options->args)};
    struct err err = ERR_INIT;
    const char *wrong = options->release ? image_wrong_tag(options->release) : NULL;
    if (wrong) {
        err_set(&err, ERR_USER, "-v \"%.100s\" %s", options->release, wrong);
        return cli_fail(&err);
    }
    int status = follow_open(options, &b.f);
    if (status)
        return status;
    marathon_force(b.f.marathon, options->force);
    follow_catch(&b.f);
    b.targets = xcalloc(b.n, sizeof(*b.targets));
    b.goals = xcalloc(b.n, sizeof(*b.goals));
    status = stop_status(&b.f.stop, bump_all(&b, options->args));
    for (size_t i = 0; i < b.n; i++) {
        target_done(&b.targets[i]);
        goal_done(&b.goals[i]);
    }
    free(b.targets);
    free(b.goals);
    follow_close(&b.f);
    return status;
}

const struct verb bump_verb = {
    .name = "bump",
    .args = "PATTERN...",
    .summary = "move a Marathon app to another tag of its image",
    .details =
        "Kills all its pods, changes its definition, waits until as many new pods are there, with "
        "--strict\nuntil they run and are ready. The new pods are other tasks: data in volumes "
        "that do not outlive a task,\nas workload.volumes of a deployed pod.yaml, are lost. Of an "
        "app made of a pod.yaml the workload's image\nmoves, with --sidecar the sidecar's own.\n"
        "JSON: {\"PATTERN\": {\"ok\", \"up\": [number...]}}\n",
    .options = "jVWtS=dzu",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
