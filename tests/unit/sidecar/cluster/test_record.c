#include "sidecar/cluster/record.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define NAME "2f1b6c1e-8b1c-4a9e-9d0f-0a1b2c3d4e5f.0000000007"

// As an original pod wrote it.
static const char original[] =
    "{\"application\": \"\", \"cluster\": \"tree-1ca786\", \"debug\": \"true\", \"local\": "
    "\"false\", \"namespace\": \"bench\", \"port\": \"8080\", \"start\": \"true\", \"task\": \"\", "
    "\"zk\": \"127.0.0.1:22181\", \"fwk\": \"marathon (debug)\", \"ip\": \"10.0.0.4\", \"node\": "
    "\"local\", \"ports\": {\"8080\": 28100, \"2181\": 31000}, \"public\": \"52.1.2.3\", "
    "\"seq\": 1}";

static struct record *parsed(const char *name, const char *data) {
    struct record *r = NULL;
    struct err err = ERR_INIT;
    if (record_parse(name, data, strlen(data), &r, &err))
        fail_msg("%s", err.text);
    return r;
}

static void refused(const char *name, const char *data, const char *because) {
    struct record *r = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(record_parse(name, data, strlen(data), &r, &err), -1);
    assert_null(r);
    if (!strstr(err.text, because))
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
}

static void what_a_pod_speaks_is_a_flag_that_an_original_cannot_carry(void **state) {
    (void)state;
    struct record_facts facts = {.ip = "10.0.0.4", .port = "8080", .signs = true, .tls = true};
    auto_json json_t *json = record_make(&facts, 3);
    auto_free char *text = json_write(json);
    struct record *r = parsed(NAME, text);
    auto_free char *url = record_url(r);
    assert_true(r->signs && r->tls);
    assert_string_equal(url, "https://10.0.0.4:0");
    record_free(r);
    // Text from an original's environment is not the flag, nor is a flag without our mark.
    r = parsed(NAME, "{\"ip\": \"10.0.0.4\", \"seq\": 1, \"sidecar\": \"1\", \"signed\": \"true\", "
                     "\"tls\": \"true\"}");
    assert_false(r->signs || r->tls);
    record_free(r);
    r = parsed(NAME,
               "{\"ip\": \"fd00::7\", \"seq\": 1, \"signed\": true, \"tls\": true, \"ports\": "
               "{\"8080\": 31000}}");
    auto_free char *plain = record_url(r);
    assert_false(r->signs || r->tls);
    assert_string_equal(plain, "http://[fd00::7]:31000");
    record_free(r);
}

static void an_original_record_is_read(void **state) {
    (void)state;
    struct record *r = parsed(NAME, original);
    assert_string_equal(r->id, "2f1b6c1e-8b1c-4a9e-9d0f-0a1b2c3d4e5f");
    assert_int_equal(r->seq, 1); // not the suffix: the first one ever obtained
    assert_string_equal(r->ip, "10.0.0.4");
    assert_string_equal(r->public_, "52.1.2.3");
    assert_string_equal(r->namespace_, "bench");
    assert_string_equal(r->port, "8080");
    assert_int_equal(r->control_port, 28100);
    assert_false(r->ours);
    record_free(r);
}

