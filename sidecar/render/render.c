#include "sidecar/render/render.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/digest.h"
#include "sidecar/render/confine.h"
#include "sidecar/render/files.h"
#include "sidecar/render/judge.h"
#include "sidecar/render/template.h"
#include <string.h>

enum {
    RENDER_MS = 5000,
    RENDER_MEMORY = 256 * 1024 * 1024, // beyond what the process maps already
    RENDER_TOTAL_MAX = 16 * 1024 * 1024,
    FILES_MS = 30000, // disks are slow, not that slow
    FILES_MEMORY = 256 * 1024 * 1024,
};

// ---- what is asked ----

static json_t *strings(char *const *list) {
    if (!list)
        return json_null();
    json_t *j = json_array();
    for (; *list; list++)
        json_array_append_new(j, json_string(*list));
    return j;
}

static json_t *scope_of(const struct spec *spec, const json_t *view) {
    json_t *scope = json_copy((json_t *)view);
    CHECK(scope);
    json_object_set(scope, "env", spec->environment_);
    json_object_set(scope, "settings", spec->settings);
    return scope;
}

static json_t *request_of(const struct spec *spec, const json_t *view) {
    json_t *files = json_array();
    for (size_t i = 0; i < spec->files_len; i++) {
        const struct spec_file *f = &spec->files[i];
        json_array_append_new(files, json_pack("{sssssssisisi}", "target", f->target, "source",
                                               f->source, "text", f->content, "mode", (int)f->mode,
                                               "uid", f->uid, "gid", f->gid));
    }
    return json_pack("{sssosOsososo}", "source", spec->source, "files", files, "environment",
                     spec->workload.environment, "command", strings(spec->workload.command),
                     "entrypoint", strings(spec->workload.entrypoint), "scope",
                     scope_of(spec, view));
}

// ---- rendering ----

struct rendering {
    const json_t *request;
    size_t total;
};

static json_t *render_text(struct rendering *r, const char *name, const char *text,
                           struct err *err) {
    auto_text struct text out = {0};
    if (!strstr(text, "{{") && !strstr(text, "{%"))
        text_add(&out, text);
    else if (template_render(name, text, json_object_get(r->request, "scope"), &out, err))
        return NULL;
    r->total += out.len;
    json_t *j = memchr(text_str(&out), '\0', out.len) ? NULL
                                                      : json_stringn(text_str(&out), out.len);
    if (r->total > RENDER_TOTAL_MAX)
        err_set(err, ERR_REFUSED, "%s: everything together is larger than %d MiB", name,
                RENDER_TOTAL_MAX >> 20);
    else if (!j)
        err_set(err, ERR_REFUSED, "%s: the result is not UTF-8 text", name);
    else
        return j;
    json_decref(j);
    return NULL;
}

static json_t *render_file(struct rendering *r, const json_t *file, struct err *err) {
    char sha256[65];
    json_t *content = render_text(r, json_text(file, "source"), json_text(file, "text"), err);
    if (!content)
        return NULL;
    digest_hex(json_string_value(content), json_string_length(content), sha256);
    return json_pack("{sOsosOsOsOss}", "target", json_object_get(file, "target"), "content",
                     content, "mode", json_object_get(file, "mode"), "uid",
                     json_object_get(file, "uid"), "gid", json_object_get(file, "gid"), "sha256",
                     sha256);
}

static int render_files(struct rendering *r, json_t *ret, struct err *err) {
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(r->request, "files"), i, file) {
        json_t *it = render_file(r, file, err);
        if (!it)
            return -1;
        json_array_append_new(ret, it);
    }
    return 0;
}

static int render_environment(struct rendering *r, json_t *ret, struct err *err) {
    const char *key, *source = json_text(r->request, "source");
    json_t *value;
    json_object_foreach(json_object_get(r->request, "environment"), key, value) {
        auto_free char *name = xasprintf("%s workload.environment.%s", source, key);
        json_t *it = render_text(r, name, json_string_value(value), err);
        if (!it)
            return -1;
        json_object_set_new(ret, key, it);
    }
    return 0;
}

// A list of arguments, or null.
static json_t *render_argv(struct rendering *r, const char *key, struct err *err) {
    const json_t *list = json_object_get(r->request, key);
    if (json_is_null(list))
        return json_null();
    auto_json json_t *argv = json_array();
    size_t i;
    json_t *part;
    json_array_foreach((json_t *)list, i, part) {
        auto_free char *name = xasprintf("%s workload.%s[%zu]", json_text(r->request, "source"),
                                         key, i);
        json_t *it = render_text(r, name, json_string_value(part), err);
        if (!it)
            return NULL;
        json_array_append_new(argv, it);
    }
    return json_incref(argv);
}

