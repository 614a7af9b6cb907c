#include "base/check.h"
#include "base/own.h"
#include "cli/app.h"
#include "cli/image.h"
#include "sidecar/render/render.h"
#include <stdlib.h>
#include <string.h>

// A pod.yaml as an app: the sidecar's image, with the spec in OCHOPOD_SPEC. An agent has none of
// the files beside it, so the templates stand in it.

#define SIDECAR "ochopod/sidecar:latest"
#define SOCKET  "/var/run/docker.sock"

// What the sidecar needs beyond its workload's grace, and what it has where nothing is said.
enum { MARGIN_S = 2, GRACE_S = 10, OWN_MEMORY = 32 * 1024 * 1024, MIB = 1024 * 1024 };

static struct spec *load(const char *path, struct text *report, struct err *err) {
    static char *const nothing[] = {NULL}; // this shell's variables are not the pod's
    struct spec_flags flags = {.spec = path, .port = -1};
    struct spec *spec = NULL;
    if (spec_load(&flags, nothing, &spec, report, err))
        return NULL;
    if (render_check(spec, report, err) == 0)
        return spec;
    spec_free(spec);
    return NULL;
}

// The text of each file instead of its name. Those of spec and of the text are in the same order.
static json_t *inlined(const struct tree *tree, const struct spec *spec) {
    json_t *root = tree_as_written(tree), *files = json_object_get(root, "files");
    json_object_del(root, "verbatim");
    for (size_t i = 0; i < spec->files_len; i++) {
        json_t *file = json_array_get(files, i);
        json_object_del(file, "template");
        CHECK(json_object_set_new(file, "content", json_string(spec->files[i].content)) == 0);
    }
    return root;
}

// -r is of the workload's image.
static void release(json_t *root, const char *tag) {
    json_t *workload = json_object_get(root, "workload");
    const char *image = json_text(workload, "image");
    if (!tag || !*image)
        return;
    auto_free char *other = image_with_tag(image, tag);
    CHECK(json_object_set_new(workload, "image", json_string(other)) == 0);
}

// What goes out is read once more, as the sidecar will.
static int check_text(const char *text, struct text *report, struct err *err) {
    struct spec *again = NULL;
    int failed = spec_parse(text, strlen(text), "OCHOPOD_SPEC", "/nonexistent", NULL, NULL, &again,
                            report, err);
    spec_free(failed ? NULL : again);
    return failed;
}

static int64_t kill_grace(const struct spec *spec) {
    bool given = spec->workload.stop.grace_given;
    return given ? (spec->workload.stop.grace + 999) / 1000 + MARGIN_S : GRACE_S;
}

static void add_parameter(json_t *list, const char *key, const char *value) {
    CHECK(json_array_append_new(list, json_pack("{s:s, s:s}", "key", key, "value", value)) == 0);
}

static json_t *parameters(const struct spec *spec) {
    json_t *list = json_array();
    for (char **at = spec->workload.volumes; at && *at; at++)
        add_parameter(list, "volume", *at);
    auto_free char *timeout = xasprintf("%lld", (long long)kill_grace(spec));
    add_parameter(list, "stop-timeout", timeout);
    return list;
}

static void add_volume(json_t *list, const char *host, const char *path, const char *mode) {
    CHECK(json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "containerPath", path,
                                                "hostPath", host, "mode", mode)) == 0);
}

// The engine, and, where the spec does not say it, where an agent keeps the address of ZooKeeper.
static json_t *volumes(const struct spec *spec, const struct app_wish *wish) {
    json_t *list = json_array();
    add_volume(list, wish->socket ? wish->socket : SOCKET, SOCKET, "RW");
    if (!spec->zk) {
        add_volume(list, "/etc/mesos", "/etc/mesos", "RO");
        add_volume(list, "/opt/mesosphere", "/opt/mesosphere", "RO");
    }
    return list;
}

// The workload runs beside the task and not in it; what it may take is asked for here all the same.
static void set_limits(json_t *app, const struct spec_limits *limits) {
    if (limits->memory)
        json_object_set_new(app, "mem", json_integer((limits->memory + OWN_MEMORY) / MIB));
    if (limits->nano_cpus)
        json_object_set_new(app, "cpus", json_real((double)limits->nano_cpus / 1e9));
}

static json_t *make(const struct spec *spec, const struct app *app, const char *namespace_,
                    const char *text, const struct app_wish *wish) {
    json_t *made = json_pack(
        "{s:s, s:I, s:I, s:{s:s, s:s, s:s}, s:[{s:s}], s:{s:s, s:{s:b, s:s, s:o}, s:o, s:o}}", "id",
        app->id, "instances", (json_int_t)app->pods, "taskKillGracePeriodSeconds",
        (json_int_t)kill_grace(spec), "env", "OCHOPOD_SPEC", text, "ochopod_cluster",
        app->cluster + strlen(namespace_) + 1, "ochopod_namespace", namespace_, "networks", "mode",
        "container/bridge", "container", "type", "DOCKER", "docker", "forcePullImage",
        wish->pull == 1, "image", wish->image ? wish->image : SIDECAR, "parameters",
        parameters(spec), "portMappings", app_mappings(spec->port, spec->ports, spec->ports_len),
        "volumes", volumes(spec, wish));
    CHECK(made);
    set_limits(made, &spec->workload.limits);
    return made;
}

