// zk: none: what ZooKeeper promises, promised by one process and a file (client_alone.c), through
// the door that everybody uses.
#include "base/check.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/clerk.h"
#include "sidecar/state/state.h"
#include "sidecar/zk/zk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

struct bench {
    struct loop *loop;
    struct zk *zk;
    struct loop_timer *late;
    char dir[64];
    int wanted; // calls to wait for
    int calls, failed;
    struct zk_stat stat;
    struct text log;
};

static void on_late(void *arg) {
    (void)arg;
    fail_msg("nothing came within %d ms", PATIENCE_MS);
}

static void came(struct bench *t, const char *what, const struct err *err) {
    text_addf(&t->log, "[%s]", err->kind ? err_kind_name(err->kind) : what);
    if (++t->calls >= t->wanted)
        loop_quit(t->loop);
}

// What has come since the last time, n pieces of it.
static const char *next(struct bench *t, int n) {
    t->wanted = t->calls + n;
    loop_timer_start(t->loop, &t->late, PATIENCE_MS, on_late, t);
    loop_run(t->loop);
    loop_timer_stop(&t->late);
    static char said[1024];
    snprintf(said, sizeof said, "%s", text_str(&t->log));
    text_clear(&t->log);
    return said;
}

static void on_state(enum zk_state state, void *arg) {
    struct bench *t = arg;
    struct err none = ERR_INIT;
    came(t, zk_state_name(state), &none);
}

static void on_done(const struct err *err, void *arg) {
    came(arg, "done", err);
}

static void on_path(const char *path, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    (void)stat;
    came(arg, path, err);
}

static void on_data(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct bench *t = arg;
    if (stat)
        t->stat = *stat;
    assert_true(!data || strlen(data) == len);
    came(t, data, err);
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    auto_text struct text list = {0};
    for (size_t i = 0; i < n; i++)
        text_addf(&list, "%s%s", i ? " " : "", names[i]);
    came(arg, text_str(&list), err);
}

static void on_multi(int failed, const struct err *err, void *arg) {
    struct bench *t = arg;
    t->failed = failed;
    came(t, "all", err);
}

static void on_closed(void *arg) {
    struct err none = ERR_INIT;
    came(arg, "closed", &none);
}

static void open_it(struct bench *t) {
    const struct zk_config config = {.kept = t->dir, .session_ms = 10000};
    struct err err = ERR_INIT;
    assert_int_equal(zk_open(t->loop, &config, on_state, t, &t->zk, &err), 0);
    assert_string_equal(next(t, 1), "[connected]");
    assert_int_equal(zk_state(t->zk), ZK_CONNECTED);
    assert_int_equal(zk_silence(t->zk), 0);
}

static void close_it(struct bench *t) {
    zk_close(t->zk, on_closed, t);
    assert_string_equal(next(t, 1), "[closed]");
    t->zk = NULL;
}

