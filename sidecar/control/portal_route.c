// POST /shell: Ochothon's. The header X-Shell is a command line for `ocho`, files come as
// multipart/form-data, X-Signature where there is a token. The answer is always 200 with {"ok",
// "ms", "out"}, as its clients expect; `code`, `stdout` and `stderr` are ours.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/inner.h"
#include "sidecar/control/multipart.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct shell {
    struct control *control;
    struct request *request;
    struct portal_run *run;
    int64_t began;
};

// ---- the answer ----

static void add_line(struct text *t, const char *line) {
    while (t->len && t->s[t->len - 1] == '\n')
        t->s[--t->len] = '\0';
    if (t->len && *line)
        text_addc(t, '\n');
    text_add(t, line);
}

static json_t *clean(const char *s) {
    auto_text struct text t = {0};
    text_add_utf8(&t, s, strlen(s));
    add_line(&t, "");
    return json_string(text_str(&t));
}

// Ochothon's tools said everything on stdout. Ours do not, so of a command that failed `out` has
// both: its client prints nothing else.
static json_t *make_answer(const struct portal_result *result, const char *failure, int64_t ms) {
    bool ok = result->code == 0 && !*failure;
    auto_text struct text out = {0};
    text_add_utf8(&out, result->out, strlen(result->out));
    auto_text struct text said = {0};
    text_add_utf8(&said, ok ? "" : result->said, ok ? 0 : strlen(result->said));
    add_line(&out, text_str(&said));
    if (result->cut)
        add_line(&out, "(cut here: that was too much)");
    add_line(&out, failure);
    add_line(&out, "");
    json_t *answer = json_pack("{s:b, s:f, s:s, s:i, s:o, s:o}", "ok", ok, "ms", (double)ms, "out",
                               text_str(&out), "code", result->code, "stdout", clean(result->out),
                               "stderr", clean(result->said));
    CHECK(answer);
    return answer;
}

static void refuse(struct request *request, const char *how, const struct err *err) {
    auto_free char *failure = xasprintf("%s -> %s", how, err->text);
    auto_text struct text text = {0};
    text_add_utf8(&text, failure, strlen(failure));
    auto_json json_t *answer = json_pack("{s:b, s:f, s:s}", "ok", 0, "ms", 0.0, "out",
                                         text_str(&text));
    CHECK(answer);
    log_warn("portal %s", err->text);
    reply_json(request, 200, answer);
}

// ---- the run ----

static void on_ended(const struct portal_result *result, const struct err *err, void *arg) {
    struct shell *shell = arg;
    auto_free char *failure = err->kind == ERR_NONE ? xstrdup("")
                                                    : xasprintf("failure -> %s", err->text);
    int64_t ms = loop_now(shell->control->loop) - shell->began;
    auto_json json_t *answer = make_answer(result, failure, ms);
    reply_json(shell->request, 200, answer);
    free(shell);
}

static void on_gone(void *arg) {
    struct shell *shell = arg;
    portal_cancel(&shell->run);
    free(shell);
}

static int read_files(struct request *request, struct multipart *m, struct err *err) {
    size_t len;
    const char *body = request_body(request, &len);
    *m = (struct multipart){0};
    return len ? multipart_read(m, request_header(request, "Content-Type"), body, len, err) : 0;
}

static bool is_named(const struct upload *uploads, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(uploads[i].name, name) == 0)
            return true;
    return false;
}

// Under the file's name, as for /exec, and under the field's where that is another: the original
// went by the field.
static size_t name_files(const struct multipart *m, struct upload ret[2 * MULTIPART_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        ret[n++] = (struct upload){m->parts[i].name, m->parts[i].data, m->parts[i].len};
    for (size_t i = 0; i < m->n; i++)
        if (m->parts[i].field && !is_named(ret, n, m->parts[i].field))
            ret[n++] = (struct upload){m->parts[i].field, m->parts[i].data, m->parts[i].len};
    return n;
}

static void start(struct control *c, struct request *request, const char *line,
                  const struct multipart *m, int64_t budget_ms) {
    struct upload uploads[2 * MULTIPART_MAX];
    size_t n = name_files(m, uploads);
    struct err err = ERR_INIT;
    struct shell *shell = xnew(struct shell);
    *shell = (struct shell){.control = c, .request = request, .began = loop_now(c->loop)};
    shell->run = portal_start(c->hooks.portal, line, uploads, n, budget_ms, on_ended, shell, &err);
    if (shell->run) {
        request_on_gone(request, on_gone, shell);
        return;
    }
    free(shell);
    refuse(request, "failure", &err);
}

void shell_route(struct control *c, struct request *request) {
    const char *line = request_header(request, "X-Shell");
    struct err err = ERR_INIT;
    struct multipart m;
    int64_t budget_ms = PORTAL_BUDGET_MS;
    enum auth_role role;
    bool admitted = gate_signed(request, &role); // else as Ochothon does it
    if (!line && admitted) {
        reply_complaint(request, 400, "the header X-Shell must hold a command line");
        return;
    }
    if (!admitted &&
        portal_admit(c->hooks.portal, line, request_header(request, "X-Signature"), &err)) {
        refuse(request, "failure", &err);
        return;
    }
    if (task_read_budget(request, &budget_ms, &err) || read_files(request, &m, &err)) {
        refuse(request, "unexpected failure", &err);
        return;
    }
    start(c, request, line, &m, budget_ms);
    multipart_done(&m);
}
