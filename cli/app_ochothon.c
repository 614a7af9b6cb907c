#include "base/check.h"
#include "base/own.h"
#include "cli/app.h"
#include "cli/image.h"
#include <stdlib.h>
#include <string.h>

// Ochothon's deploy file: cluster and image, and maybe settings, ports, verbatim, debug, start.

struct file {
    const char *cluster, *image;
    json_t *settings, *verbatim; // owned
    struct spec_port *ports;     // owned; TCP 8080 first
    size_t ports_len;
    bool debug, start;
};

static void file_done(struct file *file) {
    json_decref(file->settings);
    json_decref(file->verbatim);
    free(file->ports);
}

static const char *type_of(const json_t *it) {
    static const char *const names[] = {
        [JSON_OBJECT] = "a map",     [JSON_ARRAY] = "a list",    [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "empty"};
    return names[json_typeof(it)];
}

static const char *take_string(struct tree *tree, const char *key) {
    const json_t *it = json_object_get(tree_json(tree), key);
    if (json_is_string(it) && *json_string_value(it))
        return json_string_value(it);
    if (it)
        tree_complain(tree, key, "must be a string, not %s",
                      json_is_string(it) ? "an empty one" : type_of(it));
    else
        tree_complain(tree, "", "%s is missing", key);
    return NULL;
}

static json_t *take_map(struct tree *tree, const char *key) {
    json_t *it = json_object_get(tree_json(tree), key);
    if (it && !json_is_object(it) && !json_is_null(it))
        tree_complain(tree, key, "must be a map, not %s", type_of(it));
    return json_is_object(it) ? json_incref(it) : json_object();
}

static void take_flag(struct tree *tree, const char *key, bool *ret) {
    const json_t *it = json_object_get(tree_json(tree), key);
    if (json_is_boolean(it))
        *ret = json_is_true(it);
    else if (it)
        tree_complain(tree, key, "must be true or false, not %s", type_of(it));
}

static void take_port(struct tree *tree, struct file *file, const json_t *it, const char *at) {
    struct spec_port port;
    auto_free char *text = json_is_integer(it)
                               ? xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(it))
                               : xstrdup(json_is_string(it) ? json_string_value(it) : type_of(it));
    const char *wrong = spec_port_parse(text, &port);
    if (wrong) {
        tree_complain(tree, at, "\"%.80s\" %s", text, wrong);
        return;
    }
    for (size_t i = 0; i < file->ports_len; i++) {
        struct spec_port *other = &file->ports[i];
        if (other->udp == port.udp && other->port == port.port && i == 0) {
            *other = port; // 8080, where it is to be at the host
            return;
        }
        if (other->udp == port.udp && other->port == port.port)
            tree_complain(tree, at, "%d stands here twice", port.port);
        else if (other->udp == port.udp && port.host && other->host == port.host)
            tree_complain(tree, at, "%d of the host is taken by another", port.host);
    }
    file->ports[file->ports_len++] = port;
}

static void take_ports(struct tree *tree, struct file *file) {
    const json_t *list = json_object_get(tree_json(tree), "ports");
    file->ports = xcalloc(json_array_size(list) + 1, sizeof(*file->ports));
    file->ports[file->ports_len++] = (struct spec_port){.port = 8080};
    if (list && !json_is_array(list) && !json_is_null(list))
        tree_complain(tree, "ports", "must be a list of ports, not %s", type_of(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        auto_free char *at = xasprintf("ports[%zu]", i);
        take_port(tree, file, json_array_get(list, i), at);
    }
}

// Ochothon never looked at other keys.
static void warn_unknown(struct tree *tree, const char *path, struct text *report) {
    static const char known[] = " cluster image settings ports verbatim debug start ";
    const char *key;
    json_t *it;
    json_object_foreach((json_t *)tree_json(tree), key, it) {
        auto_free char *word = xasprintf(" %s ", key);
        if (!strstr(known, word) || strchr(key, ' '))
            text_addf(report, "%s: %.80s is ignored; known here:%s\n", path, key, known);
    }
}

static void read_file(struct tree *tree, struct file *file) {
    *file = (struct file){.start = true};
    file->cluster = take_string(tree, "cluster");
    file->image = take_string(tree, "image");
    const char *wrong = file->image ? spec_wrong_image(file->image) : NULL;
    if (wrong)
        tree_complain(tree, "image", "\"%.100s\" %s", file->image, wrong);
    file->settings = take_map(tree, "settings");
    file->verbatim = take_map(tree, "verbatim");
    take_flag(tree, "debug", &file->debug);
    take_flag(tree, "start", &file->start);
    take_ports(tree, file);
}

// Where an agent keeps what a pod finds ZooKeeper by.
static json_t *agent_volumes(void) {
    return json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "containerPath", "/etc/mesos",
                     "hostPath", "/etc/mesos", "mode", "RO", "containerPath", "/opt/mesosphere",
                     "hostPath", "/opt/mesosphere", "mode", "RO");
}

static json_t *make(const struct file *file, const struct app *app, const char *namespace_,
                    const json_t *settings, const struct app_wish *wish) {
    auto_free char *image = wish->release ? image_with_tag(file->image, wish->release)
                                          : xstrdup(file->image);
    auto_free char *pod = json_write(settings);
    return json_pack(
        "{s:s, s:I, s:{s:s, s:s, s:s, s:s, s:s}, s:[{s:s}], s:{s:s, s:{s:b, s:s}, s:o, s:o}}", "id",
        app->id, "instances", (json_int_t)app->pods, "env", "ochopod_cluster",
        app->cluster + strlen(namespace_) + 1, "ochopod_debug", file->debug ? "true" : "false",
        "ochopod_start", file->start ? "true" : "false", "ochopod_namespace", namespace_, "pod",
        pod, "networks", "mode", "container/bridge", "container", "type", "DOCKER", "docker",
        "forcePullImage", wish->pull != 0, "image", image, "portMappings",
        app_mappings(8080, file->ports, file->ports_len), "volumes", agent_volumes());
}

int app_from_ochothon(struct tree *tree, const struct app_wish *wish, struct app *ret,
                      struct text *report, struct err *err) {
    const char *namespace_ = wish->namespace_ ? wish->namespace_ : "marathon";
    struct file file;
    ret->control = 8080;
    read_file(tree, &file);
    if (file.cluster)
        app_name(tree, "cluster", file.cluster, namespace_, wish, ret);
    auto_json json_t *settings = app_settings(tree, file.settings, wish, ret->cluster);
    int failed = tree_tell(tree, report, err);
    if (!failed) {
        auto_json json_t *made = make(&file, ret, namespace_, settings, wish);
        CHECK(made);
        ret->json = app_over(tree, file.verbatim, made);
        app_check_size(tree, ret->json);
        failed = tree_tell(tree, report, err);
        warn_unknown(tree, ret->file, report);
    }
    file_done(&file);
    return failed;
}
