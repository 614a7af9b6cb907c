// A Marathon app made of a file that `ocho deploy` is given: Ochothon's (app_ochothon.c), or a
// pod.yaml (app_pod.c), which has a `workload:`. Pure but for reading files; nothing is posted
// here. Every mistake of a file is told at once, with its place, before anything is posted.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "sidecar/spec/spec.h"
#include "sidecar/spec/tree.h"
#include <time.h>

struct app_wish { // what the command line says; NULL: nothing
    const char *namespace_, *suffix, *release, *image, *socket;
    int64_t pods;
    const json_t *overrides; // {"namespace.cluster": {settings}}
    int pull;                // 1 always, 0 never, -1: as the kind of file has it
    time_t stamp;
};

struct app {
    const char *file; // borrowed
    char *id;         // "ochopod.marathon.zookeeper-2026-11-25-18-00-00"
    char *cluster;    // "marathon.zookeeper"
    int control;      // the pods' control port
    int64_t pods;
    bool alone; // `zk: none`: each of its pods is a cluster of its own, and in no ZooKeeper
    json_t *json;
};

// -1: what is wrong stands in report, a line each. What is let through but ignored stands there as
// well, with a 0.
int app_read(const char *path, const struct app_wish *wish, struct app *ret, struct text *report,
             struct err *err) must_check;
void app_done(struct app *app);
// Each file a map of maps; those of the last ones win. NULL: report.
json_t *app_overrides(char *const *paths, struct text *report, struct err *err) must_check;

// ---- what both kinds share ----

// Ochothon's: right over left, maps within maps, lists one behind the other. New reference.
json_t *app_merge(const json_t *left, const json_t *right);
// Settings of this cluster with its overrides; complains about each that has no value.
json_t *app_settings(struct tree *tree, const json_t *settings, const struct app_wish *wish,
                     const char *cluster);
// Complains at `at` where cluster or namespace cannot be a part of an id of Marathon's. Fills
// cluster and id of ret.
void app_name(struct tree *tree, const char *at, const char *cluster, const char *namespace_,
              const struct app_wish *wish, struct app *ret);
// portMappings; the control port first, at its own or any port of the host.
json_t *app_mappings(int control, const struct spec_port *ports, size_t n);
// Under what we made goes what the file says verbatim; in the shape of Marathon 1.5 and later. On
// the host's network portMappings become portDefinitions; complains where one cannot.
json_t *app_over(struct tree *tree, const json_t *verbatim, const json_t *made);
// Complains where a variable is more than Linux takes.
void app_check_size(struct tree *tree, const json_t *app);

int app_from_ochothon(struct tree *tree, const struct app_wish *wish, struct app *ret,
                      struct text *report, struct err *err) must_check;
int app_from_pod(const char *path, struct tree *tree, const struct app_wish *wish, struct app *ret,
                 struct text *report, struct err *err) must_check;
