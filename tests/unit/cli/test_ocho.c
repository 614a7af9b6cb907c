// The program itself: arguments, exit statuses, output; its pods are a control port in this
// process.
#include "tests/unit/cli/program.h"

#define DATA SOURCE_DIR "/tests/unit/cli/data/"

// ---- arguments ----

static void wrong_arguments_are_2_and_say_what(void **state) {
    (void)state;
    static const struct {
        const char *line, *err;
    } table[] = {
        {"", "usage: ocho"},
        {"frob", "no such verb: frob"},
        {"help frob", "no such verb: frob"},
        {"wait a b", "one too many: b"},
        {"ls caf\xe9", "not UTF-8: caf\xe9"},
        {"port", "missing: PORT"},
        {"port http", "http"},
        {"port 0", "0"},
        {"off", "missing: PATTERN"},
        {"off zk", "--force"},
        {"on zk", "--force"},
        {"reset zk", "--force"},
        {"signal zk", "--force"},
        {"exec zk", "missing: PATTERN TOOL"},
        {"exec zk backup", "--force"},
        {"exec zk backup -t", "a value is missing after -t"},
        {"off zk -i", "a value is missing after -i"},
        {"off zk -i 1 x --frob", "no such option: --frob"},
        {"wait", "missing: PATTERN"},
        {"ls --frob", "no such option: --frob"},
        {"ls -q", "no such option: -q"},
        {"ls --for running", "no such option: --for"},
        {"ls --zk", "a value is missing after --zk"},
        {"ls -t soon", "--timeout"},
        {"ls -t -1", "--timeout"},
        {"grep -i one", "--indices"},
        {"grep -i ,", "--indices"},
        {"ls --url localhost:8080", "--url"},
        {"ls --url http://", "--url"},
        {"wait x --for sleeping", "--for"},
        {"wait x --pods 0", "--pods"},
        {"wait x --pods many", "--pods"},
        {"wait x --generation -1", "--generation"},
        {"validate", "missing: SPEC"},
        {"render x.yaml", "--cluster"},
        {"render", "missing: SPEC"},
        {"version now", "one too many: now"},
        {"ls --zk host:port", "zk"},
        {"ls", "--zk, OCHOPOD_ZK or --url"},
    };
    unsetenv("OCHOPOD_ZK");
    unsetenv("ochopod_zk");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        check(table[i].line, 2, NULL, table[i].err);
}

static void each_verb_has_help(void **state) {
    (void)state;
    static const char *const verbs[] = {
        "ls",    "grep", "info", "log", "wait", "validate", "render", "health",  "version",
        "check", "port", "poll", "off", "on",   "reset",    "signal", "cluster", "exec"};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        auto_free char *usage = xasprintf("usage: ocho %s", verbs[i]);
        auto_free char *line = xasprintf("%s --help", verbs[i]);
        auto_free char *other = xasprintf("help %s", verbs[i]);
        check(line, 0, usage, NULL);
        check(other, 0, usage, NULL);
        check("--help", 0, verbs[i], NULL);
    }
    check("--version", 0, "ocho " OCHOPOD_VERSION, NULL);
}

// As of a compose file that passes on a variable which nobody has set.
static void an_empty_variable_hides_no_other(void **state) {
    (void)state;
    setenv("OCHOPOD_ZK", "", 1);
    setenv("ochopod_zk", "zk://127.0.0.1:1", 1);
    check("ls -t 1", 3, NULL, "127.0.0.1:1 does not answer");
    setenv("ochopod_zk", "", 1);
    check("ls -t 1", 2, NULL, "--zk, OCHOPOD_ZK or --url");
    setenv("OCHOPOD_ZK", "zk://127.0.0.1:1", 1);
    check("ls -t 1", 3, NULL, "127.0.0.1:1 does not answer");
    unsetenv("OCHOPOD_ZK");
    unsetenv("ochopod_zk");
}

static void what_is_out_of_reach_is_3(void **state) {
    (void)state;
    check("ls --zk 127.0.0.1:1 -t 1", 3, NULL, "127.0.0.1:1 does not answer");
    check("ls --url http://127.0.0.1:1", 3, NULL, "127.0.0.1:1");
    check("wait zk --zk 127.0.0.1:1 -t 1", 3, NULL, "does not answer");
}

// ---- without a cluster ----

