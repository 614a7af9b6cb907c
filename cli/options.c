#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/cli.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- what a value becomes: field is where the row says ----

static int take_flag(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)o;
    (void)value;
    (void)err;
    *(bool *)field = true;
    return 0;
}

static int take_word(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)o;
    (void)err;
    *(const char **)field = value;
    return 0;
}

// It may hold a password.
static int take_hidden(struct cli_options *o, void *field, const char *value, struct err *err) {
    size_t n = o->hidden ? text_list_len(o->hidden) : 0;
    o->hidden = xrealloc(o->hidden, (n + 2) * sizeof(*o->hidden));
    o->hidden[n] = text_withdraw((char *)value); // of argv
    o->hidden[n + 1] = NULL;
    return take_word(o, field, o->hidden[n], err);
}

static int take_count(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)o;
    return text_int(value, 1, 100000, field, err);
}

static int take_number(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)o;
    return text_int(value, 0, INT64_MAX, field, err);
}

static int take_indices(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)field;
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
static int take_time(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)o;
    int64_t seconds;
    if (text_int(value, 0, 1000000, &seconds, NULL) == 0)
        *(int64_t *)field = seconds * 1000;
    else if (text_duration(value, field, NULL))
        return err_set(err, ERR_USER, "\"%.40s\" is no time: seconds, or like 500ms or 2m", value);
    return 0;
}

static int take_url(struct cli_options *o, void *field, const char *value, struct err *err) {
    bool http = text_starts(value, "http://") && value[7];
    bool https = text_starts(value, "https://") && value[8];
    if (!http && !https)
        return err_set(err, ERR_USER, "\"%.80s\" must look like http://host:port", value);
    return take_hidden(o, field, value, err);
}

static int take_state(struct cli_options *o, void *field, const char *value, struct err *err) {
    static const char *const states[] = {"running", "ready", "stopped", "dead"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i], value) == 0)
            return take_word(o, field, value, err);
    return err_set(err, ERR_USER, "\"%.40s\" must be running, ready, stopped or dead", value);
}

static int take_overrides(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)field;
    char **words = text_split(value, ",");
    size_t n = text_list_len(words), had = o->overrides ? text_list_len(o->overrides) : 0;
    int failed = n ? 0 : err_set(err, ERR_USER, "names no file");
    o->overrides = xrealloc(o->overrides, (had + n + 1) * sizeof(*o->overrides));
    for (size_t i = 0; i < n; i++)
        o->overrides[had + i] = xstrdup(words[i]);
    o->overrides[had + n] = NULL;
    text_list_free(words);
    return failed;
}

static int take_pull(struct cli_options *o, void *field, const char *value, struct err *err) {
    (void)field;
    bool always = strcmp(value, "always") == 0;
    if (!always && strcmp(value, "missing") != 0)
        return err_set(err, ERR_USER, "\"%.40s\" must be always or missing", value);
    o->pull = always;
    return 0;
}

// ---- the table ----

#define FIELD(name) offsetof(struct cli_options, name)

