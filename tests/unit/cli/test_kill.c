// ocho kill, where Marathon runs the pods.
#include "tests/unit/cli/apps.h"

static void kill_removes_the_app(void **state) {
    (void)state;
    check("kill zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[3,10]}}\n", "");
    assert_string_equal(order, "kill kill ");
    assert_int_equal(asked("DELETE /v2/apps/app "), 1);
    check("kill zk --force" URL, 0, "100% success (-2 pods)\n", "");
    check("kill zk web --force" URL, 1, "50% success", "ocho: web: no pod is meant\n");
}

static void kill_of_some_removes_their_tasks(void **state) {
    (void)state;
    check("kill zk -i 10 -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[10]}}\n", "");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true "), "{\"ids\":[\"task-10\"]}");
    assert_int_equal(asked("DELETE"), 0);
}

// As many as were killed, but another one among them.
static void kill_keeps_an_app_with_a_task_of_somebody_else(void **state) {
    (void)state;
    tasks = "{\"tasks\":[{\"id\":\"task-3\"},{\"id\":\"task-11\"}]}";
    check("kill zk -i 3 10" URL, 0, "100% success (-2 pods)\n", "");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true "),
                        "{\"ids\":[\"task-3\",\"task-10\"]}");
    assert_int_equal(asked("DELETE"), 0);
}

// Else Marathon would try that one for ever.
static void kill_of_all_removes_an_app_whose_last_task_never_registered(void **state) {
    (void)state;
    tasks = "{\"tasks\":[{\"id\":\"task-3\"},{\"id\":\"task-10\"},{\"id\":\"task-11\"}]}";
    check("kill zk --force" URL, 0, "100% success (-2 pods)\n", "");
    assert_int_equal(asked("DELETE /v2/apps/app "), 1);
    assert_int_equal(asked("POST"), 0);
}

static void kill_keeps_an_app_with_a_pod_that_lives(void **state) {
    (void)state;
    once = true;
    check("kill zk --force -j -t 5s" URL, 1, "\"ok\":false", "it is what it is");
    assert_int_equal(asked("DELETE"), 0);
    assert_int_equal(asked("POST /v2/tasks/delete?scale=true "), 1);
}

#define APP "/ochopod.marathon.web-2026-11-25-18-00-00"

static void an_app_without_a_pod_is_found_by_its_id(void **state) {
    (void)state;
    own = failing = true;
    all_apps = "{\"apps\":[{\"id\":\"" APP "\"},{\"id\":\"/ochopod.marathon.web\"},"
               "{\"id\":\"/ochopod.marathon.web-2026-11-25-18-00-0x\"},"
               "{\"id\":\"/ochopod.other.web-2026-11-25-18-00-00\"},"
               "{\"id\":\"/x/ochopod.marathon.web-2026-11-25-18-00-00\"}]}";
    check(
        "kill marathon.web --force -j" URL, 0, "{\"marathon.web\":{\"ok\":true,\"down\":[]}}\n",
        "ocho: ochopod.marathon.web-2026-11-25-18-00-00 is removed, no pod of it has registered\n");
    assert_int_equal(asked("DELETE /v2/apps" APP " "), 1);
    assert_int_equal(asked("DELETE"), 1);
    assert_string_equal(order, "");
    check("kill marathon.web -i 3" URL, 1, NULL, "no pod is meant");
    assert_int_equal(asked("DELETE"), 1);
    going = -1;
    check("kill marathon.web --force" SOON URL, 4, "0% success", "deployment d goes on");
}

// As of another ZooKeeper.
static void an_app_whose_pods_are_registered_elsewhere_stays(void **state) {
    (void)state;
    own = true;
    all_apps = "{\"apps\":[{\"id\":\"" APP "\"}]}";
    check("kill web --force -j" URL, 1, "{\"web\":{\"ok\":false,\"down\":[]}}\n",
          "stays: its pods have registered where we do not look");
    assert_int_equal(asked("DELETE"), 0);
}

