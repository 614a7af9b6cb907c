// The subject of a round: the cluster as it was when the round began, less the pods that turn out
// to be dead, with the members that follow from what the pods say in check. Pure data, owned by the
// leader, one at a time; the last one stays until the next begins.
#pragma once
#include "sidecar/leader/census.h"
#include "sidecar/leader/ledger.h"
#include "sidecar/leader/rollout.h"
#include "sidecar/leader/watch.h"

struct round {
    struct cluster *cluster; // NULL before the first
    json_t *births, *dead;   // {pod id: birth}
    json_t *checked;         // {pod id: what it said} in the last check, NULL before
    char hash[65];           // of the cluster as it is proposed
    int64_t began;
    int corrected;        // how often the members were
    struct census census; // what check found
};

// ERR_REFUSED: nobody to ask.
int round_begin(struct round *r, struct watch *watch, const struct ledger *ledger, int64_t now,
                struct err *err) must_check;
void round_hash(struct round *r); // before it is proposed
// Everybody agreed or is dead. *ret_again: the cluster became another one, so that it has to be
// proposed and checked anew: what on brings is what was checked and what is proposed. ERR_REFUSED:
// the pods say something else about themselves each time.
int round_checked(struct round *r, const struct ledger *ledger, const struct rollout_result *result,
                  bool *ret_again, struct err *err) must_check;
void round_started(struct round *r, const struct rollout_result *result);
bool round_stops_all(const struct round *r, bool full_shutdown);
bool round_none_runs(const struct round *r, bool full_shutdown); // when on is about to be sent
void round_done(struct round *r);
