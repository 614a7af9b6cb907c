// docker-api/docker.h in memory, over base/loop.h and thereby over a virtual clock: for flow tests.
// An engine serves any number of clients (several pods on one host). Statuses, messages and the
// shapes of answers are those of tests/fake/engine.h; replies are decoded by docker-api/decode.c,
// so what a station gets is what it would get from the wire. Callbacks come from timers only, in
// the order of their causes: an event before the reply of the call that caused it.
//
// A test sets what processes do (habits), what fails (fail), how long calls take (latency), and
// reads what was asked for: one line a call, "verb container detail", names instead of ids.
#pragma once
#include "docker-api/docker.h"
#include "tests/fake/engine.h"

struct fake_engine;

// docker_open(host) finds the engine of that host; with host NULL, or one that nobody was given,
// the oldest. The image "app:1" is there.
struct fake_engine *fake_engine_create(struct loop *loop, const char *host);
void fake_engine_free(struct fake_engine *f); // after its clients were closed
struct engine *fake_engine_memory(struct fake_engine *f);
// What inspect says of it, decoded; the caller frees. NULL when there is none.
struct docker_container *fake_engine_look(struct fake_engine *f, const char *ref);

// ---- the engine itself ----

void fake_engine_down(struct fake_engine *f, const char *why); // containers run on
void fake_engine_up(struct fake_engine *f);
// Answers nothing until thawed: deadlines fire, and after 15 s clients say on_down.
void fake_engine_freeze(struct fake_engine *f);
void fake_engine_thaw(struct fake_engine *f);
// Events are told to nobody, as when a client was too slow; all else is answered.
void fake_engine_mute(struct fake_engine *f, bool mute);
// As dockerd without live-restore: down, what runs ends by TERM (exit code as the habits say, an
// application that handles TERM: 0), nobody hears of it, up again.
void fake_engine_restart(struct fake_engine *f);

// The processes whose loop this is are gone without a word: what they asked for goes on.
void fake_engine_client_gone(struct fake_engine *f, const struct loop *loop);
// Told of each event as it happens, whether the engine is up or not.
void fake_engine_on_event(struct fake_engine *f,
                          void (*fn)(const json_t *event, const struct engine_container *c,
                                     void *arg),
                          void *arg);
// Told of each call that the engine carries out, as it is recorded, with the loop of who asked.
void fake_engine_on_call(struct fake_engine *f,
                         void (*fn)(const char *line, const char *id, const struct loop *who,
                                    void *arg),
                         void *arg);

// ---- processes ----

struct fake_habits {
    int term_ms;   // from the stop signal to the end; -1: does not care
    int term_exit; // its exit code then
    int exit_ms;   // ends by itself after so long; -1: never
    int exit_code;
};
#define FAKE_HABITS_USUAL ((struct fake_habits){.term_exit = 143, .exit_ms = -1})
// Of containers whose name or image is `of`; NULL: of all that are not named otherwise.
void fake_engine_habits(struct fake_engine *f, const char *of, struct fake_habits habits);
void fake_engine_exit(struct fake_engine *f, const char *ref, int exit_code);
void fake_engine_oom(struct fake_engine *f, const char *ref);
void fake_engine_health(struct fake_engine *f, const char *ref, const char *health);
void fake_engine_say(struct fake_engine *f, const char *ref, int stream, const char *line);
// inspect goes on to say `running` for so long after the die event; 50 unless set.
void fake_engine_lag(struct fake_engine *f, int ms);

// ---- calls ----

enum { FAKE_CUT = 0, FAKE_LOST = -1, FAKE_HANG = -2 };
// The next `times` calls whose line starts with `prefix` answer status and message. FAKE_CUT: not
// carried out, ERR_RETRY. FAKE_LOST: carried out, ERR_RETRY. FAKE_HANG: never answered.
void fake_engine_fail(struct fake_engine *f, const char *prefix, int times, int status,
                      const char *message);
// Calls whose line starts with `prefix` take so long; the last that fits counts. 0 unless set.
void fake_engine_latency(struct fake_engine *f, const char *prefix, int ms);

// One line a call, in order, each ended by a newline. Reads (inspect, list, image, logs, wait,
// stat, volume-list) only when told so.
const char *fake_engine_calls(const struct fake_engine *f);
size_t fake_engine_count(const struct fake_engine *f, const char *prefix);
void fake_engine_forget_calls(struct fake_engine *f);
void fake_engine_record_reads(struct fake_engine *f, bool on);

// ---- execs, files, images ----

struct fake_exec {
    const char *container;   // name
    const char *const *argv; // NULL-ended
    const char *input;       // NUL-terminated; NULL: none
    int exit_code;           // what the test answers
    char out[1024], err[1024];
    int ms; // how long it takes; -1: for ever
};
// Without it every exec ends at once with 0 and says nothing.
void fake_engine_on_exec(struct fake_engine *f, void (*fn)(struct fake_exec *exec, void *arg),
                         void *arg);
// Contents of a file that the archive call put there, or NULL. touch: makes stat say yes.
const char *fake_engine_file(struct fake_engine *f, const char *ref, const char *path);
void fake_engine_touch(struct fake_engine *f, const char *ref, const char *path);
void fake_engine_image(struct fake_engine *f, const char *name, const json_t *config);
// Can be pulled, within ms.
void fake_engine_registry(struct fake_engine *f, const char *name, const json_t *config, int ms);
