#include "base/check.h"
#include "sidecar/spec/keys.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// ---- where we are ----

size_t reader_enter(struct reader *r, const char *name, size_t index) {
    size_t before = r->path.len;
    if (name)
        text_addf(&r->path, "%s%.100s", before ? "." : "", name);
    else
        text_addf(&r->path, "[%zu]", index);
    return before;
}

void reader_leave(struct reader *r, size_t before) {
    r->path.len = before;
    r->path.s[before] = '\0';
}

void reader_complain(struct reader *r, const struct entry *at, const char *fmt, ...) {
    struct text sentence = {0};
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    text_add(&sentence, s);
    free(s);
    report_add(r->report, at->line, at->col, text_str(&r->path), "%s", text_str(&sentence));
    text_done(&sentence);
}

// ---- one scalar ----

static int read_duration(const struct key *key, const char *text, int64_t *at, struct err *err) {
    int64_t ms;
    if (text_duration(text, &ms, err))
        return -1;
    if (ms >= key->min && ms <= key->max) {
        *at = ms;
        return 0;
    }
    struct text range = {0};
    text_add_duration(&range, key->min);
    text_add(&range, " to ");
    text_add_duration(&range, key->max);
    err_set(err, ERR_USER, "\"%.80s\" is out of range; it must be from %s", text, text_str(&range));
    text_done(&range);
    return -1;
}

static int read_bytes(const struct key *key, const char *text, int64_t *at, struct err *err) {
    int64_t bytes;
    if (text_bytes(text, &bytes, err))
        return -1;
    if (bytes < key->min || bytes > key->max)
        return err_set(err, ERR_USER,
                       "\"%.80s\" is out of range; it must be from %" PRId64 " to %" PRId64
                       " bytes",
                       text, key->min, key->max);
    *at = bytes;
    return 0;
}

static int read_cpus(const char *text, int64_t *at, struct err *err) {
    char *end;
    double cpus = strtod(text, &end);
    if (end == text || *end || !(cpus >= 0.01 && cpus <= 4096))
        return err_set(err, ERR_USER, "\"%.80s\" is not a number of processors from 0.01 to 4096",
                       text);
    *at = (int64_t)(cpus * 1e9 + 0.5);
    return 0;
}

static int read_flag(const char *text, bool *at, struct err *err) {
    if (strcasecmp(text, "true") && strcasecmp(text, "false"))
        return err_set(err, ERR_USER, "must be true or false, not \"%.80s\"", text);
    *at = !strcasecmp(text, "true");
    return 0;
}

static int read_choice(const struct key *key, const char *text, int *at, struct err *err) {
    char **choices = text_split(key->choices, " ");
    int found = -1;
    for (int i = 0; choices[i]; i++)
        if (!strcmp(choices[i], text))
            found = i;
    text_list_free(choices);
    if (found < 0)
        return err_set(err, ERR_USER, "must be one of: %s; not \"%.80s\"", key->choices, text);
    *at = found;
    return 0;
}

static int read_string(const struct key *key, const char *text, char **at, struct err *err) {
    const char *wrong = key->wrong ? key->wrong(text) : NULL;
    // A zk address may hold a password: it is not repeated.
    if (wrong && key->wrong == wrong_zk)
        return err_set(err, ERR_USER, "%s", wrong);
    if (wrong)
        return err_set(err, ERR_USER, "\"%.80s\" %s", text, wrong);
    free(*at);
    *at = xstrdup(text);
    return 0;
}

int read_scalar(const struct key *key, const char *text, void *at, struct err *err) {
    switch (key->type) {
    case KEY_FLAG:
        return read_flag(text, at, err);
    case KEY_INT: {
        int64_t n;
        if (text_int(text, key->min, key->max, &n, err))
            return -1;
        *(int *)at = (int)n;
        return 0;
    }
    case KEY_COUNT:
        return text_int(text, key->min, key->max, at, err);
    case KEY_DURATION:
        return read_duration(key, text, at, err);
    case KEY_BYTES:
        return read_bytes(key, text, at, err);
    case KEY_CPUS:
        return read_cpus(text, at, err);
    case KEY_CHOICE:
        return read_choice(key, text, at, err);
    case KEY_STRING:
        return read_string(key, text, at, err);
    default:
        CHECK(!"a key that is no scalar");
        return -1;
    }
}

static bool right_kind(enum key_type type, enum node_kind kind) {
    switch (type) {
    case KEY_FLAG:
        return kind == NODE_FLAG;
    case KEY_INT:
    case KEY_COUNT:
        return kind == NODE_INT;
    case KEY_CPUS:
    case KEY_BYTES:
        return kind == NODE_INT || kind == NODE_REAL || kind == NODE_STRING;
    default:
        return true;
    }
}

static const char *wanted(enum key_type type) {
    switch (type) {
    case KEY_FLAG:
        return "true or false";
    case KEY_INT:
    case KEY_COUNT:
        return "a whole number";
    case KEY_DURATION:
        return "a duration like 500ms, 5s or 2m";
    case KEY_BYTES:
        return "a size like 512m";
    case KEY_CPUS:
        return "a number";
    default:
        return "a string";
    }
}

