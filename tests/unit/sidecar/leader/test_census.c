#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/own.h"
#include "sidecar/leader/census.h"
#include <string.h>

static json_t *json(const char *text) {
    char *copy = xstrdup(text);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *value = json_loads(copy, 0, NULL);
    free(copy);
    assert_non_null(value);
    return value;
}

// a, b, c with seq 1, 2, 3
static struct cluster *three(void) {
    struct cluster *c = cluster_create();
    static const char *const ids[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        json_object_set_new(c->pods, ids[i], json_pack("{s:i}", "seq", i + 1));
    return c;
}

static bool is(const struct cluster *c, const char *id, const char *what) {
    return json_is_true(json_object_get(json_object_get(c->members, id), what));
}

static struct census take(struct cluster *c, const char *written, const char *answers,
                          const char *gone, bool completed) {
    auto_json json_t *w = json(written);
    auto_json json_t *a = json(answers);
    auto_json json_t *g = json(gone);
    struct census census;
    census_take(c, w, a, g, completed, &census);
    return census;
}

static void the_first_round_makes_founders(void **state) {
    (void)state;
    struct cluster *c = three();
    census_open(c, NULL);
    struct census census = take(
        c, "{}",
        "{'a':{'started':false,'running':false},'b':{'started':false,'running':false},"
        "'c':{'started':false,'running':false}}",
        "{}", false);
    assert_false(census.corrected || census.dropped);
    assert_true(census.none_runs && census.changed);
    assert_true(is(c, "a", "founder") && is(c, "b", "founder") && is(c, "c", "founder"));
    cluster_free(c);
}

static void founders_are_named_anew_while_nobody_started(void **state) {
    (void)state;
    static const char written[] = "{'a':{'ordinal':1,'founder':true,'joined':false}}";
    auto_json json_t *w = json(written);
    struct cluster *c = three();
    census_open(c, w);
    struct census census = take(
        c, written, "{'a':{'started':false},'b':{'started':false},'c':{'started':false}}", "{}",
        false);
    assert_false(census.corrected);
    assert_true(is(c, "c", "founder"));
    cluster_free(c);
}

static void a_newcomer_beside_one_who_ran_is_no_founder(void **state) {
    (void)state;
    static const char written[] = "{'a':{'ordinal':1,'founder':true,'joined':false}}";
    static const char answers[] = "{'a':{'started':true,'running':true},'b':{'started':false},"
                                  "'c':{'started':false}}";
    auto_json json_t *w = json(written);
    struct cluster *c = three();
    census_open(c, w);
    struct census census = take(c, written, answers, "{}", false);
    assert_true(census.corrected);
    assert_false(census.none_runs);
    assert_true(is(c, "a", "founder"));
    assert_false(is(c, "b", "founder") || is(c, "c", "founder"));
    census = take(c, written, answers, "{}", false);
    assert_false(census.corrected); // once is enough
    cluster_free(c);
}

static void who_says_he_joined_has_joined(void **state) {
    (void)state;
    static const char written[] = "{'a':{'ordinal':1,'founder':true,'joined':false},"
                                  "'b':{'ordinal':2,'founder':true,'joined':false}}";
    static const char answers[] = "{'a':{'joined':true,'started':true},'b':{'started':true},"
                                  "'c':{'started':false}}";
    auto_json json_t *w = json(written);
    struct cluster *c = three();
    census_open(c, w);
    assert_true(take(c, written, answers, "{}", true).corrected);
    assert_true(is(c, "a", "joined"));
    assert_false(is(c, "b", "joined") || is(c, "c", "founder"));
    assert_true(is(c, "b", "founder"));
    cluster_free(c);
}

static void the_dead_are_dropped(void **state) {
    (void)state;
    struct cluster *c = three();
    census_open(c, NULL);
    struct census census = take(c, "{}", "{'a':{'started':false},'c':{'started':false}}",
                                "{'b':true}", false);
    assert_true(census.dropped);
    assert_int_equal(json_object_size(c->pods), 2);
    assert_null(json_object_get(c->members, "b"));
    census = take(c, "{}", "{'a':{'started':false},'c':{'started':false}}", "{}", false);
    assert_false(census.dropped || census.corrected);
    cluster_free(c);
}

static void of_an_original_pod_the_worst_is_assumed(void **state) {
    (void)state;
    struct cluster *c = three();
    census_open(c, NULL);
    struct census census = take(c, "{}", "{'a':{},'b':{},'c':{}}", "{}", true);
    assert_true(census.corrected);
    assert_false(census.none_runs);
    assert_true(census.changed);
    assert_false(is(c, "a", "founder"));
    cluster_free(c);
    c = three();
    census_open(c, NULL);
    census = take(c, "{}", "{'a':{},'b':{},'c':{}}", "{}", false);
    assert_true(census.none_runs && is(c, "a", "founder"));
    cluster_free(c);
}

static void nothing_changes_only_when_all_say_so(void **state) {
    (void)state;
    struct cluster *c = three();
    census_open(c, NULL);
    assert_false(
        take(c, "{}", "{'a':{'changed':false},'b':{'changed':false}}", "{}", false).changed);
    assert_true(take(c, "{}", "{'a':{'changed':false},'b':{'changed':'no'}}", "{}", false).changed);
    cluster_free(c);
}

static enum census_turn turn(const char *answer) {
    auto_json json_t *a = json(answer);
    return census_turn(a);
}

static void who_is_down_comes_first_and_a_newcomer_does_not(void **state) {
    (void)state;
    assert_int_equal(turn("{'started':true,'running':false,'ready':false}"), TURN_DOWN);
    assert_int_equal(turn("{'running':false}"), TURN_DOWN);
    assert_int_equal(turn("{'started':true,'running':true,'ready':false}"), TURN_UNREADY);
    assert_int_equal(turn("{'started':true,'running':true,'ready':true}"), TURN_REST);
    assert_int_equal(turn("{'started':true,'running':true}"), TURN_REST); // an older pod of ours
    assert_int_equal(turn("{'started':false,'running':false,'ready':false}"), TURN_REST);
    assert_int_equal(turn("{}"), TURN_REST); // an original one
    assert_int_equal(turn("{'running':'no'}"), TURN_REST);
    assert_int_equal(census_turn(NULL), TURN_REST);
}

static void of_an_answer_what_is_read_is_kept(void **state) {
    (void)state;
    auto_json json_t *long_ = json("{'joined':true,'started':false,'running':'yes','ready':[{},{}],"
                                   "'changed':true,'status':'x','x':{'joined':true}}");
    auto_json json_t *kept = census_said(long_);
    auto_json json_t *want = json("{'joined':true,'started':false,'changed':true}");
    assert_true(json_equal(kept, want));
    auto_json json_t *none = census_said(NULL);
    assert_int_equal(json_object_size(none), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_round_makes_founders),
        cmocka_unit_test(founders_are_named_anew_while_nobody_started),
        cmocka_unit_test(a_newcomer_beside_one_who_ran_is_no_founder),
        cmocka_unit_test(who_says_he_joined_has_joined),
        cmocka_unit_test(the_dead_are_dropped),
        cmocka_unit_test(of_an_original_pod_the_worst_is_assumed),
        cmocka_unit_test(nothing_changes_only_when_all_say_so),
        cmocka_unit_test(who_is_down_comes_first_and_a_newcomer_does_not),
        cmocka_unit_test(of_an_answer_what_is_read_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
