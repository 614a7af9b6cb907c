// Files of `ocho deploy` as Marathon apps: what they become, and every mistake with its place.
#include "cli/app.h"
#include "base/check.h"
#include "base/own.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char path[] = "/tmp/test_app.XXXXXX";

static int begin(void **state) {
    (void)state;
    strcpy(path + sizeof(path) - 7, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    setenv("TZ", "UTC", 1);
    return 0;
}

static int end(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static void put(const char *text) {
    auto_file FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
}

static struct app_wish plain(void) {
    return (struct app_wish){.pods = -1, .pull = -1, .stamp = 1479816000}; // 2016-11-22 12:00:00
}

static struct app app_of(const char *text, const struct app_wish *wish) {
    struct app app;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    put(text);
    if (app_read(path, wish, &app, &report, &err))
        fail_msg("%s\n%s", text, text_str(&report));
    return app;
}

static void becomes(const char *text, const struct app_wish *wish, const char *wanted) {
    struct app app = app_of(text, wish);
    auto_free char *s = json_write(app.json);
    assert_string_equal(s, wanted);
    app_done(&app);
}

static void says(const char *text, const struct app_wish *wish, const char *wanted) {
    struct app app;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    put(text);
    if (!app_read(path, wish, &app, &report, &err))
        fail_msg("%s\nis let through", text);
    assert_int_equal(err.kind, ERR_USER);
    if (!strstr(text_str(&report), wanted))
        fail_msg("%s\nsays %s\nnot %s", text, text_str(&report), wanted);
}

// ---- Ochothon's ----

#define TAIL                                                                                       \
    ",\"volumes\":[{\"containerPath\":\"/etc/mesos\",\"hostPath\":\"/etc/"                         \
    "mesos\",\"mode\":\"RO\"},"                                                                    \
    "{\"containerPath\":\"/opt/mesosphere\",\"hostPath\":\"/opt/mesosphere\",\"mode\":\"RO\"}]}}"

static void the_smallest_file(void **state) {
    (void)state;
    struct app_wish wish = plain();
    becomes("cluster: zk\nimage: a/zk\n", &wish,
            "{\"id\":\"ochopod.marathon.zk-2016-11-22-12-00-00\",\"instances\":1,\"env\":{"
            "\"ochopod_cluster\":\"zk\",\"ochopod_debug\":\"false\",\"ochopod_start\":\"true\","
            "\"ochopod_namespace\":\"marathon\",\"pod\":\"{}\"},"
            "\"networks\":[{\"mode\":\"container/bridge\"}],\"container\":{\"type\":\"DOCKER\","
            "\"docker\":{\"forcePullImage\":true,\"image\":\"a/zk\"},\"portMappings\":["
            "{\"containerPort\":8080,\"hostPort\":0,\"protocol\":\"tcp\"}]" TAIL);
}

static void all_that_a_file_and_a_line_can_say(void **state) {
    (void)state;
    struct app_wish wish = plain();
    auto_json json_t *over = json_pack("{s:{s:{s:i}, s:[i]}}", "eu.zk-blue", "deep", "b", 3, "list",
                                       2);
    wish.overrides = over;
    wish.namespace_ = "eu";
    wish.suffix = "blue";
    wish.release = "9";
    wish.pods = 3;
    wish.pull = 0;
    becomes("cluster: zk\nimage: r:5000/zk:1\ndebug: true\nstart: false\n"
            "settings: {deep: {a: 1, b: ~}, list: [1]}\n"
            "ports: [2181, \"2888 *\", \"3888 9000 udp\", \"8080 31000\"]\n"
            "verbatim: {cpus: 0.5, env: {X: y, pod: lost}, container: {volumes: [{a: b}]},"
            " networks: [{mode: container, name: dcos}]}\n",
            &wish,
            "{\"cpus\":0.5,\"env\":{\"X\":\"y\",\"pod\":\"{\\\"deep\\\":{\\\"a\\\":1,\\\"b\\\":3},"
            "\\\"list\\\":[1,2]}\",\"ochopod_cluster\":\"zk-blue\",\"ochopod_debug\":\"true\","
            "\"ochopod_start\":\"false\",\"ochopod_namespace\":\"eu\"},\"container\":{\"volumes\":["
            "{\"a\":\"b\"},{\"containerPath\":\"/etc/mesos\",\"hostPath\":\"/etc/mesos\",\"mode\":"
            "\"RO\"},{\"containerPath\":\"/opt/mesosphere\",\"hostPath\":\"/opt/mesosphere\","
            "\"mode\":\"RO\"}],\"type\":\"DOCKER\",\"docker\":{\"forcePullImage\":false,\"image\":"
            "\"r:5000/zk:9\"},\"portMappings\":["
            "{\"containerPort\":8080,\"hostPort\":31000,\"protocol\":\"tcp\"},"
            "{\"containerPort\":2181,\"hostPort\":0,\"protocol\":\"tcp\"},"
            "{\"containerPort\":2888,\"hostPort\":2888,\"protocol\":\"tcp\"},"
            "{\"containerPort\":3888,\"hostPort\":9000,\"protocol\":\"udp\"}]},"
            "\"networks\":[{\"mode\":\"container\",\"name\":\"dcos\"}],"
            "\"id\":\"ochopod.eu.zk-blue-2016-11-22-12-00-00\",\"instances\":3}");
}

static void verbatim_in_the_older_shape_is_renewed(void **state) {
    (void)state;
    struct app_wish wish = plain();
    struct app app = app_of(
        "cluster: zk\nimage: zk\nverbatim: {container: {docker: {network: BRIDGE,"
        " portMappings: [{containerPort: 1}]}}}\n",
        &wish);
    json_t *container = json_object_get(app.json, "container");
    json_t *docker = json_object_get(container, "docker");
    assert_null(json_object_get(docker, "network"));
    assert_null(json_object_get(docker, "portMappings"));
    assert_int_equal(json_array_size(json_object_get(container, "portMappings")), 2);
    app_done(&app);
}

// Marathon refuses mappings there: ports are asked for.
static void ports_on_the_hosts_network(const char *ports, const char *more, const char *wanted,
                                       bool required) {
    struct app_wish wish = plain();
    static const char *const images[] = {"image: zk", "workload: {image: zk}"};
    for (size_t i = 0; i < 2; i++) {
        auto_free char *text = xasprintf("cluster: zk\n%s\nports: %s\n"
                                         "verbatim: {networks: [{mode: host}]%s}\n",
                                         images[i], ports, more);
        struct app app = app_of(text, &wish);
        auto_free char *s = json_write(json_object_get(app.json, "portDefinitions"));
        assert_string_equal(s, wanted);
        assert_null(json_object_get(json_object_get(app.json, "container"), "portMappings"));
        assert_int_equal(json_is_true(json_object_get(app.json, "requirePorts")), required);
        app_done(&app);
    }
}

static void the_hosts_network_has_definitions_and_no_mappings(void **state) {
    (void)state;
    ports_on_the_hosts_network("[2181, 53 udp]", "",
                               "[{\"port\":8080,\"protocol\":\"tcp\"},"
                               "{\"port\":2181,\"protocol\":\"tcp\"},"
                               "{\"port\":53,\"protocol\":\"udp\"}]",
                               false);
    ports_on_the_hosts_network("[2181 *]", "",
                               "[{\"port\":8080,\"protocol\":\"tcp\"},"
                               "{\"port\":2181,\"protocol\":\"tcp\"}]",
                               true);
    ports_on_the_hosts_network("[2181]",
                               ", portDefinitions: [{port: 2181, name: client}],"
                               " container: {portMappings: [{containerPort: 9, name: last}]}",
                               "[{\"port\":2181,\"name\":\"client\"},"
                               "{\"port\":9,\"name\":\"last\"},"
                               "{\"port\":8080,\"protocol\":\"tcp\"}]",
                               false);
    struct app_wish wish = plain();
    says("cluster: zk\nimage: zk\nports: [2181 9000]\nverbatim: {networks: [{mode: host}]}\n",
         &wish, ":3:8: ports: \"2181 9000\" cannot be on the host's network");
}

static void each_key_of_ochothons_wrong_in_turn(void **state) {
    (void)state;
    static const char *const keys[] = {"cluster",  "image", "settings", "ports",
                                       "verbatim", "debug", "start"};
    static const char *const values[] = {"7",     "1.5",    "true",     "[]",    "[1]",
                                         "{}",    "{a: 1}", "word",     "~",     "\"\"",
                                         "[[1]]", "[~]",    "[{a: 1}]", "{a: ~}"};
    // Which of the values each of the keys takes.
    static const char fine[7][15] = {"00000001000000", "00000001000000", "00000110100000",
                                     "00011000100000", "00000110100001", "00100000000000",
                                     "00100000000000"};
    struct app_wish wish = plain();
    for (size_t k = 0; k < 7; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            auto_text struct text t = {0};
            for (size_t i = 0; i < 7; i++)
                if (i != k && i < 2)
                    text_addf(&t, "%s: x\n", keys[i]);
            text_addf(&t, "%s: %s\n", keys[k], values[v]);
            struct app app = {0};
            auto_text struct text report = {0};
            struct err err = ERR_INIT;
            put(text_str(&t));
            int failed = app_read(path, &wish, &app, &report, &err);
            bool ok = !failed;
            bool must = fine[k][v] == '1';
            if (ok != must)
                fail_msg("%s%s", text_str(&t), ok ? "is let through" : text_str(&report));
            if (failed && (!strstr(text_str(&report), keys[k]) || err.kind != ERR_USER))
                fail_msg("%ssays %s", text_str(&t), text_str(&report));
            app_done(&app);
        }
}

static void mistakes_have_their_place(void **state) {
    (void)state;
    struct app_wish wish = plain();
    says("", &wish, ":1:1: says nothing; cluster and image, or cluster and workload");
    says("[1]", &wish, "says nothing");
    says("cluster: zk\n", &wish, ":1:1: image is missing");
    says("image: zk\n", &wish, "cluster is missing");
    says("cluster: Zk\nimage: zk\n", &wish, ":1:10: cluster: \"Zk\" cannot be a part of an id");
    says("cluster: z_k\nimage: zk\n", &wish, "cannot be a part of an id");
    says("cluster: zk-\nimage: zk\n", &wish, "cannot be a part of an id");
    says("cluster: zk\nimage: ZK\n", &wish, ":2:8: image: \"ZK\" is not an image name");
    says("cluster: zk\nimage: zk\nports: [1, b]\n", &wish, ":3:12: ports[1]: \"b\" is not a port");
    says("cluster: zk\nimage: zk\nports: [1, 1]\n", &wish, "ports[1]: 1 stands here twice");
    says("cluster: zk\nimage: zk\nports: [1 5, 2 5]\n", &wish, "ports[1]: 5 of the host is taken");
    says("cluster: zk\nimage: zk\nsettings: {a: {b: ~}}\n", &wish,
         ":3:19: settings.a.b: has no value; give it one here or with -o");
    says("cluster: a\ncluster: b\nimage: zk\n", &wish, "stands here twice");
    says("cluster: [\n", &wish, "is not YAML");
    wish.namespace_ = "EU";
    says("cluster: zk\nimage: zk\n", &wish, "the namespace \"EU\" cannot be a part of an id");
}

static void what_ochothon_ignored_is_ignored_and_said(void **state) {
    (void)state;
    struct app_wish wish = plain();
    struct app app;
    auto_text struct text report = {0};
    put("cluster: zk\nimage: zk\nvolumes: [/a]\n");
    assert_int_equal(app_read(path, &wish, &app, &report, NULL), 0);
    assert_non_null(strstr(text_str(&report), "volumes is ignored"));
    app_done(&app);
}

static void settings_beyond_what_linux_takes_are_told(void **state) {
    (void)state;
    struct app_wish wish = plain();
    auto_free char *large = xcalloc(1, 140001);
    memset(large, 'x', 140000);
    auto_free char *text = xasprintf("cluster: zk\nimage: zk\nsettings: {a: %s}\n", large);
    says(text, &wish, "the variable pod would be 137 KiB, and Linux takes 128 KiB");
    auto_free char *spec = xasprintf("cluster: zk\nworkload: {image: zk}\nfiles: [{target: /a/b, "
                                     "content: %s}]\n",
                                     large);
    says(spec, &wish, "the variable OCHOPOD_SPEC would be 137 KiB");
}

// ---- pod.yaml ----

static void a_pod_runs_in_the_sidecars_image(void **state) {
    (void)state;
    struct app_wish wish = plain();
    wish.pods = 3;
    becomes("cluster: zk\nzk: a:1\nnamespace: eu\nport: 9090\nports: [2181]\n"
            "workload: {image: \"r:1/zk:3\", volumes: [/data], stop: {grace: 20500ms}, "
            "limits: {memory: 100m, cpus: 0.5}}\n"
            "verbatim: {constraints: [[hostname, UNIQUE]]}\n",
            &wish,
            "{\"constraints\":[[\"hostname\",\"UNIQUE\"]],"
            "\"id\":\"ochopod.eu.zk-2016-11-22-12-00-00\",\"instances\":3,"
            "\"taskKillGracePeriodSeconds\":23,\"env\":{\"OCHOPOD_SPEC\":\"{\\\"cluster\\\":\\\"zk"
            "\\\",\\\"zk\\\":\\\"a:1\\\",\\\"namespace\\\":\\\"eu\\\",\\\"port\\\":9090,"
            "\\\"ports\\\":[\\\"2181\\\"],\\\"workload\\\":{\\\"image\\\":\\\"r:1/zk:3\\\","
            "\\\"volumes\\\":[\\\"/data\\\"],\\\"stop\\\":{\\\"grace\\\":\\\"20500ms\\\"},"
            "\\\"limits\\\":{\\\"memory\\\":\\\"100m\\\",\\\"cpus\\\":\\\"0.5\\\"}}}\","
            "\"ochopod_cluster\":\"zk\",\"ochopod_namespace\":\"eu\"},"
            "\"networks\":[{\"mode\":\"container/bridge\"}],\"container\":{\"type\":\"DOCKER\","
            "\"docker\":{\"forcePullImage\":false,\"image\":\"ochopod/sidecar:latest\","
            "\"parameters\":[{\"key\":\"volume\",\"value\":\"/data\"},{\"key\":\"stop-timeout\","
            "\"value\":\"23\"}]},\"portMappings\":["
            "{\"containerPort\":9090,\"hostPort\":0,\"protocol\":\"tcp\"},"
            "{\"containerPort\":2181,\"hostPort\":0,\"protocol\":\"tcp\"}],"
            "\"volumes\":[{\"containerPath\":\"/var/run/docker.sock\",\"hostPath\":"
            "\"/var/run/docker.sock\",\"mode\":\"RW\"}]},\"mem\":132,\"cpus\":0.5}");
}

static void templates_are_inlined(void **state) {
    (void)state;
    struct app_wish wish = plain();
    struct app app;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    wish.release = "3.8";
    if (app_read(SOURCE_DIR "/compose/zookeeper/pod.yaml", &wish, &app, &report, &err))
        fail_msg("%s", text_str(&report));
    const char *text = json_text(json_object_get(app.json, "env"), "OCHOPOD_SPEC");
    auto_json json_t *spec = json_read(text, strlen(text), 1 << 20, "it", &err);
    json_t *file = json_array_get(json_object_get(spec, "files"), 0);
    assert_null(json_object_get(file, "template"));
    assert_non_null(strstr(json_text(file, "content"), "tickTime"));
    assert_string_equal(json_text(json_object_get(spec, "workload"), "image"), "zookeeper:3.8");
    app_done(&app);
}

static void mistakes_of_a_pod_are_validates(void **state) {
    (void)state;
    struct app_wish wish = plain();
    says("cluster: zk\nworkload: {imag: a}\n", &wish, ":2:12: workload.imag: no such key");
    says("workload: {image: a}\n", &wish, "cluster is missing");
    says("cluster: z_k\nworkload: {image: a}\n", &wish, "cannot be a part of an id");
    says("cluster: zk\nworkload: {container: {name: a}}\n", &wish, "adopts a container");
    says("cluster: zk\nworkload: {image: a}\nfiles: [{target: /a/b, template: none}]\n", &wish,
         "cannot read");
    says("cluster: zk\nworkload: {image: a}\nfiles: [{target: /a/b, content: \"{{ (\"}]\n", &wish,
         "content");
}

static void of_pods_alone_there_are_so_many_clusters(void **state) {
    (void)state;
    static const char *const lines[] = {
        "zk: none\n",
        "verbatim: {env: {OCHOPOD_ZK: none}}\n",
        "zk: a:1\n",
        "",
        "zk: none\nverbatim: {env: {ochopod_zk: \"zk://a:1\"}}\n",
    };
    struct app_wish wish = plain();
    for (size_t i = 0; i < 2 * sizeof lines / sizeof *lines; i++) {
        struct app app;
        auto_text struct text report = {0};
        auto_free char *text = xasprintf("cluster: zk\nworkload: {image: a}\n%s", lines[i / 2]);
        wish.pods = 1 + 2 * (int64_t)(i % 2);
        put(text);
        assert_int_equal(app_read(path, &wish, &app, &report, NULL), 0);
        assert_int_equal(app.alone, i / 2 < 2);
        bool told = strstr(text_str(&report), "these are 3 clusters of one pod each");
        assert_int_equal(told, app.alone && wish.pods == 3);
        app_done(&app);
    }
}

static size_t warned(const char *verbatim) {
    static const char tls[] = "tls: {certificate_file: /run/secrets/tls/cert, key_file: "
                              "/run/secrets/tls/key, ca_file: /run/secrets/ca}\n";
    struct app_wish wish = plain();
    struct app app;
    auto_text struct text report = {0};
    auto_free char *text = xasprintf("cluster: zk\ntoken_file: /run/secrets/token\n%s"
                                     "workload: {image: a, volumes: [/run]}\n%s",
                                     tls, verbatim);
    put(text);
    assert_int_equal(app_read(path, &wish, &app, &report, NULL), 0);
    app_done(&app);
    size_t lines = 0;
    for (const char *at = text_str(&report); (at = strstr(at, " is in no volume")); at++)
        lines++;
    bool all = strstr(text_str(&report), ": token_file: /run/secrets/token is in") &&
               strstr(text_str(&report), ": tls.key_file: /run/secrets/tls/key is in");
    assert_true(lines < 4 || all);
    return lines;
}

static void files_that_an_agent_has_nowhere_are_told(void **state) {
    (void)state;
    static const struct {
        const char *verbatim;
        size_t lines;
    } table[] = {
        {"", 4},
        {"verbatim: {container: {volumes: [{hostPath: /a, containerPath: /run/secrets}]}}\n", 0},
        {"verbatim: {container: {volumes: [{hostPath: /a, containerPath: /run/secrets/}]}}\n", 0},
        {"verbatim: {container: {volumes: [{hostPath: /a, containerPath: /run/secret}]}}\n", 4},
        {"verbatim: {container: {volumes: [{hostPath: /a, containerPath: /run/secrets/tls}]}}\n",
         2},
        {"verbatim: {container: {volumes: [{hostPath: /a, containerPath: /run/secrets/ca}]}}\n", 3},
        {"verbatim: {container: {docker: {parameters: [{key: volume, value: "
         "\"/a:/run/secrets:ro\"}]}}}\n",
         0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(warned(table[i].verbatim), table[i].lines);
}

static void overrides_are_maps_of_maps(void **state) {
    (void)state;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    char *files[] = {path, NULL};
    put("eu.zk: {a: 1}\n");
    auto_json json_t *good = app_overrides(files, &report, &err);
    assert_non_null(good);
    put("eu.zk: 1\n");
    assert_null(app_overrides(files, &report, &err));
    assert_non_null(strstr(err.text, "eu.zk must be a map of settings"));
    files[0] = (char[]){"/nonexistent.yml"};
    assert_null(app_overrides(files, &report, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_smallest_file),
        TEST(all_that_a_file_and_a_line_can_say),
        TEST(verbatim_in_the_older_shape_is_renewed),
        TEST(the_hosts_network_has_definitions_and_no_mappings),
        TEST(each_key_of_ochothons_wrong_in_turn),
        TEST(mistakes_have_their_place),
        TEST(what_ochothon_ignored_is_ignored_and_said),
        TEST(settings_beyond_what_linux_takes_are_told),
        TEST(a_pod_runs_in_the_sidecars_image),
        TEST(templates_are_inlined),
        TEST(mistakes_of_a_pod_are_validates),
        TEST(of_pods_alone_there_are_so_many_clusters),
        TEST(files_that_an_agent_has_nowhere_are_told),
        TEST(overrides_are_maps_of_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
