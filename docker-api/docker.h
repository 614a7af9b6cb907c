// The Docker Engine over its socket; knows nothing of pods; usable on its own. One door: outsiders
// include only this file.
//
// The client negotiates the API version by /_ping at every (re)connect: min(engine's, 1.51), at
// least 1.41 unless the engine is older than our floor, which is an error that says so. Every call
// has a deadline and a cap on its answer, and goes over a connection of its own from a small pool,
// so one stuck call never delays another. Sources: Engine API reference v1.41 to v1.51.
//
// A call is a handle (struct docker_call) that its owner may cancel with docker_cancel; its
// callback comes exactly once unless cancelled, never inside the call that started it, and the
// handle is gone when it runs. Arguments are copied. Calls made before the first contact wait for
// it; what has no deadline of its own (wait, logs, pull) ends with the contact. Idempotent steps:
// 304 on start/stop, 404 on remove and 409 "not running" on kill are success. Errors: ERR_RETRY
// engine out of reach, 5xx, or an answer that cannot be read; ERR_TIMEOUT deadline; ERR_ABSENT 404;
// ERR_EXISTS 409; ERR_USER 400 and other 4xx, or a name that cannot be one; ERR_LIMIT answer over
// its cap. err.code is the HTTP status, err.text the call and the engine's own message. All on the
// loop thread.
#pragma once
#include "base/err.h"
#include "base/http.h"
#include "base/json.h"
#include "base/loop.h"
#include <stddef.h>

struct docker;
struct docker_call;
struct docker_stream;

// ---- the client ----

struct docker_events_listener {
    // The engine is reachable; called at first contact and after each gap, when the events stream
    // is open again and before anything is delivered from it: whatever was believed before must be
    // asked again (list, inspect).
    void (*on_up)(const char *api_version, const char *engine_version, void *arg);
    // The engine went away, or was not there at first (once per gap): text says why. Calls
    // meanwhile fail with ERR_RETRY.
    void (*on_down)(const struct err *why, void *arg);
    // A container event. name: "create" "start" "die" "oom" "kill" "stop" "restart" "destroy"
    // "rename" "update" "pause" "unpause" "health_status: healthy"; no others, as health checks
    // alone would bring three exec events a run. attributes: Actor.Attributes (object, borrowed;
    // has all labels, exitCode for die, signal for kill).
    void (*on_event)(const char *container_id, const char *name, const json_t *attributes,
                     int64_t time_ns, void *arg);
};

// host: "unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", or NULL for DOCKER_HOST, else the
// default socket. Answers at once; contact is made on the loop and retried for ever (50 ms doubling
// to 2 s). A host that cannot be understood is ERR_USER. With a listener the events stream is kept
// open, resumed after a gap and always preceded by on_up; hang detection: a ping on a connection of
// its own every 10 s while the stream is silent. container_label: only events of containers with
// one of these labels (NULL-ended "key=value" list) reach on_event, or all when NULL. Without a
// listener there is no stream, and the client notices by calls that fail that the engine is away.
int docker_open(struct loop *loop, struct http *http, const char *host,
                const struct docker_events_listener *listener, const char *const *container_label,
                void *arg, struct docker **ret, struct err *err) must_check;
// The same client over another process that holds the engine's socket and judges what is asked (see
// served.h). fd: a stream socket to it, taken over. on_gone: that process has ended, once; nothing
// is answered any more.
int docker_open_through(struct loop *loop, int fd, const char *host,
                        const struct docker_events_listener *listener,
                        const char *const *container_label, void (*on_gone)(void *arg), void *arg,
                        struct docker **ret, struct err *err) must_check;
const char *docker_host(const char *host); // as it is understood when NULL: environment, default
void docker_close(struct docker *docker);  // cancels everything, no callbacks; takes NULL
bool docker_is_up(const struct docker *docker);
const char *
docker_version(const struct docker *docker); // negotiated "1.41", or "" before first contact
const char *
docker_socket_path(const struct docker *docker); // path of the unix socket, or NULL for tcp
void docker_cancel(struct docker_call **slot);   // no callback after it; no-op on NULL

