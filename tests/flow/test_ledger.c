// What leaders write down, call by call over a ZooKeeper in memory: nodes that a hand or somebody
// else has changed, answers that are lost, access lists, a lock that is gone.
#include "sidecar/leader/ledger.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/own.h"
#include "tests/fake/loop.h"
#include "tests/fake/zk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROOT "/root"
#define HASH "1111111111111111111111111111111111111111111111111111111111111111"

struct bench {
    struct loop *loop;
    struct fake_zk *server;
    struct zk *zk;
    char *lock;
    int64_t epoch;
    struct ledger *ledger;
    struct cluster *cluster;
    int calls;
    struct err err;
};

static void run(struct bench *t, int64_t ms) {
    fake_loop_advance(t->loop, ms);
}

static const char *node(const struct bench *t, const char *name) {
    auto_free char *path = xasprintf(ROOT "/%s", name);
    const char *data = fake_zk_data(t->server, path);
    return data ? data : "";
}

static json_int_t leader_number(const struct bench *t, const char *key) {
    auto_json json_t *record = json_loads(node(t, "leader"), 0, NULL);
    return json_integer_value(json_object_get(record, key));
}

// ---- the leader ----

static void on_state(enum zk_state state, void *arg) {
    (void)state;
    (void)arg;
}

static void on_locked(const char *path, const struct zk_stat *stat, const struct err *err,
                      void *arg) {
    struct bench *t = arg;
    (void)stat;
    assert_int_equal(err->kind, ERR_NONE);
    t->lock = xstrdup(path);
}

static void on_done(const struct err *err, void *arg) {
    struct bench *t = arg;
    t->calls++;
    t->err = *err;
}

// The call in flight ends, once; ms at most.
static void expect(struct bench *t, enum err_kind kind) {
    for (int i = 0; i < 2000 && !t->calls; i++)
        run(t, 1);
    assert_int_equal(t->calls, 1);
    if (t->err.kind != kind)
        fail_msg("expected %s, got %s: %s", err_kind_name(kind), err_kind_name(t->err.kind),
                 t->err.text);
    t->calls = 0;
}

static void load(struct bench *t, enum err_kind kind) {
    ledger_load(t->ledger, on_done, t);
    expect(t, kind);
}

static void commit(struct bench *t, enum err_kind kind) {
    auto_json json_t *dead = json_object();
    ledger_commit(t->ledger, t->cluster, HASH, t->ledger->round + 1, dead, on_done, t);
    expect(t, kind);
}

static void mark(struct bench *t, enum err_kind kind) {
    ledger_mark(t->ledger, t->cluster->members, on_done, t);
    expect(t, kind);
}

