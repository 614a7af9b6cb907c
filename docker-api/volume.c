#include "base/check.h"
#include "base/own.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"

enum { VOLUME_MS = 30000 };

struct docker_call *docker_volume_create(struct docker *d, const char *name, const json_t *labels,
                                         docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "volume create %s", name);
    auto_json json_t *body = json_pack("{s:s}", "Name", name);
    struct err err = ERR_INIT;
    call->fn.done = fn;
    if (!body) { // jansson takes UTF-8 only
        err_set(&err, ERR_USER, "the name is not text");
        call_fail(call, &err);
        return call;
    }
    if (labels)
        json_object_set_new(body, "Labels", json_deep_copy(labels));
    call_send(call, &(struct call_request){
                        .asked = {.op = DOOR_VOLUME_CREATE, .id = name, .timeout_ms = VOLUME_MS},
                        .json = body});
    return call;
}

static void list_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err) {
    docker_json_fn *fn = call->fn.json;
    void *arg = call->arg;
    struct err mine = *err;
    auto_json json_t *none = json_array(), *j = NULL;
    const json_t *volumes = NULL;
    if (mine.kind == ERR_NONE) {
        j = json_read_quoting(reply->body, reply->len, DECODE_MAX_REPLY, "reply", &mine);
        volumes = json_object_get(j, "Volumes");
        if (mine.kind != ERR_NONE)
            call_unreadable(call, &mine);
        else if (!json_is_array(volumes))
            volumes = none; // null when there is none
    }
    call_free(call);
    fn(volumes, &mine, arg);
}

struct docker_call *docker_volume_list(struct docker *d, const json_t *filters, docker_json_fn *fn,
                                       void *arg) {
    struct docker_call *call = call_create(d, list_reply, arg, "list volumes");
    call->fn.json = fn;
    call_send(call,
              &(struct call_request){.asked = {.op = DOOR_VOLUME_LIST, .timeout_ms = VOLUME_MS},
                                     .json = filters});
    return call;
}

struct docker_call *docker_volume_remove(struct docker *d, const char *name, docker_done_fn *fn,
                                         void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "volume remove %s", name);
    struct err err = ERR_INIT;
    call->fn.done = fn;
    call->absent_ok = true;
    if (is_name(name)) {
        call_send(call,
                  &(struct call_request){
                      .asked = {.op = DOOR_VOLUME_REMOVE, .id = name, .timeout_ms = VOLUME_MS}});
    } else {
        err_set(&err, ERR_USER, "not a name of a volume");
        call_fail(call, &err);
    }
    return call;
}
