#include "base/log.h"
#include "cli/cli.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

// Each verb stands at the end of its own file, with all that --help says of it.
extern const struct verb ls_verb, grep_verb, info_verb, cluster_verb, port_verb, poll_verb;
extern const struct verb log_verb, check_verb, wait_verb;
extern const struct verb on_verb, off_verb, reset_verb, signal_verb, exec_verb;
extern const struct verb deploy_verb, scale_verb, bump_verb, kill_verb;
extern const struct verb sign_verb, validate_verb, render_verb, health_verb, version_verb,
    completion_verb;

const struct verb *const cli_verbs[] = {
    // look
    &ls_verb,
    &grep_verb,
    &info_verb,
    &cluster_verb,
    &port_verb,
    &poll_verb,
    &log_verb,
    &check_verb,
    &wait_verb,
    // steer
    &on_verb,
    &off_verb,
    &reset_verb,
    &signal_verb,
    &exec_verb,
    &sign_verb,
    // Marathon
    &deploy_verb,
    &scale_verb,
    &bump_verb,
    &kill_verb,
    // a spec, a container
    &validate_verb,
    &render_verb,
    &health_verb,
    &version_verb,
    &completion_verb,
    NULL,
};

static void print_usage(FILE *out) {
    fprintf(out, "usage: ocho VERB [options] [arguments]\n\n");
    for (size_t i = 0; cli_verbs[i]; i++)
        fprintf(out, "  %-10s %s\n", cli_verbs[i]->name, cli_verbs[i]->summary);
    fprintf(
        out,
        "\n`ocho VERB --help` says more. Clusters are read from ZooKeeper (--zk or "
        "OCHOPOD_ZK) or through any\none pod (--url http://host:port). A PATTERN is a glob over "
        "namespace.cluster, or over the\ncluster's name when it has no dot; the default is "
        "all.\nExit status: 0 done, 1 some pods failed, 2 usage or spec, 3 out of reach, 4 "
        "timeout.\n");
}

static const struct verb *find(const char *name) {
    for (size_t i = 0; cli_verbs[i]; i++)
        if (strcmp(cli_verbs[i]->name, name) == 0)
            return cli_verbs[i];
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

// It reads a token, and ZooKeeper's password.
static void leave_no_core(void) {
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // a core pattern that is a pipe has no limit
}

int main(int argc, char **argv) {
    leave_no_core();
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
    if (options.debug)
        log_set_level(LOG_LEVEL_DEBUG);
    status = verb->run(&options);
    cli_done(&options);
    return fflush(stdout) == 0 ? status : EXIT_SOME;
}
