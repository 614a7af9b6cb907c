// What a server answers, as the library hands it over, before anybody else sees it: what is broken
// is asked for again, what is too large is not copied, what cannot be is left out. And what the
// library itself could not live with is given up. What a hostile server does to the program is in
// tests/integration/sidecar/test_hostile_zookeeper.py.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/zk/client_inside.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

enum { PATIENCE_MS = 20000 };

// What the library would do: answers at once, with what the test has prepared.
static struct {
    struct loop *loop;
    int timeout, state;
    struct String_vector names;
    const char *data, *created;
    int len, rc; // of a get
    struct Stat stat;
    struct loop_timer *late;
    watcher_fn watcher; // that the last get left, and what it is called with
    void *watched;
    int awaited; // watches left on nodes that are not there
} server;

static int lib_names(zhandle_t *zh, const char *path, watcher_fn watcher, void *ctx,
                     strings_completion_t fn, const void *op) {
    (void)zh, (void)path, (void)watcher, (void)ctx;
    fn(ZOK, &server.names, op);
    return ZOK;
}

static int lib_get(zhandle_t *zh, const char *path, watcher_fn watcher, void *ctx,
                   data_completion_t fn, const void *op) {
    (void)zh, (void)path;
    if (server.rc == ZOK && watcher) {
        server.watcher = watcher;
        server.watched = ctx;
    }
    fn(server.rc, server.rc ? NULL : server.data, server.len, &server.stat, op);
    return ZOK;
}

static int lib_create(zhandle_t *zh, const char *path, const char *value, int len,
                      const struct ACL_vector *acl, int flags, string_completion_t fn,
                      const void *op) {
    (void)zh, (void)path, (void)value, (void)len, (void)acl, (void)flags;
    fn(ZOK, server.created, op);
    return ZOK;
}

static int lib_exists(zhandle_t *zh, const char *path, watcher_fn watcher, void *ctx,
                      stat_completion_t fn, const void *op) {
    (void)zh, (void)path, (void)ctx;
    server.awaited += watcher != NULL;
    fn(watcher ? server.rc : ZOK, &server.stat, op);
    return ZOK;
}

static zhandle_t *lib_open(struct zk *zk) {
    return (zhandle_t *)zk; // nobody looks inside
}

static void lib_close(zhandle_t *zh) {
    (void)zh;
}

static int lib_state(zhandle_t *zh) {
    (void)zh;
    return server.state;
}

static int64_t lib_session(zhandle_t *zh) {
    (void)zh;
    return 1;
}

static int lib_timeout(zhandle_t *zh) {
    (void)zh;
    return server.timeout;
}

static int lib_multi(zhandle_t *zh, int n, const zoo_op_t *ops, zoo_op_result_t *results,
                     void_completion_t fn, const void *op);

static const struct zk_library library = {.open = lib_open,
                                          .close = lib_close,
                                          .state = lib_state,
                                          .session = lib_session,
                                          .timeout = lib_timeout,
                                          .exists = lib_exists,
                                          .names = lib_names,
                                          .get = lib_get,
                                          .create = lib_create,
                                          .multi = lib_multi};

static enum zk_state told;

static void on_state(enum zk_state state, void *arg) {
    told = state;
    if (state == ZK_CONNECTED || state == ZK_LOST)
        loop_quit(arg);
}

static void on_late(void *arg) {
    (void)arg;
    fail_msg("nothing within %d ms", PATIENCE_MS);
}

static void on_closed(void *arg) {
    loop_quit(arg);
}

static struct zk *open_zk(int state, int timeout) {
    struct zk_config config = {.servers = "127.0.0.1:1/root", .session_ms = 5000};
    struct err err = ERR_INIT;
    struct zk *zk;
    memset(&server, 0, sizeof server);
    server.loop = loop_create();
    server.state = state;
    server.timeout = timeout;
    told = ZK_CONNECTING;
    assert_int_equal(zk_open(server.loop, &config, on_state, server.loop, &zk, &err), 0);
    zk->library = &library;
    loop_timer_start(server.loop, &server.late, PATIENCE_MS, on_late, NULL);
    loop_run(server.loop);
    return zk;
}

