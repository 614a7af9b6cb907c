// What a round is about: the pods, the dependencies and what the leader keeps about each member.
// The vocabulary that leader and pod share: it travels as the body of control requests and is what
// templates and hooks see. Pure.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "sidecar/cluster/record.h"
#include <stdbool.h>

struct cluster {
    json_t *pods;         // {uuid: record}
    json_t *dependencies; // {entry of depends_on as written: {uuid: record}}
    json_t *members;      // {uuid: {"ordinal": n, "founder": bool, "joined": bool}}
};

struct cluster *cluster_create(void);
void cluster_free(struct cluster *c); // takes NULL
struct cluster *cluster_copy(const struct cluster *c);

// ---- members ----
// Gives each pod without one the smallest ordinal from 1 that no other live pod holds; drops who
// left; founders are the pods of the first round, and may be named anew only while `nobody_started`
// (no live pod's workload ever ran). Changes c->members; answers true when they differ from before.
bool cluster_assign(struct cluster *c, bool nobody_started);
void cluster_joined(struct cluster *c, const char *id); // its `on` has succeeded

// ---- on the wire ----
// Body of check, off, on, ok for pod `key`: {"pods", "dependencies", "key"} as Ochopod's, then
// ours: "members", "hash".
char *cluster_body(const struct cluster *c, const char *key, const char *hash); // caller frees
// The bodies of all pods of a round: what they share is written once.
struct cluster_bodies;
struct cluster_bodies *cluster_bodies_create(const struct cluster *c, const char *hash);
size_t cluster_bodies_size(const struct cluster_bodies *b); // of one, but for its key
char *cluster_bodies_for(const struct cluster_bodies *b, const char *key); // caller frees
void cluster_bodies_free(struct cluster_bodies *b);                        // takes NULL
// What a pod was sent. key must be among pods. An original leader's body has no members: then
// ordinals are by seq order, everybody is a founder and joined is false. hash_: from the body, or
// computed. Extra keys are ignored.
int cluster_from_body(const char *body, size_t len, struct cluster **ret, char **ret_key,
                      char **ret_hash, struct err *err) must_check;
// The same of a body that was read already, for pod `key`.
int cluster_from_json(const json_t *body, const char *key, struct cluster **ret,
                      struct err *err) must_check;

// ---- for templates and hooks ----
// {"pods": [...sorted by seq, each with index, first, last, self, seq, ordinal, founder, joined,
// ip, public, ports, node, zone, slot, task, application, id], "self": {...}, "index", "seq",
// "ordinal", "size", "dependencies": {name: [...]}}. New reference. ports: label -> published port.
// Fails when key is not among the pods.
json_t *cluster_view(const struct cluster *c, const char *key, struct err *err);

// ---- digest ----
// Canonical SHA-256 over pods and dependencies, 64 lower-case hex. Only what configuration can
// depend on: order never matters, and a leader change alone never changes it.
void cluster_hash(const struct cluster *c, char ret[65]);
// {uuid: {what that digest and cluster_view look at, nothing else}} of the pods, as canonical JSON.
void cluster_essence(const struct cluster *c, struct text *t);
