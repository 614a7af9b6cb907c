// How long a signature is compared says nothing of where it differs: a child is stepped through the
// comparison instruction by instruction, and they are counted.
#include "sidecar/auth/signature.h"
#include "sidecar/portal/signature.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef bool compare_fn(const char *s);

static struct auth_key key;
static struct auth_text text = {
    .method = "GET", .target = "/info", .body = "b", .time = "1700000000", .nonce = "0123456789"};
static struct auth_reply_text reply = {.status = 200, .body = "b", .pod = "p", .nonce = "n"};

static bool of_a_request(const char *s) {
    return auth_matches(&key, &text, s);
}

static bool of_a_reply(const char *s) {
    return auth_reply_matches(&key, &reply, s);
}

static bool of_the_portal(const char *s) {
    return signature_matches("token", "line", s);
}

static char early[AUTH_SIGNATURE_LEN + 1];

// As nobody should.
static bool that_ends_early(const char *s) {
    for (const volatile char *a = early, *b = s; *a || *b; a++, b++)
        if (*a != *b)
            return false;
    return true;
}

static void child(compare_fn *compare, const char *s) {
    bool same = compare(s); // what is looked up or initialised at a first call is
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    same = compare(s) && same;
    raise(SIGSTOP);
    _exit(same);
}

// Instructions between the two stops; *same: what it answered.
static long count(compare_fn *compare, const char *s, bool *same) {
    long n = 0;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        child(compare, s);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    do {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        n++;
    } while (WSTOPSIG(status) != SIGSTOP);
    assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    *same = WEXITSTATUS(status);
    return n;
}

static char said[AUTH_SIGNATURE_LEN + 1]; // at one address: what reads a text looks where it lies

static long differing_at(compare_fn *compare, const char *right, size_t at) {
    bool same;
    strcpy(said, right);
    said[at] = said[at] == '0' ? '1' : '0';
    long n = count(compare, said, &same);
    assert_false(same);
    return n;
}

static void takes_as_long_wherever_it_differs(compare_fn *compare, const char *right) {
    size_t len = strlen(right);
    long first = differing_at(compare, right, 0);
    assert_true(first > (long)len);
    for (size_t at = 1; at < len; at += 9)
        assert_int_equal(differing_at(compare, right, at), first);
    assert_int_equal(differing_at(compare, right, len - 1), first);
    bool same;
    memset(said, '-', len);
    assert_int_equal(count(compare, said, &same), first);
    assert_false(same);
    strcpy(said, right);
    count(compare, said, &same);
    assert_true(same);
    print_message("%ld instructions wherever it differs\n", first);
}

static void a_requests_takes_as_long_wherever_it_differs(void **state) {
    (void)state;
    char right[AUTH_SIGNATURE_LEN + 1];
    auth_sign(&key, &text, right);
    takes_as_long_wherever_it_differs(of_a_request, right);
}

static void a_replys_takes_as_long_wherever_it_differs(void **state) {
    (void)state;
    char right[AUTH_SIGNATURE_LEN + 1];
    auth_reply_sign(&key, &reply, right);
    takes_as_long_wherever_it_differs(of_a_reply, right);
}

static void the_portals_takes_as_long_wherever_it_differs(void **state) {
    (void)state;
    char right[SIGNATURE_LEN + 1];
    signature_make("token", "line", right);
    takes_as_long_wherever_it_differs(of_the_portal, right);
}

static void one_that_ends_early_is_seen(void **state) {
    (void)state;
    auth_sign(&key, &text, early);
    long first = differing_at(that_ends_early, early, 0);
    assert_true(differing_at(that_ends_early, early, 1) > first);
    assert_true(differing_at(that_ends_early, early, AUTH_SIGNATURE_LEN - 1) > first + 60);
}

int main(void) {
    auth_derive("correct horse battery staple", AUTH_PEER, "marathon.it", &key);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_requests_takes_as_long_wherever_it_differs),
        cmocka_unit_test(a_replys_takes_as_long_wherever_it_differs),
        cmocka_unit_test(the_portals_takes_as_long_wherever_it_differs),
        cmocka_unit_test(one_that_ends_early_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
