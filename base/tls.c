#include "base/tls.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <string.h>

enum { CHAIN_MAX = 8, KEY_ID = 64 };

const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3";

static gnutls_datum_t datum_of(const char *pem) {
    return (gnutls_datum_t){.data = (unsigned char *)pem, .size = (unsigned)strlen(pem)};
}

// ---- a server's side ----

struct tls_identity {
    char *certificate, *key; // PEM: each handshake gets a copy of its own, which GnuTLS frees
};

static struct tls_identity *shown;

static void identity_free(struct tls_identity *identity) {
    if (!identity)
        return;
    explicit_bzero(identity->key, strlen(identity->key));
    free(identity->certificate);
    free(identity->key);
    free(identity);
}

static int read_chain(const char *pem, gnutls_pcert_st **ret, unsigned *ret_n) {
    gnutls_datum_t datum = datum_of(pem);
    unsigned n = CHAIN_MAX;
    gnutls_pcert_st *chain = gnutls_calloc(CHAIN_MAX, sizeof *chain);
    CHECK(chain);
    int rc = gnutls_pcert_list_import_x509_raw(chain, &n, &datum, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0) {
        gnutls_free(chain);
        return rc;
    }
    *ret = chain;
    *ret_n = n;
    return 0;
}

static int read_key(const char *pem, gnutls_privkey_t *ret) {
    gnutls_datum_t datum = datum_of(pem);
    gnutls_privkey_t key;
    CHECK(gnutls_privkey_init(&key) == 0);
    int rc = gnutls_privkey_import_x509_raw(key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc < 0)
        gnutls_privkey_deinit(key);
    else
        *ret = key;
    return rc;
}

static void free_chain(gnutls_pcert_st *chain, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        gnutls_pcert_deinit(&chain[i]);
    gnutls_free(chain);
}

static bool belong_together(const gnutls_pcert_st *certificate, gnutls_privkey_t key) {
    unsigned char a[KEY_ID], b[KEY_ID];
    size_t a_len = sizeof a, b_len = sizeof b;
    gnutls_pubkey_t public;
    CHECK(gnutls_pubkey_init(&public) == 0);
    bool same = gnutls_pubkey_import_privkey(public, key, 0, 0) == 0 &&
                gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, a, &a_len) == 0 &&
                gnutls_pubkey_get_key_id(certificate->pubkey, GNUTLS_KEYID_USE_SHA256, b, &b_len) ==
                    0 &&
                a_len == b_len && memcmp(a, b, a_len) == 0;
    gnutls_pubkey_deinit(public);
    return same;
}

int tls_identity_read(const char *certificate, const char *key_pem, struct tls_identity **ret,
                      struct err *err) {
    gnutls_pcert_st *chain;
    gnutls_privkey_t key;
    unsigned n;
    int rc = read_chain(certificate, &chain, &n);
    if (rc < 0)
        return err_set(err, ERR_USER, "the certificate: %s", gnutls_strerror(rc));
    rc = read_key(key_pem, &key);
    bool fits = rc >= 0 && belong_together(chain, key);
    free_chain(chain, n);
    if (rc < 0)
        return err_set(err, ERR_USER, "the key: %s", gnutls_strerror(rc));
    gnutls_privkey_deinit(key);
    if (!fits)
        return err_set(err, ERR_USER, "the key is not that of the certificate");
    *ret = xnew(struct tls_identity);
    **ret = (struct tls_identity){xstrdup(certificate), xstrdup(key_pem)};
    return 0;
}

void tls_identity_show(struct tls_identity *identity) {
    identity_free(shown);
    shown = identity;
}

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                    gnutls_pcert_st **ret, unsigned *ret_n, gnutls_ocsp_data_st **ret_ocsp,
                    unsigned *ret_ocsp_n, gnutls_privkey_t *ret_key, unsigned *ret_flags) {
    (void)session;
    (void)info;
    if (!shown || read_chain(shown->certificate, ret, ret_n) < 0)
        return -1;
    if (read_key(shown->key, ret_key) < 0) {
        free_chain(*ret, *ret_n);
        return -1;
    }
    *ret_ocsp = NULL;
    *ret_ocsp_n = 0;
    *ret_flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    return 0;
}

