#include "sidecar/cluster/cluster.h"
#include "base/check.h"
#include "base/own.h"
#include <string.h>

// Ordinals grow only to the largest number of pods ever alive at once.
enum { MAX_BODY = 4 << 20, MAX_ORDINAL = 65535 };

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

struct cluster *cluster_create(void) {
    struct cluster *c = xnew(struct cluster);
    c->pods = json_object();
    c->dependencies = json_object();
    c->members = json_object();
    CHECK(c->pods && c->dependencies && c->members);
    return c;
}

void cluster_free(struct cluster *c) {
    if (!c)
        return;
    json_decref(c->pods);
    json_decref(c->dependencies);
    json_decref(c->members);
    free(c);
}

struct cluster *cluster_copy(const struct cluster *c) {
    struct cluster *copy = xnew(struct cluster);
    copy->pods = json_deep_copy(c->pods);
    copy->dependencies = json_deep_copy(c->dependencies);
    copy->members = json_deep_copy(c->members);
    CHECK(copy->pods && copy->dependencies && copy->members);
    return copy;
}

static void cluster_release(struct cluster **c) {
    cluster_free(*c);
}

// ---- pods in the order of seq ----

struct entry {
    const char *id;
    json_t *json;
    json_int_t seq;
};

static json_int_t seq_of(const json_t *pod) {
    return json_integer_value(json_object_get(pod, "seq"));
}

static int by_seq(const void *pa, const void *pb) {
    const struct entry *a = pa, *b = pb;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return strcmp(a->id, b->id);
}

// Sorted; the caller frees the array. Never NULL.
static struct entry *sorted(json_t *pods, size_t *ret_n) {
    size_t n = 0;
    struct entry *all = xcalloc(json_object_size(pods) + 1, sizeof *all);
    const char *id;
    json_t *pod;
    json_object_foreach(pods, id, pod) {
        all[n++] = (struct entry){id, pod, seq_of(pod)};
    }
    qsort(all, n, sizeof *all, by_seq);
    *ret_n = n;
    return all;
}

// ---- members ----

static json_int_t ordinal_of(const json_t *member) {
    return json_integer_value(json_object_get(member, "ordinal"));
}

static json_t *member_make(json_int_t ordinal, bool founder, bool joined) {
    json_t *m = json_object();
    put(m, "ordinal", json_integer(ordinal));
    put(m, "founder", json_boolean(founder));
    put(m, "joined", json_boolean(joined));
    return m;
}

// Which ordinals are given. false: out of range, or given before.
static bool hold(bool *held, json_int_t ordinal) {
    if (ordinal < 1 || ordinal > MAX_ORDINAL || held[ordinal])
        return false;
    return held[ordinal] = true;
}

static bool *held_none(void) {
    return xcalloc(MAX_ORDINAL + 1, sizeof(bool));
}

static bool anybody_joined(json_t *members) {
    const char *id;
    json_t *m;
    json_object_foreach(members, id, m) {
        if (json_is_true(json_object_get(m, "joined")))
            return true;
    }
    return false;
}

// Those who are still here, as they were. What does not hold (a hand has been at the node) counts
// as not there.
static json_t *staying(const struct cluster *c, bool *held) {
    json_t *stay = json_object();
    const char *id;
    json_t *m;
    CHECK(stay);
    json_object_foreach(c->members, id, m) {
        if (json_object_get(c->pods, id) && hold(held, ordinal_of(m)))
            put(stay, id,
                member_make(ordinal_of(m), json_is_true(json_object_get(m, "founder")),
                            json_is_true(json_object_get(m, "joined"))));
    }
    return stay;
}

bool cluster_assign(struct cluster *c, bool nobody_started) {
    auto_free bool *held = held_none();
    json_t *members = staying(c, held);
    // Who has joined has run, whatever the caller could find out about the others: naming founders
    // beside him would let empty pods outvote him.
    bool founding = nobody_started && !anybody_joined(members);
    size_t n;
    auto_free struct entry *pods = sorted(c->pods, &n);
    json_int_t next = 1;
    for (size_t i = 0; i < n; i++) {
        json_t *m = json_object_get(members, pods[i].id);
        if (m && founding)
            put(m, "founder", json_true());
        if (m)
            continue;
        while (!hold(held, next) && next < MAX_ORDINAL)
            next++;
        put(members, pods[i].id, member_make(next, founding, false));
    }
    bool changed = !json_equal(members, c->members);
    json_decref(c->members);
    c->members = members;
    return changed;
}

