// Environments as Marathon sets them: docs/task-environment-vars.md and EnvironmentHelper of 1.11.
#include "tests/unit/bindings/scene.h"

#define APP                                                                                        \
    "MARATHON_APP_ID=/webshop/db\n"                                                                \
    "MARATHON_APP_VERSION=2015-04-02T09:37:00.596Z\n"                                              \
    "MARATHON_APP_DOCKER_IMAGE=ochopod/sidecar:latest\n"                                           \
    "MARATHON_APP_RESOURCE_CPUS=0.1\nMARATHON_APP_LABELS=\n"                                       \
    "MESOS_SANDBOX=/mnt/mesos/sandbox\n"                                                           \
    "MESOS_CONTAINER_NAME=mesos-4b2a1c1e-7714-11e7-a55c-5ecf1c4671f6\n"
#define TASK_1_7 "MESOS_TASK_ID=webshop_db.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6\n"
#define TASK_1_8 "MESOS_TASK_ID=webshop_db.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6._app.1\n"

static struct scene ask(struct docker_container *self, const char *environment) {
    struct scene s = {.self = self};
    if (scene_ask(&s, &binding_marathon, environment))
        fail_msg("%s", s.err.text);
    return s;
}

static void breadcrumbs_are_those_of_ochopod(void **state) {
    (void)state;
    struct scene s = ask(scene_container("bridge", "{}", "{}"),
                         APP TASK_1_7 "HOST=10.0.0.7\nPORT0=31786\nPORT=31786\nPORTS=31786\n"
                                      "PORT_8080=31786\nPORT_DEFAULT=31786");
    assert_string_equal(s.facts->application, "webshop/db");
    assert_string_equal(s.facts->task, "webshop_db.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6");
    assert_string_equal(s.facts->fwk, "marathon");
    assert_string_equal(s.facts->node, "10.0.0.7");
    assert_string_equal(s.facts->ip, "10.0.0.7");
    assert_string_equal(s.facts->cluster, "webshop-db");
    scene_done(&s);
}

static void task_ids_of_1_8_are_taken_whole(void **state) {
    (void)state;
    struct scene s = ask(scene_container("bridge", "{}", "{}"),
                         APP TASK_1_8 "HOST=10.0.0.7\nPORT0=31786\nPORTS=31786\nPORT_8080=31786");
    assert_string_equal(s.facts->task,
                        "webshop_db.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6._app.1");
    scene_done(&s);
}

#define PUBLISHED                                                                                  \
    "{\"8080/tcp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"31786\"}],"                         \
    " \"2181/tcp\": [{\"HostIp\": \"::\", \"HostPort\": \"31999\"},"                               \
    "                {\"HostIp\": \"0.0.0.0\", \"HostPort\": \"31787\"}]}"
#define BRIDGE                                                                                     \
    "HOST=10.0.0.7\nPORT0=31786\nPORT1=31787\nPORT=31786\nPORTS=31786,31787\n"                     \
    "PORT_8080=31786\nPORT_2181=31787\n"

static void bridge_maps_container_ports_to_the_hosts(void **state) {
    (void)state;
    struct scene s = ask(scene_container("bridge", "{}", PUBLISHED), APP TASK_1_8 BRIDGE);
    scene_expect(s.facts->ports, "2181=31787,8080=31786");
    scene_expect(s.facts->local, "");
    assert_int_equal(binding_local_port(s.facts, 8080), 8080);
    scene_done(&s);
}

// Named ports have a variable by name beside the one by number; the label may be anything.
static void names_are_left_out_and_nothing_is_aborted(void **state) {
    (void)state;
    struct scene s = ask(scene_container("bridge", "{}", PUBLISHED),
                         APP TASK_1_8 BRIDGE "PORT_HTTP-API=31786\nPORT_CLIENT=31787\nPORT_=1\n"
                                             "PORT_3888=http\nPORT_4000=70000\nPORT_5000=\n"
                                             "PORT_6000=-1\nPORT_7000=1 2\nPORT_0=31000");
    static const char *const ignored[] = {
        "PORT_HTTP-API=31786", "PORT_CLIENT=31787", "PORT_3888=http", "PORT_4000=70000",
        "PORT_5000=",          "PORT_6000=-1",      "PORT_7000=1 2"};
    scene_ignored(ignored, sizeof ignored / sizeof *ignored);
    scene_expect(s.facts->ports, "2181=31787,8080=31786");
    scene_done(&s);
}

