#include "base/check.h"
#include "base/own.h"
#include "bindings/bindings.h"
#include "sidecar/spec/shape.h"
#include <string.h>

// What must hold between keys. Each rule complains at the key that is to be changed.

static struct entry place_of(const struct entry *root, const char *path) {
    const struct node *node = node_at(root->value, path);
    return (struct entry){.line = node->line, .col = node->col, .value = (struct node *)node};
}

static void complain_at(struct reader *r, const struct entry *root, const char *path,
                        const char *what) {
    struct entry at = place_of(root, path);
    size_t before = reader_enter(r, path, 0);
    reader_complain(r, &at, "%s", what);
    reader_leave(r, before);
}

// ---- launch or adopt ----

void shape_after_workload(struct reader *r, const struct entry *at, void *base) {
    const struct spec *spec = base;
    bool image = node_get(at->value, "image"), container = node_get(at->value, "container");
    if (image && container)
        reader_complain(r, at, "image (launch) and container (adopt) exclude each other; keep one");
    if (!image && !container)
        reader_complain(r, at, "says no container; image: launches one, container: adopts one");
    static const char *const launch_only[] = {"command",     "entrypoint", "environment", "user",
                                              "working_dir", "hostname",   "network",     "ports",
                                              "limits",      "volumes",    "lifetime"};
    static const char *const adopt_only[] = {"address", "hold"};
    for (size_t i = 0; container && !image && i < sizeof launch_only / sizeof *launch_only; i++)
        if (node_get(at->value, launch_only[i]))
            reader_complain(r, node_get(at->value, launch_only[i]),
                            "%s cannot be set on an adopted container, which is never created anew",
                            launch_only[i]);
    for (size_t i = 0; image && !container && i < sizeof adopt_only / sizeof *adopt_only; i++)
        if (node_get(at->value, adopt_only[i]))
            reader_complain(r, node_get(at->value, adopt_only[i]),
                            "%s is for an adopted container alone", adopt_only[i]);
    const char *network = spec->workload.network;
    bool own_network = network && strcmp(network, "host");
    if (image && spec->workload.hostname && !own_network)
        reader_complain(r, node_get(at->value, "hostname"),
                        "hostname needs a network of its own; in the sidecar's network, or the "
                        "host's, the workload has the name that is there");
    if (image && spec->workload.ports && !own_network)
        reader_complain(r, node_get(at->value, "ports"),
                        "ports are published only from a network of its own; in the sidecar's "
                        "network publish them on the sidecar");
}

static bool shares_our_ports(const struct spec_workload *w) {
    if (!w->image)
        return !w->address;
    return !w->network || !strcmp(w->network, "host");
}

static void verify_ports(struct reader *r, const struct entry *root, const struct spec *spec) {
    const struct spec_workload *w = &spec->workload;
    static const char why[] = "is the control port; workload and sidecar share their ports, so "
                              "change one of the two (key port)";
    if (shares_our_ports(w) && w->ready.port == spec->port)
        complain_at(r, root,
                    w->ready.kind == CHECK_TCP ? "workload.ready.tcp" : "workload.ready.http", why);
    if (shares_our_ports(w) && w->check.port == spec->port)
        complain_at(r, root,
                    w->check.kind == CHECK_TCP ? "workload.check.tcp" : "workload.check.http", why);
    for (size_t i = 0; w->ports && w->ports[i]; i++) {
        struct spec_published it;
        if (spec_published_parse(w->ports[i], &it) || !it.host || spec->port < it.host ||
            spec->port >= it.host + it.n)
            continue;
        char path[64];
        snprintf(path, sizeof path, "workload.ports[%zu]", i);
        complain_at(r, root, path, "publishes the control port; change one of the two");
    }
}

static void verify_mapped(struct reader *r, const struct entry *root, const struct spec *spec) {
    for (size_t i = 0; i < spec->ports_len; i++) {
        const struct spec_port *it = &spec->ports[i];
        char path[64];
        snprintf(path, sizeof path, "ports[%zu]", i);
        if (it->port == spec->port && !it->host && !it->udp)
            complain_at(r, root, path,
                        "is the control port, which is mapped anyway; leave it out, or change one "
                        "of the two (key port)");
    }
}

// ---- paths ----

