// The fake keeps the promises of the real one that our stations lean on. tests/integration/zk asks
// the real one the same.
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

enum { SESSION = 3000 };

struct client {
    struct zk *zk;
    char states[256];
};

struct bench {
    struct loop *loop;
    struct fake_zk *server;
    struct client a, b;
    int calls;
    enum err_kind kind;
    int failed;
    char text[512]; // what the last callback brought
    char log[1024]; // all of them
};

static void on_state(enum zk_state state, void *arg) {
    struct client *c = arg;
    strcat(c->states, zk_state_name(state));
    strcat(c->states, " ");
}

static void open_client(struct bench *t, struct client *c) {
    const struct zk_config config = {.servers = "fake:2181", .session_ms = SESSION};
    struct err err = ERR_INIT;
    memset(c, 0, sizeof *c);
    assert_int_equal(zk_open(t->loop, &config, on_state, c, &c->zk, &err), 0);
    fake_loop_advance(t->loop, 10);
    assert_int_equal(zk_state(c->zk), ZK_CONNECTED);
}

static int set_up(void **state) {
    struct bench *t = xnew(struct bench);
    t->loop = loop_create();
    t->server = fake_zk_create(t->loop);
    open_client(t, &t->a);
    open_client(t, &t->b);
    *state = t;
    return 0;
}

static void close_client(struct client *c) {
    if (c->zk)
        zk_close(c->zk, NULL, NULL);
    c->zk = NULL;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    close_client(&t->a);
    close_client(&t->b);
    fake_loop_advance(t->loop, 10);
    assert_true(fake_zk_quiet(t->server));
    fake_zk_free(t->server);
    loop_free(t->loop);
    free(t);
    return 0;
}

static void note(struct bench *t, const char *what, const struct err *err) {
    t->calls++;
    t->kind = err->kind;
    snprintf(t->text, sizeof t->text, "%s", what ? what : "");
    size_t used = strlen(t->log);
    snprintf(t->log + used, sizeof t->log - used, "[%s]",
             err->kind ? err_kind_name(err->kind) : t->text);
}

static void on_done(const struct err *err, void *arg) {
    note(arg, "done", err);
}

static void on_path(const char *path, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    assert_null(stat);
    note(arg, path, err);
}

static void on_data(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    assert_int_equal(len, data ? strlen(data) : 0);
    assert_true(!data == !stat);
    note(arg, data, err);
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    auto_text struct text t = {0};
    for (size_t i = 0; i < n; i++)
        text_addf(&t, "%s%s", i ? " " : "", names[i]);
    note(arg, text_str(&t), err);
}

static void on_multi(int failed, const struct err *err, void *arg) {
    struct bench *t = arg;
    t->failed = failed;
    note(t, "committed", err);
}

static void settle(struct bench *t) {
    t->log[0] = '\0';
    t->calls = 0;
    fake_loop_advance(t->loop, 10);
}

static void create(struct bench *t, struct client *c, const char *path, const char *data,
                   int flags) {
    zk_create(c->zk, path, data, strlen(data), flags, on_path, t);
    settle(t);
}

static void requests_are_answered_in_order_and_never_inside_the_call(void **state) {
    struct bench *t = *state;
    zk_create(t->a.zk, "/x", "1", 1, 0, on_path, t);
    zk_set(t->a.zk, "/x", "2", 1, 0, on_done, t);
    zk_get(t->a.zk, "/x", on_data, t);
    zk_set(t->a.zk, "/x", "3", 1, 0, on_done, t);
    zk_delete(t->a.zk, "/x", ZK_ANY_VERSION, on_done, t);
    zk_get(t->a.zk, "/x", on_data, t);
    zk_create(t->a.zk, "/a/b", "", 0, 0, on_path, t);
    zk_ensure(t->a.zk, "/a/b", on_done, t);
    zk_create(t->a.zk, "/a/b", "", 0, 0, on_path, t);
    zk_names(t->a.zk, "/a", on_names, t);
    zk_delete(t->a.zk, "/a", ZK_ANY_VERSION, on_done, t);
    assert_int_equal(t->calls, 0);
    settle(t);
    assert_string_equal(t->log, "[/x][done][2][refused][done][absent][absent][done][exists][b]"
                                "[refused]");
}

