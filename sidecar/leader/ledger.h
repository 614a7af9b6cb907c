// What leaders write down for each other below the cluster's node, and how: every write is one
// transaction whose first operation checks our lock node, so that it fails as a whole once we are
// deposed (ERR_FENCED). What a node is (there, ephemeral of an original leader) is read before and
// guessed right almost always; where the guess was wrong it is read again and the transaction
// repeated. One call at a time; loop thread; owned by the leader.
//
//   /tree      a uuid, made once: epochs are compared within one tree only
//   /leader    {"epoch", "round", "generation", "hash", "tree", "open", "dead"}; the present leader
//              and the last completed round; open: workloads are being touched, the round did not
//              complete; dead: {pod id: birth} that the completed round left out
//   /hash      of the last completed round; Ochopod's
//   /snapshot  {pod id: pod} of it; Ochopod's, but persistent: an ephemeral one is replaced
//   /members   {pod id: {"ordinal", "founder", "joined"}}
//   /proposal  {"pods", "dependencies", "members", "hash", "epoch", "round"} of the running round
//              (reference.h); the numbers alone where all of it would not fit a node
#pragma once
#include "sidecar/cluster/cluster.h"
#include "sidecar/zk/zk.h"
#include <stdbool.h>

struct ledger {          // read-only for others
    char *tree;          // "" before the first load
    char *hash;          // "" when no round was ever completed
    int64_t generation;  // completed rounds
    int64_t round;       // highest number used in our epoch
    bool open;           // a round touched workloads and was not completed
    json_t *dead;        // {pod id: birth}
    json_t *members;     // {} when there is none
    json_t *proposed;    // dependencies of the last proposal, {}: what to hold on to
    size_t proposal_len; // of the last proposal written,
    char digest[65];     // and its SHA-256; "" where it is the numbers alone
    struct ledger_inner *inner;
};

typedef void ledger_fn(const struct err *err, void *arg);

struct ledger *ledger_create(struct zk *zk, const char *root, const char *lock_path, int64_t epoch);
void ledger_free(struct ledger *l);   // takes NULL
void ledger_cancel(struct ledger *l); // no callback of the call in flight; what was sent may happen

// Reads everything anew, then, when it is not so already, writes us down as the leader (and /tree).
void ledger_load(struct ledger *l, ledger_fn *fn, void *arg);
void ledger_propose(struct ledger *l, const struct cluster *c, const char *hash, int64_t round,
                    ledger_fn *fn, void *arg);
// Members, and that workloads are about to be touched.
void ledger_mark(struct ledger *l, const json_t *members, ledger_fn *fn, void *arg);
// The round is done: snapshot, hash, leader and members at once. ERR_LIMIT as ledger_fits says.
void ledger_commit(struct ledger *l, const struct cluster *c, const char *hash, int64_t round,
                   json_t *dead, ledger_fn *fn, void *arg);
// Takes those out of c that the last completed round found dead and whose birth (births: {pod id:
// birth}, of watch_look) is still the same.
void ledger_bury(const struct ledger *l, struct cluster *c, const json_t *births);
bool ledger_matches(const struct ledger *l, const char *hash); // completed, and nothing half done
// What ZooKeeper would not take at the end of the round is found before anything is touched.
// ERR_LIMIT: the snapshot, or all that is written with it.
int ledger_fits(const struct cluster *c, struct err *err) must_check;