static void close_zk(struct zk *zk) {
    zk_close(zk, on_closed, server.loop);
    loop_run(server.loop);
    loop_timer_stop(&server.late);
    loop_free(server.loop);
}

static struct {
    struct err err;
    size_t n;
    char *first, *data, *path;
    bool stat;
    struct zk_stat is;
} got;

static void forget(void) {
    free(got.first);
    free(got.data);
    free(got.path);
    memset(&got, 0, sizeof got);
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    got.err = *err;
    got.n = n;
    got.first = n ? xstrdup(names[0]) : NULL;
    loop_quit(arg);
}

static void on_data(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    got.err = *err;
    got.n = len;
    got.data = data ? xstrndup(data, len) : NULL;
    got.stat = stat;
    if (stat)
        got.is = *stat;
    loop_quit(arg);
}

static void on_path(const char *path, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    (void)stat;
    got.err = *err;
    got.path = path ? xstrdup(path) : NULL;
    loop_quit(arg);
}

static int multis;

static int lib_multi(zhandle_t *zh, int n, const zoo_op_t *ops, zoo_op_result_t *results,
                     void_completion_t fn, const void *op) {
    (void)zh, (void)n, (void)ops, (void)results;
    multis++;
    fn(ZOK, op);
    return ZOK;
}

static void on_multi(int failed, const struct err *err, void *arg) {
    (void)failed;
    got.err = *err;
    loop_quit(arg);
}

// Its news is still under way to us.
static void what_the_library_knows_to_be_over_gets_no_transaction(void **state) {
    (void)state;
    static const int states[] = {3, -112, -113, -9};
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 5000);
    multis = 0;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        server.state = states[i];
        forget();
        struct zk_multi *m = zk_multi();
        zk_multi_check(m, "/lock", ZK_ANY_VERSION);
        zk_commit(zk, m, on_multi, server.loop);
        loop_run(server.loop);
        assert_int_equal(got.err.kind, i ? ERR_DETACHED : ERR_NONE);
        assert_int_equal(multis, 1);
    }
    server.state = ZOO_CONNECTED_STATE;
    close_zk(zk);
    forget();
}

static void ask_names(struct zk *zk, int32_t count, char **names) {
    forget();
    server.names = (struct String_vector){.count = count, .data = names};
    zk_names(zk, "/pods", on_names, server.loop);
    loop_run(server.loop);
}

static void names_that_break_off_are_asked_for_again(void **state) {
    (void)state;
    char a[] = "a", *some[] = {a, NULL, a};
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 5000);
    ask_names(zk, 3, some);
    assert_int_equal(got.err.kind, ERR_RETRY);
    ask_names(zk, 2, NULL);
    assert_int_equal(got.err.kind, ERR_RETRY);
    ask_names(zk, -7, NULL);
    assert_int_equal(got.err.kind, ERR_NONE);
    assert_int_equal(got.n, 0);
    close_zk(zk);
    forget();
}

static void mend(void *arg) {
    static char a[] = "a", *good[] = {a};
    (void)arg;
    server.names = (struct String_vector){.count = 1, .data = good};
}

static void a_follow_whose_read_was_broken_reads_again(void **state) {
    (void)state;
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 3000);
    struct loop_timer *mended = NULL;
    forget();
    server.names = (struct String_vector){.count = 2, .data = NULL};
    loop_timer_start(server.loop, &mended, 50, mend, NULL);
    struct zk_follow *f = zk_follow_names(zk, "/pods", on_names, server.loop);
    while (!got.first && !got.err.kind) // a session that was away for a moment ends it, too
        loop_run(server.loop);
    assert_int_equal(got.err.kind, ERR_NONE);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.first, "a");
    zk_unfollow(&f);
    loop_timer_stop(&mended);
    close_zk(zk);
    forget();
}

