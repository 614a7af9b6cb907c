#include "tests/fake/engine.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "tests/fake/engine_inside.h"
#include <regex.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

// ---- small things ----

struct engine_reply engine_refusal(int status, const char *fmt, ...) {
    auto_free char *message = NULL;
    va_list ap;
    va_start(ap, fmt);
    CHECK(vasprintf(&message, fmt, ap) >= 0);
    va_end(ap);
    return (struct engine_reply){status, json_pack("{s:s}", "message", message)};
}

static struct engine_reply done(int status) {
    return (struct engine_reply){status, NULL};
}

int64_t engine_now(const struct engine *e) {
    return e->clock(e->arg);
}

void engine_new_id(struct engine *e, const char *prefix, char ret[65]) {
    uint64_t n = ++e->serial, mixed = n * UINT64_C(0x9e3779b97f4a7c15);
    snprintf(ret, 65, "%.4s%08llx%016llx%016llx%020llx", prefix, (unsigned long long)n,
             (unsigned long long)mixed, (unsigned long long)(mixed * mixed),
             (unsigned long long)(mixed >> 7));
}

char *engine_stamp(int64_t ns) {
    if (!ns)
        return xstrdup("0001-01-01T00:00:00Z");
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    char day[32];
    gmtime_r(&seconds, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    return xasprintf("%s.%09lldZ", day, (long long)(ns % 1000000000));
}

struct engine *engine_create(engine_clock_fn *clock, engine_event_fn *on_event, void *arg) {
    struct engine *e = xnew(struct engine);
    e->clock = clock;
    e->on_event = on_event;
    e->arg = arg;
    e->images = json_object();
    e->volumes = json_object();
    e->execs = json_object();
    list_init(&e->containers);
    return e;
}

static void container_free(struct engine_container *c) {
    list_remove(&c->link);
    json_decref(c->config);
    json_decref(c->host_config);
    json_decref(c->mounts);
    json_decref(c->anonymous);
    json_decref(c->files);
    free(c->name);
    free(c->image_id);
    free(c->health);
    free(c->error);
    free(c);
}

void engine_free(struct engine *e) {
    if (!e)
        return;
    while (!list_empty(&e->containers))
        container_free(list_first(&e->containers, struct engine_container, link));
    json_decref(e->images);
    json_decref(e->volumes);
    json_decref(e->execs);
    free(e);
}

void engine_set_lag(struct engine *e, int64_t ns) {
    e->lag_ns = ns;
}

struct link *engine_containers(struct engine *e) {
    return &e->containers;
}

struct engine_container *engine_find(struct engine *e, const char *ref) {
    struct engine_container *c;
    list_each(c, &e->containers, struct engine_container, link) {
        if (strcmp(c->id, ref) == 0 || strcmp(c->name, ref) == 0 ||
            (strlen(ref) >= 12 && text_starts(c->id, ref)))
            return c;
    }
    return NULL;
}

bool engine_is_running(const struct engine *e, const struct engine_container *c) {
    return c->status == ENGINE_RUNNING || c->status == ENGINE_PAUSED ||
           (c->status == ENGINE_EXITED && engine_now(e) < c->seen_ns);
}

static bool is_alive(const struct engine_container *c) {
    return c->status == ENGINE_RUNNING || c->status == ENGINE_PAUSED;
}

static struct engine_reply no_such(const char *ref) {
    return engine_refusal(404, "No such container: %s", ref);
}

// ---- events ----

// key and value: one more attribute, or NULL.
static void emit(struct engine *e, const struct engine_container *c, const char *action,
                 const char *key, const char *value) {
    int64_t now = engine_now(e);
    json_t *attributes = json_copy(json_object_get(c->config, "Labels"));
    json_object_set_new(attributes, "image", json_string(json_text(c->config, "Image")));
    json_object_set_new(attributes, "name", json_string(c->name));
    if (key)
        json_object_set_new(attributes, key, json_string(value));
    auto_json json_t *event = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:o}, s:s, s:I, s:I}", "status", action, "id", c->id,
        "from", json_text(c->config, "Image"), "Type", "container", "Action", action, "Actor", "ID",
        c->id, "Attributes", attributes, "scope", "local", "time", (json_int_t)(now / 1000000000),
        "timeNano", (json_int_t)now);
    e->on_event(event, c, e->arg);
}

