#include "base/err.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void an_error_holds_kind_code_and_sentence(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(err.kind, ERR_NONE);
    assert_int_equal(err_set(&err, ERR_USER, "port %d is taken", 80), -1);
    assert_int_equal(err.kind, ERR_USER);
    assert_int_equal(err.code, 0);
    assert_string_equal(err.text, "port 80 is taken");
    assert_int_equal(err_code(&err, ERR_ABSENT, 404, "no container %s", "x"), -1);
    assert_int_equal(err.code, 404);
    assert_int_equal(err_errno(&err, ERR_RETRY, ECONNREFUSED, "connect %s", "a:1"), -1);
    assert_int_equal(err.code, ECONNREFUSED);
    assert_string_equal(err.text, "connect a:1: Connection refused");
}

static void nobody_need_want_to_know(void **state) {
    (void)state;
    struct err from = {.kind = ERR_BUG};
    assert_int_equal(err_set(NULL, ERR_USER, "x"), -1);
    assert_int_equal(err_code(NULL, ERR_USER, 1, "x"), -1);
    assert_int_equal(err_errno(NULL, ERR_USER, 1, "x"), -1);
    assert_int_equal(err_wrap(NULL, "x"), -1);
    assert_int_equal(err_copy(NULL, &from), -1);
}

static void a_wrap_goes_in_front_and_keeps_the_rest(void **state) {
    (void)state;
    struct err err = ERR_INIT, copy = ERR_INIT;
    err_code(&err, ERR_REFUSED, 7, "no");
    assert_int_equal(err_wrap(&err, "pod %d", 3), -1);
    assert_string_equal(err.text, "pod 3: no");
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_int_equal(err.code, 7);
    assert_int_equal(err_copy(&copy, &err), -1);
    assert_memory_equal(&copy, &err, sizeof(err));
}

static void its_own_text_may_be_an_argument(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    err_set(&err, ERR_USER, "inner");
    err_set(&err, ERR_BUG, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    err_wrap(&err, "%s", err.text);
    assert_string_equal(err.text, "outer (inner): outer (inner)");
}

static void a_long_sentence_is_cut_between_characters(void **state) {
    (void)state;
    for (int pad = 0; pad < 4; pad++) {
        struct err err = ERR_INIT;
        char s[2048] = "";
        memset(s, 'x', (size_t)pad);
        while (strlen(s) < 1024)
            strcat(s, "\xe2\x82\xac");
        err_set(&err, ERR_USER, "%s", s);
        size_t len = strlen(err.text);
        assert_true(len > sizeof(err.text) - 4 && len < sizeof(err.text));
        assert_int_equal((len - (size_t)pad) % 3, 0);
    }
}

static void every_kind_has_a_name_of_its_own(void **state) {
    (void)state;
    for (int i = ERR_NONE; i <= ERR_BUG; i++) {
        assert_string_not_equal(err_kind_name((enum err_kind)i), "unknown");
        for (int j = ERR_NONE; j < i; j++)
            assert_string_not_equal(err_kind_name((enum err_kind)i),
                                    err_kind_name((enum err_kind)j));
    }
    assert_string_equal(err_kind_name((enum err_kind)99), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_holds_kind_code_and_sentence),
        cmocka_unit_test(nobody_need_want_to_know),
        cmocka_unit_test(a_wrap_goes_in_front_and_keeps_the_rest),
        cmocka_unit_test(its_own_text_may_be_an_argument),
        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
