#include "sidecar/cluster/reference.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/cluster/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define HASH "0123456789abcdef"

static char *proposal(int64_t epoch, int64_t round, int pods) {
    struct cluster *c = cluster_create();
    for (int i = 0; i < pods; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        json_object_set_new(c->pods, id,
                            json_pack("{s:s, s:s, s:s, s:{s:i}, s:i, s:s}", "zk", "a:1", "ip",
                                      "10.0.0.1", "port", "8080", "ports", "8080", 28000 + i, "seq",
                                      i, "task", "t"));
    }
    cluster_assign(c, true);
    char *text = reference_proposal(c, HASH, epoch, round);
    cluster_free(c);
    return text;
}

static struct reference *refer(const char *to, int64_t epoch, int64_t round) {
    char digest[65];
    digest_hex(to, strlen(to), digest);
    auto_free char *body = reference_write("p1", HASH, epoch, round, digest);
    struct reference *r = NULL;
    assert_int_equal(reference_read(body, strlen(body), &r, NULL), 0);
    assert_non_null(r);
    return r;
}

static void what_was_proposed_is_what_is_read(void **state) {
    (void)state;
    auto_free char *text = proposal(7, 3, 3);
    struct reference *r = refer(text, 7, 3);
    struct cluster *c = NULL;
    struct err err = ERR_INIT;
    if (reference_resolve(r, text, strlen(text), &c, &err))
        fail_msg("%s", err.text);
    assert_int_equal(json_object_size(c->pods), 3);
    assert_int_equal(json_object_size(c->members), 3);
    // Nothing that templates see is missing, and nothing else is there.
    const json_t *pod = json_object_get(c->pods, "p1");
    assert_string_equal(json_text(pod, "task"), "t");
    assert_null(json_object_get(pod, "zk"));
    auto_json json_t *view = cluster_view(c, "p1", &err);
    assert_int_equal(json_integer_value(json_object_get(view, "ordinal")), 2);
    cluster_free(c);
    reference_free(r);
}

static void the_digest_of_the_pods_is_that_of_the_whole_records(void **state) {
    (void)state;
    struct cluster *whole = cluster_create(), *read = cluster_create();
    json_object_set_new(whole->pods, "a",
                        json_pack("{s:s, s:s, s:{s:i}, s:i, s:i, s:s}", "zk", "a:1", "ip",
                                  "10.0.0.1", "ports", "8080", 1, "seq", 4, "renewals", 2, "fwk",
                                  "x"));
    auto_text struct text essence = {0};
    cluster_essence(whole, &essence);
    json_decref(read->pods);
    read->pods = json_read(essence.s, essence.len, essence.len, "essence", NULL);
    assert_non_null(read->pods);
    char a[65], b[65];
    cluster_hash(whole, a);
    cluster_hash(read, b);
    assert_string_equal(a, b);
    cluster_free(whole);
    cluster_free(read);
}

static void another_proposal_is_not_taken(void **state) {
    (void)state;
    auto_free char *meant = proposal(7, 3, 3);
    const struct {
        int64_t epoch, round;
        int pods;
    } others[] = {{6, 3, 3}, {7, 2, 3}, {7, 4, 3}, {7, 3, 2}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        auto_free char *other = proposal(others[i].epoch, others[i].round, others[i].pods);
        struct reference *r = refer(meant, 7, 3);
        struct cluster *c = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(reference_resolve(r, other, strlen(other), &c, &err), -1);
        assert_int_equal(err.kind, ERR_ABSENT);
        reference_free(r);
    }
}

static void junk_in_the_node_is_no_proposal(void **state) {
    (void)state;
    static const char *const junk[] = {"",
                                       "{",
                                       "[]",
                                       "{}",
                                       "null",
                                       "\xff\xfe",
                                       "{\"epoch\":\"7\",\"round\":3}",
                                       "{\"epoch\":7,\"round\":3,\"hash\":{}}",
                                       "{\"epoch\":7,\"round\":3,\"hash\":\"" HASH "\"}",
                                       "{\"epoch\":7,\"round\":3,\"hash\":\"" HASH
                                       "\",\"pods\":[]}"};
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        struct reference *r = refer(junk[i], 7, 3);
        struct cluster *c = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(reference_resolve(r, junk[i], strlen(junk[i]), &c, &err), -1);
        assert_true(err.kind != ERR_NONE);
        assert_null(c);
        reference_free(r);
    }
}

static void what_refers_to_nothing_is_left_to_be_read_as_a_whole_body(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "", "{", "[]", "{\"pods\":{},\"key\":\"a\"}", "{\"proposal\":true}", "{\"proposal\":[]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct reference *r = NULL;
        assert_int_equal(reference_read(bodies[i], strlen(bodies[i]), &r, NULL), 0);
        assert_null(r);
    }
}

static void a_reference_that_lacks_something_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"proposal\":{}}",
        "{\"key\":\"a\",\"hash\":\"b\",\"proposal\":{\"epoch\":1,\"round\":1}}",
        "{\"key\":\"a\",\"hash\":\"b\",\"proposal\":{\"epoch\":\"1\",\"digest\":\"c\"}}",
        "{\"key\":1,\"hash\":\"b\",\"proposal\":{\"epoch\":1,\"digest\":\"c\"}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct reference *r = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(reference_read(bodies[i], strlen(bodies[i]), &r, &err), -1);
        assert_null(r);
        assert_int_equal(err.kind, ERR_USER);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_proposed_is_what_is_read),
        cmocka_unit_test(the_digest_of_the_pods_is_that_of_the_whole_records),
        cmocka_unit_test(another_proposal_is_not_taken),
        cmocka_unit_test(junk_in_the_node_is_no_proposal),
        cmocka_unit_test(what_refers_to_nothing_is_left_to_be_read_as_a_whole_body),
        cmocka_unit_test(a_reference_that_lacks_something_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
