#include "docker-api/encode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void is(const struct docker_exec *exec, const char *wanted) {
    struct err err = ERR_INIT;
    auto_json json_t *body = encode_exec(exec, &err);
    if (!body)
        fail_msg("%s", err.text);
    char *text = json_canonical(body);
    assert_string_equal(text, wanted);
    free(text);
}

static void an_exec_is_said_whole(void **state) {
    (void)state;
    is(&(struct docker_exec){.argv = ARGV("cat")},
       "{\"AttachStderr\":true,\"AttachStdin\":false,\"AttachStdout\":true,\"Cmd\":[\"cat\"],"
       "\"Tty\":false}");
    is(&(struct docker_exec){.argv = ARGV("caf\xc3\xa9", ""),
                             .env = ARGV("A=b", "C="),
                             .user = "1:2",
                             .working_dir = "/d",
                             .input = ""},
       "{\"AttachStderr\":true,\"AttachStdin\":true,\"AttachStdout\":true,\"Cmd\":[\"caf\xc3\xa9\","
       "\"\"],\"Env\":[\"A=b\",\"C=\"],\"Tty\":false,\"User\":\"1:2\",\"WorkingDir\":\"/d\"}");
}

static void refused(const struct docker_exec *exec, const char *why) {
    struct err err = ERR_INIT;
    assert_null(encode_exec(exec, &err));
    assert_int_equal(err.kind, ERR_USER);
    assert_string_equal(err.text, why);
}

static void what_is_not_utf8_is_named_and_never_left_out(void **state) {
    (void)state;
    refused(&(struct docker_exec){.argv = ARGV("\xff")}, "argument 0 is not UTF-8: \"\\xff\"");
    refused(&(struct docker_exec){.argv = ARGV("a", "b", "caf\xe9", "\xff")},
            "argument 2 is not UTF-8: \"caf\\xe9\"");
    refused(&(struct docker_exec){.argv = ARGV("a", "\xed\xa0\x80")}, // half of a surrogate pair
            "argument 1 is not UTF-8: \"\\xed\\xa0\\x80\"");
    refused(&(struct docker_exec){.argv = ARGV("a"), .env = ARGV("A=1", "B=\xc3")},
            "variable 1 is not UTF-8: \"B=\\xc3\"");
    refused(&(struct docker_exec){.argv = ARGV("a"), .user = "\x80"},
            "the user is not UTF-8: \"\\x80\"");
    refused(&(struct docker_exec){.argv = ARGV("a"), .working_dir = "/\xff"},
            "the working directory is not UTF-8: \"/\\xff\"");
    char longer[200] = {0};
    memset(longer, 'x', sizeof longer - 2);
    longer[sizeof longer - 2] = (char)0xff;
    struct err err = ERR_INIT;
    assert_null(encode_exec(&(struct docker_exec){.argv = ARGV("a", longer)}, &err));
    assert_true(strlen(err.text) < 120);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exec_is_said_whole),
        cmocka_unit_test(what_is_not_utf8_is_named_and_never_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
