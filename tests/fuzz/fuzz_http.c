// Raw bytes on a real connection to the real server. Beside it stands a reader of our own that
// knows nothing but the strict grammar: what the server hands over must be requests that this one
// finds in the same bytes, in the same order, with the same method, path and body. The first byte
// says in pieces of which size they are sent.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/control/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 4096, TURNS = 200, CLOSED_MS = 10000, SERVED_MAX = 64 };

static struct loop *loop;
static struct server *server;
static struct text served; // "METHOD path body-length body\n" of each
static int served_n;

static size_t on_head(struct request *request, void *arg) {
    (void)request;
    (void)arg;
    return BODY_MAX;
}

static const char *method_text(enum request_method method) {
    return method == METHOD_GET ? "GET" : method == METHOD_POST ? "POST" : "OTHER";
}

static void on_request(struct request *request, void *arg) {
    (void)arg;
    size_t len;
    const char *body = request_body(request, &len);
    text_addf(&served, "%s %s %zu ", method_text(request_method(request)), request_path(request),
              len);
    text_addn(&served, body, len);
    text_addc(&served, '\n');
    served_n++;
    (void)request_header(request, "X-Shell");
    (void)request_query(request, "for");
    request_answer(request, 200, "text/plain", xstrdup("ok"), 2);
}

static const struct server_events events = {.on_head = on_head, .on_request = on_request};

static void start(void) {
    struct err err = ERR_INIT;
    if (server)
        return;
    log_set_level(LOG_LEVEL_ERR);
    loop = loop_create();
    CHECK(server_open(loop, "127.0.0.1", 0, false, &events, NULL, &server, &err) == 0);
}

// ---- the strict reader ----

struct span {
    const char *s;
    size_t len;
};

static bool is_token(struct span t) {
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.s[i] <= ' ' || (unsigned char)t.s[i] >= 0x7f ||
            strchr("\"(),/:;<=>?@[\\]{}", t.s[i]))
            return false;
    return t.len > 0;
}

// A line without its end; NULL: there is none. The end is CRLF; the server's library cannot tell a
// NUL before the LF from a CR, and nothing is hidden by it.
static const char *line_of(struct span *in, struct span *ret) {
    const char *end = in->len ? memchr(in->s, '\n', in->len) : NULL;
    if (!end || end == in->s || (end[-1] != '\r' && end[-1] != '\0'))
        return NULL;
    *ret = (struct span){in->s, (size_t)(end - 1 - in->s)};
    in->len -= (size_t)(end + 1 - in->s);
    in->s = end + 1;
    return ret->s;
}

static bool is_named(struct span name, const char *what) {
    return name.len == strlen(what) && strncasecmp(name.s, what, name.len) == 0;
}

// One header line; false: not one that strict servers take.
static bool read_header(struct span line, int *lengths, size_t *length) {
    const char *colon = memchr(line.s, ':', line.len);
    if (!colon)
        return false;
    struct span name = {line.s, (size_t)(colon - line.s)};
    struct span value = {colon + 1, line.len - name.len - 1};
    while (value.len && (*value.s == ' ' || *value.s == '\t'))
        value = (struct span){value.s + 1, value.len - 1};
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.s[i] < ' ' && value.s[i] != '\t') || value.s[i] == 0x7f)
            return false;
    if (!is_token(name) || is_named(name, "Transfer-Encoding"))
        return false;
    if (!is_named(name, "Content-Length"))
        return true;
    *length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.s[i] < '0' || value.s[i] > '9' || *length > BODY_MAX)
            return false;
        *length = *length * 10 + (size_t)(value.s[i] - '0');
    }
    return value.len && ++*lengths == 1;
}

static bool read_line(struct span line, struct text *ret) {
    const char *sp = memchr(line.s, ' ', line.len);
    size_t method = sp ? (size_t)(sp - line.s) : 0;
    if (!is_token((struct span){line.s, method}) || line.len < method + 1 + 9)
        return false;
    struct span target = {sp + 1, line.len - method - 1 - 9};
    const char *version = target.s + target.len;
    if (memcmp(version, " HTTP/1.", 8) != 0 || (version[8] != '0' && version[8] != '1'))
        return false;
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.s[i] <= ' ' || (unsigned char)target.s[i] >= 0x7f)
            return false;
    bool get = method == 3 && memcmp(line.s, "GET", 3) == 0;
    bool post = method == 4 && memcmp(line.s, "POST", 4) == 0;
    const char *query = memchr(target.s, '?', target.len);
    text_addf(ret, "%s %.*s ",
              get    ? "GET"
              : post ? "POST"
                     : "OTHER",
              (int)(query ? (size_t)(query - target.s) : target.len), target.s);
    return true;
}

