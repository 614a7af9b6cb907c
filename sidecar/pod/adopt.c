#include "base/check.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// The container the spec names: by compose service (same project, same container-number), label,
// name or id. It must be reachable, and nobody else may restart it behind our back.

#define COMPOSE "com.docker.compose."

static bool is_reachable(const struct pod *pod, const struct docker_container *c) {
    const struct docker_container *self = pod->place->self;
    if (pod->spec->workload.address || strcmp(c->network_mode, pod->place->home_network) == 0)
        return true;
    if (!self && strcmp(c->network_mode, "host") == 0)
        return true;
    // Compose writes container:<name or id> as it was at the time.
    return self && text_starts(c->network_mode, "container:") &&
           (text_starts(self->id, c->network_mode + strlen("container:")) ||
            strcmp(self->name, c->network_mode + strlen("container:")) == 0);
}

static int accept(const struct pod *pod, const struct docker_container *c, struct err *err) {
    const char *policy = c->restart_policy;
    const struct docker_container *self = pod->place->self;
    if (self && strcmp(c->id, self->id) == 0)
        return err_set(err, ERR_REFUSED,
                       "container %s is this sidecar's own: name the application's", c->name);
    const char *name = pod->spec->workload.container.name;
    if (name &&
        strcmp(c->name, name) != 0) // the engine takes the beginning of an id for a name, too
        return err_set(err, ERR_REFUSED, "container.name %s is an id: say container.id", name);
    if (*docker_container_label(c, LABEL_POD))
        return err_set(err, ERR_REFUSED,
                       "container %s was made by a sidecar, for pod %s: name the application's",
                       c->name, docker_container_label(c, LABEL_POD));
    if (*policy && strcmp(policy, "no") != 0)
        return err_set(err, ERR_REFUSED,
                       "container %s has restart policy %s: Docker would restart it behind our "
                       "back; set restart: \"no\"",
                       c->name, policy);
    if (!is_reachable(pod, c))
        return err_set(err, ERR_REFUSED,
                       "container %s is not in the sidecar's network: give it network_mode "
                       "service:<sidecar>, or set workload.address",
                       c->name);
    return 0;
}

// Shared by name and at the same path: there our renames are its renames.
static void find_roots(struct pod *pod, const struct docker_container *c) {
    const struct docker_container *self = pod->place->self;
    if (pod->roots)
        text_list_free(pod->roots);
    pod->roots = xcalloc((self ? self->mounts_len : 0) + 1, sizeof *pod->roots);
    size_t n = 0;
    for (size_t i = 0; self && i < self->mounts_len; i++)
        for (size_t k = 0; k < c->mounts_len; k++) {
            const struct docker_mount *a = &self->mounts[i], *b = &c->mounts[k];
            if (*a->name && strcmp(a->name, b->name) == 0 &&
                strcmp(a->destination, b->destination) == 0)
                pod->roots[n++] = xstrdup(a->destination);
        }
}

static void inspected(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    struct err why = *err;
    run->call = NULL;
    if (why.kind == ERR_ABSENT)
        err_set(&why, ERR_REFUSED, "the container to adopt is not there yet");
    if (why.kind == ERR_NONE && accept(pod, c, &why)) {
        docker_container_free(c);
        c = NULL;
    }
    if (c) {
        find_roots(pod, c);
        state_set(&pod->adopted_image, c->image_id);
    }
    run->adopted(run, c, &why);
}

static void listed(const json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    struct err why = *err;
    size_t n = json_array_size(answer);
    if (why.kind == ERR_NONE && n != 1)
        err_set(&why, ERR_REFUSED,
                n ? "%zu containers are what the spec names; it must be one"
                  : "the container to adopt is not there yet (%zu found)",
                n);
    if (why.kind != ERR_NONE) {
        run->adopted(run, NULL, &why);
        return;
    }
    run->call = docker_inspect(pod->docker, json_text(json_array_get(answer, 0), "Id"), inspected,
                               run);
}

static json_t *service_filter(const struct pod *pod, const char *service) {
    const struct docker_container *self = pod->place->self;
    json_t *labels = json_array();
    static const char *const same[] = {COMPOSE "project", COMPOSE "container-number"};
    for (size_t i = 0; self && i < 2; i++) {
        auto_free char *label = xasprintf("%s=%s", same[i], docker_container_label(self, same[i]));
        json_array_append_new(labels, json_string(label));
    }
    auto_free char *label = xasprintf("%sservice=%s", COMPOSE, service);
    json_array_append_new(labels, json_string(label));
    json_array_append_new(labels, json_string(COMPOSE "oneoff=False"));
    return json_pack("{s:o}", "label", labels);
}

void adopt_find(struct run *run,
                void (*fn)(struct run *run, struct docker_container *c, const struct err *err)) {
    struct pod *pod = run->pod;
    run->adopted = fn;
    const char *exact = pod->spec->workload.container.id ? pod->spec->workload.container.id
                                                         : pod->spec->workload.container.name;
    if (exact) {
        run->call = docker_inspect(pod->docker, exact, inspected, run);
        return;
    }
    const char *label = pod->spec->workload.container.label;
    auto_json json_t *filters = label ? json_pack("{s:[s]}", "label", label)
                                      : service_filter(pod, pod->spec->workload.container.service);
    run->call = docker_list(pod->docker, true, filters, listed, run);
}