struct life {
    struct zk *zk;
    struct zk_follow *follow;
    struct err err;
    int told;
};

static void on_life(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct life *life = arg;
    (void)data, (void)len, (void)stat;
    life->told++;
    life->err = *err;
    if (err->kind == ERR_ABSENT)
        zk_unfollow(&life->follow); // from within
    loop_quit(server.loop);
}

static void fire(int type) {
    watcher_fn watcher = server.watcher;
    server.watcher = NULL;
    watcher(NULL, type, ZOO_CONNECTED_STATE, "/root/pods/a.0000000001", server.watched);
}

static void on_while(void *arg) {
    (void)arg;
    loop_quit(server.loop);
}

// A leader sees tens of thousands of pods come and go in a session.
static void of_a_node_that_is_gone_for_good_nothing_is_left(void **state) {
    (void)state;
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 30000);
    struct loop_timer *while_ = NULL;
    server.data = "";
    for (int how = 0; how < 3; how++) {
        struct life life = {.zk = zk};
        server.rc = how < 2 ? ZOK : ZNONODE; // from the first
        life.follow = zk_follow_life(zk, "/pods/a.0000000001", on_life, &life);
        loop_run(server.loop);
        assert_int_equal(life.told, 1);
        server.rc = ZNONODE;
        if (how == 1) { // of no interest before it is gone: the library holds its watch until then
            zk_unfollow(&life.follow);
            assert_false(list_empty(&zk->follows));
        }
        if (how < 2)
            fire(ZOO_DELETED_EVENT);
        loop_timer_start(server.loop, &while_, 50, on_while, NULL);
        while (while_)
            loop_run(server.loop);
        assert_int_equal(life.told, how == 0 ? 2 : 1);
        assert_int_equal(life.err.kind, how == 1 ? ERR_NONE : ERR_ABSENT);
        assert_null(life.follow);
        assert_int_equal(server.awaited, 0);
        assert_true(list_empty(&zk->follows));
    }
    close_zk(zk);
}

// The library's watch may outlive what was read with it.
static void what_is_unfollowed_while_it_is_read_is_kept_until_its_watch_fires(void **state) {
    (void)state;
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 30000);
    struct loop_timer *while_ = NULL;
    struct life life = {.zk = zk};
    server.data = "";
    life.follow = zk_follow_life(zk, "/pods/a.0000000001", on_life, &life);
    zk_unfollow(&life.follow); // its answer is under way
    loop_timer_start(server.loop, &while_, 50, on_while, NULL);
    loop_run(server.loop);
    assert_int_equal(life.told, 0);
    assert_false(list_empty(&zk->follows));
    fire(ZOO_CHANGED_EVENT);
    loop_timer_start(server.loop, &while_, 50, on_while, NULL);
    loop_run(server.loop);
    assert_true(list_empty(&zk->follows));
    assert_null(server.watcher); // and nothing was asked again
    close_zk(zk);
}

static void names_that_cannot_be_are_left_out(void **state) {
    (void)state;
    char none[] = "", climbs[] = "a/../b", good[] = "b", *some[] = {none, climbs, good};
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 5000);
    ask_names(zk, 3, some);
    assert_int_equal(got.err.kind, ERR_NONE);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.first, "b");
    close_zk(zk);
    forget();
}

static void more_names_than_are_read_are_not_copied(void **state) {
    (void)state;
    size_t n = ZK_MAX_NAMES + 1;
    char a[] = "a";
    auto_free char *long_name = xcalloc(1, (2 << 20) + 1);
    auto_free char **many = xcalloc(n, sizeof *many);
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 5000);
    for (size_t i = 0; i < n; i++)
        many[i] = a;
    ask_names(zk, ZK_MAX_NAMES, many);
    assert_int_equal(got.n, ZK_MAX_NAMES);
    ask_names(zk, ZK_MAX_NAMES + 1, many);
    assert_int_equal(got.err.kind, ERR_LIMIT);
    memset(long_name, 'x', 2 << 20);
    for (size_t i = 0; i < 9; i++)
        many[i] = long_name;
    ask_names(zk, 8, many);
    assert_int_equal(got.n, 8);
    ask_names(zk, 9, many); // 18 MiB of names
    assert_int_equal(got.err.kind, ERR_LIMIT);
    assert_non_null(strstr(got.err.text, "/pods"));
    close_zk(zk);
    forget();
}

