// What ocho signs its requests with: the token of OCHOPOD_TOKEN_FILE, else the token_file of this
// container's spec. Never an argument: every process of the machine can read those. Which key that
// makes depends on the cluster that is asked, so it is made for each request.
#pragma once
#include "sidecar/auth/auth.h"

struct signer;
// Never NULL. ERR_USER: a file that was named cannot be used.
int signer_open(struct signer **ret, struct err *err) must_check;
void signer_close(struct signer *signer);       // takes NULL
bool signer_signs(const struct signer *signer); // there is a token
// Whom to trust behind https: OCHOPOD_CA, else the tls.ca_file of this container's spec; NULL:
// nobody.
struct tls_trust *signer_trust(const struct signer *signer);
// Of whom the certificate behind --url may be, OCHOPOD_TLS_NAME; NULL: of its host alone.
const char *signer_tls_name(void);
// As auth_call_sign, with the time; without a token it adds nothing. cluster: "marathon.zookeeper".
void signer_sign(const struct signer *signer, struct auth_call *call, const char *cluster,
                 const char *method, const char *url, const char *const *headers, const void *body,
                 size_t len);

// What a 401 says in WWW-Authenticate: whose key is wanted, and which pod it is.
struct signer_challenge {
    char cluster[128], pod[128];
};
// header NULL, or another scheme, or odd names: false.
bool signer_challenge_read(const char *header, struct signer_challenge *ret);
