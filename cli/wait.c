#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60000, OPEN_MS = 5000, ASK_MS = 3000, PAUSE_MS = 300 };

struct wait {
    const struct cli_options *options;
    const char *state;
    int64_t deadline;
    struct source *source; // NULL: to be opened
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
    return text_take(&t);
}

// ---- one look ----

enum verdict { NOT_YET, SO, FAILED };

static enum verdict judge(struct wait *w, const json_t *clusters, const struct pods *pods) {
    size_t so = 0;
    const struct pod_seen *dead = NULL;
    for (size_t i = 0; i < pods->n; i++) {
        so += is_so(&pods->list[i], w->state);
        if (!dead && strcmp(json_text(pods_info(&pods->list[i]), "process"), "dead") == 0)
            dead = &pods->list[i];
    }
    auto_free char *line = describe(w, pods, so);
    tell(w, line);
    if (dead && strcmp(w->state, "dead") != 0) {
        err_set(&w->err, ERR_GONE, "%s is dead", dead->label);
        return FAILED;
    }
    int64_t want = w->options->pods > 0 ? w->options->pods : 1;
    bool all = so == pods->n && (int64_t)pods->n >= want;
    return all && enough_rounds(clusters, w->options->generation) ? SO : NOT_YET;
}

static int64_t left(const struct wait *w, int64_t most) {
    int64_t ms = w->deadline - now_ms();
    return ms < 0 ? 0 : ms < most ? ms : most;
}

// Whatever cannot be seen now is looked at again: also a ZooKeeper that is not there yet.
static enum verdict look(struct wait *w) {
    if (!w->source && source_open(w->options, left(w, OPEN_MS), &w->source, &w->err))
        return w->err.kind == ERR_USER ? FAILED : NOT_YET;
    auto_json json_t *clusters = source_read(w->source, cli_pattern(w->options), &w->err);
    if (!clusters) {
        source_close(take_ptr(w->source));
        return NOT_YET;
    }
    w->err = (struct err)ERR_INIT;
    struct pods pods;
    pods_list(&pods, clusters, w->options);
    pods_ask(&pods, w->source, "/info", "info", ASK_MS);
    enum verdict verdict = judge(w, clusters, &pods);
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

int wait_run(const struct cli_options *options) {
    struct wait w = {.options = options,
                     .state = options->state ? options->state : "running",
                     .terminal = isatty(STDERR_FILENO)};
    w.deadline = now_ms() + (options->timeout_ms < 0 ? TIMEOUT_MS : options->timeout_ms);
    enum verdict verdict;
    while ((verdict = look(&w)) == NOT_YET && now_ms() < w.deadline) {
        struct timespec pause = {.tv_nsec = left(&w, PAUSE_MS) * 1000000};
        nanosleep(&pause, NULL);
    }
    int status = conclude(&w, verdict);
    source_close(w.source);
    free(w.line);
    return status;
}
