// The stage of the leader's flow tests: a ZooKeeper, pods, and seats, each a process that holds a
// lock node and leads. Virtual time: `run` until something holds, never a guess of how long.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/leader/leader.h"
#include "tests/fake/loop.h"
#include "tests/fake/pods.h"
#include <malloc.h>
#include <string.h>

#define ROOT "/ochopod/clusters/ns.zk"
enum { SESSION_MS = 10000 };

struct stage;
struct seat {
    struct stage *stage;
    struct zk *zk;
    struct http *http;
    struct leader *leader;
    enum zk_state state;
    char *lock;
    int64_t epoch;
    int deposed;
    struct err why;
};

struct stage {
    struct loop *loop;
    struct fake_zk *zk;
    struct fake_pods *pods;
    struct spec spec;
    char *probe_says;    // what the probe answers
    const char *own_url; // of a pod alone
    int probed;
    struct seat seats[4];
    int n;
};

static inline struct stage *stage_create(void) {
    struct stage *s = xnew(struct stage);
    log_set_level(getenv("FLOW_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERR);
    s->loop = loop_create();
    s->zk = fake_zk_create(s->loop);
    s->pods = fake_pods_create(s->zk, ROOT);
    s->spec.grace = 60000;
    fake_zk_put(s->zk, 0, ROOT "/pods", "", 0);
    fake_zk_put(s->zk, 0, ROOT "/hash", "", 0);
    fake_zk_put(s->zk, 0, ROOT "/coordinator", "", 0);
    return s;
}

// A sanitizer's heap says nothing.
static inline size_t heap_used(void) {
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

// ---- seats ----

static inline void seat_state(enum zk_state state, void *arg) {
    struct seat *seat = arg;
    seat->state = state;
    if (!seat->leader)
        return;
    if (state == ZK_LOST) { // what the coordinator does
        leader_free(seat->leader);
        seat->leader = NULL;
    } else {
        leader_suspend(seat->leader, state != ZK_CONNECTED);
    }
}

static inline void seat_deposed(const struct err *why, void *arg) {
    struct seat *seat = arg;
    seat->deposed++;
    seat->why = *why;
    leader_free(seat->leader);
    seat->leader = NULL;
}

static inline void seat_probe(const json_t *view,
                              void (*fn)(const char *line, const struct err *err, void *arg),
                              void *fn_arg, void *arg) {
    struct seat *seat = arg;
    struct err none = ERR_INIT;
    assert_true(json_is_array(json_object_get(view, "pods")));
    seat->stage->probed++;
    fn(seat->stage->probe_says, &none, fn_arg);
}

static inline void seat_locked(const char *path, const struct zk_stat *stat, const struct err *err,
                               void *arg) {
    struct seat *seat = arg;
    (void)stat;
    assert_int_equal(err->kind, ERR_NONE);
    seat->lock = xstrdup(path);
}

// A process with a session and a lock node, not leading yet.
static inline struct seat *seat_open(struct stage *s) {
    struct seat *seat = &s->seats[s->n++];
    struct zk_config config = {.servers = "zk:2181", .session_ms = SESSION_MS};
    *seat = (struct seat){.stage = s};
    assert_int_equal(zk_open(s->loop, &config, seat_state, seat, &seat->zk, NULL), 0);
    seat->http = http_create(s->loop, 128, 16);
    while (seat->state != ZK_CONNECTED)
        fake_loop_advance(s->loop, 1);
    zk_create(seat->zk, ROOT "/coordinator/0123456789abcdef0123456789abcdef__lock__", "", 0,
              ZK_EPHEMERAL | ZK_SEQUENCE, seat_locked, seat);
    while (!seat->lock)
        fake_loop_advance(s->loop, 1);
    struct zk_stat stat;
    assert_true(fake_zk_stat(s->zk, seat->lock, &stat));
    seat->epoch = stat.czxid;
    return seat;
}

static inline void seat_lead(struct seat *seat) {
    struct stage *s = seat->stage;
    struct leader_config config = {
        .spec = &s->spec,
        .root = ROOT,
        .namespace_ = "ns",
        .pod_id = "a",
        .lock_path = seat->lock,
        .epoch = seat->epoch,
        .own_url = s->own_url,
        .probe = s->probe_says ? seat_probe : NULL,
        .on_deposed = seat_deposed,
        .arg = seat,
    };
    seat->leader = leader_create(s->loop, seat->http, seat->zk, &config);
}

static inline struct seat *stage_lead(struct stage *s) {
    struct seat *seat = seat_open(s);
    seat_lead(seat);
    return seat;
}

// The process ends in good order: the lock node goes at once.
static inline void seat_close(struct seat *seat) {
    if (!seat->zk)
        return;
    leader_free(take_ptr(seat->leader));
    http_free(seat->http);
    zk_close(take_ptr(seat->zk), NULL, NULL);
    free(take_ptr(seat->lock));
    fake_loop_advance(seat->stage->loop, 5);
}

static inline void stage_free(struct stage *s) {
    for (int i = 0; i < s->n; i++)
        seat_close(&s->seats[i]);
    fake_loop_run_until_idle(s->loop);
    assert_int_equal(fake_loop_timers(s->loop), 0); // nothing is left behind
    fake_pods_free(s->pods);
    fake_zk_free(s->zk);
    loop_free(s->loop);
    free(s->probe_says);
    text_list_free(s->spec.depends_on);
    free(s);
}

// ---- looking ----

// Virtual time passes until cond holds; at most ms.
#define RUN_UNTIL(stage, cond, ms)                                                                 \
    do {                                                                                           \
        int64_t until_ = loop_now((stage)->loop) + (ms);                                           \
        while (!(cond) && loop_now((stage)->loop) < until_)                                        \
            fake_loop_advance((stage)->loop, 1);                                                   \
        if (!(cond)) {                                                                             \
            print_error("story:\n%s", text_str(&(stage)->pods->story));                            \
            for (int i_ = 0; i_ < (stage)->n; i_++)                                                \
                if ((stage)->seats[i_].leader)                                                     \
                    print_error("seat %d: %s: %s\n", i_, leader_state((stage)->seats[i_].leader),  \
                                leader_status((stage)->seats[i_].leader));                         \
            fail_msg("not within %d ms: %s", (int)(ms), #cond);                                    \
        }                                                                                          \
    } while (0)

static inline void run(struct stage *s, int64_t ms) {
    fake_loop_advance(s->loop, ms);
}

static inline const char *node(const struct stage *s, const char *name) {
    auto_free char *path = xasprintf(ROOT "/%s", name);
    const char *data = fake_zk_data(s->zk, path);
    return data ? data : "";
}

static inline json_int_t leader_number(const struct stage *s, const char *key) {
    auto_json json_t *record = json_loads(node(s, "leader"), 0, NULL);
    return json_integer_value(json_object_get(record, key));
}

static inline int64_t generation(const struct stage *s) {
    return leader_number(s, "generation");
}

static inline bool in_snapshot(const struct stage *s, const char *id) {
    auto_json json_t *snapshot = json_loads(node(s, "snapshot"), 0, NULL);
    return json_object_get(snapshot, id) != NULL;
}

static inline bool member_is(const struct stage *s, const char *id, const char *what) {
    auto_json json_t *members = json_loads(node(s, "members"), 0, NULL);
    return json_is_true(json_object_get(json_object_get(members, id), what));
}

// What the pods were asked so far.
static inline void assert_story(const struct stage *s, const char *want) {
    assert_string_equal(text_str(&s->pods->story), want);
}

static inline bool status_has(const struct seat *seat, const char *what) {
    return seat->leader && strstr(leader_status(seat->leader), what) != NULL;
}

static inline bool settled(const struct seat *seat) {
    return seat->leader && strcmp(leader_state(seat->leader), "leader") == 0;
}

// The wanted end of every test: this seat leads, every pod that is there runs with this epoch's
// configuration or an older one that is the same, and what is written down is whole.
static inline bool is_whole(struct stage *s, const struct seat *seat) {
    if (!settled(seat) || strlen(node(s, "hash")) != 64)
        return false;
    auto_json json_t *record = json_loads(node(s, "leader"), 0, NULL);
    if (strcmp(json_string_value(json_object_get(record, "hash")), node(s, "hash")) != 0)
        return false;
    for (int i = 0; i < s->pods->n; i++) {
        const struct fake_pod *pod = s->pods->all[i];
        bool there = pod->session && !pod->dead;
        if (in_snapshot(s, pod->id) != there || (there && !pod->running))
            return false;
    }
    return json_is_false(json_object_get(record, "open"));
}
