// What this pod was asked to be: pod.yaml, environment and flags, read once at start, checked as a
// whole, then read-only. Owned by main; everything else borrows. Knows nothing of Docker, ZooKeeper
// or where it runs (bindings fill in what is left NULL: cluster, namespace, zk). Keys, defaults and
// rules: docs/SPEC.md; product.md of the design is their source. Durations are milliseconds. Lists
// of strings are NULL-ended. Strings are never NULL unless said so.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include <stdbool.h>
#include <stdint.h>

enum action_kind { ACTION_NONE = 0, ACTION_RUN, ACTION_EXEC };
// {run: [...]} in the sidecar's container, {exec: [...]} in the running workload; argv, never a
// shell line.
struct spec_action {
    enum action_kind kind;
    char **argv;
    int64_t timeout;
};

enum check_kind { CHECK_NONE = 0, CHECK_TCP, CHECK_HTTP, CHECK_EXEC, CHECK_DOCKER };
struct spec_check {
    enum check_kind kind;
    int port;               // tcp and http: a local port of the workload
    char *path;             // http: ":8081/healthz" gives 8081 and "/healthz"
    char *send;             // tcp: sent after connecting; "" none
    char *expect;           // tcp: must appear in what comes back; "" an open port is enough
    char **argv;            // exec
    int64_t every, timeout; // ready: timeout is the whole budget
    int retries;            // failures in a row before it counts
};

enum lifetime { LIFETIME_COUPLED, LIFETIME_INDEPENDENT };
enum restart { RESTART_ON_FAILURE, RESTART_ALWAYS };
enum change_kind { CHANGE_RESTART, CHANGE_SIGNAL, CHANGE_EXEC, CHANGE_NONE };

struct spec_limits { // 0: the sidecar container's own
    int64_t memory;  // bytes
    int64_t nano_cpus;
    int64_t pids;
    json_t *ulimits; // API shape [{"Name","Soft","Hard"}], or NULL
};

struct spec_workload {
    char *image; // launch; NULL: adopt
    struct {
        char *service, *label, *name, *id; // one of them; the others NULL
    } container;                           // adopt
    char *address;                         // of an adopted container outside our network, or NULL
    bool hold;                             // adopt: keep it stopped until configured
    char **command, **entrypoint;          // may hold templates; NULL: the image's
    json_t *environment;                   // object name -> template text; {} when none
    char *user, *working_dir, *hostname;   // NULL: the image's
    char *network;                         // NULL: the sidecar's; else "host" or a network's name
    char **ports; // published, as in compose; only with a network of its own
    struct spec_limits limits;
    char **volumes; // absolute paths of the sidecar's own mounts
    enum lifetime lifetime;
    enum restart restart;
    bool strict;
    struct {
        char *signal; // "TERM"
        int64_t grace;
        bool soft; // true: never killed after the grace
        bool grace_given;
    } stop;
    struct spec_check ready; // every: how often it is tried
    struct spec_check check;
    struct {
        enum change_kind kind;
        char *signal;
        char **argv;
        int64_t timeout;
    } on_change;
};

struct spec_file {
    char *target;  // absolute, clean
    char *content; // template text, inline or read from `template`
    char *source;  // what names it in messages: "zoo.cfg.tmpl" or "pod.yaml files[0].content"
    unsigned mode; // 0644
    int uid, gid;  // 0
    struct spec_action validate;
};

enum spec_hook {
    HOOK_INITIALIZE,
    HOOK_CAN_CONFIGURE,
    HOOK_CONFIGURE,
    HOOK_CONFIGURED,
    HOOK_SANITY_CHECK,
    HOOK_TEAR_DOWN,
    HOOK_SIGNALED,
    HOOK_FINALIZE,
    HOOK_COUNT
};
extern const char *const spec_hook_names[HOOK_COUNT]; // "initialize", ...

struct spec_tool {
    char *name;
    struct spec_action action;
};

struct spec_need {
    char *what; // "pods" or an entry of depends_on as written
    int64_t n;
};

// What others must reach, besides the control port.
struct spec_port {
    int port; // that the workload listens on
    int host; // 0: whichever the framework gives
    bool udp;
};

