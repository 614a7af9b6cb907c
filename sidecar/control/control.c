#include "sidecar/control/control.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/control/inner.h"
#include <stdlib.h>

static size_t on_head(struct request *request, void *arg) {
    (void)arg;
    const struct route *route = routes_find(request);
    return route ? route->max_body : 0;
}

static void on_request(struct request *request, void *arg) {
    const struct route *route = routes_find(request);
    if (route)
        route->serve(arg, request);
}

static const struct server_events events = {.on_head = on_head, .on_request = on_request};

int control_open(struct loop *loop, struct http *http, const struct spec *spec, struct pod *pod,
                 const struct control_hooks *hooks, void *arg, struct control **ret,
                 struct err *err) {
    auto_free struct control *c = xnew(struct control);
    *c = (struct control){
        .loop = loop, .http = http, .spec = spec, .pod = pod, .hooks = *hooks, .arg = arg};
    list_init(&c->waits.list);
    list_init(&c->follows.list);
    list_init(&c->reads);
    if (server_open(loop, spec->listen, spec->port, &events, c, &c->server, err))
        return -1;
    log_info("control listen=%s port=%d", spec->listen, server_bound_port(c->server));
    log_warn("control: no token: whoever reaches port %d of %s can stop this pod",
             server_bound_port(c->server), spec->listen);
    *ret = take_ptr(c);
    return 0;
}

int control_port(const struct control *control) {
    return server_bound_port(control->server);
}

void control_changed(struct control *control) {
    server_drop(&control->info);
    wait_changed(control);
}

void control_close(struct control *control) {
    if (!control)
        return;
    server_close(control->server);
    loop_timer_stop(&control->waits.look);
    cluster_close(control);
    log_close(control);
    server_drop(&control->info);
    free(control);
}

// ---- the routes of one line ----

void reset_route(struct control *c, struct request *request) {
    c->hooks.reset(c->arg);
    reply_json(request, 200, NULL);
}

void livez_route(struct control *c, struct request *request) {
    if (c->hooks.alive(c->arg))
        reply_json(request, 200, NULL);
    else
        reply_complaint(request, 503, "the worker is not well");
}

void readyz_route(struct control *c, struct request *request) {
    if (pod_ready(c->pod))
        reply_json(request, 200, NULL);
    else
        reply_complaint(request, 503, "the workload is %s and not ready", pod_process(c->pod));
}
