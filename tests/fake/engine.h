// The memory of a Docker engine, for tests: containers, images, volumes, execs and the events about
// them, with the engine's own statuses and messages (20.10, API 1.41) as a client meets them. Pure:
// no sockets, no processes, no time but what `clock` says. tests/fake/docker.c puts docker.h on it
// over a virtual clock, tests/tools/engined.c the HTTP API. What a process does (how long it takes
// to end, with which code) the shell decides and tells with engine_exit.
#pragma once
#include "base/json.h"
#include "base/list.h"
#include <stddef.h>
#include <stdint.h>

struct engine;

enum engine_status { ENGINE_CREATED, ENGINE_RUNNING, ENGINE_PAUSED, ENGINE_EXITED };

struct engine_container {
    struct link link;
    char id[65];
    char *name;
    char *image_id;
    json_t *config, *host_config; // as inspect gives them
    json_t *mounts;
    json_t *files; // path -> contents, put there by the archive call or a test
    enum engine_status status;
    int exit_code;
    bool oom;
    bool removing;     // exited, and somebody is removing it: as long as a test says so
    json_t *anonymous; // names of volumes that it did not name itself
    int64_t pid, created_ns, started_ns, finished_ns, seen_ns; // seen: when inspect notices the end
    char *health, *error;
    char ip[16];
    int starts;
};

// What HTTP would say. body is the caller's to release, NULL for none.
struct engine_reply {
    int status;
    json_t *body;
};

typedef int64_t engine_clock_fn(void *arg); // ns since the epoch
typedef void engine_event_fn(const json_t *event, const struct engine_container *c, void *arg);

struct engine *engine_create(engine_clock_fn *clock, engine_event_fn *on_event, void *arg);
void engine_free(struct engine *e);
// How long inspect goes on to say `running` after the die event (about 50 ms in the real one).
void engine_set_lag(struct engine *e, int64_t ns);

// By id, a prefix of at least 12 of it, or name; NULL when there is none.
struct engine_container *engine_find(struct engine *e, const char *ref);
struct link *engine_containers(struct engine *e); // of struct engine_container
bool engine_is_running(const struct engine *e,
                       const struct engine_container *c); // as inspect sees it

struct engine_reply engine_container_create(struct engine *e, const char *name, const json_t *body);
struct engine_reply engine_container_start(struct engine *e, const char *ref);
struct engine_reply engine_container_inspect(struct engine *e, const char *ref);
struct engine_reply engine_container_list(struct engine *e, bool all, const json_t *filters);
struct engine_reply engine_container_rename(struct engine *e, const char *ref, const char *name);
struct engine_reply engine_container_update(struct engine *e, const char *ref, const json_t *body);
// Running and not forced: 409. Forced: ends with 137 first.
struct engine_reply engine_container_remove(struct engine *e, const char *ref, bool force,
                                            bool volumes);
// The signal is delivered (the kill event); what it does is the shell's to say.
struct engine_reply engine_container_kill(struct engine *e, const char *ref, const char *signal);
// What a process that handles nothing but the usual does: 137 for KILL, 143 for TERM, -1: lives on.
int engine_signal_exit(const char *signal);
// The process ended; with it those that live in its PID namespace (137).
void engine_exit(struct engine *e, struct engine_container *c, int exit_code, bool oom);
void engine_stopped(struct engine *e, struct engine_container *c); // the event after a stop
void engine_health(struct engine *e, struct engine_container *c, const char *health);

// config: as in image inspect (Cmd, Env, Volumes...), or NULL.
void engine_image_add(struct engine *e, const char *name, const json_t *config);
bool engine_image_remove(struct engine *e, const char *name);
struct engine_reply engine_image_inspect(struct engine *e, const char *name);

struct engine_reply engine_volume_create(struct engine *e, const char *name, const json_t *labels);
struct engine_reply engine_volume_list(struct engine *e, const json_t *filters);
struct engine_reply engine_volume_remove(struct engine *e, const char *name);

struct engine_reply engine_exec_create(struct engine *e, const char *ref, const json_t *body);
// Of a created exec: the container's id and what it was created with; NULL: no such exec.
const json_t *engine_exec_body(struct engine *e, const char *exec_id, const char **ret_container);
void engine_exec_end(struct engine *e, const char *exec_id, int exit_code);
struct engine_reply engine_exec_inspect(struct engine *e, const char *exec_id);

// {"message": ...} as the engine says it.
struct engine_reply engine_refusal(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
