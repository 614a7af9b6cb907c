#include "sidecar/control/multipart.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { BOUNDARY_MAX = 70 }; // RFC 2046

struct span {
    const char *s;
    size_t len;
};

static struct span from(struct span all, size_t n) {
    return (struct span){all.s + n, all.len - n};
}

// Where `what` begins in `in`, in->len when it is not there.
static size_t find(struct span in, const char *what, size_t len) {
    const char *at = in.len ? memmem(in.s, in.len, what, len) : NULL;
    return at ? (size_t)(at - in.s) : in.len;
}

static bool begins(struct span in, const char *what, size_t len) {
    return in.len >= len && memcmp(in.s, what, len) == 0;
}

// A parameter of a header line, `; name=token` or `; name="quoted"`. NULL: missing. Caller frees.
static char *parameter(struct span line, const char *name) {
    size_t len = strlen(name);
    for (size_t at = find(line, ";", 1); at < line.len; at = find(line, ";", 1)) {
        line = from(line, at + 1);
        while (line.len && (*line.s == ' ' || *line.s == '\t'))
            line = from(line, 1);
        if (line.len <= len || strncasecmp(line.s, name, len) != 0 || line.s[len] != '=')
            continue;
        struct span value = from(line, len + 1);
        auto_text struct text t = {0};
        bool quoted = value.len && *value.s == '"';
        for (size_t i = quoted; i < value.len; i++) {
            char c = value.s[i];
            if (quoted ? c == '"' : c == ';' || c == ' ' || c == '\t')
                break;
            if (quoted && c == '\\' && i + 1 < value.len)
                c = value.s[++i];
            text_addc(&t, c);
        }
        return text_take(&t);
    }
    return NULL;
}

// What stands before each part; NULL with err. Caller frees.
static char *read_boundary(const char *content_type, struct err *err) {
    static const char kind[] = "multipart/form-data";
    struct span type = {content_type, content_type ? strlen(content_type) : 0};
    if (type.len < sizeof(kind) - 1 || strncasecmp(type.s, kind, sizeof(kind) - 1) != 0) {
        err_set(err, ERR_USER, "files come as multipart/form-data");
        return NULL;
    }
    auto_free char *value = parameter(type, "boundary");
    if (!value || !*value || strlen(value) > BOUNDARY_MAX) {
        err_set(err, ERR_USER, "multipart/form-data needs a boundary of 1 to 70 characters");
        return NULL;
    }
    return xasprintf("\r\n--%s", value);
}

// Consumes the header of a part up to its empty line.
static int read_header(struct span *body, char **ret_name, char **ret_field, struct err *err) {
    auto_free char *name = NULL, *field = NULL;
    for (;;) {
        size_t end = find(*body, "\r\n", 2);
        if (end == body->len)
            return err_set(err, ERR_USER, "a part of the body has no end of its header");
        struct span line = {body->s, end};
        *body = from(*body, end + 2);
        if (!end)
            break;
        static const char key[] = "content-disposition:";
        if (name || line.len < sizeof(key) - 1 || strncasecmp(line.s, key, sizeof(key) - 1) != 0)
            continue;
        field = parameter(line, "name");
        name = parameter(line, "filename");
        if (!name && field)
            name = xstrdup(field);
    }
    if (!name || !*name)
        return err_set(err, ERR_USER, "a part of the body has no name");
    *ret_name = take_ptr(name);
    *ret_field = take_ptr(field);
    return 0;
}

static int read_part(struct multipart *m, struct span *body, const char *boundary,
                     struct err *err) {
    if (m->n == MULTIPART_MAX)
        return err_set(err, ERR_LIMIT, "more than %d files", MULTIPART_MAX);
    auto_free char *name = NULL, *field = NULL;
    if (read_header(body, &name, &field, err))
        return -1;
    size_t end = find(*body, boundary, strlen(boundary));
    if (end == body->len)
        return err_set(err, ERR_USER, "the body ends before its last boundary");
    m->parts[m->n++] = (struct multipart_part){take_ptr(name), take_ptr(field), body->s, end};
    *body = from(*body, end + strlen(boundary));
    return 0;
}

static int read_parts(struct multipart *m, struct span body, const char *boundary,
                      struct err *err) {
    if (!begins(body, boundary + 2, strlen(boundary) - 2))
        return err_set(err, ERR_USER, "the body does not begin with its boundary");
    body = from(body, strlen(boundary) - 2);
    while (!begins(body, "--", 2)) {
        if (!begins(body, "\r\n", 2))
            return err_set(err, ERR_USER, "a boundary of the body does not end its line");
        body = from(body, 2);
        if (read_part(m, &body, boundary, err))
            return -1;
    }
    return 0;
}

int multipart_read(struct multipart *m, const char *content_type, const char *body, size_t len,
                   struct err *err) {
    *m = (struct multipart){0};
    auto_free char *boundary = read_boundary(content_type, err);
    if (!boundary)
        return -1;
    if (read_parts(m, (struct span){body, len}, boundary, err)) {
        multipart_done(m);
        return -1;
    }
    return 0;
}

void multipart_done(struct multipart *m) {
    for (size_t i = 0; i < m->n; i++) {
        free(m->parts[i].name);
        free(m->parts[i].field);
    }
    m->n = 0;
}
