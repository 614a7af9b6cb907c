// The nonces that were used, so that none is used twice. Bounded: where the newest push out what is
// still fresh, everything as old as that is refused from then on, so a full cache narrows the
// window and never lets a replay through. Pure; the caller knows the time.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NONCES_MAX = 4096 };

struct nonces;
// keep_ms: how long a nonce is remembered. since: nothing of before, or then, is new.
struct nonces *nonces_create(int64_t keep_ms, int64_t since);
void nonces_free(struct nonces *nonces); // takes NULL
// time: what the nonce's owner said, in ms. False: it was used before, or may have been.
bool nonces_use(struct nonces *nonces, const char *nonce, int64_t time, int64_t now);
