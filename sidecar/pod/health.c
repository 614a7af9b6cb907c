#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

// Ready: the spec's probe has passed once since the start. Then the check, for ever: so many
// failures in a row count like a crash.

enum {
    ATTEMPT_MS = 5000, // of a readiness probe
    READY_EVERY_MS = 200,
    SHORTEST_MS = 50,
};

static void attempt(void *arg);

static const struct spec_check *present(const struct pod *pod) {
    const struct spec_workload *w = &pod->spec->workload;
    return pod->health.ready ? &w->check : &w->ready;
}

static void again(struct pod *pod) {
    int64_t every = present(pod)->every;
    if (!every && !pod->health.ready)
        every = READY_EVERY_MS;
    loop_timer_start(pod->loop, &pod->health.timer, every > SHORTEST_MS ? every : SHORTEST_MS,
                     attempt, pod);
}

static void become_ready(struct pod *pod) {
    pod->health.ready = pod->health.good = true;
    pod->health.fails = 0;
    pod->health.why[0] = '\0';
    log_info("pod %s#%lld workload=ready after_ms=%lld", pod->config.full_name,
             (long long)pod->state->seq, (long long)(loop_now(pod->loop) - pod->started_ms));
    if (pod->spec->workload.check.kind != CHECK_NONE)
        again(pod);
    struct run *waiter = pod->health.waiter;
    if (waiter) {
        pod->health.waiter = NULL;
        loop_timer_stop(&pod->health.waiter_timer);
        run_next(waiter);
    }
    pod_changed(pod);
}

static void failed(struct pod *pod, const char *why) {
    snprintf(pod->health.why, sizeof pod->health.why, "%s", why);
    if (!pod->health.ready) {
        again(pod);
        return;
    }
    pod->health.good = false;
    pod->health.fails++;
    log_warn("pod %s check=failed %d of %d: %s", pod->config.full_name, pod->health.fails,
             pod->spec->workload.check.retries, why);
    pod_changed(pod);
    if (pod->health.fails < pod->spec->workload.check.retries)
        again(pod);
    else if (pod->at == POD_RUNNING) // what is to be down, or is not whole, is not started again
        pod_fire(pod, pod->wanted && pod->configured ? POD_UNHEALTHY : POD_STOP);
    else
        again(pod); // the engine is away: nothing can be done about it
}

static void passed(struct pod *pod) {
    if (!pod->health.ready) {
        become_ready(pod);
        return;
    }
    bool changed = !pod->health.good;
    pod->health.good = true;
    pod->health.fails = 0;
    pod->health.why[0] = '\0';
    again(pod);
    if (changed)
        pod_changed(pod);
}

static bool is_of_network(const struct spec_check *check) {
    return check->kind == CHECK_TCP || check->kind == CHECK_HTTP;
}

// A process that has no descriptor left cannot look, and that it could not says nothing of the
// workload.
static bool can_look(const struct spec_check *check) {
    auto_fd int fd = -1;
    if (!is_of_network(check))
        return true;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 || (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM);
}

static void unseen(struct pod *pod, const char *why) {
    if (!pod->health.ready)
        snprintf(pod->health.why, sizeof pod->health.why, "%s", why);
    log_warn("pod %s check=skipped: %s", pod->config.full_name, why);
    again(pod);
}

static const char no_descriptor[] = "we have no descriptor left to look with";

static void probed(enum probe_verdict verdict, const char *why, void *arg) {
    struct pod *pod = arg;
    pod->health.probe = NULL;
    if (verdict == PROBE_GOOD)
        passed(pod);
    else if (verdict == PROBE_UNSEEN)
        unseen(pod, why);
    else if (!can_look(present(pod)))
        unseen(pod, no_descriptor);
    else
        failed(pod, why);
}

