#include "docker-api/decode.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void auto_container_free(struct docker_container **c) {
    docker_container_free(*c);
}
#define auto_container __attribute__((cleanup(auto_container_free)))

static const char full[] =
    "{\"Id\":\"" ID "\",\"Created\":\"2026-01-02T03:04:05.6Z\",\"Name\":\"/zk-1\","
    "\"Image\":\"sha256:feed\",\"RestartCount\":0,"
    "\"State\":{\"Status\":\"running\",\"Running\":true,\"Paused\":false,\"OOMKilled\":true,"
    "\"Dead\":false,\"Pid\":4711,\"ExitCode\":137,\"Error\":\"boo\","
    "\"StartedAt\":\"2026-01-02T03:04:05.678901234Z\",\"FinishedAt\":\"0001-01-01T00:00:00Z\","
    "\"Health\":{\"Status\":\"starting\",\"FailingStreak\":0,\"Log\":[]}},"
    "\"Config\":{\"Image\":\"zookeeper:3.9\",\"Hostname\":\"zk\",\"StopSignal\":\"SIGINT\","
    "\"StopTimeout\":60,\"Labels\":{\"a\":\"b\"},\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"]}},"
    "\"HostConfig\":{\"NetworkMode\":\"container:" ID "\",\"PidMode\":\"container:x\","
    "\"RestartPolicy\":{\"Name\":\"no\",\"MaximumRetryCount\":0}},"
    "\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"v\",\"Source\":\"/s\",\"Destination\":\"/conf\","
    "\"Mode\":\"z\",\"RW\":true},{\"Type\":\"bind\",\"Source\":\"/h\",\"Destination\":\"/c\","
    "\"RW\":false}],"
    "\"NetworkSettings\":{\"Ports\":{\"2181/"
    "tcp\":null},\"Networks\":{\"none\":{\"IPAddress\":\"\"},"
    "\"mine\":{\"IPAddress\":\"198.18.0.2\"}}}}";

