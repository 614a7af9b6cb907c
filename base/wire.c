#include "base/wire.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t null_len = -1;

void wire_add_int(struct text *message, int64_t n) {
    text_addn(message, &n, sizeof n);
}

void wire_add(struct text *message, const void *data, size_t len) {
    wire_add_int(message, (int64_t)len);
    if (len)
        text_addn(message, data, len);
    text_addn(message, "", 1);
}

void wire_add_str(struct text *message, const char *s) {
    if (s)
        wire_add(message, s, strlen(s));
    else
        wire_add_int(message, null_len);
}

int64_t wire_int(struct wire *w) {
    int64_t n = 0;
    if (w->broken || (size_t)(w->end - w->at) < sizeof n) {
        w->broken = 1;
        return 0;
    }
    memcpy(&n, w->at, sizeof n);
    w->at += sizeof n;
    return n;
}

const char *wire_bytes(struct wire *w, size_t *ret_len) {
    int64_t len = wire_int(w);
    *ret_len = 0;
    if (len == null_len && !w->broken)
        return NULL;
    if (w->broken || len < 0 || len >= w->end - w->at || w->at[len]) {
        w->broken = 1;
        return "";
    }
    const char *s = w->at;
    w->at += len + 1;
    *ret_len = (size_t)len;
    return s;
}

const char *wire_str(struct wire *w) {
    size_t len;
    return wire_bytes(w, &len);
}

void wire_add_err(struct text *message, const struct err *err) {
    wire_add_int(message, err->kind);
    wire_add_int(message, err->code);
    wire_add_str(message, err->text);
}

void wire_get_err(struct wire *w, struct err *ret) {
    ret->kind = (enum err_kind)wire_int(w);
    ret->code = (int)wire_int(w);
    const char *text = wire_str(w);
    snprintf(ret->text, sizeof ret->text, "%s", text ? text : "");
}

// ---- descriptors: unix(7), SCM_RIGHTS ----

union fd_room {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

int wire_send_fd(int socket, int fd) {
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union fd_room space = {0};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = space.room,
                         .msg_controllen = sizeof space.room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(socket, &msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

// The one that came; of more, or of some that found no room, none. They are open already, as the
// kernel has put them into our table.
static int only_fd(struct msghdr *msg) {
    int first = -1;
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const unsigned char *end = (const unsigned char *)c + c->cmsg_len;
        for (const unsigned char *at = CMSG_DATA(c); at + sizeof first <= end; at += sizeof first) {
            int fd;
            memcpy(&fd, at, sizeof fd);
            if (n++ == 0)
                first = fd;
            else
                close(fd);
        }
    }
    if (n == 0 || (n == 1 && !(msg->msg_flags & MSG_CTRUNC)))
        return first;
    close(first);
    return -1;
}

ssize_t wire_receive_fd(int socket, int flags, int *ret_fd) {
    char byte;
    struct iovec iov = {&byte, 1};
    union fd_room space = {0};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = space.room,
                         .msg_controllen = sizeof space.room};
    *ret_fd = -1;
    ssize_t n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
    int fd = n >= 0 ? only_fd(&msg) : -1;
    if (n > 0)
        *ret_fd = fd;
    else if (fd >= 0) // a message of no byte looks like the end, and may bring one
        close(fd);
    return n;
}
