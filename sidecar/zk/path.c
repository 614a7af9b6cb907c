#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/zk.h"
#include <arpa/inet.h>
#include <string.h>

char *zk_cluster_path(const char *namespace_, const char *cluster) {
    return xasprintf("/ochopod/clusters/%s.%s", namespace_, cluster);
}

const char *zk_state_name(enum zk_state state) {
    static const char *const names[] = {[ZK_CONNECTING] = "connecting",
                                        [ZK_CONNECTED] = "connected",
                                        [ZK_SUSPENDED] = "suspended",
                                        [ZK_LOST] = "lost"};
    return names[state];
}

// What ZooKeeper itself would refuse, said before it is asked.
static int check_chroot(const char *path, struct err *err) {
    bool bad = text_ends(path, "/") || strstr(path, "//");
    for (const char *c = path; *c; c++)
        bad = bad || (unsigned char)*c <= ' ' || *c == 0x7f;
    auto_free char *closed = xasprintf("%s/", path);
    bad = bad || strstr(closed, "/./") || strstr(closed, "/../");
    return bad ? err_set(err, ERR_USER, "zk: the path must look like /a/b") : 0;
}

// The last colon parts host and port; one more of them makes it an IPv6 address, which needs
// brackets to have a port.
static int add_server(struct text *servers, const char *server, struct err *err) {
    auto_free char *host = xstrdup(server);
    const char *port = NULL;
    bool bracketed = *host == '[';
    char *end = bracketed ? strchr(host, ']') : NULL;
    char *colon = strrchr(bracketed && end ? end : host, ':');
    if (bracketed && (!end || (end[1] && end[1] != ':')))
        return err_set(err, ERR_USER, "zk: a bracket is not closed");
    bool v6 = !bracketed && colon && strchr(host, ':') != colon;
    if (colon && !v6) {
        *colon = '\0';
        port = colon + 1;
    }
    int64_t number = 2181;
    if (port && text_int(port, 1, 65535, &number, NULL)) // what it is may be half a password
        return err_set(err, ERR_USER, "zk: a port must be a number from 1 to 65535");
    if (end)
        *end = '\0';
    const char *name = bracketed ? host + 1 : host;
    struct in6_addr any;
    bool bad = (v6 || bracketed) && inet_pton(AF_INET6, name, &any) != 1;
    if (bad || !*name || strpbrk(name, " \t\r\n[]@"))
        return err_set(err, ERR_USER, "zk: a server must look like host:2181");
    text_addf(servers, "%s%s:%d", servers->len ? "," : "", name, (int)number);
    return 0;
}

int zk_parse_url(const char *url, char **ret_servers, char **ret_auth, struct err *err) {
    const char *rest = text_starts(url, "zk://") ? url + 5 : url;
    const char *slash = strchr(rest, '/');
    const char *path = slash && slash[1] ? slash : "";
    auto_free char *authority = xstrndup(rest, slash ? (size_t)(slash - rest) : strlen(rest));
    char *at = strrchr(authority, '@');
    const char *hosts = at ? at + 1 : authority;
    if (at)
        *at = '\0';
    if (at && !strchr(authority, ':'))
        return err_set(err, ERR_USER, "zk: credentials must look like user:password@");
    if (check_chroot(path, err))
        return -1;
    char **list = text_split(hosts, ",");
    auto_text struct text servers = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && list[i]; i++)
        rc = add_server(&servers, list[i], err);
    text_list_free(list);
    if (rc)
        return -1;
    if (!servers.len)
        return err_set(err, ERR_USER, "zk: no server named; it must look like zk://host:2181/path");
    text_add(&servers, path);
    *ret_servers = text_take(&servers);
    *ret_auth = at ? xstrdup(authority) : NULL;
    return 0;
}
