#include "sidecar/holder.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/holder_inside.h"
#include <errno.h>
#include <string.h>

static int through = -1;

void holder_end_exec_through(int fd) {
    through = fd;
}

void holder_serve(int fd, const char *tether) {
    char id[HOLDER_ID_LEN + 2];
    ssize_t n = recv(fd, id, sizeof id, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != HOLDER_ID_LEN || !holder_is_id(id))
        _exit(n == 0 ? 0 : 1);
    id[HOLDER_ID_LEN] = '\0';
    holder_end_exec(tether, id);
}

void holder_end_exec(const char *tether, const char *id) {
    if (through >= 0) {
        if (send(through, id, strlen(id), MSG_NOSIGNAL | MSG_DONTWAIT) != HOLDER_ID_LEN)
            log_warn("holder not told, exec %s runs on: %s", id, strerror(errno));
        return;
    }
    struct sockaddr_un sa;
    socklen_t len = holder_address(&sa, tether, ".holder");
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!len || fd < 0 || connect(fd, (struct sockaddr *)&sa, len) ||
        send(fd, id, strlen(id), MSG_NOSIGNAL) != HOLDER_ID_LEN)
        log_warn("holder out of reach, exec %s runs on: %s", id, strerror(errno));
}
