#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/target.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PODS_MAX = 100000 };
#define DIGITS "0123456789"

struct scale {
    struct follow f;
    struct target *targets;
    struct goal *goals;
    int64_t *deltas; // of what Marathon has been told and has taken
    size_t n;
};

// ---- how many ----

// "@5", "x1.75", "+1", "-1".
static int parse_factor(const char *factor, char *ret_op, double *ret, struct err *err) {
    char *end = NULL;
    bool known = *factor && strchr("@x+-", *factor);
    bool digit = known && strchr(DIGITS ".", factor[1]) && factor[1];
    *ret = digit ? strtod(factor + 1, &end) : 0;
    *ret_op = *factor;
    if (!digit || *end || !isfinite(*ret) || *ret > PODS_MAX)
        return err_set(err, ERR_USER,
                       "\"%.40s\" is no factor: @5 (to five), x1.75 (times), +1 or -1 (more, less)",
                       factor);
    return 0;
}

// Never less than one: an app of none has no pod to say what it is.
static int64_t wanted(int64_t now, char op, double n) {
    double to = op == '@'   ? n
                : op == 'x' ? (double)now * n
                : op == '+' ? (double)now + n
                            : (double)now - n;
    return to < 1 ? 1 : to > PODS_MAX ? PODS_MAX : (int64_t)to;
}

// ---- up and down ----

// The last one is followed.
static char **forget_deployment(struct scale *s, size_t i) {
    char **deployment = &s->goals[i].deployment;
    free(*deployment);
    *deployment = NULL;
    return deployment;
}

// After a lock the number is asked for once more where it means the same.
static int is_as_it_was(struct scale *s, size_t i, struct err *err) {
    struct target *t = &s->targets[i];
    int64_t was = t->instances;
    if (target_read(&s->f, t, err))
        return -1;
    return t->instances == was
               ? 0
               : err_set(err, ERR_REFUSED,
                         "somebody has scaled it from %" PRId64 " to %" PRId64 " meanwhile", was,
                         t->instances);
}

static int put_instances(struct scale *s, size_t i, int64_t to, struct err *err) {
    auto_json json_t *body = json_pack("{s:I}", "instances", (json_int_t)to);
    auto_free char *path = marathon_path(s->targets[i].app, "");
    auto_json json_t *said = NULL;
    bool waited;
    do
        said = marathon_try(s->f.marathon, "PUT", path, body, forget_deployment(s, i), &waited,
                            err);
    while (waited && !is_as_it_was(s, i, err));
    if (!said)
        return -1;
    s->deltas[i] += to - s->targets[i].instances;
    s->targets[i].instances = to;
    return 0;
}

// The newest go, or with --fifo the oldest.
static int remove_pods(struct scale *s, size_t i, size_t n, struct err *err) {
    struct target *t = &s->targets[i];
    auto_free int64_t *seqs = xcalloc(n, sizeof(*seqs));
    auto_json json_t *ids = json_array();
    for (size_t k = 0; k < n; k++) {
        const struct pod_seen *pod = &t->pods.list[s->f.options->fifo ? k : t->pods.n - 1 - k];
        seqs[k] = pod->seq;
        CHECK(json_array_append_new(ids, json_string(target_task(pod))) == 0);
    }
    if (target_kill(&s->f, t, seqs, n, err))
        return -1;
    auto_json json_t *body = json_pack("{s:O}", "ids", ids);
    auto_json json_t *said = marathon_change(s->f.marathon, "POST", "/v2/tasks/delete?scale=true",
                                             body, forget_deployment(s, i), err);
    follow_changed(&s->f);
    if (!said)
        return err_wrap(err, "%zu dead stay (`ocho on` brings them back)", n);
    s->deltas[i] -= (int64_t)n;
    t->instances -= (int64_t)n;
    return 0;
}

// In full, as it is signed for.
static void aim(struct goal *goal, const struct target *t) {
    goal->cluster = t->pods.n ? t->pods.list[0].cluster : t->pattern;
}

// Instances that have no pod go first, and are Marathon's to choose: else pods that live would be
// killed for what does not run.
static int drop_podless(struct scale *s, size_t i, int64_t to, struct err *err) {
    struct target *t = &s->targets[i];
    int64_t there = (int64_t)t->pods.n;
    if (there >= t->instances)
        return 0;
    if (put_instances(s, i, there > to ? there : to, err))
        return -1;
    if (there <= to)
        return 0;
    s->goals[i].cluster = t->pattern;
    int failed = target_again(&s->f, t, err);
    aim(&s->goals[i], t);
    return failed;
}

static int scale_down(struct scale *s, size_t i, int64_t to, struct err *err) {
    struct target *t = &s->targets[i];
    if (drop_podless(s, i, to, err))
        return -1;
    int64_t there = (int64_t)t->pods.n; // or more than instances, where one has not been missed yet
    int64_t surplus = (there < t->instances ? there : t->instances) - to;
    if (surplus > 0 && remove_pods(s, i, (size_t)surplus, err))
        return -1;
    return t->instances > to ? put_instances(s, i, to, err) : 0;
}

static int find(struct scale *s, size_t i, const char *pattern) {
    struct goal *goal = &s->goals[i];
    struct target *t = &s->targets[i];
    *goal = (struct goal){.what = pattern, .cluster = pattern, .newer = -1, .strict = true};
    if (target_find(&s->f, pattern, s->f.options->group, t, &goal->err))
        return -1;
    goal->app = t->app;
    aim(goal, t);
    goal->control = t->control;
    return 0;
}

