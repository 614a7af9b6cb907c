// All chance of a run: the world's own, and what the product asks the kernel for.
#include "tests/sim/sim.h"
#include <string.h>
#include <sys/random.h>

static uint64_t state, others;

static uint64_t mix(uint64_t *at) { // splitmix64
    uint64_t z = (*at += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void chance_seed(uint64_t seed) {
    state = seed * 2 + 1;
    others = ~seed;
}

uint64_t chance_next(void) {
    return mix(&state);
}

int64_t chance_in(int64_t from, int64_t to) {
    return from + (int64_t)(chance_next() % (uint64_t)(to - from + 1));
}

bool chance_of(int percent) {
    return chance_in(0, 99) < percent;
}

ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t n, unsigned flags) {
    (void)flags;
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)buf)[i] = (unsigned char)(mix(&others) >> 24);
    return (ssize_t)n;
}
