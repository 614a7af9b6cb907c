#include "sidecar/pod/backoff.h"

void backoff_started(struct backoff *b, int64_t now) {
    b->starts[b->next] = now + 1; // 0: never
    b->next = (b->next + 1) % BACKOFF_BURST;
}

void backoff_reset(struct backoff *b) {
    b->pause = 0;
    b->primed = false;
}

// Until the oldest of the last five starts is 10 s ago.
static int64_t burst(const struct backoff *b, int64_t now) {
    int64_t oldest = b->starts[b->next];
    int64_t free_at = oldest - 1 + BACKOFF_SETTLED_MS;
    return oldest && free_at > now ? free_at - now : 0;
}

static int64_t with_jitter(int64_t ms, uint32_t chance) {
    return ms - ms / 5 + (int64_t)(chance % 1000) * (ms * 2 / 5) / 1000;
}

int64_t backoff_died(struct backoff *b, int64_t now, int64_t ran, bool its_fault, uint32_t chance) {
    int64_t wait = 0;
    if (ran >= BACKOFF_SETTLED_MS)
        backoff_reset(b);
    if (its_fault && !b->primed && ran >= BACKOFF_SETTLED_MS) {
        b->primed = true;
    } else if (its_fault) {
        b->primed = true;
        b->pause = b->pause ? b->pause * 2 : BACKOFF_MIN_MS;
        b->pause = b->pause < BACKOFF_MAX_MS ? b->pause : BACKOFF_MAX_MS;
        wait = with_jitter(b->pause, chance);
    }
    int64_t held = burst(b, now);
    return wait > held ? wait : held;
}
