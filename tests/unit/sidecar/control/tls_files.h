// A control port over TLS, with a CA made for the test by openssl (tests/lib/certificates):
// prepare_tls and finish_tls are the group's; who wants a certificate makes it in `dir`.
#pragma once
#include "tests/unit/sidecar/control/token_file.h"

static char dir[64];

__attribute__((format(printf, 1, 2))) static void run(const char *fmt, ...) {
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (system(line))
        fail_msg("%s", line);
}

static void make_certificate(const char *where, const char *names) {
    run("%s/tests/lib/certificates %s %s", SOURCE_DIR, where, names);
}

static struct auth *make_tls(struct loop *loop) {
    char certificate[96], key[96], ca[96];
    snprintf(certificate, sizeof certificate, "%s/tls.pem", dir);
    snprintf(key, sizeof key, "%s/tls.key", dir);
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    const struct auth_files files = {
        .token = token_file, .certificate = certificate, .key = key, .ca = ca};
    struct auth *auth = NULL;
    struct err err = ERR_INIT;
    if (auth_open(loop, &files, CLUSTER, POD, &auth, &err))
        fail_msg("%s", err.text);
    return auth;
}

static int prepare_tls(void **state) {
    strcpy(dir, "/tmp/ochopod-tls-XXXXXX");
    if (!mkdtemp(dir) || prepare_token(state))
        return -1;
    make_auth = make_tls;
    return 0;
}

static int finish_tls(void **state) {
    run("rm -r %s", dir);
    return finish_token(state);
}
