#include "sidecar/sandbox_inside.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// What clone may be asked for. CLONE_NEWTIME is none of them: its bit is the child's signal there.
static const scmp_datum_t NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

static int drop_capabilities(uint32_t but, struct err *err) {
    // The bounding set can only be emptied with SETPCAP; without it there is nothing that could be
    // gained anyway (no new privileges).
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct kept[2] = {{.effective = but, .permitted = but}};
    if (syscall(SYS_capset, &head, kept))
        return err_errno(err, ERR_BUG, errno, "drop capabilities");
    return 0;
}

static int drop(uint32_t but, struct err *err) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_errno(err, ERR_BUG, errno, "set no_new_privs");
    if (drop_capabilities(but, err))
        return -1;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return err_errno(err, ERR_BUG, errno, "clear dumpable");
    return 0;
}

int sandbox_drop(struct err *err) {
    return drop(0, err);
}

int sandbox_drop_until(const struct sandbox_user *user, struct err *err) {
    return drop(user->leaves ? 1U << CAP_SETUID | 1U << CAP_SETGID : 0, err);
}

int sandbox_memory(struct err *err) {
    struct rlimit data;
    if (SANDBOX_SHADOWED)
        return 0;
    if (getrlimit(RLIMIT_DATA, &data))
        return err_errno(err, ERR_BUG, errno, "read the limit of memory");
    data.rlim_max = data.rlim_max < SANDBOX_MEMORY ? data.rlim_max : SANDBOX_MEMORY;
    data.rlim_cur = data.rlim_cur < data.rlim_max ? data.rlim_cur : data.rlim_max;
    if (setrlimit(RLIMIT_DATA, &data))
        return err_errno(err, ERR_BUG, errno, "limit memory");
    return 0;
}

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name, struct err *err) {
    int nr = seccomp_syscall_resolve_name(name);
    if (nr < 0) // this architecture has no such call
        return 0;
    int rc = seccomp_rule_add(ctx, action, nr, 0);
    // A call that is refused anyway needs no rule of its own.
    return rc && rc != -EACCES ? err_errno(err, ERR_BUG, -rc, "filter %s", name) : 0;
}

static int add_all(scmp_filter_ctx ctx, uint32_t action, const char *const *names,
                   struct err *err) {
    for (; *names; names++)
        if (add(ctx, action, *names, err))
            return -1;
    return 0;
}

static int allow_if(scmp_filter_ctx ctx, int nr, struct scmp_arg_cmp arg, struct err *err) {
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &arg);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter call %d", nr) : 0;
}

static int allow_if_both(scmp_filter_ctx ctx, int nr, struct scmp_arg_cmp a, struct scmp_arg_cmp b,
                         struct err *err) {
    const struct scmp_arg_cmp both[] = {a, b};
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 2, both);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter call %d", nr) : 0;
}

static int add_sockets(scmp_filter_ctx ctx, unsigned also, struct err *err) {
    static const struct {
        unsigned flag;
        int family;
    } families[] = {{ALSO_UNIX, AF_UNIX},
                    {ALSO_INET, AF_INET},
                    {ALSO_INET, AF_INET6},
                    {ALSO_NETLINK, AF_NETLINK}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (also & families[i].flag &&
            allow_if(ctx, SCMP_SYS(socket),
                     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i].family, 0), err))
            return -1;
    // Ends of a pair are connected to each other, and a stream's cannot be connected anew; a
    // datagram's could.
    return also & ALSO_PAIRS
               ? allow_if_both(ctx, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
                               SCMP_A1(SCMP_CMP_MASKED_EQ,
                                       ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM),
                               err)
               : 0;
}

static int add_memory(scmp_filter_ctx ctx, struct err *err) {
    static const struct scmp_arg_cmp data = {.arg = 2,
                                             .op = SCMP_CMP_MASKED_EQ,
                                             .datum_a = PROT_EXEC,
                                             .datum_b = 0}; // never what is executed
    return allow_if(ctx, SCMP_SYS(mmap), data, err) || allow_if(ctx, SCMP_SYS(mprotect), data, err)
               ? -1
               : 0;
}

// To that user alone, and with no groups beside the one.
static int add_leaving(scmp_filter_ctx ctx, struct err *err) {
    const struct scmp_arg_cmp ours[] = {SCMP_A0(SCMP_CMP_EQ, SANDBOX_USER, 0),
                                        SCMP_A1(SCMP_CMP_EQ, SANDBOX_USER, 0),
                                        SCMP_A2(SCMP_CMP_EQ, SANDBOX_USER, 0)};
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setresuid), 3, ours);
    if (rc)
        return err_errno(err, ERR_BUG, -rc, "filter setresuid");
    return allow_if(ctx, SCMP_SYS(setgroups), SCMP_A0(SCMP_CMP_EQ, 0, 0), err) ||
                   add(ctx, SCMP_ACT_ALLOW, "setresgid", err) ||
                   add(ctx, SCMP_ACT_ALLOW, "getppid", err)
               ? -1
               : 0;
}

