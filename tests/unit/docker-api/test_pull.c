#include "docker-api/pull.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static int feed(struct pull *p, const char *line, struct err *err) {
    return pull_feed(p, line, strlen(line), err);
}

static void names_split_as_the_engine_wants_them(void **state) {
    (void)state;
    static const struct {
        const char *name, *image, *tag;
    } cases[] = {
        {"zookeeper", "zookeeper", "latest"},
        {"zookeeper:3.9", "zookeeper", "3.9"},
        {"host:5000/a/b", "host:5000/a/b", "latest"},
        {"host:5000/a/b:1", "host:5000/a/b", "1"},
        {"a@sha256:00ff", "a", "sha256:00ff"},
        {"host:5000/a:1@sha256:00ff", "host:5000/a", "sha256:00ff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_free char *image = NULL, *tag = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(pull_split(cases[i].name, &image, &tag, &err), 0);
        assert_string_equal(image, cases[i].image);
        assert_string_equal(tag, cases[i].tag);
    }
}

static void what_cannot_be_an_image_is_the_users_mistake(void **state) {
    (void)state;
    static const char *const names[] = {"",    "/a",  "a/../b", "../containers/x",
                                        "a b", "a?b", "a:",     "a//b",
                                        ".a",  "a\n", "a%2fb",  "a#b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *image = NULL, *tag = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(pull_split(names[i], &image, &tag, &err), -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_null(image);
    }
}

static void progress_is_over_all_layers_and_never_falls(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int percent;
    } steps[] = {
        {"{\"status\":\"Pulling from library/zookeeper\",\"id\":\"3.9\"}", 0},
        {"{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"a\"}", 0},
        {"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":50,\"total\":100},"
         "\"progress\":\"[==>  ]\",\"id\":\"a\"}",
         50},
        {"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":0,\"total\":300},\"id\":"
         "\"b\"}",
         50},
        {"{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"a\"}", 50},
        {"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":200,\"total\":300},"
         "\"id\":\"b\"}",
         75},
        {"{\"status\":\"Extracting\",\"progressDetail\":{\"current\":1,\"total\":300},\"id\":"
         "\"b\"}",
         75},
        {"{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"b\"}", 100},
        {"{\"status\":\"Status: Downloaded newer image\"}", 100},
    };
    struct pull p;
    struct err err = ERR_INIT;
    pull_init(&p);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(feed(&p, steps[i].line, &err), 0);
        assert_int_equal(p.percent, steps[i].percent);
    }
    pull_done(&p);
}

static void a_failure_inside_the_stream_is_found(void **state) {
    (void)state;
    struct pull p;
    struct err err = ERR_INIT;
    pull_init(&p);
    assert_int_equal(
        feed(&p, "{\"errorDetail\":{\"message\":\"toomanyrequests: slow down\"}}", &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_string_equal(err.text, "toomanyrequests: slow down");
    assert_int_equal(feed(&p, "{\"error\":\"manifest unknown\"}", &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    assert_int_equal(feed(&p, "not JSON", &err), -1);
    assert_int_equal(feed(&p, "{\"id\":\"a\",\"progressDetail\":{\"current\":\"much\"}}", &err),
                     -1);
    pull_done(&p);
}

static void absurd_numbers_do_no_harm(void **state) {
    (void)state;
    struct pull p;
    struct err err = ERR_INIT;
    pull_init(&p);
    assert_int_equal(feed(&p,
                          "{\"id\":\"a\",\"status\":\"Downloading\",\"progressDetail\":"
                          "{\"current\":9223372036854775807,\"total\":1}}",
                          &err),
                     0);
    assert_int_equal(p.percent, 100);
    assert_int_equal(feed(&p,
                          "{\"id\":\"b\",\"status\":\"Downloading\",\"progressDetail\":"
                          "{\"current\":-5,\"total\":-1}}",
                          &err),
                     0);
    assert_int_equal(p.percent, 100);
    pull_done(&p);
}

// What comes is waited for, as long as it comes; then, silence is no sign.
static void it_is_known_when_all_has_come_and_is_unpacked(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool unpacking;
    } steps[] = {
        {"{\"status\":\"Pulling from library/zookeeper\",\"id\":\"3.9\"}", false},
        {"{\"status\":\"Already exists\",\"progressDetail\":{},\"id\":\"a\"}", true},
        {"{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"b\"}", false},
        {"{\"status\":\"Waiting\",\"progressDetail\":{},\"id\":\"c\"}", false},
        {"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":9,\"total\":9},\"id\":"
         "\"b\"}",
         false},
        {"{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"b\"}", false},
        {"{\"status\":\"Verifying Checksum\",\"progressDetail\":{},\"id\":\"c\"}", true},
        {"{\"status\":\"Retrying in 5 seconds\",\"progressDetail\":{},\"id\":\"c\"}", false},
        {"{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"c\"}", true},
        {"{\"status\":\"Extracting\",\"progressDetail\":{\"current\":1,\"total\":9},\"id\":"
         "\"b\"}",
         true},
        {"{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"b\"}", true},
        {"{\"status\":\"Status: Downloaded newer image\"}", true},
    };
    struct pull p;
    struct err err = ERR_INIT;
    pull_init(&p);
    assert_false(pull_is_unpacking(&p));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(feed(&p, steps[i].line, &err), 0);
        if (pull_is_unpacking(&p) != steps[i].unpacking)
            fail_msg("%s", steps[i].line);
    }
    pull_done(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_split_as_the_engine_wants_them),
        cmocka_unit_test(what_cannot_be_an_image_is_the_users_mistake),
        cmocka_unit_test(progress_is_over_all_layers_and_never_falls),
        cmocka_unit_test(it_is_known_when_all_has_come_and_is_unpacked),
        cmocka_unit_test(a_failure_inside_the_stream_is_found),
        cmocka_unit_test(absurd_numbers_do_no_harm),
    };
    return cmocka_run_group_tests_name("docker-api pull", tests, NULL, NULL);
}
