// The session's clock (client.c), over a library that answers as late as we like. What it does with
// a real server is tested in tests/integration/zk.
#include "base/check.h"
#include "sidecar/zk/client_inside.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

enum { SESSION_MS = 300, PATIENCE_MS = 20000 };

struct server {
    struct loop *loop;
    struct loop_timer *answers, *late;
    int64_t delay; // of the next answer; -1: it never comes
    int asked;
    const void *op;
    stat_completion_t fn;
};

static struct server server; // the library's calls have no argument for it

static void answer(void *arg) {
    (void)arg;
    struct Stat stat = {0};
    server.fn(ZOK, &stat, server.op);
}

static int lib_exists(zhandle_t *zh, const char *path, watcher_fn watcher, void *ctx,
                      stat_completion_t fn, const void *op) {
    (void)zh, (void)path, (void)watcher, (void)ctx;
    server.asked++;
    server.fn = fn;
    server.op = op;
    if (server.delay >= 0) {
        loop_timer_start(server.loop, &server.answers, server.delay, answer, NULL);
        server.delay = 0;
    }
    return ZOK;
}

// On a worker. Slow as well, else the handshake itself is news enough.
static zhandle_t *lib_open(struct zk *zk) {
    nanosleep(&(struct timespec){.tv_nsec = SESSION_MS * 500000L}, NULL);
    return (zhandle_t *)zk; // nobody looks inside
}

static void lib_close(zhandle_t *zh) {
    (void)zh;
}

static int lib_state(zhandle_t *zh) {
    (void)zh;
    return ZOO_CONNECTED_STATE;
}

static int64_t lib_session(zhandle_t *zh) {
    (void)zh;
    return 1;
}

static int lib_timeout(zhandle_t *zh) {
    (void)zh;
    return SESSION_MS;
}

static const struct zk_library slow = {.open = lib_open,
                                       .close = lib_close,
                                       .state = lib_state,
                                       .session = lib_session,
                                       .timeout = lib_timeout,
                                       .exists = lib_exists};

static void on_late(void *arg) {
    (void)arg;
    fail_msg("no session within %d ms, asked %d times", PATIENCE_MS, server.asked);
}

static void on_state(enum zk_state state, void *arg) {
    if (state == ZK_CONNECTED || state == ZK_LOST)
        loop_quit(arg);
}

static void on_closed(void *arg) {
    loop_quit(arg);
}

static struct zk *open_slow(struct loop *loop, int64_t delay, int64_t patience) {
    server = (struct server){.loop = loop, .delay = delay};
    struct zk_config config = {.servers = "127.0.0.1:1", .session_ms = SESSION_MS};
    struct err err = ERR_INIT;
    struct zk *zk;
    assert_int_equal(zk_open(loop, &config, on_state, loop, &zk, &err), 0);
    zk->library = &slow;
    if (patience)
        zk->patience = patience;
    loop_timer_start(loop, &server.late, PATIENCE_MS, on_late, NULL);
    return zk;
}

static void close_slow(struct loop *loop, struct zk *zk) {
    zk_close(zk, on_closed, loop);
    loop_run(loop);
    loop_timer_stop(&server.late);
    loop_timer_stop(&server.answers);
    loop_free(loop);
}

// Slower than the pause between two questions: it says nothing of now, and the next one must be
// asked all the same. A pod on a busy machine stayed away for ever.
static void a_first_answer_that_comes_too_late_is_asked_for_again(void **unused) {
    (void)unused;
    struct loop *loop = loop_create();
    struct zk *zk = open_slow(loop, 2 * SESSION_MS, 0);
    loop_run(loop);
    assert_int_equal(zk_state(zk), ZK_CONNECTED);
    assert_true(server.asked >= 2);
    close_slow(loop, zk);
}

// The library is content, pings are answered: nobody else would ever give it up.
static void a_session_in_which_nothing_is_answered_is_given_up(void **unused) {
    (void)unused;
    struct loop *loop = loop_create();
    struct zk *zk = open_slow(loop, -1, 3 * SESSION_MS);
    loop_run(loop);
    assert_int_equal(zk_state(zk), ZK_LOST);
    assert_int_equal(server.asked, 1);
    close_slow(loop, zk);
}

// ---- credentials ----

static int refusals, opens, closes;

// None but our own calls: what the library does without memory is not looked at here.
zhandle_t *__wrap_zookeeper_init2(const char *host, watcher_fn fn, int timeout,
                                  const clientid_t *id, void *context, int flags,
                                  log_callback_fn log);
zhandle_t *__wrap_zookeeper_init2(const char *host, watcher_fn fn, int timeout,
                                  const clientid_t *id, void *context, int flags,
                                  log_callback_fn log) {
    (void)host, (void)fn, (void)timeout, (void)id, (void)flags, (void)log;
    opens++;
    return context; // nobody looks inside
}

int __wrap_zoo_add_auth(zhandle_t *zh, const char *scheme, const char *cert, int len,
                        void_completion_t fn, const void *data);
int __wrap_zoo_add_auth(zhandle_t *zh, const char *scheme, const char *cert, int len,
                        void_completion_t fn, const void *data) {
    (void)zh, (void)scheme, (void)cert, (void)len, (void)fn, (void)data;
    return refusals-- > 0 ? ZINVALIDSTATE : ZOK;
}

int __wrap_zoo_set_servers_resolution_delay(zhandle_t *zh, int ms);
int __wrap_zoo_set_servers_resolution_delay(zhandle_t *zh, int ms) {
    (void)zh, (void)ms;
    return ZOK;
}

int __wrap_zookeeper_close(zhandle_t *zh);
int __wrap_zookeeper_close(zhandle_t *zh) {
    (void)zh;
    closes++;
    return ZOK;
}

// The library takes none between two attempts at a server: such a handle is nobody for good.
static void a_handle_that_takes_no_credentials_is_none(void **unused) {
    (void)unused;
    static char addresses[] = "127.0.0.1:1", auth[] = "user:password";
    struct zk zk = {.addresses = addresses, .auth = auth, .timeout = SESSION_MS};
    for (int times = 0; times < 3; times++) {
        refusals = times;
        opens = closes = 0;
        assert_non_null(zk_client.open(&zk));
        assert_int_equal(opens, times + 1);
        assert_int_equal(closes, times);
    }
    refusals = 1000;
    opens = closes = 0;
    assert_null(zk_client.open(&zk)); // tried again, later
    assert_true(opens > 1 && opens == closes);
    zk.auth = NULL; // nobody's
    assert_non_null(zk_client.open(&zk));
    assert_int_equal(opens, closes + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_that_takes_no_credentials_is_none),
        cmocka_unit_test(a_first_answer_that_comes_too_late_is_asked_for_again),
        cmocka_unit_test(a_session_in_which_nothing_is_answered_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
