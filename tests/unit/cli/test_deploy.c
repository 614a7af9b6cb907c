// ocho deploy, and what all four say to wrong words or a Marathon that is away.
#include "tests/unit/cli/apps.h"

static void wrong_words_ask_nobody(void **state) {
    (void)state;
    static const char *const factors[] = {"5",   "@",  "x",    "@a",  "x1.75.1",
                                          "@-1", "*2", "@1e9", "@inf"};
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        auto_free char *line = xasprintf("scale zk -f %s" URL, factors[i]);
        check(line, 2, NULL, "is no factor");
    }
    static const char *const last[] = {"5", "@", "@5x", "x2,5", "x", "x1.75.1", "+1x", "@1e9"};
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        auto_free char *line = xasprintf("scale zk %s" URL, last[i]);
        check(line, 2, "", "is no factor: @5 (to five), x1.75 (times)");
    }
    check("scale zk @5 web" URL, 2, "", "\"@5\" is a pattern or a factor?");
    check("scale zk 5 -f @5" URL, 2, "", "a cluster of that name is namespace.5");
    check("bump zk -v a:b" URL, 2, NULL, "is no tag");
    check("kill zk" URL, 2, NULL, "--force");
    deploy("-r a/b", 2, NULL, "is no tag");
    deploy("--image A", 2, NULL, "--image");
    deploy("--socket a", 2, NULL, "--socket");
    deploy("--pull often", 2, NULL, "--pull");
    deploy("-p 0", 2, NULL, "--pods");
    deploy("-o /nonexistent.yml", 2, NULL, "/nonexistent.yml:1:1: cannot be read");
    deploy(file, 2, NULL, "are the same cluster");
    assert_int_equal(marathon->n, 0);
}

static void a_wrong_file_posts_none(void **state) {
    (void)state;
    auto_free char *line = xasprintf("deploy %s /nonexistent.yml" URL, file);
    check(line, 2, "", "/nonexistent.yml:1:1: cannot be read");
    put("cluster: Zk\nimage: ZK\n");
    deploy("", 2, "", ":1:10: cluster: \"Zk\" cannot be");
    deploy("", 2, "", ":2:8: image: \"ZK\" is not");
    assert_int_equal(marathon->n, 0);
}

static void a_dry_run_prints_the_app(void **state) {
    (void)state;
    deploy("--dry-run -j", 0, "\"image\":\"zk:1\"", "");
    assert_int_equal(marathon->n, 0);
}

// What is behind it belongs to -o where a file to deploy came before, as Ochothon has it.
static void overrides_are_one_or_many(void **state) {
    (void)state;
    char one[] = "/tmp/test_one.XXXXXX", other[] = "/tmp/test_other.XXXXXX";
    int fds[] = {mkstemp(one), mkstemp(other)};
    dprintf(fds[0], "marathon.zk: {a: 1}\n");
    dprintf(fds[1], "marathon.web: {b: 1}\n");
    static const char *const lines[] = {
        "deploy %3$s -o %1$s %2$s --dry-run -j",
        "deploy %3$s -p 2 -o %1$s %2$s --dry-run -j",
        "deploy -o %1$s,%2$s %3$s --dry-run -j",
        "deploy -p 2 -o %2$s -o %1$s %3$s --dry-run -j",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        auto_text struct text t = {0};
        for (const char *s = lines[i]; *s; s++)
            if (*s == '%') {
                text_add(&t, s[1] == '1' ? one : s[1] == '2' ? other : file);
                s += 3;
            } else
                text_addc(&t, *s);
        check(t.s, 0, "\"pod\":\"{\\\"a\\\":1}\"", "");
    }
    unlink(one);
    unlink(other);
    close(fds[0]);
    close(fds[1]);
}

static void each_refusal_has_its_status(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        int exit;
        const char *err;
    } table[] = {
        {200, "<html>", 3, "HTML instead of JSON"},
        {401, "", 2, "wants credentials"},
        {403, "{\"message\":\"no\"}", 1, "answered 403: no"},
        {409, "{\"message\":\"An app with id [/x] already exists.\"}", 1, "already exists"},
        {422,
         "{\"message\":\"Object is not "
         "valid\",\"details\":[{\"path\":\"/cpus\",\"errors\":[\"a\"]}]}",
         2, "Object is not valid\n  /cpus: a\n"},
        {500, "{\"message\":\"URI not found\"}", 3, "URI not found"},
        {503, "", 3, "503"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        said_by.status = table[i].status;
        said_by.body = table[i].body;
        deploy("", table[i].exit, "0% success (+0 pods)\n", table[i].err);
        auto_free char *json = xasprintf("{\"%s\":{\"ok\":false,\"up\":[]}}\n", file);
        deploy("-j", table[i].exit, json, file);
    }
    assert_int_equal(asked("DELETE"), 0);
}

static void away_or_unknown_is_told(void **state) {
    (void)state;
    setenv("MARATHON_MASTER", "127.0.0.1:1", 1);
    deploy("", 3, "0% success", "127.0.0.1:1");
    check("scale zk @3" URL, 3, "0% success (+0 pods)", "127.0.0.1:1");
    check("bump zk" URL, 3, "0% success (0 pods)", "127.0.0.1:1");
    unsetenv("MARATHON_MASTER");
    deploy("", 2, "", "MARATHON_MASTER is not set");
    check("scale zk @3" URL, 2, "", "MARATHON_MASTER is not set");
    check("bump zk" URL, 2, "", "MARATHON_MASTER is not set");
    assert_string_equal(order, "");
}

