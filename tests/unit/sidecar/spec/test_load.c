#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/spec/spec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A folder of its own for each test, with the template that the examples name.
struct place {
    char folder[64];
};

static void put(const char *folder, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
    struct place *p = xnew(struct place);
    strcpy(p->folder, "/tmp/ocho-spec-XXXXXX");
    if (!mkdtemp(p->folder))
        return -1;
    put(p->folder, "zoo.cfg.tmpl", "clientPort={{ port(2181) }}\n");
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    char *cmd = xasprintf("rm -rf %s", p->folder);
    int rc = system(cmd); // NOLINT
    free(cmd);
    free(p);
    return rc;
}

static struct spec *must_load(const char *text, const char *folder, const char *const *env,
                              const struct spec_flags *flags) {
    struct spec *spec = NULL;
    struct text report = {0};
    struct err err = ERR_INIT;
    int rc = spec_parse(text, strlen(text), "pod.yaml", folder, flags, (char *const *)env, &spec,
                        &report, &err);
    if (rc)
        print_message("%s", text_str(&report));
    assert_int_equal(rc, 0);
    text_done(&report);
    return spec;
}

static const char example[] =
    "cluster: zookeeper\n"
    "namespace: marathon\n"
    "zk: zk://zk1:2181,zk2:2181/\n"
    "port: 8080\n"
    "listen: 0.0.0.0\n"
    "state_dir: /var/lib/ochopod\n"
    "depends_on: [kafka, /shared.db, \"web-*\"]\n"
    "needs: {pods: 3, kafka: 1}\n"
    "damper: 5s\n"
    "sequential: false\n"
    "full_shutdown: false\n"
    "grace: 60s\n"
    "probe: {every: 60s, run: [/bin/probe, -v]}\n"
    "workload:\n"
    "  image: zookeeper:3.9\n"
    "  command: [zkServer.sh, start-foreground]\n"
    "  environment: {ZOO_MY_ID: \"{{ ordinal }}\", N: 5, B: true}\n"
    "  volumes: [/data]\n"
    "  lifetime: coupled\n"
    "  restart: always\n"
    "  strict: true\n"
    "  limits: {memory: 512m, cpus: 0.5, pids: 100, ulimits: {nofile: 65536}}\n"
    "  stop: {signal: SIGINT, grace: 20s, soft: false}\n"
    "  ready: {tcp: 2181, send: srvr, expect: \"Mode: \", timeout: 30s}\n"
    "  check: {http: \":8081/healthz\", every: 10s, timeout: 3s, retries: 3}\n"
    "  on_change: {signal: HUP}\n"
    "files:\n"
    "  - target: /conf/zoo.cfg\n"
    "    template: zoo.cfg.tmpl\n"
    "    mode: \"0640\"\n"
    "    owner: \"1000:1001\"\n"
    "    validate: {exec: [zkcheck]}\n"
    "  - target: /data/myid\n"
    "    content: |\n"
    "      {{ ordinal }}\n"
    "hooks:\n"
    "  initialize: {run: [/hooks/init]}\n"
    "  configured: {exec: [touch, /x], timeout: 5s}\n"
    "  sanity_check: {exec: [metrics], every: 10s}\n"
    "tools:\n"
    "  backup: {exec: [/backup, --all]}\n";

static void check_top(const struct spec *s) {
    assert_string_equal(s->source, "pod.yaml");
    assert_string_equal(s->cluster, "zookeeper");
    assert_string_equal(s->namespace_, "marathon");
    assert_string_equal(s->zk, "zk://zk1:2181,zk2:2181/");
    assert_string_equal(s->depends_on[2], "web-*");
    assert_int_equal(s->needs_len, 2);
    assert_string_equal(s->needs[1].what, "kafka");
    assert_int_equal(s->needs[0].n, 3);
    assert_int_equal(s->probe.every, 60000);
    assert_int_equal(s->probe.action.kind, ACTION_RUN);
    assert_string_equal(s->probe.action.argv[1], "-v");
}

