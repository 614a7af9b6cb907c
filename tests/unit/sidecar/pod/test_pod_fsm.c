#include "sidecar/pod/pod_fsm.h"
#include "tests/unit/states.h"

#define EACH(state, event)                                                                         \
    for (int state = 0; state < POD_STATES; state++)                                               \
        for (int event = 0; event < POD_EVENTS; event++)

static struct pod_cell next(int state, int event) {
    return pod_next((enum pod_state)state, (enum pod_event_kind)event);
}

static void every_pair_has_an_answer_within_the_table(void **unused) {
    (void)unused;
    EACH(s, e) {
        assert_true(next(s, e).next < POD_STATES);
        assert_true(next(s, e).effects < POD_FX_BURY << 1);
    }
}

static void a_launch_begins_exactly_where_starting_is_entered(void **unused) {
    (void)unused;
    EACH(s, e) {
        struct pod_cell c = next(s, e);
        bool enters = c.next == POD_STARTING && s != POD_STARTING;
        assert_int_equal(!!(c.effects & POD_FX_LAUNCH), enters);
    }
}

static void a_halt_begins_only_where_something_may_run(void **unused) {
    (void)unused;
    EACH(s, e) {
        if (next(s, e).effects & POD_FX_HALT)
            assert_true(s == POD_RUNNING || s == POD_UNKNOWN || s == POD_ENDING);
    }
}

static void nothing_starts_a_successor_before_the_old_one_is_seen_gone(void **unused) {
    (void)unused;
    static const int holding[] = {POD_STOPPING, POD_FAILING};
    for (int i = 0; i < 2; i++)
        for (int e = 0; e < POD_EVENTS; e++)
            assert_int_not_equal(next(holding[i], e).next, POD_STARTING);
}

static void dead_stays_dead(void **unused) {
    (void)unused;
    for (int e = 0; e < POD_EVENTS; e++) {
        struct pod_cell c = next(POD_DEAD, e);
        if (e == POD_WAKE)
            assert_int_equal(c.next, POD_STOPPED);
        else if (e == POD_APPEARED)
            assert_int_equal(c.effects, POD_FX_LOOK); // asked, and what is unwanted is stopped
        else
            assert_int_equal(c.next, POD_DEAD);
    }
}

static void dead_is_entered_by_kill_or_a_confirmed_clean_exit_alone(void **unused) {
    (void)unused;
    EACH(s, e) {
        if (s == POD_DEAD || next(s, e).next != POD_DEAD)
            continue;
        assert_true((s == POD_STOPPED && e == POD_BURY) || (s == POD_ENDING && e == POD_DONE) ||
                    ((s == POD_UNKNOWN || s == POD_ENDING) && e == POD_SEEN_DEAD));
    }
}

// Nobody looks once more: a state that waits for a look and does not hear it is never left.
static void whatever_a_look_says_is_heard_by_who_waits_for_it(void **unused) {
    (void)unused;
    static const int waiting[] = {POD_UNKNOWN, POD_ENDING};
    for (int i = 0; i < 2; i++)
        for (int e = POD_SEEN_RUNNING; e <= POD_SEEN_DEAD; e++)
            assert_int_not_equal(next(waiting[i], e).next, waiting[i]);
}

static void without_the_engine_nothing_is_believed(void **unused) {
    (void)unused;
    for (int s = 0; s < POD_STATES; s++) {
        if (s != POD_DEAD)
            assert_int_equal(next(s, POD_ENGINE_DOWN).next, POD_UNKNOWN);
        if (s != POD_DEAD)
            assert_true(next(s, POD_ENGINE_UP).effects & POD_FX_LOOK);
    }
    for (int e = 0; e < POD_EVENTS; e++)
        assert_false(e == POD_DONE && next(POD_UNKNOWN, e).next == POD_DEAD);
}

static void a_pending_start_never_survives_leaving_its_state(void **unused) {
    (void)unused;
    for (int e = 0; e < POD_EVENTS; e++) {
        struct pod_cell c = next(POD_WAITING, e);
        if (c.next != POD_WAITING && e != POD_PAUSE_OVER)
            assert_true(c.effects & POD_FX_UNPAUSE);
    }
}

static void every_state_but_dead_can_be_left(void **unused) {
    (void)unused;
    for (int s = 0; s < POD_STATES; s++) {
        int ways = 0;
        for (int e = 0; e < POD_EVENTS; e++)
            ways += next(s, e).next != (enum pod_state)s;
        assert_true(ways > 0);
    }
}

// ---- docs/STATES.md ----

static unsigned next_and_effects(int state, int event, int *ret) {
    struct pod_cell c = next(state, event);
    *ret = (int)c.next;
    return c.effects;
}

static const char *state_name(int state) {
    return pod_state_name((enum pod_state)state);
}

static const char *event_name(int event) {
    return pod_event_name((enum pod_event_kind)event);
}

static void the_page_of_states_is_printed_from_the_table(void **unused) {
    (void)unused;
    states_compare(&(struct states){"pod", POD_STATES, POD_EVENTS, next_and_effects, state_name,
                                    event_name, pod_effect_name});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_has_an_answer_within_the_table),
        cmocka_unit_test(a_launch_begins_exactly_where_starting_is_entered),
        cmocka_unit_test(a_halt_begins_only_where_something_may_run),
        cmocka_unit_test(nothing_starts_a_successor_before_the_old_one_is_seen_gone),
        cmocka_unit_test(dead_stays_dead),
        cmocka_unit_test(dead_is_entered_by_kill_or_a_confirmed_clean_exit_alone),
        cmocka_unit_test(whatever_a_look_says_is_heard_by_who_waits_for_it),
        cmocka_unit_test(without_the_engine_nothing_is_believed),
        cmocka_unit_test(a_pending_start_never_survives_leaving_its_state),
        cmocka_unit_test(every_state_but_dead_can_be_left),
        cmocka_unit_test(the_page_of_states_is_printed_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
