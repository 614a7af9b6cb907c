#include "sidecar/control/listen.h"
#include "base/check.h"
#include "base/own.h"
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>

static int listen_error(struct err *err, const char *address, int port, int why) {
    if (why == EADDRINUSE)
        return err_errno(err, ERR_USER, why,
                         "control port %d of %s: choose another `port` or stop what listens there",
                         port, address);
    if (why == EADDRNOTAVAIL)
        return err_errno(err, ERR_USER, why,
                         "control port %d: `listen: %s` must be an address of this machine", port,
                         address);
    return err_errno(err, ERR_USER, why, "control port %d of %s", port, address);
}

int listen_open(const char *address, int port, struct err *err) {
    struct addrinfo want = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    auto_free char *service = xasprintf("%d", port);
    if (getaddrinfo(address, service, &want, &found) != 0)
        return err_set(err, ERR_USER,
                       "`listen: %.80s` is no address: give one like 0.0.0.0 or ::", address);
    int on = 1, off = 0;
    auto_fd int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                            IPPROTO_TCP);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;
    if (ok && found->ai_family == AF_INET6)
        ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0;
    ok = ok && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(found);
    return ok ? take_fd(fd) : listen_error(err, address, port, why);
}
