// ocho bump.
#include "tests/unit/cli/apps.h"

static void those_that_did_end_are_told(void **state) {
    (void)state;
    once = true;
    check("bump zk -t 5s" URL, 1, "0% success",
          "it is what it is; 1 dead stay (`ocho on` brings them back)\n");
    assert_int_equal(asked("PUT"), 0);
}

static void bump_moves_the_workload(void **state) {
    (void)state;
    check("bump zk -v 2" SOON " -j" URL, 4, "{\"zk\":{\"ok\":false,\"up\":[]}}",
          "the workload's image r:5000/zk:1 -> r:5000/zk:2");
    assert_string_equal(order, "kill kill ");
    assert_string_equal(body_of("PUT /v2/apps/app "),
                        "{\"env\":{\"A\":\"b\",\"OCHOPOD_SPEC\":\"{\\\"workload\\\":{\\\"image\\\":"
                        "\\\"r:5000/zk:2\\\"}}\"},\"upgradeStrategy\":{\"minimumHealthCapacity\":0,"
                        "\"maximumOverCapacity\":0}}");
}

static void bump_moves_the_sidecar_when_told(void **state) {
    (void)state;
    check("bump zk --sidecar -v 2" SOON URL, 4, "(0 pods)",
          "the image ochopod/sidecar:1 -> ochopod/sidecar:2");
    assert_non_null(strstr(body_of("PUT /v2/apps/app "), "\"image\":\"ochopod/sidecar:2\""));
    assert_null(strstr(body_of("PUT /v2/apps/app "), "\"env\""));
}

// With Marathon's usual strategy a restart would wait for room beside the dead.
static void the_same_tag_is_a_restart(void **state) {
    (void)state;
    check("bump zk -v 1" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("POST"), 0);
    assert_non_null(strstr(body_of("PUT /v2/apps/app "), "\"minimumHealthCapacity\":0"));
    more = "\"upgradeStrategy\":{\"minimumHealthCapacity\":0,\"maximumOverCapacity\":0},";
    check("bump zk -v 1" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("POST /v2/apps/app/restart "), 1);
    assert_int_equal(asked("PUT"), 1);
}

static void a_spec_that_cannot_be_changed_is_no_reason_to_kill(void **state) {
    (void)state;
    spec = "workload: {image: r:5000/zk}";
    check("bump zk -v 2" SOON URL, 1, "0% success", "its spec is no JSON in OCHOPOD_SPEC");
    assert_string_equal(order, "");
    assert_int_equal(asked("PUT"), 0);
    check("bump zk --sidecar -v 2" SOON URL, 4, NULL, "the image ochopod/sidecar:1 ->");
}

static void volumes_that_end_with_the_pods_are_told(void **state) {
    (void)state;
    parameters =
        "{\"key\":\"volume\",\"value\":\"/data\"},{\"key\":\"volume\",\"value\":\"/a:/b\"},"
        "{\"key\":\"volume\",\"value\":\"/logs\"},{\"key\":\"env\",\"value\":\"/x\"}";
    check("bump zk -v 2" SOON URL, 4, NULL,
          "ocho: zk: warning: what is in /data, /logs goes with the pods");
    parameters = "{\"key\":\"volume\",\"value\":\"/a:/b\"}";
    struct said said = ocho("bump zk -v 2 -t 1s" URL);
    assert_null(strstr(said.err, "warning"));
}

// The pods are as they were asked for, and Marathon is not done.
static void the_deployment_is_followed_to_its_end(void **state) {
    (void)state;
    it.seq = 11; // newer than those that were killed
    going = 4;
    fake_pod_is(it.pod, "running", true);
    check("bump zk -v 2 --strict -j" URL, 0, "{\"zk\":{\"ok\":true,\"up\":[11,11]}}", NULL);
    assert_int_equal(asked("GET /v2/deployments"), 6); // once before anything is killed
    going = -1;
    check("bump zk -v 3 -j" SOON URL, 4, "\"ok\":false", "deployment d goes on");
}

// As for some seconds when it changes its leader: the pods are dead.
static void a_marathon_that_nobody_leads_for_a_while_is_waited_for(void **state) {
    (void)state;
    it.seq = 11;
    away[0] = away[1] = 3;
    fake_pod_is(it.pod, "running", true);
    check("bump zk -v 2 --strict -j" URL, 0, "{\"zk\":{\"ok\":true,\"up\":[11,11]}}", NULL);
    assert_int_equal(asked("PUT /v2/apps/app "), 1); // once the app could be read
}

