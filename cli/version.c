#include "cli/cli.h"
#include <stdio.h>

int version_run(const struct cli_options *options) {
    (void)options;
    printf("ocho %s\n", OCHOPOD_VERSION);
    return EXIT_DONE;
}
