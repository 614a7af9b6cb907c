#include "sidecar/portal/words.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void becomes(const char *line, const char *wanted) {
    struct err err = ERR_INIT;
    char **words = words_split(line, &err);
    if (!words)
        fail_msg("%s: %s", line, err.text);
    auto_text struct text got = {0};
    for (size_t i = 0; words[i]; i++)
        text_addf(&got, "[%s]", words[i]);
    text_list_free(words);
    assert_string_equal(text_str(&got), wanted);
}

static void refused(const char *line) {
    struct err err = ERR_INIT;
    char **words = words_split(line, &err);
    if (words)
        fail_msg("%s: accepted", line);
    assert_int_equal(err.kind, ERR_USER);
    assert_string_equal(err.text, "a quote is not closed");
}

static void spaces_part_words(void **state) {
    (void)state;
    becomes("", "");
    becomes(" \t ", "");
    becomes("ls", "[ls]");
    becomes("  grep  -j\t*zoo*  ", "[grep][-j][*zoo*]");
    becomes("off -i 0,2 --force", "[off][-i][0,2][--force]");
}

static void quotes_keep_together(void **state) {
    (void)state;
    becomes("exec a 'b c' \"d e\"", "[exec][a][b c][d e]");
    becomes("a'b'\"c\"d", "[abcd]");
    becomes("'' \"\"", "[][]");
    becomes("'a\"b' \"a'b\"", "[a\"b][a'b]");
    becomes("'a\\b'", "[a\\b]");
    becomes("\"a\\\"b\\\\c\\$d\\`e\"", "[a\"b\\c$d`e]");
    becomes("\"a\\nb\"", "[a\\nb]");
    becomes("a\\ b \\' \\\" \\\\", "[a b]['][\"][\\]");
    becomes("deploy x.yml -o '{\"a\": 1}'", "[deploy][x.yml][-o][{\"a\": 1}]");
}

static void a_quote_must_be_closed(void **state) {
    (void)state;
    refused("'");
    refused("\"");
    refused("ls 'a");
    refused("ls \"a\\\"");
    refused("a\"b'c");
    becomes("a\\", "[a\\]"); // nothing to keep: it stands for itself
}

static void what_a_shell_would_act_on_is_text(void **state) {
    (void)state;
    becomes("; touch /tmp/x", "[;][touch][/tmp/x]");
    becomes("ls;touch x", "[ls;touch][x]");
    becomes("$(touch x) `touch x` $HOME ~ * ?", "[$(touch][x)][`touch][x`][$HOME][~][*][?]");
    becomes("ls | sh && x || y > z < w & # c", "[ls][|][sh][&&][x][||][y][>][z][<][w][&][#][c]");
    becomes("{a,b} !x \"$(x)\"", "[{a,b}][!x][$(x)]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces_part_words),
        cmocka_unit_test(quotes_keep_together),
        cmocka_unit_test(a_quote_must_be_closed),
        cmocka_unit_test(what_a_shell_would_act_on_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
