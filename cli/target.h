// The pods of a pattern, and the one Marathon app that runs them: what scale and bump begin with.
#pragma once
#include "cli/follow.h"

struct target {
    const char *pattern; // borrowed
    struct pods pods;    // those of the app, in the order of their numbers
    char *app;           // its id, without the leading '/'
    json_t *now;         // its definition
    int control;         // the control port of its pods
    int64_t instances;
};

// group: the number of a pod whose app is meant, -1: there must be one only. ERR_ABSENT: no pods;
// ERR_REFUSED: not Marathon's; ERR_USER: several apps; ERR_TIMEOUT: a deployment locks it, and we
// are not told to override that.
int target_find(struct follow *f, const char *pattern, int64_t group, struct target *ret,
                struct err *err) must_check;
// Its pods (maybe none) and its definition anew, once no deployment locks it.
int target_again(struct follow *f, struct target *target, struct err *err) must_check;
// Its definition alone, anew; a Marathon that changes its leader is asked again.
int target_read(struct follow *f, struct target *target, struct err *err) must_check;
void target_done(struct target *target);
// Kills these pods of it (n numbers) until all answer 410; the change that they are killed for is
// then asked for at once (follow_change). Without time left nothing is killed.
int target_kill(struct follow *f, const struct target *target, const int64_t *seqs, size_t n,
                struct err *err) must_check;
// Whether a pod says that Marathon runs it.
bool target_is_marathon(const struct pod_seen *pod);
const char *target_task(const struct pod_seen *pod);