static int set_up(void **state) {
    struct bench *t = xnew(struct bench);
    const struct zk_config config = {.servers = "fake:2181", .session_ms = 10000};
    struct err err = ERR_INIT;
    struct zk_stat stat;
    log_set_level(getenv("FLOW_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERR);
    t->loop = loop_create();
    t->server = fake_zk_create(t->loop);
    fake_zk_put(t->server, 0, ROOT, "", 0);
    fake_zk_put(t->server, 0, "/queue", "", 0);
    assert_int_equal(zk_open(t->loop, &config, on_state, NULL, &t->zk, &err), 0);
    run(t, 10);
    zk_create(t->zk, "/queue/lock", "", 0, ZK_EPHEMERAL, on_locked, t);
    run(t, 10);
    assert_true(fake_zk_stat(t->server, t->lock, &stat));
    t->epoch = stat.czxid;
    t->ledger = ledger_create(t->zk, ROOT, t->lock, t->epoch);
    t->cluster = cluster_create();
    json_object_set_new(t->cluster->pods, "a", json_pack("{s:s}", "ip", "10.0.0.1"));
    json_object_set_new(t->cluster->members, "a", json_pack("{s:i}", "ordinal", 1));
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    ledger_free(t->ledger);
    cluster_free(t->cluster);
    zk_close(t->zk, NULL, NULL);
    run(t, 100);
    assert_true(fake_zk_quiet(t->server));
    assert_int_equal(t->calls, 0); // nothing was called twice
    fake_zk_free(t->server);
    loop_free(t->loop);
    free(t->lock);
    free(t);
    return 0;
}

// All that a completed round leaves, at once.
static void assert_round(const struct bench *t, json_int_t generation) {
    assert_int_equal(leader_number(t, "generation"), generation);
    assert_int_equal(leader_number(t, "epoch"), t->epoch);
    assert_string_equal(node(t, "hash"), HASH);
    assert_non_null(strstr(node(t, "snapshot"), "10.0.0.1"));
    assert_non_null(strstr(node(t, "members"), "ordinal"));
    assert_true(ledger_matches(t->ledger, HASH));
    static const char *const kept[] = {"leader", "hash", "snapshot", "members", "tree"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        auto_free char *path = xasprintf(ROOT "/%s", kept[i]);
        struct zk_stat stat;
        assert_true(fake_zk_stat(t->server, path, &stat));
        assert_int_equal(stat.ephemeral_owner, 0);
    }
}

// ---- reading ----

static void a_cluster_with_nothing_is_begun_and_no_ledger_is_nothing(void **state) {
    struct bench *t = *state;
    load(t, ERR_NONE);
    assert_string_equal(t->ledger->hash, "");
    assert_int_equal(strlen(t->ledger->tree), 36);
    assert_string_equal(node(t, "tree"), t->ledger->tree);
    assert_int_equal(leader_number(t, "epoch"), t->epoch);
    commit(t, ERR_NONE);
    assert_round(t, 1);
    ledger_free(NULL);
}

// Somebody may write what no one reads. It is junk, and written over.
static void what_is_too_large_to_be_read_is_written_over(void **state) {
    struct bench *t = *state;
    static const char *const names[] = {"tree", "leader", "hash", "snapshot", "members"};
    auto_free char *large = xcalloc(ZK_MAX_READ + 2, 1);
    memset(large, 'a', ZK_MAX_READ + 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        auto_free char *path = xasprintf(ROOT "/%s", names[i]);
        fake_zk_put(t->server, 0, path, large, 0);
    }
    load(t, ERR_NONE);
    assert_int_equal(strlen(node(t, "tree")), 36);
    commit(t, ERR_NONE);
    assert_round(t, 1);
}

// Nothing is guessed of what could not be read, be it one node or all.
static void what_may_not_be_read_is_an_error_and_nothing_is_written(void **state) {
    struct bench *t = *state;
    static const char *const paths[] = {
        ROOT "/tree",     ROOT "/leader", ROOT "/hash", ROOT "/members",
        ROOT "/proposal", "/queue/lock",  ROOT};
    load(t, ERR_NONE);
    ledger_propose(t->ledger, t->cluster, HASH, 1, on_done, t);
    expect(t, ERR_NONE);
    commit(t, ERR_NONE);
    int writes = fake_zk_writes(t->server);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        fake_zk_hide(t->server, paths[i]);
        load(t, ERR_REFUSED);
        assert_non_null(strstr(t->err.text, paths[i]));
        assert_int_equal(fake_zk_writes(t->server), writes);
    }
    fake_zk_hide(t->server, NULL);
    load(t, ERR_NONE);
    assert_round(t, 1);
    assert_int_equal(fake_zk_writes(t->server), writes); // it is ours already
}

static void what_a_hand_wrote_there_is_not_counted_on(void **state) {
    struct bench *t = *state;
    static const struct {
        const char *name, *data;
    } junk[] = {
        {"leader", "{\"generation\":-5,\"epoch\":-1,\"round\":-1}"},
        {"leader", "{\"generation\":9007199254740993}"},
        {"tree", ""},
        {"tree", "aaaa0000aaaa0000aaaa0000aaaa0000aaaa0000aaaa0000aaaa0000aaaa00001"}, // 65
        {"tree", "aaaa\r\nX-Injected: y"},
        {"hash", "aaaa\r\nX-Injected: y"},
    };
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        static const char *const names[] = {"leader", "tree", "hash"};
        for (size_t k = 0; k < 3; k++) {
            auto_free char *old = xasprintf(ROOT "/%s", names[k]);
            fake_zk_remove(t->server, old);
        }
        ledger_free(t->ledger);
        t->ledger = ledger_create(t->zk, ROOT, t->lock, t->epoch);
        auto_free char *path = xasprintf(ROOT "/%s", junk[i].name);
        fake_zk_put(t->server, 0, path, junk[i].data, 0);
        load(t, ERR_NONE);
        assert_int_equal(strlen(node(t, "tree")), 36);
        assert_string_equal(node(t, "tree"), t->ledger->tree);
        assert_null(strstr(node(t, "leader"), "Injected"));
        assert_null(strstr(t->ledger->hash, "Injected"));
        assert_false(ledger_matches(t->ledger, HASH));
        commit(t, ERR_NONE);
        assert_round(t, 1);
    }
}