static char *slurp(const char *path) {
    auto_file FILE *f = fopen(path, "re");
    assert_non_null(f);
    auto_text struct text t = {0};
    char buf[4096];
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;)
        text_addn(&t, buf, n);
    return text_take(&t);
}

static void render_prints_what_would_be_written(void **state) {
    (void)state;
    auto_free char *text = slurp(DATA "rendered.txt"), *json = slurp(DATA "rendered.json");
    struct said said = ocho("render " DATA "pod.yaml --cluster " DATA "cluster.json");
    assert_int_equal(said.status, 0);
    assert_string_equal(said.out, text);
    said = ocho("render " DATA "pod.yaml -j --cluster " DATA "cluster.json");
    assert_string_equal(said.out, json);
    check("render " DATA "pod.yaml --key bb --cluster " DATA "cluster.json", 0,
          "server 10.0.0.1:31001 down;", NULL);
    check("render " DATA "pod.yaml --key cc --cluster " DATA "cluster.json", 2, NULL, "key");
    check("render " DATA "pod.yaml --cluster /none.json", 2, NULL, "/none.json");
    check("render " DATA "pod.yaml --key b\xff --cluster " DATA "cluster.json", 2, "",
          "ocho: --key is not UTF-8\n");
    char list[] = "/tmp/ocho-list.XXXXXX";
    int fd = mkstemp(list);
    assert_int_equal(write(fd, "[]", 2), 2);
    auto_free char *of_list = xasprintf("render " DATA "pod.yaml --cluster %s", list);
    check(of_list, 2, "", ": is no JSON object\n");
    close(fd);
    unlink(list);
    check("render " DATA "pod.yaml --cluster " DATA "pod.yaml", 2, NULL, "is not JSON");
    check("render " DATA "bad.yaml --cluster " DATA "cluster.json", 2, NULL, "bad.yaml:");
}

static void validate_names_every_mistake(void **state) {
    (void)state;
    check("validate " DATA "pod.yaml", 0, "pod.yaml: good", NULL);
    static const char *const mistakes[] = {"bad.yaml:3:3: workload.imag", "bad.yaml:4:1: port",
                                           "bad.yaml:6:5: files[0].target"};
    for (size_t i = 0; i < 3; i++)
        check("validate " DATA "pod.yaml " DATA "bad.yaml", 2, "pod.yaml: good", mistakes[i]);
    check("validate /none.yaml", 2, NULL, "/none.yaml");
}

static void health_is_livez(void **state) {
    (void)state;
    check("health --url http://127.0.0.1:PORT", 0, NULL, NULL);
    auto_free char *port = xasprintf("%d", it.port);
    setenv("OCHOPOD_PORT", port, 1);
    check("health", 0, NULL, NULL);
    it.sick = true;
    check("health", 1, NULL, "503");
    setenv("OCHOPOD_PORT", "1", 1);
    check("health", 1, NULL, "127.0.0.1:1");
    unsetenv("OCHOPOD_PORT");
}

// ---- a cluster, through a pod ----

static json_t *record_at(int seq, int port) {
    return json_pack("{s:i, s:s, s:s, s:{s:i}, s:s}", "seq", seq, "ip", "127.0.0.1", "port", "8080",
                     "ports", "8080", port, "node", "n1");
}

static void two_pods(void) {
    it.cluster = json_pack("{s:{}, s:{s:o, s:o}}", "snapshot", "pods", "uuid-own",
                           record_at(3, it.port), "other", record_at(10, it.port));
}

static void one_more_that_is_away(void) {
    json_object_set_new(json_object_get(it.cluster, "pods"), "away", record_at(11, 1));
}

#define URL " --url http://127.0.0.1:PORT"

static void ls_counts(void **state) {
    (void)state;
    two_pods();
    it.state = "leader";
    fake_pod_is(it.pod, "running", true);
    check("ls -j" URL, 0, "{\"marathon.zk\":{\"total\":2,\"running\":2,\"status\":\"\"}}\n", "");
    check("ls" URL, 0, "marathon.zk     2        2", NULL);
    check("ls zk" URL, 0, "marathon.zk", NULL);
    check("ls mara*.z?" URL, 0, "marathon.zk", NULL);
    check("ls -j web" URL, 1, "{}\n", "no cluster matches \"web\"");
    one_more_that_is_away();
    check("ls -j" URL, 1, "{\"marathon.zk\":{\"total\":3,\"running\":2,\"status\":\"\"}}\n",
          "2 of 3 answered");
}

