// Keys that are more than a scalar: what a map may be written as, and what must hold within one
// map. shape.c reads, verify.c holds keys against each other.
#pragma once
#include "sidecar/spec/keys.h"

extern const struct key_map action_map, file_map;

key_read_fn shape_run, shape_exec, shape_probe_run, shape_action, shape_ulimits;
key_read_fn shape_tcp, shape_http, shape_check_exec, shape_docker;
key_read_fn shape_environment, shape_on_change, shape_template, shape_content, shape_mode,
    shape_owner;
key_read_fn shape_needs, shape_sequential, shape_files, shape_tools;
key_read_fn shape_ports, shape_verbatim;

void shape_after_action(struct reader *r, const struct entry *at, void *base);
void shape_after_sanity(struct reader *r, const struct entry *at, void *base);
void shape_after_container(struct reader *r, const struct entry *at, void *base);
void shape_after_stop(struct reader *r, const struct entry *at, void *base);
void shape_after_ready(struct reader *r, const struct entry *at, void *base);
void shape_after_check(struct reader *r, const struct entry *at, void *base);
void shape_after_workload(struct reader *r, const struct entry *at, void *base);
void shape_after_file(struct reader *r, const struct entry *at, void *base);

// What must hold in the whole, once environment and flags have had their say. root: the text's map.
void verify_spec(struct reader *r, const struct entry *root, const struct spec *spec);
