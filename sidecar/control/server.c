#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/tls.h"
#include "sidecar/control/listen.h"
#include "sidecar/control/server_inside.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    CONNECTIONS = 1024,
    RESERVED = 64,     // of them for addresses that a leader has asked from
    BODIES = 32 << 20, // bytes that are kept of all of them, and of streams
    LEAVING = 16,      // told to go, and not gone yet
    OWN_FILES = 192,   // descriptors that are not the control port's
    POOL = 16 * 1024,  // of each connection: its header, and what is being sent
    SWEEP_MS = 500,
    RUNS = 4, // of microhttpd in one turn before others get theirs
};

// ---- connections ----

// microhttpd meets the end of the stream and closes. Its own timeouts start anew with each byte,
// which is what a slow client lives on.
static void on_sweep(void *arg) {
    struct server *server = arg;
    int64_t now = loop_now(server->loop);
    struct connection *it;
    list_each(it, &server->crowd.members, struct connection, member.link) {
        if (it->deadline > now)
            continue;
        it->deadline = SERVER_NEVER;
        shutdown(it->fd, SHUT_RDWR);
    }
    if (!list_empty(&server->crowd.members))
        loop_timer_start(server->loop, &server->sweep, SWEEP_MS, on_sweep, server);
}

static enum MHD_Result on_newcomer(void *cls, const struct sockaddr *from, socklen_t len) {
    (void)len;
    struct server *server = cls;
    struct crowd_member *leaves;
    if (!crowd_admits(&server->crowd, from, &leaves))
        return MHD_NO;
    if (leaves)
        shutdown(list_entry(leaves, struct connection, member)->fd, SHUT_RDWR);
    return MHD_YES;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what) {
    struct server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct connection *it = take_ptr(*context);
        crowd_leave(&server->crowd, &it->member);
        free(it);
        // Had it stopped accepting for want of descriptors, it begins again in its next run alone.
        server->resumed = true;
        return;
    }
    struct connection *it = xnew(struct connection);
    it->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    it->deadline = loop_now(server->loop) + SERVER_HEADER_MS;
    crowd_join(&server->crowd, &it->member,
               MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    *context = it;
    if (!server->sweep)
        loop_timer_start(server->loop, &server->sweep, SWEEP_MS, on_sweep, server);
}

static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s) {
    (void)cls;
    (void)mhd;
    return strlen(s);
}

__attribute__((format(printf, 2, 0))) static void on_complaint(void *cls, const char *fmt,
                                                               va_list ap) {
    (void)cls;
    char line[256];
    vsnprintf(line, sizeof(line), fmt, ap);
    line[strcspn(line, "\n")] = '\0';
    log_debug("control http: %s", line);
}

// ---- the daemon on the loop ----

static void on_again(void *arg) {
    (void)arg; // on_turn comes at the end of this one
}

// What microhttpd knows to be ready without its epoll saying so (again: it is edge-triggered).
static bool is_pending(struct server *server) {
    MHD_UNSIGNED_LONG_LONG ms;
    return server->resumed || (MHD_get_timeout(server->mhd, &ms) == MHD_YES && ms == 0);
}

static void run_pending(struct server *server) {
    for (int i = 0; i < RUNS && is_pending(server); i++) {
        server->resumed = false;
        MHD_run(server->mhd);
    }
}

// To the end, where that is near: whatever else this turn holds may take long.
static void on_ready(int events, void *arg) {
    (void)events;
    struct server *server = arg;
    MHD_run(server->mhd);
    run_pending(server);
}

static void on_turn(void *arg) {
    struct server *server = arg;
    run_pending(server);
    if (is_pending(server))
        loop_timer_start(server->loop, &server->again, 0, on_again, server);
}

static int port_of(int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {.v6 = {0}};
    socklen_t len = sizeof(at);
    CHECK(getsockname(fd, &at.any, &len) == 0);
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

// Never so many that ZooKeeper, the engine and what is rendered find no descriptor.
static size_t places(void) {
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    if (files.rlim_cur >= CONNECTIONS + LEAVING + OWN_FILES)
        return CONNECTIONS;
    size_t n = files.rlim_cur > 2 * OWN_FILES ? files.rlim_cur - OWN_FILES : files.rlim_cur / 2;
    return n > LEAVING ? n - LEAVING : 1;
}

static struct MHD_Daemon *daemon_start(struct server *server, int fd, bool tls) {
    const struct MHD_OptionItem with_tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, tls_identity_callback()},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0), 0,
        on_newcomer, server, server_on_access, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(server->crowd.limit + LEAVING),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, server_on_line, server, MHD_OPTION_NOTIFY_COMPLETED,
        server_on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_EXTERNAL_LOGGER, on_complaint,
        NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls ? with_tls : &with_tls[2],
        MHD_OPTION_END);
}

int server_open(struct loop *loop, const char *listen_on, int port, bool tls,
                const struct server_events *events, void *arg, struct server **ret,
                struct err *err) {
    auto_fd int fd = listen_open(listen_on, port, err);
    if (fd < 0)
        return -1;
    auto_free struct server *server = xnew(struct server);
    *server = (struct server){.loop = loop, .events = *events, .arg = arg, .port = port_of(fd)};
    size_t room = places();
    crowd_init(&server->crowd, room, room > 2 * RESERVED ? RESERVED : room / 2, BODIES);
    list_init(&server->waiting);
    server->mhd = daemon_start(server, fd, tls);
    if (!server->mhd)
        return err_set(err, ERR_RETRY, "control port %d: the HTTP server did not start", port);
    (void)take_fd(fd); // closed by MHD_stop_daemon
    int epoll = MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    server->watch = loop_fd_start(loop, epoll, LOOP_READ, on_ready, server);
    server->turn = loop_turn_start(loop, on_turn, server);
    *ret = take_ptr(server);
    return 0;
}

int server_bound_port(const struct server *server) {
    return server->port;
}

uint64_t server_answered(const struct server *server, int status) {
    return status >= SERVER_STATUS_MIN && status < SERVER_STATUS_MAX
               ? server->answered[status - SERVER_STATUS_MIN]
               : 0;
}

size_t server_connections(const struct server *server) {
    return server->crowd.n;
}

void server_close(struct server *server) {
    if (!server)
        return;
    server->closing = true;
    struct request *it;
    list_each(it, &server->waiting, struct request, link) {
        server_dismiss(it);
    }
    for (int i = 0; i < RUNS; i++)
        MHD_run(server->mhd);
    loop_turn_stop(&server->turn);
    loop_fd_stop(&server->watch);
    loop_timer_stop(&server->again);
    MHD_stop_daemon(server->mhd);
    loop_timer_stop(&server->sweep);
    crowd_done(&server->crowd);
    free(server);
}
