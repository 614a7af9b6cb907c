#include "cli/marathon_where.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <ctype.h>
#include <errno.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_MAX = 64 * 1024, MASTERS_MAX = 32 };

// ---- credentials ----

static char *basic(const char *pair) {
    size_t len = strlen(pair), room = BASE64_ENCODE_RAW_LENGTH(len);
    auto_free char *encoded = xcalloc(1, room + 1);
    base64_encode_raw(encoded, len, (const uint8_t *)pair);
    return xasprintf("Authorization: Basic %s", encoded);
}

static int from_hex(char c) {
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

// user:password of an address: %40 is '@'.
static char *decode(const char *s, size_t len) {
    struct text t = {0};
    text_add(&t, "");
    for (size_t i = 0; i < len; i++) {
        bool escaped = s[i] == '%' && i + 2 < len && isxdigit((unsigned char)s[i + 1]) &&
                       isxdigit((unsigned char)s[i + 2]);
        int c = escaped ? from_hex(s[i + 1]) * 16 + from_hex(s[i + 2]) : s[i];
        text_addc(&t, (char)c);
        i += escaped ? 2 : 0;
    }
    return text_take(&t);
}

static bool one_line(const char *s) {
    for (; *s; s++)
        if (iscntrl((unsigned char)*s))
            return false;
    return true;
}

// name, or the file that <name>_FILE names; its last line break does not count.
static int read_secret(const char *name, char **ret, struct err *err) {
    auto_free char *file_name = xasprintf("%s_FILE", name);
    const char *value = getenv(name), *path = getenv(file_name);
    auto_free char *secret = NULL;
    if (value && *value) {
        secret = xstrdup(value);
    } else if (path && *path) {
        auto_file FILE *f = fopen(path, "re");
        if (!f)
            return err_errno(err, ERR_USER, errno, "%s: cannot read %.200s", file_name, path);
        secret = xcalloc(1, SECRET_MAX + 1);
        size_t len = fread(secret, 1, SECRET_MAX, f);
        if (ferror(f))
            return err_set(err, ERR_USER, "%s: cannot read %.200s", file_name, path);
        while (len && strchr("\r\n", secret[len - 1]))
            secret[--len] = '\0';
    }
    if (secret && (!*secret || !one_line(secret)))
        return err_set(err, ERR_USER, "%s must be one line", name);
    *ret = take_ptr(secret);
    return 0;
}

static int read_credentials(struct marathon_where *where, struct err *err) {
    auto_free char *token = NULL;
    auto_free char *password = NULL;
    const char *user = getenv("MARATHON_USER"), *ca = getenv("MARATHON_CA");
    if (read_secret("MARATHON_TOKEN", &token, err) ||
        read_secret("MARATHON_PASSWORD", &password, err))
        return -1;
    bool named = user && *user;
    if (named != (password != NULL))
        return err_set(err, ERR_USER,
                       "MARATHON_USER and MARATHON_PASSWORD (or "
                       "MARATHON_PASSWORD_FILE) belong together: one is missing");
    if (named && (!one_line(user) || strchr(user, ':')))
        return err_set(err, ERR_USER, "MARATHON_USER must be one line without a ':'");
    if (token && named)
        return err_set(err, ERR_USER, "MARATHON_TOKEN and MARATHON_USER exclude each other");
    if (ca && *ca)
        where->ca_file = xstrdup(ca);
    auto_free char *pair = named ? xasprintf("%s:%s", user, password) : NULL;
    where->auth = token ? xasprintf("Authorization: token=%s", token) : pair ? basic(pair) : NULL;
    return 0;
}

// ---- addresses ----

// "host:port/path", "[::1]:8080": what is wrong, or NULL.
static const char *wrong_place(const char *s) {
    size_t host = *s == '[' ? strcspn(s, "]") + 1 : strcspn(s, ":/");
    int64_t port;
    for (const char *c = s; *c; c++)
        if (!isgraph((unsigned char)*c) || strchr("?#\"<>\\^`{|}@", *c))
            return "holds a character that no address has";
    if (!host || host > strlen(s))
        return "names no host";
    if (s[host] != ':')
        return s[host] && s[host] != '/' ? "is no host:port" : NULL;
    auto_free char *digits = xstrndup(s + host + 1, strcspn(s + host + 1, "/"));
    return text_int(digits, 1, 65535, &port, NULL) ? "has a port that is none" : NULL;
}

// Somebody who gives the address of the API means the Marathon that has it.
static void cut_path(char *s) {
    size_t len = strlen(s);
    while (len && s[len - 1] == '/')
        s[--len] = '\0';
    if (text_ends(s, "/v2"))
        s[len - 3] = '\0';
}

// secret: word may be a part of a password.
static int wrong_master(const char *word, const char *wrong, bool secret, struct err *err) {
    if (secret)
        return err_set(err, ERR_USER,
                       "MARATHON_MASTER: an address %s; in user:password@host those of / , @ and : "
                       "that belong to the password are written %%2F %%2C %%40 %%3A",
                       wrong);
    return err_set(err, ERR_USER, "MARATHON_MASTER: \"%.100s\" %s", word, wrong);
}

static int add_master(struct marathon_where *where, const char *word, bool secret,
                      struct err *err) {
    const char *mark = strstr(word, "://"), *place = mark ? mark + 3 : word;
    const char *at = strrchr(place, '@'), *slash = strchr(place, '/');
    if (at && slash && slash < at) // an '@' of the path
        at = NULL;
    auto_free char *scheme = mark ? xstrndup(word, (size_t)(mark - word)) : xstrdup("http");
    bool known = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
    if (!known && secret && strchr(scheme, ':'))
        return wrong_master(NULL, "is neither http nor https", true, err);
    if (!known)
        return err_set(err, ERR_USER, "MARATHON_MASTER: \"%.20s://\" is neither http nor https",
                       scheme);
    auto_free char *pair = at ? decode(place, (size_t)(at - place)) : NULL;
    auto_free char *rest = xstrdup(at ? at + 1 : place);
    const char *wrong = wrong_place(rest);
    if (wrong)
        return wrong_master(rest, wrong, secret && !at, err);
    if (pair && (!strchr(pair, ':') || !one_line(pair)))
        return err_set(err, ERR_USER,
                       "MARATHON_MASTER: %.100s has a user without a password; say "
                       "user:password@host",
                       rest);
    cut_path(rest);
    bool bare = !mark && !strchr(*rest == '[' ? strchr(rest, ']') : rest, ':');
    size_t host = strcspn(rest, "/");
    where->list[where->n++] = (struct marathon_master){
        .base = xasprintf("%s://%.*s%s%s", scheme, (int)host, rest, bare ? ":8080" : "",
                          rest + host),
        .auth = pair ? basic(pair) : NULL};
    return 0;
}

int marathon_where_parse(const char *masters, struct marathon_where *ret, struct err *err) {
    struct marathon_where where = {0};
    char **words = text_split(masters, ", \t");
    size_t n = text_list_len(words);
    int failed = 0;
    if (!n)
        failed = err_set(err, ERR_USER,
                         "MARATHON_MASTER is not set; say host:port,host:port of Marathon");
    else if (n > MASTERS_MAX)
        failed = err_set(err, ERR_USER, "MARATHON_MASTER names more than %d masters", MASTERS_MAX);
    where.list = xcalloc(n + 1, sizeof(*where.list));
    for (size_t i = 0; i < n && !failed; i++)
        failed = add_master(&where, words[i], strchr(masters, '@'), err);
    text_list_free(words);
    if (failed)
        marathon_where_done(&where);
    else
        *ret = where;
    return failed;
}

int marathon_where_read(struct marathon_where *ret, struct err *err) {
    const char *masters = getenv("MARATHON_MASTER");
    struct marathon_where where;
    if (marathon_where_parse(masters ? masters : "", &where, err))
        return -1;
    if (read_credentials(&where, err)) {
        marathon_where_done(&where);
        return -1;
    }
    *ret = where;
    return 0;
}

void marathon_where_done(struct marathon_where *where) {
    for (size_t i = 0; i < where->n; i++) {
        free(where->list[i].base);
        free(where->list[i].auth);
    }
    free(where->list);
    free(where->auth);
    free(where->ca_file);
    *where = (struct marathon_where){0};
}

// ---- redirects ----

static size_t origin_len(const char *url) {
    const char *mark = strstr(url, "://");
    const char *host = mark ? mark + 3 : url;
    return (size_t)(host - url) + strcspn(host, "/?#");
}

char *marathon_origin(const char *url) {
    return xstrndup(url, origin_len(url));
}

char *marathon_resolve(const char *from, const char *location) {
    size_t origin = origin_len(from), folder = strcspn(from, "?#");
    if (text_starts(location, "http://") || text_starts(location, "https://"))
        return xstrdup(location);
    if (text_starts(location, "//"))
        return xasprintf("%.*s%s", (int)strcspn(from, "/"), from, location);
    if (*location == '/')
        return xasprintf("%.*s%s", (int)origin, from, location);
    if (!*location || location[strcspn(location, ":/?#")] == ':')
        return NULL; // another scheme
    while (folder > origin && from[folder - 1] != '/')
        folder--;
    return xasprintf("%.*s%s%s", (int)folder, from, folder > origin ? "" : "/", location);
}
