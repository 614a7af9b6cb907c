#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/loop.h"
#include "bindings/metadata.h"
#include "tests/unit/bindings/imds.h"

static struct loop *loop;
static struct metadata *found;
static struct err found_err;
static struct imds service;

static void on_found(struct metadata *m, const struct err *err, void *arg) {
    (void)arg;
    found = m;
    found_err = *err;
    loop_quit(loop);
}

static void ask(const char *endpoint) {
    loop = loop_create();
    struct http *http = http_create(loop, 4, 0);
    assert_non_null(metadata_ask(http, endpoint, on_found, NULL));
    loop_run(loop);
    http_free(http);
    loop_free(loop);
}

static void ask_in(enum imds_mood mood) {
    char endpoint[64];
    imds_start(&service, mood, endpoint);
    ask(endpoint);
    imds_stop(&service);
}

static void expect_all(const char *public_) {
    if (!found)
        fail_msg("%s", found_err.text);
    assert_int_equal(found_err.kind, ERR_NONE);
    assert_string_equal(found->ip, "172.16.0.5");
    assert_string_equal(found->instance, "i-0abc");
    assert_string_equal(found->public_, public_);
    assert_string_equal(found->zone, "eu-west-1a");
    metadata_free(found);
}

static void a_token_comes_first_and_goes_with_each_request(void **state) {
    (void)state;
    ask_in(IMDS_V2);
    expect_all("203.0.113.9");
    assert_int_equal(service.puts, 1);
    assert_int_equal(service.gets, 4);
    assert_int_equal(service.with_token, 4);
}

static void who_knows_no_tokens_is_asked_without(void **state) {
    (void)state;
    ask_in(IMDS_V1_404);
    expect_all("203.0.113.9");
    assert_int_equal(service.with_token, 0);
    ask_in(IMDS_V1_405);
    expect_all("203.0.113.9");
}

// Hop limit 1, seen from a container: the token's answer is lost on its way.
static void a_token_that_never_comes_is_done_without(void **state) {
    (void)state;
    ask_in(IMDS_HOP_LIMIT);
    expect_all("203.0.113.9");
    assert_int_equal(service.puts, 1);
}

static void refused_without_a_token_it_gives_up(void **state) {
    (void)state;
    ask_in(IMDS_HOP_LIMIT_V2);
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_USER);
    assert_non_null(strstr(found_err.text, "hop limit"));
    assert_int_equal(service.gets, 1);
}

static void switched_off_it_gives_up(void **state) {
    (void)state;
    ask_in(IMDS_OFF);
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_USER);
}

static void a_public_address_is_optional(void **state) {
    (void)state;
    ask_in(IMDS_NOTHING_PUBLIC);
    expect_all("");
}

static void one_that_hangs_is_late_and_asked_no_more(void **state) {
    (void)state;
    ask_in(IMDS_HANGS);
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_TIMEOUT);
    assert_int_equal(service.held_len, 2); // for a token, and once without
}

static void what_is_no_such_service_is_none(void **state) {
    (void)state;
    static const enum imds_mood moods[] = {IMDS_HTML, IMDS_NO_ADDRESS, IMDS_FLOOD};
    for (size_t i = 0; i < sizeof moods / sizeof *moods; i++) {
        ask_in(moods[i]);
        assert_null(found);
        assert_int_equal(found_err.kind, ERR_ABSENT);
    }
}

static void cut_off_sick_or_not_there_may_come_back(void **state) {
    (void)state;
    ask_in(IMDS_CUT);
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_RETRY);
    ask_in(IMDS_SICK);
    assert_int_equal(found_err.kind, ERR_RETRY);
    ask("http://127.0.0.1:1/");
    assert_int_equal(found_err.kind, ERR_RETRY);
}

static void an_endpoint_that_is_none_is_the_users(void **state) {
    (void)state;
    ask("gopher://x");
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_USER);
}

static void unexpected(struct metadata *m, const struct err *err, void *arg) {
    (void)m, (void)err, (void)arg;
    fail_msg("called after it was cancelled");
}

static void quit(void *arg) {
    loop_quit(arg);
}

static void cancelled_it_says_nothing(void **state) {
    (void)state;
    char endpoint[64];
    imds_start(&service, IMDS_V2, endpoint);
    loop = loop_create();
    struct http *http = http_create(loop, 4, 0);
    struct metadata_ask *a = metadata_ask(http, endpoint, unexpected, NULL);
    metadata_cancel(&a);
    assert_null(a);
    metadata_cancel(&a);
    loop_timer_start(loop, NULL, 50, quit, loop);
    loop_run(loop);
    http_free(http);
    loop_free(loop);
    imds_stop(&service);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_comes_first_and_goes_with_each_request),
        cmocka_unit_test(who_knows_no_tokens_is_asked_without),
        cmocka_unit_test(a_token_that_never_comes_is_done_without),
        cmocka_unit_test(refused_without_a_token_it_gives_up),
        cmocka_unit_test(switched_off_it_gives_up),
        cmocka_unit_test(a_public_address_is_optional),
        cmocka_unit_test(one_that_hangs_is_late_and_asked_no_more),
        cmocka_unit_test(what_is_no_such_service_is_none),
        cmocka_unit_test(cut_off_sick_or_not_there_may_come_back),
        cmocka_unit_test(an_endpoint_that_is_none_is_the_users),
        cmocka_unit_test(cancelled_it_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
