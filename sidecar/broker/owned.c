#include "base/check.h"
#include "base/own.h"
#include "sidecar/broker/broker_inside.h"
#include <string.h>

#define COMPOSE "com.docker.compose."

enum { ID_LEN = 64, KNOWN_MAX = 4096 };

bool owned_is_full_id(const char *id) {
    return id && strlen(id) == ID_LEN && strspn(id, "0123456789abcdef") == ID_LEN;
}

void owned_note(struct broker *b, const char *id, enum owned it) {
    if (json_object_size(b->known) >= KNOWN_MAX)
        json_object_clear(b->known); // they are looked at again
    json_object_set_new(b->known, id, json_integer(it));
}

// ---- adopted ----

static bool has_label(const struct docker_container *c, const char *pair) {
    const char *equals = strchr(pair, '=');
    auto_free char *key = equals ? xstrndup(pair, (size_t)(equals - pair)) : xstrdup(pair);
    const char *value = json_string_value(json_object_get(c->labels, key));
    return value && (!equals || strcmp(value, equals + 1) == 0);
}

static bool is_service(const struct broker *b, const struct docker_container *c,
                       const char *service) {
    static const char *const same[] = {COMPOSE "project", COMPOSE "container-number"};
    const struct docker_container *self = b->facts.self;
    for (size_t i = 0; self && i < sizeof same / sizeof *same; i++)
        if (strcmp(docker_container_label(c, same[i]), docker_container_label(self, same[i])) != 0)
            return false;
    return strcmp(docker_container_label(c, COMPOSE "service"), service) == 0;
}

static bool is_adopted(const struct broker *b, const struct docker_container *c) {
    const struct spec_workload *w = &b->spec->workload;
    if (w->image || *docker_container_label(c, LABEL_POD)) // or another sidecar's
        return false;
    if (w->container.id)
        return text_starts(c->id, w->container.id) || strcmp(c->name, w->container.id) == 0;
    if (w->container.name)
        return strcmp(c->name, w->container.name) == 0;
    if (w->container.label)
        return has_label(c, w->container.label);
    return w->container.service && is_service(b, c, w->container.service);
}

// ---- by what it says of itself ----

static enum owned role_of(const struct docker_container *c) {
    const char *role = docker_container_label(c, LABEL_ROLE);
    if (strcmp(role, "workload") == 0)
        return OWNED_WORKLOAD;
    if (strcmp(role, "holder") == 0)
        return OWNED_HOLDER;
    return strcmp(role, "oneshot") == 0 ? OWNED_ONESHOT : OWNED_NOT;
}

enum owned owned_judge(struct broker *b, const struct docker_container *c) {
    enum owned it = OWNED_NOT;
    if (b->facts.self && strcmp(c->id, b->facts.self->id) == 0)
        it = OWNED_SELF;
    else if (place_owns(b->place, c))
        it = role_of(c);
    else if (is_adopted(b, c))
        it = OWNED_ADOPTED;
    if (it == OWNED_ADOPTED) {
        free(b->adopted_image);
        b->adopted_image = xstrdup(c->image_id);
    }
    if (it != OWNED_NOT)
        owned_note(b, c->id, it);
    return it;
}

// ---- orphans ----

static void conclude(struct judging *j, enum owned it) {
    void (*then)(struct judging * j, enum owned it) = j->then;
    docker_container_free(j->found);
    j->found = NULL;
    then(j, it);
}

// Made by its sidecar or, by the look of it, without a name; what a user named is never removed.
static bool is_disposable(const struct docker_container *c, const char *volume) {
    auto_free char *made = xasprintf("ochopod-%s-", docker_container_label(c, LABEL_POD));
    return owned_is_full_id(volume) || text_starts(volume, made);
}

// It was asked to outlive its sidecar. One of our own pod is no orphan here.
static bool runs_on(const struct docker_container *c) {
    return c->running && strcmp(docker_container_label(c, LABEL_LIFETIME), "independent") == 0;
}

static void orphaned(struct judging *j) {
    struct broker *b = j->broker;
    const struct docker_container *c = j->found;
    if (runs_on(c)) {
        conclude(j, OWNED_NOT);
        return;
    }
    for (size_t i = 0; i < c->mounts_len; i++)
        if (is_disposable(c, c->mounts[i].name) && json_object_size(b->volumes) < KNOWN_MAX)
            json_object_set_new(b->volumes, c->mounts[i].name, json_true());
    owned_note(b, c->id, OWNED_ORPHAN);
    conclude(j, OWNED_ORPHAN);
}

static void owner_seen(struct docker_container *owner, const struct err *err, void *arg) {
    struct judging *j = arg;
    j->look = NULL;
    bool gone = owner ? place_is_over(owner) : err->kind == ERR_ABSENT;
    docker_container_free(owner);
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT)
        judge_fail(j, err);
    else if (gone)
        orphaned(j);
    else
        conclude(j, OWNED_NOT);
}

static void strange(struct judging *j) {
    const char *owner = docker_container_label(j->found, LABEL_OWNER);
    if (role_of(j->found) == OWNED_NOT || !*owner) {
        conclude(j, OWNED_NOT);
        return;
    }
    switch (place_fate(j->broker->place, owner)) {
    case OWNER_ALIVE:
    case OWNER_UNKNOWN:
        conclude(j, OWNED_NOT);
        return;
    case OWNER_GONE:
        orphaned(j);
        return;
    case OWNER_ASK:
        j->look = docker_inspect(j->broker->docker, owner, owner_seen, j);
        return;
    }
}

static void seen(struct docker_container *c, const struct err *err, void *arg) {
    struct judging *j = arg;
    j->look = NULL;
    if (err->kind == ERR_ABSENT) {
        j->then(j, OWNED_NOT);
        return;
    }
    if (err->kind != ERR_NONE) {
        judge_fail(j, err);
        return;
    }
    j->found = c;
    enum owned it = owned_judge(j->broker, c);
    if (it == OWNED_NOT)
        strange(j);
    else
        conclude(j, it);
}

void owned_find(struct judging *j, const char *id, void (*then)(struct judging *j, enum owned it)) {
    const json_t *known = json_object_get(j->broker->known, id);
    j->then = then;
    if (known)
        then(j, (enum owned)json_integer_value(known));
    else
        j->look = docker_inspect(j->broker->docker, id, seen, j);
}
