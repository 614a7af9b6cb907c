// What is received of descriptors: one, or nothing that stays open.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/own.h"
#include "base/wire.h"
#include "tests/unit/folder.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 16 };

static int line[2];

static int setup(void **state) {
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line);
}

static int teardown(void **state) {
    (void)state;
    return close(line[0]) | close(line[1]);
}

// As somebody would who is none of ours: n of them, with as many bytes.
static void send_fds(size_t n, size_t bytes) {
    char byte = 0;
    int fds[FDS_MAX];
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof fds)] = {0};
    struct iovec iov = {&byte, bytes};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = room,
                         .msg_controllen = CMSG_SPACE(n * sizeof *fds)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof *fds);
    for (size_t i = 0; i < n; i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
    assert_int_equal(sendmsg(line[0], &msg, 0), bytes);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static void one_is_received(void **state) {
    (void)state;
    auto_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(wire_send_fd(line[0], null), 0);
    auto_fd int fd = -1;
    assert_int_equal(wire_receive_fd(line[1], 0, &fd), 1);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void where_none_comes_there_is_none(void **state) {
    (void)state;
    int fd;
    assert_int_equal(wire_receive_fd(line[1], MSG_DONTWAIT, &fd), -1);
    assert_int_equal(fd, -1);
    assert_int_equal(send(line[0], "x", 1, 0), 1);
    assert_int_equal(wire_receive_fd(line[1], 0, &fd), 1);
    assert_int_equal(fd, -1);
}

static void expect_none_stays_open(size_t n, size_t bytes) {
    size_t before = folder_entries("/proc/self/fd");
    int fd;
    send_fds(n, bytes);
    assert_int_equal(wire_receive_fd(line[1], 0, &fd), bytes);
    assert_int_equal(fd, -1);
    assert_int_equal(folder_entries("/proc/self/fd"), before);
}

// In the room for one there is room for two, as it is aligned; the kernel fills that.
static void of_more_than_one_none_stays_open(void **state) {
    (void)state;
    for (size_t n = 2; n <= FDS_MAX; n++)
        expect_none_stays_open(n, 1);
}

static void what_comes_without_a_byte_does_not_stay_open(void **state) {
    (void)state;
    for (size_t n = 1; n <= 2; n++)
        expect_none_stays_open(n, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_is_received),
        TEST(where_none_comes_there_is_none),
        TEST(of_more_than_one_none_stays_open),
        TEST(what_comes_without_a_byte_does_not_stay_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
