// Coordinators, with their registrations and locks, against ZooKeeper in memory. The leader is a
// stand-in that keeps book: rounds are the leader's own tests.
#include "sidecar/coordinator/coordinator.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "tests/fake/loop.h"
#include "tests/fake/zk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ROOT "/ochopod/clusters/marathon.zookeeper"

enum { SESSION = 3000, PODS = 3 };

// ---- the leader's stand-in ----

struct leader {
    struct leader_config config;
    char *lock_path;
    bool suspended;
};

static struct leader *leaders[PODS]; // that are there now
static int leaders_n;

struct leader *leader_create(struct loop *loop, struct http *http, struct zk *zk,
                             const struct leader_config *config) {
    (void)loop;
    (void)http;
    (void)zk;
    struct leader *l = xnew(struct leader);
    l->config = *config;
    l->lock_path = xstrdup(config->lock_path);
    leaders[leaders_n++] = l;
    return l;
}

void leader_suspend(struct leader *l, bool suspended) {
    l->suspended = suspended;
}

const char *leader_state(const struct leader *l) {
    (void)l;
    return "leader";
}

const char *leader_status(const struct leader *l) {
    (void)l;
    return "* all is well";
}

void leader_free(struct leader *l) {
    for (int i = 0; i < leaders_n; i++) {
        if (leaders[i] == l)
            leaders[i--] = leaders[--leaders_n];
    }
    free(l->lock_path);
    free(l);
}

// ---- the bench ----

struct pod {
    struct bench *bench;
    struct coordinator *coordinator;
    char id[64], ip[32];
    struct record_facts facts;
    int64_t seq;
    bool attached, leading, left, resumed;
    struct err fatal;
};

struct bench {
    const char *url; // NULL: without credentials
    struct loop *loop;
    struct fake_zk *server;
    struct spec spec;
    struct pod pods[PODS];
    int reads;
    json_t *answer;
    struct err err;
};

static void on_seq(int64_t seq, void *arg) {
    ((struct pod *)arg)->seq = seq;
}

static void on_attached(bool attached, void *arg) {
    ((struct pod *)arg)->attached = attached;
}

static void on_fatal(const struct err *err, void *arg) {
    ((struct pod *)arg)->fatal = *err;
}

static void on_leading(bool leading, void *arg) {
    ((struct pod *)arg)->leading = leading;
}

static void start(struct pod *p) {
    static const struct coordinator_events events = {.on_seq = on_seq,
                                                     .on_attached = on_attached,
                                                     .on_fatal = on_fatal,
                                                     .on_leading = on_leading};
    struct coordinator_config config = {.spec = &p->bench->spec,
                                        .zk_url = p->bench->url ? p->bench->url : "zk://fake:2181/",
                                        .namespace_ = "marathon",
                                        .cluster = "zookeeper",
                                        .pod_id = p->id,
                                        .facts = &p->facts,
                                        .seq = p->seq,
                                        .own_url = "http://127.0.0.1:8080",
                                        .resumed = p->resumed};
    struct err err = ERR_INIT;
    p->left = false;
    p->coordinator = coordinator_create(p->bench->loop, NULL, &config, &events, p, &err);
    assert_non_null(p->coordinator);
}

static void settle(struct bench *t) {
    fake_loop_advance(t->loop, 50);
}

static int set_up(void **state) {
    struct bench *t = xnew(struct bench);
    t->loop = loop_create();
    t->server = fake_zk_create(t->loop);
    t->spec.session = SESSION;
    for (int i = 0; i < PODS; i++) {
        struct pod *p = &t->pods[i];
        p->bench = t;
        p->seq = -1;
        snprintf(p->id, sizeof p->id, "%08d-8b1c-4a9e-9d0f-0a1b2c3d4e5f", i);
        snprintf(p->ip, sizeof p->ip, "10.0.0.%d", i + 1);
        p->facts = (struct record_facts){.ip = p->ip, .port = "8080", .start = true};
    }
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    for (int i = 0; i < PODS; i++)
        coordinator_free(t->pods[i].coordinator);
    fake_loop_advance(t->loop, 10);
    assert_int_equal(leaders_n, 0);
    assert_true(fake_zk_quiet(t->server));
    fake_zk_free(t->server);
    json_decref(t->answer);
    loop_free(t->loop);
    free(t);
    return 0;
}

static size_t count(struct bench *t, const char *path) {
    char **names = fake_zk_children(t->server, path);
    size_t n = text_list_len(names);
    text_list_free(names);
    return n;
}

// The full path of the node of a pod; the caller frees. NULL: none.
static char *node_of(struct bench *t, const struct pod *p) {
    char **names = fake_zk_children(t->server, ROOT "/pods");
    char *found = NULL;
    for (char **it = names; *it; it++) {
        if (text_starts(*it, p->id)) {
            assert_null(found);
            found = xasprintf(ROOT "/pods/%s", *it);
        }
    }
    text_list_free(names);
    return found;
}

static struct zk *zk_of(struct bench *t, const struct pod *p) {
    auto_free char *path = node_of(t, p);
    assert_non_null(path);
    struct zk *zk = fake_zk_owner(t->server, path);
    assert_non_null(zk);
    return zk;
}

