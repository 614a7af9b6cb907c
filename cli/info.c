#include "base/check.h"
#include "base/own.h"
#include "cli/pods.h"

int info_run(const struct cli_options *options) {
    struct source *source;
    json_t *clusters;
    struct pods pods;
    int status = pods_begin(options, &source, &clusters, &pods);
    if (status)
        return status;
    pods_ask(&pods, source, "/info", "info", options->timeout_ms);
    auto_json json_t *rows = json_object();
    for (size_t i = 0; i < pods.n; i++) {
        json_t *info = json_object_get(pods.list[i].json, "info");
        json_t *row = info ? json_incref(info)
                           : json_pack("{s:s}", "error", json_text(pods.list[i].json, "error"));
        CHECK(json_object_set_new(rows, pods.list[i].label, row) == 0);
    }
    cli_print(rows, options->json);
    status = pods_report(&pods);
    pods_end(source, clusters, &pods);
    return status;
}
