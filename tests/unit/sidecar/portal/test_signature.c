// Vectors: RFC 2202 (HMAC-SHA1), and what `openssl dgst -sha1 -hmac` says of a line of ours.
#include "sidecar/portal/signature.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void it_is_hmac_sha1_in_hex(void **state) {
    (void)state;
    char got[SIGNATURE_LEN + 1];
    signature_make("Jefe", "what do ya want for nothing?", got);
    assert_string_equal(got, "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    char key[81];
    memset(key, 0xaa, 80);
    key[80] = '\0';
    signature_make(key, "Test Using Larger Than Block-Size Key - Hash Key First", got);
    assert_string_equal(got, "sha1=aa4ae5e15272d00e95705637ce8a3b55ed402112");
    signature_make("hush", "deploy web.yml -p 3", got);
    assert_string_equal(got, "sha1=0062267d75d4c9fdba48e44d57e88e3a0cecf5fe");
}

static void only_the_same_matches(void **state) {
    (void)state;
    char good[SIGNATURE_LEN + 1], bad[SIGNATURE_LEN + 2];
    signature_make("hush", "ls", good);
    assert_true(signature_matches("hush", "ls", good));
    assert_false(signature_matches("hush", "ls ", good));
    assert_false(signature_matches("hust", "ls", good));
    for (size_t i = 0; i < SIGNATURE_LEN; i++) {
        strcpy(bad, good);
        bad[i] = bad[i] == '0' ? '1' : '0';
        assert_false(signature_matches("hush", "ls", bad));
        strcpy(bad, good);
        bad[i] = '\0';
        assert_false(signature_matches("hush", "ls", bad));
    }
    strcpy(bad, good);
    strcat(bad, "0");
    assert_false(signature_matches("hush", "ls", bad));
    assert_false(signature_matches("hush", "ls", ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_hmac_sha1_in_hex),
        cmocka_unit_test(only_the_same_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
