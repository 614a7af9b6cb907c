#include "sidecar/sandbox.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// What the worker calls once all stations stand: the loop, libcurl, libmicrohttpd, the ZooKeeper
// client, malloc, threads, name resolution, the state directory. Begun from what a prototype
// was seen to call; strace of a worker through rounds, resets, tools, a killed workload and a stop
// showed nothing refused.
static const char *const allowed[] = {
    // waiting and clocks
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "epoll_create1",
    "poll",
    "ppoll",
    "eventfd2",
    "futex",
    "clock_gettime",
    "timerfd_create",
    "timerfd_settime",
    "clock_nanosleep",
    "nanosleep",
    "restart_syscall",
    "sched_yield",
    "sched_getaffinity",
    // network
    "bind",
    "listen",
    "accept",
    "accept4",
    "connect",
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    // descriptors and files
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "close",
    "fcntl",
    "dup",
    "pipe2",
    "lseek",
    "openat",
    "newfstatat",
    "fstat",
    "statx",
    "getcwd",
    "getdents64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "renameat",
    "renameat2",
    "rename",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "flock",
    // memory and threads
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "rseq",
    "set_robust_list",
    "exit",
    "exit_group",
    "gettid",
    "getpid",
    "getuid",
    "geteuid",
    "uname",
    "sysinfo",
    "getrandom",
    "wait4",
    // signals
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "tgkill",
    "sigaltstack",
};

// What only somebody who has taken over the process would call: no polite refusal.
static const char *const deadly[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "bpf",
    "perf_event_open",
    "init_module",
    "finit_module",
    "kexec_load",
    "keyctl",
    "add_key",
    "request_key",
    "userfaultfd",
    "io_uring_setup",
    "open_by_handle_at",
    "personality",
    "fork",
    "vfork",
};

static int drop_capabilities(struct err *err) {
    // The bounding set can only be emptied with SETPCAP; without it there is nothing that could be
    // gained anyway (no new privileges).
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    if (syscall(SYS_capset, &head, none))
        return err_errno(err, ERR_BUG, errno, "drop capabilities");
    return 0;
}

int sandbox_drop(struct err *err) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_errno(err, ERR_BUG, errno, "set no_new_privs");
    if (drop_capabilities(err))
        return -1;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return err_errno(err, ERR_BUG, errno, "clear dumpable");
    return 0;
}

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name, struct err *err) {
    int nr = seccomp_syscall_resolve_name(name);
    if (nr < 0) // this architecture has no such call
        return 0;
    int rc = seccomp_rule_add(ctx, action, nr, 0);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter %s", name) : 0;
}

static int add_one(scmp_filter_ctx ctx, int nr, struct scmp_arg_cmp arg, struct err *err) {
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &arg);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter call %d", nr) : 0;
}

// Calls that are fine with some arguments only.
static int add_arguments(scmp_filter_ctx ctx, struct err *err) {
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (add_one(ctx, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0), err))
            return -1;
    static const unsigned long ioctls[] = {FIONBIO, FIONREAD, FIOCLEX};
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
        if (add_one(ctx, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0), err))
            return -1;
    if (add_one(ctx, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0), err) ||
        add_one(ctx, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0), err) ||
        add_one(ctx, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD), err))
        return -1;
    // To read our own limits, not to set anybody's.
    const struct scmp_arg_cmp own_limits[] = {{.arg = 0, .op = SCMP_CMP_EQ},
                                              {.arg = 2, .op = SCMP_CMP_EQ}};
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, own_limits);
    if (rc)
        return err_errno(err, ERR_BUG, -rc, "filter prlimit64");
    // clone3's flags lie in memory, where a filter cannot look: glibc then falls back to clone.
    rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter clone3") : 0;
}

static int fill(scmp_filter_ctx ctx, uint32_t kill, struct err *err) {
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc)
        return err_errno(err, ERR_BUG, -rc, "seccomp over all threads");
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (add(ctx, SCMP_ACT_ALLOW, allowed[i], err))
            return -1;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        if (add(ctx, kill, deadly[i], err))
            return -1;
    return add_arguments(ctx, err);
}

int sandbox_filter(struct err *err) {
    bool only_log = text_same(getenv("OCHOPOD_SECCOMP"), "log");
    uint32_t refuse = only_log ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM);
    if (only_log)
        log_warn("sandbox only logs: OCHOPOD_SECCOMP=log is for development");
    scmp_filter_ctx ctx = seccomp_init(refuse);
    if (!ctx)
        return err_set(err, ERR_BUG, "seccomp is not available");
    int result = fill(ctx, SCMP_ACT_KILL_PROCESS, err);
    if (!result) {
        int rc = seccomp_load(ctx);
        if (rc)
            result = err_errno(err, ERR_BUG, -rc, "load the system call filter");
    }
    seccomp_release(ctx);
    return result;
}
