#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/cluster.h"
#include "sidecar/cluster/digest.h"
#include <string.h>

// What cluster_view shows of a pod and nothing more: a version, a debug flag or another ZooKeeper
// address is no reason to touch a workload. A pod of our own cluster may ask for a round by its
// renewals; who depends on us has no use for one. Sorted, for the digest's sake.
static const char *const keys[] = {"application", "cluster",  "ip",  "namespace", "node", "ports",
                                   "public",      "renewals", "seq", "slot",      "task", "zone"};
enum { KEYS = sizeof keys / sizeof *keys, RENEWALS = 7 };

// ---- digest: the canonical JSON of all that, written without building it, for it is taken at
// every change of any pod ----

static bool is_plain(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\')
            return false;
    return true;
}

static void write_other(struct text *t, const json_t *value) {
    auto_free char *canonical = json_canonical(value);
    text_add(t, canonical);
}

static void write_string(struct text *t, const char *s, size_t len) {
    if (is_plain(s, len)) {
        text_addc(t, '"');
        text_addn(t, s, len);
        text_addc(t, '"');
        return;
    }
    auto_json json_t *value = json_stringn_nocheck(s, len);
    write_other(t, value);
}

static int by_name(const void *pa, const void *pb) {
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

// The names of its members, sorted; the caller frees the array.
static const char **names_of(const json_t *object, size_t *ret_n) {
    const char **names = xcalloc(json_object_size(object) + 1, sizeof *names);
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) {
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, by_name);
    *ret_n = n;
    return names;
}

static void write_name(struct text *t, const char *name, bool first) {
    text_addc(t, first ? '{' : ',');
    write_string(t, name, strlen(name));
    text_addc(t, ':');
}

static void write_end(struct text *t, size_t n) {
    text_add(t, n ? "}" : "{}");
}

static void write_number(struct text *t, json_int_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, n);
    text_addn(t, digits, (size_t)len);
}

static void write_value(struct text *t, const json_t *value);

// Ports: one level, a few of them.
static void write_object(struct text *t, const json_t *object) {
    size_t n;
    auto_free const char **names = names_of(object, &n);
    for (size_t i = 0; i < n; i++) {
        write_name(t, names[i], i == 0);
        write_value(t, json_object_get(object, names[i]));
    }
    write_end(t, n);
}

// Nothing in a record is nested deeper than what was read: base/json caps it.
static void write_value(struct text *t, const json_t *value) {
    if (json_is_string(value))
        write_string(t, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        write_number(t, json_integer_value(value));
    else if (json_is_object(value))
        write_object(t, value);
    else
        write_other(t, value);
}

static void write_pod(struct text *t, const json_t *pod, bool own) {
    const char *before = "{\"";
    for (size_t i = 0; i < KEYS; i++) {
        const json_t *value = json_object_get(pod, keys[i]);
        if (!value || (i == RENEWALS && !own))
            continue;
        text_add(t, before);
        text_add(t, keys[i]);
        text_add(t, "\":");
        write_value(t, value);
        before = ",\"";
    }
    text_add(t, *before == '{' ? "{}" : "}");
}

static void write_pods(struct text *t, const json_t *pods, bool own) {
    size_t n;
    auto_free const char **ids = names_of(pods, &n);
    for (size_t i = 0; i < n; i++) {
        write_name(t, ids[i], i == 0);
        write_pod(t, json_object_get(pods, ids[i]), own);
    }
    write_end(t, n);
}

void cluster_essence(const struct cluster *c, struct text *t) {
    write_pods(t, c->pods, true);
}

void cluster_hash(const struct cluster *c, char ret[65]) {
    auto_text struct text t = {0};
    size_t n;
    auto_free const char **names = names_of(c->dependencies, &n);
    text_add(&t, "{\"dependencies\":");
    for (size_t i = 0; i < n; i++) {
        write_name(&t, names[i], i == 0);
        write_pods(&t, json_object_get(c->dependencies, names[i]), false);
    }
    write_end(&t, n);
    text_add(&t, ",\"pods\":");
    write_pods(&t, c->pods, true);
    text_addc(&t, '}');
    digest_hex(t.s, t.len, ret);
}