static void ours_carry_a_marker_and_the_originals_order_of_keys(void **state) {
    (void)state;
    auto_json json_t *ports = json_pack("{s:i}", "8080", 28100);
    struct record_facts facts = {.application = "app",
                                 .cluster = "zookeeper",
                                 .namespace_ = "marathon",
                                 .task = "t",
                                 .zk = "10.0.0.9:2181",
                                 .fwk = "compose",
                                 .ip = "10.0.0.4",
                                 .node = "n",
                                 .public_ = "10.0.0.5",
                                 .port = "8080",
                                 .start = true,
                                 .ports = ports};
    auto_json json_t *j = record_make(&facts, 4);
    auto_free char *text = json_write(j);
    assert_string_equal(text, "{\"application\":\"app\",\"cluster\":\"zookeeper\",\"debug\":"
                              "\"false\",\"local\":\"false\",\"namespace\":\"marathon\",\"port\":"
                              "\"8080\",\"start\":\"true\",\"task\":\"t\",\"zk\":\"10.0.0.9:2181\","
                              "\"fwk\":\"compose\",\"ip\":\"10.0.0.4\",\"node\":\"n\",\"ports\":"
                              "{\"8080\":28100},\"public\":\"10.0.0.5\",\"seq\":4,\"sidecar\":"
                              "\"" OCHOPOD_VERSION "\",\"proposal\":true}");
    struct record *r = parsed(NAME, text);
    assert_true(r->ours);
    assert_int_equal(r->seq, 4);
    record_free(r);
}

static void zone_and_slot_are_registered_where_they_are_known(void **state) {
    (void)state;
    struct record_facts facts = {.ip = "10.0.0.4", .zone = "", .slot = ""};
    auto_json json_t *nowhere = record_make(&facts, 1);
    assert_null(json_object_get(nowhere, "zone"));
    assert_null(json_object_get(nowhere, "slot"));
    facts.zone = "eu-west-1a";
    facts.slot = "2";
    auto_json json_t *there = record_make(&facts, 1);
    assert_string_equal(json_text(there, "zone"), "eu-west-1a");
    assert_string_equal(json_text(there, "slot"), "2");
}

static void a_first_payload_takes_its_seq_from_the_suffix(void **state) {
    (void)state;
    struct record_facts facts = {.ip = "10.0.0.4", .port = "8080"};
    auto_json json_t *j = record_make(&facts, -1);
    assert_null(json_object_get(j, "seq"));
    auto_free char *text = json_write(j);
    struct record *r = parsed(NAME, text);
    assert_int_equal(r->seq, 7);
    assert_int_equal(json_integer_value(json_object_get(r->json, "seq")), 7);
    record_free(r);
}

static void a_password_is_never_registered(void **state) {
    (void)state;
    static const char *const given[] = {"zk://user:pa@ss/wo@rd@10.0.0.9:2181/x", "u:p@10.0.0.9:1"};
    for (size_t i = 0; i < 2; i++) {
        struct record_facts facts = {.ip = "10.0.0.4", .zk = given[i]};
        auto_json json_t *j = record_make(&facts, 1);
        assert_true(text_starts(json_text(j, "zk"), "10.0.0.9"));
    }
}

static void what_cannot_be_used_is_refused_and_named(void **state) {
    (void)state;
    refused("noseq", original, "10 digits");
    refused("a.123", original, "10 digits");
    refused("a.00000000x1", original, "10 digits");
    refused("a.-000000001", original, "10 digits");
    refused(".0000000001", original, "10 digits");
    refused("../x.0000000001", original, "10 digits");
    refused(NAME, "", "empty");
    refused(NAME, "{\"ip\":", "2f1b6c1e");
    refused(NAME, "[]", "object");
    refused(NAME, "{}", "no ip");
    refused(NAME, "{\"ip\": 5}", "ip");
    refused(NAME, "{\"ip\": \"zk1.example\"}", "literal");
    refused(NAME, "{\"ip\": \"10.0.0.4\", \"ports\": []}", "ports");
    refused(NAME, "{\"ip\": \"10.0.0.4\", \"ports\": {\"8080\": \"28100\"}}", "ports");
    refused(NAME, "{\"ip\": \"10.0.0.4\", \"ports\": {\"8080\": 70000}}", "ports");
    refused(NAME, "{\"ip\": \"10.0.0.4\", \"seq\": \"1\"}", "seq");
    refused(NAME, "{\"ip\": \"10.0.0.4\", \"seq\": -1}", "seq");
}

