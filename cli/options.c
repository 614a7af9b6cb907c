#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/cli.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_json(struct cli_options *o, const char *value, struct err *err) {
    (void)value;
    (void)err;
    o->json = true;
    return 0;
}

static int take_verbose(struct cli_options *o, const char *value, struct err *err) {
    (void)value;
    (void)err;
    o->verbose = true;
    return 0;
}

static int take_follow(struct cli_options *o, const char *value, struct err *err) {
    (void)value;
    (void)err;
    o->follow = true;
    return 0;
}

static int take_indices(struct cli_options *o, const char *value, struct err *err) {
    char **words = text_split(value, ", ");
    int failed = words[0] ? 0 : err_set(err, ERR_USER, "a list of numbers like 0,2");
    for (size_t i = 0; words[i] && !failed; i++) {
        int64_t n;
        failed = text_int(words[i], 0, INT64_MAX, &n, err);
        if (failed)
            continue;
        o->indices = xrealloc(o->indices, (o->indices_len + 1) * sizeof(*o->indices));
        o->indices[o->indices_len++] = n;
    }
    text_list_free(words);
    return failed;
}

// Ochothon's are plain seconds.
static int take_timeout(struct cli_options *o, const char *value, struct err *err) {
    int64_t seconds;
    if (text_int(value, 0, 1000000, &seconds, NULL) == 0)
        o->timeout_ms = seconds * 1000;
    else if (text_duration(value, &o->timeout_ms, NULL))
        return err_set(err, ERR_USER, "\"%.40s\" is no time: seconds, or like 500ms or 2m", value);
    return 0;
}

static int take_zk(struct cli_options *o, const char *value, struct err *err) {
    (void)err;
    o->zk = value;
    return 0;
}

static int take_url(struct cli_options *o, const char *value, struct err *err) {
    if (!text_starts(value, "http://") || !value[7])
        return err_set(err, ERR_USER, "\"%.80s\" must look like http://host:port", value);
    o->url = value;
    return 0;
}

static int take_state(struct cli_options *o, const char *value, struct err *err) {
    static const char *const states[] = {"running", "ready", "stopped", "dead"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i], value) == 0) {
            o->state = value;
            return 0;
        }
    return err_set(err, ERR_USER, "\"%.40s\" must be running, ready, stopped or dead", value);
}

static int take_pods(struct cli_options *o, const char *value, struct err *err) {
    return text_int(value, 1, 100000, &o->pods, err);
}

static int take_generation(struct cli_options *o, const char *value, struct err *err) {
    return text_int(value, 0, INT64_MAX, &o->generation, err);
}

static int take_cluster(struct cli_options *o, const char *value, struct err *err) {
    (void)err;
    o->cluster = value;
    return 0;
}

static int take_key(struct cli_options *o, const char *value, struct err *err) {
    (void)err;
    o->key = value;
    return 0;
}

// letter: how verbs name it; an upper-case one has no short form.
static const struct {
    char letter;
    const char *name, *arg, *help;
    int (*take)(struct cli_options *o, const char *value, struct err *err);
    bool is_long_only;
} table[] = {
    {'j', "json", NULL, "JSON on one line", take_json, false},
    {'i', "indices", "N,N", "only the pods with these sequence numbers", take_indices, false},
    {'t', "timeout", "TIME", "how long it may take: seconds, or like 500ms or 2m", take_timeout,
     false},
    {'f', "follow", NULL, "go on with each new line", take_follow, false},
    {'v', "verbose", NULL, "a line on stderr for each change", take_verbose, false},
    {'F', "for", "STATE", "running (default), ready, stopped or dead", take_state, true},
    {'p', "pods", "N", "at least so many pods", take_pods, true},
    {'g', "generation", "N", "at least so many completed rounds", take_generation, true},
    {'c', "cluster", "FILE", "the cluster to render for (- is stdin)", take_cluster, true},
    {'k', "key", "ID", "id of the pod that renders", take_key, true},
    {'z', "zk", "URL", "zk://[user:password@]host:port,.../chroot (default: $OCHOPOD_ZK)", take_zk,
     true},
    {'u', "url", "URL", "through this pod: http://host:port, no ZooKeeper", take_url, true},
};
enum { OPTIONS = sizeof(table) / sizeof(table[0]), HELP = 1000 };

static bool takes(const struct verb *verb, size_t i) {
    return strchr(verb->options, table[i].letter);
}