static void sequence_numbers_never_come_again(void **state) {
    struct bench *t = *state;
    zk_ensure(t->a.zk, "/pods", on_done, t);
    create(t, &t->a, "/pods/u.", "", ZK_EPHEMERAL | ZK_SEQUENCE);
    assert_string_equal(t->text, "/pods/u.0000000000");
    zk_delete(t->a.zk, "/pods/u.0000000000", ZK_ANY_VERSION, on_done, t);
    create(t, &t->b, "/pods/v.", "", ZK_EPHEMERAL | ZK_SEQUENCE);
    assert_string_equal(t->text, "/pods/v.0000000001");
    struct zk_stat stat;
    assert_true(fake_zk_stat(t->server, t->text, &stat));
    assert_int_equal(stat.ephemeral_owner, zk_session(t->b.zk));
    assert_ptr_equal(fake_zk_owner(t->server, t->text), t->b.zk);
}

static void a_transaction_is_all_or_nothing(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/lock", "", 0);
    create(t, &t->a, "/hash", "old", 0);
    int before = fake_zk_writes(t->server);
    struct zk_multi *m = zk_multi();
    zk_multi_set(m, "/hash", "new", 3, ZK_ANY_VERSION);
    zk_multi_create(m, "/snapshot", "{}", 2, 0);
    zk_multi_check(m, "/gone", ZK_ANY_VERSION);
    zk_multi_delete(m, "/lock", ZK_ANY_VERSION);
    zk_commit(t->a.zk, m, on_multi, t);
    settle(t);
    assert_int_equal(t->kind, ERR_REFUSED);
    assert_int_equal(t->failed, 2);
    assert_int_equal(fake_zk_writes(t->server), before);
    assert_string_equal(fake_zk_data(t->server, "/hash"), "old");
    assert_null(fake_zk_data(t->server, "/snapshot"));
    m = zk_multi();
    zk_multi_check(m, "/lock", ZK_ANY_VERSION);
    zk_multi_set(m, "/hash", "new", 3, ZK_ANY_VERSION);
    zk_multi_create(m, "/snapshot", "{}", 2, 0);
    zk_commit(t->a.zk, m, on_multi, t);
    settle(t);
    assert_int_equal(t->kind, ERR_NONE);
    struct zk_stat hash, snapshot;
    assert_true(fake_zk_stat(t->server, "/hash", &hash));
    assert_true(fake_zk_stat(t->server, "/snapshot", &snapshot));
    assert_int_equal(hash.mzxid, snapshot.czxid);
}

static void a_follow_tells_what_is_and_every_change(void **state) {
    struct bench *t = *state;
    struct zk_follow *data = zk_follow_data(t->a.zk, "/x", on_data, t);
    settle(t);
    assert_string_equal(t->log, "[absent]");
    fake_zk_put(t->server, 0, "/x", "1", 0);
    settle(t);
    assert_string_equal(t->log, "[1]");
    fake_zk_put(t->server, 0, "/x", "2", 0);
    fake_zk_put(t->server, 0, "/x", "3", 0); // seen as one
    settle(t);
    assert_string_equal(t->log, "[3]");
    fake_zk_remove(t->server, "/x");
    settle(t);
    assert_string_equal(t->log, "[absent]");
    zk_unfollow(&data);
    assert_null(data);
    struct zk_follow *names = zk_follow_names(t->a.zk, "/", on_names, t);
    settle(t);
    fake_zk_put(t->server, 0, "/y", "1", 0);
    settle(t);
    assert_string_equal(t->log, "[y]");
    fake_zk_put(t->server, 0, "/y", "2", 0);
    settle(t);
    assert_int_equal(t->calls, 0);
    zk_unfollow(&names);
    fake_zk_remove(t->server, "/y");
    settle(t);
    assert_int_equal(t->calls, 0);
    assert_int_equal(fake_zk_follows(t->server), 0);
}

