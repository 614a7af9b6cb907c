// What Marathon's apps and pods have in common: its variables, whatever prefix they were given
// (--env_vars_prefix), and the names under which Ochopod registers them. Pure but for the log.
#pragma once
#include "bindings/table.h"

struct marathon_env {
    const struct binding_wish *wish; // borrowed
    char *prefix;                    // "" mostly
};
// The prefix P is what ochopod_env_vars_prefix says; else "" where `first` and `second` are set as
// they are; else the one and only P for which P<first> is set and P<second> holds a number.
struct marathon_env marathon_env_find(const struct binding_wish *wish, const char *first,
                                      const char *second);
void marathon_env_done(struct marathon_env *env);
// Value of <prefix><name>; NULL when unset or empty.
const char *marathon_env_get(const struct marathon_env *env, const char *name);

// application (the app's id without its slash), task, cluster, fwk: `fwk`, "<fwk> (ec2)" when the
// metadata service answered, "marathon (debug)" in local mode.
void marathon_breadcrumbs(const struct binding_scene *scene, const char *fwk,
                          struct binding_facts *facts);
// node: the instance where there is one, else $HOST.
void marathon_node(const struct binding_scene *scene, const struct marathon_env *env,
                   struct binding_facts *facts);
// node, and ip and public of the host: as the metadata service says, else $HOST. ERR_USER: neither.
int marathon_place(const struct binding_scene *scene, const struct marathon_env *env,
                   struct binding_facts *facts, struct err *err);
