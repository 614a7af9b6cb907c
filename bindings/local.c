// A process on a laptop or in CI, or a container somebody started by hand: nothing is known but
// what the environment says.
#include "base/check.h"
#include "bindings/table.h"
#include <unistd.h>

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    *ret_why = scene->self ? "a container without a framework's labels" : "not in a container";
    return true;
}

static char *node_name(const struct binding_scene *scene) {
    const char *host = binding_env(scene->wish, "HOST");
    char name[256] = "local";
    if (host && *host)
        return xstrdup(host);
    if (!scene->wish->local)
        gethostname(name, sizeof name - 1);
    return xstrdup(name);
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    (void)err;
    facts->fwk = xstrdup(scene->wish->local ? "marathon (debug)" : "local");
    facts->task = xstrdup(scene->self ? scene->self->name : "");
    facts->node = node_name(scene);
    binding_address(scene, facts);
    return 0;
}

const struct binding binding_local = {.name = "local", .probe = probe, .facts = find};
