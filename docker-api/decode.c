#include "docker-api/decode.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <string.h>

enum { VERSION_MAJOR = 1, VERSION_MAX = 51, VERSION_FLOOR = 41 };

// ---- members ----

struct field {
    const char *key;
    size_t at; // of a char * in the struct that is filled
};

// A missing text is "": the engine leaves out what it has no word for.
static int read_texts(const json_t *obj, const struct field *fields, size_t n, void *into,
                      struct err *err) {
    for (size_t i = 0; i < n; i++) {
        const char *s = "";
        if (json_str(obj, fields[i].key, &s, err) < 0)
            return -1;
        char **slot = (char **)((char *)into + fields[i].at);
        free(*slot);
        *slot = xstrdup(s);
    }
    return 0;
}

#define READ_TEXTS(obj, fields, into, err)                                                         \
    read_texts(obj, fields, sizeof fields / sizeof *(fields), into, err)

// NULL with err when it is not there. Borrowed.
static const json_t *need_object(const json_t *obj, const char *key, struct err *err) {
    const json_t *it = json_object_get(obj, key);
    if (json_is_object(it))
        return it;
    err_set(err, ERR_USER, "%s: not an object", key);
    return NULL;
}

// A reference to the member if it is an object, else to an empty one.
static json_t *object_or_empty(const json_t *obj, const char *key) {
    json_t *it = json_object_get(obj, key);
    return json_is_object(it) ? json_incref(it) : json_object();
}

static bool is_hex_id(const char *s) {
    return s && strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

int decode_id(const json_t *j, const char **ret, struct err *err) {
    const char *id = "";
    if (json_str(j, "Id", &id, err) < 0)
        return -1;
    if (!*id)
        return err_set(err, ERR_USER, "Id: missing");
    *ret = id;
    return 0;
}

static bool health_is_checked(const json_t *config) {
    const json_t *test = json_object_get(json_object_get(config, "Healthcheck"), "Test");
    const char *first = json_string_value(json_array_get(test, 0));
    return first && strcmp(first, "NONE") != 0;
}

// ---- containers ----

static int read_mounts(struct docker_container *c, const json_t *list, struct err *err) {
    static const struct field fields[] = {
        {"Type", offsetof(struct docker_mount, type)},
        {"Name", offsetof(struct docker_mount, name)},
        {"Source", offsetof(struct docker_mount, source)},
        {"Destination", offsetof(struct docker_mount, destination)},
    };
    size_t n = json_array_size(list);
    c->mounts = xcalloc(n + 1, sizeof *c->mounts);
    for (; c->mounts_len < n; c->mounts_len++) {
        struct docker_mount *m = &c->mounts[c->mounts_len];
        const json_t *j = json_array_get(list, c->mounts_len);
        if (READ_TEXTS(j, fields, m, err) < 0 || json_flag(j, "RW", &m->rw, err) < 0) {
            c->mounts_len++; // what is half read is freed with the rest
            return err_wrap(err, "Mounts");
        }
    }
    return 0;
}

static int read_state(struct docker_container *c, const json_t *state, struct err *err) {
    static const struct field fields[] = {
        {"Status", offsetof(struct docker_container, status)},
        {"Error", offsetof(struct docker_container, state_error)},
        {"StartedAt", offsetof(struct docker_container, started_at)},
        {"FinishedAt", offsetof(struct docker_container, finished_at)},
    };
    int64_t exit_code = 0;
    if (READ_TEXTS(state, fields, c, err) < 0 ||
        json_flag(state, "Running", &c->running, err) < 0 ||
        json_flag(state, "Paused", &c->paused, err) < 0 ||
        json_flag(state, "OOMKilled", &c->oom_killed, err) < 0 ||
        json_int(state, "Pid", &c->pid, err) < 0 ||
        json_int(state, "ExitCode", &exit_code, err) < 0)
        return -1;
    if (!*c->status)
        return err_set(err, ERR_USER, "Status: missing");
    if (exit_code < INT32_MIN || exit_code > INT32_MAX)
        return err_set(err, ERR_USER, "ExitCode: out of range");
    c->exit_code = (int)exit_code;
    c->health = xstrdup(json_text(json_object_get(state, "Health"), "Status"));
    return 0;
}

static int read_config(struct docker_container *c, const json_t *config, struct err *err) {
    static const struct field fields[] = {
        {"Image", offsetof(struct docker_container, image)},
        {"StopSignal", offsetof(struct docker_container, stop_signal)},
        {"Hostname", offsetof(struct docker_container, hostname)},
    };
    c->stop_timeout_s = -1;
    if (READ_TEXTS(config, fields, c, err) < 0 ||
        json_int(config, "StopTimeout", &c->stop_timeout_s, err) < 0)
        return -1;
    c->has_healthcheck = health_is_checked(config);
    c->labels = object_or_empty(config, "Labels");
    c->config = json_incref((json_t *)config);
    return 0;
}

static int read_host_config(struct docker_container *c, const json_t *host, struct err *err) {
    static const struct field fields[] = {
        {"NetworkMode", offsetof(struct docker_container, network_mode)},
        {"PidMode", offsetof(struct docker_container, pid_mode)},
    };
    if (READ_TEXTS(host, fields, c, err) < 0)
        return -1;
    c->restart_policy = xstrdup(json_text(json_object_get(host, "RestartPolicy"), "Name"));
    c->host_config = json_incref((json_t *)host);
    return 0;
}

static const char *first_address(json_t *networks, const char *key) {
    const char *ip = "", *name;
    json_t *network;
    json_object_foreach(networks, name, network) {
        if (!*ip)
            ip = json_text(network, key);
    }
    return ip;
}

// From 1.52 on the address is said for each network only; before that this holds as well.
static void read_network(struct docker_container *c, const json_t *settings) {
    c->ports = object_or_empty(settings, "Ports");
    c->networks = object_or_empty(settings, "Networks");
    const char *ip = first_address(c->networks, "IPAddress");
    c->ip = xstrdup(*ip ? ip : first_address(c->networks, "GlobalIPv6Address"));
}

static int read_container(struct docker_container *c, const json_t *j, struct err *err) {
    static const struct field fields[] = {
        {"Name", offsetof(struct docker_container, name)},
        {"Image", offsetof(struct docker_container, image_id)},
    };
    const char *id = NULL;
    if (decode_id(j, &id, err) < 0)
        return -1;
    if (!is_hex_id(id))
        return err_set(err, ERR_USER, "Id: not 64 hexadecimal digits");
    memcpy(c->id, id, sizeof c->id);
    if (READ_TEXTS(j, fields, c, err) < 0)
        return -1;
    if (*c->name == '/')
        memmove(c->name, c->name + 1, strlen(c->name));
    const json_t *state = need_object(j, "State", err);
    const json_t *config = state ? need_object(j, "Config", err) : NULL;
    const json_t *host = config ? need_object(j, "HostConfig", err) : NULL;
    if (!host)
        return -1;
    if (read_state(c, state, err) < 0)
        return err_wrap(err, "State");
    if (read_config(c, config, err) < 0)
        return err_wrap(err, "Config");
    if (read_host_config(c, host, err) < 0)
        return err_wrap(err, "HostConfig");
    read_network(c, json_object_get(j, "NetworkSettings"));
    return read_mounts(c, json_object_get(j, "Mounts"), err);
}

int decode_container_json(const json_t *j, struct docker_container **ret, struct err *err) {
    struct docker_container *c = xnew(struct docker_container);
    if (read_container(c, j, err) < 0) {
        docker_container_free(c);
        return err_wrap(err, "container as inspected");
    }
    *ret = c;
    return 0;
}

int decode_container(const char *s, size_t len, struct docker_container **ret, struct err *err) {
    auto_json json_t *j = json_read_quoting(s, len, DECODE_MAX_REPLY, "container as inspected",
                                            err);
    return j ? decode_container_json(j, ret, err) : -1;
}

static void mounts_free(struct docker_mount *mounts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(mounts[i].type);
        free(mounts[i].name);
        free(mounts[i].source);
        free(mounts[i].destination);
    }
    free(mounts);
}

