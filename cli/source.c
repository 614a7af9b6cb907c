#include "cli/source.h"
#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/send.h"
#include "sidecar/cluster/record.h"
#include "sidecar/spec/spec.h"
#include "sidecar/state/state.h"
#include "sidecar/zk/zk.h"
#include <fnmatch.h>
#include <string.h>

enum { READ_MS = 10000, SESSION_MS = 10000, CLUSTER_MAX = 16 * 1024 * 1024 };
static const char ROOT[] = "/ochopod/clusters";
extern char **environ;

struct source {
    struct loop *loop;
    struct http *http;
    struct signer *signer;
    struct loop_timer *deadline;
    int64_t until; // loop_now: what is read comes by then
    bool opening, late;
    char *url; // of the pod; else zk
    bool own;  // it is that of this container, whatever its certificate's name
    struct zk *zk;
    char *servers;
    // of the read in progress
    char *const *patterns;
    json_t *clusters;
    struct link ops; // struct op
    struct err err;  // the first that ends it
};

// One call to ZooKeeper: what of which cluster.
struct op {
    struct link link;
    struct source *source;
    struct zk_op *op;
    json_t *cluster; // borrowed from source->clusters
    char *path, *node;
};

// ---- turning the loop ----

static void on_late(void *arg) {
    struct source *source = arg;
    source->late = true;
    loop_quit(source->loop);
}

// Until somebody calls loop_quit; -1 when ms were over before.
static int turn(struct source *source, int64_t ms) {
    source->late = false;
    loop_timer_start(source->loop, &source->deadline, ms, on_late, source);
    loop_run(source->loop);
    loop_timer_stop(&source->deadline);
    return source->late ? -1 : 0;
}

// Never 0, which would be for ever.
static int64_t left(const struct source *source) {
    int64_t ms = source->until - loop_now(source->loop);
    return ms < 1 ? 1 : ms < READ_MS ? ms : READ_MS;
}

void source_until(struct source *source, int64_t until) {
    source->until = until;
}

// ---- opening ----

// OCHOPOD_ZK, as the sidecar itself would read it: its spec counts where this is its container.
static char *find_zk(const struct cli_options *options, int *ret_port, bool *ret_tls) {
    *ret_port = 8080;
    *ret_tls = false;
    if (options->zk)
        return xstrdup(options->zk);
    const char *upper = getenv("OCHOPOD_ZK"), *lower = getenv("ochopod_zk");
    const char *env = upper && *upper ? upper : lower && *lower ? lower : NULL;
    if (env && strcmp(env, "none") != 0)
        return xstrdup(env);
    struct spec_flags flags = {.port = -1};
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    if (spec_load(&flags, environ, &spec, &report, &err))
        return env ? xstrdup(env) : NULL;
    char *zk = spec->zk ? xstrdup(spec->zk) : NULL;
    *ret_tls = spec->tls.key_file;
    *ret_port = state_control(spec->state_dir, spec->port);
    spec_free(spec);
    return zk;
}

// Later on the loop is turned by whoever asks pods, and a read hears of a lost session from its
// calls.
static void on_state(enum zk_state state, void *arg) {
    struct source *source = arg;
    if (!source->opening)
        return;
    if (state == ZK_CONNECTED || state == ZK_LOST)
        loop_quit(source->loop);
}

static int open_zk(struct source *source, const char *url, struct err *err) {
    auto_free char *auth = NULL;
    if (zk_parse_url(url, &source->servers, &auth, err))
        return -1;
    struct zk_config config = {.servers = source->servers, .session_ms = SESSION_MS, .auth = auth};
    if (zk_open(source->loop, &config, on_state, source, &source->zk, err))
        return -1;
    source->opening = true;
    int late = turn(source, left(source));
    source->opening = false;
    if (late || zk_state(source->zk) != ZK_CONNECTED)
        return err_set(err, ERR_RETRY, "ZooKeeper at %s does not answer", source->servers);
    return 0;
}

// The environment's comes before its OCHOPOD_ZK and after what was said by an option.
static const char *url_of(const struct cli_options *options) {
    const char *env = getenv("OCHOPOD_URL");
    if (options->url || options->zk)
        return options->url;
    return env && *env ? env : NULL;
}

int source_open(const struct cli_options *options, int64_t wait_ms, struct source **ret,
                struct err *err) {
    int port = 8080;
    bool tls = false;
    const char *url = url_of(options);
    auto_free char *zk = url ? NULL : find_zk(options, &port, &tls);
    if (!url && !zk)
        return err_set(err, ERR_USER, "where? --zk, OCHOPOD_ZK or --url http://host:port");
    struct source *source = xnew(struct source);
    list_init(&source->ops);
    source->loop = loop_create();
    source->http = http_create(source->loop, 128, 0);
    source->until = loop_now(source->loop) + wait_ms;
    if (signer_open(&source->signer, err)) {
        source_close(source);
        return -1;
    }
    if (url)
        source->url = xstrdup(url);
    else if (strcmp(zk, "none") == 0) {
        source->url = xasprintf("http%s://127.0.0.1:%d", tls ? "s" : "", port);
        source->own = true;
    } else if (open_zk(source, zk, err)) {
        source_close(source);
        return -1;
    }
    *ret = source;
    return 0;
}

