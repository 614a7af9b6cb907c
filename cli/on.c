#include "cli/act.h"

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = act_begin(options, options->args, &pods);
    if (status)
        return status;
    act_post(&pods, "on", NULL, act_timeout(options));
    status = act_report(&pods, options, "on", false, "on");
    pods_end(&pods);
    return status;
}

const struct verb on_verb = {
    .name = "on",
    .args = "PATTERN...",
    .summary = "start the workload of pods that are off or dead",
    .details =
        "Takes -i, or --force for all that match. 75 s each unless -t says otherwise.\nA pod "
        "that no round has configured yet refuses, and is started by the next one.\n"
        "JSON: {\"PATTERN\": {\"ok\", \"on\": [\"namespace.cluster #seq\"]}}, and \"failed\" "
        "where any did\n",
    .options = "ji!tzud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
