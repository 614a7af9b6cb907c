// Which process calls what. The lists were made from what strace of each process showed through
// start, rounds, resets, tools, a killed workload and a stop; what is not named is refused with
// EPERM, and what only an intruder would call ends the process.
#include "sidecar/sandbox_inside.h"

#define LIST(name) static const char *const name[]

// ---- groups ----

LIST(turning) = {
    // the loop, its clocks, what it holds
    "epoll_wait", "epoll_pwait", "epoll_ctl", "poll", "ppoll", "futex", "clock_gettime",
    "clock_nanosleep", "nanosleep", "restart_syscall", "sched_yield", "read", "write", "readv",
    "writev", "close", "fcntl", "timerfd_settime",
    // memory, threads, signals, the end
    "munmap", "mremap", "madvise", "brk", "rseq", "set_robust_list", "exit", "exit_group", "gettid",
    "getpid", "getrandom", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "tgkill",
    "sigaltstack", NULL};

LIST(making) = {
    "timerfd_create",    "setitimer", "signalfd4", "epoll_create1", "eventfd2", "pipe2", "dup",
    "sched_getaffinity", "uname",     "sysinfo",   "getuid",        "geteuid",  NULL};

LIST(talking) = {"connect", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
                 "sendto",  "sendmsg",  "recvfrom",    "recvmsg",     NULL};

LIST(accepting) = {"accept4", "accept", NULL};
LIST(listening) = {"bind", "listen", NULL};
LIST(asking_names) = {"sendmmsg", "bind", NULL};

LIST(looking) = {"newfstatat", "fstat",  "statx",     "lseek",      "pread64",
                 "getdents64", "access", "faccessat", "faccessat2", "readlink",
                 "readlinkat", "getcwd", NULL};

LIST(writing) = {"openat",   "openat2",   "pwrite64",  "fsync",  "fdatasync", "ftruncate",
                 "rename",   "renameat",  "renameat2", "unlink", "unlinkat",  "mkdir",
                 "mkdirat",  "linkat",    "flock",     "fchmod", "fchmodat",  "fchown",
                 "fchownat", "utimensat", "umask",     "chmod",  "chown",     NULL};

// Only to give up more.
LIST(narrowing) = {
    "seccomp", "prctl", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
    NULL};

LIST(timing) = {"setitimer", "getppid", "prlimit64", "sendto", "recvfrom", "alarm",
                "wait4",     "kill",    "prctl",     "capget", "capset",   NULL};

// What a hook, or `ocho`, may not: everything else is its own matter.
LIST(no_sockets) = {"socket", "socketcall", "connect", "bind", "listen", "accept", "accept4", NULL};
LIST(nothing) = {NULL};
LIST(other_users) = {"setuid",    "setgid",    "setreuid", "setregid", "setresuid",
                     "setresgid", "setgroups", "setfsuid", "setfsgid", NULL};

// ---- processes ----

const struct sandbox_list sandbox_lists[SANDBOX_COUNT] = {
    [SANDBOX_WORKER_START] = {.groups = {turning, making, talking, accepting, listening, looking,
                                         writing, narrowing},
                              .also = ALSO_INET | ALSO_NETLINK | ALSO_PAIRS | ALSO_THREADS |
                                      ALSO_LEAVING},
    [SANDBOX_WORKER] = {.groups = {turning, making, talking, accepting},
                        .also = ALSO_INET | ALSO_PAIRS | ALSO_THREADS},
    [SANDBOX_BROKER_START] = {.groups = {turning, making, talking, looking, writing, narrowing},
                              .also = ALSO_UNIX | ALSO_PAIRS | ALSO_THREADS | ALSO_LEAVING},
    [SANDBOX_BROKER] = {.groups = {turning, talking}, .also = ALSO_UNIX},
    [SANDBOX_BROKER_TCP] = {.groups = {turning, making, talking, looking, asking_names, writing,
                                       narrowing},
                            .also = ALSO_UNIX | ALSO_INET | ALSO_NETLINK | ALSO_PAIRS |
                                    ALSO_THREADS | ALSO_LEAVING},
    [SANDBOX_NAMES] = {.groups = {turning, making, talking, looking, asking_names, timing},
                       .also = ALSO_INET | ALSO_NETLINK | ALSO_FORK | ALSO_READ_FILES},
    [SANDBOX_RUNNER] = {.groups = {no_sockets}, .refuses = true},
    [SANDBOX_JOB] = {.groups = {turning, making, looking, writing, timing}},
    [SANDBOX_PORTAL] = {.groups = {nothing}, .also = ALSO_INET | ALSO_NETLINK, .refuses = true},
    [SANDBOX_SETTLED] = {.groups = {other_users}, .refuses = true},
};

// What only somebody who has taken over the process would call: no polite refusal.
const char *const sandbox_deadly[] = {"ptrace",
                                      "process_vm_readv",
                                      "process_vm_writev",
                                      "mount",
                                      "fsopen",
                                      "fsconfig",
                                      "fsmount",
                                      "fspick",
                                      "move_mount",
                                      "open_tree",
                                      "mount_setattr",
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
                                      NULL};

const char *const sandbox_executes[] = {"execve", "execveat", "fork", "vfork", NULL};
