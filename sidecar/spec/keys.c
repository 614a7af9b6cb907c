#include "sidecar/spec/keys.h"
#include "sidecar/spec/shape.h"
#include <stddef.h>

// Bounds are generous: they catch a unit that was forgotten, not a taste.
#define MS   INT64_C(1)
#define SEC  (1000 * MS)
#define MIN  (60 * SEC)
#define HOUR (60 * MIN)

#define AT(member)       offsetof(struct spec, member)
#define IN(type, member) offsetof(struct type, member)

#define ARGV_SCHEMA "{\"$ref\":\"#/$defs/argv\"}"
#define PORT_SCHEMA "{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535}"

// ---- what can be run ----

static const struct key action_keys[] = {
    {"run", KEY_OWN, .read = shape_run, .schema = ARGV_SCHEMA,
     .doc = "argv, executed in the sidecar's container, without a network"},
    {"exec", KEY_OWN, .read = shape_exec, .schema = ARGV_SCHEMA,
     .doc = "argv, executed in the workload's container"},
    {"timeout", KEY_DURATION, IN(spec_action, timeout), "30s", 1 * MS, 24 * HOUR,
     .doc = "after which it is ended, with all it started"},
    {.name = NULL},
};
const struct key_map action_map = {"an action", action_keys, shape_after_action};

static const struct key probe_keys[] = {
    {"every", KEY_DURATION, AT(probe.every), "60s", 1 * SEC, 24 * HOUR, .doc = "how often"},
    {"run", KEY_OWN, AT(probe.action), .read = shape_probe_run, .schema = ARGV_SCHEMA,
     .required = true, .doc = "argv, executed in the leader's sidecar"},
    {"timeout", KEY_DURATION, AT(probe.action.timeout), "30s", 1 * MS, 24 * HOUR,
     .doc = "after which it is ended"},
    {.name = NULL},
};
static const struct key_map probe_map = {"probe", probe_keys, NULL};

static const struct key sanity_keys[] = {
    {"run", KEY_OWN, AT(hooks[HOOK_SANITY_CHECK]), .read = shape_run, .schema = ARGV_SCHEMA,
     .doc = "argv, executed in the sidecar's container, without a network"},
    {"exec", KEY_OWN, AT(hooks[HOOK_SANITY_CHECK]), .read = shape_exec, .schema = ARGV_SCHEMA,
     .doc = "argv, executed in the workload's container"},
    {"timeout", KEY_DURATION, AT(hooks[HOOK_SANITY_CHECK].timeout), "30s", 1 * MS, 24 * HOUR,
     .doc = "after which it is ended, with all it started"},
    {"every", KEY_DURATION, AT(sanity_every), "60s", 1 * SEC, 24 * HOUR, .doc = "how often"},
    {.name = NULL},
};
static const struct key_map sanity_map = {"sanity_check", sanity_keys, shape_after_sanity};

#define HOOK(name_, index, doc_)                                                                   \
    { name_, KEY_OWN, AT(hooks[index]), .read = shape_action, .map = &action_map, .doc = doc_ }
static const struct key hook_keys[] = {
    HOOK("initialize", HOOK_INITIALIZE, "once, before the first configuration"),
    HOOK("can_configure", HOOK_CAN_CONFIGURE, "on check; a non-zero status vetoes the round"),
    HOOK("configure", HOOK_CONFIGURE,
         "on on, before the workload starts; may print JSON {command, environment}"),
    HOOK("configured", HOOK_CONFIGURED, "on ok, once the whole cluster is configured"),
    {"sanity_check", KEY_MAP, .map = &sanity_map,
     .doc = "periodic; JSON it prints becomes the metrics"},
    HOOK("tear_down", HOOK_TEAR_DOWN, "instead of the stop signal"),
    HOOK("signaled", HOOK_SIGNALED, "on /control/signal; JSON it prints is the answer"),
    HOOK("finalize", HOOK_FINALIZE, "last of all"),
    {.name = NULL},
};
static const struct key_map hooks_map = {"hooks", hook_keys, NULL};