static int set_up(void **state) {
    struct bench *t = xnew(struct bench);
    strcpy(t->dir, "/tmp/ochopod-alone-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    t->loop = loop_create();
    open_it(t);
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    if (t->zk)
        close_it(t);
    loop_free(t->loop);
    auto_free char *line = xasprintf("rm -rf %s", t->dir);
    assert_int_equal(system(line), 0);
    text_done(&t->log);
    free(t);
    return 0;
}

static const char *create(struct bench *t, const char *path, const char *data, int flags) {
    zk_create(t->zk, path, data, strlen(data), flags, on_path, t);
    return next(t, 1);
}

static const char *get(struct bench *t, const char *path) {
    zk_get(t->zk, path, on_data, t);
    return next(t, 1);
}

static const char *names(struct bench *t, const char *path) {
    zk_names(t->zk, path, on_names, t);
    return next(t, 1);
}

// ---- claims ----

static void errors_are_zookeepers(void **state) {
    struct bench *t = *state;
    assert_string_equal(get(t, "/a"), "[absent]");
    assert_string_equal(create(t, "/a/b", "", 0), "[absent]");
    assert_string_equal(create(t, "/a", "1", 0), "[/a]");
    assert_string_equal(create(t, "/a", "2", 0), "[exists]");
    assert_string_equal(create(t, "/a/b", "", ZK_EPHEMERAL), "[/a/b]");
    assert_string_equal(create(t, "/a/b/c", "", 0), "[refused]");
    zk_delete(t->zk, "/a", ZK_ANY_VERSION, on_done, t);
    assert_string_equal(next(t, 1), "[refused]"); // not empty
    zk_set(t->zk, "/a", "3", 1, 7, on_done, t);
    assert_string_equal(next(t, 1), "[refused]"); // version
    zk_set(t->zk, "/a", "3", 1, 0, on_done, t);
    assert_string_equal(next(t, 1), "[done]");
    assert_string_equal(get(t, "/a"), "[3]");
    assert_int_equal(t->stat.version, 1);
    assert_int_equal(t->stat.children, 1);
    assert_string_equal(names(t, "/a"), "[b]");
    zk_sync(t->zk, "/a", on_done, t);
    assert_string_equal(next(t, 1), "[done]");
}

static void missing_parents_are_made_where_asked_for(void **state) {
    struct bench *t = *state;
    zk_ensure(t->zk, "/ochopod/clusters/n.c/pods", on_done, t);
    assert_string_equal(next(t, 1), "[done]");
    assert_string_equal(names(t, "/ochopod/clusters"), "[n.c]");
}

static void a_number_is_given_once(void **state) {
    struct bench *t = *state;
    create(t, "/pods", "", 0);
    assert_string_equal(create(t, "/pods/a.", "", ZK_EPHEMERAL | ZK_SEQUENCE),
                        "[/pods/a.0000000000]");
    close_it(t);
    open_it(t);
    assert_string_equal(names(t, "/pods"), "[]"); // it ended with its session
    assert_string_equal(create(t, "/pods/a.", "", ZK_EPHEMERAL | ZK_SEQUENCE),
                        "[/pods/a.0000000001]");
}

static void an_epoch_never_comes_again(void **state) {
    struct bench *t = *state;
    create(t, "/lock", "", ZK_EPHEMERAL);
    get(t, "/lock");
    int64_t before = t->stat.czxid, session = zk_session(t->zk);
    assert_int_equal(t->stat.ephemeral_owner, session);
    close_it(t);
    open_it(t);
    create(t, "/lock", "", ZK_EPHEMERAL);
    get(t, "/lock");
    assert_true(t->stat.czxid > before);
    assert_int_not_equal(zk_session(t->zk), session);
}

static void what_lasts_is_there_again(void **state) {
    struct bench *t = *state;
    create(t, "/leader", "{\"generation\":3}", 0);
    close_it(t);
    open_it(t);
    assert_string_equal(get(t, "/leader"), "[{\"generation\":3}]");
}

static struct zk_multi *both(int version) {
    struct zk_multi *m = zk_multi();
    zk_multi_set(m, "/a", "new", 3, ZK_ANY_VERSION);
    zk_multi_create(m, "/b", "", 0, 0);
    zk_multi_check(m, "/a", version);
    return m;
}

static void a_transaction_is_whole_or_not_at_all(void **state) {
    struct bench *t = *state;
    create(t, "/a", "old", 0);
    zk_commit(t->zk, both(9), on_multi, t);
    assert_string_equal(next(t, 1), "[refused]");
    assert_int_equal(t->failed, 2);
    assert_string_equal(get(t, "/a"), "[old]");
    assert_string_equal(get(t, "/b"), "[absent]");
    zk_commit(t->zk, both(1), on_multi, t);
    assert_string_equal(next(t, 1), "[all]");
    assert_string_equal(get(t, "/a"), "[new]");
    assert_string_equal(get(t, "/b"), "[]");
}

static void changes_are_told(void **state) {
    struct bench *t = *state;
    struct zk_follow *data = zk_follow_data(t->zk, "/a", on_data, t);
    assert_string_equal(next(t, 1), "[absent]");
    zk_create(t->zk, "/a", "1", 1, 0, NULL, NULL);
    assert_string_equal(next(t, 1), "[1]");
    struct zk_follow *below = zk_follow_names(t->zk, "/a", on_names, t);
    assert_string_equal(next(t, 1), "[]");
    zk_create(t->zk, "/a/x", "", 0, 0, NULL, NULL);
    assert_string_equal(next(t, 1), "[x]"); // and nothing for its data
    zk_set(t->zk, "/a", "2", 1, ZK_ANY_VERSION, NULL, NULL);
    assert_string_equal(next(t, 1), "[2]");
    zk_delete(t->zk, "/a/x", ZK_ANY_VERSION, NULL, NULL);
    assert_string_equal(next(t, 1), "[]");
    zk_unfollow(&below);
    zk_delete(t->zk, "/a", ZK_ANY_VERSION, NULL, NULL);
    assert_string_equal(next(t, 1), "[absent]");
    zk_unfollow(&data);
}

static void what_cannot_be_kept_is_not_done(void **state) {
    struct bench *t = *state;
    auto_free char *in_the_way = xasprintf("%s/cluster.json.new", t->dir);
    create(t, "/a", "old", 0);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    zk_set(t->zk, "/a", "new", 3, ZK_ANY_VERSION, on_done, t);
    assert_string_equal(next(t, 1), "[retry]");
    assert_string_equal(get(t, "/a"), "[old]");
    assert_int_equal(rmdir(in_the_way), 0);
    zk_set(t->zk, "/a", "new", 3, ZK_ANY_VERSION, on_done, t);
    assert_string_equal(next(t, 1), "[done]");
}

static void a_broken_file_is_moved_aside(void **state) {
    struct bench *t = *state;
    static const char *const broken[] = {"{",
                                         "[]",
                                         "{\"zxid\":1}",
                                         "{\"zxid\":-1,\"nodes\":{}}",
                                         "{\"zxid\":1,\"nodes\":{\"/\":{},\"x\":{}}}",
                                         "{\"zxid\":1,\"nodes\":{\"/\":{},\"/x\":7}}"};
    auto_free char *path = xasprintf("%s/cluster.json", t->dir);
    auto_free char *aside = xasprintf("%s.broken", path);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        close_it(t);
        FILE *f = fopen(path, "w");
        assert_true(f && fputs(broken[i], f) >= 0 && fclose(f) == 0);
        open_it(t);
        assert_string_equal(names(t, "/"), "[]");
        assert_int_equal(unlink(aside), 0);
        assert_string_equal(create(t, "/a", "", 0), "[/a]");
    }
}