static void op_free(struct op *op) {
    zk_forget(&op->op);
    list_remove(&op->link);
    free(op->path);
    free(op->node);
    free(op);
}

static void drop_ops(struct source *source) {
    struct op *op;
    list_each(op, &source->ops, struct op, link) op_free(op);
}

static void on_closed(void *arg) {
    struct source *source = arg;
    loop_quit(source->loop);
}

void source_close(struct source *source) {
    if (!source)
        return;
    drop_ops(source);
    if (source->zk) {
        zk_close(source->zk, on_closed, source);
        loop_run(source->loop);
    }
    http_free(source->http);
    signer_close(source->signer);
    loop_free(source->loop);
    free(source->servers);
    free(source->url);
    free(source);
}

struct loop *source_loop(struct source *source) {
    return source->loop;
}

struct http *source_http(struct source *source) {
    return source->http;
}

const struct signer *source_signer(const struct source *source) {
    return source->signer;
}

bool source_is_pod(const struct source *source) {
    return source->url;
}

const char *source_url(const struct source *source) {
    return source->url;
}

bool source_matches(const char *pattern, const char *name) {
    const char *dot = strchr(name, '.');
    return fnmatch(pattern, name, 0) == 0 ||
           (dot && !strchr(pattern, '.') && fnmatch(pattern, dot + 1, 0) == 0);
}

static bool wanted(const struct source *source, const char *name) {
    for (char *const *pattern = source->patterns; *pattern; pattern++)
        if (source_matches(*pattern, name))
            return true;
    return !source->patterns[0];
}

// ---- from ZooKeeper ----

static struct op *op_make(struct source *source, json_t *cluster, char *path, const char *node) {
    struct op *op = xnew(struct op);
    *op = (struct op){
        .source = source, .cluster = cluster, .path = path, .node = node ? xstrdup(node) : NULL};
    list_append(&source->ops, &op->link);
    return op;
}

static void op_end(struct op *op) {
    struct source *source = op->source;
    op_free(op);
    if (list_empty(&source->ops) || source->err.kind)
        loop_quit(source->loop);
}

// What vanished while it was read is not there; anything else ends the read.
static bool failed(struct op *op, const struct err *err) {
    if (err->kind && err->kind != ERR_ABSENT && !op->source->err.kind)
        err_copy(&op->source->err, err);
    return err->kind;
}

