// What environment and flags say over the text of the spec: Ochopod's names in lower case, the same
// in upper case, and DOCKER_HOST. An empty variable says nothing. The names that a framework sets
// (PORT_*, MARATHON_APP_ID, HOST, ...) are the bindings' business.
#pragma once
#include "sidecar/spec/keys.h"

// "cluster" finds ochopod_cluster or OCHOPOD_CLUSTER; NULL: not said. Two that differ are a
// complaint (report may be NULL).
const char *environ_find(char *const *environ_, const char *name, struct report *report);
void environ_read(char *const *environ_, struct spec *spec, struct report *report);
void environ_flags(const struct spec_flags *flags, struct spec *spec, struct report *report);
