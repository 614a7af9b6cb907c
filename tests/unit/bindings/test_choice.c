// Which binding is taken, why, and what happens when a metadata service is wrong; and that no
// environment brings any of them down.
#include "tests/unit/bindings/scene.h"
#include "base/log.h"
#include "base/loop.h"
#include "tests/unit/bindings/imds.h"
#include <sys/stat.h>

static struct loop *loop;
static struct binding_facts *found;
static struct err found_err;

static void on_found(struct binding_facts *facts, const struct err *err, void *arg) {
    (void)arg;
    found = facts;
    found_err = *err;
    loop_quit(loop);
}

static void search(const char *name, char *const *env) {
    struct binding_wish wish = {.name = name, .env = env, .port = 8080};
    loop = loop_create();
    struct http *http = http_create(loop, 4, 0);
    assert_non_null(bindings_find(loop, http, NULL, &wish, on_found, NULL));
    loop_run(loop);
    http_free(http);
    loop_free(loop);
}

// A machine whose DMI strings say EC2, and a service in that mood.
static void search_on_ec2(enum imds_mood mood, const char *name, const char *more) {
    char root[] = "/tmp/choice-XXXXXX", endpoint[64];
    assert_non_null(mkdtemp(root));
    auto_free char *made = xasprintf("mkdir -p %s/sys/class/dmi/id && "
                                     "echo 'Amazon EC2' >%s/sys/class/dmi/id/sys_vendor",
                                     root, root);
    assert_int_equal(system(made), 0);
    struct imds service;
    imds_start(&service, mood, endpoint);
    auto_free char *all = xasprintf(
        "OCHOPOD_HOST_ROOT=%s\nAWS_EC2_METADATA_SERVICE_ENDPOINT=%s\n%s", root, endpoint, more);
    char **env = text_split(all, "\n");
    search(name, env);
    text_list_free(env);
    imds_stop(&service);
    auto_free char *removed = xasprintf("rm -r %s", root);
    assert_int_equal(system(removed), 0);
}

static void expect(const char *binding, const char *fwk, const char *ip) {
    if (!found)
        fail_msg("%s", found_err.text);
    assert_string_equal(found->binding, binding);
    assert_string_equal(found->fwk, fwk);
    assert_string_equal(found->ip, ip);
    binding_facts_free(found);
    found = NULL;
}

#define APP                                                                                        \
    "MARATHON_APP_ID=/db\nMESOS_TASK_ID=db.x\nHOST=198.18.0.7\nPORT0=31786\nPORTS=31786\n"         \
    "PORT_8080=31786\n"

static void the_order_is_fixed(void **state) {
    (void)state;
    assert_string_equal(bindings_names(),
                        "compose, swarm, marathon-pod, marathon, ec2, generic, local");
    char root[] = "OCHOPOD_HOST_ROOT=/nowhere", host[] = "HOST=198.18.0.7",
         app[] = "MARATHON_APP_ID=/db", pod[] = "MARATHON_CONTAINER_ID=x", *none[] = {root, NULL},
         *generic[] = {root, host, NULL}, *marathon[] = {root, host, app, NULL},
         *marathon_pod[] = {root, host, app, pod, NULL};
    search(NULL, generic);
    expect("generic", "generic", "198.18.0.7");
    search(NULL, marathon);
    expect("marathon", "marathon", "198.18.0.7");
    search(NULL, marathon_pod);
    expect("marathon-pod", "marathon", "198.18.0.7");
    search("marathon", marathon_pod);
    expect("marathon", "marathon", "198.18.0.7");
    search(NULL, none);
    assert_string_equal(found->binding, "local");
    binding_facts_free(found);
}

