// A look now and then at what events should have told: an engine drops them for a client that it
// finds slow, and says so to nobody. It changes nothing; what contradicts what is believed twice,
// with no event in between, was missed: then everything is looked at anew, as after any other gap.
#include "base/log.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

enum {
    GLANCE_MS = 10000, // reliability.md P12, L5: relist every 10 s
    DOUBT_MS = 2000,   // inspect may be ahead of an event, or lag behind it
};

static void look(void *arg);

static void later(struct pod *pod, int64_t ms) {
    loop_timer_start(pod->loop, &pod->glance.timer, ms, look, pod);
}

static bool is_at_rest(const struct pod *pod) {
    return pod->at == POD_RUNNING || pod->at == POD_STOPPED || pod->at == POD_WAITING ||
           pod->at == POD_DEAD;
}

static bool is_another_run(const struct pod *pod, const struct docker_container *c) {
    const char *known = pod->state->started_at;
    return pod->configured && *known && strcmp(c->started_at, known) != 0;
}

static bool contradicts(const struct pod *pod, const struct docker_container *c) {
    if (pod->at == POD_RUNNING)
        return !c || !c->running || is_another_run(pod, c);
    return c && c->running;
}

static void say_missed(struct pod *pod, const struct docker_container *c) {
    log_warn("pod %s container=%.12s %s, and no event of the engine said so: looking anew",
             pod->config.full_name, pod->state->container, c && c->running ? "runs" : "has ended");
    pod->live = false;
    pod->run_open = c && c->running;
    pod_fire(pod, pod->at == POD_RUNNING ? POD_MISSED : POD_APPEARED);
}

static void looked(struct docker_container *c, const struct err *err, void *arg) {
    struct pod *pod = arg;
    pod->glance.call = NULL;
    bool known = err->kind == ERR_NONE || err->kind == ERR_ABSENT;
    bool doubted = pod->glance.doubted;
    pod->glance.doubted = known && pod->glance.at == pod->at && contradicts(pod, c);
    later(pod, pod->glance.doubted ? DOUBT_MS : GLANCE_MS);
    if (doubted && pod->glance.doubted) {
        pod->glance.doubted = false;
        say_missed(pod, c);
    }
    docker_container_free(c);
}

static void look(void *arg) {
    struct pod *pod = arg;
    if (!is_at_rest(pod) || !*pod->state->container) {
        pod->glance.doubted = false;
        later(pod, GLANCE_MS);
        return;
    }
    pod->glance.at = pod->at;
    pod->glance.call = docker_inspect(pod->docker, pod->state->container, looked, pod);
}

void glance_begin(struct pod *pod) {
    glance_end(pod);
    later(pod, GLANCE_MS);
}

// Whatever happened was heard: what is under way may be of before.
void glance_heard(struct pod *pod) {
    pod->glance.doubted = false;
    pod->glance.at = POD_STATES;
}

void glance_end(struct pod *pod) {
    docker_cancel(&pod->glance.call);
    loop_timer_stop(&pod->glance.timer);
    pod->glance.doubted = false;
}
