#include "sidecar/auth/nonces.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEEP = 600000 };

static bool use(struct nonces *nonces, int i, int64_t time, int64_t now) {
    char nonce[32];
    snprintf(nonce, sizeof nonce, "nonce-%08d", i);
    return nonces_use(nonces, nonce, time, now);
}

static void a_nonce_is_good_once(void **state) {
    (void)state;
    struct nonces *nonces = nonces_create(KEEP, 0);
    assert_true(use(nonces, 1, 1000, 1000));
    assert_false(use(nonces, 1, 1000, 1000));
    assert_false(use(nonces, 1, 2000, 2000)); // with another time
    assert_true(use(nonces, 2, 1000, 2000));
    assert_false(use(nonces, 1, 1000, 1000 + KEEP - 1));
    nonces_free(nonces);
}

static void nothing_of_before_our_start_is_new(void **state) {
    (void)state;
    struct nonces *nonces = nonces_create(KEEP, 5000);
    assert_false(use(nonces, 1, 4999, 5001));
    assert_false(use(nonces, 1, 5000, 5001));
    assert_true(use(nonces, 1, 5001, 5001));
    nonces_free(nonces);
}

// Whatever is pushed out is refused by its time from then on.
static void a_flood_lets_no_replay_through(void **state) {
    (void)state;
    enum { FLOOD = 3 * NONCES_MAX };
    struct nonces *nonces = nonces_create(KEEP, 0);
    for (int i = 0; i < FLOOD; i++)
        assert_true(use(nonces, i, 1000 + i, 1000 + i));
    for (int i = 0; i < FLOOD; i++)
        assert_false(use(nonces, i, 1000 + i, 1000 + FLOOD));
    assert_true(use(nonces, FLOOD, 1000 + FLOOD, 1000 + FLOOD));
    nonces_free(nonces);
}

// The clocks of clients differ: what a fast one said does not shut out the others.
static void the_oldest_by_their_time_are_pushed_out(void **state) {
    (void)state;
    struct nonces *nonces = nonces_create(KEEP, 0);
    for (int i = 0; i < NONCES_MAX; i++)
        assert_true(use(nonces, i, i % 2 ? 300000 + i : 1000 + i, 1000));
    assert_true(use(nonces, NONCES_MAX, 200000, 1000));
    assert_false(use(nonces, 0, 1000, 1000));
    assert_false(use(nonces, 1, 300001, 1000));
    nonces_free(nonces);
}

static void what_is_over_makes_room(void **state) {
    (void)state;
    struct nonces *nonces = nonces_create(KEEP, 0);
    for (int i = 0; i < NONCES_MAX; i++)
        assert_true(use(nonces, i, 1000, 1000));
    assert_true(use(nonces, NONCES_MAX, 1001 + KEEP, 1001 + KEEP));
    assert_true(use(nonces, NONCES_MAX + 1, 1001 + KEEP, 1001 + KEEP));
    nonces_free(nonces);
}

// Forward for so long that all is forgotten, and back.
static void a_clock_that_jumps_lets_no_replay_through(void **state) {
    (void)state;
    enum { FORWARD = 3600000, SOME = 70 };
    struct nonces *nonces = nonces_create(KEEP, 0);
    for (int i = 0; i < SOME; i++)
        assert_true(use(nonces, i, 1000 + i, 1000 + i));
    for (int i = SOME; i < 4 * SOME; i++)
        assert_true(use(nonces, i, FORWARD + i, FORWARD + i));
    for (int i = 0; i < SOME; i++)
        assert_false(use(nonces, i, 1000 + i, 2000));
    assert_true(use(nonces, 4 * SOME, 3000, 3000)); // who signs now is heard
    nonces_free(nonces);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nonce_is_good_once),
        cmocka_unit_test(nothing_of_before_our_start_is_new),
        cmocka_unit_test(a_flood_lets_no_replay_through),
        cmocka_unit_test(the_oldest_by_their_time_are_pushed_out),
        cmocka_unit_test(what_is_over_makes_room),
        cmocka_unit_test(a_clock_that_jumps_lets_no_replay_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
