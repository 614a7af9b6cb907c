// A service of docker-compose 1.x or Compose v2: the labels of our own container say so. Sources:
// compose/const.py of 1.29, pkg/api/labels.go of v2.
#include "base/check.h"
#include "bindings/table.h"

static bool probe(const struct binding_scene *scene, const char **ret_why) {
    if (!scene->self || !*docker_container_label(scene->self, "com.docker.compose.service"))
        return false;
    *ret_why = "label com.docker.compose.service";
    return true;
}

static int find(const struct binding_scene *scene, struct binding_facts *facts, struct err *err) {
    if (!scene->self)
        return err_set(err, ERR_USER,
                       "binding compose: this process runs in no container of the engine's");
    const char *why;
    if (!probe(scene, &why))
        return err_set(err, ERR_USER,
                       "binding compose: our container has no label com.docker.compose.service: no "
                       "service of compose's is this");
    const char *service = docker_container_label(scene->self, "com.docker.compose.service");
    const char *project = docker_container_label(scene->self, "com.docker.compose.project");
    facts->fwk = xstrdup("compose");
    facts->cluster = xstrdup(service);
    facts->application = xasprintf("%s/%s", project, service);
    facts->task = xstrdup(scene->self->name);
    const char *host = binding_env(scene->wish, "HOST");
    facts->node = xstrdup(host ? host : scene->self->hostname);
    binding_address(scene, facts);
    return 0;
}

const struct binding binding_compose = {.name = "compose", .probe = probe, .facts = find};
