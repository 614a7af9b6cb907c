// A leader's request over a real socket to a real control port, both with a token, or with another,
// or with none; and to somebody who answers at a pod's address without being it.
#include "tests/unit/sidecar/control/token_file.h"

#include "tests/unit/cli/stub.h"

#include "sidecar/leader/peer.h"

static struct err got;
static bool answered;

static bool may(void *arg) {
    (void)arg;
    return true;
}

static void on_answer(const json_t *answer, const struct err *err, void *arg) {
    (void)answer;
    (void)arg;
    got = *err;
    answered = true;
}

static void ask_pod(const struct auth *auth, const char *id, int port, bool signs) {
    struct record *to = NULL;
    auto_json json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:{s:i}}", "ip", "127.0.0.1",
                                       "cluster", "zk", "port", "8080", "seq", 3, "sidecar", "1",
                                       "signed", signs, "ports", "8080", port);
    assert_int_equal(record_from_json(id, json, &to, NULL), 0);
    const struct peer_from from = {.loop = it.loop,
                                   .http = it.http,
                                   .tree = "tree-1",
                                   .epoch = 4294967298,
                                   .auth = auth,
                                   .grace = 30000,
                                   .may = may};
    answered = false;
    got = (struct err)ERR_INIT;
    peer_ask(&from, to, "on", 7, xstrdup("{\"pods\":{}}"), on_answer, NULL);
    record_free(to);
    pump(answered);
}

static void says(enum err_kind kind, const char *text) {
    if (got.kind != kind || !strstr(got.text, text))
        fail_msg("%s: %s", err_kind_name(got.kind), got.text);
}

static void a_signed_request_is_heard_and_its_answer_believed(void **state) {
    (void)state;
    ask_pod(it.auth, POD, it.port, true);
    assert_int_equal(got.kind, ERR_NONE);
    assert_int_equal(fake_pod_seen(it.pod), 1);
    ask_pod(it.auth, POD, it.port, true); // the same epoch, round and task: the pod's to know
    assert_int_equal(fake_pod_seen(it.pod), 2);
}

static void an_unsigned_leader_is_not_heard(void **state) {
    (void)state;
    ask_pod(NULL, POD, it.port, true);
    says(ERR_REFUSED, "zk #3 refused on: not signed: X-Signature is missing");
    assert_int_equal(fake_pod_seen(it.pod), 0);
}

static void another_token_is_not_heard(void **state) {
    (void)state;
    struct auth *other = NULL;
    write_token(OTHER);
    assert_int_equal(
        auth_open(it.loop, &(struct auth_files){.token = token_file}, CLUSTER, POD, &other, NULL),
        0);
    write_token(TOKEN);
    ask_pod(other, POD, it.port, true);
    says(ERR_REFUSED, "X-Signature is not right");
    auth_close(other);
    assert_int_equal(fake_pod_seen(it.pod), 0);
}

static void another_pod_is_not_asked(void **state) {
    (void)state;
    ask_pod(it.auth, "uuid-two", it.port, true);
    says(ERR_REFUSED, "meant for another pod");
    assert_int_equal(fake_pod_seen(it.pod), 0);
}

static const char *says_200(const char *request, int n) {
    (void)request;
    (void)n;
    return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
}
static const char *says_410(const char *request, int n) {
    (void)request;
    (void)n;
    return "HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\n{}";
}
static const char *says_412(const char *request, int n) {
    (void)request;
    (void)n;
    return "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 2\r\n\r\n{}";
}
static const char *repeats(const char *request, int n) {
    static char reply[512];
    const char *said = strstr(request, "X-Signature: ");
    (void)n;
    snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%.80s\r\n\r\n{}",
             said ? said : "");
    return reply;
}

static void a_stranger_at_its_address_is_not_believed(void **state) {
    (void)state;
    stub_fn *const strangers[] = {says_200, says_410, says_412, repeats};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        int port = stub_start(strangers[i]);
        ask_pod(it.auth, POD, port, true);
        says(ERR_REFUSED, "the answer to on is not signed by it");
    }
    stub_end_all();
}

// A pod that does not sign yet (no token, or an original one) is believed as ever.
static void who_does_not_say_that_it_signs_need_not(void **state) {
    (void)state;
    int port = stub_start(says_200);
    ask_pod(it.auth, POD, port, false);
    assert_int_equal(got.kind, ERR_NONE);
    stub_end_all();
}

int main(void) {
#define PEER_TEST(f) cmocka_unit_test_setup_teardown(f, setup_token, teardown)
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_signed_request_is_heard_and_its_answer_believed),
        PEER_TEST(an_unsigned_leader_is_not_heard),
        PEER_TEST(another_token_is_not_heard),
        PEER_TEST(another_pod_is_not_asked),
        PEER_TEST(a_stranger_at_its_address_is_not_believed),
        PEER_TEST(who_does_not_say_that_it_signs_need_not),
    };
    return cmocka_run_group_tests(tests, prepare_token, finish_token);
}
