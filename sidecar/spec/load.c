#include "base/check.h"
#include "base/own.h"
#include "sidecar/spec/environ.h"
#include "sidecar/spec/shape.h"
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FOLDER "/etc/ochopod"
#define DEFAULT_PATH   DEFAULT_FOLDER "/pod.yaml"

const char *const spec_hook_names[HOOK_COUNT] = {
    [HOOK_INITIALIZE] = "initialize",     [HOOK_CAN_CONFIGURE] = "can_configure",
    [HOOK_CONFIGURE] = "configure",       [HOOK_CONFIGURED] = "configured",
    [HOOK_SANITY_CHECK] = "sanity_check", [HOOK_TEAR_DOWN] = "tear_down",
    [HOOK_SIGNALED] = "signaled",         [HOOK_FINALIZE] = "finalize",
};

// ---- one spec ----

static struct spec *create(const char *name) {
    struct spec *spec = xnew(struct spec);
    struct text source = {0};
    text_add_utf8(&source, name, strlen(name)); // it is part of what is said in JSON
    spec->source = text_take(&source);
    spec->start = true;
    spec->settings = json_object();
    spec->environment_ = json_object();
    spec->workload.environment = json_object();
    spec->workload.ready.path = xstrdup("/");
    spec->workload.check.path = xstrdup("/");
    spec->workload.on_change.timeout = 30000;
    read_defaults(&spec_keys, spec);
    return spec;
}

static void free_action(struct spec_action *action) {
    text_list_free(action->argv);
}

static void free_check(struct spec_check *check) {
    free(check->path);
    free(check->send);
    free(check->expect);
    text_list_free(check->argv);
}

static void free_workload(struct spec_workload *w) {
    char *strings[] = {w->image,          w->container.service, w->container.label,
                       w->container.name, w->container.id,      w->address,
                       w->user,           w->working_dir,       w->hostname,
                       w->network,        w->stop.signal,       w->on_change.signal};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    char **lists[] = {w->command, w->entrypoint, w->ports, w->volumes, w->on_change.argv};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        text_list_free(lists[i]);
    json_decref(w->environment);
    json_decref(w->limits.ulimits);
    free_check(&w->ready);
    free_check(&w->check);
}

static void free_lists(struct spec *spec) {
    for (size_t i = 0; i < spec->files_len; i++) {
        free(spec->files[i].target);
        free(spec->files[i].content);
        free(spec->files[i].source);
        free_action(&spec->files[i].validate);
    }
    for (size_t i = 0; i < spec->tools_len; i++) {
        free(spec->tools[i].name);
        free_action(&spec->tools[i].action);
    }
    for (size_t i = 0; i < spec->needs_len; i++)
        free(spec->needs[i].what);
    for (size_t i = 0; i < HOOK_COUNT; i++)
        free_action(&spec->hooks[i]);
    free(spec->files);
    free(spec->tools);
    free(spec->needs);
    free(spec->ports);
}

void spec_free(struct spec *spec) {
    if (!spec)
        return;
    char *strings[] = {spec->source,       spec->cluster,
                       spec->namespace_,   spec->zk,
                       spec->listen,       spec->task,
                       spec->state_dir,    spec->binding,
                       spec->application,  spec->docker_host,
                       spec->holder_image, spec->token,
                       spec->token_file,   spec->tls.certificate_file,
                       spec->tls.key_file, spec->tls.ca_file};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    text_list_free(spec->depends_on);
    free_action(&spec->probe.action);
    free_workload(&spec->workload);
    free_lists(spec);
    json_decref(spec->settings);
    json_decref(spec->environment_);
    free(spec);
}

const struct spec_tool *spec_tool(const struct spec *spec, const char *name) {
    for (size_t i = 0; i < spec->tools_len; i++)
        if (!strcmp(spec->tools[i].name, name))
            return &spec->tools[i];
    return NULL;
}

// ---- reading ----

static void read_all(struct reader *r, const struct node *root, const struct spec_flags *flags,
                     char *const *environ_, struct spec *spec) {
    struct entry whole = {.line = 1, .col = 1, .value = (struct node *)root};
    read_map(r, &spec_keys, &whole, spec);
    environ_read(environ_, spec, r->report);
    environ_flags(flags, spec, r->report);
    if (root->kind == NODE_MAP)
        verify_spec(r, &whole, spec);
}

int spec_parse(const char *text, size_t len, const char *name, const char *folder,
               const struct spec_flags *flags, char *const *environ_, struct spec **ret,
               struct text *report, struct err *err) {
    struct report complaints = {.name = name};
    struct reader r = {.report = &complaints, .name = name, .folder = folder};
    struct spec *spec = create(name);
    struct node *root = node_read(text, len, &complaints);
    if (root)
        read_all(&r, root, flags, environ_, spec);
    node_free(root);
    text_done(&r.path);
    int result = report_tell(&complaints, report, err);
    report_done(&complaints);
    if (result)
        spec_free(spec);
    else
        *ret = spec;
    return result;
}

// ---- finding the text ----

static int refuse(struct text *report, struct err *err, const char *name, const char *why) {
    struct report one = {.name = name};
    report_add(&one, 1, 1, "", "%s", why);
    int result = report_tell(&one, report, err);
    report_done(&one);
    return result;
}

static int read_file(const char *path, char **ret, size_t *ret_len, struct text *report,
                     struct err *err) {
    char *text = node_load(path, ret_len);
    if (!text) {
        auto_free char *why = xasprintf("cannot read the spec: %s; name another with --spec or "
                                        "OCHOPOD_SPEC",
                                        strerror(errno));
        return refuse(report, err, path, why);
    }
    *ret = text;
    return 0;
}

// OCHOPOD_SPEC holds a path, or the text itself.
static bool is_text(const char *s) {
    return strchr(s, '\n') || strstr(s, ": ") || *s == '{';
}

int spec_load(const struct spec_flags *flags, char *const *environ_, struct spec **ret,
              struct text *report, struct err *err) {
    const char *path = flags ? flags->spec : NULL;
    const char *said = path ? NULL : environ_find(environ_, "spec", NULL);
    if (said && is_text(said))
        return spec_parse(said, strlen(said), "OCHOPOD_SPEC", DEFAULT_FOLDER, flags, environ_, ret,
                          report, err);
    if (!path)
        path = said ? said : DEFAULT_PATH;
    auto_free char *text = NULL;
    size_t len = 0;
    if (read_file(path, &text, &len, report, err))
        return -1;
    auto_free char *copy = xstrdup(path);
    return spec_parse(text, len, path, dirname(copy), flags, environ_, ret, report, err);
}
