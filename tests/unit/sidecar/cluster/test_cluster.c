#include "sidecar/cluster/cluster.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/cluster/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void add(struct cluster *c, const char *id, int seq, const char *ip) {
    json_t *pod = json_pack("{s:s, s:s, s:s, s:{s:i}, s:i}", "ip", ip, "public", "", "port", "8080",
                            "ports", "8080", 28000 + seq, "seq", seq);
    assert_non_null(pod);
    json_object_set_new(c->pods, id, pod);
}

static struct cluster *three(void) {
    struct cluster *c = cluster_create();
    add(c, "c", 9, "10.0.0.3");
    add(c, "a", 2, "10.0.0.1");
    add(c, "b", 5, "10.0.0.2");
    return c;
}

static int ordinal(const struct cluster *c, const char *id) {
    return (int)json_integer_value(json_object_get(json_object_get(c->members, id), "ordinal"));
}

static bool flag(const struct cluster *c, const char *id, const char *key) {
    return json_is_true(json_object_get(json_object_get(c->members, id), key));
}

static void ordinals_are_the_smallest_free_and_kept(void **state) {
    (void)state;
    struct cluster *c = three();
    assert_true(cluster_assign(c, true));
    assert_int_equal(ordinal(c, "a"), 1);
    assert_int_equal(ordinal(c, "b"), 2);
    assert_int_equal(ordinal(c, "c"), 3);
    assert_false(cluster_assign(c, true));
    json_object_del(c->pods, "b");
    add(c, "d", 11, "10.0.0.4");
    add(c, "e", 12, "10.0.0.5");
    assert_true(cluster_assign(c, false));
    assert_null(json_object_get(c->members, "b"));
    assert_int_equal(ordinal(c, "a"), 1);
    assert_int_equal(ordinal(c, "c"), 3);
    assert_int_equal(ordinal(c, "d"), 2);
    assert_int_equal(ordinal(c, "e"), 4);
    cluster_free(c);
}

static void founders_are_those_of_the_first_round(void **state) {
    (void)state;
    struct cluster *c = three();
    cluster_assign(c, true);
    assert_true(flag(c, "a", "founder") && flag(c, "b", "founder") && flag(c, "c", "founder"));
    add(c, "d", 11, "10.0.0.4"); // the first round never came to its on
    cluster_assign(c, true);
    assert_true(flag(c, "d", "founder"));
    cluster_joined(c, "a");
    add(c, "e", 12, "10.0.0.5");
    cluster_assign(c, false);
    assert_true(flag(c, "a", "founder") && flag(c, "d", "founder"));
    assert_false(flag(c, "e", "founder"));
    cluster_free(c);
}

static void nobody_founds_beside_one_that_has_joined(void **state) {
    (void)state;
    struct cluster *c = three();
    cluster_assign(c, true);
    cluster_joined(c, "b");
    add(c, "d", 11, "10.0.0.4");
    cluster_assign(c, true);
    assert_false(flag(c, "d", "founder"));
    assert_true(flag(c, "b", "joined"));
    assert_false(flag(c, "a", "joined"));
    cluster_free(c);
}

static void a_tampered_book_is_put_right(void **state) {
    (void)state;
    struct cluster *c = three();
    json_decref(c->members);
    c->members = json_pack("{s:{s:i}, s:{s:i}, s:s}", "a", "ordinal", 2, "b", "ordinal", 2, "c",
                           "?");
    assert_true(cluster_assign(c, false));
    assert_true(ordinal(c, "a") >= 1 && ordinal(c, "b") >= 1 && ordinal(c, "c") >= 1);
    assert_int_not_equal(ordinal(c, "a"), ordinal(c, "b"));
    assert_int_not_equal(ordinal(c, "a"), ordinal(c, "c"));
    assert_int_not_equal(ordinal(c, "b"), ordinal(c, "c"));
    cluster_free(c);
}

static void a_body_says_all_to_its_receiver(void **state) {
    (void)state;
    struct cluster *c = three();
    json_object_set_new(c->dependencies, "kafka",
                        json_pack("{s:{s:s, s:i}}", "k", "ip", "10.1.0.1", "seq", 0));
    cluster_assign(c, true);
    char hash[65];
    cluster_hash(c, hash);
    auto_free char *body = cluster_body(c, "b", hash);
    struct cluster *read = NULL;
    auto_free char *key = NULL, *got = NULL;
    struct err err = ERR_INIT;
    if (cluster_from_body(body, strlen(body), &read, &key, &got, &err))
        fail_msg("%s", err.text);
    assert_string_equal(key, "b");
    assert_string_equal(got, hash);
    assert_true(json_equal(read->pods, c->pods));
    assert_true(json_equal(read->dependencies, c->dependencies));
    assert_true(json_equal(read->members, c->members));
    char again[65];
    cluster_hash(read, again);
    assert_string_equal(again, hash);
    cluster_free(read);
    cluster_free(c);
}