static bool below(const char *path, const char *dir) {
    size_t n = strlen(dir);
    return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

static void verify_volumes(struct reader *r, const struct entry *root, char *const *volumes) {
    for (size_t i = 0; volumes && volumes[i]; i++)
        for (size_t j = 0; volumes[j]; j++)
            if (i != j && below(volumes[i], volumes[j]) &&
                (strcmp(volumes[i], volumes[j]) || i > j)) {
                char path[64], why[200];
                snprintf(path, sizeof path, "workload.volumes[%zu]", i);
                snprintf(why, sizeof why, "lies in \"%.100s\"; share one of them", volumes[j]);
                complain_at(r, root, path, why);
            }
}

static void verify_files(struct reader *r, const struct entry *root, const struct spec *spec) {
    for (size_t i = 0; i < spec->files_len; i++) {
        const char *target = spec->files[i].target;
        char path[64], why[200];
        snprintf(path, sizeof path, "files[%zu].target", i);
        if (target && below(target, spec->state_dir))
            complain_at(r, root, path, "lies in the sidecar's own state directory");
        for (size_t j = 0; target && j < i; j++) {
            const char *other = spec->files[j].target;
            if (!other || (!below(target, other) && !below(other, target)))
                continue;
            snprintf(why, sizeof why, "is in the way of files[%zu].target; a path is one file", j);
            complain_at(r, root, path, why);
        }
    }
}

// ---- the cluster ----

static bool depends_on(const struct spec *spec, const char *what) {
    for (size_t i = 0; spec->depends_on && spec->depends_on[i]; i++)
        if (!strcmp(spec->depends_on[i], what))
            return true;
    return false;
}

static void verify_binding(struct reader *r, const struct entry *root, const struct spec *spec) {
    if (!spec->binding || bindings_known(spec->binding))
        return;
    auto_free char *why = xasprintf("there is no binding \"%.80s\"; use one of: %s", spec->binding,
                                    bindings_names());
    // Said by the environment or a flag it has no place in the text.
    if (node_get(root->value, "binding"))
        complain_at(r, root, "binding", why);
    else
        report_add(r->report, 0, 0, "binding", "%s", why);
}

static void verify_cluster(struct reader *r, const struct entry *root, const struct spec *spec) {
    char path[64];
    bool alone = spec->zk && !strcmp(spec->zk, "none");
    for (size_t i = 0; i < spec->needs_len; i++) {
        const char *what = spec->needs[i].what;
        const struct entry *needs = node_get(root->value, "needs");
        if (!strcmp(what, "pods") || depends_on(spec, what))
            continue;
        size_t before = reader_enter(r, "needs", 0);
        reader_enter(r, what, 0);
        reader_complain(r, node_get(needs->value, what),
                        "needs what depends_on does not name; add it there, as it is written here");
        reader_leave(r, before);
    }
    for (size_t i = 0; spec->depends_on && spec->depends_on[i]; i++) {
        const char *it = spec->depends_on[i];
        snprintf(path, sizeof path, "depends_on[%zu]", i);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(it, spec->depends_on[j]))
                complain_at(r, root, path, "stands here twice");
        if (alone)
            complain_at(r, root, path, "is another cluster; with `zk: none` there is but this one");
        if (spec->cluster && !strcmp(it, spec->cluster))
            complain_at(r, root, path, "is this cluster itself");
    }
}

// ---- who may ----

static void verify_token(struct reader *r, const struct entry *root, const struct spec *spec) {
    if (!spec->legacy_sha1)
        return;
    if (!spec->portal)
        complain_at(r, root, "legacy_sha1", "is for the portal; set portal: true, or leave it out");
    else if (!spec->token_file)
        complain_at(r, root, "legacy_sha1",
                    "stands beside token_file; without one ochopod_token signs the portal anyway");
    else if (!spec->token)
        complain_at(r, root, "legacy_sha1", "needs the variable ochopod_token, which it checks");
}

// ---- hooks ----

static void verify_hooks(struct reader *r, const struct entry *root, const struct spec *spec) {
    // A container that is adopted as it runs can be entered at any time.
    if (!spec->workload.image && !spec->workload.hold)
        return;
    static const struct {
        enum spec_hook hook;
        const char *why;
    } none_runs[] = {
        {HOOK_INITIALIZE, "no workload runs before the first configuration; use run"},
        {HOOK_CAN_CONFIGURE, "no workload may run at a check; use run"},
        {HOOK_CONFIGURE, "no workload may run when it is configured; use run"},
        {HOOK_FINALIZE, "no workload runs any more; use run"},
    };
    for (size_t i = 0; i < sizeof none_runs / sizeof *none_runs; i++) {
        enum spec_hook hook = none_runs[i].hook;
        if (spec->hooks[hook].kind != ACTION_EXEC)
            continue;
        char path[64];
        snprintf(path, sizeof path, "hooks.%s.exec", spec_hook_names[hook]);
        complain_at(r, root, path, none_runs[i].why);
    }
}

void verify_spec(struct reader *r, const struct entry *root, const struct spec *spec) {
    verify_volumes(r, root, spec->workload.volumes);
    verify_files(r, root, spec);
    verify_binding(r, root, spec);
    verify_cluster(r, root, spec);
    verify_token(r, root, spec);
    verify_hooks(r, root, spec);
    verify_ports(r, root, spec);
    verify_mapped(r, root, spec);
}
