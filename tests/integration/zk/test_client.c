// sidecar/zk/client against a real server: what tests/flow/test_fake_zk.c claims of the fake, and
// what only the real one can do.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/client_inside.h"
#include "tests/integration/zk/relay.h"
#include "tests/integration/zk/rig.h"
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

// A test that waits for a session's end, or counts in its parts, takes the short one; what must not
// lose it takes one that a busy machine's pauses do not use up.
enum { SESSION = 4000, IDLE_SESSION = 15000, LONG_SESSION = 30000 };

static struct server *server;
static int session_ms; // of whoever is opened

struct client {
    struct bench *bench;
    struct zk *zk;
    char states[256];
    bool closed;
};

struct bench {
    struct loop *loop;
    struct relay *relay;
    struct client a, b; // a through the relay, b straight
    int calls;
    int failed;
    int64_t owner, czxid;
    enum err_kind kind;
    char text[512], log[1024];
};

static void on_state(enum zk_state state, void *arg) {
    struct client *c = arg;
    strcat(c->states, zk_state_name(state));
    strcat(c->states, " ");
}

static bool is_connected(void *arg) {
    return zk_state(((struct client *)arg)->zk) == ZK_CONNECTED;
}

static bool is_suspended(void *arg) {
    return zk_state(((struct client *)arg)->zk) == ZK_SUSPENDED;
}

static bool is_lost(void *arg) {
    return zk_state(((struct client *)arg)->zk) == ZK_LOST;
}

static void open_with(struct bench *t, struct client *c, const char *servers, const char *auth,
                      int64_t lost_after) {
    const struct zk_config config = {
        .servers = servers, .session_ms = session_ms, .auth = auth, .lost_after_ms = lost_after};
    struct err err = ERR_INIT;
    *c = (struct client){.bench = t};
    assert_int_equal(zk_open(t->loop, &config, on_state, c, &c->zk, &err), 0);
    assert_string_equal(c->states, "");
    assert_true(wait_until(t->loop, is_connected, c));
}

static void open_client(struct bench *t, struct client *c, int port) {
    auto_free char *servers = xasprintf("127.0.0.1:%d", port);
    open_with(t, c, servers, NULL, 0);
}

static void on_closed(void *arg) {
    ((struct client *)arg)->closed = true;
}

static bool is_closed(void *arg) {
    return ((struct client *)arg)->closed;
}

static void close_client(struct client *c) {
    if (!c->zk)
        return;
    zk_close(c->zk, on_closed, c);
    c->zk = NULL;
    assert_true(wait_until(c->bench->loop, is_closed, c));
}

static int set_up_with(int session, void **state) {
    session_ms = session;
    struct bench *t = xnew(struct bench);
    t->loop = loop_create();
    t->relay = relay_create(server_port(server));
    open_client(t, &t->a, relay_port(t->relay));
    open_client(t, &t->b, server_port(server));
    *state = t;
    return 0;
}

static int set_up(void **state) {
    return set_up_with(LONG_SESSION, state);
}

static int set_up_idle(void **state) {
    return set_up_with(IDLE_SESSION, state);
}

static int set_up_short(void **state) {
    return set_up_with(SESSION, state);
}

static int tear_down(void **state) {
    struct bench *t = *state;
    relay_set(t->relay, RELAY_PASS);
    close_client(&t->a);
    close_client(&t->b);
    relay_free(t->relay);
    loop_free(t->loop);
    free(t);
    return 0;
}

// ---- what came back ----

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
    (void)stat;
    note(arg, path, err);
}

static void on_data(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct bench *t = arg;
    assert_int_equal(len, data ? strlen(data) : 0);
    t->owner = stat ? stat->ephemeral_owner : 0;
    t->czxid = stat ? stat->czxid : 0;
    note(t, data, err);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    auto_text struct text t = {0};
    auto_free char **sorted = xcalloc(n + 1, sizeof *sorted);
    if (n)
        memcpy(sorted, names, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++)
        text_addf(&t, "%s%s", i ? " " : "", sorted[i]);
    note(arg, text_str(&t), err);
}

