#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sidecar/leader/pace.h"

static void damper_waits_for_quiet_after_the_last_change(void **state) {
    (void)state;
    struct damper d;
    damper_init(&d, 5000);
    assert_int_equal(damper_wait(&d, 100), 0);
    damper_change(&d, 100);
    assert_int_equal(damper_wait(&d, 100), 5000);
    damper_change(&d, 3100);
    assert_int_equal(damper_wait(&d, 3100), 5000);
    assert_int_equal(damper_wait(&d, 8000), 100);
    assert_int_equal(damper_wait(&d, 8100), 0);
    assert_int_equal(damper_wait(&d, 99999), 0);
}

static void damper_gives_way_ten_times_after_the_first(void **state) {
    (void)state;
    struct damper d;
    damper_init(&d, 1000);
    for (int64_t now = 0; now < 9900; now += 100)
        damper_change(&d, now);
    assert_int_equal(damper_wait(&d, 9800), 200);
    damper_clear(&d);
    damper_change(&d, 9900);
    assert_int_equal(damper_wait(&d, 9900), 1000);
}

static void damper_of_zero_still_settles(void **state) {
    (void)state;
    struct damper d;
    damper_init(&d, 0);
    damper_change(&d, 7);
    assert_in_range(damper_wait(&d, 7), 1, 20);
}

static void backoff_doubles_to_a_minute(void **state) {
    (void)state;
    struct backoff b = {0};
    static const int64_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
        assert_int_equal(backoff_next(&b, 0), want[i]);
    backoff_clear(&b);
    assert_int_equal(backoff_next(&b, UINT32_MAX), 750);
    assert_in_range(backoff_next(&b, UINT32_MAX / 2), 1500, 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damper_waits_for_quiet_after_the_last_change),
        cmocka_unit_test(damper_gives_way_ten_times_after_the_first),
        cmocka_unit_test(damper_of_zero_still_settles),
        cmocka_unit_test(backoff_doubles_to_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
