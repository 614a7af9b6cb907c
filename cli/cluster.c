#include "base/check.h"
#include "base/own.h"
#include "cli/pods.h"
#include <stdio.h>
#include <string.h>

enum { MAX_REPLY = 16 * 1024 * 1024 };

// The answer of the first pod of that cluster that gives one; NULL when none does.
static json_t *ask(struct pods *pods, const char *name, int64_t timeout_ms) {
    struct pods_request request = {.method = "GET", // no original pod has it
                                   .path = "/cluster",
                                   .key = "answer",
                                   .timeout_ms = timeout_ms,
                                   .max_reply = MAX_REPLY};
    for (size_t i = 0; i < pods->n; i++) {
        struct pods one = *pods;
        one.list = &pods->list[i];
        one.n = 1;
        if (strcmp(pods->list[i].cluster, name) != 0)
            continue;
        pods_send(&one, &request);
        json_t *answer = json_object_get(pods->list[i].json, "answer");
        if (answer)
            return answer;
        fprintf(stderr, "ocho: %s: %s\n", pods->list[i].label, pods_error(&pods->list[i]));
    }
    return NULL;
}

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = pods_begin(options, options->args, &pods);
    if (status)
        return status;
    status = pods.unmatched || pods.missing ? EXIT_SOME : EXIT_DONE;
    auto_json json_t *rows = json_object();
    const char *name;
    json_t *cluster;
    json_object_foreach(pods.clusters, name, cluster) {
        // Through --url it is what has been read, and what it leaves out has been said.
        bool read = json_object_get(cluster, "cluster");
        json_t *answer = read ? cluster : ask(&pods, name, options->timeout_ms);
        if (answer)
            CHECK(json_object_set(rows, name, answer) == 0);
        else
            fprintf(stderr, "ocho: no pod of %s answered\n", name);
        bool partial = !read && pods_tell_skipped(name, answer);
        status = answer && !partial ? status : EXIT_SOME;
    }
    cli_print(rows, options->json);
    pods_end(&pods);
    return status;
}

const struct verb cluster_verb = {
    .name = "cluster",
    .args = "[PATTERN...]",
    .summary = "everything any one pod knows of its cluster (GET /cluster)",
    .details =
        "The pods of a cluster are asked one after the other until one answers.\n"
        "JSON: {\"namespace.cluster\": {\"generation\", \"hash\", \"leader\", \"pods\", ...}}, "
        "also without -j,\nthen indented.\n",
    .options = "jtzud",
    .args_max = CLI_MANY,
    .run = run};