// ---- containers ----

struct docker_mount {
    char *type;        // "volume" "bind" "tmpfs"
    char *name;        // of a volume, else ""
    char *source;      // path on the host
    char *destination; // path in the container
    bool rw;
};

struct docker_container { // what inspect says, decoded; owned by whoever got it
    char id[65];          // full
    char *name;           // without the leading slash
    char *image;          // Config.Image as named at creation
    char *image_id;       // sha256:...
    char *status;         // created running paused restarting removing exited dead
    bool running, paused, oom_killed;
    int64_t pid; // on the engine's host
    int exit_code;
    char *state_error;
    char *started_at, *finished_at; // RFC 3339 as given; "0001-01-01T00:00:00Z" for never
    char *health;                   // "" none starting healthy unhealthy
    int64_t stop_timeout_s;         // Config.StopTimeout, -1 when null
    char *stop_signal;
    char *network_mode, *pid_mode, *restart_policy, *hostname;
    char *ip; // of the first network that has one, IPv4 before IPv6, else ""
    bool has_healthcheck;
    struct docker_mount *mounts;
    size_t mounts_len;
    json_t *labels;      // object string -> string
    json_t *ports;       // NetworkSettings.Ports
    json_t *networks;    // NetworkSettings.Networks
    json_t *host_config; // as given
    json_t *config;      // as given
};
void docker_container_free(struct docker_container *c); // takes NULL
const char *docker_container_label(const struct docker_container *c,
                                   const char *key); // "" when missing

typedef void docker_done_fn(const struct err *err, void *arg);
typedef void docker_id_fn(const char *id, const struct err *err, void *arg);
// c is the receiver's to free when err->kind is ERR_NONE, else NULL.
typedef void docker_container_fn(struct docker_container *c, const struct err *err, void *arg);
typedef void docker_json_fn(const json_t *answer, const struct err *err, void *arg); // borrowed
typedef void docker_wait_fn(int exit_code, const struct err *err, void *arg);

// body: the API's create object, as for POST /containers/create. name may be NULL.
struct docker_call *docker_create(struct docker *d, const char *name, const json_t *body,
                                  docker_id_fn *fn, void *arg);
struct docker_call *docker_start(struct docker *d, const char *id, docker_done_fn *fn, void *arg);
// signal NULL: the container's own. grace_s 0 or more; the deadline is grace + 15 s (the engine
// allows itself 10 more).
struct docker_call *docker_stop(struct docker *d, const char *id, const char *signal, int grace_s,
                                docker_done_fn *fn, void *arg);
struct docker_call *docker_kill(struct docker *d, const char *id, const char *signal,
                                docker_done_fn *fn, void *arg);
// Answers when the container is no longer running; no deadline. armed (may be NULL) is called when
// the engine has registered the waiter.
struct docker_call *docker_wait(struct docker *d, const char *id, const char *condition,
                                void (*armed)(void *arg), docker_wait_fn *fn, void *arg);
struct docker_call *docker_inspect(struct docker *d, const char *id_or_name,
                                   docker_container_fn *fn, void *arg);
// filters: NULL or the API's filters object, e.g. {"label": ["a=b"]}. answer: the API's array.
struct docker_call *docker_list(struct docker *d, bool all, const json_t *filters,
                                docker_json_fn *fn, void *arg);
struct docker_call *docker_rename(struct docker *d, const char *id, const char *name,
                                  docker_done_fn *fn, void *arg);
// force kills it first; volumes removes its anonymous ones.
struct docker_call *docker_remove(struct docker *d, const char *id, bool force, bool volumes,
                                  docker_done_fn *fn, void *arg);
struct docker_call *docker_update(struct docker *d, const char *id, const json_t *body,
                                  docker_done_fn *fn, void *arg);

// ---- exec ----

