#include "sidecar/init.h"
#include "base/log.h"
#include "base/own.h"
#include "base/wire.h"
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TETHERED_MAX = 8, // one holder is usual; one more while the old one's end is not noticed yet
    SETTLED_MS = 10000,
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 10000,
};

// Statuses by which a first worker says that a restart would not change them. One that goes on for
// another says so of what was good before and may be so again: a file half saved, a port taken
// meanwhile; and its end would be the workload's.
static const int final_at_first[] = {2, 77, 78};

struct init {
    init_worker_fn *worker;
    void *arg;
    pid_t pid;    // of the worker, 0 while none runs
    bool resumed; // it goes on for one that had handed the tether over
    int64_t started, restart_at;
    int64_t backoff;
    int signals;
    int ours, theirs; // the socketpair over which the tether is handed up
    int tether;       // the listening socket, -1 until the worker has given it
    int tethered[TETHERED_MAX];
    size_t tethered_len;
    int stopping; // the signal that a worker is told it by; 0: nobody has asked for it
};

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void watched_signals(sigset_t *set) {
    static const int list[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        sigaddset(set, list[i]);
}

static void close_all(struct init *in) {
    close(in->signals);
    close(in->ours);
    if (in->tether >= 0)
        close(in->tether);
    for (size_t i = 0; i < in->tethered_len; i++)
        close(in->tethered[i]);
}

// Init's own are known; what a worker may have handed it is not the next one's. A kernel without
// the call leaves them open: not all that runs here is the sidecar.
static void keep_only(int fd) {
    const unsigned first = STDERR_FILENO + 1, kept = (unsigned)fd;
    if (kept > first)
        (void)close_range(first, kept - 1, 0);
    (void)close_range(kept < first ? first : kept + 1, ~0U, 0);
}

static void start_later(struct init *in) {
    in->restart_at = now_ms() + in->backoff;
    in->backoff = in->backoff ? in->backoff * 2 : BACKOFF_MIN_MS;
    if (in->backoff > BACKOFF_MAX_MS)
        in->backoff = BACKOFF_MAX_MS;
}

// The worker starts with our signals blocked: what is sent before it listens waits for it.
static void start_worker(struct init *in) {
    in->started = now_ms();
    in->restart_at = 0;
    in->resumed = in->tether >= 0;
    pid_t parent = getpid();
    in->pid = fork();
    if (in->pid < 0) {
        log_err("init cannot fork the worker: %s", strerror(errno));
        in->pid = 0;
        start_later(in);
        return;
    }
    if (in->pid) {
        if (in->stopping)
            kill(in->pid, in->stopping);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setsid(); // of whom it starts, too: see end_set
    int theirs = in->theirs;
    close_all(in);
    keep_only(theirs);
    exit(in->worker(theirs, in->resumed, in->arg));
}

static bool is_refusal(int status) {
    for (size_t i = 0; i < sizeof final_at_first / sizeof *final_at_first; i++)
        if (status == final_at_first[i])
            return true;
    return false;
}

static void say_restart(const struct init *in, int status, bool refused) {
    if (refused)
        log_err("init worker=ended status=%d restart_in_ms=%lld: it does not start with what it "
                "finds now: mend what it says above (the workload runs on, and nobody looks after "
                "it)",
                status, (long long)in->backoff);
    else
        log_warn("init worker=ended status=%d restart_in_ms=%lld (the workload runs on)", status,
                 (long long)in->backoff);
}

// Answers the sidecar's exit status, or -1: go on.
static int worker_ended(struct init *in, int wait_status) {
    int64_t lived = now_ms() - in->started;
    int status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
    bool refused = WIFEXITED(wait_status) && is_refusal(status);
    in->pid = 0;
    if (in->stopping || (WIFEXITED(wait_status) && status == 0) || (refused && !in->resumed))
        return status;
    if (lived >= SETTLED_MS)
        in->backoff = 0;
    say_restart(in, status, refused);
    start_later(in);
    return -1;
}

// What the worker started ends by its parent's death and by the end of its lines; but the kernel
// asks whether the dead one might have signalled it, which a worker that is root no more may not
// with a process that is, and who is stopped reads no line. Before the worker is reaped, so that
// its number is nobody else's.
static void end_set(const struct init *in) {
    siginfo_t ended = {0};
    if (in->pid && waitid(P_PID, (id_t)in->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == in->pid)
        kill(-in->pid, SIGKILL);
}

static int reap(struct init *in) {
    int result = -1;
    end_set(in);
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return result;
        if (pid == in->pid)
            result = worker_ended(in, status);
    }
}

static int signalled(struct init *in) {
    struct signalfd_siginfo info;
    if (read(in->signals, &info, sizeof info) != sizeof info)
        return -1;
    int signo = (int)info.ssi_signo;
    if (signo == SIGCHLD)
        return reap(in);
    if (signo == SIGTERM || signo == SIGINT || signo == SIGQUIT) {
        int ended = reap(in); // who has just died stops nothing
        if (ended >= 0)
            return ended;
        // The worker stops in good order on these two; any other would end it on the spot, and with
        // it, for QUIT, the workload.
        in->stopping = signo == SIGINT ? SIGINT : SIGTERM;
        // Even between two workers: only a worker can stop the workload in good order.
        if (!in->pid) {
            start_worker(in);
            return -1;
        }
    }
    if (in->pid && in->stopping)
        kill(in->pid, in->stopping);
    return -1;
}

static void accept_holders(struct init *in) {
    for (int i = 0; i < TETHERED_MAX; i++) {
        int fd = accept4(in->tether, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (in->tethered_len == TETHERED_MAX)
            close(fd);
        else
            in->tethered[in->tethered_len++] = fd;
    }
}

// Another one is of another name, the state having been lost: who waits at the first belongs to a
// workload that runs.
static void take_tether(struct init *in) {
    int fd;
    if (wire_receive_fd(in->ours, MSG_DONTWAIT, &fd) <= 0 || fd < 0)
        return;
    if (in->tether >= 0) {
        accept_holders(in);
        close(in->tether);
    }
    in->tether = fd;
}

static void drop_tethered(struct init *in, size_t i) {
    close(in->tethered[i]);
    in->tethered[i] = in->tethered[--in->tethered_len];
}

static int wait_ms(const struct init *in) {
    if (in->pid || !in->restart_at)
        return -1;
    int64_t left = in->restart_at - now_ms();
    return left > 0 ? (int)left : 0;
}

static int turn(struct init *in) {
    struct pollfd fds[3 + TETHERED_MAX] = {
        {.fd = in->signals, .events = POLLIN},
        {.fd = in->ours, .events = POLLIN},
        {.fd = in->tether, .events = POLLIN}, // -1 is passed over
    };
    size_t n = in->tethered_len;
    for (size_t i = 0; i < n; i++)
        fds[3 + i] = (struct pollfd){.fd = in->tethered[i]};
    int rc = poll(fds, 3 + n, wait_ms(in));
    if (!in->pid && in->restart_at && now_ms() >= in->restart_at)
        start_worker(in);
    if (rc <= 0)
        return -1;
    for (size_t i = n; i-- > 0;)
        if (fds[3 + i].revents)
            drop_tethered(in, i);
    if (fds[1].revents & POLLIN)
        take_tether(in);
    if (in->tether >= 0 && fds[2].fd == in->tether && fds[2].revents)
        accept_holders(in);
    return fds[0].revents ? signalled(in) : -1;
}

// ---- privileges ----

// The runner's; the one by which bounding sets are emptied; those by which worker, broker and names
// become another user, and the one by which we signal them then. What is forked from here reads the
// spec before it gives up the rest.
static const unsigned kept_caps[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SETPCAP,
                                     CAP_SETUID, CAP_SETGID,       CAP_KILL};

static uint32_t kept_mask(void) {
    uint32_t mask = 0;
    for (size_t i = 0; i < sizeof kept_caps / sizeof *kept_caps; i++)
        mask |= 1u << kept_caps[i];
    return mask;
}

static void drop_capabilities(void) {
    for (unsigned cap = 0; prctl(PR_CAPBSET_READ, (unsigned long)cap, 0, 0, 0) >= 0; cap++)
        if (cap >= 32 || !(kept_mask() & 1u << cap))
            (void)prctl(PR_CAPBSET_DROP, (unsigned long)cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data) == 0) {
        data[0].permitted &= kept_mask();
        data[0].effective = data[0].permitted;
        data[0].inheritable = 0;
        data[1] = (struct __user_cap_data_struct){0};
        if (syscall(SYS_capset, &head, data) == 0)
            return;
    }
    log_err("init cannot drop capabilities: %s", strerror(errno));
}

int init_run(init_worker_fn *worker, void *arg) {
    struct init in = {.worker = worker, .arg = arg, .tether = -1};
    int pair[2];
    sigset_t set;
    watched_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    in.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (in.signals < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        log_err("init cannot start: %s", strerror(errno));
        return 1;
    }
    in.ours = pair[0];
    in.theirs = pair[1];
    if (getpid() != 1)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    drop_capabilities();
    // A process that is dumpable can be looked into, through /proc/1/root, by who shares its
    // namespace.
    prctl(PR_SET_DUMPABLE, 0);
    start_worker(&in);
    for (;;) {
        int status = turn(&in);
        if (status >= 0)
            return status;
    }
}

static int bind_abstract(int fd, const char *name, struct err *err) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    if (len + 1 > sizeof sa.sun_path)
        return err_set(err, ERR_BUG, "tether name is too long: %s", name);
    memcpy(sa.sun_path + 1, name, len);
    socklen_t sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    if (bind(fd, (struct sockaddr *)&sa, sa_len) == 0)
        return 0;
    if (errno == EADDRINUSE)
        return err_set(err, ERR_EXISTS,
                       "another sidecar of this pod runs in this network namespace (socket @%s): "
                       "its state directory was cloned; give this one a directory of its own",
                       name);
    return err_errno(err, ERR_RETRY, errno, "bind @%s", name);
}

int init_give_tether(int tether_fd, bool resumed, const char *name, struct err *err) {
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, ERR_RETRY, errno, "tether socket");
    if (bind_abstract(fd, name, err))
        return resumed && err->kind == ERR_EXISTS ? 0 : -1;
    if (listen(fd, TETHERED_MAX))
        return err_errno(err, ERR_RETRY, errno, "listen on @%s", name);
    if (wire_send_fd(tether_fd, fd))
        return err_errno(err, ERR_RETRY, errno, "hand the tether to init");
    return 0;
}
