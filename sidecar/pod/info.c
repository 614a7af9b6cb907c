#include "base/check.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

// ---- the line for people ----

static void say_waiting(const struct pod *pod, struct text *t) {
    int64_t left = pod->pause_until - loop_now(pod->loop);
    text_add(t, "restarting in ");
    text_add_duration(t, left > 1000 ? left / 1000 * 1000 : left > 0 ? left : 0);
    if (pod->exited)
        text_addf(t, " after exit %d%s", pod->exit_code, pod->oom ? " (out of memory)" : "");
    else if (pod->why.kind != ERR_NONE)
        text_addf(t, ": %s", pod->why.text);
}

static void say_stopped(const struct pod *pod, struct text *t) {
    struct err err = ERR_INIT;
    if (pod->state->off)
        text_add(t, pod->state->started
                        ? "off by operator"
                        : "waits for an operator's on (ochopod_start=false, or off)");
    else if (pod_launches(pod) && image_judge(pod, &err))
        text_add(t, err.text);
    else if (!pod->configured)
        text_add(t, "waits for a round");
}

static void say_running(const struct pod *pod, struct text *t) {
    if (pod->paused)
        text_add(t, "paused by somebody");
    else if (pod->stale)
        text_add(t, "runs with a configuration that is not of this sidecar; waits for a round");
    else if (!pod->health.ready)
        text_addf(t, "not ready yet%s%s", *pod->health.why ? ": " : "", pod->health.why);
    else if (!pod->health.good)
        text_addf(t, "check failed %d of %d: %s", pod->health.fails,
                  pod->spec->workload.check.retries, pod->health.why);
}

static void say(const struct pod *pod, struct text *t) {
    if (pod->misfit.kind != ERR_NONE)
        text_add(t, pod->misfit.text);
    else if (!pod->engine)
        text_add(t, "the Docker engine is out of reach");
    else if (pod->state->dead)
        text_add(t, pod->at != POD_DEAD ? "being killed"
                    : pod->exited       ? "done"
                                        : "dead until an operator's on");
    else if (pod->at == POD_WAITING)
        say_waiting(pod, t);
    else if (pod->at == POD_STOPPED)
        say_stopped(pod, t);
    else if (pod->at == POD_RUNNING)
        say_running(pod, t);
    else if (pod->at == POD_FAILING)
        text_addf(t, "restarted because its check failed: %s", pod->health.why);
}

// It travels in JSON, and a workload that fails its check says what it likes, also half of a
// character.
void info_status(const struct pod *pod, struct text *t) {
    auto_text struct text said = {0};
    say(pod, &said);
    text_add_utf8(t, text_str(&said), said.len);
}

// ---- /info ----

static json_t *workload(const struct pod *pod, const char *status) {
    const struct state *state = pod->state;
    json_t *w = json_object();
    put(w, "image", json_string(pod_launches(pod) ? pod->spec->workload.image : ""));
    put(w, "container", json_string(state->container));
    put(w, "started", json_string(state->started_at));
    put(w, "exit", pod->exited ? json_integer(pod->exit_code) : json_null());
    put(w, "oom", json_boolean(pod->oom));
    put(w, "restarts", json_integer(pod->restarts));
    put(w, "state", json_string(pod_state_name(pod->at)));
    put(w, "ready", json_boolean(pod_ready(pod)));
    put(w, "status", json_string(status));
    return w;
}

json_t *pod_info(const struct pod *pod) {
    const struct state *state = pod->state;
    auto_text struct text status = {0};
    info_status(pod, &status);
    json_t *info = json_object();
    put(info, "process", json_string(pod_process(pod)));
    put(info, "status", json_string(text_str(&status)));
    put(info, "metrics", json_incref(pod->metrics));
    put(info, "workload", workload(pod, text_str(&status)));
    put(info, "configured", json_boolean(pod->configured));
    put(info, "off", json_boolean(state->off));
    put(info, "joined", json_boolean(state->joined));
    put(info, "hash", json_string(state->hash));
    put(info, "generation", json_integer(state->generation));
    return info;
}
