#include "base/check.h"
#include "base/own.h"
#include "sidecar/cluster/digest.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/workload.h"
#include <fnmatch.h>
#include <string.h>

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

void digest_text(const char *text, char ret[65]) {
    digest_hex(text, strlen(text), ret);
}

static json_t *digest_of(const json_t *value) {
    char hex[65];
    auto_json json_t *wrapped = json_pack("[O]", value ? value : json_null());
    auto_free char *canonical = json_canonical(wrapped);
    digest_text(canonical, hex);
    return json_string(hex);
}

void proposal_free(struct proposal *p) {
    if (!p)
        return;
    cluster_free(p->cluster);
    free(p->key);
    free(p->hash);
    json_decref(p->view);
    json_decref(p->rendering);
    json_decref(p->staged);
    json_decref(p->applied);
    json_decref(p->body);
    free(p);
}

static void proposal_release(struct proposal **p) {
    proposal_free(*p);
}

int proposal_make(struct pod *pod, struct cluster *c, const char *key, const char *hash,
                  const char *digest, struct proposal **ret, struct err *err) {
    __attribute__((cleanup(proposal_release))) struct proposal *p = xnew(struct proposal);
    p->cluster = c;
    p->key = xstrdup(key);
    p->hash = xstrdup(hash);
    snprintf(p->digest, sizeof p->digest, "%s", digest);
    if (strcmp(key, pod->state->pod_id) != 0)
        return err_set(err, ERR_STRANGER, "meant for pod %s, this is %s", key, pod->state->pod_id);
    p->view = cluster_view(c, key, err);
    if (!p->view)
        return -1;
    if (pod->place->local)
        put(p->view, "local_ports", json_deep_copy(pod->place->local));
    *ret = take_ptr(p);
    return 0;
}

int proposal_read(struct pod *pod, const char *body, size_t len, struct proposal **ret,
                  struct err *err) {
    auto_free char *key = NULL, *hash = NULL;
    struct cluster *c = NULL;
    char digest[65];
    if (!len)
        return err_set(err, ERR_REFUSED, "no body: who is in the cluster is not said");
    digest_hex(body, len, digest);
    if (cluster_from_body(body, len, &c, &key, &hash, err)) {
        if (err)
            err->kind = ERR_REFUSED;
        return -1;
    }
    return proposal_make(pod, c, key, hash, digest, ret, err);
}

// ---- needs ----

static size_t count_of(const struct proposal *p, const char *what) {
    if (strcmp(what, "pods") == 0)
        return json_object_size(p->cluster->pods);
    const json_t *entry = json_object_get(p->cluster->dependencies, what);
    if (entry)
        return json_object_size(entry);
    // A leader of another spec: its entries may overlap.
    auto_json json_t *all = json_object();
    const char *name;
    json_t *pods;
    json_object_foreach(p->cluster->dependencies, name, pods) {
        if (fnmatch(what, name, 0) == 0)
            CHECK(json_object_update(all, pods) == 0);
    }
    return json_object_size(all);
}

int proposal_needs(const struct spec *spec, const struct proposal *p, struct err *err) {
    for (size_t i = 0; i < spec->needs_len; i++) {
        const struct spec_need *need = &spec->needs[i];
        size_t has = count_of(p, need->what);
        if (has < (size_t)need->n)
            return err_set(err, ERR_REFUSED, "needs %lld %s, has %zu", (long long)need->n,
                           need->what, has);
    }
    return 0;
}

// ---- what changes ----

// Only what templates can see of them: the same digest a leader would take.
static json_t *dependencies_digest(const struct cluster *c) {
    char hex[65];
    struct cluster alone = *c;
    auto_json json_t *nobody = json_object();
    alone.pods = nobody;
    cluster_hash(&alone, hex);
    return json_string(hex);
}

static json_t *files_digest(const json_t *rendering) {
    json_t *digests = json_object();
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(rendering, "files"), i, file) {
        json_t *one = json_copy(file);
        json_object_del(one, "content");
        put(digests, json_text(file, "target"), digest_of(one));
        json_decref(one);
    }
    return digests;
}