// Ochopod's settings come with -o alone.
static void add_settings(json_t *made, const json_t *settings) {
    auto_free char *pod = json_write(settings);
    if (json_object_size(settings))
        CHECK(json_object_set_new(json_object_get(made, "env"), "pod", json_string(pod)) == 0);
}

// What is said in its environment counts more.
static bool is_alone(const struct spec *spec, const json_t *app) {
    static const char *const names[] = {"OCHOPOD_ZK", "ochopod_zk"};
    const char *zk = spec->zk ? spec->zk : "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *said = json_text(json_object_get(app, "env"), names[i]);
        zk = *said ? said : zk;
    }
    return strcmp(zk, "none") == 0;
}

static void warn_of_many(const struct app *app, struct text *report) {
    if (app->alone && app->pods > 1)
        text_addf(
            report,
            "%s: with `zk: none` these are %lld clusters of one pod each: they do not know of "
            "one another\n",
            app->file, (long long)app->pods);
}

static bool is_below(const char *file, const char *folder) {
    size_t len = strlen(folder);
    while (len && folder[len - 1] == '/')
        len--;
    return strncmp(file, folder, len) == 0 && (file[len] == '/' || !file[len]);
}

// `docker run --volume HOST:PATH[:ro]`; one without HOST is empty.
static bool is_in_parameter(const char *file, const json_t *parameter) {
    const char *key = json_text(parameter, "key"), *value = json_text(parameter, "value");
    const char *path = strcmp(key, "volume") == 0 ? strchr(value, ':') : NULL;
    auto_free char *folder = path ? xstrndup(path + 1, strcspn(path + 1, ":")) : NULL;
    return folder && is_below(file, folder);
}

static bool is_mounted(const char *file, const json_t *app) {
    const json_t *container = json_object_get(app, "container"), *it;
    size_t i;
    json_array_foreach(json_object_get(container, "volumes"), i, it) {
        if (*json_text(it, "containerPath") && is_below(file, json_text(it, "containerPath")))
            return true;
    }
    json_array_foreach(json_object_get(json_object_get(container, "docker"), "parameters"), i, it) {
        if (is_in_parameter(file, it))
            return true;
    }
    return false;
}

// The sidecar's own files; its image may have them, and mostly does not.
static void warn_of_files(const struct spec *spec, const struct app *app, struct text *report) {
    const struct {
        const char *key, *file;
    } files[] = {
        {"token_file", spec->token_file},
        {"tls.certificate_file", spec->tls.certificate_file},
        {"tls.key_file", spec->tls.key_file},
        {"tls.ca_file", spec->tls.ca_file},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].file && !is_mounted(files[i].file, app->json))
            text_addf(report,
                      "%s: %s: %s is in no volume of the app, and a task without it ends at once; "
                      "mount its folder by `verbatim`\n",
                      app->file, files[i].key, files[i].file);
}

static int build(struct tree *tree, const struct spec *spec, const struct app_wish *wish,
                 struct app *ret, struct text *report, struct err *err) {
    const char *namespace_ = wish->namespace_   ? wish->namespace_
                             : spec->namespace_ ? spec->namespace_
                                                : "marathon";
    auto_json json_t *none = json_object();
    ret->control = spec->port;
    if (spec->cluster)
        app_name(tree, "cluster", spec->cluster, namespace_, wish, ret);
    else
        tree_complain(tree, "", "cluster is missing; the app is named after it");
    if (!spec->workload.image)
        tree_complain(tree, "workload", "adopts a container, and an agent has none; say image");
    auto_json json_t *settings = app_settings(tree, none, wish, ret->cluster);
    if (tree_tell(tree, report, err))
        return -1;
    auto_json json_t *root = inlined(tree, spec);
    release(root, wish->release);
    auto_free char *text = json_write(root);
    if (check_text(text, report, err))
        return -1;
    auto_json json_t *made = make(spec, ret, namespace_, text, wish);
    add_settings(made, settings);
    const json_t *verbatim = json_object_get(tree_json(tree), "verbatim");
    ret->json = app_over(tree, verbatim ? verbatim : none, made);
    ret->alone = is_alone(spec, ret->json);
    app_check_size(tree, ret->json);
    warn_of_many(ret, report);
    warn_of_files(spec, ret, report);
    return tree_tell(tree, report, err);
}

int app_from_pod(const char *path, struct tree *tree, const struct app_wish *wish, struct app *ret,
                 struct text *report, struct err *err) {
    struct spec *spec = load(path, report, err);
    if (!spec)
        return -1;
    int failed = build(tree, spec, wish, ret, report, err);
    spec_free(spec);
    return failed;
}
