#include "cli/image.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_tag_replaces_tag_and_digest_and_no_port(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"a", "a:2"},
        {"a:1", "a:2"},
        {"registry:5000/a", "registry:5000/a:2"},
        {"registry:5000/team/a:1", "registry:5000/team/a:2"},
        {"a@sha256:0011", "a:2"},
        {"registry:5000/a:1@sha256:0011", "registry:5000/a:2"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        auto_free char *image = image_with_tag(table[i][0], "2");
        assert_string_equal(image, table[i][1]);
    }
}

static void what_is_no_tag_is_told(void **state) {
    (void)state;
    assert_null(image_wrong_tag("3.9-rc_1"));
    static const char *const wrong[] = {"", ".a", "-a", "a:b", "a/b", "a b", "a\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(image_wrong_tag(wrong[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_replaces_tag_and_digest_and_no_port),
        cmocka_unit_test(what_is_no_tag_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
