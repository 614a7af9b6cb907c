// A text in YAML or JSON that is no spec, read by the same rules (node.h), as JSON values, with the
// place of each kept, so that others complain as the spec does: every mistake, file:line:col. What
// `ocho deploy` reads: Ochothon's deploy files, overrides, and a spec's own text.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include <stddef.h>

struct tree;

// NULL: what is wrong stands in report (lines) and err (the first).
struct tree *tree_load(const char *path, struct text *report, struct err *err) must_check;
struct tree *tree_parse(const char *text, size_t len, const char *name, struct text *report,
                        struct err *err) must_check;
void tree_free(struct tree *tree); // takes NULL

// Borrowed. Numbers as numbers, an integer beyond 64 bits as a real.
const json_t *tree_json(const struct tree *tree);
// The same, so that reading it again gives the same spec: what a spec takes as text (all of a list
// and of an `environment`, and every fraction) stays as it was written. New reference.
json_t *tree_as_written(const struct tree *tree);

// path: "ports[2]", "settings.a"; "" is the whole.
void tree_complain(struct tree *tree, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// 0: nobody complained. Else the lines and the first.
int tree_tell(struct tree *tree, struct text *report, struct err *err) must_check;
