// Coordinators against a real server: what the flow tests claim over the fake, where the server's
// own ways matter. Rounds are none of it: the leader is a stand-in.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/coordinator/coordinator.h"
#include "tests/integration/zk/relay.h"
#include "tests/integration/zk/rig.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

// A test that waits for a session's end takes the short one; what must not wait for it takes one
// that outlasts every deadline here.
// A long one ends after each wait here, of a minute. A server that has just begun may leave a first
// word unanswered, which the library sees after a third of it: that is waited for, too, and half a
// minute is left for the second one.
enum { SESSION = 2000, LONG_SESSION = 90000, PODS = 3 };

static struct server *server;
static int cluster_n; // each test has a cluster of its own

// ---- the leader's stand-in ----

struct leader {
    struct leader_config config;
};

struct leader *leader_create(struct loop *loop, struct http *http, struct zk *zk,
                             const struct leader_config *config) {
    (void)loop;
    (void)http;
    (void)zk;
    struct leader *l = xnew(struct leader);
    l->config = *config;
    return l;
}

void leader_suspend(struct leader *l, bool suspended) {
    (void)l;
    (void)suspended;
}

const char *leader_state(const struct leader *l) {
    (void)l;
    return "leader";
}

const char *leader_status(const struct leader *l) {
    (void)l;
    return "";
}

void leader_free(struct leader *l) {
    free(l);
}

// ---- the bench ----

struct pod {
    struct bench *bench;
    struct coordinator *coordinator;
    struct relay *relay;
    char id[64];
    struct record_facts facts;
    int64_t seq;
    bool attached, leading, left;
    struct err fatal;
};

