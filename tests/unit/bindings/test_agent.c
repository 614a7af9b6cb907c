// Files of an agent below a root of our own: each place, what wins, what is passed over.
#include "tests/unit/bindings/scene.h"
#include "bindings/agent.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], root_variable[96];
static char *env[] = {root_variable, NULL};
static struct binding_wish wish = {.env = env, .port = 8080};

static int begin(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/agent-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(root_variable, sizeof root_variable, "OCHOPOD_HOST_ROOT=%s", root);
    wish.zk_given = false;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int end(void **state) {
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *path_of(const char *path) {
    char *full = xasprintf("%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        if (mkdir(full, 0700) && errno != EEXIST)
            fail_msg("%s: %s", full, strerror(errno));
    }
    return full;
}

static void put(const char *path, const char *content) {
    auto_free char *full = path_of(path);
    auto_file FILE *f = fopen(full, "we");
    assert_non_null(f);
    assert_true(fputs(content, f) >= 0);
}

static void expect(const char *host, const char *expected) {
    auto_free char *zk = agent_zk(&wish, host, true);
    if (!text_same(zk, expected))
        fail_msg("\"%s\" instead of \"%s\"", zk ? zk : "nothing", expected ? expected : "nothing");
}

static void nothing_there_is_nothing_known(void **state) {
    (void)state;
    expect("10.0.0.7", NULL);
}

static void a_package_says_it_in_etc_mesos_zk(void **state) {
    (void)state;
    put("/etc/mesos/zk", "zk://10.0.0.56:2181,10.0.0.57:2181/mesos\n");
    expect(NULL, "zk://10.0.0.56:2181,10.0.0.57:2181");
}

// From the one that counts least to the one that counts most.
static void each_place_wins_over_those_before(void **state) {
    (void)state;
    static const char *const places[] = {
        "/etc/mesos/zk",
        "/etc/default/mesos",
        "/etc/default/mesos-slave",
        "/etc/mesos-slave/master",
        "/opt/mesosphere/environment",
        "/opt/mesosphere/etc/mesos-slave-common",
        "/opt/mesosphere/etc/mesos-slave",
        "/opt/mesosphere/etc/proxy.env",
        "/opt/mesosphere/etc/mesos-slave-common-extras",
        "/var/lib/dcos/mesos-slave-common",
        "/var/lib/dcos/mesos-resources",
        "/run/dcos/etc/mesos-slave",
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bool bare = i == 0 || i == 3;
        auto_free char *content = xasprintf("%szk://10.0.0.%zu:2181/mesos\n",
                                            bare ? "" : "LC_ALL=C\nMESOS_MASTER=", i);
        auto_free char *expected = xasprintf("zk://10.0.0.%zu:2181", i);
        put(places[i], content);
        expect(NULL, expected);
    }
}

static void settings_are_read_as_systemd_and_shells_do(void **state) {
    (void)state;
    put("/opt/mesosphere/etc/mesos-slave-common",
        "# MESOS_MASTER=zk://no:2181/mesos\nMESOS_DOCKER_STOP_TIMEOUT=20secs\n"
        "XMESOS_MASTER=zk://no:2181\nMESOS_MASTER=zk://first:2181/mesos\n"
        "export MESOS_MASTER=\"zk://zk-1.zk:2181,zk-2.zk:2181/mesos\"\r\n");
    expect(NULL, "zk://zk-1.zk:2181,zk-2.zk:2181");
    put("/etc/default/mesos-slave", "MASTER=`cat /etc/mesos/zk`\n");
    put("/etc/mesos/zk", "zk://no:2181/mesos");
    expect(NULL, "zk://zk-1.zk:2181,zk-2.zk:2181");
}

static void a_shells_word_names_another_file(void **state) {
    (void)state;
    put("/etc/default/mesos-slave", "MASTER=`cat /etc/mesos/zk`\n");
    put("/etc/mesos/zk", "zk://10.0.0.9:2181/mesos\n");
    expect(NULL, "zk://10.0.0.9:2181");
}

// Where Mesos keeps its election is no chroot of ours: original pods leave it out as well.
static void credentials_stay_and_the_path_of_mesos_goes(void **state) {
    (void)state;
    put("/etc/mesos/zk", "zk://mesos:p@ss:w@zk1:2181,zk2:2181/deep/mesos\n");
    expect(NULL, "zk://mesos:p@ss:w@zk1:2181,zk2:2181");
}

static void a_file_is_followed(void **state) {
    (void)state;
    put("/etc/mesos-slave/master", "file:///etc/secret/master\n");
    expect(NULL, NULL);
    put("/etc/secret/master", "zk://u:p@10.0.0.3:2181/mesos\n");
    expect(NULL, "zk://u:p@10.0.0.3:2181");
}

static void a_bare_master_has_no_zookeeper_and_the_next_place_is_asked(void **state) {
    (void)state;
    put("/etc/mesos-slave/master", "10.0.0.5:5050\n");
    expect("10.0.0.7", NULL);
    put("/etc/mesos/zk", "zk://10.0.0.5:2181/mesos");
    expect("10.0.0.7", "zk://10.0.0.5:2181");
}

static void localhost_is_believed_last_and_means_the_agent(void **state) {
    (void)state;
    put("/etc/mesos-slave/master", "zk://localhost:2181/mesos\n");
    expect("10.0.0.7", "zk://10.0.0.7:2181");
    expect(NULL, NULL);
    auto_free char *same = agent_zk(&wish, "10.0.0.7", false);
    assert_string_equal(same, "zk://localhost:2181");
    put("/etc/mesos/zk", "zk://zk1:2181/mesos");
    expect("10.0.0.7", "zk://zk1:2181");
}

static void garbage_is_passed_over(void **state) {
    (void)state;
    static const char *const garbage[] = {
        "",
        "\n\n",
        "zk://",
        "zk:///mesos",
        "zk://,,/mesos",
        "zk://@h:1",
        "zk://h:0/mesos",
        "zk://h:99999",
        "zk://h o:2181",
        "zk://h:21x1",
        "zk://[h]:2181/mesos",
        "zk://[::1:2181/mesos",
        "zk://[::1]2181",
        "zk://h]:2181",
        "zk://h:x:2181",
        "zk://[",
        "http://10.0.0.1/",
        "file:///nowhere",
        "\x01\x02\xff",
    };
    put("/etc/mesos/zk", "zk://good:2181/mesos");
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        put("/etc/mesos-slave/master", garbage[i]);
        expect("10.0.0.7", "zk://good:2181");
    }
}

static void a_folder_a_pipe_and_a_huge_file_are_no_settings(void **state) {
    (void)state;
    put("/etc/mesos-slave/master/x", "zk://no:2181/mesos"); // the setting is a folder
    auto_free char *pipe = path_of("/etc/default/mesos");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    auto_free char *huge = xcalloc(100 * 1024, 1);
    memset(huge, 'x', 100 * 1024 - 1);
    put("/etc/default/mesos-slave", huge);
    put("/etc/mesos/zk", "zk://good:2181/mesos");
    expect("10.0.0.7", "zk://good:2181");
}

static void nothing_is_read_when_zookeeper_is_known(void **state) {
    (void)state;
    put("/etc/mesos/zk", "zk://good:2181/mesos");
    wish.zk_given = true;
    expect("10.0.0.7", NULL);
}

static void marathon_takes_it(void **state) {
    (void)state;
    put("/etc/mesos/zk", "zk://good:2181/mesos");
    struct scene s = {.self = scene_container("bridge", "{}", "{}")};
    auto_free char *all = xasprintf(
        "MARATHON_APP_ID=/db\nHOST=10.0.0.7\nPORT0=1\nPORT_8080=31786\n%s", root_variable);
    assert_int_equal(scene_ask(&s, &binding_marathon, all), 0);
    assert_string_equal(s.facts->zk, "zk://good:2181");
    scene_done(&s);
}

static void a_machine_of_ec2_says_so(void **state) {
    (void)state;
    assert_false(agent_on_ec2(&wish));
    put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
    put("/sys/hypervisor/uuid", "1234ec2\n");
    assert_false(agent_on_ec2(&wish));
    put("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
    assert_true(agent_on_ec2(&wish));
    put("/sys/class/dmi/id/sys_vendor", "Xen\n");
    put("/sys/class/dmi/id/bios_version", "4.11.amazon\n");
    assert_true(agent_on_ec2(&wish));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_there_is_nothing_known),
        TEST(a_package_says_it_in_etc_mesos_zk),
        TEST(each_place_wins_over_those_before),
        TEST(settings_are_read_as_systemd_and_shells_do),
        TEST(a_shells_word_names_another_file),
        TEST(credentials_stay_and_the_path_of_mesos_goes),
        TEST(a_file_is_followed),
        TEST(a_bare_master_has_no_zookeeper_and_the_next_place_is_asked),
        TEST(localhost_is_believed_last_and_means_the_agent),
        TEST(garbage_is_passed_over),
        TEST(a_folder_a_pipe_and_a_huge_file_are_no_settings),
        TEST(nothing_is_read_when_zookeeper_is_known),
        TEST(marathon_takes_it),
        TEST(a_machine_of_ec2_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
