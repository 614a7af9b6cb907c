#include "sidecar/cluster/digest.h"
#include "base/own.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// FIPS 180-4 examples.
static void the_published_examples_hold(void **state) {
    (void)state;
    char hex[65];
    digest_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    auto_free char *million = xcalloc(1000000, 1);
    memset(million, 'a', 1000000);
    digest_hex(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_published_examples_hold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
