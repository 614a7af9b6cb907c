// ocho before a control port that wants signatures.
#include "tests/unit/cli/program.h"
#include "tests/unit/cli/stub.h"
#include "tests/unit/sidecar/control/token_file.h"

static int setup_signed(void **state) {
    int rc = setup_token(state);
    setenv("OCHOPOD_TOKEN_FILE", token_file, 1);
    it.cluster = json_pack("{s:s, s:{s:{s:s, s:s, s:i, s:s, s:b, s:{s:i}}}, s:{}}", "tree", "t",
                           "pods", POD, "ip", "127.0.0.1", "port", "8080", "seq", 3, "sidecar", "1",
                           "signed", 1, "ports", "8080", it.port, "snapshot");
    return rc;
}

static void is(const struct said *said, int status, const char *out, const char *err) {
    if (said->status != status || !strstr(said->out, out) || !strstr(said->err, err))
        fail_msg("%d, out: %s err: %s", said->status, said->out, said->err);
}

static void ocho_signs_what_it_asks(void **state) {
    (void)state;
    struct said said = ocho("info --url http://127.0.0.1:PORT");
    is(&said, 0, "marathon.zk #3", "");
    said = ocho("log --url http://127.0.0.1:PORT");
    is(&said, 0, "", "");
    said = ocho("off zk -i 3 --url http://127.0.0.1:PORT");
    is(&said, 0, "marathon.zk #3", "");
    assert_int_equal(fake_pod_seen(it.pod), 1);
    said = ocho("exec zk -i 3 --url http://127.0.0.1:PORT backup --all");
    is(&said, 1, "", "neither code nor stdout"); // the fake's answer
    assert_int_equal(fake_pod_seen(it.pod), 2);
    said = ocho("reset zk -i 3 --url http://127.0.0.1:PORT --session");
    is(&said, 0, "", "");
    assert_int_equal(it.resets, 1);
}

static void without_a_token_it_is_not_let_in(void **state) {
    (void)state;
    unsetenv("OCHOPOD_TOKEN_FILE");
    struct said said = ocho("info --url http://127.0.0.1:PORT");
    is(&said, 1, "", "/cluster answered 401: not signed");
    assert_non_null(strstr(said.err, "; OCHOPOD_TOKEN_FILE names the file"));
}

static void with_another_token_it_is_not_let_in(void **state) {
    (void)state;
    auto_free char *path = xasprintf("%s.other", token_file);
    auto_file FILE *f = fopen(path, "w");
    assert_true(f && fputs(OTHER, f) >= 0 && fflush(f) == 0);
    setenv("OCHOPOD_TOKEN_FILE", path, 1);
    struct said said = ocho("info --url http://127.0.0.1:PORT");
    is(&said, 1, "", "/cluster answered 401: X-Signature is not right");
    assert_null(strstr(said.err, "OCHOPOD_TOKEN_FILE"));
    unlink(path);
    setenv("OCHOPOD_TOKEN_FILE", "/nonexistent", 1);
    said = ocho("info --url http://127.0.0.1:PORT");
    is(&said, 2, "", "OCHOPOD_TOKEN_FILE: cannot read /nonexistent");
}

static const char *stranger(const char *request, int n) {
    (void)request;
    return n ? "HTTP/1.1 200 OK\r\nContent-Length: "
               "34\r\n\r\n{\"cluster\":\"marathon.zk\",\"pods\":{}}"
             : "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n"
               "WWW-Authenticate: Ochopod-v2 cluster=\"marathon.zk\", pod=\"uuid-own\"\r\n\r\n{}";
}

static void a_stranger_is_not_believed(void **state) {
    (void)state;
    auto_free char *line = xasprintf("ls --url http://127.0.0.1:%d", stub_start(stranger));
    struct said said = ocho(line);
    is(&said, 3, "", "/cluster is not signed with our token");
    stub_end_all();
}

// What `ocho sign` prints is what curl sends.
static void sign_prints_headers(void **state) {
    (void)state;
    struct said said = ocho("sign POST http://127.0.0.1:PORT/control/off/9");
    is(&said, 0, "X-Signature: v2=", "");
    auto_text struct text head = {0};
    text_add(&head, "POST /control/off/9");
    for (char *line = strtok(said.out, "\n"); line; line = strtok(NULL, "\n"))
        text_addf(&head, "\r\n%s", line);
    assert_int_equal(ask_body(head.s, "", 0).status, 200);
    assert_int_equal(ask_body(head.s, "", 0).status, 401);
    assert_int_equal(fake_pod_seen(it.pod), 1);
}

int main(void) {
#define SIGNED_TEST(f) cmocka_unit_test_setup_teardown(f, setup_signed, teardown)
    const struct CMUnitTest tests[] = {
        SIGNED_TEST(ocho_signs_what_it_asks),
        SIGNED_TEST(without_a_token_it_is_not_let_in),
        SIGNED_TEST(with_another_token_it_is_not_let_in),
        SIGNED_TEST(a_stranger_is_not_believed),
        SIGNED_TEST(sign_prints_headers),
    };
    return cmocka_run_group_tests(tests, prepare_token, finish_token);
}
