#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/bindings.h"
#include "bindings/table.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

static struct docker_container *container(const char *labels, const char *ports) {
    struct docker_container *c = xnew(struct docker_container);
    memset(c->id, 'a', 64);
    c->name = xstrdup("demo_zookeeper_2");
    c->hostname = xstrdup("abcdef012345");
    c->network_mode = xstrdup("demo_default");
    c->ip = xstrdup("198.18.64.3");
    c->labels = json_loads(labels, 0, NULL);
    c->ports = json_loads(ports, 0, NULL);
    assert_non_null(c->labels);
    assert_non_null(c->ports);
    return c;
}

#define COMPOSE_LABELS                                                                             \
    "{\"com.docker.compose.project\": \"demo\", \"com.docker.compose.service\": \"zookeeper\"}"

static int facts_of(const struct binding *b, struct docker_container *self, char **env,
                    struct binding_facts *ret) {
    struct binding_wish wish = {.env = env, .port = 8080};
    struct binding_scene scene = {.wish = &wish,
                                  .self = self,
                                  .contained = self != NULL,
                                  .self_ip = self ? self->ip : "127.0.0.1"};
    ret->ports = json_object();
    ret->local = json_object();
    struct err err = ERR_INIT;
    return b->facts(&scene, ret, &err);
}

static int port(const struct binding_facts *f, const char *label) {
    return (int)json_integer_value(json_object_get(f->ports, label));
}

static void compose_knows_service_address_and_own_ports(void **state) {
    (void)state;
    struct docker_container *self = container(COMPOSE_LABELS, "{}");
    struct binding_facts *f = xnew(struct binding_facts);
    char *env[] = {NULL};
    assert_int_equal(facts_of(&binding_compose, self, env, f), 0);
    assert_string_equal(f->cluster, "zookeeper");
    assert_string_equal(f->application, "demo/zookeeper");
    assert_string_equal(f->task, "demo_zookeeper_2");
    assert_string_equal(f->ip, "198.18.64.3");
    assert_int_equal(port(f, "8080"), 8080);
    assert_int_equal(json_object_size(f->ports), 1);
    binding_facts_free(f);
    docker_container_free(self);
}

// The engine's order is not fixed, and the IPv6 entry may carry another port.
#define PUBLISHED                                                                                  \
    "{\"2181/tcp\": [{\"HostIp\": \"::\", \"HostPort\": \"32768\"},"                               \
    "               {\"HostIp\": \"0.0.0.0\", \"HostPort\": \"32769\"}],"                          \
    " \"8080/tcp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"32770\"}],"                         \
    " \"3888/tcp\": null, \"53/udp\": [{\"HostIp\": \"0.0.0.0\", \"HostPort\": \"32771\"}]}"

static void with_host_peers_come_by_published_ports(void **state) {
    (void)state;
    struct docker_container *self = container(COMPOSE_LABELS, PUBLISHED);
    struct binding_facts *f = xnew(struct binding_facts);
    char host[] = "HOST=198.18.0.1", *env[] = {host, NULL};
    assert_int_equal(facts_of(&binding_compose, self, env, f), 0);
    assert_string_equal(f->ip, "198.18.0.1");
    assert_string_equal(f->node, "198.18.0.1");
    assert_int_equal(port(f, "2181"), 32769);
    assert_int_equal(port(f, "8080"), 32770);
    assert_null(json_object_get(f->ports, "3888"));
    assert_null(json_object_get(f->ports, "53"));
    binding_facts_free(f);
    docker_container_free(self);
}

static void a_control_port_nobody_can_reach_is_not_advertised(void **state) {
    (void)state;
    struct docker_container *self = container(COMPOSE_LABELS, "{}");
    struct binding_facts *f = xnew(struct binding_facts);
    char host[] = "HOST=198.18.0.1", *env[] = {host, NULL};
    assert_int_equal(facts_of(&binding_compose, self, env, f), 0);
    assert_null(json_object_get(f->ports, "8080"));
    binding_facts_free(f);
    docker_container_free(self);
}

static void port_variables_are_labels_and_junk_is_left_out(void **state) {
    (void)state;
    struct binding_facts *f = xnew(struct binding_facts);
    char good[] = "PORT_8080=31786", named[] = "PORT_HTTP-API=31787", junk[] = "PORT_X=a\nb",
         huge[] = "PORT_Y=70000", none[] = "PORT0=31000",
         *env[] = {good, named, junk, huge, none, NULL};
    assert_int_equal(facts_of(&binding_local, NULL, env, f), 0);
    assert_int_equal(port(f, "8080"), 31786);
    assert_int_equal(port(f, "HTTP-API"), 31787);
    assert_int_equal(json_object_size(f->ports), 2);
    assert_string_equal(f->ip, "127.0.0.1");
    binding_facts_free(f);
}

static void compose_outside_a_container_is_refused(void **state) {
    (void)state;
    struct binding_facts *f = xnew(struct binding_facts);
    char *env[] = {NULL};
    assert_int_equal(facts_of(&binding_compose, NULL, env, f), -1);
    binding_facts_free(f);
}

