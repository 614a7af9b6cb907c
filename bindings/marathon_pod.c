// A container of a Marathon pod. Mesos runs it, not Docker: the engine does not know it, and what
// the engine starts cannot join its network. So the pod must use the host's network: the endpoints'
// ports are then allotted ports of the host, and the workload gets the host's network as well.
// An endpoint has a name and, there, no port of its own: which one it stands for is in the name.
//   control        the control port
//   2181, p2181, port-2181, tcp-2181: 2181
// Sources: Marathon 1.11, TaskGroupBuilder, docs/pods.md.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/agent.h"
#include "bindings/marathon_env.h"
#include "bindings/table.h"
#include <string.h>

#define EP_HOST      "EP_HOST_"
#define EP_CONTAINER "EP_CONTAINER_"

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    const char *id = binding_env(scene->wish, "MARATHON_APP_ID");
    const char *container = binding_env(scene->wish, "MARATHON_CONTAINER_ID");
    if (!id || !*id || !container || !*container)
        return false;
    *ret_why = "MARATHON_CONTAINER_ID";
    return true;
}

// NULL: the name stands for no port. The variable's name is in capitals, '-' is '_'.
static char *label_of(const struct binding_wish *wish, const char *name) {
    static const char *const words[] = {"PORT_", "TCP_", "P", ""};
    int64_t port;
    if (text_same(name, "CONTROL"))
        return xasprintf("%d", wish->port);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_starts(name, words[i]) &&
            text_int(name + strlen(words[i]), 1, 65535, &port, NULL) == 0)
            return xasprintf("%d", (int)port);
    return NULL;
}

static void add_endpoint(const struct binding_wish *wish, const char *name, const char *value,
                         json_t *ports) {
    int64_t port;
    auto_free char *label = label_of(wish, name);
    const char *wrong = NULL;
    if (text_int(value, 1, 65535, &port, NULL))
        wrong = "not a port number";
    else if (!label)
        wrong = "the name stands for no port: call the endpoint port-<number>, or control";
    if (!wrong) {
        json_object_set_new(ports, label, json_integer(port));
        return;
    }
    auto_text struct text quoted = {0};
    auto_free char *both = xasprintf(EP_HOST "%s=%s", name, value);
    text_quote(&quoted, both, 120);
    log_warn("binding ignores %s: %s", text_str(&quoted), wrong);
}

static void add_endpoints(const struct marathon_env *env, json_t *ports) {
    auto_free char *start = xasprintf("%s" EP_HOST, env->prefix);
    for (char *const *e = env->wish->env; e && *e; e++) {
        const char *name = text_starts(*e, start) ? *e + strlen(start) : NULL;
        const char *eq = name ? strchr(name, '=') : NULL;
        if (!eq || eq == name)
            continue;
        auto_free char *word = xstrndup(name, (size_t)(eq - name));
        add_endpoint(env->wish, word, eq + 1, ports);
    }
}

// "P_EP_HOST_CONTROL" has the prefix "P_"; Marathon sets ENDPOINT_<name> with the same beside it.
static char *prefix_of(const struct binding_wish *wish) {
    const char *given = binding_setting(wish, "env_vars_prefix");
    for (char *const *e = wish->env; !given && e && *e; e++) {
        auto_free char *name = xstrndup(*e, strcspn(*e, "="));
        const char *at = strstr(name, EP_HOST);
        if (!at || at == name)
            continue;
        auto_free char *twin = xasprintf("%.*sENDPOINT_%s", (int)(at - name), name,
                                         at + strlen(EP_HOST));
        if (binding_env(wish, twin))
            return xstrndup(name, (size_t)(at - name));
    }
    return xstrdup(given ? given : "");
}

// Only a network of the pod's own has container ports.
static const char *container_port(const struct marathon_env *env) {
    auto_free char *start = xasprintf("%s" EP_CONTAINER, env->prefix);
    for (char *const *e = env->wish->env; e && *e; e++)
        if (text_starts(*e, start))
            return *e;
    return NULL;
}

static int check_network(const struct marathon_env *env, struct err *err) {
    const char *seen = container_port(env);
    if (!seen)
        return 0;
    auto_text struct text quoted = {0};
    text_quote(&quoted, seen, 80);
    return err_set(
        err, ERR_USER,
        "binding marathon-pod: %s: this pod has a network of its own, which no container "
        "of the engine's can join: use \"networks\": [{\"mode\": \"host\"}]",
        text_str(&quoted));
}

static int find_address(const struct binding_scene *scene, struct marathon_env *env,
                        struct binding_facts *facts, struct err *err) {
    if (check_network(env, err))
        return -1;
    add_endpoints(env, facts->ports);
    binding_bind_allotted(facts);
    free(env->prefix);
    env->prefix = xstrdup(""); // HOST has none in pods
    if (marathon_place(scene, env, facts, err))
        return -1;
    if (!binding_control_mapped(scene, facts))
        log_err("binding marathon-pod: nobody can reach this pod: no endpoint is called control. "
                "Add {\"name\": \"control\", \"hostPort\": 0} to this container's endpoints");
    return 0;
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    const char *why;
    if (!probe(scene, &why))
        return err_set(err, ERR_USER,
                       "binding marathon-pod: MARATHON_APP_ID and MARATHON_CONTAINER_ID are not "
                       "set: this is no container of a Marathon pod");
    struct marathon_env env = {.wish = scene->wish, .prefix = prefix_of(scene->wish)};
    marathon_breadcrumbs(scene, "marathon", facts);
    int rc = find_address(scene, &env, facts, err);
    if (rc == 0)
        facts->zk = agent_zk(scene->wish, marathon_env_get(&env, "HOST"), false);
    marathon_env_done(&env);
    return rc;
}

const struct binding binding_marathon_pod = {
    .name = "marathon-pod", .metadata = METADATA_HELPS, .probe = probe, .facts = find};
