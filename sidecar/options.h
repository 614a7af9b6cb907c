// argv of the sidecar. Flags win over the environment, which wins over the spec file.
#pragma once
#include "sidecar/spec/spec.h"
#include <stdbool.h>

struct options {
    struct spec_flags flags;
};

// 0: go on. -1: the program ends with *ret_status (help, version: 0; a mistake: 2, said on stderr).
int options_parse(int argc, char **argv, struct options *ret, int *ret_status);
