#include "base/log.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

// The workload's own lines, into /log and to our stderr. The stream ends with each run and is
// opened again at the next; what was read already is known by its time.

enum { RETRY_MS = 1000, TAIL_NEW = 1000, TAIL_OLD = 100 };

static void open_stream(void *arg);

static void on_line(int stream, const char *line, size_t len, int64_t time_ns, void *arg) {
    struct pod *pod = arg;
    (void)stream;
    pod->logs_ns = time_ns;
    log_keep(line, len);
}

static void on_end(const struct err *err, void *arg) {
    struct pod *pod = arg;
    pod->logs = NULL;
    if (err->kind == ERR_NONE || pod->at != POD_RUNNING || !pod->engine)
        return;
    // A driver that cannot be read (501) stays so; saying it once a second helps nobody.
    if (err->code != 501 && (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT))
        loop_timer_start(pod->loop, &pod->logs_retry, RETRY_MS, open_stream, pod);
    else
        log_warn("pod %s logs of the workload cannot be read: %s", pod->config.full_name,
                 err->text);
}

static void open_stream(void *arg) {
    static const struct docker_logs_events events = {.on_line = on_line, .on_end = on_end};
    struct pod *pod = arg;
    const char *id = pod->state->container;
    bool old = strcmp(pod->logs_of, id) != 0 && !pod->plan; // found running by a new worker
    if (strcmp(pod->logs_of, id) != 0)
        pod->logs_ns = 0;
    snprintf(pod->logs_of, sizeof pod->logs_of, "%s", id);
    pod->logs = docker_logs(pod->docker, id, pod->tty, pod->logs_ns, old ? TAIL_OLD : TAIL_NEW,
                            &events, pod);
}

void logs_follow(struct pod *pod) {
    if (!pod->logs && *pod->state->container)
        open_stream(pod);
}

void logs_end(struct pod *pod) {
    docker_stream_stop(&pod->logs);
    loop_timer_stop(&pod->logs_retry);
}
