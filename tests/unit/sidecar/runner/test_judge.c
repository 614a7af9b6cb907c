// What the worker may have run: each of its own requests, and each that somebody would make in its
// place.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/portal/portal.h"
#include "sidecar/runner/serve.h"
#include <string.h>
#include <sys/wait.h>

static const char yaml[] =
    "cluster: db\n"
    "state_dir: /state\n"
    "workload: {image: a}\n"
    "probe: {run: [/bin/look, --all]}\n"
    "hooks:\n"
    "  configure: {run: [/bin/hook]}\n"
    "  finalize: {run: [/bin/echo, bye]}\n"
    "  signaled: {exec: [/bin/inside]}\n"
    "tools:\n"
    "  backup: {run: [/bin/backup, --to, /data]}\n"
    "files:\n"
    "- {target: /data/etc/app.cfg, content: x, validate: {run: [/bin/check, -f, \"{}\"]}}\n"
    "- {target: /data/b, content: y}\n";

#define OWN  "PATH=/usr/bin:/bin", "HOME=/root"
#define TOLD "OCHOPOD_NAMESPACE=marathon", "OCHOPOD_CLUSTER=db", "OCHOPOD_POD=p"
#define VIEW                                                                                       \
    "OCHOPOD_SEQ=3", "OCHOPOD_INDEX=0", "OCHOPOD_ORDINAL=1", "OCHOPOD_SIZE=2", "OCHOPOD_IP=::1"
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define STAGED    "/data/etc/.ochopod-1111_2222-0-0123456789abcdef"

static struct spec *spec;
static struct runner_setup setup = {.name = "judge-test", .sandbox = SANDBOX_RUNNER};

static int prepare(void **state) {
    (void)state;
    struct text report = {0};
    // The last two are none that a command is given, or has a word of its own for.
    static const char *const env[] = {OWN, "OCHOPOD_CLUSTER=db", "DB_PASSWORD=s3cret",
                                      "OCHOPOD_HOOK=none", NULL};
    if (spec_parse(yaml, strlen(yaml), "pod.yaml", NULL, NULL, (char *const *)env, &spec, &report,
                   NULL))
        fail_msg("%s", text_str(&report));
    text_done(&report);
    setup.spec = spec;
    return 0;
}

static int finish(void **state) {
    (void)state;
    spec_free(spec);
    return 0;
}

// ---- asking ----

static struct err asked(const char *cwd, const char *const *argv, const char *const *env) {
    const struct runner_hook hook = {.argv = argv, .env = env, .cwd = cwd};
    struct err err = ERR_INIT;
    int rc = judge_hook(&setup, &hook, &err);
    assert_int_equal(rc, err.kind == ERR_NONE ? 0 : -1);
    return err;
}

static void runs(const char *cwd, const char *const *argv, const char *const *env) {
    struct err err = asked(cwd, argv, env);
    if (err.kind != ERR_NONE)
        fail_msg("%s", err.text);
}

