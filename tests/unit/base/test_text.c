#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void it_grows_and_is_always_a_string(void **state) {
    (void)state;
    auto_text struct text t = {0};
    assert_string_equal(text_str(&t), "");
    text_addn(&t, NULL, 0);
    assert_string_equal(t.s, "");
    for (int i = 0; i < 1000; i++)
        text_addf(&t, "%d,", i);
    assert_int_equal(strlen(t.s), t.len);
    assert_int_equal(t.len, 10 * 2 + 90 * 3 + 900 * 4);
    text_clear(&t);
    assert_string_equal(text_str(&t), "");
    text_add(&t, "a");
    text_addc(&t, 'b');
    text_addn(&t, "\0c", 2);
    assert_int_equal(t.len, 4);
    assert_memory_equal(t.s, "ab\0c", 5);
}

static void what_is_taken_is_the_takers(void **state) {
    (void)state;
    auto_text struct text t = {0};
    auto_free char *none = text_take(&t);
    assert_string_equal(none, "");
    text_add(&t, "x");
    auto_free char *s = text_take(&t);
    assert_string_equal(s, "x");
    assert_null(t.s);
    assert_int_equal(t.len, 0);
}

static void comparisons_mean_what_they_say(void **state) {
    (void)state;
    assert_true(text_starts("abc", "ab") && text_starts("abc", ""));
    assert_false(text_starts("a", "ab"));
    assert_true(text_ends("abc", "bc") && text_ends("abc", ""));
    assert_false(text_ends("c", "bc"));
    assert_true(text_same(NULL, NULL) && text_same("", ""));
    assert_false(text_same(NULL, "") || text_same("", NULL) || text_same("a", "b"));
}

static void quoted_text_cannot_leave_its_line(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "\"plain\""},
        {"", "\"\""},
        {"a\nb\r\t\"\\", "\"a\\nb\\r\\t\\\"\\\\\""},
        {"\x1b[31m\x7f", "\"\\x1b[31m\\x7f\""},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\"\xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},                   // a control character of C1
        {"\xc0\xaf", "\"\\xc0\\xaf\""},                   // overlong
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},          // surrogate
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""}, // beyond Unicode
        {"\xe2\x82", "\"\\xe2\\x82\""},                   // cut off
        {"\xff", "\"\\xff\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_text struct text t = {0};
        text_quote(&t, cases[i].in, 100);
        assert_string_equal(text_str(&t), cases[i].out);
    }
}

#define NONE "\xef\xbf\xbd"

static void what_others_wrote_is_made_utf8(void **state) {
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        {"", 0, ""},
        {"plain\n\x1b", 7, "plain\n\x1b"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", 8, "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b", 2, "\xc2\x9b"},
        {"a\0b", 3, "a" NONE "b"},
        {"caf\xe9", 4, "caf" NONE},
        {"\xe2\x82\xac", 2, NONE NONE}, // cut off
        {"\xc0\xaf", 2, NONE NONE},
        {"\xed\xa0\x80", 3, NONE NONE NONE},
        {"\xf4\x90\x80\x80", 4, NONE NONE NONE NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_text struct text t = {0};
        text_add_utf8(&t, cases[i].in, cases[i].len);
        assert_string_equal(text_str(&t), cases[i].out);
    }
}

static void quoted_text_is_cut_after_its_maximum(void **state) {
    (void)state;
    auto_text struct text t = {0};
    text_quote(&t, "abcdef", 3);
    assert_string_equal(t.s, "\"abc...\"");
    text_clear(&t);
    text_quote(&t, "abc", 3);
    assert_string_equal(t.s, "\"abc\"");
    text_clear(&t);
    text_quote(&t,
               "a\xe2\x82\xac"
               "b",
               2);
    assert_string_equal(t.s, "\"a\xe2\x82\xac...\"");
}

static void a_number_is_whole_and_within_its_bounds(void **state) {
    (void)state;
    int64_t v = 77;
    struct err err = ERR_INIT;
    assert_int_equal(text_int("8080", 1, 65535, &v, &err), 0);
    assert_int_equal(v, 8080);
    assert_int_equal(text_int("-3", -5, 5, &v, &err), 0);
    assert_int_equal(v, -3);
    assert_int_equal(text_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v, &err), 0);
    assert_true(v == INT64_MIN);
    v = 77;
    static const char *const bad[] = {"",     "-",   "+1", " 1",    "1 ",  "1x",
                                      "0x10", "1.0", "0",  "65536", "--1", "9223372036854775808"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(text_int(bad[i], 1, 65535, &v, &err), -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_int_equal(v, 77);
    }
    assert_non_null(strstr(err.text, "from 1 to 65535"));
}

static void durations_have_a_unit(void **state) {
    (void)state;
    static const struct {
        const char *s;
        int64_t ms;
    } good[] = {{"500ms", 500}, {"5s", 5000}, {"2m", 120000}, {"1h", 3600000}, {"0", 0}, {"0s", 0}};
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5 s",
                                      "-5s",
                                      "5S",
                                      "5d",
                                      "1.5s",
                                      "5s5m",
                                      "00",
                                      "9223372036854775807h",
                                      "99999999999999999999s"};
    struct err err = ERR_INIT;
    int64_t v = 0;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(text_duration(good[i].s, &v, &err), 0);
        assert_int_equal(v, good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v = 77;
        assert_int_equal(text_duration(bad[i], &v, &err), -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_int_equal(v, 77);
    }
}

static void a_duration_is_written_as_it_is_read(void **state) {
    (void)state;
    static const int64_t all[] = {0, 1, 500, 999, 1000, 1500, 60000, 90000, 3600000, 5400000};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        auto_text struct text t = {0};
        int64_t v = -1;
        text_add_duration(&t, all[i]);
        assert_int_equal(text_duration(t.s, &v, NULL), 0);
        assert_int_equal(v, all[i]);
    }
}

