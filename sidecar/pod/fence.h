// Who may be heard: the rules of the protocol in their order, pure. The shell asks with what it
// knows now, carries out the verdict (keep the raised mark durably before anything else, ask
// ZooKeeper for the tree once) and asks again. The mark is what state keeps; the phase is of the
// present round and lives in memory only: after a restart of the worker any phase may come first.
#pragma once
#include "sidecar/pod/pod.h"

enum fence_verdict {
    FENCE_PASS,
    FENCE_RAISE,    // newer epoch or round than the mark: keep it first, then it passes
    FENCE_AGAIN,    // this phase of this round was asked before: recorded answer, or attach
    FENCE_WITNESS,  // depends on what ZooKeeper says: ask it, then judge again with the answer
    FENCE_STRANGER, // meant for another pod
    FENCE_FOREIGN,  // of a tree that is not ours
    FENCE_STALE,    // a newer epoch or round has spoken
    FENCE_DETACHED, // we have lost ZooKeeper ourselves
};

struct fence_mark {
    const char *tree; // "" none yet
    int64_t epoch, round;
    int phase; // highest task begun in this round, -1: none that we know of
};

struct fence_witness { // what ZooKeeper said, once asked
    bool asked;
    const char *tree;
    bool has_original;
};

enum fence_verdict fence_judge(const struct fence_mark *mark, const char *pod_id, bool attached,
                               const struct fence_witness *witness,
                               const struct pod_request *request);
// Place of a task in a round (check, off, on, ok), -1 for kill and signal.
int fence_phase(enum pod_task task);
