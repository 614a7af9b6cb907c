#include "sidecar/app_portal.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

extern char **environ;

// Beside our own program, as in the image and in a build directory.
static char *find_ocho(struct err *err) {
    char self[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? strrchr(self, '/') : NULL;
    auto_free char *path = slash ? xasprintf("%.*s/ocho", (int)(slash - self), self)
                                 : xstrdup("/usr/bin/ocho");
    if (access(path, X_OK) == 0)
        return take_ptr(path);
    err_errno(err, ERR_USER, errno, "portal: true, but the program it runs, %s, cannot be executed",
              path);
    return NULL;
}

// Its number follows.
static char *own_place(const struct spec *spec) {
    bool any = strcmp(spec->listen, "0.0.0.0") == 0 || strcmp(spec->listen, "::") == 0;
    bool v6 = !any && strchr(spec->listen, ':');
    return xasprintf("http%s://%s%s%s:", spec->tls.key_file ? "s" : "", v6 ? "[" : "",
                     any ? "127.0.0.1" : spec->listen, v6 ? "]" : "");
}

char *app_own_url(const struct spec *spec, int port) {
    auto_free char *place = own_place(spec);
    return xasprintf("%s%d", place, port);
}

// ---- what its runner may be asked for ----

// Where the spec leaves them open, ZooKeeper's address, our port and our cluster's name are for the
// worker to find out.
static void leave_open(const struct spec *spec, struct runner_program *ret) {
    bool said = spec->zk && *spec->zk;
    auto_free char *url = own_place(spec);
    if (!said)
        ret->open[0].begin = xstrdup("OCHOPOD_ZK=");
    else if (strcmp(spec->zk, "none") == 0) {
        ret->open[0].begin = xasprintf("OCHOPOD_URL=%s", url);
        ret->open[0].number = true;
        ret->open[1].begin = spec->tls.key_file ? xstrdup("OCHOPOD_TLS_NAME=") : NULL;
    }
}

int app_portal_program(const struct spec *spec, struct runner_program *ret, struct err *err) {
    ret->path = find_ocho(err);
    if (!ret->path)
        return -1;
    ret->env = portal_environment(
        &(struct portal_config){.env = environ,
                                .zk = spec->zk && *spec->zk ? spec->zk : NULL,
                                .token_file = spec->token_file,
                                .ca_file = spec->tls.ca_file});
    leave_open(spec, ret);
    return 0;
}

void app_portal_program_done(struct runner_program *program) {
    free(program->path);
    text_list_free(program->env);
    for (size_t i = 0; i < RUNNER_OPEN; i++)
        free(program->open[i].begin);
}

// ---- the portal ----

int app_portal_create(struct loop *loop, struct runner *runner, const struct spec *spec, int port,
                      const char *zk, const char *full_name, struct portal **ret, struct err *err) {
    *ret = NULL;
    if (spec->token)
        log_secret(spec->token);
    if (!spec->portal) {
        if (spec->token)
            log_info("portal off: OCHOPOD_TOKEN signs nothing else, and is not used");
        return 0;
    }
    auto_free char *ocho = find_ocho(err), *url = app_own_url(spec, port);
    if (!ocho)
        return -1;
    bool sha1 = spec->token && (!spec->token_file || spec->legacy_sha1);
    if (!sha1 && !spec->token_file)
        log_warn("portal: no OCHOPOD_TOKEN: whoever reaches port %d can steer every cluster", port);
    *ret = portal_create(loop, runner,
                         &(struct portal_config){.ocho = ocho,
                                                 .env = environ,
                                                 .zk = zk,
                                                 .url = url,
                                                 .tls_name = spec->tls.key_file ? full_name : NULL,
                                                 .token = sha1 ? spec->token : NULL,
                                                 .token_file = spec->token_file,
                                                 .ca_file = spec->tls.ca_file,
                                                 .state_dir = spec->state_dir});
    log_info("portal on=/shell runs=%s signed=%s%s", ocho, spec->token_file ? "v2" : "",
             sha1               ? spec->token_file ? ",sha1" : "sha1"
             : spec->token_file ? ""
                                : "no");
    return 0;
}