static json_t *applied_of(const struct pod *pod, const struct proposal *p) {
    json_t *applied = json_object();
    put(applied, "files", files_digest(p->rendering));
    put(applied, "environment", digest_of(json_object_get(p->rendering, "environment")));
    put(applied, "command", digest_of(json_object_get(p->rendering, "command")));
    put(applied, "entrypoint", digest_of(json_object_get(p->rendering, "entrypoint")));
    put(applied, "dependencies", dependencies_digest(p->cluster));
    put(applied, "container", json_string(p->body ? workload_digest(p->body) : pod->config_digest));
    if (*p->plain)
        put(applied, "plain", json_string(p->plain));
    return applied;
}

static bool same(const json_t *a, const json_t *b, const char *key) {
    json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x == y || (x && y && json_equal(x, y));
}

static json_t *body_of(const struct pod *pod, const struct proposal *p, const char *holder,
                       struct err *err) {
    struct workload_want want = {
        .spec = pod->spec,
        .place = pod->place,
        .mounts = pod->mounts,
        .image = pod->image,
        .plan = p->rendering,
        .holder = holder,
    };
    return workload_body(&want, err);
}

int proposal_shape(struct pod *pod, struct proposal *p, struct err *err) {
    if (!pod_launches(pod))
        return 0;
    json_decref(p->body);
    p->body = body_of(pod, p, *pod->holder ? pod->holder : NULL, err);
    return p->body ? 0 : -1;
}

int proposal_plain(struct pod *pod, const struct proposal *p, char ret[65], struct err *err) {
    *ret = '\0';
    if (!pod_launches(pod) || pod->spec->hooks[HOOK_CONFIGURE].kind == ACTION_NONE)
        return 0;
    auto_json json_t *body = body_of(pod, p, NULL, err); // another holder is no other container
    if (!body)
        return -1;
    auto_json json_t *all = json_pack("[s, O]", workload_digest(body), p->view);
    auto_free char *canonical = json_canonical(all);
    digest_text(canonical, ret);
    return 0;
}

bool proposal_is_changed(const struct proposal *p) {
    return p->files_changed || p->container_changed || p->dependencies_changed;
}

// What the configure hook prints is known in `on` alone: until then all that it can go by must be
// as it was, and the container the one that was made of it.
static bool is_container_changed(const struct pod *pod, const struct proposal *p,
                                 const char *plain) {
    const json_t *old = pod->state->applied;
    if (!*plain || *p->plain)
        return strcmp(json_text(p->applied, "container"), pod->config_digest) != 0;
    return strcmp(plain, json_text(old, "plain")) != 0 ||
           strcmp(json_text(old, "container"), pod->config_digest) != 0;
}

int proposal_compare(struct pod *pod, struct proposal *p, struct err *err) {
    const json_t *old = pod->state->applied;
    char plain[65];
    if (proposal_shape(pod, p, err) || proposal_plain(pod, p, plain, err))
        return -1;
    json_decref(p->applied);
    p->applied = applied_of(pod, p);
    p->container_changed = is_container_changed(pod, p, plain);
    p->dependencies_changed = !same(old, p->applied, "dependencies");
    // What the workload itself has written over counts as changed too.
    p->files_changed = json_array_size(json_object_get(p->staged, "changed")) > 0 ||
                       !same(old, p->applied, "files");
    return 0;
}

static void discarded(json_t *answer, const struct err *err, void *arg) {
    struct pod *pod = arg;
    (void)answer;
    (void)err; // the next stage removes them
    pod->discard = NULL;
}

void proposal_discard(struct pod *pod, struct proposal *p) {
    const json_t *staged = json_object_get(p->staged, "staged");
    if (!json_array_size(staged))
        return;
    runner_cancel(&pod->discard);
    pod->discard = render_discard(pod->config.runner, p->staged, pod->roots, discarded, pod);
}