// ---- the workload ----

static const struct key container_keys[] = {
    {"service", KEY_STRING, AT(workload.container.service), .wrong = wrong_word,
     .doc = "a compose service of the same project, with the same container number"},
    {"label", KEY_STRING, AT(workload.container.label), .wrong = wrong_nothing,
     .doc = "`key` or `key=value`"},
    {"name", KEY_STRING, AT(workload.container.name), .wrong = wrong_word,
     .doc = "the container's name, in full"},
    {"id", KEY_STRING, AT(workload.container.id), .wrong = wrong_word, .doc = "the container's id"},
    {.name = NULL},
};
static const struct key_map container_map = {"container", container_keys, shape_after_container};

static const struct key limits_keys[] = {
    {"memory", KEY_BYTES, AT(workload.limits.memory), NULL, 6 << 20, INT64_C(1) << 50,
     .doc = "as docker reads it: `512m`, `2g`"},
    {"cpus", KEY_CPUS, AT(workload.limits.nano_cpus), .doc = "a number of processors: `0.5`"},
    {"pids", KEY_COUNT, AT(workload.limits.pids), NULL, 1, 1 << 22, .doc = "processes and threads"},
    {"ulimits", KEY_OWN, AT(workload.limits.ulimits), .read = shape_ulimits,
     .schema = "{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[{\"type\":\"integer\"},"
               "{\"type\":\"object\",\"properties\":{\"soft\":{\"type\":\"integer\"},"
               "\"hard\":{\"type\":\"integer\"}},\"required\":[\"soft\",\"hard\"],"
               "\"additionalProperties\":false}]}}",
     .doc = "`{nofile: 65536, core: {soft: 0, hard: 0}}`; -1 is no limit"},
    {.name = NULL},
};
static const struct key_map limits_map = {"limits", limits_keys, NULL};

static const struct key stop_keys[] = {
    {"signal", KEY_STRING, AT(workload.stop.signal), "TERM", .wrong = wrong_signal,
     .doc = "`TERM`, `INT`, ..."},
    {"grace", KEY_DURATION, AT(workload.stop.grace), "60s", 0, 24 * HOUR,
     .doc = "time the workload has to end by itself"},
    {"soft", KEY_FLAG, AT(workload.stop.soft), "false",
     .doc = "true: never killed after the grace, unless its sidecar ends, too"},
    {.name = NULL},
};
static const struct key_map stop_map = {"stop", stop_keys, shape_after_stop};

#define CHECK_KEYS(which)                                                                          \
    {"tcp",                                                                                        \
     KEY_OWN,                                                                                      \
     AT(workload.which),                                                                           \
     .read = shape_tcp,                                                                            \
     .schema = PORT_SCHEMA,                                                                        \
     .doc = "a local port of the workload that must accept"},                                      \
        {"http",                                                                                   \
         KEY_OWN,                                                                                  \
         AT(workload.which),                                                                       \
         .read = shape_http,                                                                       \
         .schema = "{\"type\":\"string\",\"pattern\":\"^:[0-9]+(/.*)?$\"}",                        \
         .doc = "`:port/path`, which must answer 2xx or 3xx"},                                     \
        {"exec",                                                                                   \
         KEY_OWN,                                                                                  \
         AT(workload.which),                                                                       \
         .read = shape_check_exec,                                                                 \
         .schema = ARGV_SCHEMA,                                                                    \
         .doc = "argv in the workload, which must end with 0"},                                    \
        {"docker",                                                                                 \
         KEY_OWN,                                                                                  \
         AT(workload.which),                                                                       \
         .read = shape_docker,                                                                     \
         .schema = "{\"const\":true}",                                                             \
         .doc = "`true`: the image's own HEALTHCHECK"},                                            \
        {"send", KEY_STRING, AT(workload.which.send), "", .doc = "tcp: sent after connecting"}, {  \
        "expect", KEY_STRING, AT(workload.which.expect), "",                                       \
            .doc = "tcp: must appear in what comes back"                                           \
    }

