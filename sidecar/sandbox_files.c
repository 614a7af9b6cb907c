// Landlock by its system calls: there is no library of it.
#include "base/own.h"
#include "sidecar/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { ABI_REFER = 2, ABI_TRUNCATE = 3 };

// Newer than the headers of the distribution that we build on.
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

static const uint64_t reads = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t writes = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                               LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                               LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                               LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                               LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
// What may be given back to somebody: no devices, no sockets.
static const uint64_t plain_writes = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER |
                                     LANDLOCK_ACCESS_FS_TRUNCATE;

// No libraries: the filter of who looks names up lets none be loaded, and libc has what it needs.
const char *const sandbox_resolver[] = {"/etc/resolv.conf", "/etc/hosts",    "/etc/nsswitch.conf",
                                        "/etc/host.conf",   "/etc/gai.conf", NULL};

static int allow(int rules, const char *path, uint64_t access, struct err *err) {
    auto_fd int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return 0;
    if (!S_ISDIR(st.st_mode))
        access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                  LANDLOCK_ACCESS_FS_TRUNCATE;
    const struct landlock_path_beneath_attr attr = {.allowed_access = access, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &attr, 0))
        return err_errno(err, ERR_BUG, errno, "landlock for %s", path);
    return 0;
}

int sandbox_files(const char *const *read, const char *const *write, struct err *err) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi <= 0)
        return 0;
    uint64_t handled = reads | writes | LANDLOCK_ACCESS_FS_EXECUTE;
    handled |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    handled |= abi >= ABI_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
    const struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
    auto_fd int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return err_errno(err, ERR_BUG, errno, "landlock");
    for (; read && *read; read++)
        if (allow(rules, *read, reads & handled, err))
            return -1;
    for (; write && *write; write++)
        if (allow(rules, *write, (reads | plain_writes) & handled, err))
            return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, rules, 0))
        return err_errno(err, ERR_BUG, errno, "landlock");
    return 1;
}
