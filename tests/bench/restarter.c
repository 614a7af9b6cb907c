// The bare Engine API: starts one container again the moment its die event comes, and does nothing
// else. What our restart is measured against; nobody who speaks this API can be faster by more than
// what they save on the way from the event to the call.
#include "base/http.h"
#include "base/loop.h"
#include "docker-api/docker.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { CONNECTIONS = 8, IDLE = 4 };

struct restarter {
    struct loop *loop;
    struct docker *docker;
    const char *id;
    int status;
};

static void started(const struct err *err, void *arg) {
    struct restarter *r = arg;
    if (err->kind == ERR_NONE)
        return;
    fprintf(stderr, "restarter: start %.12s: %s\n", r->id, err->text);
    r->status = 1;
    loop_quit(r->loop);
}

static void on_event(const char *id, const char *name, const json_t *attributes, int64_t time_ns,
                     void *arg) {
    struct restarter *r = arg;
    (void)attributes;
    (void)time_ns;
    if (strcmp(id, r->id) == 0 && strcmp(name, "die") == 0)
        docker_start(r->docker, r->id, started, r);
}

// Whoever waits for us reads this line: from now on no event is missed.
static void on_up(const char *api_version, const char *engine_version, void *arg) {
    (void)arg;
    printf("up %s %s\n", engine_version, api_version);
    fflush(stdout);
}

static void on_down(const struct err *why, void *arg) {
    struct restarter *r = arg;
    fprintf(stderr, "restarter: %s\n", why->text);
    r->status = 1;
    loop_quit(r->loop);
}

static void on_term(int signo, void *arg) {
    struct restarter *r = arg;
    (void)signo;
    loop_quit(r->loop);
}

int main(int argc, char **argv) {
    static const struct docker_events_listener listener = {on_up, on_down, on_event};
    struct err err = ERR_INIT;
    if (argc != 2) {
        fputs("usage: bench-restarter CONTAINER-ID (in full)\n", stderr);
        return 2;
    }
    struct restarter r = {.loop = loop_create(), .id = argv[1]};
    struct http *http = http_create(r.loop, CONNECTIONS, IDLE);
    struct loop_signal *term = loop_signal_start(r.loop, SIGTERM, on_term, &r);
    if (docker_open(r.loop, http, NULL, &listener, NULL, &r, &r.docker, &err)) {
        fprintf(stderr, "restarter: %s\n", err.text);
        r.status = 1;
    } else {
        loop_run(r.loop);
    }
    docker_close(r.docker);
    http_free(http);
    loop_signal_stop(&term);
    loop_free(r.loop);
    return r.status;
}
