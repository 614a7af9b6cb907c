#include "cli/follow.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TIMEOUT_MS = 90000,
    FIRST_MS = 50,
    MOST_MS = 250,
    ASK_MS = 3000,
    CHANGE_MS = 15000,
    APP_EVERY_MS = 1000,
};

// ---- opening ----

int follow_open(const struct cli_options *options, struct follow *ret) {
    struct marathon_where where;
    struct err err = ERR_INIT;
    if (marathon_where_read(&where, &err))
        return cli_fail(&err);
    int64_t ms = options->timeout_ms < 0 ? TIMEOUT_MS : options->timeout_ms;
    *ret = (struct follow){.options = options};
    if (source_open(options, ms < 10000 ? ms : 10000, &ret->source, &err)) {
        marathon_where_done(&where);
        return cli_fail(&err);
    }
    struct loop *loop = source_loop(ret->source);
    ret->deadline = loop_now(loop) + ms;
    ret->marathon = marathon_open(loop, source_http(ret->source), &where);
    marathon_until(ret->marathon, ret->deadline);
    progress_open(&ret->progress);
    marathon_tell(ret->marathon, progress_of_marathon, &ret->progress);
    return EXIT_DONE;
}

static void set_until(struct follow *f) {
    marathon_until(f->marathon, f->deadline > f->least ? f->deadline : f->least);
}

void follow_change(struct follow *f) {
    f->least = loop_now(source_loop(f->source)) + CHANGE_MS;
    set_until(f);
}

void follow_changed(struct follow *f) {
    f->least = 0;
    set_until(f);
}

static void on_stop(void *arg) {
    struct follow *f = arg;
    f->deadline = loop_now(source_loop(f->source));
    set_until(f);
    progress_end(&f->progress);
}

void follow_catch(struct follow *f) {
    stop_catch(&f->stop, source_loop(f->source), on_stop, f);
}

void follow_close(struct follow *f) {
    stop_done(&f->stop);
    progress_end(&f->progress);
    marathon_close(f->marathon);
    source_close(f->source);
}

void goal_done(struct goal *goal) {
    free(goal->deployment);
    free(goal->up);
    free(goal->note);
}

void follow_look(struct follow *f) {
    int64_t least = loop_now(source_loop(f->source)) + ASK_MS;
    source_until(f->source, f->deadline > least ? f->deadline : least);
}

// ---- one pod ----

static const char *bare(const char *app) {
    return app + (*app == '/');
}

bool goal_is_of(const struct pod_seen *pod, const char *app) {
    const json_t *record = json_object_get(pod->json, "record");
    return strcmp(bare(json_text(record, "application")), bare(app)) == 0;
}

static bool is_dead(const struct pod_seen *pod) {
    return strcmp(json_text(pods_info(pod), "process"), "dead") == 0;
}

// An original pod knows no readiness: it runs or it does not.
static bool is_up(const struct pod_seen *pod, bool strict) {
    const json_t *info = pods_info(pod), *ready = json_object_get(info, "ready");
    const char *process = json_text(info, "process");
    if (strcmp(process, "running") == 0)
        return !strict || !ready || json_is_true(ready);
    return strcmp(process, "dead") == 0 || (!strict && strcmp(process, "stopped") == 0);
}

// ---- one look ----

static bool counts(const struct goal *goal, const struct pod_seen *pod) {
    return source_matches(goal->cluster, pod->cluster) && goal_is_of(pod, goal->app) &&
           (goal->newer < 0 || pod->seq > goal->newer);
}

static void add_reason(struct text *t, const struct pod_seen *pod) {
    const char *process = json_text(pods_info(pod), "process");
    const char *status = json_text(pods_info(pod), "status");
    text_addf(t, "; %s %s%s%.150s", pod->label,
              *process           ? process
              : *pods_error(pod) ? pods_error(pod)
                                 : "says nothing",
              *status ? ": " : "", status);
}

