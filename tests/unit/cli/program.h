// Runs the program itself, while the loop of this process serves what it asks for: a control port
// over a fake pod. A part of each test program that includes it.
#pragma once
#include "tests/unit/sidecar/control/harness.h"
#include <sys/wait.h>

struct said {
    int status;
    char out[16384], err[8192];
};

static void read_back(int fd, char *ret, size_t size) {
    ssize_t n = pread(fd, ret, size - 1, 0);
    assert_true(n >= 0);
    ret[n] = '\0';
    close(fd);
}

static int temporary(void) {
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

UNUSED static pid_t start(char *const *argv, int out, int err) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execv(BUILD_DIR "/ocho", argv);
    _exit(127);
}

// Called at each turn while the program runs: whoever answers what it asks for.
static void (*each_turn)(void);

static bool has_ended(pid_t pid, int *ret_status) {
    if (each_turn)
        each_turn();
    return waitpid(pid, ret_status, WNOHANG) == pid;
}

// Arguments are parted by blanks; PORT stands for the control port's.
static struct said ocho(const char *line) {
    struct said said;
    auto_text struct text t = {0};
    const char *port = strstr(line, "PORT");
    text_addf(&t, "ocho %.*s", port ? (int)(port - line) : (int)strlen(line), line);
    if (port)
        text_addf(&t, "%d%s", it.port, port + 4);
    char **argv = text_split(t.s, " ");
    int out = temporary(), err = temporary(), status = 0;
    pid_t pid = start(argv, out, err);
    pump(has_ended(pid, &status));
    text_list_free(argv);
    read_back(out, said.out, sizeof(said.out));
    read_back(err, said.err, sizeof(said.err));
    said.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return said;
}

// NULL: whatever it says; "": nothing at all.
static bool says_so(const char *said, const char *part) {
    return !part || (*part ? strstr(said, part) != NULL : !*said);
}

UNUSED static void check(const char *line, int status, const char *out, const char *err) {
    struct said said = ocho(line);
    if (said.status != status || !says_so(said.out, out) || !says_so(said.err, err))
        fail_msg("ocho %s: status %d, want %d %s %s\n%s\n%s", line, said.status, status,
                 out ? out : "", err ? err : "", said.out, said.err);
}
