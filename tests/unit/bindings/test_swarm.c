#include "tests/unit/bindings/scene.h"

#define LABELS                                                                                     \
    "{\"com.docker.swarm.task\": \"\", \"com.docker.swarm.task.id\": \"u2k9o\","                   \
    " \"com.docker.swarm.task.name\": \"demo_zookeeper.2.u2k9o\","                                 \
    " \"com.docker.swarm.node.id\": \"n0de\", \"com.docker.swarm.service.id\": \"s3rv\","          \
    " \"com.docker.swarm.service.name\": \"demo_zookeeper\""
#define PLAIN LABELS "}"
#define STACK LABELS ", \"com.docker.stack.namespace\": \"demo\"}"
#define NETWORKS                                                                                   \
    "{\"ingress\": {\"IPAddress\": \"10.0.0.9\"}, \"zebra\": {\"IPAddress\": \"10.0.3.9\"},"       \
    " \"overlay\": {\"IPAddress\": \"10.0.1.9\"}, \"docker_gwbridge\": {\"IPAddress\": "           \
    "\"1.2.3.4\"},"                                                                                \
    " \"empty\": {\"IPAddress\": \"\"}}"
#define HOST_MODE                                                                                  \
    "{\"8080/tcp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"32768\"}],"                         \
    " \"2181/tcp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"32769\"}]}"

static struct scene ask(const char *labels, const char *ports, const char *environment) {
    struct scene s = {.self = scene_container("default", labels, ports)};
    s.self->networks = json_loads(NETWORKS, 0, NULL);
    if (scene_ask(&s, &binding_swarm, environment))
        fail_msg("%s", s.err.text);
    return s;
}

static void labels_say_service_task_and_node(void **state) {
    (void)state;
    struct scene s = ask(PLAIN, "{}", "");
    assert_string_equal(s.facts->fwk, "swarm");
    assert_string_equal(s.facts->cluster, "demo_zookeeper");
    assert_string_equal(s.facts->application, "demo_zookeeper");
    assert_string_equal(s.facts->task, "demo_zookeeper.2.u2k9o");
    assert_string_equal(s.facts->slot, "2");
    assert_string_equal(s.facts->node, "n0de");
    scene_done(&s);
}

static void what_no_slot_is_in_is_no_slot(void **state) {
    (void)state;
    struct scene s = ask("{\"com.docker.swarm.task.id\": \"u2k9o\","
                         " \"com.docker.swarm.task.name\": \"other\","
                         " \"com.docker.swarm.service.name\": \"zookeeper\"}",
                         "{}", "");
    assert_string_equal(s.facts->slot, "");
    scene_done(&s);
}

// Of a global service the node stands where the slot does.
static void a_global_service_has_nodes_for_slots(void **state) {
    (void)state;
    struct scene s = ask("{\"com.docker.swarm.task.id\": \"u2k9o\","
                         " \"com.docker.swarm.task.name\": \"zookeeper.n0de.u2k9o\","
                         " \"com.docker.swarm.service.name\": \"zookeeper\"}",
                         "{}", "");
    assert_string_equal(s.facts->slot, "n0de");
    scene_done(&s);
}

static void a_stack_is_no_part_of_the_clusters_name(void **state) {
    (void)state;
    struct scene s = ask(STACK, "{}", "");
    assert_string_equal(s.facts->cluster, "zookeeper");
    scene_done(&s);
}

static void without_host_mode_it_is_at_its_overlay_address(void **state) {
    (void)state;
    struct scene s = ask(PLAIN, "{}", "HOST=node-1");
    assert_string_equal(s.facts->ip, "10.0.1.9");
    assert_string_equal(s.facts->node, "node-1");
    scene_expect(s.facts->ports, "8080=8080");
    scene_done(&s);
}

static void host_mode_ports_and_host_give_an_address(void **state) {
    (void)state;
    struct scene s = ask(PLAIN, HOST_MODE, "HOST=node-1");
    assert_string_equal(s.facts->ip, "node-1");
    scene_expect(s.facts->ports, "2181=32769,8080=32768");
    scene_expect(s.facts->local, "");
    scene_done(&s);
}

static void host_mode_ports_of_an_unknown_host_lead_nowhere(void **state) {
    (void)state;
    struct scene s = ask(PLAIN, HOST_MODE, "");
    assert_string_equal(s.facts->ip, "10.0.1.9");
    scene_expect(s.facts->ports, "8080=8080");
    scene_done(&s);
}

static void without_a_network_of_its_own_it_is_at_its_address(void **state) {
    (void)state;
    struct scene s = {.self = scene_container("default", PLAIN, "{}")};
    assert_int_equal(scene_ask(&s, &binding_swarm, ""), 0);
    assert_string_equal(s.facts->ip, "198.18.64.3");
    scene_done(&s);
}

static void other_containers_are_no_tasks(void **state) {
    (void)state;
    struct scene s = {.self = scene_container("default", "{}", "{}")};
    assert_int_equal(scene_ask(&s, &binding_swarm, ""), 1);
    scene_done(&s);
    struct scene none = {0};
    assert_int_equal(scene_ask(&none, &binding_swarm, ""), 1);
    scene_done(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_say_service_task_and_node),
        cmocka_unit_test(what_no_slot_is_in_is_no_slot),
        cmocka_unit_test(a_global_service_has_nodes_for_slots),
        cmocka_unit_test(a_stack_is_no_part_of_the_clusters_name),
        cmocka_unit_test(without_host_mode_it_is_at_its_overlay_address),
        cmocka_unit_test(host_mode_ports_and_host_give_an_address),
        cmocka_unit_test(host_mode_ports_of_an_unknown_host_lead_nowhere),
        cmocka_unit_test(without_a_network_of_its_own_it_is_at_its_address),
        cmocka_unit_test(other_containers_are_no_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
