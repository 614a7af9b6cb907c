#include "base/check.h"
#include "base/own.h"
#include "sidecar/spec/spec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, const char *const *env, const struct spec_flags *flags,
                 struct text *report, struct err *err) {
    struct spec *spec = NULL;
    int rc = spec_parse(text, strlen(text), "pod.yaml", "/nonexistent", flags, (char *const *)env,
                        &spec, report, err);
    if (!rc)
        spec_free(spec);
    return rc;
}

static void says_with(const char *text, const char *const *env, const struct spec_flags *flags,
                      const char *wanted) {
    struct text report = {0};
    struct err err = ERR_INIT;
    assert_int_equal(parse(text, env, flags, &report, &err), -1);
    assert_string_equal(text_str(&report), wanted);
    assert_int_equal(err.kind, ERR_USER);
    assert_int_equal(strncmp(wanted, err.text, strlen(err.text)), 0);
    text_done(&report);
}

static void says(const char *text, const char *wanted) {
    says_with(text, NULL, NULL, wanted);
}

static void fine(const char *text) {
    struct text report = {0};
    struct err err = ERR_INIT;
    if (parse(text, NULL, NULL, &report, &err))
        fail_msg("%s\n%s", text, text_str(&report));
    text_done(&report);
}

#define W "workload: {image: a}\n"

static void what_is_no_yaml_is_told_with_its_place(void **state) {
    (void)state;
    says("a: [1, 2\n", "pod.yaml:2:1: is not YAML: did not find expected ',' or ']', while parsing "
                       "a flow sequence of line 1\n");
    says("a: b: c\n",
         "pod.yaml:1:5: is not YAML: mapping values are not allowed in this context\n");
    says("a: \"\\q\"\n", "pod.yaml:1:5: is not YAML: found unknown escape character, while parsing "
                         "a quoted scalar\n");
    says("a: \xff\n", "pod.yaml:1:4: is not YAML: invalid leading UTF-8 octet\n");
    says("a\n\n b: *x\n", "pod.yaml:3:3: is not YAML: mapping values are not allowed in this "
                          "context\n");
    says("a: *x\n", "pod.yaml:1:4: is not YAML: found undefined alias\n");
    says("a: \"x\\0y\"\n", "pod.yaml:1:4: a NUL byte cannot stand in a spec\n");
    says("a: !foo 1\n", "pod.yaml:1:4: this tag is not known; leave it out\n");
    says("[1]: 2\n", "pod.yaml:1:1: a key must be a plain word\n");
    says("a: 1\n---\nb: 2\n", "pod.yaml:2:1: a second document; a spec is one\n");
    says("- a\n", "pod.yaml:1:1: must be a map of keys, not a list\n");
    says("", "pod.yaml:1:1: workload is missing: the container this pod runs\n");
}

static void bombs_are_refused(void **state) {
    (void)state;
    struct text bomb = {0};
    text_add(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++)
        text_addf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
                  i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    struct err err = ERR_INIT;
    assert_int_equal(parse(text_str(&bomb), NULL, NULL, NULL, &err), -1);
    assert_non_null(strstr(err.text, "too large once its aliases are expanded"));

    assert_int_equal(parse("a: &a [*a]\n", NULL, NULL, NULL, &err), -1);
    assert_non_null(strstr(err.text, "nested too deep"));

    text_clear(&bomb);
    for (int i = 0; i < 200000; i++)
        text_addc(&bomb, '[');
    assert_int_equal(parse(text_str(&bomb), NULL, NULL, NULL, &err), -1);
    assert_string_equal(err.text, "pod.yaml:1:501: too many open brackets");

    text_clear(&bomb);
    for (int i = 0; i < 300 * 1024; i++)
        text_addc(&bomb, '#');
    assert_int_equal(parse(text_str(&bomb), NULL, NULL, NULL, &err), -1);
    assert_string_equal(err.text, "pod.yaml:1:1: is larger than 256 KiB");
    text_done(&bomb);
}

