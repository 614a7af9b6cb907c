// What stands in front of everything else: signatures and what they are made of, the portal's
// command line and its signature, the token file. The first byte chooses; lines are the fields.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/auth/auth.h"
#include "sidecar/auth/nonces.h"
#include "sidecar/auth/token.h"
#include "sidecar/portal/signature.h"
#include "sidecar/portal/words.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS = 13 };
static char *field[FIELDS + 1];

static const char *or_null(int i) {
    return *field[i] ? field[i] : NULL;
}

// Nothing but what was signed, under the key that signed it, matches.
static void try_request(void) {
    struct auth_key key, other;
    auth_derive(field[0], AUTH_PEER, field[1], &key);
    auth_derive(field[0], AUTH_READ, field[1], &other);
    char body[AUTH_HASH_LEN + 1], sign[AUTH_SIGNATURE_LEN + 1];
    auth_hash_of(field[2], strlen(field[2]), body);
    struct auth_text text = {.method = field[3],
                             .target = field[4],
                             .body = body,
                             .pod = or_null(5),
                             .epoch = or_null(6),
                             .round = or_null(7),
                             .time = or_null(8),
                             .nonce = or_null(9),
                             .budget = or_null(10),
                             .shell = or_null(11)};
    auth_sign(&key, &text, sign);
    CHECK(strlen(sign) == AUTH_SIGNATURE_LEN && text_starts(sign, "v2="));
    CHECK(auth_matches(&key, &text, sign) && !auth_matches(&other, &text, sign));
    if (strcmp(field[12], sign) != 0)
        CHECK(!auth_matches(&key, &text, field[12]));
    struct auth_text moved = text; // a line more and a line less is another text
    moved.pod = text.epoch;
    moved.epoch = text.pod;
    bool same = strcmp(moved.pod ? moved.pod : "", text.pod ? text.pod : "") == 0;
    CHECK(auth_matches(&key, &moved, sign) == same);
    size_t len;
    const char *phase = auth_phase_of(field[4], &len);
    CHECK(!len || (phase >= field[4] && phase + len <= field[4] + strlen(field[4])));
}

static void try_reply(void) {
    struct auth_key key;
    auth_derive(field[0], AUTH_OPERATOR, field[1], &key);
    struct auth_reply_text text = {
        .status = (int)strlen(field[2]), .body = field[3], .pod = field[4], .nonce = field[5]};
    char sign[AUTH_SIGNATURE_LEN + 1];
    auth_reply_sign(&key, &text, sign);
    CHECK(auth_reply_matches(&key, &text, sign));
    text.status++;
    CHECK(!auth_reply_matches(&key, &text, sign));
    if (strcmp(field[12], sign) != 0)
        CHECK(!auth_reply_matches(&key, &text, field[12]));
}

static void try_portal(void) {
    char sign[SIGNATURE_LEN + 1];
    signature_make(field[0], field[1], sign);
    CHECK(signature_matches(field[0], field[1], sign));
    if (strcmp(field[2], sign) != 0)
        CHECK(!signature_matches(field[0], field[1], field[2]));
    struct err err = ERR_INIT;
    char **words = words_split(field[1], &err);
    size_t bytes = 0, line = strlen(field[1]);
    CHECK(words || err.kind == ERR_USER);
    for (size_t i = 0; words && words[i]; i++)
        bytes += strlen(words[i]);
    CHECK(bytes <= line);
    if (words)
        text_list_free(words);
}

static void try_tokens(const char *data, size_t len) {
    auto_free char *copy = xcalloc(len + 1, 1);
    memcpy(copy, data, len);
    struct secret file = {copy, len};
    struct tokens tokens;
    struct err err = ERR_INIT;
    if (tokens_parse(&file, "file", &tokens, &err)) {
        CHECK(err.kind == ERR_USER);
        return;
    }
    CHECK(tokens.n >= 1 && tokens.n <= TOKENS_MAX);
    for (size_t i = 0; i < tokens.n; i++)
        CHECK(strlen(tokens.text[i]) >= TOKEN_MIN && strlen(tokens.text[i]) <= TOKEN_MAX);
    tokens_wipe(&tokens);
}

// Whatever is said in whatever order: no nonce of one time is new twice.
static void try_nonces(const uint8_t *data, size_t len) {
    struct nonces *nonces = nonces_create(1000, 0);
    int64_t now = 1;
    for (size_t i = 0; i + 2 < len; i += 3) {
        char nonce[3] = {(char)('a' + data[i] % 26), (char)('a' + data[i + 1] % 26), '\0'};
        int64_t time = now - data[i + 2] % 64;
        (void)nonces_use(nonces, nonce, time, now);
        CHECK(!nonces_use(nonces, nonce, time, now));
        now += data[i + 2] / 64;
    }
    nonces_free(nonces);
}

// A copy of each line, "" where there are no more; no NUL in one.
static void cut(const char *data, size_t len) {
    for (int i = 0; i < FIELDS; i++) {
        const char *end = len ? memchr(data, '\n', len) : NULL;
        size_t n = end ? (size_t)(end - data) : len;
        field[i] = xstrndup(data, n);
        n += end != NULL;
        data += n;
        len -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    cut((const char *)data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        try_request();
        break;
    case 1:
        try_reply();
        break;
    case 2:
        try_portal();
        break;
    case 3:
        try_tokens((const char *)data + 1, size - 1);
        break;
    default:
        try_nonces(data + 1, size - 1);
    }
    for (int i = 0; i < FIELDS; i++)
        free(field[i]);
    return 0;
}
