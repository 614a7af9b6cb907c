// Inside of bindings/: what one binding is. The search (bindings.c) has found our own container, if
// we are in one, and has asked the metadata service, if the binding wants it, before facts is
// called; probe and facts answer at once.
#pragma once
#include "bindings/bindings.h"
#include "bindings/metadata.h"

struct binding_scene { // what a binding may look at
    const struct binding_wish *wish;
    const struct docker_container *self; // NULL outside a container
    const char
        *self_ip;   // first address of our own network that is not loopback, "127.0.0.1" if none
    bool contained; // in some container, also one that the engine does not know
    const struct metadata *cloud; // NULL: not asked, or nothing there
};

struct binding {
    const char *name;
    // HELPS: the service is asked where the machine looks like one that has it, and may fail.
    // NEEDED: without its answer the next binding is asked; one that was named is an error.
    enum { METADATA_NEVER, METADATA_HELPS, METADATA_NEEDED } metadata;
    // Does it look as if we ran there? why: what was seen, for the log.
    bool (*probe)(const struct binding_scene *scene, const char **ret_why);
    int (*facts)(const struct binding_scene *scene, struct binding_facts *facts, struct err *err);
};

extern const struct binding binding_compose;
extern const struct binding binding_swarm;
extern const struct binding binding_marathon_pod;
extern const struct binding binding_marathon;
extern const struct binding binding_ec2;
extern const struct binding binding_generic;
extern const struct binding binding_local;

// bindings.c: the address that peers on our network see: the first that is up and not loopback,
// IPv4 before IPv6; "127.0.0.1" if none.
struct ifaddrs;
void binding_first_address(const struct ifaddrs *all, char *ret, size_t size);

// ---- shared by bindings (facts.c) ----
const char *binding_env(const struct binding_wish *wish, const char *name); // NULL when unset
// "env_vars_prefix": ochopod_env_vars_prefix, else the same in capitals; NULL when unset or empty.
const char *binding_setting(const struct binding_wish *wish, const char *name);
// The host's own network is ours: its network mode says so, or we are a process in no container.
bool binding_on_host(const struct binding_scene *scene);
// Adds <prefix>PORT_<label>=<n> of the environment; one that is no number is left out with a
// warning. numbers_only: labels that are no number, too.
void binding_ports_from_env(const struct binding_wish *wish, const char *prefix, bool numbers_only,
                            json_t *ports);
// Adds "<container port>": <host port> of what the engine publishes for our container over TCP
// (IPv4 entries).
void binding_ports_published(const struct docker_container *self, json_t *ports);
// What must be bound on the host's network is what was allotted: fills facts->local from
// facts->ports.
void binding_bind_allotted(struct binding_facts *facts);
// Is the control port among facts->ports?
bool binding_control_mapped(const struct binding_scene *scene, const struct binding_facts *facts);
// Peers reach us at `host`, a name or an address, and our published ports.
void binding_at_host(const struct binding_scene *scene, const char *host,
                     struct binding_facts *facts);
// Peers reach us at $HOST and our published ports, when HOST is set; else at our own address and
// our own ports.
void binding_address(const struct binding_scene *scene, struct binding_facts *facts);