static void note(struct bench *t, const json_t *answer, const struct err *err) {
    t->reads++;
    json_decref(t->answer);
    t->answer = answer ? json_deep_copy(answer) : NULL;
    t->err = *err;
}

static void on_read(const json_t *answer, const struct err *err, void *arg) {
    note(arg, answer, err);
}

static void on_left(void *arg) {
    ((struct pod *)arg)->left = true;
}

static void start_all(struct bench *t) {
    for (int i = 0; i < PODS; i++) {
        start(&t->pods[i]);
        settle(t);
    }
}

// ---- in good order ----

static void a_pod_registers_and_leads(void **state) {
    struct bench *t = *state;
    struct pod *p = &t->pods[0];
    start(p);
    assert_false(coordinator_attached(p->coordinator));
    assert_string_equal(coordinator_state(p->coordinator), "follower");
    settle(t);
    assert_true(p->attached && p->leading);
    assert_true(coordinator_attached(p->coordinator));
    assert_string_equal(coordinator_state(p->coordinator), "leader");
    assert_string_equal(coordinator_status(p->coordinator), "* all is well");
    assert_int_equal(p->seq, 0);
    assert_int_equal(leaders_n, 1);
    struct zk_stat stat;
    assert_true(fake_zk_stat(t->server, leaders[0]->lock_path, &stat));
    assert_int_equal(stat.czxid, leaders[0]->config.epoch);
    assert_int_equal(stat.ephemeral_owner, zk_session(zk_of(t, p)));
    assert_true(text_starts(leaders[0]->lock_path,
                            ROOT "/coordinator/000000008b1c4a9e9d0f0a1b2c3d4e5f__lock__"));
}

static void the_clusters_nodes_are_there_as_ochopod_makes_them(void **state) {
    struct bench *t = *state;
    start(&t->pods[0]);
    settle(t);
    assert_string_equal(fake_zk_data(t->server, ROOT "/hash"), "");
    assert_string_equal(fake_zk_data(t->server, ROOT "/snapshot"), "{}");
    struct zk_stat stat;
    assert_true(fake_zk_stat(t->server, ROOT "/snapshot", &stat));
    assert_int_equal(stat.ephemeral_owner, 0);
    auto_free char *tree = xstrdup(fake_zk_data(t->server, ROOT "/tree"));
    assert_int_equal(strlen(tree), 36);
    start(&t->pods[1]);
    settle(t);
    assert_string_equal(fake_zk_data(t->server, ROOT "/tree"), tree);
    auto_free char *path = node_of(t, &t->pods[0]);
    struct record *r = NULL;
    struct err err = ERR_INIT;
    const char *data = fake_zk_data(t->server, path);
    assert_int_equal(record_parse(strrchr(path, '/') + 1, data, strlen(data), &r, &err), 0);
    assert_true(r->ours);
    assert_string_equal(r->ip, "10.0.0.1");
    assert_non_null(strstr(data, "\"seq\":0,\"sidecar\""));
    record_free(r);
}

// Others are asked where they say, and so are we.
static void a_cluster_of_one_is_asked_where_it_listens(void **state) {
    struct bench *t = *state;
    start(&t->pods[0]);
    settle(t);
    assert_null(leaders[0]->config.own_url);
    coordinator_leave(t->pods[0].coordinator, on_left, &t->pods[0]);
    settle(t);
    t->url = "none";
    t->spec.state_dir = (char *)"/nowhere";
    start(&t->pods[1]);
    settle(t);
    assert_int_equal(leaders_n, 1);
    assert_string_equal(leaders[0]->config.own_url, "http://127.0.0.1:8080");
}

static void the_first_leads_and_the_next_takes_over(void **state) {
    struct bench *t = *state;
    start_all(t);
    assert_true(t->pods[0].leading && !t->pods[1].leading && !t->pods[2].leading);
    assert_int_equal(count(t, ROOT "/pods"), 3);
    int64_t epoch = leaders[0]->config.epoch;
    coordinator_leave(t->pods[0].coordinator, on_left, &t->pods[0]);
    settle(t);
    assert_true(t->pods[0].left);
    assert_true(t->pods[1].leading && !t->pods[2].leading);
    assert_int_equal(count(t, ROOT "/pods"), 2);
    assert_int_equal(count(t, ROOT "/coordinator"), 2);
    assert_int_equal(leaders_n, 1);
    assert_true(leaders[0]->config.epoch > epoch);
}

static void the_last_to_leave_empties_the_snapshot(void **state) {
    struct bench *t = *state;
    start_all(t);
    fake_zk_put(t->server, 0, ROOT "/snapshot", "{\"a\":{}}", 0);
    fake_zk_put(t->server, 0, ROOT "/hash", "12:34", 0);
    for (int i = 0; i < PODS; i++) {
        assert_string_equal(fake_zk_data(t->server, ROOT "/snapshot"), "{\"a\":{}}");
        coordinator_leave(t->pods[i].coordinator, on_left, &t->pods[i]);
        settle(t);
        assert_true(t->pods[i].left);
    }
    assert_string_equal(fake_zk_data(t->server, ROOT "/snapshot"), "{}");
    assert_string_equal(fake_zk_data(t->server, ROOT "/hash"), "");
    assert_int_equal(count(t, ROOT "/pods"), 0);
}

