#include "sidecar/app_inside.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/app_witness.h"
#include <string.h>

// ---- what travels up ----

static void on_seq(int64_t seq, void *arg) {
    struct app *app = arg;
    struct err err = ERR_INIT;
    app->state->seq = seq;
    if (state_save(app->state, &err))
        log_err("sidecar %s: the sequence number %lld will be lost at the next start", err.text,
                (long long)seq);
    control_changed(app->control);
}

static void on_attached(bool attached, void *arg) {
    struct app *app = arg;
    pod_attached(app->pod, attached);
    control_changed(app->control);
}

// ZooKeeper's own refusals (a wrong password) are the spec's to mend.
static void on_fatal(const struct err *err, void *arg) {
    app_fatal(arg,
              err->kind == ERR_EXISTS   ? EXIT_CLONED
              : err->code == ZK_NO_AUTH ? EXIT_FOREIGN
                                        : EXIT_SPEC,
              err);
}

static void on_leading(bool leading, void *arg) {
    struct app *app = arg;
    (void)leading;
    control_changed(app->control);
}

static void on_dead(bool dead, void *arg) {
    struct app *app = arg;
    if (app->coordinator && !app->stopping)
        coordinator_stand(app->coordinator, !dead);
}

void app_changed(void *arg) {
    struct app *app = arg;
    if (app->record.renewals != app->state->renewals) {
        app->record.renewals = app->state->renewals;
        if (app->coordinator)
            coordinator_update(app->coordinator);
    }
    if (app->control)
        control_changed(app->control);
}

// ---- what the pod and the control port ask of ZooKeeper ----

static void witness(pod_witness_fn *fn, void *fn_arg, void *arg) {
    struct app *app = arg;
    app_witness(app->coordinator, fn, fn_arg);
}

static void read_leader(pod_proposal_fn *fn, void *fn_arg, void *arg) {
    struct app *app = arg;
    coordinator_read_node(app->coordinator, "leader", true, fn, fn_arg);
}

static bool is_attached(void *arg) {
    struct app *app = arg;
    return app->coordinator && coordinator_attached(app->coordinator);
}

static void read_proposal(bool fresh, pod_proposal_fn *fn, void *fn_arg, void *arg) {
    struct app *app = arg;
    coordinator_read_node(app->coordinator, "proposal", fresh, fn, fn_arg);
}

static void read_cluster(control_json_fn *fn, void *fn_arg, void *arg) {
    struct app *app = arg;
    coordinator_read(app->coordinator, fn, fn_arg);
}

static void reset(void *arg) {
    struct app *app = arg;
    coordinator_reset(app->coordinator);
}

static int64_t generation(void *arg) {
    struct app *app = arg;
    int64_t n = -1;
    if (json_int(coordinator_leader_record(app->coordinator), "generation", &n, NULL))
        return -1;
    return n;
}

static bool alive(void *arg) {
    (void)arg;
    return true; // asked on the loop: a loop that hangs does not answer
}

