// The line between the client of door_remote.c and the process that holds the engine's socket:
// frames over a stream socket, each an int64 length and a message of base/wire. Both ends are the
// same program, but only one of them is trusted: what the holder reads is checked here (length) and
// in door_unpack (the rest), and anything else is an error of the line, never passed over.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include "docker-api/door.h"

enum line_ask { LINE_ASK = 1, LINE_CANCEL }; // then the serial, then for ASK the request
enum line_answer { LINE_HEAD = 1, LINE_DATA, LINE_END }; // then the serial
enum { LINE_PIECE = 64 * 1024 };                         // of a body in one LINE_DATA

void line_put(struct text *out, const struct text *message); // with its length in front
// Takes the next whole message out of `in` from *at on (borrowed): 1, 0: not all there yet, -1:
// this is none of ours.
int line_next(const struct text *in, size_t *at, struct wire *ret);

void line_ask(struct text *out, int64_t serial, const struct door_request *request);
void line_cancel(struct text *out, int64_t serial);
void line_head(struct text *out, int64_t serial, const struct door_head *head);
void line_data(struct text *out, int64_t serial, const void *data, size_t len);
void line_end(struct text *out, int64_t serial, int status, const struct err *err);