void cluster_joined(struct cluster *c, const char *id) {
    json_t *m = json_object_get(c->members, id);
    if (m)
        put(m, "joined", json_true());
}

// ---- on the wire ----

struct cluster_bodies {
    char *before, *after; // the key, which is no text that JSON would escape
};

struct cluster_bodies *cluster_bodies_create(const struct cluster *c, const char *hash) {
    struct cluster_bodies *b = xnew(struct cluster_bodies);
    auto_json json_t *before = json_object(), *after = json_object();
    put(before, "pods", json_incref(c->pods));
    put(before, "dependencies", json_incref(c->dependencies));
    put(before, "key", json_string(""));
    put(after, "members", json_incref(c->members));
    put(after, "hash", json_string(hash));
    b->before = json_write(before);
    b->before[strlen(b->before) - 2] = '\0'; // up to the key's opening quote
    b->after = json_write(after);
    b->after[0] = ','; // the object goes on
    return b;
}

size_t cluster_bodies_size(const struct cluster_bodies *b) {
    return strlen(b->before) + strlen(b->after) + 1;
}

char *cluster_bodies_for(const struct cluster_bodies *b, const char *key) {
    return xasprintf("%s%s\"%s", b->before, key, b->after);
}

void cluster_bodies_free(struct cluster_bodies *b) {
    if (!b)
        return;
    free(b->before);
    free(b->after);
    free(b);
}

char *cluster_body(const struct cluster *c, const char *key, const char *hash) {
    struct cluster_bodies *b = cluster_bodies_create(c, hash);
    char *body = cluster_bodies_for(b, key);
    cluster_bodies_free(b);
    return body;
}

static int check_pods(json_t *pods, const char *what, struct err *err) {
    if (!json_is_object(pods))
        return err_set(err, ERR_USER, "%s: not an object of pods", what);
    const char *id;
    json_t *pod;
    json_object_foreach(pods, id, pod) {
        struct record *r = NULL;
        if (record_from_json(id, pod, &r, err))
            return err_wrap(err, "%s", what);
        record_free(r);
    }
    return 0;
}

static int check_dependencies(json_t *dependencies, struct err *err) {
    if (!json_is_object(dependencies))
        return err_set(err, ERR_USER, "dependencies: not an object");
    const char *name;
    json_t *pods;
    json_object_foreach(dependencies, name, pods) {
        if (check_pods(pods, "dependencies", err))
            return -1;
    }
    return 0;
}

static int check_members(const struct cluster *c, struct err *err) {
    auto_free bool *held = held_none();
    const char *id;
    json_t *pod;
    json_object_foreach(c->pods, id, pod) {
        const json_t *m = json_object_get(c->members, id);
        if (!json_is_boolean(json_object_get(m, "founder")) ||
            !json_is_boolean(json_object_get(m, "joined")))
            return err_set(err, ERR_USER, "members: pod %s has no founder or joined", id);
        if (!hold(held, ordinal_of(m)))
            return err_set(err, ERR_USER, "members: pod %s has no ordinal of its own", id);
    }
    return 0;
}

// An original leader keeps no book of its members.
static void invent_members(struct cluster *c) {
    size_t n;
    auto_free struct entry *pods = sorted(c->pods, &n);
    for (size_t i = 0; i < n; i++)
        put(c->members, pods[i].id, member_make((json_int_t)i + 1, true, false));
}

static void replace(json_t **where, json_t *with) {
    json_incref(with);
    json_decref(*where);
    *where = with;
}

static int take_body(struct cluster *c, const json_t *body, const char *key, struct err *err) {
    json_t *pods = json_object_get(body, "pods");
    if (check_pods(pods, "pods", err))
        return -1;
    if (!json_object_get(pods, key))
        return err_set(err, ERR_USER, "key: not one of the pods");
    replace(&c->pods, pods);
    json_t *dependencies = json_object_get(body, "dependencies");
    if (dependencies && check_dependencies(dependencies, err))
        return -1;
    if (dependencies)
        replace(&c->dependencies, dependencies);
    json_t *members = json_object_get(body, "members");
    if (!members) {
        invent_members(c);
        return 0;
    }
    if (!json_is_object(members))
        return err_set(err, ERR_USER, "members: not an object");
    replace(&c->members, members);
    return check_members(c, err);
}

