// Where the sidecar stands on this engine, and what follows for its containers: owner, names,
// labels, network. Worked out once from the binding's facts; pure but for place_make (reads /proc).
#pragma once
#include "bindings/bindings.h"
#include "base/text.h"
#include "base/wire.h"
#include "sidecar/spec/spec.h"

#define LABEL_ROLE    "io.ochopod.role"    // workload, holder, oneshot, volume
#define LABEL_CLUSTER "io.ochopod.cluster" // marathon.zookeeper
#define LABEL_POD     "io.ochopod.pod"     // pod id
// The sidecar's container, or host:<boot>:<pid of init>:<its start>:<PID namespace>.
#define LABEL_OWNER "io.ochopod.owner"
// The task of Marathon or Swarm that the owner is: neither starts a container a second time.
#define LABEL_TASK     "io.ochopod.task"
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
    bool engine_is_here; // reached by a unix socket: all that it runs is of this machine
    bool shares_network; // the workload lives in ours
    const json_t *local; // of the facts, borrowed; NULL where the workload has a network of its own
    char *pod_id, *full_name;
};

struct place *place_make(const struct spec *spec, const struct binding_facts *facts,
                         const char *pod_id, const char *full_name);
void place_free(struct place *place); // takes NULL
// Whether what the spec checks by tcp or http can be reached; a complaint is a line of report.
// ERR_USER.
int place_verify(const struct place *place, const struct spec *spec, struct text *report,
                 struct err *err) must_check;
// What a clerk does (clerk.h): when a process started, for place_fate where we have no files.
#define PLACE_START "process start"
void place_start_duty(struct wire *request, struct text *answer, const void *arg);
// Notes which boot and which init this is, for the worker and whatever it forks; before that.
void place_here(void);
// The port that the workload binds for `port`: itself, or what was allotted on the host's network.
int place_port(const struct place *place, int port);
// The workload has a network of its own, and so an address that only the engine knows.
bool place_is_apart(const struct place *place);
// {role, cluster, pod, owner, and task if there is one}; new reference.
json_t *place_labels(const struct place *place, const char *role);
// Name of the volume of ours for what the image declares at `path`; caller frees.
char *place_volume(const struct place *place, const char *path);
// The task that this container is to Mesos or Swarm; "" where none made it. Caller keeps c.
const char *place_task(const struct docker_container *c);
// Gone for good, although its container lies there: it is being removed, or was a task that ended.
bool place_is_over(const struct docker_container *c);
// A container of this pod, or of a former pod of this sidecar: what may be changed.
bool place_owns(const struct place *place, const struct docker_container *c);

// ASK: a container: the engine knows. UNKNOWN: a process that we do not see: as if it were alive.
enum owner_fate { OWNER_ALIVE, OWNER_GONE, OWNER_ASK, OWNER_UNKNOWN };
enum owner_fate place_fate(const struct place *place, const char *owner);
