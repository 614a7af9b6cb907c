#include "base/check.h"
#include "base/own.h"
#include "cli/marathon.h"
#include "cli/pods.h"
#include "sidecar/spec/tree.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

// A record holds an address; an agent may be known by its name.
static char *address_of(const char *host) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return xstrdup(host);
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return NULL;
    const struct sockaddr_in *in = (const struct sockaddr_in *)found->ai_addr;
    const char *said = inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    freeaddrinfo(found);
    return said ? xstrdup(said) : NULL;
}

static bool holds(const json_t *list, const char *key, int port, size_t *ret) {
    for (*ret = 0; *ret < json_array_size(list); ++*ret)
        if (json_integer_value(json_object_get(json_array_get(list, *ret), key)) == port)
            return true;
    return false;
}

// Which of a task's ports is the one that this port of the container, or of its host, has.
static size_t index_of(const json_t *app, int port) {
    size_t i;
    const json_t *mappings = json_object_get(json_object_get(app, "container"), "portMappings");
    const json_t *definitions = json_object_get(app, "portDefinitions");
    return holds(mappings, "containerPort", port, &i) || holds(definitions, "port", port, &i) ? i
                                                                                              : 0;
}

// How its pods speak, as far as the spec says that the app carries: a path, or none, says nothing.
static enum tls { TLS_NO, TLS_YES, TLS_MAYBE } tls_of(const json_t *app) {
    const json_t *env = json_object_get(app, "env");
    const char *lower = json_text(env, "ochopod_spec");
    const char *text = *lower ? lower : json_text(env, "OCHOPOD_SPEC");
    struct tree *tree = *text ? tree_parse(text, strlen(text), "", NULL, NULL) : NULL;
    const json_t *spec = tree ? tree_json(tree) : NULL;
    enum tls tls = !json_is_object(spec)                          ? TLS_MAYBE
                   : json_is_object(json_object_get(spec, "tls")) ? TLS_YES
                                                                  : TLS_NO;
    tree_free(tree);
    return tls;
}

static json_t *pod_of(const json_t *task, const json_t *app, int control, size_t index,
                      enum tls tls) {
    auto_free char *ip = address_of(json_text(task, "host"));
    json_t *port = json_array_get(json_object_get(task, "ports"), index);
    char label[16];
    snprintf(label, sizeof(label), "%d", control);
    if (!ip || !json_is_integer(port))
        return json_pack("{s:i, s:s}", "seq", -1, "error", "Marathon does not say where it is");
    const char *id = json_text(app, "id");
    // A record must have a number; the pod's own comes with its /info.
    json_t *pod = json_pack("{s:i, s:b, s:{s:i, s:s, s:s, s:{s:O}, s:s}}", "seq", -1, "maybe_tls",
                            tls == TLS_MAYBE, "record", "seq", 0, "ip", ip, "port", label, "ports",
                            label, port, "application", id + (*id == '/'));
    if (pod && tls == TLS_YES)
        pods_tls(pod);
    return pod;
}

static bool runs(const json_t *task) {
    return strcmp(json_text(task, "state"), "TASK_RUNNING") == 0 && *json_text(task, "id");
}

bool marathon_runs(const json_t *app, const char *id) {
    const json_t *task;
    size_t i;
    json_array_foreach(json_object_get(app, "tasks"), i, task) {
        if (runs(task) && strcmp(json_text(task, "id"), id) == 0)
            return true;
    }
    return false;
}

size_t marathon_steady(const json_t *before, const json_t *app) {
    const json_t *task;
    size_t i, n = 0;
    json_array_foreach(json_object_get(app, "tasks"), i, task)
        n += runs(task) && marathon_runs(before, json_text(task, "id"));
    return n;
}

json_t *marathon_pods(const json_t *app, const char *cluster, int control) {
    json_t *pods = json_object(), *task;
    size_t i, index = index_of(app, control);
    enum tls tls = tls_of(app);
    json_array_foreach(json_object_get(app, "tasks"), i, task) {
        if (!runs(task))
            continue;
        json_t *pod = pod_of(task, app, control, index, tls);
        CHECK(pod && json_object_set_new(pods, json_text(task, "id"), pod) == 0);
    }
    return json_pack("{s:{s:n, s:o}}", cluster, "generation", "pods", pods);
}
