// Headers for a request that somebody else sends, curl above all. Which key is wanted and which pod
// answers there the pod says itself, to a request that is not signed.
#include "base/check.h"
#include "base/http.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/send.h"
#include "cli/signer.h"
#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 5000 };

struct asking {
    struct loop *loop;
    struct signer_challenge from;
    struct err err;
};

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct asking *asking = arg;
    loop_quit(asking->loop);
    if (err->kind)
        err_copy(&asking->err, err);
    else if (!signer_challenge_read(http_header(reply, "WWW-Authenticate"), &asking->from))
        err_set(&asking->err, ERR_RETRY, "/info answered %d and asks for no signature",
                reply->status);
}

static int find_pod(const struct signer *signer, const char *url, int64_t timeout_ms,
                    struct signer_challenge *ret, struct err *err) {
    const char *host = strstr(url, "://");
    size_t base = host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/") : 0;
    auto_free char *info = xasprintf("%.*s/info", (int)base, url);
    struct asking asking = {.loop = loop_create()};
    struct http *http = http_create(asking.loop, 1, 0);
    struct http_request request = {
        .url = info,
        .timeout_ms = timeout_ms < 0 ? WAIT_MS : timeout_ms,
        .fresh = true,
        .trust = signer_trust(signer),
        .tls_name = signer_tls_name(),
    };
    send_request(http, &request, on_reply, &asking);
    loop_run(asking.loop);
    http_free(http);
    loop_free(asking.loop);
    *ret = asking.from;
    return asking.err.kind ? err_copy(err, &asking.err) : 0;
}

static void print(const struct signer *signer, const struct signer_challenge *from,
                  char *const *args) {
    auto_free char *target = xasprintf("X-Ochopod-Target: %s", from->pod);
    const char *headers[8] = {target};
    size_t n = 1;
    for (char *const *header = args + 2; *header; header++)
        headers[n++] = *header;
    struct auth_call call;
    signer_sign(signer, &call, from->cluster, args[0], args[1], headers, "", 0);
    for (size_t i = 0; call.headers[i]; i++)
        puts(call.headers[i]);
}

static int run(const struct cli_options *options) {
    struct signer *signer = NULL;
    struct signer_challenge from = {.cluster = ""};
    struct err err = ERR_INIT;
    if (signer_open(&signer, &err))
        return cli_fail(&err);
    int failed = signer_signs(signer)
                     ? find_pod(signer, options->args[1], options->timeout_ms, &from, &err)
                     : err_set(&err, ERR_USER,
                               "with what? OCHOPOD_TOKEN_FILE names a file that "
                               "holds the token");
    if (!failed)
        print(signer, &from, options->args);
    signer_close(signer);
    return failed ? cli_fail(&err) : EXIT_DONE;
}

const struct verb sign_verb = {
    .name = "sign",
    .args = "METHOD URL [HEADER...]",
    .summary = "headers that sign a request of curl's to a pod",
    .details = "Prints them, one a line, for a request without a body; they are good once, within "
               "five minutes.\nOther headers that curl will send and that are signed (X-Shell, "
               "X-Ochopod-Budget-Ms) are\nsaid here and come out with the others. Method GET is "
               "signed to read, others to steer.\n"
               "Example: url=http://10.0.0.7:8080/control/off\n"
               "         ocho sign POST $url | curl -X POST -H @- $url\n",
    .options = "td",
    .args_min = 2,
    .args_max = 6,
    .run = run};
