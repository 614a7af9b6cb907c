#include "sidecar/pod/workload.h"
#include "base/check.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define POD "11111111-1111-4111-8111-111111111111"

struct rig {
    struct spec spec;
    struct docker_container self;
    struct binding_facts facts;
    struct place *place;
    struct mounts mounts;
    char *no_roots[1];
    json_t *plan;
};

static int make(void **state) {
    struct rig *r = test_calloc(1, sizeof *r);
    memset(r->self.id, 'c', 64);
    r->self.name = (char *)"side";
    r->self.started_at = (char *)"2026-01-01T00:00:00Z";
    r->self.network_mode = (char *)"bridge";
    r->self.image_id = (char *)"sha256:ours";
    r->self.host_config = json_pack("{s:i, s:s, s:b, s:[s], s:s, s:[s]}", "Memory", 64 << 20,
                                    "CgroupParent", "/some", "Privileged", 1, "Binds",
                                    "/var/run/docker.sock:/var/run/docker.sock", "PidMode", "host",
                                    "CapAdd", "SYS_ADMIN");
    r->facts.self = &r->self;
    r->spec.workload.image = (char *)"app:1";
    r->spec.workload.stop.signal = (char *)"TERM";
    r->spec.workload.stop.grace = 2500;
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
    r->mounts = (struct mounts){r->no_roots, json_array()};
    r->plan = json_pack("{s:{s:s}, s:[s,s], s:n}", "environment", "A", "b", "command", "run", "it",
                        "entrypoint");
    *state = r;
    return 0;
}

static int drop(void **state) {
    struct rig *r = *state;
    place_free(r->place);
    json_decref(r->self.host_config);
    json_decref(r->mounts.api);
    json_decref(r->plan);
    test_free(r);
    return 0;
}

static json_t *body_of(struct rig *r, const struct docker_image *image, const char *holder) {
    struct workload_want want = {&r->spec, r->place, &r->mounts, image, r->plan, holder};
    struct err err = ERR_INIT;
    json_t *body = workload_body(&want, &err);
    if (!body)
        fail_msg("%s", err.text);
    return body;
}

static const json_t *host_of(const json_t *body) {
    return json_object_get(body, "HostConfig");
}

static void it_joins_our_network_and_the_holders_processes_never_ours(void **state) {
    struct rig *r = *state;
    auto_json json_t *body = body_of(r, NULL, "the-holder");
    auto_free char *network = xasprintf("container:%s", r->self.id);
    assert_string_equal(json_text(host_of(body), "NetworkMode"), network);
    assert_string_equal(json_text(host_of(body), "PidMode"), "container:the-holder");
    auto_json json_t *alone = body_of(r, NULL, NULL);
    assert_null(json_object_get(host_of(alone), "PidMode"));
}

// Limits are passed on; what makes us trusted is not.
static void limits_are_inherited_and_privileges_are_not(void **state) {
    struct rig *r = *state;
    auto_json json_t *body = body_of(r, NULL, NULL);
    assert_int_equal(json_integer_value(json_object_get(host_of(body), "Memory")), 64 << 20);
    assert_string_equal(json_text(host_of(body), "CgroupParent"), "/some");
    assert_null(json_object_get(host_of(body), "Privileged"));
    assert_null(json_object_get(host_of(body), "Binds"));
    assert_null(json_object_get(host_of(body), "CapAdd"));
    assert_null(json_object_get(host_of(body), "VolumesFrom"));
    r->spec.workload.limits.memory = 128 << 20;
    auto_json json_t *own = body_of(r, NULL, NULL);
    assert_int_equal(json_integer_value(json_object_get(host_of(own), "Memory")), 128 << 20);
}

static void docker_never_restarts_it(void **state) {
    struct rig *r = *state;
    auto_json json_t *body = body_of(r, NULL, NULL);
    assert_string_equal(json_text(json_object_get(host_of(body), "RestartPolicy"), "Name"), "no");
    assert_int_equal(json_integer_value(json_object_get(body, "StopTimeout")), 3);
}