// As `docker compose down` does.
static void of_all_that_leave_at_once_one_empties_the_snapshot(void **state) {
    struct bench *t = *state;
    start_all(t);
    fake_zk_put(t->server, 0, ROOT "/snapshot", "{\"a\":{}}", 0);
    fake_zk_put(t->server, 0, ROOT "/hash", "12:34", 0);
    for (int i = 0; i < PODS; i++)
        coordinator_leave(t->pods[i].coordinator, on_left, &t->pods[i]);
    settle(t);
    for (int i = 0; i < PODS; i++)
        assert_true(t->pods[i].left);
    assert_string_equal(fake_zk_data(t->server, ROOT "/snapshot"), "{}");
    assert_string_equal(fake_zk_data(t->server, ROOT "/hash"), "");
    assert_int_equal(count(t, ROOT "/pods"), 0);
}

static void a_reading_holds_all_that_is_there(void **state) {
    struct bench *t = *state;
    start_all(t);
    fake_zk_put(t->server, 0, ROOT "/leader", "{\"generation\":7}", 0);
    fake_zk_put(t->server, 0, ROOT "/hash", "12:34", 0);
    fake_zk_put(t->server, 0, ROOT "/pods/broken.0000000099", "{", 0);
    settle(t);
    assert_int_equal(json_integer_value(json_object_get(
                         coordinator_leader_record(t->pods[2].coordinator), "generation")),
                     7);
    coordinator_read(t->pods[1].coordinator, on_read, t);
    assert_int_equal(t->reads, 0);
    settle(t);
    assert_int_equal(t->reads, 1);
    assert_int_equal(t->err.kind, ERR_NONE);
    assert_int_equal(strlen(json_text(t->answer, "tree")), 36);
    assert_string_equal(json_text(t->answer, "hash"), "12:34");
    assert_int_equal(json_object_size(json_object_get(t->answer, "pods")), 3);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(t->answer, "leader"), "generation")), 7);
    assert_true(json_is_object(json_object_get(t->answer, "snapshot")));
}

static char *heavy_record(int seq) {
    struct text t = {0};
    text_addf(&t, "{\"ip\":\"10.1.0.1\",\"seq\":%d,\"x\":[{}", seq);
    for (int i = 1; i < 20000; i++)
        text_add(&t, ",{}");
    text_add(&t, "]}");
    return text_take(&t);
}

static void on_line(const char *line, size_t len, void *arg) {
    auto_free char *text = xstrndup(line, len);
    *(int *)arg += strstr(text, "left-out=") != NULL;
}

static int times_said(void) {
    int n = 0;
    log_each(on_line, &n);
    return n;
}

// 60 KB of text, 4.8 MB of heap each.
static void a_reading_keeps_no_records_without_end(void **state) {
    struct bench *t = *state;
    enum { MANY = 40 };
    start_all(t);
    for (int i = 0; i < MANY; i++) {
        auto_free char *path = xasprintf(ROOT "/pods/heavy%d.%010d", i, 100 + i);
        auto_free char *data = heavy_record(100 + i);
        fake_zk_put(t->server, 0, path, data, 0);
    }
    settle(t);
    log_set_level(LOG_LEVEL_WARN);
    int said = times_said();
    coordinator_read(t->pods[1].coordinator, on_read, t);
    settle(t);
    log_set_level(LOG_LEVEL_ERR);
    assert_int_equal(t->err.kind, ERR_NONE);
    size_t kept = json_object_size(json_object_get(t->answer, "pods"));
    assert_in_range(kept, 3, 3 + 8);
    assert_int_equal(json_object_size(json_object_get(t->answer, "skipped")), MANY + 3 - kept);
    assert_int_equal(times_said() - said, 1);
}

// Of two of one id the newer holds, and the older weighs nothing any more.
static void many_records_of_one_id_weigh_as_one(void **state) {
    struct bench *t = *state;
    start_all(t);
    for (int i = 0; i < 20; i++) {
        auto_free char *path = xasprintf(ROOT "/pods/heavy.%010d", 100 + i);
        auto_free char *data = heavy_record(100 + i);
        fake_zk_put(t->server, 0, path, data, 0);
    }
    settle(t);
    coordinator_read(t->pods[1].coordinator, on_read, t);
    settle(t);
    json_t *pods = json_object_get(t->answer, "pods");
    assert_int_equal(json_object_size(pods), 4);
    assert_null(json_object_get(t->answer, "skipped"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(pods, "heavy"), "seq")),
                     119);
}

static void what_is_wrong_with_the_address_is_said_at_once(void **state) {
    struct bench *t = *state;
    static const char *const urls[] = {NULL, "", "zk://", "zk://a:b:c"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct coordinator_config config = {.spec = &t->spec,
                                            .zk_url = urls[i],
                                            .namespace_ = "n",
                                            .cluster = "c",
                                            .pod_id = "p",
                                            .seq = -1};
        static const struct coordinator_events events = {0};
        struct err err = ERR_INIT;
        assert_null(coordinator_create(t->loop, NULL, &config, &events, NULL, &err));
        assert_int_equal(err.kind, ERR_USER);
    }
}

// ---- faults ----

static void run(struct bench *t, int64_t ms) {
    fake_loop_advance(t->loop, ms);
}

