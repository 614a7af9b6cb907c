// ocho: looks at clusters and waits for them, from a shell or from CI. main.c is the table of
// verbs, one file a verb. What it reads it reads from ZooKeeper (GetChildren and GetData alone) or
// from one pod's control port, and then asks the pods themselves; it never writes. Results go to
// stdout, everything else to stderr; progress only where stderr is a terminal.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_SOME = 1,  // some pods did not answer, or are not what was waited for
    EXIT_USAGE = 2, // usage, spec, template
    EXIT_REACH = 3, // ZooKeeper or the pod of --url out of reach
    EXIT_TIME = 4,  // not so within the timeout
};

struct cli_options {
    char **args; // NULL-ended, what is no option; borrowed from argv
    const char *zk, *url;
    bool json, verbose, follow;
    int64_t *indices; // -i, owned
    size_t indices_len;
    int64_t timeout_ms;       // -1: the verb's own
    const char *state;        // --for
    int64_t pods, generation; // -1: any
    const char *cluster, *key;
};

struct verb {
    const char *name, *args, *summary;
    const char *details; // lines of --help, each ends in "\n"
    const char *options; // letters of options.c's table
    int args_min, args_max;
    int (*run)(const struct cli_options *options);
};

// 0, or -1 with *ret_status to exit with: help was printed or a mistake said.
int cli_parse(const struct verb *verb, int argc, char **argv, struct cli_options *ret,
              int *ret_status);
void cli_help(const struct verb *verb); // to stdout
void cli_done(struct cli_options *options);

// Says it on stderr; answers the exit status of its kind.
int cli_fail(const struct err *err);
// The pattern of a verb's first argument, "*" without one.
const char *cli_pattern(const struct cli_options *options);
void cli_print(const json_t *j, bool compact);

int ls_run(const struct cli_options *options);
int grep_run(const struct cli_options *options);
int info_run(const struct cli_options *options);
int log_run(const struct cli_options *options);
int wait_run(const struct cli_options *options);
int validate_run(const struct cli_options *options);
int render_run(const struct cli_options *options);
int health_run(const struct cli_options *options);
int version_run(const struct cli_options *options);
