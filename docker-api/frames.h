// The engine's streams, piece by piece as the network hands them over: 8-byte multiplexed frames,
// lines of JSON, log lines with time stamps. Pure, incremental, bounded memory; fuzzed. Each reader
// calls back for what is complete; a callback answers false to stop, after which the reader is not
// touched again (its owner may be gone).
#pragma once
#include "base/err.h"
#include "base/text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- frames: attach, exec, logs of a container without a terminal ----
// Header {stream, 0, 0, 0, length big endian}. Streams: 1 stdout, 2 stderr, 3 the engine's own
// error text. Whether a stream is framed is decided by Tty alone; the content type lies.

struct frames {
    unsigned char head[8];
    size_t have;   // bytes of head
    uint32_t left; // bytes of the payload still to come
};
// A part of a payload; last: the frame ends with it. An empty frame comes as one empty part.
typedef bool frames_fn(int stream, const char *data, size_t len, bool last, void *arg);
// ERR_RETRY when it is not frames.
int frames_feed(struct frames *f, const char *data, size_t len, frames_fn *fn, void *arg,
                struct err *err) must_check;

// ---- JSON lines: events, pull ----
// One document a line, '\n' or "\r\n"; blank lines and the record separator of json-seq are
// skipped.

struct jsonl {
    struct text line;
};
typedef bool jsonl_fn(const char *line, size_t len, void *arg);
// ERR_LIMIT when a line is longer than max.
int jsonl_feed(struct jsonl *j, const char *data, size_t len, size_t max, jsonl_fn *fn, void *arg,
               struct err *err) must_check;
void jsonl_done(struct jsonl *j);

// ---- log lines: "2006-01-02T15:04:05.000000000Z text" ----
// The engine stores a line longer than 16 KiB in pieces, each with a stamp of its own and only the
// last with a newline. A piece is at most that long; its stamp is taken off.

enum { LINES_MAX = 16 << 10 };

struct lines {
    struct text piece;
    int64_t time_ns; // of the piece at hand, or of the last that had one
};
typedef bool lines_fn(const char *line, size_t len, int64_t time_ns, void *arg);
// Answers false when fn did.
bool lines_feed(struct lines *l, const char *data, size_t len, lines_fn *fn, void *arg) must_check;
// What has no newline yet is a line as well (a frame, the stream or the container ended).
bool lines_flush(struct lines *l, lines_fn *fn, void *arg) must_check;
void lines_done(struct lines *l);

// Length of a stamp at the start of s with the space behind it, or 0.
size_t lines_stamp(const char *s, size_t len, int64_t *ret_ns);
