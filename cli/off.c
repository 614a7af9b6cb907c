#include "cli/act.h"

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = act_begin(options, options->args, &pods);
    if (status)
        return status;
    act_post(&pods, "off", NULL, act_timeout(options));
    status = act_report(&pods, options, "off", false, "off");
    pods_end(&pods);
    return status;
}

const struct verb off_verb = {
    .name = "off",
    .args = "PATTERN...",
    .summary = "stop the workload of pods; it stays off, also against rounds, until on",
    .details =
        "Takes -i, or --force for all that match. 75 s each unless -t says otherwise.\n"
        "JSON: {\"PATTERN\": {\"ok\", \"off\": [\"namespace.cluster #seq\"]}}, and \"failed\" "
        "where any did\n",
    .options = "ji!tzud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
