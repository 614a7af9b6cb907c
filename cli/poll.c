#include "base/check.h"
#include "base/own.h"
#include "cli/pods.h"
#include "cli/table.h"

static void print(const json_t *rows) {
    static const char *const heads[] = {"POD", "METRICS", NULL};
    auto_json json_t *table = json_array();
    const char *name;
    json_t *metrics;
    json_object_foreach((json_t *)rows, name, metrics) {
        auto_free char *text = json_write(metrics);
        CHECK(json_array_append_new(table, json_pack("[s, s]", name, text)) == 0);
    }
    table_print(heads, table);
}

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = pods_begin(options, options->args, &pods);
    if (status)
        return status;
    pods_ask_info(&pods, options->timeout_ms);
    auto_json json_t *rows = json_object();
    for (size_t i = 0; i < pods.n; i++) {
        json_t *metrics = json_object_get(pods_info(&pods.list[i]), "metrics");
        if (json_is_object(metrics) || json_is_array(metrics))
            CHECK(json_object_set(rows, pods.list[i].label, metrics) == 0);
    }
    if (options->json)
        cli_print(rows, true);
    else if (pods_are_to_show(&pods, rows))
        print(rows);
    status = pods_report(&pods, "answered");
    pods_end(&pods);
    return status;
}

const struct verb poll_verb = {.name = "poll",
                               .args = "[PATTERN...]",
                               .summary = "metrics: what sanity_check of each pod printed last",
                               .details = "JSON: {\"namespace.cluster #seq\": {...}}\n",
                               .options = "jitzud",
                               .args_max = CLI_MANY,
                               .run = run};