static struct leader *leader_of(const struct pod *p) {
    for (int i = 0; i < leaders_n; i++) {
        if (strcmp(leaders[i]->config.pod_id, p->id) == 0)
            return leaders[i];
    }
    return NULL;
}

static int leading_n(const struct bench *t) {
    int n = 0;
    for (int i = 0; i < PODS; i++)
        n += t->pods[i].leading;
    return n;
}

// Everybody is in, once, with the number of old, and one leads.
static void all_is_well(struct bench *t) {
    assert_int_equal(count(t, ROOT "/pods"), PODS);
    assert_int_equal(count(t, ROOT "/coordinator"), PODS);
    assert_int_equal(leading_n(t), 1);
    assert_int_equal(leaders_n, 1);
    for (int i = 0; i < PODS; i++) {
        struct pod *p = &t->pods[i];
        auto_free char *path = node_of(t, p);
        assert_non_null(path);
        assert_true(p->attached && coordinator_attached(p->coordinator));
        assert_int_equal(p->seq, i);
        auto_free char *seq = xasprintf("\"seq\":%d,", i);
        assert_non_null(strstr(fake_zk_data(t->server, path), seq));
    }
}

static void a_short_cut_changes_nothing(void **state) {
    struct bench *t = *state;
    start_all(t);
    auto_free char *path = node_of(t, &t->pods[0]);
    int writes = fake_zk_writes(t->server);
    fake_zk_cut(zk_of(t, &t->pods[0]), 800);
    run(t, 10);
    assert_true(leader_of(&t->pods[0])->suspended);
    assert_true(coordinator_attached(t->pods[0].coordinator)); // its lease still runs
    run(t, 1000);
    assert_false(leader_of(&t->pods[0])->suspended);
    assert_int_equal(fake_zk_writes(t->server), writes);
    auto_free char *again = node_of(t, &t->pods[0]);
    assert_string_equal(path, again);
    all_is_well(t);
}

static void silence_detaches_before_anybody_can_take_over(void **state) {
    struct bench *t = *state;
    start_all(t);
    struct pod *p = &t->pods[0];
    fake_zk_stall(zk_of(t, p));
    while (p->attached)
        run(t, 1);
    assert_false(coordinator_attached(p->coordinator));
    assert_int_equal(leading_n(t), 1); // nobody else yet
    assert_true(p->leading && leader_of(p)->suspended);
    assert_non_null(zk_of(t, p)); // the server still believes in us
    while (!t->pods[1].leading) {
        assert_false(p->leading && p->attached);
        run(t, 1);
    }
    assert_false(p->leading);
    run(t, 5000);
    all_is_well(t);
    assert_true(t->pods[1].leading);
}

static void a_session_lost_is_replaced_and_keeps_the_number(void **state) {
    struct bench *t = *state;
    start_all(t);
    auto_free char *path = node_of(t, &t->pods[0]);
    fake_zk_expire(zk_of(t, &t->pods[0]));
    run(t, 100);
    assert_false(t->pods[0].leading);
    assert_true(t->pods[1].leading);
    run(t, 3000);
    all_is_well(t);
    auto_free char *again = node_of(t, &t->pods[0]);
    assert_string_not_equal(path, again);
}

static void an_outage_of_the_server_costs_no_number_and_leaves_no_ghost(void **state) {
    struct bench *t = *state;
    start_all(t);
    fake_zk_down(t->server);
    run(t, 3 * SESSION);
    assert_int_equal(leading_n(t), 0);
    for (int i = 0; i < PODS; i++)
        assert_false(t->pods[i].attached);
    fake_zk_up(t->server);
    run(t, 2500); // the pause, not the session of the ghosts
    all_is_well(t);
}

// All lose their sessions in one moment; answers when each was registered again, from then on.
static void until_they_are_back(struct bench *t, int64_t back[PODS]) {
    bool gone[PODS] = {false};
    int missing = PODS;
    for (int i = 0; i < PODS; i++) {
        fake_zk_expire(zk_of(t, &t->pods[i]));
        back[i] = -1;
    }
    for (int64_t ms = 1; missing && ms < 10000; ms++) {
        fake_loop_advance(t->loop, 1);
        for (int i = 0; i < PODS; i++) {
            gone[i] = gone[i] || !t->pods[i].attached;
            if (back[i] >= 0 || !gone[i] || !t->pods[i].attached)
                continue;
            back[i] = ms;
            missing--;
        }
    }
    assert_int_equal(missing, 0);
}

// By chance, so of many outages: each comes within two seconds, and some of them far apart. All of
// forty within one second of each other are one case in 10^12.
static void after_an_outage_they_do_not_come_all_at_once(void **state) {
    struct bench *t = *state;
    int64_t widest = 0, latest = 0;
    start_all(t);
    for (int n = 0; n < 40; n++) {
        int64_t back[PODS], first = INT64_MAX, last = 0;
        until_they_are_back(t, back);
        for (int i = 0; i < PODS; i++) {
            first = back[i] < first ? back[i] : first;
            last = back[i] > last ? back[i] : last;
        }
        widest = last - first > widest ? last - first : widest;
        latest = last > latest ? last : latest;
        run(t, SESSION);
        all_is_well(t);
    }
    assert_true(widest >= 1000);
    assert_true(latest <= 2200);
}