static void an_original_leaders_body_is_enough(void **state) {
    (void)state;
    const char *body = "{\"pods\": {\"y\": {\"ip\": \"10.0.0.2\", \"seq\": 8}, \"x\": {\"ip\": "
                       "\"10.0.0.1\", \"seq\": 3}}, \"dependencies\": {\"kafka\": {}}, \"key\": "
                       "\"y\", \"novelty\": 1}";
    struct cluster *c = NULL;
    auto_free char *key = NULL, *hash = NULL;
    struct err err = ERR_INIT;
    if (cluster_from_body(body, strlen(body), &c, &key, &hash, &err))
        fail_msg("%s", err.text);
    assert_int_equal(ordinal(c, "x"), 1);
    assert_int_equal(ordinal(c, "y"), 2);
    assert_true(flag(c, "y", "founder"));
    assert_false(flag(c, "y", "joined"));
    char computed[65];
    cluster_hash(c, computed);
    assert_string_equal(hash, computed);
    cluster_free(c);
}

static void bad_bodies_are_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"key\": 1}",
        "{\"key\": \"x\"}",
        "{\"key\": \"x\", \"pods\": []}",
        "{\"key\": \"x\", \"pods\": {}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {}}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\"}}}",
        "{\"key\": \"x\", \"pods\": {\"y\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}, \"../y\": {\"ip\": "
        "\"10.0.0.1\", \"seq\": 1}}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}, \"dependencies\": "
        "1}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}, \"dependencies\": "
        "{\"k\": []}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}, \"members\": []}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}, \"members\": {}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}, \"members\": "
        "{\"x\": {\"ordinal\": 0, \"founder\": true, \"joined\": true}}}",
        "{\"key\": \"x\", \"pods\": {\"x\": {\"ip\": \"10.0.0.1\", \"seq\": 1}}, \"hash\": 1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct cluster *c = NULL;
        char *key = NULL, *hash = NULL;
        struct err err = ERR_INIT;
        if (cluster_from_body(bodies[i], strlen(bodies[i]), &c, &key, &hash, &err) == 0)
            fail_msg("%s was taken", bodies[i]);
        assert_null(c);
        assert_null(key);
        assert_null(hash);
        assert_true(err.text[0]);
    }
}

static void the_view_is_sorted_by_seq_and_knows_itself(void **state) {
    (void)state;
    struct cluster *c = three();
    cluster_assign(c, true);
    cluster_joined(c, "c");
    json_object_set_new(
        c->dependencies, "web-*",
        json_pack("{s:{s:s, s:i, s:s}}", "w", "ip", "10.1.0.1", "seq", 0, "cluster", "web-1"));
    json_object_set_new(json_object_get(c->pods, "a"), "zone", json_string("eu-west-1a"));
    json_object_set_new(json_object_get(c->pods, "a"), "slot", json_string("2"));
    struct err err = ERR_INIT;
    auto_json json_t *v = cluster_view(c, "c", &err);
    assert_non_null(v);
    assert_int_equal(json_integer_value(json_object_get(v, "size")), 3);
    assert_int_equal(json_integer_value(json_object_get(v, "index")), 2);
    assert_int_equal(json_integer_value(json_object_get(v, "seq")), 9);
    assert_int_equal(json_integer_value(json_object_get(v, "ordinal")), 3);
    json_t *pods = json_object_get(v, "pods");
    assert_string_equal(json_text(json_array_get(pods, 0), "id"), "a");
    assert_true(json_is_true(json_object_get(json_array_get(pods, 0), "first")));
    assert_true(json_is_true(json_object_get(json_array_get(pods, 2), "last")));
    assert_string_equal(json_text(json_array_get(pods, 0), "zone"), "eu-west-1a");
    assert_string_equal(json_text(json_array_get(pods, 1), "zone"), "");
    assert_string_equal(json_text(json_array_get(pods, 0), "slot"), "2");
    assert_string_equal(json_text(json_array_get(pods, 1), "slot"), "");
    assert_ptr_equal(json_object_get(v, "self"), json_array_get(pods, 2));
    assert_true(json_is_true(json_object_get(json_object_get(v, "self"), "joined")));
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(json_array_get(pods, 1), "ports"), "8080")),
                     28005);
    json_t *web = json_object_get(json_object_get(v, "dependencies"), "web-*");
    assert_string_equal(json_text(json_array_get(web, 0), "cluster"), "web-1");
    assert_null(cluster_view(c, "nobody", &err));
    assert_int_equal(err.kind, ERR_USER);
    cluster_free(c);
}

