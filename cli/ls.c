#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include <stdio.h>
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

static void print_table(const json_t *rows) {
    const char *name;
    json_t *row;
    int width = (int)strlen("CLUSTER");
    json_object_foreach((json_t *)rows, name, row)
        width = (int)strlen(name) > width ? (int)strlen(name) : width;
    printf("%-*s  PODS  RUNNING  STATUS\n", width, "CLUSTER");
    json_object_foreach((json_t *)rows, name, row) {
        printf("%-*s  %4d  %7d  %s\n", width, name,
               (int)json_integer_value(json_object_get(row, "total")),
               (int)json_integer_value(json_object_get(row, "running")), json_text(row, "status"));
    }
}

int ls_run(const struct cli_options *options) {
    struct source *source;
    json_t *clusters;
    struct pods pods;
    int status = pods_begin(options, &source, &clusters, &pods);
    if (status)
        return status;
    pods_ask(&pods, source, "/info", "info", options->timeout_ms);
    auto_json json_t *rows = json_object();
    const char *name;
    json_t *cluster;
    json_object_foreach(clusters, name, cluster)
        CHECK(json_object_set_new(rows, name, summary(&pods, name)) == 0);
    if (options->json)
        cli_print(rows, true);
    else
        print_table(rows);
    status = pods_report(&pods);
    pods_end(source, clusters, &pods);
    return status;
}