static void on_multi(int failed, const struct err *err, void *arg) {
    struct bench *t = arg;
    t->failed = failed;
    note(t, "committed", err);
}

struct expected {
    struct bench *t;
    int calls;
};

static bool enough(void *arg) {
    struct expected *e = arg;
    return e->t->calls >= e->calls;
}

static void settle(struct bench *t, int calls) {
    struct expected e = {t, calls};
    if (!wait_until(t->loop, enough, &e))
        fail_msg("%d of %d calls: %s", t->calls, calls, t->log);
}

static void begin(struct bench *t) {
    t->calls = 0;
    t->log[0] = '\0';
}

static const char *read_by_b(struct bench *t, const char *path) {
    begin(t);
    zk_get(t->b.zk, path, on_data, t);
    settle(t, 1);
    return t->log;
}

// ---- calls ----

static void requests_are_answered_in_order_and_never_inside_the_call(void **state) {
    struct bench *t = *state;
    struct zk *zk = t->a.zk;
    begin(t);
    zk_create(zk, "/x", "1", 1, 0, on_path, t);
    zk_set(zk, "/x", "2", 1, 0, on_done, t);
    zk_get(zk, "/x", on_data, t);
    zk_set(zk, "/x", "3", 1, 0, on_done, t);
    zk_set(zk, "/x", "", 0, ZK_ANY_VERSION, on_done, t);
    zk_get(zk, "/x", on_data, t);
    zk_delete(zk, "/x", ZK_ANY_VERSION, on_done, t);
    zk_get(zk, "/x", on_data, t);
    zk_create(zk, "/a/b", "", 0, 0, on_path, t);
    assert_int_equal(t->calls, 0);
    settle(t, 9);
    assert_string_equal(t->log, "[/x][done][2][refused][done][][done][absent][absent]");
    begin(t);
    zk_ensure(zk, "/a/b/c", on_done, t);
    settle(t, 1);
    zk_ensure(zk, "/a/b/c", on_done, t);
    zk_create(zk, "/a/b", "", 0, 0, on_path, t);
    zk_names(zk, "/a", on_names, t);
    zk_delete(zk, "/a", ZK_ANY_VERSION, on_done, t);
    zk_sync(zk, "/a", on_done, t);
    zk_create(zk, "/a/e.", "data", 4, ZK_EPHEMERAL | ZK_SEQUENCE, on_path, t);
    settle(t, 7);
    assert_string_equal(t->log, "[done][done][exists][b][refused][done][/a/e.0000000001]");
}

static void a_transaction_is_all_or_nothing(void **state) {
    struct bench *t = *state;
    begin(t);
    zk_create(t->a.zk, "/lock", "", 0, ZK_EPHEMERAL, on_path, t);
    zk_create(t->a.zk, "/hash", "old", 3, ZK_EPHEMERAL, on_path, t);
    settle(t, 2);
    struct zk_multi *m = zk_multi();
    zk_multi_set(m, "/hash", "new", 3, ZK_ANY_VERSION);
    zk_multi_create(m, "/snapshot", "{}", 2, ZK_EPHEMERAL);
    zk_multi_check(m, "/gone", ZK_ANY_VERSION);
    zk_multi_delete(m, "/lock", ZK_ANY_VERSION);
    begin(t);
    zk_commit(t->a.zk, m, on_multi, t);
    settle(t, 1);
    assert_int_equal(t->kind, ERR_REFUSED);
    assert_int_equal(t->failed, 2);
    assert_string_equal(read_by_b(t, "/hash"), "[old]");
    assert_string_equal(read_by_b(t, "/snapshot"), "[absent]");
    m = zk_multi();
    zk_multi_check(m, "/lock", ZK_ANY_VERSION);
    zk_multi_set(m, "/hash", "new", 3, ZK_ANY_VERSION);
    zk_multi_create(m, "/snapshot", "{}", 2, ZK_EPHEMERAL);
    begin(t);
    zk_commit(t->a.zk, m, on_multi, t);
    settle(t, 1);
    assert_string_equal(t->log, "[committed]");
    assert_string_equal(read_by_b(t, "/hash"), "[new]");
    assert_string_equal(read_by_b(t, "/snapshot"), "[{}]");
    assert_int_equal(t->owner, zk_session(t->a.zk));
    assert_true(t->czxid > 0);
}