static void check_workload(const struct spec_workload *w) {
    assert_string_equal(w->image, "zookeeper:3.9");
    assert_string_equal(w->command[1], "start-foreground");
    assert_string_equal(json_text(w->environment, "ZOO_MY_ID"), "{{ ordinal }}");
    assert_string_equal(json_text(w->environment, "N"), "5");
    assert_string_equal(json_text(w->environment, "B"), "true");
    assert_int_equal(w->restart, RESTART_ALWAYS);
    assert_true(w->strict);
    assert_int_equal(w->limits.memory, 512 << 20);
    assert_int_equal(w->limits.nano_cpus, 500000000);
    assert_int_equal(w->limits.pids, 100);
    char *ulimits = json_write(w->limits.ulimits);
    assert_string_equal(ulimits, "[{\"Name\":\"nofile\",\"Soft\":65536,\"Hard\":65536}]");
    free(ulimits);
    assert_string_equal(w->stop.signal, "INT");
    assert_int_equal(w->stop.grace, 20000);
    assert_true(w->stop.grace_given);
    assert_int_equal(w->on_change.kind, CHANGE_SIGNAL);
    assert_string_equal(w->on_change.signal, "HUP");
}

static void check_checks(const struct spec_workload *w) {
    assert_int_equal(w->ready.kind, CHECK_TCP);
    assert_int_equal(w->ready.port, 2181);
    assert_string_equal(w->ready.send, "srvr");
    assert_string_equal(w->ready.expect, "Mode: ");
    assert_int_equal(w->ready.every, 250);
    assert_int_equal(w->ready.timeout, 30000);
    assert_int_equal(w->check.kind, CHECK_HTTP);
    assert_int_equal(w->check.port, 8081);
    assert_string_equal(w->check.path, "/healthz");
    assert_int_equal(w->check.retries, 3);
}

static void check_files(const struct spec *s) {
    assert_int_equal(s->files_len, 2);
    assert_string_equal(s->files[0].target, "/conf/zoo.cfg");
    assert_string_equal(s->files[0].content, "clientPort={{ port(2181) }}\n");
    assert_string_equal(s->files[0].source, "zoo.cfg.tmpl");
    assert_int_equal(s->files[0].mode, 0640);
    assert_int_equal(s->files[0].uid, 1000);
    assert_int_equal(s->files[0].gid, 1001);
    assert_int_equal(s->files[0].validate.kind, ACTION_EXEC);
    assert_string_equal(s->files[1].content, "{{ ordinal }}\n");
    assert_string_equal(s->files[1].source, "pod.yaml files[1].content");
    assert_int_equal(s->files[1].mode, 0644);
    assert_int_equal(s->files[1].validate.kind, ACTION_NONE);
}

static void the_example_is_read_whole(void **state) {
    struct place *p = *state;
    struct spec *s = must_load(example, p->folder, NULL, NULL);
    check_top(s);
    check_workload(&s->workload);
    check_checks(&s->workload);
    check_files(s);
    assert_int_equal(s->hooks[HOOK_INITIALIZE].kind, ACTION_RUN);
    assert_int_equal(s->hooks[HOOK_INITIALIZE].timeout, 30000);
    assert_int_equal(s->hooks[HOOK_CONFIGURED].timeout, 5000);
    assert_int_equal(s->hooks[HOOK_FINALIZE].kind, ACTION_NONE);
    assert_int_equal(s->sanity_every, 10000);
    assert_string_equal(spec_tool(s, "backup")->action.argv[1], "--all");
    assert_null(spec_tool(s, "shell"));
    spec_free(s);
}

