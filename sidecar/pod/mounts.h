// Which of the sidecar's own mounts the workload gets, at the same path: volumes that hold a file
// target or that the spec lists, by name; binds only when listed; never what is or contains an
// engine socket (by what is mounted where, or device and inode), never secrets, never one with
// another mount of ours inside (its mount point would be the first thing in the volume, and the
// engine then no longer copies what the image ships there). Looks at the file system, changes
// nothing.
#pragma once
#include "docker-api/docker.h"
#include "sidecar/spec/spec.h"

struct mounts {
    char **roots; // paths the workload shares with us, NULL-ended
    json_t *api;  // for HostConfig.Mounts
};

// self: NULL outside a container (then nothing is shared). socket: of the engine as we see it, or
// NULL. Every complaint is one line of report. ERR_USER.
int mounts_choose(const struct spec *spec, const struct docker_container *self, const char *socket,
                  struct text *report, struct mounts **ret, struct err *err) must_check;
void mounts_free(struct mounts *mounts);                          // takes NULL
bool mounts_cover(const struct mounts *mounts, const char *path); // at or below a shared root
