#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/runner/serve.h"
#include "base/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 16 * 1024, OUTPUT_DEFAULT = 64 * 1024, REAPED_POLL_MS = 20 };

struct hook {
    char **argv, **env;
    const char *cwd, *input;
    size_t input_len, input_at, max_output;
    int64_t deadline;
    int line;         // the asker's
    int in, out, err; // our ends
    struct text said, complained;
    pid_t pid;
    bool ended;
    int status;
    struct err over; // ERR_TIMEOUT or ERR_CANCELLED when it was cut short
};

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static char **take_list(struct wire *w) {
    int64_t n = wire_int(w);
    if (w->broken || n < 0 || n > 65536)
        n = 0;
    char **list = xcalloc((size_t)n + 1, sizeof *list);
    for (int64_t i = 0; i < n; i++)
        list[i] = (char *)wire_str(w);
    return list;
}

static void read_request(struct hook *h, struct wire *w) {
    h->cwd = wire_str(w);
    h->input = wire_bytes(w, &h->input_len);
    h->max_output = (size_t)wire_int(w);
    if (!h->max_output)
        h->max_output = OUTPUT_DEFAULT;
    h->deadline = now_ms() + wire_int(w);
    h->argv = take_list(w);
    h->env = take_list(w);
}

// An honest worker is never refused.
static int judge(const struct hook *h, const struct runner_setup *setup, struct err *err) {
    const struct runner_hook asked = {
        .argv = (const char *const *)h->argv, .env = (const char *const *)h->env, .cwd = h->cwd};
    if (judge_hook(setup, &asked, err) == 0)
        return 0;
    log_err("%s %s", setup->name, err->text);
    return -1;
}

_Noreturn static void become(const struct hook *h, int in, int out, int err) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    close_range(3, ~0U, 0);
    if (h->cwd && chdir(h->cwd)) {
        dprintf(2, "cannot enter %s: %s\n", h->cwd, strerror(errno));
        _exit(126);
    }
    execvpe(h->argv[0], h->argv, h->env);
    dprintf(2, "cannot execute %s: %s\n", h->argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static int begin(struct hook *h, struct err *err) {
    int in[2] = {-1, -1}, out[2] = {-1, -1}, complaints[2] = {-1, -1};
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(complaints, O_CLOEXEC))
        return err_errno(err, ERR_RETRY, errno, "pipes for a hook");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    h->pid = fork();
    if (h->pid < 0)
        return err_errno(err, ERR_RETRY, errno, "fork a hook");
    if (h->pid == 0)
        become(h, in[0], out[1], complaints[1]);
    close(in[0]);
    close(out[1]);
    close(complaints[1]);
    h->in = in[1];
    h->out = out[0];
    h->err = complaints[0];
    int ours[] = {h->in, h->out, h->err};
    for (size_t i = 0; i < 3; i++)
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static void shut(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void feed(struct hook *h) {
    ssize_t n = write(h->in, h->input + h->input_at, h->input_len - h->input_at);
    if (n > 0)
        h->input_at += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || h->input_at == h->input_len)
        shut(&h->in);
}

static void drain(const struct hook *h, int *fd, struct text *into) {
    char buf[CHUNK];
    for (;;) {
        ssize_t n = read(*fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            shut(fd);
        if (n <= 0)
            return;
        size_t room = h->max_output - into->len;
        text_addn(into, buf, (size_t)n < room ? (size_t)n : room);
    }
}

static void pump(struct hook *h) {
    int64_t left = h->deadline - now_ms();
    struct pollfd fds[] = {{.fd = h->line, .events = POLLRDHUP},
                           {.fd = h->in, .events = POLLOUT},
                           {.fd = h->out, .events = POLLIN},
                           {.fd = h->err, .events = POLLIN}};
    int64_t nap = left < REAPED_POLL_MS ? left : REAPED_POLL_MS;
    poll(fds, 4, nap > 0 ? (int)nap : 0);
    if (fds[0].revents)
        err_set(&h->over, ERR_CANCELLED, "cancelled");
    else if (left <= 0)
        err_set(&h->over, ERR_TIMEOUT, "%s did not end in time and was killed", h->argv[0]);
    if (h->in >= 0 && fds[1].revents)
        feed(h);
    if (h->out >= 0 && fds[2].revents)
        drain(h, &h->out, &h->said);
    if (h->err >= 0 && fds[3].revents)
        drain(h, &h->err, &h->complained);
    // Only the hook itself is waited for here; what it left behind is ended afterwards.
    if (waitpid(h->pid, &h->status, WNOHANG) == h->pid)
        h->ended = true;
}

static bool kill_children(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    auto_file FILE *f = fopen(path, "re");
    bool any = false;
    for (int pid; f && fscanf(f, "%d", &pid) == 1; any = true)
        kill(pid, SIGKILL);
    return any;
}

// Whoever was started comes back to us as a child (subreaper), however it daemonised.
static void end_all(struct hook *h) {
    if (!h->ended)
        kill(-h->pid, SIGKILL);
    while (kill_children())
        while (waitpid(-1, NULL, 0) > 0)
            kill_children();
}

static int exit_code(const struct hook *h) {
    if (!h->ended)
        return 128 + SIGKILL;
    return WIFEXITED(h->status) ? WEXITSTATUS(h->status) : 128 + WTERMSIG(h->status);
}

void runner_run_hook(struct wire *request, int line, const struct runner_setup *setup,
                     struct text *answer) {
    struct hook h = {.line = line, .in = -1, .out = -1, .err = -1};
    // Not killed with the runner, nor with the worker's group: the line that breaks with the worker
    // says so too, and then we must live long enough to end what daemonised.
    prctl(PR_SET_PDEATHSIG, 0);
    setpgid(0, 0);
    read_request(&h, request);
    if (request->broken || !h.argv[0])
        err_set(&h.over, ERR_BUG, "runner got a broken hook");
    else if (judge(&h, setup, &h.over) == 0 && begin(&h, &h.over) == 0) {
        if (!h.input_len)
            shut(&h.in);
        while (!h.ended && h.over.kind == ERR_NONE)
            pump(&h);
        if (h.out >= 0)
            drain(&h, &h.out, &h.said);
        if (h.err >= 0)
            drain(&h, &h.err, &h.complained);
        end_all(&h);
    }
    wire_add_err(answer, &h.over);
    wire_add_int(answer, exit_code(&h));
    wire_add(answer, text_str(&h.said), h.said.len);
    wire_add(answer, text_str(&h.complained), h.complained.len);
    text_done(&h.said);
    text_done(&h.complained);
    free(h.argv);
    free(h.env);
}
