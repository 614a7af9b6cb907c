// POST /shell over a real runner; what it executes as `ocho` is a script of the test.
#include "tests/unit/sidecar/control/harness.h"

#include "sidecar/portal/signature.h"
#include "sidecar/runner/runner.h"
#include <signal.h>
#include <sys/stat.h>

static const char SCRIPT[] =
    "#!/bin/sh\n"
    "case \"$1\" in\n"
    "args) for a in \"$@\"; do printf '[%s]' \"$a\"; done; echo; echo; echo noise >&2;;\n"
    "fail) echo partial; echo why >&2; exit 3;;\n"
    "env) env | sort;;\n"
    "files) for f in *; do echo \"$f=$(cat \"$f\")\"; done;;\n"
    "much) head -c 5000000 /dev/zero | tr '\\0' x;;\n"
    "bytes) printf '\\377 ok';;\n"
    "hang) echo begun; echo $$ >\"$HOME/pid\"; exec sleep 1000;;\n"
    "*) [ $# -gt 0 ] && echo \"ocho: no such verb: $1\" >&2; exit 2;;\n"
    "esac\n";

static char place[64];
static struct runner *runner;
static const char *token;

static struct portal *make(struct loop *loop) {
    auto_free char *ocho = xasprintf("%s/ocho", place);
    auto_free char *home = xasprintf("HOME=%s", place);
    char path[] = "PATH=/usr/bin:/bin", secret[] = "DB_PASSWORD=s3cret", spec[] = "OCHOPOD_SPEC=x",
         master[] = "MARATHON_MASTER=m:8080", app[] = "MARATHON_APP_ID=/a";
    char *env[] = {path, home, secret, spec, master, app, NULL};
    runner_attach(runner, loop);
    return portal_create(loop, runner,
                         &(struct portal_config){.ocho = ocho,
                                                 .env = env,
                                                 .zk = "zk://u:p@h:2181",
                                                 .url = "http://127.0.0.1:8080",
                                                 .token = token,
                                                 .state_dir = place});
}

static int prepare(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    static const struct runner_function none[] = {{0}};
    strcpy(place, "/tmp/ochopod-shell-XXXXXX");
    assert_non_null(mkdtemp(place));
    auto_free char *ocho = xasprintf("%s/ocho", place);
    FILE *f = fopen(ocho, "w");
    assert_true(f && fputs(SCRIPT, f) >= 0 && fchmod(fileno(f), 0755) == 0 && fclose(f) == 0);
    make_portal = make;
    static const struct runner_setup how = {
        .name = "portal-test", .functions = none, .sandbox = SANDBOX_PORTAL};
    return runner_start(&how, &runner, &err);
}

static int finish(void **state) {
    (void)state;
    runner_stop(runner);
    auto_free char *line = xasprintf("rm -r %s", place);
    return system(line);
}

static int setup_signed(void **state) {
    token = "hush";
    int rc = setup(state);
    token = NULL;
    return rc;
}

// ---- asking ----

static json_t *shell_with(const char *line, const char *more, const char *body) {
    auto_free char *head = xasprintf("POST /shell\r\nX-Shell: %s%s%s", line, *more ? "\r\n" : "",
                                     more);
    struct reply r = ask_body(head, body, strlen(body));
    if (r.status != 200)
        fail_msg("%d %s", r.status, r.body);
    assert_non_null(strstr(r.head, "application/json; charset=utf-8"));
    json_t *answer = json_loads(r.body, 0, NULL);
    assert_true(json_is_real(json_object_get(answer, "ms")));
    return answer;
}

static void says(const char *line, bool ok, const char *out) {
    auto_json json_t *answer = shell_with(line, "", "");
    assert_string_equal(json_text(answer, "out"), out);
    assert_int_equal(json_is_true(json_object_get(answer, "ok")), ok);
}

// ---- claims ----

static void a_command_is_run_and_its_output_comes_back(void **state) {
    (void)state;
    says("args -j '*'", true, "[args][-j][*]");
    says("fail", false, "partial\nwhy");
    says("nope", false, "ocho: no such verb: nope");
    auto_json json_t *answer = shell_with("fail", "", "");
    assert_int_equal(json_integer_value(json_object_get(answer, "code")), 3);
    assert_string_equal(json_text(answer, "stdout"), "partial");
    assert_string_equal(json_text(answer, "stderr"), "why");
    says("bytes", true, "\xef\xbf\xbd ok");
}

static void no_shell_sees_the_line(void **state) {
    (void)state;
    auto_free char *mark = xasprintf("%s/mark", place);
    auto_free char *line = xasprintf("args ; touch %s `touch %s` $(touch %s) | touch %s && $HOME",
                                     mark, mark, mark, mark);
    auto_free char *wanted = xasprintf("[args][;][touch][%s][`touch][%s`][$(touch][%s)][|][touch]"
                                       "[%s][&&][$HOME]",
                                       mark, mark, mark, mark);
    says(line, true, wanted);
    auto_free char *alone = xasprintf("; touch %s", mark);
    says(alone, false, "ocho: no such verb: ;");
    assert_int_equal(access(mark, F_OK), -1);
    says("args 'a", false, "failure -> a quote is not closed");
}

static void only_what_is_needed_is_passed_on(void **state) {
    (void)state;
    auto_json json_t *answer = shell_with("env", "", "");
    const char *env = json_text(answer, "out");
    assert_non_null(strstr(env, "OCHOPOD_ZK=zk://u:p@h:2181"));
    assert_non_null(strstr(env, "MARATHON_MASTER=m:8080"));
    assert_non_null(strstr(env, "HOME=/tmp/"));
    assert_null(strstr(env, "s3cret"));
    assert_null(strstr(env, "OCHOPOD_SPEC"));
    assert_null(strstr(env, "MARATHON_APP_ID"));
}

