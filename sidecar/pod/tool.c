#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

// Tools of the spec, by POST /exec. Uploads lie in a folder of their own, under names of ours; it
// is the working directory of a `run` tool and is gone when the tool has ended.

enum { NAME_MAX_LEN = 100 };

struct tool {
    const struct spec_tool *spec;
    char **argv;
    char *dir; // NULL: no uploads
};

void tool_free(struct tool *tool) {
    if (!tool)
        return;
    DIR *dir = tool->dir ? opendir(tool->dir) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));)
        unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    if (tool->dir)
        unlinkat(AT_FDCWD, tool->dir, AT_REMOVEDIR);
    text_list_free(tool->argv);
    free(tool->dir);
    free(tool);
}

// ---- uploads ----

// The last component, without what a file name of ours never has.
static char *clean_name(const char *said) {
    const char *slash = strrchr(said, '/');
    const char *back = strrchr(said, '\\');
    const char *base = slash > back ? slash : back;
    char *name = xstrndup(base ? base + 1 : said, NAME_MAX_LEN);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '_';
    if (*name == '.' || *name == '-')
        *name = '_';
    return name;
}

static int write_upload(int dir, const struct pod_upload *upload, struct err *err) {
    auto_free char *name = clean_name(upload->name);
    if (!*name)
        return err_set(err, ERR_USER, "an uploaded file has no name");
    auto_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_USER, "two uploaded files are both called %s", name);
    for (size_t at = 0; fd >= 0 && at < upload->len;) {
        ssize_t n = write(fd, (const char *)upload->data + at, upload->len - at);
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_REFUSED, errno, "upload %s", name);
        at += n > 0 ? (size_t)n : 0;
    }
    return fd < 0 ? err_errno(err, ERR_REFUSED, errno, "upload %s", name) : 0;
}

static int take_uploads(const struct pod *pod, struct tool *tool, const struct pod_upload *uploads,
                        size_t n, struct err *err) {
    if (!n)
        return 0;
    if (tool->spec->action.kind != ACTION_RUN)
        return err_set(err, ERR_USER,
                       "the tool \"%s\" is executed in the workload, where uploads are not seen: "
                       "files are for tools with `run`",
                       tool->spec->name);
    tool->dir = xasprintf("%s/exec-XXXXXX", pod->spec->state_dir);
    if (!mkdtemp(tool->dir)) {
        free(take_ptr(tool->dir));
        return err_errno(err, ERR_REFUSED, errno, "no folder for uploads below %s",
                         pod->spec->state_dir);
    }
    auto_fd int dir = open(tool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_errno(err, ERR_REFUSED, errno, "%s", tool->dir);
    for (size_t i = 0; i < n; i++)
        if (write_upload(dir, &uploads[i], err))
            return -1;
    return 0;
}

// ---- the run ----

static json_t *lines_of(const char *out) {
    json_t *lines = json_array();
    while (*out) {
        size_t len = strcspn(out, "\n");
        json_t *line = json_stringn(out, len);
        if (!line) // not UTF-8
            line = json_string("(a line that is no text)");
        CHECK(json_array_append_new(lines, line) == 0);
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

struct pod_ask *pod_tool(struct pod *pod, const char *line, const struct pod_upload *uploads,
                         size_t n, int64_t budget_ms, pod_reply_fn *fn, void *arg) {
    struct pod_request request = {.task = POD_SIGNAL, .scope = POD_OPERATOR};
    struct job *job = job_create(pod, &request);
    struct pod_ask *ask = ask_job(pod, job, budget_ms, fn, arg);
    char **words = text_split(line, " \t");
    const struct spec_tool *spec = words[0] ? spec_tool(pod->spec, words[0]) : NULL;
    struct err err = ERR_INIT;
    job->tool = xnew(struct tool);
    job->tool->spec = spec;
    if (!spec)
        err_set(&err, ERR_ABSENT, "no tool \"%s\" in the spec", words[0] ? words[0] : "");
    else if (take_uploads(pod, job->tool, uploads, n, &err) == 0)
        job->tool->argv = with_arguments(spec->action.argv, words);
    text_list_free(words);
    if (err.kind != ERR_NONE)
        ask_refuse(job, &err);
    else
        ask_run_tool(pod, job);
    return ask;
}