// The dead of the last round, as long as they can be pods'.
static void the_dead_are_taken_over_where_they_can_be_pods(void **state) {
    struct bench *t = *state;
    auto_free char *record = xasprintf(
        "{\"generation\":3,\"dead\":{\"a\":7,\"b\":\"x\",\"%065d\":8}}", 1);
    fake_zk_put(t->server, 0, ROOT "/leader", record, 0);
    load(t, ERR_NONE);
    assert_int_equal(json_object_size(t->ledger->dead), 1);
    auto_json json_t *reborn = json_pack("{s:i}", "a", 9), *same = json_pack("{s:i}", "a", 7);
    ledger_bury(t->ledger, t->cluster, reborn);
    assert_int_equal(json_object_size(t->cluster->pods), 1);
    ledger_bury(t->ledger, t->cluster, same);
    assert_int_equal(json_object_size(t->cluster->pods), 0);
}

// Pods have heard of the rounds we have proposed, whatever has become of /leader.
static void no_round_is_used_twice_when_the_record_is_lost(void **state) {
    struct bench *t = *state;
    load(t, ERR_NONE);
    ledger_propose(t->ledger, t->cluster, HASH, 9, on_done, t);
    expect(t, ERR_NONE);
    ledger_free(t->ledger);
    t->ledger = ledger_create(t->zk, ROOT, t->lock, t->epoch); // knows of nothing
    fake_zk_remove(t->server, ROOT "/leader");
    load(t, ERR_NONE);
    assert_int_equal(t->ledger->round, 9);
    assert_int_equal(leader_number(t, "round"), 9);
}

// Epochs are compared within a tree: without one it cannot be told whose they are.
static void a_tree_that_is_lost_is_made_anew_by_who_leads(void **state) {
    struct bench *t = *state;
    load(t, ERR_NONE);
    auto_free char *tree = xstrdup(t->ledger->tree);
    fake_zk_remove(t->server, ROOT "/tree");
    load(t, ERR_NONE);
    assert_string_not_equal(t->ledger->tree, tree);
    assert_string_equal(node(t, "tree"), t->ledger->tree);
    assert_non_null(strstr(node(t, "leader"), t->ledger->tree));
    assert_int_equal(leader_number(t, "epoch"), t->epoch);
}

// ---- writing ----

// The outcome is unknown: that is what it says, and what is there now is read anew.
static void a_write_that_is_lost_is_told_as_such(void **state) {
    struct bench *t = *state;
    load(t, ERR_NONE);
    for (int when = FAKE_ZK_BEFORE; when <= FAKE_ZK_AFTER; when++) {
        json_int_t before = leader_number(t, "generation");
        fake_zk_lose(t->zk, (enum fake_zk_loss)when, 1);
        commit(t, ERR_RETRY);
        assert_false(ledger_matches(t->ledger, HASH)); // not taken for done
        run(t, 1000);
        bool done = when == FAKE_ZK_AFTER;
        assert_int_equal(leader_number(t, "generation"), before + done);
        load(t, ERR_NONE);
        assert_int_equal(ledger_matches(t->ledger, HASH), done);
    }
    assert_round(t, 1);
}