static void a_container_without_labels_is_local(void **state) {
    (void)state;
    const char *why = "";
    struct docker_container *self = container("{}", "{}");
    struct binding_wish wish = {.port = 8080};
    struct binding_scene scene = {.wish = &wish, .self = self, .self_ip = "10.0.0.1"};
    assert_false(binding_compose.probe(&scene, &why));
    assert_true(binding_local.probe(&scene, &why));
    docker_container_free(self);
}

// ---- the search, outside any container ----

static struct loop *loop;
static struct binding_facts *found;
static struct err found_err;

static void on_found(struct binding_facts *facts, const struct err *err, void *arg) {
    (void)arg;
    found = facts;
    found_err = *err;
    loop_quit(loop);
}

static void search(const struct binding_wish *wish) {
    loop = loop_create();
    struct http *http = http_create(loop, 4, 0);
    assert_non_null(bindings_find(loop, http, NULL, wish, on_found, NULL));
    loop_run(loop);
    http_free(http);
    loop_free(loop);
}

static void no_engine_is_needed_outside_a_container(void **state) {
    (void)state;
    if (binding_in_container())
        fail_msg("an engine's mounts are seen: the test must run outside a container");
    char root[] = "OCHOPOD_HOST_ROOT=/nowhere", *env[] = {root, NULL};
    struct binding_wish wish = {.env = env, .port = 9000, .local = true};
    search(&wish);
    assert_int_equal(found_err.kind, ERR_NONE);
    assert_string_equal(found->binding, "local");
    assert_string_equal(found->fwk, "marathon (debug)");
    assert_string_equal(found->ip, "127.0.0.1");
    assert_string_equal(found->zk, "");
    assert_null(found->self);
    binding_facts_free(found);
}

static void an_unknown_binding_is_told_which_there_are(void **state) {
    (void)state;
    char *env[] = {NULL};
    struct binding_wish wish = {.name = "kubernetes", .env = env, .port = 9000};
    search(&wish);
    assert_int_equal(found_err.kind, ERR_USER);
    assert_non_null(strstr(found_err.text, "kubernetes"));
    assert_non_null(strstr(found_err.text, bindings_names()));
    assert_true(bindings_known("compose"));
    assert_false(bindings_known("kubernetes"));
}

static void a_host_that_is_a_name_is_resolved(void **state) {
    (void)state;
    char root[] = "OCHOPOD_HOST_ROOT=/nowhere", host[] = "HOST=localhost",
         *env[] = {root, host, NULL};
    struct binding_wish wish = {.env = env, .port = 9000};
    search(&wish);
    assert_int_equal(found_err.kind, ERR_NONE);
    assert_string_equal(found->ip, "127.0.0.1");
    assert_string_equal(found->node, "localhost");
    binding_facts_free(found);
}

static void add_address(struct ifaddrs **all, unsigned flags, const char *ip) {
    struct sockaddr_storage *at = xnew(struct sockaddr_storage);
    bool six = strchr(ip, ':');
    at->ss_family = six ? AF_INET6 : AF_INET;
    void *bytes = six ? (void *)&((struct sockaddr_in6 *)at)->sin6_addr
                      : (void *)&((struct sockaddr_in *)at)->sin_addr;
    assert_int_equal(inet_pton(at->ss_family, ip, bytes), 1);
    struct ifaddrs *one = xnew(struct ifaddrs);
    one->ifa_flags = flags;
    one->ifa_addr = (struct sockaddr *)at;
    while (*all)
        all = &(*all)->ifa_next;
    *all = one;
}

static void expect_first(struct ifaddrs *all, const char *ip) {
    char first[INET6_ADDRSTRLEN];
    binding_first_address(all, first, sizeof first);
    assert_string_equal(first, ip);
}

static void our_own_address_is_ipv4_before_ipv6_before_loopback(void **state) {
    (void)state;
    struct ifaddrs *all = NULL;
    expect_first(all, "127.0.0.1");
    add_address(&all, IFF_UP | IFF_LOOPBACK, "127.0.0.1");
    add_address(&all, IFF_UP | IFF_LOOPBACK, "::1");
    add_address(&all, IFF_UP, "fe80::1"); // of the link alone
    add_address(&all, 0, "10.0.0.1");
    all->ifa_next->ifa_next->ifa_next->ifa_next = xnew(struct ifaddrs); // no address at all
    expect_first(all, "127.0.0.1");
    add_address(&all, IFF_UP, "fd00::2");
    add_address(&all, IFF_UP, "fd00::3");
    expect_first(all, "fd00::2");
    add_address(&all, IFF_UP, "10.0.0.2");
    expect_first(all, "10.0.0.2");
    while (all) {
        struct ifaddrs *next = all->ifa_next;
        free(all->ifa_addr);
        free(all);
        all = next;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compose_knows_service_address_and_own_ports),
        cmocka_unit_test(with_host_peers_come_by_published_ports),
        cmocka_unit_test(our_own_address_is_ipv4_before_ipv6_before_loopback),
        cmocka_unit_test(a_control_port_nobody_can_reach_is_not_advertised),
        cmocka_unit_test(port_variables_are_labels_and_junk_is_left_out),
        cmocka_unit_test(compose_outside_a_container_is_refused),
        cmocka_unit_test(a_container_without_labels_is_local),
        cmocka_unit_test(no_engine_is_needed_outside_a_container),
        cmocka_unit_test(an_unknown_binding_is_told_which_there_are),
        cmocka_unit_test(a_host_that_is_a_name_is_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
