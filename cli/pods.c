#include "cli/pods.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/record.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 64, REPLY_MAX = 1024 * 1024, CONNECT_MS = 2000, ASK_MS = 5000, OPEN_MS = 10000 };

static bool wanted(const struct cli_options *options, int64_t seq) {
    for (size_t i = 0; i < options->indices_len; i++)
        if (options->indices[i] == seq)
            return true;
    return !options->indices_len;
}

static int compare(const void *a, const void *b) {
    const struct pod_seen *one = a, *other = b;
    int by_name = strcmp(one->cluster, other->cluster);
    return by_name ? by_name : (one->seq > other->seq) - (one->seq < other->seq);
}

void pods_list(struct pods *pods, const json_t *clusters, const struct cli_options *options) {
    *pods = (struct pods){0};
    const char *name, *id;
    json_t *cluster, *pod;
    json_object_foreach((json_t *)clusters, name, cluster) {
        json_t *all = json_object_get(cluster, "pods");
        json_object_foreach(all, id, pod) {
            json_t *number = json_object_get(pod, "seq");
            int64_t seq = json_is_integer(number) ? json_integer_value(number) : -1;
            if (!wanted(options, seq))
                continue;
            pods->list = xrealloc(pods->list, (pods->n + 1) * sizeof(*pods->list));
            pods->list[pods->n++] = (struct pod_seen){name, xasprintf("%s #%" PRId64, name, seq),
                                                      seq, pod};
        }
    }
    if (pods->n)
        qsort(pods->list, pods->n, sizeof(*pods->list), compare);
}

void pods_done(struct pods *pods) {
    for (size_t i = 0; i < pods->n; i++)
        free(pods->list[i].label);
    free(pods->list);
    *pods = (struct pods){0};
}

char *pods_url(const struct pod_seen *pod) {
    struct record *record = NULL;
    if (record_from_json("pod", json_object_get(pod->json, "record"), &record, NULL))
        return NULL;
    bool v6 = strchr(record->ip, ':');
    char *url = record->control_port ? xasprintf("http://%s%s%s:%d", v6 ? "[" : "", record->ip,
                                                 v6 ? "]" : "", record->control_port)
                                     : NULL;
    record_free(record);
    return url;
}

const json_t *pods_info(const struct pod_seen *pod) {
    return json_object_get(pod->json, "info");
}

// ---- asking ----

struct asking {
    struct pods *pods;
    struct source *source;
    const char *path, *key;
    int64_t timeout_ms;
    size_t next, open;
};

struct ask {
    struct asking *all;
    struct pod_seen *pod;
};

static void set(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

static void go_on(struct asking *all);

static void on_reply(const struct http_reply *reply, const struct err *failed, void *arg) {
    struct ask *ask = arg;
    struct asking *all = ask->all;
    struct err err = *failed;
    if (!err.kind && reply->status != 200)
        err_set(&err, ERR_REFUSED, "%s answered %d", all->path, reply->status);
    json_t *body = err.kind ? NULL : json_read(reply->body, reply->len, REPLY_MAX, all->path, &err);
    if (body)
        set(ask->pod->json, all->key, body);
    else
        set(ask->pod->json, "error", json_string(err.text));
    free(ask);
    all->open--;
    go_on(all);
}

static void start(struct asking *all, struct pod_seen *pod) {
    if (json_object_get(pod->json, all->key) || json_object_get(pod->json, "error"))
        return;
    auto_free char *base = pods_url(pod);
    if (!base) {
        set(pod->json, "error", json_string("its control port is not published"));
        return;
    }
    auto_free char *url = xasprintf("%s%s", base, all->path);
    struct ask *ask = xnew(struct ask);
    *ask = (struct ask){all, pod};
    struct http_request request = {.url = url,
                                   .connect_ms = CONNECT_MS,
                                   .timeout_ms = all->timeout_ms,
                                   .max_reply = REPLY_MAX,
                                   .fresh = true};
    http_start(source_http(all->source), &request, on_reply, ask);
    all->open++;
}

static void go_on(struct asking *all) {
    while (all->next < all->pods->n && all->open < AT_ONCE)
        start(all, &all->pods->list[all->next++]);
    if (!all->open)
        loop_quit(source_loop(all->source));
}

void pods_ask(struct pods *pods, struct source *source, const char *path, const char *key,
              int64_t timeout_ms) {
    struct asking all = {.pods = pods,
                         .source = source,
                         .path = path,
                         .key = key,
                         .timeout_ms = timeout_ms < 0 ? ASK_MS : timeout_ms};
    go_on(&all);
    loop_run(source_loop(source));
}

// ---- what verbs begin and end with ----

int pods_report(const struct pods *pods) {
    size_t answered = 0;
    for (size_t i = 0; i < pods->n; i++)
        answered += !json_object_get(pods->list[i].json, "error");
    if (answered == pods->n)
        return EXIT_DONE;
    for (size_t i = 0; i < pods->n; i++) {
        const char *error = json_text(pods->list[i].json, "error");
        if (*error)
            fprintf(stderr, "ocho: %s: %s\n", pods->list[i].label, error);
    }
    fprintf(stderr, "ocho: %zu of %zu answered\n", answered, pods->n);
    return EXIT_SOME;
}

int pods_begin(const struct cli_options *options, struct source **ret_source, json_t **ret_clusters,
               struct pods *ret_pods) {
    struct err err = ERR_INIT;
    struct source *source;
    if (source_open(options, options->timeout_ms < 0 ? OPEN_MS : options->timeout_ms, &source,
                    &err))
        return cli_fail(&err);
    json_t *clusters = source_read(source, cli_pattern(options), &err);
    if (!clusters) {
        source_close(source);
        return cli_fail(&err);
    }
    if (options->args[0] && !json_object_size(clusters))
        fprintf(stderr, "ocho: no cluster matches \"%s\"\n", options->args[0]);
    pods_list(ret_pods, clusters, options);
    *ret_clusters = clusters;
    *ret_source = source;
    return EXIT_DONE;
}

void pods_end(struct source *source, json_t *clusters, struct pods *pods) {
    pods_done(pods);
    json_decref(clusters);
    source_close(source);
}
