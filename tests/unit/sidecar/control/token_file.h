// A token in a file, for tests whose control port has one: prepare_token and finish_token are the
// group's, write_token changes it as an administrator would.
#pragma once
#include "tests/unit/sidecar/control/harness.h"
#include <sys/stat.h>

#define POD     "uuid-own"
#define CLUSTER "marathon.zk"
#define TOKEN   "correct horse battery staple"
#define OTHER   "another token than the right one"

static char token_file[64];

static void write_token(const char *text) {
    auto_free char *next = xasprintf("%s.next", token_file);
    FILE *f = fopen(next, "w");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(next, 0400) == 0);
    assert_int_equal(rename(next, token_file), 0);
}

static struct auth *auth_of_token_file(struct loop *loop) {
    struct auth *auth = NULL;
    struct err err = ERR_INIT;
    if (auth_open(loop, &(struct auth_files){.token = token_file}, CLUSTER, POD, &auth, &err))
        fail_msg("%s", err.text);
    return auth;
}

static int prepare_token(void **state) {
    (void)state;
    strcpy(token_file, "/tmp/ochopod-token-XXXXXX");
    int fd = mkstemp(token_file);
    assert_true(fd >= 0);
    close(fd);
    make_auth = auth_of_token_file;
    return 0;
}

static int finish_token(void **state) {
    (void)state;
    return unlink(token_file);
}

UNUSED static int setup_token(void **state) {
    write_token(TOKEN "\n");
    int rc = setup(state);
    fake_pod_answer_all(it.pod, true);
    fake_pod_is(it.pod, "running", true);
    return rc;
}