static void a_short_cut_keeps_the_session_and_loses_no_change(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    struct zk_follow *f = zk_follow_data(t->a.zk, "/x", on_data, t);
    settle(t);
    fake_zk_cut(t->a.zk, 500);
    settle(t);
    assert_int_equal(zk_state(t->a.zk), ZK_SUSPENDED);
    fake_zk_put(t->server, 0, "/x", "while away", 0);
    t->log[0] = '\0';
    fake_loop_advance(t->loop, 600);
    assert_string_equal(t->log, "[while away]");
    assert_string_equal(t->a.states, "connected suspended connected ");
    assert_non_null(fake_zk_data(t->server, "/e"));
    zk_unfollow(&f);
}

static void an_unanswered_request_may_have_been_done_or_not(void **state) {
    struct bench *t = *state;
    fake_zk_lose(t->a.zk, FAKE_ZK_BEFORE, 1);
    create(t, &t->a, "/before", "", ZK_EPHEMERAL);
    assert_int_equal(t->kind, ERR_RETRY);
    assert_null(fake_zk_data(t->server, "/before"));
    fake_loop_advance(t->loop, 100);
    assert_int_equal(zk_state(t->a.zk), ZK_CONNECTED);
    fake_zk_lose(t->a.zk, FAKE_ZK_AFTER, 2);
    zk_sync(t->a.zk, "/", on_done, t);
    create(t, &t->a, "/after", "", ZK_EPHEMERAL);
    assert_int_equal(t->kind, ERR_RETRY);
    assert_non_null(fake_zk_data(t->server, "/after"));
}

static void a_long_cut_is_lost_by_the_own_clock_and_by_the_servers(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    fake_zk_cut(t->a.zk, -1);
    zk_get(t->a.zk, "/e", on_data, t);
    fake_loop_advance(t->loop, SESSION + 10);
    assert_string_equal(t->a.states, "connected suspended lost ");
    assert_null(fake_zk_data(t->server, "/e"));
    zk_get(t->a.zk, "/e", on_data, t);
    settle(t);
    assert_string_equal(t->log, "[detached]");
}

static void a_stalled_network_is_noticed_in_time(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    fake_zk_stall(t->a.zk);
    fake_loop_advance(t->loop, SESSION * 2 / 3 + 1);
    assert_int_equal(zk_state(t->a.zk), ZK_SUSPENDED);
    assert_non_null(fake_zk_data(t->server, "/e"));
    fake_loop_advance(t->loop, SESSION / 3);
    assert_int_equal(zk_state(t->a.zk), ZK_LOST);
}

static void an_expired_session_is_learnt_at_once_and_its_nodes_are_gone(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    struct zk_follow *f = zk_follow_data(t->b.zk, "/e", on_data, t);
    settle(t);
    fake_zk_expire(t->a.zk);
    t->log[0] = '\0';
    fake_loop_advance(t->loop, 100);
    assert_string_equal(t->log, "[absent]");
    assert_int_equal(zk_state(t->a.zk), ZK_LOST);
    zk_unfollow(&f);
}

static void a_frozen_process_notices_nothing_until_it_wakes(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    fake_zk_freeze(t->a.zk);
    fake_loop_advance(t->loop, 2 * SESSION);
    assert_null(fake_zk_data(t->server, "/e"));
    assert_string_equal(t->a.states, "connected ");
    assert_int_equal(zk_state(t->a.zk), ZK_CONNECTED);
    fake_zk_thaw(t->a.zk);
    assert_int_equal(zk_state(t->a.zk), ZK_LOST); // before anything was told
    fake_loop_advance(t->loop, 100);
    assert_string_equal(t->a.states, "connected suspended lost ");
}

