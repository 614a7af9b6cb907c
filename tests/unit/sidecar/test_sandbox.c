// Each case runs in a child: a filter cannot be taken off again.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "sidecar/sandbox.h"
#include "tests/attacked/steps.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *status_file; // opened before: in there nothing is opened

static int within(enum sandbox which, int (*fn)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        status_file = fopen("/proc/self/status", "re");
        struct err err = ERR_INIT;
        if (sandbox_drop(&err) || sandbox_filter(which, &err)) {
            fprintf(stderr, "%s\n", err.text);
            _exit(99);
        }
        _exit(fn());
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int in_sandbox(int (*fn)(void)) {
    return within(SANDBOX_WORKER, fn);
}

static int no_capability_is_left(void) {
    FILE *f = status_file;
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

// The watchdog's end: SIGABRT, not SIGSYS and not an exit.
static int aborts(void) {
    abort();
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

// The kernel reads 32 bits of a family.
static int asks_for_wide_numbers(void) {
    static const uint64_t upper[] = {0, 1, 1U << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof upper / sizeof *upper; i++)
        if (syscall(SYS_socket, upper[i] << 32 | AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM)
            return 1 + (int)i;
    return 0;
}

static void no_wide_number_is_a_unix_socket(void **state) {
    (void)state;
    for (enum sandbox which = 0; which < SANDBOX_SETTLED; which++) {
        bool makes_them = which == SANDBOX_BROKER || which == SANDBOX_BROKER_START ||
                          which == SANDBOX_BROKER_TCP;
        assert_int_equal(within(which, asks_for_wide_numbers), makes_them ? 1 : 0);
    }
    assert_int_equal(within(SANDBOX_PORTAL, works), 0);
}

static void *sleeps(void *arg) {
    for (;;)
        pause();
    return arg;
}

// Not of one thread alone: what is left of the process would be nobody's.
static void a_call_of_32_bits_ends_all_threads(void **state) {
    (void)state;
    int status = 0;
    pid_t pid = fork(), got = 0;
    if (pid == 0) {
        pthread_t thread;
        struct err err = ERR_INIT;
        if (pthread_create(&thread, NULL, sleeps, NULL) || sandbox_drop(&err) ||
            sandbox_filter(SANDBOX_WORKER, &err))
            _exit(99);
        attack_take(OLD_CALLS, NULL);
        _exit(1);
    }
    for (int ms = 0; ms < 60000 && got == 0; ms += 10) {
        got = waitpid(pid, &status, WNOHANG);
        usleep(10000);
    }
    if (got == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    assert_int_equal(got, pid);
    assert_int_equal(attack_ended(status), ATTACK_ENDED);
}

static void threads_and_sockets_go_on(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(works), 0);
}

static void it_may_still_abort(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(aborts), 128 + SIGABRT);
}

// ---- forks ----

static unsigned long namespace; // of the child that is asked for

static int forks_into_it(void) {
    if (syscall(SYS_clone, namespace | SIGCHLD, NULL, NULL, NULL, 0) == 0)
        _exit(0);
    return 1;
}

// As a thread: what the worker may.
static int has_a_thread_in_it(void) {
    (void)syscall(SYS_clone, namespace | CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL, NULL, NULL,
                  0);
    return 1;
}

static int asks_clone3(void) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    return pid < 0 && errno == ENOSYS ? 0 : 1;
}

static void no_child_gets_a_namespace(void **state) {
    static const unsigned long all[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                        CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    (void)state;
    for (enum sandbox which = 0; which < SANDBOX_SETTLED; which++) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            namespace = all[i];
            assert_int_equal(within(which, forks_into_it), 128 + SIGSYS);
            assert_int_equal(within(which, has_a_thread_in_it), 128 + SIGSYS);
        }
        assert_int_equal(within(which, asks_clone3), 0);
    }
}

static int forks_as_before(void) {
    int status = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

// What libc does by clone3 where it can: threads, and children that share our memory at first.
static int works_as_before(void) {
    char name[] = "true", *argv[] = {name, NULL}, *none[] = {NULL};
    pthread_t thread;
    pid_t pid;
    int status = 1;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        return 1;
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, none) || waitpid(pid, &status, 0) != pid)
        return 2;
    return status ? 3 : forks_as_before();
}