static void one_that_runs_and_has_not_registered_goes(void **state) {
    (void)state;
    own = true;
    it.seq = -1;
    all_apps = "{\"apps\":[{\"id\":\"" APP "\"}]}";
    check("kill web --force" URL, 0, "100% success (-0 pods)\n", "is removed");
    assert_int_equal(asked("DELETE /v2/apps" APP " "), 1);
}

// As with another ZooKeeper, and no token or no way to the agents' ports: they may all be well.
static void one_that_runs_and_cannot_be_seen_stays(void **state) {
    (void)state;
    deaf = true;
    all_apps = "{\"apps\":[{\"id\":\"" APP "\"}]}";
    check("kill web --force -j" URL, 1, "{\"web\":{\"ok\":false,\"down\":[]}}\n",
          "stays: 2 of its tasks running, which cannot be seen: ");
    assert_int_equal(asked("DELETE"), 0);
}

// Their containers run on where Mesos does not reach the agent.
static void one_whose_tasks_are_cut_off_stays(void **state) {
    (void)state;
    own = cut_off = true;
    all_apps = "{\"apps\":[{\"id\":\"" APP "\"}]}";
    check("kill web --force -j" URL, 1, "{\"web\":{\"ok\":false,\"down\":[]}}\n",
          "stays: 2 of its tasks are unreachable and may run on");
    assert_int_equal(asked("DELETE"), 0);
}

static void one_whose_tasks_end_as_soon_as_they_run_goes(void **state) {
    (void)state;
    deaf = brief = true;
    all_apps = "{\"apps\":[{\"id\":\"" APP "\"}]}";
    check("kill web --force" URL, 0, "100% success (-0 pods)\n", "is removed");
    assert_int_equal(asked("DELETE /v2/apps" APP " "), 1);
}

// The other instance is between two tasks.
static void kill_of_one_keeps_an_app_of_two(void **state) {
    (void)state;
    tasks = "{\"tasks\":[{\"id\":\"task-10\"}]}";
    check("kill zk -i 10" URL, 0, "100% success (-1 pods)\n", "");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true "), "{\"ids\":[\"task-10\"]}");
    assert_int_equal(asked("DELETE"), 0);
}

static void kill_says_what_it_leaves_of_a_pod_of_marathons(void **state) {
    (void)state;
    is_marathons = true;
    check("kill zk --force -j" URL, 1, "\"ok\":false", "app is a pod of Marathon's");
    assert_int_equal(asked("DELETE"), 0);
}

// Its own Marathon would launch them again.
static void an_app_of_another_marathon_keeps_its_pods(void **state) {
    (void)state;
    unknown = true;
    pods_status = 404;
    check("kill zk --force" URL, 1, "", "MARATHON_MASTER knows no app app, which marathon.zk #3");
    check("kill zk -i 10" URL, 1, "", "MARATHON_MASTER knows no app app, which marathon.zk #10");
    pods_status = 503; // which is no "no"
    check("kill zk --force -t 5s" URL, 3, "", "answered 503: no");
    assert_string_equal(order, "");
    assert_int_equal(asked("DELETE") + asked("POST"), 0);
}

static void kill_needs_marathon_first(void **state) {
    (void)state;
    unsetenv("MARATHON_MASTER");
    check("kill zk --force" URL, 2, "", "MARATHON_MASTER is not set");
    setenv("MARATHON_MASTER", "127.0.0.1:1", 1);
    check("kill zk --force" URL, 3, "", "127.0.0.1:1");
    assert_string_equal(order, "");
}

static void kill_leaves_what_is_not_marathons(void **state) {
    (void)state;
    json_decref(it.cluster);
    two_pods("compose");
    unsetenv("MARATHON_MASTER");
    check("kill zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[3,10]}}\n",
          "marathon.zk #3 is killed, and its container stays");
    check("scale zk @3" URL, 2, "", "MARATHON_MASTER");
}