// ---- create ----

static bool is_good_name(const char *name) {
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return strlen(name) >= 2 && strspn(name, chars) == strlen(name) && !strchr("_.-", *name);
}

static const char *conflict(const json_t *body) {
    const json_t *host = json_object_get(body, "HostConfig");
    bool joins = text_starts(json_text(host, "NetworkMode"), "container:");
    if (joins && *json_text(body, "Hostname"))
        return "conflicting options: hostname and the network mode";
    if (joins && (json_object_size(json_object_get(host, "PortBindings")) ||
                  json_is_true(json_object_get(host, "PublishAllPorts"))))
        return "conflicting options: port publishing and the container type network mode";
    if (joins && json_object_size(json_object_get(body, "ExposedPorts")))
        return "conflicting options: port exposing and the container type network mode";
    if (joins && json_array_size(json_object_get(host, "Dns")))
        return "conflicting options: dns and the network mode";
    if (json_is_true(json_object_get(host, "AutoRemove")) &&
        *json_text(json_object_get(host, "RestartPolicy"), "Name") &&
        strcmp(json_text(json_object_get(host, "RestartPolicy"), "Name"), "no") != 0)
        return "can't create 'AutoRemove' container with restart policy";
    return NULL;
}

// What the request says, over what the image says.
static json_t *merged_config(const json_t *body, const json_t *image, const char *id) {
    json_t *config = json_deep_copy(json_object_get(image, "Config"));
    json_t *labels = json_deep_copy(json_object_get(config, "Labels")), *value;
    const char *key;
    if (!labels || json_is_null(labels)) {
        json_decref(labels);
        labels = json_object();
    }
    json_object_foreach((json_t *)body, key, value) {
        if (!json_is_null(value) && strcmp(key, "HostConfig") != 0 &&
            strcmp(key, "NetworkingConfig") != 0 && strcmp(key, "Labels") != 0)
            json_object_set_new(config, key, json_deep_copy(value));
    }
    json_object_update(labels, json_object_get(body, "Labels"));
    json_object_set_new(config, "Labels", labels);
    if (!*json_text(config, "Hostname"))
        json_object_set_new(config, "Hostname", json_stringn(id, 12));
    return config;
}

static void add_mount(struct engine *e, json_t *mounts, const char *type, const char *source,
                      const char *target, bool rw) {
    if (strcmp(type, "bind") == 0) {
        json_array_append_new(mounts,
                              json_pack("{s:s, s:s, s:s, s:s, s:b}", "Type", type, "Source", source,
                                        "Destination", target, "Mode", "", "RW", rw));
        return;
    }
    char anonymous[65];
    const char *name = source;
    if (!*source) {
        engine_new_id(e, "a0a0", anonymous);
        name = anonymous;
    }
    struct engine_reply made = engine_volume_create(e, name, NULL);
    json_array_append_new(mounts,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "Type", "volume", "Name",
                                    name, "Source", json_text(made.body, "Mountpoint"),
                                    "Destination", target, "Driver", "local", "RW", rw));
    json_decref(made.body);
}

static bool is_mounted(const json_t *mounts, const char *target) {
    for (size_t i = 0; i < json_array_size(mounts); i++)
        if (strcmp(json_text(json_array_get(mounts, i), "Destination"), target) == 0)
            return true;
    return false;
}

