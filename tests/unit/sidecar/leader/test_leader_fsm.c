// Every pair of the table, against what the table promises rather than against a copy of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sidecar/leader/leader_fsm.h"
#include "tests/unit/states.h"
#include <stdbool.h>
#include <string.h>

enum {
    SENDS = LEADER_PROPOSE | LEADER_CHECK | LEADER_MARK | LEADER_OFF | LEADER_ON | LEADER_COMMIT |
            LEADER_OK,
    STARTS = SENDS | LEADER_LOAD | LEADER_DAMP | LEADER_BACK_OFF | LEADER_BEGIN | LEADER_UNDAMP,
};

static bool touches(enum leader_state s) {
    return s == LEADER_STOPPING || s == LEADER_STARTING || s == LEADER_COMMITTING;
}

static bool in_round(enum leader_state s) {
    return s >= LEADER_PROPOSING && s <= LEADER_COMMITTING;
}

#define EACH_PAIR(s, e)                                                                            \
    for (int s = 0; s < LEADER_STATES; s++)                                                        \
        for (int e = 0; e < LEADER_EVENTS; e++)

static void every_pair_has_an_answer(void **state) {
    (void)state;
    EACH_PAIR(s, e) {
        struct leader_cell cell = leader_next(s, e);
        assert_in_range(cell.next, 0, LEADER_STATES - 1);
    }
}

static void deposed_is_for_good(void **state) {
    (void)state;
    for (int e = 0; e < LEADER_EVENTS; e++) {
        struct leader_cell cell = leader_next(LEADER_DEPOSED, e);
        assert_int_equal(cell.next, LEADER_DEPOSED);
        assert_int_equal(cell.effects, 0);
    }
    for (int s = 0; s < LEADER_DEPOSED; s++) {
        struct leader_cell cell = leader_next(s, LEADER_DEPOSE);
        assert_int_equal(cell.next, LEADER_DEPOSED);
        assert_true(cell.effects & LEADER_STEP_DOWN);
        assert_false(cell.effects & STARTS);
    }
}

static void suspended_sends_and_writes_nothing(void **state) {
    (void)state;
    EACH_PAIR(s, e) {
        struct leader_cell cell = leader_next(s, e);
        if (cell.next != LEADER_SUSPENDED)
            continue;
        assert_false(cell.effects & STARTS);
        if (s != LEADER_SUSPENDED)
            assert_true(cell.effects & LEADER_CANCEL);
    }
    for (int s = 0; s < LEADER_DEPOSED; s++)
        assert_int_equal(leader_next(s, LEADER_SUSPEND).next, LEADER_SUSPENDED);
    // Only a resume or the end leads out of it, and what was written meanwhile is read anew.
    for (int e = 0; e < LEADER_EVENTS; e++) {
        struct leader_cell cell = leader_next(LEADER_SUSPENDED, e);
        if (e == LEADER_RESUME)
            assert_true(cell.next == LEADER_LOADING && (cell.effects & LEADER_LOAD));
        else if (e != LEADER_DEPOSE)
            assert_true(cell.next == LEADER_SUSPENDED && cell.effects == 0);
    }
}

static void a_round_has_one_order(void **state) {
    (void)state;
    static const struct {
        enum leader_effect effect;
        enum leader_state from[2], to;
    } steps[] = {
        {LEADER_PROPOSE, {LEADER_DAMPING, LEADER_CHECKING}, LEADER_PROPOSING},
        {LEADER_CHECK, {LEADER_PROPOSING, LEADER_PROPOSING}, LEADER_CHECKING},
        {LEADER_MARK, {LEADER_CHECKING, LEADER_CHECKING}, LEADER_MARKING},
        {LEADER_OFF, {LEADER_MARKING, LEADER_MARKING}, LEADER_STOPPING},
        {LEADER_ON, {LEADER_MARKING, LEADER_STOPPING}, LEADER_STARTING},
        {LEADER_COMMIT, {LEADER_STARTING, LEADER_STARTING}, LEADER_COMMITTING},
        {LEADER_OK, {LEADER_COMMITTING, LEADER_COMMITTING}, LEADER_SETTLED},
    };
    unsigned seen = 0;
    EACH_PAIR(s, e) {
        struct leader_cell cell = leader_next(s, e);
        for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
            if (!(cell.effects & steps[i].effect))
                continue;
            seen |= steps[i].effect;
            assert_true((int)steps[i].from[0] == s || (int)steps[i].from[1] == s);
            assert_int_equal(cell.next, steps[i].to);
        }
    }
    assert_int_equal(seen, SENDS);
}

