#include "sidecar/pod/pod_fsm.h"
#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

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
            assert_true(s == POD_RUNNING || s == POD_UNKNOWN);
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
                    (s == POD_UNKNOWN && e == POD_SEEN_DEAD));
    }
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

static void print_table(struct text *t) {
    text_add(t, "| state | event | next | effects |\n|---|---|---|---|\n");
    EACH(s, e) {
        struct pod_cell c = next(s, e);
        if (c.next == (enum pod_state)s && !c.effects)
            continue;
        text_addf(t, "| %s | %s | %s |", pod_state_name((enum pod_state)s),
                  pod_event_name((enum pod_event_kind)e), pod_state_name(c.next));
        for (unsigned bit = 1; bit <= POD_FX_BURY; bit <<= 1)
            if (c.effects & bit)
                text_addf(t, " %s", pod_effect_name(bit));
        text_add(t, " |\n");
    }
}

static char *read_whole(const char *path) {
    auto_text struct text t = {0};
    auto_file FILE *f = fopen(path, "re");
    char buf[4096];
    size_t n;
    while (f && (n = fread(buf, 1, sizeof buf, f)) > 0)
        text_addn(&t, buf, n);
    return text_take(&t);
}

// To renew it: OCHO_PRINT_STATES=1 build/tests/unit-sidecar-pod-test_pod_fsm
static void the_page_of_states_is_printed_from_the_table(void **unused) {
    (void)unused;
    static const char begin[] = "<!-- pod -->\n", end[] = "<!-- /pod -->\n";
    const char *path = SOURCE_DIR "/docs/STATES.md";
    auto_text struct text table = {0};
    print_table(&table);
    auto_free char *page = read_whole(path);
    assert_non_null(page);
    char *from = strstr(page, begin), *to = strstr(page, end);
    assert_true(from && to && from < to);
    from += strlen(begin);
    if (getenv("OCHO_PRINT_STATES")) {
        auto_file FILE *f = fopen(path, "we");
        assert_true(f && fprintf(f, "%.*s%s%s", (int)(from - page), page, table.s, to) > 0);
        return;
    }
    if ((size_t)(to - from) != table.len || strncmp(from, table.s, table.len) != 0)
        fail_msg("docs/STATES.md differs from the table of the pod; print it anew with "
                 "OCHO_PRINT_STATES=1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_has_an_answer_within_the_table),
        cmocka_unit_test(a_launch_begins_exactly_where_starting_is_entered),
        cmocka_unit_test(a_halt_begins_only_where_something_may_run),
        cmocka_unit_test(nothing_starts_a_successor_before_the_old_one_is_seen_gone),
        cmocka_unit_test(dead_stays_dead),
        cmocka_unit_test(dead_is_entered_by_kill_or_a_confirmed_clean_exit_alone),
        cmocka_unit_test(without_the_engine_nothing_is_believed),
        cmocka_unit_test(a_pending_start_never_survives_leaving_its_state),
        cmocka_unit_test(every_state_but_dead_can_be_left),
        cmocka_unit_test(the_page_of_states_is_printed_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
