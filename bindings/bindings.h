// Where this pod runs: facts of the node. The door and the table (bindings.c); one file a binding.
// A binding is named by the user or else the first whose probe says yes is taken, in the table's
// order; the reason is logged. Also finds one's own container, reliably (self.c): candidates from
// mountinfo, cgroup, host name and Mesos, each inspected, then proven with a nonce file that only
// our own root file system can hold; asks a cloud's metadata service where there seems to be one
// (metadata.c) and reads a Mesos agent's files (agent.c). Knows nothing of pods or specs. Loop
// thread.
#pragma once
#include "base/http.h"
#include "base/json.h"
#include "base/loop.h"
#include "docker-api/docker.h"

struct binding_wish { // what the user said; borrowed for the call's life
    const char *name; // of a binding, or NULL
    char *const *env; // environ
    int port;         // control port
    bool local;       // ochopod_local: 127.0.0.1, whatever there is
    bool zk_given;    // ZooKeeper is known: no file of an agent is looked at
};

struct binding_facts {   // strings never NULL
    const char *binding; // its name in the table
    char *fwk;           // as Ochopod registers it: "marathon (debug)" in local mode, "compose"
    char *cluster, *namespace_; // "" when the binding has no opinion
    char *application, *task, *node;
    char *zone; // of the cloud's, "" when none is known
    char *slot; // what tells a scheduler's tasks of one service apart, "" when it has no such thing
    char *ip, *public_;
    char *zk;      // "" when it knows none
    json_t *ports; // label -> int, as others reach it at ip. Without the control port when nobody
                   // can reach that; it was said in the log then
    json_t *local; // label -> the port that a process of this pod binds for it, where it is another
                   // than the label: on the host's network it must be the one that was allotted
    struct docker_container *self; // our own container, NULL outside
};
void binding_facts_free(struct binding_facts *facts); // takes NULL
// The port to bind, and to ask within this pod, for `port`: itself, where local says nothing else.
int binding_local_port(const struct binding_facts *facts, int port);

// facts: the receiver frees. ERR_RETRY: we are in a container and the engine is away or does not
// answer: ask again once it is up. ERR_USER: what the user named or said cannot be.
typedef void binding_fn(struct binding_facts *facts, const struct err *err, void *arg);
struct binding_search;
// docker may be NULL or away: outside a container nothing is asked of it. fn is never called inside
// the call.
struct binding_search *bindings_find(struct loop *loop, struct http *http, struct docker *docker,
                                     const struct binding_wish *wish, binding_fn *fn, void *arg);
void bindings_cancel(struct binding_search **slot);
bool bindings_known(const char *name);
const char *bindings_names(void); // "compose, swarm, ...", for messages

// ---- self.c: what else the search is made of ----

typedef void binding_self_fn(struct docker_container *self, const struct err *err, void *arg);
struct binding_self;
bool binding_in_container(void);
// Our own container, proven; ERR_ABSENT: the engine has none that is us. wish is borrowed.
struct binding_self *binding_self_find(struct docker *docker, const struct binding_wish *wish,
                                       binding_self_fn *fn, void *arg);
void binding_self_cancel(struct binding_self **slot);