// `docker run` by hand: a container, and nothing on it says what they would go by.
static void expect_refused_by_hand(const struct binding *b, const char *label) {
    struct binding_wish wish = {.name = b->name, .port = 8080};
    struct docker_container *self = scene_container("bridge", "{}", "{}");
    struct binding_scene scene = {
        .wish = &wish, .self = self, .self_ip = self->ip, .contained = true};
    struct binding_facts *facts = xnew(struct binding_facts);
    struct err err = ERR_INIT;
    facts->ports = json_object();
    assert_int_equal(b->facts(&scene, facts, &err), -1);
    assert_int_equal(err.kind, ERR_USER);
    assert_non_null(strstr(err.text, label));
    binding_facts_free(facts);
    docker_container_free(self);
}

static void named_where_it_cannot_be_is_the_users(void **state) {
    (void)state;
    static const char *const names[] = {"compose", "swarm", "marathon-pod", "marathon", "generic"};
    char *none[] = {NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        search(names[i], none);
        assert_null(found);
        assert_int_equal(found_err.kind, ERR_USER);
        assert_non_null(strstr(found_err.text, names[i]));
    }
    expect_refused_by_hand(&binding_compose, "com.docker.compose.service");
    expect_refused_by_hand(&binding_swarm, "com.docker.swarm.task.id");
}

static void ec2_is_recognised_and_knows_its_zone(void **state) {
    (void)state;
    search_on_ec2(IMDS_V2, NULL, "HOST=198.18.0.7");
    assert_non_null(found);
    assert_string_equal(found->node, "i-0abc");
    assert_string_equal(found->public_, "203.0.113.9");
    assert_string_equal(found->zone, "eu-west-1a");
    scene_expect(found->ports, "8080=8080");
    expect("ec2", "ec2", "172.16.0.5");
}

static void marathon_on_ec2_is_as_ochopod_calls_it(void **state) {
    (void)state;
    search_on_ec2(IMDS_NOTHING_PUBLIC, NULL, APP);
    assert_non_null(found);
    assert_string_equal(found->node, "i-0abc");
    assert_string_equal(found->public_, "");
    scene_expect(found->ports, "8080=31786");
    expect("marathon", "marathon (ec2)", "172.16.0.5");
    search_on_ec2(IMDS_V2, "ec2", APP);
    expect("ec2", "marathon (ec2)", "172.16.0.5");
}

static void without_its_metadata_marathon_is_marathon(void **state) {
    (void)state;
    static const enum imds_mood moods[] = {IMDS_OFF, IMDS_HANGS, IMDS_HTML, IMDS_HOP_LIMIT_V2};
    for (size_t i = 0; i < sizeof moods / sizeof *moods; i++) {
        search_on_ec2(moods[i], NULL, APP);
        expect("marathon", "marathon", "198.18.0.7");
    }
}

static void without_its_metadata_the_next_binding_is_asked(void **state) {
    (void)state;
    search_on_ec2(IMDS_OFF, NULL, "HOST=198.18.0.7");
    expect("generic", "generic", "198.18.0.7");
    search_on_ec2(IMDS_SICK, NULL, "HOST=198.18.0.7");
    expect("generic", "generic", "198.18.0.7");
}

static void named_it_says_what_is_wrong(void **state) {
    (void)state;
    search_on_ec2(IMDS_HANGS, "ec2", "");
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_TIMEOUT); // asked again
    search_on_ec2(IMDS_HOP_LIMIT_V2, "ec2", "");
    assert_null(found);
    assert_int_equal(found_err.kind, ERR_USER);
    assert_non_null(strstr(found_err.text, "hop limit"));
}

static void switched_off_nobody_is_asked(void **state) {
    (void)state;
    search_on_ec2(IMDS_V2, NULL, APP "AWS_EC2_METADATA_DISABLED=true");
    expect("marathon", "marathon", "198.18.0.7");
    search_on_ec2(IMDS_V2, NULL, "HOST=198.18.0.7\nAWS_EC2_METADATA_DISABLED=true");
    expect("generic", "generic", "198.18.0.7");
}

// ---- junk ----