static void a_chroot_is_made_and_never_seen(void **state) {
    struct bench *t = *state;
    struct client c;
    auto_free char *servers = xasprintf("127.0.0.1:%d/deep/root", server_port(server));
    open_with(t, &c, servers, NULL, 0);
    begin(t);
    zk_ensure(c.zk, "/x/pods", on_done, t);
    zk_create(c.zk, "/x/pods/u.", "", 0, ZK_EPHEMERAL | ZK_SEQUENCE, on_path, t);
    settle(t, 1);
    settle(t, 2);
    begin(t);
    zk_create(c.zk, "/x/pods/u.", "", 0, ZK_EPHEMERAL | ZK_SEQUENCE, on_path, t);
    zk_names(c.zk, "/", on_names, t);
    struct zk_multi *m = zk_multi();
    zk_multi_set(m, "/x", "hello", 5, ZK_ANY_VERSION);
    zk_commit(c.zk, m, on_multi, t);
    settle(t, 3);
    assert_memory_equal(t->log, "[/x/pods/u.", strlen("[/x/pods/u."));
    assert_non_null(strstr(t->log, "[x][committed]"));
    assert_string_equal(read_by_b(t, "/deep/root/x"), "[hello]");
    close_client(&c);
}

static void nodes_of_one_with_a_password_are_closed_to_others(void **state) {
    struct bench *t = *state;
    struct client c;
    auto_free char *servers = xasprintf("127.0.0.1:%d", server_port(server));
    open_with(t, &c, servers, "user:pa:ss", 0);
    begin(t);
    zk_create(c.zk, "/secret", "s", 1, ZK_EPHEMERAL, on_path, t);
    zk_get(c.zk, "/secret", on_data, t);
    settle(t, 2);
    assert_string_equal(t->log, "[/secret][s]");
    assert_string_equal(read_by_b(t, "/secret"), "[refused]");
    close_client(&c);
}

// A read that is refused leaves no watch, so it is read again now and then; a transaction that may
// not check says where.
static void what_may_not_be_read_is_told_once_and_when_that_ends(void **state) {
    struct bench *t = *state;
    struct client c;
    auto_free char *servers = xasprintf("127.0.0.1:%d", server_port(server));
    open_with(t, &c, servers, "user:pa:ss", 0);
    begin(t);
    zk_create(c.zk, "/closed", "s", 1, ZK_EPHEMERAL, on_path, t);
    settle(t, 1);
    struct zk_follow *f = zk_follow_data(t->b.zk, "/closed", on_data, t);
    settle(t, 2);
    struct zk_multi *m = zk_multi();
    zk_multi_check(m, "/closed", ZK_ANY_VERSION);
    zk_multi_create(m, "/beside", "", 0, ZK_EPHEMERAL);
    zk_commit(t->b.zk, m, on_multi, t);
    settle(t, 3);
    assert_int_equal(t->failed, 0);
    run_for(t->loop, SESSION + 500); // read again by now, and no news
    zk_delete(c.zk, "/closed", ZK_ANY_VERSION, NULL, NULL);
    settle(t, 4);
    zk_create(t->b.zk, "/closed", "t", 1, ZK_EPHEMERAL, NULL, NULL);
    settle(t, 5);
    assert_string_equal(t->log, "[/closed][refused][refused][absent][t]");
    zk_unfollow(&f);
    close_client(&c);
}

