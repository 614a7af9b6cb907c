#include "sidecar/control/gate.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/auth/nonces.h"
#include "sidecar/control/inner.h"
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum {
    WINDOW_S = 300, // that a clock may be off
    NONCE_KEPT_MS = 600000,
    NONCE_MIN = 16,
    NONCE_MAX = 64,
    SAY_MS = 10000, // between two lines about requests that were refused
    OWN_TIME = 16,  // hex digits of the time in a nonce of ours, and of the number behind it
    OWN_LEN = OWN_TIME + 8,
};
static const char OWN[] = "own."; // how a nonce of ours begins

struct gate {
    struct loop *loop;
    struct auth *auth;
    bool legacy_sha1;
    struct nonces *steering, *reading, *own;
    struct auth_key own_key; // of this worker alone
    int64_t said;            // when a refusal was last logged
    uint64_t refused;        // since then
    uint32_t own_n;          // of the last nonce of ours
};

// What is known of a request that must be signed.
struct ticket {
    struct auth_hash body;
    bool legacy; // signed as Ochothon did: the portal's to check
    bool right;  // key and role are known
    enum auth_role role;
    struct auth_key key;
    char nonce[NONCE_MAX + 1];
};

// ---- life ----

static int64_t wall_ms(const struct gate *gate) {
    return (int64_t)(loop_wall(gate->loop) * 1000);
}

struct gate *gate_create(struct loop *loop, struct auth *auth, bool legacy_sha1) {
    if (!auth_signs(auth))
        return NULL;
    struct gate *gate = xnew(struct gate);
    *gate = (struct gate){.loop = loop, .auth = auth, .legacy_sha1 = legacy_sha1};
    // What was used before we began is not known: nothing that old is taken.
    int64_t since = wall_ms(gate) - 1;
    gate->steering = nonces_create(NONCE_KEPT_MS, since);
    gate->reading = nonces_create(NONCE_KEPT_MS, since);
    gate->own = nonces_create(NONCE_KEPT_MS, -1);
    gate->said = -SAY_MS;
    size_t len = sizeof gate->own_key.bytes;
    CHECK(getrandom(gate->own_key.bytes, len, 0) == (ssize_t)len);
    return gate;
}

void gate_free(struct gate *gate) {
    if (!gate)
        return;
    nonces_free(gate->steering);
    nonces_free(gate->reading);
    nonces_free(gate->own);
    explicit_bzero(gate, sizeof *gate);
    free(gate);
}

static void ticket_free(void *data) {
    explicit_bzero(data, sizeof(struct ticket));
    free(data);
}

// ---- saying no ----

// One line now and then: who is not let in must not fill the log.
static void tell(struct gate *gate, const char *path, const char *why) {
    int64_t now = loop_now(gate->loop);
    gate->refused++;
    if (now - gate->said < SAY_MS)
        return;
    auto_text struct text quoted = {0};
    text_quote(&quoted, path, 80);
    log_warn("control refused path=%s reason=\"%s\" refused=%" PRIu64, text_str(&quoted), why,
             gate->refused);
    gate->said = now;
    gate->refused = 0;
}

static bool refuse(struct gate *gate, struct request *request, int status, const char *why) {
    tell(gate, request_path(request), why);
    if (status == 401)
        request_add_header(request, "WWW-Authenticate",
                           xasprintf("Ochopod-v2 cluster=\"%s\", pod=\"%s\"",
                                     auth_cluster(gate->auth), auth_pod(gate->auth)));
    reply_complaint(request, status, "%s", why);
    return false;
}

// ---- the header ----

static const char *const signed_headers[] = {
    "X-Signature",         "X-Ochopod-Target", "X-Ochopod-Epoch",
    "X-Ochopod-Round",     "X-Ochopod-Time",   "X-Ochopod-Nonce",
    "X-Ochopod-Budget-Ms", "X-Shell",          "Content-Type",
};

static const char *said_twice(struct request *request) {
    for (size_t i = 0; i < sizeof signed_headers / sizeof *signed_headers; i++)
        if (request_header_count(request, signed_headers[i]) > 1)
            return signed_headers[i];
    return NULL;
}

static bool is_word(const char *s, size_t min, size_t max) {
    size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.");
    return n >= min && n <= max && !s[n];
}

static const char *wrong_header(struct request *request) {
    const char *said = request_header(request, "X-Signature");
    const char *nonce = request_header(request, "X-Ochopod-Nonce");
    if (!said)
        return "not signed: X-Signature is missing";
    if (!text_starts(said, "v2=") || strlen(said) != AUTH_SIGNATURE_LEN)
        return "X-Signature must be v2= and 64 hex digits";
    if (!nonce || !is_word(nonce, NONCE_MIN, NONCE_MAX))
        return "X-Ochopod-Nonce must be 16 to 64 letters and digits";
    return NULL;
}

