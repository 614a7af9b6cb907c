#include "sidecar/control/control.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/control/inner.h"
#include <stdlib.h>

static size_t on_head(struct request *request, void *arg) {
    struct control *c = arg;
    const struct route *route = routes_find(c, request);
    return route && gate_head(c->gate, request, route->access) ? route->max_body : 0;
}

static void on_body(struct request *request, const void *data, size_t len, void *arg) {
    (void)arg;
    gate_body(request, data, len);
}

static void on_request(struct request *request, void *arg) {
    struct control *c = arg;
    const struct route *route = routes_find(c, request);
    if (route && gate_admit(c->gate, request, route->access))
        route->serve(c, request);
}

static void on_answer(struct request *request, int status, const void *body, size_t len,
                      void *arg) {
    struct control *c = arg;
    gate_answer(c->gate, request, status, body, len);
}

static const struct server_events events = {
    .on_head = on_head, .on_body = on_body, .on_request = on_request, .on_answer = on_answer};

int control_open(struct loop *loop, struct http *http, const struct spec *spec, int port,
                 struct pod *pod, const struct control_hooks *hooks, void *arg,
                 struct control **ret, struct err *err) {
    auto_free struct control *c = xnew(struct control);
    *c = (struct control){
        .loop = loop, .http = http, .spec = spec, .pod = pod, .hooks = *hooks, .arg = arg};
    list_init(&c->waits.list);
    list_init(&c->follows.list);
    list_init(&c->reads);
    if (server_open(loop, spec->listen, port, auth_tls(hooks->auth), &events, c, &c->server, err))
        return -1;
    c->gate = gate_create(loop, hooks->auth, spec->legacy_sha1);
    log_info("control listen=%s port=%d tls=%s signed=%s", spec->listen,
             server_bound_port(c->server), auth_tls(hooks->auth) ? "1.3" : "no",
             auth_signs(hooks->auth) ? "v2" : "no");
    if (!c->gate)
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
    gate_free(control->gate);
    free(control);
}

// ---- the routes of one line ----

void reset_route(struct control *c, struct request *request) {
    c->hooks.reset(c->arg);
    reply_json(request, 200, NULL);
}

void nonce_route(struct control *c, struct request *request) {
    auto_free char *nonce = gate_nonce(c->gate);
    auto_json json_t *answer = json_pack("{s:s}", "nonce", nonce);
    CHECK(answer);
    reply_json(request, 200, answer);
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
