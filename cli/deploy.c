#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/app.h"
#include "cli/follow.h"
#include "cli/image.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { UNDO_MS = 30000, ASK_MS = 5000, STEADY_MS = 2000 };

struct deploy {
    const struct cli_options *options;
    struct app *apps;
    struct goal *goals;
    size_t n;
};

// ---- before anything is posted ----

static int check_words(const struct cli_options *o) {
    struct err err = ERR_INIT;
    const char *tag = o->release ? image_wrong_tag(o->release) : NULL;
    if (tag)
        err_set(&err, ERR_USER, "-r \"%.100s\" %s", o->release, tag);
    else if (o->image && spec_wrong_image(o->image))
        err_set(&err, ERR_USER, "--image \"%.100s\" %s", o->image, spec_wrong_image(o->image));
    else if (o->socket && *o->socket != '/')
        err_set(&err, ERR_USER, "--socket \"%.100s\" is not an absolute path", o->socket);
    return err.kind ? cli_fail(&err) : EXIT_DONE;
}

// Every mistake of every file, then nothing.
static int read_apps(struct deploy *d) {
    const struct cli_options *o = d->options;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    auto_json json_t *overrides = app_overrides(o->overrides, &report, &err);
    struct app_wish wish = {.namespace_ = o->namespace_,
                            .suffix = o->suffix,
                            .release = o->release,
                            .image = o->image,
                            .socket = o->socket,
                            .pods = o->pods,
                            .overrides = overrides,
                            .pull = o->pull,
                            .stamp = time(NULL)};
    int failed = overrides ? 0 : -1;
    for (size_t i = 0; overrides && i < d->n; i++)
        failed |= app_read(o->args[i], &wish, &d->apps[i], &report, &err);
    for (size_t i = 0; !failed && i < d->n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(d->apps[i].id, d->apps[k].id) == 0)
                failed = err_set(&err, ERR_USER, "%s and %s are the same cluster, %s", o->args[k],
                                 o->args[i], d->apps[i].cluster);
    fprintf(stderr, "%s", text_str(&report));
    if (failed && !report.len)
        fprintf(stderr, "ocho: %s\n", err.text);
    return failed ? EXIT_USAGE : EXIT_DONE;
}

// ---- posting ----

static void fail_goal(struct follow *f, struct goal *goal) {
    err_wrap(&goal->err, "%s", goal->what);
    fprintf(stderr, "ocho: %s\n%s", goal->err.text, marathon_details(f->marathon));
}

// Its answer was lost, or another master knows it already: the app may be there all the same, and
// nobody else's has this second in its id.
static bool is_there(struct follow *f, const struct goal *goal) {
    if (goal->err.kind != ERR_RETRY && goal->err.kind != ERR_TIMEOUT &&
        goal->err.kind != ERR_EXISTS)
        return false;
    struct err err = ERR_INIT;
    marathon_until(f->marathon, loop_now(source_loop(f->source)) + ASK_MS);
    auto_json json_t *app = marathon_app(f->marathon, goal->app, &err);
    marathon_until(f->marathon, f->deadline);
    const char *id = json_text(app, "id");
    return strcmp(id + (*id == '/'), goal->app) == 0;
}

static void post(struct deploy *d, struct follow *f, size_t i) {
    struct app *app = &d->apps[i];
    struct goal *goal = &d->goals[i];
    *goal = (struct goal){.what = app->file,
                          .cluster = app->cluster,
                          .app = app->id,
                          .control = app->control,
                          .pods = app->pods,
                          .newer = -1,
                          .alone = app->alone,
                          .strict = d->options->strict};
    if (f->stop.signo) {
        err_set(&goal->err, ERR_TIMEOUT, "not posted");
        fail_goal(f, goal);
        return;
    }
    auto_json json_t *said = marathon_change(f->marathon, "POST", "/v2/apps", app->json,
                                             &goal->deployment, &goal->err);
    if (said)
        return;
    if (is_there(f, goal))
        goal->err = (struct err)ERR_INIT;
    else
        fail_goal(f, goal);
}

// ---- undoing ----

// A pod that has registered and does not tell us how it is may be up: we may lack the token, the
// authority, or a way to its port.
static bool can_be_seen(const struct goal *goal) {
    return goal->seen && !goal->mute;
}

// Running ones are somebody's already; what never came up is in the way of the next try.
static bool never_came_up(const struct goal *goal) {
    return goal->err.kind == ERR_TIMEOUT && can_be_seen(goal) && !goal->up_len;
}

// Tasks that run on, and are not registered where we look, also after the time that it takes.
static size_t unregistered(struct follow *f, struct goal *goal) {
    struct err err = ERR_INIT;
    marathon_until(f->marathon, loop_now(source_loop(f->source)) + UNDO_MS);
    auto_json json_t *before = marathon_app(f->marathon, goal->app, &err);
    if (marathon_steady(before, before) <= goal->there)
        return 0;
    marathon_pause(f->marathon, STEADY_MS);
    auto_json json_t *now = marathon_app(f->marathon, goal->app, &err);
    size_t n = marathon_steady(before, now);
    if (n > goal->there)
        follow_again(f, goal);
    return n > goal->there ? n - goal->there : 0;
}