static void ask_data(struct zk *zk, const char *data, int len) {
    forget();
    server.data = data;
    server.len = len;
    server.stat.czxid = 7;
    zk_get(zk, "/leader", on_data, server.loop);
    loop_run(server.loop);
}

static void data_larger_than_is_read_is_not_copied(void **state) {
    (void)state;
    auto_free char *large = xcalloc(1, ZK_MAX_READ + 2);
    memset(large, 'x', ZK_MAX_READ + 1);
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 5000);
    ask_data(zk, large, ZK_MAX_READ);
    assert_int_equal(got.n, ZK_MAX_READ);
    ask_data(zk, large, ZK_MAX_READ + 1);
    assert_int_equal(got.err.kind, ERR_LIMIT);
    assert_null(got.data);
    assert_true(got.stat && got.is.czxid == 7); // the node is there
    ask_data(zk, large, -5);
    assert_int_equal(got.err.kind, ERR_NONE);
    assert_int_equal(got.n, 0);
    close_zk(zk);
    forget();
}

static void a_path_that_nobody_asked_for_is_none(void **state) {
    (void)state;
    static const char *const bad[] = {NULL, "", "x", "/", "/root/pods/b.1", "/root/pods/a./1"};
    struct zk *zk = open_zk(ZOO_CONNECTED_STATE, 5000);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        bool good = i == sizeof bad / sizeof *bad;
        forget();
        server.created = good ? "/root/pods/a.1" : bad[i];
        zk_create(zk, "/pods/a.", "", 0, ZK_SEQUENCE, on_path, server.loop);
        loop_run(server.loop);
        assert_int_equal(got.err.kind, good ? ERR_NONE : ERR_RETRY);
        if (good)
            assert_string_equal(got.path, "/pods/a.1");
        else
            assert_null(got.path);
    }
    close_zk(zk);
    forget();
}

// The library would try to connect for ever, without a pause, or wait for ever for a server that
// writes.
static void a_session_that_cannot_be_is_given_up(void **state) {
    (void)state;
    static const int bad[] = {0, 1, 99, -1, INT32_MIN, 3600 * 1000 + 1, INT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct zk *zk = open_zk(ZOO_CONNECTED_STATE, bad[i]);
        assert_int_equal(told, ZK_LOST);
        close_zk(zk);
    }
    struct zk *zk = open_zk(ZOO_READONLY_STATE, 5000);
    assert_int_equal(told, ZK_LOST);
    close_zk(zk);
    zk = open_zk(ZOO_CONNECTED_STATE, 100);
    assert_int_equal(told, ZK_CONNECTED);
    close_zk(zk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_break_off_are_asked_for_again),
        cmocka_unit_test(a_follow_whose_read_was_broken_reads_again),
        cmocka_unit_test(of_a_node_that_is_gone_for_good_nothing_is_left),
        cmocka_unit_test(what_is_unfollowed_while_it_is_read_is_kept_until_its_watch_fires),
        cmocka_unit_test(names_that_cannot_be_are_left_out),
        cmocka_unit_test(more_names_than_are_read_are_not_copied),
        cmocka_unit_test(data_larger_than_is_read_is_not_copied),
        cmocka_unit_test(a_path_that_nobody_asked_for_is_none),
        cmocka_unit_test(a_session_that_cannot_be_is_given_up),
        cmocka_unit_test(what_the_library_knows_to_be_over_gets_no_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