static void grep_lists_who_does_not_answer(void **state) {
    (void)state;
    two_pods();
    one_more_that_is_away();
    check("grep -j -i 3,10" URL, 0,
          "{\"marathon.zk #3\":{\"ip\":\"127.0.0.1\",\"node\":\"n1\",\"process\":\"stopped\","
          "\"state\":\"follower\"},\"marathon.zk #10\":{",
          "");
    check("grep" URL, 1, "marathon.zk #11  127.0.0.1  n1    -        -\n", "marathon.zk #11: ");
    check("grep -j -i 11" URL, 1, "\"error\":", "0 of 1 answered");
}

static void info_and_log_ask_the_pods(void **state) {
    (void)state;
    two_pods();
    log_keep("a line of theirs", 16);
    check("info -j -i 3" URL, 0, "{\"marathon.zk #3\":{\"application\":\"app\"", NULL);
    check("info -i 3" URL, 0, "    \"application\": \"app\",\n", NULL);
    check("log -i 10" URL, 0, "a line of theirs\n", NULL);
    check("log" URL, 0, "marathon.zk #10 | a line of theirs\n", NULL);
    check("log -j -i 10" URL, 0, "{\"marathon.zk #10\":[", NULL);
    one_more_that_is_away();
    check("log" URL, 1, "marathon.zk #3 | a line of theirs\n", "2 of 3 answered");
}

static void run_soon(void *arg) {
    (void)arg;
    fake_pod_is(it.pod, "running", true);
    control_changed(it.control);
}

static void wait_ends_as_it_should(void **state) {
    (void)state;
    two_pods();
    loop_timer_start(it.loop, NULL, 500, run_soon, NULL);
    check("wait zk -v --pods 2 -t 15" URL, 0, "", "2 of 2 running");
    check("wait zk --for ready" URL, 0, NULL, NULL);
    check("wait zk --for stopped -t 1" URL, 4, "", "0 of 2 stopped");
    check("wait zk --pods 3 -t 1" URL, 4, "", "2 of 3 running");
    check("wait zk --generation 5 -t 1" URL, 4, "", "timeout");
    it.generation = 5;
    check("wait zk --generation 5 -t 10" URL, 0, NULL, NULL);
    fake_pod_is(it.pod, "dead", false);
    control_changed(it.control);
    check("wait zk" URL, 1, "", "marathon.zk #3 is dead");
    check("wait zk --for dead" URL, 0, NULL, NULL);
    check("wait web -t 1" URL, 4, "", "timeout");
}

static void log_follows_until_the_pod_ends(void **state) {
    (void)state;
    two_pods();
    char *const argv[] = {(char *)"ocho",
                          (char *)"log",
                          (char *)"-f",
                          (char *)"-i",
                          (char *)"3",
                          (char *)"--url",
                          xasprintf("http://127.0.0.1:%d", it.port),
                          NULL};
    int out = temporary(), err = temporary(), status = 0;
    char got[16384] = "";
    log_keep("early", 5);
    pid_t pid = start(argv, out, err);
    pump(pread(out, got, sizeof(got) - 1, 0) > 0 && strstr(got, "early\n"));
    log_keep("late", 4);
    pump(pread(out, got, sizeof(got) - 1, 0) > 0 && strstr(got, "late\n"));
    control_close(it.control);
    it.control = NULL;
    pump(waitpid(pid, &status, WNOHANG) == pid);
    assert_int_equal(WEXITSTATUS(status), 1);
    read_back(err, got, sizeof(got));
    assert_non_null(strstr(got, "the log ended"));
    close(out);
    free(argv[6]);
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(wrong_arguments_are_2_and_say_what),
        test(each_verb_has_help),
        test(an_empty_variable_hides_no_other),
        test(what_is_out_of_reach_is_3),
        test(render_prints_what_would_be_written),
        test(validate_names_every_mistake),
        test(health_is_livez),
        test(ls_counts),
        test(grep_lists_who_does_not_answer),
        test(info_and_log_ask_the_pods),
        test(wait_ends_as_it_should),
        test(log_follows_until_the_pod_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
