// The portal of a pod whose spec asks for one: which `ocho`, which environment, what is said at
// start.
#pragma once
#include "sidecar/portal/portal.h"
#include "sidecar/spec/spec.h"

// Our control port, as we reach it ourselves: "http://127.0.0.1:8080", where `listen` says no other
// address. Caller frees.
char *app_own_url(const struct spec *spec, int port);
// What its runner may be asked to run, as far as it is known before the fork. ERR_USER: there is no
// `ocho` beside us.
int app_portal_program(const struct spec *spec, struct runner_program *ret,
                       struct err *err) must_check;
void app_portal_program_done(struct runner_program *program);
// port: where our control port listens. zk: the effective address, with its credentials. full_name:
// of the cluster. *ret is NULL where the spec wants no portal. ERR_USER: there is no `ocho` beside
// us.
int app_portal_create(struct loop *loop, struct runner *runner, const struct spec *spec, int port,
                      const char *zk, const char *full_name, struct portal **ret,
                      struct err *err) must_check;