void docker_container_free(struct docker_container *c) {
    if (!c)
        return;
    mounts_free(c->mounts, c->mounts_len);
    char *texts[] = {c->name,       c->image,          c->image_id, c->status,      c->state_error,
                     c->started_at, c->finished_at,    c->health,   c->stop_signal, c->network_mode,
                     c->pid_mode,   c->restart_policy, c->hostname, c->ip};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    json_decref(c->labels);
    json_decref(c->ports);
    json_decref(c->networks);
    json_decref(c->host_config);
    json_decref(c->config);
    free(c);
}

const char *docker_container_label(const struct docker_container *c, const char *key) {
    return json_text(c->labels, key);
}

// ---- images ----

static void list_free(char **list) {
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

// null and a missing member are an empty list.
static int read_list(const json_t *obj, const char *key, char ***ret, struct err *err) {
    const json_t *array = json_object_get(obj, key);
    if (array && !json_is_null(array) && !json_is_array(array))
        return err_set(err, ERR_USER, "%s: not an array", key);
    size_t n = json_array_size(array);
    *ret = xcalloc(n + 1, sizeof **ret);
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(array, i));
        if (!s)
            return err_set(err, ERR_USER, "%s: not all of it is text", key);
        (*ret)[i] = xstrdup(s);
    }
    return 0;
}

static char **object_keys(const json_t *obj) {
    char **list = xcalloc(json_object_size(obj) + 1, sizeof *list);
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)obj, key, value) {
        list[n++] = xstrdup(key);
    }
    return list;
}

