// TLS as both sides of ours speak it: 1.3 alone, everything from memory, no file is opened here. An
// identity is what a server shows, a trust whom a client believes. libcurl's own check wants files,
// so ours stands in its place: after the handshake, before a byte of the request. The only file
// that knows GnuTLS.
#pragma once
#include "base/err.h"
#include <stddef.h>

extern const char tls_priorities[]; // for microhttpd

// ---- a server's side ----

struct tls_identity; // a certificate, what stands between it and its CA, and its key
// PEM, all of them. ERR_USER: not that, or the key is another's.
int tls_identity_read(const char *certificate, const char *key, struct tls_identity **ret,
                      struct err *err) must_check;
// What every server of this process shows from now on (one a process: GnuTLS asks without saying
// for whom); taken over. NULL: nothing.
void tls_identity_show(struct tls_identity *identity);
// For MHD_OPTION_HTTPS_CERT_CALLBACK2. Handshakes that have begun end with what they began with.
void *tls_identity_callback(void);

// ---- a client's side ----

struct tls_trust; // who may have signed; counted, for calls in flight outlive a change
int tls_trust_read(const char *authorities, struct tls_trust **ret, struct err *err) must_check;
struct tls_trust *tls_trust_hold(struct tls_trust *trust); // takes NULL
void tls_trust_drop(struct tls_trust **slot);              // no-op on NULL
// session: GnuTLS's, its handshake done. The peer's certificate was signed by one of them, is valid
// now, is a server's, and is of one of the names (DNS name or literal address; NULL-ended; NULL: of
// any). ERR_REFUSED says what is not so.
int tls_trust_check(const struct tls_trust *trust, void *session, const char *const *names,
                    struct err *err) must_check;
