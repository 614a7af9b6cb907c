#include "base/check.h"
#include "base/own.h"
#include "cli/act.h"
#include <stdio.h>

static void print(const json_t *rows) {
    const char *name;
    json_t *answer;
    json_object_foreach((json_t *)rows, name, answer) {
        auto_free char *text = json_write(answer);
        printf("%s: %s\n", name, text);
    }
}

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = act_begin(options, options->args, &pods);
    if (status)
        return status;
    act_post(&pods, "signal", "signal", act_timeout(options));
    auto_json json_t *rows = json_object();
    for (size_t i = 0; i < pods.n; i++) {
        json_t *answer = json_object_get(pods.list[i].json, "signal");
        if (answer)
            CHECK(json_object_set(rows, pods.list[i].label, answer) == 0);
    }
    if (options->json)
        cli_print(rows, true);
    else
        print(rows);
    status = act_status(&pods, options->args, "answered");
    pods_end(&pods);
    return status;
}

const struct verb signal_verb = {
    .name = "signal",
    .args = "PATTERN...",
    .summary = "run the hook `signaled` of pods and print what it prints",
    .details = "Takes -i, or --force for all that match. 75 s each unless -t says otherwise.\n"
               "JSON: {\"namespace.cluster #seq\": what the hook printed}\n",
    .options = "ji!tzud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