void *tls_identity_callback(void) {
    gnutls_certificate_retrieve_function3 *fn = retrieve;
    void *ret;
    memcpy(&ret, &fn, sizeof ret);
    return ret;
}

// ---- a client's side ----

struct tls_trust {
    int holders;
    gnutls_x509_trust_list_t list;
};

int tls_trust_read(const char *authorities, struct tls_trust **ret, struct err *err) {
    gnutls_datum_t datum = datum_of(authorities);
    struct tls_trust *trust = xnew(struct tls_trust);
    trust->holders = 1;
    CHECK(gnutls_x509_trust_list_init(&trust->list, 0) == 0);
    int n = gnutls_x509_trust_list_add_trust_mem(trust->list, &datum, NULL, GNUTLS_X509_FMT_PEM, 0,
                                                 0);
    if (n > 0) {
        *ret = trust;
        return 0;
    }
    tls_trust_drop(&trust);
    return err_set(err, ERR_USER, "whom to trust: %s",
                   n < 0 ? gnutls_strerror(n) : "no certificate in it");
}

struct tls_trust *tls_trust_hold(struct tls_trust *trust) {
    if (trust)
        trust->holders++;
    return trust;
}

void tls_trust_drop(struct tls_trust **slot) {
    struct tls_trust *trust = take_ptr(*slot);
    if (!trust || --trust->holders)
        return;
    gnutls_x509_trust_list_deinit(trust->list, 1);
    free(trust);
}

static bool is_of(gnutls_x509_crt_t certificate, const char *const *names) {
    bool found = !names;
    for (; !found && *names; names++)
        found = **names && gnutls_x509_crt_check_hostname(certificate, *names);
    return found;
}

static int check_chain(const struct tls_trust *trust, gnutls_x509_crt_t *chain, unsigned n,
                       struct err *err) {
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER};
    unsigned status = 0;
    int rc = gnutls_x509_trust_list_verify_crt2(trust->list, chain, n, &purpose, 1, 0, &status,
                                                NULL);
    if (rc < 0)
        return err_set(err, ERR_REFUSED, "its certificate: %s", gnutls_strerror(rc));
    if (!status)
        return 0;
    gnutls_datum_t why = {0};
    (void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
    err_set(err, ERR_REFUSED, "%s", why.data ? (char *)why.data : "its certificate is not trusted");
    gnutls_free(why.data);
    return -1;
}

int tls_trust_check(const struct tls_trust *trust, void *session, const char *const *names,
                    struct err *err) {
    unsigned n = 0;
    const gnutls_datum_t *raw = session ? gnutls_certificate_get_peers(session, &n) : NULL;
    if (!raw || !n || n > CHAIN_MAX || gnutls_protocol_get_version(session) != GNUTLS_TLS1_3)
        return err_set(err, ERR_REFUSED, "no TLS 1.3 with a certificate");
    gnutls_x509_crt_t chain[CHAIN_MAX] = {NULL};
    int failed = 0;
    for (unsigned i = 0; i < n && !failed; i++)
        if (gnutls_x509_crt_init(&chain[i]) ||
            gnutls_x509_crt_import(chain[i], &raw[i], GNUTLS_X509_FMT_DER))
            failed = err_set(err, ERR_REFUSED, "a certificate that cannot be read");
    if (!failed)
        failed = check_chain(trust, chain, n, err);
    if (!failed && !is_of(chain[0], names))
        failed = err_set(err, ERR_REFUSED, "its certificate is not of %s", *names ? *names : "it");
    for (unsigned i = 0; i < n; i++)
        if (chain[i])
            gnutls_x509_crt_deinit(chain[i]);
    return failed;
}
