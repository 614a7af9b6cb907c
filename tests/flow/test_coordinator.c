// Coordinators, with their registrations and locks, against ZooKeeper in memory. The leader is a
// stand-in that keeps book: rounds are the leader's own tests.
#include "sidecar/coordinator/coordinator.h"
#include "base/check.h"
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
    bool attached, leading, left;
    struct err fatal;
};

struct bench {
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
                                        .zk_url = "zk://fake:2181/",
                                        .namespace_ = "marathon",
                                        .cluster = "zookeeper",
                                        .pod_id = p->id,
                                        .facts = &p->facts,
                                        .seq = p->seq};
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

static void what_is_wrong_with_the_address_is_said_at_once(void **state) {
    struct bench *t = *state;
    static const char *const urls[] = {NULL, "", "zk://", "zk://a:b:c", "none"};
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

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_pod_registers_and_leads),
        T(the_clusters_nodes_are_there_as_ochopod_makes_them),
        T(the_first_leads_and_the_next_takes_over),
        T(the_last_to_leave_empties_the_snapshot),
        T(a_reading_holds_all_that_is_there),
        T(what_is_wrong_with_the_address_is_said_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
