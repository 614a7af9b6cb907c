// What the broker does and what it refuses, its own process asked as the worker would ask it. The
// engine is engined: it would do anything.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/own.h"
#include "docker-api/docker.h"
#include "docker-api/line.h"
#include "sidecar/broker/broker.h"
#include "sidecar/pod/place.h"
#include "sidecar/pod/workload.h"
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define IMAGE "reg:5000/ochopod/app:1.2"
#define POD   "11111111-2222-4333-8444-555555555555"
#define OTHER "99999999-2222-4333-8444-555555555555"

static const char yaml[] =
    "cluster: rig\nzk: none\nport: 18080\nstate_dir: /tmp/none\n"
    "workload:\n  image: " IMAGE "\n  command: [serve]\n  network: host\n"
    "  lifetime: independent\n"
    "files:\n  - target: /conf/a\n    content: a\n    validate: {exec: [check, \"{}\"]}\n"
    "hooks:\n  configured: {exec: [tell, all]}\n";

static struct {
    char dir[32], *host;
    pid_t engine;
    struct spec *spec;
    struct binding_facts facts;
    struct place *place;
    struct broker_config config;
    struct broker_line line;
    struct loop *loop;
    struct http *http;
    struct docker *docker, *direct; // by the broker; past it
    bool gone;
} rig;

// ---- waiting ----

struct got {
    bool done;
    struct err err;
    char id[65];
    json_t *config;
};

static void tick(void *arg) {
    (void)arg;
    loop_quit(rig.loop);
}

static void turn(void) {
    struct loop_timer *timer = NULL;
    loop_timer_start(rig.loop, &timer, 5, tick, NULL);
    loop_run(rig.loop);
    loop_timer_stop(&timer);
}

static void until(const bool *flag, const char *what) {
    int64_t deadline = loop_now(rig.loop) + 60000;
    while (!*flag && loop_now(rig.loop) < deadline)
        turn();
    if (!*flag)
        fail_msg("not within 60 s: %s", what);
}

static void on_done(const struct err *err, void *arg) {
    struct got *g = arg;
    g->err = *err;
    g->done = true;
}

static void on_id(const char *id, const struct err *err, void *arg) {
    struct got *g = arg;
    snprintf(g->id, sizeof g->id, "%s", id ? id : "");
    on_done(err, g);
}

static void on_container(struct docker_container *c, const struct err *err, void *arg) {
    struct got *g = arg;
    if (c)
        g->config = json_deep_copy(c->config);
    docker_container_free(c);
    on_done(err, g);
}

static void on_exec(const struct docker_exec_result *result, const struct err *err, void *arg) {
    (void)result;
    on_done(err, arg);
}

static void on_gone(void *arg) {
    (void)arg;
    rig.gone = true;
}

static enum err_kind finish(struct got *g, const char *what) {
    until(&g->done, what);
    return g->err.kind;
}

// Said by the broker, not by the engine.
static void assert_refused(struct got *g, const char *what) {
    (void)finish(g, what);
    if (g->err.kind != ERR_USER || g->err.code != 403 || !strstr(g->err.text, "broker"))
        fail_msg("%s: %s %d %s", what, err_kind_name(g->err.kind), g->err.code, g->err.text);
}

static void assert_good(struct got *g, const char *what) {
    if (finish(g, what) != ERR_NONE)
        fail_msg("%s: %s", what, g->err.text);
}

// ---- the rig ----

