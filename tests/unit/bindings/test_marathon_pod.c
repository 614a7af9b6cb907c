// Environments as Marathon gives the containers of a pod: TaskGroupBuilder of 1.11.
#include "tests/unit/bindings/scene.h"

#define POD                                                                                        \
    "MESOS_TASK_ID=demo_pod.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6.sidecar.1\n"             \
    "MESOS_EXECUTOR_ID=instance-demo_pod.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6\n"                   \
    "MARATHON_APP_ID=/demo/pod\nMARATHON_CONTAINER_ID=sidecar\nHOST=10.0.0.7\n"                    \
    "MARATHON_CONTAINER_RESOURCE_CPUS=0.1\nMESOS_CONTAINER_IP=10.0.0.7\n"

static struct scene ask(const char *environment) {
    struct scene s = {0};
    if (scene_ask(&s, &binding_marathon_pod, environment))
        fail_msg("%s", s.err.text);
    return s;
}

static void endpoints_name_the_ports_they_stand_for(void **state) {
    (void)state;
    struct scene s = ask(POD "ENDPOINT_CONTROL=31005\nEP_HOST_CONTROL=31005\n"
                             "ENDPOINT_2181=31006\nEP_HOST_2181=31006\n"
                             "ENDPOINT_P2888=31007\nEP_HOST_P2888=31007\n"
                             "ENDPOINT_PORT_3888=31008\nEP_HOST_PORT_3888=31008\n"
                             "ENDPOINT_TCP_9=31009\nEP_HOST_TCP_9=31009");
    assert_string_equal(s.facts->application, "demo/pod");
    assert_string_equal(s.facts->task,
                        "demo_pod.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6.sidecar.1");
    assert_string_equal(s.facts->fwk, "marathon");
    assert_string_equal(s.facts->cluster, "demo-pod");
    assert_string_equal(s.facts->ip, "10.0.0.7");
    assert_string_equal(s.facts->node, "10.0.0.7");
    scene_expect(s.facts->ports, "2181=31006,2888=31007,3888=31008,8080=31005,9=31009");
    scene_expect(s.facts->local, "2181=31006,2888=31007,3888=31008,8080=31005,9=31009");
    scene_done(&s);
}

static void a_prefix_is_found_and_host_has_none(void **state) {
    (void)state;
    struct scene s = ask(POD "P_ENDPOINT_CONTROL=31005\nP_EP_HOST_CONTROL=31005\n"
                             "XEP_HOST_CONTROL=1");
    scene_expect(s.facts->ports, "8080=31005");
    assert_string_equal(s.facts->ip, "10.0.0.7");
    scene_done(&s);
    s = ask(POD "P_EP_HOST_CONTROL=31005\nochopod_env_vars_prefix=P_");
    scene_expect(s.facts->ports, "8080=31005");
    scene_done(&s);
}

static void junk_and_other_names_are_left_out(void **state) {
    (void)state;
    struct scene s = ask(POD "ENDPOINT_CONTROL=31005\nEP_HOST_CONTROL=31005\nEP_HOST_WEB=31006\n"
                             "EP_HOST_2181=x\nEP_HOST_=1\nEP_HOST_70000=2\nEP_HOST_P=3\n"
                             "EP_HOST_PORT_=4\nEP_HOST_2888=0");
    static const char *const ignored[] = {"EP_HOST_WEB=31006", "EP_HOST_2181=x", "EP_HOST_P=3",
                                          "EP_HOST_2888=0"};
    scene_ignored(ignored, sizeof ignored / sizeof *ignored);
    scene_expect(s.facts->ports, "8080=31005");
    scene_done(&s);
}

static void without_a_control_endpoint_none_is_invented(void **state) {
    (void)state;
    struct scene s = ask(POD "ENDPOINT_2181=31006\nEP_HOST_2181=31006");
    scene_expect(s.facts->ports, "2181=31006");
    scene_done(&s);
}

static void a_network_of_the_pods_own_is_refused(void **state) {
    (void)state;
    struct scene s = {0};
    assert_int_equal(scene_ask(&s, &binding_marathon_pod,
                               POD "ENDPOINT_CONTROL=8080\nEP_HOST_CONTROL=31005\n"
                                   "EP_CONTAINER_CONTROL=8080"),
                     -1);
    assert_int_equal(s.err.kind, ERR_USER);
    assert_non_null(strstr(s.err.text, "\"host\""));
    scene_done(&s);
}

static void an_app_is_no_pod(void **state) {
    (void)state;
    struct scene s = {0};
    assert_int_equal(scene_ask(&s, &binding_marathon_pod, "MARATHON_APP_ID=/a\nHOST=10.0.0.7"), 1);
    scene_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_name_the_ports_they_stand_for),
        cmocka_unit_test(a_prefix_is_found_and_host_has_none),
        cmocka_unit_test(junk_and_other_names_are_left_out),
        cmocka_unit_test(without_a_control_endpoint_none_is_invented),
        cmocka_unit_test(a_network_of_the_pods_own_is_refused),
        cmocka_unit_test(an_app_is_no_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
