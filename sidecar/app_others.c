#include "sidecar/app_others.h"
#include "sidecar/app_portal.h"
#include "base/check.h"
#include "sidecar/pod/place.h"
#include "sidecar/render/render.h"
#include "sidecar/secrets.h"
#include "sidecar/uploads.h"
#include <stdlib.h>

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

int app_others(const struct spec *spec, const char *pod_id, struct app_others *ret,
               struct err *err) {
    return start_runner(spec, pod_id, ret, err) || start_portal(spec, ret, err) ? -1 : 0;
}

void app_others_done(struct app_others *others) {
    free(others->writes);
    free(others->readable);
    app_portal_program_done(&others->portal_program);
}
