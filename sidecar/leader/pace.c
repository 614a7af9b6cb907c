#include "sidecar/leader/pace.h"

void damper_init(struct damper *d, int64_t quiet_ms) {
    *d = (struct damper){.quiet = quiet_ms > PACE_SETTLE ? quiet_ms : PACE_SETTLE};
}

void damper_change(struct damper *d, int64_t now) {
    if (!d->active)
        d->first = now;
    d->active = true;
    d->last = now;
}

void damper_clear(struct damper *d) {
    d->active = false;
}

int64_t damper_wait(const struct damper *d, int64_t now) {
    if (!d->active)
        return 0;
    int64_t due = d->last + d->quiet, latest = d->first + PACE_CAP * d->quiet;
    if (due > latest)
        due = latest;
    return due > now ? due - now : 0;
}

int64_t backoff_next(struct backoff *b, uint32_t chance) {
    int64_t delay = PACE_FIRST;
    for (int i = 0; i < b->failures && delay < PACE_MOST; i++)
        delay *= 2;
    if (delay > PACE_MOST)
        delay = PACE_MOST;
    else if (delay < PACE_MOST)
        b->failures++;
    return delay - (int64_t)((uint64_t)(delay / 4) * chance / UINT32_MAX);
}

void backoff_clear(struct backoff *b) {
    b->failures = 0;
}
