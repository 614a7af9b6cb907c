// What happened, as the pods themselves carried it out: when a job begins and how it ends. The
// linker puts this in front of run_start (--wrap), and so it hears of each back-off of a round.
#include "base/check.h"
#include "base/own.h"
#include "tests/sim/sim.h"
#include <stdarg.h>
#include <string.h>

enum { ENOUGH = 50 };

void violate(const char *id, const char *fmt, ...) {
    va_list ap;
    auto_free char *line = NULL;
    va_start(ap, fmt);
    CHECK(vasprintf(&line, fmt, ap) >= 0);
    va_end(ap);
    sim->total.violations++;
    world_say("VIOLATION %s: %s", id, line);
    if (sim->total.violations == ENOUGH)
        sim_enough();
}

void note(const char *fmt, ...) {
    va_list ap;
    auto_free char *line = NULL;
    va_start(ap, fmt);
    CHECK(vasprintf(&line, fmt, ap) >= 0);
    va_end(ap);
    if (sim->verbose)
        fprintf(stderr, "%9.3f -- %s\n", (double)world_now() / 1000, line);
    auto_free char *stamped = xasprintf("%lld %s", (long long)world_now(), line);
    for (const char *c = stamped; *c; c++)
        sim->digest = (sim->digest ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
}

void __real_run_start(struct run *run, struct pod *pod, const struct step *steps,
                      void (*done)(struct run *run, const struct err *err));
void __wrap_run_start(struct run *run, struct pod *pod, const struct step *steps,
                      void (*done)(struct run *run, const struct err *err));

static bool is_job(const struct step *steps) {
    return steps == check_script() || steps == on_script() || steps == off_script() ||
           steps == ok_script() || steps == kill_script();
}

static void job_ends(struct run *run, const struct err *err) {
    struct host *h = sim->current;
    check_ended(h, job_of(run), err);
    h->job = NULL;
    h->job_done(run, err);
}

void __wrap_run_start(struct run *run, struct pod *pod, const struct step *steps,
                      void (*done)(struct run *run, const struct err *err)) {
    struct host *h = sim->current;
    if (!h || !is_job(steps)) {
        __real_run_start(run, pod, steps, done);
        return;
    }
    h->job = job_of(run);
    h->job_done = done;
    check_begun(h, h->job);
    __real_run_start(run, pod, steps, job_ends);
}

void history_job_lost(struct host *h) {
    if (h->job && h->job->request.task == POD_ON)
        h->truth.causes |= CAUSE_INTERRUPTED;
    h->job = NULL;
}

int64_t __real_backoff_next(struct backoff *b, uint32_t chance);
int64_t __wrap_backoff_next(struct backoff *b, uint32_t chance);

int64_t __wrap_backoff_next(struct backoff *b, uint32_t chance) {
    int64_t wait = __real_backoff_next(b, chance);
    if (sim->current)
        sim->current->round_at = world_now() + wait;
    return wait;
}
