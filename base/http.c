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
    START_PER_TURN = 16,  // a thousand at once froze the loop for 100 ms
    EVENTS_PER_TURN = 16, // sockets that libcurl works at; a hundred that answer together wait
    BODY_MAX = 1024 * 1024,
    CONNECT_MS = 1000,
    HANDSHAKE_MS = 4000, // libcurl counts TLS as a part of connecting
    BURST = 64,          // calls at once after which memory is given back to the system,
    QUIET_MS = 5000,     // and how long no call ran: another burst would want it at once
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *curl_timer; // when libcurl wants to look at its own time-outs
    struct loop_timer *pump_timer; // pending while calls wait that may start
    struct loop_timer *trim_timer; // pending after a burst
    struct loop_turn *turn;        // begins the count of `events` anew
    struct link waiting, active, done;
    struct link
        dead; // cancelled inside one of libcurl's callbacks, which forbids the removal there
    struct link members;
    int running, max_total, max_idle, peak, events;
    bool in_curl; // on the stack: libcurl
    int entered;  // on the stack: something that ends with leave()
    bool closed;  // http_free was called meanwhile
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
    free(call->ca_file);
    free(call->tls_name);
    tls_trust_drop(&call->trust);
    free(call->body);
    text_done(&call->reply);
    free(call);
}

static void http_destroy(struct http *http) {
    curl_multi_cleanup(http->multi);
    loop_timer_stop(&http->curl_timer);
    loop_timer_stop(&http->pump_timer);
    loop_timer_stop(&http->trim_timer);
    loop_turn_stop(&http->turn);
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
        long sent = 0;
        if (call->easy)
            curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
        struct http_reply reply = {.call = call,
                                   .status = call->status,
                                   .body = text_str(&call->reply),
                                   .len = call->reply.len,
                                   .sent = sent > 0};
        list_remove(&call->link);
        call->delivering = true;
        call->fn(&reply, &call->err, call->arg);
        call_destroy(call);
    }
}

static void trim(void *arg) {
    (void)arg;
    malloc_trim(0);
}

// A round of a thousand pods is three bursts: to give back what the next one takes again cost each
// of them tens of ms.
static void trim_later(struct http *http) {
    http->peak = 0;
    loop_timer_start(http->loop, &http->trim_timer, QUIET_MS, trim, http);
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
    if (http->running == 0 && list_empty(&http->waiting) && http->peak >= BURST)
        trim_later(http);
}

static void drive(struct http *http, curl_socket_t socket, int events) {
    int still;
    http->entered++;
    http->in_curl = true;
    // Without memory for its table of a socket it leaves one of no size, to divide by at the next
    // turn.
    CHECK(curl_multi_socket_action(http->multi, socket, events, &still) != CURLM_OUT_OF_MEMORY);
    http->in_curl = false;
    leave(http);
}

static void on_curl_timer(void *arg) {
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_turn(void *arg) {
    struct http *http = arg;
    http->events = 0;
}

// What is left is told again in the next turn, for watches are level-triggered, and before what is
// ready by then.
static void on_socket(int events, void *arg) {
    struct watch *w = arg;
    if (w->http->events++ >= EVENTS_PER_TURN)
        return;
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

// ---- beginning ----

static void begin(struct http_call *call) {
    struct http *http = call->http;
    call->easy = curl_easy_init();
    CHECK(call->easy);
    CURLcode code = http_set_up(call);
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
    if (http->peak >= BURST)
        loop_timer_stop(&http->trim_timer);
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
    CHECK(curl_global_init(CURL_GLOBAL_NOTHING) == 0); // TLS sets itself up at its first use
    http->multi = curl_multi_init();
    CHECK(http->multi && max_total > 0);
    http->loop = loop;
    http->turn = loop_turn_start(loop, on_turn, http);
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
    call->ca_file = request->ca_file ? xstrdup(request->ca_file) : NULL;
    call->tls = request->tls || request->trust;
    call->trust = tls_trust_hold(request->trust);
    call->tls_name = request->tls_name ? xstrdup(request->tls_name) : NULL;
    if (request->body) {
        call->body_len = request->body_len;
        call->body = xcalloc(1, request->body_len + 1);
        memcpy(call->body, request->body, request->body_len);
    }
    call->connect_ms = (request->connect_ms ? request->connect_ms : CONNECT_MS) +
                       (request->trust ? HANDSHAKE_MS : 0);
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
    else if (!text_starts(call->url, "http://") &&
             !(call->tls && text_starts(call->url, "https://")))
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
