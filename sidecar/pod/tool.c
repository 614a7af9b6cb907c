#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// Tools of the spec, by POST /exec. The folder of the uploads is the working directory of a `run`
// tool and is gone when the tool has ended.

enum { TOOLS_MAX = 64 };

struct tool {
    const struct spec_tool *spec;
    char **argv;
    char *dir; // NULL: no uploads
};

void tool_free(struct tool *tool) {
    if (!tool)
        return;
    uploads_remove(tool->dir);
    text_list_free(tool->argv);
    free(tool);
}

// ---- uploads ----

static int take_uploads(const struct pod *pod, struct tool *tool, const struct upload *uploads,
                        size_t n, struct err *err) {
    if (!n)
        return 0;
    if (tool->spec->action.kind != ACTION_RUN)
        return err_set(err, ERR_USER,
                       "the tool \"%s\" is executed in the workload, where uploads are not seen: "
                       "files are for tools with `run`",
                       tool->spec->name);
    tool->dir = uploads_write(pod->spec->state_dir, uploads, n, err);
    return tool->dir ? 0 : -1;
}

// ---- the run ----

static json_t *lines_of(const char *out) {
    json_t *lines = json_array();
    while (*out) {
        size_t len = strcspn(out, "\n");
        auto_text struct text line = {0};
        text_add_utf8(&line, out, len);
        CHECK(json_array_append_new(lines, json_string(text_str(&line))) == 0);
        out += len + (out[len] == '\n');
    }
    return lines;
}

static void ran(const struct action_result *result, const struct err *err, void *arg) {
    struct run *run = arg;
    run->action = NULL;
    if (err->kind != ERR_NONE) {
        run_fail(run, err);
        return;
    }
    job_of(run)->answer = json_pack("{s:i, s:o}", "code", result->code, "stdout",
                                    lines_of(result->out));
    run_next(run);
}

static void step_run(struct run *run) {
    const struct tool *tool = job_of(run)->tool;
    struct action_want want = {
        .action = &tool->spec->action,
        .name = tool->spec->name,
        .input = run->pod->view,
        .cwd = tool->dir,
        .argv = tool->argv,
    };
    run->action = action_start(run->pod, &want, ran, run);
}

const struct step *tool_script(void) {
    static const struct step steps[] = {{"tool", step_run}, {0}};
    return steps;
}

static char **with_arguments(char *const *argv, char *const *words) {
    size_t n = text_list_len(argv), more = text_list_len(words + 1);
    char **list = xcalloc(n + more + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = xstrdup(argv[i]);
    for (size_t i = 0; i < more; i++)
        list[n + i] = xstrdup(words[i + 1]);
    return list;
}

// Each has a process, what it says, and its uploads on the disk.
static int has_room(const struct pod *pod, struct err *err) {
    const struct job *job;
    int n = 0;
    list_each(job, &pod->tools, struct job, link) {
        n++;
    }
    if (n < TOOLS_MAX)
        return 0;
    return err_set(err, ERR_RETRY, "%d tools run, and no more may at once", TOOLS_MAX);
}

struct pod_ask *pod_tool(struct pod *pod, const char *line, const struct upload *uploads, size_t n,
                         int64_t budget_ms, pod_reply_fn *fn, void *arg) {
    struct pod_request request = {.task = POD_SIGNAL, .scope = POD_OPERATOR};
    struct job *job = job_create(pod, &request);
    struct pod_ask *ask = ask_job(pod, job, budget_ms, NULL, fn, arg);
    char **words = text_split(line, " \t");
    const struct spec_tool *spec = words[0] ? spec_tool(pod->spec, words[0]) : NULL;
    struct err err = ERR_INIT;
    job->tool = xnew(struct tool);
    job->tool->spec = spec;
    if (!spec)
        err_set(&err, ERR_ABSENT, "no tool \"%s\" in the spec", words[0] ? words[0] : "");
    else if (has_room(pod, &err) == 0 && take_uploads(pod, job->tool, uploads, n, &err) == 0)
        job->tool->argv = with_arguments(spec->action.argv, words);
    text_list_free(words);
    if (err.kind != ERR_NONE)
        ask_refuse(job, &err);
    else
        ask_run_tool(pod, job);
    return ask;
}
