// Who looks names up: see app.h.
#include "sidecar/app.h"
#include "base/log.h"
#include "base/names.h"
#include "bindings/bindings.h"
#include "sidecar/child.h"
#include "sidecar/sandbox.h"
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

// ---- what it should not know ----

// Byte by byte: what libc reads at a time stays in registers, and a signal lays those on the stack.
static bool begins(const char *s, const char *with) {
    for (; *with; s++, with++)
        if (*s != *with)
            return false;
    return true;
}

static void wipe(const char *s) {
    for (volatile char *at = (char *)s; *at; at++)
        *at = '\0';
}

// ZooKeeper's password may stand in both, and the whole spec in the environment. What libc and the
// filter look at stays.
static void forget(const struct spec_flags *flags) {
    for (char **it = environ; *it; it++)
        if (!begins(*it, "LOCALDOMAIN=") && !begins(*it, "RES_OPTIONS=") &&
            !begins(*it, "OCHOPOD_SECCOMP="))
            wipe(*it);
    if (flags->zk)
        wipe(flags->zk);
}

// ---- what it may ----

// As another user than root it must still read what says whom to ask.
static void choose_user(struct sandbox_user *user) {
    sandbox_user_choose(user);
    if (!user->leaves)
        return; // the worker says so, of all
    sandbox_user_resolves(user);
    if (!user->leaves)
        log_info("names stays root: %s", user->why);
}

// An engine mounts these files into a container, where they stay what they are. On a host they are
// replaced, also at the other end of a link: there it is the folders.
static int confine(struct err *err) {
    static const char *const folders[] = {
        "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/connman",
        NULL};
    const char *const *read = binding_in_container() ? sandbox_resolver : folders;
    return sandbox_files(read, NULL, err) < 0 || sandbox_filter(SANDBOX_NAMES, err) ? -1 : 0;
}

// ---- the process ----

static void serve(const int *fds, void *arg) {
    struct sandbox_user user;
    struct err err = ERR_INIT;
    forget(arg);
    choose_user(&user);
    if (sandbox_drop_until(&user, &err) || sandbox_become(&user, &err) || sandbox_memory(&err) ||
        confine(&err)) {
        log_err("names %s", err.text);
        _exit(1);
    }
    names_serve(fds[0]);
}

int app_start_names(const struct spec_flags *flags, int *ret_fd, struct err *err) {
    const struct child child = {
        .name = "ochopod-names", .types = {SOCK_SEQPACKET}, .serve = serve, .arg = (void *)flags};
    pid_t pid;
    int fds[CHILD_FDS_MAX];
    if (child_start(&child, &pid, fds, err))
        return -1;
    *ret_fd = fds[0];
    return 0;
}
