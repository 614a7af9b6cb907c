#include "sidecar/spec/tree.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/spec/node.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct tree {
    char *name;
    struct node *root;
    struct report report;
    json_t *json;
};

// ---- values ----

static json_t *value_of(const struct node *node, bool as_written);

// Words that only a programmer takes for numbers (.inf) stay words.
static json_t *number_of(const struct node *node, bool is_real, bool as_written) {
    int64_t n;
    char *end;
    if (!is_real && text_int(node->text, INT64_MIN, INT64_MAX, &n, NULL) == 0)
        return json_integer(n);
    if (text_starts(node->text, "0x") || text_starts(node->text, "0o"))
        return json_integer(strtoll(node->text + 2, NULL, node->text[1] == 'x' ? 16 : 8));
    double real = strtod(node->text, &end);
    json_t *j = as_written || *end ? NULL : json_real(real);
    return j ? j : json_string(node->text);
}

static json_t *scalar_of(const struct node *node, bool as_written) {
    switch (node->kind) {
    case NODE_FLAG:
        return json_boolean(strcasecmp(node->text, "true") == 0);
    case NODE_INT:
    case NODE_REAL:
        return number_of(node, node->kind == NODE_REAL, as_written);
    case NODE_NULL:
        return json_null();
    default:
        return json_string(node->text);
    }
}

static json_t *text_of(const struct node *node) {
    return node_scalar(node) ? json_string(node->text) : value_of(node, true);
}

static json_t *map_of(const struct node *node, bool as_written) {
    json_t *map = json_object();
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *it = &node->entries[i];
        CHECK(json_object_set_new(map, it->key, value_of(it->value, as_written)) == 0);
    }
    return map;
}

static json_t *texts_of(const struct node *node) {
    bool is_list = node->kind == NODE_LIST;
    json_t *all = is_list ? json_array() : json_object();
    for (size_t i = 0; i < node->len; i++) {
        json_t *it = text_of(node->entries[i].value);
        CHECK((is_list ? json_array_append_new(all, it)
                       : json_object_set_new(all, node->entries[i].key, it)) == 0);
    }
    return all;
}

static json_t *list_of(const struct node *node) {
    json_t *list = json_array();
    for (size_t i = 0; i < node->len; i++)
        CHECK(json_array_append_new(list, value_of(node->entries[i].value, false)) == 0);
    return list;
}

static json_t *entry_of(const struct entry *it, bool as_written) {
    bool texts = as_written && it->value->kind == NODE_MAP && strcmp(it->key, "environment") == 0;
    return texts ? texts_of(it->value) : value_of(it->value, as_written);
}

static json_t *value_of(const struct node *node, bool as_written) {
    if (node->kind == NODE_LIST)
        return as_written ? texts_of(node) : list_of(node);
    if (node->kind != NODE_MAP)
        return scalar_of(node, as_written);
    if (!as_written)
        return map_of(node, false);
    json_t *map = json_object();
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *it = &node->entries[i];
        CHECK(json_object_set_new(map, it->key, entry_of(it, true)) == 0);
    }
    return map;
}

// ---- the door ----

static struct tree *create(const char *name) {
    struct tree *tree = xnew(struct tree);
    tree->name = xstrdup(name);
    tree->report.name = tree->name;
    return tree;
}

// What cannot be read ends here.
static struct tree *begun(struct tree *tree, struct text *report, struct err *err) {
    if (tree_tell(tree, report, err)) {
        tree_free(tree);
        return NULL;
    }
    CHECK(tree->root);
    tree->json = value_of(tree->root, false);
    return tree;
}

struct tree *tree_parse(const char *text, size_t len, const char *name, struct text *report,
                        struct err *err) {
    struct tree *tree = create(name);
    tree->root = node_read(text, len, &tree->report);
    return begun(tree, report, err);
}

struct tree *tree_load(const char *path, struct text *report, struct err *err) {
    struct tree *tree = create(path);
    size_t len = 0;
    auto_free char *text = node_load(path, &len);
    if (text)
        tree->root = node_read(text, len, &tree->report);
    else
        report_add(&tree->report, 1, 1, "", "cannot be read: %s", strerror(errno));
    return begun(tree, report, err);
}

void tree_free(struct tree *tree) {
    if (!tree)
        return;
    json_decref(tree->json);
    node_free(tree->root);
    report_done(&tree->report);
    free(tree->name);
    free(tree);
}

const json_t *tree_json(const struct tree *tree) {
    return tree->json;
}

json_t *tree_as_written(const struct tree *tree) {
    return value_of(tree->root, true);
}

void tree_complain(struct tree *tree, const char *path, const char *fmt, ...) {
    const struct node *at = node_at(tree->root, path);
    va_list args;
    va_start(args, fmt);
    auto_free char *what = NULL;
    CHECK(vasprintf(&what, fmt, args) >= 0);
    va_end(args);
    report_add(&tree->report, at->line, at->col, path, "%s", what);
}

int tree_tell(struct tree *tree, struct text *report, struct err *err) {
    return report_tell(&tree->report, report, err);
}
