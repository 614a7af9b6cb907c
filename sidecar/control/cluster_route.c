// GET /cluster: what ZooKeeper knows of the cluster, and what each pod says of itself right now. A
// pod that does not answer in time is listed with its error. One look at a time: whoever asks while
// one is under way gets its answer, so that many who poll cost as much as one.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <stdlib.h>
#include <string.h>

enum {
    POD_MS = 2000,
    AT_ONCE = 64, // requests in flight: a thousand started at once hold up the loop
    INFO_MAX = 64 * 1024,
    INFOS_MOST = 32 << 20, // what those of all pods take of the heap
};

// ---- ZooKeeper's part ----

struct cluster_read {
    struct link link;
    struct control *control; // NULL: closed meanwhile
    cluster_read_fn *fn;
};

static void on_read(const json_t *answer, const struct err *err, void *arg) {
    struct cluster_read *read = arg;
    list_remove(&read->link);
    if (read->control)
        read->fn(read->control, answer, err);
    free(read);
}

void cluster_read(struct control *c, cluster_read_fn *fn) {
    struct cluster_read *read = xnew(struct cluster_read);
    *read = (struct cluster_read){.control = c, .fn = fn};
    list_append(&c->reads, &read->link);
    c->hooks.cluster(on_read, read, c->arg);
}

// ---- one look at all pods ----

struct look {
    struct fan *fan;
    struct http_call *call;
    char *url, *id;
    bool signs;
    bool original; // it is asked by POST alone
    struct auth_call call_signed;
    json_t *pod; // of the answer; borrowed
};

struct watcher { // a request that waits
    struct link link;
    struct request *request;
};

struct fan {
    struct control *control;
    struct link watchers;
    json_t *answer; // NULL until ZooKeeper's part is here
    struct look *looks;
    size_t n, next, open;
    size_t weight; // of what came of /info
};

static void fan_free(struct fan *fan) {
    for (size_t i = 0; i < fan->n; i++) {
        http_cancel(&fan->looks[i].call);
        free(fan->looks[i].url);
        free(fan->looks[i].id);
    }
    json_decref(fan->answer);
    free(fan->looks);
    free(fan);
}

// What may be megabytes is there once, however many are sent it.
static void fan_end(struct fan *fan, const struct err *err) {
    struct server_answer *answer = err->kind ? NULL : reply_keep(fan->answer);
    fan->control->fan = NULL;
    struct watcher *w;
    list_each(w, &fan->watchers, struct watcher, link) {
        if (answer)
            request_answer_kept(w->request, answer);
        else
            reply_error(w->request, err);
        list_remove(&w->link);
        free(w);
    }
    server_drop(&answer);
    fan_free(fan);
}

static void set(json_t *obj, const char *key, json_t *value) {
    CHECK(json_object_set_new(obj, key, value) == 0);
}

static void set_error(json_t *pod, const char *text) {
    auto_text struct text clean = {0};
    text_add_utf8(&clean, text, strlen(text));
    set(pod, "error", json_string(text_str(&clean)));
}

static bool is_proven(const struct look *look, const struct http_reply *reply) {
    return !auth_signs(look->fan->control->hooks.auth) || !look->signs ||
           auth_call_proves(&look->call_signed, look->id, reply->status, reply->body, reply->len,
                            http_header(reply, "X-Signature"));
}

static void take_info(struct look *look, const struct http_reply *reply, const struct err *failed) {
    struct err err = *failed;
    json_t *pod = look->pod;
    if (!err.kind && reply->status != 200)
        err_set(&err, ERR_REFUSED, "/info answered %d", reply->status);
    if (!err.kind && !is_proven(look, reply))
        err_set(&err, ERR_REFUSED, "/info is not signed by it");
    json_t *info = err.kind ? NULL
                            : json_read(reply->body, reply->len, INFO_MAX, "its /info", &err);
    size_t weight = json_weight(info);
    if (weight > INFOS_MOST - look->fan->weight) {
        err_set(&err, ERR_LIMIT, "/info of all pods together take more than %d MiB",
                INFOS_MOST >> 20);
        json_decref(take_ptr(info));
    }
    if (info) {
        look->fan->weight += weight;
        set(pod, "info", info);
    } else {
        set_error(pod, err.text);
    }
}

static void go_on(struct fan *fan);

static void on_info(const struct http_reply *reply, const struct err *err, void *arg) {
    struct look *look = arg;
    look->call = NULL;
    look->fan->open--;
    take_info(look, reply, err);
    go_on(look->fan);
}

