#include "sidecar/holder.h"
#include "base/log.h"
#include "base/own.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { ID_LEN = 36, CONNECT_TRIES = 50, CONNECT_PAUSE_MS = 100, ENVIRON_MAX = 128 * 1024 };

static socklen_t abstract_name(struct sockaddr_un *sa, const char *name, const char *suffix) {
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(sa->sun_path + 1, sizeof sa->sun_path - 1, "%s%s", name, suffix);
    if (n < 0 || (size_t)n >= sizeof sa->sun_path - 1)
        return 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

// A peer in our own PID namespace has a number here; one outside has none and is shown as 0.
static bool from_outside(int fd) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == 0;
}

static int connect_tether(const char *tether) {
    struct sockaddr_un sa;
    socklen_t len = abstract_name(&sa, tether, "");
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
    socklen_t len = abstract_name(&sa, tether, ".holder");
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!len || fd < 0 || bind(fd, (struct sockaddr *)&sa, len) || listen(fd, 16))
        return -1;
    return take_fd(fd);
}

static bool is_id(const char *s) {
    for (size_t i = 0; i < ID_LEN; i++)
        if (!isxdigit((unsigned char)s[i]) && s[i] != '-')
            return false;
    return true;
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
    char marker[sizeof "OCHOPOD_EXEC=" + ID_LEN];
    int marker_len = snprintf(marker, sizeof marker, "OCHOPOD_EXEC=%.*s", ID_LEN, id);
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
    char id[ID_LEN];
    if (recv(fd, id, sizeof id, MSG_WAITALL) == ID_LEN && is_id(id))
        end_exec(id);
}

static void reap(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

int holder_main(const char *tether) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_DUMPABLE, 0);
    auto_fd int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    auto_fd int line = connect_tether(tether);
    if (line < 0 || !from_outside(line)) {
        log_err("holder finds no sidecar at @%s", tether);
        return 1;
    }
    auto_fd int listener = listen_commands(tether);
    if (signals < 0 || listener < 0) {
        log_err("holder cannot listen at @%s.holder: %s", tether, strerror(errno));
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

void holder_end_exec(const char *tether, const char *id) {
    struct sockaddr_un sa;
    socklen_t len = abstract_name(&sa, tether, ".holder");
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!len || fd < 0 || connect(fd, (struct sockaddr *)&sa, len) ||
        send(fd, id, strlen(id), MSG_NOSIGNAL) != ID_LEN)
        log_warn("holder out of reach, exec %s runs on: %s", id, strerror(errno));
}