// Calls that are fine with some arguments only.
static int add_arguments(scmp_filter_ctx ctx, unsigned also, struct err *err) {
    static const unsigned long ioctls[] = {FIONBIO, FIONREAD, FIOCLEX};
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
        if (allow_if(ctx, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0), err))
            return -1;
    if (add_sockets(ctx, also, err) || add_memory(ctx, err) ||
        allow_if(ctx, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0), err) ||
        // To read our own limits, not to set anybody's.
        allow_if_both(ctx, SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0, 0),
                      SCMP_A2(SCMP_CMP_EQ, 0, 0), err))
        return -1;
    if (also & ALSO_READ_FILES &&
        allow_if(ctx, SCMP_SYS(openat),
                 SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY), err))
        return -1;
    if (also & ALSO_LEAVING && add_leaving(ctx, err))
        return -1;
    if (also & ALSO_FORK)
        return allow_if(ctx, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0), err);
    return also & ALSO_THREADS
               ? allow_if(ctx, SCMP_SYS(clone),
                          SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES | CLONE_THREAD, CLONE_THREAD), err)
               : 0;
}

// A bit a rule: libseccomp has no comparison for "any of these".
static int add_namespaces(scmp_filter_ctx ctx, struct err *err) {
    for (scmp_datum_t bit = 1; bit <= NAMESPACES; bit <<= 1) {
        if (!(bit & NAMESPACES))
            continue;
        int rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
        if (rc)
            return err_errno(err, ERR_BUG, -rc, "filter clone of namespaces");
    }
    return 0;
}

// clone3's flags lie in memory, where a filter cannot look: glibc then falls back to clone.
static int hide_clone3(scmp_filter_ctx ctx, struct err *err) {
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter clone3") : 0;
}

static int fill(scmp_filter_ctx ctx, const struct sandbox_list *list, uint32_t refuse,
                struct err *err) {
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc)
        return err_errno(err, ERR_BUG, -rc, "seccomp over all threads");
    // Else a call of 32 bits ends its thread alone, and leaves the others without it.
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc)
        return err_errno(err, ERR_BUG, -rc, "seccomp of other architectures");
    if (add_all(ctx, SCMP_ACT_KILL_PROCESS, sandbox_deadly, err) || add_namespaces(ctx, err) ||
        hide_clone3(ctx, err))
        return -1;
    for (size_t i = 0; list->groups[i]; i++)
        if (add_all(ctx, list->refuses ? refuse : SCMP_ACT_ALLOW, list->groups[i], err))
            return -1;
    if (list->refuses)
        return 0;
    return add_all(ctx, SCMP_ACT_KILL_PROCESS, sandbox_executes, err) ||
                   add_arguments(ctx, list->also, err)
               ? -1
               : 0;
}

// Refused altogether, or all families but two. The family is an int: the kernel drops the upper
// half of its register, and what is refused by its number must be known without it. Of what is
// allowed by its number, all 64 bits may be compared.
static int refuse_unix(scmp_filter_ctx ctx, const struct sandbox_list *list, uint32_t refuse,
                       struct err *err) {
    static const struct scmp_arg_cmp is_unix = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX, .datum_b = AF_UNIX};
    if (!list->refuses || !(list->also & ALSO_INET))
        return 0;
    int rc = seccomp_rule_add_array(ctx, refuse, SCMP_SYS(socket), 1, &is_unix);
    return rc ? err_errno(err, ERR_BUG, -rc, "filter socket") : 0;
}

int sandbox_filter(enum sandbox which, struct err *err) {
    const struct sandbox_list *list = &sandbox_lists[which];
    bool only_log = text_same(getenv("OCHOPOD_SECCOMP"), "log");
    uint32_t refuse = only_log ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM);
    if (only_log)
        log_warn("sandbox only logs: OCHOPOD_SECCOMP=log is for development");
    scmp_filter_ctx ctx = seccomp_init(list->refuses ? SCMP_ACT_ALLOW : refuse);
    if (!ctx)
        return err_set(err, ERR_BUG, "seccomp is not available");
    int result = fill(ctx, list, refuse, err) || refuse_unix(ctx, list, refuse, err) ? -1 : 0;
    if (!result) {
        int rc = seccomp_load(ctx);
        if (rc)
            result = err_errno(err, ERR_BUG, -rc, "load the system call filter");
    }
    seccomp_release(ctx);
    return result;
}

size_t sandbox_size(enum sandbox which) {
    const struct sandbox_list *list = &sandbox_lists[which];
    size_t n = 0;
    if (list->refuses)
        return 0;
    for (size_t i = 0; list->groups[i]; i++)
        for (const char *const *name = list->groups[i]; *name; name++)
            n += seccomp_syscall_resolve_name(*name) >= 0;
    // mmap, mprotect, ioctl, prctl, prlimit64, and what `also` says
    return n + 5 + (list->also & (ALSO_UNIX | ALSO_INET | ALSO_NETLINK) ? 1 : 0) +
           (list->also & ALSO_PAIRS ? 1 : 0) + (list->also & (ALSO_THREADS | ALSO_FORK) ? 1 : 0) +
           (list->also & ALSO_READ_FILES ? 1 : 0) + (list->also & ALSO_LEAVING ? 4 : 0);
}