static void every_mistake_is_told_in_the_order_of_the_text(void **state) {
    (void)state;
    says("prot: 8080\n"
         "damper: 5\n"
         "workload:\n"
         "  image: Zoo Keeper\n"
         "  stop: {signal: TREM}\n"
         "port: 70000\n"
         "damper: 6s\n",
         "pod.yaml:1:1: prot: no such key; did you mean port?\n"
         "pod.yaml:2:1: damper: \"5\" is not a duration like 500ms, 5s, 2m or 1h\n"
         "pod.yaml:4:3: workload.image: \"Zoo Keeper\" is not an image name like zookeeper:3.9 or "
         "registry:5000/team/app:1\n"
         "pod.yaml:5:10: workload.stop.signal: \"TREM\" is not a signal like TERM, INT, HUP, QUIT, "
         "USR1 or WINCH\n"
         "pod.yaml:6:1: port: \"70000\" is not a whole number from 1 to 65535\n"
         "pod.yaml:7:1: damper: stands here twice; the first is in line 2\n");
}

static void unknown_keys_are_mistakes_with_a_hint(void **state) {
    (void)state;
    says(W "dampr: 5s\n", "pod.yaml:2:1: dampr: no such key; did you mean damper?\n");
    says(W "Cluster: x\n", "pod.yaml:2:1: Cluster: no such key; did you mean cluster?\n");
    says(W "image: b\n", "pod.yaml:2:1: image: no such key here; it belongs below workload\n");
    says("workload: {image: a, damper: 5s}\n",
         "pod.yaml:1:22: workload.damper: no such key here; damper stands at the top level\n");
    says(W "probe: {run: [a], zzz: 1}\n",
         "pod.yaml:2:19: probe.zzz: no such key; known here: every run timeout\n");
    says(W "hooks: {on_start: {run: [a]}}\n",
         "pod.yaml:2:9: hooks.on_start: no such key; known here: initialize can_configure "
         "configure configured sanity_check tear_down signaled finalize\n");
}

static void what_signs_fits_together(void **state) {
    (void)state;
    fine(W "token_file: /run/secrets/token\n");
    says(W "token_file: token\n", "pod.yaml:2:1: token_file: \"token\" is not an absolute path\n");
    says(W "legacy_sha1: true\n",
         "pod.yaml:2:14: legacy_sha1: is for the portal; set portal: true, "
         "or leave it out\n");
    says(
        W "legacy_sha1: true\nportal: true\n",
        "pod.yaml:2:14: legacy_sha1: stands beside token_file; without one ochopod_token signs the "
        "portal anyway\n");
    says(W "legacy_sha1: true\nportal: true\ntoken_file: /t\n",
         "pod.yaml:2:14: legacy_sha1: needs the variable ochopod_token, which it checks\n");
    says(W "tls: {certificate_file: /a, key_file: /b}\n",
         "pod.yaml:2:1: tls: ca_file is missing: who signed the certificates of our peers, PEM\n");
}

static void a_cluster_of_one_has_nobody_to_depend_on(void **state) {
    (void)state;
    fine(W "zk: none\n");
    fine(W "zk: none\nneeds: {pods: 2}\n"); // refused by each check, with a status
    says(W "zk: none\ndepends_on: [kafka]\n",
         "pod.yaml:3:14: depends_on[0]: is another cluster; with `zk: none` there is but this "
         "one\n");
    static const char *const env[] = {"ochopod_zk=none", NULL};
    says_with(W "depends_on: [kafka]\n", env, NULL,
              "pod.yaml:2:14: depends_on[0]: is another cluster; with `zk: none` there is but this "
              "one\n");
}