static int read_image(struct docker_image *image, const json_t *j, struct err *err) {
    static const struct field fields[] = {
        {"User", offsetof(struct docker_image, user)},
        {"WorkingDir", offsetof(struct docker_image, working_dir)},
        {"StopSignal", offsetof(struct docker_image, stop_signal)},
    };
    const char *id = NULL;
    if (decode_id(j, &id, err) < 0)
        return -1;
    const json_t *config = need_object(j, "Config", err);
    if (!config)
        return -1;
    image->id = xstrdup(id);
    image->volumes = object_keys(json_object_get(config, "Volumes"));
    image->has_healthcheck = health_is_checked(config);
    if (READ_TEXTS(config, fields, image, err) < 0 ||
        read_list(config, "Entrypoint", &image->entrypoint, err) < 0 ||
        read_list(config, "Cmd", &image->cmd, err) < 0 ||
        read_list(config, "Env", &image->env, err) < 0)
        return err_wrap(err, "Config");
    return 0;
}

int decode_image_json(const json_t *j, struct docker_image **ret, struct err *err) {
    struct docker_image *image = xnew(struct docker_image);
    if (read_image(image, j, err) < 0) {
        docker_image_free(image);
        return err_wrap(err, "image as inspected");
    }
    *ret = image;
    return 0;
}

int decode_image(const char *s, size_t len, struct docker_image **ret, struct err *err) {
    auto_json json_t *j = json_read_quoting(s, len, DECODE_MAX_REPLY, "image as inspected", err);
    return j ? decode_image_json(j, ret, err) : -1;
}

void docker_image_free(struct docker_image *image) {
    if (!image)
        return;
    free(image->id);
    list_free(image->volumes);
    list_free(image->entrypoint);
    list_free(image->cmd);
    list_free(image->env);
    free(image->user);
    free(image->working_dir);
    free(image->stop_signal);
    free(image);
}

// ---- events ----

int decode_event(const json_t *j, struct decode_event *ret, struct err *err) {
    struct decode_event e = {.type = "", .name = "", .id = ""};
    const json_t *actor = json_object_get(j, "Actor");
    if (json_str(j, "Type", &e.type, err) < 0 || json_str(j, "Action", &e.name, err) < 0 ||
        json_int(j, "timeNano", &e.time_ns, err) < 0)
        return -1;
    if (actor && !need_object(j, "Actor", err))
        return -1;
    if (actor && json_str(actor, "ID", &e.id, err) < 0)
        return err_wrap(err, "Actor");
    if (!*e.type || !*e.name)
        return err_set(err, ERR_USER, "event without Type and Action");
    e.attributes = json_object_get(actor, "Attributes");
    *ret = e;
    return 0;
}

// ---- failures and versions ----

static enum err_kind kind_of(int status) {
    if (status == 404)
        return ERR_ABSENT;
    if (status == 409)
        return ERR_EXISTS;
    return status >= 400 && status < 500 ? ERR_USER : ERR_RETRY;
}

int decode_failure(int status, const char *body, size_t len, struct err *err) {
    auto_json json_t *j = json_read_quoting(body, len, DECODE_MAX_REPLY, "", NULL);
    const char *message = json_text(j, "message");
    if (*message)
        return err_code(err, kind_of(status), status, "%s", message);
    auto_text struct text quoted = {0};
    auto_free char *plain = xstrndup(body, len);
    text_quote(&quoted, plain, 200);
    return err_code(err, kind_of(status), status, "HTTP %d %s", status, text_str(&quoted));
}

// "1.41" and nothing else; minor is at most four digits.
static bool parse_version(const char *s, int *major, int *minor) {
    size_t head = strspn(s, "0123456789");
    if (head < 1 || head > 4 || s[head] != '.')
        return false;
    size_t tail = strspn(s + head + 1, "0123456789");
    if (tail < 1 || tail > 4 || s[head + 1 + tail])
        return false;
    *major = (int)strtol(s, NULL, 10);
    *minor = (int)strtol(s + head + 1, NULL, 10);
    return true;
}

bool decode_version_at_least(const char *version, int major, int minor) {
    int have_major, have_minor;
    return parse_version(version, &have_major, &have_minor) &&
           (have_major > major || (have_major == major && have_minor >= minor));
}

int decode_version(const char *engine_max, char ret[16], struct err *err) {
    int major, minor;
    if (!engine_max || !parse_version(engine_max, &major, &minor)) {
        auto_text struct text quoted = {0};
        text_quote(&quoted, engine_max ? engine_max : "", 40);
        return err_set(err, ERR_REFUSED,
                       "what answers is not a Docker engine: its Api-Version is %s",
                       text_str(&quoted));
    }
    if (major < VERSION_MAJOR || (major == VERSION_MAJOR && minor < VERSION_FLOOR))
        return err_set(err, ERR_REFUSED,
                       "the engine is too old: it speaks API %d.%d, we need %d.%d (Docker 20.10) "
                       "or later; upgrade the engine",
                       major, minor, VERSION_MAJOR, VERSION_FLOOR);
    if (major > VERSION_MAJOR || minor > VERSION_MAX)
        minor = VERSION_MAX;
    snprintf(ret, 16, "%d.%d", VERSION_MAJOR, minor);
    return 0;
}

void decode_server(const char *header, char ret[64]) {
    const char *slash = header ? strchr(header, '/') : NULL;
    size_t len = slash ? strcspn(slash + 1, " ") : 0;
    snprintf(ret, 64, "%.*s", (int)(len < 63 ? len : 63), slash ? slash + 1 : "");
}
