// Steering pods: one request of /control to each of those that match, as an operator (no epoch, no
// body), side by side. What on, off, reset, signal and whatever kills share.
#pragma once
#include "cli/pods.h"

// As long as it may take when -t says nothing: the grace of a spec that says nothing, and some
// more.
enum { ACT_MS = 75000 };

// --timeout, or ACT_MS.
int64_t act_timeout(const struct cli_options *options);
// The header that tells a pod how long we wait. Caller frees.
char *act_budget(int64_t timeout_ms);
// As pods_begin, but whoever means many pods must say so: without -i and without --force it is
// status 2. That there is none is told by act_status.
int act_begin(const struct cli_options *options, char *const *patterns,
              struct pods *ret) must_check;
// POST /control/<task> to each that has no error yet; what is not a 200 becomes its error. With a
// key the JSON of the answer becomes that member. The pod is told how long we wait, so that what it
// has not begun by then never begins.
void act_post(struct pods *pods, const char *task, const char *key, int64_t timeout_ms);
// POST /control/kill to each, again and again until it answers 410: its workload has ended, it
// stays dead and answers. The others have an error when the time is over, or *stop is not 0
// (pods.h).
void act_kill(struct pods *pods, int64_t timeout_ms, const int *stop);
// Ochothon's {pattern: {"ok": true, key: [pod...]}}: those that have no error, by label or by
// number; "failed": {label: why} where there are any. New reference.
json_t *act_outcome(const struct pods *pods, char *const *patterns, const char *key,
                    bool by_number);
// A pod of those is of a cluster that the pattern matches.
bool act_means(const struct pods *pods, const char *pattern);
// Says on stderr who failed, and which pattern means nobody: each is status 1. done: "off", the
// word for it.
int act_status(const struct pods *pods, char *const *patterns, const char *done);
// Prints the outcome with -j, else one line a pod; then the same.
int act_report(const struct pods *pods, const struct cli_options *options, const char *key,
               bool by_number, const char *done);
