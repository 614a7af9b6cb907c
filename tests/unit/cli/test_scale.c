// ocho scale.
#include "tests/unit/cli/apps.h"

static void scale_up_is_a_number(void **state) {
    (void)state;
    check("scale zk @5" SOON " -j" URL, 4, "{\"zk\":{\"ok\":false,\"delta\":3}}",
          "0 of 5 pods running");
    assert_string_equal(body_of("PUT /v2/apps/app "), "{\"instances\":5}");
    assert_string_equal(order, "");
    check("scale zk -f x1.75" SOON " --force" URL, 4, "(+1 pods)", NULL);
    assert_string_equal(body_of("PUT /v2/apps/app?force=true"), "{\"instances\":3}");
    fake_pod_is(it.pod, "running", true);
    check("scale zk @2 -t 5s" URL, 0, "100% success (+0 pods)", "");
}

static void scale_down_kills_the_newest(void **state) {
    (void)state;
    check("scale zk -f -1" SOON " -j" URL, 4, "\"delta\":-1", "pods");
    assert_string_equal(order, "kill ");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true"), "{\"ids\":[\"task-10\"]}");
}

static void scale_down_kills_the_oldest_with_fifo(void **state) {
    (void)state;
    check("scale zk @0 --fifo" SOON URL, 4, "(-1 pods)", "pods");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true"), "{\"ids\":[\"task-3\"]}");
}

// As in another cluster of the same pattern.
static void a_pod_of_another_app_with_its_number_lives(void **state) {
    (void)state;
    json_t *pods = json_object_get(it.cluster, "pods");
    json_object_set_new(pods, "third", record_of(10, "marathon", "app-2"));
    check("scale zk @1 -g 3" SOON URL, 4, "(-1 pods)", NULL);
    assert_string_equal(order, "kill ");
}

static void a_pod_that_does_not_end_keeps_its_task(void **state) {
    (void)state;
    alive = true;
    check("scale zk @1" SOON URL, 1, "0% success", "marathon.zk #10 does not end");
    check("bump zk" SOON URL, 1, "0% success", "does not end");
    assert_int_equal(asked("POST"), 0);
    assert_int_equal(asked("PUT"), 0);
}

static void two_apps_want_a_group(void **state) {
    (void)state;
    json_t *pods = json_object_get(it.cluster, "pods");
    json_object_set_new(pods, "other", record_of(10, "marathon", "/app-2"));
    check("scale zk @5" SOON URL, 2, NULL, "is more than one app, app and app-2");
    check("scale zk @5 -g 4" SOON URL, 2, NULL, "no pod has the number 4");
    check("scale zk @5 -g 10" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("PUT /v2/apps/app-2 "), 1);
    check("scale none @5" SOON URL, 1, NULL, "no pod matches");
}

static void all_are_found_before_one_is_changed(void **state) {
    (void)state;
    check("scale zk none @5 -j" URL, 1,
          "{\"zk\":{\"ok\":false,\"delta\":0},\"none\":{\"ok\":false,\"delta\":0}}",
          "ocho: zk stays as it is\nocho: none: no pod matches\n");
    check("scale zk none @1" URL, 1, "0% success (+0 pods)", NULL);
    assert_int_equal(asked("PUT") + asked("POST"), 0);
    assert_string_equal(order, "");
}

static void with_d_each_request_is_a_line(void **state) {
    (void)state;
    auto_free char *master = xasprintf("http://me:se-cret@127.0.0.1:%d", marathon->port);
    setenv("MARATHON_MASTER", master, 1);
    fake_pod_is(it.pod, "running", true);
    struct said said = ocho("scale zk @2 -d" URL);
    auto_free char *cluster = xasprintf("GET url=http://127.0.0.1:%d/cluster status=200", it.port);
    auto_free char *app = xasprintf("GET url=http://127.0.0.1:%d/v2/apps/app status=200",
                                    marathon->port);
    const char *const parts[] = {cluster, app, "/v2/deployments status=200", "/info status=200"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (said.status || !strstr(said.err, parts[i]) || strstr(said.err, "cret"))
            fail_msg("%d, want %s and no password: %s", said.status, parts[i], said.err);
    assert_non_null(strstr(marathon->heads[0], "\r\nAuthorization: Basic "));
}

// The first word is a pattern whatever it looks like, and so is one with a namespace.
static void a_cluster_may_be_called_like_a_factor(void **state) {
    (void)state;
    check("scale 5 @5" URL, 1, NULL, "ocho: 5: no pod matches\n");
    check("scale zk marathon.x2 @5" URL, 1, NULL, "ocho: marathon.x2: no pod matches\n");
    check("scale zk xen @5" URL, 1, NULL, "ocho: xen: no pod matches\n");
}

// Five are wanted and three are there; to three nobody has to die.
static void what_does_not_run_goes_before_what_lives(void **state) {
    (void)state;
    json_t *pods = json_object_get(it.cluster, "pods");
    json_object_set_new(pods, "third", record_of(11, "marathon", "app"));
    wanted = 5;
    three = true;
    fake_pod_is(it.pod, "running", true);
    check("scale zk @3 -j" URL, 0, "{\"zk\":{\"ok\":true,\"delta\":-2}}", "");
    assert_string_equal(order, "");
    assert_string_equal(body_of("PUT /v2/apps/app "), "{\"instances\":3}");
    assert_int_equal(asked("POST"), 0);
}

static void never_more_are_killed_than_are_too_many(void **state) {
    (void)state;
    json_t *pods = json_object_get(it.cluster, "pods");
    json_object_set_new(pods, "third", record_of(11, "marathon", "app"));
    wanted = 4;
    check("scale zk @1 -j" SOON URL, 4, "\"delta\":-3", "pods");
    assert_string_equal(order, "kill kill ");
    assert_string_equal(body_of("PUT /v2/apps/app "), "{\"instances\":3}");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true"),
                        "{\"ids\":[\"task-11\",\"task-10\"]}");
    assert_int_equal(wanted, 1);
}

