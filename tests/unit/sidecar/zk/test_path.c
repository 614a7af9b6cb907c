#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/zk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void reads(const char *url, const char *servers, const char *auth) {
    auto_free char *got_servers = NULL, *got_auth = NULL;
    struct err err = ERR_INIT;
    if (zk_parse_url(url, &got_servers, &got_auth, &err))
        fail_msg("%s: %s", url, err.text);
    assert_string_equal(got_servers, servers);
    if (!text_same(got_auth, auth))
        fail_msg("%s: auth is %s", url, got_auth ? got_auth : "none");
}

static void urls_are_read_as_people_write_them(void **state) {
    (void)state;
    reads("zk://zk1:2181,zk2:2181/", "zk1:2181,zk2:2181", NULL);
    reads("zk://zk1,zk2:2182", "zk1:2181,zk2:2182", NULL);
    reads("zk1:2181", "zk1:2181", NULL);
    reads("10.0.0.1", "10.0.0.1:2181", NULL);
    reads("zk://zk1/mesos/pods", "zk1:2181/mesos/pods", NULL);
    reads("zk://u:p@zk1:1/x", "zk1:1/x", "u:p");
    reads("zk://u:p@ss:w@rd@zk1", "zk1:2181", "u:p@ss:w@rd");
    reads("zk://[fd00::1]:2182,::1,[::2]", "fd00::1:2182,::1:2181,::2:2181", NULL);
    reads(",zk1,", "zk1:2181", NULL);
}

static void bad_urls_are_refused_without_telling_the_password(void **state) {
    (void)state;
    static const char *const urls[] = {
        "",
        "zk://",
        "zk:///x",
        "zk1:0",
        "zk1:70000",
        "zk1:",
        "zk1:x",
        "zk://zk1/a/",
        "zk://zk1//a",
        "zk://zk1/a b",
        "zk://zk1/.",
        "zk://zk1/../a",
        "zk://[::1:2181",
        "zk://secret@z",
        "zk://u:secret@z:x",
        ":2181",
        "a b:2181",
        "zk://[::1]x",
        "zk://u:secret@/x",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char *servers = NULL, *auth = NULL;
        struct err err = ERR_INIT;
        if (zk_parse_url(urls[i], &servers, &auth, &err) == 0)
            fail_msg("%s was taken", urls[i]);
        assert_int_equal(err.kind, ERR_USER);
        assert_null(strstr(err.text, "secret"));
        assert_null(servers);
        assert_null(auth);
    }
}

static void clusters_lie_where_ochopod_puts_them(void **state) {
    (void)state;
    auto_free char *path = zk_cluster_path("marathon", "zookeeper");
    assert_string_equal(path, "/ochopod/clusters/marathon.zookeeper");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read_as_people_write_them),
        cmocka_unit_test(bad_urls_are_refused_without_telling_the_password),
        cmocka_unit_test(clusters_lie_where_ochopod_puts_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
