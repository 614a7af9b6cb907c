#include "base/check.h"
#include "sidecar/pod/pod_inside.h"
#include "sidecar/pod/validate.h"
#include <string.h>

static void step(struct run *run) {
    run->steps[run->at].fn(run);
}

static void finish(struct run *run, const struct err *err) {
    run->steps = NULL;
    run->done(run, err);
}

void run_start(struct run *run, struct pod *pod, const struct step *steps,
               void (*done)(struct run *run, const struct err *err)) {
    CHECK(!run->steps);
    *run = (struct run){.pod = pod, .steps = steps, .done = done};
    step(run);
}

void run_next(struct run *run) {
    static const struct err good = ERR_INIT;
    CHECK(run->steps);
    run->at++;
    if (run->steps[run->at].name)
        step(run);
    else
        finish(run, &good);
}

void run_skip(struct run *run, const char *name) {
    CHECK(run->steps);
    while (run->steps[run->at].name && strcmp(run->steps[run->at].name, name) != 0)
        run->at++;
    CHECK(run->steps[run->at].name);
    step(run);
}

void run_fail(struct run *run, const struct err *err) {
    CHECK(run->steps && err->kind != ERR_NONE);
    struct err copy = *err;
    run_cancel(run);
    run->done(run, &copy);
}

void run_step_over(struct run *run, const struct err *err) {
    if (err->kind == ERR_NONE)
        run_next(run);
    else
        run_fail(run, err);
}

void run_cancel(struct run *run) {
    docker_cancel(&run->call);
    docker_stream_stop(&run->stream);
    runner_cancel(&run->job);
    loop_timer_stop(&run->timer);
    action_cancel(&run->action);
    oneshot_cancel(&run->oneshot);
    refer_cancel(&run->referring);
    struct pod *pod = run->pod;
    if (pod && pod->wish_run == run) {
        pod->wish = WISH_NONE;
        pod->wish_run = NULL;
    }
    if (pod && pod->health.waiter == run) {
        pod->health.waiter = NULL;
        loop_timer_stop(&pod->health.waiter_timer);
    }
    run->awaits = AWAITS_NOTHING;
    run->steps = NULL;
}
