#include "sidecar/portal/signature.h"
#include "base/check.h"
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <string.h>

void signature_make(const char *token, const char *line, char ret[SIGNATURE_LEN + 1]) {
    struct hmac_sha1_ctx hmac;
    uint8_t digest[SHA1_DIGEST_SIZE];
    hmac_sha1_set_key(&hmac, strlen(token), (const uint8_t *)token);
    hmac_sha1_update(&hmac, strlen(line), (const uint8_t *)line);
    hmac_sha1_digest(&hmac, sizeof digest, digest);
    int at = snprintf(ret, SIGNATURE_LEN + 1, "sha1=");
    for (size_t i = 0; i < sizeof digest; i++)
        at += snprintf(ret + at, SIGNATURE_LEN + 1 - (size_t)at, "%02x", digest[i]);
}

bool signature_matches(const char *token, const char *line, const char *said) {
    char wanted[SIGNATURE_LEN + 1];
    signature_make(token, line, wanted);
    return strlen(said) == SIGNATURE_LEN && memeql_sec(wanted, said, SIGNATURE_LEN);
}
