#include "docker-api/line.h"
#include <string.h>

void line_put(struct text *out, const struct text *message) {
    int64_t len = (int64_t)message->len;
    text_addn(out, &len, sizeof len);
    text_addn(out, text_str(message), message->len);
}

int line_next(const struct text *in, size_t *at, struct wire *ret) {
    int64_t len;
    if (in->len - *at < sizeof len)
        return 0;
    memcpy(&len, in->s + *at, sizeof len);
    if (len <= 0 || len > WIRE_MAX)
        return -1;
    if (in->len - *at - sizeof len < (size_t)len)
        return 0;
    const char *from = in->s + *at + sizeof len;
    *ret = (struct wire){.at = from, .end = from + len};
    *at += sizeof len + (size_t)len;
    return 1;
}

static void begin(struct text *message, int kind, int64_t serial) {
    wire_add_int(message, kind);
    wire_add_int(message, serial);
}

static void send(struct text *out, struct text *message) {
    line_put(out, message);
    text_done(message);
}

void line_ask(struct text *out, int64_t serial, const struct door_request *request) {
    struct text message = {0};
    begin(&message, LINE_ASK, serial);
    door_pack(&message, request);
    send(out, &message);
}

void line_cancel(struct text *out, int64_t serial) {
    struct text message = {0};
    begin(&message, LINE_CANCEL, serial);
    send(out, &message);
}

void line_head(struct text *out, int64_t serial, const struct door_head *head) {
    struct text message = {0};
    begin(&message, LINE_HEAD, serial);
    wire_add_int(&message, head->status);
    wire_add_str(&message, head->api_version);
    wire_add_str(&message, head->server);
    send(out, &message);
}

void line_data(struct text *out, int64_t serial, const void *data, size_t len) {
    for (size_t at = 0; at < len; at += LINE_PIECE) {
        struct text message = {0};
        begin(&message, LINE_DATA, serial);
        wire_add(&message, (const char *)data + at,
                 len - at < LINE_PIECE ? len - at : (size_t)LINE_PIECE);
        send(out, &message);
    }
}

void line_end(struct text *out, int64_t serial, int status, const struct err *err) {
    struct text message = {0};
    begin(&message, LINE_END, serial);
    wire_add_int(&message, status);
    wire_add_err(&message, err);
    send(out, &message);
}
