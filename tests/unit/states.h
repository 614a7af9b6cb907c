// docs/STATES.md holds the tables of the state machines, each between two marks, printed from the
// code. To renew one: OCHO_PRINT_STATES=1 build/tests/<the test that compares it>
#pragma once
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct states {
    const char *mark; // "pod"
    int states, events;
    unsigned (*next)(int state, int event, int *ret); // its effects
    const char *(*state_name)(int state), *(*event_name)(int event);
    const char *(*effect_name)(unsigned bit);
};

static void states_print(const struct states *m, struct text *t) {
    text_add(t, "| state | event | next | effects |\n|---|---|---|---|\n");
    for (int i = 0; i < m->states * m->events; i++) {
        int state = i / m->events, event = i % m->events, next;
        unsigned effects = m->next(state, event, &next);
        if (next == state && !effects)
            continue;
        text_addf(t, "| %s | %s | %s |", m->state_name(state), m->event_name(event),
                  m->state_name(next));
        for (unsigned bit = 1; bit && bit <= effects; bit <<= 1)
            if (effects & bit)
                text_addf(t, " %s", m->effect_name(bit));
        text_add(t, " |\n");
    }
}

static char *states_read(const char *path) {
    auto_text struct text t = {0};
    auto_file FILE *f = fopen(path, "re");
    char buf[4096];
    size_t n;
    while (f && (n = fread(buf, 1, sizeof buf, f)) > 0)
        text_addn(&t, buf, n);
    return text_take(&t);
}

static void states_compare(const struct states *m) {
    const char *path = SOURCE_DIR "/docs/STATES.md";
    auto_free char *begin = xasprintf("<!-- %s -->\n", m->mark);
    auto_free char *end = xasprintf("<!-- /%s -->\n", m->mark);
    auto_text struct text table = {0};
    states_print(m, &table);
    auto_free char *page = states_read(path);
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
        fail_msg("docs/STATES.md differs from the table of the %s; print it anew with "
                 "OCHO_PRINT_STATES=1",
                 m->mark);
}
