#include "sidecar/app_others.h"
#include "sidecar/app_portal.h"
#include "base/check.h"
#include "base/log.h"
#include "base/names.h"
#include "bindings/bindings.h"
#include "sidecar/child.h"
#include "sidecar/pod/place.h"
#include "sidecar/render/render.h"
#include "sidecar/sandbox.h"
#include "sidecar/secrets.h"
#include "sidecar/uploads.h"
#include <sys/socket.h>
#include <unistd.h>

// ---- names ----

// As another user than root it must still read what says whom to ask.
static void choose_user(struct sandbox_user *user) {
    if (!user->leaves)
        return;
    sandbox_user_resolves(user);
    if (!user->leaves)
        log_info("names stays root: %s", user->why);
}

// An engine mounts these files into a container, where they stay what they are. On a host they are
// replaced, also at the other end of a link: there it is the folders.
static int confine_names(struct err *err) {
    static const char *const folders[] = {
        "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/connman",
        NULL};
    const char *const *read = binding_in_container() ? sandbox_resolver : folders;
    return sandbox_files(read, NULL, err) < 0 || sandbox_filter(SANDBOX_NAMES, err) ? -1 : 0;
}

static void serve_names(const int *fds, void *arg) {
    struct err err = ERR_INIT;
    choose_user(arg);
    if (sandbox_drop_until(arg, &err) || sandbox_become(arg, &err) || sandbox_memory(&err) ||
        confine_names(&err)) {
        log_err("names %s", err.text);
        _exit(1);
    }
    names_serve(fds[0]);
}

static int start_names(struct app_others *o, struct err *err) {
    const struct child child = {.name = "ochopod-names",
                                .types = {SOCK_SEQPACKET},
                                .serve = serve_names,
                                .arg = &o->names_user};
    pid_t pid;
    int fds[CHILD_FDS_MAX];
    if (child_start(&child, &pid, fds, err))
        return -1;
    o->names = fds[0];
    return 0;
}

// ---- the runner, which is also the clerk ----

// Which files of the spec the worker may ask for, while it runs, by secrets_read.
static const char **readable_of(const struct spec *spec) {
    const char *const named[] = {spec->token_file, spec->tls.certificate_file, spec->tls.key_file,
                                 spec->tls.ca_file};
    size_t n = 0, max = sizeof named / sizeof *named;
    const char **list = xcalloc(max + 1, sizeof *list);
    for (size_t i = 0; i < max; i++)
        if (named[i])
            list[n++] = named[i];
    return list;
}

static const char **writes_of(const struct spec *spec) {
    const char **list = xcalloc(spec->files_len + 2, sizeof *list);
    list[0] = spec->state_dir;
    for (size_t i = 0; i < spec->files_len; i++)
        list[i + 1] = spec->files[i].target;
    return list;
}

static int start_runner(const struct spec *spec, const char *pod_id, struct app_others *o,
                        struct err *err) {
    o->readable = readable_of(spec);
    o->writes = writes_of(spec);
    o->state = (struct state_duty){spec->state_dir, pod_id};
    const struct clerk_duty duties[] = {
        {STATE_READ, state_read_duty, spec->state_dir},
        {STATE_WRITE, state_write_duty, &o->state},
        {UPLOADS_WRITE, uploads_write_duty, spec->state_dir},
        {UPLOADS_REMOVE, uploads_remove_duty, spec->state_dir},
        {PLACE_START, place_start_duty, NULL},
        {SECRETS_READ, secrets_read_duty, o->readable},
        {0},
    };
    _Static_assert(sizeof duties <= sizeof o->duties, "room for all duties");
    for (size_t i = 0; i < sizeof duties / sizeof *duties; i++)
        o->duties[i] = duties[i];
    o->runner_setup = (struct runner_setup){.name = "ochopod-runner",
                                            .functions = render_functions,
                                            .duties = o->duties,
                                            .sandbox = SANDBOX_RUNNER,
                                            .writes = o->writes,
                                            .spec = spec};
    return runner_start(&o->runner_setup, &o->runner, err);
}

static int start_portal(const struct spec *spec, struct app_others *o, struct err *err) {
    static const struct runner_function none[] = {{0}};
    static const char *const nowhere[] = {NULL};
    if (!spec->portal)
        return 0;
    if (app_portal_program(spec, &o->portal_program, err))
        return -1;
    o->portal_setup = (struct runner_setup){.name = "ochopod-portal",
                                            .functions = none,
                                            .sandbox = SANDBOX_PORTAL,
                                            .writes = nowhere,
                                            .spec = spec,
                                            .program = &o->portal_program};
    return runner_start(&o->portal_setup, &o->portal, err);
}

int app_others(const struct spec *spec, const char *pod_id, const struct sandbox_user *user,
               struct app_others *ret, struct err *err) {
    ret->names = -1;
    ret->names_user = *user;
    return start_names(ret, err) || start_runner(spec, pod_id, ret, err) ||
                   start_portal(spec, ret, err)
               ? -1
               : 0;
}

void app_others_done(struct app_others *others) {
    if (others->names > 0)
        close(others->names);
    free(others->writes);
    free(others->readable);
    app_portal_program_done(&others->portal_program);
}
