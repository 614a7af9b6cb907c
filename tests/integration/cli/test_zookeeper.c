// What ocho reads from a real ZooKeeper: clusters, pods, nodes that are broken or empty, and a
// server that is away. Pods register as ephemeral nodes of this process' own session.
#include "sidecar/zk/zk.h"
#include "tests/integration/cli/marathon.h"
#include "tests/integration/zk/relay.h"
#include "tests/integration/zk/rig.h"
#include "tests/unit/cli/program.h"

#define ROOT "/ochopod/clusters/"

static struct {
    struct server *server;
    struct zk *zk;
    int pending;
    char *address;
} at;

static void on_state(enum zk_state state, void *arg) {
    (void)state;
    (void)arg;
}

static void connect_zk(void) {
    struct zk_config config = {.servers = at.address, .session_ms = 10000};
    struct err err = ERR_INIT;
    assert_int_equal(zk_open(it.loop, &config, on_state, NULL, &at.zk, &err), 0);
    pump(zk_state(at.zk) == ZK_CONNECTED);
}

static void on_done(const struct err *err, void *arg) {
    (void)arg;
    assert_int_equal(err->kind, ERR_NONE);
    at.pending--;
}

static void on_made(const char *path, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    (void)path;
    (void)stat;
    on_done(err, arg);
}

static void folder(const char *path) {
    at.pending++;
    zk_ensure(at.zk, path, on_done, NULL);
    pump(!at.pending);
}

static void node(const char *path, const char *data) {
    at.pending++;
    zk_create(at.zk, path, data, strlen(data), 0, on_made, NULL);
    pump(!at.pending);
}

static void pod(const char *path, int port) {
    auto_free char *data = xasprintf(
        "{\"cluster\": \"zk\", \"ip\": \"127.0.0.1\", \"node\": \"n1\", "
        "\"port\": \"8080\", \"ports\": {\"8080\": %d}}",
        port);
    node(path, data);
}

static int begin(void **state) {
    if (setup(state))
        return -1;
    at.server = server_create();
    at.address = xasprintf("127.0.0.1:%d", server_port(at.server));
    auto_free char *url = xasprintf("zk://%s/", at.address);
    setenv("OCHOPOD_ZK", url, 1);
    connect_zk();
    return 0;
}

static void on_closed(void *arg) {
    *(bool *)arg = true;
}

static int end(void **state) {
    bool closed = false;
    zk_close(at.zk, on_closed, &closed);
    pump(closed);
    server_free(at.server);
    free(at.address);
    unsetenv("OCHOPOD_ZK");
    return teardown(state);
}

static void clusters_are_read_from_zookeeper(void **state) {
    (void)state;
    check("ls -j", 0, "{}\n", "");
    folder(ROOT "marathon.zk/pods");
    folder(ROOT "marathon.web/pods");
    pod(ROOT "marathon.zk/pods/aaaa.0000000000", it.port);
    pod(ROOT "marathon.zk/pods/bbbb.0000000004", it.port);
    pod(ROOT "marathon.web/pods/cccc.0000000001", it.port);
    it.state = "leader";
    fake_pod_is(it.pod, "running", true);
    struct said said = ocho("ls -j");
    assert_int_equal(said.status, 0);
    assert_non_null(
        strstr(said.out, "\"marathon.zk\":{\"total\":2,\"running\":2,\"status\":\"\"}"));
    assert_non_null(strstr(said.out, "\"marathon.web\":{\"total\":1,"));
    check("ls -j web", 0, "{\"marathon.web\":{\"total\":1,\"running\":1,\"status\":\"\"}}\n", "");
    check("grep -j zk -i 4", 0, "{\"marathon.zk #4\":{\"ip\":\"127.0.0.1\"", "");
    check("wait zk --pods 2", 0, "", "");
    check("wait zk --pods 2 --generation 3 -t 8", 4, "", "timeout");
    node(ROOT "marathon.zk/leader", "{\"generation\": 3}");
    check("wait zk --pods 2 --generation 3 -t 20", 0, "", "");
}

static void a_broken_node_is_one_pod_that_does_not_answer(void **state) {
    (void)state;
    folder(ROOT "marathon.zk/pods");
    pod(ROOT "marathon.zk/pods/aaaa.0000000000", it.port);
    pod(ROOT "marathon.zk/pods/bbbb.0000000001", 1);
    node(ROOT "marathon.zk/pods/dddd.0000000003", "{not json");
    node(ROOT "marathon.zk/pods/eeee.0000000004", "{\"ip\": \"169.254.169.254\"}");
    node(ROOT "marathon.zk/leader", "[]");
    node(ROOT "no-pods-here", "x");
    check("ls -j zk", 1, "{\"marathon.zk\":{\"total\":4,", "1 of 4 answered");
    check("grep zk", 1, "marathon.zk #3", "marathon.zk #4: ");
    check("ls", 1, "no-pods-here", NULL);
}

static void pods_are_steered_at_the_addresses_they_registered(void **state) {
    (void)state;
    folder(ROOT "marathon.zk/pods");
    folder(ROOT "marathon.web/pods");
    pod(ROOT "marathon.zk/pods/aaaa.0000000000", it.port);
    pod(ROOT "marathon.zk/pods/bbbb.0000000004", 1);
    pod(ROOT "marathon.web/pods/cccc.0000000001", it.port);
    fake_pod_answer_all(it.pod, true);
    check("off zk -i 0 -j", 0, "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #0\"]}}\n", "");
    check("on zk web --force -j", 1, "\"web\":{\"ok\":true,\"on\":[\"marathon.web #1\"]}}\n",
          "2 of 3 on");
    // The pod that is away is asked as well; the first that answers is enough.
    it.cluster = json_pack("{s:{}, s:{}}", "snapshot", "pods");
    check("cluster zk -j", 0, "{\"marathon.zk\":{\"cluster\":\"marathon.zk\",", "");
    check("cluster web zk -j", 0, "\"marathon.web\":{", "");
}

