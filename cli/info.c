#include "base/check.h"
#include "base/own.h"
#include "cli/pods.h"

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = pods_begin(options, options->args, &pods);
    if (status)
        return status;
    pods_ask_info(&pods, options->timeout_ms);
    auto_json json_t *rows = json_object();
    for (size_t i = 0; i < pods.n; i++) {
        json_t *info = json_object_get(pods.list[i].json, "info");
        json_t *row = info ? json_incref(info)
                           : json_pack("{s:s}", "error", pods_error(&pods.list[i]));
        CHECK(json_object_set_new(rows, pods.list[i].label, row) == 0);
    }
    cli_print(rows, options->json);
    status = pods_report(&pods, "answered");
    pods_end(&pods);
    return status;
}

const struct verb info_verb = {
    .name = "info",
    .args = "[PATTERN...]",
    .summary = "everything a pod says of itself (GET /info)",
    .details = "JSON: {\"namespace.cluster #seq\": {...}}, also without -j, then indented.\n",
    .options = "jitzud",
    .args_max = CLI_MANY,
    .run = run};