// id: how verbs name it, unique here. letter: its short form, 0 without one; of the options of one
// verb no two have the same. numbers: further arguments that are numbers belong to it as well, as
// Ochothon's `-i 1 2 3`.
static const struct {
    char id, letter;
    const char *name, *arg, *help;
    int (*take)(struct cli_options *o, void *field, const char *value, struct err *err);
    size_t field;
    bool numbers;
} table[] = {
    {'j', 'j', "json", NULL, "JSON on one line", take_flag, FIELD(json), false},
    {'i', 'i', "indices", "N...", "only the pods with these numbers: 1,2 or 1 2", take_indices,
     FIELD(indices), true},
    {'I', 'i', "indices", "N,N", "only the pods with these numbers", take_indices, FIELD(indices),
     false},
    {'!', 0, "force", NULL, "without -i: all the pods that match", take_flag, FIELD(force), false},
    {'t', 't', "timeout", "TIME", "how long it may take: seconds, or like 500ms or 2m", take_time,
     FIELD(timeout_ms), false},
    {'f', 'f', "follow", NULL, "go on with each new line", take_flag, FIELD(follow), false},
    {'l', 'l', "long", NULL, "all that is kept, not the last 16 lines", take_flag, FIELD(whole),
     false},
    {'s', 0, "session", NULL, "drop the ZooKeeper session instead; the workload runs on", take_flag,
     FIELD(session), false},
    {'v', 'v', "verbose", NULL, "a line on stderr for each change", take_flag, FIELD(verbose),
     false},
    {'F', 0, "for", "STATE", "running (default), ready, stopped or dead", take_state, FIELD(state),
     false},
    {'p', 0, "pods", "N", "at least so many pods", take_count, FIELD(pods), false},
    {'g', 0, "generation", "N", "at least so many completed rounds", take_number, FIELD(generation),
     false},
    {'J', 0, "junit", "FILE", "write what happened, as CI reads it", take_word, FIELD(junit),
     false},
    {'c', 0, "cluster", "FILE", "the cluster to render for (- is stdin)", take_word, FIELD(cluster),
     false},
    {'k', 0, "key", "ID", "id of the pod that renders", take_word, FIELD(key), false},
    {'z', 0, "zk", "URL", "zk://[user:password@]host:port,.../chroot (default: $OCHOPOD_ZK)",
     take_hidden, FIELD(zk), false},
    {'u', 0, "url", "URL",
     "through this pod: http://host:port, no ZooKeeper (default: $OCHOPOD_URL)", take_url,
     FIELD(url), false},
    {'P', 'p', "pods", "N", "how many pods (default: 1)", take_count, FIELD(pods), false},
    {'N', 'n', "namespace", "NAME", "default: what a pod.yaml says, else marathon", take_word,
     FIELD(namespace_), false},
    {'o', 'o', "overrides", "FILE...", "settings by cluster, over those of the files: a.yml,b.yml",
     take_overrides, 0, false},
    {'x', 's', "suffix", "WORD", "the cluster becomes cluster-WORD", take_word, FIELD(suffix),
     false},
    {'r', 'r', "release", "TAG", "instead of the tag of the application's image", take_word,
     FIELD(release), false},
    {'V', 'v', "version", "TAG", "the tag to move to (default: latest)", take_word, FIELD(release),
     false},
    {'W', 0, "sidecar", NULL, "move the sidecar's own image, not the workload's", take_flag,
     FIELD(sidecar), false},
    {'X', 'f', "factor", "@N|xF|+N|-N", "to N pods, times F, N more, N less (default: +1)",
     take_word, FIELD(factor), false},
    {'G', 'g', "group", "N", "the app of the pod with this number", take_number, FIELD(group),
     false},
    {'O', 0, "fifo", NULL, "the oldest pods go first, not the newest", take_flag, FIELD(fifo),
     false},
    {'S', 0, "strict", NULL, "wait until all run and are ready, not until they are there",
     take_flag, FIELD(strict), false},
    {'=', 0, "force", NULL, "override the deployment that locks the app, instead of waiting",
     take_flag, FIELD(force), false},
    {'m', 0, "image", "IMAGE", "the sidecar's (default: ochopod/sidecar:latest)", take_word,
     FIELD(image), false},
    {'K', 0, "socket", "PATH", "the engine's on the agents (default: /var/run/docker.sock)",
     take_word, FIELD(socket), false},
    {'Q', 0, "pull", "WHEN", "always (default for Ochothon's files) or missing (for a pod.yaml)",
     take_pull, 0, false},
    {'Y', 0, "dry-run", NULL, "print the apps instead of posting them", take_flag, FIELD(dry),
     false},
    {'d', 'd', "debug", NULL, "each request on stderr", take_flag, FIELD(debug), false},
};
enum { OPTIONS = sizeof(table) / sizeof(table[0]), HELP = 1000 };

static bool takes(const struct verb *verb, size_t i) {
    return strchr(verb->options, table[i].id);
}

bool cli_option_of(const struct verb *verb, size_t n, struct cli_option *ret) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!takes(verb, i) || n--)
            continue;
        *ret = (struct cli_option){table[i].letter, table[i].name, table[i].arg, table[i].help};
        return true;
    }
    return false;
}

void cli_help(const struct verb *verb) {
    printf("usage: ocho %s%s%s%s\n\n%s.\n", verb->name, *verb->options ? " [options]" : "",
           *verb->args ? " " : "", verb->args, verb->summary);
    if (verb->details)
        printf("%s", verb->details);
    printf("\n");
    struct cli_option option;
    for (size_t i = 0; cli_option_of(verb, i, &option); i++) {
        char shorter[] = {'-', option.letter, ',', '\0'};
        auto_free char *spelled = xasprintf("--%s%s%s", option.name, option.arg ? " " : "",
                                            option.arg ? option.arg : "");
        printf("  %3s %-18s %s\n", option.letter ? shorter : "", spelled, option.help);
    }
    printf("  -h, --help\n");
}

// ---- parsing ----

static void describe(const struct verb *verb, struct option *ret_long, char *ret_short) {
    *ret_short++ = ':'; // a missing value is told apart, and getopt says nothing itself
    *ret_short++ = 'h';
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!takes(verb, i))
            continue;
        int has = table[i].arg ? required_argument : no_argument;
        *ret_long++ = (struct option){table[i].name, has, NULL, HELP + 1 + (int)i};
        if (!table[i].letter)
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

static size_t row_of(const struct verb *verb, int got) {
    size_t i = got > HELP ? (size_t)(got - HELP - 1) : 0;
    if (got <= HELP)
        while (i < OPTIONS && (table[i].letter != got || !takes(verb, i)))
            i++;
    CHECK(i < OPTIONS);
    return i;
}

static bool is_number(const char *s) {
    return s && *s && strspn(s, "0123456789,") == strlen(s);
}