static bool is_legacy(const struct gate *gate, struct request *request) {
    const char *said = request_header(request, "X-Signature");
    return gate->legacy_sha1 && strcmp(request_path(request), "/shell") == 0 && said &&
           text_starts(said, "sha1=");
}

bool gate_head(struct gate *gate, struct request *request, enum gate_access access) {
    if (!gate || access == GATE_OPEN)
        return true;
    const char *twice = said_twice(request);
    if (twice) {
        auto_free char *why = xasprintf("%s stands there twice", twice);
        return refuse(gate, request, 400, why);
    }
    bool legacy = is_legacy(gate, request);
    const char *wrong = legacy ? NULL : wrong_header(request);
    if (wrong)
        return refuse(gate, request, 401, wrong);
    struct ticket *ticket = xnew(struct ticket);
    ticket->legacy = legacy;
    if (!legacy)
        snprintf(ticket->nonce, sizeof ticket->nonce, "%s",
                 request_header(request, "X-Ochopod-Nonce"));
    auth_hash_begin(&ticket->body);
    request_attach(request, ticket, ticket_free);
    return true;
}

void gate_body(struct request *request, const void *data, size_t len) {
    struct ticket *ticket = request_attached(request);
    if (ticket)
        auth_hash_add(&ticket->body, data, len);
}

// ---- the signature ----

static bool check(struct gate *gate, struct request *request, struct ticket *ticket) {
    char hash[AUTH_HASH_LEN + 1], phase[32];
    size_t phase_len;
    const char *word = auth_phase_of(request_path(request), &phase_len);
    snprintf(phase, sizeof phase, "%.*s", (int)phase_len, word);
    auth_hash_end(&ticket->body, hash);
    const struct auth_text text = {
        .method = request_method_name(request),
        .target = request_target(request),
        .body = hash,
        .pod = request_header(request, "X-Ochopod-Target"),
        .epoch = request_header(request, "X-Ochopod-Epoch"),
        .round = request_header(request, "X-Ochopod-Round"),
        .phase = phase,
        .time = request_header(request, "X-Ochopod-Time"),
        .nonce = ticket->nonce,
        .budget = request_header(request, "X-Ochopod-Budget-Ms"),
        .shell = request_header(request, "X-Shell"),
        .type = request_header(request, "Content-Type"),
    };
    const struct auth_key *key = auth_find(gate->auth, &text,
                                           request_header(request, "X-Signature"), &ticket->role);
    ticket->right = key != NULL;
    if (key)
        ticket->key = *key;
    return ticket->right;
}

// ---- the role ----

// What an operator's request may not be: one that a leader alone may send.
static const char *wrong_operator(struct request *request, enum gate_access access) {
    size_t body, word;
    const char *phase = auth_phase_of(request_path(request), &word);
    (void)request_body(request, &body);
    if (access != GATE_CONTROL)
        return NULL;
    if (request_header(request, "X-Ochopod-Epoch") || request_header(request, "X-Ochopod-Round"))
        return "an operator has no epoch: that is a leader's";
    if (body && !(word == strlen("signal") && strncmp(phase, "signal", word) == 0))
        return "an operator sends no cluster: that is a leader's";
    return NULL;
}

static const char *wrong_role(struct request *request, enum auth_role role,
                              enum gate_access access) {
    switch (role) {
    case AUTH_READ:
        return access == GATE_READ ? NULL : "signed to read, and this is more than that";
    case AUTH_OPERATOR:
        return wrong_operator(request, access);
    case AUTH_PEER:
        if (access != GATE_CONTROL)
            return "signed by a peer, who asks for rounds alone";
        if (!request_header(request, "X-Ochopod-Epoch") ||
            !request_header(request, "X-Ochopod-Round"))
            return "a leader says its epoch and round";
        return NULL;
    default:
        return "of no role";
    }
}

// ---- once, and in time ----

static void make_own(const struct gate *gate, int64_t at, uint32_t n, char ret[NONCE_MAX + 1]) {
    char time[OWN_LEN + 1], mac[AUTH_SIGNATURE_LEN + 1];
    snprintf(time, sizeof time, "%0*" PRIx64 "%08" PRIx32, OWN_TIME, (uint64_t)at, n);
    const struct auth_text text = {.method = "nonce", .time = time};
    auth_sign(&gate->own_key, &text, mac);
    snprintf(ret, NONCE_MAX + 1, "%s%s.%.32s", OWN, time, mac + strlen("v2="));
}

char *gate_nonce(struct gate *gate) {
    char nonce[NONCE_MAX + 1];
    make_own(gate, loop_now(gate->loop), ++gate->own_n, nonce);
    return xstrdup(nonce);
}

