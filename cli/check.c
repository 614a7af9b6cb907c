// Is it well, and if not, why: what people look for first. Asks for /info alone, so that nothing is
// touched: /control/check is a leader's question, it stages files and moves the fence.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include "cli/table.h"
#include <stdio.h>
#include <string.h>

// The leader of the pod's cluster, NULL when nobody says that he leads.
static const struct pod_seen *leader_of(const struct pods *pods, const char *cluster) {
    for (size_t i = 0; i < pods->n; i++)
        if (strcmp(pods->list[i].cluster, cluster) == 0 &&
            text_starts(json_text(pods_info(&pods->list[i]), "state"), "leader"))
            return &pods->list[i];
    return NULL;
}

// What a pod says of itself: ours have a line of their own, of originals there is only one.
static const char *line_of(const struct pod_seen *pod) {
    const json_t *info = pods_info(pod), *workload = json_object_get(info, "workload");
    return workload ? json_text(workload, "status") : json_text(info, "status");
}

// NULL: it is well. Caller frees.
static char *complaint(const struct pods *pods, const struct pod_seen *pod) {
    const json_t *info = pods_info(pod), *ready = json_object_get(info, "ready");
    const struct pod_seen *leader = leader_of(pods, pod->cluster);
    const char *line = line_of(pod), *process = json_text(info, "process");
    const char *hash = json_text(info, "hash"),
               *other = leader ? json_text(pods_info(leader), "hash") : "";
    if (*pods_error(pod))
        return xstrdup(pods_error(pod));
    if (json_is_true(json_object_get(info, "off")))
        return xstrdup("off, until `ocho on`");
    if (strcmp(process, "running") != 0)
        return xasprintf("%s%s%s", *process ? process : "says no process", *line ? ": " : "", line);
    if (ready && !json_is_true(ready))
        return xasprintf("not ready%s%s", *line ? ": " : "", line);
    if (json_is_false(json_object_get(info, "attached")))
        return xstrdup("has lost ZooKeeper");
    if (*hash && *other && strcmp(hash, other) != 0)
        return xstrdup("its configuration is not the leader's");
    const char *state = json_text(info, "state");
    if (text_starts(state, "leader "))
        return xasprintf("%s: %s", state, json_text(info, "status"));
    return NULL;
}

static json_t *row_of(const struct pods *pods, const struct pod_seen *pod) {
    auto_free char *why = complaint(pods, pod);
    json_t *row = json_pack("{s:b, s:s}", "ok", !why, "process",
                            json_text(pods_info(pod), "process"));
    if (why)
        CHECK(json_object_set_new(row, "why", json_string(why)) == 0);
    return row;
}

static void print(const json_t *rows) {
    static const char *const heads[] = {"POD", "PROCESS", "WELL", NULL};
    auto_json json_t *table = json_array();
    const char *name;
    json_t *row;
    json_object_foreach((json_t *)rows, name, row) {
        const char *why = json_text(row, "why");
        json_t *line = json_pack("[s, s, s]", name, json_text(row, "process"), *why ? why : "yes");
        CHECK(json_array_append_new(table, line) == 0);
    }
    table_print(heads, table);
}

static int run(const struct cli_options *options) {
    struct pods pods;
    struct cli_options everybody = *options; // who leads may not be among those of -i
    everybody.indices_len = 0;
    int status = pods_begin(&everybody, options->args, &pods);
    if (status)
        return status;
    pods_ask_info(&pods, options->timeout_ms);
    auto_json json_t *rows = json_object();
    size_t well = 0;
    for (size_t i = 0; i < pods.n; i++) {
        if (!pods_wanted(options, pods.list[i].seq))
            continue;
        json_t *row = row_of(&pods, &pods.list[i]);
        well += json_is_true(json_object_get(row, "ok"));
        CHECK(json_object_set_new(rows, pods.list[i].label, row) == 0);
    }
    if (options->json)
        cli_print(rows, true);
    else if (pods_are_to_show(&pods, rows))
        print(rows);
    size_t missing = pods.n ? pods_tell_missing(&pods, options) : 0;
    missing += options->indices_len ? 0 : pods.missing;
    size_t all = json_object_size(rows) + missing;
    if (well < all || !all)
        fprintf(stderr, "ocho: %zu of %zu are well\n", well, all);
    bool fine = all && well == all && !pods.unmatched;
    pods_end(&pods);
    return fine ? EXIT_DONE : EXIT_SOME;
}

const struct verb check_verb = {
    .name = "check",
    .args = "[PATTERN...]",
    .summary = "is every pod configured, running and ready; if not, why",
    .details =
        "Well is a pod that answers, runs, is ready, has not lost ZooKeeper and has the leader's\n"
        "configuration; a leader besides whose last round is complete: else its status line names\n"
        "the pod that refused and its reason. Nothing is touched. Status 1 when one is not well,\n"
        "or there is none.\n"
        "JSON: {\"namespace.cluster #seq\": {\"ok\", \"process\", \"why\" where not ok}}\n",
    .options = "jitzud",
    .args_max = CLI_MANY,
    .run = run};
