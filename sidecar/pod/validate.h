// The validators of staged files. `run` gets the staged file's path in OCHOPOD_FILE (and in place
// of an argument "{}"), or, where it lies below no shared volume, its content on stdin. `exec` runs
// alone in a container of the workload's image without network and without our volumes, into which
// the whole new set was put at its final paths; OCHOPOD_FILE and "{}" are the target. What it says
// when it fails is the reason.
#pragma once
#include "sidecar/pod/pod_inside.h"

void validate_files(struct run *run); // a step: all of them, one after the other

// One container that runs argv to its end and is removed: oneshot.c.
struct oneshot;
typedef void oneshot_fn(int code, const char *said, const struct err *err, void *arg);
struct oneshot *oneshot_start(struct pod *pod, char *const *argv, const char *const *env,
                              const json_t *files, int64_t timeout, oneshot_fn *fn, void *arg);
void oneshot_cancel(struct oneshot **slot); // it is removed anyway; no-op on NULL