static void a_change_restarts_only_what_touched_nothing(void **state) {
    (void)state;
    for (int s = 0; s < LEADER_SUSPENDED; s++) {
        struct leader_cell cell = leader_next(s, LEADER_CHANGED);
        if (s == LEADER_MARKING) // the mark may stand there
            assert_true(cell.next == LEADER_LOADING && (cell.effects & LEADER_LOAD));
        else if (!touches(s))
            assert_true(cell.next == LEADER_DAMPING && (cell.effects & LEADER_DAMP));
        else
            assert_int_equal(cell.next, s);
        if (in_round(s) && !touches(s))
            assert_true(cell.effects & LEADER_CANCEL);
    }
}

static void the_old_content_needs_no_round(void **state) {
    (void)state;
    for (int s = 0; s < LEADER_SUSPENDED; s++)
        assert_int_equal(leader_next(s, LEADER_SAME).next, s == LEADER_MARKING ? LEADER_LOADING
                                                           : touches(s)        ? s
                                                                               : LEADER_SETTLED);
}

static void a_failed_round_waits_and_reads_again(void **state) {
    (void)state;
    for (int s = LEADER_DAMPING; s <= LEADER_COMMITTING; s++) {
        struct leader_cell cell = leader_next(s, LEADER_REFUSED);
        assert_int_equal(cell.next, LEADER_WAITING);
        assert_int_equal(cell.effects, LEADER_CANCEL | LEADER_BACK_OFF);
    }
    struct leader_cell cell = leader_next(LEADER_WAITING, LEADER_RETRY);
    assert_int_equal(cell.next, LEADER_LOADING);
    assert_int_equal(cell.effects, LEADER_LOAD);
}

static void names_are_whole_and_different(void **state) {
    (void)state;
    for (int a = 0; a < LEADER_STATES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(leader_state_name(a), leader_state_name(b));
    for (int a = 0; a < LEADER_EVENTS; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(leader_event_name(a), leader_event_name(b));
}

// ---- docs/STATES.md ----

static unsigned next_and_effects(int state, int event, int *ret) {
    struct leader_cell c = leader_next((enum leader_state)state, (enum leader_event)event);
    *ret = (int)c.next;
    return c.effects;
}

static const char *state_name(int state) {
    return leader_state_name((enum leader_state)state);
}

static const char *event_name(int event) {
    return leader_event_name((enum leader_event)event);
}

// As they are called in the header.
static const char *effect_name(unsigned bit) {
    static const char *const names[] = {"cancel",  "load",  "damp",     "undamp",  "begin",
                                        "propose", "check", "mark",     "off",     "on",
                                        "commit",  "ok",    "back-off", "leavers", "step-down"};
    size_t i = (size_t)__builtin_ctz(bit);
    assert_true(i < sizeof names / sizeof *names);
    return names[i];
}

static void the_page_of_states_is_printed_from_the_table(void **unused) {
    (void)unused;
    states_compare(&(struct states){"leader", LEADER_STATES, LEADER_EVENTS, next_and_effects,
                                    state_name, event_name, effect_name});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_has_an_answer),
        cmocka_unit_test(deposed_is_for_good),
        cmocka_unit_test(suspended_sends_and_writes_nothing),
        cmocka_unit_test(a_round_has_one_order),
        cmocka_unit_test(a_change_restarts_only_what_touched_nothing),
        cmocka_unit_test(the_old_content_needs_no_round),
        cmocka_unit_test(a_failed_round_waits_and_reads_again),
        cmocka_unit_test(names_are_whole_and_different),
        cmocka_unit_test(the_page_of_states_is_printed_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
