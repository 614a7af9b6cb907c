#include "sidecar/runner/serve.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

// ---- privileges ----

static const unsigned kept_caps[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER};

static bool is_kept(unsigned cap) {
    for (size_t i = 0; i < sizeof kept_caps / sizeof *kept_caps; i++)
        if (kept_caps[i] == cap)
            return true;
    return false;
}

// What a file's owner needs to set owner and mode, and nothing else; also for what a hook executes
// (bounding set).
static void keep_file_capabilities(void) {
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (unsigned cap = 0; prctl(PR_CAPBSET_READ, (unsigned long)cap, 0, 0, 0) >= 0; cap++)
        if (!is_kept(cap))
            (void)prctl(PR_CAPBSET_DROP, (unsigned long)cap, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data))
        return;
    uint32_t mask = 0;
    for (size_t i = 0; i < sizeof kept_caps / sizeof *kept_caps; i++)
        mask |= 1u << kept_caps[i];
    data[0].permitted &= mask;
    data[0].effective = data[0].permitted;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    if (syscall(SYS_capset, &head, data))
        log_err("runner cannot drop capabilities: %s", strerror(errno));
}

// ---- one job, in a child of its own ----

static int read_whole(int fd, void *buf, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, (char *)buf + at, len - at);
        if (n <= 0) {
            if (n < 0 && errno == EINTR)
                continue;
            return -1;
        }
        at += (size_t)n;
    }
    return 0;
}

static void write_whole(int fd, const void *buf, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)buf + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; // the asker has left
        at += (size_t)n;
    }
}

// The kernel ends us, whatever Lua is busy with: at the deadline, or when the asker closes its end.
static void end_when_over(int line, int64_t timeout_ms) {
    struct itimerval timer = {
        .it_value = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    fcntl(line, F_SETOWN, getpid());
    int flags = fcntl(line, F_GETFL);
    fcntl(line, F_SETFL, flags | O_ASYNC);
    // Who had left before that gives no signal.
    struct pollfd left = {.fd = line, .events = POLLRDHUP};
    if (poll(&left, 1, 0) > 0)
        _exit(0);
}

static void stop_watching(int line) {
    struct itimerval off = {0};
    fcntl(line, F_SETFL, fcntl(line, F_GETFL) & ~O_ASYNC);
    setitimer(ITIMER_REAL, &off, NULL);
}

static void limit(int64_t memory, int64_t timeout_ms) {
    struct rlimit cpu = {.rlim_cur = (rlim_t)(timeout_ms / 1000 + 2),
                         .rlim_max = (rlim_t)(timeout_ms / 1000 + 2)};
    setrlimit(RLIMIT_CPU, &cpu);
    long pages = 0;
    auto_file FILE *f = fopen("/proc/self/statm", "re");
    if (SANDBOX_SHADOWED || !memory || !f || fscanf(f, "%ld", &pages) != 1)
        return;
    rlim_t cap = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)memory;
    struct rlimit as = {.rlim_cur = cap, .rlim_max = cap};
    setrlimit(RLIMIT_AS, &as);
}

static const struct runner_function *find(const struct runner_setup *setup, const char *name,
                                          struct err *err) {
    for (const struct runner_function *f = setup->functions; f->name; f++)
        if (text_same(f->name, name))
            return f;
    err_set(err, ERR_BUG, "runner knows no function %.80s", name ? name : "");
    return NULL;
}

// An honest worker is never refused.
static int judge(const struct runner_setup *setup, const struct runner_function *f,
                 const json_t *argument, struct err *err) {
    if (!setup->spec || !f->judge || f->judge(setup->spec, argument, err) == 0)
        return 0;
    err_wrap(err, "refuses to %s", f->name);
    log_err("%s %s", setup->name, err->text);
    return -1;
}

