#include "sidecar/pod/backoff.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static int64_t died(struct backoff *b, int64_t *now, int64_t ran, bool fault) {
    backoff_started(b, *now);
    *now += ran;
    int64_t pause = backoff_died(b, *now, ran, fault, 500);
    *now += pause;
    return pause;
}

static void the_first_after_ten_seconds_is_immediate_then_it_doubles_to_thirty(void **unused) {
    (void)unused;
    struct backoff b = {0};
    int64_t now = 1000000;
    assert_int_equal(died(&b, &now, 10000, true), 0);
    static const int64_t expect[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (unsigned i = 0; i < sizeof expect / sizeof *expect; i++)
        assert_int_equal(died(&b, &now, 100, true), expect[i]);
    assert_int_equal(died(&b, &now, 10000, true), 0);
    assert_int_equal(died(&b, &now, 100, true), 500);
}

static void a_quick_first_crash_waits(void **unused) {
    (void)unused;
    struct backoff b = {0};
    int64_t now = 1000000;
    assert_int_equal(died(&b, &now, 9999, true), 500);
}

static void jitter_stays_within_a_fifth(void **unused) {
    (void)unused;
    for (uint32_t chance = 0; chance < 1000; chance++) {
        struct backoff b = {0};
        int64_t pause = backoff_died(&b, 5000, 100, true, chance);
        assert_true(pause >= 400 && pause <= 600);
    }
}

static void nobodys_fault_is_free_but_never_more_than_five_starts_in_ten_seconds(void **unused) {
    (void)unused;
    struct backoff b = {0};
    int64_t now = 1000000, starts[100];
    for (int i = 0; i < 100; i++) {
        starts[i] = now;
        died(&b, &now, 200, false);
    }
    assert_int_equal(starts[4] - starts[0], 800);
    for (int i = 5; i < 100; i++)
        assert_true(starts[i] - starts[i - 5] >= 10000);
}

static void no_schedule_of_crashes_starts_six_times_in_ten_seconds(void **unused) {
    (void)unused;
    uint32_t seed = 7;
    struct backoff b = {0};
    int64_t now = 1000000, starts[2000];
    for (int i = 0; i < 2000; i++) {
        starts[i] = now;
        seed = seed * 1664525 + 1013904223;
        died(&b, &now, seed >> 18, seed & 65536);
        if (i >= 5)
            assert_true(starts[i] - starts[i - 5] >= 10000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_after_ten_seconds_is_immediate_then_it_doubles_to_thirty),
        cmocka_unit_test(a_quick_first_crash_waits),
        cmocka_unit_test(jitter_stays_within_a_fifth),
        cmocka_unit_test(nobodys_fault_is_free_but_never_more_than_five_starts_in_ten_seconds),
        cmocka_unit_test(no_schedule_of_crashes_starts_six_times_in_ten_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