static void values_are_held_against_type_and_range(void **state) {
    (void)state;
    says(W "port: \"80\"\n", "pod.yaml:2:1: port: must be a whole number, not a string \"80\"\n");
    says(W "port: 0\n", "pod.yaml:2:1: port: \"0\" is not a whole number from 1 to 65535\n");
    says(W "port:\n", "pod.yaml:2:1: port: is empty; give it a value or leave it out\n");
    says(W "port: [1]\n", "pod.yaml:2:1: port: must be a whole number, not a list\n");
    says(W "sequential: yes\n",
         "pod.yaml:2:1: sequential: must be true, false or updates, not a string \"yes\"\n");
    says(W "sequential: \"true\"\n",
         "pod.yaml:2:1: sequential: must be true, false or updates, not a string \"true\"\n");
    says(W "sequential: [updates]\n",
         "pod.yaml:2:1: sequential: must be true, false or updates, not a list\n");
    says(W "full_shutdown: yes\n",
         "pod.yaml:2:1: full_shutdown: must be true or false, not a string \"yes\"\n");
    says(W "damper: 2h\n",
         "pod.yaml:2:1: damper: \"2h\" is out of range; it must be from 0 to 1h\n");
    says("workload: {image: a, ready: {tcp: 1, every: 10ms}}\n",
         "pod.yaml:1:38: workload.ready.every: \"10ms\" is out of range; it must be from 50ms to "
         "1h\n");
    says(W "session: 100ms\n",
         "pod.yaml:2:1: session: \"100ms\" is out of range; it must be from 500ms to 10m\n");
    says(W "listen: localhost\n", "pod.yaml:2:1: listen: \"localhost\" is not an IP address; names "
                                  "are not resolved here\n");
    says(W "state_dir: state\n", "pod.yaml:2:1: state_dir: \"state\" is not an absolute path\n");
    says(W "namespace: a.b\n", "pod.yaml:2:1: namespace: \"a.b\" is not a name of letters, digits, "
                               "'-' and '_'\n");
    says(W "cluster: /a\n", "pod.yaml:2:1: cluster: \"/a\" is not a name of letters, digits, '.', "
                            "'-' and '_'\n");
    says("workload: {image: a, lifetime: forever}\n",
         "pod.yaml:1:22: workload.lifetime: must be one of: coupled independent; not "
         "\"forever\"\n");
    says("workload: {image: a, limits: {memory: lots, cpus: 0, pids: -1}}\n",
         "pod.yaml:1:31: workload.limits.memory: \"lots\" is not a size like 512k, 64m or 1g\n"
         "pod.yaml:1:45: workload.limits.cpus: \"0\" is not a number of processors from 0.01 to "
         "4096\n"
         "pod.yaml:1:54: workload.limits.pids: \"-1\" is not a whole number from 1 to 4194304\n");
    says("workload: {image: a, limits: {memory: 1k, ulimits: {nofiles: 1, core: {soft: 2, hard: "
         "1}}}}\n",
         "pod.yaml:1:31: workload.limits.memory: \"1k\" is out of range; it must be from 6291456 "
         "to 1125899906842624 bytes\n"
         "pod.yaml:1:53: workload.limits.ulimits.nofiles: no such limit; known: as core cpu data "
         "fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack \n"
         "pod.yaml:1:65: workload.limits.ulimits.core: soft is above hard\n");
}

static void zk_addresses_name_servers_and_ports(void **state) {
    (void)state;
    fine(W "zk: zk1:2181,zk2:2181\n");
    fine(W "zk: zk://user:p@ss@zk1:2181/a/b\n");
    fine(W "zk: zk://[::1]:2181\n");
    says(W "zk: zk1\n", "pod.yaml:2:1: zk: names a server without its port; say zk1:2181\n");
    says(W "zk: http://a:1\n",
         "pod.yaml:2:1: zk: is not an address like zk://zk1:2181,zk2:2181/chroot\n");
    says(W "zk: zk://\n", "pod.yaml:2:1: zk: names no server; say zk://zk1:2181,zk2:2181\n");
    says(W "zk: a:99999\n", "pod.yaml:2:1: zk: names a server with a port that is none\n");
    says(W "zk: a:1//x\n", "pod.yaml:2:1: zk: has a path that is not clean\n");
    // The password is not repeated.
    says(W "zk: zk://u:hush@a\n",
         "pod.yaml:2:1: zk: names a server without its port; say zk1:2181\n");
}

static void launch_and_adopt_exclude_each_other(void **state) {
    (void)state;
    says("workload: {}\n", "pod.yaml:1:1: workload: says no container; image: launches one, "
                           "container: adopts one\n");
    says("workload: {image: a, container: {name: b}}\n",
         "pod.yaml:1:1: workload: image (launch) and container (adopt) exclude each other; keep "
         "one\n");
    says("workload:\n  container: {name: b}\n  command: [x]\n  environment: {A: b}\n",
         "pod.yaml:3:3: workload: command cannot be set on an adopted container, which is never "
         "created anew\n"
         "pod.yaml:4:3: workload: environment cannot be set on an adopted container, which is "
         "never created anew\n");
    says("workload: {container: {name: b, id: c}}\n",
         "pod.yaml:1:12: workload.container: names the container in more than one way; say one of "
         "service, label, name, id\n");
    says("workload: {container: {}}\n", "pod.yaml:1:12: workload.container: names no container; "
                                        "say one of service, label, name, id\n");
    says("workload: {image: a, hold: true}\n",
         "pod.yaml:1:22: workload: hold is for an adopted container alone\n");
}

