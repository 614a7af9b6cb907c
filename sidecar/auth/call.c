#include "base/check.h"
#include "base/text.h"
#include "sidecar/auth/auth.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

// "http://host:port/path?query": what the request line will hold.
static const char *target_of(const char *url) {
    const char *host = strstr(url, "://");
    const char *target = strchr(host ? host + 3 : url, '/');
    return target ? target : "/";
}

static const char *value_of(const char *const *headers, const char *name) {
    size_t n = strlen(name);
    for (; *headers; headers++) {
        if (strncasecmp(*headers, name, n) != 0 || (*headers)[n] != ':')
            continue;
        const char *value = *headers + n + 1;
        return value + strspn(value, " ");
    }
    return NULL;
}

static void make_nonce(char ret[AUTH_NONCE_LEN + 1]) {
    uint8_t bytes[AUTH_NONCE_LEN / 2];
    CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    auth_hex(bytes, sizeof bytes, ret);
}

static void make_time(char *ret, size_t size) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(ret, size, "X-Ochopod-Time: %" PRId64 ".%03ld", (int64_t)now.tv_sec,
             now.tv_nsec / 1000000);
}

static struct auth_text text_of(const struct auth_call *call, const char *phase) {
    const char *const *h = call->headers;
    return (struct auth_text){
        .pod = value_of(h, "X-Ochopod-Target"),
        .epoch = value_of(h, "X-Ochopod-Epoch"),
        .round = value_of(h, "X-Ochopod-Round"),
        .phase = phase,
        .time = value_of(h, "X-Ochopod-Time"),
        .nonce = call->nonce,
        .budget = value_of(h, "X-Ochopod-Budget-Ms"),
        .shell = value_of(h, "X-Shell"),
        .type = value_of(h, "Content-Type"),
    };
}

void auth_call_sign(struct auth_call *call, const struct auth_key *key, bool timed,
                    const char *method, const char *url, const char *const *headers,
                    const void *body, size_t len) {
    size_t n = 0;
    memset(call, 0, sizeof *call);
    for (; headers && *headers; headers++) {
        CHECK(n < AUTH_HEADERS - 3);
        call->headers[n++] = *headers;
    }
    if (!key)
        return;
    call->key = *key;
    make_nonce(call->nonce);
    snprintf(call->lines[0], sizeof call->lines[0], "X-Ochopod-Nonce: %s", call->nonce);
    call->headers[n++] = call->lines[0];
    if (timed) {
        make_time(call->lines[1], sizeof call->lines[1]);
        call->headers[n++] = call->lines[1];
    }
    char hash[AUTH_HASH_LEN + 1], phase[32], said[AUTH_SIGNATURE_LEN + 1];
    size_t phase_len;
    const char *target = target_of(url), *word = auth_phase_of(target, &phase_len);
    snprintf(phase, sizeof phase, "%.*s", (int)phase_len, word);
    auth_hash_of(body, len, hash);
    struct auth_text text = text_of(call, phase);
    text.method = method;
    text.target = target;
    text.body = hash;
    auth_sign(key, &text, said);
    snprintf(call->lines[2], sizeof call->lines[2], "X-Signature: %s", said);
    call->headers[n] = call->lines[2];
}

bool auth_call_proves(const struct auth_call *call, const char *pod, int status, const void *body,
                      size_t len, const char *said) {
    char hash[AUTH_HASH_LEN + 1];
    auth_hash_of(body, len, hash);
    const struct auth_reply_text text = {status, hash, pod, call->nonce};
    return said && *call->nonce && auth_reply_matches(&call->key, &text, said);
}

bool auth_call_proves_stream(const struct auth_call *call, const char *pod, const char *said) {
    const struct auth_reply_text text = {200, "-", pod, call->nonce};
    return said && *call->nonce && auth_reply_matches(&call->key, &text, said);
}