static void another_server_in_its_place_is_a_new_tree(void **state) {
    struct bench *t = *state;
    start_all(t);
    auto_free char *tree = xstrdup(fake_zk_data(t->server, ROOT "/tree"));
    fake_zk_wipe(t->server);
    run(t, 5000);
    assert_string_not_equal(fake_zk_data(t->server, ROOT "/tree"), tree);
    all_is_well(t);
}

// Each request of the way in loses its connection, before and after it took effect.
static void an_answer_lost_anywhere_leaves_one_of_everything(void **state) {
    struct bench *t = *state;
    struct pod *p = &t->pods[0];
    for (int nth = 1; nth <= 14; nth++) {
        for (int when = FAKE_ZK_BEFORE; when <= FAKE_ZK_AFTER; when++) {
            start(p);
            fake_loop_run_until_idle(t->loop);
            fake_zk_lose(fake_zk_newest(t->server), (enum fake_zk_loss)when, nth);
            run(t, 1500);
            assert_true(p->attached && p->leading);
            assert_int_equal(p->fatal.kind, ERR_NONE);
            assert_int_equal(count(t, ROOT "/pods"), 1);
            assert_int_equal(count(t, ROOT "/coordinator"), 1);
            auto_free char *path = node_of(t, p);
            auto_free char *seq = xasprintf("\"seq\":%d,", (int)p->seq);
            assert_non_null(strstr(fake_zk_data(t->server, path), seq));
            coordinator_free(p->coordinator);
            p->coordinator = NULL;
            p->leading = p->attached = false;
            p->seq = -1;
            settle(t);
        }
    }
}

static void a_restart_after_a_crash_replaces_its_ghost_at_once(void **state) {
    struct bench *t = *state;
    start_all(t);
    struct pod *p = &t->pods[0];
    int64_t epoch = leader_of(p)->config.epoch;
    fake_zk_crash(zk_of(t, p));
    coordinator_free(p->coordinator);
    p->leading = p->attached = false;
    start(p);
    run(t, 200); // far less than the session
    assert_int_equal(count(t, ROOT "/pods"), PODS);
    assert_int_equal(count(t, ROOT "/coordinator"), PODS);
    assert_int_equal(p->fatal.kind, ERR_NONE);
    all_is_well(t);
    assert_true(leaders[0]->config.epoch > epoch);
}

// A worker that crashed, or a quorum that came and went, as often as it likes: each time there was
// time to register and none to clear up.
static void any_number_of_own_ghosts_is_no_clone(void **state) {
    struct bench *t = *state;
    struct pod *p = &t->pods[0];
    start(&t->pods[1]);
    settle(t);
    auto_free char *path = xasprintf(ROOT "/pods/%s.", p->id);
    for (int i = 0; i < 5; i++)
        fake_zk_put(t->server, fake_zk_stranger(t->server), path, "{}", ZK_EPHEMERAL | ZK_SEQUENCE);
    start(p);
    run(t, 10000);
    assert_int_equal(p->fatal.kind, ERR_NONE);
    assert_true(p->attached);
    assert_int_equal(count(t, ROOT "/pods"), 2);
}

static void a_cloned_pod_id_is_fatal_to_one_at_least(void **state) {
    struct bench *t = *state;
    struct pod *a = &t->pods[0], *b = &t->pods[1];
    start(a);
    settle(t);
    strcpy(b->id, a->id);
    b->seq = a->seq;
    start(b);
    run(t, 10000);
    assert_true((a->fatal.kind == ERR_EXISTS) != (b->fatal.kind == ERR_EXISTS));
    struct pod *survivor = a->fatal.kind ? b : a, *victim = a->fatal.kind ? a : b;
    assert_non_null(strstr(victim->fatal.text, "state directory"));
    assert_true(survivor->attached && survivor->leading);
    assert_false(victim->attached || victim->leading);
    assert_int_equal(count(t, ROOT "/pods"), 1);
}

static void an_access_list_of_anothers_is_fatal_at_start_and_an_alarm_later(void **state) {
    struct bench *t = *state;
    struct pod *a = &t->pods[0], *b = &t->pods[1];
    t->url = "zk://us:secret@fake:2181/";
    start(a);
    settle(t);
    assert_true(a->attached);
    fake_zk_foreign(t->server, ROOT "/pods");
    start(b);
    settle(t);
    assert_int_equal(b->fatal.code, ZK_NO_AUTH);
    assert_non_null(strstr(b->fatal.text, ROOT "/pods"));
    assert_null(strstr(b->fatal.text, "secret"));
    coordinator_reset(a->coordinator);
    run(t, 60000);
    assert_int_equal(a->fatal.kind, ERR_NONE);
    assert_false(a->attached); // nothing that others may write is believed
    fake_zk_foreign(t->server, NULL);
    run(t, 6000);
    assert_true(a->attached);
}

