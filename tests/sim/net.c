// The network: base/http.h for those who ask, sidecar/control/server.h for those who answer, and
// between the two what may become of a request: late, lost on the way there or back, twice, again
// much later. A worker that stands still has a backlog; one that died closes its connections.
#include "base/check.h"
#include "base/http.h"
#include "base/list.h"
#include "base/own.h"
#include "sidecar/control/server.h"
#include "tests/sim/sim.h"
#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_MS = 1000, KEPT = 64 };

struct http {
    struct loop *loop;
    struct host *host;
};

struct http_call {
    struct http *http;
    struct flight *flight;
    struct loop_timer *deadline, *report;
    struct err err;
    int status;
    char *body;
    http_fn *fn;
    void *arg;
};

struct letter { // what is sent
    int from, to;
    char *method, *path, *body;
    size_t len;
    char **headers;
};

struct flight {
    struct link link;
    struct letter letter;
    struct http_call *call;  // NULL: nobody waits for the answer
    struct request *request; // NULL: not there yet, or over
    struct loop_timer *timer;
    bool arriving; // the timer is the receiver's
    bool left;     // whoever sent it has closed the connection
    int status;    // 0: no answer, what failed is the connection
    char *answer;
    char task[16]; // of a leader's
    int64_t epoch, round;
    int64_t sent; // as who sent it may count: what a slow network takes more is not in it
};

struct request {
    struct flight *flight;
    struct server *server;
    bool answered;
    void (*gone)(void *arg);
    void *gone_arg;
    void *attached;
    void (*release)(void *data);
};

struct server {
    struct host *host;
    struct server_events events;
    void *arg;
    uint64_t answered[600];
};

struct server_answer {
    int status;
    char *body;
};

static void request_free(struct request *r) {
    if (r->release)
        r->release(r->attached);
    free(r);
}

static struct link flights;
static struct server *servers[HOSTS];
static bool cuts[HOSTS][HOSTS];
static int64_t slow[HOSTS];
static int duplicates;
static const struct host *busy;
static struct letter kept[KEPT];
static size_t kept_n;

void net_init(void) {
    list_init(&flights);
}

void net_cut(int from, int to, bool cut) {
    cuts[from][to] = cut;
}

void net_cut_when_asked(const struct host *h) {
    busy = h;
}

void net_slow(int to, int64_t ms) {
    slow[to] = ms;
}

void net_duplicate(int percent) {
    duplicates = percent;
}

int net_flying(void) {
    int n = 0;
    struct flight *f;
    list_each(f, &flights, struct flight, link) n += f->call != NULL;
    return n;
}

static int64_t takes(int from, int to) {
    return sim->round_trip + (slow[to] ? chance_in(0, slow[to]) : 0) +
           (slow[from] ? chance_in(0, slow[from]) : 0);
}

// ---- letters ----

static char **copy_headers(const char *const *headers) {
    size_t n = 0;
    while (headers && headers[n])
        n++;
    char **copy = xcalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(headers[i]);
    return copy;
}

static struct letter letter_copy(const struct letter *l) {
    struct letter copy = *l;
    copy.method = xstrdup(l->method);
    copy.path = xstrdup(l->path);
    copy.body = xstrndup(l->body, l->len);
    copy.headers = copy_headers((const char *const *)l->headers);
    return copy;
}

static void letter_done(struct letter *l) {
    free(l->method);
    free(l->path);
    free(l->body);
    text_list_free(l->headers);
}

static const char *header(const struct letter *l, const char *name) {
    size_t len = strlen(name);
    for (char **h = l->headers; h && *h; h++)
        if (strncasecmp(*h, name, len) == 0 && (*h)[len] == ':')
            return *h + len + 1 + strspn(*h + len + 1, " ");
    return NULL;
}

static void keep(const struct letter *l) {
    struct letter *at = &kept[kept_n++ % KEPT];
    letter_done(at);
    *at = letter_copy(l);
}

// ---- a flight ----

static void flight_free(struct flight *f) {
    list_remove(&f->link);
    loop_timer_stop(&f->timer);
    letter_done(&f->letter);
    free(f->answer);
    free(f);
}

static void call_free(struct http_call *c) {
    loop_timer_stop(&c->deadline);
    loop_timer_stop(&c->report);
    free(c->body);
    free(c);
}

static void on_report(void *arg) {
    struct http_call *c = arg;
    struct http_call it = *c;
    c->body = NULL;
    call_free(c);
    struct http_reply reply = {.status = it.status, .body = it.body ? it.body : "", .sent = true};
    reply.len = strlen(reply.body);
    it.fn(&reply, &it.err, it.arg);
    free(it.body);
}

