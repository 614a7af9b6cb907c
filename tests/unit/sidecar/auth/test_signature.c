#include "sidecar/auth/signature.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// The wanted values are printed by tests/e2e/signing.py, which is Python's hmac and knows nothing
// of ours; the three keys are OpenSSL's as well (openssl kdf ... HKDF).

static const char token[] = "correct horse battery staple", cluster[] = "marathon.zookeeper";

static void is_key(enum auth_role role, const char *wanted) {
    struct auth_key key;
    char got[2 * sizeof key.bytes + 1];
    auth_derive(token, role, cluster, &key);
    auth_hex(key.bytes, sizeof key.bytes, got);
    assert_string_equal(got, wanted);
}

static void a_key_is_made_of_token_role_and_cluster(void **state) {
    (void)state;
    is_key(AUTH_READ, "6246cfd1f2441c49156de5c594d5fae909d44453ccb92fa4864ebc2a26b1cde9");
    is_key(AUTH_OPERATOR, "7fa88ae60910126824ebac3b7e549659297c3cb24a7751d3f3e45d69ad33a39d");
    is_key(AUTH_PEER, "bd9e3eb3bdb23c5d24ea2d5c92eb0dac1372d38dbec3ac452bb434193b521c42");
}

static void is_signed(enum auth_role role, const struct auth_text *text, const char *wanted) {
    struct auth_key key;
    char got[AUTH_SIGNATURE_LEN + 1];
    auth_derive(token, role, cluster, &key);
    auth_sign(&key, text, got);
    assert_string_equal(got, wanted);
    assert_true(auth_matches(&key, text, wanted));
}

static struct auth_text info_text(char body[AUTH_HASH_LEN + 1]) {
    auth_hash_of("", 0, body);
    return (struct auth_text){.method = "GET",
                              .target = "/info",
                              .body = body,
                              .time = "1700000000",
                              .nonce = "00112233445566778899aabbccddeeff"};
}

static struct auth_text check_text(char body[AUTH_HASH_LEN + 1]) {
    auth_hash_of("{\"pods\":{}}", 11, body);
    return (struct auth_text){.method = "POST",
                              .target = "/control/check/60",
                              .body = body,
                              .pod = "uuid-1",
                              .epoch = "tree-1/4294967298",
                              .round = "7",
                              .phase = "check",
                              .nonce = "0123456789abcdef",
                              .budget = "60000",
                              .type = "application/json"};
}

static void requests_are_signed_as_the_page_says(void **state) {
    (void)state;
    char body[AUTH_HASH_LEN + 1];
    struct auth_text text = info_text(body);
    is_signed(AUTH_READ, &text,
              "v2=5f0c0a1d26a2927112b096afbe3f07c81a85129f775eb9c27dec0bba9f7dfe97");
    text.target = "/log?format=text";
    is_signed(AUTH_READ, &text,
              "v2=1609b9f5085d99b08721ba6ca44f532f5ed669326979f4c509d81c0b22ded6f5");
    text = check_text(body);
    is_signed(AUTH_PEER, &text,
              "v2=010c1ed2bbf3d565f5fea39ec7413cd638125aea66079b8c23761da79bd1bf7f");
    auth_hash_of("", 0, body);
    text = (struct auth_text){.method = "POST",
                              .target = "/exec",
                              .body = body,
                              .pod = "uuid-1",
                              .time = "1700000000",
                              .nonce = "0123456789abcdef",
                              .shell = "backup --all"};
    is_signed(AUTH_OPERATOR, &text,
              "v2=69da5988fea32d89aee5cbac9b013378a8d51c2d148e78ba304f162ef73605e9");
}