int cluster_from_json(const json_t *body, const char *key, struct cluster **ret, struct err *err) {
    __attribute__((cleanup(cluster_release))) struct cluster *c = cluster_create();
    if (take_body(c, body, key, err))
        return -1;
    *ret = take_ptr(c);
    return 0;
}

int cluster_from_body(const char *data, size_t len, struct cluster **ret, char **ret_key,
                      char **ret_hash, struct err *err) {
    auto_json json_t *body = json_read(data, len, MAX_BODY, "control body", err);
    if (!body)
        return -1;
    const char *key = NULL, *hash = NULL;
    if (!json_is_object(body))
        return err_set(err, ERR_USER, "control body: not an object");
    if (json_str(body, "key", &key, err) || json_str(body, "hash", &hash, err))
        return err_wrap(err, "control body");
    if (!key)
        return err_set(err, ERR_USER, "control body: no key");
    __attribute__((cleanup(cluster_release))) struct cluster *c = NULL;
    if (cluster_from_json(body, key, &c, err))
        return err_wrap(err, "control body");
    char computed[65];
    if (!hash || !*hash) {
        cluster_hash(c, computed);
        hash = computed;
    }
    *ret_key = xstrdup(key);
    *ret_hash = xstrdup(hash);
    *ret = take_ptr(c);
    return 0;
}

// ---- for templates and hooks ----

static void copy_text(json_t *to, const char *key, const json_t *from) {
    put(to, key, json_string(json_text(from, key)));
}

static json_t *view_pod(const struct entry *e, size_t index, size_t n) {
    json_t *v = json_object();
    json_t *ports = json_object_get(e->json, "ports");
    put(v, "index", json_integer((json_int_t)index));
    put(v, "first", json_boolean(index == 0));
    put(v, "last", json_boolean(index + 1 == n));
    put(v, "seq", json_integer(e->seq));
    copy_text(v, "ip", e->json);
    copy_text(v, "public", e->json);
    put(v, "ports", ports ? json_deep_copy(ports) : json_object());
    copy_text(v, "node", e->json);
    copy_text(v, "zone", e->json);
    copy_text(v, "slot", e->json);
    copy_text(v, "task", e->json);
    copy_text(v, "application", e->json);
    copy_text(v, "cluster", e->json);
    copy_text(v, "namespace", e->json);
    put(v, "id", json_string(e->id));
    return v;
}

static json_t *view_list(json_t *pods) {
    json_t *list = json_array();
    size_t n;
    auto_free struct entry *all = sorted(pods, &n);
    for (size_t i = 0; i < n; i++)
        CHECK(json_array_append_new(list, view_pod(&all[i], i, n)) == 0);
    return list;
}

static void add_membership(const struct cluster *c, json_t *v, const char *key) {
    const char *id = json_text(v, "id");
    const json_t *m = json_object_get(c->members, id);
    put(v, "self", json_boolean(strcmp(id, key) == 0));
    put(v, "ordinal", json_integer(ordinal_of(m)));
    put(v, "founder", json_boolean(json_is_true(json_object_get(m, "founder"))));
    put(v, "joined", json_boolean(json_is_true(json_object_get(m, "joined"))));
}

static json_t *view_dependencies(const struct cluster *c) {
    json_t *view = json_object();
    const char *name;
    json_t *pods;
    json_object_foreach(c->dependencies, name, pods) {
        put(view, name, view_list(pods));
    }
    return view;
}

json_t *cluster_view(const struct cluster *c, const char *key, struct err *err) {
    if (!json_object_get(c->pods, key)) {
        err_set(err, ERR_USER, "pod %s is not one of the cluster", key);
        return NULL;
    }
    json_t *view = json_object();
    json_t *pods = view_list(c->pods);
    size_t i;
    json_t *pod;
    json_array_foreach(pods, i, pod) {
        add_membership(c, pod, key);
        if (!json_is_true(json_object_get(pod, "self")))
            continue;
        put(view, "self", json_incref(pod));
        put(view, "index", json_incref(json_object_get(pod, "index")));
        put(view, "seq", json_incref(json_object_get(pod, "seq")));
        put(view, "ordinal", json_incref(json_object_get(pod, "ordinal")));
    }
    put(view, "size", json_integer((json_int_t)json_array_size(pods)));
    put(view, "pods", pods);
    put(view, "dependencies", view_dependencies(c));
    return view;
}