// A line with nothing in it before a request, which RFC 9112 2.2 lets a server pass over. The
// server's library takes a line that begins with a NUL for one: no request is hidden in it.
static bool skip_empty(struct span *in) {
    size_t cr = in->len > 1 && *in->s == '\r' ? 1 : 0;
    const char *end = in->len ? memchr(in->s, '\n', in->len) : NULL;
    if (!end || (in->s[cr] != '\n' && *in->s != '\0'))
        return false;
    in->len -= (size_t)(end + 1 - in->s);
    in->s = end + 1;
    return true;
}

// The last line of a header with the empty one behind it. The server's library has written zeros
// over both ends before anyone sees them, so which four of CR, LF and NUL they were is not known,
// nor whether the empty line was a lone colon: of a name with nothing in it, it writes a zero over
// that.
static bool last_line_of(struct span *in, struct span *ret) {
    size_t n = 0;
    while (n < in->len && in->s[n] && in->s[n] != '\r' && in->s[n] != '\n')
        n++;
    if (n == 0 || in->len - n < 4 || in->s[n + 3] != '\n')
        return false;
    for (size_t i = n; i < n + 3; i++)
        if (in->s[i] && in->s[i] != '\r' && in->s[i] != '\n' && (in->s[i] != ':' || i == n))
            return false;
    *ret = (struct span){in->s, n};
    *in = (struct span){in->s + n + 4, in->len - n - 4};
    return true;
}

// The next request of the bytes, as served would have it; false: none that may be served, ever.
static bool read_request(struct span *in, struct text *ret) {
    struct span line;
    size_t length = 0;
    int lengths = 0;
    text_clear(ret);
    while (skip_empty(in))
        ;
    bool ended = last_line_of(in, &line);
    if ((!ended && !line_of(in, &line)) || !read_line(line, ret))
        return false;
    while (!ended) {
        ended = last_line_of(in, &line);
        if ((!ended && !line_of(in, &line)) || !read_header(line, &lengths, &length))
            return false;
    }
    if (in->len < length || length > BODY_MAX)
        return false;
    text_addf(ret, "%zu ", length);
    text_addn(ret, in->s, length);
    text_addc(ret, '\n');
    *in = (struct span){in->s + length, in->len - length};
    return true;
}

// What was served is some of what the reader finds, in order.
static void compare(const char *bytes, size_t len) {
    struct span in = {bytes, len};
    const char *at = text_str(&served), *end = at + served.len;
    auto_text struct text one = {0};
    while (at < end && read_request(&in, &one))
        if ((size_t)(end - at) >= one.len && memcmp(at, one.s, one.len) == 0)
            at += one.len;
    CHECK(at == end);
}

// ---- the client ----

static void stop(void *arg) {
    (void)arg;
    loop_quit(loop);
}

static void breathe(void) {
    loop_timer_start(loop, NULL, 0, stop, NULL);
    loop_run(loop);
}

static int dial(void) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)server_bound_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger gone = {.l_onoff = 1}; // no port is left waiting
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &gone, sizeof(gone)) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

// True: the other side has closed.
static bool drain(int fd) {
    char buf[4096];
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);
        if (n <= 0)
            return n == 0 || (errno != EAGAIN && errno != EINTR);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    start();
    size_t step = data[0] < 128 ? size : (size_t)(data[0] - 127);
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1;
    int fd = dial();
    text_clear(&served);
    served_n = 0;
    for (size_t at = 0; at < len && served_n < SERVED_MAX; at += step) {
        size_t n = len - at < step ? len - at : step;
        if (send(fd, bytes + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        if (step < len)
            breathe();
        drain(fd);
    }
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < TURNS && !drain(fd); i++)
        breathe();
    close(fd);
    for (int64_t end = loop_now(loop) + CLOSED_MS;
         server_connections(server) && loop_now(loop) < end;)
        breathe();
    CHECK(server_connections(server) == 0);
    compare(bytes, len);
    return 0;
}