static struct docker_container *decoded(const char *s) {
    struct docker_container *c = NULL;
    struct err err = ERR_INIT;
    if (decode_container(s, strlen(s), &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static void everything_an_inspect_says_is_there(void **state) {
    (void)state;
    auto_container struct docker_container *c = decoded(full);
    assert_string_equal(c->id, ID);
    assert_string_equal(c->name, "zk-1");
    assert_string_equal(c->image, "zookeeper:3.9");
    assert_string_equal(c->image_id, "sha256:feed");
    assert_string_equal(c->status, "running");
    assert_true(c->running && !c->paused && c->oom_killed);
    assert_int_equal(c->pid, 4711);
    assert_int_equal(c->exit_code, 137);
    assert_string_equal(c->state_error, "boo");
    assert_string_equal(c->started_at, "2026-01-02T03:04:05.678901234Z");
    assert_string_equal(c->finished_at, "0001-01-01T00:00:00Z");
    assert_string_equal(c->health, "starting");
    assert_true(c->has_healthcheck);
    assert_int_equal(c->stop_timeout_s, 60);
    assert_string_equal(c->stop_signal, "SIGINT");
    assert_string_equal(c->network_mode, "container:" ID);
    assert_string_equal(c->pid_mode, "container:x");
    assert_string_equal(c->restart_policy, "no");
    assert_string_equal(c->hostname, "zk");
    assert_string_equal(c->ip, "198.18.0.2");
    assert_string_equal(docker_container_label(c, "a"), "b");
    assert_string_equal(docker_container_label(c, "c"), "");
    assert_int_equal(c->mounts_len, 2);
    assert_string_equal(c->mounts[0].name, "v");
    assert_string_equal(c->mounts[1].name, "");
    assert_string_equal(c->mounts[1].source, "/h");
    assert_true(c->mounts[0].rw && !c->mounts[1].rw);
    assert_true(json_object_get(c->ports, "2181/tcp") != NULL);
    assert_int_equal(json_object_size(c->networks), 2);
    assert_string_equal(json_text(c->host_config, "PidMode"), "container:x");
    assert_string_equal(json_text(c->config, "Hostname"), "zk");
}

static void the_least_an_engine_may_say_is_enough(void **state) {
    (void)state;
    auto_container struct docker_container *c = decoded(
        "{\"Id\":\"" ID "\",\"State\":{\"Status\":\"created\"},"
        "\"Config\":{\"Labels\":null,\"StopTimeout\":null,"
        "\"Healthcheck\":{\"Test\":[\"NONE\"]}},\"HostConfig\":{},\"Mounts\":null}");
    assert_int_equal(c->stop_timeout_s, -1);
    assert_string_equal(c->health, "");
    assert_string_equal(c->ip, "");
    assert_string_equal(c->restart_policy, "");
    assert_int_equal(c->mounts_len, 0);
    assert_false(c->has_healthcheck || c->running);
    assert_true(json_is_object(c->labels) && json_is_object(c->networks) &&
                json_is_object(c->ports));
}

static void on_a_network_without_ipv4_the_other_address_is_its_own(void **state) {
    (void)state;
#define NETWORKS(list)                                                                             \
    "{\"Id\":\"" ID "\",\"State\":{\"Status\":\"running\"},\"Config\":{},\"HostConfig\":{},"       \
    "\"NetworkSettings\":{\"Networks\":{" list "}}}"
#define SIX "\"six\":{\"IPAddress\":\"\",\"GlobalIPv6Address\":\"fd00::2\"}"
    auto_container struct docker_container *alone = decoded(NETWORKS(SIX));
    assert_string_equal(alone->ip, "fd00::2");
    auto_container struct docker_container *both = decoded(
        NETWORKS(SIX ",\"four\":{\"IPAddress\":\"198.18.0.2\"}"));
    assert_string_equal(both->ip, "198.18.0.2");
}

// The engine keeps what a HEALTHCHECK's program wrote as it was.
static void a_nul_in_what_a_program_wrote_hides_nothing_else(void **state) {
    (void)state;
    auto_container struct docker_container *c = decoded(
        "{\"Id\":\"" ID
        "\",\"State\":{\"Status\":\"running\",\"Running\":true,\"Error\":\"a\\u0000b\","
        "\"Health\":{\"Status\":\"healthy\",\"Log\":[{\"ExitCode\":0,\"Output\":"
        "\"\\u0000ok\\u0000\"}]}},"
        "\"Config\":{},\"HostConfig\":{}}");
    assert_true(c->running);
    assert_string_equal(c->health, "healthy");
    assert_string_equal(c->state_error, "a");
}

static void what_is_missing_or_mistyped_is_named(void **state) {
    (void)state;
    static const struct {
        const char *json, *named;
    } cases[] = {
        {"", "JSON"},
        {"[]", "Id"},
        {"{}", "Id"},
        {"{\"Id\":\"short\"}", "Id"},
        {"{\"Id\":17}", "Id"},
        {"{\"Id\":\"" ID "\"}", "State"},
        {"{\"Id\":\"" ID "\",\"State\":{},\"Config\":{},\"HostConfig\":{}}", "Status"},
        {"{\"Id\":\"" ID "\",\"State\":{\"Status\":7},\"Config\":{},\"HostConfig\":{}}", "Status"},
        {"{\"Id\":\"" ID "\",\"State\":{\"Status\":\"x\",\"ExitCode\":99999999999},\"Config\":{},"
         "\"HostConfig\":{}}",
         "ExitCode"},
        {"{\"Id\":\"" ID "\",\"State\":{\"Status\":\"x\"},\"HostConfig\":{}}", "Config"},
        {"{\"Id\":\"" ID "\",\"State\":{\"Status\":\"x\"},\"Config\":{}}", "HostConfig"},
        {"{\"Id\":\"" ID "\",\"State\":{\"Status\":\"x\"},\"Config\":{},\"HostConfig\":{},"
         "\"Mounts\":[{\"Type\":\"volume\",\"Destination\":5}]}",
         "Destination"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct docker_container *c = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(decode_container(cases[i].json, strlen(cases[i].json), &c, &err), -1);
        assert_null(c);
        if (!strstr(err.text, cases[i].named))
            fail_msg("%s: '%s' does not name %s", cases[i].json, err.text, cases[i].named);
    }
}

static void every_truncation_of_an_inspect_is_an_error(void **state) {
    (void)state;
    for (size_t n = 0; n < sizeof full - 1; n++) {
        struct docker_container *c = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(decode_container(full, n, &c, &err), -1);
        assert_null(c);
    }
}

static void an_image_is_read(void **state) {
    (void)state;
    static const char json[] =
        "{\"Id\":\"sha256:1\",\"Config\":{\"User\":\"1000\",\"WorkingDir\":\"/w\","
        "\"Volumes\":{\"/data\":{},\"/conf\":{}},\"Entrypoint\":[\"/e\"],\"Cmd\":null,"
        "\"Env\":[\"A=b\",\"C=d\"],\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"x\"]}}}";
    struct docker_image *image = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(decode_image(json, strlen(json), &image, &err), 0);
    assert_string_equal(image->id, "sha256:1");
    assert_string_equal(image->volumes[0], "/data");
    assert_string_equal(image->volumes[1], "/conf");
    assert_null(image->volumes[2]);
    assert_string_equal(image->entrypoint[0], "/e");
    assert_null(image->cmd[0]);
    assert_string_equal(image->env[1], "C=d");
    assert_string_equal(image->user, "1000");
    assert_string_equal(image->stop_signal, "");
    assert_true(image->has_healthcheck);
    docker_image_free(image);

    static const char bad[] = "{\"Id\":\"sha256:1\",\"Config\":{\"Env\":[1]}}";
    image = NULL;
    assert_int_equal(decode_image(bad, strlen(bad), &image, &err), -1);
    assert_null(image);
    assert_non_null(strstr(err.text, "Env"));
}

static void an_event_is_read_as_old_and_new_engines_say_it(void **state) {
    (void)state;
    static const char *const lines[] = {
        "{\"status\":\"die\",\"id\":\"" ID "\",\"from\":\"i\",\"Type\":\"container\","
        "\"Action\":\"die\",\"Actor\":{\"ID\":\"" ID "\",\"Attributes\":{\"exitCode\":\"3\"}},"
        "\"scope\":\"local\",\"time\":1,\"timeNano\":1000000007}",
        "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"" ID "\",\"Attributes\":"
        "{\"exitCode\":\"3\"}},\"scope\":\"local\",\"time\":1,\"timeNano\":1000000007}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        struct decode_event e;
        auto_json json_t *j = json_read(lines[i], strlen(lines[i]), 4096, "event", &err);
        assert_int_equal(decode_event(j, &e, &err), 0);
        assert_string_equal(e.type, "container");
        assert_string_equal(e.name, "die");
        assert_string_equal(e.id, ID);
        assert_string_equal(json_text(e.attributes, "exitCode"), "3");
        assert_int_equal(e.time_ns, 1000000007);
    }
}

static void an_event_without_its_name_is_an_error(void **state) {
    (void)state;
    static const char *const lines[] = {"{}", "{\"Type\":\"container\"}", "[]",
                                        "{\"Type\":\"container\",\"Action\":3}",
                                        "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":7}"};
    for (size_t i = 0; i < 5; i++) {
        struct err err = ERR_INIT;
        struct decode_event e;
        auto_json json_t *j = json_read(lines[i], strlen(lines[i]), 4096, "event", &err);
        assert_non_null(j);
        assert_int_equal(decode_event(j, &e, &err), -1);
    }
}

static void a_failure_is_the_engines_own_sentence(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body, *text;
        enum err_kind kind;
    } cases[] = {
        {404, "{\"message\":\"No such container: x\"}\n", "No such container: x", ERR_ABSENT},
        {409, "{\"message\":\"in use\"}", "in use", ERR_EXISTS},
        {400, "{\"message\":\"bad\"}", "bad", ERR_USER},
        {403, "", "HTTP 403 \"\"", ERR_USER},
        {500, "oops\n", "HTTP 500 \"oops\\n\"", ERR_RETRY},
        {503, "{\"message\":\"\"}", "HTTP 503 \"{\\\"message\\\":\\\"\\\"}\"", ERR_RETRY},
        {302, "", "HTTP 302 \"\"", ERR_RETRY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(
            decode_failure(cases[i].status, cases[i].body, strlen(cases[i].body), &err), -1);
        assert_int_equal(err.kind, cases[i].kind);
        assert_int_equal(err.code, cases[i].status);
        assert_string_equal(err.text, cases[i].text);
    }
}

static void the_version_is_the_lower_of_both(void **state) {
    (void)state;
    static const struct {
        const char *engine, *expected;
    } cases[] = {{"1.41", "1.41"}, {"1.47", "1.47"},  {"1.51", "1.51"}, {"1.54", "1.51"},
                 {"2.0", "1.51"},  {"1.40", NULL},    {"1.9", NULL},    {"", NULL},
                 {"1", NULL},      {"1.", NULL},      {"one", NULL},    {"1.41x", NULL},
                 {NULL, NULL},     {"99999.1", NULL}, {"0.99", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char version[16] = "untouched";
        struct err err = ERR_INIT;
        int rc = decode_version(cases[i].engine, version, &err);
        assert_int_equal(rc, cases[i].expected ? 0 : -1);
        assert_string_equal(version, cases[i].expected ? cases[i].expected : "untouched");
        assert_int_equal(err.kind, cases[i].expected ? ERR_NONE : ERR_REFUSED);
    }
    assert_true(decode_version_at_least("1.42", 1, 42));
    assert_true(decode_version_at_least("2.0", 1, 42));
    assert_false(decode_version_at_least("1.41", 1, 42));
    assert_false(decode_version_at_least("", 1, 42));
}

static void the_server_header_tells_the_engines_version(void **state) {
    (void)state;
    char version[64];
    decode_server("Docker/20.10.24+dfsg1 (linux)", version);
    assert_string_equal(version, "20.10.24+dfsg1");
    decode_server("Libpod/4.3.1", version);
    assert_string_equal(version, "4.3.1");
    decode_server("nginx", version);
    assert_string_equal(version, "");
    decode_server(NULL, version);
    assert_string_equal(version, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_an_inspect_says_is_there),
        cmocka_unit_test(the_least_an_engine_may_say_is_enough),
        cmocka_unit_test(on_a_network_without_ipv4_the_other_address_is_its_own),
        cmocka_unit_test(a_nul_in_what_a_program_wrote_hides_nothing_else),
        cmocka_unit_test(what_is_missing_or_mistyped_is_named),
        cmocka_unit_test(every_truncation_of_an_inspect_is_an_error),
        cmocka_unit_test(an_image_is_read),
        cmocka_unit_test(an_event_is_read_as_old_and_new_engines_say_it),
        cmocka_unit_test(an_event_without_its_name_is_an_error),
        cmocka_unit_test(a_failure_is_the_engines_own_sentence),
        cmocka_unit_test(the_version_is_the_lower_of_both),
        cmocka_unit_test(the_server_header_tells_the_engines_version),
    };
    return cmocka_run_group_tests_name("docker-api decode", tests, NULL, NULL);
}
