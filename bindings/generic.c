// Some framework, or somebody, has set HOST to where others reach this machine: ours is the port
// that is published there. Nothing else is known; ZooKeeper may be found in a Mesos agent's files.
#include "base/check.h"
#include "bindings/agent.h"
#include "bindings/table.h"

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    const char *host = binding_env(scene->wish, "HOST");
    if (scene->wish->local || !host || !*host)
        return false;
    *ret_why = "HOST";
    return true;
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    const char *host = binding_env(scene->wish, "HOST");
    if (!host || !*host)
        return err_set(
            err, ERR_USER,
            "binding generic: HOST is not set: set it to this machine's name or address");
    facts->fwk = xstrdup(scene->wish->local ? "marathon (debug)" : "generic");
    facts->task = xstrdup(scene->self ? scene->self->name : "");
    facts->node = xstrdup(host);
    binding_address(scene, facts);
    facts->zk = agent_zk(scene->wish, host, !binding_on_host(scene));
    return 0;
}

const struct binding binding_generic = {.name = "generic", .probe = probe, .facts = find};
