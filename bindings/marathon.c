// A Marathon app in a Docker container (BRIDGE, HOST, or a network of its own), or one that Mesos
// runs itself. What a variable means depends on the network:
//   bridge            PORT_<container port> = a port of the host
//   host              PORT_<requested port> = the port of the host that was allotted: to be bound
//   container network PORT_<container port> = a port of the host where one was asked for, else the
//                     container port itself, at the container's own address; PORTS lists the
//                     host's alone
// Sources: Marathon 1.11, docs/task-environment-vars.md, docs/networking.md, EnvironmentHelper.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/agent.h"
#include "bindings/marathon_env.h"
#include "bindings/table.h"
#include <ctype.h>
#include <string.h>

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    const char *id = binding_env(scene->wish, "MARATHON_APP_ID");
    if (!id || !*id)
        return false;
    *ret_why = "MARATHON_APP_ID";
    return true;
}

// ---- ports ----

static bool listed(const char *list, int64_t port) {
    char **words = text_split(list ? list : "", ",");
    bool found = false;
    for (size_t i = 0; words[i] && !found; i++) {
        int64_t n;
        found = text_int(words[i], 1, 65535, &n, NULL) == 0 && n == port;
    }
    text_list_free(words);
    return found;
}

static bool network_of_its_own(const struct docker_container *self) {
    static const char *const others[] = {"host", "bridge", "default", "none", ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (text_same(self->network_mode, others[i]))
            return false;
    return !text_starts(self->network_mode, "container:");
}

// No port of the host leads to the control port, and none is needed: peers come to the container's
// own address.
static bool by_own_address(const struct binding_scene *scene, const struct marathon_env *env,
                           const json_t *published, const json_t *ports) {
    char control[16];
    snprintf(control, sizeof control, "%d", scene->wish->port);
    if (json_object_get(published, control))
        return false;
    if (scene->self)
        return network_of_its_own(scene->self);
    return json_integer_value(json_object_get(ports, control)) == scene->wish->port &&
           !listed(marathon_env_get(env, "PORTS"), scene->wish->port);
}

static void own_ports(const struct binding_scene *scene, const json_t *ports, json_t *ret) {
    const char *label;
    json_t *value;
    json_object_foreach((json_t *)ports, label, value) {
        int64_t own;
        if (text_int(label, 1, 65535, &own, NULL) == 0)
            json_object_set_new(ret, label, json_integer(own));
    }
    char control[16];
    snprintf(control, sizeof control, "%d", scene->wish->port);
    json_object_set_new(ret, control, json_integer(scene->wish->port));
}

static void say_unmapped(const struct binding_scene *scene) {
    int port = scene->wish->port;
    if (binding_on_host(scene))
        log_err("binding marathon: nobody can reach this pod: its control port %d is not among the "
                "app's ports. Add {\"port\": %d} to portDefinitions",
                port, port);
    else
        log_err("binding marathon: nobody can reach this pod: its control port %d is not mapped. "
                "Add {\"containerPort\": %d, \"hostPort\": 0} to the app's portMappings",
                port, port);
}

static int find_address(const struct binding_scene *scene, const struct marathon_env *env,
                        struct binding_facts *facts, struct err *err) {
    auto_json json_t *ports = json_object(), *published = json_object();
    if (scene->self && !binding_on_host(scene))
        binding_ports_published(scene->self, published);
    json_object_update(ports, published);
    binding_ports_from_env(scene->wish, env->prefix, true, ports);
    if (by_own_address(scene, env, published, ports)) {
        own_ports(scene, ports, facts->ports);
        marathon_node(scene, env, facts);
        facts->ip = xstrdup(scene->wish->local ? "127.0.0.1" : scene->self_ip);
        return 0;
    }
    json_object_update(facts->ports, ports);
    if (marathon_place(scene, env, facts, err))
        return -1;
    if (binding_on_host(scene))
        binding_bind_allotted(facts);
    if (!binding_control_mapped(scene, facts))
        say_unmapped(scene);
    return 0;
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    const char *why;
    if (!probe(scene, &why))
        return err_set(err, ERR_USER,
                       "binding marathon: MARATHON_APP_ID is not set: no Marathon "
                       "started this");
    struct marathon_env env = marathon_env_find(scene->wish, "HOST", "PORT0");
    marathon_breadcrumbs(scene, "marathon", facts);
    int rc = find_address(scene, &env, facts, err);
    if (rc == 0)
        facts->zk = agent_zk(scene->wish, marathon_env_get(&env, "HOST"), !binding_on_host(scene));
    marathon_env_done(&env);
    return rc;
}

const struct binding binding_marathon = {
    .name = "marathon", .metadata = METADATA_HELPS, .probe = probe, .facts = find};
