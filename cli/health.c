// Runs every ten seconds in every sidecar: one blocking socket, no loop, no libraries to set up,
// but where the control port speaks TLS.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "base/http.h"
#include "cli/cli.h"
#include "cli/send.h"
#include "cli/signer.h"
#include "sidecar/spec/spec.h"
#include "sidecar/state/state.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { TIMEOUT_MS = 2000 };
extern char **environ;

struct where {
    char *host, *port;
    bool tls;
};

static void where_done(struct where *w) {
    free(w->host);
    free(w->port);
}

// The address that the sidecar of this container listens on. A spec that cannot be read is told by
// the sidecar, not here.
static void find_local(struct where *w) {
    struct spec_flags flags = {.port = -1};
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    const char *port = getenv("OCHOPOD_PORT") ? getenv("OCHOPOD_PORT") : getenv("ochopod_port");
    if (spec_load(&flags, environ, &spec, &report, NULL)) {
        *w = (struct where){.host = xstrdup("127.0.0.1"),
                            .port = xstrdup(port && *port ? port : "8080")};
        return;
    }
    bool any4 = strcmp(spec->listen, "0.0.0.0") == 0, any6 = strcmp(spec->listen, "::") == 0;
    w->host = xstrdup(any4 ? "127.0.0.1" : any6 ? "::1" : spec->listen);
    w->port = xasprintf("%d", state_control(spec->state_dir, spec->port));
    w->tls = spec->tls.key_file;
    spec_free(spec);
}

static void find_url(const char *url, struct where *w) {
    w->tls = text_starts(url, "https://");
    const char *host = url + strlen(w->tls ? "https://" : "http://");
    bool v6 = *host == '[';
    size_t len = v6 ? strcspn(++host, "]") : strcspn(host, ":/");
    const char *rest = host + len + (v6 && host[len]);
    w->host = xstrndup(host, len);
    w->port = *rest == ':' ? xstrndup(rest + 1, strcspn(rest + 1, "/"))
                           : xstrdup(w->tls ? "443" : "80");
}

static int connect_to(const struct where *w, int64_t timeout_ms, struct err *err) {
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo(w->host, w->port, &want, &found);
    if (rc)
        return err_set(err, ERR_RETRY, "%s: %s", w->host, gai_strerror(rc));
    struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    auto_fd int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
              connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    int why = errno;
    freeaddrinfo(found);
    return ok ? take_fd(fd) : err_errno(err, ERR_RETRY, why, "%s:%s", w->host, w->port);
}

static int ask(const struct where *w, int64_t timeout_ms, struct err *err) {
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: ocho\r\nConnection: close\r\n\r\n";
    auto_fd int fd = connect_to(w, timeout_ms, err);
    if (fd < 0)
        return -1;
    char reply[1024];
    size_t len = 0;
    ssize_t n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
    while (n > 0 && len < sizeof(reply) - 1 && !memchr(reply, '\n', len)) {
        n = recv(fd, reply + len, sizeof(reply) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    }
    reply[len] = '\0';
    if (text_starts(reply, "HTTP/1.1 200 "))
        return 0;
    reply[strcspn(reply, "\r\n")] = '\0';
    return err_set(err, ERR_RETRY, "%s:%s: %.80s", w->host, w->port, *reply ? reply : "no answer");
}

// ---- over TLS ----

struct asking {
    struct loop *loop;
    struct err err;
};

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct asking *asking = arg;
    loop_quit(asking->loop);
    if (err->kind)
        err_copy(&asking->err, err);
    else if (reply->status != 200)
        err_set(&asking->err, ERR_RETRY, "/livez answered %d", reply->status);
}

// Ourselves, so a certificate of ours is enough, whatever its name.
static int ask_tls(const struct where *w, int64_t timeout_ms, struct err *err) {
    struct signer *signer = NULL;
    if (signer_open(&signer, err))
        return -1;
    struct asking asking = {.loop = loop_create()};
    struct http *http = http_create(asking.loop, 1, 0);
    bool v6 = strchr(w->host, ':');
    auto_free char *url = xasprintf("https://%s%s%s:%s/livez", v6 ? "[" : "", w->host,
                                    v6 ? "]" : "", w->port);
    const struct http_request request = {.url = url,
                                         .timeout_ms = timeout_ms,
                                         .fresh = true,
                                         .trust = signer_trust(signer),
                                         .tls_name = ""};
    send_request(http, &request, on_reply, &asking);
    loop_run(asking.loop);
    http_free(http);
    loop_free(asking.loop);
    signer_close(signer);
    return asking.err.kind ? err_copy(err, &asking.err) : 0;
}

static int run(const struct cli_options *options) {
    __attribute__((cleanup(where_done))) struct where where = {0};
    struct err err = ERR_INIT;
    if (options->url)
        find_url(options->url, &where);
    else
        find_local(&where);
    int64_t ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    if (where.tls ? ask_tls(&where, ms, &err) : ask(&where, ms, &err)) {
        fprintf(stderr, "ocho: %s\n", err.text);
        return EXIT_SOME;
    }
    return EXIT_DONE;
}

const struct verb health_verb = {
    .name = "health",
    .args = "",
    .summary = "is the sidecar of this container alive (GET /livez)",
    .details = "For HEALTHCHECK: the port is the spec's or the environment's, as for the sidecar.\n"
               "Status 0 or 1; two seconds at most unless -t says otherwise.\n",
    .options = "tu",
    .run = run};