// A refusal ends who starts. Who was registered before, by this worker or by one before it, has a
// workload that runs: an alarm, and it registers when it may again.
static void what_refuses_a_start_does_not_end_who_was_there(void **state) {
    struct bench *t = *state;
    struct pod *fresh = &t->pods[0], *resumed = &t->pods[1], *there = &t->pods[2];
    resumed->resumed = true;
    start(there);
    settle(t);
    assert_true(there->attached);
    fake_zk_bar(t->server, ROOT "/pods");
    start(fresh);
    start(resumed);
    coordinator_reset(there->coordinator);
    run(t, 60000);
    assert_int_equal(fresh->fatal.code, ZK_NO_AUTH);
    assert_int_equal(resumed->fatal.kind, ERR_NONE);
    assert_int_equal(there->fatal.kind, ERR_NONE);
    assert_false(resumed->attached || there->attached);
    fake_zk_bar(t->server, NULL);
    run(t, 11000);
    assert_true(resumed->attached && there->attached);
}

// Whoever can write there makes nodes of a pod's id, as a copy of its state directory would.
static void nodes_of_its_id_end_nobody_who_is_there_for_long(void **state) {
    struct bench *t = *state;
    struct pod *p = &t->pods[0];
    auto_free char *path = xasprintf(ROOT "/pods/%s.", p->id);
    start(p);
    run(t, 61000);
    for (int i = 0; i < 40; i++) {
        fake_zk_put(t->server, fake_zk_stranger(t->server), path, "{}", ZK_EPHEMERAL | ZK_SEQUENCE);
        run(t, 11000);
        assert_int_equal(p->fatal.kind, ERR_NONE);
        coordinator_update(p->coordinator);
    }
    run(t, 60000);
    assert_true(p->attached);
    assert_int_equal(count(t, ROOT "/pods"), 1);
}

static void a_record_deleted_by_hand_is_made_again(void **state) {
    struct bench *t = *state;
    start_all(t);
    auto_free char *path = node_of(t, &t->pods[1]);
    fake_zk_remove(t->server, path);
    settle(t);
    auto_free char *again = node_of(t, &t->pods[1]);
    assert_non_null(again);
    assert_string_not_equal(path, again);
    all_is_well(t);
}

static void a_record_that_changed_is_written_anew_under_its_number(void **state) {
    struct bench *t = *state;
    struct pod *p = &t->pods[0];
    for (int when = FAKE_ZK_BEFORE; when <= FAKE_ZK_AFTER; when++) {
        start(p);
        settle(t);
        auto_free char *path = node_of(t, p);
        fake_zk_lose(zk_of(t, p), (enum fake_zk_loss)when, 1);
        p->facts.task = when == FAKE_ZK_BEFORE ? "one" : "two";
        coordinator_update(p->coordinator);
        run(t, 1000);
        const char *data = fake_zk_data(t->server, path);
        assert_non_null(strstr(data, p->facts.task));
        assert_non_null(strstr(data, "\"seq\":0,\"sidecar\""));
        coordinator_free(p->coordinator);
        settle(t);
        start(p); // the change comes while the record is being made
        coordinator_update(p->coordinator);
        fake_loop_run_until_idle(t->loop);
        p->facts.node = when == FAKE_ZK_BEFORE ? "three" : "four";
        for (int i = 0; i < 8; i++) {
            run(t, 1);
            coordinator_update(p->coordinator);
        }
        settle(t);
        auto_free char *again = node_of(t, p);
        assert_non_null(strstr(fake_zk_data(t->server, again), p->facts.node));
        coordinator_free(p->coordinator);
        p->coordinator = NULL;
        settle(t);
    }
}

static void a_lock_deleted_by_hand_deposes(void **state) {
    struct bench *t = *state;
    start_all(t);
    fake_zk_remove(t->server, leaders[0]->lock_path);
    run(t, 10);
    assert_false(t->pods[0].leading);
    run(t, 1500);
    assert_true(t->pods[1].leading);
    all_is_well(t);
}

static void a_deposed_leader_goes_to_the_end_of_the_queue(void **state) {
    struct bench *t = *state;
    start_all(t);
    struct err why = ERR_INIT;
    err_set(&why, ERR_FENCED, "a pod follows a newer leader");
    leaders[0]->config.on_deposed(&why, leaders[0]->config.arg);
    assert_int_equal(leaders_n, 1); // not within its own call
    run(t, 1500);
    assert_true(t->pods[1].leading);
    all_is_well(t);
}

static void a_foreign_contender_is_respected_and_other_children_are_not_contenders(void **state) {
    struct bench *t = *state;
    fake_zk_put(t->server, 0, ROOT "/coordinator/zz-foreign__lock__0000000000", "data", 0);
    fake_zk_put(t->server, 0, ROOT "/coordinator/aa-note", "", 0);
    fake_zk_put(t->server, 0, ROOT "/coordinator/0000__lock__x", "", 0);
    start(&t->pods[0]);
    run(t, 1000);
    assert_true(t->pods[0].attached);
    assert_false(t->pods[0].leading);
    fake_zk_remove(t->server, ROOT "/coordinator/zz-foreign__lock__0000000000");
    run(t, 10);
    assert_true(t->pods[0].leading);
}

// An original follower deletes its node every 5 s and makes the next.
static void a_queue_that_churns_wakes_no_herd(void **state) {
    struct bench *t = *state;
    int64_t stranger = fake_zk_stranger(t->server);
    start_all(t);
    const char *lock = ROOT "/coordinator/ffffffffffffffffffffffffffffffff__lock__";
    for (int i = 0; i < 20; i++) {
        auto_free char *node = xstrdup(
            fake_zk_put(t->server, stranger, lock, "", ZK_EPHEMERAL | ZK_SEQUENCE));
        int before = fake_zk_requests(t->server);
        settle(t);
        fake_zk_remove(t->server, node);
        settle(t);
        assert_int_equal(fake_zk_requests(t->server), before); // it stood behind all of us
    }
    assert_true(t->pods[0].leading);
}

