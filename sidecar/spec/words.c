#include "base/check.h"
#include "sidecar/spec/keys.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

static bool only(const char *s, const char *allowed, size_t max) {
    size_t n = strlen(s);
    return n && n <= max && strspn(s, allowed) == n;
}

// Both become part of a znode's name and of labels.
const char *wrong_cluster(const char *s) {
    bool ok = only(s, LETTERS DIGITS "._-", 200) && isalnum((unsigned char)*s);
    return ok ? NULL : "is not a name of letters, digits, '.', '-' and '_'";
}

const char *wrong_namespace(const char *s) {
    bool ok = only(s, LETTERS DIGITS "_-", 100) && isalnum((unsigned char)*s);
    return ok ? NULL : "is not a name of letters, digits, '-' and '_'";
}

const char *wrong_ip(const char *s) {
    struct in6_addr a;
    bool ok = inet_pton(AF_INET, s, &a) == 1 || inet_pton(AF_INET6, s, &a) == 1;
    return ok ? NULL : "is not an IP address; names are not resolved here";
}

const char *wrong_path(const char *s) {
    size_t n = strlen(s);
    if (*s != '/')
        return "is not an absolute path";
    if (n >= 4000 || strpbrk(s, "\n\r\t"))
        return "is no path";
    if (!text_is_utf8(s, n))
        return "is not UTF-8";
    if (n == 1)
        return "is the root directory";
    if (s[n - 1] == '/' || strstr(s, "//") || strstr(s, "/./") || strstr(s, "/../") ||
        text_ends(s, "/..") || text_ends(s, "/."))
        return "is not a clean path: no '//', '.', '..' and no '/' at its end";
    return NULL;
}

static bool image_part(const char *s, size_t n) {
    if (!n || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz" DIGITS "._-", s[i]))
            return false;
    return true;
}

// [registry[:port]/]path/parts[:tag][@algorithm:hex]
const char *wrong_image(const char *s) {
    static const char why[] = "is not an image name like zookeeper:3.9 or registry:5000/team/app:1";
    char name[512];
    size_t n = strcspn(s, "@");
    if (n >= sizeof name || (s[n] && !only(s + n + 1, LETTERS DIGITS ":+._-", 200)))
        return why;
    memcpy(name, s, n);
    name[n] = '\0';
    char *slash = strrchr(name, '/');
    char *tag = strchr(slash ? slash : name, ':');
    if (tag) {
        *tag++ = '\0';
        if (!only(tag, LETTERS DIGITS "._-", 128) || *tag == '.' || *tag == '-')
            return why;
    }
    const char *at = name;
    size_t first = strcspn(at, "/");
    bool registry = at[first] && (memchr(at, '.', first) || memchr(at, ':', first) ||
                                  (first == 9 && !strncmp(at, "localhost", 9)));
    if (registry) {
        for (size_t i = 0; i < first; i++)
            if (!strchr(LETTERS DIGITS ".-:[]", at[i]))
                return why;
        at += first + 1;
    }
    for (;;) {
        size_t part = strcspn(at, "/");
        if (!image_part(at, part))
            return why;
        if (!at[part])
            return NULL;
        at += part + 1;
    }
}

const char *spec_wrong_cluster(const char *s) {
    return wrong_cluster(s);
}

const char *spec_wrong_namespace(const char *s) {
    return wrong_namespace(s);
}

const char *spec_wrong_image(const char *s) {
    return wrong_image(s);
}

static const char *wrong_zk_server(const char *s) {
    const char *colon = strrchr(s, ':');
    int64_t port;
    if (!colon || colon == s)
        return "names a server without its port; say zk1:2181";
    if (text_int(colon + 1, 1, 65535, &port, NULL))
        return "names a server with a port that is none";
    for (const char *c = s; c < colon; c++)
        if (!strchr(LETTERS DIGITS ".-_:[]%", *c))
            return "names a server that is neither a host name nor an address";
    return NULL;
}

const char *wrong_zk(const char *s) {
    if (!strcmp(s, "none"))
        return NULL;
    if (text_starts(s, "zk://"))
        s += 5;
    if (strstr(s, "://"))
        return "is not an address like zk://zk1:2181,zk2:2181/chroot";
    const char *at = strrchr(s, '@');
    if (at && !memchr(s, ':', (size_t)(at - s)))
        return "has a user without a password; say zk://user:password@host:port";
    s = at ? at + 1 : s;
    const char *slash = strchr(s, '/');
    if (slash && slash[1] && wrong_path(slash))
        return "has a path that is not clean";
    char *servers = xstrndup(s, slash ? (size_t)(slash - s) : strlen(s));
    char **list = text_split(servers, ",");
    const char *wrong = list[0] ? NULL : "names no server; say zk://zk1:2181,zk2:2181";
    for (size_t i = 0; !wrong && list[i]; i++)
        wrong = wrong_zk_server(list[i]);
    text_list_free(list);
    free(servers);
    return wrong;
}

const char *wrong_signal(const char *s) {
    static const char *const known[] = {"HUP",  "INT",  "QUIT",  "ABRT", "USR1", "USR2", "KILL",
                                        "TERM", "CONT", "WINCH", "PIPE", "ALRM", "STOP", "TSTP",
                                        "TTIN", "TTOU", "URG",   "IO",   "PWR",  "CHLD"};
    if (text_starts(s, "SIG"))
        s += 3;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(s, known[i]))
            return NULL;
    return "is not a signal like TERM, INT, HUP, QUIT, USR1 or WINCH";
}

// kafka, /other.kafka, web-*: a name of Ochopod's, with the wildcards of fnmatch.
const char *wrong_dependency(const char *s) {
    bool absolute = *s == '/';
    s += absolute;
    if (!only(s, LETTERS DIGITS "._-*?[]!", 300))
        return "is not the name of a cluster: kafka, /namespace.kafka, \"web-*\"";
    if (absolute && !strchr(s, '.'))
        return "is absolute and has no namespace; say /namespace.cluster";
    int open = 0;
    for (; *s && open >= 0 && open <= 1; s++) {
        open += *s == '[';
        open -= *s == ']';
    }
    return open ? "has a bracket without its other half" : NULL;
}

const char *wrong_variable(const char *s) {
    bool ok = only(s, LETTERS DIGITS "_.-", 300) && !isdigit((unsigned char)*s);
    return ok ? NULL : "is not the name of an environment variable";
}

const char *wrong_word(const char *s) {
    bool ok = only(s, LETTERS DIGITS "_.-", 200) && isalnum((unsigned char)*s);
    return ok ? NULL : "is not a name of letters, digits, '.', '-' and '_'";
}

const char *wrong_host(const char *s) {
    bool ok = only(s, LETTERS DIGITS ".-", 63) && isalnum((unsigned char)*s);
    return ok ? NULL : "is not a host name";
}

const char *wrong_nothing(const char *s) {
    if (!*s)
        return "is empty";
    return strpbrk(s, "\n\r") ? "has more than one line" : NULL;
}

// ---- did you mean ----

enum { LONGEST = 32 };

// Edits that turn one into the other; swapping two neighbours is one.
static int distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    int d[LONGEST + 1][LONGEST + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (tolower((unsigned char)a[i - 1]) != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *did_you_mean(const struct key *keys, const char *name) {
    const char *best = NULL;
    int nearest = strlen(name) > 3 ? 3 : 2; // one less is accepted
    for (; keys->name; keys++) {
        int n = distance(name, keys->name);
        if (n < nearest) {
            nearest = n;
            best = keys->name;
        }
    }
    return best;
}
