// What the pods said in check, and what follows from it for the round: who is dropped, whether the
// book of members was wrong, whether anything runs, whether anything would change. Pure. Our pods
// answer {"joined", "started", "running", "ready", "changed"}, all optional; an original pod
// answers {}: of him we assume that he started and runs if ever a round was completed.
#pragma once
#include "sidecar/cluster/cluster.h"

struct census {
    bool dropped;      // dead pods were taken out: propose and check anew
    bool corrected;    // the members were: the same
    bool none_started; // nobody's workload ever ran: there is nothing to stop
    bool none_runs;    // nobody's workload runs: a quorum must be started together
    bool changed;      // `on` would touch at least one workload
};

// Of an answer what is read of it, where it is true or false: all else is a stranger's to send, and
// not kept. New reference.
json_t *census_said(const json_t *answer);
// Members for a new round: as written down, newcomers named founders as long as we must believe
// that nobody ever ran.
void census_open(struct cluster *c, const json_t *written);
// answers: {pod id: what it said} of those that agreed; gone: {pod id: ...} of the dead, which are
// dropped. written: /members. completed: a round of this cluster was once completed.
void census_take(struct cluster *c, const json_t *written, const json_t *answers,
                 const json_t *gone, bool completed, struct census *ret);

enum census_turn {
    TURN_DOWN,    // ran once and does not run
    TURN_UNREADY, // runs, and is not ready
    TURN_REST,    // ready, or never ran: a newcomer comes after those who must know of it
};
// In order, who is down comes first: no workload is stopped beside one that our last round left
// down. NULL: nothing was said.
enum census_turn census_turn(const json_t *answer);
