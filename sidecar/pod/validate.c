#include "sidecar/pod/validate.h"
#include "base/check.h"
#include "base/own.h"
#include <string.h>

static const char *staged_path(const struct proposal *p, const char *target) {
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(p->staged, "staged"), i, file) {
        if (strcmp(json_text(file, "target"), target) == 0)
            return json_text(file, "staged");
    }
    return NULL;
}

static const json_t *content_of(const struct proposal *p, const char *target) {
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(p->rendering, "files"), i, file) {
        if (strcmp(json_text(file, "target"), target) == 0)
            return json_object_get(file, "content");
    }
    return NULL;
}

static char **with_path(char *const *argv, const char *path) {
    size_t n = text_list_len(argv);
    char **list = xcalloc(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = xstrdup(strcmp(argv[i], "{}") == 0 ? path : argv[i]);
    return list;
}

static void list_release(char ***list) {
    text_list_free(*list);
}
#define auto_list __attribute__((cleanup(list_release)))

static void done_with(struct run *run, const struct action_result *result,
                      const struct err *failure) {
    struct job *job = job_of(run);
    const struct spec_file *file = &run->pod->spec->files[job->file];
    struct err err = ERR_INIT, why = *failure;
    if (why.kind != ERR_NONE)
        err_wrap(&why, "%s", file->target); // which of several
    auto_free char *what = xasprintf("%s is refused by its validator", file->target);
    if (action_judge(what, result, &why, &err)) {
        run_fail(run, &err);
        return;
    }
    job->file++;
    validate_files(run);
}

static void ran(const struct action_result *result, const struct err *err, void *arg) {
    struct run *run = arg;
    run->action = NULL;
    done_with(run, result, err);
}

static void ended(int code, const char *said, const struct err *err, void *arg) {
    struct run *run = arg;
    run->oneshot = NULL;
    struct action_result result = {code, said, ""};
    done_with(run, &result, err);
}

static void start_run(struct run *run, const struct spec_file *file) {
    struct job *job = job_of(run);
    const char *path = staged_path(job->proposal, file->target);
    if (!path)
        path = "/dev/stdin";
    auto_free char *env_file = xasprintf("OCHOPOD_FILE=%s", path);
    auto_free char *env_target = xasprintf("OCHOPOD_TARGET=%s", file->target);
    const char *env[] = {env_file, env_target, NULL};
    auto_list char **argv = with_path(file->validate.argv, path);
    struct action_want want = {
        .action = &file->validate,
        .name = "validate",
        .text = json_string_value(content_of(job->proposal, file->target)),
        .env = env,
        .argv = argv,
    };
    run->action = action_start(run->pod, &want, ran, run);
}

static void start_exec(struct run *run, const struct spec_file *file) {
    struct job *job = job_of(run);
    auto_free char *env_file = xasprintf("OCHOPOD_FILE=%s", file->target);
    const char *env[] = {env_file, NULL};
    auto_list char **argv = with_path(file->validate.argv, file->target);
    run->oneshot = oneshot_start(run->pod, argv, env,
                                 json_object_get(job->proposal->rendering, "files"),
                                 file->validate.timeout, ended, run);
}

void validate_files(struct run *run) {
    struct pod *pod = run->pod;
    struct job *job = job_of(run);
    while (job->file < pod->spec->files_len &&
           pod->spec->files[job->file].validate.kind == ACTION_NONE)
        job->file++;
    if (job->file == pod->spec->files_len) {
        job->proposal->checked = true;
        run_next(run);
        return;
    }
    const struct spec_file *file = &pod->spec->files[job->file];
    if (file->validate.kind == ACTION_RUN)
        start_run(run, file);
    else
        start_exec(run, file);
}