static const struct key ready_keys[] = {
    CHECK_KEYS(ready),
    {"every", KEY_DURATION, AT(workload.ready.every), "250ms", 50 * MS, 1 * HOUR,
     .doc = "how often it is tried"},
    {"timeout", KEY_DURATION, AT(workload.ready.timeout), "30s", 10 * MS, 24 * HOUR,
     .doc = "the whole budget from start to ready"},
    {.name = NULL},
};
static const struct key_map ready_map = {"ready", ready_keys, shape_after_ready};

static const struct key check_keys[] = {
    CHECK_KEYS(check),
    {"every", KEY_DURATION, AT(workload.check.every), "10s", 100 * MS, 24 * HOUR,
     .doc = "how often it is tried"},
    {"timeout", KEY_DURATION, AT(workload.check.timeout), "3s", 10 * MS, 1 * HOUR,
     .doc = "of one try"},
    {"retries", KEY_INT, AT(workload.check.retries), "3", 1, 1000,
     .doc = "failures in a row that count as a crash"},
    {.name = NULL},
};
static const struct key_map check_map = {"check", check_keys, shape_after_check};

static const struct key workload_keys[] = {
    {"image", KEY_STRING, AT(workload.image), .wrong = wrong_image,
     .doc = "launch: the image of the container that the sidecar creates"},
    {"container", KEY_MAP, .map = &container_map,
     .doc = "adopt: the existing container; one of the keys below"},
    {"address", KEY_STRING, AT(workload.address), .wrong = wrong_ip,
     .doc = "adopt: where a container outside the sidecar's network is reached"},
    {"hold", KEY_FLAG, AT(workload.hold), "false",
     .doc = "adopt: keep it stopped until it is configured"},
    {"command", KEY_ARGV, AT(workload.command),
     .doc = "instead of the image's; each part may be a template"},
    {"entrypoint", KEY_ARGV, AT(workload.entrypoint),
     .doc = "instead of the image's; each part may be a template"},
    {"environment", KEY_OWN, AT(workload.environment), .read = shape_environment,
     .schema = "{\"anyOf\":[{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\","
               "\"number\",\"boolean\"]}},{\"type\":\"array\",\"items\":{\"type\":\"string\"}}]}",
     .doc = "a map, or a list of `NAME=value`; values may be templates"},
    {"user", KEY_STRING, AT(workload.user), .wrong = wrong_nothing, .doc = "`1000:1000`, `app`"},
    {"working_dir", KEY_STRING, AT(workload.working_dir), .wrong = wrong_path,
     .doc = "an absolute path"},
    {"hostname", KEY_STRING, AT(workload.hostname), .wrong = wrong_host,
     .doc = "only with a `network` of its own"},
    {"network", KEY_STRING, AT(workload.network), .wrong = wrong_word,
     .doc = "`host` or a network's name, instead of the sidecar's own"},
    {"ports", KEY_STRINGS, AT(workload.ports), .wrong = wrong_published,
     .doc = "published as in compose, only with a `network` of its own"},
    {"limits", KEY_MAP, .map = &limits_map, .doc = "instead of the sidecar container's own"},
    {"volumes", KEY_STRINGS, AT(workload.volumes), .wrong = wrong_path,
     .doc = "the sidecar's volumes to share, besides those that hold a file"},
    {"lifetime", KEY_CHOICE, AT(workload.lifetime), "coupled", .choices = "coupled independent",
     .doc = "whether the workload ends with the sidecar"},
    {"restart", KEY_CHOICE, AT(workload.restart), "on-failure", .choices = "on-failure always",
     .doc = "`on-failure`: exit 0 means done"},
    {"strict", KEY_FLAG, AT(workload.strict), "false",
     .doc = "true: restart at every round, even if nothing of ours changed"},
    {"stop", KEY_MAP, .map = &stop_map, .doc = "how it is stopped"},
    {"ready", KEY_MAP, .map = &ready_map, .doc = "what makes `on` answer 200"},
    {"check", KEY_MAP, .map = &check_map, .doc = "whether it still works; failing is a crash"},
    {"on_change", KEY_OWN, .read = shape_on_change,
     .schema = "{\"anyOf\":[{\"enum\":[\"restart\",\"none\"]},{\"type\":\"object\","
               "\"properties\":{\"signal\":{\"type\":\"string\"},\"exec\":" ARGV_SCHEMA
               ",\"timeout\":{\"$ref\":\"#/$defs/duration\"}},\"additionalProperties\":false}]}",
     .doc = "what a changed file does: `restart` (default), `{signal: HUP}`, `{exec: [...], "
            "timeout: 30s}`, `none`"},
    {.name = NULL},
};
static const struct key_map workload_map = {"workload", workload_keys, shape_after_workload};