static void who_may_fork_still_does(void **state) {
    (void)state;
    assert_int_equal(within(SANDBOX_NAMES, forks_as_before), 0);
    assert_int_equal(within(SANDBOX_RUNNER, works_as_before), 0);
    assert_int_equal(within(SANDBOX_PORTAL, works_as_before), 0);
}

// ---- memory ----

static int has_its_share_and_no_more(void) {
    volatile char *half = malloc(SANDBOX_MEMORY / 2);
    void *too_much = malloc(SANDBOX_MEMORY);
    return half && !too_much ? 0 : 1;
}

static int cannot_get_it_back(void) {
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_DATA, &all) ? 0 : 1;
}

static int asks_for_too_much(void) {
    free(xcalloc(1, SANDBOX_MEMORY));
    return 1;
}

// Answers the status, and what was said.
static int within_memory(int (*fn)(void), char *ret_said, size_t size) {
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = ERR_INIT;
        dup2(ends[1], STDERR_FILENO);
        if (sandbox_memory(&err) || sandbox_drop(&err))
            _exit(99);
        _exit(fn());
    }
    close(ends[1]);
    ssize_t n = read(ends[0], ret_said, size - 1);
    ret_said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void memory_beyond_its_share_is_refused(void **state) {
    char said[256];
    (void)state;
    if (SANDBOX_SHADOWED)
        return; // of a sanitizer's process nothing is limited
    assert_int_equal(within_memory(has_its_share_and_no_more, said, sizeof said), 0);
    assert_int_equal(within_memory(cannot_get_it_back, said, sizeof said), 0);
    assert_int_equal(within_memory(asks_for_too_much, said, sizeof said), 128 + SIGABRT);
    assert_string_equal(said, "out of memory: xcalloc\n");
}

// ---- an intruder in each of our processes ----

// Somebody who would take the connection. Named in main: the same test may run beside us.
static char engine[64];
static struct attack_aim aim = {.file = "/tmp/ochopod-intruder",
                                .secret = "/tmp/ochopod-secret",
                                .state = "/tmp/ochopod-state",
                                .socket = engine};

// As the product enters it: in this order.
struct process {
    const char *name;
    enum sandbox filters[3];
    size_t filters_len;
    bool reads, writes; // of files
    bool is_root;       // it never leaves
    uint64_t may;       // steps that are its business
};
static const struct process processes[] = {
    {"worker at its start",
     {SANDBOX_WORKER_START},
     1,
     true,
     true,
     false,
     ATTACK_SEES | ATTACK(WRITES_A_FILE) | ATTACK(TCP_SOCKET) | ATTACK(LISTENS)},
    {"worker", {SANDBOX_WORKER_START, SANDBOX_WORKER}, 2, false, false, false, ATTACK_WORKER},
    {"broker at its start",
     {SANDBOX_BROKER_START},
     1,
     true,
     true,
     false,
     ATTACK_SEES | ATTACK(WRITES_A_FILE) | ATTACK(UNIX_SOCKET)},
    {"broker", {SANDBOX_BROKER_START, SANDBOX_BROKER}, 2, false, false, false, ATTACK_BROKER},
    {"broker outside a container",
     {SANDBOX_BROKER_START, SANDBOX_BROKER_START, SANDBOX_SETTLED},
     3,
     true,
     true,
     true,
     ATTACK_SEES | ATTACK(WRITES_A_FILE) | ATTACK(UNIX_SOCKET)},
    {"broker over TCP",
     {SANDBOX_BROKER_TCP, SANDBOX_BROKER_TCP, SANDBOX_SETTLED},
     3,
     true,
     false,
     false,
     (ATTACK_SEES & ~ATTACK(READS_A_SECRET)) | ATTACK(UNIX_SOCKET) | ATTACK(TCP_SOCKET)},
    {"names", {SANDBOX_NAMES}, 1, true, false, false, ATTACK_NAMES},
    {"a job of the runner", {SANDBOX_RUNNER, SANDBOX_JOB}, 2, true, false, true, ATTACK_JOB},
    {"a hook", {SANDBOX_RUNNER}, 1, true, true, true, ATTACK_RUNNER},
    {"a command of the portal", {SANDBOX_PORTAL}, 1, true, true, true, ATTACK_PORTAL},
};