static void kill_tells_what_marathon_refuses(void **state) {
    (void)state;
    said_by.status = 500;
    said_by.body = "{\"message\":\"no\"}";
    check("kill zk --force -j" URL, 1, "\"ok\":false", "answered 500: no");
}

static void the_deployment_is_followed_to_its_end(void **state) {
    (void)state;
    going = 4;
    check("kill zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[3,10]}}\n", "");
    assert_int_equal(asked("GET /v2/deployments"), 5);
}

// As for some seconds when it changes its leader.
static void a_marathon_that_nobody_leads_for_a_while_is_waited_for(void **state) {
    (void)state;
    going = 2;
    away[0] = away[1] = 3;
    check("kill zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[3,10]}}\n", "");
    assert_int_equal(asked("GET /v2/deployments"), 6);
    changed = false;
    order[0] = '\0';
    away[0] = 5;
    tasks = "{\"tasks\":[]}";
    check("kill zk -i 10 -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[10]}}\n", "");
}

static void progress_is_for_a_terminal(void **state) {
    (void)state;
    char seen[4096];
    going = 2;
    on_a_terminal("kill zk --force", seen, sizeof(seen));
    if (!strstr(seen, "\r\033[Kwaiting for the end of 2 pods\r\033[K") ||
        !strstr(seen, "\r\033[Kwaiting for deployment d\r\033[K"))
        fail_msg("on a terminal: %s", seen);
    changed = false;
    locks = 2;
    on_a_terminal("kill zk -i 10", seen, sizeof(seen));
    if (!strstr(seen, "\r\033[Klocked by deployment l, waiting for it\r\033[K"))
        fail_msg("on a terminal: %s", seen);
}

// A pattern that means nobody is another failure.
static void one_that_stays_is_told(void **state) {
    (void)state;
    going = -1;
    check("kill zk --force -j" SOON URL, 4, "\"ok\":false", "deployment d goes on\n");
    changed = false;
    check("kill zk web --force" SOON URL, 1, "0% success", "deployment d goes on\n");
}

static void the_task_of_what_is_dead_goes_when_interrupted(void **state) {
    (void)state;
    answers = 1;
    interrupted("kill zk --force", "/control/kill status=410", SIGTERM,
                "interrupted; it may be done yet\n");
    assert_int_equal(asked("DELETE"), 0);
    assert_int_equal(asked("POST /v2/tasks/delete?scale=true "), 1);
}

static void nobody_is_followed_when_interrupted(void **state) {
    (void)state;
    going = -1;
    interrupted("kill zk --force", "DELETE url", SIGINT, "deployment d goes on");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(kill_keeps_an_app_with_a_task_of_somebody_else),
        test(kill_of_all_removes_an_app_whose_last_task_never_registered),
        test(kill_keeps_an_app_with_a_pod_that_lives),
        test(an_app_without_a_pod_is_found_by_its_id),
        test(an_app_whose_pods_are_registered_elsewhere_stays),
        test(one_that_runs_and_has_not_registered_goes),
        test(one_that_runs_and_cannot_be_seen_stays),
        test(one_whose_tasks_are_cut_off_stays),
        test(one_whose_tasks_end_as_soon_as_they_run_goes),
        test(kill_removes_the_app),
        test(kill_of_some_removes_their_tasks),
        test(kill_of_one_keeps_an_app_of_two),
        test(kill_says_what_it_leaves_of_a_pod_of_marathons),
        test(an_app_of_another_marathon_keeps_its_pods),
        test(kill_needs_marathon_first),
        test(kill_leaves_what_is_not_marathons),
        test(the_deployment_is_followed_to_its_end),
        test(a_marathon_that_nobody_leads_for_a_while_is_waited_for),
        test(progress_is_for_a_terminal),
        test(one_that_stays_is_told),
        test(kill_tells_what_marathon_refuses),
        test(the_task_of_what_is_dead_goes_when_interrupted),
        test(nobody_is_followed_when_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
