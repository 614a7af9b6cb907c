// What both ends of the holder's two sockets agree on: names and the one message.
#pragma once
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { HOLDER_ID_LEN = 36 }; // a uuid

// An abstract name; 0: it is too long.
static inline socklen_t holder_address(struct sockaddr_un *sa, const char *name,
                                       const char *suffix) {
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(sa->sun_path + 1, sizeof sa->sun_path - 1, "%s%s", name, suffix);
    if (n < 0 || (size_t)n >= sizeof sa->sun_path - 1)
        return 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static inline bool holder_is_id(const char *s) {
    for (size_t i = 0; i < HOLDER_ID_LEN; i++)
        if (!isxdigit((unsigned char)s[i]) && s[i] != '-')
            return false;
    return true;
}
