#include "sidecar/leader/watch.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/record.h"
#include "sidecar/leader/depends.h"
#include <string.h>

enum {
    REREAD_MS = 200,
    NAMED = 3,
    SAY_MOST = 20, // nodes named in the log within SAY_MS; the status counts the others
    SAY_MS = 60000,
    PODS_A_MS = 200, // a look at so many takes 1 ms: looks take half of the time at most
};

struct node {
    struct watch *watch;
    char *name; // "<id>.<10 digits>"
    struct zk_op *get;
    struct zk_follow *follow; // ours for good; an original one's until it can be used
    bool read;
    struct record *record; // NULL: cannot be used
    size_t weight;         // of its record
    char *reason;          // why, "" while it can
};

struct watch {
    struct loop *loop;
    struct zk *zk;
    char *folder; // "<root>/pods"
    char *pod_id;
    bool alone;
    struct zk_follow *names_follow;
    bool seen;
    struct node **nodes; // by name
    size_t n;
    struct loop_timer *reread;
    size_t weight; // of all records
    int said;
    int64_t said_since;
    struct loop_timer *telling; // what came together is looked at once
    struct depends *depends;
    void (*on_change)(void *arg);
    void *arg;
};

static void read_node(struct node *n);

// ---- one node ----

static void drop_record(struct node *n) {
    n->watch->weight -= n->weight;
    n->weight = 0;
    record_free(take_ptr(n->record));
}

static void node_free(struct node *n) {
    zk_forget(&n->get);
    zk_unfollow(&n->follow);
    drop_record(n);
    free(n->name);
    free(n->reason);
    free(n);
}

static void tell(void *arg) {
    struct watch *w = arg;
    if (watch_is_complete(w))
        w->on_change(w->arg);
}

// A thousand pods that register are a thousand changes; to look at all of them after each would
// take the square of that.
static void changed(void *arg) {
    struct watch *w = arg;
    if (!w->telling)
        loop_timer_start(w->loop, &w->telling, (int64_t)(w->n / PODS_A_MS), tell, w);
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
    size_t weight = json_weight(r->json);
    if (!r->control_port && !n->watch->alone)
        err_set(err, ERR_USER, "pod %s: its control port %s is not mapped", r->id, r->port);
    else if (weight > RECORDS_MOST - n->watch->weight)
        err_set(err, ERR_LIMIT, "%s: all records together take more than %d MiB", n->name,
                RECORDS_MOST >> 20);
    if (err->kind != ERR_NONE) {
        record_free(r);
        return -1;
    }
    r->czxid = stat->czxid;
    r->session = stat->ephemeral_owner;
    n->record = r;
    n->weight = weight;
    n->watch->weight += weight;
    return 0;
}

// Ten thousand nodes of junk are no reason to write ten thousand lines.
static bool may_say(struct watch *w) {
    int64_t now = loop_now(w->loop);
    if (now - w->said_since >= SAY_MS) {
        w->said_since = now;
        w->said = 0;
    }
    if (w->said++ == SAY_MOST)
        log_warn("leader pods=%s skipped=more reason=\"too many to name, see the status\"",
                 w->folder);
    return w->said <= SAY_MOST;
}

// Said once for each reason: an original pod's node is empty for a moment, which is no news.
static void complain(struct node *n, const char *reason, bool empty) {
    if (strcmp(n->reason, reason) == 0)
        return;
    free(n->reason);
    n->reason = xstrdup(reason);
    if (empty)
        log_debug("leader node=%s skipped reason=\"%s\"", n->name, reason);
    else if (may_say(n->watch))
        log_warn("leader node=%s skipped reason=\"%s\"", n->name, reason);
}

static void take(struct node *n, const char *data, size_t len, const struct zk_stat *stat) {
    struct err err = ERR_INIT;
    drop_record(n);
    if (parse(n, data, len, stat, &err))
        complain(n, err.text, len == 0);
    else
        *n->reason = '\0';
}

static void reject(struct node *n, const struct err *err) {
    drop_record(n);
    complain(n, err->text, false);
}

static void on_followed(const char *data, size_t len, const struct zk_stat *stat,
                        const struct err *err, void *arg) {
    struct node *n = arg;
    if (err->kind == ERR_LIMIT)
        reject(n, err);
    else if (err->kind != ERR_NONE)
        return; // gone: the list of names says so
    else
        take(n, data, len, stat);
    if (n->record && !n->record->ours)
        zk_unfollow(&n->follow);
    changed(n->watch);
}

// What is ours may be renewed, and what cannot be used may change, or be read one day.
static void follow_if_needed(struct node *n) {
    if (n->follow || (n->record && !n->record->ours))
        return;
    auto_free char *path = xasprintf("%s/%s", n->watch->folder, n->name);
    n->follow = zk_follow_life(n->watch->zk, path, on_followed, n);
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
    n->read = true;
    if (err->kind == ERR_NONE)
        take(n, data, len, stat);
    else if (err->kind != ERR_ABSENT) // forbidden, or too large
        complain(n, err->text, false);
    if (err->kind != ERR_ABSENT)
        follow_if_needed(n);
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
    if (!w->seen || w->telling || !depends_is_complete(w->depends))
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (!w->nodes[i]->read)
            return false;
    return true;
}

void watch_inherit(struct watch *w, json_t *dependencies) {
    depends_inherit(w->depends, dependencies);
}

void watch_hold(struct watch *w, json_t *dependencies) {
    depends_hold(w->depends, dependencies);
}

// Another one when the pod registers again, and when it asks for a round: who was dead is alive
// then. Both only grow, so the sum is never the same for two of them.
static int64_t birth_of(const struct record *r) {
    json_int_t renewals = json_integer_value(json_object_get(r->json, "renewals"));
    return r->czxid + (renewals > 0 && renewals <= UINT32_MAX ? renewals : 0);
}

static const char *own_ip(const struct watch *w) {
    const struct record *own = NULL;
    for (size_t i = 0; i < w->n; i++) {
        const struct record *r = w->nodes[i]->record;
        if (r && strcmp(r->id, w->pod_id) == 0 && (!own || r->czxid > own->czxid))
            own = r;
    }
    return own ? own->ip : "";
}

// Ours may be read after the others.
static bool is_within_reach(struct node *n, const char *own) {
    if (record_is_within_reach(n->record, own)) {
        *n->reason = '\0';
        return true;
    }
    auto_free char *reason = xasprintf("pod %s: its address is loopback and ours is not",
                                       n->record->id);
    complain(n, reason, false);
    return false;
}

struct cluster *watch_look(struct watch *w, json_t **ret_births) {
    struct cluster *c = cluster_create();
    auto_json json_t *births = json_object();
    const char *own = own_ip(w);
    for (size_t i = 0; i < w->n; i++) {
        const struct record *r = w->nodes[i]->record;
        if (!r || !is_within_reach(w->nodes[i], own) ||
            json_integer_value(json_object_get(births, r->id)) > birth_of(r))
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
        if (!*w->nodes[i]->reason)
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
        .pod_id = xstrdup(config->pod_id),
        .alone = config->alone,
        .said_since = loop_now(loop),
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
    loop_timer_stop(&w->telling);
    for (size_t i = 0; i < w->n; i++)
        node_free(w->nodes[i]);
    free(w->nodes);
    depends_free(w->depends);
    free(w->folder);
    free(w->pod_id);
    free(w);
}
