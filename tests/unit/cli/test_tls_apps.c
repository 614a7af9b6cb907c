// ocho deploy, where the pods that it finds by Marathon's tasks speak TLS.
#include "tests/unit/cli/apps.h"
#include "tests/unit/sidecar/control/tls_files.h"

static int begin_tls(void **state) {
    auto_free char *ca = xasprintf("%s/ca.pem", dir);
    write_token(TOKEN "\n");
    make_certificate(dir, CLUSTER);
    setenv("OCHOPOD_CA", ca, 1);
    setenv("OCHOPOD_TOKEN_FILE", token_file, 1);
    int failed = begin(state);
    own = true;
    fake_pod_is(it.pod, "running", true);
    return failed;
}

static int end_tls(void **state) {
    unsetenv("OCHOPOD_CA");
    unsetenv("OCHOPOD_TOKEN_FILE");
    return end(state);
}

#define ITS_TLS "certificate_file: /s/tls.pem, key_file: /s/tls.key, ca_file: /s/ca.pem"

static void pods_whose_spec_says_so_are_asked_by_tls(void **state) {
    (void)state;
    spec =
        "{\\\"workload\\\":{\\\"image\\\":\\\"r:1\\\"},\\\"tls\\\":{\\\"ca_file\\\":\\\"/ca\\\"}}";
    deploy("-p 2 --strict -t 20s -j", 0, "\"ok\":true", "");
    spec = "cluster: zk\\ntls: {" ITS_TLS "}\\nworkload: {image: r}\\n";
    deploy("-p 2 --strict -t 20s -j", 0, "\"ok\":true", "");
}

static void pods_whose_spec_is_elsewhere_are_asked_by_tls_as_well(void **state) {
    (void)state;
    spec = "/etc/ochopod/other.yaml";
    deploy("-p 2 --strict -t 20s -j", 0, "\"ok\":true", "");
    spec = "";
    deploy("-p 2 --strict -t 20s -j", 0, "\"ok\":true", "");
}

static void without_an_authority_that_is_told(void **state) {
    (void)state;
    unsetenv("OCHOPOD_CA");
    spec = "tls: {" ITS_TLS "}";
    deploy("-p 2 -j" SOON, 4, "\"ok\":false", "it speaks TLS: OCHOPOD_CA must name");
    assert_int_equal(asked("DELETE"), 0);
}

int main(void) {
#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, begin_tls, end_tls)
    const struct CMUnitTest tests[] = {
        TLS_TEST(pods_whose_spec_says_so_are_asked_by_tls),
        TLS_TEST(pods_whose_spec_is_elsewhere_are_asked_by_tls_as_well),
        TLS_TEST(without_an_authority_that_is_told),
    };
    return cmocka_run_group_tests(tests, prepare_tls, finish_tls);
}