static void a_short_freeze_must_be_proven_harmless(void **state) {
    struct bench *t = *state;
    fake_loop_advance(t->loop, 1000);
    fake_zk_freeze(t->a.zk);
    fake_loop_advance(t->loop, SESSION * 2 / 3 + 1);
    fake_zk_thaw(t->a.zk);
    assert_int_equal(zk_state(t->a.zk), ZK_SUSPENDED);
    fake_loop_advance(t->loop, 10);
    assert_int_equal(zk_state(t->a.zk), ZK_CONNECTED);
}

static void a_crashed_process_leaves_a_ghost_until_its_session_ends(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    fake_zk_crash(t->a.zk);
    close_client(&t->a);
    fake_loop_advance(t->loop, SESSION - 100);
    assert_non_null(fake_zk_data(t->server, "/e"));
    fake_loop_advance(t->loop, 200);
    assert_null(fake_zk_data(t->server, "/e"));
}

static void session_clocks_start_anew_with_the_server(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    create(t, &t->b, "/f", "", ZK_EPHEMERAL);
    fake_zk_cut(t->a.zk, -1);
    fake_loop_advance(t->loop, SESSION - 1000);
    fake_zk_down(t->server);
    fake_loop_advance(t->loop, 2 * SESSION);
    fake_zk_up(t->server);
    fake_loop_advance(t->loop, SESSION - 100);
    assert_non_null(fake_zk_data(t->server, "/e"));
    fake_loop_advance(t->loop, 200);
    assert_null(fake_zk_data(t->server, "/e"));
    assert_string_equal(t->b.states, "connected suspended lost "); // by its own clock
}

static void a_good_close_ends_the_session_at_once(void **state) {
    struct bench *t = *state;
    create(t, &t->a, "/e", "", ZK_EPHEMERAL);
    close_client(&t->a);
    fake_loop_advance(t->loop, 2);
    assert_null(fake_zk_data(t->server, "/e"));
}

static void what_was_let_go_of_is_not_called(void **state) {
    struct bench *t = *state;
    struct zk_op *op = zk_create(t->a.zk, "/x", "", 0, 0, on_path, t);
    zk_forget(&op);
    assert_null(op);
    settle(t);
    assert_int_equal(t->calls, 0);
    assert_non_null(fake_zk_data(t->server, "/x")); // what was sent still happens
}

static void too_much_data_is_refused_before_it_is_sent(void **state) {
    struct bench *t = *state;
    auto_free char *much = xcalloc(ZK_MAX_DATA + 1, 1);
    zk_create(t->a.zk, "/x", much, ZK_MAX_DATA + 1, 0, on_path, t);
    settle(t);
    assert_int_equal(t->kind, ERR_LIMIT);
}

struct change {
    char path[64];
    int64_t session;
    bool there;
    int calls;
};

static void on_change(const char *path, int64_t session, int64_t zxid, bool there, void *arg) {
    struct change *c = arg;
    (void)zxid;
    snprintf(c->path, sizeof c->path, "%s", path);
    c->session = session;
    c->there = there;
    c->calls++;
}

static void changes_are_reported_with_their_author(void **state) {
    struct bench *t = *state;
    struct change c = {0};
    fake_zk_on_change(t->server, on_change, &c);
    create(t, &t->a, "/x", "", 0);
    assert_string_equal(c.path, "/x");
    assert_int_equal(c.session, zk_session(t->a.zk));
    assert_true(c.there);
    int64_t stranger = fake_zk_stranger(t->server);
    fake_zk_put(t->server, stranger, "/ghost", "", 0);
    c.calls = 0;
    fake_zk_stranger_gone(t->server, stranger);
    assert_string_equal(c.path, "/ghost");
    assert_false(c.there);
    assert_int_equal(c.calls, 1);
    fake_zk_on_change(t->server, NULL, NULL);
}

