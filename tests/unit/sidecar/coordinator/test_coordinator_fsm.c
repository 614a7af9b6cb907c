// Every pair of the table, against what the table promises rather than against a copy of it.
#include "sidecar/coordinator/coordinator_fsm.h"
#include "tests/unit/states.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S(name)  COORDINATOR_##name
#define FX(name) COORDINATOR_FX_##name

#define EACH_PAIR(s, e)                                                                            \
    for (int s = 0; s < COORDINATOR_STATES; s++)                                                   \
        for (int e = 0; e < COORDINATOR_EVENTS; e++)

static bool has_session(int s) {
    return s >= S(CONNECTING) && s <= S(LEADING);
}

static bool is_in(int s) {
    return s == S(FOLLOWING) || s == S(ASIDE) || s == S(LEADING);
}

static struct coordinator_cell next(int s, int e) {
    return coordinator_next((enum coordinator_state_name)s, (enum coordinator_event)e);
}

static void every_pair_has_an_answer_and_a_name(void **state) {
    (void)state;
    EACH_PAIR(s, e) {
        assert_in_range(next(s, e).next, 0, COORDINATOR_STATES - 1);
        assert_non_null(coordinator_state_text((enum coordinator_state_name)s));
        assert_non_null(coordinator_event_text((enum coordinator_event)e));
    }
}

static void nobody_leads_but_by_the_lock_and_leaving_it_unmakes_the_leader(void **state) {
    (void)state;
    EACH_PAIR(s, e) {
        struct coordinator_cell cell = next(s, e);
        bool starts = s != S(LEADING) && cell.next == S(LEADING);
        bool ends = s == S(LEADING) && cell.next != S(LEADING);
        assert_int_equal(starts, (cell.effects & FX(LEAD)) != 0);
        assert_int_equal(ends, (cell.effects & FX(UNLEAD)) != 0);
        if (starts)
            assert_true(s == S(FOLLOWING) && e == S(HELD));
    }
}

static void a_lost_session_takes_everything_and_another_one_follows(void **state) {
    (void)state;
    for (int s = 0; s < COORDINATOR_STATES; s++) {
        struct coordinator_cell cell = next(s, S(LOST));
        if (!has_session(s)) {
            assert_int_equal(cell.effects, 0);
            continue;
        }
        assert_int_equal(cell.next, S(ABSENT));
        assert_true(cell.effects & FX(DROP) && cell.effects & FX(PAUSE));
    }
    assert_true(next(S(ABSENT), S(OPEN)).effects & FX(CONNECT));
}

// The leader goes before its lock, both before the session.
static void what_leans_on_the_session_goes_first(void **state) {
    (void)state;
    assert_true(FX(UNLEAD) < FX(UNSTAND) && FX(UNSTAND) < FX(DROP) && FX(UNLEAD) < FX(LEAVE) &&
                FX(UNLEAD) < FX(FAIL) && FX(DROP) < FX(CONNECT) && FX(ATTACH) < FX(STAND));
}

static void a_broken_connection_alone_changes_no_state(void **state) {
    (void)state;
    for (int s = 0; s < COORDINATOR_STATES; s++) {
        assert_int_equal(next(s, S(SUSPENDED)).next, s);
        if (s != S(CONNECTING))
            assert_int_equal(next(s, S(CONNECTED)).next, s);
        if (is_in(s)) {
            assert_int_equal(next(s, S(SUSPENDED)).effects, FX(SUSPEND));
            assert_int_equal(next(s, S(CONNECTED)).effects, FX(RESUME));
        }
    }
}

static void a_session_is_opened_only_where_there_is_none(void **state) {
    (void)state;
    EACH_PAIR(s, e) {
        struct coordinator_cell cell = next(s, e);
        if (!(cell.effects & FX(CONNECT)))
            continue;
        assert_int_equal(cell.next, S(CONNECTING));
        assert_true(s == S(ABSENT) || cell.effects & FX(DROP));
    }
}