// How it looks becomes the goal's error, which stays if the time is over before it gets better.
static bool judge(struct goal *goal, const struct pods *pods) {
    size_t seen = 0;
    auto_text struct text why = {0};
    free(goal->up);
    goal->up = xcalloc(pods->n + 1, sizeof(*goal->up));
    goal->up_len = goal->dead = goal->mute = 0;
    goal->seen = true;
    for (size_t i = 0; i < pods->n; i++) {
        const struct pod_seen *pod = &pods->list[i];
        if (!counts(goal, pod))
            continue;
        seen++;
        goal->dead += is_dead(pod);
        goal->mute += *pods_error(pod) != '\0'; // a task that runs and is not heard may be well
        if (is_up(pod, goal->strict))
            goal->up[goal->up_len++] = pod->seq;
        else if (why.len < 200)
            add_reason(&why, pod);
    }
    err_set(&goal->err, ERR_TIMEOUT, "%s: %zu of %" PRId64 " pods %s%s", goal->what, goal->up_len,
            goal->pods, goal->strict ? "running" : "there", text_str(&why));
    goal->there = seen;
    return seen == (size_t)goal->pods && goal->up_len == seen;
}

static void look_at_app(struct follow *f, struct goal *goal) {
    struct err err = ERR_INIT;
    auto_json json_t *app = marathon_app(f->marathon, goal->app, &err);
    if (err.kind == ERR_ABSENT) {
        err_set(&goal->err, ERR_GONE, "%s: somebody removed %.150s meanwhile", goal->what,
                goal->app);
        goal->settled = true;
        return;
    }
    if (err.kind == ERR_TIMEOUT)
        return; // of the last question
    free(goal->note);
    goal->note = app ? marathon_failure(app) : xstrdup(err.text);
}

static void add_note(struct goal *goal) {
    auto_free char *was = xstrdup(goal->err.text);
    if (goal->note)
        err_set(&goal->err, ERR_TIMEOUT, "%.240s; %.230s", was, goal->note);
}

// A Marathon that changes its leader meanwhile is asked again.
static bool is_deployed(struct follow *f, struct goal *goal) {
    struct err err = ERR_INIT;
    int going = goal->deployment ? marathon_deploying(f->marathon, goal->deployment, &err) : 0;
    auto_free char *was = xstrdup(goal->err.text);
    if (going < 0 && err.kind == ERR_TIMEOUT && goal->deploying)
        going = 1; // the last question had hardly any time: what was said before says more
    goal->deploying = going > 0;
    if (going > 0)
        err_set(&goal->err, ERR_TIMEOUT, "%.280s; deployment %.60s goes on", was, goal->deployment);
    else if (going < 0)
        err_set(&goal->err, ERR_TIMEOUT, "%.200s; %s", was, err.text);
    return going == 0;
}

static bool is_open(const struct goal *goal) {
    return !goal->settled && (!goal->err.kind || goal->err.kind == ERR_TIMEOUT);
}

static void look(struct follow *f, struct goal *goal, const struct pods *pods, bool apps) {
    if (judge(goal, pods) && is_deployed(f, goal)) {
        goal->settled = true;
        goal->err = (struct err)ERR_INIT;
        if (goal->dead)
            err_set(&goal->err, ERR_GONE, "%s: %zu of %" PRId64 " pods dead", goal->what,
                    goal->dead, goal->pods);
    } else if (apps) {
        look_at_app(f, goal);
    }
    if (goal->settled)
        return;
    add_note(goal);
    progress_tell(&f->progress, goal->err.text);
}

// By what Marathon says of its tasks: the one pod that we read through may be of another cluster,
// or among those that go.
static bool by_tasks(const struct follow *f, const struct goal *goal) {
    return source_is_pod(f->source) || goal->alone;
}

// Of several that are looked at, those that one reading of ZooKeeper shows.
static bool is_meant(const struct follow *f, const struct goal *goal, size_t n) {
    return is_open(goal) && (n == 1 || !by_tasks(f, goal));
}

static char **patterns_of(const struct follow *f, const struct goal *goals, size_t n) {
    char **patterns = xcalloc(n + 1, sizeof(*patterns));
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (is_meant(f, &goals[i], n))
            patterns[used++] = (char *)goals[i].cluster;
    return patterns;
}

