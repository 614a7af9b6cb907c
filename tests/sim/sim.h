// One simulated cluster in one process: real workers (coordinator, leader, pod, control port,
// renderer, state directory) over a virtual clock, a ZooKeeper, engines, a network and disks that
// fail when the seed says so. Every worker has a loop of its own over the one clock, so that it can
// stand still, or vanish between two calls, while the others go on. What it wrote, what engines and
// ZooKeeper hold, stays.
//
// world.c: time, hosts, whose turn it is. worker.c: the object graph of one worker, as app.c builds
// it. net.c: base/http.h and sidecar/control/server.h. runner.c, disk.c: the runner and its disk.
// points.c: where a worker may die. nemesis.c: the faults. history.c and check_*.c: the invariants.
#pragma once
#include "base/json.h"
#include "base/text.h"
#include "sidecar/pod/pod_inside.h"
#include "tests/fake/docker.h"
#include "tests/fake/loop.h"
#include "tests/fake/zk.h"
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

enum { COMMITS_KEPT = 7 }; // in five dampers there are six at most
enum { HOSTS = 5, ENGINES = 2, SESSION_MS = 2000, DAMPER_MS = 1000, STARTS_KEPT = 6 };
#define SIM_ROOT   "/ochopod/clusters/marathon.app"
#define SIM_JUNK   "-0000-4000-8000-000000000000.0000000077" // how what a stranger puts there ends
#define SIM_CANARY "c4n4ry"

struct worker;
struct sim;

enum disk_place { DISK_CONF, DISK_STATE, DISK_PLACES };

// What the checker knows of a pod, whatever its sidecar believes.
struct truth {
    char pod_id[40];
    char tree[64];
    int64_t max_epoch; // highest whose check was begun
    int64_t seq;       // as registered first, -1: not yet
    int64_t ended_ms;  // of the last workload
    char container[65];
    char *config; // what the workload was started with last: environment, files and db
    char *db;     // of whom it depends on, as its last round said
    bool running, stopped_by_us;
    bool clean_exit; // ended with 0 by itself, and the engine told
    unsigned causes; // enum cause, since its last start
    int64_t starts[STARTS_KEPT];
    int starts_n, paced; // paced: the incarnation of the sidecar that they are of
    bool asked_stop, dead;
    bool dying; // the engine has sent it a signal that we asked for
    bool off;   // by an operator, and he has heard that it is done
};

struct asked { // a request, and when it was sent
    char task[16];
    int64_t epoch, round, at;
};
enum { ASKED_KEPT = 64 };

enum cause {
    CAUSE_DIED = 1,     // by itself, or by the nemesis
    CAUSE_OPERATOR = 2, // off, on, kill, reset by hand
    CAUSE_UNHEALTHY = 4,
    CAUSE_SIDECAR = 8,      // its sidecar's container was started anew, or has lost its state
    CAUSE_INTERRUPTED = 16, // a crash or a full disk while `on` was carried out
    CAUSE_STRANGER = 32,
};

struct host {
    struct sim *sim;
    int index;
    char name[16], ip[16], dir[96];
    char *yaml;
    struct spec *spec;
    struct fake_engine *engine;
    char self[65]; // the sidecar's container; "" none
    struct loop *loop;
    struct worker *worker; // NULL: none runs
    int incarnation;
    bool paused, in; // in: it is to run
    int64_t resume_at, boot_at;
    int64_t round_at; // until then it waits, a round has failed
    int crash_in;     // points until it dies; 0: not
    int64_t crash_by; // the time by which, if no point is reached
    bool hung;        // its workload answers nothing
    bool loops;       // its workload ends soon after each start
    bool fails[DISK_PLACES], read_only;
    struct job *job; // under way
    void (*job_done)(struct run *run, const struct err *err);
    struct truth truth;
    struct asked asked[ASKED_KEPT], done[ASKED_KEPT];
    int asked_n, done_n;
};

struct totals {
    int faults, rounds, leaders, fenced, restarts, crashes, requests, steps, violations, dead,
        detached;
    int kinds[64];
    int slowest[10]; // ms, of L1 to L9
};

struct proposal_seen { // of one (epoch, round)
    int64_t epoch, round, at;
    unsigned listed, answered; // bits of hosts
    bool whole;                // every listed pod is one of ours
    bool failed_on, completed;
    unsigned on_begun, on_done;
    struct proposal_seen *next;
};

