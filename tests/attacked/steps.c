#include "tests/attacked/steps.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DESCRIPTORS = 256 };

const char *const attack_step_names[STEPS] = {
    [OPENS_A_FILE] = "opens a file",
    [READS_A_SECRET] = "reads a secret",
    [READS_THE_STATE] = "reads the state",
    [READS_THE_HOSTS] = "reads the hosts",
    [WRITES_A_FILE] = "writes a file",
    [MAKES_A_DEVICE] = "makes a device",
    [UNIX_SOCKET] = "unix socket",
    [WIDE_UNIX_SOCKET] = "unix socket by a wide number",
    [TCP_SOCKET] = "tcp socket",
    [LISTENS] = "listens",
    [RAW_SOCKET] = "raw socket",
    [DATAGRAM_PAIR] = "pair of datagrams",
    [RECONNECTS_A_PAIR] = "connects a pair anew",
    [HOLDS_A_FOLDER] = "holds a folder",
    [HOLDS_THE_ENGINE] = "holds the engine's socket",
    [SIGNALS_INIT] = "signals init",
    [READS_INITS_WORDS] = "reads init's words",
    [READS_INITS_ENVIRONMENT] = "reads init's environment",
    [READS_INITS_MEMORY] = "reads init's memory",
    [TAKES_A_DESCRIPTOR] = "takes a descriptor of init",
    [MAKES_CODE] = "makes code",
    [BECOMES_ROOT] = "becomes root",
    [BECOMES_ANOTHER] = "becomes another user",
    [TAKES_A_GROUP] = "takes a group",
    [TAKES_A_CAPABILITY] = "takes a capability",
    [EXECUTES] = "executes",
    [EXECUTES_MEMORY] = "executes what it made in memory",
    [FORKS] = "forks",
    [OLD_FORKS] = "forks by an old call",
    [OLD_CALLS] = "calls as 32 bits do",
    [TRACES] = "traces",
    [READS_A_SIBLING] = "reads init",
    [MOUNTS] = "mounts",
    [MOUNTS_ANEW] = "mounts by a new call",
    [TAKES_A_TREE] = "takes a tree",
    [CHANGES_ROOT] = "changes root",
    [MAKES_A_NAMESPACE] = "makes a namespace",
    [FORKS_A_NAMESPACE] = "forks into a namespace",
    [FORKS_IT_UNSEEN] = "forks into one unseen",
    [ENTERS_A_NAMESPACE] = "enters a namespace",
    [OPENS_BY_HANDLE] = "opens by handle",
    [LOADS_A_PROGRAM] = "loads a program",
    [RINGS] = "makes a ring",
    [TAKES_A_KEY] = "takes a key",
};

const char *const attack_outcome_names[] = {
    [ATTACK_NONE] = "not tried", [ATTACK_BEGUN] = "no answer",       [ATTACK_DONE] = "done",
    [ATTACK_REFUSED] = "EPERM",  [ATTACK_OTHER] = "fails by itself", [ATTACK_ENDED] = "SIGSYS",
};

// EISCONN: a pair cannot be connected anew. ESRCH, ENOSYS: there is nothing of the kind for it.
static enum attack_outcome outcome(long rc) {
    if (rc >= 0)
        return ATTACK_DONE;
    return errno == EPERM || errno == EACCES || errno == EISCONN ? ATTACK_REFUSED : ATTACK_OTHER;
}

static enum attack_outcome listens(void) {
    const struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof any))
        return outcome(-1);
    return outcome(listen(fd, 1));
}

static enum attack_outcome reconnects(const char *name) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int pair[2];
    memcpy(to.sun_path, name, len < sizeof to.sun_path ? len : sizeof to.sun_path);
    if (*name == '@')
        *to.sun_path = '\0';
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return outcome(-1);
    return outcome(connect(pair[0], (const struct sockaddr *)&to,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)));
}

static enum attack_outcome found(bool it_is) {
    return it_is ? ATTACK_DONE : ATTACK_REFUSED;
}

static enum attack_outcome holds_a_folder(void) {
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && flags & (O_DIRECTORY | O_PATH))
            return found(true);
    }
    return found(false);
}