static void start_engine(void) {
    strcpy(rig.dir, "/tmp/ocho-broker-XXXXXX");
    CHECK(mkdtemp(rig.dir));
    rig.host = xasprintf("unix://%s/docker.sock", rig.dir);
    rig.engine = fork();
    if (rig.engine == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(ENGINED, "engined", rig.host, (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 600 && access(rig.host + strlen("unix://"), F_OK); i++)
        usleep(50000);
}

static int setup(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_text struct text report = {0};
    char *env[] = {NULL};
    start_engine();
    auto_free char *docker_host_ = xstrdup(rig.host);
    const struct spec_flags flags = {.port = -1, .docker_host = docker_host_};
    if (spec_parse(yaml, strlen(yaml), "pod.yaml", "/tmp", &flags, env, &rig.spec, &report, &err))
        fail_msg("%s", text_str(&report));
    place_here();
    rig.config = (struct broker_config){.spec = rig.spec, .pod_id = POD, .tether = "ochopod-rig"};
    if (broker_start(&rig.config, &rig.line, &err))
        fail_msg("%s", err.text);
    rig.place = place_make(rig.spec, &rig.facts, POD, "marathon.rig");
    rig.loop = loop_create();
    rig.http = http_create(rig.loop, 8, 1);
    if (docker_open_through(rig.loop, rig.line.engine, rig.host, NULL, NULL, on_gone, NULL,
                            &rig.docker, &err) ||
        docker_open(rig.loop, rig.http, rig.host, NULL, NULL, NULL, &rig.direct, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    docker_close(rig.docker);
    docker_close(rig.direct);
    http_free(rig.http);
    loop_free(rig.loop);
    close(rig.line.holder);
    kill(rig.engine, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    place_free(rig.place);
    spec_free(rig.spec);
    auto_free char *socket = xasprintf("%s/docker.sock", rig.dir);
    unlink(socket);
    rmdir(rig.dir);
    free(rig.host);
    return 0;
}

static json_t *workload(void) {
    struct err err = ERR_INIT;
    struct mounts none = {.api = json_array()};
    char *no_roots[] = {NULL};
    none.roots = no_roots;
    auto_json json_t *plan = json_pack("{s:{s:s}, s:[s]}", "environment", "A", "1", "command",
                                       "serve");
    const struct workload_want want = {
        .spec = rig.spec, .place = rig.place, .mounts = &none, .plan = plan};
    json_t *body = workload_body(&want, &err);
    json_decref(none.api);
    return body;
}

// ---- what is ours ----

static void a_workload_of_the_spec_lives_its_life(void **state) {
    (void)state;
    struct got made = {0}, started = {0}, executed = {0}, renamed = {0}, stopped = {0},
               removed = {0};
    auto_json json_t *body = workload();
    docker_create(rig.docker, rig.place->name, body, on_id, &made);
    assert_good(&made, "create");
    docker_start(rig.docker, made.id, on_done, &started);
    assert_good(&started, "start");
    const char *const argv[] = {"tell", "all", NULL};
    docker_exec(
        rig.docker, made.id,
        &(struct docker_exec){.argv = argv, .input = "x", .input_len = 1, .timeout_ms = 30000},
        on_exec, &executed);
    assert_good(&executed, "exec");
    auto_free char *next = xasprintf("%s-next", rig.place->name);
    docker_rename(rig.docker, made.id, next, on_done, &renamed);
    assert_good(&renamed, "rename");
    docker_stop(rig.docker, made.id, NULL, 0, on_done, &stopped);
    assert_good(&stopped, "stop");
    docker_remove(rig.docker, made.id, false, true, on_done, &removed);
    assert_good(&removed, "remove");
}

static void a_validator_of_the_spec_is_created(void **state) {
    (void)state;
    struct got made = {0}, other = {0};
    char check[] = "check", target[] = "/conf/a", shell[] = "sh";
    char *argv[] = {check, target, NULL}, *strange[] = {shell, target, NULL};
    const char *const env[] = {"OCHOPOD_FILE=/conf/a", NULL};
    auto_json json_t *body = workload_oneshot(rig.spec, rig.place, IMAGE, argv, env);
    docker_create(rig.docker, NULL, body, on_id, &made);
    assert_good(&made, "create");
    auto_json json_t *wrong = workload_oneshot(rig.spec, rig.place, IMAGE, strange, env);
    docker_create(rig.docker, NULL, wrong, on_id, &other);
    assert_refused(&other, "another command");
}

// ---- what they are filled with ----

static void make(json_t *body, char ret[65]) {
    struct got g = {0};
    docker_create(rig.docker, NULL, body, on_id, &g);
    assert_good(&g, "create");
    memcpy(ret, g.id, 65);
    json_decref(body);
}

static void an_archive_holds_the_specs_files_and_nothing_else(void **state) {
    (void)state;
    static const struct {
        const char *dir;
        struct docker_file file;
    } wrong[] = {
        {"/", {.path = "etc/passwd", .data = "x", .len = 1, .mode = 0644}},
        {"/", {.path = "usr/bin/check", .data = "x", .len = 1, .mode = 0755}},
        {"/", {.path = "conf/a", .data = "x", .len = 1, .mode = 04755}},
        {"/", {.path = "conf/a", .data = "x", .len = 1, .mode = 0755}},
        {"/", {.path = "conf/a", .data = "x", .len = 1, .mode = 0644, .uid = 1}},
        {"/etc", {.path = "conf/a", .data = "x", .len = 1, .mode = 0644}},
    };
    const struct docker_file good = {.path = "conf/a", .data = "x", .len = 1, .mode = 0644};
    char check[] = "check", target[] = "/conf/a", ids[2][65];
    char *argv[] = {check, target, NULL};
    const char *const env[] = {"OCHOPOD_FILE=/conf/a", NULL};
    make(workload(), ids[0]);
    make(workload_oneshot(rig.spec, rig.place, IMAGE, argv, env), ids[1]);
    for (size_t k = 0; k < 2; k++) {
        struct got filled = {0};
        docker_archive_put(rig.docker, ids[k], "/", &good, 1, on_done, &filled);
        assert_good(&filled, "its files");
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            struct got g = {0};
            docker_archive_put(rig.docker, ids[k], wrong[i].dir, &wrong[i].file, 1, on_done, &g);
            assert_refused(&g, wrong[i].file.path);
        }
    }
}

// ---- creates that are refused ----

static const struct {
    const char *where; // "" top level, "HostConfig", "Labels"
    const char *key, *value;
} changes[] = {
    {"HostConfig", "Privileged", "true"},
    {"HostConfig", "NetworkMode", "\"container:0123\""},
    {"HostConfig", "PidMode", "\"host\""},
    {"HostConfig", "IpcMode", "\"host\""},
    {"HostConfig", "UTSMode", "\"host\""},
    {"HostConfig", "UsernsMode", "\"host\""},
    {"HostConfig", "CgroupnsMode", "\"host\""},
    {"HostConfig", "CgroupParent", "\"/\""},
    {"HostConfig", "Binds", "[\"/:/host\"]"},
    {"HostConfig", "Binds", "[\"/var/run/docker.sock:/var/run/docker.sock\"]"},
    {"HostConfig", "Mounts", "[{\"Type\": \"bind\", \"Source\": \"/\", \"Target\": \"/host\"}]"},
    {"HostConfig", "VolumesFrom", "[\"other\"]"},
    {"HostConfig", "Devices",
     "[{\"PathOnHost\": \"/dev/sda\", \"PathInContainer\": \"/dev/sda\"}]"},
    {"HostConfig", "DeviceRequests", "[{\"Count\": -1}]"},
    {"HostConfig", "DeviceCgroupRules", "[\"a *:* rwm\"]"},
    {"HostConfig", "CapAdd", "[\"SYS_ADMIN\"]"},
    {"HostConfig", "CapAdd", "[\"SYS_PTRACE\", \"KILL\"]"},
    {"HostConfig", "SecurityOpt", "[\"seccomp=unconfined\"]"},
    {"HostConfig", "Sysctls", "{\"net.ipv4.ip_forward\": \"1\"}"},
    {"HostConfig", "Runtime", "\"other\""},
    {"HostConfig", "MaskedPaths", "[]"},
    {"HostConfig", "ReadonlyPaths", "[]"},
    {"HostConfig", "OomScoreAdj", "-1000"},
    {"HostConfig", "Ulimits", "[{\"Name\": \"core\", \"Soft\": 1, \"Hard\": 1}]"},
    {"HostConfig", "RestartPolicy", "{\"Name\": \"always\"}"},
    {"HostConfig", "PortBindings", "{\"22/tcp\": [{\"HostPort\": \"22\"}]}"},
    {"HostConfig", "PublishAllPorts", "true"},
    {"HostConfig", "AutoRemove", "true"},
    {"HostConfig", "LogConfig", "{\"Type\": \"syslog\"}"},
    {"HostConfig", "Tmpfs", "{\"/x\": \"\"}"},
    {"HostConfig", "ExtraHosts", "[\"a:1.2.3.4\"]"},
    {"HostConfig", "GroupAdd", "[\"0\"]"},
    {"", "Image", "\"other/image:1\""},
    {"", "User", "\"0\""},
    {"", "Volumes", "{\"/x\": {}}"},
    {"", "NetworkingConfig", "{\"EndpointsConfig\": {\"bridge\": {}}}"},
    {"", "Healthcheck", "{\"Test\": [\"CMD\", \"true\"]}"},
    {"", "HostConfig", "null"},
    {"", "privileged", "true"},
    {"", "hostconfig", "{\"Privileged\": true}"},
    {"Labels", "io.ochopod.pod", "\"" OTHER "\""},
    {"Labels", "io.ochopod.owner", "\"host:other\""},
    {"Labels", "io.ochopod.role", "\"holder\""},
    {"Labels", "io.ochopod.role", "\"oneshot\""},
    {"Labels", "io.ochopod.role", "\"\""},
    {"Labels", "io.ochopod.config", "\"0\""},
    {"Labels", "com.docker.compose.project", "\"x\""},
};

static void whatever_is_not_the_specs_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct got g = {0};
        auto_json json_t *body = workload();
        json_t *at = *changes[i].where ? json_object_get(body, changes[i].where) : body;
        json_t *value = json_loads(changes[i].value, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        json_object_set_new(at, changes[i].key, value);
        auto_free char *what = xasprintf("%s.%s=%s", changes[i].where, changes[i].key,
                                         changes[i].value);
        docker_create(rig.docker, NULL, body, on_id, &g);
        assert_refused(&g, what);
    }
}

static void what_the_spec_wants_is_not_left_out(void **state) {
    (void)state;
    static const char *const keys[] = {"NetworkMode", "RestartPolicy", "Mounts"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct got g = {0};
        auto_json json_t *body = workload();
        json_object_del(json_object_get(body, "HostConfig"), keys[i]);
        docker_create(rig.docker, NULL, body, on_id, &g);
        assert_refused(&g, keys[i]);
    }
}

static void a_name_that_is_somebodys_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"mariadb", "ochopod-x-99999999", "..", "a/b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct got g = {0};
        auto_json json_t *body = workload();
        docker_create(rig.docker, names[i], body, on_id, &g);
        assert_refused(&g, names[i]);
    }
}

// ---- containers that are not ours ----

static void make_past_it(json_t *body, char ret[65]) {
    struct got g = {0};
    docker_create(rig.direct, NULL, body, on_id, &g);
    assert_good(&g, "create past the broker");
    memcpy(ret, g.id, 65);
    json_decref(body);
}

static void run_past_it(const char *id, bool runs) {
    struct got g = {0};
    if (runs)
        docker_start(rig.direct, id, on_done, &g);
    else
        docker_stop(rig.direct, id, NULL, 0, on_done, &g);
    assert_good(&g, "start or stop past the broker");
}

static void on_line(int stream, const char *line, size_t len, int64_t time_ns, void *arg) {
    (void)stream, (void)line, (void)len, (void)time_ns, (void)arg;
}

static void a_strangers_container_is_left_alone(void **state) {
    (void)state;
    char id[65];
    make_past_it(json_pack("{s:s, s:[s], s:{s:s}}", "Image", "db:1", "Env", "PASSWORD=hunter2",
                           "Labels", "app", "db"),
                 id);
    struct got g[9] = {0};
    const char *const argv[] = {"tell", "all", NULL};
    const struct docker_file file = {.path = "conf/a", .data = "x", .len = 1, .mode = 0644};
    static const struct docker_logs_events events = {.on_line = on_line, .on_end = on_done};
    docker_start(rig.docker, id, on_done, &g[0]);
    docker_stop(rig.docker, id, NULL, 0, on_done, &g[1]);
    docker_kill(rig.docker, id, "KILL", on_done, &g[2]);
    docker_remove(rig.docker, id, true, true, on_done, &g[3]);
    docker_rename(rig.docker, id, rig.place->name, on_done, &g[4]);
    docker_exec(rig.docker, id, &(struct docker_exec){.argv = argv, .timeout_ms = 30000}, on_exec,
                &g[5]);
    docker_archive_put(rig.docker, id, "/", &file, 1, on_done, &g[6]);
    docker_logs(rig.docker, id, false, 0, 10, &events, &g[7]);
    docker_update(rig.docker, id, NULL, on_done, &g[8]);
    for (size_t i = 0; i < 9; i++)
        assert_refused(&g[i], "a stranger's container");
    struct got seen = {0};
    docker_inspect(rig.docker, id, on_container, &seen);
    assert_good(&seen, "inspect");
    assert_null(json_object_get(seen.config, "Env")); // PASSWORD
    assert_string_equal(json_text(json_object_get(seen.config, "Labels"), "app"), "db");
    json_decref(seen.config);
}

static json_t *with_labels(const char *pod, const char *owner, const char *role) {
    return json_pack("{s:s, s:{s:s, s:s, s:s}}", "Image", "app:1", "Labels", "io.ochopod.pod", pod,
                     "io.ochopod.owner", owner, "io.ochopod.role", role);
}

static void an_orphan_is_stopped_and_removed_and_nothing_else(void **state) {
    (void)state;
    static const char gone[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    char id[65];
    make_past_it(with_labels(OTHER, gone, "workload"), id);
    struct got started = {0}, stopped = {0}, removed = {0};
    docker_start(rig.docker, id, on_done, &started);
    assert_refused(&started, "start of an orphan");
    docker_stop(rig.docker, id, NULL, 0, on_done, &stopped);
    assert_good(&stopped, "stop of an orphan");
    docker_remove(rig.docker, id, true, true, on_done, &removed);
    assert_good(&removed, "removal of an orphan");
}

// Its sidecar is away: the worker leaves it alone, and so does one that was taken over.
static void an_orphan_that_was_to_run_on_is_left_alone_while_it_runs(void **state) {
    (void)state;
    static const char gone[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    char id[65];
    json_t *body = with_labels(OTHER, gone, "workload");
    json_object_set_new(json_object_get(body, "Labels"), "io.ochopod.lifetime",
                        json_string("independent"));
    make_past_it(body, id);
    run_past_it(id, true);
    struct got running[2] = {0}, stopped = {0};
    docker_stop(rig.docker, id, NULL, 0, on_done, &running[0]);
    assert_refused(&running[0], "stop of one that runs on");
    docker_remove(rig.docker, id, true, true, on_done, &running[1]);
    assert_refused(&running[1], "removal of one that runs on");
    run_past_it(id, false);
    docker_remove(rig.docker, id, true, true, on_done, &stopped);
    assert_good(&stopped, "removal of one that has ended");
}

// What its sidecar made goes with it, and what the engine named; not what a user named.
static void volumes_of_an_orphan_are_removed_unless_a_user_named_them(void **state) {
    (void)state;
    static const char gone[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    static const char nameless[] =
        "00000000000000000000000000000000000000000000000000000000000000bb";
    char id[65];
    json_t *body = with_labels(OTHER, gone, "workload");
    json_object_set_new(body, "HostConfig",
                        json_pack("{s:[{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s,s:s}]}", "Mounts",
                                  "Type", "volume", "Source", "pgdata", "Target", "/a", "Type",
                                  "volume", "Source", "ochopod-" OTHER "-01234567", "Target", "/b",
                                  "Type", "volume", "Source", nameless, "Target", "/c"));
    make_past_it(body, id);
    struct got removed = {0}, users = {0}, made = {0}, named = {0};
    docker_remove(rig.docker, id, true, true, on_done, &removed);
    assert_good(&removed, "removal of an orphan");
    docker_volume_remove(rig.docker, "pgdata", on_done, &users);
    assert_refused(&users, "a user's volume");
    docker_volume_remove(rig.docker, "ochopod-" OTHER "-01234567", on_done, &made);
    assert_good(&made, "a volume that its sidecar made");
    docker_volume_remove(rig.docker, nameless, on_done, &named);
    assert_good(&named, "a volume without a name");
}

static void another_pods_container_with_a_living_owner_is_left_alone(void **state) {
    (void)state;
    char owner[65], id[65];
    struct got stopped = {0}, removed = {0};
    make_past_it(json_pack("{s:s}", "Image", "sidecar:1"), owner);
    make_past_it(with_labels(OTHER, owner, "workload"), id);
    docker_stop(rig.docker, id, NULL, 0, on_done, &stopped);
    assert_refused(&stopped, "stop");
    docker_remove(rig.docker, id, true, true, on_done, &removed);
    assert_refused(&removed, "remove");
}

static void ids_that_are_short_or_names_are_refused(void **state) {
    (void)state;
    struct got made = {0}, by_name = {0}, by_part = {0};
    auto_json json_t *body = workload();
    docker_create(rig.docker, rig.place->name, body, on_id, &made);
    assert_good(&made, "create");
    char part[13];
    snprintf(part, sizeof part, "%.12s", made.id);
    docker_kill(rig.docker, rig.place->name, "KILL", on_done, &by_name);
    assert_refused(&by_name, "by its name");
    docker_kill(rig.docker, part, "KILL", on_done, &by_part);
    assert_refused(&by_part, "by the beginning of its id");
}

// ---- what is neither ----

static void on_image(struct docker_image *image, const struct err *err, void *arg) {
    docker_image_free(image);
    on_done(err, arg);
}

static void images_volumes_and_paths_of_others_are_refused(void **state) {
    (void)state;
    struct got own = {0}, image = {0}, pull = {0}, volume = {0}, own_volume = {0}, made = {0},
               refused = {0};
    docker_image_inspect(rig.docker, IMAGE, on_image, &own);
    assert_good(&own, "its own image");
    docker_image_inspect(rig.docker, "other:1", on_image, &image);
    assert_refused(&image, "another image");
    docker_pull(rig.docker, "evil:1", NULL, on_done, &pull);
    assert_refused(&pull, "a pull of another image");
    docker_volume_remove(rig.docker, "data", on_done, &volume);
    assert_refused(&volume, "a user's volume");
    docker_volume_remove(rig.docker, "ochopod-" POD "-01234567", on_done, &own_volume);
    assert_good(&own_volume, "a volume of ours");
    docker_volume_create(rig.docker, "x", NULL, on_done, &made);
    assert_refused(&made, "a volume by hand");
    auto_json json_t *body = workload();
    struct got c = {0};
    docker_create(rig.docker, NULL, body, on_id, &c);
    assert_good(&c, "create");
    const char *const argv[] = {"sh", "-c", "id", NULL};
    docker_exec(rig.docker, c.id, &(struct docker_exec){.argv = argv, .timeout_ms = 30000}, on_exec,
                &refused);
    assert_refused(&refused, "a command that no spec names");
    const char *const longer[] = {"tell", "all", "-c", "id", NULL}, *const named[] = {"tell", "all",
                                                                                      NULL};
    struct got words = {0}, loaded = {0}, told = {0};
    docker_exec(rig.docker, c.id, &(struct docker_exec){.argv = longer, .timeout_ms = 30000},
                on_exec, &words);
    assert_refused(&words, "a hook with more words");
    const char *const preload[] = {"OCHOPOD_HOOK=configured", "LD_PRELOAD=/conf/a", NULL};
    docker_exec(rig.docker, c.id,
                &(struct docker_exec){.argv = named, .env = preload, .timeout_ms = 30000}, on_exec,
                &loaded);
    assert_refused(&loaded, "a hook with another environment");
    const char *const ours[] = {"OCHOPOD_HOOK=configured", "OCHOPOD_SEQ=1", NULL};
    struct got started = {0};
    docker_start(rig.docker, c.id, on_done, &started);
    assert_good(&started, "start");
    docker_exec(rig.docker, c.id,
                &(struct docker_exec){.argv = named, .env = ours, .timeout_ms = 30000}, on_exec,
                &told);
    assert_good(&told, "a hook");
}

// A registry's port is no tag, and the name before it no image of ours.
static void a_pull_is_of_the_specs_image_and_tag(void **state) {
    (void)state;
    static const char *const others[] = {"reg:1.2",
                                         "reg",
                                         "reg:5000/ochopod/app",
                                         "reg:5000/ochopod/app:1",
                                         "reg:5000/ochopod/app:1.2.3",
                                         "reg:5000/ochopod/app@sha256:0123",
                                         "reg:5000/ochopod/application:1.2",
                                         "ochopod/app:1.2"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct got g = {0};
        docker_pull(rig.docker, others[i], NULL, on_done, &g);
        assert_refused(&g, others[i]);
    }
    struct got own = {0};
    docker_pull(rig.docker, IMAGE, NULL, on_done, &own);
    assert_good(&own, IMAGE);
}

// ---- by hand: what our client would never send ----

static void raw(const void *bytes, size_t len, int expected_status) {
    struct err err = ERR_INIT;
    struct broker_line line;
    assert_int_equal(broker_start(&rig.config, &line, &err), 0);
    assert_int_equal(send(line.engine, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
    if (expected_status == 0)
        shutdown(line.engine, SHUT_WR);
    int status = -1;
    assert_int_equal(waitpid(line.pid, &status, 0), line.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected_status);
    close(line.engine);
    close(line.holder);
}

static void put_int(struct text *t, int64_t n) {
    text_addn(t, &n, sizeof n);
}

static void a_message_that_is_none_of_ours_ends_it(void **state) {
    (void)state;
    static const struct door_request ping = {.op = DOOR_PING};
    auto_text struct text good = {0}, kind = {0}, op = {0}, cut = {0}, huge = {0}, twice = {0},
                          longer = {0};
    line_ask(&good, 1, &ping);
    raw(good.s, good.len, 0); // it ends with the line, in good order
    put_int(&kind, 16);
    put_int(&kind, 77);
    put_int(&kind, 1);
    raw(kind.s, kind.len, 1);
    line_ask(&op, 1, &ping);
    int64_t unknown = DOOR_OPS;
    memcpy(op.s + 3 * sizeof(int64_t), &unknown, sizeof unknown);
    raw(op.s, op.len, 1);
    text_addn(&cut, good.s, good.len);
    int64_t less = (int64_t)(good.len - sizeof less - 8);
    memcpy(cut.s, &less, sizeof less);
    raw(cut.s, cut.len, 1);
    put_int(&huge, INT64_MAX);
    raw(huge.s, huge.len, 1);
    line_ask(&twice, 5, &ping);
    line_ask(&twice, 5, &ping); // while the engine is asked for the first
    raw(twice.s, twice.len, 1);
    text_addn(&longer, good.s, good.len);
    put_int(&longer, 1);
    int64_t more = (int64_t)(good.len + sizeof more - sizeof more);
    memcpy(longer.s, &more, sizeof more);
    raw(longer.s, longer.len, 1);
}

// Judged is the JSON of a create; the engine would be given the other one.
static void a_second_body_or_an_old_version_ends_it(void **state) {
    (void)state;
    static const char privileged[] = "{\"HostConfig\":{\"Privileged\":true}}";
    auto_text struct text second = {0}, start = {0}, old = {0};
    const struct door_request create = {.op = DOOR_CREATE,
                                        .version = "1.41",
                                        .json = "{\"Image\":\"" IMAGE "\"}",
                                        .body = privileged,
                                        .body_len = sizeof privileged - 1};
    line_ask(&second, 1, &create);
    raw(second.s, second.len, 1);
    const struct door_request with_config = {.op = DOOR_START,
                                             .version = "1.41",
                                             .id = rig.config.pod_id,
                                             .json = "{\"Privileged\":true}"};
    line_ask(&start, 1, &with_config);
    raw(start.s, start.len, 1);
    line_ask(&old, 1, &(struct door_request){.op = DOOR_LIST, .version = "1.22"});
    raw(old.s, old.len, 1);
}

// Until the end of answer `serial`.
static void receive_answer(int fd, struct text *in, int64_t serial) {
    size_t at = 0;
    for (;;) {
        struct wire w;
        while (line_next(in, &at, &w) > 0)
            if (wire_int(&w) == LINE_END && wire_int(&w) == serial)
                return;
        char piece[4096];
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        assert_true(n > 0);
        text_addn(in, piece, (size_t)n);
    }
}

// Cut to size is an answer that is whole: of one that is not nothing is passed on.
static void a_stranger_too_long_to_be_kept_stays_unknown(void **state) {
    (void)state;
    char id[65];
    struct broker_line line;
    struct err err = ERR_INIT;
    auto_text struct text asks = {0}, in = {0};
    auto_free char *rest = xcalloc(1, 200 * 1024); // it comes in many pieces
    memset(rest, 'x', 200 * 1024 - 1);
    make_past_it(json_pack("{s:s, s:[s, s]}", "Image", "db:1", "Env", "PASSWORD=hunter2", rest),
                 id);
    assert_int_equal(broker_start(&rig.config, &line, &err), 0);
    const struct timeval patience = {.tv_sec = 60};
    assert_int_equal(setsockopt(line.engine, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
                     0);
    for (int64_t serial = 1; serial <= 20; serial++) {
        text_clear(&asks);
        line_ask(&asks, serial,
                 &(struct door_request){.op = DOOR_INSPECT,
                                        .version = "1.41",
                                        .id = id,
                                        .timeout_ms = 60000,
                                        .max_reply = (size_t)serial * 10000});
        assert_int_equal(send(line.engine, asks.s, asks.len, MSG_NOSIGNAL), (ssize_t)asks.len);
        text_clear(&in);
        receive_answer(line.engine, &in, serial);
        assert_null(memmem(in.s, in.len, "hunter2", strlen("hunter2")));
    }
    close(line.engine);
    close(line.holder);
    waitpid(line.pid, NULL, 0);
}

static void an_order_that_is_no_id_ends_it(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    struct broker_line line;
    int status = -1;
    assert_int_equal(broker_start(&rig.config, &line, &err), 0);
    assert_int_equal(send(line.holder, "rm -rf /", 8, MSG_NOSIGNAL), 8);
    assert_int_equal(waitpid(line.pid, &status, 0), line.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(line.engine);
    close(line.holder);
}

// Last: the broker of all others is killed.
static void its_end_is_told_once(void **state) {
    (void)state;
    kill(rig.line.pid, SIGKILL);
    until(&rig.gone, "on_gone");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workload_of_the_spec_lives_its_life),
        cmocka_unit_test(a_validator_of_the_spec_is_created),
        cmocka_unit_test(an_archive_holds_the_specs_files_and_nothing_else),
        cmocka_unit_test(whatever_is_not_the_specs_is_refused),
        cmocka_unit_test(what_the_spec_wants_is_not_left_out),
        cmocka_unit_test(a_name_that_is_somebodys_is_refused),
        cmocka_unit_test(a_strangers_container_is_left_alone),
        cmocka_unit_test(an_orphan_is_stopped_and_removed_and_nothing_else),
        cmocka_unit_test(an_orphan_that_was_to_run_on_is_left_alone_while_it_runs),
        cmocka_unit_test(volumes_of_an_orphan_are_removed_unless_a_user_named_them),
        cmocka_unit_test(another_pods_container_with_a_living_owner_is_left_alone),
        cmocka_unit_test(ids_that_are_short_or_names_are_refused),
        cmocka_unit_test(images_volumes_and_paths_of_others_are_refused),
        cmocka_unit_test(a_pull_is_of_the_specs_image_and_tag),
        cmocka_unit_test(a_message_that_is_none_of_ours_ends_it),
        cmocka_unit_test(a_second_body_or_an_old_version_ends_it),
        cmocka_unit_test(a_stranger_too_long_to_be_kept_stays_unknown),
        cmocka_unit_test(an_order_that_is_no_id_ends_it),
        cmocka_unit_test(its_end_is_told_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
