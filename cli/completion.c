// What a shell completes: verbs, options and the words some options take come from the tables,
// cluster names from the program itself. A script of plain bash, installed with the program.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
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
        if (!strstr(cli_verbs[i]->args, kind))
            continue;
        printf("%s%s", bar, cli_verbs[i]->name);
        bar = "|";
    }
}

// What is behind an option, by how its argument is called: files, one of these words, or, for all
// others, what nobody can know.
static const struct {
    const char *arg, *offers;
} kinds[] = {{"FILE", "files"},
             {"STATE", "running ready stopped dead"},
             {"WHEN", "always missing"},
             {"", "none"}};

static size_t kind_of(const struct cli_option *option) {
    size_t i = 0;
    while (!text_starts(option->arg, kinds[i].arg))
        i++;
    return i;
}

static void print_values(size_t kind) {
    struct cli_option option;
    const char *bar = "";
    printf("    ");
    for (size_t i = 0; cli_verbs[i]; i++)
        for (size_t k = 0; cli_option_of(cli_verbs[i], k, &option); k++) {
            if (!option.arg || kind_of(&option) != kind)
                continue;
            printf("%s\"%s --%s\"", bar, cli_verbs[i]->name, option.name);
            bar = "|";
            if (option.letter)
                printf("|\"%s -%c\"", cli_verbs[i]->name, option.letter);
        }
    printf(") echo %s ;;\n", kinds[kind].offers);
}

static const char finders[] =
    "# As they were typed: bash cuts words at : = @ as well.\n"
    "_ocho_words() {\n"
    "    local line=$COMP_LINE word i\n"
    "    words=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $i == 0 || $line == [[:blank:]]* ]]; then\n"
    "            words+=(\"$word\")\n"
    "        else\n"
    "            words[-1]+=$word\n"
    "        fi\n"
    "        line=${line#\"${line%%[![:blank:]]*}\"}\n"
    "        line=${line#\"$word\"}\n"
    "    done\n"
    "}\n"
    "_ocho_clusters() {\n"
    "    local where=() i\n"
    "    for ((i = 2; i < ${#words[@]} - 1; i++)); do\n"
    "        case ${words[i]} in\n"
    "        --zk|--url) where+=(\"${words[i]}\" \"${words[i + 1]}\") ;;\n"
    "        --zk=*|--url=*) where+=(\"${words[i]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    [ -n \"${OCHOPOD_ZK:-}${ochopod_zk:-}${OCHOPOD_URL:-}${where[*]}\" ] || return\n"
    "    \"${words[0]}\" completion clusters \"${where[@]}\" 2>/dev/null\n"
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
    "}\n"
    "_ocho_files() {\n"
    "    local found\n"
    "    mapfile -t found < <(compgen -f -- \"$1\")\n"
    "    COMPREPLY+=(\"${found[@]}\")\n"
    "}\n";

static const char beginning[] =
    "_ocho() {\n"
    "    local words verb cur prev kind cuts=${COMP_WORDBREAKS//[!:=@]/}\n"
    "    COMPREPLY=()\n"
    "    _ocho_words\n"
    "    verb=${words[1]} cur=${words[-1]} prev=${words[-2]}\n"
    "    if [[ $cuts == *=* && $cur == --*=* ]]; then\n"
    "        prev=${cur%%=*} cur=${cur#*=}\n"
    "    fi\n"
    "    kind=$(_ocho_value \"$verb $prev\")\n"
    "    if [ ${#words[@]} = 2 ] || [ \"$verb\" = help ]; then\n"
    "        _ocho_offer \"$cur\" < <(_ocho_verbs)\n"
    "    elif [ \"$kind\" = files ]; then\n"
    "        _ocho_files \"$cur\"\n"
    "    elif [ -n \"$kind\" ]; then\n"
    "        [ \"$kind\" = none ] || _ocho_offer \"$cur\" < <(printf '%s\\n' $kind)\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        _ocho_offer \"$cur\" < <(_ocho_options \"$verb\")\n"
    "    else\n"
    "        case $verb in\n        ";

static const char end[] = ")\n"
                          "            _ocho_files \"$cur\" ;;\n"
                          "        esac\n"
                          "    fi\n"
                          "    # What stands before the last cut stays on the line.\n"
                          "    [ -z \"$cuts\" ] || cur=${cur%\"${cur##*[\"$cuts\"]}\"}\n"
                          "    [ -z \"$cuts\" ] || COMPREPLY=(\"${COMPREPLY[@]#\"$cur\"}\")\n"
                          "}\n"
                          "complete -o filenames -F _ocho ocho\n";

static int print_bash(void) {
    printf("# bash completion of ocho; written by `ocho completion bash`\n"
           "_ocho_verbs() {\n    printf '%%s\\n' ");
    print_verbs();
    printf("\n}\n_ocho_options() {\n    case $1 in\n");
    for (size_t i = 0; cli_verbs[i]; i++)
        print_options(cli_verbs[i]);
    printf("    esac\n}\n_ocho_value() {\n    case $1 in\n");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        print_values(i);
    printf("    esac\n}\n%s%s", finders, beginning);
    print_takers("PATTERN");
    printf(")\n            _ocho_offer \"$cur\" < <(_ocho_clusters) ;;&\n        exec|");
    print_takers("SPEC");
    printf("|");
    print_takers("FILE...");
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
    .summary = "print what completes a command line in bash, or the names of clusters",
    .details = "Example: source <(ocho completion bash)\n",
    .options = "zu",
    .args_min = 1,
    .args_max = 1,
    .run = run};
