// Inside of bindings/: what one binding is. The search (bindings.c) has found our own container, if
// we are in one, before any of these is asked; all of them answer at once.
#pragma once
#include "bindings/bindings.h"

struct binding_scene { // what a binding may look at
    const struct binding_wish *wish;
    const struct docker_container *self; // NULL outside a container
    const char
        *self_ip; // first address of our own network that is not loopback, "127.0.0.1" if none
};

struct binding {
    const char *name;
    // Does it look as if we ran there? why: what was seen, for the log.
    bool (*probe)(const struct binding_scene *scene, const char **ret_why);
    int (*facts)(const struct binding_scene *scene, struct binding_facts *facts, struct err *err);
};

extern const struct binding binding_compose;
extern const struct binding binding_local;

// ---- shared by bindings (facts.c) ----
const char *binding_env(const struct binding_wish *wish, const char *name); // NULL when unset
// Adds PORT_<label>=<n> of the environment; one that is no number is left out with a warning.
void binding_ports_from_env(const struct binding_wish *wish, json_t *ports);
// Adds "<container port>": <host port> of what the engine publishes for our container over TCP
// (IPv4 entries).
void binding_ports_published(const struct docker_container *self, json_t *ports);
// Peers reach us at $HOST and our published ports, when HOST is set; else at our own address and
// our own ports.
void binding_address(const struct binding_scene *scene, struct binding_facts *facts);

// ---- self.c ----
typedef void binding_self_fn(struct docker_container *self, const struct err *err, void *arg);
struct binding_self;
bool binding_in_container(void);
// Our own container, proven; ERR_ABSENT: the engine has none that is us.
struct binding_self *binding_self_find(struct docker *docker, binding_self_fn *fn, void *arg);
void binding_self_cancel(struct binding_self **slot);