static void volumes_of_the_image_are_ours_by_a_name_that_stays(void **state) {
    struct rig *r = *state;
    char data[] = "/data", *volumes[] = {data, NULL};
    struct docker_image image = {.volumes = volumes};
    auto_json json_t *a = body_of(r, &image, "h1"), *b = body_of(r, &image, "h2");
    const json_t *m = json_array_get(json_object_get(host_of(a), "Mounts"), 0);
    const json_t *n = json_array_get(json_object_get(host_of(b), "Mounts"), 0);
    assert_true(text_starts(json_text(m, "Source"), "ochopod-" POD "-"));
    assert_string_equal(json_text(m, "Source"), json_text(n, "Source"));
    assert_string_equal(
        json_text(json_object_get(json_object_get(m, "VolumeOptions"), "Labels"), LABEL_POD), POD);
}

static void the_digest_follows_what_is_run_and_not_who_owns_it(void **state) {
    struct rig *r = *state;
    auto_json json_t *a = body_of(r, NULL, "h");
    auto_json json_t *same = body_of(r, NULL, "h");
    assert_string_equal(workload_digest(a), workload_digest(same));
    json_object_set_new(json_object_get(r->plan, "environment"), "A", json_string("c"));
    auto_json json_t *other = body_of(r, NULL, "h");
    assert_string_not_equal(workload_digest(a), workload_digest(other));
}

static void ports_are_published_only_with_a_network_of_its_own(void **state) {
    struct rig *r = *state;
    char web_port[] = "127.0.0.1:8080:80", dns[] = "53/udp", wrong[] = "eighty";
    char *ports[] = {web_port, dns, NULL};
    r->spec.workload.ports = ports;
    auto_json json_t *ours = body_of(r, NULL, NULL);
    assert_null(json_object_get(host_of(ours), "PortBindings"));
    place_free(r->place);
    r->spec.workload.network = (char *)"backend";
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
    auto_json json_t *own = body_of(r, NULL, NULL);
    const json_t *bindings = json_object_get(host_of(own), "PortBindings");
    const json_t *web = json_array_get(json_object_get(bindings, "80/tcp"), 0);
    assert_string_equal(json_text(web, "HostIp"), "127.0.0.1");
    assert_string_equal(json_text(web, "HostPort"), "8080");
    assert_non_null(json_object_get(bindings, "53/udp"));
    ports[0] = wrong;
    struct workload_want want = {&r->spec, r->place, &r->mounts, NULL, r->plan, NULL};
    struct err err = ERR_INIT;
    assert_null(workload_body(&want, &err));
    assert_non_null(strstr(err.text, "eighty"));
}

static void publish(struct rig *r, char **ports, json_t **ret_body) {
    r->spec.workload.ports = ports;
    r->spec.workload.network = (char *)"backend";
    place_free(r->place);
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
    *ret_body = body_of(r, NULL, NULL);
}

static const json_t *published_at(const json_t *body, const char *key) {
    return json_array_get(json_object_get(json_object_get(host_of(body), "PortBindings"), key), 0);
}

static void every_port_of_a_range_is_published(void **state) {
    struct rig *r = *state;
    auto_json json_t *body = NULL;
    char both[] = "[::1]:9000-9002:8000-8002/udp", any[] = "70-71", *ports[] = {both, any, NULL};
    publish(r, ports, &body);
    assert_int_equal(json_object_size(json_object_get(host_of(body), "PortBindings")), 5);
    assert_int_equal(json_object_size(json_object_get(body, "ExposedPorts")), 5);
    assert_string_equal(json_text(published_at(body, "8002/udp"), "HostIp"), "::1");
    assert_string_equal(json_text(published_at(body, "8002/udp"), "HostPort"), "9002");
    assert_string_equal(json_text(published_at(body, "71/tcp"), "HostPort"), "");
}