static int read_pods(struct follow *f, struct goal *goals, size_t n, struct pods *ret,
                     struct err *err) {
    struct cli_options all = *f->options; // -i means others
    all.indices_len = 0;
    auto_free char **patterns = patterns_of(f, goals, n);
    follow_look(f);
    if (n > 1 || !by_tasks(f, goals))
        return pods_read(f->source, &all, patterns, ret, err);
    auto_json json_t *app = marathon_app(f->marathon, goals->app, err);
    if (!app)
        return -1;
    pods_of(f->source, marathon_pods(app, goals->cluster, goals->control), &all, ret);
    return 0;
}

static void look_at(struct follow *f, struct goal *goals, size_t n, bool apps) {
    struct pods pods;
    struct err err = ERR_INIT;
    if (read_pods(f, goals, n, &pods, &err)) {
        for (size_t i = 0; i < n; i++)
            // That the time ran out over the last look says less than what was seen before.
            if (is_meant(f, &goals[i], n) && !(goals[i].err.kind && err.kind == ERR_TIMEOUT)) {
                err_set(&goals[i].err, ERR_TIMEOUT, "%s: %s", goals[i].what, err.text);
                goals[i].seen = false;
            }
        return;
    }
    pods_ask_info(&pods, ASK_MS);
    pods_number(&pods);
    for (size_t i = 0; i < n; i++)
        if (is_meant(f, &goals[i], n))
            look(f, &goals[i], &pods, apps);
    pods_done(&pods);
}

static void look_at_all(struct follow *f, struct goal *goals, size_t n) {
    int64_t now = loop_now(source_loop(f->source));
    bool apps = now - f->asked >= APP_EVERY_MS;
    f->asked = apps ? now : f->asked;
    size_t together = 0;
    for (size_t i = 0; i < n; i++)
        if (is_open(&goals[i]) && by_tasks(f, &goals[i]))
            look_at(f, &goals[i], 1, apps);
        else
            together += is_open(&goals[i]);
    if (together)
        look_at(f, goals, n, apps);
}

void follow_goals(struct follow *f, struct goal *goals, size_t n) {
    struct loop *loop = source_loop(f->source);
    int64_t pause = FIRST_MS;
    f->asked = loop_now(loop);
    for (;;) {
        size_t open = 0;
        for (size_t i = 0; i < n; i++)
            open += is_open(&goals[i]);
        int64_t left = f->deadline - loop_now(loop);
        if (!open || left <= 0)
            break;
        marathon_pause(f->marathon, pause < left ? pause : left);
        look_at_all(f, goals, n);
        pause = pause * 5 / 4 < MOST_MS ? pause * 5 / 4 : MOST_MS;
    }
    if (f->stop.signo) { // whoever undoes wants to know what there is
        marathon_until(f->marathon, loop_now(loop) + ASK_MS);
        look_at_all(f, goals, n);
    }
    for (size_t i = 0; i < n; i++)
        if (is_open(&goals[i]) && !goals[i].err.kind)
            err_set(&goals[i].err, ERR_TIMEOUT,
                    "%s: the time was over before its pods could be looked at", goals[i].what);
    progress_end(&f->progress);
}

void follow_again(struct follow *f, struct goal *goal) {
    look_at(f, goal, 1, false);
    progress_end(&f->progress);
}

// ---- how it went ----

int follow_percent(const struct goal *goals, size_t n) {
    size_t good = 0;
    for (size_t i = 0; i < n; i++)
        good += !goals[i].err.kind;
    return n ? (int)(100 * good / n) : 0;
}

int follow_status(const struct goal *goals, size_t n) {
    int status = EXIT_DONE;
    for (size_t i = 0; i < n; i++) {
        int one = cli_status(&goals[i].err);
        if (one && status && one != status)
            return EXIT_SOME;
        status = one ? one : status;
    }
    bool mixed = follow_percent(goals, n) > 0;
    return status && mixed ? EXIT_SOME : status;
}

void follow_fail(struct follow *f, struct goal *goal) {
    progress_end(&f->progress);
    if (!goal->err.kind)
        return;
    fprintf(stderr, "ocho: %s\n", goal->err.text);
}
