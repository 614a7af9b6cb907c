// ocho: looks at clusters, steers their pods and waits for them, from a shell or from CI. main.c is
// the list of verbs, one file a verb, which holds its own row of the table. What it reads it reads
// from ZooKeeper (GetChildren and GetData alone) or from one pod's control port, and then asks the
// pods themselves; it never writes to ZooKeeper. Results go to stdout, everything else to stderr;
// progress only where stderr is a terminal.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_SOME = 1,  // some pods did not answer, failed, or are not what was waited for
    EXIT_USAGE = 2, // usage, spec, template
    EXIT_REACH = 3, // ZooKeeper or the pod of --url out of reach
    EXIT_TIME = 4,  // not so within the timeout
};

struct cli_options {
    char **args;        // NULL-ended, what is no option; borrowed
    char **args_sorted; // owned: args of a verb that takes foreign options
    const char *zk, *url;
    char **hidden; // owned, NULL-ended: what of these was given, no more to be seen in argv
    bool json, verbose, debug, follow, whole, force, session;
    int64_t *indices; // -i, owned
    size_t indices_len;
    int64_t timeout_ms;       // -1: the verb's own
    const char *state;        // --for
    int64_t pods, generation; // -1: any
    const char *cluster, *key, *junit;
    // Of what talks to Marathon.
    const char *namespace_, *suffix, *release, *image, *socket, *factor;
    char **overrides; // owned, NULL-ended; NULL: none
    bool strict, fifo, sidecar, dry;
    int pull;      // 1 always, 0 missing, -1: the file's kind says
    int64_t group; // -1: none
};

enum { CLI_MANY = 1000 }; // args_max of a verb that takes any number

struct verb {
    const char *name, *args, *summary;
    const char *details; // lines of --help, each ends in "\n"
    const char *options; // ids of options.c's table
    int args_min, args_max;
    bool foreign; // options that nobody here knows are arguments (exec: the tool's)
    int (*run)(const struct cli_options *options);
};

extern const struct verb *const cli_verbs[]; // NULL-ended, in the order of --help (main.c)

// 0, or -1 with *ret_status to exit with: help was printed or a mistake said.
int cli_parse(const struct verb *verb, int argc, char **argv, struct cli_options *ret,
              int *ret_status);
void cli_help(const struct verb *verb); // to stdout
void cli_done(struct cli_options *options);

// An option of a verb, as help, completion and the tests of the manual page see it; letter is 0
// where it has no short form, arg NULL where it takes no value.
struct cli_option {
    char letter;
    const char *name, *arg, *help;
};
// The n-th of this verb, from 0; false when there is none.
bool cli_option_of(const struct verb *verb, size_t n, struct cli_option *ret);

int cli_status(const struct err *err); // the exit status of its kind
// Says it on stderr; answers its exit status.
int cli_fail(const struct err *err);
void cli_print(const json_t *j, bool compact);
