// Who is let in: what a request must carry before a route is asked, and what signs its answer.
// Where there is no token there is no gate and everybody is. What is wrong with a request is seen
// in this order: 400 a signed header twice; 401 no signature, or one that is not right (before
// anything of the body is parsed; one without is refused before its body is read); 403 the role may
// not do this; 421 meant for another pod; 401 not for any pod, too old, used before.
#pragma once
#include "sidecar/auth/auth.h"
#include "sidecar/control/server.h"

enum gate_access {
    GATE_CLOSED,  // a route that forgot to say
    GATE_OPEN,    // for everybody
    GATE_READ,    // read, operator
    GATE_STEER,   // operator
    GATE_CONTROL, // operator, without an epoch; peer, with one
};

struct gate;
// NULL where nothing is signed. legacy_sha1: /shell may be signed as Ochothon did, which the portal
// checks.
struct gate *gate_create(struct loop *loop, struct auth *auth, bool legacy_sha1);
void gate_free(struct gate *gate); // takes NULL; no request may be left

// The header is here. False: it was answered.
bool gate_head(struct gate *gate, struct request *request, enum gate_access access);
void gate_body(struct request *request, const void *data, size_t len);
// The body is here too. False: it was answered.
bool gate_admit(struct gate *gate, struct request *request, enum gate_access access);
// What the gate knows of one that was let in: signed by this role. False: not signed.
bool gate_signed(const struct request *request, enum auth_role *ret_role);
void gate_answer(struct gate *gate, struct request *request, int status, const void *body,
                 size_t len);
// A nonce of ours, for who has no clock. Caller frees.
char *gate_nonce(struct gate *gate);
