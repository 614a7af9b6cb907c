// What the engine says, as our structs: pure, no I/O, no clock; fuzzed. Unknown members are
// ignored, a missing or mistyped one that we need is an error that names it, and no content can
// make a reader abort. Nothing here needs the rest of docker-api, so the fakes of the tests decode
// with the same code.
#pragma once
#include "docker-api/docker.h"

enum {
    DECODE_MAX_REPLY = 8 << 20, // of a whole answer
    DECODE_MAX_EVENT = 1 << 20, // of one line of the events stream: all labels of a container
};

// Reply of GET /containers/{id}/json. The caller frees.
int decode_container(const char *s, size_t len, struct docker_container **ret,
                     struct err *err) must_check;
int decode_container_json(const json_t *j, struct docker_container **ret,
                          struct err *err) must_check;
// Reply of GET /images/{name}/json. The caller frees.
int decode_image(const char *s, size_t len, struct docker_image **ret, struct err *err) must_check;
int decode_image_json(const json_t *j, struct docker_image **ret, struct err *err) must_check;
// {"Id": "..."} of a create; *ret is borrowed from j.
int decode_id(const json_t *j, const char **ret, struct err *err) must_check;

struct decode_event {
    const char *type; // "container", "network", ...
    const char *name; // "die"
    const char *id;
    const json_t *attributes;
    int64_t time_ns;
};
// Borrowed from j. Understands the members of 1.41 and those left in 1.52.
int decode_event(const json_t *j, struct decode_event *ret, struct err *err) must_check;

// Body of a failed call: {"message": "..."} or whatever text it is, quoted and cut into err.
// Always answers -1. status decides the kind.
int decode_failure(int status, const char *body, size_t len, struct err *err);

// min(engine's, 1.51) as "1.41" in ret; ERR_REFUSED when that is below our floor.
int decode_version(const char *engine_max, char ret[16], struct err *err) must_check;
// "Docker/20.10.24+dfsg1 (linux)" -> "20.10.24+dfsg1"; "" when it says nothing of the kind.
void decode_server(const char *header, char ret[64]);
bool decode_version_at_least(const char *version, int major, int minor);