static int enter(const struct process *p) {
    static const char *const everything[] = {"/", NULL};
    bool is_names = p->filters[0] == SANDBOX_NAMES;
    const char *const *read = is_names ? sandbox_resolver : p->reads ? everything : NULL;
    const struct sandbox_user user = {.leaves = !p->is_root, .group = SANDBOX_USER};
    struct err err = ERR_INIT;
    if (sandbox_drop_until(&user, &err))
        return -1;
    for (size_t i = 0; i < p->filters_len; i++) {
        bool last = i + 1 == p->filters_len;
        // Where there is one filter alone, as with names, it is changed before, or never.
        if ((p->filters_len > 1 ? i == 1 : is_names) && sandbox_become(&user, &err))
            return -1;
        if (last && !(p->reads && p->writes) && sandbox_files(read, NULL, &err) < 0)
            return -1;
        if (sandbox_filter(p->filters[i], &err))
            return -1;
    }
    return 0;
}

static enum attack_outcome intrude(const struct process *p, enum attack_step step) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (enter(p))
            _exit(99);
        _exit(10 + (int)attack_take(step, &aim));
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) > 10
               ? (enum attack_outcome)(WEXITSTATUS(status) - 10)
               : attack_ended(status);
}

static void an_intruder_gets_nowhere(void **state) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)state;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int secret = open(aim.secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    int of_all = open(aim.state, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    assert_true(secret >= 0 && of_all >= 0);
    memcpy(sa.sun_path + 1, engine + 1, strlen(engine + 1));
    assert_int_equal(bind(listener, (const struct sockaddr *)&sa,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(engine))),
                     0);
    assert_int_equal(listen(listener, 8), 0);
    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++)
        for (enum attack_step step = 0; step < STEPS; step++) {
            const struct process *p = &processes[i];
            enum attack_outcome got = intrude(p, step);
            if (!attack_is_right(step, p->may, got))
                fail_msg("%s %s: %s", p->name, attack_step_names[step], attack_outcome_names[got]);
        }
    close(listener);
    close(secret);
    close(of_all);
    unlink(aim.secret);
    unlink(aim.state);
    unlink(aim.file);
}

static void lists_are_short(void **state) {
    (void)state;
    printf("system calls: worker %zu, broker %zu, names %zu, job %zu\n",
           sandbox_size(SANDBOX_WORKER), sandbox_size(SANDBOX_BROKER), sandbox_size(SANDBOX_NAMES),
           sandbox_size(SANDBOX_JOB));
    assert_true(sandbox_size(SANDBOX_WORKER) <= 75);
    assert_true(sandbox_size(SANDBOX_BROKER) <= 60);
    assert_true(sandbox_size(SANDBOX_NAMES) <= 89); // 75 is the aim; at least they do not grow
    assert_true(sandbox_size(SANDBOX_JOB) <= 97);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_gone),
        cmocka_unit_test(an_intruders_call_ends_the_process),
        cmocka_unit_test(an_unexpected_call_is_refused),
        cmocka_unit_test(no_wide_number_is_a_unix_socket),
        cmocka_unit_test(a_call_of_32_bits_ends_all_threads),
        cmocka_unit_test(threads_and_sockets_go_on),
        cmocka_unit_test(it_may_still_abort),
        cmocka_unit_test(no_child_gets_a_namespace),
        cmocka_unit_test(who_may_fork_still_does),
        cmocka_unit_test(memory_beyond_its_share_is_refused),
        cmocka_unit_test(an_intruder_gets_nowhere),
        cmocka_unit_test(lists_are_short),
    };
    snprintf(engine, sizeof engine, "@ochopod-test-sandbox-%d", getpid());
    aim.init = getpid();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
