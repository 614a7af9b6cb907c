#include "base/check.h"
#include "base/own.h"
#include "sidecar/render/render.h"
#include "sidecar/spec/shape.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// docs/SPEC.md's table and docs/pod.schema.json say what the table of keys says. OCHO_WRITE_DOCS=1
// in the environment writes both anew.

#define BEGIN_KEYS "<!-- keys: made from the table in sidecar/spec/keys.c -->\n"
#define END_KEYS   "<!-- /keys -->\n"

static char *read_doc(const char *name) {
    auto_free char *path = xasprintf("%s/docs/%s", SOURCE_DIR, name);
    auto_file FILE *f = fopen(path, "r");
    char *text = xcalloc(1, 1 << 20);
    if (!f)
        return text;
    assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
    return text;
}

static void write_doc(const char *name, const char *text) {
    auto_free char *path = xasprintf("%s/docs/%s", SOURCE_DIR, name);
    auto_file FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
}

static void is_current(const char *name, const char *was, const char *must) {
    if (getenv("OCHO_WRITE_DOCS"))
        write_doc(name, must);
    else if (strcmp(was, must) != 0)
        fail_msg("docs/%s is not what sidecar/spec/keys.c says: OCHO_WRITE_DOCS=1 %s", name,
                 "build/tests/unit-sidecar-spec-test_docs writes it");
}

// ---- the table ----

static void add_range(struct text *t, const struct key *k) {
    if (k->type != KEY_DURATION && k->type != KEY_INT && k->type != KEY_COUNT)
        return;
    text_add(t, ", ");
    if (k->type == KEY_DURATION) {
        text_add_duration(t, k->min);
        text_add(t, " to ");
        text_add_duration(t, k->max);
    } else {
        text_addf(t, "%lld to %lld", (long long)k->min, (long long)k->max);
    }
}

