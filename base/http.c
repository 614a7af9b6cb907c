#include "base/http.h"
#include "base/check.h"
#include "base/http_inside.h"
#include "base/text.h"
#include <curl/curl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    START_PER_TURN = 32, // a thousand at once froze the loop for 100 ms
    HEAD_MAX = 64 * 1024,
    BODY_MAX = 1024 * 1024,
    CONNECT_MS = 1000,
    BURST = 64, // calls at once after which memory is given back to the system
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *curl_timer; // when libcurl wants to look at its own time-outs
    struct loop_timer *pump_timer; // pending while calls wait that may start
    struct link waiting, active, done;
    struct link
        dead; // cancelled inside one of libcurl's callbacks, which forbids the removal there
    struct link members;
    int running, max_total, max_idle, peak;
    bool in_curl; // on the stack: libcurl
    int entered;  // on the stack: something that ends with leave()
    bool closed;  // http_free was called meanwhile
};

struct http_call {
    struct link link;
    struct http *http;
    CURL *easy; // while in active, and until the callback has run
    struct curl_slist *headers;
    char *method, *url, *unix_socket;
    void *body;
    size_t body_len;
    int64_t connect_ms, timeout_ms;
    size_t max_reply;
    bool fresh, running, dead, head_told, delivering;
    struct loop_timer *deadline;
    int (*on_data)(const void *data, size_t len, void *arg);
    void (*on_head)(const struct http_reply *head, void *arg);
    http_fn *fn;
    void *arg;
    int status;
    size_t head_len;
    struct text reply;
    struct err err;
    char why[CURL_ERROR_SIZE];
};

struct watch {
    struct http *http;
    curl_socket_t socket;
    struct loop_fd *fd;
};

static void pump_soon(struct http *http);

// ---- what is called from the loop: let libcurl work, deliver, leave ----

static void call_destroy(struct http_call *call) {
    struct http *http = call->http;
    list_remove(&call->link);
    loop_timer_stop(&call->deadline);
    if (call->running) {
        curl_multi_remove_handle(http->multi, call->easy);
        http->running--;
    }
    if (call->easy)
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->method);
    free(call->url);
    free(call->unix_socket);
    free(call->body);
    text_done(&call->reply);
    free(call);
}

static void http_destroy(struct http *http) {
    curl_multi_cleanup(http->multi);
    loop_timer_stop(&http->curl_timer);
    loop_timer_stop(&http->pump_timer);
    free(http);
    curl_global_cleanup();
}

// The connection goes back to the pool before the owner hears of it, who may want it at once.
static void finish(struct http_call *call) {
    struct http *http = call->http;
    list_remove(&call->link);
    list_append(&http->done, &call->link);
    loop_timer_stop(&call->deadline);
    if (!call->running)
        return;
    curl_multi_remove_handle(http->multi, call->easy);
    call->running = false;
    http->running--;
}

static const char *reason(const struct http_call *call, CURLcode code) {
    return call->why[0] ? call->why : curl_easy_strerror(code);
}

static void explain(struct http_call *call, CURLcode code) {
    long os = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os);
    enum err_kind kind = code == CURLE_URL_MALFORMAT ? ERR_USER : ERR_RETRY;
    err_code(&call->err, kind, (int)os, "%s %.200s%s%.108s: %s", call->method, call->url,
             call->unix_socket ? " over " : "", call->unix_socket ? call->unix_socket : "",
             reason(call, code));
}

static void collect(struct http *http) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(http->multi, &left));) {
        struct http_call *call;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (call->dead)
            continue;
        // A write callback that stopped the transfer has said why already.
        if (code != CURLE_OK && call->err.kind == ERR_NONE)
            explain(call, code);
        finish(call);
    }
    while (!list_empty(&http->dead))
        call_destroy(list_first(&http->dead, struct http_call, link));
}

static void deliver(struct http *http) {
    while (!list_empty(&http->done)) {
        struct http_call *call = list_first(&http->done, struct http_call, link);
        struct http_reply reply = {.call = call,
                                   .status = call->status,
                                   .body = text_str(&call->reply),
                                   .len = call->reply.len};
        list_remove(&call->link);
        call->delivering = true;
        call->fn(&reply, &call->err, call->arg);
        call_destroy(call);
    }
}

static void leave(struct http *http) {
    collect(http);
    deliver(http);
    http->entered--;
    if (http->closed) {
        http_destroy(http);
        return;
    }
    pump_soon(http);
    if (http->running == 0 && list_empty(&http->waiting) && http->peak >= BURST) {
        malloc_trim(0);
        http->peak = 0;
    }
}

static void drive(struct http *http, curl_socket_t socket, int events) {
    int still;
    http->entered++;
    http->in_curl = true;
    curl_multi_socket_action(http->multi, socket, events, &still);
    http->in_curl = false;
    leave(http);
}