static void too_much_data_is_refused_and_the_connection_stays(void **state) {
    struct bench *t = *state;
    auto_free char *much = xcalloc(ZK_MAX_DATA + 1, 1);
    begin(t);
    zk_create(t->a.zk, "/much", much, ZK_MAX_DATA + 1, ZK_EPHEMERAL, on_path, t);
    settle(t, 1);
    assert_int_equal(t->kind, ERR_LIMIT);
    zk_create(t->a.zk, "/much", much, ZK_MAX_DATA, ZK_EPHEMERAL, on_path, t);
    settle(t, 2);
    assert_int_equal(t->kind, ERR_NONE);
    assert_string_equal(t->a.states, "connected ");
}

// A completed round is one packet: a snapshot that is as large as a node may be, members beside it.
static void a_transaction_may_be_larger_than_a_node_and_no_larger_than_a_packet(void **state) {
    struct bench *t = *state;
    auto_free char *much = xcalloc(ZK_MAX_DATA + 1, 1);
    begin(t);
    for (int over = 0; over < 3; over++) {
        struct zk_multi *m = zk_multi();
        size_t more = over == 2 ? 1 : (size_t)(ZK_MAX_PACKET - ZK_MAX_DATA + over);
        zk_multi_create(m, "/large", much, (size_t)ZK_MAX_DATA + (over == 2), ZK_EPHEMERAL);
        zk_multi_create(m, "/beside", much, more, ZK_EPHEMERAL);
        zk_commit(t->a.zk, m, on_multi, t);
        settle(t, over + 1);
        assert_int_equal(t->kind, over ? ERR_LIMIT : ERR_NONE);
    }
    assert_string_equal(t->a.states, "connected ");
}

static void what_was_let_go_of_is_not_called(void **state) {
    struct bench *t = *state;
    begin(t);
    struct zk_op *op = zk_create(t->a.zk, "/forgotten", "", 0, ZK_EPHEMERAL, on_path, t);
    zk_forget(&op);
    assert_null(op);
    zk_sync(t->a.zk, "/", on_done, t);
    settle(t, 1);
    assert_string_equal(t->log, "[done]");
    assert_string_equal(read_by_b(t, "/forgotten"), "[]"); // what was sent still happens
}

static void calls_in_flight_do_not_outlive_a_close(void **state) {
    struct bench *t = *state;
    begin(t);
    relay_set(t->relay, RELAY_HOLD);
    for (int i = 0; i < 100; i++)
        zk_get(t->a.zk, "/", on_data, t);
    struct zk_follow *f = zk_follow_data(t->a.zk, "/", on_data, t);
    assert_non_null(f);
    close_client(&t->a);
    assert_int_equal(t->calls, 0);
}

// ---- watches ----

static void a_follow_tells_what_is_and_every_change(void **state) {
    struct bench *t = *state;
    begin(t);
    struct zk_follow *f = zk_follow_data(t->a.zk, "/w", on_data, t);
    settle(t, 1);
    zk_create(t->b.zk, "/w", "1", 1, 0, NULL, NULL);
    settle(t, 2);
    zk_set(t->b.zk, "/w", "2", 1, ZK_ANY_VERSION, NULL, NULL);
    settle(t, 3);
    zk_delete(t->b.zk, "/w", ZK_ANY_VERSION, NULL, NULL);
    settle(t, 4);
    zk_create(t->b.zk, "/w", "3", 1, 0, NULL, NULL);
    settle(t, 5);
    assert_string_equal(t->log, "[absent][1][2][absent][3]");
    begin(t);
    struct zk_follow *names = zk_follow_names(t->a.zk, "/w", on_names, t);
    settle(t, 1);
    zk_create(t->b.zk, "/w/k", "", 0, 0, NULL, NULL);
    settle(t, 2);
    zk_delete(t->b.zk, "/w/k", ZK_ANY_VERSION, NULL, NULL);
    settle(t, 3);
    assert_string_equal(t->log, "[][k][]");
    zk_unfollow(&f);
    zk_unfollow(&names);
    assert_null(f);
    begin(t);
    zk_delete(t->b.zk, "/w", ZK_ANY_VERSION, on_done, t);
    settle(t, 1);
    zk_sync(t->a.zk, "/", on_done, t);
    settle(t, 2);
    assert_string_equal(t->log, "[done][done]");
}