// ---- files and tools ----

static const struct key file_keys[] = {
    {"target", KEY_STRING, IN(spec_file, target), .wrong = wrong_path, .required = true,
     .doc = "absolute path, in a shared volume or anywhere in the workload"},
    {"template", KEY_OWN, .read = shape_template, .schema = "{\"type\":\"string\"}",
     .doc = "file with the template text, relative to the spec's folder"},
    {"content", KEY_OWN, .read = shape_content, .schema = "{\"type\":\"string\"}",
     .doc = "the template text itself"},
    {"mode", KEY_OWN, IN(spec_file, mode), .read = shape_mode,
     .schema = "{\"type\":[\"string\",\"integer\"]}",
     .doc = "octal, `\"0644\"` by default; never setuid, setgid or sticky"},
    {"owner", KEY_OWN, IN(spec_file, uid), .read = shape_owner,
     .schema = "{\"type\":\"string\",\"pattern\":\"^[0-9]+:[0-9]+$\"}",
     .doc = "`uid:gid` in numbers, `0:0` by default"},
    {"validate", KEY_OWN, IN(spec_file, validate), .read = shape_action, .map = &action_map,
     .doc = "checks the staged file; `exec` in a one-shot container of the workload's image"},
    {.name = NULL},
};
const struct key_map file_map = {"a file", file_keys, shape_after_file};

// ---- the whole ----

static const struct key tls_keys[] = {
    {"certificate_file", KEY_STRING, AT(tls.certificate_file), .wrong = wrong_path,
     .required = true, .doc = "our certificate and what stands between it and the CA, PEM"},
    {"key_file", KEY_STRING, AT(tls.key_file), .wrong = wrong_path, .required = true,
     .doc = "its private key, PEM"},
    {"ca_file", KEY_STRING, AT(tls.ca_file), .wrong = wrong_path, .required = true,
     .doc = "who signed the certificates of our peers, PEM"},
    {.name = NULL},
};
static const struct key_map tls_map = {"tls", tls_keys, NULL};

