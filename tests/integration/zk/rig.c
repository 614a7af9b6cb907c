#include "tests/integration/zk/rig.h"
#include "base/check.h"
#include "base/own.h"
#include "tests/integration/port.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JARS "/usr/share/java/"

enum { DEADLINE_MS = 60000 };

struct server {
    char dir[64];
    int port;
    pid_t pid;
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static struct sockaddr_in local(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void write_file(const struct server *s, const char *name, const char *text) {
    auto_free char *path = xasprintf("%s/%s", s->dir, name);
    auto_file FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0);
}

static bool answers(const struct server *s) {
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = local(s->port);
    struct timeval patience = {.tv_sec = 2};
    char answer[4] = "";
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, "ruok", 4) == 4 &&
           recv(fd, answer, 4, MSG_WAITALL) == 4 && memcmp(answer, "imok", 4) == 0;
}

static void run_java(const struct server *s) {
    auto_free char *classes = xasprintf(
        "%s:" JARS "zookeeper.jar:" JARS "slf4j-log4j12.jar:" JARS "log4j-1.2.jar", s->dir);
    auto_free char *config = xasprintf("%s/zoo.cfg", s->dir);
    auto_free char *log = xasprintf("%s/log", s->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fd, 1);
    dup2(fd, 2);
    execlp("java", "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
           classes, "org.apache.zookeeper.server.ZooKeeperServerMain", config, (char *)NULL);
    perror("java");
    _exit(127);
}

void server_start(struct server *s) {
    s->pid = fork();
    CHECK(s->pid >= 0);
    if (s->pid == 0)
        run_java(s);
    int64_t until = now_ms() + DEADLINE_MS;
    while (!answers(s)) {
        if (now_ms() > until || waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            server_show_log(s);
            CHECK(!"ZooKeeper answers");
        }
        usleep(20000);
    }
}

struct server *server_create(void) {
    struct server *s = xnew(struct server);
    snprintf(s->dir, sizeof s->dir, "/tmp/ocho-zk.XXXXXX");
    CHECK(mkdtemp(s->dir));
    s->port = free_port();
    auto_free char *config = xasprintf(
        "tickTime=500\nmaxSessionTimeout=600000\ndataDir=%s/data\nclientPort=%d\n"
        "clientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"
        "4lw.commands.whitelist=*\nadmin.enableServer=false\n",
        s->dir, s->port);
    write_file(s, "zoo.cfg", config);
    write_file(s, "log4j.properties",
               "log4j.rootLogger=INFO, C\nlog4j.appender.C=org.apache.log4j.ConsoleAppender\n"
               "log4j.appender.C.layout=org.apache.log4j.PatternLayout\n"
               "log4j.appender.C.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} - %m%n\n");
    server_start(s);
    return s;
}

void server_kill(struct server *s) {
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void server_free(struct server *s) {
    server_kill(s);
    auto_free char *command = xasprintf("rm -rf %s", s->dir);
    CHECK(system(command) == 0);
    free(s);
}

int server_port(const struct server *s) {
    return s->port;
}

void server_stop(struct server *s) {
    kill(s->pid, SIGSTOP);
}

void server_continue(struct server *s) {
    kill(s->pid, SIGCONT);
}

void server_show_log(const struct server *s) {
    auto_free char *path = xasprintf("%s/log", s->dir);
    auto_file FILE *f = fopen(path, "r");
    char line[1024];
    while (f && fgets(line, sizeof line, f))
        fputs(line, stderr);
}

// ---- waiting ----

struct waiting {
    struct loop *loop;
    struct loop_timer *timer;
    bool (*done)(void *arg);
    void *arg;
    int64_t until;
    bool good;
};

static void look(void *arg) {
    struct waiting *w = arg;
    w->good = w->done && w->done(w->arg);
    if (w->good || loop_now(w->loop) >= w->until)
        loop_quit(w->loop);
    else
        loop_timer_start(w->loop, &w->timer, 2, look, w);
}

static bool wait_for(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t ms) {
    struct waiting w = {.loop = loop, .done = done, .arg = arg, .until = loop_now(loop) + ms};
    loop_timer_start(loop, &w.timer, 0, look, &w);
    loop_run(loop);
    loop_timer_stop(&w.timer);
    return w.good;
}

bool wait_until(struct loop *loop, bool (*done)(void *arg), void *arg) {
    return wait_for(loop, done, arg, DEADLINE_MS);
}

void run_for(struct loop *loop, int64_t ms) {
    (void)wait_for(loop, NULL, NULL, ms);
}