static void workload_and_control_port_do_not_meet(void **state) {
    (void)state;
    says("workload:\n  image: a\n  ready: {tcp: 8080}\n  check: {http: \":8080/x\"}\n",
         "pod.yaml:3:16: workload.ready.tcp: is the control port; workload and sidecar share "
         "their ports, so change one of the two (key port)\n"
         "pod.yaml:4:17: workload.check.http: is the control port; workload and sidecar share "
         "their ports, so change one of the two (key port)\n");
    fine("port: 9000\nworkload:\n  image: a\n  ready: {tcp: 8080}\n");
    fine("workload:\n  image: a\n  network: web\n  ready: {tcp: 8080}\n");
    says("workload:\n  image: a\n  network: web\n  ports: [80, \"8080:80\"]\n",
         "pod.yaml:4:15: workload.ports[1]: publishes the control port; change one of the two\n");
    says("workload:\n  image: a\n  network: web\n  ports: [\"[::1]:8000-8100:80-180\"]\n",
         "pod.yaml:4:11: workload.ports[0]: publishes the control port; change one of the two\n");
    fine("workload:\n  image: a\n  network: web\n  ports: [\"8000-8079:80-159\", \"8081-8082\"]\n");
    says(
        "workload:\n  image: a\n  network: web\n  ports: [\"9000-9010:80\"]\n",
        "pod.yaml:4:11: workload.ports[0]: \"9000-9010:80\" is not as many ports on the host as in "
        "the container, like 9000-9010:8000-8010\n");
    says("workload:\n  image: a\n  ports: [80]\n",
         "pod.yaml:3:3: workload: ports are published only from a network of its own; in the "
         "sidecar's network publish them on the sidecar\n");
    says("workload: {image: a, hostname: b}\n",
         "pod.yaml:1:22: workload: hostname needs a network of its own; in the sidecar's network, "
         "or the host's, the workload has the name that is there\n");
    says("workload: {image: a, network: host, hostname: b}\n",
         "pod.yaml:1:37: workload: hostname needs a network of its own; in the sidecar's network, "
         "or the host's, the workload has the name that is there\n");
    fine("workload: {image: a, network: web, hostname: b}\n");
    static const char *const env[] = {"OCHOPOD_PORT=2181", NULL};
    says_with("workload:\n  image: a\n  ready: {tcp: 2181}\n", env, NULL,
              "pod.yaml:3:16: workload.ready.tcp: is the control port; workload and sidecar share "
              "their ports, so change one of the two (key port)\n");
}

static void ready_and_check_test_one_thing(void **state) {
    (void)state;
    says("workload: {image: a, ready: {timeout: 5s}}\n",
         "pod.yaml:1:22: workload.ready: tests nothing; say one of tcp, http, exec, docker\n");
    says("workload: {image: a, check: {tcp: 1, exec: [a]}}\n",
         "pod.yaml:1:38: workload.check.exec: tcp, http, exec and docker exclude each other; keep "
         "one\n");
    says("workload: {image: a, check: {http: healthz, expect: x}}\n",
         "pod.yaml:1:30: workload.check.http: \"healthz\" is not a port and a path like "
         "\":8081/healthz\"\n"
         "pod.yaml:1:45: workload.check: expect is for tcp alone\n");
    says("workload: {image: a, ready: {docker: false}}\n",
         "pod.yaml:1:30: workload.ready.docker: must be true; leave it out when the image has no "
         "HEALTHCHECK\n");
}

