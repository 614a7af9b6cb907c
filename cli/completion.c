// What a shell completes: verbs, options and the words some options take come from the tables,
// cluster names from the program itself. A script of plain bash, installed with the program.
#include "base/check.h"
#include "base/own.h"
#include "cli/source.h"
#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 1000 }; // a person has pressed TAB

// ---- names of clusters: at once and silent, or none ----

// Whoever may write to ZooKeeper must not be able to write on somebody's command line.
static bool is_plain(const char *name) {
    return name[strspn(name,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
               '\0' &&
           *name != '-';
}

static int print_clusters(const struct cli_options *options) {
    struct err err = ERR_INIT;
    struct source *source;
    char *all[] = {NULL};
    if (source_open(options, WAIT_MS, &source, &err))
        return EXIT_REACH;
    auto_json json_t *clusters = source_read(source, all, &err);
    const char *name;
    json_t *cluster;
    json_object_foreach(clusters, name, cluster) {
        if (is_plain(name))
            printf("%s\n", name);
    }
    source_close(source);
    return clusters ? EXIT_DONE : EXIT_REACH;
}

// ---- the script ----

static void print_verbs(void) {
    for (size_t i = 0; cli_verbs[i]; i++)
        if (!cli_verbs[i]->hidden)
            printf("%s ", cli_verbs[i]->name);
    printf("help");
}

static void print_options(const struct verb *verb) {
    struct cli_option option;
    printf("    %s) printf '%%s\\n' ", verb->name);
    for (size_t i = 0; cli_option_of(verb, i, &option); i++) {
        if (option.letter)
            printf("-%c ", option.letter);
        printf("--%s ", option.name);
    }
    printf("--help ;;\n");
}

// Names of verbs whose arguments are of that kind, as a pattern of `case`.
static void print_takers(const char *kind) {
    const char *bar = "";
    for (size_t i = 0; cli_verbs[i]; i++) {
        if (cli_verbs[i]->hidden || !strstr(cli_verbs[i]->args, kind))
            continue;
        printf("%s%s", bar, cli_verbs[i]->name);
        bar = "|";
    }
}

static const char finders[] =
    "_ocho_clusters() {\n"
    "    local where=() i\n"
    "    for ((i = 2; i < COMP_CWORD - 1; i++)); do\n"
    "        [ \"${COMP_WORDS[i]}\" != --zk ] || where=(--zk \"${COMP_WORDS[i + 1]}\")\n"
    "    done\n"
    "    [ -n \"${OCHOPOD_ZK:-}${where[*]}\" ] || return\n"
    "    \"${COMP_WORDS[0]}\" completion clusters \"${where[@]}\" 2>/dev/null\n"
    "}\n"
    "# Word by word: `compgen -W` would run what stands in them.\n"
    "_ocho_offer() {\n"
    "    local word\n"
    "    while read -r word; do\n"
    "        case $word in\n"
    "        \"$1\"*) COMPREPLY+=(\"$word\") ;;\n"
    "        *.\"$1\"*) [[ ${word#*.} != \"$1\"* ]] || COMPREPLY+=(\"${word#*.}\") ;;\n"
    "        esac\n"
    "    done\n"
    "}\n";

static const char beginning[] =
    "_ocho() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local verb=${COMP_WORDS[1]} files=\"\" found=()\n"
    "    COMPREPLY=()\n"
    "    if [ \"$COMP_CWORD\" = 1 ] || [ \"$verb\" = help ]; then\n"
    "        _ocho_offer \"$cur\" < <(_ocho_verbs)\n"
    "    elif [ \"$prev\" = --for ]; then\n"
    "        _ocho_offer \"$cur\" < <(printf '%s\\n' running ready stopped dead)\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        _ocho_offer \"$cur\" < <(_ocho_options \"$verb\")\n"
    "    elif [[ $prev == --cluster || $prev == --junit || $prev == --overrides ]]; then\n"
    "        files=yes\n"
    "    else\n"
    "        case $verb in\n        ";

static const char end[] = ")\n"
                          "            files=yes ;;\n"
                          "        esac\n"
                          "    fi\n"
                          "    [ -z \"$files\" ] || mapfile -t found < <(compgen -f -- \"$cur\")\n"
                          "    COMPREPLY+=(\"${found[@]}\")\n"
                          "}\n"
                          "complete -o filenames -F _ocho ocho\n";

static int print_bash(void) {
    printf("# bash completion of ocho; written by `ocho completion bash`\n"
           "_ocho_verbs() {\n    printf '%%s\\n' ");
    print_verbs();
    printf("\n}\n_ocho_options() {\n    case $1 in\n");
    for (size_t i = 0; cli_verbs[i]; i++)
        if (!cli_verbs[i]->hidden)
            print_options(cli_verbs[i]);
    printf("    esac\n}\n%s%s", finders, beginning);
    print_takers("PATTERN");
    printf(")\n            _ocho_offer \"$cur\" < <(_ocho_clusters) ;;&\n        exec|");
    print_takers("SPEC");
    printf("%s", end);
    return EXIT_DONE;
}

static int run(const struct cli_options *options) {
    if (strcmp(options->args[0], "bash") == 0)
        return print_bash();
    if (strcmp(options->args[0], "clusters") == 0)
        return print_clusters(options);
    fprintf(stderr, "ocho completion: bash or clusters\n");
    return EXIT_USAGE;
}

const struct verb completion_verb = {
    .name = "completion",
    .args = "bash|clusters",
    .summary = "print a script for bash to complete ocho's command line, or cluster names alone",
    .details = "Example: source <(ocho completion bash)\n",
    .options = "zu",
    .args_min = 1,
    .args_max = 1,
    .hidden = true,
    .run = run};
