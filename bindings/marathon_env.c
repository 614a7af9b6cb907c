#include "bindings/marathon_env.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { CLUSTER_MAX = 200 };

static const char *prefixed(const struct binding_wish *wish, const char *prefix, const char *name) {
    auto_free char *full = xasprintf("%s%s", prefix, name);
    const char *value = binding_env(wish, full);
    return value && *value ? value : NULL;
}

static bool has_port(const struct binding_wish *wish, const char *prefix, const char *name) {
    const char *value = prefixed(wish, prefix, name);
    int64_t port;
    return value && text_int(value, 1, 65535, &port, NULL) == 0;
}

// "P_HOST=..." with "P_PORT0=31000" beside it. NULL: none, or several.
static char *only_prefix(const struct binding_wish *wish, const char *first, const char *second) {
    char *found = NULL;
    bool several = false;
    for (char *const *e = wish->env; e && *e && !several; e++) {
        size_t name = strcspn(*e, "="), tail = strlen(first);
        if (name <= tail || memcmp(*e + name - tail, first, tail) != 0)
            continue;
        auto_free char *prefix = xstrndup(*e, name - tail);
        if (!prefixed(wish, prefix, first) || !has_port(wish, prefix, second))
            continue;
        several = found && strcmp(found, prefix) != 0;
        if (!found)
            found = take_ptr(prefix);
    }
    if (several) {
        log_warn("binding: several variables look like Marathon's %s with a prefix: say which by "
                 "ochopod_env_vars_prefix",
                 first);
        free(found);
        found = NULL;
    }
    return found;
}

struct marathon_env marathon_env_find(const struct binding_wish *wish, const char *first,
                                      const char *second) {
    struct marathon_env env = {.wish = wish};
    const char *given = binding_setting(wish, "env_vars_prefix");
    if (given)
        env.prefix = xstrdup(given);
    else if (!prefixed(wish, "", first) || !has_port(wish, "", second))
        env.prefix = only_prefix(wish, first, second);
    if (!env.prefix)
        env.prefix = xstrdup("");
    return env;
}

void marathon_env_done(struct marathon_env *env) {
    free(env->prefix);
}

const char *marathon_env_get(const struct marathon_env *env, const char *name) {
    return prefixed(env->wish, env->prefix, name);
}

// An app's id is a path; a cluster's name is none.
static char *cluster_of(const char *application) {
    char *name = xstrndup(application, CLUSTER_MAX);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '-';
    if (!isalnum((unsigned char)*name))
        *name = '\0';
    return name;
}

void marathon_breadcrumbs(const struct binding_scene *scene, const char *fwk,
                          struct binding_facts *facts) {
    const char *id = binding_env(scene->wish, "MARATHON_APP_ID");
    const char *task = binding_env(scene->wish, "MESOS_TASK_ID");
    id = id && *id == '/' ? id + 1 : id ? id : "";
    facts->application = xstrdup(id);
    facts->task = xstrdup(task ? task : "");
    facts->cluster = cluster_of(id);
    if (scene->wish->local)
        facts->fwk = xstrdup("marathon (debug)");
    else
        facts->fwk = scene->cloud ? xasprintf("%s (ec2)", fwk) : xstrdup(fwk);
}

void marathon_node(const struct binding_scene *scene, const struct marathon_env *env,
                   struct binding_facts *facts) {
    const char *host = marathon_env_get(env, "HOST");
    facts->node = xstrdup(scene->cloud ? scene->cloud->instance : host ? host : "");
}

int marathon_place(const struct binding_scene *scene, const struct marathon_env *env,
                   struct binding_facts *facts, struct err *err) {
    const char *host = marathon_env_get(env, "HOST");
    const char *ip = scene->wish->local ? "127.0.0.1" : scene->cloud ? scene->cloud->ip : host;
    if (!ip)
        return err_set(
            err, ERR_USER,
            "binding: HOST is not set, so nobody knows where this pod is: where Marathon "
            "runs with --env_vars_prefix, say so by ochopod_env_vars_prefix");
    facts->ip = xstrdup(ip);
    if (scene->cloud)
        facts->public_ = xstrdup(scene->cloud->public_);
    marathon_node(scene, env, facts);
    return 0;
}
