#include "base/check.h"
#include "base/log.h"
#include "sidecar/pod/pod_inside.h"
#include <signal.h>
#include <string.h>
#include <sys/random.h>

enum {
    EXIT_KILLED = 137,
    EXIT_SHIM_GONE = 255, // what the die event says; inspect says 137
};

static int64_t ran(const struct pod *pod) {
    return loop_now(pod->loop) - pod->started_ms;
}

static bool ends_things(const struct pod *pod, const char *signo) {
    static const int usual[] = {SIGTERM, SIGKILL, SIGINT, SIGQUIT};
    int64_t n = 0;
    if (text_int(signo, 1, 64, &n, NULL))
        return true; // a name, or a number we do not know
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (n == usual[i])
            return true;
    const char *abbreviated = sigabbrev_np((int)n);
    const char *own = pod->spec->workload.stop.signal;
    return abbreviated && own && strcmp(abbreviated, text_starts(own, "SIG") ? own + 3 : own) == 0;
}

// In every state: a stop of our own whose answer was lost ends it when we take it for running
// again. For the rest of this run: who asks for it may give it as long as he likes.
void exit_note_signal(struct pod *pod, const char *signo) {
    pod->signalled |= ends_things(pod, signo);
}

// Not its own doing: somebody stopped it, its shim died, or we cannot tell because events were
// lost.
static bool is_caused(const struct pod *pod) {
    bool shot = pod->exit_code == EXIT_KILLED || pod->exit_code == EXIT_SHIM_GONE;
    return !pod->oom && (pod->signalled || halt_was_begun(pod) || shot || !pod->live);
}

static int64_t pause_of(struct pod *pod, bool its_fault) {
    uint32_t chance = 0;
    CHECK(getrandom(&chance, sizeof chance, 0) == sizeof chance);
    return backoff_died(&pod->backoff, loop_now(pod->loop), ran(pod), its_fault, chance);
}

void exit_name(struct pod *pod) {
    bool caused = is_caused(pod);
    log_info("pod %s workload=exited code=%d ran_ms=%lld%s%s", pod->config.full_name,
             pod->exit_code, (long long)ran(pod), pod->oom ? " oom=true" : "",
             caused ? " by=somebody" : "");
    if (!pod->wanted || !pod->configured) { // nothing whole is in force: a round starts it
        pod_fire(pod, POD_EXITED_IDLE);
        return;
    }
    if (pod->exit_code == 0 && !caused && !pod->oom &&
        pod->spec->workload.restart == RESTART_ON_FAILURE) {
        pod_fire(pod, POD_EXITED_CLEAN);
        return;
    }
    pod->next_pause = pause_of(pod, !caused);
    pod_fire(pod, pod->next_pause ? POD_EXITED_LATER : POD_EXITED_AGAIN);
}

void exit_die(struct pod *pod, int code) {
    if (!pod->run_open)
        return; // of a run that we know has ended
    pod->run_open = false;
    pod->exited = true;
    pod->exit_code = code;
    if (pod->at == POD_STARTING)
        pod->died_early = true;
    else if (pod->at == POD_RUNNING)
        exit_name(pod);
}

static void pause_over(void *arg) {
    struct pod *pod = arg;
    pod->pause_until = 0;
    pod_fire(pod, POD_PAUSE_OVER);
}

void exit_pause(struct pod *pod) {
    int64_t pause = pod->next_pause ? pod->next_pause : pause_of(pod, true);
    pod->next_pause = 0;
    pod->pause_until = loop_now(pod->loop) + pause;
    loop_timer_start(pod->loop, &pod->pause, pause, pause_over, pod);
}
