#include "cli/act.h"

// Ochothon's: off, then on those that went off. Ours besides: what the control port calls /reset.
static void reset(struct pods *pods, const struct cli_options *options) {
    int64_t ms = act_timeout(options);
    struct pods_request request = {.method = "POST", .path = "/reset", .timeout_ms = ms};
    if (options->session) {
        pods_send(pods, &request);
        return;
    }
    act_post(pods, "off", NULL, ms);
    act_post(pods, "on", NULL, ms);
}

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = act_begin(options, options->args, &pods);
    if (status)
        return status;
    reset(&pods, options);
    status = act_report(&pods, options, "reset", true, "reset");
    pods_end(&pods);
    return status;
}

const struct verb reset_verb = {
    .name = "reset",
    .args = "PATTERN...",
    .summary = "stop the workload of pods and start it again: off, then on",
    .details = "Takes -i, or --force for all that match. A minute for each step unless -t says "
               "otherwise.\n--session leaves the workload alone: the pods leave ZooKeeper and come "
               "back with the\nsame number (POST /reset).\n"
               "JSON: {\"PATTERN\": {\"ok\", \"reset\": [seq]}}, and \"failed\" where any did\n",
    .options = "ji!tszud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
