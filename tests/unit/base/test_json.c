#include "base/json.h"
#include "base/own.h"
#include "base/text.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static json_t *read_text(const char *s, struct err *err) {
    return json_read(s, strlen(s), 1 << 20, "info of pod x", err);
}

static void objects_and_lists_are_read(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_json json_t *j = read_text(" {\"a\": [1, {\"b\": \"\\u20ac\"}]} ", &err);
    assert_non_null(j);
    assert_int_equal(err.kind, ERR_NONE);
    auto_json json_t *list = read_text("[]", &err);
    assert_true(json_is_array(list));
}

static void what_is_quoted_may_hold_a_nul_that_is_escaped(void **state) {
    (void)state;
    static const char good[] = "{\"a\":\"x\\u0000y\"}";
    static const char *const bad[] = {"{\"a\":1,\"a\":2}", "{\"\\u0000\":1}", "[1,]", "7"};
    struct err err = ERR_INIT;
    auto_json json_t *j = json_read_quoting(good, sizeof good - 1, 4096, "it", &err);
    assert_int_equal(json_string_length(json_object_get(j, "a")), 3);
    assert_string_equal(json_text(j, "a"), "x");
    auto_free char *again = json_write(j);
    assert_string_equal(again, good);
    assert_null(json_read_quoting("[\"\0\"]", 5, 4096, "it", &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(json_read_quoting(bad[i], strlen(bad[i]), 4096, "it", &err));
}

static void what_is_not_json_is_refused_by_name_and_place(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[1,]",
        "{\"a\":1,\"a\":2}",
        "\"text\"",
        "7",
        "null",
        "[\"\xff\"]",
        "{} x",
        "{\"a\" 1}",
        "[01]",
        "[1e999]",
        "[\"\\u0000\"]",
        "[99999999999999999999]",
        "['a']",
        "]",
        "[\"\\",
        "\\",
        "{\"\\u0000\":1}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(read_text(bad[i], &err));
        assert_int_equal(err.kind, ERR_USER);
        assert_true(text_starts(err.text, "info of pod x is not JSON: line "));
    }
    struct err err = ERR_INIT;
    assert_null(read_text("{\"a\":\"\\\xc3\xa9\"}", &err)); // quoted to the middle of a character
    assert_true(text_is_utf8(err.text, strlen(err.text)));
    assert_null(read_text("{\n \"a\": nope}", &err));
    assert_non_null(strstr(err.text, "line 2"));
}

static void a_message_holds_no_control_characters(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    assert_null(read_text("[\"a\x1b[2J\x01\nb\"]", &err));
    for (const char *c = err.text; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
}

static void a_nul_byte_is_refused(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    assert_null(json_read("[1]\0", 4, 100, "it", &err));
    assert_int_equal(err.kind, ERR_USER);
    assert_null(json_read("[\"a\0b\"]", 7, 100, "it", &err));
    assert_int_equal(err.kind, ERR_USER);
}

static void size_and_depth_are_capped(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_json json_t *fits = json_read("[1, 2]", 6, 6, "it", &err);
    assert_non_null(fits);
    assert_null(json_read("[1, 2]", 6, 5, "it", &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    char deep[2 * 33 + 1] = "";
    memset(deep, '[', 32);
    memset(deep + 32, ']', 32);
    auto_json json_t *edge = read_text(deep, &err);
    assert_non_null(edge);
    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    assert_null(read_text(deep, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    auto_json json_t *brackets = read_text("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"]",
                                           &err);
    assert_non_null(brackets);
}

static void values_are_counted(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_text struct text t = {0};
    text_add(&t, "[0");
    for (int i = 1; i < 99999; i++)
        text_add(&t, ",0");
    text_add(&t, "]");
    auto_json json_t *edge = read_text(t.s, &err);
    assert_int_equal(json_array_size(edge), 99999);
    t.len--;
    text_add(&t, ",0,0]");
    assert_null(read_text(t.s, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    auto_text struct text commas = {0};
    text_add(&commas, "[\"");
    for (int i = 0; i < 200000; i++)
        text_add(&commas, ",");
    text_add(&commas, "\"]");
    auto_json json_t *one = read_text(commas.s, &err);
    assert_int_equal(json_array_size(one), 1);
}

// each: where it has a #, the number comes.
static char *repeated(const char *first, const char *each, int n, const char *last) {
    const char *hash = strchr(each, '#');
    int before = (int)(hash ? hash - each : (ptrdiff_t)strlen(each));
    struct text t = {0};
    text_add(&t, first);
    for (int i = 0; i < n; i++) {
        text_addf(&t, "%s%.*s", i ? "," : "", before, each);
        if (hash)
            text_addf(&t, "%d%s", i, hash + 1);
    }
    text_add(&t, last);
    return text_take(&t);
}

// A sanitizer's heap says nothing.
static size_t heap_used(void) {
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

static void weight_is_what_it_takes_of_the_heap(void **state) {
    (void)state;
    static const char record[] =
        "{\"application\":\"zookeeper\",\"cluster\":\"zk\",\"debug\":\"false\",\"ip\":\"10.0.0.1\","
        "\"ports\":{\"8080\":31000,\"2181\":31001},\"seq\":3,\"proposal\":true}";
    static const struct {
        const char *first, *each, *last;
        int n;
    } shapes[] = {
        {"[", "{}", "]", 20000},
        {"[", "[]", "]", 20000},
        {"[", "[[[[[[[[[[]]]]]]]]]]", "]", 2000},
        {"[", "#", "]", 20000},
        {"[", "#.5", "]", 20000},
        {"[", "true", "]", 20000},
        {"[", "\"\"", "]", 20000},
        {"[", "\"value number #\"", "]", 20000},
        {"[", "{\"a\":1}", "]", 10000},
        {"[", "{\"a\":{\"b\":{\"c\":null}}}", "]", 5000},
        {"[", "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0}", "]", 2000},
        {"[", "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0}", "]",
         2000},
        {"{", "\"#\":null", "}", 20000},
        {"{", "\"the key of member number #\":{}", "}", 20000},
        {"{", "\"#\":\"x\"", "}", 20000},
        {"[", record, "]", 1000},
    };
    assert_int_equal(json_weight(NULL), 0);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        auto_free char *s = repeated(shapes[i].first, shapes[i].each, shapes[i].n, shapes[i].last);
        size_t before = heap_used();
        json_t *j = json_loads(s, 0, NULL);
        size_t takes = heap_used() - before, weight = json_weight(j);
        assert_non_null(j);
        if (takes && (weight < takes / 2 || weight > takes * 2))
            fail_msg("%s%s...: %zu, and it takes %zu", shapes[i].first, shapes[i].each, weight,
                     takes);
        json_decref(j);
    }
    auto_json json_t *text = json_loads("[\"0123456789\"]", 0, NULL);
    auto_json json_t *more = json_loads("[\"0123456789x\"]", 0, NULL);
    assert_int_equal(json_weight(more), json_weight(text) + 1);
}

// What readers of JSON have been found to disagree on.
static const char *const taken[] = {
    "[]",
    "{}",
    "[ ]",
    "\t[\n]\r ",
    "[1]",
    "[0]",
    "[-0]",
    "[-1]",
    "[1.5]",
    "[1e2]",
    "[1E+2]",
    "[1e-2]",
    "[0.0]",
    "[123456789]",
    "[9223372036854775807]",
    "[-9223372036854775808]",
    "[true]",
    "[false]",
    "[null]",
    "[\"\"]",
    "[\"a\"]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    "[\"\\u00e4\"]",
    "[\"\\uD834\\uDD1E\"]",
    "[\"\xc3\xa4\"]",
    "[\"\xf0\x9d\x84\x9e\"]",
    "[\"\x7f\"]",
    "[[],[[]]]",
    "{\"\":0}",
    "{\"a\":{\"a\":{}}}",
    "{\"a\":1,\"A\":2}",
    "[\"\xef\xbf\xbf\"]",
    "[\"\xe2\x80\xa8\"]",
    "[1,\n2\n]",
    "[4.0e-4]",
};
static const char *const refused[] = {
    "[",
    "]",
    "{",
    "}",
    "[[",
    "[}",
    "{]",
    "[1",
    "[1,",
    "[,1]",
    "[1,,2]",
    "[,]",
    "[1 2]",
    "[1;2]",
    "{\"a\"}",
    "{\"a\":}",
    "{:1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\":1 \"b\":2}",
    "{\"a\"::1}",
    "{\"a\":1}}",
    "{\"a\":1}#",
    "[1]x",
    "[1][2]",
    "{\"a\":1,\"a\":1}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"a\":{\"b\":1,\"b\":2}}",
    "[+1]",
    "[-]",
    "[--1]",
    "[.5]",
    "[5.]",
    "[01]",
    "[-01]",
    "[0x1]",
    "[1e]",
    "[1e+]",
    "[1.e1]",
    "[0e]",
    "[1_0]",
    "[1,0,]",
    "[NaN]",
    "[nan]",
    "[Infinity]",
    "[-Infinity]",
    "[inf]",
    "[1e309]",
    "[-1e309]",
    "[9223372036854775808]",
    "[-9223372036854775809]",
    "[1e99999999999999999999]",
    "[True]",
    "[TRUE]",
    "[tru]",
    "[nul]",
    "[undefined]",
    "[truex]",
    "[\"a]",
    "[a]",
    "[\"\n\"]",
    "[\"\t\"]",
    "[\"\x01\"]",
    "[\"\x1f\"]",
    "[\"\\x41\"]",
    "[\"\\a\"]",
    "[\"\\\"]",
    "[\"\\u\"]",
    "[\"\\u12\"]",
    "[\"\\uzzzz\"]",
    "[\"\\U0041\"]",
    "[\"\\ud834\"]",
    "[\"\\udd1e\"]",
    "[\"\\ud834\\ud834\"]",
    "[\"\\udd1e\\ud834\"]",
    "[\"\\u0000\"]",
    "{\"\\u0000\":1}",
    "[\"\xff\"]",
    "[\"\x80\"]",
    "[\"\xc0\x80\"]",
    "[\"\xc0\xaf\"]",
    "[\"\xe0\x80\xaf\"]",
    "[\"\xc3\"]",
    "[\"\xc3(\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\xed\xbf\xbf\"]",
    "[\"\xf4\x90\x80\x80\"]",
    "[\"\xf8\x88\x80\x80\x80\"]",
    "[\"\xf0\x82\x82\xac\"]",
    "[\xc3\xa4]",
    "\xef\xbb\xbf[]",
    "\xff\xfe[\0]\0",
    "[\xef\xbc\x91]",
    "[1]\f",
    "\v[]",
    "[\xc2\xa0]",
    "/**/[]",
    "[1]//",
    "[1/**/]",
    "<a/>",
    "abc",
    "1",
    "-1.5",
    "\"a\"",
    "true",
    "null",
    "",
    " ",
    "\n",
    "*",
    "\\u005b\\u005d",
};

static void what_readers_disagree_on_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        struct err err = ERR_INIT;
        auto_json json_t *j = read_text(taken[i], &err);
        if (!j)
            fail_msg("refused: %s: %s", taken[i], err.text);
        auto_free char *again = json_write(j);
        auto_json json_t *same = read_text(again, &err);
        assert_true(json_equal(j, same));
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct err err = ERR_INIT;
        auto_json json_t *j = read_text(refused[i], &err);
        if (j || err.kind != ERR_USER)
            fail_msg("taken: %s", refused[i]);
    }
}

static void a_million_brackets_are_no_recursion(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_text struct text t = {0};
    for (int i = 0; i < 1000000; i++)
        text_addc(&t, '[');
    assert_null(json_read(t.s, t.len, t.len, "it", &err));
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void it_is_written_in_order_or_canonically(void **state) {
    (void)state;
    auto_json json_t *j = read_text("{\"b\": 1, \"a\": {\"d\": [], \"c\": true}}", NULL);
    auto_free char *as_is = json_write(j);
    auto_free char *sorted = json_canonical(j);
    assert_string_equal(as_is, "{\"b\":1,\"a\":{\"d\":[],\"c\":true}}");
    assert_string_equal(sorted, "{\"a\":{\"c\":true,\"d\":[]},\"b\":1}");
    auto_json json_t *scalar = json_string("x");
    auto_free char *quoted = json_write(scalar);
    assert_string_equal(quoted, "\"x\"");
}

static void a_missing_or_null_member_leaves_the_default(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_json json_t *j = read_text("{\"n\": null}", &err);
    const char *s = "default", *keys[] = {"n", "missing"};
    int64_t i = 5;
    bool b = true;
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(json_str(j, keys[k], &s, &err), 0);
        assert_int_equal(json_int(j, keys[k], &i, &err), 0);
        assert_int_equal(json_flag(j, keys[k], &b, &err), 0);
        assert_string_equal(json_text(j, keys[k]), "");
    }
    assert_string_equal(s, "default");
    assert_int_equal(i, 5);
    assert_true(b);
}

static void a_member_is_of_its_type_or_an_error_names_it(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_json json_t *j = read_text("{\"s\": \"x\", \"i\": -7, \"b\": false, \"r\": 1.5}", &err);
    const char *s = NULL;
    int64_t i = 0;
    bool b = true;
    assert_int_equal(json_str(j, "s", &s, &err), 0);
    assert_int_equal(json_int(j, "i", &i, &err), 0);
    assert_int_equal(json_flag(j, "b", &b, &err), 0);
    assert_string_equal(s, "x");
    assert_int_equal(i, -7);
    assert_false(b);
    assert_string_equal(json_text(j, "s"), "x");
    assert_string_equal(json_text(j, "i"), "");
    assert_int_equal(json_str(j, "i", &s, &err), -1);
    assert_int_equal(err.kind, ERR_USER);
    assert_string_equal(err.text, "\"i\" must be a string, not a number");
    assert_int_equal(json_int(j, "r", &i, &err), -1);
    assert_string_equal(err.text, "\"r\" must be a whole number, not a fraction");
    assert_int_equal(json_flag(j, "s", &b, &err), -1);
    assert_string_equal(err.text, "\"s\" must be true or false, not a string");
    assert_int_equal(i, -7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_and_lists_are_read),
        cmocka_unit_test(what_is_quoted_may_hold_a_nul_that_is_escaped),
        cmocka_unit_test(what_is_not_json_is_refused_by_name_and_place),
        cmocka_unit_test(a_message_holds_no_control_characters),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(size_and_depth_are_capped),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(weight_is_what_it_takes_of_the_heap),
        cmocka_unit_test(what_readers_disagree_on_is_refused),
        cmocka_unit_test(a_million_brackets_are_no_recursion),
        cmocka_unit_test(it_is_written_in_order_or_canonically),
        cmocka_unit_test(a_missing_or_null_member_leaves_the_default),
        cmocka_unit_test(a_member_is_of_its_type_or_an_error_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
