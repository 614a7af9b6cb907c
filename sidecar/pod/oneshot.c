#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/validate.h"
#include "sidecar/pod/workload.h"

enum { SAID_MAX = 4096 };

struct oneshot {
    struct pod *pod;
    json_t *files;
    char *id;
    struct docker_call *call;
    struct docker_stream *stream;
    struct loop_timer *timer;
    struct text said;
    int code;
    oneshot_fn *fn;
    void *arg;
};

static void removed(const struct err *err, void *arg) {
    (void)arg;
    if (err->kind != ERR_NONE)
        log_warn("oneshot container stays: %s (removed at the next start)", err->text);
}

// Gone in any case: with what it made and with what still runs in it.
static void oneshot_free(struct oneshot *o) {
    docker_cancel(&o->call);
    docker_stream_stop(&o->stream);
    loop_timer_stop(&o->timer);
    if (o->id)
        docker_remove(o->pod->docker, o->id, true, true, removed, NULL);
    text_done(&o->said);
    json_decref(o->files);
    free(o->id);
    free(o);
}

void oneshot_cancel(struct oneshot **slot) {
    if (*slot)
        oneshot_free(take_ptr(*slot));
}

static void finish(struct oneshot *o, const struct err *err) {
    oneshot_fn *fn = o->fn;
    void *arg = o->arg;
    auto_text struct text said = o->said;
    o->said = (struct text){0};
    int code = o->code;
    struct err copy = *err;
    oneshot_free(o);
    fn(code, text_str(&said), &copy, arg);
}

static void on_line(int stream, const char *line, size_t len, int64_t time_ns, void *arg) {
    struct oneshot *o = arg;
    (void)stream;
    (void)time_ns;
    if (o->said.len + len > SAID_MAX)
        text_clear(&o->said); // the end is what counts
    text_addn(&o->said, line, len);
    text_addc(&o->said, '\n');
}

static void on_logs_end(const struct err *err, void *arg) {
    static const struct err good = ERR_INIT;
    struct oneshot *o = arg;
    (void)err; // without its words there is still its code
    o->stream = NULL;
    finish(o, &good);
}

static void ended(int code, const struct err *err, void *arg) {
    static const struct docker_logs_events events = {.on_line = on_line, .on_end = on_logs_end};
    struct oneshot *o = arg;
    o->call = NULL;
    if (err->kind != ERR_NONE) {
        finish(o, err);
        return;
    }
    o->code = code;
    o->stream = docker_logs(o->pod->docker, o->id, false, 0, 20, &events, o);
}

static void started(const struct err *err, void *arg) {
    struct oneshot *o = arg;
    o->call = NULL;
    if (err->kind != ERR_NONE)
        finish(o, err);
    else
        o->call = docker_wait(o->pod->docker, o->id, "not-running", NULL, ended, o);
}

static void put(const struct err *err, void *arg) {
    struct oneshot *o = arg;
    o->call = NULL;
    if (err->kind != ERR_NONE)
        finish(o, err);
    else
        o->call = docker_start(o->pod->docker, o->id, started, o);
}

static void created(const char *id, const struct err *err, void *arg) {
    struct oneshot *o = arg;
    o->call = NULL;
    if (err->kind != ERR_NONE) {
        image_missed(o->pod, err);
        finish(o, err);
        return;
    }
    o->id = xstrdup(id);
    size_t n = json_array_size(o->files);
    auto_free struct docker_file *files = outside_files(o->files);
    o->call = docker_archive_put(o->pod->docker, o->id, "/", files, n, put, o);
}

static void overdue(void *arg) {
    struct oneshot *o = arg;
    struct err err = ERR_INIT;
    err_set(&err, ERR_TIMEOUT, "validate: not done in time");
    finish(o, &err);
}

struct oneshot *oneshot_start(struct pod *pod, char *const *argv, const char *const *env,
                              const json_t *files, int64_t timeout, oneshot_fn *fn, void *arg) {
    struct oneshot *o = xnew(struct oneshot);
    o->pod = pod;
    o->files = json_incref((json_t *)files);
    o->fn = fn;
    o->arg = arg;
    const char *image = pod_launches(pod) ? pod->spec->workload.image : pod->adopted_image;
    auto_json json_t *body = workload_oneshot(pod->spec, pod->place, image, argv, env);
    o->call = docker_create(pod->docker, NULL, body, created, o);
    loop_timer_start(pod->loop, &o->timer, timeout, overdue, o);
    return o;
}
