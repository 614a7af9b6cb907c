#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include "cli/table.h"
#include <string.h>

// The leader's line; a follower has one left over from when it led.
static const char *status_of(const struct pods *pods, const char *cluster) {
    for (size_t i = 0; i < pods->n; i++) {
        const json_t *info = pods_info(&pods->list[i]);
        if (strcmp(pods->list[i].cluster, cluster) == 0 &&
            text_starts(json_text(info, "state"), "leader"))
            return json_text(info, "status");
    }
    return "";
}

static json_t *summary(const struct pods *pods, const char *cluster) {
    int total = 0, running = 0;
    for (size_t i = 0; i < pods->n; i++) {
        if (strcmp(pods->list[i].cluster, cluster) != 0)
            continue;
        total++;
        running += strcmp(json_text(pods_info(&pods->list[i]), "process"), "running") == 0;
    }
    return json_pack("{s:i, s:i, s:s}", "total", total, "running", running, "status",
                     status_of(pods, cluster));
}

static json_t *line_of(const char *name, const json_t *row) {
    auto_free char *total = json_dumps(json_object_get(row, "total"), JSON_ENCODE_ANY);
    auto_free char *running = json_dumps(json_object_get(row, "running"), JSON_ENCODE_ANY);
    return json_pack("[s, s, s, s]", name, total, running, json_text(row, "status"));
}

static void print(const json_t *rows) {
    static const char *const heads[] = {"CLUSTER", ">PODS", ">RUNNING", "STATUS", NULL};
    auto_json json_t *table = json_array();
    const char *name;
    json_t *row;
    json_object_foreach((json_t *)rows, name, row)
        CHECK(json_array_append_new(table, line_of(name, row)) == 0);
    table_print(heads, table);
}

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = pods_begin(options, options->args, &pods);
    if (status)
        return status;
    pods_ask_info(&pods, options->timeout_ms);
    auto_json json_t *rows = json_object();
    const char *name;
    json_t *cluster;
    json_object_foreach(pods.clusters, name, cluster)
        CHECK(json_object_set_new(rows, name, summary(&pods, name)) == 0);
    if (options->json)
        cli_print(rows, true);
    else if (pods_are_to_show(&pods, rows))
        print(rows);
    status = pods_report(&pods, "answered");
    pods_end(&pods);
    return status;
}

const struct verb ls_verb = {
    .name = "ls",
    .args = "[PATTERN...]",
    .summary = "clusters: pods, how many run, the leader's status line",
    .details = "JSON: {\"namespace.cluster\": {\"total\", \"running\", \"status\"}}\n",
    .options = "jtzud",
    .args_max = CLI_MANY,
    .run = run};
