// Ochothon's portal: a command line that came by HTTP is carried out by `ocho`, executed by the
// runner with an argument vector of ours, never by a shell, in a fresh folder that holds the
// uploads. Loop thread. It knows who may (the token), how long, how much and how many at once; how
// that is said over HTTP is control/portal_route.c.
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include "sidecar/runner/runner.h"
#include "sidecar/uploads.h"
#include <stdbool.h>

enum {
    PORTAL_AT_ONCE = 8,
    PORTAL_OUTPUT = 4 << 20, // of each stream; the rest is cut
    PORTAL_BUDGET_MS = 30 * 60 * 1000,
};

struct portal;
struct portal_run;

struct portal_config {      // all copied
    const char *ocho;       // path of the program
    char *const *env;       // ours; of it PATH, HOME, TZ, LANG, LC_* and MARATHON_* are passed on
    const char *zk;         // with its credentials; "none": commands go through `url`
    const char *url;        // of our own control port
    const char *tls_name;   // of whom its certificate is; NULL: of the url's host
    const char *token;      // of Ochothon's signature; NULL: none is looked for
    const char *token_file; // what `ocho` signs with; NULL: nothing
    const char *ca_file;    // whom it trusts behind https; NULL: nobody
    const char *state_dir;
};
// What its program is given: NULL-ended, free with text_list_free. Without what is not known yet
// (zk or url are NULL).
char **portal_environment(const struct portal_config *config);
struct portal *portal_create(struct loop *loop, struct runner *runner,
                             const struct portal_config *config);
void portal_free(struct portal *portal); // no run may be left; takes NULL

struct portal_result {
    int code;               // of ocho
    const char *out, *said; // stdout, stderr; borrowed
    bool cut;               // one of them was longer than PORTAL_OUTPUT
};
// err: ERR_TIMEOUT (ended, what it said so far is there), ERR_RETRY (no runner).
typedef void portal_fn(const struct portal_result *result, const struct err *err, void *arg);

// line and signature as the client sent them, NULL where it did not. ERR_USER with Ochothon's
// words.
int portal_admit(const struct portal *portal, const char *line, const char *signature,
                 struct err *err) must_check;
// NULL: err says why nothing was begun (ERR_USER: the line, a name; ERR_RETRY: too many at once).
struct portal_run *portal_start(struct portal *portal, const char *line,
                                const struct upload *uploads, size_t n, int64_t budget_ms,
                                portal_fn *fn, void *arg, struct err *err) must_check;
void portal_cancel(struct portal_run **slot); // the command is ended; no-op on NULL
