// Marathon's REST API, as the verbs need it: one call at a time, which turns the loop and comes
// back with the answer, or with one clear line about what came instead. Tries the other masters
// when one is away or hangs (a change only while nothing of it was sent), follows redirects by hand
// (at most five, a circle is told), never sends credentials to another host than they were given
// for.
//
// Kinds of errors: ERR_USER what we asked for is not valid (400, 422) or who we are (401);
// ERR_ABSENT 404; ERR_EXISTS; ERR_REFUSED what else Marathon says no to; ERR_RETRY out of reach,
// cut off, not Marathon; ERR_TIMEOUT the deadline. What Marathon said in detail is kept beside it.
#pragma once
#include "base/http.h"
#include "base/json.h"
#include "cli/marathon_where.h"

struct marathon;

// Takes where over. The loop and the client are the caller's and outlive it.
struct marathon *marathon_open(struct loop *loop, struct http *http, struct marathon_where *where);
void marathon_close(struct marathon *m); // takes NULL
// No call ends later than this (loop_now); -1: each has its own time.
void marathon_until(struct marathon *m, int64_t deadline);
// With --force: changes override the deployment that locks their app. Of a verb that has no such
// option never called: then nobody is told of it.
void marathon_force(struct marathon *m, bool force);
// For whoever has killed pods: from now on changes that were not taken, or that may be repeated,
// are asked for again until the deadline, as while Marathon changes its leader.
void marathon_insist(struct marathon *m);
// Called with a line when something makes us wait, with NULL when that is over.
void marathon_tell(struct marathon *m, void (*fn)(const char *line, void *arg), void *arg);

// path begins with /v2/. 2xx: the body, new reference; else NULL.
json_t *marathon_get(struct marathon *m, const char *path, struct err *err) must_check;
// POST, PUT, DELETE; an empty body is {}. An app that is locked by a deployment: waits for that one
// and asks again. *ret_deployment (may be NULL) is the deployment that carries it out, or NULL;
// caller frees.
json_t *marathon_change(struct marathon *m, const char *method, const char *path,
                        const json_t *body, char **ret_deployment, struct err *err) must_check;
// The same, but a lock is waited for once: then it answers NULL with *ret_waited and no err. As
// that deployment has left the app, the body may be stale.
json_t *marathon_try(struct marathon *m, const char *method, const char *path, const json_t *body,
                     char **ret_deployment, bool *ret_waited, struct err *err) must_check;
// What the last failed call was told beyond its message, a line "  /path: what" each; "" nothing.
const char *marathon_details(const struct marathon *m);

// Out of reach, or late: that may pass, and whoever waits waits on.
bool marathon_may_pass(const struct err *err);
// After ERR_RETRY, of what may be asked twice: pauses, clears err and says true, or it is too late.
bool marathon_again(struct marathon *m, struct err *err);

// Whether a deployment is still going on; 1, 0, or -1 with err.
int marathon_deploying(struct marathon *m, const char *deployment, struct err *err) must_check;
// Waits until no deployment locks the app, for whoever does something before the change that would
// be refused; with marathon_force for none.
int marathon_unlocked(struct marathon *m, const char *app, bool *ret_waited,
                      struct err *err) must_check;
// {"app": ...} without its envelope; ERR_ABSENT. New reference.
json_t *marathon_app(struct marathon *m, const char *app, struct err *err) must_check;
// The pods of an app as its tasks tell them, in the shape of source.h: where each has its control
// port. What is not running yet is left out. New reference.
json_t *marathon_pods(const json_t *app, const char *cluster, int control);
bool marathon_runs(const json_t *app, const char *task);
// How many of its tasks run, and ran already when `before` was said: one that ends as soon as it is
// started runs now and then, too.
size_t marathon_steady(const json_t *before, const json_t *app);
// Why its last task failed, as Marathon tells it, or NULL. Caller frees.
char *marathon_failure(const json_t *app);
void marathon_pause(struct marathon *m, int64_t ms); // turns the loop meanwhile
// The path of an id, of which the leading '/' does not count; caller frees.
char *marathon_path(const char *app, const char *tail);