static void who_is_aside_has_no_lock(void **state) {
    (void)state;
    EACH_PAIR(s, e) {
        struct coordinator_cell cell = next(s, e);
        if (cell.next == S(ASIDE)) {
            assert_false(cell.effects & (FX(STAND) | FX(AGAIN)));
            assert_true(s == S(ASIDE) || s == S(REGISTERING) || cell.effects & FX(UNSTAND));
        }
        if (cell.next == S(FOLLOWING) && s != S(FOLLOWING))
            assert_true(cell.effects & (FX(STAND) | FX(AGAIN)));
    }
}

static void leaving_is_heard_everywhere_and_ends(void **state) {
    (void)state;
    for (int s = 0; s < COORDINATOR_STATES; s++) {
        struct coordinator_cell cell = next(s, S(LEAVE));
        if (s == S(LEAVING) || s == S(FAILING))
            assert_int_equal(cell.next, s); // told when it is closed
        else
            assert_true(cell.next == S(LEAVING) && cell.effects & FX(LEAVE));
    }
    assert_int_equal(next(S(LEAVING), S(CLOSED)).next, S(ENDED));
    assert_int_equal(next(S(LEAVING), S(CLOSED)).effects, FX(TELL));
    assert_int_equal(next(S(FAILING), S(CLOSED)).effects, FX(TELL));
    for (int e = 0; e < COORDINATOR_EVENTS; e++) {
        if (e != S(LEAVE))
            assert_int_equal(next(S(ENDED), e).next, S(ENDED));
        assert_true(next(S(LEAVING), e).next == S(LEAVING) || e == S(CLOSED));
    }
}

static void a_failure_is_for_good(void **state) {
    (void)state;
    for (int s = 0; s < COORDINATOR_STATES; s++) {
        if (has_session(s))
            assert_int_equal(next(s, S(FAILED)).next, S(FAILING));
    }
    for (int e = 0; e < COORDINATOR_EVENTS; e++)
        assert_true(next(S(FAILING), e).next == S(FAILING) || e == S(CLOSED));
}

// ---- docs/STATES.md ----

static unsigned next_and_effects(int state, int event, int *ret) {
    struct coordinator_cell c = coordinator_next((enum coordinator_state_name)state,
                                                 (enum coordinator_event)event);
    *ret = (int)c.next;
    return c.effects;
}

static const char *state_name(int state) {
    return coordinator_state_text((enum coordinator_state_name)state);
}

static const char *event_name(int event) {
    return coordinator_event_text((enum coordinator_event)event);
}

// As they are called in the header.
static const char *effect_name(unsigned bit) {
    static const char *const names[] = {"suspend", "resume",  "unlead",   "unstand", "drop",
                                        "pause",   "connect", "register", "attach",  "stand",
                                        "again",   "lead",    "leave",    "fail",    "tell"};
    size_t i = (size_t)__builtin_ctz(bit);
    assert_true(i < sizeof names / sizeof *names);
    return names[i];
}

static void the_page_of_states_is_printed_from_the_table(void **unused) {
    (void)unused;
    states_compare(&(struct states){"coordinator", COORDINATOR_STATES, COORDINATOR_EVENTS,
                                    next_and_effects, state_name, event_name, effect_name});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_has_an_answer_and_a_name),
        cmocka_unit_test(nobody_leads_but_by_the_lock_and_leaving_it_unmakes_the_leader),
        cmocka_unit_test(a_lost_session_takes_everything_and_another_one_follows),
        cmocka_unit_test(what_leans_on_the_session_goes_first),
        cmocka_unit_test(a_broken_connection_alone_changes_no_state),
        cmocka_unit_test(a_session_is_opened_only_where_there_is_none),
        cmocka_unit_test(who_is_aside_has_no_lock),
        cmocka_unit_test(leaving_is_heard_everywhere_and_ends),
        cmocka_unit_test(a_failure_is_for_good),
        cmocka_unit_test(the_page_of_states_is_printed_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
