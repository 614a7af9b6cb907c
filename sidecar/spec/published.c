#include "base/check.h"
#include "sidecar/spec/keys.h"
#include <stdlib.h>
#include <string.h>

// `workload.ports`, in compose's short form: [[address:][host port]:]port[/tcp|udp|sctp], where a
// port may be a range. The spec and who publishes them go by this alone.

// "80" is from 80 to 80.
static int range_of(char *s, int *from, int *to) {
    int64_t a, b;
    char *dash = strchr(s, '-');
    if (dash)
        *dash++ = '\0';
    if (text_int(s, 1, 65535, &a, NULL) || text_int(dash ? dash : s, a, 65535, &b, NULL))
        return -1;
    *from = (int)a;
    *to = (int)b;
    return 0;
}

// In brackets or without them.
static int address_of(char *s, char *ret, size_t size) {
    size_t n = strlen(s);
    if (n > 2 && s[0] == '[' && s[n - 1] == ']') {
        s[n - 1] = '\0';
        s++;
    }
    if (wrong_ip(s))
        return -1;
    snprintf(ret, size, "%s", s);
    return 0;
}

static int take_protocol(char *s, struct spec_published *ret) {
    static const char *const known[] = {"tcp", "udp", "sctp"};
    char *slash = strchr(s, '/');
    if (slash)
        *slash++ = '\0';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(slash ? slash : "tcp", known[i])) {
            ret->protocol = known[i];
            return 0;
        }
    return -1;
}

static char *cut_last(char *s) {
    char *colon = strrchr(s, ':');
    if (colon)
        *colon++ = '\0';
    return colon;
}

static int take(char *s, struct spec_published *ret, int *host_to) {
    int to;
    if (take_protocol(s, ret))
        return -1;
    char *inner = cut_last(s), *outer = inner ? cut_last(s) : NULL;
    char *host = outer ? outer : s;
    if (range_of(inner ? inner : s, &ret->port, &to) ||
        (inner && *host && range_of(host, &ret->host, host_to)) ||
        (outer && address_of(s, ret->ip, sizeof ret->ip)))
        return -1;
    ret->n = to - ret->port + 1;
    return 0;
}

const char *spec_published_parse(const char *s, struct spec_published *ret) {
    int host_to = 0;
    char *copy = xstrdup(s);
    *ret = (struct spec_published){0};
    int failed = take(copy, ret, &host_to);
    free(copy);
    if (failed)
        return "is not a port to publish, like 2181, 8081:80 or 127.0.0.1:53:53/udp";
    if (ret->host && host_to - ret->host + 1 != ret->n)
        return "is not as many ports on the host as in the container, like 9000-9010:8000-8010";
    return NULL;
}

const char *wrong_published(const char *s) {
    struct spec_published unused;
    return spec_published_parse(s, &unused);
}