// As for some seconds when it changes its leader: the pod is dead.
static void a_marathon_that_nobody_leads_for_a_while_is_waited_for(void **state) {
    (void)state;
    away[0] = 3;
    check("scale zk @1 -j" SOON URL, 4, "\"delta\":-1", NULL);
    assert_string_equal(order, "kill ");
    assert_int_equal(asked("POST /v2/tasks/delete?scale=true"), 4);
}

static void the_change_has_time_of_its_own(void **state) {
    (void)state;
    slow = true;
    check("scale zk @1 -t 4s -j" URL, 4, "{\"zk\":{\"ok\":false,\"delta\":-1}}", NULL);
    assert_string_equal(order, "kill ");
}

static void a_locked_app_keeps_its_pods(void **state) {
    (void)state;
    locks = -1;
    check("scale zk @1 -j" SOON URL, 4, "{\"zk\":{\"ok\":false,\"delta\":0}}",
          "ocho: zk: the app is locked by deployment l, which does not end; --force overrides\n");
    check("scale zk" SOON URL, 4, "0% success (+0 pods)\n", "locked by deployment l");
    assert_string_equal(order, "");
    assert_int_equal(asked("PUT") + asked("POST"), 0);
    check("scale zk @1 --force" SOON URL, 4, "(-1 pods)", NULL);
    assert_string_equal(order, "kill ");
}

static void a_lock_that_is_waited_for_is_told_on_a_terminal(void **state) {
    (void)state;
    char seen[4096];
    locks = 3;
    on_a_terminal("scale zk @2 -t 5s", seen, sizeof(seen));
    if (!strstr(seen, "\r\033[Klocked by deployment l, waiting for it (--force overrides)\r\033[K"))
        fail_msg("on a terminal: %s", seen);
}

static void what_marathon_refuses_is_no_delta(void **state) {
    (void)state;
    said_by.status = 403;
    said_by.body = "{\"message\":\"no\"}";
    check("scale zk -j" SOON URL, 1, "{\"zk\":{\"ok\":false,\"delta\":0}}", "answered 403: no");
    check("scale zk @1" SOON URL, 1, "0% success (+0 pods)\n", "answered 403: no");
}

// The pods are as they were asked for, and Marathon is not done.
static void the_deployment_is_followed_to_its_end(void **state) {
    (void)state;
    three = true;
    going = 4;
    fake_pod_is(it.pod, "running", true);
    check("scale zk @3 -j" URL, 0, "{\"zk\":{\"ok\":true,\"delta\":1}}", "");
    assert_int_equal(asked("GET /v2/deployments"), 6); // once before anything is changed
    going = -1;
    check("scale zk @3 -j" SOON URL, 4, "{\"zk\":{\"ok\":false,\"delta\":1}}",
          "3 of 3 pods running; deployment d goes on");
}

static void what_was_not_killed_stays_when_interrupted(void **state) {
    (void)state;
    answers = 0;
    interrupted("scale zk @1", "/v2/deployments status=200", SIGINT, "ocho: zk: ");
    assert_int_equal(asked("PUT") + asked("POST"), 0);
}

static void a_number_that_is_stale_after_a_lock_is_not_sent(void **state) {
    (void)state;
    lately = 1;
    wanted = 2;
    check("scale zk +1 -j" SOON URL, 4, "\"delta\":1", NULL);
    assert_int_equal(asked("PUT"), 2);
    lately = 1;
    meanwhile = 7;
    check("scale zk +1 -j" SOON URL, 1, "\"delta\":0",
          "ocho: zk: somebody has scaled it from 3 to 7 meanwhile\n");
    assert_int_equal(asked("PUT"), 3);
    assert_int_equal(wanted, 7);
}

// Of what it is by then.
static void a_second_pattern_counts_from_what_the_first_has_left(void **state) {
    (void)state;
    wanted = 2;
    check("scale zk marathon.zk +1 -j" SOON URL, 4, "\"delta\":1", NULL);
    assert_int_equal(wanted, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(scale_up_is_a_number),
        test(scale_down_kills_the_newest),
        test(scale_down_kills_the_oldest_with_fifo),
        test(a_pod_that_does_not_end_keeps_its_task),
        test(a_pod_of_another_app_with_its_number_lives),
        test(two_apps_want_a_group),
        test(the_deployment_is_followed_to_its_end),
        test(what_does_not_run_goes_before_what_lives),
        test(never_more_are_killed_than_are_too_many),
        test(a_marathon_that_nobody_leads_for_a_while_is_waited_for),
        test(the_change_has_time_of_its_own),
        test(what_was_not_killed_stays_when_interrupted),
        test(a_number_that_is_stale_after_a_lock_is_not_sent),
        test(a_second_pattern_counts_from_what_the_first_has_left),
        test(a_locked_app_keeps_its_pods),
        test(a_lock_that_is_waited_for_is_told_on_a_terminal),
        test(what_marathon_refuses_is_no_delta),
        test(all_are_found_before_one_is_changed),
        test(with_d_each_request_is_a_line),
        test(a_cluster_may_be_called_like_a_factor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
