// Every call of docker-api on the real engine that DOCKER_HOST names.
#include "base/own.h"
#include "tests/integration/docker/rig.h"
#include <stdio.h>

#define assert_kind(g, expected)                                                                   \
    do {                                                                                           \
        if ((g)->err.kind != (expected))                                                           \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, err_kind_name((g)->err.kind),            \
                     (g)->err.text);                                                               \
    } while (0)

static void auto_container_free(struct docker_container **c) {
    docker_container_free(*c);
}
#define auto_container __attribute__((cleanup(auto_container_free)))

// ---- contact ----

static void contact_negotiates_a_version(void **state) {
    struct rig *rig = *state;
    assert_int_equal(rig->ups, 1);
    assert_int_equal(rig->downs, 0);
    assert_int_equal(strncmp(docker_version(rig->docker), "1.", 2), 0);
    assert_string_equal(docker_version(rig->docker), rig->version);
    assert_true(rig->engine[0] >= '0' && rig->engine[0] <= '9');
}

static void calls_before_the_first_contact_wait_for_it(void **state) {
    (void)state;
    struct rig *rig = rig_open(NULL, NULL);
    auto_got struct got g = {0};
    docker_list(rig->docker, true, NULL, on_json, &g);
    assert_false(docker_is_up(rig->docker));
    until(rig, &g, 30);
    assert_kind(&g, ERR_NONE);
    assert_true(json_is_array(g.json));
    rig_close(rig);
}

static void nobody_at_the_socket_is_retry_and_one_on_down(void **state) {
    (void)state;
    struct rig *rig = rig_open("unix:///nowhere/docker.sock", NULL);
    auto_got struct got g = {0}, later = {0};
    docker_list(rig->docker, true, NULL, on_json, &g);
    until(rig, &g, 30);
    assert_kind(&g, ERR_RETRY);
    assert_non_null(strstr(g.err.text, "/nowhere/docker.sock"));
    docker_list(rig->docker, true, NULL, on_json, &later);
    assert_false(later.done);
    until(rig, &later, 30);
    assert_kind(&later, ERR_RETRY);
    rig_spin(rig, 300);
    assert_int_equal(rig->downs, 1);
    assert_int_equal(rig->ups, 0);
    rig_close(rig);
}

// ---- a life ----

static void a_container_lives_from_create_to_remove(void **state) {
    struct rig *rig = *state;
    char id[80];
    rig_create(rig, "rig-life", "trap 'exit 3' TERM; : >/tmp/up; while :; do sleep 0.05; done", id);
    auto_container struct docker_container *c = rig_inspect(rig, "rig-life");
    assert_string_equal(c->id, id);
    assert_string_equal(c->name, "rig-life");
    assert_string_equal(c->image, "ochopod/busybox:1");
    assert_string_equal(c->status, "created");
    assert_string_equal(c->started_at, "0001-01-01T00:00:00Z");
    assert_string_equal(c->network_mode, "none");
    assert_string_equal(docker_container_label(c, "test"), "rig");
    assert_string_equal(docker_container_label(c, "none"), "");
    assert_false(c->running);

    rig_start(rig, id);
    rig_start(rig, id); // 304
    rig_await_file(rig, id, "/tmp/up");
    auto_container struct docker_container *running = rig_inspect(rig, id);
    assert_true(running->running);
    assert_true(running->pid > 0);
    rig_expect(rig, 0, id, "start");

    auto_got struct got stopped = {0};
    docker_stop(rig->docker, id, NULL, 10, on_done, &stopped);
    until(rig, &stopped, 60);
    assert_kind(&stopped, ERR_NONE);
    const struct rig_event *die = rig_expect(rig, 0, id, "die");
    assert_string_equal(die->exit_code, "3");
    assert_string_equal(die->label, "rig");
    auto_container struct docker_container *exited = rig_inspect(rig, id);
    assert_string_equal(exited->status, "exited");
    assert_int_equal(exited->exit_code, 3);
    rig_remove(rig, id);
    rig_remove(rig, id); // 404
    rig_expect(rig, 0, id, "destroy");
}