static json_t *mounts_of(struct engine *e, const json_t *config, const json_t *host,
                         json_t *anonymous) {
    json_t *mounts = json_array(), *value;
    const json_t *list = json_object_get(host, "Mounts"), *binds = json_object_get(host, "Binds");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        add_mount(e, mounts, json_text(m, "Type"), json_text(m, "Source"), json_text(m, "Target"),
                  !json_is_true(json_object_get(m, "ReadOnly")));
    }
    for (size_t i = 0; i < json_array_size(binds); i++) {
        char **part = text_split(json_string_value(json_array_get(binds, i)), ":");
        if (part[0] && part[1])
            add_mount(e, mounts, *part[0] == '/' ? "bind" : "volume", part[0], part[1],
                      !(part[2] && strstr(part[2], "ro")));
        text_list_free(part);
    }
    const char *target;
    json_object_foreach(json_object_get(config, "Volumes"), target, value) {
        if (!is_mounted(mounts, target)) {
            add_mount(e, mounts, "volume", "", target, true);
            const json_t *last = json_array_get(mounts, json_array_size(mounts) - 1);
            json_array_append(anonymous, json_object_get(last, "Name"));
        }
    }
    return mounts;
}

// A namespace of another container is kept by id, as the engine does.
static void resolve_mode(struct engine *e, json_t *host, const char *key) {
    const char *mode = json_text(host, key);
    if (!text_starts(mode, "container:"))
        return;
    const struct engine_container *target = engine_find(e, mode + strlen("container:"));
    if (target) {
        auto_free char *by_id = xasprintf("container:%s", target->id);
        json_object_set_new(host, key, json_string(by_id));
    }
}

static json_t *completed_host_config(struct engine *e, const json_t *body) {
    json_t *host = json_deep_copy(json_object_get(body, "HostConfig"));
    if (!host)
        host = json_object();
    if (!*json_text(host, "NetworkMode"))
        json_object_set_new(host, "NetworkMode", json_string("default"));
    if (!json_is_object(json_object_get(host, "RestartPolicy")))
        json_object_set_new(host, "RestartPolicy",
                            json_pack("{s:s, s:i}", "Name", "no", "MaximumRetryCount", 0));
    resolve_mode(e, host, "NetworkMode");
    resolve_mode(e, host, "PidMode");
    return host;
}

struct engine_reply engine_container_create(struct engine *e, const char *name,
                                            const json_t *body) {
    struct engine_reply image = engine_image_inspect(e, json_text(body, "Image"));
    auto_json json_t *inspected = image.body;
    const char *why = conflict(body);
    if (image.status != 200)
        return engine_refusal(404, "No such image: %s", json_text(body, "Image"));
    if (name && !is_good_name(name))
        return engine_refusal(400, "Invalid container name (%s)", name);
    const struct engine_container *other = name ? engine_find(e, name) : NULL;
    if (other)
        return engine_refusal(409,
                              "Conflict. The container name \"/%s\" is already in use by "
                              "container \"%s\".",
                              name, other->id);
    if (why)
        return engine_refusal(400, "%s", why);
    struct engine_container *c = xnew(struct engine_container);
    engine_new_id(e, "c0c0", c->id);
    c->name = name ? xstrdup(name) : xasprintf("nameless_%llu", (unsigned long long)e->serial);
    c->image_id = xstrdup(json_text(inspected, "Id"));
    c->config = merged_config(body, inspected, c->id);
    c->host_config = completed_host_config(e, body);
    c->anonymous = json_array();
    c->mounts = mounts_of(e, c->config, c->host_config, c->anonymous);
    c->files = json_object();
    c->created_ns = engine_now(e);
    c->health = xstrdup("");
    c->error = xstrdup("");
    list_append(&e->containers, &c->link);
    emit(e, c, "create", NULL, NULL);
    return (struct engine_reply){201, json_pack("{s:s, s:[]}", "Id", c->id, "Warnings")};
}

// ---- start and end ----

static const char *joined(const struct engine_container *c, const char *key) {
    const char *mode = json_text(c->host_config, key);
    return text_starts(mode, "container:") ? mode + strlen("container:") : NULL;
}

