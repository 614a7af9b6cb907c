#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <string.h>

enum { READ = METHOD_GET | METHOD_POST };

static const struct route routes[] = {
    {.path = "/info", .methods = READ, .max_body = BODY_SMALL, .serve = info_route},
    {.path = "/log", .methods = READ, .max_body = BODY_SMALL, .serve = log_route},
    {.path = "/reset", .methods = METHOD_POST, .max_body = BODY_SMALL, .serve = reset_route},
    {.path = "/control/",
     .rest = true,
     .methods = METHOD_POST,
     .max_body = BODY_LARGE,
     .serve = task_route},
    {.path = "/exec", .methods = METHOD_POST, .max_body = BODY_LARGE, .serve = exec_route},
    {.path = "/cluster", .methods = METHOD_GET, .max_body = BODY_SMALL, .serve = cluster_route},
    {.path = "/wait", .methods = METHOD_GET, .max_body = BODY_SMALL, .serve = wait_route},
    {.path = "/livez", .methods = METHOD_GET, .max_body = BODY_SMALL, .serve = livez_route},
    {.path = "/readyz", .methods = METHOD_GET, .max_body = BODY_SMALL, .serve = readyz_route},
    {.path = "/metrics", .methods = METHOD_GET, .max_body = BODY_SMALL, .serve = metrics_route},
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

const struct route *routes_find(struct request *request) {
    const char *path = request_path(request);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!serves(&routes[i], path))
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
