#include "cli/cli.h"
#include <stdio.h>

static int run(const struct cli_options *options) {
    (void)options;
    printf("ocho %s\n", OCHOPOD_VERSION);
    return EXIT_DONE;
}

const struct verb version_verb = {
    .name = "version", .args = "", .summary = "print the version", .options = "", .run = run};
