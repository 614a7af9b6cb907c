// What the files of docker-api share: the client and a call in flight. A call is one request or a
// chain of them (exec: create, start, inspect) that ends in one callback. It waits for the first
// contact, so that the version is known; while the engine is away it fails in the next turn.
// Lifetimes: a call is in docker->calls until it ends or is cancelled. Whoever calls back to the
// owner in the middle of something (events, log lines, progress) sets ->gone before, because the
// owner may cancel, stop or close there.
#pragma once
#include "base/http.h"
#include "base/list.h"
#include "base/text.h"
#include "docker-api/docker.h"
#include "docker-api/door.h"
#include "docker-api/frames.h"

enum docker_contact { CONTACT_NONE, CONTACT_UP, CONTACT_DOWN }; // NONE: no verdict yet

struct docker {
    struct loop *loop;
    struct door *door;
    char *host;   // as told, for messages
    char *socket; // path, or NULL for TCP
    bool folder;  // a directory was there when we began: no engine ever is
    struct docker_events_listener listener;
    bool listening;
    char **labels; // NULL-ended "key=value", or NULL for all
    void *arg;
    bool *gone; // where docker_close tells a caller up the stack

    enum docker_contact contact;
    char version[16]; // "1.41", "" before the first contact
    char engine[64];
    int64_t retry_ms; // next pause
    int64_t up_since_ms;
    struct err down; // why it is away
    struct door_call *ping;
    char met[2][64];          // of the ping's head: version, server
    struct loop_timer *timer; // retry while down, silence while up
    struct link calls;        // struct docker_call

    // the events stream (events.c)
    struct door_call *events;
    struct loop_timer *events_head; // until its head has come
    struct jsonl events_lines;
    struct text events_refusal; // the body when its status is not 200
    int events_status;
    int64_t since_ns; // of the last event, or when the first contact was made
};

// ---- the contact (docker.c) ----

void contact_up(struct docker *d);
void contact_lost(struct docker *d, const struct err *why);
void contact_quiet(struct docker *d);   // something came: the next look is a full period away
void contact_suspect(struct docker *d); // a call could not get through: look now

// ---- the events stream (events.c) ----

void events_open(struct docker *d); // ends in contact_up or contact_lost
void events_close(struct docker *d);

// ---- calls (call.c) ----

struct call_request {
    struct door_request asked; // max_reply is DECODE_MAX_REPLY when 0
    const json_t *json;        // of it, when it is not text yet
    void (*on_head)(struct docker_call *call, int status);
    // The body piece by piece, of a reply that is a success; false: the call is gone.
    bool (*on_data)(struct docker_call *call, const char *data, size_t len);
};

// err is ERR_NONE when the status says that it was done; a status that says no is already an err
// with the engine's message. Ends the call or sends its next request.
typedef void call_reply_fn(struct docker_call *call, const struct http_reply *reply,
                           const struct err *err);

struct docker_call {
    struct link link;
    struct docker *docker;
    char *what; // "start 0123456789ab", in front of every error
    call_reply_fn *on_reply;
    bool absent_ok;  // 404 is success
    bool stopped_ok; // 409 "is not running" is success
    bool open_ended; // has no deadline of its own: ends with the contact
    bool *gone;

    bool waiting; // for the first contact
    struct door_call *sent;
    struct loop_timer *timer; // reports `failure` in the next turn
    struct err failure;
    struct text request; // kept while it waits
    void (*on_head)(struct docker_call *call, int status);
    bool (*on_data)(struct docker_call *call, const char *data, size_t len);
    int status;          // of a streamed reply
    struct text refusal; // its body when it is no success

    union {
        docker_done_fn *done;
        docker_id_fn *id;
        docker_container_fn *container;
        docker_json_fn *json;
        docker_wait_fn *wait;
        docker_exec_fn *exec;
        docker_image_fn *image;
        docker_stat_fn *stat;
    } fn;
    void *arg;
    void *extra; // of a chain
    void (*extra_free)(void *extra);
};

// fn takes the reply, or the failure of whatever went before; a chain sets on_reply before it sends
// the next request. fmt names the call in errors.
struct docker_call *call_create(struct docker *d, call_reply_fn *fn, void *arg, const char *fmt,
                                ...) __attribute__((format(printf, 4, 5)));
void call_send(struct docker_call *call, const struct call_request *request);
// The next turn ends the call with it: for what is wrong before anything was sent.
void call_fail(struct docker_call *call, const struct err *err);
void call_free(struct docker_call *call); // leaves docker->calls, stops what is in flight

// The reply of a docker_done_fn.
void call_done_reply(struct docker_call *call, const struct http_reply *reply,
                     const struct err *err);
// err of a reader becomes that of the call: the engine said what it should not, nobody else did.
void call_unreadable(const struct docker_call *call, struct err *err);

void calls_release(struct docker *d);                     // the contact was made
void calls_drop(struct docker *d, const struct err *why); // it was lost

// ---- paths ----

// "unix:///path" or "tcp://address:port" as path, or NULL, and the base of a URL. ERR_USER.
int read_host(const char *host, char **ret_socket, char **ret_base, struct err *err) must_check;

void escape(struct text *t, const char *s, const char *safe); // percent-encoding
bool is_name(const char *s); // of a container, exec or volume: nothing that would change the path