static const char *type_of(const struct key *k) {
    static const char *const names[] = {
        [KEY_STRING] = "string", [KEY_FLAG] = "true, false",        [KEY_INT] = "number",
        [KEY_COUNT] = "number",  [KEY_DURATION] = "duration",       [KEY_BYTES] = "size",
        [KEY_CPUS] = "number",   [KEY_STRINGS] = "list of strings", [KEY_ARGV] = "argv",
        [KEY_MAP] = "map",
    };
    if (k->type != KEY_OWN)
        return names[k->type];
    if (k->read == shape_files)
        return "list of files";
    if (k->read == shape_tools)
        return "map of actions";
    if (k->map)
        return "action";
    static const char *const shapes[][2] = {
        {"{\"$ref\":\"#/$defs/argv\"}", "argv"},   {"{\"type\":\"integer\"", "number"},
        {"{\"type\":\"string\"", "string"},        {"{\"type\":[\"string\"", "string"},
        {"{\"type\":\"object\"", "map"},           {"{\"const\":true}", "`true`"},
        {"{\"enum\":[false", "true, false, word"}, {"{\"type\":\"array\"", "list of ports"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (text_starts(k->schema, shapes[i][0]))
            return shapes[i][1];
    return strstr(k->schema, "array") ? "map or list" : "word or map";
}

static void add_row(struct text *t, const char *path, const struct key *k) {
    text_addf(t, "| `%s%s` | ", path, k->name);
    if (k->type == KEY_CHOICE) {
        char **choices = text_split(k->choices, " ");
        for (size_t i = 0; choices[i]; i++)
            text_addf(t, "%s`%s`", i ? ", " : "", choices[i]);
        text_list_free(choices);
    } else {
        text_add(t, type_of(k));
    }
    add_range(t, k);
    text_add(t, k->required ? ", required | " : " | ");
    if (k->fallback && *k->fallback)
        text_addf(t, "`%s`", k->fallback);
    text_addf(t, " | %s |\n", k->doc);
}

static void add_rows(struct text *t, const char *path, const struct key_map *map) {
    for (const struct key *k = map->keys; k->name; k++) {
        add_row(t, path, k);
        bool deeper = k->type == KEY_MAP || (k->map && k->read == shape_files);
        if (!deeper)
            continue;
        auto_free char *below = xasprintf("%s%s%s.", path, k->name,
                                          k->read == shape_files ? "[]" : "");
        add_rows(t, below, k->map);
    }
}

static void the_table_of_keys_is_current(void **state) {
    (void)state;
    auto_free char *doc = read_doc("SPEC.md");
    char *begin = strstr(doc, BEGIN_KEYS), *end = strstr(doc, END_KEYS);
    assert_non_null(begin);
    assert_non_null(end);
    auto_text struct text must = {0};
    text_addn(&must, doc, (size_t)(begin - doc));
    text_add(&must, BEGIN_KEYS "| key | value | default | meaning |\n|---|---|---|---|\n");
    add_rows(&must, "", &spec_keys);
    text_add(&must, "\nAn action, wherever one stands:\n\n| key | value | default | meaning |\n"
                    "|---|---|---|---|\n");
    add_rows(&must, "", &action_map);
    text_add(&must, end);
    is_current("SPEC.md", doc, text_str(&must));
}

// ---- the schema ----

static json_t *schema_of_map(const struct key_map *map);

static json_t *ref(const char *name) {
    return json_pack("{so}", "$ref", json_sprintf("#/$defs/%s", name));
}

static json_t *schema_of_choice(const char *choices) {
    json_t *list = json_array();
    char **words = text_split(choices, " ");
    for (size_t i = 0; words[i]; i++)
        json_array_append_new(list, json_string(words[i]));
    text_list_free(words);
    return json_pack("{so}", "enum", list);
}

static json_t *schema_of_own(const struct key *k) {
    if (k->read == shape_files)
        return json_pack("{ssso}", "type", "array", "items", schema_of_map(k->map));
    if (k->read == shape_tools)
        return json_pack("{ssso}", "type", "object", "additionalProperties", ref("action"));
    if (k->map)
        return ref("action");
    json_t *schema = json_loads(k->schema, 0, NULL);
    assert_non_null(schema);
    return schema;
}

static json_t *schema_of_key(const struct key *k) {
    switch (k->type) {
    case KEY_FLAG:
        return json_pack("{ss}", "type", "boolean");
    case KEY_INT:
    case KEY_COUNT:
        return json_pack("{sssIsI}", "type", "integer", "minimum", (json_int_t)k->min, "maximum",
                         (json_int_t)k->max);
    case KEY_DURATION:
        return ref("duration");
    case KEY_BYTES:
    case KEY_CPUS:
        return json_pack("{s[ss]}", "type", "string", "number");
    case KEY_CHOICE:
        return schema_of_choice(k->choices);
    case KEY_STRINGS:
        return json_pack("{sss{s[ss]}}", "type", "array", "items", "type", "string", "number");
    case KEY_ARGV:
        return ref("argv");
    case KEY_MAP:
        return schema_of_map(k->map);
    case KEY_OWN:
        return schema_of_own(k);
    default:
        return json_pack("{s[ss]}", "type", "string", "number");
    }
}

static json_t *schema_of_map(const struct key_map *map) {
    json_t *properties = json_object(), *required = json_array();
    for (const struct key *k = map->keys; k->name; k++) {
        json_t *schema = schema_of_key(k);
        json_object_set_new(schema, "description", json_string(k->doc));
        if (k->fallback && *k->fallback)
            json_object_set_new(schema, "default", json_string(k->fallback));
        json_object_set_new(properties, k->name, schema);
        if (k->required)
            json_array_append_new(required, json_string(k->name));
    }
    json_t *schema = json_pack("{sssosb}", "type", "object", "properties", properties,
                               "additionalProperties", 0);
    if (json_array_size(required))
        json_object_set_new(schema, "required", required);
    else
        json_decref(required);
    return schema;
}

static void the_schema_is_current(void **state) {
    (void)state;
    json_t *schema = json_pack("{ssss}", "$schema", "https://json-schema.org/draft/2020-12/schema",
                               "title", "pod.yaml of the Ochopod sidecar");
    auto_json json_t *body = schema_of_map(&spec_keys);
    json_object_update(schema, body);
    json_object_set_new(schema, "$defs",
                        json_pack("{s{s[{ssss}{si}]}s{sss{s[sss]}si}so}", "duration", "anyOf",
                                  "type", "string", "pattern", "^(0|[0-9]+(ms|s|m|h))$", "const", 0,
                                  "argv", "type", "array", "items", "type", "string", "number",
                                  "boolean", "minItems", 1, "action", schema_of_map(&action_map)));
    auto_free char *text = json_dumps(schema, JSON_INDENT(2));
    json_decref(schema);
    auto_free char *must = xasprintf("%s\n", text), *was = read_doc("pod.schema.json");
    is_current("pod.schema.json", was, must);
}

// ---- the examples ----

static void every_example_of_the_page_is_a_good_spec(void **state) {
    (void)state;
    auto_free char *doc = read_doc("SPEC.md");
    int n = 0;
    for (char *at = doc; (at = strstr(at, "```yaml\n")); n++) {
        at += strlen("```yaml\n");
        char *end = strstr(at, "```\n");
        assert_non_null(end);
        struct spec *spec = NULL;
        auto_text struct text report = {0};
        struct err err = ERR_INIT;
        if (spec_parse(at, (size_t)(end - at), "SPEC.md", NULL, NULL, NULL, &spec, &report, &err) ||
            render_check(spec, &report, &err))
            fail_msg("%s", text_str(&report));
        spec_free(spec);
        at = end;
    }
    assert_int_equal(n, 2);
}

// The long example leaves out no key of the top level, of the workload of a launch and of hooks.
static void the_long_example_says_everything(void **state) {
    (void)state;
    auto_free char *doc = read_doc("SPEC.md");
    char *begin = strstr(doc, "cluster: zookeeper\n"), *end = begin ? strstr(begin, "```") : NULL;
    assert_non_null(end);
    *end = '\0';
    for (const struct key *k = spec_keys.keys; k->name; k++) {
        auto_free char *line = xasprintf("\n%s:", k->name);
        bool elsewhere = !strcmp(k->name, "binding") || !strcmp(k->name, "cluster");
        if (!elsewhere && !strstr(begin, line))
            fail_msg("%s is not in the example", k->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_keys_is_current),
        cmocka_unit_test(the_schema_is_current),
        cmocka_unit_test(every_example_of_the_page_is_a_good_spec),
        cmocka_unit_test(the_long_example_says_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