static void undo(struct follow *f, struct goal *goal) {
    struct err err = ERR_INIT;
    auto_free char *path = marathon_path(goal->app, "?force=true");
    auto_free char *deployment = NULL;
    int64_t deadline = loop_now(source_loop(f->source)) + UNDO_MS;
    marathon_until(f->marathon, deadline);
    auto_json json_t *said = marathon_change(f->marathon, "DELETE", path, NULL, &deployment, &err);
    while (said && deployment && loop_now(source_loop(f->source)) < deadline &&
           marathon_deploying(f->marathon, deployment, &err) > 0)
        marathon_pause(f->marathon, 100);
    if (said)
        fprintf(stderr, "ocho: %s: nothing of it came up: %s is removed\n", goal->what, goal->app);
    else
        fprintf(stderr, "ocho: %s: %s stays: %s\n", goal->what, goal->app, err.text);
}

static void conclude(struct follow *f, struct goal *goal, bool was_posted) {
    if (!goal->err.kind || !was_posted)
        return;
    size_t elsewhere = never_came_up(goal) ? unregistered(f, goal) : 0;
    if (!goal->err.kind)
        return; // it came up after all
    follow_fail(f, goal);
    if (elsewhere)
        fprintf(
            stderr,
            "ocho: %s: %s stays: %zu of its tasks running, not registered in the ZooKeeper that "
            "ocho asks (--zk, OCHOPOD_ZK)\n",
            goal->what, goal->app, elsewhere);
    else if (never_came_up(goal))
        undo(f, goal);
    else if (goal->err.kind == ERR_TIMEOUT && !can_be_seen(goal) && !goal->up_len)
        fprintf(stderr,
                "ocho: %s: %s stays: what came up of it cannot be seen; once it can, "
                "`ocho kill --force %s` removes it\n",
                goal->what, goal->app, goal->cluster);
    else if (goal->err.kind == ERR_TIMEOUT && goal->alone)
        fprintf(stderr, "ocho: %s: what came up stays, as %s\n", goal->what, goal->app);
    else if (goal->err.kind == ERR_TIMEOUT)
        fprintf(stderr, "ocho: %s: what came up of %s stays; `ocho kill --force %s` removes it\n",
                goal->what, goal->app, goal->cluster);
}

// ---- what is printed ----

static json_t *outcome(const struct goal *goal) {
    json_t *up = json_array();
    for (size_t i = 0; i < goal->up_len; i++)
        json_array_append_new(up, json_integer(goal->up[i]));
    return json_pack("{s:b, s:o}", "ok", !goal->err.kind, "up", up);
}

static void print(const struct deploy *d) {
    auto_json json_t *all = json_object();
    size_t up = 0;
    for (size_t i = 0; i < d->n; i++) {
        up += d->goals[i].up_len;
        CHECK(json_object_set_new(all, d->goals[i].what, outcome(&d->goals[i])) == 0);
    }
    if (d->options->json)
        cli_print(all, true);
    else
        printf("%d%% success (+%zu pods)\n", follow_percent(d->goals, d->n), up);
}

static int deploy(struct deploy *d) {
    struct follow f;
    int status = follow_open(d->options, &f);
    if (status)
        return status;
    auto_free bool *posted = xcalloc(d->n, sizeof(*posted));
    marathon_force(f.marathon, d->options->force);
    follow_catch(&f); // a job that is cancelled leaves no app behind that is tried for ever
    for (size_t i = 0; i < d->n; i++) {
        post(d, &f, i);
        posted[i] = !d->goals[i].err.kind;
        d->goals[i].settled = !posted[i];
    }
    follow_goals(&f, d->goals, d->n);
    for (size_t i = 0; i < d->n; i++)
        conclude(&f, &d->goals[i], posted[i]);
    print(d);
    status = stop_status(&f.stop, follow_status(d->goals, d->n));
    follow_close(&f);
    return status;
}

static int run(const struct cli_options *options) {
    struct deploy d = {.options = options, .n = text_list_len(options->args)};
    int status = check_words(options);
    if (status)
        return status;
    d.apps = xcalloc(d.n, sizeof(*d.apps));
    d.goals = xcalloc(d.n, sizeof(*d.goals));
    status = read_apps(&d);
    if (!status && options->dry) {
        for (size_t i = 0; i < d.n; i++)
            cli_print(d.apps[i].json, options->json);
    } else if (!status) {
        status = deploy(&d);
    }
    for (size_t i = 0; i < d.n; i++) {
        app_done(&d.apps[i]);
        goal_done(&d.goals[i]);
    }
    free(d.apps);
    free(d.goals);
    return status;
}

const struct verb deploy_verb = {
    .name = "deploy",
    .args = "FILE...",
    .summary = "make a Marathon app of each file and wait for its pods",
    .details =
        "FILE is a pod.yaml, which then runs in the sidecar's image with its templates inlined, or "
        "Ochothon's\ndeploy file (cluster, image, settings, ports, verbatim). Every mistake is "
        "told before anything is\nposted. Waits until all pods are there, with --strict until all "
        "run and are ready; what never came up\nis removed, also when SIGINT or SIGTERM ends the "
        "waiting (status 130, 143). Marathon is MARATHON_MASTER.\nJSON: {\"FILE\": {\"ok\", "
        "\"up\": [number...]}}\n",
    .options = "jPNoxrStmKQY=dzu",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