static json_t *string_list(char *const *list) {
    json_t *array = json_array();
    for (; list && *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

// A framework may say what is not UTF-8.
static void put_said(json_t *o, const char *key, const char *said) {
    auto_text struct text text = {0};
    text_add_utf8(&text, said ? said : "", said ? strlen(said) : 0);
    json_object_set_new(o, key, json_string(text_str(&text)));
}

// Ochopod's keys in Ochopod's order, then ours.
static json_t *info(void *arg) {
    struct app *app = arg;
    const struct binding_facts *f = app->facts;
    auto_json json_t *pod = pod_info(app->pod);
    const char *status = coordinator_status(app->coordinator);
    json_t *o = json_object();
    put_said(o, "application", app->record.application);
    put_said(o, "port", app->record.port);
    put_said(o, "task", app->record.task);
    put_said(o, "ip", f->ip);
    put_said(o, "node", f->node);
    json_object_set(o, "ports", f->ports);
    put_said(o, "public", f->public_);
    json_object_set(o, "metrics", json_object_get(pod, "metrics"));
    json_object_set_new(o, "dependencies", string_list(app->spec->depends_on));
    json_object_set(o, "process", json_object_get(pod, "process"));
    json_object_set_new(o, "state", json_string(coordinator_state(app->coordinator)));
    json_object_set_new(o, "status", json_string(*status ? status : json_text(pod, "status")));
    json_object_set_new(o, "cluster", json_string(app->record.cluster));
    json_object_set_new(o, "namespace", json_string(app->record.namespace_));
    json_object_set_new(o, "seq", json_integer(app->state->seq));
    json_object_set_new(o, "id", json_string(app->state->pod_id));
    json_object_set_new(o, "binding", json_string(f->binding));
    put_said(o, "zone", f->zone);
    put_said(o, "slot", f->slot);
    json_object_set_new(o, "attached", json_boolean(coordinator_attached(app->coordinator)));
    json_object_set_new(o, "docker", json_string(docker_is_up(app->docker) ? "up" : "down"));
    json_object_set_new(o, "generation", json_integer(generation(app)));
    json_object_set_new(o, "version", json_string(OCHOPOD_VERSION));
    json_object_update_missing(o, pod);
    return o;
}

// ---- the leader's look at the whole cluster ----

static void probe(const json_t *view,
                  void (*fn)(const char *line, const struct err *err, void *arg), void *fn_arg,
                  void *arg) {
    struct app *app = arg;
    pod_action(app->pod, &app->spec->probe.action, view, fn, fn_arg);
}

// ---- the stations that need to know where they are ----

// Spec before binding before default.
static const char *first_of(const char *spec, const char *binding, const char *default_) {
    if (spec && *spec)
        return spec;
    return *binding ? binding : default_;
}

// Where ports are remapped, what is not mapped is not reached. Of UDP the engine's part is not
// known here.
static void warn_ports(const struct app *app) {
    const json_t *mapped = app->facts->ports;
    char label[16];
    snprintf(label, sizeof label, "%d", app->spec->port);
    const json_t *control = json_object_get(mapped, label);
    bool remapped = control && json_integer_value(control) != app->spec->port;
    for (size_t i = 0; remapped && i < app->spec->ports_len; i++) {
        snprintf(label, sizeof label, "%d", app->spec->ports[i].port);
        if (!app->spec->ports[i].udp && !json_object_get(mapped, label))
            log_warn("pod %s port %s is in `ports:` and not mapped: others do not reach it",
                     app->full_name, label);
    }
}

// What the spec says was looked at; a label may say anything.
static int refuse_name(const struct binding_facts *facts, const char *key, const char *name,
                       const char *wrong, struct err *err) {
    auto_text struct text quoted = {0};
    if (!wrong)
        return 0;
    text_quote(&quoted, name, 100);
    return err_set(err, ERR_USER, "binding %s: %s %s %s: set `%s:` in the spec, or --%s",
                   facts->binding, key, text_str(&quoted), wrong, key, key);
}

int app_name_cluster(struct app *app, struct err *err) {
    const struct spec *spec = app->spec;
    const struct binding_facts *facts = app->facts;
    const char *cluster = first_of(spec->cluster, facts->cluster, "");
    const char *namespace_ = first_of(spec->namespace_, facts->namespace_, "marathon");
    if (!*cluster)
        return err_set(
            err, ERR_USER,
            "no cluster name: set `cluster:` in the spec, OCHOPOD_CLUSTER or --cluster (binding %s "
            "knows none)",
            facts->binding);
    if (refuse_name(facts, "cluster", cluster, spec_wrong_cluster(cluster), err) ||
        refuse_name(facts, "namespace", namespace_, spec_wrong_namespace(namespace_), err))
        return -1;
    app->full_name = xasprintf("%s.%s", namespace_, cluster);
    char port[16];
    snprintf(port, sizeof port, "%d", spec->port);
    app->record = (struct record_facts){
        .application = first_of(spec->application, facts->application, ""),
        .cluster = cluster,
        .namespace_ = namespace_,
        .task = first_of(spec->task, facts->task, ""),
        .zk = first_of(spec->zk, facts->zk, ""),
        .fwk = facts->fwk,
        .ip = facts->ip,
        .node = facts->node,
        .public_ = facts->public_,
        .zone = facts->zone,
        .slot = facts->slot,
        .port = xstrdup(port),
        .debug = spec->debug,
        .start = spec->start,
        .local = spec->local,
        .ports = facts->ports,
        .renewals = app->state->renewals,
        .signs = spec->token_file,
        .tls = spec->tls.key_file,
    };
    if (!*app->record.zk)
        return err_set(
            err, ERR_USER,
            "no ZooKeeper address: set `zk:` in the spec, OCHOPOD_ZK or --zk (binding %s "
            "knows none)",
            facts->binding);
    warn_ports(app);
    return 0;
}

int app_build_pod(struct app *app, struct err *err) {
    struct pod_config config = {
        .spec = app->spec,
        .state = app->state,
        .docker = app->docker,
        .http = app->http,
        .runner = app->others.runner,
        .facts = app->facts,
        .full_name = app->full_name,
        .tether = app->tether,
        .witness = witness,
        .read_proposal = read_proposal,
        .read_leader = read_leader,
        .is_attached = is_attached,
        .on_dead = on_dead,
        .on_change = app_changed,
        .arg = app,
    };
    auto_text struct text report = {0};
    if (pod_verify(&config, &report, err)) {
        fputs(text_str(&report), stderr);
        return -1;
    }
    app->pod = pod_create(app->loop, &config);
    return 0;
}

int app_build_control(struct app *app, struct err *err) {
    const struct spec *spec = app->spec;
    int port = binding_local_port(app->facts, spec->port);
    const struct auth_files files = {spec->token_file, spec->tls.certificate_file,
                                     spec->tls.key_file, spec->tls.ca_file};
    if (auth_open(app->loop, &files, app->full_name, app->state->pod_id, &app->auth, err) ||
        app_portal_create(app->loop, app->others.portal, spec, port, app->record.zk, app->full_name,
                          &app->portal, err))
        return -1;
    const struct control_hooks hooks = {
        .info = info,
        .reset = reset,
        .cluster = read_cluster,
        .generation = generation,
        .alive = alive,
        .portal = app->portal,
        .auth = app->auth,
    };
    return control_open(app->loop, app->http, spec, port, app->pod, &hooks, app, &app->control,
                        err);
}

struct coordinator *app_build_coordinator(struct app *app, struct err *err) {
    static const struct coordinator_events events = {
        .on_seq = on_seq,
        .on_attached = on_attached,
        .on_fatal = on_fatal,
        .on_leading = on_leading,
    };
    app->own_url = app_own_url(app->spec, control_port(app->control));
    struct coordinator_config config = {
        .spec = app->spec,
        .zk_url = app->record.zk,
        .namespace_ = app->record.namespace_,
        .cluster = app->record.cluster,
        .pod_id = app->state->pod_id,
        .facts = &app->record,
        .seq = app->state->seq,
        .resumed = app->resumed,
        .auth = app->auth,
        .own_url = app->own_url,
        .probe = app->spec->probe.action.kind == ACTION_NONE ? NULL : probe,
        .probe_arg = app,
    };
    return coordinator_create(app->loop, app->http, &config, &events, app, err);
}
