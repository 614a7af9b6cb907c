// A cluster's pods as its leader meets them: nodes in the fake ZooKeeper, control ports in the fake
// HTTP. They obey the rules of the protocol that the leader relies on (target, epoch, one execution
// a round and phase) and nothing else: no workload, no files. What was asked is kept as lines of
// text, "check a 1": task, pod, round.
#pragma once
#include "base/text.h"
#include "tests/fake/http.h"
#include "tests/fake/zk.h"

enum fake_task { FAKE_CHECK, FAKE_OFF, FAKE_ON, FAKE_OK, FAKE_TASKS };
extern const char *const fake_tasks[FAKE_TASKS];

struct fake_pods;
struct fake_pod {
    struct fake_pods *pods;
    char id[40];
    int seq, port;
    int64_t session; // of its node; ends with fake_pod_leave
    char *node;      // path
    // what it will do
    bool dead, deaf;                        // 410 to everything; nobody listens
    int renewals;                           // of its record
    bool unready;                           // runs, and says that it is not ready
    bool off;                               // by an operator: configured by on, not started
    bool original;                          // answers {} and knows no epochs
    bool old;                               // ours, of a version that does not read /proposal
    int bulk;                               // bytes of ballast in its record
    int chatter;                            // empty objects in its answer to check
    const char *refuses[FAKE_TASKS];        // 406 with this reason
    int64_t delay[FAKE_TASKS];              // ms
    enum fake_http_fault fault[FAKE_TASKS]; // of the next request of that task alone
    // what became of it
    bool started, running, joined;
    char *body;  // the last it was sent
    char *epoch; // "<tree>/<czxid>" of the last it was sent
    int64_t max_epoch, round;
    int asked[FAKE_TASKS], done[FAKE_TASKS], fenced; // requests; executions; 412 answered
    void (*before)(struct fake_pod *pod, enum fake_task task, void *arg); // when a request arrives
    void *arg;
    bool did[FAKE_TASKS]; // of `round`
};

enum { FAKE_PODS_MOST = 80 };
struct fake_pods {
    struct fake_zk *zk;
    char *root;
    struct fake_pod *all[FAKE_PODS_MOST];
    int n;
    struct text story; // "check a 1\n..."
};

struct fake_pods *fake_pods_create(struct fake_zk *zk, const char *root);
void fake_pods_free(struct fake_pods *pods);
// Registers: its node appears now. seq is its place, from 0; it listens on port 9000 + seq.
struct fake_pod *fake_pods_add(struct fake_pods *pods, const char *id);
void fake_pod_leave(struct fake_pod *pod); // the process is gone: node and port
// The same pod registers again: another node, the same record.
void fake_pod_register(struct fake_pod *pod);
// Asks for a round: the same node, a record that says so.
void fake_pod_renew(struct fake_pod *pod);
void fake_pods_reset(struct fake_pods *pods);      // forgets the story and the counts
int fake_pods_asked(const struct fake_pods *pods); // requests so far