// containerPort 0: the variable goes by the host's port, which is the container's as well.
static void container_port_0_says_nothing_of_the_control_port(void **state) {
    (void)state;
    struct scene s = ask(
        scene_container("bridge", "{}",
                        "{\"31786/tcp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"31786\"}]}"),
        APP TASK_1_8 "HOST=10.0.0.7\nPORT0=31786\nPORT=31786\nPORTS=31786\nPORT_31786=31786");
    scene_expect(s.facts->ports, "31786=31786");
    scene_done(&s);
}

static void no_ports_at_all_advertise_none(void **state) {
    (void)state;
    struct scene s = ask(scene_container("bridge", "{}", "{}"), APP TASK_1_8 "HOST=10.0.0.7");
    scene_expect(s.facts->ports, "");
    scene_done(&s);
}

// portDefinitions [{"port": 8080}], requirePorts false: a service port, another one is allotted.
static void on_the_host_what_was_allotted_is_bound(void **state) {
    (void)state;
    struct scene s = ask(scene_container("host", "{}", "{}"), APP TASK_1_8 BRIDGE);
    assert_string_equal(s.facts->ip, "10.0.0.7");
    scene_expect(s.facts->ports, "2181=31787,8080=31786");
    scene_expect(s.facts->local, "2181=31787,8080=31786");
    assert_int_equal(binding_local_port(s.facts, 8080), 31786);
    assert_int_equal(binding_local_port(s.facts, 2888), 2888);
    scene_done(&s);
}

static void required_ports_are_their_own(void **state) {
    (void)state;
    struct scene s = ask(scene_container("host", "{}", "{}"),
                         APP TASK_1_8 "HOST=10.0.0.7\nPORT0=8080\nPORTS=8080\nPORT_8080=8080");
    scene_expect(s.facts->ports, "8080=8080");
    scene_expect(s.facts->local, "");
    scene_done(&s);
}

// A task of the Mesos containerizer is no Docker container: the host's network is its own.
static void a_process_without_a_container_is_on_the_host(void **state) {
    (void)state;
    struct scene s = ask(NULL, APP TASK_1_8 BRIDGE);
    scene_expect(s.facts->ports, "2181=31787,8080=31786");
    scene_expect(s.facts->local, "2181=31787,8080=31786");
    scene_done(&s);
}

static void on_the_host_a_control_port_that_was_not_asked_for_is_not_invented(void **state) {
    (void)state;
    struct scene s = ask(scene_container("host", "{}", "{}"),
                         APP TASK_1_8 "HOST=10.0.0.7\nPORT0=31000\nPORTS=31000\nPORT_31000=31000");
    scene_expect(s.facts->ports, "31000=31000");
    scene_done(&s);
}

// USER network, no hostPort: PORT_<n>=<n> at the container's own address; PORTS is not set.
static void a_network_of_its_own_registers_its_own_address(void **state) {
    (void)state;
    struct scene s = ask(scene_container("weave", "{}", "{\"8080/tcp\": null}"),
                         APP TASK_1_8 "HOST=10.0.0.7\nPORT0=8080\nPORT1=2181\nPORT_8080=8080\n"
                                      "PORT_2181=2181\nPORT_CLIENT=2181");
    assert_string_equal(s.facts->ip, "198.18.64.3");
    assert_string_equal(s.facts->node, "10.0.0.7");
    scene_expect(s.facts->ports, "2181=2181,8080=8080");
    scene_expect(s.facts->local, "");
    scene_done(&s);
}

// The same where the engine tells nothing: what is not in PORTS is no port of the host.
static void ports_tells_a_network_of_its_own_without_the_engine(void **state) {
    (void)state;
    struct scene s = ask(NULL, APP TASK_1_8 "HOST=10.0.0.7\nPORT0=8080\nPORT_8080=8080\n"
                                            "PORT1=31787\nPORTS=31787\nPORT_2181=31787");
    assert_string_equal(s.facts->ip, "198.18.70.9");
    scene_expect(s.facts->ports, "2181=2181,8080=8080");
    scene_done(&s);
}

static void a_network_of_its_own_with_host_ports_is_reached_at_the_host(void **state) {
    (void)state;
    struct scene s = ask(scene_container("weave", "{}", PUBLISHED), APP TASK_1_8 BRIDGE);
    assert_string_equal(s.facts->ip, "10.0.0.7");
    scene_expect(s.facts->ports, "2181=31787,8080=31786");
    scene_done(&s);
}

#define PREFIXED "P_HOST=10.0.0.7\nP_PORT0=31786\nP_PORTS=31786\nP_PORT_8080=31786\n"

