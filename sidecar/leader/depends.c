#include "sidecar/leader/depends.h"
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/leader/source.h"
#include <fnmatch.h>
#include <string.h>

struct part {
    struct link link;
    struct source *source;
};

struct entry {
    char *name;    // as written
    char *pattern; // "ns.name", wildcards allowed
    size_t fixed;  // bytes of pattern that are no pattern: a namespace may hold a bracket
    bool wild;
    struct link parts;
    json_t *good; // last content in force that was not empty, NULL: there was none
    bool held;
};

struct depends {
    struct zk *zk;
    char *clusters, *own;
    struct zk_follow *follow; // of the clusters, when there is a wildcard
    bool seen;
    struct entry *entries;
    size_t n;
    void (*on_change)(void *arg);
    void *arg;
};

static void changed(void *arg) {
    struct depends *d = arg;
    d->on_change(d->arg);
}

static void add_source(struct depends *d, struct entry *e, const char *name) {
    struct part *part = xnew(struct part);
    auto_free char *path = xasprintf("%s/%s", d->clusters, name);
    part->source = source_create(d->zk, path, changed, d);
    list_append(&e->parts, &part->link);
}

static void drop_part(struct part *part) {
    list_remove(&part->link);
    source_free(part->source);
    free(part);
}

// ---- wildcards ----

static bool matches(const struct depends *d, const struct entry *e, const char *name) {
    return strcmp(name, d->own) != 0 && strncmp(name, e->pattern, e->fixed) == 0 &&
           fnmatch(e->pattern + e->fixed, name + e->fixed, 0) == 0;
}

static bool has_source(const struct depends *d, const struct entry *e, const char *name) {
    struct part *part;
    list_each(part, &e->parts, struct part, link) {
        if (strcmp(source_path(part->source) + strlen(d->clusters) + 1, name) == 0)
            return true;
    }
    return false;
}

static bool has_name(const struct depends *d, char *const *names, size_t n, const char *path) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(path + strlen(d->clusters) + 1, names[i]) == 0)
            return true;
    return false;
}

static void match(struct depends *d, struct entry *e, char *const *names, size_t n) {
    struct part *part;
    list_each(part, &e->parts, struct part, link) {
        if (!has_name(d, names, n, source_path(part->source)))
            drop_part(part);
    }
    for (size_t i = 0; i < n; i++)
        if (matches(d, e, names[i]) && !has_source(d, e, names[i]))
            add_source(d, e, names[i]);
}

static void on_clusters(char *const *names, size_t n, const struct err *err, void *arg) {
    struct depends *d = arg;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT)
        log_warn("leader dependencies=%s reason=\"%s\"", d->clusters, err->text);
    for (size_t i = 0; i < d->n; i++)
        if (d->entries[i].wild)
            match(d, &d->entries[i], names, err->kind == ERR_NONE ? n : 0);
    d->seen = true;
    d->on_change(d->arg);
}

// ---- content ----

bool depends_is_complete(const struct depends *d) {
    if (d->follow && !d->seen)
        return false;
    for (size_t i = 0; i < d->n; i++) {
        struct part *part;
        list_each(part, &d->entries[i].parts, struct part, link) {
            if (!source_is_complete(part->source))
                return false;
        }
    }
    return true;
}

static void hold(struct entry *e, json_t *pods) {
    if (json_object_size(pods) == 0)
        return;
    json_incref(pods); // may be what is held
    json_decref(e->good);
    e->good = pods;
}

void depends_inherit(struct depends *d, json_t *dependencies) {
    for (size_t i = 0; i < d->n; i++) {
        json_t *proposed = json_object_get(dependencies, d->entries[i].name);
        auto_json json_t *pods = source_usable(proposed, "proposal");
        hold(&d->entries[i], pods);
    }
}

void depends_hold(struct depends *d, json_t *dependencies) {
    for (size_t i = 0; i < d->n; i++)
        hold(&d->entries[i], json_object_get(dependencies, d->entries[i].name));
}

static json_t *content(struct entry *e) {
    json_t *pods = json_object();
    struct part *part;
    list_each(part, &e->parts, struct part, link) {
        source_add(part->source, pods);
    }
    bool held = json_object_size(pods) == 0 && e->good;
    if (held != e->held)
        log_warn("leader dependency=%s %s", e->name,
                 held ? "is=gone kept=\"its last content\"" : "is=back");
    e->held = held;
    if (!held)
        return pods;
    json_decref(pods);
    return json_incref(e->good);
}

json_t *depends_look(struct depends *d) {
    json_t *all = json_object();
    for (size_t i = 0; i < d->n; i++)
        CHECK(json_object_set_new(all, d->entries[i].name, content(&d->entries[i])) == 0);
    return all;
}

void depends_notes(const struct depends *d, struct text *t) {
    for (size_t i = 0; i < d->n; i++)
        if (d->entries[i].held)
            text_addf(t, "; %s is gone, its last %zu pods are kept", d->entries[i].name,
                      json_object_size(d->entries[i].good));
}

// ---- life ----

static void open_entry(struct depends *d, struct entry *e, const char *name,
                       const char *namespace_) {
    bool absolute = *name == '/';
    *e = (struct entry){
        .name = xstrdup(name),
        .pattern = absolute ? xstrdup(name + 1) : xasprintf("%s.%s", namespace_, name),
        .fixed = absolute ? 0 : strlen(namespace_) + 1,
        .wild = strpbrk(name, "*?[") != NULL,
    };
    list_init(&e->parts);
    if (!e->wild)
        add_source(d, e, e->pattern);
}

struct depends *depends_create(struct zk *zk, const char *clusters, const char *own,
                               const char *namespace_, char *const *entries,
                               void (*on_change)(void *arg), void *arg) {
    struct depends *d = xnew(struct depends);
    *d = (struct depends){
        .zk = zk,
        .clusters = xstrdup(clusters),
        .own = xstrdup(own),
        .on_change = on_change,
        .arg = arg,
    };
    d->n = text_list_len(entries);
    d->entries = xcalloc(d->n + 1, sizeof *d->entries);
    bool wild = false;
    for (size_t i = 0; i < d->n; i++) {
        open_entry(d, &d->entries[i], entries[i], namespace_);
        wild |= d->entries[i].wild;
    }
    if (wild)
        d->follow = zk_follow_names(zk, clusters, on_clusters, d);
    return d;
}

void depends_free(struct depends *d) {
    if (!d)
        return;
    zk_unfollow(&d->follow);
    for (size_t i = 0; i < d->n; i++) {
        struct entry *e = &d->entries[i];
        struct part *part;
        list_each(part, &e->parts, struct part, link) {
            drop_part(part);
        }
        json_decref(e->good);
        free(e->name);
        free(e->pattern);
    }
    free(d->entries);
    free(d->clusters);
    free(d->own);
    free(d);
}
