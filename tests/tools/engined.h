// engined: a Docker engine that answers at once and runs nothing. A TEST TOOL: benchmarks form
// clusters of many sidecars against it, so that coordination is what is measured, and tests of bad
// input make it misbehave. One thread, any number of clients; its memory is tests/fake/engine.c.
//   engined_serve.c   sockets and HTTP: requests in, replies out, whole, chunked or upgraded
//   engined_routes.c  what each request of the Engine API does
//   engined.c         options
#pragma once
#include "base/json.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/text.h"
#include "tests/fake/engine.h"

struct exchange;

struct engined {
    struct loop *loop;
    struct engine *engine;
    const char *api; // what it says it speaks
    bool any_image;  // every image is there
    int listener;    // descriptor
    struct loop_fd *accepting;
    struct link clients; // struct exchange
    struct link whims;   // struct whim
    json_t *past;        // the last 256 events
    json_t *logs;        // container id -> [[stream, line, ns]]
    struct link deaths;  // ends that are to come
};

// How one reply goes wrong.
struct whim {
    struct link link;
    char *method, *path; // prefixes of what was asked, without the version
    char *kind;          // status, garbage, cut, slow, hang, huge, bomb, raw
    char *body;
    int64_t number; // status; bytes; bytes a second
    int64_t times;
};

enum following { FOLLOW_NOTHING, FOLLOW_EVENTS, FOLLOW_WAIT, FOLLOW_LOGS, FOLLOW_EXEC };

// A connection and the request at hand.
struct exchange {
    struct link link;
    struct engined *d;
    int fd;
    struct loop_fd *watch;
    struct loop_timer *drip; // `slow`
    struct text in, out;
    size_t out_at;
    int64_t left; // bytes until it is cut, -1: all of them
    int64_t rate; // bytes a second, 0: at once
    bool closing, half_closed, hung;
    // the request
    char *method, *path; // without version
    json_t *query;       // decoded
    json_t *body;        // NULL when there is none or it is not JSON
    const char *raw;
    size_t raw_len;
    // the reply that goes on
    enum following following;
    char *subject; // container or exec id
    char *condition;
    json_t *filters;
    bool tty, stamps;
    size_t log_at;
};

struct engined *engined_create(struct loop *loop, const char *api);
void engined_free(struct engined *d);
int engined_listen(struct engined *d, const char *address, struct err *err) must_check;

// ---- replies (engined_serve.c) ----

void reply_status(struct exchange *x, int status, const char *message);
void reply_json(struct exchange *x, int status, const json_t *body); // NULL: no body
void reply_engine(struct exchange *x, struct engine_reply reply);    // releases the body
void reply_raw(struct exchange *x, int status, const char *type, const char *body, size_t len);
void reply_stream(struct exchange *x);                 // 200, chunks follow
void reply_upgrade(struct exchange *x, bool upgraded); // 101 or 200, raw bytes follow
void reply_chunk(struct exchange *x, const void *data, size_t len);
void reply_bytes(struct exchange *x, const void *data, size_t len);
void reply_end(struct exchange *x); // of chunks
void reply_close(struct exchange *x);

// ---- requests (engined_routes.c) ----

void engined_answer(struct exchange *x);
void engined_input_ended(struct exchange *x); // the client of an upgraded one half-closed
int64_t engined_clock(void *arg);
void engined_on_event(const json_t *event, const struct engine_container *c, void *arg);
void engined_forget_deaths(struct engined *d);
void engined_forget_whims(struct engined *d);
