#include "tests/integration/port.h"
#include "base/check.h"
#include "base/own.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/socket.h>

enum { FIRST = 10000, COUNT = 22000, TRIES = 1000 };

static bool is_free(int port) {
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
}

int free_port(void) {
    for (int i = 0; i < TRIES; i++) {
        uint32_t chance = 0;
        CHECK(getrandom(&chance, sizeof chance, 0) == (ssize_t)sizeof chance);
        int port = FIRST + (int)(chance % COUNT);
        if (is_free(port))
            return port;
    }
    CHECK(!"a port is free");
    return -1;
}
