// Who may ask a pod, and how a pod and its answer are believed. struct auth is one pod's: the keys
// of its cluster, made of the token file, and what TLS shows and trusts. The files are looked at
// again every two seconds; what cannot be read any more, or does not fit together, leaves
// everything as it is and is warned about. Loop thread. NULL is taken where an auth is borrowed and
// says that nothing is signed and nobody speaks TLS. docs/AUTHENTICATION.md is what is spoken;
// signature.h how it is calculated.
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include "base/tls.h"
#include "sidecar/auth/signature.h"

struct auth;
struct auth_files { // NULL: none; of the last three all or none
    const char *token, *certificate, *key, *ca;
};
// cluster: "marathon.zookeeper". ERR_USER: one of them cannot be used.
int auth_open(struct loop *loop, const struct auth_files *files, const char *cluster,
              const char *pod_id, struct auth **ret, struct err *err) must_check;
void auth_close(struct auth *auth); // takes NULL
const char *auth_cluster(const struct auth *auth);
const char *auth_pod(const struct auth *auth);
bool auth_signs(const struct auth *auth); // there is a token
bool auth_tls(const struct auth *auth);   // and a certificate, which base/tls shows
// Whom we trust at the other end; NULL without TLS. Borrowed until the loop turns.
struct tls_trust *auth_trust(const struct auth *auth);

// Without a token: NULL.
// What signs now.
const struct auth_key *auth_key(const struct auth *auth, enum auth_role role);
// The key, of any role and token that are heard, under which this is right; NULL: none.
const struct auth_key *auth_find(const struct auth *auth, const struct auth_text *text,
                                 const char *said, enum auth_role *ret_role);

// ---- a request that is sent ----

enum { AUTH_HEADERS = 12, AUTH_NONCE_LEN = 32 };
struct auth_call {
    struct auth_key key;
    char nonce[AUTH_NONCE_LEN + 1];
    const char *headers[AUTH_HEADERS + 1]; // what http_request takes, NULL-ended
    char lines[3][128];                    // ours among them
};
// The headers that it has anyway ("Name: value", NULL-ended, or NULL; borrowed, at most nine), and
// those that sign it. url: of the whole request. timed: with the time, as operators and readers
// must. key NULL: nothing is added.
void auth_call_sign(struct auth_call *call, const struct auth_key *key, bool timed,
                    const char *method, const char *url, const char *const *headers,
                    const void *body, size_t len);
// Whether `said`, its X-Signature or NULL, makes an answer that of this pod.
bool auth_call_proves(const struct auth_call *call, const char *pod, int status, const void *body,
                      size_t len, const char *said);
// The same of an answer that has no end in sight: its status alone.
bool auth_call_proves_stream(const struct auth_call *call, const char *pod, const char *said);
