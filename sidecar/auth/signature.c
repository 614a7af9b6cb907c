#include "sidecar/auth/signature.h"
#include "base/check.h"
#include "base/own.h"
#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

const char *const auth_role_names[AUTH_ROLES] = {
    [AUTH_READ] = "read", [AUTH_OPERATOR] = "operator", [AUTH_PEER] = "peer"};

void auth_hex(const uint8_t *bytes, size_t len, char *ret) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * len] = '\0';
}

// ---- keys: RFC 5869 with SHA-256, no salt ----

void auth_derive(const char *token, enum auth_role role, const char *cluster,
                 struct auth_key *ret) {
    static const uint8_t no_salt[SHA256_DIGEST_SIZE];
    struct hmac_sha256_ctx hmac;
    uint8_t prk[SHA256_DIGEST_SIZE];
    auto_free char *info = xasprintf("ochopod/v2/%s/%s", auth_role_names[role], cluster);
    hmac_sha256_set_key(&hmac, sizeof no_salt, no_salt);
    hkdf_extract(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
                 (nettle_hash_digest_func *)hmac_sha256_digest, sizeof prk, strlen(token),
                 (const uint8_t *)token, prk);
    hmac_sha256_set_key(&hmac, sizeof prk, prk);
    hkdf_expand(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
                (nettle_hash_digest_func *)hmac_sha256_digest, sizeof prk, strlen(info),
                (const uint8_t *)info, sizeof ret->bytes, ret->bytes);
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(prk, sizeof prk);
}

// ---- hashes ----

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(((struct auth_hash *)0)->state), "sha256_ctx");

static struct sha256_ctx *sha_of(struct auth_hash *hash) {
    return (struct sha256_ctx *)(void *)hash->state;
}

void auth_hash_begin(struct auth_hash *hash) {
    sha256_init(sha_of(hash));
}

void auth_hash_add(struct auth_hash *hash, const void *data, size_t len) {
    sha256_update(sha_of(hash), len, data);
}

void auth_hash_end(struct auth_hash *hash, char ret[AUTH_HASH_LEN + 1]) {
    uint8_t sum[SHA256_DIGEST_SIZE];
    sha256_digest(sha_of(hash), sizeof sum, sum);
    auth_hex(sum, sizeof sum, ret);
}

void auth_hash_of(const void *data, size_t len, char ret[AUTH_HASH_LEN + 1]) {
    struct auth_hash hash;
    auth_hash_begin(&hash);
    auth_hash_add(&hash, data, len);
    auth_hash_end(&hash, ret);
}

// ---- texts ----

static void add(struct hmac_sha256_ctx *hmac, const char *s, size_t len) {
    hmac_sha256_update(hmac, len, (const uint8_t *)s);
}

static void add_line(struct hmac_sha256_ctx *hmac, const char *line) {
    add(hmac, "\n", 1);
    if (line)
        add(hmac, line, strlen(line));
}

static void finish(struct hmac_sha256_ctx *hmac, char ret[AUTH_SIGNATURE_LEN + 1]) {
    uint8_t mac[SHA256_DIGEST_SIZE];
    hmac_sha256_digest(hmac, sizeof mac, mac);
    snprintf(ret, AUTH_SIGNATURE_LEN + 1, "v2=");
    auth_hex(mac, sizeof mac, ret + 3);
    explicit_bzero(hmac, sizeof *hmac);
}

static bool is_same(const char *wanted, const char *said) {
    return strlen(said) == AUTH_SIGNATURE_LEN && memeql_sec(wanted, said, AUTH_SIGNATURE_LEN);
}

const char *auth_phase_of(const char *path, size_t *ret_len) {
    static const char before[] = "/control/";
    bool is_control = strncmp(path, before, sizeof before - 1) == 0;
    const char *phase = is_control ? path + sizeof before - 1 : "";
    *ret_len = strcspn(phase, "/?");
    return phase;
}

void auth_sign(const struct auth_key *key, const struct auth_text *text,
               char ret[AUTH_SIGNATURE_LEN + 1]) {
    struct hmac_sha256_ctx hmac;
    hmac_sha256_set_key(&hmac, sizeof key->bytes, key->bytes);
    const char *const lines[] = {text->method, text->target, text->body,  text->pod,
                                 text->epoch,  text->round,  text->phase, text->time,
                                 text->nonce,  text->budget, text->shell, text->type};
    add(&hmac, "v2", 2);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        add_line(&hmac, lines[i]);
    finish(&hmac, ret);
}

bool auth_matches(const struct auth_key *key, const struct auth_text *text, const char *said) {
    char wanted[AUTH_SIGNATURE_LEN + 1];
    auth_sign(key, text, wanted);
    return is_same(wanted, said);
}

void auth_reply_sign(const struct auth_key *key, const struct auth_reply_text *text,
                     char ret[AUTH_SIGNATURE_LEN + 1]) {
    struct hmac_sha256_ctx hmac;
    char status[16];
    snprintf(status, sizeof status, "%d", text->status);
    hmac_sha256_set_key(&hmac, sizeof key->bytes, key->bytes);
    const char *const lines[] = {status, text->body, text->pod, text->nonce};
    add(&hmac, "v2 reply", 8);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        add_line(&hmac, lines[i]);
    finish(&hmac, ret);
}

bool auth_reply_matches(const struct auth_key *key, const struct auth_reply_text *text,
                        const char *said) {
    char wanted[AUTH_SIGNATURE_LEN + 1];
    auth_reply_sign(key, text, wanted);
    return is_same(wanted, said);
}
