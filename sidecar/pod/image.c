#include "base/check.h"
#include "base/log.h"
#include "sidecar/pod/pod_inside.h"

// The workload's image: looked for when the engine is there, pulled when it is not, so that the
// first check finds it.

enum { RETRY_MIN_MS = 2000, RETRY_MAX_MS = 60000, REFUSED_BY_BROKER = 403 };

static void look(void *arg);

static void retry(struct pod *pod, const struct err *err) {
    err_copy(&pod->image_err, err);
    pod->pulling = false;
    pod->image_pause = pod->image_pause ? pod->image_pause * 2 : RETRY_MIN_MS;
    if (pod->image_pause > RETRY_MAX_MS)
        pod->image_pause = RETRY_MAX_MS;
    log_warn("pod %s image=%s again_ms=%lld: %s", pod->config.full_name, pod->spec->workload.image,
             (long long)pod->image_pause, err->text);
    loop_timer_start(pod->loop, &pod->image_retry, pod->image_pause, look, pod);
    pod_changed(pod);
}

static void progressed(int percent, void *arg) {
    struct pod *pod = arg;
    if (percent == pod->pulled_percent)
        return;
    pod->pulled_percent = percent;
    pod_changed(pod);
}

static void pulled(const struct err *err, void *arg) {
    struct pod *pod = arg;
    pod->image_call = NULL;
    if (err->kind != ERR_NONE)
        retry(pod, err);
    else
        look(pod); // still pulling: what is not there now is not asked for again at once
}

static void pull(struct pod *pod) {
    docker_image_free(pod->image);
    pod->image = NULL;
    log_info("pod %s image=%s pulling", pod->config.full_name, pod->spec->workload.image);
    pod->pulling = true;
    pod->pulled_percent = 0;
    pod->image_call = docker_pull(pod->docker, pod->spec->workload.image, progressed, pulled, pod);
    pod_changed(pod);
}

static void inspected(struct docker_image *image, const struct err *err, void *arg) {
    struct pod *pod = arg;
    pod->image_call = NULL;
    if (err->kind == ERR_ABSENT && !pod->pulling) {
        pull(pod);
        return;
    }
    if (err->kind != ERR_NONE) {
        retry(pod, err);
        return;
    }
    docker_image_free(pod->image);
    pod->image = image;
    pod->pulling = false;
    pod->image_err = (struct err)ERR_INIT;
    pod->image_pause = 0;
    pod_changed(pod);
}

static void look(void *arg) {
    struct pod *pod = arg;
    pod->image_call = docker_image_inspect(pod->docker, pod->spec->workload.image, inspected, pod);
}

void image_look(struct pod *pod) {
    image_end(pod);
    if (pod_launches(pod))
        look(pod);
}

// A pod that was off has no hold on it: a cleaning engine may have removed it since. And the
// broker, which looks at it for each create, refuses what was made for another: the name was given
// to one with other volumes since.
void image_missed(struct pod *pod, const struct err *err) {
    bool other = err->kind == ERR_ABSENT || err->code == REFUSED_BY_BROKER;
    if (other && pod->image && !pod->image_call)
        image_look(pod);
}

void image_end(struct pod *pod) {
    docker_cancel(&pod->image_call);
    loop_timer_stop(&pod->image_retry);
    pod->pulling = false;
}

int image_judge(const struct pod *pod, struct err *err) {
    const char *name = pod->spec->workload.image;
    if (pod->image)
        return 0;
    if (pod->pulling)
        return err_set(err, ERR_REFUSED, "pulling %d %%", pod->pulled_percent);
    if (pod->image_err.kind != ERR_NONE)
        return err_set(err, ERR_REFUSED, "image %s: %s", name, pod->image_err.text);
    return err_set(err, ERR_REFUSED, "image %s is being looked for", name);
}