static bool is_ready_to_join(struct engine *e, const struct engine_container *c, const char *key,
                             const char *what, struct engine_reply *ret) {
    const char *ref = joined(c, key);
    const struct engine_container *target = ref ? engine_find(e, ref) : NULL;
    if (ref && !target)
        *ret = engine_refusal(500, "joining %s namespace of container: No such container: %s", what,
                              ref);
    else if (ref && !is_alive(target))
        *ret = engine_refusal(409, "cannot join %s of a non running container: %s", what,
                              target->id);
    else
        return true;
    return false;
}

struct engine_reply engine_container_start(struct engine *e, const char *ref) {
    struct engine_container *c = engine_find(e, ref);
    struct engine_reply why = {0};
    if (!c)
        return no_such(ref);
    if (is_alive(c))
        return done(304);
    if (!is_ready_to_join(e, c, "NetworkMode", "network", &why) ||
        !is_ready_to_join(e, c, "PidMode", "PID", &why))
        return why;
    const char *mode = json_text(c->host_config, "NetworkMode");
    bool has_ip = strcmp(mode, "none") != 0 && strcmp(mode, "host") != 0 &&
                  !text_starts(mode, "container:");
    unsigned n = (unsigned)++e->serial;
    if (has_ip)
        snprintf(c->ip, sizeof c->ip, "198.18.%u.%u", n >> 8 & 255, n & 255);
    c->status = ENGINE_RUNNING;
    c->pid = 1000 + (int64_t)n;
    c->started_ns = engine_now(e);
    c->exit_code = 0;
    c->oom = false;
    c->seen_ns = 0;
    c->starts++;
    const json_t *test = json_object_get(json_object_get(c->config, "Healthcheck"), "Test");
    free(c->health);
    c->health = xstrdup(json_array_size(test) > 1 ? "starting" : "");
    emit(e, c, "start", NULL, NULL);
    return done(204);
}

void engine_exit(struct engine *e, struct engine_container *c, int exit_code, bool oom) {
    if (!is_alive(c))
        return;
    char digits[16];
    snprintf(digits, sizeof digits, "%d", exit_code);
    c->status = ENGINE_EXITED;
    c->exit_code = exit_code;
    c->oom = oom;
    c->pid = 0;
    c->ip[0] = 0;
    c->finished_ns = engine_now(e);
    c->seen_ns = c->finished_ns - c->finished_ns % 1000000 + e->lag_ns; // by whole milliseconds
    if (oom)
        emit(e, c, "oom", NULL, NULL);
    emit(e, c, "die", "exitCode", digits);
    struct engine_container *other;
    list_each(other, &e->containers, struct engine_container, link) {
        const char *in = joined(other, "PidMode");
        if (in && strcmp(in, c->id) == 0)
            engine_exit(e, other, 137, false);
    }
}

void engine_stopped(struct engine *e, struct engine_container *c) {
    emit(e, c, "stop", NULL, NULL);
}

void engine_health(struct engine *e, struct engine_container *c, const char *health) {
    auto_free char *action = xasprintf("health_status: %s", health);
    free(c->health);
    c->health = xstrdup(health);
    emit(e, c, action, NULL, NULL);
}

static const struct {
    const char *name, *number;
    int exit_code;
} signals[] = {{"KILL", "9", 137}, {"TERM", "15", 143}, {"INT", "2", 130},  {"QUIT", "3", 131},
               {"HUP", "1", -1},   {"USR1", "10", -1},  {"USR2", "12", -1}, {"WINCH", "28", -1}};

static int find_signal(const char *signal) {
    const char *name = text_starts(signal, "SIG") ? signal + 3 : signal;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(name, signals[i].name) == 0 || strcmp(name, signals[i].number) == 0)
            return (int)i;
    return -1;
}

int engine_signal_exit(const char *signal) {
    int at = find_signal(signal && *signal ? signal : "KILL");
    return at < 0 ? -1 : signals[at].exit_code;
}

