#include "bindings/agent.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/table.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024, SHOWN = 120 };

// In the order in which they are believed.
static const struct place {
    const char *path;
    bool settings; // NAME=value lines, else the bare address
} places[] = {
    {"/run/dcos/etc/mesos-slave", true},
    {"/var/lib/dcos/mesos-resources", true},
    {"/var/lib/dcos/mesos-slave-common", true},
    {"/opt/mesosphere/etc/mesos-slave-common-extras", true},
    {"/opt/mesosphere/etc/proxy.env", true},
    {"/opt/mesosphere/etc/mesos-slave", true},
    {"/opt/mesosphere/etc/mesos-slave-common", true},
    {"/opt/mesosphere/environment", true},
    {"/etc/mesos-slave/master", false},
    {"/etc/default/mesos-slave", true},
    {"/etc/default/mesos", true},
    {"/etc/mesos/zk", false},
};
enum { PLACES = sizeof places / sizeof *places };

// ---- files ----

// NULL: not there, no regular file, or too large to be one of these.
static char *read_file(const struct binding_wish *wish, const char *path) {
    const char *root = binding_setting(wish, "host_root");
    auto_free char *full = xasprintf("%s%s", root ? root : "", path);
    auto_fd int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
        return NULL;
    char *content = xcalloc(FILE_MAX + 1, 1);
    ssize_t n = read(fd, content, FILE_MAX + 1);
    if (n < 0 || n > FILE_MAX || memchr(content, '\0', (size_t)n)) {
        free(content);
        return NULL;
    }
    return content;
}

static char *first_line(const char *s) {
    s += strspn(s, " \t\r\n");
    size_t len = strcspn(s, "\r\n");
    while (len && isspace((unsigned char)s[len - 1]))
        len--;
    return xstrndup(s, len);
}

static const char *past(const char *line, const char *word) {
    return text_starts(line, word) ? line + strlen(word) : NULL;
}

// `MESOS_MASTER=zk://...`, with "export" before and quotes around, as systemd and shells take it.
// The last line counts.
static char *setting_of(const char *content) {
    char *found = NULL;
    for (const char *line = content; line && *line; line = strchr(line, '\n')) {
        line += strspn(line, " \t\r\n");
        const char *at = past(line, "export ") ? past(line, "export ") : line;
        const char *value = past(at, "MESOS_MASTER=") ? past(at, "MESOS_MASTER=")
                                                      : past(at, "MASTER=");
        if (!value)
            continue;
        free(found);
        found = first_line(value);
        size_t len = strlen(found);
        if (len >= 2 && strchr("\"'", *found) && found[len - 1] == *found) {
            memmove(found, found + 1, len - 2);
            found[len - 2] = '\0';
        }
    }
    return found;
}

// ---- addresses ----

static bool is_v6(const char *s, size_t len) {
    auto_free char *literal = xstrndup(s, len);
    unsigned char bytes[16];
    return inet_pton(AF_INET6, literal, bytes) == 1;
}

// "host", "host:port", "[v6]", "[v6]:port", or a v6 address without a port: what the client of
// ZooKeeper takes too, so that nothing found here is refused later.
static bool server_good(const char *server) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_";
    size_t len = strspn(server, letters);
    const char *rest = server + len;
    int64_t port;
    if (*server == '[') {
        len = strcspn(server, "]");
        rest = server + len + (server[len] == ']');
        if (rest[-1] != ']' || !is_v6(server + 1, len - 1))
            return false;
    } else if (*rest == ':' && strchr(rest + 1, ':')) {
        return is_v6(server, strlen(server));
    } else if (!len) {
        return false;
    }
    return !*rest || (*rest == ':' && text_int(rest + 1, 1, 65535, &port, NULL) == 0);
}

static bool servers_good(const char *hosts) {
    char **list = text_split(hosts, ",");
    bool good = *list != NULL;
    for (size_t i = 0; good && list[i]; i++)
        good = server_good(list[i]);
    text_list_free(list);
    return good;
}

static size_t loopback_len(const char *server) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(server, names[i], n) == 0 && strchr(":,", server[n]))
            return n;
    }
    return 0;
}

// Credentials end at the last '@', the path begins at the first '/'.
struct address {
    char *credentials; // "user:password@" or ""
    char *hosts;
    bool loopback; // all of them
};

static void address_done(struct address *a) {
    free(a->credentials);
    free(a->hosts);
}
#define auto_address __attribute__((cleanup(address_done)))

