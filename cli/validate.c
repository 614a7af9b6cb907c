#include "base/text.h"
#include "cli/cli.h"
#include "sidecar/render/render.h"
#include "sidecar/spec/spec.h"
#include <stdio.h>

extern char **environ;

static int validate(const char *path) {
    struct spec_flags flags = {.spec = path, .port = -1};
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    int failed = spec_load(&flags, environ, &spec, &report, &err);
    if (!failed)
        failed = render_check(spec, &report, &err);
    spec_free(spec);
    if (failed)
        fprintf(stderr, "%s", report.len ? text_str(&report) : err.text);
    if (failed && !text_ends(report.len ? text_str(&report) : err.text, "\n"))
        fprintf(stderr, "\n");
    return failed;
}

static int run(const struct cli_options *options) {
    int status = EXIT_DONE;
    for (char **path = options->args; *path; path++) {
        if (validate(*path))
            status = EXIT_USAGE;
        else
            printf("%s: good\n", *path);
    }
    return status;
}

const struct verb validate_verb = {
    .name = "validate",
    .args = "SPEC...",
    .summary = "check specs, then the syntax of their templates; every mistake with its line",
    .details = "Needs neither Docker nor ZooKeeper. The environment counts, as it does for the\n"
               "sidecar. Status 2 when there is a mistake.\n",
    .options = "",
    .args_min = 1,
    .args_max = 64,
    .run = run};