struct engine_reply engine_container_kill(struct engine *e, const char *ref, const char *signal) {
    const struct engine_container *c = engine_find(e, ref);
    const char *asked = signal && *signal ? signal : "KILL";
    int at = find_signal(asked);
    if (at < 0)
        return engine_refusal(400, "Invalid signal: %s", asked);
    if (!c)
        return engine_refusal(404, "Cannot kill container: %s: No such container: %s", ref, ref);
    if (!is_alive(c))
        return engine_refusal(409, "Cannot kill container: %s: Container %s is not running", ref,
                              c->id);
    emit(e, c, "kill", "signal", signals[at].number);
    return done(204);
}

// ---- the rest of a life ----

struct engine_reply engine_container_rename(struct engine *e, const char *ref, const char *name) {
    struct engine_container *c = engine_find(e, ref);
    if (!c)
        return no_such(ref);
    if (!is_good_name(name))
        return engine_refusal(400, "Invalid container name (%s)", name);
    if (engine_find(e, name))
        return engine_refusal(409,
                              "Error when allocating new name: Conflict. The container name "
                              "\"/%s\" is already in use",
                              name);
    free(c->name);
    c->name = xstrdup(name);
    emit(e, c, "rename", NULL, NULL);
    return done(204);
}

struct engine_reply engine_container_update(struct engine *e, const char *ref, const json_t *body) {
    struct engine_container *c = engine_find(e, ref);
    if (!c)
        return no_such(ref);
    json_object_update(c->host_config, (json_t *)body);
    emit(e, c, "update", NULL, NULL);
    return (struct engine_reply){200, json_pack("{s:n}", "Warnings")};
}

// What another container mounts by its name stays, and nobody is told.
static void remove_volumes(struct engine *e, const json_t *names) {
    for (size_t i = 0; i < json_array_size(names); i++)
        json_decref(engine_volume_remove(e, json_string_value(json_array_get(names, i))).body);
}

struct engine_reply engine_container_remove(struct engine *e, const char *ref, bool force,
                                            bool volumes) {
    struct engine_container *c = engine_find(e, ref);
    if (!c)
        return no_such(ref);
    if (is_alive(c) && !force)
        return engine_refusal(409,
                              "You cannot remove a running container %s. Stop the container "
                              "before attempting removal or force remove",
                              c->id);
    if (is_alive(c)) {
        emit(e, c, "kill", "signal", "9");
        engine_exit(e, c, 137, false);
    }
    emit(e, c, "destroy", NULL, NULL);
    json_t *anonymous = json_incref(c->anonymous);
    container_free(c);
    if (volumes)
        remove_volumes(e, anonymous);
    json_decref(anonymous);
    return done(204);
}

// ---- inspect and list ----

static const char *status_name(const struct engine *e, const struct engine_container *c) {
    static const char *const names[] = {[ENGINE_CREATED] = "created",
                                        [ENGINE_RUNNING] = "running",
                                        [ENGINE_PAUSED] = "paused",
                                        [ENGINE_EXITED] = "exited"};
    if (c->removing && !engine_is_running(e, c))
        return "removing";
    return names[c->status == ENGINE_EXITED && engine_is_running(e, c) ? ENGINE_RUNNING
                                                                       : c->status];
}

static json_t *state_of(const struct engine *e, const struct engine_container *c) {
    bool running = engine_is_running(e, c);
    auto_free char *started = engine_stamp(c->started_ns);
    auto_free char *finished = engine_stamp(running ? 0 : c->finished_ns);
    json_t *state = json_pack(
        "{s:s, s:b, s:b, s:b, s:b, s:b, s:I, s:i, s:s, s:s, s:s}", "Status", status_name(e, c),
        "Running", running, "Paused", c->status == ENGINE_PAUSED, "Restarting", 0, "OOMKilled",
        c->oom, "Dead", 0, "Pid", (json_int_t)c->pid, "ExitCode", running ? 0 : c->exit_code,
        "Error", c->error, "StartedAt", started, "FinishedAt", finished);
    if (*c->health)
        json_object_set_new(
            state, "Health",
            json_pack("{s:s, s:i, s:[]}", "Status", c->health, "FailingStreak", 0, "Log"));
    return state;
}