// The engine's own HEALTHCHECK: its events say it, and what inspect last said is where it begins.
static void by_docker(struct pod *pod) {
    const char *said = pod->health.docker_health;
    if (!pod->health.ready) {
        if (strcmp(said, "healthy") == 0)
            become_ready(pod);
        else
            failed(pod, pod->has_healthcheck ? "its HEALTHCHECK has not passed yet"
                                             : "the image has no HEALTHCHECK");
        return;
    }
    if (strcmp(said, "unhealthy") == 0) {
        pod->health.fails = pod->spec->workload.check.retries; // the engine has counted already
        failed(pod, "its HEALTHCHECK fails");
    } else {
        passed(pod);
    }
}

// Where the run before was, or in our own network, something else may answer.
static void without_address(struct pod *pod) {
    if (pod->verify.steps || pod->at != POD_RUNNING)
        loop_timer_start(pod->loop, &pod->health.timer, SHORTEST_MS, attempt, pod);
    else
        failed(pod, "the engine names no address of it");
}

static void attempt(void *arg) {
    struct pod *pod = arg;
    const struct spec_check *check = present(pod);
    int64_t timeout = pod->health.ready ? check->timeout : ATTEMPT_MS;
    if (!pod->health.ready && check->timeout && check->timeout < timeout)
        timeout = check->timeout;
    if (check->kind == CHECK_DOCKER)
        by_docker(pod);
    else if (check->kind == CHECK_EXEC && pod->at != POD_RUNNING)
        again(pod); // no engine to ask
    else if (is_of_network(check) && !*pod->address)
        without_address(pod);
    else if (!can_look(check))
        unseen(pod, no_descriptor);
    else
        pod->health.probe = probe_start(pod, check, timeout, probed, pod);
}

void health_docker(struct pod *pod, const char *status) {
    snprintf(pod->health.docker_health, sizeof pod->health.docker_health, "%s", status);
    if (pod->health.on && present(pod)->kind == CHECK_DOCKER)
        loop_timer_start(pod->loop, &pod->health.timer, 0, attempt, pod);
}

void health_begin(struct pod *pod) {
    if (pod->health.on)
        return; // the same run, after the engine was away
    pod->health.on = true;
    pod->health.ready = pod->health.good = false;
    pod->health.fails = 0;
    if (pod->spec->workload.ready.kind == CHECK_NONE)
        become_ready(pod);
    else
        loop_timer_start(pod->loop, &pod->health.timer, 0, attempt, pod);
}

// ---- who waits for it ----

static void waited_enough(void *arg) {
    struct pod *pod = arg;
    struct run *waiter = pod->health.waiter;
    struct err err = ERR_INIT;
    auto_text struct text time = {0};
    text_add_duration(&time, pod->spec->workload.ready.timeout);
    err_set(&err, ERR_REFUSED, "not ready within %s%s%s", text_str(&time),
            *pod->health.why ? ": " : "", pod->health.why);
    pod->health.waiter = NULL;
    run_fail(waiter, &err);
}

void health_await(struct run *run) {
    struct pod *pod = run->pod;
    if (pod->health.on && pod->health.ready) {
        run_next(run);
        return;
    }
    pod->health.waiter = run;
    int64_t timeout = pod->spec->workload.ready.timeout;
    if (timeout)
        loop_timer_start(pod->loop, &pod->health.waiter_timer, timeout, waited_enough, pod);
}

static void disappoint(struct pod *pod) {
    struct run *waiter = pod->health.waiter;
    struct err err = ERR_INIT;
    if (!waiter)
        return;
    pod->health.waiter = NULL;
    loop_timer_stop(&pod->health.waiter_timer);
    if (pod->exited)
        err_set(&err, ERR_REFUSED, "the workload ended with %d before it was ready",
                pod->exit_code);
    else
        err_set(&err, ERR_REFUSED, "the workload was stopped before it was ready");
    run_fail(waiter, &err);
}

void health_end(struct pod *pod) {
    pod->health.on = pod->health.ready = pod->health.good = false;
    loop_timer_stop(&pod->health.timer);
    probe_cancel(&pod->health.probe);
    disappoint(pod);
}
