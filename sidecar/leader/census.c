#include "sidecar/leader/census.h"
#include "base/check.h"

// Missing, or not a boolean: what we assume.
static bool said(const json_t *answer, const char *key, bool otherwise) {
    const json_t *value = json_object_get(answer, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

json_t *census_said(const json_t *answer) {
    static const char *const keys[] = {"joined", "started", "running", "ready", "changed"};
    json_t *kept = json_object();
    CHECK(kept);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(answer, keys[i]);
        if (json_is_boolean(value))
            CHECK(json_object_set(kept, keys[i], value) == 0);
    }
    return kept;
}

static bool is_joined(const struct cluster *c, const char *id) {
    return json_is_true(json_object_get(json_object_get(c->members, id), "joined"));
}

static void reset_members(struct cluster *c, const json_t *written) {
    json_decref(c->members);
    c->members = written ? json_deep_copy(written) : json_object();
    CHECK(c->members);
}

void census_open(struct cluster *c, const json_t *written) {
    reset_members(c, written);
    cluster_assign(c, true);
}

static bool drop(struct cluster *c, const json_t *gone) {
    bool dropped = false;
    const char *id;
    json_t *value;
    json_object_foreach((json_t *)gone, id, value) {
        dropped |= json_object_del(c->pods, id) == 0;
    }
    return dropped;
}

static bool anybody_started(const json_t *answers, bool completed) {
    const char *id;
    json_t *answer;
    json_object_foreach((json_t *)answers, id, answer) {
        if (said(answer, "started", completed) || said(answer, "joined", false))
            return true;
    }
    return false;
}

static void note_joined(struct cluster *c, const json_t *answers) {
    const char *id;
    json_t *answer;
    json_object_foreach((json_t *)answers, id, answer) {
        if (said(answer, "joined", false) && !is_joined(c, id))
            cluster_joined(c, id);
    }
}

// The book as it should be after what the pods said. It starts from what is written down, because
// founders were named on the belief that nobody ever ran.
static bool correct(struct cluster *c, const json_t *written, const json_t *answers,
                    bool completed) {
    json_t *believed = json_incref(c->members);
    if (anybody_started(answers, completed)) {
        reset_members(c, written);
        cluster_assign(c, false);
    }
    note_joined(c, answers);
    bool differs = !json_equal(believed, c->members);
    json_decref(believed);
    return differs;
}

void census_take(struct cluster *c, const json_t *written, const json_t *answers,
                 const json_t *gone, bool completed, struct census *ret) {
    *ret = (struct census){.none_runs = true, .none_started = !anybody_started(answers, completed)};
    ret->dropped = drop(c, gone);
    if (ret->dropped)
        cluster_assign(c, false);
    ret->corrected = correct(c, written, answers, completed);
    const char *id;
    json_t *answer;
    json_object_foreach((json_t *)answers, id, answer) {
        if (said(answer, "running", completed))
            ret->none_runs = false;
        if (said(answer, "changed", true))
            ret->changed = true;
    }
}

enum census_turn census_turn(const json_t *answer) {
    bool running = said(answer, "running", true);
    if (!said(answer, "started", true))
        return TURN_REST;
    if (!running)
        return TURN_DOWN;
    return said(answer, "ready", true) ? TURN_REST : TURN_UNREADY;
}
