// The control port over TLS, with a CA made for the test by openssl (tests/lib/certificates).
#include "tests/unit/sidecar/control/tls_files.h"
#include "sidecar/secrets.h"
#include <sys/wait.h>

static char other[64];

static int prepare(void **state) {
    strcpy(other, "/tmp/ochopod-tls-XXXXXX");
    if (!mkdtemp(other) || prepare_tls(state))
        return -1;
    make_certificate(other, CLUSTER);
    return 0;
}

static int finish(void **state) {
    run("rm -r %s", other);
    return finish_tls(state);
}

static int setup_tls(void **state) {
    make_certificate(dir, CLUSTER " " POD);
    return setup_token(state);
}

// ---- a client of ours ----

static struct {
    bool done;
    int status;
    struct err err;
} got;

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    (void)arg;
    got.done = true;
    got.status = reply->status;
    got.err = *err;
}

static struct tls_trust *trust_of(const char *where) {
    auto_free char *path = xasprintf("%s/ca.pem", where);
    struct secret file = {0};
    struct tls_trust *trust = NULL;
    struct err err = ERR_INIT;
    if (secrets_read(path, &file, &err) || tls_trust_read(file.data, &trust, &err))
        fail_msg("%s", err.text);
    secrets_wipe(&file);
    return trust;
}

static void ask_tls(struct tls_trust *trust, const char *name, const char *target) {
    auto_free char *url = xasprintf("https://127.0.0.1:%d%s", it.port, target);
    struct auth_call call;
    auth_call_sign(&call, auth_key(it.auth, AUTH_READ), true, "GET", url, NULL, NULL, 0);
    struct http_request request = {
        .url = url, .headers = call.headers, .trust = trust, .tls_name = name, .timeout_ms = 30000};
    memset(&got, 0, sizeof got);
    http_start(it.http, &request, on_reply, NULL);
    pump(got.done);
}

static void refused(const char *why) {
    if (got.err.kind != ERR_REFUSED || !strstr(got.err.text, why))
        fail_msg("%s, not %s (%d)", got.err.text, why, got.status);
    assert_int_equal(it.infos, 0);
}

static void a_peer_of_our_ca_is_believed(void **state) {
    (void)state;
    struct tls_trust *trust = trust_of(dir);
    ask_tls(trust, CLUSTER, "/info");
    if (got.err.kind || got.status != 200)
        fail_msg("%d %s", got.status, got.err.text);
    assert_int_equal(it.infos, 1);
    ask_tls(trust, POD, "/livez"); // by the name of the pod, on the connection that is open
    assert_int_equal(got.status, 200);
    tls_trust_drop(&trust);
}

// Nothing of a request reaches who is not believed.
static void another_ca_another_name_or_an_old_one_is_not(void **state) {
    (void)state;
    struct tls_trust *trust = trust_of(dir), *stranger = trust_of(other);
    ask_tls(stranger, CLUSTER, "/info");
    refused("The certificate is NOT trusted");
    ask_tls(trust, "marathon.kafka", "/info");
    refused("its certificate is not of marathon.kafka");
    ask_tls(trust, NULL, "/info");
    refused("its certificate is not of 127.0.0.1");
    ask_tls(trust, "", "/livez"); // of whatever name
    assert_int_equal(got.status, 200);
    run("%s/tests/lib/certificates --days -1 %s %s", SOURCE_DIR, dir, CLUSTER);
    char expired[512] = "";
    for (int i = 0; i < 20 && !strstr(expired, "expired"); i++) { // until it was looked at again
        int64_t until = loop_now(it.loop) + 500;
        pump(loop_now(it.loop) > until);
        it.infos = 0;
        http_free(it.http);
        it.http = http_create(it.loop, 8, 8);
        ask_tls(trust, CLUSTER, "/info");
        snprintf(expired, sizeof expired, "%s", got.err.text);
    }
    refused("expired");
    tls_trust_drop(&trust);
    tls_trust_drop(&stranger);
}

// ---- other clients ----

