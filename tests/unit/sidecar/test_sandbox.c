// Each case runs in a child: a filter cannot be taken off again.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "sidecar/sandbox.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int in_sandbox(int (*fn)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = ERR_INIT;
        if (sandbox_drop(&err) || sandbox_filter(&err)) {
            fprintf(stderr, "%s\n", err.text);
            _exit(99);
        }
        _exit(fn());
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int no_capability_is_left(void) {
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long value;
    int seen = 0;
    while (f && fgets(line, sizeof line, f))
        if ((sscanf(line, "CapEff: %llx", &value) == 1 ||
             sscanf(line, "CapPrm: %llx", &value) == 1 ||
             sscanf(line, "CapBnd: %llx", &value) == 1 ||
             sscanf(line, "CapInh: %llx", &value) == 1)) {
            if (value)
                return 1;
            seen++;
        }
    return seen == 4 ? 0 : 2;
}

static int executes(void) {
    char name[] = "true", *argv[] = {name, NULL};
    execve("/bin/true", argv, NULL);
    return 1;
}

static int traces(void) {
    syscall(SYS_ptrace, 0, 0, 0, 0);
    return 1;
}

static int opens_a_packet_socket(void) {
    return socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int becomes_two(void) {
    return fork() < 0 && errno == EPERM ? 0 : 1;
}

static void *nothing(void *arg) {
    return arg;
}

static int works(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        return 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || close(fd))
        return 2;
    return 0;
}

static void capabilities_are_gone(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(no_capability_is_left), 0);
}

static void an_intruders_call_ends_the_process(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(executes), 128 + SIGSYS);
    assert_int_equal(in_sandbox(traces), 128 + SIGSYS);
}

static void an_unexpected_call_is_refused(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(opens_a_packet_socket), 0);
    assert_int_equal(in_sandbox(becomes_two), 0);
}

static void threads_and_sockets_go_on(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(works), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_gone),
        cmocka_unit_test(an_intruders_call_ends_the_process),
        cmocka_unit_test(an_unexpected_call_is_refused),
        cmocka_unit_test(threads_and_sockets_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
