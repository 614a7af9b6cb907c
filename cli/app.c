#include "cli/app.h"
#include "base/check.h"
#include "base/own.h"
#include <stdlib.h>
#include <string.h>

// Of one variable with its name, by Linux (MAX_ARG_STRLEN).
enum { VARIABLE_MAX = 128 * 1024 };

void app_done(struct app *app) {
    free(app->id);
    free(app->cluster);
    json_decref(app->json);
    *app = (struct app){0};
}

// ---- merging ----

static json_t *joined(const json_t *left, const json_t *right) {
    json_t *all = json_deep_copy(left), *copy = json_deep_copy(right);
    CHECK(json_array_extend(all, copy) == 0);
    json_decref(copy);
    return all;
}

json_t *app_merge(const json_t *left, const json_t *right) {
    if (!json_is_object(right) || !json_is_object(left))
        return json_deep_copy(right);
    json_t *all = json_deep_copy(left), *theirs;
    const char *key;
    json_object_foreach((json_t *)right, key, theirs) {
        const json_t *ours = json_object_get(left, key);
        json_t *value = json_is_object(ours)                           ? app_merge(ours, theirs)
                        : json_is_array(ours) && json_is_array(theirs) ? joined(ours, theirs)
                                                                       : json_deep_copy(theirs);
        CHECK(json_object_set_new(all, key, value) == 0);
    }
    return all;
}

// ---- overrides and settings ----

static void check_overrides(struct tree *tree) {
    const json_t *all = tree_json(tree);
    const char *key;
    json_t *it;
    if (!json_is_object(all))
        tree_complain(tree, "", "must be a map of clusters, like `marathon.kafka: {...}`");
    json_object_foreach((json_t *)all, key, it) if (!json_is_object(it))
        tree_complain(tree, "", "%.100s must be a map of settings", key);
}

json_t *app_overrides(char *const *paths, struct text *report, struct err *err) {
    auto_json json_t *all = json_object();
    for (; paths && *paths; paths++) {
        struct tree *tree = tree_load(*paths, report, err);
        if (!tree)
            return NULL;
        check_overrides(tree);
        int failed = tree_tell(tree, report, err);
        if (!failed)
            CHECK(json_object_update(all, (json_t *)tree_json(tree)) == 0);
        tree_free(tree);
        if (failed)
            return NULL;
    }
    return take_ptr(all);
}

static void find_nulls(struct tree *tree, const json_t *settings, const char *path) {
    const char *key;
    json_t *it;
    json_object_foreach((json_t *)settings, key, it) {
        auto_free char *here = xasprintf("%s.%s", path, key);
        if (json_is_null(it))
            tree_complain(tree, here, "has no value; give it one here or with -o");
        else
            find_nulls(tree, it, here);
    }
}

json_t *app_settings(struct tree *tree, const json_t *settings, const struct app_wish *wish,
                     const char *cluster) {
    const json_t *over = cluster ? json_object_get(wish->overrides, cluster) : NULL;
    json_t *all = over ? app_merge(settings, over) : json_deep_copy(settings);
    find_nulls(tree, all, "settings");
    return all;
}

// ---- names ----

// A part of a path of Marathon's: lower case, digits, '-' within, '.' between such words.
static bool is_name(const char *s) {
    bool inside = false, dash = false;
    for (; *s; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9');
        if (!letter && (!inside || (*s != '-' && *s != '.') || (*s == '.' && dash)))
            return false;
        dash = *s == '-';
        inside = letter || dash;
    }
    return inside && !dash;
}

