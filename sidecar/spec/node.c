#include "sidecar/spec/node.h"
#include "base/check.h"
#include "base/own.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { BUDGET = 10000, DEPTH_MAX = 24 };

struct builder {
    yaml_document_t *doc;
    struct report *report;
    int budget;
};

static struct node *build(struct builder *b, int index, int depth);

void node_free(struct node *node) {
    if (!node)
        return;
    for (size_t i = 0; i < node->len; i++) {
        free(node->entries[i].key);
        node_free(node->entries[i].value);
    }
    free(node->entries);
    free(node->text);
    free(node);
}

static struct node *refuse(struct builder *b, const yaml_node_t *y, const char *why) {
    report_add(b->report, (int)y->start_mark.line + 1, (int)y->start_mark.column + 1, "", "%s",
               why);
    return NULL;
}

// ---- scalars ----

static bool among(const char *s, const char *const *words) {
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

static bool is_int(const char *s) {
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o'))
        return s[2] &&
               strspn(s + 2, s[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567") == strlen(s + 2);
    s += *s == '-' || *s == '+';
    return *s && strspn(s, "0123456789") == strlen(s);
}

static bool is_real(const char *s) {
    static const char *const words[] = {".inf", ".Inf", ".INF", "-.inf", "+.inf",
                                        ".nan", ".NaN", ".NAN", NULL};
    if (among(s, words))
        return true;
    s += *s == '-' || *s == '+';
    size_t whole = strspn(s, "0123456789");
    s += whole;
    size_t part = 0;
    if (*s == '.') {
        part = strspn(s + 1, "0123456789");
        s += 1 + part;
    }
    if (!whole && !part)
        return false;
    if (*s == 'e' || *s == 'E') {
        s += 1 + (s[1] == '-' || s[1] == '+');
        size_t n = strspn(s, "0123456789");
        return n && !s[n];
    }
    return !*s;
}

static enum node_kind plain_kind(const char *s) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const flags[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (among(s, nulls))
        return NODE_NULL;
    if (among(s, flags))
        return NODE_FLAG;
    return is_int(s) ? NODE_INT : is_real(s) ? NODE_REAL : NODE_STRING;
}

// libyaml gives every scalar without a tag of its own the tag of a string; "!" and a quoted style
// mean a string.
static bool tag_kind(const yaml_node_t *y, const char *s, enum node_kind *ret) {
    const char *tag = (const char *)y->tag;
    bool plain = y->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum node_kind kind = plain_kind(s);
    *ret = NODE_STRING;
    if (!tag || !strcmp(tag, YAML_STR_TAG)) {
        *ret = plain ? kind : NODE_STRING;
        return true;
    }
    if (!strcmp(tag, "!"))
        return true;
    *ret = kind;
    return (!strcmp(tag, YAML_INT_TAG) && kind == NODE_INT) ||
           (!strcmp(tag, YAML_FLOAT_TAG) && (kind == NODE_REAL || kind == NODE_INT)) ||
           (!strcmp(tag, YAML_BOOL_TAG) && kind == NODE_FLAG) ||
           (!strcmp(tag, YAML_NULL_TAG) && kind == NODE_NULL);
}

static struct node *build_scalar(struct builder *b, const yaml_node_t *y) {
    const char *s = (const char *)y->data.scalar.value;
    if (strlen(s) != y->data.scalar.length)
        return refuse(b, y, "a NUL byte cannot stand in a spec");
    enum node_kind kind;
    if (!tag_kind(y, s, &kind))
        return refuse(b, y, "this tag is not known; leave it out");
    struct node *node = xnew(struct node);
    node->kind = kind;
    node->text = xstrdup(s);
    return node;
}

// ---- lists and maps ----

static bool default_tag(const yaml_node_t *y, const char *tag) {
    return !y->tag || !strcmp((const char *)y->tag, tag);
}

static struct node *build_list(struct builder *b, const yaml_node_t *y, int depth) {
    if (!default_tag(y, YAML_SEQ_TAG))
        return refuse(b, y, "this tag is not known; leave it out");
    const yaml_node_item_t *item = y->data.sequence.items.start;
    size_t len = (size_t)(y->data.sequence.items.top - item);
    struct node *node = xnew(struct node);
    node->kind = NODE_LIST;
    node->entries = xcalloc(len, sizeof *node->entries);
    for (size_t i = 0; i < len; i++) {
        struct node *value = build(b, item[i], depth + 1);
        if (!value) {
            node_free(node);
            return NULL;
        }
        node->entries[node->len++] = (struct entry){
            .line = value->line, .col = value->col, .value = value};
    }
    return node;
}

static const char *key_of(struct builder *b, const yaml_node_t *y) {
    if (y->type == YAML_SCALAR_NODE &&
        strlen((const char *)y->data.scalar.value) == y->data.scalar.length)
        return (const char *)y->data.scalar.value;
    refuse(b, y, "a key must be a plain word");
    return NULL;
}

static bool add_pair(struct builder *b, struct node *map, const yaml_node_pair_t *pair, int depth) {
    const yaml_node_t *y = yaml_document_get_node(b->doc, pair->key);
    const char *key = key_of(b, y);
    struct node *value = key ? build(b, pair->value, depth + 1) : NULL;
    if (!value)
        return false;
    int line = (int)y->start_mark.line + 1, col = (int)y->start_mark.column + 1;
    const struct entry *twin = node_get(map, key);
    if (twin) {
        report_add(b->report, line, col, key, "stands here twice; the first is in line %d",
                   twin->line);
        node_free(value);
        return true;
    }
    map->entries[map->len++] = (struct entry){
        .key = xstrdup(key), .line = line, .col = col, .value = value};
    return true;
}

static struct node *build_map(struct builder *b, const yaml_node_t *y, int depth) {
    if (!default_tag(y, YAML_MAP_TAG))
        return refuse(b, y, "this tag is not known; leave it out");
    const yaml_node_pair_t *pair = y->data.mapping.pairs.start;
    size_t len = (size_t)(y->data.mapping.pairs.top - pair);
    struct node *node = xnew(struct node);
    node->kind = NODE_MAP;
    node->entries = xcalloc(len, sizeof *node->entries);
    for (size_t i = 0; i < len; i++)
        if (!add_pair(b, node, &pair[i], depth)) {
            node_free(node);
            return NULL;
        }
    return node;
}

static struct node *build(struct builder *b, int index, int depth) {
    const yaml_node_t *y = yaml_document_get_node(b->doc, index);
    if (--b->budget < 0)
        return refuse(b, y, "the spec is too large once its aliases are expanded");
    if (depth > DEPTH_MAX)
        return refuse(b, y, "nested too deep");
    struct node *node = y->type == YAML_SCALAR_NODE     ? build_scalar(b, y)
                        : y->type == YAML_SEQUENCE_NODE ? build_list(b, y, depth)
                                                        : build_map(b, y, depth);
    if (node) {
        node->line = (int)y->start_mark.line + 1;
        node->col = (int)y->start_mark.column + 1;
    }
    return node;
}

// ---- the text ----

// A mistake below the grammar (not UTF-8, a control character) is known by its offset only.
static void place_of(const char *text, size_t offset, int *line, int *col) {
    *line = *col = 1;
    for (size_t i = 0; i < offset; i++) {
        *col = text[i] == '\n' ? 1 : *col + 1;
        *line += text[i] == '\n';
    }
}

static void complain(const yaml_parser_t *p, const char *text, size_t len, struct report *report) {
    const char *problem = p->problem ? p->problem : "cannot be read";
    int line = (int)p->problem_mark.line + 1, col = (int)p->problem_mark.column + 1;
    if (p->error == YAML_READER_ERROR)
        place_of(text, p->problem_offset < len ? p->problem_offset : len, &line, &col);
    if (p->context && p->context_mark.line != p->problem_mark.line)
        report_add(report, line, col, "", "is not YAML: %s, %s of line %d", problem, p->context,
                   (int)p->context_mark.line + 1);
    else
        report_add(report, line, col, "", "is not YAML: %s%s%s", problem, p->context ? ", " : "",
                   p->context ? p->context : "");
}

// A quarter of a megabyte of brackets keeps the parser busy for minutes: what no spec needs never
// reaches it.
static bool too_deep(const char *text, size_t len, struct report *report) {
    int depth = 0;
    for (size_t i = 0; i < len; i++) {
        depth += (text[i] == '[' || text[i] == '{') - (text[i] == ']' || text[i] == '}');
        if (depth > 500) {
            int line, col;
            place_of(text, i, &line, &col);
            report_add(report, line, col, "", "too many open brackets");
            return true;
        }
    }
    return false;
}

static struct node *from_document(yaml_document_t *doc, struct report *report) {
    struct builder b = {.doc = doc, .report = report, .budget = BUDGET};
    if (yaml_document_get_root_node(doc))
        return build(&b, 1, 0);
    struct node *empty = xnew(struct node);
    *empty = (struct node){.kind = NODE_MAP, .line = 1, .col = 1};
    return empty;
}

static struct node *parse(yaml_parser_t *parser, const char *text, size_t len,
                          struct report *report) {
    yaml_document_t doc, second;
    if (!yaml_parser_load(parser, &doc)) {
        complain(parser, text, len, report);
        return NULL;
    }
    struct node *root = from_document(&doc, report);
    yaml_document_delete(&doc);
    if (!root)
        return NULL;
    if (!yaml_parser_load(parser, &second)) {
        complain(parser, text, len, report);
        node_free(root);
        return NULL;
    }
    if (yaml_document_get_root_node(&second)) {
        report_add(report, (int)second.start_mark.line + 1, (int)second.start_mark.column + 1, "",
                   "a second document; a spec is one");
        node_free(root);
        root = NULL;
    }
    yaml_document_delete(&second);
    return root;
}

char *node_load(const char *path, size_t *ret_len) {
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    auto_free char *text = xcalloc(1, NODE_TEXT_MAX + 2);
    size_t len = 0;
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && len <= NODE_TEXT_MAX &&
           (n = read(fd, text + len, NODE_TEXT_MAX + 1 - len)) > 0)
        len += (size_t)n;
    *ret_len = len;
    return n < 0 ? NULL : take_ptr(text);
}

struct node *node_read(const char *text, size_t len, struct report *report) {
    if (len > NODE_TEXT_MAX) {
        report_add(report, 1, 1, "", "is larger than %d KiB", NODE_TEXT_MAX / 1024);
        return NULL;
    }
    if (too_deep(text, len, report))
        return NULL;
    yaml_parser_t parser;
    CHECK(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    struct node *root = parse(&parser, text, len, report);
    yaml_parser_delete(&parser);
    return root;
}

// ---- looking ----

const struct entry *node_get(const struct node *map, const char *key) {
    for (size_t i = 0; map && map->kind == NODE_MAP && i < map->len; i++)
        if (!strcmp(map->entries[i].key, key))
            return &map->entries[i];
    return NULL;
}

static const struct node *step(const struct node *at, const char *part, size_t n, bool is_index) {
    if (is_index) {
        size_t i = (size_t)atoi(part);
        return at->kind == NODE_LIST && i < at->len ? at->entries[i].value : NULL;
    }
    for (size_t i = 0; at->kind == NODE_MAP && i < at->len; i++)
        if (strlen(at->entries[i].key) == n && !memcmp(at->entries[i].key, part, n))
            return at->entries[i].value;
    return NULL;
}

const struct node *node_at(const struct node *root, const char *path) {
    const struct node *at = root;
    while (*path) {
        bool is_index = *path == '[';
        path += is_index || *path == '.';
        size_t n = strcspn(path, is_index ? "]" : ".[");
        const struct node *next = step(at, path, n, is_index);
        if (!next)
            break;
        at = next;
        path += n + (is_index && path[n]);
    }
    return at;
}

bool node_scalar(const struct node *node) {
    return node->kind != NODE_LIST && node->kind != NODE_MAP && node->kind != NODE_NULL;
}

const char *node_kind_name(const struct node *node) {
    static const char *const names[] = {
        [NODE_NULL] = "empty",        [NODE_FLAG] = "true or false", [NODE_INT] = "a number",
        [NODE_REAL] = "a fraction",   [NODE_STRING] = "a string",    [NODE_LIST] = "a list",
        [NODE_MAP] = "a map of keys",
    };
    return names[node->kind];
}