static void a_reply_is_signed_over_the_nonce(void **state) {
    (void)state;
    struct auth_key key;
    char body[AUTH_HASH_LEN + 1], got[AUTH_SIGNATURE_LEN + 1];
    auth_derive(token, AUTH_READ, cluster, &key);
    auth_hash_of("{}", 2, body);
    struct auth_reply_text text = {
        .status = 200, .body = body, .pod = "uuid-1", .nonce = "0123456789abcdef"};
    auth_reply_sign(&key, &text, got);
    assert_string_equal(got, "v2=8bff27b5bc8627dd7c4c7aaaa4f8bdce8b355a6902cc19f7d05cbdf6155a677c");
    assert_true(auth_reply_matches(&key, &text, got));
    text.nonce = "0123456789abcdee";
    assert_false(auth_reply_matches(&key, &text, got));
    text.nonce = "0123456789abcdef";
    text.status = 410;
    assert_false(auth_reply_matches(&key, &text, got));
    text.status = 200;
    text.pod = "uuid-2";
    assert_false(auth_reply_matches(&key, &text, got));
}

static void no_line_can_be_left_out_or_stand_for_another(void **state) {
    (void)state;
    struct auth_key key;
    char body[AUTH_HASH_LEN + 1], said[AUTH_SIGNATURE_LEN + 1];
    auth_derive(token, AUTH_PEER, cluster, &key);
    const struct auth_text good = check_text(body);
    auth_sign(&key, &good, said);
    const char *const *first = &good.method;
    size_t n = sizeof good / sizeof *first;
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            struct auth_text other = good;
            const char **lines = &other.method;
            lines[i] = i == j ? "another" : NULL;
            if (i != j)
                lines[j] = first[i] ? first[i] : "moved";
            assert_false(auth_matches(&key, &other, said));
        }
}

static void only_the_whole_signature_matches(void **state) {
    (void)state;
    struct auth_key key;
    char body[AUTH_HASH_LEN + 1], said[AUTH_SIGNATURE_LEN + 2];
    auth_derive(token, AUTH_READ, cluster, &key);
    struct auth_text text = info_text(body);
    auth_sign(&key, &text, said);
    for (size_t i = 0; i < AUTH_SIGNATURE_LEN; i++) {
        char c = said[i];
        said[i] = '\0';
        assert_false(auth_matches(&key, &text, said));
        said[i] = (char)(c ^ 1);
        assert_false(auth_matches(&key, &text, said));
        said[i] = c;
    }
    memcpy(said + AUTH_SIGNATURE_LEN, "0", 2);
    assert_false(auth_matches(&key, &text, said));
}

static void a_body_may_come_in_pieces(void **state) {
    (void)state;
    char whole[AUTH_HASH_LEN + 1], pieces[AUTH_HASH_LEN + 1];
    struct auth_hash hash;
    auth_hash_of("abc", 3, whole);
    assert_string_equal(whole, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    auth_hash_begin(&hash);
    for (int i = 0; i < 3; i++)
        auth_hash_add(&hash, &"abc"[i], 1);
    auth_hash_end(&hash, pieces);
    assert_string_equal(pieces, whole);
}

static void is_phase(const char *path, const char *wanted) {
    size_t len;
    const char *phase = auth_phase_of(path, &len);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(phase, wanted, len);
}

static void the_phase_is_the_task_of_the_path(void **state) {
    (void)state;
    is_phase("/control/check/60", "check");
    is_phase("/control/on", "on");
    is_phase("/control/ok?x", "ok");
    is_phase("/info", "");
    is_phase("/controls/on", "");
    is_phase("/control/", "");
}

// A name has no longest length of its own.
static void a_cluster_may_have_a_long_name(void **state) {
    (void)state;
    char name[2048];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    struct auth_key one, other;
    auth_derive("correct-horse-battery-staple", AUTH_PEER, name, &one);
    name[sizeof name - 2] = 'm';
    auth_derive("correct-horse-battery-staple", AUTH_PEER, name, &other);
    assert_memory_not_equal(&one, &other, sizeof one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_may_have_a_long_name),
        cmocka_unit_test(a_key_is_made_of_token_role_and_cluster),
        cmocka_unit_test(requests_are_signed_as_the_page_says),
        cmocka_unit_test(a_reply_is_signed_over_the_nonce),
        cmocka_unit_test(no_line_can_be_left_out_or_stand_for_another),
        cmocka_unit_test(only_the_whole_signature_matches),
        cmocka_unit_test(a_body_may_come_in_pieces),
        cmocka_unit_test(the_phase_is_the_task_of_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