static void stop_with_a_signal_works_on_every_version(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0};
    rig_create(rig, NULL,
               "trap 'exit 5' USR1; trap '' TERM; : >/tmp/up; while :; do sleep 0.05; done", id);
    rig_start(rig, id);
    rig_await_file(rig, id, "/tmp/up");
    docker_stop(rig->docker, id, "USR1", 20, on_done, &g);
    until(rig, &g, 60);
    assert_kind(&g, ERR_NONE);
    auto_container struct docker_container *c = rig_inspect(rig, id);
    assert_int_equal(c->exit_code, 5);
}

static void stop_with_a_signal_ends_in_kill(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0}, again = {0};
    rig_create(rig, NULL, "trap '' TERM USR1; while :; do sleep 0.05; done", id);
    rig_start(rig, id);
    docker_stop(rig->docker, id, "USR1", 1, on_done, &g);
    until(rig, &g, 60);
    assert_kind(&g, ERR_NONE);
    rig_expect(rig, 0, id, "die");
    docker_stop(rig->docker, id, "USR1", 1, on_done, &again);
    until(rig, &again, 60);
    assert_kind(&again, ERR_NONE);
}

static void kill_of_a_stopped_one_is_success(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got first = {0}, second = {0}, absent = {0}, bad = {0};
    rig_create(rig, NULL, "sleep 1000", id);
    rig_start(rig, id);
    docker_kill(rig->docker, id, "KILL", on_done, &first);
    until(rig, &first, 60);
    assert_kind(&first, ERR_NONE);
    rig_expect(rig, 0, id, "die");
    docker_kill(rig->docker, id, "KILL", on_done, &second);
    docker_kill(rig->docker, "nobody-of-that-name", "KILL", on_done, &absent);
    until(rig, &second, 60);
    until(rig, &absent, 60);
    assert_kind(&second, ERR_NONE);
    assert_kind(&absent, ERR_ABSENT);
    assert_int_equal(absent.err.code, 404);
    docker_kill(rig->docker, "../_ping", "KILL", on_done, &bad);
    assert_false(bad.done);
    until(rig, &bad, 60);
    assert_kind(&bad, ERR_USER);
}

static void set_flag(void *arg) {
    ((struct got *)arg)->flag = true;
}

static void wait_is_armed_before_start_and_tells_the_exit_code(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0};
    rig_create(rig, NULL, "exit 42", id);
    docker_wait(rig->docker, id, "next-exit", set_flag, on_waited, &g);
    until_flag(rig, &g.flag, 30, "armed");
    assert_false(g.done);
    rig_start(rig, id);
    until(rig, &g, 60);
    assert_kind(&g, ERR_NONE);
    assert_int_equal(g.exit_code, 42);
}

static void a_cancelled_call_never_reports(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got g = {0}, killed = {0};
    rig_create(rig, NULL, "sleep 1000", id);
    rig_start(rig, id);
    struct docker_call *wait = docker_wait(rig->docker, id, NULL, set_flag, on_waited, &g);
    until_flag(rig, &g.flag, 30, "armed");
    docker_cancel(&wait);
    assert_null(wait);
    docker_kill(rig->docker, id, "KILL", on_done, &killed);
    until(rig, &killed, 60);
    rig_expect(rig, 0, id, "die");
    rig_spin(rig, 100);
    assert_false(g.done);
}

static void create_says_what_is_wrong(void **state) {
    struct rig *rig = *state;
    auto_got struct got absent = {0}, bad = {0}, first = {0}, taken = {0};
    auto_json json_t *no_image = json_pack("{s:s}", "Image", "nowhere/nothing:1");
    docker_create(rig->docker, NULL, no_image, on_id, &absent);
    until(rig, &absent, 60);
    assert_kind(&absent, ERR_ABSENT);
    assert_non_null(strstr(absent.err.text, "nowhere/nothing:1"));
    auto_json json_t *body = json_pack("{s:s, s:{s:s}}", "Image", "ochopod/busybox:1", "Labels",
                                       "test", "rig");
    docker_create(rig->docker, "-not a name?", body, on_id, &bad);
    until(rig, &bad, 60);
    assert_kind(&bad, ERR_USER);
    docker_create(rig->docker, "rig-taken", body, on_id, &first);
    until(rig, &first, 60);
    assert_kind(&first, ERR_NONE);
    docker_create(rig->docker, "rig-taken", body, on_id, &taken);
    until(rig, &taken, 60);
    assert_kind(&taken, ERR_EXISTS);
}

