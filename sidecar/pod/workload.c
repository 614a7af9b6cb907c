#include "sidecar/pod/workload.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/digest.h"
#include <string.h>

enum { MS_PER_S = 1000 };

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

static void add(json_t *array, json_t *value) {
    CHECK(value && json_array_append_new(array, value) == 0);
}

static json_t *string_array(char *const *list) {
    json_t *array = json_array();
    for (; list && *list; list++)
        add(array, json_string(*list));
    return array;
}

// ---- limits ----

// What bounds the sidecar's container was meant for the pod, and the workload is outside of it.
static void inherit_limits(json_t *host, const struct docker_container *self) {
    static const char *const keys[] = {"Memory",    "MemorySwap", "NanoCpus",    "CpuShares",
                                       "CpuPeriod", "CpuQuota",   "CpusetCpus",  "PidsLimit",
                                       "Ulimits",   "LogConfig",  "CgroupParent"};
    for (size_t i = 0; self && i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(self->host_config, keys[i]);
        if (value && !json_is_null(value))
            put(host, keys[i], json_incref(value));
    }
}

static void own_limits(json_t *host, const struct spec_limits *limits) {
    if (limits->memory) {
        put(host, "Memory", json_integer(limits->memory));
        json_object_del(host, "MemorySwap"); // it must not be below the new one
    }
    if (limits->nano_cpus) {
        put(host, "NanoCpus", json_integer(limits->nano_cpus));
        json_object_del(host, "CpuPeriod");
        json_object_del(host, "CpuQuota");
    }
    if (limits->pids)
        put(host, "PidsLimit", json_integer(limits->pids));
    if (limits->ulimits)
        put(host, "Ulimits", json_incref(limits->ulimits));
}

// ---- ports ----

static void add_port(const struct spec_published *it, int i, json_t *exposed, json_t *bindings) {
    auto_free char *key = xasprintf("%d/%s", it->port + i, it->protocol);
    auto_free char *host = it->host ? xasprintf("%d", it->host + i) : xstrdup("");
    put(exposed, key, json_object());
    json_t *list = json_object_get(bindings, key);
    if (!list) {
        list = json_array();
        put(bindings, key, list);
    }
    add(list, json_pack("{s:s, s:s}", "HostIp", it->ip, "HostPort", host));
}

static int add_ports(const struct spec *spec, json_t *body, json_t *host, struct err *err) {
    json_t *exposed = json_object(), *bindings = json_object();
    put(body, "ExposedPorts", exposed);
    put(host, "PortBindings", bindings);
    for (char **word = spec->workload.ports; word && *word; word++) {
        struct spec_published it;
        const char *wrong = spec_published_parse(*word, &it);
        if (wrong)
            return err_set(err, ERR_USER, "workload.ports: \"%s\" %s", *word, wrong);
        for (int i = 0; i < it.n; i++)
            add_port(&it, i, exposed, bindings);
    }
    return 0;
}

// ---- volumes ----

bool workload_own_volume(const struct mounts *mounts, const char *path) {
    return !mounts_cover(mounts, path);
}

static json_t *all_mounts(const struct workload_want *want) {
    json_t *mounts = json_copy(want->mounts->api);
    for (char **it = want->image ? want->image->volumes : NULL; it && *it; it++) {
        if (!workload_own_volume(want->mounts, *it))
            continue;
        auto_free char *name = place_volume(want->place, *it);
        json_t *labels = place_labels(want->place, "volume");
        add(mounts, json_pack("{s:s, s:s, s:s, s:{s:o}}", "Type", "volume", "Source", name,
                              "Target", *it, "VolumeOptions", "Labels", labels));
    }
    return mounts;
}

// ---- the workload ----

static json_t *environment(const json_t *plan) {
    json_t *array = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(plan, "environment"), key, value) {
        auto_free char *pair = xasprintf("%s=%s", key, json_string_value(value));
        add(array, json_string(pair));
    }
    return array;
}

