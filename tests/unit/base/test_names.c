// The process that looks names up: what it answers, and what it leaves when nobody asks any more.
#include "base/names.h"
#include "base/own.h"
#include "base/text.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { DEADLINE_MS = 60000 };

static pid_t server;
static int line;

static int start(void **state) {
    (void)state;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -1;
    server = fork();
    if (server == 0) {
        close(pair[0]);
        names_serve(pair[1]);
    }
    close(pair[1]);
    line = pair[0];
    names_use(line);
    return server < 0;
}

static int stop(void **state) {
    (void)state;
    int status;
    close(line);
    names_use(-1);
    return waitpid(server, &status, 0) != server || status != 0;
}

// Children of the server, ended or not.
static int children(void) {
    auto_free char *path = NULL;
    assert_true(asprintf(&path, "/proc/%d/task/%d/children", server, server) > 0);
    auto_file FILE *f = fopen(path, "re");
    assert_non_null(f);
    int n = 0, pid;
    while (fscanf(f, "%d", &pid) == 1)
        n++;
    return n;
}

static void a_literal_is_its_own_name(void **state) {
    (void)state;
    char **found = names_find("10.1.2.3");
    assert_int_equal(text_list_len(found), 1);
    assert_string_equal(found[0], "10.1.2.3");
    text_list_free(found);
    assert_null(names_find(""));
}

static void who_has_answered_is_no_zombie(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) // more than may run at once
        text_list_free(names_find("10.1.2.3"));
    for (int ms = 0; children() && ms < DEADLINE_MS; ms += 5)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(children(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_literal_is_its_own_name, start, stop),
        cmocka_unit_test_setup_teardown(who_has_answered_is_no_zombie, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