static void go_on(struct fan *fan) {
    for (; fan->next < fan->n && fan->open < AT_ONCE; fan->next++, fan->open++) {
        struct look *look = &fan->looks[fan->next];
        auto_free char *target = xasprintf("X-Ochopod-Target: %s", look->id);
        const char *headers[] = {target, NULL};
        const struct auth *auth = fan->control->hooks.auth;
        const char *method = look->original ? "POST" : "GET";
        auth_call_sign(&look->call_signed, auth_key(auth, AUTH_READ), true, method, look->url,
                       headers, NULL, 0);
        struct http_request request = {.method = method,
                                       .url = look->url,
                                       .headers = look->call_signed.headers,
                                       .trust = auth_trust(auth),
                                       .tls_name = auth ? auth_cluster(auth) : NULL,
                                       .connect_ms = POD_MS,
                                       .timeout_ms = POD_MS,
                                       .max_reply = INFO_MAX,
                                       .fresh = true};
        look->call = http_start(fan->control->http, &request, on_info, look);
    }
    struct err none = ERR_INIT;
    if (!fan->open)
        fan_end(fan, &none);
}

// ---- the answer ----

// Ourselves are not asked over the network, which may not lead back to us.
static void plan(struct fan *fan, const char *id, json_t *pod, const json_t *own) {
    struct record *record = NULL;
    struct err err = ERR_INIT;
    if (strcmp(json_text(own, "id"), id) == 0) {
        CHECK(json_object_set(pod, "info", (json_t *)own) == 0);
    } else if (record_from_json(id, json_object_get(pod, "record"), &record, &err)) {
        set_error(pod, err.text);
    } else if (!record->control_port) {
        set_error(pod, "its control port is not published");
    } else if (!record_is_within_reach(record, json_text(own, "ip"))) {
        set_error(pod, "its address is loopback and ours is not");
    } else {
        auto_free char *base = record_url(record);
        fan->looks[fan->n++] = (struct look){.fan = fan,
                                             .url = xasprintf("%s/info", base),
                                             .id = xstrdup(id),
                                             .signs = record->signs,
                                             .original = !record->ours,
                                             .pod = pod};
    }
    record_free(record);
}

static json_t *pod_make(const json_t *record, bool configured) {
    json_t *pod = json_object(), *value;
    static const char *const keys[] = {"seq", "ip", "node"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if ((value = json_object_get(record, keys[i])))
            CHECK(json_object_set(pod, keys[i], value) == 0);
    set(pod, "configured", json_boolean(configured));
    CHECK(json_object_set(pod, "record", (json_t *)record) == 0);
    return pod;
}

static void plan_all(struct fan *fan, const json_t *read, const json_t *own) {
    json_t *pods = json_object(), *record;
    json_t *snapshot = json_object_get(read, "snapshot");
    json_t *registered = json_object_get(read, "pods");
    json_t *skipped = json_object_get(read, "skipped"); // registered, too
    fan->looks = xcalloc(json_object_size(registered), sizeof(struct look));
    const char *id;
    json_object_foreach(registered, id, record) {
        json_t *pod = pod_make(record, json_object_get(snapshot, id));
        set(pods, id, pod);
        plan(fan, id, pod, own);
    }
    json_object_foreach(snapshot, id, record) {
        if (json_object_get(pods, id) || json_object_get(skipped, id))
            continue;
        json_t *pod = pod_make(record, true);
        set_error(pod, "configured, and not registered any more");
        set(pods, id, pod);
    }
    set(fan->answer, "pods", pods);
}

static void on_zookeeper(struct control *c, const json_t *read, const struct err *err) {
    struct fan *fan = c->fan;
    if (err->kind) {
        fan_end(fan, err);
        return;
    }
    auto_json json_t *own = info_object(c);
    static const char *const keys[] = {"tree", "hash", "leader"};
    fan->answer = json_object();
    set(fan->answer, "cluster",
        json_sprintf("%s.%s", json_text(own, "namespace"), json_text(own, "cluster")));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_t *value = json_object_get(read, keys[i]);
        set(fan->answer, keys[i], value ? json_incref(value) : json_null());
    }
    set(fan->answer, "generation", json_integer(c->hooks.generation(c->arg)));
    size_t skipped = json_object_size(json_object_get(read, "skipped"));
    if (skipped)
        set(fan->answer, "skipped", json_integer((json_int_t)skipped));
    plan_all(fan, read, own);
    go_on(fan);
}

static void on_gone(void *arg) {
    struct watcher *w = arg;
    list_remove(&w->link);
    free(w);
}

void cluster_route(struct control *c, struct request *request) {
    bool first = !c->fan;
    if (first) {
        c->fan = xnew(struct fan);
        c->fan->control = c;
        list_init(&c->fan->watchers);
    }
    struct watcher *w = xnew(struct watcher);
    w->request = request;
    list_append(&c->fan->watchers, &w->link);
    request_on_gone(request, on_gone, w);
    if (first)
        cluster_read(c, on_zookeeper);
}

void cluster_close(struct control *c) {
    struct cluster_read *read;
    list_each(read, &c->reads, struct cluster_read, link) {
        list_remove(&read->link);
        read->control = NULL;
    }
    if (c->fan)
        fan_free(c->fan);
}
