#include "base/json.h"
#include "base/check.h"
#include "base/text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32, VALUES_MAX = 100000 };

// Without memory jansson 2.14 breaks its heap while it reads a string: it is given what never
// fails.
static void *never_null(size_t size) {
    return xrealloc(NULL, size);
}

__attribute__((constructor)) static void give_memory(void) {
    json_set_alloc_funcs(never_null, free);
}

struct shape {
    int depth;
    size_t values; // at most so many, members of objects and lists
};

// Counted before parsing, so that the parser's own recursion is never deeper and what it makes
// never many times what it reads. A text that is not JSON may be counted wrongly; it is refused
// afterwards anyway.
static struct shape shape_of(const char *s, size_t len) {
    int depth = 0, deepest = 0;
    size_t values = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string && s[i] == '\\')
            i++;
        else if (s[i] == '"')
            in_string = !in_string;
        else if (!in_string && (s[i] == '{' || s[i] == '['))
            depth++;
        else if (!in_string && (s[i] == '}' || s[i] == ']'))
            depth--;
        values += !in_string && (s[i] == '{' || s[i] == '[' || s[i] == ',');
        deepest = depth > deepest ? depth : deepest;
    }
    return (struct shape){deepest, values};
}

// The parser quotes what it stumbled over, and that comes from outside: half of a character, maybe.
static int not_json(struct err *err, const char *what, json_error_t *why) {
    auto_text struct text said = {0};
    for (char *c = why->text; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    text_add_utf8(&said, why->text, strlen(why->text));
    return err_set(err, ERR_USER, "%s is not JSON: line %d column %d: %s", what, why->line,
                   why->column, text_str(&said));
}

static json_t *read_with(size_t flags, const char *s, size_t len, size_t max, const char *what,
                         struct err *err) {
    if (len > max) {
        err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", what, max);
        return NULL;
    }
    if (len && memchr(s, '\0', len)) {
        err_set(err, ERR_USER, "%s is not JSON: it holds a NUL byte", what);
        return NULL;
    }
    struct shape shape = shape_of(s, len);
    if (shape.depth > DEPTH_MAX) {
        err_set(err, ERR_LIMIT, "%s is nested deeper than %d", what, DEPTH_MAX);
        return NULL;
    }
    if (shape.values > VALUES_MAX) {
        err_set(err, ERR_LIMIT, "%s holds more than %d values", what, VALUES_MAX);
        return NULL;
    }
    json_error_t why = {0};
    json_t *j = json_loadb(s, len, flags | JSON_REJECT_DUPLICATES, &why);
    if (!j)
        not_json(err, what, &why);
    return j;
}

json_t *json_read(const char *s, size_t len, size_t max, const char *what, struct err *err) {
    return read_with(0, s, len, max, what, err);
}

json_t *json_read_quoting(const char *s, size_t len, size_t max, const char *what,
                          struct err *err) {
    return read_with(JSON_ALLOW_NUL, s, len, max, what, err);
}

// As jansson lays them out on a 64-bit heap: an object comes with room for eight members, a list
// for eight values, and both double.
enum {
    OBJECT_WEIGHT = 224,
    MEMBER_WEIGHT = 96, // without the key
    LIST_WEIGHT = 128,
    ITEM_WEIGHT = 12,
    STRING_WEIGHT = 72, // without its text
    NUMBER_WEIGHT = 32,
};

static size_t object_weight(const json_t *j) {
    size_t sum = OBJECT_WEIGHT;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)j, key, value) {
        sum += MEMBER_WEIGHT + strlen(key) + json_weight(value);
    }
    return sum;
}

static size_t list_weight(const json_t *j) {
    size_t sum = LIST_WEIGHT, i;
    json_t *value;
    json_array_foreach(j, i, value) {
        sum += ITEM_WEIGHT + json_weight(value);
    }
    return sum;
}

size_t json_weight(const json_t *j) {
    if (json_is_object(j))
        return object_weight(j);
    if (json_is_array(j))
        return list_weight(j);
    if (json_is_string(j))
        return STRING_WEIGHT + json_string_length(j);
    return json_is_number(j) ? NUMBER_WEIGHT : 0;
}

// Only a string that is not UTF-8 or a value inside itself cannot be written, and jansson lets
// neither come to be.
static char *written(const json_t *j, size_t flags) {
    char *s = json_dumps(j, flags | JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(s);
    return s;
}

char *json_write(const json_t *j) {
    return written(j, 0);
}

char *json_canonical(const json_t *j) {
    return written(j, JSON_SORT_KEYS);
}

static const char *type_name(const json_t *j) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",    [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return names[json_typeof(j)];
}

// NULL when there is nothing to take.
static const json_t *member(const json_t *obj, const char *key) {
    const json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

static int wrong_type(struct err *err, const char *key, const char *wanted, const json_t *v) {
    return err_set(err, ERR_USER, "\"%s\" must be %s, not %s", key, wanted, type_name(v));
}

int json_str(const json_t *obj, const char *key, const char **ret, struct err *err) {
    const json_t *v = member(obj, key);
    if (!v)
        return 0;
    if (!json_is_string(v))
        return wrong_type(err, key, "a string", v);
    *ret = json_string_value(v);
    return 0;
}

int json_int(const json_t *obj, const char *key, int64_t *ret, struct err *err) {
    const json_t *v = member(obj, key);
    if (!v)
        return 0;
    if (!json_is_integer(v))
        return wrong_type(err, key, "a whole number", v);
    *ret = json_integer_value(v);
    return 0;
}

int json_flag(const json_t *obj, const char *key, bool *ret, struct err *err) {
    const json_t *v = member(obj, key);
    if (!v)
        return 0;
    if (!json_is_boolean(v))
        return wrong_type(err, key, "true or false", v);
    *ret = json_is_true(v);
    return 0;
}

const char *json_text(const json_t *obj, const char *key) {
    const char *s = json_string_value(json_object_get(obj, key));
    return s ? s : "";
}
