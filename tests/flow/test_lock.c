// The queue for leadership over a ZooKeeper in memory, whatever that answers: refusals, answers
// that are lost, nodes of others and of our own past, the end of the session.
#include "sidecar/zk/lock.h"
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
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FOLDER "/root/coordinator"
#define ID     "0123abcd-4567-89ab-cdef-0123456789ab"
#define OURS   FOLDER "/0123abcd456789abcdef0123456789ab__lock__"
#define OTHER  FOLDER "/ffffffffffffffffffffffffffffffff__lock__"

enum { SESSION = 3000, REFUSED_PAUSE = 10000 };

struct bench {
    struct loop *loop;
    struct fake_zk *server;
    struct zk *zk;
    struct lock *lock; // NULL once it was released
    char *path;        // as told by on_held
    int64_t stranger;  // a session of somebody's
    int held, gone, released, lines;
};

static size_t count_of(const struct bench *t, const char *what) {
    char **names = fake_zk_children(t->server, FOLDER);
    size_t n = 0;
    for (char **it = names; *it; it++)
        n += strstr(*it, what) != NULL;
    text_list_free(names);
    return n;
}

static size_t ours_n(const struct bench *t) {
    return count_of(t, "0123abcd456789abcdef0123456789ab__lock__0");
}

static void tell(struct bench *t) {
    char **names = fake_zk_children(t->server, FOLDER);
    print_error("at %lld ms: held %d, gone %d, released %d, state %s\n",
                (long long)loop_now(t->loop), t->held, t->gone, t->released,
                zk_state_name(zk_state(t->zk)));
    for (char **it = names; *it; it++)
        print_error("  %s\n", *it);
    text_list_free(names);
}