static void on_curl_timer(void *arg) {
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(int events, void *arg) {
    struct watch *w = arg;
    drive(w->http, w->socket,
          (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
              (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_deadline(void *arg) {
    struct http_call *call = arg;
    struct http *http = call->http;
    http->entered++;
    err_set(&call->err, ERR_TIMEOUT, "%s %.200s: no complete reply within %lld ms", call->method,
            call->url, (long long)call->timeout_ms);
    finish(call);
    leave(http);
}

// ---- what libcurl calls ----

static int curl_wants_timer(CURLM *multi, long ms, void *arg) {
    (void)multi;
    struct http *http = arg;
    if (ms < 0)
        loop_timer_stop(&http->curl_timer);
    else
        loop_timer_start(http->loop, &http->curl_timer, ms, on_curl_timer, http);
    return 0;
}

static int curl_wants_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socketp) {
    (void)easy;
    struct http *http = arg;
    struct watch *w = socketp;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            loop_fd_stop(&w->fd);
        free(w);
        curl_multi_assign(http->multi, socket, NULL);
        return 0;
    }
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);
    if (w) {
        loop_fd_change(w->fd, events);
        return 0;
    }
    w = xnew(struct watch);
    w->http = http;
    w->socket = socket;
    w->fd = loop_fd_start(http->loop, socket, events, on_socket, w);
    curl_multi_assign(http->multi, socket, w);
    return 0;
}

static void tell_head(struct http_call *call) {
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    bool interim = status < 200 && status != 101;
    if (call->head_told || interim)
        return;
    call->head_told = true;
    call->status = (int)status;
    struct http_reply head = {.call = call, .status = call->status, .body = ""};
    if (call->on_head)
        call->on_head(&head, call->arg);
}

static size_t on_header(char *data, size_t size, size_t count, void *arg) {
    struct http_call *call = arg;
    size_t len = size * count;
    if (call->dead)
        return 0;
    call->head_len += len;
    if (call->head_len > HEAD_MAX) {
        err_set(&call->err, ERR_LIMIT, "%s %.200s: header over %d bytes", call->method, call->url,
                HEAD_MAX);
        return 0;
    }
    bool blank = data[0] == '\n' || (len == 2 && data[0] == '\r');
    if (blank)
        tell_head(call);
    return call->dead ? 0 : len;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg) {
    struct http_call *call = arg;
    size_t len = size * count;
    if (call->dead)
        return 0;
    if (call->on_data) {
        int stop = call->on_data(data, len, call->arg);
        if (stop && !call->dead)
            err_set(&call->err, ERR_CANCELLED, "%s %.200s: not wanted any more", call->method,
                    call->url);
        return stop || call->dead ? 0 : len;
    }
    if (len > call->max_reply - call->reply.len) {
        err_set(&call->err, ERR_LIMIT, "%s %.200s: reply over %zu bytes", call->method, call->url,
                call->max_reply);
        return 0;
    }
    text_addn(&call->reply, data, len);
    return len;
}

// ---- beginning ----

static void set_method(struct http_call *call) {
    CURL *easy = call->easy;
    bool posts = call->body || !strcmp(call->method, "POST") || !strcmp(call->method, "PUT") ||
                 !strcmp(call->method, "PATCH");
    if (posts) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    }
    if (!strcmp(call->method, "HEAD"))
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_limits(struct http_call *call) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 4096L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_ms);
    if (call->timeout_ms == 0 && !call->unix_socket)
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (call->fresh) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
}

static CURLcode set_up(struct http_call *call) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    set_limits(call);
    set_method(call);
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, call->url);
    if (code == CURLE_OK && call->unix_socket)
        code = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    return code;
}

static void begin(struct http_call *call) {
    struct http *http = call->http;
    call->easy = curl_easy_init();
    CHECK(call->easy);
    CURLcode code = set_up(call);
    if (code != CURLE_OK) {
        explain(call, code);
        finish(call);
        return;
    }
    list_remove(&call->link);
    list_append(&http->active, &call->link);
    call->running = true;
    http->running++;
    http->peak = http->running > http->peak ? http->running : http->peak;
    CHECK(curl_multi_add_handle(http->multi, call->easy) == CURLM_OK);
}

static void pump(void *arg) {
    struct http *http = arg;
    http->entered++;
    for (int i = 0; i < START_PER_TURN && http->running < http->max_total; i++) {
        if (list_empty(&http->waiting))
            break;
        begin(list_first(&http->waiting, struct http_call, link));
    }
    leave(http);
}

static void pump_soon(struct http *http) {
    bool may_start = !list_empty(&http->waiting) && http->running < http->max_total;
    bool must_tell = !list_empty(&http->done);
    if (!http->closed && !http->pump_timer && (may_start || must_tell))
        loop_timer_start(http->loop, &http->pump_timer, 0, pump, http);
}