static json_t *render_request(const json_t *request, struct err *err) {
    struct rendering r = {.request = request};
    auto_json json_t *files = json_array(), *environment = json_object();
    auto_json json_t *command = NULL, *entrypoint = NULL;
    if (render_files(&r, files, err) || render_environment(&r, environment, err) ||
        !(command = render_argv(&r, "command", err)) ||
        !(entrypoint = render_argv(&r, "entrypoint", err)))
        return NULL;
    return json_pack("{sOsOsOsO}", "files", files, "environment", environment, "command", command,
                     "entrypoint", entrypoint);
}

json_t *render_now(const struct spec *spec, const json_t *view, struct err *err) {
    auto_json json_t *request = request_of(spec, view);
    return render_request(request, err);
}

// ---- syntax ----

static void check_one(const char *name, const char *text, struct text *report, struct err *first) {
    struct err one = ERR_INIT;
    if (!template_check(name, text, &one))
        return;
    if (report)
        text_addf(report, "%s\n", one.text);
    if (first->kind == ERR_NONE)
        *first = one;
}

static void check_argv(const struct spec *spec, const char *key, char *const *argv,
                       struct text *report, struct err *first) {
    for (size_t i = 0; argv && argv[i]; i++) {
        auto_free char *name = xasprintf("%s workload.%s[%zu]", spec->source, key, i);
        check_one(name, argv[i], report, first);
    }
}

int render_check(const struct spec *spec, struct text *report, struct err *err) {
    struct err first = ERR_INIT;
    const char *key;
    json_t *value;
    for (size_t i = 0; i < spec->files_len; i++)
        check_one(spec->files[i].source, spec->files[i].content, report, &first);
    json_object_foreach(spec->workload.environment, key, value) {
        auto_free char *name = xasprintf("%s workload.environment.%s", spec->source, key);
        check_one(name, json_string_value(value), report, &first);
    }
    check_argv(spec, "command", spec->workload.command, report, &first);
    check_argv(spec, "entrypoint", spec->workload.entrypoint, report, &first);
    return first.kind == ERR_NONE ? 0 : err_copy(err, &first);
}

// ---- in the runner ----

static json_t *render_confined(const json_t *request, struct err *err) {
    return confine(err) ? NULL : render_request(request, err);
}

const struct runner_function render_functions[] = {
    {"render", render_confined, NULL},
    {"stage", files_stage, judge_stage},
    {"ready", files_ready, judge_pairs},
    {"swap", files_swap, judge_swap},
    {"discard", files_discard, judge_pairs},
    {"recover", files_recover, judge_recover},
    {0},
};

struct runner_job *render_start(struct runner *runner, const struct spec *spec, const json_t *view,
                                runner_json_fn *fn, void *arg) {
    auto_json json_t *request = request_of(spec, view);
    return runner_call(runner, "render", request, RENDER_MEMORY, RENDER_MS, fn, arg);
}

static struct runner_job *start_files(struct runner *runner, const char *function, json_t *argument,
                                      char *const *roots, runner_json_fn *fn, void *arg) {
    auto_json json_t *it = argument;
    json_object_set_new(it, "roots", strings(roots));
    return runner_call(runner, function, it, FILES_MEMORY, FILES_MS, fn, arg);
}

struct runner_job *render_stage(struct runner *runner, const json_t *rendering, char *const *roots,
                                const char *pod_id, runner_json_fn *fn, void *arg) {
    json_t *argument = json_pack("{sOss}", "files", json_object_get(rendering, "files"), "pod",
                                 pod_id);
    return start_files(runner, "stage", argument, roots, fn, arg);
}

struct runner_job *render_ready(struct runner *runner, const json_t *staged, char *const *roots,
                                runner_json_fn *fn, void *arg) {
    return start_files(runner, "ready", json_pack("{sO}", "staged", staged), roots, fn, arg);
}

struct runner_job *render_swap(struct runner *runner, const json_t *staged, char *const *roots,
                               const char *state_dir, runner_json_fn *fn, void *arg) {
    json_t *argument = json_pack("{sOss}", "staged", staged, "state_dir", state_dir);
    return start_files(runner, "swap", argument, roots, fn, arg);
}

struct runner_job *render_discard(struct runner *runner, const json_t *staged, char *const *roots,
                                  runner_json_fn *fn, void *arg) {
    return start_files(runner, "discard", json_pack("{sO}", "staged", staged), roots, fn, arg);
}

struct runner_job *render_recover(struct runner *runner, const struct spec *spec,
                                  char *const *roots, const char *pod_id, runner_json_fn *fn,
                                  void *arg) {
    json_t *files = json_array();
    for (size_t i = 0; i < spec->files_len; i++)
        json_array_append_new(files, json_pack("{ss}", "target", spec->files[i].target));
    json_t *argument = json_pack("{ssssso}", "state_dir", spec->state_dir, "pod", pod_id, "files",
                                 files);
    return start_files(runner, "recover", argument, roots, fn, arg);
}