static const struct key top_keys[] = {
    {"cluster", KEY_STRING, AT(cluster), .wrong = wrong_cluster,
     .doc = "name of the cluster; by default what the binding knows"},
    {"namespace", KEY_STRING, AT(namespace_), .wrong = wrong_namespace,
     .doc = "clusters that see each other; by default what the binding knows, else `marathon`"},
    {"zk", KEY_STRING, AT(zk), .wrong = wrong_zk,
     .doc = "`zk://host:port,host:port/chroot`, or `none`: a cluster of one without ZooKeeper; by "
            "default what the binding finds"},
    {"zk_acl", KEY_CHOICE, AT(zk_acl), "digest", .choices = "digest open",
     .doc =
         "with `user:password@` in zk. digest: our nodes are for that user alone, and nodes that "
         "are not are refused at start. open: for everybody, as pods of the original need it"},
    {"session", KEY_DURATION, AT(session), "10s", 500 * MS, 10 * MIN,
     .doc = "ZooKeeper session timeout"},
    {"binding", KEY_STRING, AT(binding), .wrong = wrong_word,
     .doc = "where the pod runs; by default the first binding that recognises it"},
    {"port", KEY_INT, AT(port), "8080", 1, 65535, .doc = "control port"},
    {"ports", KEY_OWN, .read = shape_ports,
     .schema = "{\"type\":\"array\",\"items\":{\"anyOf\":[" PORT_SCHEMA ",{\"type\":\"string\","
               "\"pattern\":\"^[0-9]+([ \\t]+([0-9]+|[*]))?([ \\t]+[TtUu][CcDd][Pp])?$\"}]}}",
     .doc =
         "what others must reach besides the control port: `2181`, `\"2181 *\"` (the same on the "
         "host), `\"8080 9000\"`, each maybe with `\" udp\"`; `ocho deploy` maps them"},
    {"listen", KEY_STRING, AT(listen), "0.0.0.0", .wrong = wrong_ip,
     .doc = "address the control port listens on"},
    {"state_dir", KEY_STRING, AT(state_dir), "/var/lib/ochopod", .wrong = wrong_path,
     .doc = "pod id, sequence number, highest epoch, off, dead"},
    {"depends_on", KEY_STRINGS, AT(depends_on), .wrong = wrong_dependency,
     .doc = "clusters to configure from: `kafka`, `/other.kafka`, `\"web-*\"`"},
    {"needs", KEY_OWN, .read = shape_needs,
     .schema = "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\","
               "\"minimum\":1,\"maximum\":10000}}",
     .doc = "how many `pods` of our own and of each dependency there must be"},
    {"damper", KEY_DURATION, AT(damper), "5s", 0, 1 * HOUR,
     .doc = "quiet time after a change before a round"},
    {"sequential", KEY_OWN, .read = shape_sequential,
     .schema = "{\"enum\":[false,true,\"updates\"]}",
     .doc = "`false` by default; `true`: one pod after the other, each ready before the next; "
            "`updates`: so, but together while none runs yet"},
    {"full_shutdown", KEY_FLAG, AT(full_shutdown), "false",
     .doc = "true: all off before any is on, if anything changed at all"},
    {"grace", KEY_DURATION, AT(grace), "60s", 1 * SEC, 24 * HOUR,
     .doc = "budget of one control request"},
    {"probe", KEY_MAP, .map = &probe_map,
     .doc = "the leader's look at the whole cluster; its output is the status line"},
    {"workload", KEY_MAP, .map = &workload_map, .required = true,
     .doc = "the container this pod runs"},
    {"files", KEY_OWN, .read = shape_files, .map = &file_map,
     .doc = "configuration files, rendered at every round"},
    {"hooks", KEY_MAP, .map = &hooks_map, .doc = "commands at the turns of a pod's life"},
    {"tools", KEY_OWN, .read = shape_tools, .map = &action_map,
     .doc = "commands for `POST /exec`, by name"},
    {"verbatim", KEY_OWN, .read = shape_verbatim, .schema = "{\"type\":\"object\"}",
     .doc =
         "a part of a Marathon app, which `ocho deploy` puts under the one it makes; the sidecar "
         "ignores it"},
    {"token_file", KEY_STRING, AT(token_file), .wrong = wrong_path,
     .doc = "the file with the secret that signs requests to the control port, and answers"},
    {"legacy_sha1", KEY_FLAG, AT(legacy_sha1), "false",
     .doc = "true: beside `token_file`, the portal hears Ochothon's signatures as well"},
    {"tls", KEY_MAP, .map = &tls_map, .doc = "the control port speaks TLS 1.3, and to its peers"},
    {"portal", KEY_FLAG, AT(portal), "false",
     .doc = "true: `POST /shell` runs `ocho` here, as Ochothon's portal did"},
    {.name = NULL},
};
const struct key_map spec_keys = {"the spec", top_keys, NULL};