// Each is made of a few pieces; the spec is asked first.
static void what_the_spec_takes_is_published(void **state) {
    struct rig *r = *state;
    static const char *const address[] = {"", "127.0.0.1:", "::1:", "[::1]:", "[::1", "a:"};
    static const char *const host[] = {"", ":", "0:", "80:", "090:", "80-82:", "82-80:", "-1:"};
    static const char *const port[] = {"", "53", "1-3", "65535", "65536", "053", "3-1", "5-", "x"};
    static const char *const end[] = {"", "/tcp", "/udp", "/sctp", "/", "/x"};
    enum { N = 6 * 8 * 9 * 6 };
    int taken = 0;
    for (int i = 0; i < N; i++) {
        auto_free char *word = xasprintf("%s%s%s%s", address[i % 6], host[i / 6 % 8],
                                         port[i / 48 % 9], end[i / 432]);
        struct spec_published it;
        if (spec_published_parse(word, &it))
            continue;
        char *ports[] = {word, NULL};
        auto_json json_t *body = NULL;
        publish(r, ports, &body); // fails where it is refused
        assert_int_equal(json_object_size(json_object_get(host_of(body), "PortBindings")), it.n);
        taken++;
    }
    assert_true(taken > 50);
}

static void the_holder_has_no_mounts_and_two_capabilities(void **state) {
    struct rig *r = *state;
    auto_json json_t *body = workload_holder(&r->spec, r->place, "tether");
    const json_t *host = host_of(body);
    assert_string_equal(json_text(body, "Image"), "sha256:ours");
    assert_null(json_object_get(host, "Mounts"));
    assert_null(json_object_get(host, "Binds"));
    assert_true(json_is_true(json_object_get(host, "ReadonlyRootfs")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(host, "CapDrop"), 0)),
                        "ALL");
    assert_int_equal(json_array_size(json_object_get(host, "CapAdd")), 2);
}

static void a_validator_has_neither_network_nor_volumes(void **state) {
    struct rig *r = *state;
    char nginx[] = "nginx", t[] = "-t", *argv[] = {nginx, t, NULL};
    const char *env[] = {NULL};
    auto_json json_t *body = workload_oneshot(&r->spec, r->place, "sha256:1", argv, env);
    assert_string_equal(json_text(host_of(body), "NetworkMode"), "none");
    assert_null(json_object_get(host_of(body), "Mounts"));
}

// The spec of an adopted container names no image: it is the container's own.
static void a_validator_of_an_adopted_container_has_its_image(void **state) {
    struct rig *r = *state;
    char name[] = "true", *argv[] = {name, NULL};
    const char *env[] = {NULL};
    struct spec spec = r->spec;
    spec.workload.image = NULL;
    auto_json json_t *body = workload_oneshot(&spec, r->place, "sha256:1", argv, env);
    assert_string_equal(json_text(body, "Image"), "sha256:1");
}

static void names_that_an_agent_would_take_are_avoided(void **state) {
    struct rig *r = *state;
    assert_string_equal(r->place->name, "side-workload");
    place_free(r->place);
    r->self.name = (char *)"mesos-1234";
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
    assert_string_equal(r->place->name, "ochopod-marathon.zk-11111111");
}

static void what_a_task_made_says_so(void **state) {
    struct rig *r = *state;
    auto_json json_t *none = place_labels(r->place, "workload");
    assert_null(json_object_get(none, LABEL_TASK));
    r->self.name = (char *)"mesos-1234";
    auto_json json_t *old = place_labels(r->place, "workload");
    assert_string_equal(json_text(old, LABEL_TASK), "mesos-1234");
    auto_json json_t *labels = json_pack("{s:s}", "MESOS_TASK_ID", "zk.instance-1._app.1");
    r->self.labels = labels;
    auto_json json_t *task = place_labels(r->place, "holder");
    assert_string_equal(json_text(task, LABEL_TASK), "zk.instance-1._app.1");
}

static void allotted_ports_count_in_our_network_alone(void **state) {
    struct rig *r = *state;
    auto_json json_t *local = json_pack("{s:i}", "2181", 31001);
    r->facts.local = local;
    place_free(r->place);
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
    assert_int_equal(place_port(r->place, 2181), 31001);
    assert_int_equal(place_port(r->place, 2888), 2888);
    place_free(r->place);
    r->spec.workload.network = (char *)"backend";
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
    assert_int_equal(place_port(r->place, 2181), 2181);
    r->facts.local = NULL;
}

