#include "sidecar/pod/place.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/clerk.h"
#include "sidecar/cluster/digest.h"
#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { ID_LEN = 64, SHORT = 8 };

static void put(json_t *obj, const char *key, const char *value) {
    CHECK(json_object_set_new(obj, key, json_string(value)) == 0);
}

// ---- outside a container: the owner is a process ----

#define NO_BOOT "unknown"

// As it was before the forks and the filter: see place_here.
static char *noted_boot, *noted_owner;
static unsigned long long noted_namespace;

static char *boot_id(void) {
    if (noted_boot)
        return xstrdup(noted_boot);
    auto_file FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    char line[64] = "";
    if (!f || !fgets(line, sizeof line, f))
        return xstrdup(NO_BOOT);
    line[strcspn(line, "\n")] = '\0';
    return xstrdup(line);
}

// In which our pids count: no two that live have one number. 0: not known.
static unsigned long long pid_namespace(void) {
    struct stat st;
    if (noted_namespace)
        return noted_namespace;
    return stat("/proc/self/ns/pid", &st) ? 0 : (unsigned long long)st.st_ino;
}

// Of an answer that did not come nothing follows: hands off.
enum { UNKNOWN = -2 };

// Field 22 of stat, counted from behind the name, which may hold anything. -1: no such process.
static long long start_of(long pid) {
    char path[64], buf[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    auto_file FILE *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, sizeof buf - 1, f) : 0;
    buf[n] = '\0';
    char *at = strrchr(buf, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : -1;
}

void place_start_duty(struct wire *request, struct text *answer, const void *arg) {
    (void)arg;
    wire_add_int(answer, start_of((long)wire_int(request)));
}

static long long ask_start(long pid) {
    auto_text struct text request = {0}, answer = {0};
    struct wire w;
    if (!clerk_in_use())
        return start_of(pid);
    wire_add_int(&request, pid);
    return clerk_ask(PLACE_START, &request, &answer, &w, NULL) ? UNKNOWN : wire_int(&w);
}

static char *process_owner(void) {
    if (noted_owner)
        return xstrdup(noted_owner);
    auto_free char *boot = boot_id();
    long pid = (long)getppid(); // init: the worker may be another one tomorrow
    return xasprintf("host:%s:%ld:%lld:%llu", boot, pid, start_of(pid), pid_namespace());
}

void place_here(void) {
    char *boot = boot_id(), *owner = process_owner();
    free(noted_boot);
    free(noted_owner);
    noted_boot = boot;
    noted_owner = owner;
    noted_namespace = pid_namespace();
}

// Of what is said of a process we know what became of it only where it was one of this machine, and
// of the pids that we see. An owner of an earlier release does not say of which pids it is.
static enum owner_fate process_fate(const struct place *place, const char *owner) {
    auto_free char *boot = boot_id();
    const char *at = owner + strlen("host:");
    if (strcmp(boot, NO_BOOT) == 0 || text_starts(at, NO_BOOT ":"))
        return OWNER_UNKNOWN;
    if (!text_starts(at, boot) || at[strlen(boot)] != ':') // our own machine's, or another one's
        return place->engine_is_here ? OWNER_GONE : OWNER_UNKNOWN;
    char *end;
    long pid = strtol(at + strlen(boot) + 1, &end, 10);
    if (*end != ':' || place->self) // from a container we do not see the host's processes
        return OWNER_ALIVE;
    long long noted = strtoll(end + 1, &end, 10);
    if (*end == ':' && (!pid_namespace() || strtoull(end + 1, NULL, 10) != pid_namespace()))
        return OWNER_UNKNOWN;
    long long start = ask_start(pid);
    return start == UNKNOWN || start == noted ? OWNER_ALIVE : OWNER_GONE;
}

enum owner_fate place_fate(const struct place *place, const char *owner) {
    if (strcmp(owner, place->owner) == 0)
        return OWNER_ALIVE;
    if (text_starts(owner, "host:"))
        return process_fate(place, owner);
    if (strlen(owner) != ID_LEN || strspn(owner, "0123456789abcdef") != ID_LEN)
        return OWNER_ALIVE; // not a word of ours: hands off
    return OWNER_ASK;
}

// ---- names ----

static char *cleaned(const char *s) {
    char *name = xstrdup(s);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_.-", *c))
            *c = '-';
    return name;
}

// A name that begins with mesos- would be taken, and removed, by an agent's recovery.
static void name_it(struct place *p) {
    auto_free char *cluster = cleaned(p->full_name);
    p->fallback_name = xasprintf("ochopod-%s-%.*s", cluster, SHORT, p->pod_id);
    bool usable = p->self && *p->self->name && !text_starts(p->self->name, "mesos-");
    p->name = usable ? xasprintf("%s-workload", p->self->name) : xstrdup(p->fallback_name);
}

char *place_volume(const struct place *place, const char *path) {
    char hex[65];
    digest_hex(path, strlen(path), hex);
    return xasprintf("ochopod-%s-%.8s", place->pod_id, hex);
}

json_t *place_labels(const struct place *place, const char *role) {
    json_t *labels = json_object();
    put(labels, LABEL_ROLE, role);
    put(labels, LABEL_CLUSTER, place->full_name);
    put(labels, LABEL_POD, place->pod_id);
    put(labels, LABEL_OWNER, place->owner);
    const char *task = place->self ? place_task(place->self) : "";
    if (*task)
        put(labels, LABEL_TASK, task);
    return labels;
}

const char *place_task(const struct docker_container *c) {
    static const char *const keys[] = {"MESOS_TASK_ID", "com.docker.swarm.task.id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (*docker_container_label(c, keys[i]))
            return docker_container_label(c, keys[i]);
    return text_starts(c->name, "mesos-") ? c->name : ""; // no label before Marathon 1.5
}

bool place_is_over(const struct docker_container *c) {
    if (strcmp(c->status, "removing") == 0) // it has ended, and is not started again
        return true;
    return *place_task(c) && (strcmp(c->status, "exited") == 0 || strcmp(c->status, "dead") == 0);
}

bool place_owns(const struct place *place, const struct docker_container *c) {
    return *docker_container_label(c, LABEL_ROLE) &&
           (strcmp(docker_container_label(c, LABEL_POD), place->pod_id) == 0 ||
            strcmp(docker_container_label(c, LABEL_OWNER), place->owner) == 0);
}

// ---- network ----

// Who joins a container that itself joined another joins that one.
static char *home(const struct docker_container *self) {
    if (!self || strcmp(self->network_mode, "host") == 0)
        return xstrdup("host");
    if (text_starts(self->network_mode, "container:"))
        return xstrdup(self->network_mode);
    return xasprintf("container:%s", self->id);
}

struct place *place_make(const struct spec *spec, const struct binding_facts *facts,
                         const char *pod_id, const char *full_name) {
    struct place *p = xnew(struct place);
    const struct docker_container *self = facts->self;
    p->self = self;
    p->pod_id = xstrdup(pod_id);
    p->full_name = xstrdup(full_name);
    p->engine_is_here = text_starts(docker_host(spec->docker_host), "unix:");
    p->owner = self ? xstrdup(self->id) : process_owner();
    p->run = self ? xasprintf("%s@%s", self->id, self->started_at) : xstrdup(p->owner);
    char hex[65];
    digest_hex(p->run, strlen(p->run), hex);
    snprintf(p->run_id, sizeof p->run_id, "%.16s", hex);
    name_it(p);
    p->home_network = home(self);
    p->network = xstrdup(spec->workload.network ? spec->workload.network : p->home_network);
    p->shares_network = strcmp(p->network, p->home_network) == 0;
    p->local = p->shares_network && !spec->workload.address ? facts->local : NULL;
    return p;
}

bool place_is_apart(const struct place *place) {
    return !place->shares_network && strcmp(place->network, "host") != 0;
}

// Of a sidecar that joined another container it is not known what that one joined.
static bool is_reached(const struct place *place) {
    bool host = strcmp(place->network, "host") == 0, none = strcmp(place->network, "none") == 0;
    bool joined = place->self && text_starts(place->self->network_mode, "container:");
    return place->shares_network || (host ? joined : !none);
}

int place_verify(const struct place *place, const struct spec *spec, struct text *report,
                 struct err *err) {
    const struct spec_workload *w = &spec->workload;
    const struct {
        const char *name;
        enum check_kind kind;
    } checks[] = {{"ready", w->ready.kind}, {"check", w->check.kind}};
    for (size_t i = 0; i < 2 && !is_reached(place); i++) {
        if (checks[i].kind != CHECK_TCP && checks[i].kind != CHECK_HTTP)
            continue;
        err_set(err, ERR_USER,
                "workload.network: %s: the sidecar is on another network, and workload.%s.%s "
                "asks what it cannot reach from there: use exec or docker",
                place->network, checks[i].name, checks[i].kind == CHECK_TCP ? "tcp" : "http");
        text_addf(report, "%s\n", err->text);
        return -1;
    }
    return 0;
}

int place_port(const struct place *place, int port) {
    char label[16];
    snprintf(label, sizeof label, "%d", port);
    const json_t *value = json_object_get(place->local, label);
    return json_is_integer(value) ? (int)json_integer_value(value) : port;
}

void place_free(struct place *place) {
    if (!place)
        return;
    free(place->owner);
    free(place->run);
    free(place->name);
    free(place->fallback_name);
    free(place->network);
    free(place->home_network);
    free(place->pod_id);
    free(place->full_name);
    free(place);
}