// All of them before any is changed: a word that means no app is a mistake in the line.
static bool find_all(struct scale *s, char *const *patterns) {
    const struct err *first = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (find(s, i, patterns[i]) && !first)
            first = &s->goals[i].err;
    for (size_t i = 0; first && i < s->n; i++)
        if (!s->goals[i].err.kind)
            err_set(&s->goals[i].err, first->kind, "%s stays as it is", patterns[i]);
    return !first;
}

// Those before it may have taken their time, or be of the same app.
static int look_again(struct scale *s, size_t i, struct err *err) {
    if (!i)
        return 0;
    s->goals[i].cluster = s->targets[i].pattern;
    int failed = target_again(&s->f, &s->targets[i], err);
    aim(&s->goals[i], &s->targets[i]);
    return failed;
}

static void change(struct scale *s, size_t i, char op, double by) {
    struct goal *goal = &s->goals[i];
    const struct target *t = &s->targets[i];
    if (look_again(s, i, &goal->err))
        return;
    if (s->f.stop.signo) {
        err_set(&goal->err, ERR_TIMEOUT, "%s stays as it is", goal->what);
        return;
    }
    int64_t to = wanted(t->instances, op, by);
    goal->pods = to;
    int failed = to > t->instances   ? put_instances(s, i, to, &goal->err)
                 : to < t->instances ? scale_down(s, i, to, &goal->err)
                                     : 0;
    if (failed)
        err_wrap(&goal->err, "%s", goal->what);
}

// ---- the verb ----

static void print(const struct scale *s) {
    auto_json json_t *all = json_object();
    int64_t delta = 0;
    for (size_t i = 0; i < s->n; i++) {
        delta += s->deltas[i];
        CHECK(json_object_set_new(all, s->goals[i].what,
                                  json_pack("{s:b, s:I}", "ok", !s->goals[i].err.kind, "delta",
                                            (json_int_t)s->deltas[i])) == 0);
    }
    if (s->f.options->json)
        cli_print(all, true);
    else
        printf("%d%% success (%+" PRId64 " pods)\n", follow_percent(s->goals, s->n), delta);
}

static int scale_all(struct scale *s, char *const *patterns, char op, double by) {
    bool found = find_all(s, patterns);
    for (size_t i = 0; i < s->n; i++) {
        if (found)
            change(s, i, op, by);
        if (s->goals[i].err.kind)
            fprintf(stderr, "ocho: %s\n%s", s->goals[i].err.text, marathon_details(s->f.marathon));
    }
    auto_free bool *told = xcalloc(s->n, sizeof(*told));
    for (size_t i = 0; i < s->n; i++)
        told[i] = s->goals[i].settled = s->goals[i].err.kind;
    follow_goals(&s->f, s->goals, s->n);
    for (size_t i = 0; i < s->n; i++)
        if (!told[i])
            follow_fail(&s->f, &s->goals[i]);
    print(s);
    return follow_status(s->goals, s->n);
}

// Meant as a factor, right or wrong, and no pattern: "5", "@5x", "x2,5", "x".
static bool is_like_factor(const char *word) {
    bool signed_ = *word && strchr("x+-", *word);
    return *word == '@' || strspn(word, DIGITS) == strlen(word) ||
           (signed_ && strchr(DIGITS, word[1])) ||
           (signed_ && strspn(word + 1, DIGITS ".") == strlen(word + 1));
}

// `ocho scale zookeeper @5` as well as Ochothon's -f @5. *n: how many of the words are patterns.
static int find_factor(const struct cli_options *o, size_t *n, const char **ret, struct err *err) {
    const char *last = o->args[*n - 1];
    bool is_last = !o->factor && *n > 1 && is_like_factor(last);
    *n -= is_last;
    *ret = o->factor ? o->factor : is_last ? last : "+1";
    for (size_t i = 1; i < *n; i++)
        if (is_like_factor(o->args[i]))
            return err_set(
                err, ERR_USER,
                "\"%.40s\" is a pattern or a factor? A factor comes last and once, and a "
                "cluster of that name is namespace.%.40s",
                o->args[i], o->args[i]);
    return 0;
}

static int run(const struct cli_options *options) {
    struct scale s = {.n = text_list_len(options->args)};
    struct err err = ERR_INIT;
    char op;
    double by;
    const char *factor;
    if (find_factor(options, &s.n, &factor, &err) || parse_factor(factor, &op, &by, &err))
        return cli_fail(&err);
    int status = follow_open(options, &s.f);
    if (status)
        return status;
    marathon_force(s.f.marathon, options->force);
    follow_catch(&s.f);
    s.targets = xcalloc(s.n, sizeof(*s.targets));
    s.goals = xcalloc(s.n, sizeof(*s.goals));
    s.deltas = xcalloc(s.n, sizeof(*s.deltas));
    status = stop_status(&s.f.stop, scale_all(&s, options->args, op, by));
    for (size_t i = 0; i < s.n; i++) {
        target_done(&s.targets[i]);
        goal_done(&s.goals[i]);
    }
    free(s.targets);
    free(s.goals);
    free(s.deltas);
    follow_close(&s.f);
    return status;
}

const struct verb scale_verb = {
    .name = "scale",
    .args = "PATTERN... [@N|xF|+N]",
    .summary = "more or fewer pods of a Marathon app; waits until all of them run and are ready",
    .details =
        "The pods of a PATTERN must be one app's, unless -g names a pod of it; nothing is changed "
        "when one of\nthem means no app. Instances that have no pod go first; what is still one "
        "too many is killed (POST\n/control/kill), then its task is removed: the newest first. "
        "Never below one.\nJSON: {\"PATTERN\": {\"ok\", \"delta\"}}, what Marathon has taken\n",
    .options = "jXGOt=dzu",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