void cli_help(const struct verb *verb) {
    printf("usage: ocho %s%s%s%s\n\n%s.\n", verb->name, *verb->options ? " [options]" : "",
           *verb->args ? " " : "", verb->args, verb->summary);
    if (verb->details)
        printf("%s", verb->details);
    printf("\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!takes(verb, i))
            continue;
        char shorter[] = {'-', table[i].letter, ',', '\0'};
        auto_free char *spelled = xasprintf("--%s%s%s", table[i].name, table[i].arg ? " " : "",
                                            table[i].arg ? table[i].arg : "");
        printf("  %3s %-18s %s\n", table[i].is_long_only ? "" : shorter, spelled, table[i].help);
    }
    printf("  -h, --help\n");
}

static void describe(const struct verb *verb, struct option *ret_long, char *ret_short) {
    *ret_short++ = ':'; // a missing value is told apart, and getopt says nothing itself
    *ret_short++ = 'h';
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!takes(verb, i))
            continue;
        int has = table[i].arg ? required_argument : no_argument;
        *ret_long++ = (struct option){table[i].name, has, NULL, HELP + 1 + (int)i};
        if (table[i].is_long_only)
            continue;
        *ret_short++ = table[i].letter;
        if (table[i].arg)
            *ret_short++ = ':';
    }
    *ret_long++ = (struct option){"help", no_argument, NULL, 'h'};
    *ret_long = (struct option){0};
    *ret_short = '\0';
}

static int end(struct cli_options *o, int *ret_status, int status) {
    cli_done(o);
    *ret_status = status;
    return -1;
}

static int mistake(const struct verb *verb, const char *what, const char *which) {
    fprintf(stderr, "ocho %s: %s%s (see ocho %s --help)\n", verb->name, what, which, verb->name);
    return EXIT_USAGE;
}

static int take_option(struct cli_options *o, const struct verb *verb, int got, int *ret_status) {
    size_t i = got > HELP ? (size_t)(got - HELP - 1) : 0;
    if (got <= HELP)
        while (i < OPTIONS && (table[i].letter != got || !takes(verb, i)))
            i++;
    CHECK(i < OPTIONS);
    struct err err = ERR_INIT;
    if (table[i].take(o, optarg, &err) == 0)
        return 0;
    auto_free char *name = xasprintf("--%s: ", table[i].name);
    return end(o, ret_status, mistake(verb, name, err.text));
}

static int check_args(struct cli_options *o, const struct verb *verb, int *ret_status) {
    int n = (int)text_list_len(o->args);
    if (n < verb->args_min)
        return end(o, ret_status, mistake(verb, "missing: ", verb->args));
    if (n > verb->args_max)
        return end(o, ret_status, mistake(verb, "one too many: ", o->args[verb->args_max]));
    return 0;
}

int cli_parse(const struct verb *verb, int argc, char **argv, struct cli_options *ret,
              int *ret_status) {
    struct option longs[OPTIONS + 2];
    char shorts[2 * OPTIONS + 4];
    describe(verb, longs, shorts);
    *ret = (struct cli_options){.timeout_ms = -1, .pods = -1, .generation = -1};
    optind = 0; // glibc: from the start, also a second time
    opterr = 0;
    int got;
    while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (got == 'h') {
            cli_help(verb);
            return end(ret, ret_status, EXIT_DONE);
        }
        if (got == ':' || got == '?')
            return end(ret, ret_status,
                       mistake(verb, got == ':' ? "a value is missing after " : "no such option: ",
                               argv[optind - 1]));
        if (take_option(ret, verb, got, ret_status))
            return -1;
    }
    ret->args = argv + optind;
    return check_args(ret, verb, ret_status);
}

void cli_done(struct cli_options *options) {
    free(options->indices);
    options->indices = NULL;
}

int cli_fail(const struct err *err) {
    fprintf(stderr, "ocho: %s\n", err->text);
    switch (err->kind) {
    case ERR_USER:
    case ERR_LIMIT:
        return EXIT_USAGE;
    case ERR_RETRY:
    case ERR_DETACHED:
        return EXIT_REACH;
    case ERR_TIMEOUT:
        return EXIT_TIME;
    default:
        return EXIT_SOME;
    }
}

const char *cli_pattern(const struct cli_options *options) {
    return options->args[0] ? options->args[0] : "*";
}

void cli_print(const json_t *j, bool compact) {
    auto_free char *s = json_dumps(j, JSON_ENCODE_ANY | (compact ? JSON_COMPACT : JSON_INDENT(2)));
    CHECK(s);
    printf("%s\n", s);
}