// ---- the door ----

// libcurl would initialise libssh2, and that one OpenSSL with all its engines: 1.5 MB of each
// worker and some ms of its start, for protocols that nobody here speaks. The program's own
// definition is found before the library's.
int libssh2_init(int flags);
int libssh2_init(int flags) {
    (void)flags;
    return 0;
}

struct http *http_create(struct loop *loop, int max_total, int max_idle) {
    struct http *http = xnew(struct http);
    CHECK(curl_global_init(CURL_GLOBAL_NOTHING) == 0); // no TLS
    http->multi = curl_multi_init();
    CHECK(http->multi && max_total > 0);
    http->loop = loop;
    http->max_total = max_total;
    http->max_idle = max_idle;
    struct link *lists[] = {&http->waiting, &http->active, &http->done, &http->dead,
                            &http->members};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        list_init(lists[i]);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)(max_idle > 0 ? max_idle : 1));
    return http;
}

static void let_go(struct http_call *call) {
    if (call->delivering)
        return; // its callback is on the stack, and deliver() frees it
    if (!call->http->in_curl) {
        call_destroy(call);
        return;
    }
    call->dead = true;
    loop_timer_stop(&call->deadline);
    list_remove(&call->link);
    list_append(&call->http->dead, &call->link);
}

void http_free(struct http *http) {
    if (!http || http->closed)
        return;
    struct link *lists[] = {&http->waiting, &http->active, &http->done};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        while (!list_empty(lists[i]))
            let_go(list_first(lists[i], struct http_call, link));
    while (!list_empty(&http->members)) {
        struct http_member *it = list_first(&http->members, struct http_member, link);
        it->close(it);
    }
    http->closed = true;
    if (!http->entered)
        http_destroy(http);
}

static bool one_line(const char *s) {
    return !strpbrk(s, "\r\n");
}

// libcurl adds "Content-Type: application/x-www-form-urlencoded" to what has a body, unless told.
static void copy_headers(struct http_call *call, const char *const *headers) {
    bool typed = false;
    call->headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; headers && headers[i]; i++) {
        typed = typed || strncasecmp(headers[i], "Content-Type:", 13) == 0;
        if (!one_line(headers[i]))
            err_set(&call->err, ERR_BUG, "a request header holds a line break");
        call->headers = curl_slist_append(call->headers, headers[i]);
        CHECK(call->headers);
    }
    if (!typed)
        call->headers = curl_slist_append(call->headers, "Content-Type:");
    CHECK(call->headers);
}

struct http_call *http_start(struct http *http, const struct http_request *request, http_fn *fn,
                             void *arg) {
    struct http_call *call = xnew(struct http_call);
    call->http = http;
    call->method = xstrdup(request->method ? request->method : "GET");
    call->url = xstrdup(request->url);
    call->unix_socket = request->unix_socket ? xstrdup(request->unix_socket) : NULL;
    if (request->body) {
        call->body_len = request->body_len;
        call->body = xcalloc(1, request->body_len + 1);
        memcpy(call->body, request->body, request->body_len);
    }
    call->connect_ms = request->connect_ms ? request->connect_ms : CONNECT_MS;
    call->timeout_ms = request->timeout_ms;
    call->max_reply = request->max_reply ? request->max_reply : BODY_MAX;
    call->fresh = request->fresh || http->max_idle <= 0;
    call->on_data = request->on_data;
    call->on_head = request->on_head;
    call->fn = fn;
    call->arg = arg;
    copy_headers(call, request->headers);
    if (!one_line(call->method) || !one_line(call->url))
        err_set(&call->err, ERR_BUG, "a request line holds a line break");
    else if (!text_starts(call->url, "http://"))
        err_set(&call->err, ERR_USER, "%.200s: not an http:// address", call->url);
    list_append(call->err.kind ? &http->done : &http->waiting, &call->link);
    if (call->timeout_ms > 0 && !call->err.kind)
        loop_timer_start(http->loop, &call->deadline, call->timeout_ms, on_deadline, call);
    pump_soon(http);
    return call;
}

void http_cancel(struct http_call **slot) {
    struct http_call *call = *slot;
    if (!call)
        return;
    *slot = NULL;
    struct http *http = call->http;
    let_go(call);
    pump_soon(http);
}

const char *http_header(const struct http_reply *reply, const char *name) {
    struct curl_header *h;
    CURL *easy = reply->call->easy;
    if (!easy || curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return NULL;
    return h->value;
}

struct loop *http_loop(const struct http *http) {
    return http->loop;
}

void http_join(struct http *http, struct http_member *it) {
    list_append(&http->members, &it->link);
}
