// Where the sidecar stands on this engine, and what follows for its containers: owner, names,
// labels, network. Worked out once from the binding's facts; pure but for place_make (reads /proc).
#pragma once
#include "bindings/bindings.h"
#include "sidecar/spec/spec.h"

#define LABEL_ROLE     "io.ochopod.role"    // workload, holder, oneshot, volume
#define LABEL_CLUSTER  "io.ochopod.cluster" // marathon.zookeeper
#define LABEL_POD      "io.ochopod.pod"     // pod id
#define LABEL_OWNER    "io.ochopod.owner"   // the sidecar's container, or host:<boot>:<pid>:<start>
#define LABEL_LIFETIME "io.ochopod.lifetime" // of a workload: coupled, independent
#define LABEL_CONFIG   "io.ochopod.config"   // digest of the body it was created from

struct place {
    const struct docker_container *self; // NULL outside a container
    char *owner;
    char *run;       // owner and its start: after another start its network is another one
    char run_id[17]; // of it, for others to compare
    char *name;
    char *fallback_name; // when another container has the first
    char *network;       // NetworkMode of the workload
    char *home_network;  // of whoever must reach the sidecar's own namespace: the holder
    bool shares_network; // the workload lives in ours
    char *pod_id, *full_name;
};

struct place *place_make(const struct spec *spec, const struct binding_facts *facts,
                         const char *pod_id, const char *full_name);
void place_free(struct place *place); // takes NULL
// {role, cluster, pod, owner}; new reference.
json_t *place_labels(const struct place *place, const char *role);
// Name of the volume of ours for what the image declares at `path`; caller frees.
char *place_volume(const struct place *place, const char *path);
// A container of this pod, or of a former pod of this sidecar: what may be changed.
bool place_owns(const struct place *place, const struct docker_container *c);

enum owner_fate { OWNER_ALIVE, OWNER_GONE, OWNER_ASK }; // ASK: a container: the engine knows
enum owner_fate place_fate(const struct place *place, const char *owner);
