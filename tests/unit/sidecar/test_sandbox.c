// Each case runs in a child: a filter cannot be taken off again.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "sidecar/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
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

static int in_sandbox(int (*fn)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        status_file = fopen("/proc/self/status", "re");
        struct err err = ERR_INIT;
        if (sandbox_drop(&err) || sandbox_filter(SANDBOX_WORKER, &err)) {
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

static void threads_and_sockets_go_on(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(works), 0);
}

static void it_may_still_abort(void **state) {
    (void)state;
    assert_int_equal(in_sandbox(aborts), 128 + SIGABRT);
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

enum step {
    OPENS_A_FILE,
    WRITES_A_FILE,
    UNIX_SOCKET,
    TCP_SOCKET,
    LISTENS,
    RAW_SOCKET,
    DATAGRAM_PAIR,
    RECONNECTS_A_PAIR,
    EXECUTES,
    FORKS,
    TRACES,
    READS_A_SIBLING,
    MAKES_CODE,
    MOUNTS,
    MAKES_A_NAMESPACE,
    LOADS_A_PROGRAM, // bpf
    BECOMES_ROOT,
    BECOMES_ANOTHER,
    TAKES_A_GROUP,
    STEPS
};
static const char *const step_names[STEPS] = {"opens a file",
                                              "writes a file",
                                              "unix socket",
                                              "tcp socket",
                                              "listens",
                                              "raw socket",
                                              "pair of datagrams",
                                              "connects a pair anew",
                                              "executes",
                                              "forks",
                                              "traces",
                                              "reads a sibling",
                                              "makes code",
                                              "mounts",
                                              "makes a namespace",
                                              "loads a program",
                                              "becomes root",
                                              "becomes another user",
                                              "takes a group"};

// 0: done. EPERM or EACCES: refused.
static int outcome(long rc) {
    return rc >= 0 ? 0 : errno;
}

static int listens(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in any = {.sin_family = AF_INET};
    if (fd < 0)
        return errno;
    if (bind(fd, (const struct sockaddr *)&any, sizeof any) < 0)
        return errno;
    return outcome(listen(fd, 1));
}

// Somebody who would take the connection. Named in main: the same test may run beside us.
static struct sockaddr_un engine = {.sun_family = AF_UNIX};

static int reconnects(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return errno;
    return outcome(connect(pair[0], (const struct sockaddr *)&engine, sizeof engine));
}

static int makes_code(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    return page == MAP_FAILED ? errno : 0;
}

static int take_step(enum step step) {
    int pair[2];
    char name[] = "true", *argv[] = {name, NULL}, byte;
    struct iovec ours = {&byte, 1}, theirs = {&byte, 1};
    switch (step) {
    case OPENS_A_FILE:
        return outcome(open("/etc/passwd", O_RDONLY));
    case WRITES_A_FILE:
        return outcome(open("/tmp/ochopod-intruder", O_WRONLY | O_CREAT, 0600));
    case UNIX_SOCKET:
        return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
    case TCP_SOCKET:
        return outcome(socket(AF_INET, SOCK_STREAM, 0));
    case LISTENS:
        return listens();
    case RAW_SOCKET:
        return outcome(socket(AF_PACKET, SOCK_RAW, 0));
    case DATAGRAM_PAIR:
        return outcome(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    case RECONNECTS_A_PAIR:
        return reconnects();
    case EXECUTES:
        return outcome(execve("/bin/true", argv, NULL));
    case FORKS:
        return outcome(fork());
    case TRACES:
        return outcome(syscall(SYS_ptrace, 16, getppid(), 0, 0)); // ATTACH
    case READS_A_SIBLING:
        return outcome(process_vm_readv(getppid(), &ours, 1, &theirs, 1, 0));
    case MAKES_CODE:
        return makes_code();
    case MOUNTS:
        return outcome(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
    case MAKES_A_NAMESPACE:
        return outcome(syscall(SYS_unshare, 0x10000000)); // CLONE_NEWUSER
    case LOADS_A_PROGRAM:
        return outcome(syscall(SYS_bpf, 0, NULL, 0));
    case BECOMES_ROOT:
        return outcome(syscall(SYS_setresuid, 0, 0, 0));
    case BECOMES_ANOTHER:
        return outcome(syscall(SYS_setresuid, 1, 1, 1));
    case TAKES_A_GROUP:
        return outcome(syscall(SYS_setgroups, 1, &(gid_t){1}));
    case STEPS:
        break;
    }
    return 0;
}

// As the product enters it: in this order.
struct process {
    const char *name;
    enum sandbox filters[3];
    size_t filters_len;
    bool reads, writes; // of files
    bool is_root;       // it never leaves
    unsigned may;       // steps that are its business
};
#define BIT(step) (1U << (step))
static const struct process processes[] = {
    {"worker at its start",
     {SANDBOX_WORKER_START},
     1,
     true,
     true,
     false,
     BIT(OPENS_A_FILE) | BIT(WRITES_A_FILE) | BIT(TCP_SOCKET) | BIT(LISTENS)},
    {"worker", {SANDBOX_WORKER_START, SANDBOX_WORKER}, 2, false, false, false, BIT(TCP_SOCKET)},
    {"broker at its start",
     {SANDBOX_BROKER_START},
     1,
     true,
     true,
     false,
     BIT(OPENS_A_FILE) | BIT(WRITES_A_FILE) | BIT(UNIX_SOCKET)},
    {"broker", {SANDBOX_BROKER_START, SANDBOX_BROKER}, 2, false, false, false, BIT(UNIX_SOCKET)},
    {"broker outside a container",
     {SANDBOX_BROKER_START, SANDBOX_BROKER_START, SANDBOX_SETTLED},
     3,
     true,
     true,
     true,
     BIT(OPENS_A_FILE) | BIT(WRITES_A_FILE) | BIT(UNIX_SOCKET)},
    {"broker over TCP",
     {SANDBOX_BROKER_TCP, SANDBOX_BROKER_TCP, SANDBOX_SETTLED},
     3,
     true,
     false,
     false,
     BIT(OPENS_A_FILE) | BIT(UNIX_SOCKET) | BIT(TCP_SOCKET)},
    {"names",
     {SANDBOX_NAMES},
     1,
     true,
     false,
     false,
     BIT(OPENS_A_FILE) | BIT(TCP_SOCKET) | BIT(FORKS)},
    {"a job of the runner", {SANDBOX_RUNNER, SANDBOX_JOB}, 2, true, false, true, BIT(OPENS_A_FILE)},
    {"a hook",
     {SANDBOX_RUNNER},
     1,
     true,
     true,
     true,
     BIT(OPENS_A_FILE) | BIT(WRITES_A_FILE) | BIT(EXECUTES) | BIT(FORKS) | BIT(MAKES_CODE) |
         BIT(DATAGRAM_PAIR) | BIT(BECOMES_ROOT)},
    {"a command of the portal",
     {SANDBOX_PORTAL},
     1,
     true,
     true,
     true,
     BIT(OPENS_A_FILE) | BIT(WRITES_A_FILE) | BIT(EXECUTES) | BIT(FORKS) | BIT(MAKES_CODE) |
         BIT(DATAGRAM_PAIR) | BIT(TCP_SOCKET) | BIT(LISTENS) | BIT(BECOMES_ROOT)},
};

static int enter(const struct process *p) {
    static const char *const everything[] = {"/", NULL};
    const struct sandbox_user user = {.leaves = !p->is_root, .group = SANDBOX_USER};
    struct err err = ERR_INIT;
    if (sandbox_drop_until(&user, &err))
        return -1;
    for (size_t i = 0; i < p->filters_len; i++) {
        bool last = i + 1 == p->filters_len;
        // Where there is one filter alone, as with names, it is changed before, or never.
        if ((p->filters_len > 1 ? i == 1 : p->filters[0] == SANDBOX_NAMES) &&
            sandbox_become(&user, &err))
            return -1;
        if (last && !(p->reads && p->writes) &&
            sandbox_files(p->reads ? everything : NULL, NULL, &err) < 0)
            return -1;
        if (sandbox_filter(p->filters[i], &err))
            return -1;
    }
    return 0;
}

static int intrude(const struct process *p, enum step step) {
    pid_t pid = fork();
    if (pid == 0) {
        if (enter(p))
            _exit(99);
        int why = take_step(step);
        _exit(why == EPERM || why == EACCES || why == EISCONN ? 1 : why ? 2 : 0);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void an_intruder_gets_nowhere(void **state) {
    (void)state;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&engine, sizeof engine), 0);
    assert_int_equal(listen(listener, 8), 0);
    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++)
        for (enum step step = 0; step < STEPS; step++) {
            const struct process *p = &processes[i];
            int got = intrude(p, step);
            bool may = p->may & BIT(step);
            // A pair is refused where there are none, and cannot be connected where there are.
            bool held = got == 1 || got == 128 + SIGSYS;
            if (may ? got != 0 : !held)
                fail_msg("%s %s: %d", p->name, step_names[step], got);
        }
    close(listener);
    unlink("/tmp/ochopod-intruder");
}

static void lists_are_short(void **state) {
    (void)state;
    printf("system calls: worker %zu, broker %zu, names %zu, job %zu\n",
           sandbox_size(SANDBOX_WORKER), sandbox_size(SANDBOX_BROKER), sandbox_size(SANDBOX_NAMES),
           sandbox_size(SANDBOX_JOB));
    assert_true(sandbox_size(SANDBOX_WORKER) <= 75);
    assert_true(sandbox_size(SANDBOX_BROKER) <= 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_gone),
        cmocka_unit_test(an_intruders_call_ends_the_process),
        cmocka_unit_test(an_unexpected_call_is_refused),
        cmocka_unit_test(threads_and_sockets_go_on),
        cmocka_unit_test(it_may_still_abort),
        cmocka_unit_test(memory_beyond_its_share_is_refused),
        cmocka_unit_test(an_intruder_gets_nowhere),
        cmocka_unit_test(lists_are_short),
    };
    snprintf(engine.sun_path + 1, sizeof engine.sun_path - 1, "ochopod-test-sandbox-%d", getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