static void the_hash_ignores_order_and_what_no_template_sees(void **state) {
    (void)state;
    struct cluster *a = three();
    struct cluster *b = cluster_create();
    add(b, "b", 5, "10.0.0.2");
    add(b, "a", 2, "10.0.0.1");
    add(b, "c", 9, "10.0.0.3");
    json_object_set_new(json_object_get(b->pods, "a"), "sidecar", json_string("9.9"));
    json_object_set_new(json_object_get(b->pods, "a"), "zk", json_string("elsewhere"));
    cluster_assign(b, true);
    char ha[65], hb[65];
    cluster_hash(a, ha);
    cluster_hash(b, hb);
    assert_string_equal(ha, hb);
    json_object_set_new(json_object_get(b->pods, "a"), "ip", json_string("10.0.0.7"));
    cluster_hash(b, hb);
    assert_string_not_equal(ha, hb);
    struct cluster *copy = cluster_copy(a);
    json_object_set_new(copy->dependencies, "kafka", json_object());
    cluster_hash(copy, hb);
    assert_string_not_equal(ha, hb);
    cluster_free(copy);
    copy = cluster_copy(a);
    json_object_set_new(json_object_get(copy->pods, "a"), "slot", json_string("2"));
    cluster_hash(copy, hb);
    assert_string_not_equal(ha, hb);
    cluster_free(copy);
    cluster_free(a);
    cluster_free(b);
}

// Leaders of two versions must agree, or each change of the leader is a round.
static void the_hash_is_that_of_canonical_json(void **state) {
    (void)state;
    struct cluster *c = cluster_create();
    json_object_set_new(c->pods, "b",
                        json_pack("{s:s, s:s, s:{s:i,s:i}, s:i, s:i, s:s, s:n, s:s}", "ip",
                                  "10.0.0.1", "node", "a \"quoted\" \\ n\xc3\xb6\x01/de", "ports",
                                  "9", 1, "10", 2, "seq", 3, "renewals", 2, "zk", "left out",
                                  "task", "public", ""));
    json_object_set_new(
        c->pods, "a",
        json_pack("{s:s, s:f, s:s, s:s}", "fwk", "x", "seq", 1.5, "zone", "z", "slot", "4"));
    json_object_set_new(c->pods, "c", json_object());
    json_object_set_new(c->dependencies, "w\"x",
                        json_pack("{s:{s:i, s:i}}", "d", "seq", 1, "renewals", 4));
    json_object_set_new(c->dependencies, "kafka", json_object());
    auto_json json_t *all = json_pack(
        "{s:{s:{}, s:{s:{s:i}}}, s:{s:{s:f, s:s, s:s}, s:{}, s:{s:s, s:s, "
        "s:{s:i,s:i}, s:i, s:i, s:n, s:s}}}",
        "dependencies", "kafka", "w\"x", "d", "seq", 1, "pods", "a", "seq", 1.5, "zone", "z",
        "slot", "4", "c", "b", "ip", "10.0.0.1", "node", "a \"quoted\" \\ n\xc3\xb6\x01/de",
        "ports", "9", 1, "10", 2, "seq", 3, "renewals", 2, "task", "public", "");
    assert_non_null(all);
    auto_free char *canonical = json_canonical(all);
    char want[65], got[65];
    digest_hex(canonical, strlen(canonical), want);
    cluster_hash(c, got);
    assert_string_equal(got, want);
    cluster_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinals_are_the_smallest_free_and_kept),
        cmocka_unit_test(founders_are_those_of_the_first_round),
        cmocka_unit_test(nobody_founds_beside_one_that_has_joined),
        cmocka_unit_test(a_tampered_book_is_put_right),
        cmocka_unit_test(a_body_says_all_to_its_receiver),
        cmocka_unit_test(an_original_leaders_body_is_enough),
        cmocka_unit_test(bad_bodies_are_refused),
        cmocka_unit_test(the_view_is_sorted_by_seq_and_knows_itself),
        cmocka_unit_test(the_hash_is_that_of_canonical_json),
        cmocka_unit_test(the_hash_ignores_order_and_what_no_template_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