static void refuses(const char *cwd, const char *const *argv, const char *const *env,
                    const char *why) {
    struct err err = asked(cwd, argv, env);
    assert_int_equal(err.kind, ERR_REFUSED);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static const char *const hook_env[] = {OWN, TOLD, VIEW, "OCHOPOD_HOOK=configure", NULL};
static const char *const tool_env[] = {OWN, TOLD, "OCHOPOD_HOOK=backup", NULL};

// ---- what the pod asks for ----

static void what_the_spec_names_is_run(void **state) {
    (void)state;
    runs(NULL, LIST("/bin/hook"), hook_env);
    runs(NULL, LIST("/bin/hook"), LIST(OWN, TOLD, "OCHOPOD_HOOK=configure")); // before a round
    runs(NULL, LIST("/bin/echo", "bye"), LIST(OWN, TOLD, VIEW, "OCHOPOD_HOOK=finalize"));
    runs(NULL, LIST("/bin/look", "--all"), LIST(OWN, TOLD, VIEW, "OCHOPOD_HOOK=probe"));
}

static void a_tool_is_given_words_and_uploads(void **state) {
    (void)state;
    runs(NULL, LIST("/bin/backup", "--to", "/data"), tool_env);
    runs(NULL, LIST("/bin/backup", "--to", "/data", "now", "; rm"), tool_env);
    runs("/state/exec-aB3xYz", LIST("/bin/backup", "--to", "/data", "now"), tool_env);
}

static void a_validator_is_given_what_was_staged(void **state) {
    (void)state;
    runs(NULL, LIST("/bin/check", "-f", STAGED),
         LIST(OWN, TOLD, VIEW, "OCHOPOD_HOOK=validate", "OCHOPOD_FILE=" STAGED,
              "OCHOPOD_TARGET=/data/etc/app.cfg"));
    runs(NULL, LIST("/bin/check", "-f", "/dev/stdin"), // its target lies in no volume
         LIST(OWN, TOLD, "OCHOPOD_HOOK=validate", "OCHOPOD_FILE=/dev/stdin",
              "OCHOPOD_TARGET=/data/etc/app.cfg"));
}

// ---- what it does not ----

static void other_commands_are_refused(void **state) {
    (void)state;
    static const char why[] = "it is not what the spec runs";
    refuses(NULL, LIST("/bin/sh", "-c", "cp x /usr/bin/ocho"), hook_env, why);
    refuses(NULL, LIST("/bin/hook", "more"), hook_env, why);
    refuses(NULL, LIST("/bin/echo"), LIST(OWN, TOLD, "OCHOPOD_HOOK=finalize"), why);
    refuses(NULL, LIST("/bin/echo", "bye", "bye"), LIST(OWN, TOLD, "OCHOPOD_HOOK=finalize"), why);
    refuses(NULL, LIST("/bin/inside"), LIST(OWN, TOLD, "OCHOPOD_HOOK=signaled"), why);
    refuses(NULL, LIST("/bin/backup", "--to"), tool_env, why);
    refuses(NULL, LIST("/bin/backup", "--to", "/usr"), tool_env, why);
    refuses(NULL, LIST("/bin/look", "--all", "x"), LIST(OWN, TOLD, "OCHOPOD_HOOK=probe"), why);
    refuses(NULL, LIST("\n\x1b"), hook_env, "refuses to run \"\\n\\x1b\": it is not");
}

static const char *const *with(const char *pair) {
    static const char *list[] = {OWN, TOLD, VIEW, "OCHOPOD_HOOK=configure", NULL, NULL};
    list[sizeof list / sizeof *list - 2] = pair;
    return list;
}

static void other_variables_are_refused(void **state) {
    (void)state;
    static const char *const crooked[] = {
        "LD_PRELOAD=/state/x.so",
        "PATH=/state:/bin",
        "HOME=/state",
        "BASH_ENV=/state/x",
        "DB_PASSWORD=s3cret", // the worker never knew that it may
        "OCHOPOD_ZK=zk://there:2181",
        "OCHOPOD_HOOK=finalize",
        "OCHOPOD_SIZE=a[$(id)]",
        "OCHOPOD_SIZE=",
        ("OCHOPOD_FILE=" STAGED),
        "OCHOPOD_TARGET=/data/b",
        "OCHOPOD_TARGET",
        "=x",
        "",
    };
    for (size_t i = 0; i < sizeof crooked / sizeof *crooked; i++)
        refuses(NULL, LIST("/bin/hook"), with(crooked[i]), "it is not given such a variable");
    struct err err = asked(NULL, LIST("/bin/hook"), with("LD_PRELOAD=/state/x.so"));
    assert_string_equal(
        err.text, "refuses to run \"/bin/hook\": it is not given such a variable \"LD_PRELOAD\"");
    refuses(NULL, LIST("/bin/hook"), LIST("PATH=/usr/bin:/bin", TOLD, "OCHOPOD_HOOK=configure"),
            "it is to be given the variable \"HOME\"");
}

static void other_folders_are_refused(void **state) {
    (void)state;
    static const char *const crooked[] = {
        "/",     "/tmp",   "/state",    "/state/", "/state/exec-a/..", "/state/exec-a/b",
        "/stat", "exec-a", "/data/etc", ""};
    for (size_t i = 0; i < sizeof crooked / sizeof *crooked; i++)
        refuses(crooked[i], LIST("/bin/backup", "--to", "/data"), tool_env, "it is not run in");
    refuses("/state/exec-aB3xYz", LIST("/bin/hook"), hook_env, "it is not run in"); // no tool
}

static void a_validator_looks_at_nothing_else(void **state) {
    (void)state;
    static const char *const crooked[] = {
        "{}",
        "/etc/shadow",
        "/data/etc/app.cfg",
        "/data/etc/.ochopod-",
        "/data/etc/.ochopod-1/../../x",
        "/data/etc/x/.ochopod-1-0-a",
        "/data/.ochopod-1-0-a",
        "/data/etc/.ochopod-1 -x",
    };
    for (size_t i = 0; i < sizeof crooked / sizeof *crooked; i++) {
        auto_free char *file = xasprintf("OCHOPOD_FILE=%s", crooked[i]);
        refuses(NULL, LIST("/bin/check", "-f", crooked[i]),
                LIST(OWN, TOLD, "OCHOPOD_HOOK=validate"), "it is not what the spec runs");
        refuses(NULL, LIST("/bin/check", "-f", STAGED),
                LIST(OWN, TOLD, "OCHOPOD_HOOK=validate", file), "it is not given such a variable");
    }
    refuses(NULL, LIST("/bin/check", "-f", STAGED),
            LIST(OWN, TOLD, "OCHOPOD_HOOK=validate", "OCHOPOD_TARGET=/data/b"),
            "it is not given such a variable");
}

// ---- the portal's ----

static void judge_portal(const struct runner_program *program) {
    setup.program = program;
    const char *const *env = LIST("PATH=/bin", "MARATHON_MASTER=m", "OCHOPOD_TOKEN_FILE=/run/t",
                                  "OCHOPOD_ZK=zk://z");
    const char *dir = "/state/exec-aB3xYz";
    runs(dir, LIST("/usr/bin/ocho"), env);
    runs(dir, LIST("/usr/bin/ocho", "ls", "-j", "*"), env);
    refuses(dir, LIST("/bin/sh", "ls"), env, "it is not what the portal runs");
    refuses(dir, LIST("ocho", "ls"), env, "it is not what the portal runs");
    refuses(dir, LIST("/bin/hook"), env, "it is not what the portal runs");
    refuses(NULL, LIST("/usr/bin/ocho"), env, "it is run in no folder of its own");
    refuses("/tmp", LIST("/usr/bin/ocho"), env, "it is not run in \"/tmp\"");
    refuses(dir, LIST("/usr/bin/ocho"),
            LIST("PATH=/bin", "MARATHON_MASTER=m", "OCHOPOD_TOKEN_FILE=/run/t", "OCHOPOD_ZK=zk://z",
                 "LD_PRELOAD=x"),
            "it is not given such a variable \"LD_PRELOAD\"");
    refuses(
        dir, LIST("/usr/bin/ocho"),
        LIST("PATH=/state", "MARATHON_MASTER=m", "OCHOPOD_TOKEN_FILE=/run/t", "OCHOPOD_ZK=zk://z"),
        "it is not given such a variable \"PATH\"");
    refuses(dir, LIST("/usr/bin/ocho"), LIST("PATH=/bin", "MARATHON_MASTER=m", "OCHOPOD_ZK=zk://z"),
            "it is to be given the variable \"OCHOPOD_TOKEN_FILE\"");
    setup.program = NULL;
}

static void the_portal_runs_one_program(void **state) {
    (void)state;
    char *const env[] = {(char *)"PATH=/bin", (char *)"DB_PASSWORD=s3cret",
                         (char *)"MARATHON_MASTER=m", NULL};
    struct portal_config config = {.env = env, .zk = "zk://z", .token_file = "/run/t"};
    struct runner_program program = {.path = (char *)"/usr/bin/ocho",
                                     .env = portal_environment(&config)};
    judge_portal(&program);
    text_list_free(program.env);
    config.zk = NULL; // the binding will say it
    program.env = portal_environment(&config);
    program.open[0].begin = (char *)"OCHOPOD_ZK=";
    judge_portal(&program);
    text_list_free(program.env);
}

static void of_an_address_only_the_port_is_open(void **state) {
    (void)state;
    char *const env[] = {(char *)"PATH=/bin", NULL};
    const struct runner_program program = {.path = (char *)"/usr/bin/ocho",
                                           .env = (char **)env,
                                           .open = {{(char *)"OCHOPOD_URL=http://127.0.0.1:", true},
                                                    {(char *)"OCHOPOD_TLS_NAME=", false}}};
    setup.program = &program;
    runs("/state/exec-a", LIST("/usr/bin/ocho"),
         LIST("PATH=/bin", "OCHOPOD_URL=http://127.0.0.1:31080"));
    runs("/state/exec-a", LIST("/usr/bin/ocho"),
         LIST("PATH=/bin", "OCHOPOD_URL=http://127.0.0.1:31080", "OCHOPOD_TLS_NAME=marathon.zk"));
    refuses("/state/exec-a", LIST("/usr/bin/ocho"),
            LIST("PATH=/bin", "OCHOPOD_URL=http://127.0.0.1:1@there:80"), "\"OCHOPOD_URL\"");
    refuses("/state/exec-a", LIST("/usr/bin/ocho"), LIST("PATH=/bin", "OCHOPOD_ZK=zk://there"),
            "\"OCHOPOD_ZK\"");
    setup.program = NULL;
}

// ---- the process itself ----

static struct {
    int code;
    struct err err;
    char out[64];
} seen;
static struct loop *loop;

static void on_ended(int code, const char *out, const char *said, const struct err *err,
                     void *arg) {
    (void)said;
    (void)arg;
    seen.code = code;
    seen.err = *err;
    snprintf(seen.out, sizeof seen.out, "%s", out);
    loop_quit(loop);
}

static void ask(struct runner *runner, const char *const *argv, const char *const *env) {
    const struct runner_hook hook = {.argv = argv, .env = env, .timeout_ms = 30000};
    runner_hook(runner, &hook, on_ended, NULL);
    loop_run(loop);
}

static void the_runner_judges_before_it_runs(void **state) {
    (void)state;
    static const struct runner_function none[] = {{0}};
    struct runner *runner;
    setup.functions = none;
    assert_int_equal(runner_start(&setup, &runner, NULL), 0);
    loop = loop_create();
    runner_attach(runner, loop);
    ask(runner, LIST("/bin/echo", "bye"), LIST(OWN, TOLD, "OCHOPOD_HOOK=finalize"));
    assert_int_equal(seen.err.kind, ERR_NONE);
    assert_string_equal(seen.out, "bye\n");
    ask(runner, LIST("/bin/echo", "hello"), LIST(OWN, TOLD, "OCHOPOD_HOOK=finalize"));
    assert_int_equal(seen.err.kind, ERR_REFUSED);
    assert_string_equal(seen.err.text,
                        "refuses to run \"/bin/echo\": it is not what the spec runs");
    assert_string_equal(seen.out, "");
    pid_t pid = runner_pid(runner);
    runner_stop(runner);
    loop_free(loop);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_spec_names_is_run),
        cmocka_unit_test(a_tool_is_given_words_and_uploads),
        cmocka_unit_test(a_validator_is_given_what_was_staged),
        cmocka_unit_test(other_commands_are_refused),
        cmocka_unit_test(other_variables_are_refused),
        cmocka_unit_test(other_folders_are_refused),
        cmocka_unit_test(a_validator_looks_at_nothing_else),
        cmocka_unit_test(the_portal_runs_one_program),
        cmocka_unit_test(of_an_address_only_the_port_is_open),
        cmocka_unit_test(the_runner_judges_before_it_runs),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