static uint32_t chance(uint32_t n) {
    static uint64_t seed = 20260119;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static char *junk_variable(void) {
    static const char *const names[] = {"MARATHON_APP_ID",
                                        "MARATHON_CONTAINER_ID",
                                        "MESOS_TASK_ID",
                                        "HOST",
                                        "P_HOST",
                                        "P_PORT0",
                                        "PORT0",
                                        "PORTS",
                                        "PORT",
                                        "PORT_8080",
                                        "PORT_2181",
                                        "PORT_",
                                        "P_PORT_8080",
                                        "EP_HOST_CONTROL",
                                        "ENDPOINT_CONTROL",
                                        "P_EP_HOST_X",
                                        "P_ENDPOINT_X",
                                        "EP_CONTAINER_A",
                                        "OCHOPOD_ENV_VARS_PREFIX",
                                        "ochopod_env_vars_prefix",
                                        "MESOS_CONTAINER_NAME",
                                        ""};
    static const char *const values[] = {"",
                                         "0",
                                         "8080",
                                         "31000",
                                         "-1",
                                         "99999999999999999999",
                                         "31000,31001",
                                         ",,,",
                                         "/",
                                         "//a/b",
                                         "10.0.0.7",
                                         "localhost.",
                                         "\xff\xfe",
                                         "P_",
                                         "=",
                                         "%s%n",
                                         "a b\tc",
                                         "{}",
                                         "[::1]"};
    struct text t = {0};
    text_add(&t, names[chance(sizeof names / sizeof *names)]);
    for (uint32_t n = chance(4); n; n--)
        text_addc(&t, (char)(1 + chance(255)));
    if (chance(8))
        text_addc(&t, '=');
    text_add(&t, values[chance(sizeof values / sizeof *values)]);
    for (uint32_t n = chance(3) ? 0 : chance(300); n; n--)
        text_addc(&t, (char)(1 + chance(255)));
    return text_take(&t);
}

static void ask_all(char *const *env) {
    static const struct binding *const all[] = {
        &binding_compose, &binding_swarm,   &binding_marathon_pod, &binding_marathon,
        &binding_ec2,     &binding_generic, &binding_local};
    struct metadata cloud = {(char *)"10.0.0.1", (char *)"", (char *)"i-1", (char *)"z"};
    struct binding_wish wish = {.env = env, .port = 8080, .zk_given = true};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct binding_scene scene = {.wish = &wish,
                                      .self_ip = "127.0.0.1",
                                      .cloud = all[i] == &binding_ec2 || chance(2) ? &cloud : NULL};
        struct binding_facts *f = xnew(struct binding_facts);
        struct err err = ERR_INIT;
        const char *why = NULL;
        f->ports = json_object();
        f->local = json_object();
        (void)all[i]->probe(&scene, &why);
        int rc = all[i]->facts(&scene, f, &err);
        assert_true(rc == 0 || err.kind == ERR_USER);
        const char *label;
        json_t *port;
        json_object_foreach(f->ports, label, port) {
            assert_true(json_integer_value(port) >= 1 && json_integer_value(port) <= 65535);
        }
        binding_facts_free(f);
    }
}

static void no_environment_brings_any_of_them_down(void **state) {
    (void)state;
    for (int run = 0; run < 3000; run++) {
        char *env[13] = {NULL};
        for (uint32_t i = 0, n = chance(12); i <= n; i++)
            env[i] = junk_variable();
        ask_all(env);
        for (size_t i = 0; env[i]; i++)
            free(env[i]);
    }
}

int main(void) {
    log_set_level(LOG_LEVEL_ERR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_fixed),
        cmocka_unit_test(named_where_it_cannot_be_is_the_users),
        cmocka_unit_test(ec2_is_recognised_and_knows_its_zone),
        cmocka_unit_test(marathon_on_ec2_is_as_ochopod_calls_it),
        cmocka_unit_test(without_its_metadata_marathon_is_marathon),
        cmocka_unit_test(without_its_metadata_the_next_binding_is_asked),
        cmocka_unit_test(named_it_says_what_is_wrong),
        cmocka_unit_test(switched_off_nobody_is_asked),
        cmocka_unit_test(no_environment_brings_any_of_them_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