struct sim {
    uint64_t seed;
    bool verbose, quiet, twin; // quiet: no faults any more. twin: no jumps of the wall clock
    struct loop *world;
    struct fake_zk *zk;
    struct fake_engine *engines[ENGINES];
    struct host hosts[HOSTS];
    struct host *current; // whose code runs; NULL: the world's
    jmp_buf jump;
    char dir[64];
    // the flavour of this seed
    bool sequential, full_shutdown, by_signal, in_environment, depends, checked;
    int64_t round_trip; // ms, one way
    int64_t grace;      // ms, of a request: its budget
    int64_t term_ms;    // that a workload takes to end
    // what has been seen
    struct proposal_seen *proposals;
    int64_t finished_epoch;        // newest whose check phase is over
    unsigned finished_listed;      // of its newest round
    int64_t commits[COMMITS_KEPT]; // when the last rounds were completed, all of one epoch
    int commits_n;
    int64_t commits_epoch;
    uint64_t digest; // of the history
    struct totals total;
    struct text story;
    int64_t changed_at, changed_before; // what configurations are made of, last and before
    int64_t doubtful_at;                // what may be a change, last
    int armed;                // what befalls the leader in the middle of a round, 0: nothing
    struct loop_timer *storm; // of the wall clocks
};

extern struct sim *sim;

// ---- chance: what is drawn depends on the seed alone ----
uint64_t chance_next(void);                  // of the world
int64_t chance_in(int64_t from, int64_t to); // both included
bool chance_of(int percent);
void chance_seed(uint64_t seed);

// ---- world.c ----
void world_create(uint64_t seed);
void world_run(int64_t ms); // of virtual time
int64_t world_now(void);
void world_workloads_end(int64_t ms); // so much after a TERM
void world_free(void);
void world_say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // the schedule
void host_join(struct host *h); // a new sidecar's container, or the old one started
void host_pause(struct host *h, int64_t ms);
void host_resume(struct host *h);
void host_crash(struct host *h, int64_t boot_in); // of the worker, now
void host_container_restart(struct host *h);      // the sidecar's container, with all in it
void host_remove(struct host *h);                 // container and state: for good
struct host *host_of_loop(const struct loop *loop);
struct host *host_of_pod(const char *pod_id);
_Noreturn void host_die(void); // the current worker, from within its own code

// ---- worker.c ----
struct worker *worker_create(struct host *h);
struct pod *worker_pod(const struct worker *w);
struct zk *worker_zk(const struct worker *w); // its session's client; NULL
const char *worker_state(const struct worker *w), *worker_status(const struct worker *w);
bool worker_leads(const struct worker *w);
bool worker_attached(const struct worker *w); // as a request would find it
void worker_stop(struct worker *w, void (*done)(void *arg), void *arg); // in good order
void worker_reset(struct worker *w);

// ---- points.c ----
void point(void); // a worker may die here

// ---- net.c ----
void net_init(void);
void net_host_gone(struct host *h);            // its sockets are closed by the kernel
void net_cut(int from, int to, bool cut);      // what goes from the one to the other is lost
void net_cut_when_asked(const struct host *h); // by a leader, next
void net_slow(int to, int64_t ms);             // up to so much more
void net_duplicate(int percent);
void net_replay(void); // a stranger sends again what was sent some time ago
// An operator's request, by hand: no epoch, no body.
void net_operator(struct host *to, const char *task);
int net_flying(void);

// ---- disk.c ----
void disk_recover(struct host *h); // after a loss of power: what was not synced is gone

// ---- nemesis.c ----
void nemesis_run(int64_t ms);
void nemesis_heal(void);
void nemesis_calm(void);               // heals, for good
bool nemesis_wake(struct host *h);     // if it is dead or off
void nemesis_unlock(void);             // the leader has its lock no more
void nemesis_writes(void);             // whose turn it is writes
void nemesis_armed(const char *task);  // a pod has agreed to this
void nemesis_depend(int from, int to); // the pods that the cluster `db` has
const char *nemesis_name(int kind);
int nemesis_kinds(void);

// ---- main.c ----
void sim_enough(void); // one of many runs ends here

// ---- history.c, check_*.c ----
void violate(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // into the history
void history_job_lost(struct host *h);                                 // its worker is gone
void check_asked(struct host *h, const char *task, int64_t epoch, int64_t round, int64_t sent);
void check_answered(struct host *h, const char *task, int64_t epoch, int64_t round, int status);
void check_begun(struct host *h, const struct job *job);
void check_ended(struct host *h, const struct job *job, const struct err *err);
void check_zk(const char *path, int64_t session, int64_t zxid, bool there, void *arg);
void check_event(const json_t *event, const struct engine_container *c, void *arg);
void check_call(const char *line, const char *id, const struct loop *who, void *arg);
void check_turn(struct host *h);
void check_failing(struct host *h); // its workload is about to be started again, for its check
void check_boot(struct host *h);
void check_sends(const struct host *h, const char *task); // a leader's request leaves
void check_spared(const struct host *h);                  // its workload is about to be stopped
void check_swap(const struct host *h, const char *path);  // a file takes the place of another
void check_files(struct host *h);
void check_files_before(const struct host *h); // a job of the runner
void check_files_after(const struct host *h, const char *function);
void check_text(const char *where, const char *text); // no secret in it
void check_end(void);                                 // liveness, in the quiet phase
bool check_settled(char *why, size_t size);
