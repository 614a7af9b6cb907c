// The text of a spec as a tree that remembers where everything stood. YAML 1.2's core schema (`yes`
// is a string, 010 is ten), of which JSON is a part. What makes a text hostile or ambiguous is
// refused while reading: alias bombs (a budget of nodes), depth, duplicate keys, keys that are no
// strings, unknown tags, a second document, NUL. node.c is the only file that knows libyaml.
#pragma once
#include "base/json.h"
#include "sidecar/spec/report.h"
#include <stdbool.h>
#include <stdint.h>

enum node_kind { NODE_NULL, NODE_FLAG, NODE_INT, NODE_REAL, NODE_STRING, NODE_LIST, NODE_MAP };

struct node;
struct entry {
    char *key; // NULL in a list
    int line, col;
    struct node *value;
};

struct node {
    enum node_kind kind;
    int line, col;
    char *text; // of a scalar, as written
    struct entry *entries;
    size_t len;
};

enum { NODE_TEXT_MAX = 256 * 1024 };

// The bytes of a file, one more than NODE_TEXT_MAX at most; NULL: errno. Caller frees.
char *node_load(const char *path, size_t *ret_len);
// NULL: report says why. An empty text is an empty map.
struct node *node_read(const char *text, size_t len, struct report *report);
void node_free(struct node *node); // takes NULL

const struct entry *node_get(const struct node *map, const char *key); // NULL: not there
// "workload.ready.tcp", "files[0].mode"; the deepest that exists, so that a complaint has a place.
const struct node *node_at(const struct node *root, const char *path);
bool node_scalar(const struct node *node);           // and not null
const char *node_kind_name(const struct node *node); // "a list", for messages