// A connection to a path: what connects our own processes has none.
static enum attack_outcome holds_the_engine(void) {
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        struct sockaddr_un peer = {0};
        socklen_t len = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sun_family == AF_UNIX &&
            len > offsetof(struct sockaddr_un, sun_path) && *peer.sun_path == '/')
            return found(true);
    }
    return found(false);
}

static enum attack_outcome reads_of(pid_t pid, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/%s", (int)pid, what);
    return outcome(open(name, O_RDONLY | O_CLOEXEC));
}

static enum attack_outcome takes_a_descriptor(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? outcome(fd) : outcome(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static enum attack_outcome makes_code(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    return outcome(page == MAP_FAILED ? -1 : 0);
}

static enum attack_outcome takes_a_capability(void) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct admin[2] = {
        {.effective = 1U << CAP_SYS_ADMIN, .permitted = 1U << CAP_SYS_ADMIN}};
    return outcome(syscall(SYS_capset, &head, admin));
}

static char program[] = "true", *const arguments[] = {program, NULL},
            *const no_environment[] = {NULL};

// Where no such memory can be made, or nothing read into it, the call itself is still to be tried.
static enum attack_outcome executes_memory(void) {
    int from = open("/bin/true", O_RDONLY | O_CLOEXEC);
    int fd = (int)syscall(SYS_memfd_create, program, 0);
    bool has = fd >= 0 && from >= 0 && sendfile(fd, from, NULL, 1 << 20) > 0;
    return outcome(syscall(SYS_execveat, has ? fd : AT_FDCWD, has ? "" : "/bin/true", arguments,
                           no_environment, has ? AT_EMPTY_PATH : 0));
}

static enum attack_outcome forks(long pid) {
    if (pid == 0)
        _exit(0);
    return outcome(pid);
}

static long old_fork(void) {
#ifdef SYS_fork
    return syscall(SYS_fork);
#else // nor has the processor's list of calls it
    raise(SIGSYS);
    return -1;
#endif
}

static long clone_into(uint64_t flags) {
    return syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
}

// Where there is no such call there is nothing to be had by it.
static enum attack_outcome forks_unseen(uint64_t flags) {
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    return pid < 0 && errno == ENOSYS ? ATTACK_REFUSED : forks(pid);
}

// getpid of 32 bits; where the kernel has no such calls the processor refuses.
static enum attack_outcome calls_as_32_bits_do(void) {
#ifdef __x86_64__
    long rc = 20;
    __asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
    return rc >= 0 ? ATTACK_DONE : ATTACK_REFUSED;
#else
    raise(SIGSYS);
    return ATTACK_DONE;
#endif
}

static enum attack_outcome reads_a_sibling(pid_t pid) {
    char byte;
    struct iovec ours = {&byte, 1}, theirs = {&byte, 1};
    return outcome(process_vm_readv(pid, &ours, 1, &theirs, 1, 0));
}

static enum attack_outcome enters_a_namespace(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return outcome(syscall(SYS_setns, fd, CLONE_NEWNS));
}

static enum attack_outcome opens_by_handle(void) {
    struct {
        unsigned bytes;
        int type;
        unsigned char handle[8];
    } root = {.bytes = 8, .type = 1, .handle = {2}}; // the root of many a file system
    return outcome(syscall(SYS_open_by_handle_at, AT_FDCWD, &root, O_RDONLY));
}

enum attack_outcome attack_take(enum attack_step step, const struct attack_aim *aim) {
    int pair[2];
    char ring[120] = {0};
    switch (step) {
    case OPENS_A_FILE:
        return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    case READS_A_SECRET:
        return outcome(open(aim->secret, O_RDONLY | O_CLOEXEC));
    case READS_THE_STATE:
        return outcome(open(aim->state, O_RDONLY | O_CLOEXEC));
    case READS_THE_HOSTS:
        return outcome(open("/etc/hosts", O_RDONLY | O_CLOEXEC));
    case WRITES_A_FILE:
        return outcome(open(aim->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    case MAKES_A_DEVICE:
        return outcome(
            syscall(SYS_mknodat, AT_FDCWD, "/tmp/ochopod-intruder-disk", 0060600, 0x800));
    case UNIX_SOCKET:
        return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    case WIDE_UNIX_SOCKET:
        return outcome(
            syscall(SYS_socket, UINT64_C(1) << 32 | AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    case TCP_SOCKET:
        return outcome(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    case LISTENS:
        return listens();
    case RAW_SOCKET:
        return outcome(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    case DATAGRAM_PAIR:
        return outcome(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
    case RECONNECTS_A_PAIR:
        return reconnects(aim->socket);
    case HOLDS_A_FOLDER:
        return holds_a_folder();
    case HOLDS_THE_ENGINE:
        return holds_the_engine();
    case SIGNALS_INIT:
        return outcome(kill(aim->init, SIGURG)); // which changes nothing;
    case READS_INITS_WORDS:
        return reads_of(aim->init, "cmdline");
    case READS_INITS_ENVIRONMENT:
        return reads_of(aim->init, "environ");
    case READS_INITS_MEMORY:
        return reads_of(aim->init, "mem");
    case TAKES_A_DESCRIPTOR:
        return takes_a_descriptor(aim->init);
    case MAKES_CODE:
        return makes_code();
    case BECOMES_ROOT:
        return outcome(syscall(SYS_setresuid, 0, 0, 0));
    case BECOMES_ANOTHER:
        return outcome(syscall(SYS_setresuid, 1, 1, 1));
    case TAKES_A_GROUP:
        return outcome(syscall(SYS_setgroups, 1, &(gid_t){1}));
    case TAKES_A_CAPABILITY:
        return takes_a_capability();
    case EXECUTES:
        return outcome(execve("/bin/true", arguments, no_environment));
    case EXECUTES_MEMORY:
        return executes_memory();
    case FORKS:
        return forks(fork());
    case OLD_FORKS:
        return forks(old_fork());
    case OLD_CALLS:
        return calls_as_32_bits_do();
    case TRACES:
        return outcome(syscall(SYS_ptrace, 16, aim->init, 0, 0)); // ATTACH
    case READS_A_SIBLING:
        return reads_a_sibling(aim->init);
    case MOUNTS:
        return outcome(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
    case MOUNTS_ANEW:
        return outcome(syscall(SYS_fsopen, "tmpfs", 0));
    case TAKES_A_TREE:
        return outcome(syscall(SYS_open_tree, AT_FDCWD, "/", O_CLOEXEC));
    case CHANGES_ROOT:
        return outcome(syscall(SYS_chroot, "/tmp"));
    case MAKES_A_NAMESPACE:
        return outcome(syscall(SYS_unshare, CLONE_NEWUSER));
    case FORKS_A_NAMESPACE:
        return forks(clone_into(CLONE_NEWUSER));
    case FORKS_IT_UNSEEN:
        return forks_unseen(CLONE_NEWUSER);
    case ENTERS_A_NAMESPACE:
        return enters_a_namespace(aim->init);
    case OPENS_BY_HANDLE:
        return opens_by_handle();
    case LOADS_A_PROGRAM:
        return outcome(syscall(SYS_bpf, 0, NULL, 0));
    case RINGS:
        return outcome(syscall(SYS_io_uring_setup, 1, ring));
    case TAKES_A_KEY:
        return outcome(syscall(SYS_keyctl, 0, -3, 1)); // KEYCTL_GET_KEYRING_ID, of the session
    case STEPS:
        break;
    }
    return ATTACK_OTHER;
}

enum attack_outcome attack_ended(int wait_status) {
    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS)
        return ATTACK_ENDED;
    // It has become /bin/true.
    return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 ? ATTACK_DONE : ATTACK_BEGUN;
}

bool attack_is_right(enum attack_step step, uint64_t may, enum attack_outcome got) {
    if (may & ATTACK(step)) // a connection to the engine may just be closed
        return got == ATTACK_DONE || (step == HOLDS_THE_ENGINE && got == ATTACK_REFUSED);
    return got == ATTACK_REFUSED || got == ATTACK_ENDED;
}
