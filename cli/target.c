#include "cli/target.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/act.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *of_record(const struct pod_seen *pod, const char *key) {
    return json_text(json_object_get(pod->json, "record"), key);
}

bool target_is_marathon(const struct pod_seen *pod) {
    return *of_record(pod, "application") && text_starts(of_record(pod, "fwk"), "marathon");
}

const char *target_task(const struct pod_seen *pod) {
    return of_record(pod, "task");
}

static const char *app_of(const struct pod_seen *pod) {
    const char *app = of_record(pod, "application");
    return app + (*app == '/');
}

// ---- which app ----

static const struct pod_seen *pod_of_group(const struct target *t, int64_t group) {
    for (size_t i = 0; i < t->pods.n; i++)
        if (t->pods.list[i].seq == group)
            return &t->pods.list[i];
    return NULL;
}

static int choose_app(struct target *t, int64_t group, struct err *err) {
    const struct pod_seen *pod = group >= 0 ? pod_of_group(t, group) : t->pods.list;
    if (!t->pods.n)
        return err_set(err, ERR_ABSENT, "%.100s: no pod matches", t->pattern);
    if (!pod)
        return err_set(err, ERR_USER, "%.100s: no pod has the number %" PRId64, t->pattern, group);
    if (!target_is_marathon(pod))
        return err_set(err, ERR_REFUSED,
                       "%.100s: %s is not run by Marathon (%.40s); ask its "
                       "framework",
                       t->pattern, pod->label,
                       *of_record(pod, "fwk") ? of_record(pod, "fwk") : "it does not say by what");
    for (size_t i = 0; group < 0 && i < t->pods.n; i++)
        if (strcmp(app_of(&t->pods.list[i]), app_of(pod)) != 0)
            return err_set(err, ERR_USER,
                           "%.100s is more than one app, %.80s and %.80s; say -g and "
                           "the number of a pod",
                           t->pattern, app_of(pod), app_of(&t->pods.list[i]));
    t->app = xstrdup(app_of(pod));
    return 0;
}

// A pattern may mean several clusters, and each counts its pods from 0.
static void keep_own(struct pods *pods, const char *app) {
    size_t kept = 0;
    for (size_t i = 0; i < pods->n; i++) {
        if (goal_is_of(&pods->list[i], app))
            pods->list[kept++] = pods->list[i];
        else
            free(pods->list[i].label);
    }
    pods->n = kept;
}

static struct cli_options without_indices(const struct follow *f) {
    struct cli_options all = *f->options;
    all.indices = NULL;
    all.indices_len = 0;
    return all;
}

static int read_pods(struct follow *f, struct target *t, struct err *err) {
    struct cli_options all = without_indices(f);
    char *patterns[] = {(char *)t->pattern, NULL};
    follow_look(f);
    return pods_read(f->source, &all, patterns, &t->pods, err);
}

static int read_app(struct follow *f, struct target *t, struct err *err) {
    json_decref(t->now);
    t->now = marathon_app(f->marathon, t->app, err);
    return t->now ? json_int(t->now, "instances", &t->instances, err)
                  : err_wrap(err, "%s", t->pattern);
}

int target_read(struct follow *f, struct target *target, struct err *err) {
    int failed;
    do
        failed = read_app(f, target, err);
    while (failed && marathon_again(f->marathon, err));
    return failed;
}

static int find(struct follow *f, struct target *t, int64_t group, struct err *err) {
    if (read_pods(f, t, err) || choose_app(t, group, err))
        return -1;
    keep_own(&t->pods, t->app);
    int64_t port = 0; // that nobody can reach: a record may say anything
    if (text_int(of_record(&t->pods.list[0], "port"), 1, 65535, &port, NULL))
        port = 0;
    t->control = (int)port;
    return read_app(f, t, err);
}

static int look_again(struct follow *f, struct target *t, struct err *err) {
    pods_done(&t->pods);
    if (read_pods(f, t, err))
        return -1;
    keep_own(&t->pods, t->app);
    return read_app(f, t, err);
}

static int unlocked(struct follow *f, struct target *t, bool *ret_waited, struct err *err) {
    int failed = marathon_unlocked(f->marathon, t->app, ret_waited, err);
    return failed ? err_wrap(err, "%s", t->pattern) : 0;
}

int target_again(struct follow *f, struct target *target, struct err *err) {
    bool waited;
    return unlocked(f, target, &waited, err) || look_again(f, target, err) ? -1 : 0;
}

// Whoever kills pods and is then refused leaves an outage: what locks the app is waited for before.
int target_find(struct follow *f, const char *pattern, int64_t group, struct target *ret,
                struct err *err) {
    struct target t = {.pattern = pattern};
    bool waited = false;
    int failed = find(f, &t, group, err) || unlocked(f, &t, &waited, err);
    if (!failed && waited)
        failed = look_again(f, &t, err); // as that deployment has left it
    if (!failed && !t.pods.n)
        failed = err_set(err, ERR_ABSENT, "%.100s: no pod matches any more", pattern);
    if (failed)
        target_done(&t);
    else
        *ret = t;
    return failed ? -1 : 0;
}

void target_done(struct target *target) {
    pods_done(&target->pods);
    free(target->app);
    json_decref(target->now);
    *target = (struct target){0};
}

// ---- killing ----

// Whoever did not end in time may end yet.
static char *hint(size_t dead, bool open) {
    return dead   ? xasprintf("; %zu dead stay (`ocho on` brings them back)", dead)
           : open ? xstrdup("; it may end yet and stay dead (`ocho on` brings it back)")
                  : xstrdup("");
}

int target_kill(struct follow *f, const struct target *target, const int64_t *seqs, size_t n,
                struct err *err) {
    struct cli_options some = without_indices(f);
    char *patterns[] = {(char *)target->pattern, NULL};
    struct pods pods;
    some.indices = (int64_t *)seqs;
    some.indices_len = n;
    if (f->deadline <= loop_now(source_loop(f->source)))
        return err_set(err, ERR_TIMEOUT, "the time is over; nothing is killed");
    follow_look(f);
    if (pods_read(f->source, &some, patterns, &pods, err))
        return -1;
    int64_t left = f->deadline - loop_now(source_loop(f->source));
    keep_own(&pods, target->app);
    act_kill(&pods, left > 0 ? left : 1, &f->stop.signo);
    marathon_insist(f->marathon); // what is not told now leaves dead pods
    const struct pod_seen *lives = NULL;
    size_t dead = 0;
    bool open = false;
    for (size_t i = 0; i < pods.n; i++) {
        open = open || pods.list[i].open;
        if (!*pods_error(&pods.list[i]))
            dead++;
        else if (!lives)
            lives = &pods.list[i];
    }
    auto_free char *others = hint(dead, open);
    if (!lives)
        follow_change(f);
    int failed = lives ? err_set(err, ERR_REFUSED, "%s does not end: %.300s%s", lives->label,
                                 pods_error(lives), others)
                       : 0;
    pods_done(&pods);
    return failed;
}