static const char used_before[] =
    "used before, or signed before this worker began or its clock was "
    "set back: sign anew, or GET /nonce";

// A nonce of ours needs no clock but ours.
static const char *wrong_own(struct gate *gate, const char *nonce) {
    char wanted[NONCE_MAX + 1], digits[OWN_TIME + 1] = "";
    int64_t now = loop_now(gate->loop);
    uint32_t n = 0;
    if (strlen(nonce) > strlen(OWN) + OWN_LEN) {
        snprintf(digits, sizeof digits, "%s", nonce + strlen(OWN));
        n = (uint32_t)strtoul(nonce + strlen(OWN) + OWN_TIME, NULL, 16);
    }
    int64_t at = (int64_t)strtoull(digits, NULL, 16);
    make_own(gate, at, n, wanted);
    if (strcmp(nonce, wanted) != 0 || at > now + WINDOW_S * 1000 || now - at > WINDOW_S * 1000)
        return "not a nonce of ours, or an old one: GET /nonce";
    return nonces_use(gate->own, nonce, at, now) ? NULL : used_before;
}

// Seconds since 1970, with up to three decimals, in milliseconds; -1: no such number.
static int64_t read_time(const char *s) {
    size_t whole = strspn(s, "0123456789");
    size_t decimals = s[whole] == '.' ? strspn(s + whole + 1, "0123456789") : 0;
    size_t len = whole + (s[whole] == '.') + decimals;
    if (!whole || whole > 12 || decimals > 3 || s[len] || (s[whole] == '.' && !decimals))
        return -1;
    int64_t ms = strtoll(s, NULL, 10) * 1000, unit = 100;
    for (size_t i = 0; i < decimals; i++, unit /= 10)
        ms += (s[whole + 1 + i] - '0') * unit;
    return ms;
}

static const char *wrong_time(struct gate *gate, struct request *request, struct nonces *nonces,
                              const char *nonce) {
    const char *said = request_header(request, "X-Ochopod-Time");
    int64_t now = wall_ms(gate), time = said ? read_time(said) : -1;
    if (time < 0)
        return "X-Ochopod-Time must be seconds since 1970, like 1700000000 or 1700000000.123";
    if (time > now + WINDOW_S * 1000 || time < now - WINDOW_S * 1000)
        return "signed more than 300 s from now by this pod's clock: set the clocks, or GET /nonce";
    return nonces_use(nonces, nonce, time, now) ? NULL : used_before;
}

// A leader needs neither: what it says of epoch, round and phase only ever goes on.
static const char *wrong_moment(struct gate *gate, struct request *request,
                                const struct ticket *ticket, enum gate_access access) {
    if (ticket->role == AUTH_PEER)
        return NULL;
    if (text_starts(ticket->nonce, OWN))
        return wrong_own(gate, ticket->nonce);
    return wrong_time(gate, request, access == GATE_READ ? gate->reading : gate->steering,
                      ticket->nonce);
}

bool gate_admit(struct gate *gate, struct request *request, enum gate_access access) {
    struct ticket *ticket = request_attached(request);
    if (!gate || access == GATE_OPEN || ticket->legacy)
        return true;
    if (!check(gate, request, ticket))
        return refuse(gate, request, 401,
                      "X-Signature is not right: another token, cluster or text");
    const char *why = wrong_role(request, ticket->role, access);
    if (why)
        return refuse(gate, request, 403, why);
    const char *target = request_header(request, "X-Ochopod-Target");
    if (target && strcmp(target, auth_pod(gate->auth)) != 0)
        return refuse(gate, request, 421, "meant for another pod");
    if (!target && access != GATE_READ)
        return refuse(gate, request, 401, "X-Ochopod-Target must say which pod is meant");
    why = wrong_moment(gate, request, ticket, access);
    return why ? refuse(gate, request, 401, why) : true;
}

// ---- the answer ----

bool gate_signed(const struct request *request, enum auth_role *ret_role) {
    const struct ticket *ticket = request_attached(request);
    if (!ticket || !ticket->right)
        return false;
    *ret_role = ticket->role;
    return true;
}

void gate_answer(struct gate *gate, struct request *request, int status, const void *body,
                 size_t len) {
    const struct ticket *ticket = request_attached(request);
    if (!gate || !ticket || !ticket->right)
        return;
    char hash[AUTH_HASH_LEN + 1] = "-", said[AUTH_SIGNATURE_LEN + 1];
    if (body)
        auth_hash_of(body, len, hash);
    const struct auth_reply_text text = {status, hash, auth_pod(gate->auth), ticket->nonce};
    auth_reply_sign(&ticket->key, &text, said);
    request_add_header(request, "X-Signature", xstrdup(said));
}