// The library's own watches are seen by what is kept for them.
static bool nothing_is_followed(void *arg) {
    return list_empty(&((struct client *)arg)->zk->follows);
}

static void a_life_that_is_followed_leaves_nothing(void **state) {
    struct bench *t = *state;
    enum { LIVES = 30 };
    struct zk_follow *lives[LIVES];
    char paths[LIVES][16];
    begin(t);
    for (int i = 0; i < LIVES; i++) {
        snprintf(paths[i], sizeof paths[i], "/life-%d", i);
        zk_create(t->b.zk, paths[i], "", 0, ZK_EPHEMERAL, on_path, t);
    }
    settle(t, LIVES);
    begin(t);
    for (int i = 0; i < LIVES; i++)
        lives[i] = zk_follow_life(t->a.zk, paths[i], on_data, t);
    settle(t, LIVES);
    // A third of them is of no interest any more, and a third goes while nobody can be told.
    begin(t);
    for (int i = 0; i < LIVES; i += 3)
        zk_unfollow(&lives[i]);
    relay_set(t->relay, RELAY_REFUSE);
    relay_cut(t->relay);
    assert_true(wait_until(t->loop, is_suspended, &t->a));
    for (int i = 0; i < LIVES; i++)
        if (i % 3 < 2)
            zk_delete(t->b.zk, paths[i], ZK_ANY_VERSION, on_done, t);
    settle(t, LIVES / 3 * 2);
    begin(t);
    relay_set(t->relay, RELAY_PASS);
    settle(t, LIVES / 3);
    for (int i = 2; i < LIVES; i += 3)
        zk_delete(t->b.zk, paths[i], ZK_ANY_VERSION, NULL, NULL);
    settle(t, LIVES / 3 * 2);
    assert_int_equal(t->kind, ERR_ABSENT);
    for (int i = 0; i < LIVES; i++)
        zk_unfollow(&lives[i]);
    assert_true(wait_until(t->loop, nothing_is_followed, &t->a));
    assert_string_equal(t->a.states, "connected suspended connected ");
}

static void a_short_cut_keeps_the_session_and_loses_no_change(void **state) {
    struct bench *t = *state;
    begin(t);
    zk_create(t->a.zk, "/e", "", 0, ZK_EPHEMERAL, on_path, t);
    struct zk_follow *f = zk_follow_data(t->a.zk, "/away", on_data, t);
    settle(t, 2);
    int64_t session = zk_session(t->a.zk);
    relay_set(t->relay, RELAY_REFUSE);
    relay_cut(t->relay);
    assert_true(wait_until(t->loop, is_suspended, &t->a));
    zk_create(t->b.zk, "/away", "changed", 7, ZK_EPHEMERAL, on_path, t);
    settle(t, 3);
    begin(t);
    relay_set(t->relay, RELAY_PASS);
    settle(t, 1);
    assert_string_equal(t->log, "[changed]");
    assert_string_equal(t->a.states, "connected suspended connected ");
    assert_int_equal(zk_session(t->a.zk), session);
    assert_string_equal(read_by_b(t, "/e"), "[]");
    zk_unfollow(&f);
}

// ---- faults ----

static bool b_sees_it(void *arg) {
    struct bench *t = arg;
    return strcmp(read_by_b(t, "/ambiguous"), "[absent]") != 0;
}