static void addresses_of_everybody_and_nobody_are_refused(void **state) {
    (void)state;
    static const char *const ips[] = {
        "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.1.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "ff02::1",
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::169.254.169.254",
        "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:0ec2:0:0::0254",
        // none of them the literal that it may look like
        "127.0.0.1 ", " 10.0.0.1", "10.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
        "10.0.0.01x", "[::1]", "10.0.0.1:80", "10.0.0.1/", "10.0.0.1#@10.0.0.2", "user@10.0.0.1",
        "10.0.0.1?", "10.0.0.1\\r\\nX: y", "localhost", "metadata.google.internal", "1.2.3.4.5",
        "\\u06610.0.0.1"};
    for (size_t i = 0; i < sizeof ips / sizeof *ips; i++) {
        auto_free char *data = xasprintf("{\"ip\": \"%s\"}", ips[i]);
        refused(NAME, data, "literal");
    }
}

static void only_loopback_may_be_sent_to_loopback(void **state) {
    (void)state;
    static const struct {
        const char *theirs, *own;
        bool within;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.9.9.9", "127.0.0.1", true},
        {"::1", "127.0.0.1", true},
        {"127.0.0.1", "::1", true},
        {"127.0.0.1", "10.0.0.1", false},
        {"127.255.255.254", "10.0.0.1", false},
        {"::1", "10.0.0.1", false},
        {"::1", "fd00::1", false},
        {"127.0.0.1", "", false},
        {"10.0.0.2", "10.0.0.1", true},
        {"10.0.0.2", "127.0.0.1", true},
        {"fd00::2", "", true},
        {"127.0.0.1", "127.0.0.1.evil", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_free char *data = xasprintf("{\"ip\": \"%s\"}", rows[i].theirs);
        struct record *r = NULL;
        assert_int_equal(record_parse(NAME, data, strlen(data), &r, NULL), 0);
        if (record_is_within_reach(r, rows[i].own) != rows[i].within)
            fail_msg("%s from %s", rows[i].theirs, rows[i].own);
        record_free(r);
    }
}

static void a_payload_over_64_kib_is_refused(void **state) {
    (void)state;
    auto_text struct text t = {0};
    text_add(&t, "{\"ip\": \"10.0.0.4\", \"task\": \"");
    while (t.len < 64 * 1024)
        text_add(&t, "xxxxxxxx");
    text_add(&t, "\"}");
    struct record *r = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(record_parse(NAME, t.s, t.len, &r, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void an_address_is_the_published_one_if_mapped(void **state) {
    (void)state;
    char address[64];
    struct record *r = parsed(NAME, original);
    record_address(r, 2181, address, sizeof address);
    assert_string_equal(address, "10.0.0.4:31000");
    record_address(r, 2888, address, sizeof address);
    assert_string_equal(address, "10.0.0.4:2888");
    record_free(r);
    r = parsed(NAME, "{\"ip\": \"fd00::1\"}");
    record_address(r, 2181, address, sizeof address);
    assert_string_equal(address, "[fd00::1]:2181");
    assert_int_equal(r->control_port, 0);
    record_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_original_record_is_read),
        cmocka_unit_test(what_a_pod_speaks_is_a_flag_that_an_original_cannot_carry),
        cmocka_unit_test(ours_carry_a_marker_and_the_originals_order_of_keys),
        cmocka_unit_test(zone_and_slot_are_registered_where_they_are_known),
        cmocka_unit_test(a_first_payload_takes_its_seq_from_the_suffix),
        cmocka_unit_test(a_password_is_never_registered),
        cmocka_unit_test(what_cannot_be_used_is_refused_and_named),
        cmocka_unit_test(addresses_of_everybody_and_nobody_are_refused),
        cmocka_unit_test(only_loopback_may_be_sent_to_loopback),
        cmocka_unit_test(a_payload_over_64_kib_is_refused),
        cmocka_unit_test(an_address_is_the_published_one_if_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