static void what_is_left_out_has_its_default(void **state) {
    (void)state;
    struct spec *s = must_load("workload: {image: a}", NULL, NULL, NULL);
    assert_null(s->cluster);
    assert_null(s->namespace_);
    assert_null(s->zk);
    assert_null(s->binding);
    assert_int_equal(s->port, 8080);
    assert_string_equal(s->listen, "0.0.0.0");
    assert_string_equal(s->state_dir, "/var/lib/ochopod");
    assert_int_equal(s->session, 10000);
    assert_int_equal(s->damper, 5000);
    assert_int_equal(s->grace, 60000);
    assert_int_equal(s->probe.action.kind, ACTION_NONE);
    assert_true(s->start);
    assert_false(s->debug);
    assert_false(s->local);
    assert_null(s->workload.command);
    assert_int_equal(json_object_size(s->workload.environment), 0);
    assert_string_equal(s->workload.stop.signal, "TERM");
    assert_int_equal(s->workload.stop.grace, 60000);
    assert_false(s->workload.stop.grace_given);
    assert_int_equal(s->workload.ready.kind, CHECK_NONE);
    assert_int_equal(s->workload.on_change.kind, CHANGE_RESTART);
    assert_int_equal(s->workload.lifetime, LIFETIME_COUPLED);
    assert_int_equal(s->workload.restart, RESTART_ON_FAILURE);
    assert_int_equal(json_object_size(s->settings), 0);
    spec_free(s);
}

