#include "sidecar/leader/source.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/record.h"
#include <string.h>

enum { MAX_SNAPSHOT = 1 << 20, NAMED = 3 };

struct source {
    char *path;
    struct zk_follow *snapshot_follow, *pods_follow;
    bool snapshot_seen, pods_seen;
    json_t *snapshot; // {id: pod}, {} when there is none
    json_t *alive;    // {id: true}
    void (*on_change)(void *arg);
    void *arg;
};

static void replace(json_t **where, json_t *with) {
    CHECK(with);
    json_decref(*where);
    *where = with;
}

// What is no pod cannot be an address to anybody.
json_t *source_usable(json_t *snapshot, const char *path) {
    json_t *pods = json_object();
    size_t skipped = 0;
    const char *id;
    json_t *pod;
    json_object_foreach(snapshot, id, pod) {
        struct record *r = NULL;
        struct err err = ERR_INIT;
        if (record_from_json(id, pod, &r, &err)) {
            if (++skipped <= NAMED)
                log_warn("leader dependency=%s skipped=pod reason=\"%s\"", path, err.text);
            continue;
        }
        CHECK(json_object_set(pods, id, pod) == 0);
        record_free(r);
    }
    if (skipped > NAMED)
        log_warn("leader dependency=%s skipped=%zu in all", path, skipped);
    return pods;
}

static void on_snapshot(const char *data, size_t len, const struct zk_stat *stat,
                        const struct err *err, void *arg) {
    (void)stat;
    struct source *s = arg;
    struct err why = *err;
    auto_json json_t *snapshot = NULL;
    if (err->kind == ERR_NONE && len)
        snapshot = json_read(data, len, MAX_SNAPSHOT, "snapshot", &why);
    if (why.kind != ERR_NONE && why.kind != ERR_ABSENT)
        log_warn("leader dependency=%s skipped=snapshot reason=\"%s\"", s->path, why.text);
    replace(&s->snapshot,
            json_is_object(snapshot) ? source_usable(snapshot, s->path) : json_object());
    s->snapshot_seen = true;
    s->on_change(s->arg);
}

static void on_pods(char *const *names, size_t n, const struct err *err, void *arg) {
    struct source *s = arg;
    replace(&s->alive, json_object());
    if (err->kind != ERR_NONE)
        n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *dot = strrchr(names[i], '.');
        auto_free char *id = xstrndup(names[i], dot ? (size_t)(dot - names[i]) : strlen(names[i]));
        json_object_set_new(s->alive, id, json_true()); // not UTF-8: nobody of ours
    }
    s->pods_seen = true;
    s->on_change(s->arg);
}

struct source *source_create(struct zk *zk, const char *path, void (*on_change)(void *arg),
                             void *arg) {
    struct source *s = xnew(struct source);
    *s = (struct source){
        .path = xstrdup(path),
        .snapshot = json_object(),
        .alive = json_object(),
        .on_change = on_change,
        .arg = arg,
    };
    auto_free char *snapshot = xasprintf("%s/snapshot", path);
    auto_free char *pods = xasprintf("%s/pods", path);
    s->snapshot_follow = zk_follow_data(zk, snapshot, on_snapshot, s);
    s->pods_follow = zk_follow_names(zk, pods, on_pods, s);
    return s;
}

void source_free(struct source *s) {
    if (!s)
        return;
    zk_unfollow(&s->snapshot_follow);
    zk_unfollow(&s->pods_follow);
    json_decref(s->snapshot);
    json_decref(s->alive);
    free(s->path);
    free(s);
}

const char *source_path(const struct source *s) {
    return s->path;
}

bool source_is_complete(const struct source *s) {
    return s->snapshot_seen && s->pods_seen;
}

void source_add(const struct source *s, json_t *pods) {
    const char *id;
    json_t *pod;
    json_object_foreach(s->snapshot, id, pod) {
        if (json_object_get(s->alive, id))
            CHECK(json_object_set(pods, id, pod) == 0);
    }
}