// In the turn of who asked, which may be much later.
static void tell(struct http_call *c) {
    c->flight = NULL;
    loop_timer_start(c->http->loop, &c->report, 0, on_report, c);
}

static void fail_call(struct flight *f, enum err_kind kind, const char *what) {
    struct http_call *c = take_ptr(f->call);
    err_set(&c->err, kind, "10.0.0.%d:8080: %s", f->letter.to + 1, what);
    tell(c);
}

static void on_returned(void *arg) {
    struct flight *f = arg;
    if (f->call && !cuts[f->letter.to][f->letter.from]) {
        if (f->status) {
            f->call->status = f->status;
            f->call->body = take_ptr(f->answer);
            tell(take_ptr(f->call));
        } else {
            fail_call(f, ERR_RETRY, "connection reset by peer");
        }
    }
    if (f->call)
        f->call->flight = NULL; // waits for its deadline
    flight_free(f);
}

static void go_back(struct flight *f) {
    f->request = NULL;
    f->arriving = false;
    loop_timer_start(sim->world, &f->timer, takes(f->letter.to, f->letter.from), on_returned, f);
}

static void on_handover(void *arg) {
    struct flight *f = arg;
    struct server *s = servers[f->letter.to];
    f->arriving = false;
    if (f->left) { // seen before anything begins, as the real one does
        flight_free(f);
        return;
    }
    struct request *r = xnew(struct request);
    *r = (struct request){.flight = f, .server = s};
    f->request = r;
    if (*f->task && busy == s->host) {
        busy = NULL;
        net_cut(f->letter.from, f->letter.to, true);
    }
    if (*f->task)
        check_asked(s->host, f->task, f->epoch, f->round, f->sent);
    s->events.on_head(r, s->arg);
    if (f->request == r && s->events.on_body && f->letter.len)
        s->events.on_body(r, f->letter.body, f->letter.len, s->arg);
    if (f->request == r)
        s->events.on_request(r, s->arg);
}

static void on_not_connected(void *arg) {
    struct flight *f = arg;
    if (f->call)
        fail_call(f, ERR_RETRY, "not connected within 1 s");
    flight_free(f);
}

static void on_arrival(void *arg) {
    struct flight *f = arg;
    struct host *to = &sim->hosts[f->letter.to];
    if (cuts[f->letter.from][f->letter.to]) {
        // A new connection is given up soon, on an old one nothing is heard.
        if (chance_of(50)) {
            loop_timer_start(sim->world, &f->timer, CONNECT_MS, on_not_connected, f);
            return;
        }
        if (f->call)
            f->call->flight = NULL;
        flight_free(f);
    } else if (!to->worker || !servers[to->index]) {
        go_back(f); // refused
    } else {
        f->arriving = true;
        loop_timer_start(to->loop, &f->timer, 0, on_handover, f);
    }
}

static void read_task(struct flight *f) {
    const char *epoch = header(&f->letter, "X-Ochopod-Epoch");
    const char *slash = epoch ? strchr(epoch, '/') : NULL;
    const char *round = header(&f->letter, "X-Ochopod-Round");
    if (!slash || sscanf(f->letter.path, "/control/%15[a-z]", f->task) != 1)
        return;
    f->epoch = strtoll(slash + 1, NULL, 10);
    f->round = round ? strtoll(round, NULL, 10) : 0;
}

static struct flight *send_letter(const struct letter *l, struct http_call *call, int64_t more) {
    struct flight *f = xnew(struct flight);
    f->letter = letter_copy(l);
    f->call = call;
    list_append(&flights, &f->link);
    read_task(f);
    int64_t ms = takes(l->from, l->to) + more;
    f->sent = world_now() + ms - sim->round_trip;
    loop_timer_start(sim->world, &f->timer, ms, on_arrival, f);
    return f;
}

void net_replay(void) {
    if (!kept_n)
        return;
    size_t n = kept_n < KEPT ? kept_n : KEPT;
    const struct letter *l = &kept[chance_in(0, (int64_t)n - 1)];
    send_letter(l, NULL, 0);
}

void net_operator(struct host *to, const char *task) {
    struct letter l = {
        .from = to->index, .to = to->index, .method = (char *)"POST", .body = (char *)""};
    auto_free char *path = strchr(task, '/') ? xstrdup(task) : xasprintf("/control/%s/60", task);
    l.path = path;
    send_letter(&l, NULL, 0);
}

