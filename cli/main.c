#include "base/log.h"
#include "cli/cli.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Letters: options.c. Each verb's --help must be enough to use it.
static const struct verb verbs[] = {
    {.name = "ls",
     .args = "[PATTERN]",
     .summary = "clusters: pods, how many run, the leader's status line",
     .details = "JSON: {\"namespace.cluster\": {\"total\", \"running\", \"status\"}}\n",
     .options = "jtzu",
     .args_max = 1,
     .run = ls_run},
    {.name = "grep",
     .args = "[PATTERN]",
     .summary = "pods: address, node, process, state",
     .details = "JSON: {\"namespace.cluster #seq\": {\"ip\", \"node\", \"process\", \"state\"}}; a "
                "pod that does not\nanswer has \"error\" instead of the last two.\n",
     .options = "jitzu",
     .args_max = 1,
     .run = grep_run},
    {.name = "info",
     .args = "[PATTERN]",
     .summary = "everything a pod says of itself (GET /info)",
     .details = "JSON: {\"namespace.cluster #seq\": {...}}, also without -j, then indented.\n",
     .options = "jitzu",
     .args_max = 1,
     .run = info_run},
    {.name = "log",
     .args = "[PATTERN]",
     .summary = "the last 32 KiB of lines of each pod, the sidecar's and the workload's",
     .details = "With more than one pod each line begins with the pod's name.\n"
                "JSON: {\"namespace.cluster #seq\": [lines]}\n",
     .options = "jitzuf",
     .args_max = 1,
     .run = log_run},
    {.name = "wait",
     .args = "PATTERN",
     .summary = "until every pod of a cluster is what you want",
     .details =
         "Waits until there is a pod at least (or as many as --pods says), all of them are in the\n"
         "wanted state and the cluster has completed as many rounds as --generation says.\n"
         "Ends at once with status 1 when a pod is dead and that was not wanted.\n"
         "Example: ocho wait zookeeper --for running --pods 3 --timeout 2m\n",
     .options = "itzuvFpg",
     .args_min = 1,
     .args_max = 1,
     .run = wait_run},
    {.name = "validate",
     .args = "SPEC...",
     .summary = "check specs and the syntax of their templates; every mistake with its line",
     .details = "Needs neither Docker nor ZooKeeper. The environment counts, as it does for the\n"
                "sidecar. Status 2 when there is a mistake.\n",
     .options = "",
     .args_min = 1,
     .args_max = 64,
     .run = validate_run},
    {.name = "render",
     .args = "SPEC --cluster FILE",
     .summary = "print what a pod would write, with no Docker and no ZooKeeper",
     .details =
         "FILE is JSON, one of\n"
         "  what a leader sends: {\"pods\": {id: record}, \"dependencies\": {name: {id: record}},\n"
         "                        \"key\": id of the pod that renders}; \"members\" may be there\n"
         "  what templates see:  {\"pods\": [...], \"self\": {...}, \"index\", \"seq\", "
         "\"ordinal\", \"size\",\n"
         "                        \"dependencies\": {name: [...]}}\n"
         "A record needs \"ip\" and \"seq\". --key takes the place of the file's key.\n"
         "JSON: {\"files\": [{\"target\", \"content\", \"mode\", \"uid\", \"gid\", \"sha256\"}], "
         "\"environment\",\n\"command\", \"entrypoint\"}\n",
     .options = "jck",
     .args_min = 1,
     .args_max = 1,
     .run = render_run},
    {.name = "health",
     .args = "",
     .summary = "is the sidecar of this container alive (GET /livez)",
     .details =
         "For HEALTHCHECK: the port is the spec's or the environment's, as for the sidecar.\n"
         "Status 0 or 1; two seconds at most unless -t says otherwise.\n",
     .options = "tu",
     .run = health_run},
    {.name = "version",
     .args = "",
     .summary = "print the version",
     .options = "",
     .run = version_run},
};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static void print_usage(FILE *out) {
    fprintf(out, "usage: ocho VERB [options] [arguments]\n\n");
    for (size_t i = 0; i < VERBS; i++)
        fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(
        out,
        "\n`ocho VERB --help` says more. Clusters are read from ZooKeeper (--zk or "
        "OCHOPOD_ZK) or through any\none pod (--url http://host:port). A PATTERN is a glob over "
        "namespace.cluster, or over the\ncluster's name when it has no dot; the default is "
        "all.\nExit status: 0 done, 1 some pods failed, 2 usage or spec, 3 out of reach, 4 "
        "timeout.\n");
}

static const struct verb *find(const char *name) {
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int mistake(const char *what, const char *name) {
    fprintf(stderr, "ocho: %s%s (see ocho --help)\n", what, name);
    return EXIT_USAGE;
}

static int help(const char *name) {
    const struct verb *verb = name ? find(name) : NULL;
    if (name && !verb)
        return mistake("no such verb: ", name);
    if (verb)
        cli_help(verb);
    else
        print_usage(stdout);
    return EXIT_DONE;
}

int main(int argc, char **argv) {
    log_set_level(LOG_LEVEL_ERR);
    signal(SIGPIPE, SIG_IGN); // a reader that left (`| head`) is an error of write
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || !strcmp(argv[1], "-h"))
        return help(argc > 2 ? argv[2] : NULL);
    const struct verb *verb = find(strcmp(argv[1], "--version") ? argv[1] : "version");
    if (!verb)
        return mistake("no such verb: ", argv[1]);
    struct cli_options options;
    int status;
    if (cli_parse(verb, argc - 1, argv + 1, &options, &status))
        return status;
    status = verb->run(&options);
    cli_done(&options);
    return fflush(stdout) == 0 ? status : EXIT_SOME;
}
