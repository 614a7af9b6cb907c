// What the control port decodes itself: multipart bodies, and which requests it believes. The first
// byte chooses. Parts must lie inside the body and apart from each other.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/control/framing.h"
#include "sidecar/control/multipart.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_multipart(const char *data, size_t len) {
    const char *end = memchr(data, '\n', len);
    size_t head = end ? (size_t)(end - data) : len;
    auto_free char *type = xstrndup(data, head), *whole = NULL;
    // A copy of its own, so that a byte too far is seen.
    size_t body_len = len - head - (end != NULL);
    whole = xcalloc(body_len + 1, 1);
    memcpy(whole, data + len - body_len, body_len);
    char *body = xrealloc(take_ptr(whole), body_len);
    struct multipart m;
    struct err err = ERR_INIT;
    const char *from = body;
    if (multipart_read(&m, type, body, body_len, &err) == 0)
        for (size_t i = 0; i < m.n; i++) {
            const char *part = m.parts[i].data;
            CHECK(*m.parts[i].name && part >= from && part + m.parts[i].len <= body + body_len);
            from = part + m.parts[i].len;
        }
    else
        CHECK(err.kind == ERR_USER || err.kind == ERR_LIMIT);
    CHECK(m.n <= MULTIPART_MAX);
    multipart_done(&m);
    free(body);
}

// Lines "name:value"; what is believed has at most one length, digits only, and no coding.
static void fuzz_framing(const char *data, size_t len) {
    struct framing f;
    int status = 0;
    size_t lengths = 0;
    framing_begin(&f, len, "POST", "HTTP/1.1", 1);
    for (const char *end; len && (end = memchr(data, '\n', len));) {
        const char *colon = memchr(data, ':', (size_t)(end - data));
        size_t key = (size_t)((colon ? colon : end) - data);
        const char *value = colon ? colon + 1 : end;
        framing_add(&f, 2, data, key, 1, value, (size_t)(end - value));
        lengths += key == strlen("Content-Length") &&
                   strncasecmp(data, "Content-Length", strlen("Content-Length")) == 0;
        len -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    f.bytes = f.accounted;
    if (framing_refuses(&f, &status))
        CHECK(status >= 400 && status < 500);
    else
        CHECK(!f.chunked && lengths <= 1 && (lengths || !f.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    if (*data & 1)
        fuzz_multipart((const char *)data + 1, size - 1);
    else
        fuzz_framing((const char *)data + 1, size - 1);
    return 0;
}
