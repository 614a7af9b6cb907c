// What engine.c shows to engine_things.c and to nobody else.
#pragma once
#include "tests/fake/engine.h"

struct engine {
    engine_clock_fn *clock;
    engine_event_fn *on_event;
    void *arg;
    struct link containers;
    json_t *images, *volumes, *execs; // by name, by name, by id
    int64_t lag_ns;
    uint64_t serial;
};

int64_t engine_now(const struct engine *e);
void engine_new_id(struct engine *e, const char *prefix, char ret[65]);
char *engine_stamp(int64_t ns); // RFC 3339; the caller frees
// Does it match {"label": ["k=v"...], ...}? filters may be NULL.
bool engine_has_labels(const json_t *labels, const json_t *filters);
