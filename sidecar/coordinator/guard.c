#include "sidecar/coordinator/guard.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include <stdlib.h>

enum { PAUSE_MS = 250, PATIENT_MS = 5000 };

static const char *const names[] = {"",      "/pods",     "/coordinator", "/tree",    "/leader",
                                    "/hash", "/snapshot", "/members",     "/proposal"};
enum { NAMES = sizeof names / sizeof *names };

struct guard {
    struct loop *loop;
    struct zk *zk;
    char *root;
    size_t at;
    bool patient, complained;
    struct zk_op *op;
    struct loop_timer *pause;
    zk_done_fn *fn;
    void *arg;
};

static void ask(void *arg);

void guard_free(struct guard **slot) {
    if (!*slot)
        return;
    struct guard *g = take_ptr(*slot);
    zk_forget(&g->op);
    loop_timer_stop(&g->pause);
    free(g->root);
    free(g);
}

static void finish(struct guard *g, const struct err *err) {
    zk_done_fn *fn = g->fn;
    void *arg = g->arg;
    struct err copy = *err;
    guard_free(&g);
    fn(&copy, arg);
}

static void complain(struct guard *g, const struct err *err) {
    if (!g->complained)
        log_err(
            "coordinator %s: %s; the workload is left alone, nothing is written and no leader is "
            "heard until that is put right",
            g->root, err->text);
    g->complained = true;
    g->at = 0;
    loop_timer_start(g->loop, &g->pause, PATIENT_MS, ask, g);
}

static void on_acl(const struct err *err, void *arg) {
    struct guard *g = arg;
    g->op = NULL;
    if (err->kind == ERR_RETRY) {
        loop_timer_start(g->loop, &g->pause, PAUSE_MS, ask, g);
    } else if (err->kind == ERR_DETACHED) {
        return; // our owner is told by the session itself
    } else if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        if (g->patient)
            complain(g, err);
        else
            finish(g, err);
    } else if (++g->at < NAMES) {
        ask(g);
    } else {
        finish(g, &(struct err)ERR_INIT);
    }
}

static void ask(void *arg) {
    struct guard *g = arg;
    auto_free char *path = xasprintf("%s%s", g->root, names[g->at]);
    g->op = zk_guard(g->zk, path, on_acl, g);
}

struct guard *guard_start(struct loop *loop, struct zk *zk, const char *root, bool patient,
                          zk_done_fn *fn, void *arg) {
    struct guard *g = xnew(struct guard);
    *g = (struct guard){
        .loop = loop, .zk = zk, .root = xstrdup(root), .patient = patient, .fn = fn, .arg = arg};
    ask(g);
    return g;
}
