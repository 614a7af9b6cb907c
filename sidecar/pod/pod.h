// The workload's life. What the pod is has two halves, as a service manager's: what is DESIRED (by
// the last accepted request: on, off, dead) and what IS (by inspect, never by belief: an event is
// only a reason to look). The table (pod_fsm.c) has an answer for every state and event; the shell
// tests conditions, names the event, and carries out the effects; one function writes the state.
//
// Requests (check on off ok kill signal) are taken one at a time in order; a request whose budget
// is over before it began is never begun (408); one that has begun goes on, and the same (epoch,
// round, task) asked again attaches to it or gets the recorded answer. Who decides, in this order:
// dead (only an operator's on wakes it); an operator's off (holds against rounds, until on); the
// newest round; a crash (restart with back-off while desired is on). fence.h says who may be heard.
//
// The workload's container is found by our labels and full id, inspected, and adopted as it is when
// it still runs with what is in force: a restarted worker disturbs nothing. An exit code is
// evidence, never truth: "done" needs a live-seen exit 0 that neither we nor the engine caused. A
// successor is never started before inspect says the old one is not running. Engine away: 503 to
// check and on; what is true is asked again when it is back. Loop thread. Owns the workload, the
// holder's container, hooks in flight. Knows no ZooKeeper, no HTTP server.
#pragma once
#include "bindings/bindings.h"
#include "docker-api/docker.h"
#include "sidecar/cluster/cluster.h"
#include "sidecar/render/render.h"
#include "sidecar/spec/spec.h"
#include "sidecar/state/state.h"
#include "sidecar/uploads.h"

enum pod_task { POD_CHECK, POD_ON, POD_OFF, POD_OK, POD_KILL, POD_SIGNAL, POD_TASKS };
extern const char *const pod_task_names[POD_TASKS];

enum pod_scope {
    POD_OPERATOR, // no epoch and no body: always heard
    POD_ORIGINAL, // no epoch but a body: an original leader, heard while /pods holds an original
                  // pod
    POD_LEADER,   // carries an epoch
};

struct pod_request {
    enum pod_task task;
    enum pod_scope scope;
    const char *target; // X-Ochopod-Target, or NULL
    const char *tree;   // of X-Ochopod-Epoch "<tree>/<czxid>", or NULL
    int64_t epoch, round;
    int64_t budget_ms;
    const char *body; // copied
    size_t body_len;
    bool *ret_first; // of a leader's phase and round: set before the reply when none came before.
                     // NULL: nobody asks. Not touched once the ask is over or forgotten
};
// err.kind ERR_NONE: done (200); else the kind says the code. answer: JSON for the body, or NULL
// ({}); borrowed.
typedef void pod_reply_fn(const json_t *answer, const struct err *err, void *arg);

// What the pod must know of ZooKeeper, asked when it matters; answers on the loop, never inside the
// call.
typedef void pod_witness_fn(const char *tree, bool has_original, const struct err *err, void *arg);

// The bytes of /proposal, borrowed: what a leader's body refers to where it would be large. fresh:
// not from a server that lags behind. written: by which transaction of ZooKeeper (mzxid). Answers
// on the loop, never inside the call, once.
typedef void pod_proposal_fn(const char *data, size_t len, int64_t written, const struct err *err,
                             void *arg);

struct pod_config {
    const struct spec *spec;
    struct state *state;
    struct docker *docker;
    struct http *http;
    struct runner *runner;
    const struct binding_facts *facts; // self inside
    const char *full_name;             // "marathon.zookeeper"
    const char *tether;                // abstract socket that init holds, see init.h; NULL: none
    void (*witness)(pod_witness_fn *fn, void *fn_arg, void *arg);
    void (*read_proposal)(bool fresh, pod_proposal_fn *fn, void *fn_arg, void *arg);
    // The same of /leader, never from a server that lags: who leads.
    void (*read_leader)(pod_proposal_fn *fn, void *fn_arg, void *arg);
    // As pod_attached, but asked of the clock: after a stop of the process nothing may have been
    // told yet. NULL: only what was told.
    bool (*is_attached)(void *arg);
    void (*on_dead)(bool dead, void *arg); // a dead pod does not lead
    void (*on_change)(void *arg);          // anything /info or /wait shows has changed
    void *arg;
};

struct pod;
// What the spec asks of our own container's mounts and network, before anything is started: every
// complaint is a line of report. ERR_USER.
int pod_verify(const struct pod_config *config, struct text *report, struct err *err) must_check;
struct pod *pod_create(struct loop *loop, const struct pod_config *config);
// Queues it; the handle stays until the reply. pod_forget: the asker has left; what has begun goes
// on.
struct pod_ask;
struct pod_ask *pod_request(struct pod *pod, const struct pod_request *request, pod_reply_fn *fn,
                            void *arg);
void pod_forget(struct pod_ask **slot);
void pod_attached(struct pod *pod,
                  bool attached);          // false: our session may be gone; leaders get 409
void pod_engine(struct pod *pod, bool up); // from docker's listener
void pod_event(struct pod *pod, const char *container_id, const char *name,
               const json_t *attributes);

const char *pod_process(const struct pod *pod); // "stopped" "running" "terminating" "dead"
bool pod_ready(const struct pod *pod); // configured, running and passing its check: /readyz
// {"process", "workload": {image, container, started, exit, restarts, state}, "metrics", "hash",
// "generation", "status"...}; new reference.
json_t *pod_info(const struct pod *pod);

// A tool. Its uploads (uploads.h) are the working directory of a `run` tool.
// answer: {"code": n, "stdout": [lines]}. ERR_ABSENT: unknown tool. ERR_RETRY: 64 run already.
struct pod_ask *pod_tool(struct pod *pod, const char *line, const struct upload *uploads, size_t n,
                         int64_t budget_ms, pod_reply_fn *fn, void *arg);

// Runs an action that is not the pod's own (the leader's probe), the same way as a hook: `input` on
// stdin, within the action's timeout. fn gets the first line it printed; a non-zero exit is
// ERR_REFUSED. Never inside the call; not after pod_free.
void pod_action(struct pod *pod, const struct spec_action *action, const json_t *input,
                void (*fn)(const char *line, const struct err *err, void *arg), void *arg);

// Stops and removes the workload, or leaves it when lifetime is independent, finalize hook last;
// all within budget_ms, of which the workload gets its own grace at most. done on the loop. why: it
// did not stop, and ends with its holder or with us; else ERR_NONE.
void pod_leave(struct pod *pod, int64_t budget_ms, void (*done)(const struct err *why, void *arg),
               void *arg);
void pod_free(struct pod *pod); // touches no container: what a crash would leave; takes NULL