void app_name(struct tree *tree, const char *at, const char *cluster, const char *namespace_,
              const struct app_wish *wish, struct app *ret) {
    static const char why[] = "cannot be a part of an id of Marathon's: lower-case letters, digits "
                              "and '-' alone, no '_', and neither end a '-'";
    bool suffixed = wish->suffix && *wish->suffix;
    auto_free char *name = xasprintf("%s%s%s", cluster, suffixed ? "-" : "",
                                     suffixed ? wish->suffix : "");
    if (!is_name(name))
        tree_complain(tree, at, "\"%.100s\" %s", name, why);
    if (!is_name(namespace_) || strchr(namespace_, '.'))
        tree_complain(tree, wish->namespace_ ? "" : "namespace", "the namespace \"%.100s\" %s",
                      namespace_, why);
    struct tm tm;
    char stamp[32];
    localtime_r(&wish->stamp, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%d-%H-%M-%S", &tm);
    ret->cluster = xasprintf("%s.%s", namespace_, name);
    ret->id = xasprintf("ochopod.%s-%s", ret->cluster, stamp);
}

// ---- the app ----

static void add_mapping(json_t *list, int port, int host, bool udp) {
    CHECK(
        json_array_append_new(list, json_pack("{s:i, s:i, s:s}", "containerPort", port, "hostPort",
                                              host, "protocol", udp ? "udp" : "tcp")) == 0);
}

json_t *app_mappings(int control, const struct spec_port *ports, size_t n) {
    json_t *list = json_array();
    int host = 0;
    for (size_t i = 0; i < n; i++)
        host = ports[i].port == control && !ports[i].udp ? ports[i].host : host;
    add_mapping(list, control, host, false);
    for (size_t i = 0; i < n; i++)
        if (ports[i].port != control || ports[i].udp)
            add_mapping(list, ports[i].port, ports[i].host, ports[i].udp);
    return list;
}

// The ports of a `verbatim` in the older shape move to where the newer one has them; its network
// is the one that we make.
static void renew_shape(json_t *app) {
    json_t *container = json_object_get(app, "container");
    json_t *docker = json_object_get(container, "docker");
    json_t *older = json_object_get(docker, "portMappings");
    json_t *newer = json_object_get(container, "portMappings");
    if (json_is_array(older) && json_is_array(newer))
        CHECK(json_array_extend(newer, older) == 0);
    json_object_del(docker, "portMappings");
    json_object_del(docker, "network");
}

// Marathon's default, where a list says none.
static bool is_on_host(const json_t *networks) {
    const json_t *first = json_array_get(networks, 0);
    return json_is_array(networks) && (!first || strcmp(json_text(first, "mode"), "host") == 0);
}

static bool is_listed(const json_t *list, const json_t *port) {
    size_t i;
    json_t *it;
    json_array_foreach((json_t *)list, i, it) {
        const char *is = json_text(it, "protocol"), *other = json_text(port, "protocol");
        if (json_equal(json_object_get(it, "port"), json_object_get(port, "port")) &&
            strcmp(*is ? is : "tcp", *other ? other : "tcp") == 0)
            return true;
    }
    return false;
}

// *required: it is to have this very number at the host.
static json_t *definition_of(struct tree *tree, const json_t *mapping, bool *required) {
    json_t *port = json_object_get(mapping, "containerPort");
    json_int_t own = json_integer_value(port);
    json_int_t host = json_integer_value(json_object_get(mapping, "hostPort"));
    if (host && host != own)
        tree_complain(tree, "ports",
                      "\"%lld %lld\" cannot be on the host's network, where a port has one number: "
                      "\"%lld *\", and what binds it says so too",
                      (long long)own, (long long)host, (long long)host);
    *required = *required || host;
    return json_pack("{s:O, s:O*, s:O*, s:O*}", "port", port, "protocol",
                     json_object_get(mapping, "protocol"), "name", json_object_get(mapping, "name"),
                     "labels", json_object_get(mapping, "labels"));
}

// On the host's network nothing is mapped: ports are asked for, each by the number that the pod
// knows it by. Marathon allots any to each of them, or none is another than its number.
static void define_ports(struct tree *tree, json_t *app) {
    json_t *container = json_object_get(app, "container"), *mapping;
    json_t *asked = json_object_get(app, "portDefinitions");
    json_t *list = json_is_array(asked) ? json_deep_copy(asked) : json_array();
    bool required = false;
    size_t i;
    json_array_foreach(json_object_get(container, "portMappings"), i, mapping) {
        auto_json json_t *port = definition_of(tree, mapping, &required);
        if (!is_listed(list, port ? port : mapping))
            CHECK(json_array_append(list, port ? port : mapping) == 0);
    }
    json_object_del(container, "portMappings");
    CHECK(json_object_set_new(app, "portDefinitions", list) == 0);
    if (required)
        CHECK(json_object_set_new(app, "requirePorts", json_true()) == 0);
}

json_t *app_over(struct tree *tree, const json_t *verbatim, const json_t *made) {
    json_t *app = app_merge(verbatim, made);
    renew_shape(app);
    // An app is in one network: the one that was asked for.
    json_t *networks = json_object_get(verbatim, "networks");
    if (networks)
        CHECK(json_object_set_new(app, "networks", json_deep_copy(networks)) == 0);
    if (is_on_host(networks))
        define_ports(tree, app);
    return app;
}

void app_check_size(struct tree *tree, const json_t *app) {
    const char *key;
    json_t *it;
    json_object_foreach(json_object_get(app, "env"), key, it) {
        size_t len = strlen(key) + 1 + json_string_length(it) + 1;
        if (len > VARIABLE_MAX)
            tree_complain(tree, "",
                          "the variable %.60s would be %zu KiB, and Linux takes %d KiB; make %s "
                          "smaller, or put them into the image",
                          key, (len + 1023) / 1024, VARIABLE_MAX / 1024,
                          strcmp(key, "OCHOPOD_SPEC") == 0 ? "spec and templates" : "settings");
    }
}

// ---- the file ----

int app_read(const char *path, const struct app_wish *wish, struct app *ret, struct text *report,
             struct err *err) {
    struct app app = {.file = path, .pods = wish->pods > 0 ? wish->pods : 1};
    struct tree *tree = tree_load(path, report, err);
    if (!tree)
        return -1;
    const json_t *root = tree_json(tree);
    int failed;
    if (!json_is_object(root) || !json_object_size(root)) {
        tree_complain(tree, "", "says nothing; cluster and image, or cluster and workload");
        failed = tree_tell(tree, report, err);
    } else if (json_object_get(root, "workload")) {
        failed = app_from_pod(path, tree, wish, &app, report, err);
    } else {
        failed = app_from_ochothon(tree, wish, &app, report, err);
    }
    tree_free(tree);
    if (failed)
        app_done(&app);
    else
        *ret = app;
    return failed;
}
