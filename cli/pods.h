// The pods of what source.h read, in order, and what each answers.
#pragma once
#include "cli/source.h"

struct pod_seen {
    const char *cluster; // borrowed, as json
    char *label;         // "namespace.cluster #seq"
    int64_t seq;
    json_t *json; // its object: "record", and once asked "info" or "error"
};

struct pods {
    struct pod_seen *list; // by cluster, then by sequence number
    size_t n;
};

// Keeps only the sequence numbers of -i, when there are any.
void pods_list(struct pods *pods, const json_t *clusters, const struct cli_options *options);
void pods_done(struct pods *pods);
// GET path of each that has not answered yet: its JSON becomes member `key`, a failure "error".
void pods_ask(struct pods *pods, struct source *source, const char *path, const char *key,
              int64_t timeout_ms);
// "http://ip:port", NULL where the record says no way. Caller frees.
char *pods_url(const struct pod_seen *pod);
const json_t *pods_info(const struct pod_seen *pod); // {} when it did not answer

// "2 of 3 answered" and why, on stderr, when somebody has not; answers the exit status.
int pods_report(const struct pods *pods);
// Opens, reads, asks for /info: what ls, grep and info begin with. Answers an exit status; 0: go
// on.
int pods_begin(const struct cli_options *options, struct source **ret_source, json_t **ret_clusters,
               struct pods *ret_pods);
void pods_end(struct source *source, json_t *clusters, struct pods *pods);