static void owners_are_gone_only_when_that_is_sure(void **state) {
    struct rig *r = *state;
    char other[65];
    memset(other, 'd', 64);
    other[64] = '\0';
    assert_int_equal(place_fate(r->place, r->place->owner), OWNER_ALIVE);
    assert_int_equal(place_fate(r->place, other), OWNER_ASK);
    assert_int_equal(place_fate(r->place, "somebody"), OWNER_ALIVE);
    assert_int_equal(place_fate(r->place, ""), OWNER_ALIVE);
}

// ---- outside a container ----

#define OTHER_BOOT "host:11111111-2222-4333-8444-555555555555"

static void move_outside(struct rig *r, const char *engine) {
    place_free(r->place);
    r->facts.self = NULL;
    r->spec.docker_host = (char *)engine;
    r->place = place_make(&r->spec, &r->facts, POD, "marathon.zk");
}

// Our own word with another start, and with another namespace or none.
static char *word(const struct rig *r, long long start, const char *namespace) {
    const char *s = r->place->owner, *third = s;
    for (int colons = 0; colons < 3; third++)
        colons += *third == ':';
    const char *last = strchr(third, ':');
    assert_non_null(last);
    return start ? xasprintf("%.*s%lld%s", (int)(third - s), s, start, namespace ? namespace : last)
                 : xasprintf("%.*s%s", (int)(last - s), s, namespace ? namespace : last);
}

static void expect_fate(const struct rig *r, char *owner, enum owner_fate fate) {
    if (place_fate(r->place, owner) != fate)
        fail_msg("%s is %d", owner, place_fate(r->place, owner));
    free(owner);
}

static void an_init_that_was_started_again_is_another_owner(void **state) {
    struct rig *r = *state;
    move_outside(r, NULL);
    expect_fate(r, word(r, 1, NULL), OWNER_GONE);
    expect_fate(r, word(r, 0, ""), OWNER_ALIVE); // of a release that did not say the namespace
    expect_fate(r, word(r, 1, ""), OWNER_GONE);
}

// Its pids are not ours: that ours of that number is another process tells nothing.
static void another_pid_namespace_is_nobodys_end(void **state) {
    struct rig *r = *state;
    move_outside(r, NULL);
    expect_fate(r, word(r, 1, ":17"), OWNER_UNKNOWN);
    expect_fate(r, word(r, 1, ":0"), OWNER_UNKNOWN);
}

static void another_boot_is_an_end_only_where_the_engine_is_here(void **state) {
    struct rig *r = *state;
    assert_int_equal(place_fate(r->place, OTHER_BOOT ":1:2:3"), OWNER_GONE);
    move_outside(r, "unix:///engine/docker.sock");
    assert_int_equal(place_fate(r->place, OTHER_BOOT ":1:2:3"), OWNER_GONE);
    assert_int_equal(place_fate(r->place, OTHER_BOOT ":1:2"), OWNER_GONE);
    assert_int_equal(place_fate(r->place, "host:unknown:1:2:3"), OWNER_UNKNOWN);
    move_outside(r, "tcp://engine:2375");
    assert_int_equal(place_fate(r->place, OTHER_BOOT ":1:2:3"), OWNER_UNKNOWN);
    assert_int_equal(place_fate(r->place, OTHER_BOOT ":1:2"), OWNER_UNKNOWN);
    expect_fate(r, word(r, 1, NULL), OWNER_GONE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(it_joins_our_network_and_the_holders_processes_never_ours),
        T(limits_are_inherited_and_privileges_are_not),
        T(docker_never_restarts_it),
        T(volumes_of_the_image_are_ours_by_a_name_that_stays),
        T(the_digest_follows_what_is_run_and_not_who_owns_it),
        T(ports_are_published_only_with_a_network_of_its_own),
        T(every_port_of_a_range_is_published),
        T(what_the_spec_takes_is_published),
        T(the_holder_has_no_mounts_and_two_capabilities),
        T(a_validator_has_neither_network_nor_volumes),
        T(a_validator_of_an_adopted_container_has_its_image),
        T(names_that_an_agent_would_take_are_avoided),
        T(what_a_task_made_says_so),
        T(allotted_ports_count_in_our_network_alone),
        T(owners_are_gone_only_when_that_is_sure),
        T(an_init_that_was_started_again_is_another_owner),
        T(another_pid_namespace_is_nobodys_end),
        T(another_boot_is_an_end_only_where_the_engine_is_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