static void files_have_a_clean_target_and_one_text(void **state) {
    (void)state;
    says(W "files: [{content: x}]\n", "pod.yaml:2:9: files[0]: target is missing: absolute path, "
                                      "in a shared volume or anywhere in the workload\n");
    says(W "files: [{target: /a}]\n",
         "pod.yaml:2:9: files[0]: has no text; say template: file or content: |\n");
    says(W "files: [{target: /a, content: x, template: y}]\n",
         "pod.yaml:2:34: files[0].template: template and content exclude each other; keep one\n");
    says(W "files: [{target: /a, template: y}]\n",
         "pod.yaml:2:22: files[0].template: cannot read \"/nonexistent/y\": No such file or "
         "directory\n");
    says(W "files: [{target: a/b, content: x}, {target: /a/../b, content: x}, {target: /, "
           "content: x}]\n",
         "pod.yaml:2:10: files[0].target: \"a/b\" is not an absolute path\n"
         "pod.yaml:2:37: files[1].target: \"/a/../b\" is not a clean path: no '//', '.', '..' and "
         "no '/' at its end\n"
         "pod.yaml:2:68: files[2].target: \"/\" is the root directory\n");
    says(W "files: [{target: /a, content: x, mode: \"4755\"}, {target: /b, content: x, mode: "
           "rw}]\n",
         "pod.yaml:2:34: files[0].mode: \"4755\" is setuid, setgid or sticky, which is never set; "
         "say \"0755\"\n"
         "pod.yaml:2:74: files[1].mode: \"rw\" is not a mode in octal digits like \"0644\"\n");
    says(W "files: [{target: /a, content: x, owner: zookeeper}]\n",
         "pod.yaml:2:34: files[0].owner: \"zookeeper\" is not uid:gid in numbers, like "
         "\"1000:1000\"; names are the image's and not known here\n");
    says(W "files: [{target: /a, content: x}, {target: /a/b, content: x}]\n",
         "pod.yaml:2:44: files[1].target: is in the way of files[0].target; a path is one file\n");
    says(W "files: [{target: /var/lib/ochopod/x, content: x}]\n",
         "pod.yaml:2:18: files[0].target: lies in the sidecar's own state directory\n");
    says(W "files: [{target: /a/.ochopod-1, content: x}]\n",
         "pod.yaml:2:9: files[0]: target: names that begin with .ochopod- are the sidecar's own\n");
    fine(W "files: [{target: /a, content: \"\", mode: 0644}, {target: /b, content: }]\n");
}

static void volumes_do_not_nest(void **state) {
    (void)state;
    says("workload: {image: a, volumes: [/data, /data/log, data]}\n",
         "pod.yaml:1:39: workload.volumes[1]: lies in \"/data\"; share one of them\n"
         "pod.yaml:1:50: workload.volumes[2]: \"data\" is not an absolute path\n");
    says("workload: {image: a, volumes: [/data, /data]}\n",
         "pod.yaml:1:39: workload.volumes[1]: lies in \"/data\"; share one of them\n");
    fine("workload: {image: a, volumes: [/data, /datalog]}\n");
}

static void needs_and_dependencies_fit(void **state) {
    (void)state;
    says(W "needs: {kafka: 1, pods: 0}\n",
         "pod.yaml:2:9: needs.kafka: needs what depends_on does not name; add it there, as it is "
         "written here\n"
         "pod.yaml:2:19: needs.pods: \"0\" is not a whole number from 1 to 10000\n");
    says(W "cluster: a\ndepends_on: [a, b, b, \"/x\", \"w[b\", \"c d\"]\n",
         "pod.yaml:3:14: depends_on[0]: is this cluster itself\n"
         "pod.yaml:3:20: depends_on[2]: stands here twice\n"
         "pod.yaml:3:23: depends_on[3]: \"/x\" is absolute and has no namespace; say "
         "/namespace.cluster\n"
         "pod.yaml:3:29: depends_on[4]: \"w[b\" has a bracket without its other half\n"
         "pod.yaml:3:36: depends_on[5]: \"c d\" is not the name of a cluster: kafka, "
         "/namespace.kafka, \"web-*\"\n");
    fine(W "depends_on: [\"web-*\", \"/a.b[0-9]?\"]\nneeds: {\"web-*\": 2}\n");
}