static void who_steps_aside_gives_the_lock_back_and_may_come_again(void **state) {
    struct bench *t = *state;
    start_all(t);
    coordinator_stand(t->pods[0].coordinator, false);
    assert_false(t->pods[0].leading);
    settle(t);
    assert_true(t->pods[1].leading);
    assert_int_equal(count(t, ROOT "/coordinator"), 2);
    assert_true(t->pods[0].attached);
    fake_zk_expire(zk_of(t, &t->pods[0])); // not forgotten over a session
    run(t, 3000);
    assert_true(t->pods[0].attached);
    assert_int_equal(count(t, ROOT "/coordinator"), 2);
    coordinator_stand(t->pods[0].coordinator, true);
    settle(t);
    all_is_well(t);
    assert_true(t->pods[1].leading);
}

static void aside_and_back_at_once_leaves_one_lock(void **state) {
    struct bench *t = *state;
    start_all(t);
    for (int i = 0; i < 5; i++) {
        coordinator_stand(t->pods[0].coordinator, false);
        coordinator_stand(t->pods[0].coordinator, true);
        run(t, i);
    }
    settle(t);
    all_is_well(t);
    assert_true(t->pods[1].leading);
}

static void a_reset_takes_a_new_session_and_keeps_the_number(void **state) {
    struct bench *t = *state;
    start_all(t);
    int64_t session = zk_session(zk_of(t, &t->pods[0]));
    coordinator_reset(t->pods[0].coordinator);
    assert_false(t->pods[0].leading || t->pods[0].attached);
    settle(t);
    all_is_well(t);
    assert_int_not_equal(zk_session(zk_of(t, &t->pods[0])), session);
    assert_true(t->pods[1].leading);
}

static void a_frozen_leader_wakes_as_a_follower(void **state) {
    struct bench *t = *state;
    start_all(t);
    struct zk *zk = zk_of(t, &t->pods[0]);
    fake_zk_freeze(zk);
    run(t, SESSION + 500);
    assert_true(t->pods[1].leading);
    fake_zk_thaw(zk);
    assert_false(coordinator_attached(t->pods[0].coordinator)); // before it was told anything
    run(t, 3000);
    all_is_well(t);
    assert_true(t->pods[1].leading);
}

static void readings_end_with_the_session(void **state) {
    struct bench *t = *state;
    start_all(t);
    coordinator_read(t->pods[1].coordinator, on_read, t);
    fake_zk_expire(zk_of(t, &t->pods[1]));
    while (t->pods[1].attached)
        run(t, 1);
    assert_int_equal(t->reads, 1);
    assert_true(t->err.kind == ERR_RETRY || t->err.kind == ERR_DETACHED);
    coordinator_read(t->pods[1].coordinator, on_read, t);
    run(t, 1);
    assert_int_equal(t->reads, 2);
    assert_int_equal(t->err.kind, ERR_DETACHED);
    fake_zk_latency(t->server, 100);
    run(t, 5000);
    coordinator_read(t->pods[1].coordinator, on_read, t);
    run(t, 10);
    coordinator_reset(t->pods[1].coordinator);
    run(t, 10);
    assert_int_equal(t->reads, 3);
    assert_int_equal(t->err.kind, ERR_DETACHED);
    fake_zk_latency(t->server, 1);
    run(t, 200);
}

struct glimpse {
    int n;
    struct err err;
    char text[16];
};

static void on_node(const char *data, size_t len, int64_t written, const struct err *err,
                    void *arg) {
    struct glimpse *g = arg;
    assert_true((written > 0) == (err->kind == ERR_NONE));
    g->n++;
    g->err = *err;
    snprintf(g->text, sizeof g->text, "%.*s", (int)len, data ? data : "");
}

static void one_node_is_read_as_it_stands(void **state) {
    struct bench *t = *state;
    struct glimpse g = {0};
    start_all(t);
    struct coordinator *c = t->pods[1].coordinator;
    for (int fresh = 0; fresh < 2; fresh++) {
        fake_zk_remove(t->server, ROOT "/proposal");
        coordinator_read_node(c, "proposal", fresh, on_node, &g);
        assert_int_equal(g.n, 2 * fresh);
        settle(t);
        assert_int_equal(g.n, 2 * fresh + 1);
        assert_int_equal(g.err.kind, ERR_ABSENT);
        fake_zk_put(t->server, 0, ROOT "/proposal", "{\"a\":1}", 0);
        coordinator_read_node(c, "proposal", fresh, on_node, &g);
        settle(t);
        assert_int_equal(g.n, 2 * fresh + 2);
        assert_int_equal(g.err.kind, ERR_NONE);
        assert_string_equal(g.text, "{\"a\":1}");
    }
    fake_zk_latency(t->server, 100);
    coordinator_read_node(c, "proposal", true, on_node, &g);
    run(t, 150); // synced, not read
    coordinator_reset(c);
    run(t, 1);
    assert_int_equal(g.n, 5);
    assert_int_equal(g.err.kind, ERR_DETACHED);
    coordinator_read_node(c, "proposal", false, on_node, &g);
    run(t, 1);
    assert_int_equal(g.n, 6);
    assert_int_equal(g.err.kind, ERR_DETACHED);
    fake_zk_latency(t->server, 1);
    run(t, 5000);
    coordinator_read_node(c, "proposal", false, on_node, &g); // freed with it: no answer
    coordinator_free(c);
    t->pods[1].coordinator = NULL;
    run(t, 50);
    assert_int_equal(g.n, 6);
}

