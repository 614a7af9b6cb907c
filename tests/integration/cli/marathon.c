#include "tests/integration/cli/marathon.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "tests/unit/cli/scripted.h"

struct marathon_stub {
    struct scripted *scripted;
};

static void answer(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    bool changes = strncmp(r->line, "GET", 3) != 0;
    bool deployments = strstr(r->line, "/v2/deployments");
    scripted_answer(fd, 200,
                    changes       ? "{\"version\":\"v\",\"deploymentId\":\"d\"}"
                    : deployments ? "[]"
                                  : "{\"app\":{}}");
}

struct marathon_stub *marathon_stub_start(void) {
    struct marathon_stub *m = xnew(struct marathon_stub);
    m->scripted = scripted_start(answer, NULL);
    return m;
}

void marathon_stub_stop(struct marathon_stub *m) {
    scripted_stop(m->scripted);
    free(m);
}

int marathon_stub_port(const struct marathon_stub *m) {
    return m->scripted->port;
}

static int first(const struct marathon_stub *m, const char *method) {
    int n = atomic_load(&m->scripted->n);
    for (int i = 0; i < n; i++)
        if (text_starts(m->scripted->lines[i], method))
            return i;
    return -1;
}

char *marathon_stub_app(const struct marathon_stub *m) {
    int i = first(m, "POST");
    auto_json json_t *app = i < 0 ? NULL : json_loads(m->scripted->bodies[i], 0, NULL);
    return app ? xstrdup(json_text(app, "id")) : NULL;
}

bool marathon_stub_was_told_to_delete(const struct marathon_stub *m) {
    return first(m, "DELETE") >= 0;
}
