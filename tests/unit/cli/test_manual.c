// The manual pages know every verb and every option that the programs know.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_all(FILE *f) {
    struct text t = {0};
    char buf[4096];
    assert_non_null(f);
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;)
        text_addn(&t, buf, n);
    return text_take(&t);
}

static char *page(const char *name) {
    char path[512];
    snprintf(path, sizeof(path), "%s/docs/man/%s", SOURCE_DIR, name);
    auto_file FILE *f = fopen(path, "re");
    return read_all(f);
}

static char *said(const char *program, const char *verb) {
    char line[512];
    snprintf(line, sizeof(line), "%s/%s %s --help", BUILD_DIR, program, verb);
    FILE *f = popen(line, "re");
    char *text = read_all(f);
    assert_int_equal(pclose(f), 0);
    return text;
}

// Calls fn with the name of each long option of a --help; answers how many.
static int each_option(const char *help, void (*fn)(const char *name, void *arg), void *arg) {
    int n = 0;
    for (const char *s = strstr(help, "--"); s; s = strstr(s, "--"), n++) {
        size_t len = strspn(s + 2, "abcdefghijklmnopqrstuvwxyz-_");
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)len, s + 2);
        s += 2 + len;
        if (len)
            fn(name, arg);
    }
    return n;
}

static void is_in(const char *name, void *arg) {
    const char *text = arg;
    char option[80];
    snprintf(option, sizeof(option), "Fl -%s", name);
    if (!strstr(text, option))
        fail_msg("--%s is missing in: %.300s", name, text);
}

static void verb_is_in(const char *page_text, const char *verb) {
    auto_free char *help = said("ocho", verb);
    char heading[80];
    snprintf(heading, sizeof(heading), "\n.It Cm %s", verb);
    const char *at = strstr(page_text, heading);
    while (at && at[strlen(heading)] != ' ' && at[strlen(heading)] != '\n')
        at = strstr(at + 1, heading); // of another, which begins like it
    if (!at)
        fail_msg("no `.It Cm %s`", verb);
    const char *end = strstr(at + 1, "\n.It "), *list = strstr(at + 1, "\n.El");
    end = end && end < list ? end : list;
    auto_free char *section = xstrndup(at, (size_t)(end - at));
    const char *manual_options = strstr(page_text, ".Sh OPTIONS");
    assert_non_null(manual_options);
    // Each option has a line of its own, behind all that is said of the verb.
    for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n")) {
        char name[64];
        if ((sscanf(line, "  -%*c, --%63[a-z-]", name) != 1 &&
             sscanf(line, "      --%63[a-z-]", name) != 1) ||
            strcmp(name, "help") == 0)
            continue;
        is_in(name, section);
        is_in(name, (char *)manual_options);
    }
}

static void every_verb_and_its_options_are_in_the_manual(void **state) {
    (void)state;
    auto_free char *text = page("ocho.1"), *help = said("ocho", "");
    int verbs = 0;
    char *rest = NULL;
    for (char *line = strtok_r(help, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char verb[32];
        if (strncmp(line, "  ", 2) != 0 || sscanf(line, "  %31[a-z]", verb) != 1)
            continue;
        verb_is_in(text, verb);
        verbs++;
    }
    assert_true(verbs >= 22);
}

static void no_two_options_of_a_verb_are_spelled_alike(void **state) {
    (void)state;
    auto_free char *help = said("ocho", "");
    char *rest = NULL;
    for (char *line = strtok_r(help, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char verb[32], letter, seen[64] = "";
        if (strncmp(line, "  ", 2) != 0 || sscanf(line, "  %31[a-z]", verb) != 1)
            continue;
        auto_free char *options = said("ocho", verb);
        for (char *s = strtok(options, "\n"); s; s = strtok(NULL, "\n")) {
            if (sscanf(s, "  -%c", &letter) != 1 || letter == '-')
                continue;
            if (strchr(seen, letter))
                fail_msg("%s has -%c twice", verb, letter);
            seen[strlen(seen)] = letter;
        }
    }
}

static void every_option_of_the_sidecar_is_in_the_manual(void **state) {
    (void)state;
    auto_free char *text = page("ochopod-sidecar.8"), *help = said("ochopod-sidecar", "");
    assert_true(each_option(help, is_in, text) >= 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_and_its_options_are_in_the_manual),
        cmocka_unit_test(no_two_options_of_a_verb_are_spelled_alike),
        cmocka_unit_test(every_option_of_the_sidecar_is_in_the_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