// Runs a command while the control port is served.
__attribute__((format(printf, 1, 2))) static int while_serving(const char *fmt, ...) {
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    pump(waitpid(pid, &status, WNOHANG) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void tls_1_3_alone_is_spoken(void **state) {
    (void)state;
    static const char client[] = "openssl s_client -connect 127.0.0.1:%d -CAfile %s/ca.pem "
                                 "-verify_return_error -brief -%s </dev/null >/dev/null 2>&1";
    assert_int_equal(while_serving(client, it.port, dir, "tls1_3"), 0);
    assert_int_not_equal(while_serving(client, it.port, dir, "tls1_2"), 0);
    assert_int_not_equal(while_serving(client, it.port, dir, "tls1_1"), 0);
}

static void plain_http_gets_no_answer(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    pump((receive(&c), c.eof));
    assert_null(strstr(text_str(&c.got), "HTTP/1.1 200"));
    drop_client(&c);
}

static void a_new_certificate_is_shown_without_a_restart(void **state) {
    (void)state;
    static const char client[] =
        "openssl s_client -connect 127.0.0.1:%d -CAfile %s/ca.pem -verify_return_error "
        "-verify_hostname %s </dev/null >/dev/null 2>&1";
    assert_int_equal(while_serving(client, it.port, dir, CLUSTER), 0);
    assert_int_not_equal(while_serving(client, it.port, dir, "renewed"), 0);
    make_certificate(dir, CLUSTER " renewed");
    pump(while_serving(client, it.port, dir, "renewed") == 0);
}

static void what_does_not_fit_together_leaves_it_as_it_was(void **state) {
    (void)state;
    run("cp %s/tls.key %s/half.key && chmod 0400 %s/half.key && mv -f %s/half.key %s/tls.key",
        other, dir, dir, dir, dir);
    int64_t until = loop_now(it.loop) + 2500; // it was looked at
    pump(loop_now(it.loop) > until);
    struct tls_trust *trust = trust_of(dir);
    ask_tls(trust, CLUSTER, "/info");
    assert_int_equal(got.status, 200);
    tls_trust_drop(&trust);
    struct auth *auth = NULL;
    struct err err = ERR_INIT;
    char certificate[96], key[96], ca[96];
    snprintf(certificate, sizeof certificate, "%s/tls.pem", dir);
    snprintf(key, sizeof key, "%s/tls.key", dir);
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    const struct auth_files files = {.certificate = certificate, .key = key, .ca = ca};
    assert_int_equal(auth_open(it.loop, &files, CLUSTER, POD, &auth, &err), -1);
    assert_non_null(strstr(err.text, "the key is not that of the certificate"));
}

static bool has_key(const struct auth_key *key) {
    const struct auth_key *now = auth_key(it.auth, AUTH_OPERATOR);
    return now && memcmp(now, key, sizeof *now) == 0;
}

// In an order in which no look finds one that fits: the CA first.
static void a_new_token_waits_for_what_came_with_it(void **state) {
    (void)state;
    const struct auth_key old = *auth_key(it.auth, AUTH_OPERATOR);
    const struct tls_trust *trusted = auth_trust(it.auth);
    run("cp %s/ca.pem %s/whole.pem && echo none >%s/next.pem && mv -f %s/next.pem %s/ca.pem", dir,
        dir, dir, dir, dir);
    write_token(OTHER "\n");
    int64_t until = loop_now(it.loop) + 4500; // it was looked at twice
    pump(loop_now(it.loop) > until);
    assert_true(has_key(&old));
    assert_ptr_equal(auth_trust(it.auth), trusted);
    run("cat %s/whole.pem %s/ca.pem >%s/next.pem && mv -f %s/next.pem %s/ca.pem", dir, other, dir,
        dir, dir);
    pump(!has_key(&old));
    assert_ptr_not_equal(auth_trust(it.auth), trusted);
    run("mv -f %s/whole.pem %s/ca.pem", dir, dir);
}

// A request that waits over TLS, and a client that leaves meanwhile.
static void a_client_that_leaves_is_noticed(void **state) {
    (void)state;
    fake_pod_answer_all(it.pod, false);
    struct tls_trust *trust = trust_of(dir);
    auto_free char *url = xasprintf("https://127.0.0.1:%d/control/off", it.port);
    const char *headers[] = {"X-Ochopod-Target: " POD, NULL};
    struct auth_call call;
    auth_call_sign(&call, auth_key(it.auth, AUTH_OPERATOR), true, "POST", url, headers, NULL, 0);
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = call.headers,
                                   .trust = trust,
                                   .tls_name = CLUSTER,
                                   .fresh = true};
    struct http_call *flying = http_start(it.http, &request, on_reply, NULL);
    pump(fake_pod_asks(it.pod) == 1);
    http_cancel(&flying);
    pump(fake_pod_forgotten(it.pod) == 1);
    memset(&got, 0, sizeof got);
    auth_call_sign(&call, auth_key(it.auth, AUTH_OPERATOR), true, "POST", url, headers, NULL, 0);
    request.headers = call.headers;
    http_start(it.http, &request, on_reply, NULL);
    pump(fake_pod_asks(it.pod) == 1);
    fake_pod_answer(it.pod, NULL, NULL);
    pump(got.done);
    assert_int_equal(got.status, 200);
    tls_trust_drop(&trust);
}

int main(void) {
#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_tls, teardown)
    const struct CMUnitTest tests[] = {
        TLS_TEST(a_peer_of_our_ca_is_believed),
        TLS_TEST(another_ca_another_name_or_an_old_one_is_not),
        TLS_TEST(tls_1_3_alone_is_spoken),
        TLS_TEST(plain_http_gets_no_answer),
        TLS_TEST(a_new_certificate_is_shown_without_a_restart),
        TLS_TEST(what_does_not_fit_together_leaves_it_as_it_was),
        TLS_TEST(a_new_token_waits_for_what_came_with_it),
        TLS_TEST(a_client_that_leaves_is_noticed),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
