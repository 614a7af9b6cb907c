#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/pod/pod_inside.h"
#include <string.h>
#include <strings.h>

// What sidecars that are gone for good left on this engine: containers with our labels whose owner
// does not exist any more, and those of the pod that we were before our state directory was lost.
// An owner that was a task of Mesos or Swarm is gone when it has ended: its container lies there
// until they remove it (Mesos: hours), but is never started again.
// They are stopped and removed. Their volumes follow, those that we made and the anonymous ones of
// the owner, five minutes later: a sidecar that is being re-created finds its data. So does the
// task that comes after one, which is the same pod where its state directory was kept; only the
// anonymous ones no other task will ever have, and they go at once. What is in use by then, or
// belongs to our own pod, stays.

enum { EVERY_MS = 5 * 60 * 1000, GRACE_S = 10, KEEP_MS = 5 * 60 * 1000, HEX_LEN = 64 };

static void pass(void *arg);

static const json_t *present(const struct pod *pod) {
    return json_array_get(pod->orphan_list, pod->orphan_at);
}

static const char *label(const json_t *entry, const char *key) {
    return json_text(json_object_get(entry, "Labels"), key);
}

// ---- volumes ----

static void volume_removed(const struct err *err, void *arg) {
    (void)arg;
    if (err->kind != ERR_NONE)
        log_debug("orphan volume stays: %s", err->text);
}

static void remove_volumes(struct pod *pod) {
    const char *name;
    json_t *due;
    void *next;
    json_object_foreach_safe(pod->orphan_volumes, next, name, due) {
        if (loop_now(pod->loop) < json_integer_value(due))
            continue;
        log_info("orphan volume=%s removed if unused", name);
        docker_volume_remove(pod->docker, name, volume_removed, NULL);
        json_object_del(pod->orphan_volumes, name);
    }
}

// What the engine called so itself. A name that a user gave is a user's volume.
static bool is_anonymous(const char *name) {
    return strlen(name) == HEX_LEN && strspn(name, "0123456789abcdef") == HEX_LEN;
}

static void note_volumes(struct pod *pod, const json_t *entry) {
    if (strcmp(label(entry, LABEL_POD), pod->state->pod_id) == 0)
        return;
    auto_free char *prefix = xasprintf("ochopod-%s-", label(entry, LABEL_POD));
    int64_t now = loop_now(pod->loop);
    size_t i;
    json_t *mount;
    json_array_foreach(json_object_get(entry, "Mounts"), i, mount) {
        const char *name = json_text(mount, "Name");
        bool made = text_starts(name, prefix), nobodys = !made && *label(entry, LABEL_TASK);
        if (made || is_anonymous(name))
            json_object_set_new(pod->orphan_volumes, name,
                                json_integer(nobodys ? now : now + KEEP_MS));
    }
}

// ---- containers ----

static void next(struct run *run) {
    run->pod->orphan_at++;
    run->at = 0; // of the list: look at the next one
    run_next(run);
}

static void removed(const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    if (err->kind != ERR_NONE)
        log_warn("orphan container=%.12s stays: %s", json_text(present(run->pod), "Id"), err->text);
    next(run);
}

static void stopped(const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    (void)err; // if it still runs the removal says so
    run->call = docker_remove(pod->docker, json_text(present(pod), "Id"), false, true, removed,
                              run);
}

// The look may be stopping our own pod's as well: the engine waits for neither longer than for the
// other.
static int grace_of(const struct pod *pod, const json_t *entry) {
    bool own = strcmp(label(entry, LABEL_POD), pod->state->pod_id) == 0;
    int64_t grace = own ? (pod->spec->workload.stop.grace + 999) / 1000 : 0;
    return grace > GRACE_S ? (int)grace : GRACE_S;
}

static void collect(struct run *run) {
    struct pod *pod = run->pod;
    const json_t *entry = present(pod);
    const char *id = json_text(entry, "Id");
    log_info("orphan container=%.12s cluster=%s pod=%s removed: its owner is gone", id,
             label(entry, LABEL_CLUSTER), label(entry, LABEL_POD));
    note_volumes(pod, entry);
    if (strcmp(label(entry, LABEL_ROLE), "workload") == 0)
        run->call = docker_stop(pod->docker, id, NULL, grace_of(pod, entry), stopped, run);
    else
        run->call = docker_remove(pod->docker, id, true, true, removed, run);
}

// It was asked to outlive its sidecar; one of our own pod is followed by another.
static bool runs_on(const struct pod *pod, const json_t *entry) {
    return strcmp(label(entry, LABEL_LIFETIME), "independent") == 0 &&
           strcmp(json_text(entry, "State"), "running") == 0 &&
           strcmp(label(entry, LABEL_POD), pod->state->pod_id) != 0;
}

static void collect_left(struct run *run) {
    if (runs_on(run->pod, present(run->pod)))
        next(run);
    else
        collect(run);
}

static void asked(struct docker_container *c, const struct err *err, void *arg) {
    struct run *run = arg;
    run->call = NULL;
    bool gone = c ? place_is_over(c) : err->kind == ERR_ABSENT;
    docker_container_free(c);
    if (gone)
        collect_left(run);
    else
        next(run);
}

// A sidecar is one pod at a time.
static bool is_former(const struct pod *pod, const json_t *entry) {
    return strcmp(label(entry, LABEL_OWNER), pod->place->owner) == 0 &&
           strcmp(label(entry, LABEL_POD), pod->state->pod_id) != 0;
}

static void step_judge(struct run *run) {
    struct pod *pod = run->pod;
    const json_t *entry = present(pod);
    if (!entry) {
        run_skip(run, "done");
        return;
    }
    if (is_former(pod, entry)) {
        collect(run);
        return;
    }
    switch (place_fate(pod->place, label(entry, LABEL_OWNER))) {
    case OWNER_ALIVE:
    case OWNER_UNKNOWN:
        next(run);
        return;
    case OWNER_GONE:
        collect_left(run);
        return;
    case OWNER_ASK:
        run->call = docker_inspect(pod->docker, label(entry, LABEL_OWNER), asked, run);
        return;
    }
}

static void listed(const json_t *answer, const struct err *err, void *arg) {
    struct run *run = arg;
    struct pod *pod = run->pod;
    run->call = NULL;
    if (err->kind != ERR_NONE) {
        run_fail(run, err);
        return;
    }
    json_decref(pod->orphan_list);
    pod->orphan_list = json_incref((json_t *)answer);
    pod->orphan_at = 0;
    run_next(run);
}

static void step_list(struct run *run) {
    auto_json json_t *filters = json_pack("{s:[s]}", "label", LABEL_OWNER);
    run->call = docker_list(run->pod->docker, true, filters, listed, run);
}

static void step_done(struct run *run) {
    remove_volumes(run->pod);
    run_next(run);
}

static void over(struct run *run, const struct err *err) {
    struct pod *pod = run->pod;
    (void)err; // the next pass asks again
    loop_timer_start(pod->loop, &pod->orphans_timer, EVERY_MS, pass, pod);
}

static void pass(void *arg) {
    static const struct step steps[] = {
        {"list", step_list}, {"judge", step_judge}, {"done", step_done}, {0}};
    struct pod *pod = arg;
    run_start(&pod->orphans, pod, steps, over);
}

void orphans_begin(struct pod *pod) {
    orphans_end(pod);
    pass(pod);
}

void orphans_end(struct pod *pod) {
    run_cancel(&pod->orphans);
    loop_timer_stop(&pod->orphans_timer);
}
