// Images, volumes and execs of the engine.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "tests/fake/engine.h"
#include "tests/fake/engine_inside.h"
#include <string.h>

// ---- images ----

// "a" and "a:latest" are one name.
static char *full_name(const char *name) {
    const char *slash = strrchr(name, '/');
    bool tagged = strchr(slash ? slash : name, ':') || strchr(name, '@');
    return tagged ? xstrdup(name) : xasprintf("%s:latest", name);
}

void engine_image_add(struct engine *e, const char *name, const json_t *config) {
    auto_free char *key = full_name(name);
    char digest[65];
    engine_new_id(e, "1a1a", digest);
    auto_free char *id = xasprintf("sha256:%s", digest);
    json_object_set_new(e->images, key,
                        json_pack("{s:s, s:[s], s:o}", "Id", id, "RepoTags", key, "Config",
                                  config ? json_deep_copy(config) : json_object()));
}

bool engine_image_remove(struct engine *e, const char *name) {
    auto_free char *key = full_name(name);
    return json_object_del(e->images, key) == 0;
}

struct engine_reply engine_image_inspect(struct engine *e, const char *name) {
    auto_free char *key = full_name(name);
    json_t *image = json_object_get(e->images, key), *other;
    const char *other_name;
    json_object_foreach(e->images, other_name, other) {
        if (!image && strcmp(json_text(other, "Id"), name) == 0)
            image = other;
    }
    if (!image)
        return engine_refusal(404, "No such image: %s", name);
    return (struct engine_reply){200, json_incref(image)};
}

// ---- volumes ----

struct engine_reply engine_volume_create(struct engine *e, const char *name, const json_t *labels) {
    json_t *volume = json_object_get(e->volumes, name);
    if (!volume) {
        auto_free char *created = engine_stamp(engine_now(e));
        auto_free char *at = xasprintf("/var/lib/docker/volumes/%s/_data", name);
        volume = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "Name", name, "Driver", "local",
                           "Mountpoint", at, "Scope", "local", "CreatedAt", created, "Labels",
                           labels ? json_deep_copy(labels) : json_object());
        json_object_set_new(e->volumes, name, volume);
    }
    return (struct engine_reply){201, json_incref(volume)};
}

static bool is_used(struct engine *e, const char *name) {
    struct engine_container *c;
    list_each(c, engine_containers(e), struct engine_container, link) {
        for (size_t i = 0; i < json_array_size(c->mounts); i++)
            if (strcmp(json_text(json_array_get(c->mounts, i), "Name"), name) == 0)
                return true;
    }
    return false;
}

struct engine_reply engine_volume_list(struct engine *e, const json_t *filters) {
    const json_t *names = json_object_get(filters, "name");
    json_t *list = json_array(), *volume;
    const char *name;
    json_object_foreach(e->volumes, name, volume) {
        bool named = json_array_size(names) == 0;
        for (size_t i = 0; i < json_array_size(names); i++)
            named = named || strstr(name, json_string_value(json_array_get(names, i)));
        if (named && engine_has_labels(json_object_get(volume, "Labels"), filters))
            json_array_append(list, volume);
    }
    return (struct engine_reply){200, json_pack("{s:o, s:n}", "Volumes", list, "Warnings")};
}

struct engine_reply engine_volume_remove(struct engine *e, const char *name) {
    if (!json_object_get(e->volumes, name))
        return engine_refusal(404, "get %s: no such volume", name);
    if (is_used(e, name))
        return engine_refusal(409, "remove %s: volume is in use", name);
    json_object_del(e->volumes, name);
    return (struct engine_reply){204, NULL};
}

// ---- execs ----

struct engine_reply engine_exec_create(struct engine *e, const char *ref, const json_t *body) {
    const struct engine_container *c = engine_find(e, ref);
    if (!c)
        return engine_refusal(404, "No such container: %s", ref);
    if (c->status == ENGINE_PAUSED)
        return engine_refusal(409, "Container %s is paused, unpause the container before exec",
                              c->id);
    if (c->status != ENGINE_RUNNING)
        return engine_refusal(409, "Container %s is not running", c->id);
    if (json_array_size(json_object_get(body, "Cmd")) == 0)
        return engine_refusal(400, "No exec command specified");
    char id[65];
    engine_new_id(e, "e0e0", id);
    json_object_set_new(e->execs, id,
                        json_pack("{s:s, s:o, s:b, s:n}", "container", c->id, "body",
                                  json_deep_copy(body), "running", 1, "code"));
    return (struct engine_reply){201, json_pack("{s:s}", "Id", id)};
}

const json_t *engine_exec_body(struct engine *e, const char *exec_id, const char **ret_container) {
    const json_t *exec = json_object_get(e->execs, exec_id);
    *ret_container = json_text(exec, "container");
    return json_object_get(exec, "body");
}

void engine_exec_end(struct engine *e, const char *exec_id, int exit_code) {
    json_t *exec = json_object_get(e->execs, exec_id);
    json_object_set_new(exec, "running", json_false());
    json_object_set_new(exec, "code", json_integer(exit_code));
}

// One that has ended is forgotten with the answer: the engine keeps them for minutes, a benchmark
// would keep them for ever.
struct engine_reply engine_exec_inspect(struct engine *e, const char *exec_id) {
    auto_json json_t *exec = json_incref(json_object_get(e->execs, exec_id));
    if (!exec)
        return engine_refusal(404, "No such exec instance: %s", exec_id);
    if (json_is_false(json_object_get(exec, "running")))
        json_object_del(e->execs, exec_id);
    return (struct engine_reply){
        200, json_pack("{s:s, s:O, s:O, s:i, s:O}", "ID", exec_id, "Running",
                       json_object_get(exec, "running"), "ExitCode", json_object_get(exec, "code"),
                       "Pid", 4242, "ContainerID", json_object_get(exec, "container"))};
}