static void what_may_not_be_read_is_told_once_and_when_that_ends(void **state) {
    struct bench *t = *state;
    fake_zk_put(t->server, 0, "/closed/below", "s", 0);
    fake_zk_put(t->server, 0, "/closed-not", "s", 0);
    fake_zk_hide(t->server, "/closed");
    struct zk_follow *f = zk_follow_data(t->b.zk, "/closed", on_data, t);
    zk_names(t->b.zk, "/closed", on_names, t);
    zk_get(t->b.zk, "/closed/below", on_data, t);
    zk_get(t->b.zk, "/closed-not", on_data, t);
    struct zk_multi *m = zk_multi();
    zk_multi_check(m, "/closed", ZK_ANY_VERSION);
    zk_multi_create(m, "/beside", "", 0, ZK_EPHEMERAL);
    zk_commit(t->b.zk, m, on_multi, t);
    settle(t);
    assert_string_equal(t->log, "[refused][refused][refused][s][refused]");
    assert_int_equal(t->failed, 0);
    assert_null(fake_zk_data(t->server, "/beside"));
    settle(t);
    fake_loop_advance(t->loop, 3 * SESSION); // read again meanwhile, and no news
    assert_string_equal(t->log, "");
    fake_zk_hide(t->server, NULL);
    fake_zk_put(t->server, 0, "/closed", "t", 0);
    settle(t);
    assert_string_equal(t->log, ""); // no watch was left
    fake_loop_advance(t->loop, SESSION + 10);
    assert_string_equal(t->log, "[t]");
    fake_zk_put(t->server, 0, "/closed", "u", 0);
    settle(t);
    assert_string_equal(t->log, "[u]");
    zk_unfollow(&f);
}

static void on_stat(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    assert_null(data);
    assert_int_equal(len, 0);
    assert_non_null(stat);
    assert_int_equal(err->kind, ERR_LIMIT);
    note(arg, NULL, err);
}

static void what_is_larger_than_is_read_comes_with_its_stat(void **state) {
    struct bench *t = *state;
    auto_free char *much = xcalloc(ZK_MAX_READ + 2, 1);
    memset(much, 'x', ZK_MAX_READ + 1);
    fake_zk_put(t->server, 0, "/much/more", "", 0);
    fake_zk_put(t->server, 0, "/much", much, 0);
    struct zk_follow *f = zk_follow_data(t->b.zk, "/much", on_stat, t);
    zk_get(t->a.zk, "/much", on_stat, t);
    fake_zk_crowded(t->server, 0);
    zk_names(t->a.zk, "/much", on_names, t);
    settle(t);
    assert_int_equal(t->calls, 3);
    fake_zk_put(t->server, 0, "/much", much, 0); // and is watched
    settle(t);
    assert_int_equal(t->calls, 1);
    zk_unfollow(&f);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(requests_are_answered_in_order_and_never_inside_the_call),
        T(sequence_numbers_never_come_again),
        T(a_transaction_is_all_or_nothing),
        T(a_follow_tells_what_is_and_every_change),
        T(a_short_cut_keeps_the_session_and_loses_no_change),
        T(an_unanswered_request_may_have_been_done_or_not),
        T(a_long_cut_is_lost_by_the_own_clock_and_by_the_servers),
        T(a_stalled_network_is_noticed_in_time),
        T(an_expired_session_is_learnt_at_once_and_its_nodes_are_gone),
        T(a_frozen_process_notices_nothing_until_it_wakes),
        T(a_short_freeze_must_be_proven_harmless),
        T(a_crashed_process_leaves_a_ghost_until_its_session_ends),
        T(session_clocks_start_anew_with_the_server),
        T(a_good_close_ends_the_session_at_once),
        T(what_was_let_go_of_is_not_called),
        T(too_much_data_is_refused_before_it_is_sent),
        T(what_may_not_be_read_is_told_once_and_when_that_ends),
        T(what_is_larger_than_is_read_comes_with_its_stat),
        T(changes_are_reported_with_their_author),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