static void an_unanswered_create_may_have_been_done(void **state) {
    struct bench *t = *state;
    relay_set(t->relay, RELAY_DEAF);
    begin(t);
    enum { NONE = -1 };
    struct bench other = {.kind = (enum err_kind)NONE};
    zk_create(t->a.zk, "/ambiguous", "", 0, ZK_EPHEMERAL, on_path, &other);
    int64_t until = loop_now(t->loop) + 60000;
    while (!b_sees_it(t))
        assert_true(loop_now(t->loop) < until);
    relay_cut(t->relay);
    relay_set(t->relay, RELAY_PASS);
    struct expected e = {&other, 1};
    assert_true(wait_until(t->loop, enough, &e));
    assert_int_equal(other.kind, ERR_RETRY);
    assert_true(wait_until(t->loop, is_connected, &t->a));
    read_by_b(t, "/ambiguous");
    assert_int_equal(t->owner, zk_session(t->a.zk));
}

static void a_silent_network_suspends_in_time_and_loses_in_time(void **state) {
    struct bench *t = *state;
    begin(t);
    zk_create(t->a.zk, "/e", "", 0, ZK_EPHEMERAL, on_path, t);
    settle(t, 1);
    relay_set(t->relay, RELAY_HOLD);
    assert_true(wait_until(t->loop, is_suspended, &t->a));
    // Before anybody else can take our place.
    assert_string_equal(read_by_b(t, "/e"), "[]");
    assert_true(wait_until(t->loop, is_lost, &t->a));
    run_for(t->loop, 10);
    assert_string_equal(t->a.states, "connected suspended lost ");
    begin(t);
    zk_get(t->a.zk, "/e", on_data, t);
    settle(t, 1);
    assert_string_equal(t->log, "[detached]");
}

static void an_expired_session_is_learnt_from_the_server(void **state) {
    struct bench *t = *state;
    struct client c;
    auto_free char *servers = xasprintf("127.0.0.1:%d", relay_port(t->relay));
    open_with(t, &c, servers, NULL, 60000); // the own clock keeps out of it
    begin(t);
    zk_create(c.zk, "/mortal", "", 0, ZK_EPHEMERAL, on_path, t);
    settle(t, 1);
    relay_set(t->relay, RELAY_REFUSE);
    relay_cut(t->relay);
    int64_t until = loop_now(t->loop) + 60000;
    while (strcmp(read_by_b(t, "/mortal"), "[absent]") != 0)
        assert_true(loop_now(t->loop) < until);
    relay_set(t->relay, RELAY_PASS);
    assert_true(wait_until(t->loop, is_lost, &c));
    run_for(t->loop, 10);
    assert_string_equal(c.states, "connected suspended lost ");
    close_client(&c);
}

static void a_restarted_server_finds_the_session_again(void **state) {
    struct bench *t = *state;
    struct client c;
    auto_free char *servers = xasprintf("127.0.0.1:%d", server_port(server));
    open_with(t, &c, servers, NULL, 60000);
    begin(t);
    zk_create(c.zk, "/stays", "", 0, ZK_EPHEMERAL, on_path, t);
    settle(t, 1);
    int64_t session = zk_session(c.zk);
    server_kill(server);
    zk_get(c.zk, "/stays", on_data, t);
    settle(t, 2);
    assert_int_equal(t->kind, ERR_RETRY);
    assert_true(wait_until(t->loop, is_suspended, &c));
    server_start(server);
    assert_true(wait_until(t->loop, is_connected, &c));
    assert_int_equal(zk_session(c.zk), session);
    begin(t);
    zk_get(c.zk, "/stays", on_data, t);
    settle(t, 1);
    assert_string_equal(t->log, "[]");
    assert_int_equal(t->owner, session);
    close_client(&c);
}

static void a_stopped_server_does_not_hold_up_a_close(void **state) {
    struct bench *t = *state;
    server_stop(server);
    begin(t);
    zk_get(t->b.zk, "/", on_data, t);
    zk_close(t->b.zk, on_closed, &t->b);
    t->b.zk = NULL;
    int turns = 0;
    while (!t->b.closed && turns++ < 6000)
        run_for(t->loop, 10); // the loop turns while the library waits
    server_continue(server);
    assert_true(turns > 1);
    assert_true(t->b.closed);
    assert_int_equal(t->calls, 0);
}