struct docker_exec {
    const char *const *argv; // NULL-ended
    const char *const *env;  // NULL-ended "K=V", or NULL
    const char *user;        // or NULL
    const char *working_dir; // or NULL
    const void *input;       // stdin, half-closed after it; NULL: none
    size_t input_len;
    size_t max_output; // of each stream; what exceeds it is cut and `cut` is set. 64 KiB when 0
    int64_t timeout_ms;
};
struct docker_exec_result {
    int exit_code;
    const char *out, *err; // NUL-terminated, borrowed until the callback returns
    size_t out_len, err_len;
    bool cut;
};
// What is not there or cannot be run is an exit code (127, 126) with the engine's words on out, not
// an error. ERR_TIMEOUT: the caller's time is over; the process in the container runs on (nothing
// in the API ends it). result is NULL unless err->kind is ERR_NONE.
typedef void docker_exec_fn(const struct docker_exec_result *result, const struct err *err,
                            void *arg);
struct docker_call *docker_exec(struct docker *d, const char *container_id,
                                const struct docker_exec *exec, docker_exec_fn *fn, void *arg);

// ---- logs ----

// Follows stdout and stderr from since_ns (exclusive; 0: from `tail` lines before the end) until
// the container ends or docker_logs_stop. line: without newline, at most 16 KiB (longer ones are
// cut into pieces); stream 1 or 2, with a terminal always 1. on_end as the stream ends; the handle
// is gone then. Reopen with the time_ns of the last line.
struct docker_logs_events {
    void (*on_line)(int stream, const char *line, size_t len, int64_t time_ns, void *arg);
    void (*on_end)(const struct err *err, void *arg);
};
struct docker_stream *docker_logs(struct docker *d, const char *id, bool tty, int64_t since_ns,
                                  int tail, const struct docker_logs_events *events, void *arg);
void docker_stream_stop(struct docker_stream **slot);

// ---- archive ----

struct docker_file {
    const char *path; // relative to the directory it is put into
    const void *data;
    size_t len;
    unsigned mode;
    unsigned uid, gid;
};
// Puts regular files below the existing directory dir of the container (running or not), owner and
// mode as given.
struct docker_call *docker_archive_put(struct docker *d, const char *id, const char *dir,
                                       const struct docker_file *files, size_t n,
                                       docker_done_fn *fn, void *arg);
// Is the tar one that docker_archive_put makes of some of these files, whatever is in them (data
// and len are not looked at)? Pure: for whoever judges what another process asks.
bool docker_archive_is_of(const void *tar, size_t len, const struct docker_file *files, size_t n);

// ---- images ----

struct docker_image {
    char *id;
    char **volumes; // NULL-ended paths of Config.Volumes
    char **entrypoint, **cmd, **env;
    char *user, *working_dir, *stop_signal;
    bool has_healthcheck;
};
void docker_image_free(struct docker_image *image); // takes NULL
typedef void docker_image_fn(struct docker_image *image, const struct err *err, void *arg);
struct docker_call *docker_image_inspect(struct docker *d, const char *name, docker_image_fn *fn,
                                         void *arg);
// A name without tag and digest pulls :latest (the API alone would pull every tag). progress: 0 to
// 100, as far as known, only when it grew. ERR_ABSENT: no such image. ERR_TIMEOUT: two minutes
// without a word; as a whole it may take as long as it takes. Cancelling ends the pull.
struct docker_call *docker_pull(struct docker *d, const char *name,
                                void (*progress)(int percent, void *arg), docker_done_fn *fn,
                                void *arg);

// ---- volumes ----

struct docker_call *docker_volume_create(struct docker *d, const char *name, const json_t *labels,
                                         docker_done_fn *fn, void *arg);
// answer: the array of volumes, empty when there are none.
struct docker_call *docker_volume_list(struct docker *d, const json_t *filters, docker_json_fn *fn,
                                       void *arg);
struct docker_call *docker_volume_remove(struct docker *d, const char *name, docker_done_fn *fn,
                                         void *arg);

// HEAD .../archive: does this path exist in the container? What finds one's own container for sure
// (a nonce file). No such container: no.
typedef void docker_stat_fn(bool exists, const struct err *err, void *arg);
struct docker_call *docker_path_stat(struct docker *d, const char *id, const char *path,
                                     docker_stat_fn *fn, void *arg);
