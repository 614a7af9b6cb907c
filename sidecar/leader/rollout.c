#include "sidecar/leader/rollout.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include <string.h>

enum { AT_ONCE = 64 };

const char *const rollout_names[] = {
    [ROLLOUT_CHECK] = "check",
    [ROLLOUT_OFF] = "off",
    [ROLLOUT_ON] = "on",
    [ROLLOUT_OK] = "ok",
};

struct target {
    struct rollout *rollout;
    struct record *record;
    struct peer *peer; // in flight
};

struct rollout {
    const struct peer_from *from;
    enum rollout_task task;
    struct cluster *cluster;
    char *hash;
    int64_t round;
    size_t at_once, next, flying, n;
    struct target *targets;
    json_t *answers, *gone;
    struct err err;
    struct loop_timer *idle; // nobody to ask
    rollout_fn *fn;
    void *arg;
};

void rollout_cancel(struct rollout **slot) {
    if (!*slot)
        return;
    struct rollout *r = take_ptr(*slot);
    for (size_t i = 0; i < r->n; i++) {
        peer_cancel(&r->targets[i].peer);
        record_free(r->targets[i].record);
    }
    loop_timer_stop(&r->idle);
    cluster_free(r->cluster);
    json_decref(r->answers);
    json_decref(r->gone);
    free(r->targets);
    free(r->hash);
    free(r);
}

static void finish(void *arg) {
    struct rollout *r = arg;
    // The result must outlive the handle: the callback may start the next phase in its place.
    auto_json json_t *answers = json_incref(r->answers);
    auto_json json_t *gone = json_incref(r->gone);
    struct rollout_result result = {answers, gone, r->err};
    rollout_fn *fn = r->fn;
    void *fn_arg = r->arg;
    rollout_cancel(&r);
    fn(&result, fn_arg);
}

static void answered(const json_t *answer, const struct err *err, void *arg);

static bool may_send(const struct rollout *r) {
    return r->next < r->n && r->flying < r->at_once && r->err.kind == ERR_NONE;
}

static void pump(struct rollout *r) {
    while (may_send(r)) {
        struct target *t = &r->targets[r->next++];
        char *body = cluster_body(r->cluster, t->record->id, r->hash);
        r->flying++;
        t->peer = peer_ask(r->from, t->record, rollout_names[r->task], r->round, body, answered, t);
    }
}

static bool is_over(const struct rollout *r) {
    bool failed = r->err.kind != ERR_NONE;
    if (failed && (r->task == ROLLOUT_CHECK || r->err.kind == ERR_FENCED))
        return true;
    return r->flying == 0 && (failed || r->next == r->n);
}

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

static void note(struct rollout *r, const char *id, const json_t *answer, const struct err *err) {
    if (err->kind == ERR_NONE)
        put(r->answers, id, json_deep_copy(answer));
    else if (err->kind == ERR_GONE)
        put(r->gone, id, json_true());
    bool failed = err->kind != ERR_NONE && !(err->kind == ERR_GONE && r->task == ROLLOUT_CHECK);
    if (!failed)
        return;
    if (r->task == ROLLOUT_OK && err->kind != ERR_FENCED)
        log_warn("leader task=ok round=%lld reason=\"%s\"", (long long)r->round, err->text);
    else if (r->err.kind == ERR_NONE)
        r->err = *err;
}

static void answered(const json_t *answer, const struct err *err, void *arg) {
    struct target *t = arg;
    struct rollout *r = t->rollout;
    t->peer = NULL;
    r->flying--;
    note(r, t->record->id, answer, err);
    pump(r);
    if (is_over(r))
        finish(r);
}

void rollout_keep(struct rollout *r, const json_t *pods) {
    for (size_t i = 0; i < r->next; i++) {
        struct target *t = &r->targets[i];
        if (!t->peer || json_object_get(pods, t->record->id))
            continue;
        peer_cancel(&t->peer);
        r->flying--;
        if (r->err.kind != ERR_NONE || r->task == ROLLOUT_OK)
            continue;
        auto_free char *label = peer_label(t->record);
        err_set(&r->err, ERR_GONE, "%s left during %s", label, rollout_names[r->task]);
    }
    if (is_over(r) && !r->idle)
        loop_timer_start(r->from->loop, &r->idle, 0, finish, r);
}

static int by_seq(const void *pa, const void *pb) {
    const struct target *a = pa, *b = pb;
    if (a->record->seq != b->record->seq)
        return a->record->seq < b->record->seq ? -1 : 1;
    return strcmp(a->record->id, b->record->id);
}

static void aim(struct rollout *r) {
    r->targets = xcalloc(json_object_size(r->cluster->pods) + 1, sizeof *r->targets);
    const char *id;
    json_t *pod;
    json_object_foreach(r->cluster->pods, id, pod) {
        struct target *t = &r->targets[r->n];
        *t = (struct target){.rollout = r};
        // The watch let through only what parses.
        CHECK(record_from_json(id, pod, &t->record, NULL) == 0);
        r->n++;
    }
    qsort(r->targets, r->n, sizeof *r->targets, by_seq);
}

struct rollout *rollout_start(const struct peer_from *from, enum rollout_task task,
                              const struct cluster *cluster, const char *hash, int64_t round,
                              bool in_order, rollout_fn *fn, void *arg) {
    struct rollout *r = xnew(struct rollout);
    *r = (struct rollout){
        .from = from,
        .task = task,
        .cluster = cluster_copy(cluster),
        .hash = xstrdup(hash),
        .round = round,
        .at_once = in_order ? 1 : AT_ONCE,
        .answers = json_object(),
        .gone = json_object(),
        .fn = fn,
        .arg = arg,
    };
    aim(r);
    pump(r);
    if (r->n == 0)
        loop_timer_start(from->loop, &r->idle, 0, finish, r);
    return r;
}
