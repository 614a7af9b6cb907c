#include "sidecar/cluster/reference.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/digest.h"
#include <inttypes.h>
#include <string.h>

// A reference is short: what is longer is a whole body, and read as one.
enum { MAX_REFERENCE = 1024, MAX_PROPOSAL = 1 << 20 };

char *reference_write(const char *key, const char *hash, int64_t epoch, int64_t round,
                      const char *digest) {
    auto_json json_t *body = json_pack("{s:s, s:s, s:{s:I, s:I, s:s}}", "key", key, "hash", hash,
                                       "proposal", "epoch", (json_int_t)epoch, "round",
                                       (json_int_t)round, "digest", digest);
    CHECK(body);
    return json_write(body);
}

static void release(struct reference **r) {
    reference_free(*r);
}

void reference_free(struct reference *r) {
    if (!r)
        return;
    free(r->key);
    free(r->hash);
    free(r->digest);
    free(r);
}

static int take(struct reference *r, const json_t *body, const json_t *proposal, struct err *err) {
    const char *key = "", *hash = "", *digest = "";
    if (json_str(body, "key", &key, err) || json_str(body, "hash", &hash, err) ||
        json_str(proposal, "digest", &digest, err) || json_int(proposal, "epoch", &r->epoch, err) ||
        json_int(proposal, "round", &r->round, err))
        return err_wrap(err, "control body");
    if (!*key || !*hash || !*digest)
        return err_set(err, ERR_USER, "control body: a reference needs key, hash and digest");
    r->key = xstrdup(key);
    r->hash = xstrdup(hash);
    r->digest = xstrdup(digest);
    return 0;
}

int reference_read(const char *data, size_t len, struct reference **ret, struct err *err) {
    *ret = NULL;
    if (len > MAX_REFERENCE)
        return 0;
    auto_json json_t *body = json_read(data, len, MAX_REFERENCE, "control body", NULL);
    const json_t *proposal = json_object_get(body, "proposal");
    if (!json_is_object(proposal))
        return 0;
    __attribute__((cleanup(release))) struct reference *r = xnew(struct reference);
    if (take(r, body, proposal, err))
        return -1;
    *ret = take_ptr(r);
    return 0;
}

// As text throughout: a tree of a thousand pods takes longer to build than to write.
char *reference_proposal(const struct cluster *c, const char *hash, int64_t epoch, int64_t round) {
    auto_text struct text t = {0};
    text_addc(&t, '{');
    if (c) {
        auto_free char *dependencies = json_write(c->dependencies),
                       *members = json_write(c->members);
        text_add(&t, "\"pods\":");
        cluster_essence(c, &t);
        text_add(&t, ",\"dependencies\":");
        text_add(&t, dependencies);
        text_add(&t, ",\"members\":");
        text_add(&t, members);
        text_addc(&t, ',');
    }
    text_addf(&t, "\"hash\":\"%s\",\"epoch\":%" PRId64 ",\"round\":%" PRId64 "}", hash, epoch,
              round);
    return text_take(&t);
}

static int is_other(const struct reference *r, const json_t *proposal, struct err *err) {
    int64_t epoch = -1, round = -1;
    const char *hash = "";
    if (json_int(proposal, "epoch", &epoch, NULL) || json_int(proposal, "round", &round, NULL) ||
        json_str(proposal, "hash", &hash, NULL))
        epoch = round = -1;
    bool same = epoch == r->epoch && round == r->round;
    if (same && strcmp(hash, r->hash) == 0)
        return 0;
    if (same)
        return err_set(err, ERR_ABSENT, "/proposal has another hash than the leader says");
    return err_set(err, ERR_ABSENT,
                   "/proposal is of epoch %" PRId64 " round %" PRId64 ", meant is epoch %" PRId64
                   " round %" PRId64,
                   epoch, round, r->epoch, r->round);
}

int reference_resolve(const struct reference *r, const char *data, size_t len, struct cluster **ret,
                      struct err *err) {
    char digest[65];
    digest_hex(data, len, digest);
    auto_json json_t *proposal = json_read(data, len, MAX_PROPOSAL, "/proposal", NULL);
    if (is_other(r, proposal, err))
        return -1;
    if (strcmp(digest, r->digest) != 0)
        return err_set(err, ERR_ABSENT, "/proposal is not what the leader wrote");
    if (cluster_from_json(proposal, r->key, ret, err))
        return err_wrap(err, "/proposal");
    return 0;
}
