// The clusters we depend on: for each entry of depends_on ("kafka", "/shared.db", "web-*") the pods
// of their snapshots that are alive. What is missing is followed, not polled. A dependency that
// vanishes or becomes empty keeps the content that is in force until it has another (reliability:
// C3), not what was seen of it on its way there. Our own cluster is none of them, whatever a
// wildcard says.
#pragma once
#include "base/json.h"
#include "base/text.h"
#include "sidecar/zk/zk.h"

struct depends;
// clusters: "/ochopod/clusters"; own: the name of our own node below it, "ns.cluster".
struct depends *depends_create(struct zk *zk, const char *clusters, const char *own,
                               const char *namespace_, char *const *entries,
                               void (*on_change)(void *arg), void *arg);
void depends_free(struct depends *d); // takes NULL
bool depends_is_complete(const struct depends *d);
// {entry: {id: pod}}, all three: what somebody wrote down, taken as far as it can be used; what is
// in force; what is there now, as a new reference. Who has no pods there keeps what he had.
void depends_inherit(struct depends *d, json_t *dependencies);
void depends_hold(struct depends *d, json_t *dependencies);
json_t *depends_look(struct depends *d);
void depends_notes(const struct depends *d, struct text *t);