#define MULTI "Content-Type: multipart/form-data; boundary=B"

static void uploads_lie_in_a_folder_of_their_own(void **state) {
    (void)state;
    static const char body[] =
        "--B\r\nContent-Disposition: form-data; name=\"web.yml\"; filename=\"web.yml\"\r\n\r\n"
        "a: 1\r\n"
        "--B\r\nContent-Disposition: form-data; name=\"x.yml\"; filename=\"/tmp/../-\"\r\n\r\n"
        "b: 2\r\n--B--\r\n";
    auto_json json_t *answer = shell_with("files", MULTI, body);
    assert_string_equal(json_text(answer, "out"), "_=b: 2\nweb.yml=a: 1\nx.yml=b: 2");
    says("files", true, "*=");
}

static void a_broken_body_is_told(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "junk", "--B\r\n", "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        auto_json json_t *answer = shell_with("files", MULTI, bodies[i]);
        assert_true(json_is_false(json_object_get(answer, "ok")));
        assert_true(text_starts(json_text(answer, "out"), "unexpected failure -> "));
    }
    auto_json json_t *answer = shell_with("files", "Content-Type: text/plain", "x");
    assert_string_equal(json_text(answer, "out"),
                        "unexpected failure -> files come as multipart/form-data");
}

static void the_header_must_be_there(void **state) {
    (void)state;
    struct reply r = ask("POST /shell");
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"out\":\"failure -> X-Shell header missing\""));
    assert_int_equal(ask("GET /shell").status, 405);
}

static void a_token_wants_a_signature(void **state) {
    (void)state;
    char good[SIGNATURE_LEN + 1];
    signature_make("hush", "args 1", good);
    says("args 1", false, "failure -> signature missing (make sure you define $OCHOPOD_TOKEN)");
    auto_free char *right = xasprintf("X-Signature: %s", good);
    auto_json json_t *answer = shell_with("args 1", right, "");
    assert_string_equal(json_text(answer, "out"), "[args][1]");
    auto_json json_t *other = shell_with("args 2", right, "");
    assert_string_equal(json_text(other, "out"),
                        "failure -> SHA1 signature mismatch (check your token)");
    auto_json json_t *env = shell_with("args 1", "X-Signature: sha1=", "");
    assert_true(json_is_false(json_object_get(env, "ok")));
}

static void too_much_output_is_cut(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /shell HTTP/1.1\r\nHost: x\r\nX-Shell: much\r\nContent-Length: 0\r\n\r\n");
    pump((receive(&c), reply_len(&c)));
    assert_true(c.got.len > 2 * PORTAL_OUTPUT && c.got.len < 2 * PORTAL_OUTPUT + 2000);
    assert_non_null(strstr(c.got.s, "(cut here: that was too much)"));
    drop_client(&c);
}

static pid_t hanging(void) {
    auto_free char *path = xasprintf("%s/pid", place);
    int pid = 0;
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    if (pid)
        unlink(path);
    return pid;
}

static void time_is_bounded(void **state) {
    (void)state;
    auto_json json_t *answer = shell_with("hang", "X-Ochopod-Budget-Ms: 10000", "");
    assert_true(json_is_false(json_object_get(answer, "ok")));
    assert_true(text_starts(json_text(answer, "out"), "begun\nfailure -> "));
    assert_non_null(strstr(json_text(answer, "out"), "did not end in time"));
    pid_t pid = hanging();
    assert_true(pid > 0 && kill(pid, 0) != 0);
}

static pid_t hang_in(struct client *c) {
    pid_t pid = 0;
    connect_client(c);
    send_text(c, "POST /shell HTTP/1.1\r\nHost: x\r\nX-Shell: hang\r\nContent-Length: 0\r\n\r\n");
    pump((pid = hanging()) > 0);
    return pid;
}

static void a_client_that_leaves_ends_its_command(void **state) {
    (void)state;
    struct client c;
    pid_t pid = hang_in(&c);
    assert_int_equal(kill(pid, 0), 0);
    drop_client(&c);
    pump(kill(pid, 0) != 0 && errno == ESRCH);
}

static void so_many_run_at_once(void **state) {
    (void)state;
    struct client c[PORTAL_AT_ONCE];
    pid_t pids[PORTAL_AT_ONCE];
    for (int i = 0; i < PORTAL_AT_ONCE; i++)
        pids[i] = hang_in(&c[i]);
    says("args", false, "failure -> 8 commands are running, try again later");
    drop_client(&c[0]);
    pump(kill(pids[0], 0) != 0);
    says("args", true, "[args]");
    for (int i = 1; i < PORTAL_AT_ONCE; i++)
        drop_client(&c[i]);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_command_is_run_and_its_output_comes_back),
        TEST(no_shell_sees_the_line),
        TEST(only_what_is_needed_is_passed_on),
        TEST(uploads_lie_in_a_folder_of_their_own),
        TEST(a_broken_body_is_told),
        TEST(the_header_must_be_there),
        cmocka_unit_test_setup_teardown(a_token_wants_a_signature, setup_signed, teardown),
        TEST(too_much_output_is_cut),
        TEST(time_is_bounded),
        TEST(a_client_that_leaves_ends_its_command),
        TEST(so_many_run_at_once),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