struct waking {
    struct zk *zk;
    enum zk_state state;
    int64_t silence;
    bool woken;
};

static void on_waking(void *arg) {
    struct waking *w = arg;
    w->state = zk_state(w->zk);
    w->silence = zk_silence(w->zk);
    w->woken = true;
}

static bool has_woken(void *arg) {
    return ((struct waking *)arg)->woken;
}

// Our own process, stopped for longer than the lease: whatever runs first after it must not believe
// in the session, though nothing has reached the loop yet.
static void a_process_that_was_stopped_does_not_believe_in_its_session(void **state) {
    struct bench *t = *state;
    struct waking w = {.zk = t->a.zk};
    struct loop_timer *timer = NULL;
    loop_timer_start(t->loop, &timer, 3000, on_waking, &w);
    pid_t self = getpid(), child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        usleep(50000);
        kill(self, SIGSTOP);
        usleep(SESSION * 1000 * 9 / 10);
        kill(self, SIGCONT);
        _exit(0);
    }
    assert_true(wait_until(t->loop, has_woken, &w));
    waitpid(child, NULL, 0);
    assert_true(w.silence >= SESSION * 2 / 3);
    assert_int_not_equal(w.state, ZK_CONNECTED);
}

static void an_idle_session_costs_no_more_than_its_pings(void **state) {
    struct bench *t = *state;
    run_for(t->loop, 100);
    int before = relay_requests(t->relay);
    int64_t began = loop_now(t->loop);
    for (int i = 0; i < 150; i++) {
        run_for(t->loop, 100);
        assert_int_equal(zk_state(t->a.zk), ZK_CONNECTED);
    }
    int64_t took = loop_now(t->loop) - began;
    int sent = relay_requests(t->relay) - before;
    assert_true(sent >= 2);
    assert_true(sent <= took / (IDLE_SESSION * 3 / 10) + 2);
    assert_string_equal(t->a.states, "connected ");
}

// ---- names ----

static void names_are_resolved_and_bad_ones_left_out(void **state) {
    struct bench *t = *state;
    struct client c;
    auto_free char *servers = xasprintf("no-such-name.invalid:1,localhost:%d", server_port(server));
    open_with(t, &c, servers, NULL, 0);
    auto_free char *literal = xasprintf("127.0.0.1:%d", server_port(server));
    assert_non_null(strstr(zk_addresses(c.zk), literal));
    assert_null(strstr(zk_addresses(c.zk), "invalid"));
    close_client(&c);
}

static void known_addresses_stand_in_for_names_that_do_not_resolve(void **state) {
    struct bench *t = *state;
    struct client c = {.bench = t};
    auto_free char *known = xasprintf("127.0.0.1:%d", server_port(server));
    const struct zk_config config = {
        .servers = "no-such-name.invalid:1", .session_ms = session_ms, .known = known};
    struct err err = ERR_INIT;
    assert_int_equal(zk_open(t->loop, &config, on_state, &c, &c.zk, &err), 0);
    assert_true(wait_until(t->loop, is_connected, &c));
    close_client(&c);
}

static void a_client_that_never_connected_can_be_closed(void **state) {
    struct bench *t = *state;
    static const char *const servers[] = {"no-such-name.invalid:1", "127.0.0.1:1"};
    for (int i = 0; i < 4; i++) {
        struct client c = {.bench = t};
        const struct zk_config config = {.servers = servers[i % 2], .session_ms = SESSION};
        struct err err = ERR_INIT;
        assert_int_equal(zk_open(t->loop, &config, on_state, &c, &c.zk, &err), 0);
        if (i >= 2)
            run_for(t->loop, 50);
        close_client(&c);
        assert_string_equal(c.states, "");
    }
}

// ---- servers that are away ----

