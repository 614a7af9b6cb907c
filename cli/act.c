#include "cli/act.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>

// So that the pod's own 408 comes before our patience ends.
enum { MARGIN_MS = 500 };

int64_t act_timeout(const struct cli_options *options) {
    return options->timeout_ms < 0 ? ACT_MS : options->timeout_ms;
}

int act_begin(const struct cli_options *options, char *const *patterns, struct pods *ret) {
    if (!options->force && !options->indices_len) {
        fprintf(stderr, "ocho: which pods? -i 0,2 (their numbers), or --force: all that match\n");
        return EXIT_USAGE;
    }
    return pods_begin(options, patterns, ret);
}

char *act_budget(int64_t timeout_ms) {
    int64_t margin = timeout_ms / 10 < MARGIN_MS ? timeout_ms / 10 : MARGIN_MS;
    return xasprintf("X-Ochopod-Budget-Ms: %" PRId64, timeout_ms - margin);
}

static void post(struct pods *pods, const char *task, const char *key, int64_t timeout_ms,
                 int until, const int *stop) {
    auto_free char *path = xasprintf("/control/%s", task);
    auto_free char *budget = act_budget(timeout_ms);
    struct pods_request request = {.method = "POST",
                                   .path = path,
                                   .headers = (const char *const[]){budget, NULL},
                                   .targeted = true,
                                   .key = key,
                                   .timeout_ms = timeout_ms,
                                   .until = until,
                                   .stop = stop};
    pods_send(pods, &request);
}

void act_post(struct pods *pods, const char *task, const char *key, int64_t timeout_ms) {
    post(pods, task, key, timeout_ms, 0, NULL);
}

void act_kill(struct pods *pods, int64_t timeout_ms, const int *stop) {
    post(pods, "kill", NULL, timeout_ms, 410, stop);
}

// ---- how it went ----

static json_t *outcome_of(const struct pods *pods, const char *pattern, const char *key,
                          bool by_number) {
    json_t *done = json_array(), *failed = json_object();
    for (size_t i = 0; i < pods->n; i++) {
        const struct pod_seen *pod = &pods->list[i];
        if (!source_matches(pattern, pod->cluster))
            continue;
        if (*pods_error(pod))
            CHECK(json_object_set_new(failed, pod->label, json_string(pods_error(pod))) == 0);
        else
            CHECK(json_array_append_new(done, by_number ? json_integer(pod->seq)
                                                        : json_string(pod->label)) == 0);
    }
    bool ok = json_array_size(done) && !json_object_size(failed) && !pods->missing;
    json_t *outcome = json_pack("{s:b, s:o}", "ok", ok, key, done);
    if (json_object_size(failed))
        CHECK(json_object_set(outcome, "failed", failed) == 0);
    json_decref(failed);
    return outcome;
}

json_t *act_outcome(const struct pods *pods, char *const *patterns, const char *key,
                    bool by_number) {
    json_t *all = json_object();
    for (; *patterns; patterns++)
        CHECK(json_object_set_new(all, *patterns, outcome_of(pods, *patterns, key, by_number)) ==
              0);
    return all;
}

bool act_means(const struct pods *pods, const char *pattern) {
    for (size_t i = 0; i < pods->n; i++)
        if (source_matches(pattern, pods->list[i].cluster))
            return true;
    return false;
}

int act_status(const struct pods *pods, char *const *patterns, const char *done) {
    int status = pods_report(pods, done);
    for (; *patterns; patterns++)
        if (!act_means(pods, *patterns)) {
            fprintf(stderr, "ocho: %s: no pod is meant\n", *patterns);
            status = status == EXIT_DONE ? EXIT_SOME : status;
        }
    return status;
}

int act_report(const struct pods *pods, const struct cli_options *options, const char *key,
               bool by_number, const char *done) {
    auto_json json_t *outcome = act_outcome(pods, options->args, key, by_number);
    if (options->json)
        cli_print(outcome, true);
    for (size_t i = 0; i < pods->n && !options->json; i++)
        if (!*pods_error(&pods->list[i]))
            printf("%s: %s\n", pods->list[i].label, done);
    return act_status(pods, options->args, done);
}