// Row of an option as it is spelled in full, OPTIONS when there is none of this verb.
static size_t find_row(const struct verb *verb, const char *word) {
    size_t i = 0;
    bool is_long = text_starts(word, "--");
    for (; i < OPTIONS; i++) {
        size_t len = strlen(table[i].name);
        bool named = is_long && strncmp(word + 2, table[i].name, len) == 0 &&
                     (!word[2 + len] || word[2 + len] == '=');
        bool lettered = !is_long && table[i].letter && word[1] == table[i].letter &&
                        (!word[2] || table[i].arg);
        if (takes(verb, i) && (named || lettered))
            break;
    }
    return i;
}

// How many words from this one on are an option of ours with its values; 0: it is somebody else's.
static int own_words(const struct verb *verb, char *const *word) {
    if (strcmp(*word, "-h") == 0 || strcmp(*word, "--help") == 0)
        return 1;
    size_t row = word[0][0] == '-' && word[0][1] ? find_row(verb, *word) : OPTIONS;
    if (row == OPTIONS)
        return 0;
    int n = 1;
    bool glued = strchr(*word, '=') || (word[0][1] != '-' && word[0][2]);
    if (table[row].arg && !glued && word[n])
        n++;
    while (table[row].numbers && is_number(word[n]))
        n++;
    return n;
}

// A file that is no option's value came before: those behind -o are then its own, as Ochothon's
// `a.yml -o b.yml c.yml`. In `-o b.yml a.yml` the second is what is deployed.
static bool has_file_before(const struct verb *verb, char *const *argv, int end) {
    for (int i = 1, own; i < end; i += own ? own : 1) {
        own = own_words(verb, argv + i);
        if (!own && argv[i][0] != '-')
            return true;
    }
    return false;
}

static bool takes_more(const struct verb *verb, size_t row, char *const *argv, int at) {
    if (table[row].take != take_overrides)
        return table[row].numbers && is_number(argv[at]);
    return argv[at] && argv[at][0] != '-' && has_file_before(verb, argv, at);
}

static int take_option(struct cli_options *o, const struct verb *verb, int got, char **argv,
                       int *ret_status) {
    size_t i = row_of(verb, got);
    struct err err = ERR_INIT;
    void *field = (char *)o + table[i].field;
    int failed = table[i].take(o, field, optarg, &err);
    // getopt goes on behind them.
    while (!failed && takes_more(verb, i, argv, optind))
        failed = table[i].take(o, field, argv[optind++], &err);
    if (!failed)
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
    for (int i = 0; i < n && !verb->foreign; i++) { // they are names in JSON
        auto_json json_t *text = json_string(o->args[i]);
        if (!text)
            return end(o, ret_status, mistake(verb, "not UTF-8: ", o->args[i]));
    }
    return 0;
}

// Sorts argv of a verb with foreign options: ours to the front for getopt, *ret_own of them, a
// NULL, and all else in its order. What stands behind a "--" is never ours.
static char **sort_args(const struct verb *verb, int argc, char **argv, int *ret_own) {
    char **sorted = xcalloc((size_t)argc + 2, sizeof(char *));
    char **rest = xcalloc((size_t)argc + 1, sizeof(char *));
    int n = 0, rests = 0, i = 1;
    sorted[n++] = argv[0];
    while (i < argc && strcmp(argv[i], "--") != 0) {
        int own = own_words(verb, argv + i);
        for (int k = 0; k < own; k++)
            sorted[n++] = argv[i + k];
        if (!own)
            rest[rests++] = argv[i];
        i += own ? own : 1;
    }
    while (++i < argc)
        rest[rests++] = argv[i];
    memcpy(sorted + n + 1, rest, (size_t)rests * sizeof(char *));
    free(rest);
    *ret_own = n;
    return sorted;
}

int cli_parse(const struct verb *verb, int argc, char **argv, struct cli_options *ret,
              int *ret_status) {
    struct option longs[OPTIONS + 2];
    char shorts[2 * OPTIONS + 4];
    describe(verb, longs, shorts);
    *ret = (struct cli_options){
        .timeout_ms = -1, .pods = -1, .generation = -1, .group = -1, .pull = -1};
    if (verb->foreign)
        argv = ret->args_sorted = sort_args(verb, argc, argv, &argc);
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
        if (take_option(ret, verb, got, argv, ret_status))
            return -1;
    }
    ret->args = argv + (verb->foreign ? argc + 1 : optind);
    return check_args(ret, verb, ret_status);
}

void cli_done(struct cli_options *options) {
    free(options->indices);
    free(options->args_sorted);
    text_list_free(options->overrides);
    text_list_free(options->hidden);
    options->overrides = options->hidden = NULL;
    options->indices = NULL;
    options->args_sorted = NULL;
}

// ---- what verbs say at the end ----

int cli_fail(const struct err *err) {
    fprintf(stderr, "ocho: %s\n", err->text);
    return cli_status(err);
}

int cli_status(const struct err *err) {
    switch (err->kind) {
    case ERR_NONE:
        return EXIT_DONE;
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

void cli_print(const json_t *j, bool compact) {
    auto_free char *s = json_dumps(j, JSON_ENCODE_ANY | (compact ? JSON_COMPACT : JSON_INDENT(2)));
    CHECK(s);
    printf("%s\n", s);
}