struct door { // hangs up on whoever knocks, and counts
    int fd, port;
    atomic_int knocks;
    pthread_t thread;
};

static void *hang_up(void *arg) {
    struct door *door = arg;
    for (int fd; (fd = accept(door->fd, NULL, NULL)) >= 0; close(fd))
        atomic_fetch_add(&door->knocks, 1);
    return NULL;
}

static void door_open(struct door *door) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    door->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(door->fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(door->fd, 64), 0);
    assert_int_equal(getsockname(door->fd, (struct sockaddr *)&at, &len), 0);
    door->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&door->thread, NULL, hang_up, door), 0);
}

static void door_close(struct door *door) {
    shutdown(door->fd, SHUT_RDWR);
    pthread_join(door->thread, NULL);
    close(door->fd);
}

// The library's pause is a sixtieth of the session; the bound is ten times what that allows.
static void an_even_number_of_servers_that_are_away_are_all_tried_without_haste(void **state) {
    struct bench *t = *state;
    struct door doors[2] = {0};
    for (int i = 0; i < 2; i++)
        door_open(&doors[i]);
    auto_free char *servers = xasprintf("127.0.0.1:%d,127.0.0.1:%d", doors[0].port, doors[1].port);
    struct client c = {.bench = t};
    const struct zk_config config = {.servers = servers, .session_ms = SESSION};
    struct err err = ERR_INIT;
    assert_int_equal(zk_open(t->loop, &config, on_state, &c, &c.zk, &err), 0);
    for (int i = 0; i < 300 && !(doors[0].knocks && doors[1].knocks); i++)
        run_for(t->loop, 100);
    int before = doors[0].knocks + doors[1].knocks;
    int64_t began = loop_now(t->loop);
    run_for(t->loop, 1000);
    int64_t took = loop_now(t->loop) - began;
    int knocks = doors[0].knocks + doors[1].knocks - before;
    close_client(&c);
    for (int i = 0; i < 2; i++) {
        door_close(&doors[i]);
        assert_true(doors[i].knocks > 0);
    }
    assert_true(knocks <= 10 * (3 * took / (SESSION / 60) + 3));
}

#define T(name)     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, set_up_short, tear_down)
#define IDLE(name)  cmocka_unit_test_setup_teardown(name, set_up_idle, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(requests_are_answered_in_order_and_never_inside_the_call),
        T(a_transaction_is_all_or_nothing),
        T(a_chroot_is_made_and_never_seen),
        T(nodes_of_one_with_a_password_are_closed_to_others),
        SHORT(what_may_not_be_read_is_told_once_and_when_that_ends),
        T(too_much_data_is_refused_and_the_connection_stays),
        T(a_transaction_may_be_larger_than_a_node_and_no_larger_than_a_packet),
        T(what_was_let_go_of_is_not_called),
        T(calls_in_flight_do_not_outlive_a_close),
        T(a_follow_tells_what_is_and_every_change),
        T(a_life_that_is_followed_leaves_nothing),
        T(a_short_cut_keeps_the_session_and_loses_no_change),
        T(an_unanswered_create_may_have_been_done),
        IDLE(a_silent_network_suspends_in_time_and_loses_in_time),
        SHORT(an_expired_session_is_learnt_from_the_server),
        T(a_restarted_server_finds_the_session_again),
        SHORT(a_stopped_server_does_not_hold_up_a_close),
        SHORT(a_process_that_was_stopped_does_not_believe_in_its_session),
        IDLE(an_idle_session_costs_no_more_than_its_pings),
        T(names_are_resolved_and_bad_ones_left_out),
        T(known_addresses_stand_in_for_names_that_do_not_resolve),
        T(a_client_that_never_connected_can_be_closed),
        T(an_even_number_of_servers_that_are_away_are_all_tried_without_haste),
    };
    server = server_create();
    log_set_level(LOG_LEVEL_DEBUG);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    if (rc)
        server_show_log(server);
    server_free(server);
    return rc;
}