static void actions_are_argv_in_a_place_that_exists(void **state) {
    (void)state;
    says(W "hooks: {configured: {exec: nginx -s reload}}\n",
         "pod.yaml:2:22: hooks.configured.exec: must be a list of arguments, never a shell line; "
         "for a shell say [sh, -c, \"...\"]\n");
    says(W "hooks: {configured: {run: []}}\n",
         "pod.yaml:2:22: hooks.configured.run: names no command\n");
    says(W "hooks: {configured: {run: [a], exec: [b]}}\n",
         "pod.yaml:2:32: hooks.configured.exec: run and exec exclude each other; keep one\n");
    says(W "hooks: {configured: {timeout: 5s}}\n",
         "pod.yaml:2:9: hooks.configured: runs nothing; say run: [...] or exec: [...]\n");
    says(W "hooks: {initialize: {exec: [a]}}\n",
         "pod.yaml:2:28: hooks.initialize.exec: no workload runs before the first configuration; "
         "use run\n");
    fine("workload: {container: {name: a}}\nhooks: {can_configure: {exec: [a]}}\n");
    says(W "probe: {exec: [a]}\n",
         "pod.yaml:2:1: probe: run is missing: argv, executed in the leader's sidecar\n"
         "pod.yaml:2:9: probe.exec: no such key; known here: every run timeout\n");
    says(W "tools: {a b: {run: [c]}}\n",
         "pod.yaml:2:9: tools.a b: \"a b\" is not a name of letters, digits, '.', '-' and '_'\n");
    says("workload: {image: a, on_change: {signal: HUP, exec: [a]}}\n",
         "pod.yaml:1:22: workload.on_change: must be restart, none, {signal: HUP} or {exec: "
         "[...]}\n");
    says("workload: {image: a, on_change: reload}\n",
         "pod.yaml:1:22: workload.on_change: must be restart, none, {signal: HUP} or {exec: "
         "[...]}\n");
    says("workload: {image: a, command: echo hello}\n",
         "pod.yaml:1:22: workload.command: must be a list of arguments, never a shell line; for a "
         "shell say [sh, -c, \"...\"]\n");
}

static void environment_of_the_workload_has_names_and_values(void **state) {
    (void)state;
    fine("workload: {image: a, environment: [A=b, C=]}\n");
    says("workload: {image: a, environment: {A: , 1B: x, C: [d]}}\n",
         "pod.yaml:1:36: workload.environment.A: must be a string, not empty; an empty one is "
         "\"\"\n"
         "pod.yaml:1:41: workload.environment.1B: \"1B\" is not the name of an environment "
         "variable\n"
         "pod.yaml:1:48: workload.environment.C: must be a string, not a list; an empty one is "
         "\"\"\n");
    says("workload: {image: a, environment: [A, B=1, B=2]}\n",
         "pod.yaml:1:36: workload.environment[0]: is not NAME=value\n"
         "pod.yaml:1:44: workload.environment[2]: B stands here twice\n");
    // A slip is told without what stands there: it may be a secret, and end like base64 does.
    says("workload: {image: a, environment: [\"PASSWORD:c2VjcmV0Cg==\", \"TOKEN secret\"]}\n",
         "pod.yaml:1:36: workload.environment[0]: is not NAME=value\n"
         "pod.yaml:1:61: workload.environment[1]: is not NAME=value\n");
}

static void only_known_bindings_are_named(void **state) {
    (void)state;
    fine(W "binding: compose\n");
    struct err err = ERR_INIT;
    assert_int_equal(parse(W "binding: mesos\n", NULL, NULL, NULL, &err), -1);
    assert_true(text_starts(err.text, "pod.yaml:2:10: binding: there is no binding \"mesos\"; use "
                                      "one of: "));
    static const char *const env[] = {"OCHOPOD_BINDING=mesos", NULL};
    assert_int_equal(parse(W, env, NULL, NULL, &err), -1);
    assert_true(text_starts(err.text, "binding: there is no binding \"mesos\"; use one of: "));
}

static void environment_and_flags_are_held_to_the_same(void **state) {
    (void)state;
    static const char *const env[] = {"OCHOPOD_PORT=http", "ochopod_debug=maybe", "pod=[1]", NULL};
    struct spec_flags flags = {.listen = "here", .port = 99999};
    says_with(W, env, &flags,
              "OCHOPOD_PORT: \"http\" is not a whole number from 1 to 65535\n"
              "OCHOPOD_DEBUG: must be true or false, not \"maybe\"\n"
              "pod: the variable `pod` must hold a JSON object\n"
              "--listen: \"here\" is not an IP address; names are not resolved here\n"
              "--port: \"99999\" is not a whole number from 1 to 65535\n");
    static const char *const twins[] = {"OCHOPOD_PORT=1", "ochopod_port=2", NULL};
    says_with(W, twins, NULL,
              "OCHOPOD_PORT: says something else than ochopod_port; keep one of them\n");
}

