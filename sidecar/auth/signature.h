// What is signed and how, as docs/AUTHENTICATION.md has it: HMAC-SHA-256 under a key that HKDF
// makes of the token, the role and the cluster. Pure; the only file here that knows nettle.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum auth_role { AUTH_READ, AUTH_OPERATOR, AUTH_PEER, AUTH_ROLES };
extern const char *const auth_role_names[AUTH_ROLES]; // "read", ...

struct auth_key {
    uint8_t bytes[32];
};
// cluster: "marathon.zookeeper".
void auth_derive(const char *token, enum auth_role role, const char *cluster, struct auth_key *ret);

// A body as it comes, piece by piece.
struct auth_hash {
    _Alignas(16) unsigned char state[128]; // nettle's
};
enum { AUTH_HASH_LEN = 64 };
void auth_hash_begin(struct auth_hash *hash);
void auth_hash_add(struct auth_hash *hash, const void *data, size_t len);
void auth_hash_end(struct auth_hash *hash, char ret[AUTH_HASH_LEN + 1]); // lower-case hex
void auth_hash_of(const void *data, size_t len, char ret[AUTH_HASH_LEN + 1]);

// The lines of a request's text, after "v2" and in this order; what a request does not have is
// NULL, an empty line. None has a line break in it.
struct auth_text {
    const char *method, *target; // "POST", "/control/check/60", with its query, as it is sent
    const char *body;            // its hash
    const char *pod, *epoch, *round;
    const char *phase;                 // auth_phase_of the path
    const char *time, *nonce;          // X-Ochopod-Time, -Nonce
    const char *budget, *shell, *type; // X-Ochopod-Budget-Ms, X-Shell, Content-Type
};
// "check" of "/control/check/60"; its length in *ret_len, which is 0 where there is none.
const char *auth_phase_of(const char *path, size_t *ret_len);

enum { AUTH_SIGNATURE_LEN = 3 + 64 }; // "v2=" and the digits
void auth_sign(const struct auth_key *key, const struct auth_text *text,
               char ret[AUTH_SIGNATURE_LEN + 1]);
// In the same time wherever they differ.
bool auth_matches(const struct auth_key *key, const struct auth_text *text, const char *said);

struct auth_reply_text {
    int status;
    const char *body;  // its hash; of a stream "-"
    const char *pod;   // who answers
    const char *nonce; // of the request
};
void auth_reply_sign(const struct auth_key *key, const struct auth_reply_text *text,
                     char ret[AUTH_SIGNATURE_LEN + 1]);
bool auth_reply_matches(const struct auth_key *key, const struct auth_reply_text *text,
                        const char *said);

void auth_hex(const uint8_t *bytes, size_t len, char *ret); // 2 * len digits and a NUL
