#include "base/check.h"
#include "base/own.h"
#include "cli/pods.h"
#include "cli/table.h"

static const char *const columns[] = {"ip", "node", "process", "state"};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

// A pod that does not answer has what it registered.
static json_t *row_of(const struct pod_seen *pod) {
    json_t *row = json_object(), *value;
    for (size_t i = 0; i < COLUMNS; i++) {
        value = json_object_get(pods_info(pod), columns[i]);
        if (!value)
            value = json_object_get(json_object_get(pod->json, "record"), columns[i]);
        if (value)
            CHECK(json_object_set(row, columns[i], value) == 0);
    }
    if (*pods_error(pod))
        CHECK(json_object_set_new(row, "error", json_string(pods_error(pod))) == 0);
    return row;
}

static void print(const json_t *rows) {
    static const char *const heads[] = {"POD", "IP", "NODE", "PROCESS", "STATE", NULL};
    auto_json json_t *table = json_array();
    const char *name;
    json_t *row;
    json_object_foreach((json_t *)rows, name, row) {
        json_t *line = json_pack("[s]", name);
        for (size_t i = 0; i < COLUMNS; i++)
            CHECK(json_array_append_new(line, json_string(json_text(row, columns[i]))) == 0);
        CHECK(json_array_append_new(table, line) == 0);
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
    for (size_t i = 0; i < pods.n; i++)
        CHECK(json_object_set_new(rows, pods.list[i].label, row_of(&pods.list[i])) == 0);
    if (options->json)
        cli_print(rows, true);
    else if (pods_are_to_show(&pods, rows))
        print(rows);
    status = pods_report(&pods, "answered");
    pods_end(&pods);
    return status;
}

const struct verb grep_verb = {
    .name = "grep",
    .args = "[PATTERN...]",
    .summary = "pods: address, node, process, state",
    .details = "JSON: {\"namespace.cluster #seq\": {\"ip\", \"node\", \"process\", \"state\"}}; a "
               "pod that does not\nanswer has \"error\" instead of the last two.\n",
    .options = "jitzud",
    .args_max = CLI_MANY,
    .run = run};