static void read_one(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    struct err err = ERR_INIT;
    const struct node *node = at->value;
    if (node->kind == NODE_NULL)
        reader_complain(r, at, "is empty; give it a value or leave it out");
    else if (!node_scalar(node) || !right_kind(key->type, node->kind))
        reader_complain(r, at, "must be %s, not %s%s%.80s%s", wanted(key->type),
                        node_kind_name(node), node_scalar(node) ? " \"" : "",
                        node_scalar(node) ? node->text : "", node_scalar(node) ? "\"" : "");
    else if (read_scalar(key, node->text, (char *)base + key->place, &err))
        reader_complain(r, at, "%s", err.text);
}

// ---- lists ----

char **read_strings(struct reader *r, const struct entry *at) {
    const struct node *node = at->value;
    if (node->kind != NODE_LIST) {
        reader_complain(r, at, "must be a list, like [a, b], not %s", node_kind_name(node));
        return NULL;
    }
    char **list = xcalloc(node->len + 1, sizeof *list);
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *item = &node->entries[i];
        if (node_scalar(item->value)) {
            list[i] = xstrdup(item->value->text);
            continue;
        }
        size_t before = reader_enter(r, NULL, i);
        reader_complain(r, item, "must be a string, not %s", node_kind_name(item->value));
        reader_leave(r, before);
        text_list_free(list);
        return NULL;
    }
    return list;
}

char **read_argv(struct reader *r, const struct entry *at) {
    if (node_scalar(at->value)) {
        reader_complain(r, at,
                        "must be a list of arguments, never a shell line; for a shell say "
                        "[sh, -c, \"...\"]");
        return NULL;
    }
    char **argv = read_strings(r, at);
    if (argv && (!argv[0] || !*argv[0])) {
        reader_complain(r, at, "names no command");
        text_list_free(argv);
        return NULL;
    }
    return argv;
}

static void read_list(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    char **list = key->type == KEY_ARGV ? read_argv(r, at) : read_strings(r, at);
    if (!list)
        return;
    for (size_t i = 0; key->wrong && list[i]; i++) {
        const char *wrong = key->wrong(list[i]);
        if (!wrong)
            continue;
        size_t before = reader_enter(r, NULL, i);
        reader_complain(r, &at->value->entries[i], "\"%.80s\" %s", list[i], wrong);
        reader_leave(r, before);
    }
    char ***place = (char ***)((char *)base + key->place);
    text_list_free(*place);
    *place = list;
}

// ---- maps ----

static void read_key(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    switch (key->type) {
    case KEY_MAP:
        read_map(r, key->map, at, base);
        break;
    case KEY_OWN:
        key->read(r, key, at, base);
        break;
    case KEY_STRINGS:
    case KEY_ARGV:
        read_list(r, key, at, base);
        break;
    default:
        read_one(r, key, at, base);
    }
}

static const struct key *find(const struct key *keys, const char *name) {
    for (; keys->name; keys++)
        if (!strcmp(keys->name, name))
            return keys;
    return NULL;
}

// Where a key of this name stands elsewhere; a name that stands in several places is no hint.
static int homes_of(const struct key_map *map, const char *name, int depth, const char **ret) {
    int n = 0;
    for (const struct key *k = map->keys; k->name && depth < 4; k++) {
        if (!k->map)
            continue;
        if (find(k->map->keys, name)) {
            *ret = k->name;
            n++;
        }
        n += homes_of(k->map, name, depth + 1, ret);
    }
    return n;
}

static void unknown(struct reader *r, const struct key_map *map, const struct entry *at) {
    const char *meant = did_you_mean(map->keys, at->key);
    if (meant) {
        reader_complain(r, at, "no such key; did you mean %s?", meant);
        return;
    }
    if (find(spec_keys.keys, at->key)) {
        reader_complain(r, at, "no such key here; %s stands at the top level", at->key);
        return;
    }
    const char *home = NULL;
    if (homes_of(&spec_keys, at->key, 0, &home) == 1) {
        reader_complain(r, at, "no such key here; it belongs below %s", home);
        return;
    }
    struct text known = {0};
    for (const struct key *k = map->keys; k->name; k++)
        text_addf(&known, "%s%s", known.len ? " " : "", k->name);
    reader_complain(r, at, "no such key; known here: %s", text_str(&known));
    text_done(&known);
}

static void missing(struct reader *r, const struct key_map *map, const struct entry *at) {
    for (const struct key *k = map->keys; k->name; k++)
        if (k->required && !node_get(at->value, k->name))
            reader_complain(r, at, "%s is missing: %s", k->name, k->doc);
}

void read_map(struct reader *r, const struct key_map *map, const struct entry *at, void *base) {
    const struct node *node = at->value;
    if (node->kind != NODE_MAP) {
        reader_complain(r, at, "must be a map of keys, not %s", node_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        const struct key *key = find(map->keys, entry->key);
        size_t before = reader_enter(r, entry->key, 0);
        if (key)
            read_key(r, key, entry, base);
        else
            unknown(r, map, entry);
        reader_leave(r, before);
    }
    missing(r, map, at);
    if (map->after)
        map->after(r, at, base);
}

void read_defaults(const struct key_map *map, void *base) {
    for (const struct key *k = map->keys; k->name; k++) {
        struct err err = ERR_INIT;
        if (k->type == KEY_MAP)
            read_defaults(k->map, base);
        else if (k->fallback)
            CHECK(!read_scalar(k, k->fallback, (char *)base + k->place, &err));
    }
}
