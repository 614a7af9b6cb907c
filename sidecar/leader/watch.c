#include "sidecar/leader/watch.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/record.h"
#include "sidecar/leader/depends.h"
#include <string.h>

enum { REREAD_MS = 200, NAMED = 3 };

struct node {
    struct watch *watch;
    char *name; // "<id>.<10 digits>"
    struct zk_op *get;
    struct zk_follow *follow; // ours for good; an original one's until it can be used
    bool read;
    struct record *record; // NULL: cannot be used
    char *reason;          // why, "" while it can
};

struct watch {
    struct loop *loop;
    struct zk *zk;
    char *folder; // "<root>/pods"
    struct zk_follow *names_follow;
    bool seen;
    struct node **nodes; // by name
    size_t n;
    struct loop_timer *reread;
    struct depends *depends;
    void (*on_change)(void *arg);
    void *arg;
};

static void read_node(struct node *n);

// ---- one node ----

static void node_free(struct node *n) {
    zk_forget(&n->get);
    zk_unfollow(&n->follow);
    record_free(n->record);
    free(n->name);
    free(n->reason);
    free(n);
}

static void changed(void *arg) {
    struct watch *w = arg;
    if (watch_is_complete(w))
        w->on_change(w->arg);
}

static void reread(void *arg) {
    struct watch *w = arg;
    for (size_t i = 0; i < w->n; i++)
        if (!w->nodes[i]->read && !w->nodes[i]->get)
            read_node(w->nodes[i]);
}

static int parse(struct node *n, const char *data, size_t len, const struct zk_stat *stat,
                 struct err *err) {
    struct record *r = NULL;
    if (record_parse(n->name, data, len, &r, err))
        return -1;
    if (!r->control_port) {
        err_set(err, ERR_USER, "pod %s: its control port %s is not mapped", r->id, r->port);
        record_free(r);
        return -1;
    }
    r->czxid = stat->czxid;
    r->session = stat->ephemeral_owner;
    n->record = r;
    return 0;
}

// Said once for each reason: an original pod's node is empty for a moment, which is no news.
static void complain(struct node *n, const char *reason, bool empty) {
    if (strcmp(n->reason, reason) == 0)
        return;
    free(n->reason);
    n->reason = xstrdup(reason);
    if (empty)
        log_debug("leader node=%s skipped reason=\"%s\"", n->name, reason);
    else
        log_warn("leader node=%s skipped reason=\"%s\"", n->name, reason);
}

static void take(struct node *n, const char *data, size_t len, const struct zk_stat *stat) {
    struct err err = ERR_INIT;
    n->read = true;
    record_free(take_ptr(n->record));
    if (parse(n, data, len, stat, &err))
        complain(n, err.text, len == 0);
    else
        *n->reason = '\0';
}

static void on_followed(const char *data, size_t len, const struct zk_stat *stat,
                        const struct err *err, void *arg) {
    struct node *n = arg;
    if (err->kind != ERR_NONE)
        return; // gone: the list of names says so
    take(n, data, len, stat);
    if (n->record && !n->record->ours)
        zk_unfollow(&n->follow);
    changed(n->watch);
}

static void on_data(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct node *n = arg;
    struct watch *w = n->watch;
    n->get = NULL;
    if (err->kind == ERR_RETRY || err->kind == ERR_DETACHED) {
        if (!w->reread)
            loop_timer_start(w->loop, &w->reread, REREAD_MS, reread, w);
        return;
    }
    if (err->kind == ERR_NONE) {
        take(n, data, len, stat);
        if (!n->follow && (!n->record || n->record->ours)) {
            auto_free char *path = xasprintf("%s/%s", w->folder, n->name);
            n->follow = zk_follow_data(w->zk, path, on_followed, n);
        }
    } else {
        n->read = true; // gone already, or forbidden
        if (err->kind != ERR_ABSENT)
            complain(n, err->text, false);
    }
    changed(w);
}

static void read_node(struct node *n) {
    auto_free char *path = xasprintf("%s/%s", n->watch->folder, n->name);
    n->get = zk_get(n->watch->zk, path, on_data, n);
}

// ---- the list ----

static int by_text(const void *pa, const void *pb) {
    return strcmp(*(char *const *)pa, *(char *const *)pb);
}

