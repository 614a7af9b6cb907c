#include "docker-api/door.h"
#include "base/check.h"
#include "base/own.h"
#include "docker-api/decode.h"
#include <string.h>

const char *door_op_name(enum door_op op) {
    static const char *const names[DOOR_OPS] = {
        [DOOR_PING] = "ping",
        [DOOR_EVENTS] = "events",
        [DOOR_LIST] = "list",
        [DOOR_INSPECT] = "inspect",
        [DOOR_CREATE] = "create",
        [DOOR_START] = "start",
        [DOOR_STOP] = "stop",
        [DOOR_KILL] = "kill",
        [DOOR_WAIT] = "wait",
        [DOOR_RENAME] = "rename",
        [DOOR_REMOVE] = "remove",
        [DOOR_UPDATE] = "update",
        [DOOR_EXEC_CREATE] = "exec create",
        [DOOR_EXEC_START] = "exec start",
        [DOOR_EXEC_INSPECT] = "exec inspect",
        [DOOR_LOGS] = "logs",
        [DOOR_ARCHIVE] = "archive",
        [DOOR_STAT] = "stat",
        [DOOR_IMAGE] = "image inspect",
        [DOOR_PULL] = "pull",
        [DOOR_VOLUME_CREATE] = "volume create",
        [DOOR_VOLUME_LIST] = "volume list",
        [DOOR_VOLUME_REMOVE] = "volume remove",
    };
    return op > 0 && op < DOOR_OPS ? names[op] : "?";
}

void door_pack(struct text *message, const struct door_request *r) {
    wire_add_int(message, r->op);
    wire_add_str(message, r->version);
    wire_add_str(message, r->id);
    wire_add_str(message, r->text);
    wire_add_int(message, r->number);
    wire_add_int(message, r->since_ns);
    wire_add_int(message, r->follow);
    wire_add_str(message, r->json);
    wire_add_int(message, r->body != NULL);
    wire_add(message, r->body, r->body ? r->body_len : 0);
    wire_add_int(message, r->timeout_ms);
    wire_add_int(message, (int64_t)r->max_reply);
    wire_add_int(message, r->pieces);
}

// "1.41": what goes into the path as it is. To an older one the engine gives other defaults, and
// takes what it refuses now (a HostConfig with a start).
static bool is_version(const char *s) {
    char spoken[16];
    return s && decode_version(s, spoken, NULL) == 0 && strcmp(s, spoken) == 0;
}

// What each may bring besides its words: whoever judges a request looks there, and nowhere else.
static bool is_carried(const struct door_request *r) {
    static const struct {
        bool json, body, pieces;
    } carries[DOOR_OPS] = {
        [DOOR_EVENTS] = {.json = true, .pieces = true},
        [DOOR_LIST] = {.json = true},
        [DOOR_CREATE] = {.json = true},
        [DOOR_UPDATE] = {.json = true},
        [DOOR_EXEC_CREATE] = {.json = true},
        [DOOR_EXEC_START] = {.body = true, .pieces = true},
        [DOOR_LOGS] = {.pieces = true},
        [DOOR_ARCHIVE] = {.body = true},
        [DOOR_PULL] = {.pieces = true},
        [DOOR_VOLUME_CREATE] = {.json = true},
        [DOOR_VOLUME_LIST] = {.json = true},
    };
    return (!r->json || carries[r->op].json) && (!r->body || carries[r->op].body) &&
           (!r->pieces || carries[r->op].pieces);
}

int door_unpack(struct wire *w, struct door_request *ret) {
    int64_t op = wire_int(w);
    *ret = (struct door_request){.version = wire_str(w), .op = (enum door_op)op};
    ret->id = wire_str(w);
    ret->text = wire_str(w);
    ret->number = wire_int(w);
    ret->since_ns = wire_int(w);
    ret->follow = wire_int(w) != 0;
    ret->json = wire_str(w);
    bool has_body = wire_int(w) != 0;
    ret->body = wire_bytes(w, &ret->body_len);
    if (!has_body)
        ret->body = NULL;
    ret->timeout_ms = wire_int(w);
    int64_t max_reply = wire_int(w);
    ret->max_reply = (size_t)max_reply;
    ret->pieces = wire_int(w) != 0;
    bool versioned = op == DOOR_PING ? !ret->version : is_version(ret->version);
    bool good = !w->broken && op > 0 && op < DOOR_OPS && versioned && ret->timeout_ms >= 0 &&
                max_reply >= 0 && max_reply <= WIRE_MAX && is_carried(ret);
    return good ? 0 : -1;
}

struct door_call *door_start(struct door *door, const struct door_request *request,
                             const struct door_events *events, void *arg) {
    return door->start(door, request, events, arg);
}

void door_cancel(struct door_call **slot) {
    if (!*slot)
        return;
    struct door_call *call = take_ptr(*slot);
    call->door->cancel(call);
}

void door_close(struct door *door) {
    if (door)
        door->close(door);
}