static void sequential_is_a_flag_or_updates(void **state) {
    (void)state;
    static const struct {
        const char *said;
        bool sequential, together;
    } cases[] = {
        {"", false, false},
        {"sequential: false\n", false, false},
        {"sequential: true\n", true, false},
        {"sequential: updates\n", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_free char *text = xasprintf("workload: {image: a}\n%s", cases[i].said);
        struct spec *s = must_load(text, NULL, NULL, NULL);
        assert_int_equal(s->sequential, cases[i].sequential);
        assert_int_equal(s->together, cases[i].together);
        spec_free(s);
    }
}

static void json_is_read_as_well(void **state) {
    (void)state;
    struct spec *s = must_load("{\"cluster\": \"a\",\n\t\"workload\": {\"image\": \"b\", "
                               "\"command\": [\"sh\", \"-c\", \"exit 0\"], \"strict\": true}}\n",
                               NULL, NULL, NULL);
    assert_string_equal(s->cluster, "a");
    assert_string_equal(s->workload.command[2], "exit 0");
    assert_true(s->workload.strict);
    spec_free(s);
}

static void a_container_is_adopted(void **state) {
    (void)state;
    struct spec *s = must_load("workload:\n"
                               "  container: {service: app}\n"
                               "  address: 10.0.0.7\n"
                               "  hold: true\n"
                               "  restart: always\n"
                               "  ready: {tcp: 8080}\n", // its own ports are not ours
                               NULL, NULL, NULL);
    assert_null(s->workload.image);
    assert_string_equal(s->workload.container.service, "app");
    assert_string_equal(s->workload.address, "10.0.0.7");
    assert_true(s->workload.hold);
    spec_free(s);
}

static const char *const environment[] = {"ochopod_cluster=from-env",
                                          "OCHOPOD_PORT=9000",
                                          "OCHOPOD_NAMESPACE=n-env",
                                          "ochopod_zk=",
                                          "OCHOPOD_STATE_DIR=/state",
                                          "ochopod_debug=true",
                                          "ochopod_start=false",
                                          "OCHOPOD_LOCAL=true",
                                          "OCHOPOD_TASK=task.1",
                                          "ochopod_application=app/x",
                                          "DOCKER_HOST=tcp://1.2.3.4:1",
                                          "OCHOPOD_BINDING=compose",
                                          "OCHOPOD_LISTEN=::1",
                                          "pod={\"tick\": 2000}",
                                          "DB_PASSWORD=x",
                                          "HOME=/root",
                                          "OTHER_ZK=zk://u:p@h:1",
                                          NULL};

static void flags_win_over_environment_over_file(void **state) {
    (void)state;
    struct spec_flags flags = {.cluster = "from-flag", .port = -1, .holder_image = "h:1"};
    struct spec *s = must_load("cluster: from-file\nzk: a:1\nport: 1\nworkload: {image: a}\n", NULL,
                               environment, &flags);
    assert_string_equal(s->cluster, "from-flag");
    assert_string_equal(s->namespace_, "n-env");
    assert_string_equal(s->zk, "a:1"); // an empty variable says nothing
    assert_int_equal(s->port, 9000);
    assert_string_equal(s->state_dir, "/state");
    assert_true(s->debug);
    assert_false(s->start);
    assert_true(s->local);
    assert_string_equal(s->task, "task.1");
    assert_string_equal(s->application, "app/x");
    assert_string_equal(s->docker_host, "tcp://1.2.3.4:1");
    assert_string_equal(s->binding, "compose");
    assert_string_equal(s->listen, "::1");
    assert_string_equal(s->holder_image, "h:1");
    assert_int_equal(json_integer_value(json_object_get(s->settings, "tick")), 2000);
    spec_free(s);
}

static void templates_see_no_secrets(void **state) {
    (void)state;
    struct spec *s = must_load("workload: {image: a}\n", NULL, environment, NULL);
    assert_string_equal(json_text(s->environment_, "HOME"), "/root");
    assert_null(json_object_get(s->environment_, "DB_PASSWORD"));
    assert_null(json_object_get(s->environment_, "OTHER_ZK"));
    spec_free(s);
}

// What a hook or a workload says of its own accord.
static void nor_does_anybody_who_reads_what_was_said(void **state) {
    (void)state;
    static const char *const said[] = {"X_PASSWORD=from-the-environment", "Y_PASSWORD=short",
                                       "Z_TOKEN_FILE=/run/secrets/token", "PLAIN=not-a-secret",
                                       NULL};
    struct spec *s = must_load("workload: {image: a, environment: {DB_SECRET: from-the-spec}}\n",
                               NULL, said, NULL);
    char line[] = "from-the-environment from-the-spec short /run/secrets/token not-a-secret";
    log_hide_said(line);
    assert_string_equal(line, "*** *** short /run/secrets/token not-a-secret");
    char ours[] = "our cluster is from-the-spec"; // it may be a word
    log_hide(ours);
    assert_string_equal(ours, "our cluster is from-the-spec");
    spec_free(s);
}

static void the_text_may_stand_in_the_environment(void **state) {
    struct place *p = *state;
    struct err err = ERR_INIT;
    struct spec *s = NULL;
    const char *text[] = {"OCHOPOD_SPEC=workload: {image: a}", NULL};
    assert_int_equal(spec_load(NULL, (char *const *)text, &s, NULL, &err), 0);
    assert_string_equal(s->source, "OCHOPOD_SPEC");
    assert_null(json_object_get(s->environment_, "OCHOPOD_SPEC"));
    spec_free(s);

    put(p->folder, "p.yaml",
        "cluster: c\nworkload: {image: a}\n"
        "files: [{target: /a, template: zoo.cfg.tmpl}]\n");
    char *var = xasprintf("ochopod_spec=%s/p.yaml", p->folder);
    char *path[] = {var, NULL};
    assert_int_equal(spec_load(NULL, path, &s, NULL, &err), 0);
    assert_string_equal(s->cluster, "c");
    assert_string_equal(s->files[0].content, "clientPort={{ port(2181) }}\n");
    spec_free(s);

    struct spec_flags flags = {.spec = var + strlen("ochopod_spec=")};
    assert_int_equal(spec_load(&flags, (char *const *)text, &s, NULL, &err), 0);
    assert_string_equal(s->cluster, "c"); // the flag wins
    spec_free(s);
    free(var);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_example_is_read_whole, setup, teardown),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(sequential_is_a_flag_or_updates),
        cmocka_unit_test(json_is_read_as_well),
        cmocka_unit_test(a_container_is_adopted),
        cmocka_unit_test(flags_win_over_environment_over_file),
        cmocka_unit_test(templates_see_no_secrets),
        cmocka_unit_test(nor_does_anybody_who_reads_what_was_said),
        cmocka_unit_test_setup_teardown(the_text_may_stand_in_the_environment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