// The path, or the innermost folder above it that exists; never the root of all: what is in no
// volume goes another way.
static char *what_is_there(const char *path) {
    char *there = xstrdup(path);
    while (access(there, F_OK)) {
        char *slash = strrchr(there, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    struct stat st;
    char *slash = strrchr(there, '/');
    if (slash && stat(there, &st) == 0 && !S_ISDIR(st.st_mode)) // it is replaced, not written
        *slash = '\0';
    return there;
}

// What a function of ours is given is made of what came over the network.
static int confine(const struct runner_setup *setup, struct err *err) {
    static const char *const everything[] = {"/", NULL};
    size_t n = 0;
    while (setup->writes && setup->writes[n])
        n++;
    char **folders = xcalloc(n + 1, sizeof *folders);
    for (size_t i = 0; i < n; i++)
        folders[i] = what_is_there(setup->writes[i]);
    int rc = sandbox_files(everything, (const char *const *)folders, err);
    text_list_free(folders);
    return rc < 0 || sandbox_filter(SANDBOX_JOB, err) ? -1 : 0;
}

static json_t *call(const struct runner_setup *setup, const char *name, const json_t *argument,
                    struct err *err) {
    const struct runner_function *f = find(setup, name, err);
    if (!f || judge(setup, f, argument, err) || (setup->writes && confine(setup, err)))
        return NULL;
    return f->fn(argument, err);
}

static void run_function(struct wire *w, int line, const struct runner_setup *setup,
                         struct text *answer) {
    const char *name = wire_str(w);
    size_t len;
    const char *text = wire_bytes(w, &len);
    int64_t memory = wire_int(w), timeout_ms = wire_int(w);
    auto_json json_t *argument = w->broken ? NULL : json_loadb(text, len, 0, NULL);
    struct err err = ERR_INIT;
    auto_json json_t *result = NULL;
    end_when_over(line, timeout_ms);
    limit(memory, timeout_ms);
    if (argument)
        result = call(setup, name, argument, &err);
    else
        err_set(&err, ERR_BUG, "runner got a broken request");
    stop_watching(line);
    wire_add_err(answer, &err);
    auto_free char *out = result && err.kind == ERR_NONE ? json_dumps(result, JSON_COMPACT) : NULL;
    wire_add_str(answer, out);
}

static void run_job(int line, const struct runner_setup *setup) {
    int64_t len;
    if (read_whole(line, &len, sizeof len) || len <= 0 || len > WIRE_MAX)
        return;
    auto_free char *message = xcalloc(1, (size_t)len);
    if (read_whole(line, message, (size_t)len))
        return;
    struct wire w = {.at = message, .end = message + len};
    auto_text struct text answer = {0};
    if (wire_int(&w) == WIRE_HOOK)
        runner_run_hook(&w, line, setup, &answer);
    else
        run_function(&w, line, setup, &answer);
    int64_t answer_len = (int64_t)answer.len;
    write_whole(line, &answer_len, sizeof answer_len);
    write_whole(line, text_str(&answer), answer.len);
}

// ---- the runner ----

static int receive_line(int control) {
    int fd;
    ssize_t n = wire_receive_fd(control, MSG_DONTWAIT, &fd);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return -1;
    if (n <= 0)
        _exit(0); // the worker is gone
    if (fd < 0)
        _exit(1);
    return fd;
}

static void begin_job(int control, int clerk, const struct runner_setup *setup, pid_t self) {
    int line = receive_line(control);
    if (line < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_DFL);
        close(control);
        if (clerk >= 0)
            close(clerk);
        if (getppid() == self)
            run_job(line, setup);
        _exit(0);
    }
    if (pid < 0)
        log_err("runner cannot fork: %s", strerror(errno));
    close(line);
}

void runner_serve(int control, int clerk, const struct runner_setup *setup) {
    struct err err = ERR_INIT;
    keep_file_capabilities();
    if (sandbox_filter(setup->sandbox, &err)) {
        log_err("runner %s", err.text);
        _exit(1);
    }
    // Nobody asks how a job's process ended: its answer, or the lack of one, says it.
    signal(SIGCHLD, SIG_IGN);
    pid_t self = getpid();
    struct pollfd fds[] = {{.fd = control, .events = POLLIN}, {.fd = clerk, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents) // first: somebody stands and waits
            clerk_serve(clerk, setup->duties);
        if (fds[0].revents)
            begin_job(control, clerk, setup, self);
    }
}
