// What the broker remembers of the execs that it has seen made, and what it tells of others'
// containers.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/broker/broker_inside.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MAX = 1024 };

static struct broker b;

static int setup(void **state) {
    (void)state;
    b = (struct broker){.execs = json_object()};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    json_decref(b.execs);
    return 0;
}

static void answered(enum door_op op, int status, int n, const char *key, const char *rest) {
    char id[16];
    auto_text struct text t = {0};
    snprintf(id, sizeof id, "e%d", n);
    text_addf(&t, "{\"%s\": \"%s\"%s", key, id, rest);
    judge_answered(&b, &(struct door_request){.op = op, .id = id}, status, &t);
}

static void made(int n) {
    answered(DOOR_EXEC_CREATE, 201, n, "Id", "}");
}

static void looked_at(int n, bool runs) {
    answered(DOOR_EXEC_INSPECT, 200, n, "ID",
             runs ? ", \"Running\": true, \"ExitCode\": null}"
                  : ", \"Running\": false, \"ExitCode\": 0}");
}

static bool is_known(int n) {
    char id[16];
    snprintf(id, sizeof id, "e%d", n);
    return json_object_get(b.execs, id);
}

// One more than it remembers costs the oldest, and no other its end.
static void the_oldest_is_forgotten_and_no_other(void **state) {
    (void)state;
    for (int n = 0; n < MAX; n++)
        made(n);
    assert_true(is_known(0));
    for (int n = MAX; n < 3 * MAX; n++) {
        made(n);
        assert_int_equal(json_object_size(b.execs), MAX);
        assert_false(is_known(n - MAX));
        assert_true(is_known(n - MAX + 1) && is_known(n));
    }
}

static void what_has_ended_is_forgotten_and_takes_no_place(void **state) {
    (void)state;
    made(0);
    looked_at(0, true);
    for (int n = 1; n < 3 * MAX; n++) {
        made(n);
        looked_at(n, false);
        assert_false(is_known(n));
    }
    assert_true(is_known(0));
}

static void what_names_none_costs_none(void **state) {
    (void)state;
    for (int n = 0; n < MAX; n++)
        made(n);
    answered(DOOR_EXEC_CREATE, 201, MAX, "Name", "}");
    answered(DOOR_EXEC_CREATE, 201, MAX, "Id", "");
    answered(DOOR_EXEC_CREATE, 404, MAX, "Id", "}");
    made(MAX - 1);
    assert_int_equal(json_object_size(b.execs), MAX);
    assert_true(is_known(0));
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A program's words are no reason to hide whose a container is and whether it runs.
static void of_another_whose_healthcheck_says_a_nul_it_is_said_that_it_runs(void **state) {
    (void)state;
    struct spec spec = {.workload.image = (char *)"app:1"};
    struct place place = {0};
    auto_text struct text t = {0};
    text_add(&t, "{\"Id\":\"" ID "\",\"State\":{\"Status\":\"running\",\"Running\":true,"
                 "\"Health\":{\"Log\":[{\"Output\":\"\\u0000\"}]}},"
                 "\"Config\":{\"Env\":[\"SECRET=1\"]},\"HostConfig\":{}}");
    b.spec = &spec;
    b.place = &place;
    judge_answered(&b, &(struct door_request){.op = DOOR_INSPECT, .id = ID}, 200, &t);
    struct docker_container *c = NULL;
    struct err err = ERR_INIT;
    auto_json json_t *cut = json_read_quoting(text_str(&t), t.len, 4096, "it", &err);
    assert_non_null(cut);
    assert_int_equal(docker_container_read(cut, &c, &err), 0);
    assert_true(c->running);
    assert_null(json_object_get(c->config, "Env"));
    docker_container_free(c);
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(the_oldest_is_forgotten_and_no_other),
        test(what_has_ended_is_forgotten_and_takes_no_place),
        test(what_names_none_costs_none),
        test(of_another_whose_healthcheck_says_a_nul_it_is_said_that_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
