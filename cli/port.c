#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include "cli/table.h"
#include <stdio.h>

// NULL where that port is not mapped. The mapped one is a string, as Ochothon prints it.
static json_t *row_of(const struct pod_seen *pod, const char *port) {
    const json_t *info = pods_info(pod);
    json_t *mapped = json_object_get(json_object_get(info, "ports"), port);
    if (!json_is_integer(mapped))
        return NULL;
    auto_free char *number = json_dumps(mapped, JSON_ENCODE_ANY);
    return json_pack("{s:s, s:s, s:s}", "ip", json_text(info, "ip"), "public",
                     json_text(info, "public"), "ports", number);
}

static void print(const json_t *rows) {
    static const char *const heads[] = {"POD", "IP", "PUBLIC", "PORT", NULL};
    auto_json json_t *table = json_array();
    const char *name;
    json_t *row;
    json_object_foreach((json_t *)rows, name, row) {
        json_t *line = json_pack("[s, s, s, s]", name, json_text(row, "ip"),
                                 json_text(row, "public"), json_text(row, "ports"));
        CHECK(json_array_append_new(table, line) == 0);
    }
    table_print(heads, table);
}

static int run(const struct cli_options *options) {
    const char *port = options->args[0];
    int64_t number;
    struct err err = ERR_INIT;
    if (text_int(port, 1, 65535, &number, &err))
        return cli_fail(&err);
    struct pods pods;
    int status = pods_begin(options, options->args + 1, &pods);
    if (status)
        return status;
    pods_ask_info(&pods, options->timeout_ms);
    auto_json json_t *rows = json_object();
    for (size_t i = 0; i < pods.n; i++) {
        json_t *row = row_of(&pods.list[i], port);
        if (row)
            CHECK(json_object_set_new(rows, pods.list[i].label, row) == 0);
    }
    if (options->json)
        cli_print(rows, true);
    else if (pods_are_to_show(&pods, rows))
        print(rows);
    status = pods_report(&pods, "answered");
    if (!json_object_size(rows)) {
        fprintf(stderr, "ocho: nobody maps port %s\n", port);
        status = EXIT_SOME;
    }
    pods_end(&pods);
    return status;
}

const struct verb port_verb = {
    .name = "port",
    .args = "PORT [PATTERN...]",
    .summary = "where others reach a port of the pods",
    .details = "Pods that do not map it are left out; status 1 when nobody does.\n"
               "JSON: {\"namespace.cluster #seq\": {\"ip\", \"public\", \"ports\": \"31002\"}}\n"
               "Example: ocho port 2181 zookeeper\n",
    .options = "jItzud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
