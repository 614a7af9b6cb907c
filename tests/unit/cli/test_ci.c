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

// An interactive bash on a terminal, as a person has it: `keys` are typed when it is ready. Answers
// what its line is then.
static char rc[128];

static void write_rc(const char *more) {
    snprintf(rc, sizeof(rc), "%s/rc", dir);
    auto_file FILE *f = fopen(rc, "we");
    assert_non_null(f);
    fprintf(f,
            "unset OCHOPOD_ZK ochopod_zk OCHOPOD_URL PROMPT_COMMAND\nPATH=%s:$PATH\n"
            "source <(ocho completion bash)\ncd %s\n%s\n"
            "bind -x '\"\\C-g\": printf \"LINE<%%s>END\" \"$READLINE_LINE\"'\nPS1='ready> '\n",
            BUILD_DIR, SOURCE_DIR, more);
}

static pid_t start_bash(int master) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    setsid();
    int slave = open(ptsname(master), O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(slave, fd);
    setenv("INPUTRC", "/dev/null", 1);
    setenv("TERM", "dumb", 1);
    execlp("bash", "bash", "--noprofile", "--rcfile", rc, "-i", NULL);
    _exit(127);
}

static bool has_said(int master, char *seen, size_t size, const char *part) {
    size_t len = strlen(seen);
    ssize_t n = read(master, seen + len, size - len - 1);
    if (n > 0)
        seen[len + (size_t)n] = '\0';
    return strstr(seen, part);
}

static char *typed(const char *more, const char *keys) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), status;
    char seen[16384] = "";
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    write_rc(more);
    pid_t pid = start_bash(master);
    pump(has_said(master, seen, sizeof(seen), "ready> "));
    dprintf(master, "%s\x07", keys);
    pump(has_said(master, seen, sizeof(seen), ">END"));
    kill(pid, SIGKILL);
    pump(waitpid(pid, &status, WNOHANG) == pid);
    close(master);
    unlink(rc);
    const char *line = strstr(seen, "LINE<");
    assert_non_null(line);
    line += strlen("LINE<");
    return xasprintf("%.*s", (int)(strstr(line, ">END") - line), line);
}

static void completes_with(const char *more, const char *words, const char *want) {
    auto_free char *keys = xasprintf("ocho %s\t", words);
    auto_free char *got = typed(more, keys), *line = xasprintf("ocho %s", want);
    if (strcmp(got, line) != 0)
        fail_msg("ocho %s: %s, not %s", words, got, line);
}

static void completes(const char *words, const char *want) {
    completes_with("", words, want);
}

static void bash_completes_verbs_options_and_words(void **state) {
    (void)state;
    completes("va", "validate ");
    completes("help heal", "help health ");
    completes("wait --f", "wait --for ");
    completes("wait --for re", "wait --for ready ");
    completes("wait --for=re", "wait --for=ready ");
    completes("deploy --pull al", "deploy --pull always ");
    completes("off --fo", "off --force ");
    completes("ls --fo", "ls --fo");
    completes("deploy -n CMakeL", "deploy -n CMakeL"); // a name, and no file
}

static void bash_completes_files(void **state) {
    (void)state;
    static const char *const lines[] = {
        "validate ",           "deploy ",          "deploy a.yml ",          "deploy -o ",
        "deploy --overrides=", "wait zk --junit ", "render a.yml --cluster "};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        auto_free char *begun = xasprintf("%sCMakeL", lines[i]);
        auto_free char *want = xasprintf("%sCMakeLists.txt ", lines[i]);
        completes(begun, want);
    }
}

// The words that bash has cut at : and @ come to the program as they were typed.
static void bash_completes_names_of_clusters(void **state) {
    (void)state;
    static const char *const where[] = {"--zk h:2181", "--zk zk://u:p@h:2181,i:2181/x",
                                        "--zk=h:2181", "--url http://h:8080"};
    completes("grep marath", "grep marath"); // nothing says where: nobody is asked
    completes_with("OCHOPOD_ZK=127.0.0.1:1", "grep marath", "grep marath");
    for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        auto_free char *program = xasprintf(
            "ocho() { [ \"$*\" != 'completion clusters %s' ] || echo marathon.zk; }", where[i]);
        auto_free char *begun = xasprintf("grep %s mara", where[i]);
        auto_free char *want = xasprintf("grep %s marathon.zk ", where[i]);
        completes_with(program, begun, want);
    }
    auto_free char *url = xasprintf("export OCHOPOD_URL=http://127.0.0.1:%d", it.port);
    completes_with(url, "grep mara", "grep marathon.zk ");
    completes_with(url, "off z", "off zk ");
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
        test(bash_completes_verbs_options_and_words),
        test(bash_completes_files),
        test(bash_completes_names_of_clusters),
        test(names_of_clusters_are_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
