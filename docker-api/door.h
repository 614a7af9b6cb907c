// Where a call leaves the client: what is asked of the engine as a typed request, what comes back
// as status, body and end. Two doors: one speaks HTTP to the engine (door_http.c), one hands the
// request to another process that does (door_remote.c). What is asked is the same, so whoever
// stands between can judge it: a closed list of questions, no paths.
//
// on_end comes exactly once unless the call is cancelled, never inside door_start, and the handle
// is gone when it runs. Loop thread.
#pragma once
#include "base/err.h"
#include "base/http.h"
#include "base/loop.h"
#include "base/text.h"
#include "base/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum door_op {
    DOOR_PING = 1,
    DOOR_EVENTS,
    DOOR_LIST,
    DOOR_INSPECT,
    DOOR_CREATE,
    DOOR_START,
    DOOR_STOP,
    DOOR_KILL,
    DOOR_WAIT,
    DOOR_RENAME,
    DOOR_REMOVE,
    DOOR_UPDATE,
    DOOR_EXEC_CREATE,
    DOOR_EXEC_START,
    DOOR_EXEC_INSPECT,
    DOOR_LOGS,
    DOOR_ARCHIVE,
    DOOR_STAT,
    DOOR_IMAGE,
    DOOR_PULL,
    DOOR_VOLUME_CREATE,
    DOOR_VOLUME_LIST,
    DOOR_VOLUME_REMOVE,
    DOOR_OPS
};

enum { DOOR_FORCE = 1, DOOR_VOLUMES = 2 }; // of a removal

struct door_request { // all borrowed
    enum door_op op;
    const char *version; // of the API, "1.41"; NULL for a ping
    const char *id;      // of a container or an exec, name of an image (without its tag when it is
                         // pulled) or a volume
    const char *text;    // create, rename: name; stop, kill: signal; wait: condition; archive: the
                         // directory; stat: the path; pull: the tag. NULL: none
    int64_t number; // list: all; stop: grace in seconds; remove: flags; logs: lines before the end
    int64_t since_ns; // logs, events
    bool follow;      // logs
    const char
        *json; // body of create, update, exec create, volume create; filters of lists, events
    const void *body; // archive: a tar; exec start: what the process reads; NULL: none
    size_t body_len;
    int64_t timeout_ms; // 0: none
    size_t max_reply;   // of a body that is kept
    bool pieces;        // the body is handed over as it comes
};

const char *door_op_name(enum door_op op); // "create", for messages; "?" where there is none
void door_pack(struct text *message, const struct door_request *request);
// Borrowed from the message. -1: it is not one of ours.
int door_unpack(struct wire *w, struct door_request *ret) must_check;

struct door_head {
    int status;
    const char *api_version, *server; // of a ping; "" elsewhere
};
struct door_events { // on_head may be NULL; on_data only where pieces were asked for
    void (*on_head)(const struct door_head *head, void *arg);
    int (*on_data)(const void *data, size_t len, void *arg); // anything but 0 ends the call
    // reply: status and body (kept by size only up to max_reply), never a header.
    void (*on_end)(const struct http_reply *reply, const struct err *err, void *arg);
};

struct door;
struct door_call { // first member of what a door keeps
    struct door *door;
};
struct door {
    struct door_call *(*start)(struct door *door, const struct door_request *request,
                               const struct door_events *events, void *arg);
    void (*cancel)(struct door_call *call);
    void (*close)(struct door *door);
};

struct door_call *door_start(struct door *door, const struct door_request *request,
                             const struct door_events *events, void *arg);
void door_cancel(struct door_call **slot); // no callback after it; no-op on NULL
void door_close(struct door *door);        // calls must have ended or been cancelled; takes NULL

// base: "http://docker" or "http://127.0.0.1:2375"; socket: path, or NULL for TCP.
struct door *door_http_create(struct http *http, const char *socket, const char *base);
// fd: a stream socket to the process that holds the engine's, taken over. on_gone: that process has
// ended, or speaks another language; once, in a turn of its own. Calls stay open then.
struct door *door_remote_create(struct loop *loop, int fd, void (*on_gone)(void *arg), void *arg);