struct bench {
    struct loop *loop;
    struct spec spec;
    char cluster[32], root[96];
    struct pod pods[PODS];
    struct zk *zk; // our own eyes
    bool zk_closed;
    struct zk_op *op;
    size_t records, locks;
    json_t *answer;
    bool read;
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

static void start_at(struct pod *p, int port) {
    static const struct coordinator_events events = {.on_seq = on_seq,
                                                     .on_attached = on_attached,
                                                     .on_fatal = on_fatal,
                                                     .on_leading = on_leading};
    auto_free char *url = xasprintf("zk://localhost:%d/chroot", port);
    struct coordinator_config config = {.spec = &p->bench->spec,
                                        .zk_url = url,
                                        .namespace_ = "marathon",
                                        .cluster = p->bench->cluster,
                                        .pod_id = p->id,
                                        .facts = &p->facts,
                                        .seq = p->seq};
    struct err err = ERR_INIT;
    p->coordinator = coordinator_create(p->bench->loop, NULL, &config, &events, p, &err);
    assert_non_null(p->coordinator);
}

static void start(struct pod *p) {
    start_at(p, relay_port(p->relay));
}

static void pod_init(struct pod *p, struct bench *t, int i) {
    p->bench = t;
    p->seq = -1;
    snprintf(p->id, sizeof p->id, "%08d-8b1c-4a9e-9d0f-0a1b2c3d4e5f", i);
    p->facts = (struct record_facts){.ip = "10.0.0.1", .port = "8080", .start = true};
}

static void on_state(enum zk_state state, void *arg) {
    (void)state;
    (void)arg;
}

static void on_closed(void *arg) {
    ((struct bench *)arg)->zk_closed = true;
}

static bool is_closed(void *arg) {
    return ((struct bench *)arg)->zk_closed;
}

static void open_eyes(struct bench *t) {
    auto_free char *servers = xasprintf("127.0.0.1:%d/chroot", server_port(server));
    const struct zk_config config = {
        .servers = servers, .session_ms = SESSION, .lost_after_ms = 600000};
    struct err err = ERR_INIT;
    assert_int_equal(zk_open(t->loop, &config, on_state, t, &t->zk, &err), 0);
}

static int set_up(void **state) {
    struct bench *t = xnew(struct bench);
    t->loop = loop_create();
    t->spec.session = SESSION;
    snprintf(t->cluster, sizeof t->cluster, "c%d", ++cluster_n);
    snprintf(t->root, sizeof t->root, "/ochopod/clusters/marathon.%s", t->cluster);
    for (int i = 0; i < PODS; i++) {
        pod_init(&t->pods[i], t, i);
        t->pods[i].relay = relay_create(server_port(server));
    }
    open_eyes(t);
    *state = t;
    return 0;
}

static void on_left(void *arg) {
    ((struct pod *)arg)->left = true;
}

static bool has_left(void *arg) {
    return ((struct pod *)arg)->left;
}

static void leave(struct pod *p) {
    if (!p->coordinator)
        return;
    p->left = false;
    coordinator_leave(p->coordinator, on_left, p);
    assert_true(wait_until(p->bench->loop, has_left, p));
    coordinator_free(p->coordinator);
    p->coordinator = NULL;
    p->leading = p->attached = false;
}

static int tear_down(void **state) {
    struct bench *t = *state;
    for (int i = 0; i < PODS; i++) {
        relay_set(t->pods[i].relay, RELAY_PASS);
        leave(&t->pods[i]);
        relay_free(t->pods[i].relay);
    }
    zk_forget(&t->op);
    zk_close(t->zk, on_closed, t);
    assert_true(wait_until(t->loop, is_closed, t));
    json_decref(t->answer);
    loop_free(t->loop);
    free(t);
    return 0;
}

// ---- what must become true ----

static bool first_leads(void *arg) {
    struct bench *t = arg;
    return t->pods[0].attached && t->pods[0].leading;
}

static void on_locks(char *const *names, size_t n, const struct err *err, void *arg) {
    struct bench *t = arg;
    (void)names;
    t->op = NULL;
    t->locks = err->kind == ERR_NONE ? n : 0;
}

static void on_records(char *const *names, size_t n, const struct err *err, void *arg) {
    struct bench *t = arg;
    (void)names;
    auto_free char *path = xasprintf("%s/coordinator", t->root);
    t->records = err->kind == ERR_NONE ? n : 0;
    t->op = zk_names(t->zk, path, on_locks, t);
}

// Everybody is in once, with one record and one lock node each, and one leads.
static bool all_is_well(void *arg) {
    struct bench *t = arg;
    auto_free char *path = xasprintf("%s/pods", t->root);
    int leading = 0, attached = 0;
    if (!t->op && zk_state(t->zk) == ZK_CONNECTED)
        t->op = zk_names(t->zk, path, on_records, t);
    for (int i = 0; i < PODS; i++) {
        leading += t->pods[i].leading;
        attached += t->pods[i].attached;
    }
    return leading == 1 && attached == PODS && t->records == PODS && t->locks == PODS;
}

static void start_all(struct bench *t) {
    start(&t->pods[0]);
    assert_true(wait_until(t->loop, first_leads, t));
    start(&t->pods[1]);
    start(&t->pods[2]);
    assert_true(wait_until(t->loop, all_is_well, t));
}

static bool another_leads(void *arg) {
    struct bench *t = arg;
    return t->pods[1].leading || t->pods[2].leading;
}

static bool nobody_is_attached(void *arg) {
    struct bench *t = arg;
    return !t->pods[0].attached && !t->pods[1].attached && !t->pods[2].attached;
}

// ---- tests ----

static void on_read(const json_t *answer, const struct err *err, void *arg) {
    struct bench *t = arg;
    t->read = true;
    assert_int_equal(err->kind, ERR_NONE);
    t->answer = json_deep_copy(answer);
}

static bool was_read(void *arg) {
    return ((struct bench *)arg)->read;
}

static void pods_register_one_leads_and_all_is_read(void **state) {
    struct bench *t = *state;
    t->spec.session = LONG_SESSION;
    start_all(t);
    for (int i = 0; i < PODS; i++)
        assert_true(t->pods[i].seq >= 0 && t->pods[i].seq < PODS);
    assert_int_equal(t->pods[0].seq, 0);
    coordinator_read(t->pods[1].coordinator, on_read, t);
    assert_true(wait_until(t->loop, was_read, t));
    assert_int_equal(json_object_size(json_object_get(t->answer, "pods")), PODS);
    assert_int_equal(strlen(json_text(t->answer, "tree")), 36);
}

static void a_leader_that_leaves_is_followed_at_once(void **state) {
    struct bench *t = *state;
    t->spec.session = LONG_SESSION;
    start_all(t);
    leave(&t->pods[0]);
    assert_true(wait_until(t->loop, another_leads, t)); // not by the end of its session
}

static void a_leader_that_is_cut_off_gives_up_before_another_leads(void **state) {
    struct bench *t = *state;
    start_all(t);
    relay_set(t->pods[0].relay, RELAY_HOLD);
    int64_t until = loop_now(t->loop) + 20000;
    while (!another_leads(t)) {
        run_for(t->loop, 1);
        assert_true(loop_now(t->loop) < until);
        if (another_leads(t))
            assert_false(coordinator_attached(t->pods[0].coordinator));
    }
    assert_false(t->pods[0].attached);
    relay_set(t->pods[0].relay, RELAY_PASS);
    relay_cut(t->pods[0].relay);
    assert_true(wait_until(t->loop, all_is_well, t));
    assert_int_equal(t->pods[0].seq, 0);
}

static void a_killed_server_that_comes_back_finds_all_as_it_was(void **state) {
    struct bench *t = *state;
    start_all(t);
    int64_t seqs[PODS];
    for (int i = 0; i < PODS; i++)
        seqs[i] = t->pods[i].seq;
    server_kill(server);
    assert_true(wait_until(t->loop, nobody_is_attached, t));
    run_for(t->loop, SESSION); // longer than anybody's session
    server_start(server);
    t->records = t->locks = 0;
    assert_true(wait_until(t->loop, all_is_well, t));
    for (int i = 0; i < PODS; i++)
        assert_int_equal(t->pods[i].seq, seqs[i]);
}

static void a_stopped_server_is_noticed_and_forgiven(void **state) {
    struct bench *t = *state;
    start_all(t);
    server_stop(server);
    assert_true(wait_until(t->loop, nobody_is_attached, t));
    server_continue(server);
    t->records = t->locks = 0;
    assert_true(wait_until(t->loop, all_is_well, t));
}

static void a_flapping_connection_leaves_one_of_everything(void **state) {
    struct bench *t = *state;
    start_all(t);
    for (int i = 0; i < 15; i++) {
        struct pod *p = &t->pods[i % PODS];
        coordinator_reset(p->coordinator);
        run_for(t->loop, 1 + i * 2 % 13); // somewhere on the way in
        relay_set(p->relay, i % 2 ? RELAY_DEAF : RELAY_PASS);
        run_for(t->loop, 5);
        relay_cut(p->relay);
        relay_set(p->relay, RELAY_PASS);
    }
    t->records = t->locks = 0;
    assert_true(wait_until(t->loop, all_is_well, t));
    for (int i = 0; i < PODS; i++)
        assert_int_equal(t->pods[i].fatal.kind, ERR_NONE);
}

// More sessions to close at once than the library has threads for: it is no hanging library.
static void resets_without_end_are_survived(void **state) {
    struct bench *t = *state;
    start_all(t);
    for (int i = 0; i < 60; i++) {
        coordinator_reset(t->pods[0].coordinator);
        if (i % 10 == 0)
            run_for(t->loop, 20);
    }
    t->records = t->locks = 0;
    assert_true(wait_until(t->loop, all_is_well, t));
    assert_int_equal(t->pods[0].seq, 0);
}

// A process of its own: this program again, as one pod that says when it leads.
static int be_a_pod(const char *port, const char *cluster) {
    struct bench *t = xnew(struct bench);
    struct pod *p = &t->pods[0];
    t->loop = loop_create();
    t->spec.session = LONG_SESSION;
    snprintf(t->cluster, sizeof t->cluster, "%s", cluster);
    pod_init(p, t, 0);
    start_at(p, atoi(port));
    if (!wait_until(t->loop, first_leads, t) || write(STDOUT_FILENO, "x", 1) != 1)
        return 1;
    loop_run(t->loop);
    return 1;
}

static pid_t spawn_pod(const struct bench *t, int *ret_ready) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    auto_free char *port = xasprintf("%d", server_port(server));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ready[1], STDOUT_FILENO);
        execl("/proc/self/exe", "pod", port, t->cluster, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    *ret_ready = ready[0];
    return child;
}

// Killed with -9, started again under its id: neither its record nor its place is waited for.
static void a_killed_pod_that_comes_back_replaces_its_ghost(void **state) {
    struct bench *t = *state;
    auto_fd int ready = -1;
    char byte;
    pid_t child = spawn_pod(t, &ready);
    ssize_t n = read(ready, &byte, 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(n, 1);
    t->pods[0].seq = 0;
    start_all(t);
    assert_int_equal(t->pods[0].fatal.kind, ERR_NONE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv) {
    if (argc == 3)
        return be_a_pod(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        T(pods_register_one_leads_and_all_is_read),
        T(a_leader_that_leaves_is_followed_at_once),
        T(a_leader_that_is_cut_off_gives_up_before_another_leads),
        T(a_killed_server_that_comes_back_finds_all_as_it_was),
        T(a_stopped_server_is_noticed_and_forgiven),
        T(a_flapping_connection_leaves_one_of_everything),
        T(resets_without_end_are_survived),
        T(a_killed_pod_that_comes_back_replaces_its_ghost),
    };
    server = server_create();
    log_set_level(LOG_LEVEL_DEBUG);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    if (rc)
        server_show_log(server);
    server_free(server);
    return rc;
}
