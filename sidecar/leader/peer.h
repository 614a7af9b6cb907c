// One control request to one pod, ourselves included, always through its control port. A lost
// answer (refused, reset) is asked for once more with the same round: a pod replays what it already
// did. What the pod says becomes an error whose text is a sentence for the status line and whose
// kind is the reaction: ERR_GONE 410, ERR_FENCED 412, ERR_TIMEOUT, else ERR_REFUSED. Where there is
// a token requests are signed as a peer's, and from a pod whose record says that it signs only a
// signed answer can be good, or make us think that it is dead or follows another. Asks `may` before
// every send. Loop thread; knows nothing of rounds.
#pragma once
#include "base/http.h"
#include "base/json.h"
#include "base/loop.h"
#include "sidecar/auth/auth.h"
#include "sidecar/cluster/record.h"
#include <stdbool.h>

// What is the same for all requests of one leader.
struct peer_from {
    struct loop *loop;
    struct http *http;
    const char *tree; // with epoch: what fences us
    int64_t epoch;
    const struct auth *auth; // NULL: nothing is signed
    const char *own_url;     // of a pod alone, instead of its record's; NULL: each at its own
    int64_t grace;           // budget of a request, ms; ours waits a quarter longer
    bool (*may)(void *arg);  // false: our session may be gone, send nothing
    void *arg;
};

// answer: the body when it is a JSON object, else an empty object; NULL when there was no reply;
// borrowed. Never called inside peer_ask; the handle is gone when it runs.
typedef void peer_fn(const json_t *answer, const struct err *err, void *arg);

struct peer;
// `from` must outlive the call; `to` and body (owned, freed here) need not.
struct peer *peer_ask(const struct peer_from *from, const struct record *to, const char *task,
                      int64_t round, char *body, peer_fn *fn, void *arg);
void peer_cancel(struct peer **slot); // no callback after it; no-op on NULL

char *peer_label(const struct record *r); // "zookeeper #2"; caller frees
