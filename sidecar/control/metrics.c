// GET /metrics: Prometheus' text format.
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include <inttypes.h>

static void add(struct text *t, const char *name, const char *type, const char *help, int64_t n) {
    text_addf(t, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", name, help, name, type, name, n);
}

static void add_requests(struct text *t, const struct server *server) {
    static const char name[] = "ochopod_http_requests_total";
    text_addf(t, "# HELP %s Answers of the control port by status.\n# TYPE %s counter\n", name,
              name);
    for (int code = 100; code < 600; code++)
        if (server_answered(server, code))
            text_addf(t, "%s{code=\"%d\"} %" PRIu64 "\n", name, code,
                      server_answered(server, code));
}

static int64_t restarts_of(struct control *c) {
    auto_json json_t *info = pod_info(c->pod);
    return json_integer_value(json_object_get(json_object_get(info, "workload"), "restarts"));
}

static bool leads(struct control *c) {
    auto_json json_t *info = info_object(c);
    return text_starts(json_text(info, "state"), "leader");
}

void metrics_route(struct control *c, struct request *request) {
    struct text t = {0};
    add(&t, "ochopod_pod_running", "gauge", "1 while the workload runs.",
        text_same(pod_process(c->pod), "running"));
    add(&t, "ochopod_pod_ready", "gauge", "1 while configured, running and passing its check.",
        pod_ready(c->pod));
    add(&t, "ochopod_pod_dead", "gauge", "1 when it is done or was killed.",
        text_same(pod_process(c->pod), "dead"));
    add(&t, "ochopod_workload_restarts_total", "counter", "Restarts of the workload.",
        restarts_of(c));
    add(&t, "ochopod_generation", "gauge", "Completed rounds of the cluster, -1 unknown.",
        c->hooks.generation(c->arg));
    add(&t, "ochopod_leader", "gauge", "1 while this pod leads its cluster.", leads(c));
    add(&t, "ochopod_http_connections", "gauge", "Open connections of the control port.",
        (int64_t)server_connections(c->server));
    add_requests(&t, c->server);
    size_t len = t.len;
    request_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", text_take(&t), len);
}