static void a_prefix_of_the_variables_is_found(void **state) {
    (void)state;
    struct scene s = ask(scene_container("bridge", "{}", "{}"),
                         APP TASK_1_8 PREFIXED "DB_HOST=10.9.9.9\nDB_PORT_5432=5432");
    assert_string_equal(s.facts->ip, "10.0.0.7");
    scene_expect(s.facts->ports, "8080=31786");
    scene_done(&s);
}

static void of_two_prefixes_none_is_guessed(void **state) {
    (void)state;
    struct scene s = {.self = scene_container("bridge", "{}", "{}")};
    assert_int_equal(
        scene_ask(&s, &binding_marathon, APP TASK_1_8 PREFIXED "Q_HOST=10.0.0.8\nQ_PORT0=31000"),
        -1);
    assert_non_null(strstr(s.err.text, "ochopod_env_vars_prefix"));
    binding_facts_free(s.facts);
    assert_int_equal(scene_ask(&s, &binding_marathon,
                               APP TASK_1_8 PREFIXED "Q_HOST=10.0.0.8\nQ_PORT0=31000\n"
                                                     "OCHOPOD_ENV_VARS_PREFIX=P_"),
                     0);
    assert_string_equal(s.facts->ip, "10.0.0.7");
    scene_done(&s);
}

static void with_metadata_the_node_is_the_instance(void **state) {
    (void)state;
    struct metadata cloud = {.ip = (char *)"172.16.0.5",
                             .public_ = (char *)"",
                             .instance = (char *)"i-0abc",
                             .zone = (char *)"eu-west-1a"};
    struct scene s = {.self = scene_container("bridge", "{}", PUBLISHED), .cloud = &cloud};
    assert_int_equal(scene_ask(&s, &binding_marathon, APP TASK_1_8 BRIDGE), 0);
    assert_string_equal(s.facts->fwk, "marathon (ec2)");
    assert_string_equal(s.facts->ip, "172.16.0.5");
    assert_string_equal(s.facts->node, "i-0abc");
    assert_string_equal(s.facts->public_, "");
    scene_done(&s);
}

static void local_mode_is_at_127_0_0_1(void **state) {
    (void)state;
    struct scene s = {.local = true};
    assert_int_equal(scene_ask(&s, &binding_marathon, APP TASK_1_8 BRIDGE), 0);
    assert_string_equal(s.facts->ip, "127.0.0.1");
    assert_string_equal(s.facts->fwk, "marathon (debug)");
    scene_done(&s);
    s = (struct scene){.local = true,
                       .self = scene_container("weave", "{}", "{\"8080/tcp\": null}")};
    assert_int_equal(scene_ask(&s, &binding_marathon, APP TASK_1_8 "HOST=10.0.0.7\nPORT_8080=8080"),
                     0);
    assert_string_equal(s.facts->ip, "127.0.0.1");
    scene_expect(s.facts->ports, "8080=8080");
    scene_done(&s);
}

static void without_an_app_id_it_is_not_marathon(void **state) {
    (void)state;
    struct scene s = {0};
    assert_int_equal(scene_ask(&s, &binding_marathon, "HOST=10.0.0.7\nPORT_8080=31786"), 1);
    scene_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breadcrumbs_are_those_of_ochopod),
        cmocka_unit_test(task_ids_of_1_8_are_taken_whole),
        cmocka_unit_test(bridge_maps_container_ports_to_the_hosts),
        cmocka_unit_test(names_are_left_out_and_nothing_is_aborted),
        cmocka_unit_test(container_port_0_says_nothing_of_the_control_port),
        cmocka_unit_test(no_ports_at_all_advertise_none),
        cmocka_unit_test(on_the_host_what_was_allotted_is_bound),
        cmocka_unit_test(required_ports_are_their_own),
        cmocka_unit_test(a_process_without_a_container_is_on_the_host),
        cmocka_unit_test(on_the_host_a_control_port_that_was_not_asked_for_is_not_invented),
        cmocka_unit_test(a_network_of_its_own_registers_its_own_address),
        cmocka_unit_test(ports_tells_a_network_of_its_own_without_the_engine),
        cmocka_unit_test(a_network_of_its_own_with_host_ports_is_reached_at_the_host),
        cmocka_unit_test(a_prefix_of_the_variables_is_found),
        cmocka_unit_test(of_two_prefixes_none_is_guessed),
        cmocka_unit_test(with_metadata_the_node_is_the_instance),
        cmocka_unit_test(local_mode_is_at_127_0_0_1),
        cmocka_unit_test(without_an_app_id_it_is_not_marathon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