static bool parse(const char *url, struct address *ret) {
    if (!text_starts(url, "zk://"))
        return false;
    const char *rest = url + strlen("zk://");
    auto_free char *authority = xstrndup(rest, strcspn(rest, "/"));
    char *at = strrchr(authority, '@');
    const char *hosts = at ? at + 1 : authority;
    if (!servers_good(hosts) || (at && !memchr(authority, ':', (size_t)(at - authority))))
        return false;
    ret->hosts = xstrdup(hosts);
    ret->credentials = xstrndup(authority, (size_t)(hosts - authority));
    ret->loopback = true;
    for (const char *s = ret->hosts; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
        ret->loopback = ret->loopback && loopback_len(s);
    return true;
}

static void complain(const char *path, const char *value, const char *what) {
    auto_text struct text shown = {0};
    const char *at = strrchr(value, '@'); // what stands before it may be a password
    text_quote(&shown, at ? at + 1 : value, SHOWN);
    log_warn("binding passes over %s, which says %s: %s", path, text_str(&shown), what);
}

static char *follow(const struct binding_wish *wish, char *value) {
    if (!value || !text_starts(value, "file:///"))
        return value;
    auto_free char *content = read_file(wish, value + strlen("file://"));
    char *line = content ? first_line(content) : NULL;
    if (!line)
        return value;
    free(value);
    return line;
}

static char *value_at(const struct binding_wish *wish, const struct place *place) {
    auto_free char *content = read_file(wish, place->path);
    if (!content)
        return NULL;
    return follow(wish, place->settings ? setting_of(content) : first_line(content));
}

static bool look_at(const struct binding_wish *wish, const struct place *place,
                    struct address *ret) {
    auto_free char *value = value_at(wish, place);
    if (!value || !*value || strchr("`$", *value)) // a shell's, it names another of these files
        return false;
    if (parse(value, ret))
        return true;
    bool bare = servers_good(value);
    complain(place->path, value,
             text_starts(value, "file:")
                 ? "that file cannot be read here: mount it, or set ochopod_zk"
             : bare ? "a master without ZooKeeper: no address can be learned there, set ochopod_zk"
                    : "no zk:// address");
    return false;
}

static char *use(const struct address *a, const char *path, const char *host, bool own_network) {
    if (!a->loopback || !own_network) {
        log_info("binding zk from=%s hosts=%s", path, a->hosts);
        return xasprintf("zk://%s%s", a->credentials, a->hosts);
    }
    if (!host || !*host) {
        complain(path, a->hosts, "not the agent's localhost is meant here, and HOST is not set");
        return NULL;
    }
    auto_text struct text url = {0};
    text_addf(&url, "zk://%s", a->credentials);
    for (const char *s = a->hosts; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
        text_addf(&url, "%s%s%.*s", s == a->hosts ? "" : ",", host,
                  (int)strcspn(s + loopback_len(s), ","), s + loopback_len(s));
    log_warn("binding zk from=%s: localhost, as packages ship it, taken for the agent's host %s: "
             "if no ZooKeeper is there, set ochopod_zk",
             path, host);
    return text_take(&url);
}

char *agent_zk(const struct binding_wish *wish, const char *host, bool own_network) {
    auto_address struct address spare = {0};
    const char *spare_path = NULL;
    for (size_t i = 0; i < PLACES && !wish->zk_given; i++) {
        auto_address struct address a = {0};
        if (!look_at(wish, &places[i], &a))
            continue;
        if (!a.loopback)
            return use(&a, places[i].path, host, own_network);
        if (spare_path)
            continue;
        spare_path = places[i].path;
        spare = a;
        a = (struct address){0};
    }
    return spare_path ? use(&spare, spare_path, host, own_network) : NULL;
}

// ---- the machine ----

bool agent_on_ec2(const struct binding_wish *wish) {
    static const struct {
        const char *path, *begins, *holds;
    } signs[] = {
        {"/sys/class/dmi/id/sys_vendor", "Amazon EC2", NULL},
        {"/sys/class/dmi/id/bios_vendor", "Amazon EC2", NULL},
        {"/sys/class/dmi/id/bios_version", NULL, "amazon"},
        {"/sys/hypervisor/uuid", "ec2", NULL},
    };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        auto_free char *said = read_file(wish, signs[i].path);
        if (said && ((signs[i].begins && text_starts(said, signs[i].begins)) ||
                     (signs[i].holds && strstr(said, signs[i].holds))))
            return true;
    }
    return false;
}