static void a_spec_that_is_not_there_is_told(void **state) {
    (void)state;
    struct spec_flags flags = {.spec = "/nonexistent/pod.yaml"};
    struct text report = {0};
    struct err err = ERR_INIT;
    struct spec *spec;
    assert_int_equal(spec_load(&flags, NULL, &spec, &report, &err), -1);
    assert_string_equal(text_str(&report),
                        "/nonexistent/pod.yaml:1:1: cannot read the spec: No such file or "
                        "directory; name another with --spec or OCHOPOD_SPEC\n");
    assert_int_equal(err.kind, ERR_USER);
    text_done(&report);
}

static void ports_are_ochothons(void **state) {
    (void)state;
    fine("ports: [2181, \"2888 *\", \"3888 9000\", \"53 udp\", \"53\", \"54 * UDP\", \"55 56 "
         "tcp\"]\n" W);
    fine("port: 9\nports: [8080]\n" W);
    fine("ports: [\"8080 31000\", \"8080 udp\"]\n" W);
    static const char *const wrong[] = {
        "0",   "65536",  "-1",  "a",    "\"1 2 3\"", "\"* 1\"", "\"udp\"", "\"1 0\"", "\"1 65536\"",
        "[1]", "{a: 1}", "1.5", "\"\"", "true",      "~",       "0x10",    "\"1*\"",  "\"1 sctp\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        auto_free char *text = xasprintf("ports: [%s]\n" W, wrong[i]);
        struct text report = {0};
        struct err err = ERR_INIT;
        assert_int_equal(parse(text, NULL, NULL, &report, &err), -1);
        if (strncmp(text_str(&report), "pod.yaml:1:9: ports[0]: \"", 25) != 0 ||
            !strstr(text_str(&report), "is not a port like 2181"))
            fail_msg("%s: %s", wrong[i], text_str(&report));
        text_done(&report);
    }
    says("ports: 2181\n" W,
         "pod.yaml:1:1: ports: must be a list of ports, like [2181, 2888], not a number\n");
    says("ports: [1, 1]\n" W, "pod.yaml:1:12: ports[1]: 1 stands here twice\n");
    says("ports: [1 *, 2 1]\n" W, "pod.yaml:1:14: ports[1]: 1 of the host is taken by another\n");
    says("ports: [8080]\n" W,
         "pod.yaml:1:9: ports[0]: is the control port, which is mapped anyway; "
         "leave it out, or change one of the two (key port)\n");
}

static void verbatim_is_a_map(void **state) {
    (void)state;
    fine("verbatim: {cpus: 0.5, container: {docker: {parameters: [{key: a, value: b}]}}}\n" W);
    says("verbatim: [1]\n" W,
         "pod.yaml:1:1: verbatim: must be a map, a part of a Marathon app, not a list\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_ochothons),
        cmocka_unit_test(verbatim_is_a_map),
        cmocka_unit_test(what_is_no_yaml_is_told_with_its_place),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(every_mistake_is_told_in_the_order_of_the_text),
        cmocka_unit_test(unknown_keys_are_mistakes_with_a_hint),
        cmocka_unit_test(what_signs_fits_together),
        cmocka_unit_test(a_cluster_of_one_has_nobody_to_depend_on),
        cmocka_unit_test(values_are_held_against_type_and_range),
        cmocka_unit_test(zk_addresses_name_servers_and_ports),
        cmocka_unit_test(launch_and_adopt_exclude_each_other),
        cmocka_unit_test(workload_and_control_port_do_not_meet),
        cmocka_unit_test(ready_and_check_test_one_thing),
        cmocka_unit_test(files_have_a_clean_target_and_one_text),
        cmocka_unit_test(volumes_do_not_nest),
        cmocka_unit_test(needs_and_dependencies_fit),
        cmocka_unit_test(actions_are_argv_in_a_place_that_exists),
        cmocka_unit_test(environment_of_the_workload_has_names_and_values),
        cmocka_unit_test(only_known_bindings_are_named),
        cmocka_unit_test(environment_and_flags_are_held_to_the_same),
        cmocka_unit_test(a_spec_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
