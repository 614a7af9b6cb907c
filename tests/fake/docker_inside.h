// What docker.c and docker_calls.c share.
#pragma once
#include "base/list.h"
#include "base/text.h"
#include "tests/fake/docker.h"

struct rule { // fail or latency
    struct link link;
    char *prefix, *message;
    int times, status, ms;
};

struct habit {
    struct link link;
    char *of;
    struct fake_habits habits;
};

struct process { // an end that is to come
    struct link link;
    struct fake_engine *f;
    char id[65];
    int exit_code;
    struct loop_timer *timer;
};

struct fake_engine {
    struct link link;
    struct loop *loop;
    char *host;
    struct engine *memory;
    struct link clients, failures, latencies, habits, processes;
    struct text calls;
    json_t *logs;     // container id -> [[stream, line, ns]]
    json_t *registry; // name -> [config, ms]
    bool down, frozen, mute, record_reads;
    struct err why;
    struct loop_timer *suspicion, *restart;
    int64_t last_ns;
    bool suspected; // frozen for so long that clients say so
    void (*on_event)(const json_t *event, const struct engine_container *c, void *arg);
    void *event_arg;
    void (*on_call)(const char *line, const char *id, const struct loop *who, void *arg);
    void *call_arg;
    void (*on_exec)(struct fake_exec *exec, void *arg);
    void *exec_arg;
};

struct delivery {
    struct link link;
    struct docker *d;
    struct loop_timer *timer;
    json_t *event;
};

struct docker {
    struct link link;
    struct fake_engine *f;
    struct loop *loop; // of the process that opened it; the engine's own may be another
    bool crashed;      // what it asked for goes on, nobody hears of it
    struct docker_events_listener listener;
    bool listening, up, down; // what it believes; neither before the first contact
    char **labels;
    void *arg;
    struct loop_timer *contact;
    struct link calls, streams, deliveries;
};

enum reply_kind {
    REPLY_DONE,
    REPLY_ID,
    REPLY_CONTAINER,
    REPLY_JSON,
    REPLY_WAIT,
    REPLY_EXEC,
    REPLY_IMAGE,
    REPLY_STAT
};

// What the engine does with a call; status 0: the reply comes later, or the call is gone.
typedef struct engine_reply fake_act_fn(struct docker_call *call);

struct docker_call {
    struct link link;
    struct docker *d;
    enum reply_kind kind;
    fake_act_fn *act;
    char *line, *id, *text, *more;
    json_t *body;
    int number;
    bool flag, other;
    bool pending; // acted, without reply so far
    bool orphan;  // cancelled, and goes on all the same
    struct err failure;
    int64_t deadline_ms;
    struct loop_timer *timer, *deadline;
    struct engine_reply later;
    char out[1024], err[1024];
    union {
        docker_done_fn *done;
        docker_id_fn *id;
        docker_container_fn *container;
        docker_json_fn *json;
        docker_wait_fn *wait;
        docker_exec_fn *exec;
        docker_image_fn *image;
        docker_stat_fn *stat;
    } fn;
    void (*aside)(void *arg); // armed
    void (*progress)(int percent, void *arg);
    bool *gone;
    void *arg;
};

struct docker_stream {
    struct link link;
    struct docker *d;
    char *ref;
    char id[65];
    struct docker_logs_events events;
    void *arg;
    int64_t since_ns;
    int tail;
    bool opened;
    size_t next;
    struct loop_timer *timer;
    bool *gone;
};

struct docker_call *fake_call(struct docker *d, enum reply_kind kind, fake_act_fn *fn,
                              const char *id, void *arg);
// line: what is recorded, taken. timeout_ms 0: none.
struct docker_call *fake_call_begin(struct docker_call *call, char *line, int64_t timeout_ms);
struct docker_call *fake_call_refuse(struct docker_call *call, char *line, const struct err *err);
void fake_call_resolve(struct docker_call *call, struct engine_reply reply, int ms);
void fake_call_free(struct docker_call *call);
void fake_call_orphan(struct docker_call *call); // nobody hears of it any more; it may be gone now
void fake_call_cut(struct docker_call *call); // the engine is gone, and with it what it had begun
void fake_call_again(void *call);             // acts once more, unrecorded: a timer's callback
void fake_record(struct fake_engine *f, const char *line);
struct rule *fake_failure(struct fake_engine *f, const char *line); // that it is to fail by; NULL
const char *fake_name_of(struct docker *d, const char *ref);
void fake_signal(struct fake_engine *f, struct engine_container *c, const char *signal);
void fake_stream_poke(struct docker_stream *s);
void fake_stream_free(struct docker_stream *s);

fake_act_fn fake_wait_act, fake_stop_act, fake_exec_act;
