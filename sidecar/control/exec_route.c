// POST /exec: a tool of the spec, named with its arguments by the header X-Shell; files as
// multipart/form-data. The tool's own timeout is its budget.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include "sidecar/control/multipart.h"
#include <stdlib.h>
#include <string.h>

static int read_uploads(struct request *request, struct multipart *m, struct err *err) {
    size_t len;
    const char *body = request_body(request, &len);
    return len ? multipart_read(m, request_header(request, "Content-Type"), body, len, err) : 0;
}

static int read_budget(struct control *c, struct request *request, const char *line,
                       int64_t *ret_ms, struct err *err) {
    auto_free char *name = xstrndup(line, strcspn(line, " \t"));
    const struct spec_tool *tool = spec_tool(c->spec, name);
    int64_t ms = tool && tool->action.timeout ? tool->action.timeout : c->spec->grace;
    if (task_read_budget(request, &ms, err))
        return -1;
    *ret_ms = ms;
    return 0;
}

void exec_route(struct control *c, struct request *request) {
    const char *line = request_header(request, "X-Shell");
    struct multipart m = {0};
    struct err err = ERR_INIT;
    int64_t ms;
    if (!line) {
        reply_complaint(request, 400, "the header X-Shell must name a tool and its arguments");
        return;
    }
    if (read_budget(c, request, line, &ms, &err) || read_uploads(request, &m, &err)) {
        reply_error(request, &err);
        return;
    }
    struct upload uploads[MULTIPART_MAX];
    for (size_t i = 0; i < m.n; i++)
        uploads[i] = (struct upload){m.parts[i].name, m.parts[i].data, m.parts[i].len};
    struct task *task = task_begin(c, request, ms);
    task->ask = pod_tool(c->pod, line, uploads, m.n, ms, task_reply, task);
    multipart_done(&m);
}