static void what_never_comes_up_is_removed(void **state) {
    (void)state;
    failing = true;
    deploy("-t 5s -j", 4, "\"ok\":false", "last task: TASK_FAILED on h1: no image\n");
    deploy("-j" SOON, 4, "\"ok\":false", "is removed");
    assert_int_equal(asked("POST /v2/apps HTTP"), 2);
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 2);
}

static void progress_is_for_a_terminal_alone(void **state) {
    (void)state;
    char seen[4096];
    auto_free char *line = xasprintf("deploy %s" SOON, file);
    on_a_terminal(line, seen, sizeof(seen));
    if (!strstr(seen, "\r\033[K") || !strstr(seen, "0 of 1 pods there"))
        fail_msg("on a terminal: %s", seen);
    auto_free char *piped = xasprintf("deploy %s" SOON URL, file);
    struct said said = ocho(piped);
    if (strchr(said.err, '\r') || !strstr(said.err, "0 of 1 pods there"))
        fail_msg("in a pipe: %s", said.err);
}

static void an_app_whose_answer_was_lost_is_not_left_behind(void **state) {
    (void)state;
    lost = failing = true;
    deploy("-j" SOON, 4, "\"ok\":false", "is removed");
    assert_int_equal(asked("POST /v2/apps HTTP"), 1);
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 1);
}

// The first of two masters hands it to the leader and loses the answer. Where it says that nobody
// took it the second one is asked.
static void an_app_that_the_next_master_knows_is_ours(void **state) {
    (void)state;
    auto_free char *both = xasprintf("127.0.0.1:%d,127.0.0.1:%d", marathon->port, marathon->port);
    setenv("MARATHON_MASTER", both, 1);
    lost = failing = true;
    torn = "<html>Connection to leader refused.";
    deploy("-j" SOON, 4, "\"ok\":false", "is removed");
    assert_int_equal(asked("POST /v2/apps HTTP"), 2);
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 1);
    changed = false;
    torn = "<html>Failed to successfully establish a connection to the leader.";
    deploy("-j" SOON, 4, "\"ok\":false", "is removed");
    assert_int_equal(asked("POST /v2/apps HTTP"), 3);
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 2);
}

static void what_cannot_be_seen_is_not_removed(void **state) {
    (void)state;
    blind = true;
    deploy("-j" SOON, 4, "\"ok\":false", " stays: what came up of it cannot be seen");
    assert_int_equal(asked("DELETE"), 0);
}

static void tasks_that_run_unheard_are_not_removed(void **state) {
    (void)state;
    deaf = true;
    deploy("-j" SOON, 4, "\"ok\":false", " stays: what came up of it cannot be seen");
    assert_int_equal(asked("DELETE"), 0);
}

// As with a ZooKeeper of their own.
static void tasks_that_run_unregistered_are_not_removed(void **state) {
    (void)state;
    deploy("-j" SOON, 4, "\"ok\":false",
           " stays: 2 of its tasks running, not registered in the ZooKeeper");
    assert_int_equal(asked("DELETE"), 0);
}

static void what_was_not_looked_at_has_not_come_up(void **state) {
    (void)state;
    late = lost = true;
    deploy("-t 1s -j", 4, "\"ok\":false", "the time was over before its pods could be looked at");
    assert_int_equal(asked("DELETE"), 0);
}

// ---- interrupted ----

static void is_interrupted(const char *options, int signo, const char *err) {
    auto_free char *line = xasprintf("deploy %s%s", file, options);
    interrupted(line, "/v2/apps status=200", signo, err);
}

static void what_has_not_come_up_is_removed_when_interrupted(void **state) {
    (void)state;
    failing = true;
    is_interrupted("", SIGTERM, "nothing of it came up: ochopod.marathon.zk-");
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 1);
}

static void what_has_come_up_stays_when_interrupted(void **state) {
    (void)state;
    own = true;
    fake_pod_is(it.pod, "running", true);
    is_interrupted(" -p 3", SIGINT, "stays; `ocho kill --force marathon.zk` removes it\n");
    assert_int_equal(asked("DELETE"), 0);
}

// ---- to the end of its deployment ----

// The pods are as they were asked for, and Marathon is not done.
static void a_deployment_that_ends_is_waited_for(void **state) {
    (void)state;
    own = true;
    going = 4;
    fake_pod_is(it.pod, "running", true);
    deploy("-p 2 --strict -j", 0, "\"ok\":true", "");
    assert_int_equal(asked("GET /v2/deployments"), 5);
}

static void one_that_stays_is_told(void **state) {
    (void)state;
    own = true;
    going = -1;
    fake_pod_is(it.pod, "running", true);
    deploy("-p 2 -j" SOON, 4, "\"ok\":false", "deployment d goes on");
    assert_true(asked("GET /v2/deployments") > 1);
    assert_int_equal(asked("DELETE"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(wrong_words_ask_nobody),
        test(a_wrong_file_posts_none),
        test(a_dry_run_prints_the_app),
        test(overrides_are_one_or_many),
        test(each_refusal_has_its_status),
        test(away_or_unknown_is_told),
        test(what_never_comes_up_is_removed),
        test(an_app_whose_answer_was_lost_is_not_left_behind),
        test(an_app_that_the_next_master_knows_is_ours),
        test(what_cannot_be_seen_is_not_removed),
        test(tasks_that_run_unheard_are_not_removed),
        test(tasks_that_run_unregistered_are_not_removed),
        test(what_was_not_looked_at_has_not_come_up),
        test(what_has_not_come_up_is_removed_when_interrupted),
        test(what_has_come_up_stays_when_interrupted),
        test(progress_is_for_a_terminal_alone),
        test(a_deployment_that_ends_is_waited_for),
        test(one_that_stays_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
