// What CI and shells get from ocho: the report of a wait, and completion, by bash itself.
#include "tests/unit/cli/program.h"

#define URL " --url http://127.0.0.1:PORT"

static json_t *record_at(int seq, int port) {
    return json_pack("{s:i, s:s, s:s, s:{s:i}, s:s}", "seq", seq, "ip", "127.0.0.1", "port", "8080",
                     "ports", "8080", port, "node", "n<1>");
}

static char dir[64], report[128];

static int begin(void **state) {
    if (setup(state))
        return -1;
    it.cluster = json_pack("{s:{}, s:{s:o, s:o}}", "snapshot", "pods", "uuid-own",
                           record_at(3, it.port), "away", record_at(4, 1));
    snprintf(dir, sizeof(dir), "/tmp/ocho-ci.XXXXXX");
    snprintf(report, sizeof(report), "%s/report.xml", mkdtemp(dir));
    return 0;
}

static int end(void **state) {
    unlink(report);
    // Nothing lies beside it: neither a half nor a temporary file.
    if (rmdir(dir))
        fail_msg("%s is not empty", dir);
    return teardown(state);
}

static char *slurp(const char *path) {
    auto_file FILE *f = fopen(path, "re");
    assert_non_null(f);
    struct text t = {0};
    char buf[4096];
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;)
        text_addn(&t, buf, n);
    return text_take(&t);
}

// Runs the line; the report then has each of these, NULL-ended.
static void reports(const char *line, int status, const char *const *parts) {
    auto_free char *full = xasprintf("wait %s --junit %s" URL, line, report);
    check(full, status, "", NULL);
    auto_free char *xml = slurp(report);
    for (; *parts; parts++)
        if (!strstr(xml, *parts))
            fail_msg("%s: no %s in\n%s", line, *parts, xml);
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_report_has_a_case_for_each_pod(void **state) {
    (void)state;
    fake_pod_is(it.pod, "running", true);
    reports("zk -i 3", 0,
            PARTS("<?xml version=\"1.0\"",
                  "<testsuite name=\"ocho wait zk\" tests=\"2\" failures=\"0\"",
                  "<testcase classname=\"marathon.zk\" name=\"marathon.zk #3 is running\" time=\"",
                  "name=\"at least 1 pods\""));
    reports("zk -t 1 --generation 4", 4,
            PARTS("tests=\"4\" failures=\"2\"", "name=\"marathon.zk #4 is running\"",
                  "<failure message=\"does not answer: ", "name=\"generation 4\"",
                  "fewer rounds are complete</failure>"));
    reports("zk -i 3 --for stopped -t 1", 4, PARTS("<failure message=\"running, not stopped\">"));
    reports("zk --pods 5 -t 1", 4, PARTS("<failure message=\"2 of 5\">2 of 5</failure>"));
    fake_pod_is(it.pod, "dead", false);
    control_changed(it.control);
    reports("zk -i 3", 1, PARTS("tests=\"2\" failures=\"1\"", "dead, not running"));
    it.cluster_fails = true;
    reports("zk -t 1", 3, PARTS("name=\"can be looked at\"", "no session"));
}

static void a_report_that_cannot_be_written_is_said_at_once(void **state) {
    (void)state;
    auto_free char *nowhere = xasprintf("wait zk -t 60 --junit %s/none/x.xml" URL, dir);
    auto_free char *folder = xasprintf("wait zk -t 60 --junit %s" URL, dir);
    check(nowhere, 2, "", "none/x.xml");
    check(folder, 2, "", "not a file");
}

static void what_xml_cannot_say_is_escaped(void **state) {
    (void)state;
    // A pattern is the user's own, and stands in the report.
    reports("a<b>&\"\x01\xc3\xa9 -t 0", 4,
            PARTS("name=\"ocho wait a&#60;b&#62;&#38;&#34;???\"", "tests=\"1\""));
}

// ---- bash ----

// Completes the last of the words, sorted, one blank between; a shell's own words.
static char *completed(const char *words, const char *env) {
    auto_free char *script = xasprintf(
        "%s; COMP_WORDS=(%s/ocho %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "source <(%s/ocho completion bash) && _ocho && printf '%%s\\n' \"${COMPREPLY[@]}\" | "
        "sort | xargs echo -n",
        env, BUILD_DIR, words, BUILD_DIR);
    int out = temporary(), err = temporary(), status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execlp("bash", "bash", "--norc", "-c", script, NULL);
        _exit(127);
    }
    pump(waitpid(pid, &status, WNOHANG) == pid);
    char got[8192], why[2048];
    read_back(out, got, sizeof(got));
    read_back(err, why, sizeof(why));
    if (status || *why)
        fail_msg("bash: %d %s", status, why);
    return xstrdup(got);
}

static void completes(const char *words, const char *want) {
    auto_free char *got = completed(words, "unset OCHOPOD_ZK");
    if (strcmp(got, want) != 0)
        fail_msg("ocho %s: %s, not %s", words, got, want);
}

static void bash_completes_verbs_options_and_states(void **state) {
    (void)state;
    completes("va", "validate");
    completes("help heal", "health");
    completes("wait --f", "--for");
    completes("wait --for re", "ready");
    completes("off --fo", "--force");
    completes("ls --fo", "");
    completes("grep marath", ""); // no ZooKeeper is named: nobody is asked
    completes("validate " SOURCE_DIR "/CMakeL", SOURCE_DIR "/CMakeLists.txt");
    auto_free char *none = completed("grep m", "OCHOPOD_ZK=127.0.0.1:1");
    assert_string_equal(none, "");
}

static void names_of_clusters_are_offered(void **state) {
    (void)state;
    check("completion clusters" URL, 0, "marathon.zk\n", "");
    check("completion fish", 2, "", "bash or clusters");
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        test(a_report_has_a_case_for_each_pod),
        test(a_report_that_cannot_be_written_is_said_at_once),
        test(what_xml_cannot_say_is_escaped),
        test(bash_completes_verbs_options_and_states),
        test(names_of_clusters_are_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
