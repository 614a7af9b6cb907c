// A task of a Swarm service: labels of our container say so. The routing mesh leads to any task of
// a service, so only a port published in mode=host, at $HOST, is an address of ours; else it is the
// container's on its overlay network. Sources: moby daemon/cluster/executor/container/container.go.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/table.h"
#include <stdlib.h>
#include <string.h>

#define LABEL(word) "com.docker.swarm." word

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    if (!scene->self || !*docker_container_label(scene->self, LABEL("task.id")))
        return false;
    *ret_why = "label com.docker.swarm.task.id";
    return true;
}

// Of a stack "demo" the service "demo_zookeeper" is zookeeper.
static char *cluster_of(const struct docker_container *self) {
    const char *service = docker_container_label(self, LABEL("service.name"));
    const char *stack = docker_container_label(self, "com.docker.stack.namespace");
    auto_free char *prefix = xasprintf("%s_", stack);
    return xstrdup(*stack && text_starts(service, prefix) ? service + strlen(prefix) : service);
}

// "<service>.<slot or node>.<task>": the middle.
static char *slot_of(const struct docker_container *self) {
    const char *name = docker_container_label(self, LABEL("task.name"));
    const char *service = docker_container_label(self, LABEL("service.name"));
    auto_free char *prefix = xasprintf("%s.", service);
    if (!text_starts(name, prefix))
        return xstrdup("");
    name += strlen(prefix);
    return xstrndup(name, strcspn(name, "."));
}

// The routing mesh and the gateway are everybody's; of what is left the first by name.
static const char *overlay_address(const struct binding_scene *scene) {
    const char *found = NULL, *found_name = NULL, *name;
    json_t *network;
    json_object_foreach(scene->self->networks, name, network) {
        const char *ip = json_text(network, "IPAddress");
        bool shared = text_same(name, "ingress") || text_same(name, "docker_gwbridge");
        if (shared || !*ip || (found && strcmp(name, found_name) > 0))
            continue;
        found = ip;
        found_name = name;
    }
    return found ? found : scene->self_ip;
}

static void find_address(const struct binding_scene *scene, struct binding_facts *facts) {
    const char *host = binding_env(scene->wish, "HOST");
    char control[16];
    snprintf(control, sizeof control, "%d", scene->wish->port);
    auto_json json_t *published = json_object();
    binding_ports_published(scene->self, published);
    bool by_host = host && *host && json_object_get(published, control);
    if (by_host || binding_on_host(scene)) {
        binding_address(scene, facts);
        return;
    }
    if (host && *host)
        log_info("binding swarm: HOST=%s is left aside: port %s is not published in mode=host",
                 host, control);
    else if (json_object_get(published, control))
        log_info("binding swarm: port %s is published in mode=host, but HOST is not set: peers "
                 "come to the task's own address",
                 control);
    facts->ip = xstrdup(scene->wish->local ? "127.0.0.1" : overlay_address(scene));
    binding_ports_from_env(scene->wish, "", false, facts->ports);
    if (!binding_control_mapped(scene, facts))
        json_object_set_new(facts->ports, control, json_integer(scene->wish->port));
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    if (!scene->self)
        return err_set(err, ERR_USER,
                       "binding swarm: this process runs in no container of the engine's");
    const char *why;
    if (!probe(scene, &why))
        return err_set(
            err, ERR_USER,
            "binding swarm: our container has no label com.docker.swarm.task.id: no task "
            "of a Swarm service is this");
    const char *host = binding_env(scene->wish, "HOST");
    facts->fwk = xstrdup(scene->wish->local ? "marathon (debug)" : "swarm");
    facts->cluster = cluster_of(scene->self);
    facts->application = xstrdup(docker_container_label(scene->self, LABEL("service.name")));
    facts->task = xstrdup(docker_container_label(scene->self, LABEL("task.name")));
    facts->node = xstrdup(host && *host ? host
                                        : docker_container_label(scene->self, LABEL("node.id")));
    facts->slot = slot_of(scene->self);
    find_address(scene, facts);
    log_info("binding swarm service=%s slot=%s", facts->application, facts->slot);
    return 0;
}

const struct binding binding_swarm = {.name = "swarm", .probe = probe, .facts = find};
