// A scene for one binding: our container as the engine would describe it, an environment as a
// framework would set it, and the facts that follow.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/bindings.h"
#include "bindings/table.h"
#include <stdlib.h>
#include <string.h>

// ports: NetworkSettings.Ports as JSON text.
static inline struct docker_container *scene_container(const char *network, const char *labels,
                                                       const char *ports) {
    struct docker_container *c = xnew(struct docker_container);
    memset(c->id, 'a', 64);
    c->name = xstrdup("demo_zookeeper_2");
    c->hostname = xstrdup("abcdef012345");
    c->network_mode = xstrdup(network);
    c->ip = xstrdup("198.18.64.3");
    c->labels = json_loads(labels, 0, NULL);
    c->ports = json_loads(ports, 0, NULL);
    assert_non_null(c->labels);
    assert_non_null(c->ports);
    return c;
}

struct scene {
    struct docker_container *self; // NULL: no container
    bool contained;                // in one that the engine does not know
    struct metadata *cloud;
    bool local;
    struct binding_facts *facts;
    struct err err;
};

// environment: "NAME=value\nNAME=value"; values without newlines.
static inline int scene_ask(struct scene *s, const struct binding *b, const char *environment) {
    char **env = text_split(environment, "\n");
    struct binding_wish wish = {.env = env,
                                .port = 8080,
                                .local = s->local,
                                // of this machine nothing is read
                                .zk_given = !strstr(environment, "OCHOPOD_HOST_ROOT=")};
    struct binding_scene scene = {.wish = &wish,
                                  .self = s->self,
                                  .self_ip = s->self ? s->self->ip : "198.18.70.9",
                                  .contained = s->self || s->contained,
                                  .cloud = s->cloud};
    s->facts = xnew(struct binding_facts);
    s->facts->ports = json_object();
    s->facts->local = json_object();
    s->err = (struct err)ERR_INIT;
    const char *why;
    int rc = b->probe(&scene, &why) ? b->facts(&scene, s->facts, &s->err) : 1;
    text_list_free(env);
    return rc;
}

static inline void scene_done(struct scene *s) {
    binding_facts_free(s->facts);
    docker_container_free(s->self);
}

static inline int scene_port(const struct scene *s, const char *label) {
    return (int)json_integer_value(json_object_get(s->facts->ports, label));
}

// "8080=31786,2181=31787" in the order of the labels: all of it, nothing more.
static inline void scene_expect(const json_t *ports, const char *expected) {
    auto_text struct text all = {0};
    auto_free char *canonical = json_canonical(ports);
    for (char *c = canonical; *c; c++)
        if (!strchr("{}\"", *c))
            text_addc(&all, *c == ':' ? '=' : *c);
    assert_string_equal(text_str(&all), expected);
}

struct scene_line {
    const char *part;
    bool told;
};

static inline void scene_look(const char *line, size_t len, void *arg) {
    struct scene_line *sought = arg;
    auto_free char *text = xstrndup(line, len);
    sought->told |= strstr(text, "warn") && strstr(text, sought->part);
}

// What is left out is said, once for each.
static inline void scene_ignored(const char *const *variables, size_t n) {
    for (size_t i = 0; i < n; i++) {
        auto_free char *part = xasprintf("binding ignores \"%s\"", variables[i]);
        struct scene_line sought = {.part = part};
        log_each(scene_look, &sought);
        if (!sought.told)
            fail_msg("no warning: %s", part);
    }
}
