// A machine of EC2 without a framework that we know, or Marathon there when it is named: addresses,
// node and zone as the metadata service says. Taken by itself only where others can come in by the
// machine's address: on its network, or by a published control port.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/agent.h"
#include "bindings/table.h"

static bool published(const struct binding_scene *scene) {
    auto_json json_t *ports = json_object();
    char control[16];
    snprintf(control, sizeof control, "%d", scene->wish->port);
    if (scene->self)
        binding_ports_published(scene->self, ports);
    return json_object_get(ports, control) != NULL;
}

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    const char *off = binding_env(scene->wish, "AWS_EC2_METADATA_DISABLED");
    if (scene->wish->local || text_same(off, "true") ||
        !(binding_on_host(scene) || published(scene)) || !agent_on_ec2(scene->wish))
        return false;
    *ret_why = "the machine's own words";
    return true;
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    static const struct binding *const frameworks[] = {&binding_marathon_pod, &binding_marathon};
    for (size_t i = 0; i < sizeof frameworks / sizeof *frameworks; i++) {
        const char *why;
        if (frameworks[i]->probe(scene, &why))
            return frameworks[i]->facts(scene, facts, err);
    }
    facts->fwk = xstrdup(scene->wish->local ? "marathon (debug)" : "ec2");
    facts->task = xstrdup(scene->self ? scene->self->name : "");
    facts->node = xstrdup(scene->cloud->instance);
    facts->public_ = xstrdup(scene->cloud->public_);
    binding_at_host(scene, scene->cloud->ip, facts);
    facts->zk = agent_zk(scene->wish, scene->cloud->ip, !binding_on_host(scene));
    return 0;
}

const struct binding binding_ec2 = {
    .name = "ec2", .metadata = METADATA_NEEDED, .probe = probe, .facts = find};