static struct node *node_create(struct watch *w, const char *name) {
    struct node *n = xnew(struct node);
    *n = (struct node){.watch = w, .name = xstrdup(name), .reason = xstrdup("")};
    read_node(n);
    return n;
}

// Both lists sorted: those who stay are moved over, the rest is new or gone.
static void merge(struct watch *w, char **names, size_t n) {
    struct node **nodes = xcalloc(n + 1, sizeof(struct node *));
    size_t old = 0;
    for (size_t i = 0; i < n; i++) {
        while (old < w->n && strcmp(w->nodes[old]->name, names[i]) < 0)
            node_free(w->nodes[old++]);
        if (old < w->n && strcmp(w->nodes[old]->name, names[i]) == 0)
            nodes[i] = w->nodes[old++];
        else
            nodes[i] = node_create(w, names[i]);
    }
    while (old < w->n)
        node_free(w->nodes[old++]);
    free(w->nodes);
    w->nodes = nodes;
    w->n = n;
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    struct watch *w = arg;
    if (err->kind != ERR_NONE) {
        log_warn("leader pods=%s reason=\"%s\"", w->folder, err->text);
        n = 0;
    }
    auto_free char **sorted = xcalloc(n + 1, sizeof(char *));
    for (size_t i = 0; i < n; i++)
        sorted[i] = names[i];
    qsort(sorted, n, sizeof(char *), by_text);
    merge(w, sorted, n);
    w->seen = true;
    changed(w);
}

// ---- what is seen ----

bool watch_is_complete(const struct watch *w) {
    if (!w->seen || !depends_is_complete(w->depends))
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (!w->nodes[i]->read)
            return false;
    return true;
}

void watch_hold(struct watch *w, const json_t *dependencies) {
    depends_hold(w->depends, dependencies);
}

// Another one when the pod registers again, and when it asks for a round: who was dead is alive
// then. Both only grow, so the sum is never the same for two of them.
static int64_t birth_of(const struct record *r) {
    return r->czxid + json_integer_value(json_object_get(r->json, "renewals"));
}

struct cluster *watch_look(struct watch *w, json_t **ret_births) {
    struct cluster *c = cluster_create();
    auto_json json_t *births = json_object();
    for (size_t i = 0; i < w->n; i++) {
        const struct record *r = w->nodes[i]->record;
        if (!r || json_integer_value(json_object_get(births, r->id)) > birth_of(r))
            continue;
        CHECK(json_object_set(c->pods, r->id, r->json) == 0);
        CHECK(json_object_set_new(births, r->id, json_integer(birth_of(r))) == 0);
    }
    json_decref(c->dependencies);
    c->dependencies = depends_look(w->depends);
    if (ret_births)
        *ret_births = json_incref(births);
    return c;
}

void watch_notes(const struct watch *w, struct text *t) {
    size_t skipped = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i]->record || !*w->nodes[i]->reason)
            continue;
        if (++skipped <= NAMED)
            text_addf(t, "; skipped %s", w->nodes[i]->reason);
    }
    if (skipped > NAMED)
        text_addf(t, "; and %zu more", skipped - NAMED);
    depends_notes(w->depends, t);
}

// ---- life ----

struct watch *watch_create(struct loop *loop, struct zk *zk, const struct watch_config *config) {
    struct watch *w = xnew(struct watch);
    *w = (struct watch){
        .loop = loop,
        .zk = zk,
        .folder = xasprintf("%s/pods", config->root),
        .on_change = config->on_change,
        .arg = config->arg,
    };
    const char *own = strrchr(config->root, '/') + 1;
    auto_free char *clusters = xstrndup(config->root, (size_t)(own - 1 - config->root));
    w->depends = depends_create(zk, clusters, own, config->namespace_, config->depends_on, changed,
                                w);
    w->names_follow = zk_follow_names(zk, w->folder, on_names, w);
    return w;
}

void watch_free(struct watch *w) {
    if (!w)
        return;
    zk_unfollow(&w->names_follow);
    loop_timer_stop(&w->reread);
    for (size_t i = 0; i < w->n; i++)
        node_free(w->nodes[i]);
    free(w->nodes);
    depends_free(w->depends);
    free(w->folder);
    free(w);
}
