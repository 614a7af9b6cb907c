#include "base/check.h"
#include "base/own.h"
#include "sidecar/spec/keys.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Some thousand malformed specs, made from the table of keys and from a good spec: each is refused
// with its place and a sentence, and none is ever a crash.

static const char good[] =
    "{\"cluster\": \"zookeeper\", \"zk\": \"zk1:2181,zk2:2181\", \"port\": 8080,\n"
    " \"depends_on\": [\"kafka\", \"web-*\"], \"needs\": {\"pods\": 3}, \"damper\": \"5s\",\n"
    " \"workload\": {\"image\": \"zookeeper:3.9\", \"environment\": {\"A\": \"one\"},\n"
    "   \"ready\": {\"tcp\": 2181, \"send\": \"srvr\", \"expect\": \"Mode: \"},\n"
    "   \"limits\": {\"memory\": \"64m\", \"ulimits\": {\"nofile\": {\"soft\": 1, \"hard\": "
    "2}}}},\n"
    " \"files\": [{\"target\": \"/conf/zoo.cfg\", \"content\": \"x\\n\", \"owner\": \"1:2\"}],\n"
    " \"hooks\": {\"configured\": {\"exec\": [\"touch\", \"/x\"]}},\n"
    " \"tools\": {\"backup\": {\"run\": [\"b\"]}}}";

static size_t refused;

// "pod.yaml:12:3: key: a sentence"
static void check_line(const char *spec, const char *line) {
    int at = 0, row = 0, col = 0;
    if (sscanf(line, "pod.yaml:%d:%d: %n", &row, &col, &at) < 2 || !at || row < 1 || col < 1)
        fail_msg("no place in: %s\nof: %s", line, spec);
    if (strlen(line + at) < 10 || !strchr(line + at, ' '))
        fail_msg("no sentence in: %s\nof: %s", line, spec);
    for (const char *c = line; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
}

static void must_refuse(const char *text, size_t len) {
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    if (!spec_parse(text, len, "pod.yaml", NULL, NULL, NULL, &spec, &report, &err))
        fail_msg("accepted: %.*s", (int)len, text);
    assert_int_equal(err.kind, ERR_USER);
    assert_null(spec);
    char **lines = text_split(text_str(&report), "\n");
    assert_non_null(lines[0]);
    for (size_t i = 0; lines[i]; i++)
        check_line(text, lines[i]);
    text_list_free(lines);
    refused++;
}

static void the_good_one_is_good(void **state) {
    (void)state;
    struct spec *spec = NULL;
    struct err err = ERR_INIT;
    if (spec_parse(good, strlen(good), "pod.yaml", NULL, NULL, NULL, &spec, NULL, &err))
        fail_msg("%s", err.text);
    spec_free(spec);
}

static void every_beginning_is_malformed(void **state) {
    (void)state;
    for (size_t n = 0; n < strlen(good); n++)
        must_refuse(good, n);
}

static void every_control_character_is_malformed(void **state) {
    (void)state;
    static const char bad[] = {0x01, 0x7f, (char)0xff, (char)0xc3};
    char text[sizeof good + 1];
    for (size_t i = 0; i < strlen(good); i++) {
        memcpy(text, good, i);
        text[i] = bad[i % sizeof bad];
        memcpy(text + i + 1, good + i, strlen(good) - i);
        must_refuse(text, strlen(good) + 1);
    }
}

static void every_lost_bracket_is_malformed(void **state) {
    (void)state;
    char text[sizeof good];
    for (size_t i = 0; i < strlen(good); i++) {
        if (!strchr("{}[]", good[i]))
            continue;
        memcpy(text, good, i);
        memcpy(text + i, good + i + 1, strlen(good) - i - 1);
        must_refuse(text, strlen(good) - 1);
    }
}

// ---- from the table ----

// {"workload": {"image": "a"}, ...} with one thing wrong below `path`, which ends in '{' for each
// map on the way.
static void try_value(const char *before, const char *key, const char *value, size_t closings) {
    auto_text struct text t = {0};
    text_addf(&t, "%s\"%s\": %s", before, key, value);
    for (size_t i = 0; i < closings; i++)
        text_addc(&t, '}');
    must_refuse(text_str(&t), t.len);
}

static void try_key(const char *before, const struct key *key, size_t closings) {
    static const char *const wrong[] = {"null", "[[1]]", "{\"\": 1}", "[null]", "{\"a\": {}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        // Wherever content may be empty, it may.
        if (!strcmp(key->name, "content") && !strcmp(wrong[i], "null"))
            continue;
        try_value(before, key->name, wrong[i], closings);
    }
    auto_free char *longer = xasprintf("%s_", key->name);
    auto_free char *upper = xstrdup(key->name);
    upper[0] = (char)toupper((unsigned char)upper[0]);
    try_value(before, longer, "1", closings);
    try_value(before, upper, "1", closings);
    auto_free char *twice = xasprintf("1, \"%s\": 1", key->name);
    try_value(before, key->name, twice, closings);
    if (key->type == KEY_INT || key->type == KEY_COUNT || key->type == KEY_DURATION) {
        try_value(before, key->name, "-1", closings);
        try_value(before, key->name, "99999999999999999999999", closings);
        try_value(before, key->name, "\"1 fortnight\"", closings);
        try_value(before, key->name, "0.5", closings);
    }
    if (key->type == KEY_FLAG || key->type == KEY_CHOICE)
        try_value(before, key->name, "\"perhaps\"", closings);
}

static void try_map(const struct text *before, const struct key_map *map, size_t closings) {
    for (const struct key *k = map->keys; k->name; k++) {
        try_key(text_str(before), k, closings);
        if (k->type != KEY_MAP)
            continue;
        auto_text struct text deeper = {0};
        text_addf(&deeper, "%s\"%s\": {", text_str(before), k->name);
        try_map(&deeper, k->map, closings + 1);
    }
}

static void every_key_of_the_table_can_be_wrong(void **state) {
    (void)state;
    auto_text struct text before = {0};
    text_add(&before, "{");
    try_map(&before, &spec_keys, 1);
    print_message("%zu malformed specs were refused\n", refused);
    assert_true(refused > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_good_one_is_good),
        cmocka_unit_test(every_beginning_is_malformed),
        cmocka_unit_test(every_control_character_is_malformed),
        cmocka_unit_test(every_lost_bracket_is_malformed),
        cmocka_unit_test(every_key_of_the_table_can_be_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
