// Plays all the pods of a cluster but one: a control port on every address of 127.0.0.0/8 that
// answers each request at once with 200 and {}, and a second thread that asks the one real pod's
// /livez again and again, each time as soon as it was answered: how long an answer takes is how
// long its loop was busy with something else. A line on stdin ends a stretch and prints what was in
// it:
//   requests=N body_bytes=N livez=N worst_us=N p99_us=N
// peers PORT LIVEZ_PORT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, SAMPLES_MAX = 1 << 20, PAUSE_US = 500 };

struct peer {
    int fd;
    size_t head_len, body_left;
    char head[HEAD_MAX + 1];
};

static unsigned long long requests, body_bytes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned samples[SAMPLES_MAX];
static size_t samples_n;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void drop(struct peer *p) {
    close(p->fd);
    free(p);
}

static bool answer(struct peer *p) {
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json; "
                                "charset=utf-8\r\nContent-Length: 2\r\n\r\n{}";
    requests++;
    p->head_len = 0;
    return write(p->fd, reply, sizeof reply - 1) == (ssize_t)sizeof reply - 1;
}

// The end of a header and what of the body came with it. false: nonsense, or the peer is gone.
static bool take(struct peer *p, size_t n) {
    if (p->body_left) {
        body_bytes += n;
        p->body_left -= n < p->body_left ? n : p->body_left;
        return p->body_left || answer(p);
    }
    p->head_len += n;
    p->head[p->head_len] = '\0';
    const char *end = strstr(p->head, "\r\n\r\n");
    if (!end)
        return p->head_len < HEAD_MAX;
    const char *length = strcasestr(p->head, "\r\ncontent-length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    size_t here = p->head_len - (size_t)(end + 4 - p->head);
    body_bytes += here;
    p->head_len = 0;
    p->body_left = here < body ? body - here : 0;
    return p->body_left || answer(p);
}

static void on_readable(struct peer *p) {
    static char bin[1 << 16];
    for (;;) {
        char *where = p->body_left ? bin : p->head + p->head_len;
        size_t room = p->body_left ? sizeof bin : HEAD_MAX - p->head_len;
        ssize_t n = read(p->fd, where, room);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || !take(p, (size_t)n)) {
            drop(p);
            return;
        }
    }
}

static void on_connection(int epoll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = calloc(1, sizeof *p);
        if (!p)
            die("calloc");
        p->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
            die("epoll_ctl");
    }
}

static int listen_at(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096))
        die("listen");
    return fd;
}

// ---- how long the real one takes ----

static unsigned ask(int fd) {
    static const char get[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    char reply[1024];
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (write(fd, get, sizeof get - 1) < 0 || read(fd, reply, sizeof reply) <= 0)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (unsigned)((b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
}

// Ahead of the leader and of the peers: what it waits for is an answer, never a processor.
static void run_ahead(void) {
    struct sched_param at;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &at))
        die("pthread_getschedparam");
    at.sched_priority++;
    if (policy == SCHED_FIFO && pthread_setschedparam(pthread_self(), policy, &at))
        die("pthread_setschedparam");
}

static void *watch(void *arg) {
    run_ahead();
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arg))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int fd = -1;; usleep(PAUSE_US)) {
        if (fd < 0) {
            fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
                close(fd);
                fd = -1;
                continue;
            }
        }
        unsigned took = ask(fd);
        if (!took) {
            close(fd);
            fd = -1;
            continue;
        }
        pthread_mutex_lock(&lock);
        if (samples_n < SAMPLES_MAX)
            samples[samples_n++] = took;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static int by_size(const void *a, const void *b) {
    return *(const unsigned *)a < *(const unsigned *)b ? -1 : 1;
}

static void report(void) {
    pthread_mutex_lock(&lock);
    qsort(samples, samples_n, sizeof *samples, by_size);
    unsigned worst = samples_n ? samples[samples_n - 1] : 0;
    unsigned p99 = samples_n ? samples[samples_n * 99 / 100] : 0;
    printf("requests=%llu body_bytes=%llu livez=%zu worst_us=%u p99_us=%u\n", requests, body_bytes,
           samples_n, worst, p99);
    fflush(stdout);
    samples_n = 0;
    requests = body_bytes = 0;
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    pthread_t thread;
    int listener = listen_at(atoi(argv[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || pthread_create(&thread, NULL, watch, argv[2]))
        die("start");
    struct epoll_event events[256];
    events[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = &listener};
    events[1] = (struct epoll_event){.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &events[1]);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            char line[64];
            if (events[i].data.ptr == &listener)
                on_connection(epoll, listener);
            else if (events[i].data.ptr)
                on_readable(events[i].data.ptr);
            else if (read(STDIN_FILENO, line, sizeof line) <= 0)
                return 0;
            else
                report();
        }
    }
}
