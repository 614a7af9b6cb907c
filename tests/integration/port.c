#include "tests/integration/port.h"
#include "base/check.h"
#include "base/own.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 10000, COUNT = 22000 };

static bool is_free(int port) {
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
}

static int read_last(int counter) {
    char text[16] = "";
    CHECK(pread(counter, text, sizeof text - 1, 0) >= 0);
    int last = atoi(text);
    return last >= FIRST ? last - FIRST : getpid();
}

static void write_last(int counter, int port) {
    char text[16];
    int len = snprintf(text, sizeof text, "%d\n", port);
    CHECK(ftruncate(counter, 0) == 0 && pwrite(counter, text, (size_t)len, 0) == len);
}

int free_port(void) {
    const char *dir = getenv("TMPDIR");
    char path[256];
    CHECK(snprintf(path, sizeof path, "%s/ochopod-tests.port", dir ? dir : "/tmp") <
          (int)sizeof path);
    auto_fd int counter = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(counter >= 0 && flock(counter, LOCK_EX) == 0);
    int at = read_last(counter);
    for (int i = 0; i < COUNT; i++) {
        int port = FIRST + ++at % COUNT;
        if (is_free(port)) {
            write_last(counter, port);
            return port;
        }
    }
    CHECK(!"a port is free");
    return -1;
}