static void sizes_are_read_as_docker_reads_them(void **state) {
    (void)state;
    static const struct {
        const char *s;
        int64_t bytes;
    } good[] = {{"64m", 64 << 20},
                {"1g", 1 << 30},
                {"512k", 512 << 10},
                {"42", 42},
                {"42b", 42},
                {"32kb", 32768},
                {"32KiB", 32768},
                {"1.5G", 3LL << 29},
                {"32 mb", 32 << 20},
                {"2t", 2LL << 40},
                {"0", 0}};
    static const char *const bad[] = {"",     "m",   "-1m", "1x",  "1 ",  "1mm",         "1bb",
                                      "0x10", ".5g", "1.g", "1e3", "inf", "9999999999g", "1 kx"};
    struct err err = ERR_INIT;
    int64_t v = 0;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(text_bytes(good[i].s, &v, &err), 0);
        assert_int_equal(v, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v = 77;
        assert_int_equal(text_bytes(bad[i], &v, &err), -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_int_equal(v, 77);
    }
}

static void a_split_leaves_empty_parts_out(void **state) {
    (void)state;
    char **list = text_split(",a,,bc; d ,e,f,g,", ",; ");
    static const char *const parts[] = {"a", "bc", "d", "e", "f", "g"};
    assert_int_equal(text_list_len(list), 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(list[i], parts[i]);
    text_list_free(list);
    list = text_split("", ",");
    assert_int_equal(text_list_len(list), 0);
    text_list_free(list);
    text_list_free(NULL);
    assert_int_equal(text_list_len(NULL), 0);
}

static void what_is_withdrawn_is_gone_from_where_it_was(void **state) {
    (void)state;
    char argv[] = "zk://bob:secret@host";
    auto_free char *copy = text_withdraw(argv);
    assert_string_equal(copy, "zk://bob:secret@host");
    for (size_t i = 0; i < sizeof argv; i++)
        assert_int_equal(argv[i], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_and_is_always_a_string),
        cmocka_unit_test(what_is_taken_is_the_takers),
        cmocka_unit_test(what_is_withdrawn_is_gone_from_where_it_was),
        cmocka_unit_test(comparisons_mean_what_they_say),
        cmocka_unit_test(quoted_text_cannot_leave_its_line),
        cmocka_unit_test(what_others_wrote_is_made_utf8),
        cmocka_unit_test(quoted_text_is_cut_after_its_maximum),
        cmocka_unit_test(a_number_is_whole_and_within_its_bounds),
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(a_duration_is_written_as_it_is_read),
        cmocka_unit_test(sizes_are_read_as_docker_reads_them),
        cmocka_unit_test(a_split_leaves_empty_parts_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
