#include "sidecar/app_witness.h"
#include "base/check.h"
#include <stdlib.h>

struct witness {
    pod_witness_fn *fn;
    void *arg;
};

static bool has_original(const json_t *pods) {
    const char *id;
    json_t *record;
    json_object_foreach((json_t *)pods, id, record) {
        if (!json_object_get(record, "sidecar"))
            return true;
    }
    return false;
}

static void witnessed(const json_t *answer, const struct err *err, void *arg) {
    struct witness *w = arg;
    if (err->kind != ERR_NONE)
        w->fn("", false, err, w->arg);
    else
        w->fn(json_text(answer, "tree"), has_original(json_object_get(answer, "pods")), err,
              w->arg);
    free(w);
}

void app_witness(struct coordinator *coordinator, pod_witness_fn *fn, void *arg) {
    struct witness *w = xnew(struct witness);
    *w = (struct witness){.fn = fn, .arg = arg};
    coordinator_read(coordinator, witnessed, w);
}