// ---- a clerk ----

static int *served; // shared with the clerk

static void slow_read(struct wire *request, struct text *answer, const void *arg) {
    usleep(200 * 1000);
    state_read_duty(request, answer, arg);
    ++*served;
}

static pid_t serve(const char *dir, int *ret_line) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        const struct state_duty writes = {dir, "a-pod"};
        const struct clerk_duty duties[] = {
            {STATE_READ, slow_read, dir}, {STATE_WRITE, state_write_duty, &writes}, {0}};
        close(pair[0]);
        for (;;)
            clerk_serve(pair[1], duties); // until the line ends
    }
    close(pair[1]);
    *ret_line = pair[0];
    return pid;
}

// Two threads that ask would take each other's answers: the file is read by the loop's.
static void what_is_kept_is_read_before_anything_else_is_asked(void **state) {
    struct bench *t = *state;
    int line;
    served = mmap(NULL, sizeof *served, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(served != MAP_FAILED);
    assert_string_equal(create(t, "/a", "", 0), "[/a]");
    close_it(t);
    pid_t clerk = serve(t->dir, &line);
    clerk_use(line);
    const struct zk_config config = {.kept = t->dir, .session_ms = 2000};
    assert_int_equal(zk_open(t->loop, &config, on_state, t, &t->zk, NULL), 0);
    assert_int_equal(*served, 1);
    assert_string_equal(next(t, 1), "[connected]");
    assert_string_equal(names(t, "/"), "[a]");
    close_it(t);
    clerk_use(-1);
    close(line);
    assert_int_equal(waitpid(clerk, NULL, 0), clerk);
    munmap(served, sizeof *served);
    open_it(t); // for the teardown
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(errors_are_zookeepers),
        TEST(missing_parents_are_made_where_asked_for),
        TEST(a_number_is_given_once),
        TEST(an_epoch_never_comes_again),
        TEST(what_lasts_is_there_again),
        TEST(a_transaction_is_whole_or_not_at_all),
        TEST(changes_are_told),
        TEST(what_cannot_be_kept_is_not_done),
        TEST(a_broken_file_is_moved_aside),
        TEST(what_is_kept_is_read_before_anything_else_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
