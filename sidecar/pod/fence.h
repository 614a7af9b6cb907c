// Who may be heard: the rules of the protocol in their order, pure. The shell asks with what it
// knows now, carries out the verdict (keep the raised mark durably before anything else, ask
// ZooKeeper for tree and epoch) and asks again. The mark is what state keeps; the phase is of the
// present round and lives in memory: after a restart of the worker any phase may come first, unless
// an `on` of that round came into force, after which no off of it is heard. ZooKeeper is asked once
// after each time that we attached: a newer leader may have led a round without us, and what state
// keeps may have been lost. And it is asked whenever the mark would move to another epoch: a leader
// writes its own before it asks anything of anybody, so that an epoch that nobody leads with is not
// raised to, and a mark that is ahead of ZooKeeper (restored from a backup) does not last for ever.
// It is lowered by nothing else, also not for another tree: who can write there cannot make a pod
// obey a leader of yesterday.
#pragma once
#include "sidecar/pod/pod.h"

enum fence_verdict {
    FENCE_PASS,
    FENCE_RAISE,    // newer epoch or round than the mark: keep it first, then it passes
    FENCE_LOWER,    // the same; but the mark is ahead of what ZooKeeper says
    FENCE_AGAIN,    // this phase of this round was asked before: recorded answer, or attach
    FENCE_WITNESS,  // depends on what ZooKeeper says: ask it, then judge again with the answer
    FENCE_STRANGER, // meant for another pod
    FENCE_FOREIGN,  // of a tree that is not ours
    FENCE_STALE,    // a newer epoch or round has spoken
    FENCE_NOBODY,   // an epoch that no leader has had so far
    FENCE_DETACHED, // we have lost ZooKeeper ourselves
};

struct fence_mark {
    const char *tree; // "" none yet
    int64_t epoch, round;
    int phase;      // highest task begun in this round, -1: none that we know of
    bool confirmed; // ZooKeeper was asked since we attached: no newer epoch was there then
};

struct fence_witness { // what ZooKeeper said, once asked
    bool asked;
    const char *tree; // "" none
    int64_t epoch;    // of who leads
    int64_t round;    // in which it touched workloads last
    int64_t written;  // by which transaction it was said
    bool has_original;
};

enum fence_verdict fence_judge(const struct fence_mark *mark, const char *pod_id, bool attached,
                               const struct fence_witness *witness,
                               const struct pod_request *request);
// What was heard and then waited for its turn, when it is about to begin.
bool fence_still(const struct fence_mark *mark, const struct pod_request *request);
// ZooKeeper was not there yet when the mark was raised: it was restored from a backup, or is
// another one. What is written in one that lives on, by whomever, is newer than every epoch that it
// gave.
bool fence_is_younger(const struct fence_mark *mark, const struct fence_witness *said);
// Place of a task in a round (check, off, on, ok), -1 for kill and signal.
int fence_phase(enum pod_task task);
