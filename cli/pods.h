// The pods of what source.h read, in order, and what each answers. A pod that does not answer stays
// in the list and has an "error"; nobody is left out.
#pragma once
#include "cli/source.h"

struct pod_seen {
    const char *cluster, *id; // borrowed, as json
    char *label;              // "namespace.cluster #seq"
    int64_t seq;
    bool open;    // it had the last request and did not say how that ended: it may be done yet
    json_t *json; // its object: "record", and once asked what it answered, or "error"
};

struct pods {
    struct pod_seen *list; // by cluster, then by sequence number
    size_t n;
    size_t missing;   // numbers of -i that no pod has; without -i those that were skipped
    size_t skipped;   // by the pod of --url: their records are too large together
    size_t unmatched; // patterns that no cluster matches
    json_t *clusters;
    struct source *source; // borrowed, unless pods_begin opened it
};

// What verbs begin and end with: opens, reads those that match (see source_read), says what
// matches nothing. Answers an exit status; 0: go on.
int pods_begin(const struct cli_options *options, char *const *patterns,
               struct pods *ret) must_check;
void pods_end(struct pods *pods);
// Is one of -i, or there is no -i.
bool pods_wanted(const struct cli_options *options, int64_t seq);
// Says how many pods an answer to /cluster leaves out, if any; answers how many.
size_t pods_tell_skipped(const char *name, const json_t *cluster);
// Says which numbers of -i no pod has; answers how many.
size_t pods_tell_missing(const struct pods *pods, const struct cli_options *options);
// The same over a source that is open: whoever looks again and again. pods_done frees.
int pods_read(struct source *source, const struct cli_options *options, char *const *patterns,
              struct pods *ret, struct err *err) must_check;
void pods_done(struct pods *pods);
// The same from what somebody else knows of them, as source.h has it. Takes clusters over.
void pods_of(struct source *source, json_t *clusters, const struct cli_options *options,
             struct pods *ret);
// Whose record is made up, as nobody has read it: it speaks TLS, so it is one of ours. With
// "maybe_tls" beside its "record" it is asked so once, when it does not speak HTTP.
void pods_tls(json_t *pod);
// Those that came without a number have the one that their /info says.
void pods_number(struct pods *pods);

struct pods_request {
    const char *method;         // NULL: what reads, GET, or an original pod's POST
    const char *path;           // "/info"
    const char *const *headers; // as http_request's; at most 3
    bool targeted;              // says which pod is meant: another one at its address answers 421
    const void *body;
    size_t body_len;
    const char *key;    // the member that the JSON of a 200 becomes; NULL: nobody wants it
    int64_t timeout_ms; // of each pod; below 0: 5 s
    size_t max_reply;   // 1 MiB when 0
    // Asked again until it answers this status, or the time is over; 0: once. Who is away does not
    // come back for that, but one that had the request may be between two workers.
    int until;
    const int *stop; // NULL, or nobody is asked or waited for any more once it is not 0
};

// Asks, side by side, each pod that has no error yet and no such key. What is not a 200 (or not
// `until`), and what is not JSON, becomes its "error".
void pods_send(struct pods *pods, const struct pods_request *request);
// /info of each that came without: what most verbs begin with.
void pods_ask_info(struct pods *pods, int64_t timeout_ms);

// "http://ip:port", NULL where the record says no way. Caller frees.
char *pods_url(const struct pods *pods, const struct pod_seen *pod);
// The headers of a request to it, with what signs them where there is a token (see
// auth_call_sign).
void pods_sign(const struct pods *pods, const struct pod_seen *pod, struct auth_call *call,
               const char *method, const char *url, const char *const *headers, const void *body,
               size_t len);
// There is a token, and its record says that it signs its answers: one that is not signed is
// somebody else's.
bool pods_must_sign(const struct pods *pods, const struct pod_seen *pod);
const json_t *pods_info(const struct pod_seen *pod); // NULL when it did not answer
const char *pods_error(const struct pod_seen *pod);  // "" when there is none
void pods_fail(struct pod_seen *pod, const char *why);

// There is something to show, or nobody named what is not there: a table's head alone says less
// than the line that a pattern matches nothing.
bool pods_are_to_show(const struct pods *pods, const json_t *rows);
// "2 of 3 answered" and why, on stderr, when somebody has not; answers the exit status, which a
// pattern that matches nothing makes 1 as well. Of verbs that steer the word is another one.
int pods_report(const struct pods *pods, const char *answered);
