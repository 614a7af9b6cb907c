#include "sidecar/leader/rollout.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/reference.h"
#include "sidecar/leader/census.h"
#include <string.h>

enum {
    AT_ONCE = 64,
    AT_ONCE_LARGE = 16, // of large bodies: each is there twice while it is sent
    SMALL = 64 * 1024,  // a body up to this is sent whole
};

const char *const rollout_names[] = {
    [ROLLOUT_CHECK] = "check",
    [ROLLOUT_OFF] = "off",
    [ROLLOUT_ON] = "on",
    [ROLLOUT_OK] = "ok",
};

struct target {
    struct rollout *rollout;
    struct record *record;
    enum census_turn turn;
    struct peer *peer; // in flight
    bool left;         // the cluster, before its turn
};

struct rollout {
    const struct peer_from *from;
    enum rollout_task task;
    char *hash, *digest;           // digest "": nobody is referred to /proposal
    struct cluster_bodies *bodies; // NULL: everybody is
    int64_t round;
    size_t at_once, next, flying, n;
    struct target *targets;
    json_t *answers, *gone;
    struct err err;
    struct loop_timer *over; // what follows takes its time: a turn of its own
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
    loop_timer_stop(&r->over);
    cluster_bodies_free(r->bodies);
    json_decref(r->answers);
    json_decref(r->gone);
    free(r->targets);
    free(r->hash);
    free(r->digest);
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

static bool is_referred(const struct rollout *r, const struct record *to) {
    return *r->digest && to->reads_proposal;
}

static char *body_for(const struct rollout *r, const struct record *to) {
    if (is_referred(r, to))
        return reference_write(to->id, r->hash, r->from->epoch, r->round, r->digest);
    return cluster_bodies_for(r->bodies, to->id);
}

static void lose(struct rollout *r, const struct target *t) {
    if (r->err.kind != ERR_NONE || r->task == ROLLOUT_OK)
        return;
    auto_free char *label = peer_label(t->record);
    err_set(&r->err, ERR_GONE, "%s left during %s", label, rollout_names[r->task]);
}

static void pump(struct rollout *r) {
    while (may_send(r)) {
        struct target *t = &r->targets[r->next++];
        if (t->left) {
            lose(r, t);
            continue;
        }
        char *body = body_for(r, t->record);
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
        put(r->answers, id, census_said(answer));
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

static void finish_soon(struct rollout *r) {
    if (!r->over)
        loop_timer_start(r->from->loop, &r->over, 0, finish, r);
}

static void answered(const json_t *answer, const struct err *err, void *arg) {
    struct target *t = arg;
    struct rollout *r = t->rollout;
    t->peer = NULL;
    r->flying--;
    note(r, t->record->id, answer, err);
    pump(r);
    if (is_over(r))
        finish_soon(r);
}

void rollout_keep(struct rollout *r, const json_t *pods) {
    for (size_t i = 0; i < r->n; i++) {
        struct target *t = &r->targets[i];
        t->left = !json_object_get(pods, t->record->id);
        if (!t->peer || !t->left)
            continue;
        peer_cancel(&t->peer);
        r->flying--;
        lose(r, t);
    }
    pump(r);
    if (is_over(r))
        finish_soon(r);
}

static int by_turn(const void *pa, const void *pb) {
    const struct target *a = pa, *b = pb;
    if (a->turn != b->turn)
        return a->turn < b->turn ? -1 : 1;
    if (a->record->seq != b->record->seq)
        return a->record->seq < b->record->seq ? -1 : 1;
    return strcmp(a->record->id, b->record->id);
}

static void aim(struct rollout *r, json_t *pods, const json_t *checked) {
    r->targets = xcalloc(json_object_size(pods) + 1, sizeof *r->targets);
    const char *id;
    json_t *pod;
    json_object_foreach(pods, id, pod) {
        struct target *t = &r->targets[r->n];
        *t = (struct target){.rollout = r, .turn = census_turn(json_object_get(checked, id))};
        // The watch let through only what parses.
        CHECK(record_from_json(id, pod, &t->record, NULL) == 0);
        if (t->turn != TURN_REST)
            log_info("leader pod=%s is=%s goes-first=true", id,
                     t->turn == TURN_DOWN ? "down" : "unready");
        r->n++;
    }
    qsort(r->targets, r->n, sizeof *r->targets, by_turn);
}

static bool all_are_referred(const struct rollout *r) {
    for (size_t i = 0; i < r->n; i++)
        if (!is_referred(r, r->targets[i].record))
            return false;
    return true;
}

// Written out only where somebody may be sent it, or where it may turn out to be small.
static void write_bodies(struct rollout *r, const struct rollout_about *about) {
    bool large = about->proposal_len > SMALL;
    if (large && all_are_referred(r))
        return;
    r->bodies = cluster_bodies_create(about->cluster, about->hash);
    if (cluster_bodies_size(r->bodies) <= SMALL)
        *r->digest = '\0';
    else if (r->at_once > AT_ONCE_LARGE && !all_are_referred(r))
        r->at_once = AT_ONCE_LARGE;
}

struct rollout *rollout_start(const struct peer_from *from, enum rollout_task task,
                              const struct rollout_about *about, bool in_order, rollout_fn *fn,
                              void *arg) {
    struct rollout *r = xnew(struct rollout);
    *r = (struct rollout){
        .from = from,
        .task = task,
        .hash = xstrdup(about->hash),
        .digest = xstrdup(about->digest),
        .round = about->round,
        .at_once = in_order ? 1 : AT_ONCE,
        .answers = json_object(),
        .gone = json_object(),
        .fn = fn,
        .arg = arg,
    };
    aim(r, about->cluster->pods, about->checked);
    write_bodies(r, about);
    pump(r);
    if (r->n == 0)
        finish_soon(r);
    return r;
}
