// When a workload that died is started again. Pure: time and chance are arguments. The first
// restart after 10 s of running is immediate; then 0.5 s doubling to 30 s, with jitter. A death
// that is nobody's fault (the engine, a foreign stop, a shim) costs nothing, but never more than 5
// starts in any 10 s.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    BACKOFF_SETTLED_MS = 10000,
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 30000,
    BACKOFF_BURST = 5
};

struct backoff {
    int64_t pause; // the next one; 0: none yet
    bool primed;   // the immediate one is used up
    int64_t starts[BACKOFF_BURST];
    unsigned next;
};

void backoff_started(struct backoff *b, int64_t now);
// Milliseconds until the next start, 0: at once. ran: since its start. chance: any number.
int64_t backoff_died(struct backoff *b, int64_t now, int64_t ran, bool its_fault, uint32_t chance);
void backoff_reset(struct backoff *b); // a round has changed what is run