// ---- who asks ----

struct http *http_create(struct loop *loop, int max_total, int max_idle) {
    (void)max_total;
    (void)max_idle;
    struct http *http = xnew(struct http);
    *http = (struct http){loop, host_of_loop(loop)};
    return http;
}

void http_free(struct http *http) {
    struct flight *f;
    list_each(f, &flights, struct flight, link) {
        if (f->call && f->call->http == http) {
            struct http_call *c = f->call;
            http_cancel(&c);
        }
    }
    free(http);
}

// The other side hears of it, unless its way is cut; on the way there is one who waits no more.
static void on_left(void *arg) {
    struct flight *f = arg;
    struct request *r = f->request;
    if (!r || r->answered)
        return;
    void (*gone)(void *arg) = r->gone;
    f->request = NULL;
    if (gone)
        gone(r->gone_arg);
    request_free(r);
    flight_free(f);
}

static void on_left_arrives(void *arg) {
    struct flight *f = arg;
    if (!cuts[f->letter.from][f->letter.to] && f->request)
        loop_timer_start(sim->hosts[f->letter.to].loop, &f->timer, 0, on_left, f);
}

static void leave(struct flight *f) {
    f->call = NULL;
    f->left = true;
    if (f->request && !f->timer)
        loop_timer_start(sim->world, &f->timer, takes(f->letter.from, f->letter.to),
                         on_left_arrives, f);
}

void http_cancel(struct http_call **slot) {
    struct http_call *c = *slot;
    *slot = NULL;
    if (!c)
        return;
    if (c->flight)
        leave(c->flight);
    call_free(c);
}

static void on_deadline(void *arg) {
    struct http_call *c = arg;
    if (c->flight)
        leave(c->flight);
    if (c->report)
        return; // its answer is here already
    err_set(&c->err, ERR_TIMEOUT, "no answer in time");
    tell(c);
}

struct http_call *http_start(struct http *http, const struct http_request *request, http_fn *fn,
                             void *arg) {
    int ip = 0;
    char path[256] = "";
    CHECK(sscanf(request->url, "http://10.0.0.%d:8080%255s", &ip, path) == 2);
    CHECK(ip > 0 && ip <= HOSTS && !request->on_data);
    point();
    struct http_call *c = xnew(struct http_call);
    *c = (struct http_call){.http = http, .fn = fn, .arg = arg};
    struct letter l = {.from = http->host->index,
                       .to = ip - 1,
                       .method = (char *)(request->method ? request->method : "GET"),
                       .path = path,
                       .body = xstrndup(request->body ? request->body : "", request->body_len),
                       .len = request->body_len,
                       .headers = copy_headers(request->headers)};
    check_text("a request", l.body);
    if (header(&l, "X-Ochopod-Epoch") && http->host->worker)
        check_sends(http->host, path);
    sim->total.requests++;
    keep(&l);
    c->flight = send_letter(&l, c, 0);
    if (duplicates && chance_of(duplicates))
        send_letter(&l, NULL, chance_in(0, 3000));
    free(l.body);
    text_list_free(l.headers);
    if (request->timeout_ms)
        loop_timer_start(http->loop, &c->deadline, request->timeout_ms, on_deadline, c);
    point();
    return c;
}

const char *http_header(const struct http_reply *reply, const char *name) {
    (void)reply;
    (void)name;
    return NULL;
}

struct http_duplex *http_duplex_open(struct http *http, const char *unix_socket,
                                     const char *host_url, const char *head, size_t head_len,
                                     const struct http_duplex_events *events, void *arg) {
    (void)http, (void)unix_socket, (void)host_url, (void)head, (void)head_len, (void)events,
        (void)arg;
    CHECK(!"duplex is not played");
    return NULL;
}

void http_duplex_send(struct http_duplex *d, const void *data, size_t len) {
    (void)d, (void)data, (void)len;
}

void http_duplex_half_close(struct http_duplex *d) {
    (void)d;
}

void http_duplex_close(struct http_duplex **slot) {
    *slot = NULL;
}

// ---- who answers ----

int server_open(struct loop *loop, const char *listen, int port, bool tls,
                const struct server_events *events, void *arg, struct server **ret,
                struct err *err) {
    (void)listen;
    (void)tls;
    (void)err;
    CHECK(port == 8080);
    struct server *s = xnew(struct server);
    *s = (struct server){.host = host_of_loop(loop), .events = *events, .arg = arg};
    servers[s->host->index] = s;
    *ret = s;
    return 0;
}

