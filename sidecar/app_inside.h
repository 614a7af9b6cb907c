// What the two files of the worker share: app.c is its life, from the first fork to the last
// release; app_stations.c builds the pod, the control port and the coordinator, and says what each
// asks of the others. Nobody else's.
#pragma once
#include "base/http.h"
#include "base/loop.h"
#include "bindings/bindings.h"
#include "docker-api/docker.h"
#include "sidecar/app.h"
#include "sidecar/app_others.h"
#include "sidecar/app_portal.h"
#include "sidecar/auth/auth.h"
#include "sidecar/broker/broker.h"
#include "sidecar/control/control.h"
#include "sidecar/coordinator/coordinator.h"
#include "sidecar/pod/pod.h"
#include "sidecar/state/state.h"

struct app {
    const struct spec *spec;
    struct loop *loop;
    struct http *http;
    struct docker *docker;
    struct sandbox_user user; // whom we become, and others beside us
    struct broker_config broker_config;
    struct broker_line broker;
    struct app_others others;
    int names; // to the process that looks names up
    struct loop_fd *names_watch;
    struct state *state;
    struct binding_search *search;
    struct loop_timer *search_again;
    struct err search_err; // of the last try
    int search_tries;      // without success
    struct binding_facts *facts;
    struct record_facts record;
    char *full_name; // "marathon.zookeeper"
    char *tether;
    struct auth *auth;
    struct pod *pod;
    struct coordinator *coordinator;
    struct portal *portal;
    struct control *control;
    char *own_url; // of it, as we reach it ourselves
    struct loop_signal *term, *interrupt;
    struct loop_timer *overdue;
    bool resumed;      // another worker of this sidecar was here before
    bool engine_heard; // it is up, or down
    bool stopping, leaving, workload_left;
    bool unstopped; // left, but it did not stop
    int64_t stop_began;
    int status;
};

void app_fatal(struct app *app, int status, const struct err *err); // the worker ends with status
void app_changed(void *arg); // something that /info or our record shows

// In this order, once the binding has said where we are (facts). -1: err says what is to be mended.
int app_name_cluster(struct app *app, struct err *err) must_check;
int app_build_pod(struct app *app, struct err *err) must_check;
int app_build_control(struct app *app, struct err *err) must_check;
struct coordinator *app_build_coordinator(struct app *app, struct err *err); // NULL: err
