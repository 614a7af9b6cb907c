#include "sidecar/auth/auth.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/auth/token.h"
#include <string.h>

enum { LOOK_MS = 2000 };

enum file { TOKEN, CERTIFICATE, KEY, CA, FILES };
static const char *const names[FILES] = {"token_file", "tls.certificate_file", "tls.key_file",
                                         "tls.ca_file"};

struct auth {
    struct loop *loop;
    struct loop_timer *look;
    char *cluster, *pod;
    char *files[FILES];                    // NULL: none
    char hashes[FILES][AUTH_HASH_LEN + 1]; // of what is in force
    struct auth_key keys[TOKENS_MAX][AUTH_ROLES];
    size_t n;
    struct tls_trust *trust;
    struct err trouble; // as was said
};

// ---- the files ----

static void derive(struct auth *auth, const struct tokens *tokens) {
    explicit_bzero(auth->keys, sizeof auth->keys);
    for (size_t i = 0; i < tokens->n; i++) {
        log_secret(tokens->text[i]);
        for (int role = 0; role < AUTH_ROLES; role++)
            auth_derive(tokens->text[i], (enum auth_role)role, auth->cluster, &auth->keys[i][role]);
    }
    auth->n = tokens->n;
}

struct news { // read, and not in force yet; empty where nothing is new
    struct tokens tokens;
    struct tls_trust *trust;
    struct tls_identity *identity;
};

static int read_news(const struct auth *auth, const struct secret *files, unsigned changed,
                     struct news *ret, struct err *err) {
    const unsigned identity = 1U << CERTIFICATE | 1U << KEY;
    if ((changed & 1U << TOKEN) &&
        tokens_parse(&files[TOKEN], auth->files[TOKEN], &ret->tokens, err))
        return -1;
    if ((changed & 1U << CA) && tls_trust_read(files[CA].data, &ret->trust, err))
        return err_wrap(err, "%.200s", auth->files[CA]);
    if ((changed & identity) &&
        tls_identity_read(files[CERTIFICATE].data, files[KEY].data, &ret->identity, err))
        return err_wrap(err, "%.200s", auth->files[CERTIFICATE]);
    return 0;
}

static void bring_into_force(struct auth *auth, struct news *news) {
    if (news->tokens.n)
        derive(auth, &news->tokens);
    if (news->trust) {
        tls_trust_drop(&auth->trust);
        auth->trust = take_ptr(news->trust);
    }
    if (news->identity)
        tls_identity_show(take_ptr(news->identity));
}

// Which of them is another than before.
static unsigned compare(const struct auth *auth, const struct secret *files,
                        char hashes[FILES][AUTH_HASH_LEN + 1]) {
    unsigned changed = 0;
    for (int i = 0; i < FILES; i++) {
        auth_hash_of(files[i].data, files[i].len, hashes[i]);
        if (files[i].data && strcmp(hashes[i], auth->hashes[i]) != 0)
            changed |= 1U << i;
    }
    return changed;
}

// All of it or nothing: a token that holds beside a CA that does not is what nobody has set up.
static int take(struct auth *auth, const struct secret *files, unsigned changed, struct err *err) {
    struct news news = {0};
    int failed = read_news(auth, files, changed, &news, err);
    if (!failed)
        bring_into_force(auth, &news);
    tls_trust_drop(&news.trust); // the identity is read last: none is left over
    tokens_wipe(&news.tokens);
    return failed;
}

static int read_files(struct auth *auth, struct secret files[FILES], struct err *err) {
    for (int i = 0; i < FILES; i++)
        if (auth->files[i] && secrets_read(auth->files[i], &files[i], err))
            return err_wrap(err, "%s", names[i]);
    return 0;
}

// Answers 1 where something is another than before.
static int read_all(struct auth *auth, struct err *err) {
    struct secret files[FILES] = {{0}};
    char hashes[FILES][AUTH_HASH_LEN + 1];
    int failed = read_files(auth, files, err);
    unsigned changed = failed ? 0 : compare(auth, files, hashes);
    if (!failed && changed)
        failed = take(auth, files, changed, err);
    for (int i = 0; i < FILES; i++)
        secrets_wipe(&files[i]);
    if (failed || !changed)
        return failed;
    memcpy(auth->hashes, hashes, sizeof hashes);
    return 1;
}

static void look(void *arg) {
    struct auth *auth = arg;
    struct err err = ERR_INIT;
    int rc = read_all(auth, &err);
    if (rc < 0 && strcmp(err.text, auth->trouble.text) != 0)
        log_warn("auth %s (all stays as it is; looked at again every 2 s)", err.text);
    if (rc > 0)
        log_info("auth files changed tokens=%zu", auth->n);
    auth->trouble = err;
    loop_timer_start(auth->loop, &auth->look, LOOK_MS, look, auth);
}

// ---- the door ----

int auth_open(struct loop *loop, const struct auth_files *files, const char *cluster,
              const char *pod_id, struct auth **ret, struct err *err) {
    const char *const paths[FILES] = {files->token, files->certificate, files->key, files->ca};
    struct auth *auth = xnew(struct auth);
    auth->loop = loop;
    auth->cluster = xstrdup(cluster);
    auth->pod = xstrdup(pod_id);
    for (int i = 0; i < FILES; i++)
        auth->files[i] = paths[i] ? xstrdup(paths[i]) : NULL;
    if (read_all(auth, err) < 0) {
        auth_close(auth);
        return -1;
    }
    if (files->token || files->key)
        loop_timer_start(loop, &auth->look, LOOK_MS, look, auth);
    *ret = auth;
    return 0;
}

void auth_close(struct auth *auth) {
    if (!auth)
        return;
    loop_timer_stop(&auth->look);
    if (auth->files[KEY])
        tls_identity_show(NULL);
    tls_trust_drop(&auth->trust);
    for (int i = 0; i < FILES; i++)
        free(auth->files[i]);
    free(auth->cluster);
    free(auth->pod);
    explicit_bzero(auth, sizeof *auth);
    free(auth);
}

const char *auth_cluster(const struct auth *auth) {
    return auth->cluster;
}

const char *auth_pod(const struct auth *auth) {
    return auth->pod;
}

bool auth_signs(const struct auth *auth) {
    return auth && auth->n;
}

bool auth_tls(const struct auth *auth) {
    return auth && auth->files[KEY];
}

struct tls_trust *auth_trust(const struct auth *auth) {
    return auth ? auth->trust : NULL;
}

const struct auth_key *auth_key(const struct auth *auth, enum auth_role role) {
    return auth_signs(auth) ? &auth->keys[0][role] : NULL;
}

const struct auth_key *auth_find(const struct auth *auth, const struct auth_text *text,
                                 const char *said, enum auth_role *ret_role) {
    for (size_t i = 0; i < auth->n; i++)
        for (int role = 0; role < AUTH_ROLES; role++)
            if (auth_matches(&auth->keys[i][role], text, said)) {
                *ret_role = (enum auth_role)role;
                return &auth->keys[i][role];
            }
    return NULL;
}
