// What the tests of docker-api on a real engine share: one loop, one client, and a way to wait for
// a condition. A call's outcome is kept in a struct got; until() runs the loop until it is there or
// the deadline fails the test.
#pragma once
#include "base/text.h"
#include "docker-api/docker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { RIG_EVENTS = 256 };

struct rig_event {
    char id[65], name[64], exit_code[8], signal[8], label[64];
    int64_t time_ns;
};

struct rig {
    struct loop *loop;
    struct http *http;
    struct docker *docker;
    int ups, downs; // how often on_up and on_down came
    char version[16], engine[64];
    struct err why;
    struct rig_event events[RIG_EVENTS];
    size_t events_len;
};

struct got {
    bool done;
    struct err err;
    char id[80];
    int exit_code;
    bool flag, cut;
    char *out, *error; // of an exec
    size_t out_len, error_len;
    struct docker_container *container;
    struct docker_image *image;
    json_t *json;
};
void got_done(struct got *g);
#define auto_got __attribute__((cleanup(got_done)))

int rig_up(void **state); // cmocka setup: *state is a struct rig, connected and up
int rig_down(void **state);
struct rig *rig_open(const char *host, const char *const *labels);
void rig_close(struct rig *rig);

// Until *flag; after that many seconds the test fails and says `what`.
void until_flag(struct rig *rig, const bool *flag, int seconds, const char *what);
void until_true(struct rig *rig, bool (*fn)(void *arg), void *arg, int seconds, const char *what);
#define until(rig, got, seconds) until_flag(rig, &(got)->done, seconds, #got)
void rig_spin(struct rig *rig, int ms); // only to show that something does not happen

bool rig_is_up(void *rig);
bool rig_is_down(void *rig);
// First event of that container and name after index `from`, or NULL.
const struct rig_event *rig_find(const struct rig *rig, size_t from, const char *id,
                                 const char *name);
const struct rig_event *rig_expect(struct rig *rig, size_t from, const char *id, const char *name);

// Callbacks; arg is a struct got.
void on_done(const struct err *err, void *arg);
void on_id(const char *id, const struct err *err, void *arg);
void on_container(struct docker_container *c, const struct err *err, void *arg);
void on_json(const json_t *answer, const struct err *err, void *arg);
void on_waited(int exit_code, const struct err *err, void *arg);
void on_exec(const struct docker_exec_result *result, const struct err *err, void *arg);
void on_image(struct docker_image *image, const struct err *err, void *arg);
void on_stat(bool exists, const struct err *err, void *arg);

// A container of ochopod/busybox:1 that runs `sh -c script`, labelled test=rig; created, not
// started.
void rig_create(struct rig *rig, const char *name, const char *script, char ret_id[80]);
void rig_start(struct rig *rig, const char *id);
// Until the script has made it: a signal that comes before its `trap` is one that process 1
// ignores.
void rig_await_file(struct rig *rig, const char *id, const char *path);
void rig_remove(struct rig *rig, const char *id);
struct docker_container *rig_inspect(struct rig *rig, const char *id); // caller frees
// What leaves nothing behind: every container with that label.
void rig_sweep(struct rig *rig);
