#include "sidecar/control/framing.h"
#include <string.h>
#include <strings.h>

enum { DIGITS_MAX = 18, GAP_MAX = 32 };

static bool is_name(const char *key, size_t len, const char *name) {
    return len == strlen(name) && strncasecmp(key, name, len) == 0;
}

static bool is_token(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] == 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s[i]))
            return false;
    return len > 0;
}

static bool has_control(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
            return true;
    return false;
}

static void take_length(struct framing *f, const char *value, size_t len) {
    size_t n = 0;
    f->lengths++;
    f->bad |= !len || len > DIGITS_MAX || (len > 1 && value[0] == '0');
    for (size_t i = 0; i < len && !f->bad; i++) {
        f->bad = value[i] < '0' || value[i] > '9';
        n = n * 10 + (size_t)(value[i] - '0');
    }
    f->length = n;
}

static bool is_host(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') ||
              (s[i] >= 'A' && s[i] <= 'Z') || (s[i] && strchr(".-_:[]%~", s[i]))))
            return false;
    return true;
}

bool framing_is_target(const char *uri) {
    for (; *uri; uri++)
        if (*uri <= ' ' || *uri >= 0x7f)
            return false;
    return true;
}

void framing_begin(struct framing *f, size_t bytes, const char *method, const char *version,
                   size_t target) {
    size_t line = strlen(method) + strlen(" ") + target + strlen(" ") + strlen(version);
    *f = (struct framing){
        .bytes = bytes,
        .line = line,
        .accounted = line + strlen("\r\n") + strlen("\r\n"),
        .version = strcmp(version, "HTTP/1.1") == 0 || strcmp(version, "HTTP/1.0") == 0,
        .bad = !is_token(method, strlen(method)),
    };
}

void framing_add(struct framing *f, size_t ending, const char *key, size_t key_len, size_t gap,
                 const char *value, size_t len) {
    f->headers++;
    f->accounted += key_len + gap + len + strlen("\r\n");
    f->bad |= ending != strlen("\r\n") || !is_token(key, key_len) || has_control(value, len) ||
              gap > GAP_MAX;
    f->chunked |= is_name(key, key_len, "Transfer-Encoding");
    f->expect |= is_name(key, key_len, "Expect");
    if (is_name(key, key_len, "Host")) {
        f->hosts++;
        f->bad |= !is_host(value, len);
    }
    if (is_name(key, key_len, "Content-Length"))
        take_length(f, value, len);
}

const char *framing_refuses(const struct framing *f, int *ret_status) {
    const struct {
        bool so;
        int status;
        const char *why;
    } rules[] = {
        {!f->version, 505, "HTTP/1.0 and HTTP/1.1 only"},
        {f->bad, 400, "a malformed request line or header"},
        {f->accounted != f->bytes, 400, "a folded header line, a bare LF or a NUL byte"},
        {f->hosts > 1, 400, "more than one Host"},
        {f->lengths > 1, 400, "more than one Content-Length"},
        {f->lengths && f->chunked, 400, "Content-Length and Transfer-Encoding in one request"},
        {f->chunked, 411, "no chunked bodies: send Content-Length"},
        {f->line > FRAMING_LINE, 414, "the request line is longer than 2 KiB"},
        {f->headers > FRAMING_HEADERS, 431, "more than 64 headers"},
        {f->bytes > FRAMING_BYTES, 431, "the header is longer than 8 KiB"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].so) {
            *ret_status = rules[i].status;
            return rules[i].why;
        }
    return NULL;
}
