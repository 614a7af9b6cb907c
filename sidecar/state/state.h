// What a pod must remember over a crash: the state directory. One small JSON file ("pod.json"),
// read at start, written whole, beside, fsynced and renamed at each change that must hold before we
// go on (a raised epoch, off, dead). Short and rare, so it is done on the loop thread. A lock file
// keeps a second sidecar from the same directory. A file that does not parse is moved aside
// ("pod.json.broken"), said so, and the pod is like a new one. Never holds a secret.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "base/wire.h"
#include <stdbool.h>
#include <stdint.h>

struct state {
    char *dir;
    char *pod_id;       // uuid4, made once
    int64_t seq;        // -1: never registered
    char *tree;         // of epoch; "" none
    int64_t epoch;      // highest accepted in check
    int64_t round;      // highest of that epoch
    bool rolled;        // an `on` of that round came into force: an off of it is late
    int64_t renewals;   // rounds asked for, see record.h
    bool off;           // an operator's off holds until on
    bool dead;          // done, killed: until an operator's on
    bool killed;        // dead by an operator's kill, not by being done: its data goes with it
    bool started;       // the workload ran once: data may exist
    bool joined;        // an `on` has succeeded
    bool initialized;   // hook initialize has run
    int64_t generation; // of the configuration in force
    char *hash;         // cluster hash of the configuration in force; "" none
    json_t *applied;    // rendering in force: digest per file, environment, command, dependencies
                        // hash; NULL none
    char *container;    // full id of the workload, "" none
    char *started_at;   // of the workload as last seen running: same start, nothing to do; "" when
                        // it was stopped on purpose: a restarted worker does not start it
    bool woken;         // by an operator's on, or started, and has not been seen to run since: a
                        // restarted worker starts it all the same
    bool untold;        // what is in force was not told to the workload that runs (on_change)
    char *holds;  // full id of the container that the files in force below no shared volume were
                  // put into, "" none: another one is not started
    char *ending; // the run, by its start, that we last began to stop: its end is our doing
    char *owner;  // run of the sidecar's container that put `applied` in force: after another
                  // start of that container (new network) it is never trusted
    int lock_fd;
};

// off: how a pod begins that is new here; it is kept with its id, as this start may get no further.
// ERR_USER: the directory cannot be used (says why); ERR_EXISTS: another sidecar holds it.
int state_open(const char *dir, bool off, struct state **ret, struct err *err) must_check;
int state_save(struct state *state, struct err *err) must_check;
// Any JSON file of that directory, written so, and read so: what does not parse, or what `take`
// refuses, is moved aside ("<name>.broken"), said, and not there. ERR_USER: it cannot be read.
typedef int state_take_fn(void *arg, const json_t *j, struct err *err);
int state_write(const char *dir, const char *name, const json_t *j, struct err *err) must_check;
int state_read(const char *dir, const char *name, state_take_fn *take, void *arg, bool *ret_there,
               struct err *err) must_check;
#define STATE_POD     "pod.json"
#define STATE_CLUSTER "cluster.json" // zk/client_alone.c
#define STATE_CONTROL "control.json" // note.c
#define STATE_JOURNAL "swap.json"    // render/journal.c; the clerk never touches it
// What a clerk does (clerk.h) for a process that has no files: state_read and state_write ask it.
// arg: of a read the state directory, of a write a struct state_duty. Whoever asks may be taken
// over: it writes no other pod's identity, under which the next broker would own that one's
// containers.
struct state_duty {
    const char *dir, *pod_id;
};
#define STATE_READ  "state read"
#define STATE_WRITE "state write"
void state_read_duty(struct wire *request, struct text *answer, const void *arg);
void state_write_duty(struct wire *request, struct text *answer, const void *arg);
// Notes that the control port is `port` here though the spec says `said`, for ocho in the same
// container; takes the note away when they are the same. Failing is logged.
void state_note_control(const char *dir, int said, int port);
int state_control(const char *dir, int said);    // as noted, else `said`
void state_set(char **field, const char *value); // frees the old one; NULL is ""
void state_close(struct state *state);           // takes NULL
void state_uuid(char ret[37]);                   // a new random uuid4