// Virtual time passes until cond holds; at most ms.
#define RUN_UNTIL(t, cond, ms)                                                                     \
    do {                                                                                           \
        int64_t until_ = loop_now((t)->loop) + (ms);                                               \
        while (!(cond) && loop_now((t)->loop) < until_)                                            \
            fake_loop_advance((t)->loop, 1);                                                       \
        if (!(cond)) {                                                                             \
            tell(t);                                                                               \
            fail_msg("not within %d ms: %s", (int)(ms), #cond);                                    \
        }                                                                                          \
    } while (0)

static void run(struct bench *t, int64_t ms) {
    fake_loop_advance(t->loop, ms);
}

// ---- the owner ----

// What is promised to whoever is told that he holds it, each time.
static void on_held(const char *path, int64_t czxid, void *arg) {
    struct bench *t = arg;
    struct zk_stat stat;
    assert_true(fake_zk_stat(t->server, path, &stat));
    assert_int_equal(stat.ephemeral_owner, zk_session(t->zk));
    assert_int_equal(stat.czxid, czxid);
    assert_string_equal(lock_path(t->lock), path);
    char **names = fake_zk_children(t->server, FOLDER);
    const char *mine = strrchr(path, '_') + 1;
    for (char **it = names; *it; it++) {
        const char *mark = strstr(*it, "__lock__");
        const char *digits = mark ? mark + strlen("__lock__") : "";
        if (strlen(digits) == 10 && strspn(digits, "0123456789") == 10)
            assert_true(strcmp(digits, mine) >= 0);
    }
    text_list_free(names);
    t->held++;
    free(t->path);
    t->path = xstrdup(path);
}

static void on_gone(void *arg) {
    struct bench *t = arg;
    t->gone++;
    assert_null(lock_path(t->lock));
}

static void on_released(void *arg) {
    struct bench *t = arg;
    t->released++;
    t->lock = NULL;
}

static void stand_as(struct bench *t, const char *pod_id) {
    static const struct lock_events events = {.on_held = on_held, .on_gone = on_gone};
    t->lock = lock_create(t->loop, t->zk, FOLDER, pod_id, &events, t);
}

static void stand(struct bench *t) {
    stand_as(t, ID);
}

static void release(struct bench *t) {
    lock_release(t->lock, on_released, t);
}

static void on_state(enum zk_state state, void *arg) {
    (void)state;
    (void)arg;
}

static int set_up(void **state) {
    struct bench *t = xnew(struct bench);
    const struct zk_config config = {.servers = "fake:2181", .session_ms = SESSION};
    struct err err = ERR_INIT;
    log_set_level(getenv("FLOW_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERR);
    t->loop = loop_create();
    t->server = fake_zk_create(t->loop);
    t->stranger = fake_zk_stranger(t->server);
    fake_zk_put(t->server, 0, FOLDER, "", 0);
    assert_int_equal(zk_open(t->loop, &config, on_state, NULL, &t->zk, &err), 0);
    run(t, 10);
    assert_int_equal(zk_state(t->zk), ZK_CONNECTED);
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    lock_free(t->lock);
    zk_close(t->zk, NULL, NULL);
    run(t, 2 * SESSION);
    assert_int_equal(fake_loop_timers(t->loop), 0); // nothing is left behind
    assert_true(fake_zk_quiet(t->server));
    fake_zk_free(t->server);
    loop_free(t->loop);
    free(t->path);
    free(t);
    return 0;
}

// A node with our name that is not this session's.
static void put_ghost(struct bench *t, const char *number) {
    auto_free char *path = xasprintf(OURS "%s", number);
    fake_zk_put(t->server, t->stranger, path, "", 0);
}

static char *put_other(struct bench *t) {
    return xstrdup(fake_zk_put(t->server, t->stranger, OTHER, "", ZK_EPHEMERAL | ZK_SEQUENCE));
}

static void on_line(const char *line, size_t len, void *arg) {
    struct bench *t = arg;
    t->lines += memmem(line, len, "cannot stand for leader", 23) != NULL;
}

// How often a person was told.
static int alarms(struct bench *t) {
    t->lines = 0;
    log_each(on_line, t);
    return t->lines;
}

// ---- names ----

static void what_is_no_contender_is_neither_waited_for_nor_deleted(void **state) {
    struct bench *t = *state;
    fake_zk_put(t->server, 0, FOLDER "/aa__lock__00000000x0", "", 0); // ten, not digits
    fake_zk_put(t->server, 0, FOLDER "/aa__lock__-000000001", "", 0);
    fake_zk_put(t->server, 0, OURS "note", "", 0);
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    assert_non_null(fake_zk_data(t->server, OURS "note"));
    release(t);
    RUN_UNTIL(t, t->released, 100);
    assert_non_null(fake_zk_data(t->server, OURS "note"));
    assert_int_equal(ours_n(t), 0);
}

// Two pods of one name would delete each other's nodes. What is no uuid is told apart by all of it.
static void two_pods_have_two_names(void **state) {
    struct bench *t = *state;
    static const char *const ids[] = {
        "task-1",
        "task-2",
        "0123abcd456789abcdef0123456789abaaaa", // as long as a uuid
        "0123abcd456789abcdef0123456789abbbbb",
        "0123abcd456789abcdef0123456789ab0123abcd456789abcdef0123456789ab",
        "0123abcd456789abcdef0123456789ab",
        ID,
    };
    enum { N = sizeof ids / sizeof *ids };
    char *names[N];
    for (size_t i = 0; i < N; i++) {
        stand_as(t, ids[i]);
        RUN_UNTIL(t, t->held == (int)i + 1, 100);
        const char *name = strrchr(t->path, '/') + 1;
        assert_int_equal(strspn(name, "0123456789abcdef"), 32);
        assert_int_equal(strlen(name), 32 + strlen("__lock__") + 10);
        names[i] = xstrndup(name, 32);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[k], names[i]);
        release(t);
        RUN_UNTIL(t, t->released == (int)i + 1, 100);
    }
    assert_string_equal(names[N - 1], "0123abcd456789abcdef0123456789ab");
    for (size_t i = 0; i < N; i++)
        free(names[i]);
}

// ---- nodes of our own past ----

// The create was lost on its way, and a node with our name is there: it is not taken for ours.
static void a_ghost_that_is_found_in_doubt_is_not_held(void **state) {
    struct bench *t = *state;
    put_ghost(t, "0000000000");
    fake_zk_lose(t->zk, FAKE_ZK_BEFORE, 1);
    stand(t);
    RUN_UNTIL(t, t->held, 2000);
    assert_string_not_equal(t->path, OURS "0000000000");
    assert_int_equal(ours_n(t), 1);
    assert_int_equal(t->gone, 0);
}

// The node was made and its answer lost: that one is kept, whatever else there is.
static void the_newest_of_ours_is_kept_after_a_doubt(void **state) {
    struct bench *t = *state;
    put_ghost(t, "0000000000");
    auto_free char *other = put_other(t);
    put_ghost(t, "0000000002");
    fake_zk_lose(t->zk, FAKE_ZK_AFTER, 1);
    stand(t);
    RUN_UNTIL(t, lock_path(t->lock), 2000);
    assert_string_equal(lock_path(t->lock), OURS "0000000003");
    run(t, 500);
    assert_int_equal(ours_n(t), 1);
    assert_int_equal(t->held, 0); // the other stands before it
    fake_zk_remove(t->server, other);
    RUN_UNTIL(t, t->held, 100);
    assert_string_equal(t->path, OURS "0000000003");
}

// In whatever order the server names them.
static void all_ghosts_go_after_a_doubt(void **state) {
    struct bench *t = *state;
    put_ghost(t, "0000000007");
    put_ghost(t, "0000000003");
    fake_zk_lose(t->zk, FAKE_ZK_BEFORE, 1);
    stand(t);
    RUN_UNTIL(t, t->held, 2000);
    assert_int_equal(ours_n(t), 1);
    assert_null(fake_zk_data(t->server, OURS "0000000007"));
    assert_null(fake_zk_data(t->server, OURS "0000000003"));
}

// Whoever stood on a ghost's place and makes another goes on waiting for the one before it, by one
// watch; and where somebody came between, for him.
static void the_predecessor_is_followed_once_and_is_the_nearest(void **state) {
    struct bench *t = *state;
    for (int between = 0; between < 2; between++) {
        auto_free char *first = put_other(t);
        auto_free char *ghost = xstrdup(
            fake_zk_put(t->server, t->stranger, OURS, "", ZK_EPHEMERAL | ZK_SEQUENCE));
        auto_free char *second = between ? put_other(t) : xstrdup(first);
        fake_zk_lose(t->zk, FAKE_ZK_BEFORE, 1);
        stand(t);
        RUN_UNTIL(t, !fake_zk_data(t->server, ghost) && ours_n(t) == 1, 2000);
        run(t, 100);
        assert_int_equal(t->held, between);
        assert_int_equal(fake_zk_follows(t->server), 2); // its own and the predecessor
        if (between) {
            int before = fake_zk_requests(t->server);
            fake_zk_remove(t->server, first); // not the nearest: nobody wakes
            run(t, 100);
            assert_int_equal(fake_zk_requests(t->server), before);
        }
        fake_zk_remove(t->server, second);
        RUN_UNTIL(t, t->held == between + 1, 100);
        release(t);
        RUN_UNTIL(t, t->released == between + 1, 100);
    }
}

static void the_nearest_is_the_nearest_in_whatever_order_they_are_named(void **state) {
    struct bench *t = *state;
    fake_zk_put(t->server, t->stranger, OTHER "0000000001", "", 0);
    fake_zk_put(t->server, t->stranger, OTHER "0000000000", "", 0);
    stand(t);
    run(t, 100);
    int before = fake_zk_requests(t->server);
    fake_zk_remove(t->server, OTHER "0000000000");
    run(t, 100);
    assert_int_equal(fake_zk_requests(t->server), before);
    assert_int_equal(t->held, 0);
    fake_zk_remove(t->server, OTHER "0000000001");
    RUN_UNTIL(t, t->held, 100);
}

// Somebody gave one a child: it cannot be deleted, and asking in a circle helps nobody.
static void a_ghost_that_does_not_go_makes_no_storm(void **state) {
    struct bench *t = *state;
    fake_zk_put(t->server, 0, OURS "0000000000/child", "", 0);
    stand(t);
    run(t, 1000);
    int before = fake_zk_requests(t->server);
    run(t, 10000);
    assert_in_range(fake_zk_requests(t->server) - before, 10, 100);
    assert_int_equal(t->held, 0);
    fake_zk_remove(t->server, OURS "0000000000/child");
    RUN_UNTIL(t, t->held, 1000);
    assert_int_equal(ours_n(t), 1);
}

// ---- our own node ----

static void a_node_that_goes_before_it_was_looked_at_is_gone(void **state) {
    struct bench *t = *state;
    fake_zk_latency(t->server, 10);
    stand(t);
    RUN_UNTIL(t, ours_n(t) == 1, 100);
    fake_zk_remove(t->server, OURS "0000000000");
    RUN_UNTIL(t, t->gone, 100);
    int before = fake_zk_requests(t->server);
    run(t, 60000);
    assert_int_equal(t->gone, 1);
    assert_int_equal(t->held, 0);
    assert_int_equal(fake_zk_requests(t->server), before); // it does nothing more
    assert_int_equal(ours_n(t), 0);
    fake_zk_latency(t->server, 1);
}

static void it_is_held_once_whatever_is_read_of_it_again(void **state) {
    struct bench *t = *state;
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    fake_zk_put(t->server, 0, t->path, "somebody wrote into it", 0);
    run(t, 100);
    fake_zk_cut(t->zk, 500);
    run(t, 1000);
    auto_free char *large = xcalloc(ZK_MAX_READ + 2, 1);
    memset(large, 'x', ZK_MAX_READ + 1);
    fake_zk_put(t->server, 0, t->path, large, 0); // more than is read
    run(t, 1000);
    assert_int_equal(t->held, 1);
    assert_int_equal(t->gone, 0);
    assert_string_equal(lock_path(t->lock), t->path);
    fake_zk_remove(t->server, t->path); // and it is still watched
    RUN_UNTIL(t, t->gone, 100);
}

// Whose session it is cannot be told: it is not held, and asked for now and then.
static void a_node_that_may_not_be_read_is_not_held_before_it_can(void **state) {
    struct bench *t = *state;
    int before = alarms(t);
    fake_zk_hide(t->server, OURS "0000000000");
    stand(t);
    run(t, 60000);
    assert_int_equal(ours_n(t), 1);
    assert_int_equal(t->held, 0);
    assert_int_equal(alarms(t), before + 1);
    assert_in_range(fake_zk_requests(t->server), 5, 40);
    fake_zk_hide(t->server, NULL);
    RUN_UNTIL(t, t->held, REFUSED_PAUSE + 100);
    assert_int_equal(t->gone, 0);
}

// Nothing tells us when it goes, so it is asked for.
static void a_predecessor_that_may_not_be_read_is_not_waited_for_for_ever(void **state) {
    struct bench *t = *state;
    int before = alarms(t);
    auto_free char *other = put_other(t);
    fake_zk_hide(t->server, other);
    stand(t);
    run(t, 60000);
    assert_int_equal(t->held, 0);
    assert_int_equal(alarms(t), before + 1);
    assert_in_range(fake_zk_requests(t->server), 5, 40);
    fake_zk_remove(t->server, other);
    RUN_UNTIL(t, t->held, REFUSED_PAUSE + 100);
}

// Too large is not gone.
static void a_predecessor_too_large_to_be_read_is_waited_for(void **state) {
    struct bench *t = *state;
    auto_free char *other = put_other(t);
    auto_free char *large = xcalloc(ZK_MAX_READ + 2, 1);
    memset(large, 'x', ZK_MAX_READ + 1);
    fake_zk_put(t->server, 0, other, large, 0);
    stand(t);
    run(t, 30000);
    assert_int_equal(t->held, 0);
    assert_in_range(fake_zk_requests(t->server), 3, 10);
    fake_zk_remove(t->server, other);
    RUN_UNTIL(t, t->held, 100);
}

// ---- refusals ----

static void who_may_not_stand_says_so_once_and_asks_seldom(void **state) {
    struct bench *t = *state;
    int before = alarms(t);
    fake_zk_bar(t->server, FOLDER);
    fake_zk_hide(t->server, FOLDER);
    stand(t);
    run(t, 60000);
    assert_int_equal(alarms(t), before + 1);
    assert_in_range(fake_zk_requests(t->server), 4, 15);
    fake_zk_hide(t->server, NULL); // listed, and still nothing may be made in it
    run(t, 60000);
    assert_int_equal(alarms(t), before + 1);
    assert_int_equal(t->held, 0);
    fake_zk_lose(t->zk, FAKE_ZK_BEFORE, 1); // another trouble ends the first
    run(t, 60000);
    assert_int_equal(alarms(t), before + 2);
    fake_zk_bar(t->server, NULL);
    RUN_UNTIL(t, t->held, REFUSED_PAUSE + 100);
    assert_int_equal(ours_n(t), 1);
}

static void a_folder_that_may_not_be_made_is_asked_for_again(void **state) {
    struct bench *t = *state;
    int before = alarms(t);
    fake_zk_remove(t->server, FOLDER);
    fake_zk_bar(t->server, FOLDER);
    stand(t);
    run(t, 30000);
    assert_null(fake_zk_data(t->server, FOLDER));
    assert_int_equal(alarms(t), before + 1);
    fake_zk_bar(t->server, NULL);
    RUN_UNTIL(t, t->held, REFUSED_PAUSE + 100);
}

// Who cannot see who stands before him does not lead.
static void an_overfull_folder_is_nobodys(void **state) {
    struct bench *t = *state;
    int before = alarms(t);
    fake_zk_crowded(t->server, 3);
    for (int i = 0; i < 4; i++) {
        auto_free char *path = xasprintf(FOLDER "/junk%d", i);
        fake_zk_put(t->server, t->stranger, path, "", 0);
    }
    stand(t);
    run(t, 60000);
    assert_int_equal(t->held, 0);
    assert_int_equal(alarms(t), before + 1);
    assert_in_range(fake_zk_requests(t->server), 4, 15);
    fake_zk_stranger_gone(t->server, t->stranger);
    RUN_UNTIL(t, t->held, REFUSED_PAUSE + 100);
}

// ---- the connection ----

// As often as it breaks, for as long as the session lives.
static void a_connection_that_is_away_is_waited_for(void **state) {
    struct bench *t = *state;
    fake_zk_lose(t->zk, FAKE_ZK_AFTER, 1);
    stand(t);
    RUN_UNTIL(t, ours_n(t) == 1, 100);
    fake_zk_cut(t->zk, -1);
    run(t, 2000); // more than one pause
    assert_int_equal(t->held, 0);
    fake_zk_mend(t->zk);
    RUN_UNTIL(t, t->held, 1000);
    assert_string_equal(t->path, OURS "0000000000");
    assert_int_equal(ours_n(t), 1);
}

static void a_session_that_is_lost_while_the_node_is_made_is_told_by_the_session(void **state) {
    struct bench *t = *state;
    fake_zk_lose(t->zk, FAKE_ZK_AFTER, 1);
    stand(t);
    RUN_UNTIL(t, ours_n(t) == 1, 100);
    fake_zk_cut(t->zk, -1);
    RUN_UNTIL(t, zk_state(t->zk) == ZK_LOST, 2 * SESSION);
    run(t, 2 * SESSION);
    assert_int_equal(t->held, 0);
    assert_int_equal(t->gone, 0);
    assert_int_equal(fake_loop_timers(t->loop), 0); // it asks no more
    assert_int_equal(ours_n(t), 0);
}

// ---- leaving ----

static void nobody_needs_to_hear_that_it_was_released(void **state) {
    struct bench *t = *state;
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    lock_release(take_ptr(t->lock), NULL, NULL);
    RUN_UNTIL(t, ours_n(t) == 0, 100);
    run(t, 100);
    assert_int_equal(t->gone, 0);
    lock_free(NULL);
}

// While the folder is still missing, while the node is being made, when its answer was lost: no
// node of ours is left when it is said.
static void who_leaves_on_his_way_in_leaves_nothing(void **state) {
    struct bench *t = *state;
    fake_zk_remove(t->server, FOLDER);
    stand(t);
    release(t);
    RUN_UNTIL(t, t->released == 1, 1000);
    assert_int_equal(ours_n(t), 0);
    fake_zk_put(t->server, 0, FOLDER, "", 0);
    for (int ms = 0; ms < 8; ms++) {
        for (int lost = 0; lost < 3; lost++) {
            int before = t->released;
            if (lost)
                fake_zk_lose(t->zk, lost == 1 ? FAKE_ZK_BEFORE : FAKE_ZK_AFTER, 1);
            stand(t);
            run(t, ms);
            int held = t->held;
            release(t);
            RUN_UNTIL(t, t->released == before + 1, 2000);
            assert_int_equal(ours_n(t), 0);
            assert_int_equal(t->held, held); // no event after it
            assert_int_equal(t->gone, 0);
        }
    }
}

// The folder goes away under who leaves: then so have its nodes.
static void who_leaves_a_folder_that_is_gone_has_left(void **state) {
    struct bench *t = *state;
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    release(t);
    fake_zk_remove(t->server, t->path);
    fake_zk_remove(t->server, FOLDER);
    RUN_UNTIL(t, t->released, 100);
    assert_int_equal(t->gone, 0);
}

static void who_may_not_look_any_more_leaves_the_rest_to_the_session(void **state) {
    struct bench *t = *state;
    int before = alarms(t);
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    fake_zk_hide(t->server, FOLDER);
    release(t);
    RUN_UNTIL(t, t->released, 100);
    assert_int_equal(alarms(t), before);
}

static void who_leaves_over_a_broken_connection_deletes_it_when_that_is_back(void **state) {
    struct bench *t = *state;
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    fake_zk_lose(t->zk, FAKE_ZK_BEFORE, 1); // the look
    release(t);
    run(t, 10);
    fake_zk_cut(t->zk, -1);
    run(t, 1000);
    assert_int_equal(t->released, 0);
    assert_int_equal(ours_n(t), 1);
    fake_zk_mend(t->zk);
    RUN_UNTIL(t, t->released, 1000);
    assert_int_equal(ours_n(t), 0);
}

static void leaving_ends_with_the_session(void **state) {
    struct bench *t = *state;
    stand(t);
    RUN_UNTIL(t, t->held, 100);
    fake_zk_cut(t->zk, -1);
    run(t, 10);
    release(t);
    while (zk_state(t->zk) != ZK_LOST) {
        assert_int_equal(t->released, 0);
        run(t, 1);
    }
    RUN_UNTIL(t, t->released, 1000);
    assert_int_equal(t->gone, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(what_is_no_contender_is_neither_waited_for_nor_deleted),
        T(two_pods_have_two_names),
        T(a_ghost_that_is_found_in_doubt_is_not_held),
        T(the_newest_of_ours_is_kept_after_a_doubt),
        T(all_ghosts_go_after_a_doubt),
        T(the_predecessor_is_followed_once_and_is_the_nearest),
        T(the_nearest_is_the_nearest_in_whatever_order_they_are_named),
        T(a_ghost_that_does_not_go_makes_no_storm),
        T(a_node_that_goes_before_it_was_looked_at_is_gone),
        T(it_is_held_once_whatever_is_read_of_it_again),
        T(a_node_that_may_not_be_read_is_not_held_before_it_can),
        T(a_predecessor_that_may_not_be_read_is_not_waited_for_for_ever),
        T(a_predecessor_too_large_to_be_read_is_waited_for),
        T(who_may_not_stand_says_so_once_and_asks_seldom),
        T(a_folder_that_may_not_be_made_is_asked_for_again),
        T(an_overfull_folder_is_nobodys),
        T(a_connection_that_is_away_is_waited_for),
        T(a_session_that_is_lost_while_the_node_is_made_is_told_by_the_session),
        T(nobody_needs_to_hear_that_it_was_released),
        T(who_leaves_on_his_way_in_leaves_nothing),
        T(who_leaves_a_folder_that_is_gone_has_left),
        T(who_may_not_look_any_more_leaves_the_rest_to_the_session),
        T(who_leaves_over_a_broken_connection_deletes_it_when_that_is_back),
        T(leaving_ends_with_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
