#include "sidecar/coordinator/reading.h"
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/record.h"
#include <string.h>

enum { MAX_NODE = 1 << 20 };

// A call in flight.
struct part {
    struct link link;
    struct reading *reading;
    struct zk_op *op;
    char *name;
};

struct reading {
    struct link link;
    struct loop *loop;
    struct zk *zk;
    char *root;
    struct link parts;
    json_t *answer;
    json_t *czxids;  // of the records in answer: of two of one id the newer holds
    size_t weight;   // of the records in answer
    json_t *skipped; // {id: true} of records that would have been more than RECORDS_MOST
    struct err err;  // the first that spoils it
    struct loop_timer *done;
    reading_fn *fn;
    void *arg;
};

static void part_free(struct part *p) {
    list_remove(&p->link);
    zk_forget(&p->op);
    free(p->name);
    free(p);
}

static struct part *part_create(struct reading *r, const char *name) {
    struct part *p = xnew(struct part);
    p->reading = r;
    p->name = xstrdup(name);
    list_append(&r->parts, &p->link);
    return p;
}

static void drop_parts(struct reading *r) {
    while (!list_empty(&r->parts))
        part_free(list_first(&r->parts, struct part, link));
}

static void reading_free(struct reading *r) {
    list_remove(&r->link);
    drop_parts(r);
    loop_timer_stop(&r->done);
    json_decref(r->answer);
    json_decref(r->czxids);
    json_decref(r->skipped);
    free(r->root);
    free(r);
}

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

static void tell_skipped(struct reading *r) {
    if (!json_object_size(r->skipped) || r->err.kind != ERR_NONE)
        return;
    put(r->answer, "skipped", json_incref(r->skipped));
    log_warn("coordinator pods=%s/pods left-out=%zu reason=\"all records together take more than "
             "%d MiB\"",
             r->root, json_object_size(r->skipped), RECORDS_MOST >> 20);
}

static void deliver(void *arg) {
    struct reading *r = arg;
    tell_skipped(r);
    auto_json json_t *answer = json_incref(r->answer);
    struct err err = r->err;
    reading_fn *fn = r->fn;
    void *fn_arg = r->arg;
    reading_free(r);
    fn(err.kind == ERR_NONE ? answer : NULL, &err, fn_arg);
}

static void detach(struct reading *r) {
    drop_parts(r);
    r->zk = NULL;
    err_set(&r->err, ERR_DETACHED, "ZooKeeper is out of reach");
    loop_timer_start(r->loop, &r->done, 0, deliver, r);
}

// The last part reports. A missing node is an answer, a lost one spoils the whole.
static bool part_done(struct part *p, const struct err *err) {
    struct reading *r = p->reading;
    bool good = err->kind == ERR_NONE || err->kind == ERR_ABSENT;
    p->op = NULL;
    if (!good && r->err.kind == ERR_NONE)
        (void)err_copy(&r->err, err);
    return err->kind == ERR_NONE;
}

static void part_end(struct part *p) {
    struct reading *r = p->reading;
    part_free(p);
    if (list_empty(&r->parts))
        deliver(r);
}

static void on_text(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct part *p = arg;
    auto_text struct text said = {0};
    (void)stat;
    if (part_done(p, err))
        text_add_utf8(&said, data, len); // a NUL, too, is what no reader of JSON takes
    put(p->reading->answer, p->name, json_string(text_str(&said)));
    part_end(p);
}

static void on_object(const char *data, size_t len, const struct zk_stat *stat,
                      const struct err *err, void *arg) {
    struct part *p = arg;
    (void)stat;
    json_t *object = part_done(p, err) && len ? json_read(data, len, MAX_NODE, p->name, NULL)
                                              : NULL;
    if (json_is_object(object))
        put(p->reading->answer, p->name, object);
    else
        json_decref(object);
    part_end(p);
}

static void add_record(struct reading *r, const struct record *record, int64_t czxid) {
    json_t *before = json_object_get(r->czxids, record->id);
    json_t *pods = json_object_get(r->answer, "pods");
    size_t weight = json_weight(record->json);
    if (before && json_integer_value(before) > czxid)
        return;
    put(r->czxids, record->id, json_integer(czxid));
    r->weight -= json_weight(json_object_get(pods, record->id));
    json_object_del(pods, record->id);
    if (weight > RECORDS_MOST - r->weight) {
        put(r->skipped, record->id, json_true());
        return;
    }
    r->weight += weight;
    json_object_del(r->skipped, record->id);
    put(pods, record->id, json_incref(record->json));
}

static void on_pod(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                   void *arg) {
    struct part *p = arg;
    struct record *record = NULL;
    struct err bad = ERR_INIT;
    if (part_done(p, err)) {
        if (record_parse(p->name, data, len, &record, &bad))
            log_debug("coordinator %s is left out: %s", p->name, bad.text);
        else
            add_record(p->reading, record, stat->czxid);
        record_free(record);
    }
    part_end(p);
}

static void on_pods(char *const *names, size_t n, const struct err *err, void *arg) {
    struct part *p = arg;
    struct reading *r = p->reading;
    bool good = part_done(p, err);
    for (size_t i = 0; good && i < n; i++) {
        struct part *pod = part_create(r, names[i]);
        auto_free char *path = xasprintf("%s/pods/%s", r->root, names[i]);
        pod->op = zk_get(r->zk, path, on_pod, pod);
    }
    part_end(p);
}

static void ask(struct reading *r, const char *name, zk_data_fn *fn) {
    auto_free char *path = xasprintf("%s/%s", r->root, name);
    struct part *p = part_create(r, name);
    p->op = zk_get(r->zk, path, fn, p);
}

void reading_start(struct link *list, struct loop *loop, struct zk *zk, const char *root,
                   reading_fn *fn, void *arg) {
    struct reading *r = xnew(struct reading);
    r->loop = loop;
    r->zk = zk;
    r->root = xstrdup(root);
    r->fn = fn;
    r->arg = arg;
    r->answer = json_object();
    r->czxids = json_object();
    r->skipped = json_object();
    list_init(&r->parts);
    list_append(list, &r->link);
    put(r->answer, "snapshot", json_object());
    put(r->answer, "leader", json_null());
    put(r->answer, "pods", json_object());
    if (!zk || zk_state(zk) != ZK_CONNECTED) {
        detach(r);
        return;
    }
    ask(r, "tree", on_text);
    ask(r, "hash", on_text);
    ask(r, "snapshot", on_object);
    ask(r, "leader", on_object);
    auto_free char *pods = xasprintf("%s/pods", root);
    struct part *p = part_create(r, "pods");
    p->op = zk_names(zk, pods, on_pods, p);
}

void reading_detach_all(struct link *list) {
    struct reading *r;
    list_each(r, list, struct reading, link) {
        detach(r);
    }
}

void reading_free_all(struct link *list) {
    while (!list_empty(list))
        reading_free(list_first(list, struct reading, link));
}
