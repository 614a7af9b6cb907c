#include "cli/pods.h"
#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/send.h"
#include "sidecar/cluster/record.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    AT_ONCE = 64,
    REPLY_MAX = 1024 * 1024,
    CONNECT_MS = 2000,
    ASK_MS = 5000,
    OPEN_MS = 10000,
    CLUSTER_MS = 3000, // GET /cluster asks each pod before it answers, and waits two seconds
    AGAIN_MS = 100,
    SHORT_MS = 1000, // hardly enough for an answer
    HEADERS_MAX = 3
};

// ---- who ----

bool pods_wanted(const struct cli_options *options, int64_t seq) {
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

static bool has(const struct pods *pods, int64_t seq) {
    for (size_t i = 0; i < pods->n; i++)
        if (pods->list[i].seq == seq)
            return true;
    return false;
}

// What the pod of --url says of another may be anything at all; it counts as a pod all the same.
static json_t *said_of(json_t *all, const char *id, json_t *pod) {
    if (json_is_object(pod))
        return pod;
    pod = json_pack("{s:s}", "error", "/cluster says nothing of it");
    CHECK(json_object_set_new(all, id, pod) == 0);
    return pod;
}

// The pod of --url has asked the others for /info, and for nothing else.
static void put_error_aside(json_t *pod) {
    json_t *error = json_object_get(pod, "error");
    if (!error || !json_is_object(json_object_get(pod, "record")))
        return;
    CHECK(json_object_set(pod, "unheard", error) == 0);
    json_object_del(pod, "error");
}

static size_t skipped_of(const json_t *cluster) {
    json_int_t n = json_integer_value(json_object_get(cluster, "skipped"));
    return n > 0 && n <= INT32_MAX ? (size_t)n : 0;
}

size_t pods_tell_skipped(const char *name, const json_t *cluster) {
    size_t n = skipped_of(cluster);
    if (n)
        fprintf(stderr, "ocho: %s: %zu pod%s left out: their records are too large together\n",
                name, n, n > 1 ? "s are" : " is");
    return n;
}

static void list(struct pods *pods, const struct cli_options *options) {
    const char *name, *id;
    json_t *cluster, *pod;
    size_t room = 0;
    json_object_foreach(pods->clusters, name, cluster) {
        json_t *all = json_object_get(cluster, "pods");
        pods->skipped += skipped_of(cluster);
        json_object_foreach(all, id, pod) {
            json_t *number = json_object_get(pod, "seq");
            int64_t seq = json_is_integer(number) ? json_integer_value(number) : -1;
            if (!pods_wanted(options, seq))
                continue;
            pod = said_of(all, id, pod);
            put_error_aside(pod);
            if (pods->n == room) {
                room = room ? 2 * room : 16;
                pods->list = xrealloc(pods->list, room * sizeof(*pods->list));
            }
            pods->list[pods->n++] = (struct pod_seen){.cluster = name,
                                                      .id = id,
                                                      .label = xasprintf("%s #%" PRId64, name, seq),
                                                      .seq = seq,
                                                      .json = pod};
        }
    }
    if (pods->n)
        qsort(pods->list, pods->n, sizeof(*pods->list), compare);
    for (size_t i = 0; i < options->indices_len; i++)
        pods->missing += !has(pods, options->indices[i]);
    if (!options->indices_len)
        pods->missing = pods->skipped;
}

int pods_read(struct source *source, const struct cli_options *options, char *const *patterns,
              struct pods *ret, struct err *err) {
    *ret = (struct pods){.source = source};
    ret->clusters = source_read(source, patterns, err);
    if (!ret->clusters)
        return -1;
    list(ret, options);
    return 0;
}

void pods_of(struct source *source, json_t *clusters, const struct cli_options *options,
             struct pods *ret) {
    *ret = (struct pods){.source = source, .clusters = clusters};
    list(ret, options);
}

void pods_number(struct pods *pods) {
    for (size_t i = 0; i < pods->n; i++) {
        struct pod_seen *pod = &pods->list[i];
        const json_t *seq = json_object_get(pods_info(pod), "seq");
        if (pod->seq >= 0 || !json_is_integer(seq))
            continue;
        pod->seq = json_integer_value(seq);
        free(pod->label);
        pod->label = xasprintf("%s #%" PRId64, pod->cluster, pod->seq);
    }
    if (pods->n)
        qsort(pods->list, pods->n, sizeof(*pods->list), compare);
}

void pods_done(struct pods *pods) {
    for (size_t i = 0; i < pods->n; i++)
        free(pods->list[i].label);
    free(pods->list);
    json_decref(pods->clusters);
    *pods = (struct pods){0};
}

size_t pods_tell_missing(const struct pods *pods, const struct cli_options *options) {
    size_t missing = 0;
    for (size_t i = 0; i < options->indices_len; i++)
        if (!has(pods, options->indices[i])) {
            fprintf(stderr, "ocho: no pod has the number %" PRId64 "\n", options->indices[i]);
            missing++;
        }
    return missing;
}

static void tell_missing(struct pods *pods, const struct cli_options *options,
                         char *const *patterns) {
    const char *name;
    json_t *cluster;
    bool any = json_object_size(pods->clusters);
    for (char *const *pattern = patterns; *pattern; pattern++) {
        bool matches = false;
        json_object_foreach(pods->clusters, name, cluster)
            matches = matches || source_matches(*pattern, name);
        if (matches)
            continue;
        fprintf(stderr, "ocho: no cluster matches \"%s\"\n", *pattern);
        pods->unmatched++;
    }
    if (any)
        pods_tell_missing(pods, options);
    json_object_foreach(pods->clusters, name, cluster) {
        pods_tell_skipped(name, cluster);
    }
}

int pods_begin(const struct cli_options *options, char *const *patterns, struct pods *ret) {
    struct err err = ERR_INIT;
    struct source *source;
    int64_t ms = options->timeout_ms < 0 ? OPEN_MS : options->timeout_ms;
    if (source_open(options, ms, &source, &err))
        return cli_fail(&err);
    if (source_is_pod(source) && ms < CLUSTER_MS)
        source_until(source, loop_now(source_loop(source)) + CLUSTER_MS);
    if (pods_read(source, options, patterns, ret, &err)) {
        source_close(source);
        return cli_fail(&err);
    }
    tell_missing(ret, options, patterns);
    return EXIT_DONE;
}

void pods_end(struct pods *pods) {
    struct source *source = pods->source;
    pods_done(pods);
    source_close(source);
}

// ---- one pod ----

// NULL where it cannot be read; record_free.
static struct record *record_of(const struct pod_seen *pod) {
    struct record *record = NULL;
    int failed = record_from_json("pod", json_object_get(pod->json, "record"), &record, NULL);
    return failed ? NULL : record;
}

// One without ZooKeeper knows of no other: it is the one that we read through, and there it is.
static const char *url_of_alone(const struct pods *pods, const struct pod_seen *pod) {
    const json_t *record = json_object_get(pod->json, "record");
    return strcmp(json_text(record, "zk"), "none") == 0 ? source_url(pods->source) : NULL;
}

char *pods_url(const struct pods *pods, const struct pod_seen *pod) {
    const char *alone = url_of_alone(pods, pod);
    if (alone)
        return xstrndup(alone, strlen(alone) - text_ends(alone, "/"));
    struct record *record = record_of(pod);
    if (!record)
        return NULL;
    char *url = record->control_port ? record_url(record) : NULL;
    record_free(record);
    return url;
}

void pods_sign(const struct pods *pods, const struct pod_seen *pod, struct auth_call *call,
               const char *method, const char *url, const char *const *headers, const void *body,
               size_t len) {
    signer_sign(source_signer(pods->source), call, pod->cluster, method, url, headers, body, len);
}

bool pods_must_sign(const struct pods *pods, const struct pod_seen *pod) {
    struct record *record = signer_signs(source_signer(pods->source)) ? record_of(pod) : NULL;
    bool signs = record && record->signs;
    record_free(record);
    return signs;
}

static bool is_original(const struct pod_seen *pod) {
    struct record *record = record_of(pod);
    bool original = record && !record->ours;
    record_free(record);
    return original;
}

const json_t *pods_info(const struct pod_seen *pod) {
    return json_object_get(pod->json, "info");
}

const char *pods_error(const struct pod_seen *pod) {
    return json_text(pod->json, "error");
}

static void set(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

// Somebody else's words: on one line, with nothing a terminal obeys, and fit for JSON also when
// they are cut within a character.
void pods_fail(struct pod_seen *pod, const char *why) {
    auto_free char *line = xstrdup(why);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
    json_t *text = json_string(line);
    for (char *c = line; !text && *c; c++)
        if (*c & 0x80)
            *c = '?';
    set(pod->json, "error", text ? text : json_string(line));
}

void pods_tls(json_t *pod) {
    json_t *record = json_object_get(pod, "record");
    set(record, "sidecar", json_string(""));
    set(record, "tls", json_true());
}

// ---- asking ----

struct asking {
    struct pods *pods;
    struct loop *loop;
    const struct pods_request *request;
    int64_t timeout_ms;
    size_t max_reply, next, open;
    struct link asks;
    struct loop_timer *tick;
};

struct ask {
    struct link link;
    struct http_call *http;
    struct asking *all;
    struct pod_seen *pod;
    char *url;
    int64_t began, deadline;
    struct loop_timer *again;
    const char *method;
    bool must_sign;
    struct auth_call call;
    struct err refused; // the last answer of one that is asked again
};

static void go_on(struct asking *all);
static void send_one(void *arg);

static void ask_end(struct ask *ask) {
    struct asking *all = ask->all;
    list_remove(&ask->link);
    free(ask->url);
    free(ask);
    all->open--;
    go_on(all);
    if (!all->open)
        loop_quit(all->loop);
}

// Ours say why in a member; originals say {}.
static void refused(const struct ask *ask, const struct http_reply *reply, struct err *err) {
    const struct pods_request *request = ask->all->request;
    auto_json json_t *body = json_read(reply->body, reply->len, ask->all->max_reply, "", NULL);
    const char *why = json_text(body, "error");
    err_set(err, ERR_REFUSED, "%s answered %d%s%.300s", request->path, reply->status,
            *why ? ": " : "", why);
}

static bool is_proven(const struct ask *ask, const struct http_reply *reply) {
    return !ask->must_sign || auth_call_proves(&ask->call, ask->pod->id, reply->status, reply->body,
                                               reply->len, http_header(reply, "X-Signature"));
}

static void take(struct ask *ask, const struct http_reply *reply, struct err *err) {
    const struct pods_request *request = ask->all->request;
    if (request->until ? reply->status == request->until : reply->status == 200) {
        if (!is_proven(ask, reply)) {
            err_set(err, ERR_RETRY,
                    "%s: the answer is not signed by it: another answers there, or "
                    "its token is another",
                    request->path);
            return;
        }
        json_t *body = request->key ? json_read(reply->body, reply->len, ask->all->max_reply,
                                                request->path, err)
                                    : NULL;
        if (body)
            set(ask->pod->json, request->key, body);
        return;
    }
    refused(ask, reply, err);
}

// It goes on, or is refused for now. The rest is said for good: no such route, not signed, another
// pod.
static bool may_change(int status) {
    return status == 200 || status == 406 || status == 408 || status == 409 || status >= 500;
}

static void aim(struct ask *ask) {
    const struct pods_request *request = ask->all->request;
    auto_free char *base = pods_url(ask->all->pods, ask->pod);
    free(ask->url);
    ask->url = xasprintf("%s%s", base, request->path);
    ask->method = request->method ? request->method : is_original(ask->pod) ? "POST" : "GET";
}

// Somebody listens there and has not spoken HTTP: it may be TLS.
static bool may_speak_tls(struct ask *ask, const struct err *err) {
    json_t *pod = ask->pod->json;
    bool maybe = err->kind == ERR_RETRY && json_is_true(json_object_get(pod, "maybe_tls")) &&
                 signer_trust(source_signer(ask->all->pods->source));
    if (!maybe)
        return false;
    set(pod, "maybe_tls", json_false());
    pods_tls(pod);
    return true;
}

static void on_reply(const struct http_reply *reply, const struct err *failed, void *arg) {
    struct ask *ask = arg;
    struct asking *all = ask->all;
    struct err err = *failed;
    ask->http = NULL;
    if (may_speak_tls(ask, &err)) {
        aim(ask);
        send_one(ask);
        return;
    }
    bool heard = !err.kind;
    if (heard)
        take(ask, reply, &err);
    if (err.kind && (heard ? reply->status == 408 : reply->sent))
        ask->pod->open = true;
    bool goes_on = all->request->until && loop_now(all->loop) + AGAIN_MS < ask->deadline;
    if (err.kind == ERR_REFUSED)
        ask->refused = err;
    else if (err.kind == ERR_TIMEOUT && ask->refused.kind && ask->deadline - ask->began < SHORT_MS)
        err = ask->refused; // the last question had hardly any time: what was said before says more
    bool was_there = ask->pod->open || ask->refused.kind;
    bool again = heard ? err.kind == ERR_REFUSED && may_change(reply->status) : was_there;
    if (err.kind && goes_on && again) {
        loop_timer_start(all->loop, &ask->again, AGAIN_MS, send_one, ask);
        return;
    }
    if (err.kind)
        pods_fail(ask->pod, err.text);
    ask_end(ask);
}

static void send_one(void *arg) {
    struct ask *ask = arg;
    struct asking *all = ask->all;
    auto_free char *target = xasprintf("X-Ochopod-Target: %s", ask->pod->id);
    const char *headers[HEADERS_MAX + 2] = {NULL};
    size_t n = 0;
    for (const char *const *h = all->request->headers; h && *h && n < HEADERS_MAX; h++)
        headers[n++] = *h;
    // Known by its task alone it has no id yet: it may be read without, and nothing else is done.
    bool signs = signer_signs(source_signer(all->pods->source)) && ask->pod->seq >= 0;
    headers[n] = all->request->targeted || signs ? target : NULL;
    pods_sign(all->pods, ask->pod, &ask->call, ask->method, ask->url, headers, all->request->body,
              all->request->body_len);
    ask->began = loop_now(all->loop);
    int64_t left = ask->deadline - ask->began;
    struct http_request request = {.method = ask->method,
                                   .url = ask->url,
                                   .headers = ask->call.headers,
                                   .trust = signer_trust(source_signer(all->pods->source)),
                                   .tls_name = ask->pod->cluster,
                                   .body = all->request->body,
                                   .body_len = all->request->body_len,
                                   .connect_ms = CONNECT_MS,
                                   .timeout_ms = left > 0 ? left : 1,
                                   .max_reply = all->max_reply,
                                   .fresh = true};
    ask->http = send_request(source_http(all->pods->source), &request, on_reply, ask);
}

static bool is_stopped(const struct asking *all) {
    return all->request->stop && *all->request->stop;
}

static void start(struct asking *all, struct pod_seen *pod) {
    const char *key = all->request->key;
    if ((key && json_object_get(pod->json, key)) || *pods_error(pod))
        return;
    if (is_stopped(all)) {
        pods_fail(pod, "interrupted");
        return;
    }
    auto_free char *base = pods_url(all->pods, pod);
    if (!base) {
        pods_fail(pod, "its control port is not published");
        return;
    }
    if (text_starts(base, "https:") && !signer_trust(source_signer(all->pods->source))) {
        pods_fail(pod, "it speaks TLS: OCHOPOD_CA must name who signed its certificate");
        return;
    }
    struct ask *ask = xnew(struct ask);
    pod->open = false;
    *ask = (struct ask){.all = all,
                        .pod = pod,
                        .must_sign = pods_must_sign(all->pods, pod),
                        .deadline = loop_now(all->loop) + all->timeout_ms};
    all->open++;
    list_append(&all->asks, &ask->link);
    aim(ask);
    send_one(ask);
}

static void go_on(struct asking *all) {
    while (all->next < all->pods->n && all->open < AT_ONCE)
        start(all, &all->pods->list[all->next++]);
}

// Whoever catches a signal cannot end the loop, which may be turned for something else.
static void on_tick(void *arg) {
    struct asking *all = arg;
    if (!is_stopped(all)) {
        loop_timer_start(all->loop, &all->tick, AGAIN_MS, on_tick, all);
        return;
    }
    struct ask *ask;
    list_each(ask, &all->asks, struct ask, link) {
        http_cancel(&ask->http);
        loop_timer_stop(&ask->again);
        ask->pod->open = true;
        pods_fail(ask->pod, "interrupted; it may be done yet");
        ask_end(ask);
    }
}

void pods_send(struct pods *pods, const struct pods_request *request) {
    struct loop *loop = source_loop(pods->source);
    struct asking all = {.pods = pods,
                         .loop = loop,
                         .request = request,
                         .timeout_ms = request->timeout_ms < 0 ? ASK_MS : request->timeout_ms,
                         .max_reply = request->max_reply ? request->max_reply : REPLY_MAX};
    list_init(&all.asks);
    go_on(&all);
    if (request->stop && all.open)
        loop_timer_start(loop, &all.tick, AGAIN_MS, on_tick, &all);
    while (all.open) // others may end the loop as well
        loop_run(loop);
    loop_timer_stop(&all.tick);
}

void pods_ask_info(struct pods *pods, int64_t timeout_ms) {
    struct pods_request request = {.path = "/info", .key = "info", .timeout_ms = timeout_ms};
    for (size_t i = 0; i < pods->n; i++)
        if (json_object_get(pods->list[i].json, "unheard"))
            pods_fail(&pods->list[i], json_text(pods->list[i].json, "unheard"));
    pods_send(pods, &request);
    for (size_t i = 0; i < pods->n; i++)
        if (!*pods_error(&pods->list[i]) && !json_is_object(pods_info(&pods->list[i])))
            pods_fail(&pods->list[i], "/info answered no object");
}

// ---- how it went ----

bool pods_are_to_show(const struct pods *pods, const json_t *rows) {
    return json_object_size(rows) || !pods->unmatched;
}

int pods_report(const struct pods *pods, const char *answered) {
    size_t good = 0;
    for (size_t i = 0; i < pods->n; i++) {
        good += !*pods_error(&pods->list[i]);
        if (*pods_error(&pods->list[i]))
            fprintf(stderr, "ocho: %s: %s\n", pods->list[i].label, pods_error(&pods->list[i]));
    }
    size_t all = pods->n + pods->missing;
    if (good == all)
        return pods->unmatched ? EXIT_SOME : EXIT_DONE;
    fprintf(stderr, "ocho: %zu of %zu %s\n", good, all, answered);
    return EXIT_SOME;
}
