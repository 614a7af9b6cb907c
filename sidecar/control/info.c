#include "base/check.h"
#include "sidecar/control/inner.h"

enum { FRESH_MS = 200 };

// Ochopod's, in its order; its tools show them so.
static const char *const first_keys[] = {
    "application", "port",    "task",         "ip",      "node",  "ports",
    "public",      "metrics", "dependencies", "process", "state", "status",
};

json_t *info_object(struct control *c) {
    auto_json json_t *given = c->hooks.info(c->arg);
    json_t *info = json_object(), *value;
    for (size_t i = 0; i < sizeof(first_keys) / sizeof(first_keys[0]); i++)
        if ((value = json_object_get(given, first_keys[i])))
            CHECK(json_object_set(info, first_keys[i], value) == 0);
    const char *key;
    json_object_foreach(given, key, value) {
        if (!json_object_get(info, key))
            CHECK(json_object_set(info, key, value) == 0);
    }
    CHECK(json_object_set_new(info, "ready", json_boolean(pod_ready(c->pod))) == 0);
    return info;
}

// Made when somebody asks, then the same bytes for everybody until something changes. Nobody has to
// tell of every small thing (a leader's status line), so it is never old either.
void info_route(struct control *c, struct request *request) {
    int64_t now = loop_now(c->loop);
    if (now - c->info_made >= FRESH_MS)
        server_drop(&c->info);
    if (!c->info) {
        c->info_made = now;
        auto_json json_t *info = info_object(c);
        c->info = reply_keep(info);
    }
    request_answer_kept(request, c->info);
}
