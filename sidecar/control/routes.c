#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <string.h>

enum { READ = METHOD_GET | METHOD_POST };

static const struct route routes[] = {
    {.path = "/info",
     .access = GATE_READ,
     .methods = READ,
     .max_body = BODY_SMALL,
     .serve = info_route},
    {.path = "/log",
     .access = GATE_READ,
     .methods = READ,
     .max_body = BODY_SMALL,
     .serve = log_route},
    {.path = "/reset",
     .access = GATE_STEER,
     .methods = METHOD_POST,
     .max_body = BODY_SMALL,
     .serve = reset_route},
    {.path = "/control/",
     .access = GATE_CONTROL,
     .rest = true,
     .methods = METHOD_POST,
     .max_body = BODY_LARGE,
     .serve = task_route},
    {.path = "/exec",
     .access = GATE_STEER,
     .methods = METHOD_POST,
     .max_body = BODY_LARGE,
     .serve = exec_route},
    {.path = "/shell",
     .access = GATE_STEER,
     .portal = true,
     .methods = METHOD_POST,
     .max_body = BODY_LARGE,
     .serve = shell_route},
    {.path = "/cluster",
     .access = GATE_READ,
     .methods = METHOD_GET,
     .max_body = BODY_SMALL,
     .serve = cluster_route},
    {.path = "/wait",
     .access = GATE_READ,
     .methods = METHOD_GET,
     .max_body = BODY_SMALL,
     .serve = wait_route},
    {.path = "/livez",
     .access = GATE_OPEN,
     .methods = METHOD_GET,
     .max_body = BODY_SMALL,
     .serve = livez_route},
    {.path = "/readyz",
     .access = GATE_OPEN,
     .methods = METHOD_GET,
     .max_body = BODY_SMALL,
     .serve = readyz_route},
    {.path = "/metrics",
     .access = GATE_READ,
     .methods = METHOD_GET,
     .max_body = BODY_SMALL,
     .serve = metrics_route},
    {.path = "/nonce",
     .access = GATE_OPEN,
     .gated = true,
     .methods = METHOD_GET,
     .max_body = BODY_SMALL,
     .serve = nonce_route},
};

// As Ochopod: a trailing slash is another path, and /control/ without a task is none.
static bool serves(const struct route *route, const char *path) {
    if (!route->rest)
        return strcmp(path, route->path) == 0;
    size_t len = strlen(path);
    return text_starts(path, route->path) && len > strlen(route->path) && path[len - 1] != '/';
}

static const char *methods_of(const struct route *route) {
    return route->methods == READ ? "GET, POST" : route->methods == METHOD_POST ? "POST" : "GET";
}

const struct route *routes_find(const struct control *c, struct request *request) {
    const char *path = request_path(request);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!serves(&routes[i], path) || (routes[i].portal && !c->hooks.portal) ||
            (routes[i].gated && !c->gate))
            continue;
        if (routes[i].methods & (unsigned)request_method(request))
            return &routes[i];
        const char *allow = methods_of(&routes[i]);
        request_refuse(request, 405, allow,
                       xasprintf("{\"error\":\"%s takes %s only\"}", routes[i].path, allow));
        return NULL;
    }
    reply_complaint(request, 404, "no such route: %.200s", path);
    return NULL;
}