static void set_process(const struct workload_want *want, json_t *body) {
    const struct spec_workload *w = &want->spec->workload;
    put(body, "Image", json_string(w->image));
    put(body, "Env", environment(want->plan));
    json_t *command = json_object_get(want->plan, "command");
    json_t *entrypoint = json_object_get(want->plan, "entrypoint");
    if (json_is_array(command))
        put(body, "Cmd", json_incref(command));
    if (json_is_array(entrypoint))
        put(body, "Entrypoint", json_incref(entrypoint));
    if (w->user)
        put(body, "User", json_string(w->user));
    if (w->working_dir)
        put(body, "WorkingDir", json_string(w->working_dir));
    put(body, "StopSignal", json_string(w->stop.signal));
    put(body, "StopTimeout", json_integer((w->stop.grace + MS_PER_S - 1) / MS_PER_S));
}

static int set_host(const struct workload_want *want, json_t *body, json_t *host, struct err *err) {
    const struct spec_workload *w = &want->spec->workload;
    const char *network = want->place->network;
    inherit_limits(host, want->place->self);
    own_limits(host, &w->limits);
    put(host, "NetworkMode", json_string(network));
    put(host, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
    put(host, "Mounts", all_mounts(want));
    if (want->holder) {
        auto_free char *pid = xasprintf("container:%s", want->holder);
        put(host, "PidMode", json_string(pid));
    }
    bool own = !text_starts(network, "container:") && strcmp(network, "host") != 0;
    if (own && w->hostname)
        put(body, "Hostname", json_string(w->hostname));
    return own ? add_ports(want->spec, body, host, err) : 0;
}

// Labels come after the digest: another owner alone makes no other container.
static void seal(json_t *body, const struct place *place, const char *role) {
    char hex[65];
    auto_free char *canonical = json_canonical(body);
    digest_hex(canonical, strlen(canonical), hex);
    json_t *labels = place_labels(place, role);
    put(labels, LABEL_CONFIG, json_string(hex));
    put(body, "Labels", labels);
}

json_t *workload_body(const struct workload_want *want, struct err *err) {
    auto_json json_t *body = json_object();
    json_t *host = json_object();
    put(body, "HostConfig", host);
    set_process(want, body);
    if (set_host(want, body, host, err))
        return NULL;
    seal(body, want->place, "workload");
    bool coupled = want->spec->workload.lifetime == LIFETIME_COUPLED;
    put(json_object_get(body, "Labels"), LABEL_LIFETIME,
        json_string(coupled ? "coupled" : "independent"));
    return take_ptr(body);
}

const char *workload_digest(const json_t *body) {
    return json_text(json_object_get(body, "Labels"), LABEL_CONFIG);
}

// ---- the holder ----

// The image declares a volume for the state directory; a tmpfs there keeps the engine from making
// an anonymous one for every holder.
json_t *workload_holder(const struct spec *spec, const struct place *place, const char *tether) {
    json_t *body = json_object(), *host = json_object();
    put(body, "Image", json_string(place->self ? place->self->image_id : spec->holder_image));
    put(body, "Entrypoint", json_pack("[s]", "/usr/bin/ochopod-holder"));
    put(body, "Cmd", json_pack("[s]", tether));
    put(body, "User", json_string("0:0"));
    put(body, "Healthcheck", json_pack("{s:[s]}", "Test", "NONE"));
    put(body, "HostConfig", host);
    put(host, "NetworkMode", json_string(place->home_network));
    put(host, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
    put(host, "ReadonlyRootfs", json_true());
    put(host, "Tmpfs", json_pack("{s:s}", "/var/lib/ochopod", "size=4k"));
    put(host, "CapDrop", json_pack("[s]", "ALL"));
    put(host, "CapAdd", json_pack("[s,s]", "SYS_PTRACE", "KILL"));
    put(host, "SecurityOpt", json_pack("[s]", "no-new-privileges"));
    seal(body, place, "holder");
    return body;
}

// ---- a validator ----

json_t *workload_oneshot(const struct spec *spec, const struct place *place, const char *image,
                         char *const *argv, const char *const *env) {
    json_t *body = json_pack("{s:s, s:[s], s:o, s:o, s:{s:[s]}, s:{s:s, s:{s:s}}}", "Image", image,
                             "Entrypoint", argv[0], "Cmd", string_array(argv + 1), "Env",
                             string_array((char *const *)env), "Healthcheck", "Test", "NONE",
                             "HostConfig", "NetworkMode", "none", "RestartPolicy", "Name", "no");
    CHECK(body);
    if (spec->workload.user)
        put(body, "User", json_string(spec->workload.user));
    seal(body, place, "oneshot");
    return body;
}
