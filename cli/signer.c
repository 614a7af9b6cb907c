#include "cli/signer.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/auth/token.h"
#include "sidecar/spec/spec.h"
#include <string.h>

extern char **environ;

struct signer {
    struct tokens tokens;
    struct tls_trust *trust;
};

static char *from_environment(const char *upper, const char *lower) {
    const char *names[] = {upper, lower};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = getenv(names[i]);
        if (path && *path)
            return xstrdup(path);
    }
    return NULL;
}

// Of this container's spec, what the environment does not say.
static void from_spec(char **token, char **ca) {
    struct spec_flags flags = {.port = -1};
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    if (spec_load(&flags, environ, &spec, &report, NULL))
        return;
    if (!*token && spec->token_file)
        *token = xstrdup(spec->token_file);
    if (!*ca && spec->tls.ca_file)
        *ca = xstrdup(spec->tls.ca_file);
    spec_free(spec);
}

static int read_token(struct signer *signer, const char *path, struct err *err) {
    if (tokens_read(path, &signer->tokens, err))
        return err_wrap(err, "OCHOPOD_TOKEN_FILE");
    for (size_t i = 0; i < signer->tokens.n; i++)
        log_secret(signer->tokens.text[i]);
    return 0;
}

static int read_ca(struct signer *signer, const char *path, struct err *err) {
    struct secret file = {0};
    if (secrets_read(path, &file, err))
        return err_wrap(err, "OCHOPOD_CA");
    int failed = tls_trust_read(file.data, &signer->trust, err);
    secrets_wipe(&file);
    return failed ? err_wrap(err, "OCHOPOD_CA %.200s", path) : 0;
}

int signer_open(struct signer **ret, struct err *err) {
    auto_free char *token = from_environment("OCHOPOD_TOKEN_FILE", "ochopod_token_file");
    auto_free char *ca = from_environment("OCHOPOD_CA", "ochopod_ca");
    if (!token || !ca)
        from_spec(&token, &ca);
    struct signer *signer = xnew(struct signer);
    if ((token && read_token(signer, token, err)) || (ca && read_ca(signer, ca, err))) {
        signer_close(signer);
        return -1;
    }
    *ret = signer;
    return 0;
}

void signer_close(struct signer *signer) {
    if (!signer)
        return;
    tokens_wipe(&signer->tokens);
    tls_trust_drop(&signer->trust);
    free(signer);
}

bool signer_signs(const struct signer *signer) {
    return signer->tokens.n;
}

struct tls_trust *signer_trust(const struct signer *signer) {
    return signer->trust;
}

// To http.h "" is anybody: an empty variable must not say that.
const char *signer_tls_name(void) {
    const char *name = getenv("OCHOPOD_TLS_NAME");
    return name && *name ? name : NULL;
}

// GET only looks.
static enum auth_role role_of(const char *method) {
    return strcmp(method, "GET") == 0 ? AUTH_READ : AUTH_OPERATOR;
}

void signer_sign(const struct signer *signer, struct auth_call *call, const char *cluster,
                 const char *method, const char *url, const char *const *headers, const void *body,
                 size_t len) {
    struct auth_key key;
    bool signs = signer && signer_signs(signer);
    if (signs)
        auth_derive(signer->tokens.text[0], role_of(method), cluster, &key);
    auth_call_sign(call, signs ? &key : NULL, true, method, url, headers, body, len);
    explicit_bzero(&key, sizeof key);
}

static bool take(const char *header, const char *name, char *ret, size_t size) {
    const char *at = strstr(header, name);
    size_t n = at ? strspn(at + strlen(name), "0123456789abcdefghijklmnopqrstuvwxyz"
                                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")
                  : 0;
    if (!n || n >= size || at[strlen(name) + n] != '"')
        return false;
    memcpy(ret, at + strlen(name), n);
    ret[n] = '\0';
    return true;
}

bool signer_challenge_read(const char *header, struct signer_challenge *ret) {
    return header && text_starts(header, "Ochopod-v2 ") &&
           take(header, "cluster=\"", ret->cluster, sizeof ret->cluster) &&
           take(header, "pod=\"", ret->pod, sizeof ret->pod);
}