static void start_of_a_missing_command_is_the_users_mistake(void **state) {
    struct rig *rig = *state;
    auto_got struct got created = {0}, started = {0};
    auto_json json_t *body = json_pack("{s:s, s:[s], s:{s:s}}", "Image", "ochopod/busybox:1", "Cmd",
                                       "/no/such/thing", "Labels", "test", "rig");
    docker_create(rig->docker, NULL, body, on_id, &created);
    until(rig, &created, 60);
    docker_start(rig->docker, created.id, on_done, &started);
    until(rig, &started, 90);
    assert_kind(&started, ERR_USER);
    assert_non_null(strstr(started.err.text, "/no/such/thing"));
}

static void list_rename_and_update_do_what_they_say(void **state) {
    struct rig *rig = *state;
    char id[80];
    auto_got struct got renamed = {0}, updated = {0}, listed = {0}, others = {0};
    rig_create(rig, "rig-before", "sleep 1000", id);
    docker_rename(rig->docker, id, "rig-after", on_done, &renamed);
    until(rig, &renamed, 30);
    assert_kind(&renamed, ERR_NONE);
    auto_json json_t *policy = json_pack("{s:{s:s}}", "RestartPolicy", "Name", "unless-stopped");
    docker_update(rig->docker, id, policy, on_done, &updated);
    until(rig, &updated, 30);
    assert_kind(&updated, ERR_NONE);
    auto_container struct docker_container *c = rig_inspect(rig, "rig-after");
    assert_string_equal(c->id, id);
    assert_string_equal(c->restart_policy, "unless-stopped");
    auto_json json_t *mine = json_pack("{s:[s], s:[s]}", "label", "test=rig", "name",
                                       "^/rig-after$");
    auto_json json_t *none = json_pack("{s:[s]}", "label", "test=nobody&x");
    docker_list(rig->docker, true, mine, on_json, &listed);
    docker_list(rig->docker, true, none, on_json, &others);
    until(rig, &listed, 30);
    until(rig, &others, 30);
    assert_int_equal(json_array_size(listed.json), 1);
    assert_string_equal(json_text(json_array_get(listed.json, 0), "Id"), id);
    assert_int_equal(json_array_size(others.json), 0);
}

// ---- events ----

static void events_are_only_of_the_labels_asked_for(void **state) {
    struct rig *rig = *state;
    static const char *const one[] = {"test=other", NULL};
    static const char *const two[] = {"test=other", "test=rig", NULL};
    struct rig *none = rig_open(NULL, one), *both = rig_open(NULL, two);
    char id[80];
    until_true(none, rig_is_up, none, 30, "up");
    until_true(both, rig_is_up, both, 30, "up");
    rig_create(rig, NULL, "exit 0", id);
    rig_start(rig, id);
    rig_expect(rig, 0, id, "die");
    rig_expect(both, 0, id, "die");
    rig_spin(none, 300);
    assert_int_equal(none->events_len, 0);
    rig_close(none);
    rig_close(both);
}

#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, rig_up, rig_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        rig_test(contact_negotiates_a_version),
        cmocka_unit_test(calls_before_the_first_contact_wait_for_it),
        cmocka_unit_test(nobody_at_the_socket_is_retry_and_one_on_down),
        rig_test(a_container_lives_from_create_to_remove),
        rig_test(stop_with_a_signal_works_on_every_version),
        rig_test(stop_with_a_signal_ends_in_kill),
        rig_test(kill_of_a_stopped_one_is_success),
        rig_test(wait_is_armed_before_start_and_tells_the_exit_code),
        rig_test(a_cancelled_call_never_reports),
        rig_test(create_says_what_is_wrong),
        rig_test(start_of_a_missing_command_is_the_users_mistake),
        rig_test(list_rename_and_update_do_what_they_say),
        rig_test(events_are_only_of_the_labels_asked_for),
    };
    return cmocka_run_group_tests_name("docker-api calls", tests, NULL, NULL);
}
