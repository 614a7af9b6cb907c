#include "tests/integration/zk/relay.h"
#include "base/check.h"
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX = 16, XID_PING = -2 };

struct wire {
    int client, server;
    // The packets that the client sends: what is left of the one in hand, and its first 8 bytes.
    unsigned char head[8];
    size_t have, left;
};

struct relay {
    pthread_t thread;
    int listener, port, server_port;
    atomic_int mode, cuts, requests, pings;
    atomic_bool stop;
    struct wire wires[MAX];
    int n, cuts_done;
    atomic_int cuts_seen;
};

static int listen_any(int *ret_port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void close_wire(struct relay *r, int i) {
    close(r->wires[i].client);
    close(r->wires[i].server);
    r->wires[i] = r->wires[--r->n];
}

static void accept_one(struct relay *r) {
    int client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)r->server_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (client < 0 || r->mode == RELAY_REFUSE || r->n == MAX ||
        connect(server, (struct sockaddr *)&a, sizeof a)) {
        close(client);
        close(server);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    r->wires[r->n++] = (struct wire){.client = client, .server = server};
}

// 4 bytes of length, then the xid.
static void count(struct relay *r, struct wire *w, const unsigned char *p, size_t n) {
    while (n > 0) {
        size_t want = w->have < 4 ? 1 : w->left < n ? w->left : n;
        for (size_t i = 0; i < want && w->have < 8; i++)
            w->head[w->have++] = p[i];
        if (w->have == 4 && w->left == 0) {
            uint32_t len;
            memcpy(&len, w->head, 4);
            w->left = be32toh(len);
        } else if (w->have > 4) {
            w->left -= want;
        }
        p += want;
        n -= want;
        if (w->have == 8 && w->left == 0) {
            uint32_t xid;
            memcpy(&xid, w->head + 4, 4);
            r->requests++;
            r->pings += (int32_t)be32toh(xid) == XID_PING;
            w->have = 0;
        }
    }
}

// false: the end.
static bool carry(struct relay *r, struct wire *w, bool answer) {
    unsigned char buf[65536];
    ssize_t n = recv(answer ? w->server : w->client, buf, sizeof buf, MSG_DONTWAIT);
    if (n <= 0)
        return false;
    if (!answer)
        count(r, w, buf, (size_t)n);
    if (answer && r->mode == RELAY_DEAF)
        return true;
    return send(answer ? w->client : w->server, buf, (size_t)n, MSG_NOSIGNAL) == n;
}

static void turn(struct relay *r) {
    struct pollfd fds[1 + 2 * MAX];
    int n = r->n;
    bool moving = r->mode != RELAY_HOLD;
    fds[0] = (struct pollfd){.fd = r->listener, .events = moving ? POLLIN : 0};
    for (int i = 0; i < n; i++) {
        fds[1 + 2 * i] = (struct pollfd){.fd = moving ? r->wires[i].client : -1, .events = POLLIN};
        fds[2 + 2 * i] = (struct pollfd){.fd = moving ? r->wires[i].server : -1, .events = POLLIN};
    }
    poll(fds, (nfds_t)(1 + 2 * n), 2);
    for (int i = n - 1; i >= 0; i--) {
        bool good = true;
        if (fds[1 + 2 * i].revents)
            good = carry(r, &r->wires[i], false);
        if (good && fds[2 + 2 * i].revents)
            good = carry(r, &r->wires[i], true);
        if (!good)
            close_wire(r, i);
    }
    if (fds[0].revents)
        accept_one(r);
}

static void *run(void *arg) {
    struct relay *r = arg;
    while (!r->stop) {
        int cuts = r->cuts;
        if (cuts != r->cuts_done) {
            while (r->n)
                close_wire(r, 0);
            r->cuts_done = cuts;
        }
        r->cuts_seen = r->cuts_done;
        turn(r);
    }
    while (r->n)
        close_wire(r, 0);
    return NULL;
}

struct relay *relay_create(int server_port) {
    struct relay *r = xnew(struct relay);
    r->server_port = server_port;
    r->listener = listen_any(&r->port);
    CHECK(pthread_create(&r->thread, NULL, run, r) == 0);
    return r;
}

void relay_free(struct relay *r) {
    r->stop = true;
    pthread_join(r->thread, NULL);
    close(r->listener);
    free(r);
}

int relay_port(const struct relay *r) {
    return r->port;
}

void relay_set(struct relay *r, enum relay_mode mode) {
    r->mode = (int)mode;
}

void relay_cut(struct relay *r) {
    int want = ++r->cuts;
    while (r->cuts_seen < want)
        usleep(500);
}

int relay_requests(struct relay *r) {
    return r->requests;
}

int relay_pings(struct relay *r) {
    return r->pings;
}
