#include "sidecar/render/confine.h"
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int limit(int resource, rlim_t n, const char *what, struct err *err) {
    struct rlimit r = {.rlim_cur = n, .rlim_max = n};
    if (setrlimit((__rlimit_resource_t)resource, &r))
        return err_errno(err, ERR_BUG, errno, "limit %s", what);
    return 0;
}

int confine(struct err *err) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
        syscall(SYS_capset, &head, none))
        return err_errno(err, ERR_BUG, errno, "give up capabilities");
    if (limit(RLIMIT_NOFILE, 8, "open files", err) || limit(RLIMIT_NPROC, 0, "processes", err) ||
        limit(RLIMIT_FSIZE, 0, "file size", err) || limit(RLIMIT_CORE, 0, "core size", err))
        return -1;
    return 0;
}