static json_t *networks_of(const struct engine_container *c) {
    const char *mode = json_text(c->host_config, "NetworkMode");
    if (text_starts(mode, "container:"))
        return json_object();
    const char *name = strcmp(mode, "default") == 0 ? "bridge" : mode;
    return json_pack("{s:{s:s}}", name, "IPAddress", c->ip);
}

struct engine_reply engine_container_inspect(struct engine *e, const char *ref) {
    const struct engine_container *c = engine_find(e, ref);
    if (!c)
        return no_such(ref);
    auto_free char *created = engine_stamp(c->created_ns), *name = xasprintf("/%s", c->name);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:o, s:O, s:O, s:O, s:{s:{}, s:s, s:o}, s:i}",
                             "Id", c->id, "Created", created, "Name", name, "Image", c->image_id,
                             "State", state_of(e, c), "Config", c->config, "HostConfig",
                             c->host_config, "Mounts", c->mounts, "NetworkSettings", "Ports",
                             "IPAddress", c->ip, "Networks", networks_of(c), "RestartCount", 0);
    return (struct engine_reply){200, body};
}

bool engine_has_labels(const json_t *labels, const json_t *filters) {
    const json_t *wanted = json_object_get(filters, "label");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        auto_free char *key = xstrdup(json_string_value(json_array_get(wanted, i)));
        char *equals = strchr(key, '=');
        if (equals)
            *equals = 0;
        const json_t *value = json_object_get(labels, key);
        if (!value || (equals && strcmp(json_string_value(value), equals + 1) != 0))
            return false;
    }
    return true;
}

static bool matches(const char *pattern, const char *s) {
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
        return false;
    bool yes = regexec(&regex, s, 0, NULL, 0) == 0;
    regfree(&regex);
    return yes;
}

// One of the values of a filter, as a pattern; no such filter lets everything through.
static bool has_one(const json_t *filters, const char *key, const char *prefix, const char *s) {
    const json_t *wanted = json_object_get(filters, key);
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        auto_free char *pattern = xasprintf("%s%s", prefix,
                                            json_string_value(json_array_get(wanted, i)));
        if (matches(pattern, s))
            return true;
    }
    return json_array_size(wanted) == 0;
}

struct engine_reply engine_container_list(struct engine *e, bool all, const json_t *filters) {
    json_t *list = json_array();
    struct engine_container *c;
    list_each(c, &e->containers, struct engine_container, link) {
        auto_free char *name = xasprintf("/%s", c->name);
        bool any = all || json_object_get(filters, "status");
        if ((!any && !engine_is_running(e, c)) ||
            !engine_has_labels(json_object_get(c->config, "Labels"), filters) ||
            !has_one(filters, "name", "", name) || !has_one(filters, "id", "^", c->id) ||
            !has_one(filters, "status", "^", status_name(e, c)))
            continue;
        json_array_insert_new(
            list, 0,
            json_pack("{s:s, s:[s], s:s, s:s, s:I, s:O, s:s, s:s, s:[], s:O, s:{s:O}, s:{s:o}}",
                      "Id", c->id, "Names", name, "Image", json_text(c->config, "Image"), "ImageID",
                      c->image_id, "Created", (json_int_t)(c->created_ns / 1000000000), "Labels",
                      json_object_get(c->config, "Labels"), "State", status_name(e, c), "Status",
                      status_name(e, c), "Ports", "Mounts", c->mounts, "HostConfig", "NetworkMode",
                      json_object_get(c->host_config, "NetworkMode"), "NetworkSettings", "Networks",
                      networks_of(c)));
    }
    return (struct engine_reply){200, list};
}
