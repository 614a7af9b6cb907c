// ochopod-holder TETHER: process 1 of a container without mounts, in which the workload's PID
// namespace lives. It stays connected to the tether, an abstract socket that the sidecar's init
// holds in the shared network namespace; when that end closes, it exits and the kernel ends
// everything in the namespace. On its own abstract socket "<tether>.holder" it takes one command,
// from peers outside the namespace only (SO_PEERCRED pid 0): end the processes that carry
// OCHOPOD_EXEC=<id> in their environment (an engine exec outlives its caller). Reaps. Parses
// nothing else. A program of its own, and libc all that it needs: there is one beside each
// workload, for as long as that runs.
#include "base/own.h"
#include "sidecar/holder_inside.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

enum { CONNECT_TRIES = 50, CONNECT_PAUSE_MS = 100, ENVIRON_MAX = 128 * 1024 };

// A peer in our own PID namespace has a number here; one outside has none and is shown as 0.
static bool from_outside(int fd) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == 0;
}

static int connect_tether(const char *tether) {
    struct sockaddr_un sa;
    socklen_t len = holder_address(&sa, tether, "");
    for (int i = 0; len && i < CONNECT_TRIES; i++) {
        auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        if (connect(fd, (struct sockaddr *)&sa, len) == 0)
            return take_fd(fd);
        nanosleep(&(struct timespec){.tv_nsec = CONNECT_PAUSE_MS * 1000000L}, NULL);
    }
    return -1;
}

static int listen_commands(const char *tether) {
    struct sockaddr_un sa;
    socklen_t len = holder_address(&sa, tether, ".holder");
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!len || fd < 0 || bind(fd, (struct sockaddr *)&sa, len) || listen(fd, 16))
        return -1;
    return take_fd(fd);
}

static bool carries(int proc, const char *pid, const char *marker, size_t marker_len) {
    static char buf[ENVIRON_MAX];
    char path[NAME_MAX + sizeof "/environ"];
    snprintf(path, sizeof path, "%s/environ", pid);
    auto_fd int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t n;
    while (len < sizeof buf && (n = read(fd, buf + len, sizeof buf - len)) > 0)
        len += (size_t)n;
    for (size_t at = 0; at + marker_len <= len;) {
        if (memcmp(buf + at, marker, marker_len) == 0 &&
            (at + marker_len == len || !buf[at + marker_len]))
            return true;
        char *end = memchr(buf + at, 0, len - at);
        if (!end)
            return false;
        at = (size_t)(end - buf) + 1;
    }
    return false;
}

// Kills until a pass finds none: a process may fork between being listed and being killed.
static void end_exec(const char *id) {
    char marker[sizeof "OCHOPOD_EXEC=" + HOLDER_ID_LEN];
    int marker_len = snprintf(marker, sizeof marker, "OCHOPOD_EXEC=%.*s", HOLDER_ID_LEN, id);
    for (int pass = 0; pass < 10; pass++) {
        DIR *dir = opendir("/proc");
        if (!dir)
            return;
        int found = 0;
        for (struct dirent *e; (e = readdir(dir));) {
            if (!isdigit((unsigned char)e->d_name[0]) ||
                !carries(dirfd(dir), e->d_name, marker, (size_t)marker_len))
                continue;
            found++;
            kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
        }
        closedir(dir);
        if (!found)
            return;
    }
}

static void serve_command(int listener) {
    auto_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || !from_outside(fd))
        return;
    struct timeval limit = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char id[HOLDER_ID_LEN];
    if (recv(fd, id, sizeof id, MSG_WAITALL) == HOLDER_ID_LEN && holder_is_id(id))
        end_exec(id);
}

static void reap(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static int hold(const char *tether) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_DUMPABLE, 0);
    auto_fd int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    auto_fd int line = connect_tether(tether);
    if (line < 0 || !from_outside(line)) {
        fprintf(stderr, "ochopod-holder: no sidecar at @%s\n", tether);
        return 1;
    }
    auto_fd int listener = listen_commands(tether);
    if (signals < 0 || listener < 0) {
        fprintf(stderr, "ochopod-holder: @%s.holder: %s\n", tether, strerror(errno));
        return 1;
    }
    for (;;) {
        struct pollfd fds[] = {{.fd = line, .events = POLLIN},
                               {.fd = signals, .events = POLLIN},
                               {.fd = listener, .events = POLLIN}};
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return 1;
        if (fds[0].revents) // init never sends: this is its end
            return 0;
        if (fds[1].revents) {
            struct signalfd_siginfo info;
            if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGTERM)
                return 0;
            reap();
        }
        if (fds[2].revents)
            serve_command(listener);
    }
}

int main(int argc, char **argv) {
    if (argc != 2 || *argv[1] == '-') {
        fputs("usage: ochopod-holder TETHER\nStarted by ochopod-sidecar in a container of its own, "
              "see ochopod-sidecar(8).\n",
              argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    return hold(argv[1]);
}
