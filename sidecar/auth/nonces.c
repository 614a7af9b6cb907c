#include "sidecar/auth/nonces.h"
#include "base/check.h"
#include "sidecar/auth/signature.h"
#include <stdlib.h>
#include <string.h>

enum { DIGEST = 16, ROOM = 64 };

struct used {
    char digest[DIGEST]; // the beginning of the nonce's hash
    int64_t time, until;
};

struct nonces {
    int64_t keep_ms, floor; // nothing of this time or before
    struct used *list;      // in the order of their use
    size_t n, room;
};

struct nonces *nonces_create(int64_t keep_ms, int64_t since) {
    struct nonces *nonces = xnew(struct nonces);
    *nonces = (struct nonces){.keep_ms = keep_ms, .floor = since};
    return nonces;
}

void nonces_free(struct nonces *nonces) {
    if (!nonces)
        return;
    free(nonces->list);
    free(nonces);
}

// What is forgotten is refused by its time, should the clock be set back to it.
static void forget(struct nonces *nonces, const struct used *it) {
    if (it->time > nonces->floor)
        nonces->floor = it->time;
}

static void forget_old(struct nonces *nonces, int64_t now) {
    size_t kept = 0;
    for (size_t i = 0; i < nonces->n; i++) {
        if (nonces->list[i].until > now)
            nonces->list[kept++] = nonces->list[i];
        else
            forget(nonces, &nonces->list[i]);
    }
    nonces->n = kept;
}

// A quarter at once: the oldest by what their owners said, so that the floor stays low.
static int by_time(const void *pa, const void *pb) {
    const struct used *a = pa, *b = pb;
    return (a->time > b->time) - (a->time < b->time);
}

static void push_out(struct nonces *nonces) {
    size_t out = NONCES_MAX / 4;
    qsort(nonces->list, nonces->n, sizeof *nonces->list, by_time);
    forget(nonces, &nonces->list[out - 1]);
    nonces->n -= out;
    memmove(nonces->list, nonces->list + out, nonces->n * sizeof *nonces->list);
}

static void make_room(struct nonces *nonces, int64_t now) {
    if (nonces->n < nonces->room)
        return;
    forget_old(nonces, now);
    if (nonces->n == NONCES_MAX)
        push_out(nonces);
    if (nonces->n < nonces->room)
        return;
    nonces->room = nonces->room ? 2 * nonces->room : ROOM;
    nonces->list = xrealloc(nonces->list, nonces->room * sizeof *nonces->list);
}

bool nonces_use(struct nonces *nonces, const char *nonce, int64_t time, int64_t now) {
    char hash[AUTH_HASH_LEN + 1];
    auth_hash_of(nonce, strlen(nonce), hash);
    if (time <= nonces->floor)
        return false;
    for (size_t i = 0; i < nonces->n; i++)
        if (memcmp(nonces->list[i].digest, hash, DIGEST) == 0)
            return false;
    make_room(nonces, now);
    if (time <= nonces->floor)
        return false;
    struct used *it = &nonces->list[nonces->n++];
    *it = (struct used){.time = time, .until = now + nonces->keep_ms};
    memcpy(it->digest, hash, DIGEST);
    return true;
}