// One entry of workload.ports: port, port + 1, ... at host, host + 1, ... of `ip`.
struct spec_published {
    char ip[46];          // without brackets; "": all of the host's
    int host;             // 0: any
    int port, n;          // of the container's, and how many
    const char *protocol; // tcp, udp, sctp
};

struct spec {
    char *source;               // where it came from, for messages
    char *cluster, *namespace_; // NULL cluster: the binding says
    char *zk; // NULL: the binding says. As given: "zk://[user:pass@]host:port,host:port/chroot" or
              // "host:port"
    int64_t session; // ZooKeeper session timeout, 10 s; key `session`
    enum zk_acl { ZK_ACL_DIGEST, ZK_ACL_OPEN } zk_acl; // beside credentials in zk
    int port;                                          // control port
    struct spec_port *ports;
    size_t ports_len;
    char *listen;
    char *state_dir;
    char **depends_on;
    struct spec_need *needs;
    size_t needs_len;
    int64_t damper;
    bool sequential; // on goes to one pod after the other: `sequential: true` or `updates`
    bool together;   // `sequential: updates`: so, but to all at once while none runs
    bool full_shutdown;
    int64_t grace;
    struct {
        int64_t every;
        struct spec_action action;
    } probe;
    struct spec_workload workload;
    struct spec_file *files;
    size_t files_len;
    struct spec_action hooks[HOOK_COUNT];
    int64_t sanity_every;
    struct spec_tool *tools;
    size_t tools_len;
    json_t *settings;     // $pod, Ochopod's settings; {} when none
    json_t *environment_; // what templates see as env: our own environment without secrets; object
                          // string -> string
    bool portal;
    char *token;      // ochopod_token: signs the portal alone; NULL: none. Never shown
    char *token_file; // what signs every request; NULL: nothing does
    bool legacy_sha1; // beside token_file: the portal hears `token` as well
    struct {
        char *certificate_file, *key_file, *ca_file; // all of them, or NULL
    } tls;
    bool debug, start, local; // ochopod_debug, ochopod_start, ochopod_local
    char *binding; // named in the spec, the environment (OCHOPOD_BINDING) or a flag; NULL: the
                   // first that says yes
    char *application, *task; // ochopod_application, ochopod_task; NULL: the binding says
    char *docker_host;        // DOCKER_HOST or NULL
    char *holder_image;       // --holder-image, for a sidecar that runs outside a container; NULL
};

struct spec_flags { // what argv said; NULL or -1: nothing
    const char *spec, *cluster, *namespace_, *zk, *listen, *state_dir, *binding, *holder_image,
        *docker_host;
    int port;
    bool debug;
};

// Reads --spec, OCHOPOD_SPEC (a path, or the text itself) or /etc/ochopod/pod.yaml, then
// environment, then flags. environ_ is NULL-ended "K=V". On failure `report` holds every complaint,
// one a line, "file:line:col: key: what, and what to do", and err the first; exit status 2.
// Templates named in the spec are read relative to the spec's folder and checked for syntax by the
// caller (render_check).
int spec_load(const struct spec_flags *flags, char *const *environ_, struct spec **ret,
              struct text *report, struct err *err) must_check;
// The same from text, for fuzzers, ocho validate and tests; folder is where templates are looked
// for.
int spec_parse(const char *text, size_t len, const char *name, const char *folder,
               const struct spec_flags *flags, char *const *environ_, struct spec **ret,
               struct text *report, struct err *err) must_check;
void spec_free(struct spec *spec); // takes NULL
// "2181", "2181 *", "8080 9000", each maybe with " tcp" or " udp": what is wrong, or NULL.
const char *spec_port_parse(const char *s, struct spec_port *ret);
// "80", "8080:80", "127.0.0.1:8080-8090:80-90/udp", of workload.ports: what is wrong, or NULL.
const char *spec_published_parse(const char *s, struct spec_published *ret);
// What is wrong with the name of a cluster, of a namespace, of an image, or NULL.
const char *spec_wrong_cluster(const char *s);
const char *spec_wrong_namespace(const char *s);
const char *spec_wrong_image(const char *s);
const struct spec_tool *spec_tool(const struct spec *spec, const char *name); // NULL: unknown
