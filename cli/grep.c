#include "base/check.h"
#include "base/own.h"
#include "cli/pods.h"
#include <stdio.h>
#include <string.h>

static const char *const columns[] = {"ip", "node", "process", "state"};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

// A pod that does not answer has what it registered.
static json_t *row_of(const struct pod_seen *pod) {
    json_t *row = json_object(), *value;
    const char *error = json_text(pod->json, "error");
    for (size_t i = 0; i < COLUMNS; i++) {
        value = json_object_get(pods_info(pod), columns[i]);
        if (!value)
            value = json_object_get(json_object_get(pod->json, "record"), columns[i]);
        if (value)
            CHECK(json_object_set(row, columns[i], value) == 0);
    }
    if (*error)
        CHECK(json_object_set_new(row, "error", json_string(error)) == 0);
    return row;
}

static const char *cell(const json_t *row, const char *key) {
    const char *s = json_text(row, key);
    return *s ? s : "-";
}

static void print_table(const json_t *rows) {
    static const char *const heads[] = {"IP", "NODE", "PROCESS", "STATE"};
    int widths[COLUMNS], first = (int)strlen("POD");
    const char *name;
    json_t *row;
    for (size_t i = 0; i < COLUMNS; i++)
        widths[i] = (int)strlen(heads[i]);
    json_object_foreach((json_t *)rows, name, row) {
        first = (int)strlen(name) > first ? (int)strlen(name) : first;
        for (size_t i = 0; i < COLUMNS; i++) {
            int len = (int)strlen(cell(row, columns[i]));
            widths[i] = len > widths[i] ? len : widths[i];
        }
    }
    printf("%-*s  %-*s  %-*s  %-*s  %s\n", first, "POD", widths[0], heads[0], widths[1], heads[1],
           widths[2], heads[2], heads[3]);
    json_object_foreach((json_t *)rows, name, row) {
        printf("%-*s  %-*s  %-*s  %-*s  %s\n", first, name, widths[0], cell(row, columns[0]),
               widths[1], cell(row, columns[1]), widths[2], cell(row, columns[2]),
               cell(row, columns[3]));
    }
}

int grep_run(const struct cli_options *options) {
    struct source *source;
    json_t *clusters;
    struct pods pods;
    int status = pods_begin(options, &source, &clusters, &pods);
    if (status)
        return status;
    pods_ask(&pods, source, "/info", "info", options->timeout_ms);
    auto_json json_t *rows = json_object();
    for (size_t i = 0; i < pods.n; i++)
        CHECK(json_object_set_new(rows, pods.list[i].label, row_of(&pods.list[i])) == 0);
    if (options->json)
        cli_print(rows, true);
    else
        print_table(rows);
    status = pods_report(&pods);
    pods_end(source, clusters, &pods);
    return status;
}