// The connection to the leader broke when it had it all.
static void a_restart_that_may_be_taken_is_not_asked_for_again(void **state) {
    (void)state;
    more = "\"upgradeStrategy\":{\"minimumHealthCapacity\":0,\"maximumOverCapacity\":0},";
    said_by.status = 502;
    said_by.body = "<html>Failed to successfully establish a connection to the leader.";
    check("bump zk -v 1" SOON URL, 3, NULL, "answered 502");
    assert_string_equal(order, "kill kill ");
    assert_int_equal(asked("POST /v2/apps/app/restart "), 1);
}

// The kill may have used it all up.
static void the_change_has_time_of_its_own(void **state) {
    (void)state;
    slow = true;
    check("bump zk -v 2 -t 4s" URL, 4, "0% success", "zk: the time was over before its pods");
    assert_string_equal(order, "kill kill ");
    assert_int_equal(asked("PUT"), 1);
}

static void one_that_may_end_yet_is_told(void **state) {
    (void)state;
    each_turn = NULL;
    check("bump zk -v 2 -t 3s" URL, 1, "0% success",
          "; it may end yet and stay dead (`ocho on` brings it back)\n");
    assert_int_equal(asked("PUT"), 0);
}

static void a_locked_app_keeps_its_pods(void **state) {
    (void)state;
    locks = -1;
    check("bump zk -v 2" SOON URL, 4, "0% success (0 pods)",
          "ocho: zk: the app is locked by deployment l, which does not end; --force overrides\n");
    assert_string_equal(order, "");
    assert_int_equal(asked("PUT"), 0);
    check("bump zk -v 2 --force" SOON URL, 4, NULL, NULL);
    assert_string_equal(order, "kill kill ");
    assert_int_equal(asked("PUT /v2/apps/app?force=true"), 1);
}

// As the deployment has left it.
static void a_lock_that_ends_is_waited_for(void **state) {
    (void)state;
    locks = 2;
    check("bump zk -v 2" SOON URL, 4, NULL, "r:5000/zk:2");
    assert_string_equal(order, "kill kill ");
    assert_int_equal(asked("PUT /v2/apps/app "), 1);
    assert_true(asked("GET /v2/apps/app ") >= 2);
}

// One is dead, one may end yet: Marathon would replace both.
static void an_interrupted_kill_is_told(void **state) {
    (void)state;
    answers = 1;
    interrupted("bump zk -v 2", "/control/kill status=410", SIGTERM,
                "1 dead stay (`ocho on` brings them back)\n");
    assert_int_equal(asked("PUT"), 0);
}

static void what_is_dead_is_changed_when_interrupted(void **state) {
    (void)state;
    away[0] = 4;
    interrupted("bump zk -v 2", "status=502", SIGINT, "0 of 2 pods there");
    assert_int_equal(asked("PUT"), 1);
    assert_true(changed);
}

// As that deployment has left the app.
static void a_lock_that_comes_meanwhile_makes_another_definition(void **state) {
    (void)state;
    lately = 1;
    check("bump zk -v 2" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("PUT /v2/apps/app "), 2);
    const char *last = NULL;
    for (int i = 0; i < marathon->n; i++)
        if (text_starts(marathon->lines[i], "PUT "))
            last = marathon->bodies[i];
    assert_non_null(strstr(last, "{\\\"a\\\":1,"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(those_that_did_end_are_told),
        test(bump_moves_the_workload),
        test(bump_moves_the_sidecar_when_told),
        test(the_same_tag_is_a_restart),
        test(the_deployment_is_followed_to_its_end),
        test(a_marathon_that_nobody_leads_for_a_while_is_waited_for),
        test(a_restart_that_may_be_taken_is_not_asked_for_again),
        test(the_change_has_time_of_its_own),
        test(one_that_may_end_yet_is_told),
        test(an_interrupted_kill_is_told),
        test(what_is_dead_is_changed_when_interrupted),
        test(a_lock_that_comes_meanwhile_makes_another_definition),
        test(a_locked_app_keeps_its_pods),
        test(a_lock_that_ends_is_waited_for),
        test(volumes_that_end_with_the_pods_are_told),
        test(a_spec_that_cannot_be_changed_is_no_reason_to_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