static void who_may_not_write_is_told_where(void **state) {
    struct bench *t = *state;
    static const struct {
        const char *barred, *hidden, *named;
    } cases[] = {
        {ROOT "/leader", NULL, "us " ROOT "/leader:"},
        {ROOT "/hash", NULL, "us " ROOT "/hash:"},
        {ROOT "/snapshot", NULL, "us " ROOT "/snapshot:"}, // which are two operations here
        {ROOT "/members", NULL, "us " ROOT "/members:"},
        {NULL, "/queue", "us /queue/lock:"},
        {"", NULL, "us the cluster's nodes:"}, // it does not say for what
    };
    fake_zk_put(t->server, fake_zk_stranger(t->server), ROOT "/snapshot", "{}", ZK_EPHEMERAL);
    load(t, ERR_NONE);
    int writes = fake_zk_writes(t->server);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_zk_bar(t->server, cases[i].barred);
        fake_zk_hide(t->server, cases[i].hidden);
        int before = fake_zk_requests(t->server);
        commit(t, ERR_REFUSED);
        assert_int_equal(t->err.code, ZK_NO_AUTH);
        if (!strstr(t->err.text, cases[i].named))
            fail_msg("%s is not named: %s", cases[i].named, t->err.text);
        assert_int_equal(fake_zk_requests(t->server), before + 1); // not asked again
        assert_int_equal(fake_zk_writes(t->server), writes);
    }
    fake_zk_bar(t->server, ROOT "/proposal");
    fake_zk_hide(t->server, NULL);
    ledger_propose(t->ledger, t->cluster, HASH, 1, on_done, t);
    expect(t, ERR_REFUSED);
    assert_non_null(strstr(t->err.text, "us " ROOT "/proposal:"));
    fake_zk_bar(t->server, NULL);
    commit(t, ERR_NONE);
    assert_round(t, 1);
}

// A node went and the lock with it, between the refusal and the second look.
static void a_lock_that_goes_while_it_is_looked_again_fences(void **state) {
    struct bench *t = *state;
    load(t, ERR_NONE);
    commit(t, ERR_NONE);
    fake_zk_latency(t->server, 10);
    fake_zk_remove(t->server, ROOT "/members");
    ledger_mark(t->ledger, t->cluster->members, on_done, t);
    run(t, 15); // refused there, not known here
    int writes = fake_zk_writes(t->server);
    fake_zk_remove(t->server, t->lock);
    expect(t, ERR_FENCED);
    assert_int_equal(fake_zk_writes(t->server), writes + 1); // the removal itself
    assert_string_equal(node(t, "members"), "");
    fake_zk_latency(t->server, 1);
}

static void a_lock_that_is_gone_fences_every_write(void **state) {
    struct bench *t = *state;
    load(t, ERR_NONE);
    auto_free char *record = xstrdup(node(t, "leader"));
    fake_zk_remove(t->server, t->lock);
    mark(t, ERR_FENCED);
    commit(t, ERR_FENCED);
    ledger_propose(t->ledger, t->cluster, HASH, 1, on_done, t);
    expect(t, ERR_FENCED);
    load(t, ERR_FENCED);
    assert_string_equal(node(t, "leader"), record);
    assert_string_equal(node(t, "hash"), "");
}

// Nothing can be made below an ephemeral node, and no second look changes that.
static void a_guess_that_stays_wrong_ends(void **state) {
    struct bench *t = *state;
    fake_zk_remove(t->server, ROOT);
    fake_zk_put(t->server, fake_zk_stranger(t->server), ROOT, "", ZK_EPHEMERAL);
    int before = fake_zk_requests(t->server);
    load(t, ERR_REFUSED);
    assert_in_range(fake_zk_requests(t->server) - before, 8, 50);
    mark(t, ERR_REFUSED);
    assert_int_equal(t->ledger->open, false);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_cluster_with_nothing_is_begun_and_no_ledger_is_nothing),
        T(what_is_too_large_to_be_read_is_written_over),
        T(what_may_not_be_read_is_an_error_and_nothing_is_written),
        T(what_a_hand_wrote_there_is_not_counted_on),
        T(the_dead_are_taken_over_where_they_can_be_pods),
        T(no_round_is_used_twice_when_the_record_is_lost),
        T(a_tree_that_is_lost_is_made_anew_by_who_leads),
        T(a_write_that_is_lost_is_told_as_such),
        T(who_may_not_write_is_told_where),
        T(a_lock_that_goes_while_it_is_looked_again_fences),
        T(a_lock_that_is_gone_fences_every_write),
        T(a_guess_that_stays_wrong_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
