// What a pull says while it runs: JSON lines of layers, one of which may be the failure (the 200
// was sent long before). Pure.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

struct pull {
    json_t *layers; // id -> [current, total, whether all of it is there]
    int percent;    // never falls
};

void pull_init(struct pull *p);
void pull_done(struct pull *p);
// One line. ERR_ABSENT when there is no such image (or none for us), ERR_RETRY for all other
// failures of the pull.
int pull_feed(struct pull *p, const char *line, size_t len, struct err *err) must_check;

// Nothing is to come over the network any more. Of what is left an engine may say nothing: with the
// containerd store Docker 25 to 27 do not tell of a layer that is unpacked before it is.
bool pull_is_unpacking(const struct pull *p);

// Does the failure say that there is no such image? The engine says it as 404, as 500 or in the
// stream, as it comes from the registry.
bool pull_is_absence(const char *message);

// "zookeeper:3.9" as the two parameters of the call; tag is the digest where there is one, "latest"
// where there is neither. ERR_USER when it cannot be an image's name. The caller frees both.
int pull_split(const char *name, char **ret_image, char **ret_tag, struct err *err) must_check;
