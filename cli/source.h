// Where clusters are read: ZooKeeper, or one pod's GET /cluster. Both give the same:
//   {"namespace.cluster": {"generation": n|null, "pods": {id: {"seq", "record", "info"|"error"}}}}
// info is there only when it came along (GET /cluster); pods.h asks for what is missing. A pod
// whose node cannot be read is listed with its error. Calls turn the loop and come back when it is
// done.
#pragma once
#include "base/http.h"
#include "cli/cli.h"
#include "cli/signer.h"

struct source;
// --url, --zk, OCHOPOD_ZK, ochopod_zk, or what the spec of this container says. ERR_RETRY:
// ZooKeeper does not answer within wait_ms. What is read then has the rest of them.
int source_open(const struct cli_options *options, int64_t wait_ms, struct source **ret,
                struct err *err) must_check;
void source_close(struct source *source); // takes NULL
// What is read from now on has until then (as loop_now), and ten seconds at most.
void source_until(struct source *source, int64_t until);
struct loop *source_loop(struct source *source);
struct http *source_http(struct source *source);
const struct signer *source_signer(const struct source *source);
// Those that match any of the patterns (NULL-ended; none at all is every cluster); new reference.
json_t *source_read(struct source *source, char *const *patterns, struct err *err) must_check;
// It reads through one pod, which knows its own cluster alone and may go away.
bool source_is_pod(const struct source *source);
const char *source_url(const struct source *source); // of that pod; NULL where there is ZooKeeper
// A glob over namespace.cluster, or over the cluster's name when it has no dot.
bool source_matches(const char *pattern, const char *name);