static void set(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

static void on_pod(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                   void *arg) {
    (void)stat;
    struct op *op = arg;
    op->op = NULL;
    struct record *record = NULL;
    struct err why = ERR_INIT;
    auto_json json_t *pod = json_object();
    json_t *pods = json_object_get(op->cluster, "pods");
    if (!failed(op, err)) {
        auto_free char *id = xstrndup(op->node, strcspn(op->node, "."));
        const char *suffix = strrchr(op->node, '.');
        int64_t seq = suffix ? strtoll(suffix + 1, NULL, 10) : -1;
        if (record_parse(op->node, data, len, &record, &why) == 0) {
            set(pod, "record", json_incref(record->json));
            seq = record->seq;
        } else {
            set(pod, "error", json_string(why.text));
        }
        set(pod, "seq", json_integer(seq));
        CHECK(json_object_set(pods, id, pod) == 0);
    }
    record_free(record);
    op_end(op);
}

static void on_pods(char *const *names, size_t n, const struct err *err, void *arg) {
    struct op *op = arg;
    struct source *source = op->source;
    op->op = NULL;
    if (!failed(op, err))
        for (size_t i = 0; i < n; i++) {
            struct op *next = op_make(source, op->cluster, xasprintf("%s/%s", op->path, names[i]),
                                      names[i]);
            next->op = zk_get(source->zk, next->path, on_pod, next);
        }
    op_end(op);
}

static void on_leader(const char *data, size_t len, const struct zk_stat *stat,
                      const struct err *err, void *arg) {
    (void)stat;
    struct op *op = arg;
    op->op = NULL;
    if (!failed(op, err)) {
        auto_json json_t *leader = json_read(data, len, ZK_MAX_DATA, "/leader", NULL);
        json_t *generation = json_object_get(leader, "generation");
        if (json_is_integer(generation))
            CHECK(json_object_set(op->cluster, "generation", generation) == 0);
    }
    op_end(op);
}

static void read_cluster(struct source *source, const char *name) {
    json_t *cluster = json_object();
    set(cluster, "generation", json_null());
    set(cluster, "pods", json_object());
    set(source->clusters, name, cluster);
    struct op *op = op_make(source, cluster, xasprintf("%s/%s/pods", ROOT, name), NULL);
    op->op = zk_names(source->zk, op->path, on_pods, op);
    op = op_make(source, cluster, xasprintf("%s/%s/leader", ROOT, name), NULL);
    op->op = zk_get(source->zk, op->path, on_leader, op);
}

static void on_clusters(char *const *names, size_t n, const struct err *err, void *arg) {
    struct op *op = arg;
    struct source *source = op->source;
    op->op = NULL;
    if (!failed(op, err))
        for (size_t i = 0; i < n; i++)
            if (wanted(source, names[i]))
                read_cluster(source, names[i]);
    op_end(op);
}

static json_t *read_zk(struct source *source, struct err *err) {
    source->clusters = json_object();
    source->err = (struct err)ERR_INIT;
    auto_json json_t *clusters = source->clusters;
    struct op *op = op_make(source, NULL, xstrdup(ROOT), NULL);
    op->op = zk_names(source->zk, op->path, on_clusters, op);
    bool late = turn(source, left(source)) != 0;
    bool partial = !list_empty(&source->ops);
    drop_ops(source);
    if (late || (partial && !source->err.kind))
        err_set(err, ERR_RETRY, "ZooKeeper at %s does not answer", source->servers);
    else if (source->err.kind)
        err_copy(err, &source->err);
    else
        return take_ptr(clusters);
    return NULL;
}

// ---- through one pod ----

struct answer {
    struct source *source;
    char *url;
    struct signer_challenge from; // who wants signatures; "" until it said so
    struct auth_call call;
    json_t *body;
    bool refused; // by who is there: not out of reach
    struct err err;
};

static void ask_url(struct answer *answer);

static bool is_proven(const struct answer *answer, const struct http_reply *reply) {
    return !signer_signs(answer->source->signer) ||
           auth_call_proves(&answer->call, answer->from.pod, reply->status, reply->body, reply->len,
                            http_header(reply, "X-Signature"));
}

static void take_answer(struct answer *answer, const struct http_reply *reply) {
    if (reply->status == 200 && !is_proven(answer, reply)) {
        err_set(&answer->err, ERR_RETRY,
                "/cluster is not signed with our token: it has none, or another");
        return;
    }
    answer->body = json_read(reply->body, reply->len, CLUSTER_MAX, "/cluster", &answer->err);
    if (!answer->body || reply->status == 200)
        return;
    answer->refused = reply->status == 401 || reply->status == 403;
    bool bare = answer->refused && !signer_signs(answer->source->signer);
    err_set(&answer->err, ERR_RETRY, "/cluster answered %d: %s%s", reply->status,
            json_text(answer->body, "error"),
            bare ? "; OCHOPOD_TOKEN_FILE names the file with the cluster's token" : "");
}

// A pod with a token says in its 401 which cluster's key it wants; it is asked again with that.
static void on_answer(const struct http_reply *reply, const struct err *err, void *arg) {
    struct answer *answer = arg;
    bool first = !*answer->from.pod;
    if (!err->kind && first && reply->status == 401 && signer_signs(answer->source->signer) &&
        signer_challenge_read(http_header(reply, "WWW-Authenticate"), &answer->from)) {
        ask_url(answer);
        return;
    }
    loop_quit(answer->source->loop);
    if (err->kind)
        err_copy(&answer->err, err);
    else
        take_answer(answer, reply);
}

static void ask_url(struct answer *answer) {
    const struct signer *signer = *answer->from.pod ? answer->source->signer : NULL;
    auto_free char *target = xasprintf("X-Ochopod-Target: %s", answer->from.pod);
    const char *headers[] = {signer ? target : NULL, NULL};
    struct tls_trust *trust = signer_trust(answer->source->signer);
    signer_sign(signer, &answer->call, answer->from.cluster, "GET", answer->url, headers, NULL, 0);
    struct http_request request = {.url = answer->url,
                                   .headers = answer->call.headers,
                                   .trust = trust,
                                   .tls_name = answer->source->own ? "" : signer_tls_name(),
                                   .connect_ms = left(answer->source),
                                   .timeout_ms = left(answer->source),
                                   .max_reply = CLUSTER_MAX,
                                   .fresh = true};
    send_request(answer->source->http, &request, on_answer, answer);
}

static json_t *read_url(struct source *source, struct err *err) {
    bool slash = text_ends(source->url, "/");
    auto_free char *url = xasprintf("%s%s", source->url, slash ? "cluster" : "/cluster");
    struct answer answer = {.source = source, .url = url};
    if (text_starts(url, "https:") && !signer_trust(source->signer)) {
        err_set(err, ERR_USER, "OCHOPOD_CA must name who signs the pods' certificates");
        return NULL;
    }
    ask_url(&answer);
    loop_run(source->loop);
    auto_json json_t *body = answer.body;
    const char *name = json_text(body, "cluster");
    if (!answer.err.kind && (!*name || !json_is_object(json_object_get(body, "pods"))))
        err_set(&answer.err, ERR_RETRY, "/cluster answered no cluster: is it a sidecar's port?");
    if (answer.err.kind) {
        err_copy(err, &answer.err);
        err->kind = answer.refused ? ERR_REFUSED : ERR_RETRY;
        err_wrap(err, "%s", source->url);
        return NULL;
    }
    json_t *clusters = json_object();
    if (wanted(source, name))
        CHECK(json_object_set(clusters, name, body) == 0);
    return clusters;
}

json_t *source_read(struct source *source, char *const *patterns, struct err *err) {
    source->patterns = patterns;
    return source->zk ? read_zk(source, err) : read_url(source, err);
}