int server_bound_port(const struct server *server) {
    (void)server;
    return 8080;
}

void server_close(struct server *server) {
    if (!server)
        return;
    struct flight *f;
    list_each(f, &flights, struct flight, link) {
        struct request *r = f->request;
        if (!r || r->server != server)
            continue;
        void (*gone)(void *arg) = r->gone;
        if (gone && !r->answered)
            gone(r->gone_arg);
        request_free(r);
        go_back(f);
    }
    servers[server->host->index] = NULL;
    free(server);
}

uint64_t server_answered(const struct server *server, int status) {
    return server->answered[status];
}

size_t server_connections(const struct server *server) {
    (void)server;
    return 0;
}

enum request_method request_method(const struct request *request) {
    return strcmp(request->flight->letter.method, "POST") == 0 ? METHOD_POST : METHOD_GET;
}

const char *request_method_name(const struct request *request) {
    return request->flight->letter.method;
}

const char *request_target(const struct request *request) {
    return request->flight->letter.path;
}

int request_header_count(struct request *request, const char *name) {
    int n = 0;
    size_t len = strlen(name);
    for (char **h = request->flight->letter.headers; h && *h; h++)
        n += strncasecmp(*h, name, len) == 0 && (*h)[len] == ':';
    return n;
}

void request_from_peer(struct request *request) {
    (void)request;
}

void request_attach(struct request *request, void *data, void (*release)(void *data)) {
    CHECK(!request->release);
    request->attached = data;
    request->release = release;
}

void *request_attached(const struct request *request) {
    return request->attached;
}

void request_add_header(struct request *request, const char *name, char *value) {
    (void)request;
    (void)name;
    free(value);
}

const char *request_path(const struct request *request) {
    return request->flight->letter.path;
}

const char *request_header(struct request *request, const char *name) {
    return header(&request->flight->letter, name);
}

const char *request_query(struct request *request, const char *name) {
    (void)request;
    (void)name;
    return NULL;
}

const char *request_body(const struct request *request, size_t *ret_len) {
    *ret_len = request->flight->letter.len;
    return request->flight->letter.body;
}

void request_on_gone(struct request *request, void (*fn)(void *arg), void *arg) {
    request->gone = fn;
    request->gone_arg = arg;
}

void request_answer(struct request *request, int status, const char *type, char *body, size_t len) {
    struct flight *f = request->flight;
    struct server *s = request->server;
    (void)type;
    CHECK(!request->answered && status >= 100 && status < 600);
    point();
    if (s->events.on_answer)
        s->events.on_answer(request, status, body, len, s->arg);
    request->answered = true;
    s->answered[status]++;
    check_text("an answer", body);
    f->status = status;
    f->answer = body;
    if (*f->task)
        check_answered(s->host, f->task, f->epoch, f->round, status);
    loop_timer_stop(&f->timer);
    go_back(f);
    request_free(request);
    point();
}

void request_refuse(struct request *request, int status, const char *allow, char *json) {
    (void)allow;
    request_answer(request, status, "application/json", json, strlen(json));
}

struct server_answer *server_keep(int status, const char *type, char *body, size_t len) {
    (void)type;
    (void)len;
    struct server_answer *a = xnew(struct server_answer);
    *a = (struct server_answer){status, body};
    return a;
}

void server_drop(struct server_answer **slot) {
    if (*slot)
        free((*slot)->body);
    free(take_ptr(*slot));
}

void request_answer_kept(struct request *request, struct server_answer *answer) {
    request_answer(request, answer->status, "", xstrdup(answer->body), strlen(answer->body));
}

void request_stream(struct request *request, const char *type) {
    (void)request;
    (void)type;
    CHECK(!"streams are not played");
}

bool request_stream_add(struct request *request, const void *data, size_t len) {
    (void)request, (void)data, (void)len;
    return true;
}

size_t request_stream_pending(const struct request *request) {
    (void)request;
    return 0;
}

void request_stream_end(struct request *request) {
    (void)request;
}

void request_stream_break(struct request *request) {
    (void)request;
}

// ---- a worker that is gone ----

void net_host_gone(struct host *h) {
    struct flight *f;
    servers[h->index] = NULL;
    list_each(f, &flights, struct flight, link) {
        if (f->call && f->call->http->host == h)
            leave(f);
        if (f->letter.to == h->index && (f->request || f->arriving)) {
            // Its loop will never turn again: whatever it was about to do with it.
            f->status = 0;
            go_back(f);
        }
    }
}
