#include "cli/act.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"

#define BACK "`ocho on` brings it back"

// An off that was not over in time goes on, and one whose answer was lost may: on queues behind it.
static void on_again(struct pods *pods, int64_t ms) {
    auto_free char **open = xcalloc(pods->n + 1, sizeof(*open)); // why the off did not end
    auto_free bool *off = xcalloc(pods->n + 1, sizeof(*off));
    for (size_t i = 0; i < pods->n; i++) {
        struct pod_seen *pod = &pods->list[i];
        off[i] = !*pods_error(pod);
        if (off[i] || !pod->open)
            continue;
        open[i] = xstrdup(pods_error(pod));
        json_object_del(pod->json, "error");
    }
    act_post(pods, "on", NULL, ms);
    for (size_t i = 0; i < pods->n; i++) {
        struct pod_seen *pod = &pods->list[i];
        const char *no = pods_error(pod);
        auto_free char *was = open[i];
        auto_free char *why = was && !*no ? xasprintf("%s; it is on again", was)
                              : was       ? xasprintf("%s; %s; it may be off: " BACK, was, no)
                                          : xasprintf("%s; it is off: " BACK, no);
        if (was || (off[i] && *no))
            pods_fail(pod, why);
    }
}

// Ochothon's: off, then on. Ours besides: what the control port calls /reset.
static void reset(struct pods *pods, const struct cli_options *options) {
    int64_t ms = act_timeout(options);
    struct pods_request request = {.method = "POST", .path = "/reset", .timeout_ms = ms};
    if (options->session) {
        pods_send(pods, &request);
        return;
    }
    act_post(pods, "off", NULL, ms);
    on_again(pods, ms);
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
    .details = "Takes -i, or --force for all that match. 75 s for each step unless -t says "
               "otherwise.\nA pod "
               "whose off was not over in time fails, and is switched on all the same.\n--session "
               "leaves the workload alone: the pods leave ZooKeeper and come "
               "back with the\nsame number (POST /reset).\n"
               "JSON: {\"PATTERN\": {\"ok\", \"reset\": [seq]}}, and \"failed\" where any did\n",
    .options = "ji!tszud",
    .args_min = 1,
    .args_max = CLI_MANY,
    .run = run};