static void names_that_a_shell_would_run_are_not_offered(void **state) {
    (void)state;
    folder(ROOT "marathon.zk/pods");
    folder(ROOT "marathon.$(touch x)/pods");
    folder(ROOT "-rf/pods");
    struct said said = ocho("completion clusters");
    assert_int_equal(said.status, 0);
    assert_string_equal(said.out, "marathon.zk\n");
}

static void a_server_that_is_away_is_3_and_waited_for(void **state) {
    (void)state;
    folder(ROOT "marathon.zk/pods");
    pod(ROOT "marathon.zk/pods/aaaa.0000000000", it.port);
    fake_pod_is(it.pod, "running", true);
    server_stop(at.server);
    check("ls -t 1", 3, "", "does not answer");
    server_continue(at.server);
    check("ls -t 20", 0, "marathon.zk", NULL);
    server_kill(at.server);
    check("ls -t 1", 3, "", "does not answer");
    check("wait zk -t 2", 3, "", "does not answer");
    char *const argv[] = {(char *)"ocho", (char *)"wait", (char *)"zk",
                          (char *)"-t",   (char *)"60",   NULL};
    int out = temporary(), err = temporary(), status = 0;
    pid_t pid = start(argv, out, err);
    server_start(at.server);
    pump(waitpid(pid, &status, WNOHANG) == pid);
    close(out);
    close(err);
    assert_int_equal(WEXITSTATUS(status), 0);
}

// The wire is cut once, while the pod thinks: the library is connected anew before it answers.
static void a_connection_that_comes_back_ends_nothing_early(void **state) {
    (void)state;
    folder(ROOT "marathon.zk/pods");
    pod(ROOT "marathon.zk/pods/aaaa.0000000000", it.port);
    struct relay *relay = relay_create(server_port(at.server));
    auto_free char *url = xasprintf("zk://127.0.0.1:%d/", relay_port(relay));
    char *const argv[] = {(char *)"ocho",
                          (char *)"off",
                          (char *)"zk",
                          (char *)"--force",
                          (char *)"-t",
                          (char *)"60",
                          (char *)"-j",
                          (char *)"--zk",
                          url,
                          NULL};
    int out = temporary(), err = temporary(), status = 0;
    pid_t pid = start(argv, out, err);
    pump(fake_pod_asks(it.pod) || waitpid(pid, &status, WNOHANG) == pid);
    int before = relay_requests(relay);
    relay_cut(relay);
    // The new connection's first packet, and one of the session on it.
    pump(relay_requests(relay) > before + 1);
    fake_pod_answer_all(it.pod, true);
    fake_pod_answer(it.pod, NULL, &(struct err)ERR_INIT);
    pump(waitpid(pid, &status, WNOHANG) == pid);
    relay_free(relay);
    char said[4096];
    read_back(out, said, sizeof(said));
    close(err);
    assert_true(WIFEXITED(status));
    assert_string_equal(said, "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #0\"]}}\n");
}

// ---- deploy ----

static struct marathon_stub *marathon;
static bool registered;

// Once the app was posted. Nobody listens where it says that it does.
static void it_registers_and_is_mute(void) {
    auto_free char *app = registered ? NULL : marathon_stub_app(marathon);
    if (!app)
        return;
    auto_free char *record = xasprintf("{\"cluster\": \"zk\", \"ip\": \"127.0.0.1\", "
                                       "\"port\": \"8080\", \"ports\": {\"8080\": 1}, "
                                       "\"application\": \"%s\"}",
                                       app);
    at.pending++;
    zk_create(at.zk, ROOT "marathon.zk/pods/aaaa.0000000000", record, strlen(record), 0, on_made,
              NULL);
    registered = true;
}

// A laptop that has no way to the agents, or no token: the pods may be well.
static void what_registered_and_does_not_tell_how_it_is_is_not_removed(void **state) {
    (void)state;
    char file[] = "/tmp/ocho-deploy.XXXXXX";
    auto_fd int fd = mkstemp(file);
    const char *yaml = "cluster: zk\nimage: zk:1\n";
    assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
    folder(ROOT "marathon.zk/pods");
    marathon = marathon_stub_start();
    auto_free char *master = xasprintf("127.0.0.1:%d", marathon_stub_port(marathon));
    auto_free char *line = xasprintf("deploy %s -j -t 5s", file);
    setenv("MARATHON_MASTER", master, 1);
    registered = false;
    each_turn = it_registers_and_is_mute;
    check(line, 4, "\"ok\":false", " stays: what came up of it cannot be seen");
    each_turn = NULL;
    assert_true(registered);
    assert_false(marathon_stub_was_told_to_delete(marathon));
    unsetenv("MARATHON_MASTER");
    marathon_stub_stop(marathon);
    unlink(file);
}

int main(void) {
#undef test
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        test(clusters_are_read_from_zookeeper),
        test(a_broken_node_is_one_pod_that_does_not_answer),
        test(pods_are_steered_at_the_addresses_they_registered),
        test(what_registered_and_does_not_tell_how_it_is_is_not_removed),
        test(names_that_a_shell_would_run_are_not_offered),
        test(a_server_that_is_away_is_3_and_waited_for),
        test(a_connection_that_comes_back_ends_nothing_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