// Whoever took it for true would obey no leader any more.
static void an_epoch_from_the_future_is_no_leaders_record(void **state) {
    struct bench *t = *state;
    struct glimpse g = {0};
    start_all(t);
    struct coordinator *c = t->pods[1].coordinator;
    fake_zk_put(t->server, 0, ROOT "/leader", "{\"epoch\":4}", 0);
    coordinator_read_node(c, "leader", true, on_node, &g);
    settle(t);
    assert_int_equal(g.err.kind, ERR_NONE);
    assert_string_equal(g.text, "{\"epoch\":4}");
    fake_zk_put(t->server, 0, ROOT "/leader", "{\"epoch\":9007199254740991}", 0);
    coordinator_read_node(c, "leader", true, on_node, &g);
    settle(t);
    assert_int_equal(g.err.kind, ERR_ABSENT);
    assert_int_equal(g.n, 2);
}

static void leaving_ends_whatever_the_server_does(void **state) {
    struct bench *t = *state;
    start_all(t);
    fake_zk_cut(zk_of(t, &t->pods[0]), -1);
    run(t, 10);
    coordinator_leave(t->pods[0].coordinator, on_left, &t->pods[0]);
    fake_zk_stall(zk_of(t, &t->pods[1]));
    coordinator_leave(t->pods[1].coordinator, on_left, &t->pods[1]);
    fake_zk_expire(zk_of(t, &t->pods[2]));
    run(t, 30);
    coordinator_leave(t->pods[2].coordinator, on_left, &t->pods[2]);
    run(t, 3000);
    for (int i = 0; i < PODS; i++)
        assert_true(t->pods[i].left);
    assert_int_equal(leaders_n, 0);
}

static void a_wrong_right_to_write_is_fatal_not_a_storm(void **state) {
    struct bench *t = *state;
    int64_t stranger = fake_zk_stranger(t->server);
    fake_zk_put(t->server, 0, "/ochopod/clusters", "", 0);
    fake_zk_put(t->server, stranger, ROOT, "", 0); // nothing can be made below an ephemeral node
    start(&t->pods[0]);
    run(t, 5000);
    assert_int_equal(t->pods[0].fatal.kind, ERR_REFUSED);
    assert_true(fake_zk_requests(t->server) < 50);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_pod_registers_and_leads),
        T(the_clusters_nodes_are_there_as_ochopod_makes_them),
        T(a_cluster_of_one_is_asked_where_it_listens),
        T(the_first_leads_and_the_next_takes_over),
        T(the_last_to_leave_empties_the_snapshot),
        T(of_all_that_leave_at_once_one_empties_the_snapshot),
        T(a_reading_holds_all_that_is_there),
        T(a_reading_keeps_no_records_without_end),
        T(many_records_of_one_id_weigh_as_one),
        T(what_is_wrong_with_the_address_is_said_at_once),
        T(a_short_cut_changes_nothing),
        T(silence_detaches_before_anybody_can_take_over),
        T(a_session_lost_is_replaced_and_keeps_the_number),
        T(an_outage_of_the_server_costs_no_number_and_leaves_no_ghost),
        T(after_an_outage_they_do_not_come_all_at_once),
        T(another_server_in_its_place_is_a_new_tree),
        T(an_answer_lost_anywhere_leaves_one_of_everything),
        T(a_restart_after_a_crash_replaces_its_ghost_at_once),
        T(any_number_of_own_ghosts_is_no_clone),
        T(a_cloned_pod_id_is_fatal_to_one_at_least),
        T(an_access_list_of_anothers_is_fatal_at_start_and_an_alarm_later),
        T(what_refuses_a_start_does_not_end_who_was_there),
        T(nodes_of_its_id_end_nobody_who_is_there_for_long),
        T(a_record_deleted_by_hand_is_made_again),
        T(a_record_that_changed_is_written_anew_under_its_number),
        T(a_lock_deleted_by_hand_deposes),
        T(a_deposed_leader_goes_to_the_end_of_the_queue),
        T(a_foreign_contender_is_respected_and_other_children_are_not_contenders),
        T(a_queue_that_churns_wakes_no_herd),
        T(who_steps_aside_gives_the_lock_back_and_may_come_again),
        T(aside_and_back_at_once_leaves_one_lock),
        T(a_reset_takes_a_new_session_and_keeps_the_number),
        T(a_frozen_leader_wakes_as_a_follower),
        T(readings_end_with_the_session),
        T(one_node_is_read_as_it_stands),
        T(an_epoch_from_the_future_is_no_leaders_record),
        T(leaving_ends_whatever_the_server_does),
        T(a_wrong_right_to_write_is_fatal_not_a_storm),
    };
    log_set_level(LOG_LEVEL_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
