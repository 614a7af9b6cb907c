// When: the damper before a round and the back-off after one that failed. Pure; times are
// CLOCK_BOOTTIME milliseconds handed in.
//
// The damper asks for `quiet` ms after the last change, at most ten times that after the first. A
// quiet time of 0 still settles for PACE_SETTLE ms, so that pods which come together are one round.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { PACE_SETTLE = 10, PACE_CAP = 10, PACE_FIRST = 1000, PACE_MOST = 60000 };

struct damper {
    int64_t quiet;
    bool active;
    int64_t first, last;
};

void damper_init(struct damper *d, int64_t quiet_ms);
void damper_change(struct damper *d, int64_t now);
void damper_clear(struct damper *d);
int64_t damper_wait(const struct damper *d, int64_t now); // ms from now; 0: due, or no change

struct backoff {
    int failures;
};
// 1 s doubling to 60 s, less up to a quarter by chance (0..UINT32_MAX).
int64_t backoff_next(struct backoff *b, uint32_t chance);
void backoff_clear(struct backoff *b);
