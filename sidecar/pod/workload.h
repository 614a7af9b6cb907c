// What we want of the engine, as the API's create objects: the workload, its holder, a one-shot
// container for a validator. Pure. The digest of a workload's object says whether an existing
// container is still what is wanted.
#pragma once
#include "docker-api/docker.h"
#include "sidecar/pod/mounts.h"
#include "sidecar/pod/place.h"
#include "sidecar/spec/spec.h"

struct workload_want {
    const struct spec *spec;
    const struct place *place;
    const struct mounts *mounts;
    const struct docker_image *image; // for the volumes it declares
    const json_t *plan;               // environment, command, entrypoint as rendered
    const char *holder;               // full id, or NULL: a PID namespace of its own
};

// With labels, LABEL_CONFIG among them; new reference. ERR_USER: a published port that cannot be.
json_t *workload_body(const struct workload_want *want, struct err *err);
const char *workload_digest(const json_t *body); // LABEL_CONFIG of it; borrowed
json_t *workload_holder(const struct spec *spec, const struct place *place, const char *tether);
json_t *workload_oneshot(const struct spec *spec, const struct place *place, const char *image,
                         char *const *argv, const char *const *env);
// Does the image declare this volume and nobody mounts it? Then it is one of ours.
bool workload_own_volume(const struct mounts *mounts, const char *path);
