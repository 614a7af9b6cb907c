// One cluster that we depend on: its snapshot, less the pods that are not alive any more.
#pragma once
#include "base/json.h"
#include "sidecar/zk/zk.h"
#include <stdbool.h>

struct source;
// path: "/ochopod/clusters/ns.name"
struct source *source_create(struct zk *zk, const char *path, void (*on_change)(void *arg),
                             void *arg);
void source_free(struct source *s); // takes NULL
const char *source_path(const struct source *s);
bool source_is_complete(const struct source *s);
// What is a pod among these: {id: pod}, new reference. from: whose they are, for the log.
json_t *source_usable(json_t *pods, const char *from);
void source_add(const struct source *s, json_t *pods); // into {id: pod}
