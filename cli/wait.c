#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/junit.h"
#include "cli/pods.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// LOOK_MS: the last look, which begins when the time is over, sees something too. Of --url the pod
// alone may take two seconds.
enum { TIMEOUT_MS = 60000, OPEN_MS = 5000, ASK_MS = 3000, LOOK_MS = 3000, PAUSE_MS = 300 };

struct wait {
    const struct cli_options *options;
    const char *state;
    int64_t began, deadline;
    struct source *source; // NULL: to be opened
    struct junit *junit;   // of the last look
    json_t *since;         // {label: ms from the beginning} of pods that are so
    char *line;            // what it looks like, as last said
    bool terminal, said;
    struct err err; // why nothing could be seen, the last time
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static bool is_so(const struct pod_seen *pod, const char *state) {
    const json_t *info = pods_info(pod), *ready = json_object_get(info, "ready");
    const char *process = json_text(info, "process");
    if (strcmp(state, "ready") != 0)
        return strcmp(process, state) == 0;
    // An original pod knows no readiness: it runs or it does not.
    return strcmp(process, "running") == 0 && (!ready || json_is_true(ready));
}

// A cluster of original pods counts no rounds.
static bool enough_rounds(const json_t *clusters, int64_t generation) {
    if (generation < 0)
        return true;
    const char *name;
    json_t *cluster;
    json_object_foreach((json_t *)clusters, name, cluster) {
        json_t *n = json_object_get(cluster, "generation");
        if (!json_is_integer(n) || json_integer_value(n) < generation)
            return false;
    }
    return true;
}

// ---- what is said on the way ----

static void tell(struct wait *w, const char *line) {
    if (text_same(w->line, line))
        return;
    free(w->line);
    w->line = xstrdup(line);
    if (w->options->verbose)
        fprintf(stderr, "%s\n", line);
    else if (w->terminal)
        fprintf(stderr, "\r\033[K%.100s", line);
    w->said = w->terminal && !w->options->verbose;
}

static char *describe(const struct wait *w, const struct pods *pods, size_t so) {
    auto_text struct text t = {0};
    int64_t want = w->options->pods > (int64_t)pods->n ? w->options->pods : (int64_t)pods->n;
    text_addf(&t, "%zu of %" PRId64 " %s", so, want, w->state);
    for (size_t i = 0; i < pods->n; i++) {
        const struct pod_seen *pod = &pods->list[i];
        const char *process = json_text(pods_info(pod), "process");
        if (!is_so(pod, w->state))
            text_addf(&t, "%s %s %s", i ? "," : ":", pod->label,
                      *process ? process : "does not answer");
    }
    if (pods->skipped)
        text_addf(&t, ", %zu left out", pods->skipped);
    return text_take(&t);
}

// ---- one look ----

enum verdict { NOT_YET, SO, FAILED };

// ---- what is written for CI ----

static int64_t since(struct wait *w, const struct pod_seen *pod, bool so) {
    int64_t ms = now_ms() - w->began;
    if (!so)
        json_object_del(w->since, pod->label);
    else if (!json_object_get(w->since, pod->label))
        CHECK(json_object_set_new(w->since, pod->label, json_integer(ms)) == 0);
    json_t *first = json_object_get(w->since, pod->label);
    return first ? json_integer_value(first) : ms;
}

static void note_pod(struct wait *w, const struct pod_seen *pod) {
    const char *process = json_text(pods_info(pod), "process");
    bool so = is_so(pod, w->state);
    int64_t ms = since(w, pod, so);
    auto_free char *name = xasprintf("%s is %s", pod->label, w->state);
    auto_free char *why = *process ? xasprintf("%s, not %s", process, w->state)
                                   : xasprintf("does not answer: %s", pods_error(pod));
    junit_case(w->junit, pod->cluster, name, ms, so ? NULL : why);
}

// What the pods have to be together; a case each, as for the pods themselves.
static void note(struct wait *w, const struct pods *pods, int64_t want) {
    const struct cli_options *o = w->options;
    int64_t ms = now_ms() - w->began;
    junit_free(w->junit);
    auto_free char *suite = xasprintf("ocho wait %s", o->args[0]);
    w->junit = junit_create(suite);
    for (size_t i = 0; i < pods->n; i++)
        note_pod(w, &pods->list[i]);
    auto_free char *pods_name = xasprintf("at least %" PRId64 " pods", want);
    auto_free char *pods_why = xasprintf("%zu of %" PRId64, pods->n, want);
    bool enough = (int64_t)pods->n >= want && !pods->missing;
    junit_case(w->junit, o->args[0], pods_name, ms, enough ? NULL : pods_why);
    if (o->generation < 0)
        return;
    auto_free char *rounds = xasprintf("generation %" PRId64, o->generation);
    bool counted = pods->n && enough_rounds(pods->clusters, o->generation);
    junit_case(w->junit, o->args[0], rounds, ms, counted ? NULL : "fewer rounds are complete");
}

// ---- the verdict ----

static enum verdict judge(struct wait *w, const struct pods *pods) {
    size_t so = 0;
    const struct pod_seen *dead = NULL;
    for (size_t i = 0; i < pods->n; i++) {
        so += is_so(&pods->list[i], w->state);
        if (!dead && strcmp(json_text(pods_info(&pods->list[i]), "process"), "dead") == 0)
            dead = &pods->list[i];
    }
    int64_t want = w->options->pods > 0 ? w->options->pods : 1;
    auto_free char *line = describe(w, pods, so);
    tell(w, line);
    note(w, pods, want);
    if (dead && strcmp(w->state, "dead") != 0) {
        err_set(&w->err, ERR_GONE, "%s is dead", dead->label);
        return FAILED;
    }
    bool all = so == pods->n && (int64_t)pods->n >= want && !pods->missing;
    return all && enough_rounds(pods->clusters, w->options->generation) ? SO : NOT_YET;
}

static int64_t left(int64_t deadline, int64_t most) {
    int64_t ms = deadline - now_ms();
    return ms < 0 ? 0 : ms < most ? ms : most;
}

// Whatever cannot be seen now is looked at again: also a ZooKeeper that is not there yet.
static enum verdict look(struct wait *w) {
    int64_t least = now_ms() + LOOK_MS, until = w->deadline > least ? w->deadline : least;
    if (!w->source && source_open(w->options, left(until, OPEN_MS), &w->source, &w->err))
        return w->err.kind == ERR_USER ? FAILED : NOT_YET;
    source_until(w->source, until);
    struct pods pods;
    if (pods_read(w->source, w->options, w->options->args, &pods, &w->err)) {
        source_close(take_ptr(w->source));
        return NOT_YET;
    }
    w->err = (struct err)ERR_INIT;
    pods_ask_info(&pods, left(until, ASK_MS));
    enum verdict verdict = judge(w, &pods);
    pods_done(&pods);
    return verdict;
}

static int conclude(const struct wait *w, enum verdict verdict) {
    if (w->said)
        fprintf(stderr, "\n");
    if (verdict == SO)
        return EXIT_DONE;
    if (verdict == FAILED || w->err.kind)
        return cli_fail(&w->err);
    fprintf(stderr, "ocho: timeout: %s\n", w->line ? w->line : "nothing was seen");
    return EXIT_TIME;
}

// The report of a wait that saw nothing has one case: that.
static int report(struct wait *w, int status) {
    struct err err = ERR_INIT;
    if (!w->junit) {
        auto_free char *suite = xasprintf("ocho wait %s", w->options->args[0]);
        w->junit = junit_create(suite);
    }
    int64_t ms = now_ms() - w->began;
    if (w->err.kind && w->err.kind != ERR_GONE) // a dead pod has a case of its own
        junit_case(w->junit, w->options->args[0], "can be looked at", ms, w->err.text);
    if (junit_write(w->junit, w->options->junit, ms, &err) == 0)
        return status;
    int failed = cli_fail(&err);
    return status == EXIT_DONE ? failed : status;
}

static int run(const struct cli_options *options) {
    struct wait w = {.options = options,
                     .state = options->state ? options->state : "running",
                     .began = now_ms(),
                     .since = json_object(),
                     .terminal = isatty(STDERR_FILENO)};
    if (options->junit && junit_check(options->junit, &w.err)) {
        json_decref(w.since);
        return cli_fail(&w.err);
    }
    w.deadline = w.began + (options->timeout_ms < 0 ? TIMEOUT_MS : options->timeout_ms);
    enum verdict verdict;
    while ((verdict = look(&w)) == NOT_YET && now_ms() < w.deadline) {
        struct timespec pause = {.tv_nsec = left(w.deadline, PAUSE_MS) * 1000000};
        nanosleep(&pause, NULL);
    }
    int status = conclude(&w, verdict);
    if (options->junit)
        status = report(&w, status);
    source_close(w.source);
    junit_free(w.junit);
    json_decref(w.since);
    free(w.line);
    return status;
}

const struct verb wait_verb = {
    .name = "wait",
    .args = "PATTERN",
    .summary = "until every pod of a cluster is what you want",
    .details =
        "Waits until there is a pod at least (or as many as --pods says), all of them are in the\n"
        "wanted state and the cluster has completed as many rounds as --generation says.\n"
        "Ends at once with status 1 when a pod is dead and that was not wanted.\n"
        "--junit FILE is written at the end, whatever it is: a case for each pod and for each\n"
        "number that was asked for.\n"
        "Example: ocho wait zookeeper --for ready --pods 3 --timeout 2m\n",
    .options = "itzuvFpgJd",
    .args_min = 1,
    .args_max = 1,
    .run = run};
