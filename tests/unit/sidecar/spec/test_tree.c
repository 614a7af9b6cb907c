#include "sidecar/spec/tree.h"
#include "base/check.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct tree *tree_of(const char *text) {
    auto_text struct text report = {0};
    struct tree *tree = tree_parse(text, strlen(text), "a.yml", &report, NULL);
    if (!tree)
        fail_msg("%s", text_str(&report));
    return tree;
}

static void is(json_t *j, const char *wanted) {
    auto_json json_t *it = j;
    auto_free char *s = json_write(it);
    assert_string_equal(s, wanted);
}

static void values_are_json(void **state) {
    (void)state;
    struct tree *tree = tree_of("a: 1\nb: [0.5, yes, True, ~, \"1\", 010, 0x1f]\nc: {d: x}\n"
                                "e: 99999999999999999999\nf: .inf\ng: -7\n");
    is(json_incref((json_t *)tree_json(tree)),
       "{\"a\":1,\"b\":[0.5,\"yes\",true,null,\"1\",10,31],\"c\":{\"d\":\"x\"},"
       "\"e\":1e20,\"f\":\".inf\",\"g\":-7}");
    tree_free(tree);
}

static void as_written_nothing_of_a_spec_is_lost(void **state) {
    (void)state;
    struct tree *tree = tree_of("port: 8080\nstrict: True\ncommand: [a, 010, 1.10, True, {x: 2}]\n"
                                "environment: {A: 010, B: 1.10, C: True, D: ~, E: [1]}\n"
                                "cpus: 0.50\n");
    is(tree_as_written(tree),
       "{\"port\":8080,\"strict\":true,\"command\":[\"a\",\"010\",\"1.10\",\"True\",{\"x\":2}],"
       "\"environment\":{\"A\":\"010\",\"B\":\"1.10\",\"C\":\"True\",\"D\":null,\"E\":[\"1\"]},"
       "\"cpus\":\"0.50\"}");
    tree_free(tree);
}

static void every_complaint_has_its_place(void **state) {
    (void)state;
    struct tree *tree = tree_of("ports:\n  - 1\n  - x\nsettings: {a: {b: ~}}\n");
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    assert_int_equal(tree_tell(tree, &report, &err), 0);
    tree_complain(tree, "settings.a.b", "is empty");
    tree_complain(tree, "ports[1]", "\"%s\" is no port", "x");
    assert_int_equal(tree_tell(tree, &report, &err), -1);
    assert_string_equal(text_str(&report), "a.yml:3:5: ports[1]: \"x\" is no port\n"
                                           "a.yml:4:19: settings.a.b: is empty\n");
    assert_string_equal(err.text, "a.yml:3:5: ports[1]: \"x\" is no port");
    tree_free(tree);
}

static void what_cannot_be_read_says_why(void **state) {
    (void)state;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    assert_null(tree_load("/nonexistent.yml", &report, &err));
    assert_string_equal(err.text,
                        "/nonexistent.yml:1:1: cannot be read: No such file or directory");
    assert_null(tree_load("/", &report, &err));
    assert_non_null(strstr(err.text, "cannot be read"));
    assert_null(tree_parse("a: [", 4, "a.yml", &report, &err));
    assert_non_null(strstr(err.text, "is not YAML"));
    assert_int_equal(err.kind, ERR_USER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_json),
        cmocka_unit_test(as_written_nothing_of_a_spec_is_lost),
        cmocka_unit_test(every_complaint_has_its_place),
        cmocka_unit_test(what_cannot_be_read_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
