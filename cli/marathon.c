#include "cli/marathon.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/send.h"
#include <string.h>
#include <strings.h>

enum {
    REDIRECTS_MAX = 5,
    REPLY_MAX = 16 * 1024 * 1024,
    CONNECT_MS = 2000,
    CALL_MS = 15000,
    PAUSE_MS = 100,
    PAUSE_MAX_MS = 1000,
    AGAIN_MS = 250,
};

struct marathon {
    struct loop *loop;
    struct http *http;
    struct marathon_where where;
    size_t current;         // the master that answered last, and not one that hangs
    int64_t deadline, turn; // turn: the share of the time that the master has that is asked now
    bool force, may_force;  // who runs us can say so
    bool insist;
    struct text details;
    void (*tell)(const char *line, void *arg);
    void *tell_arg;
};

struct call {
    const char *method, *path;
    char *body;
};

struct answer {
    struct loop *loop;
    bool done, sent;
    int status;
    char *url, *body, *location, *deployment;
    size_t len;
    struct err err;
};

struct marathon *marathon_open(struct loop *loop, struct http *http, struct marathon_where *where) {
    struct marathon *m = xnew(struct marathon);
    *m = (struct marathon){.loop = loop, .http = http, .where = *where, .deadline = -1};
    *where = (struct marathon_where){0};
    return m;
}

void marathon_close(struct marathon *m) {
    if (!m)
        return;
    marathon_where_done(&m->where);
    text_done(&m->details);
    free(m);
}

void marathon_until(struct marathon *m, int64_t deadline) {
    m->deadline = deadline;
}

void marathon_force(struct marathon *m, bool force) {
    m->force = force;
    m->may_force = true;
}

void marathon_insist(struct marathon *m) {
    m->insist = true;
}

void marathon_tell(struct marathon *m, void (*fn)(const char *line, void *arg), void *arg) {
    m->tell = fn;
    m->tell_arg = arg;
}

const char *marathon_details(const struct marathon *m) {
    return text_str(&m->details);
}

// ---- one request ----

static void answer_done(struct answer *a) {
    free(a->url);
    free(a->body);
    free(a->location);
    free(a->deployment);
    *a = (struct answer){0};
}

static char *copy(const char *s) {
    return s ? xstrdup(s) : NULL;
}

static void on_answer(const struct http_reply *reply, const struct err *err, void *arg) {
    struct answer *a = arg;
    a->done = true;
    a->sent = reply->sent;
    a->err = *err;
    a->status = err->kind ? 0 : reply->status;
    a->len = reply->len;
    a->body = xcalloc(1, reply->len + 1);
    memcpy(a->body, reply->body, reply->len);
    a->location = copy(http_header(reply, "Location"));
    a->deployment = copy(http_header(reply, "Marathon-Deployment-Id"));
    loop_quit(a->loop);
}

static int64_t time_left(const struct marathon *m) {
    int64_t left = m->turn - loop_now(m->loop);
    return left < 1 ? 1 : left;
}

static void send_one(struct marathon *m, const char *url, const char *auth, const struct call *call,
                     struct answer *a) {
    // Marathon says in HTML, or not at all, why it could not hand a request on.
    const char *headers[4] = {"Accept: application/json, text/html;q=0.1"};
    size_t n = 1;
    if (call->body)
        headers[n++] = "Content-Type: application/json";
    if (auth)
        headers[n++] = auth;
    struct http_request request = {.method = call->method,
                                   .url = url,
                                   .headers = headers,
                                   .body = call->body,
                                   .body_len = call->body ? strlen(call->body) : 0,
                                   .connect_ms = CONNECT_MS,
                                   .timeout_ms = time_left(m),
                                   .max_reply = REPLY_MAX,
                                   .tls = true,
                                   .ca_file = m->where.ca_file};
    answer_done(a);
    a->loop = m->loop;
    a->url = xstrdup(url);
    send_request(m->http, &request, on_answer, a);
    while (!a->done) // others may end the loop as well
        loop_run(m->loop);
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Credentials belong to the masters that were named, and to the scheme they were named with.
static const char *auth_for(const struct marathon *m, const char *url) {
    auto_free char *origin = marathon_origin(url);
    for (size_t i = 0; i < m->where.n; i++) {
        auto_free char *own = marathon_origin(m->where.list[i].base);
        if (strcasecmp(origin, own) == 0)
            return m->where.list[i].auth ? m->where.list[i].auth : m->where.auth;
    }
    return NULL;
}

static bool been_at(char *const *seen, size_t n, const char *url) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(seen[i], url) == 0)
            return true;
    return false;
}

// One request to one master, and where it sends us. A circle is no reason to try another master
// with a change; for that it counts as sent.
static void ask_master(struct marathon *m, size_t which, const struct call *call,
                       struct answer *a) {
    char *seen[REDIRECTS_MAX + 1];
    size_t n = 0;
    char *url = xasprintf("%s%s", m->where.list[which].base, call->path);
    while (url) {
        send_one(m, url, auth_for(m, url), call, a);
        seen[n++] = url;
        url = NULL;
        if (!is_redirect(a->status))
            break;
        a->status = 0;
        url = a->location ? marathon_resolve(seen[n - 1], a->location) : NULL;
        if (!url)
            err_set(&a->err, ERR_RETRY, "%.200s redirects to nowhere", seen[n - 1]);
        else if (been_at(seen, n, url))
            err_set(&a->err, ERR_RETRY, "%.150s redirects in a circle: %.150s again", seen[0], url);
        else if (n > REDIRECTS_MAX)
            err_set(&a->err, ERR_RETRY, "%.200s redirects more than %d times", seen[0],
                    REDIRECTS_MAX);
        if (a->err.kind) {
            free(url);
            url = NULL;
        }
    }
    while (n)
        free(seen[--n]);
}

static bool is_over(const struct marathon *m) {
    return m->deadline >= 0 && loop_now(m->loop) >= m->deadline;
}

static bool reads(const struct call *call) {
    return strcmp(call->method, "GET") == 0;
}

// Marathon's own words, where it had nobody to hand a request to. Since 1.6.486 "refused" may be of
// a connection that was reset.
static bool says_nobody_took_it(const struct answer *a) {
    static const char *const words[] = {"Could not determine the current leader",
                                        "Connection to leader refused", "Detected proxying loop"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(a->body, words[i]))
            return true;
    return false;
}

// Nothing of it was sent, or who answered had no leader to hand it to. A 503 in words of Marathon's
// own is a timeout, of what may be done all the same; and after a 502 the leader may have had it
// all before the connection to it broke. Only a POST does harm when it is repeated.
static bool was_not_taken(const struct call *call, const struct answer *a) {
    if (a->err.kind)
        return a->err.kind != ERR_TIMEOUT && !a->sent;
    if (a->status == 502)
        return strcmp(call->method, "POST") != 0 || says_nobody_took_it(a);
    auto_json json_t *body = json_read(a->body, a->len, REPLY_MAX, "", NULL);
    return a->status == 503 && !*json_text(body, "message");
}

static bool may_ask_another(const struct marathon *m, const struct call *call,
                            const struct answer *a) {
    if (!reads(call))
        return was_not_taken(call, a);
    if (a->err.kind)
        return a->err.kind != ERR_TIMEOUT || !is_over(m);
    return a->status == 502 || a->status == 503 || a->status == 504;
}

// Others who can be asked have theirs.
static void give_turn(struct marathon *m, const struct call *call, size_t others) {
    int64_t now = loop_now(m->loop), left = m->deadline < 0 ? CALL_MS : m->deadline - now;
    if (m->deadline >= 0 && reads(call))
        left /= (int64_t)others + 1;
    m->turn = now + (left < CALL_MS ? left : CALL_MS);
}

static void ask(struct marathon *m, const struct call *call, struct answer *a) {
    size_t n = m->where.n, first = m->current;
    for (size_t i = 0; i < n; i++) {
        size_t which = (first + i) % n;
        give_turn(m, call, n - 1 - i);
        ask_master(m, which, call, a);
        if (a->err.kind == ERR_TIMEOUT)
            m->current = (which + 1) % n; // it may hang for ever
        if (may_ask_another(m, call, a))
            continue;
        m->current = a->err.kind ? m->current : which;
        return;
    }
}

// ---- what it says ----

static void add_errors(struct text *t, const char *path, const json_t *errors) {
    size_t i;
    json_t *it;
    json_array_foreach((json_t *)errors, i, it) if (json_is_string(it))
        text_addf(t, "  %s%s%.500s\n", path, *path ? ": " : "", json_string_value(it));
}

// details: a list of {"path", "errors": [...]}, or one string.
static void keep_details(struct marathon *m, const json_t *body) {
    const json_t *details = json_object_get(body, "details");
    size_t i;
    json_t *it;
    if (json_is_string(details))
        text_addf(&m->details, "  %.2000s\n", json_string_value(details));
    json_array_foreach((json_t *)details, i, it) {
        if (json_is_string(it))
            text_addf(&m->details, "  %.500s\n", json_string_value(it));
        else
            add_errors(&m->details, json_text(it, "path"), json_object_get(it, "errors"));
    }
}

static bool is_html(const struct answer *a) {
    const char *s = a->body + strspn(a->body, " \t\r\n");
    return *s == '<';
}

static const char *what_came(const struct answer *a) {
    return !a->len ? "nothing" : is_html(a) ? "HTML" : "something else";
}

// Its own words, with what no line of ours may hold made blank.
static char *message_of(const json_t *body) {
    const char *said = json_text(body, "message");
    char *s = xasprintf("%.300s", *said ? said : json_text(body, "error"));
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return s;
}

static int wrong_credentials(const struct answer *a, const char *auth, struct err *err) {
    auto_free char *origin = marathon_origin(a->url);
    return err_code(err, ERR_USER, a->status,
                    "%.200s %s (%d): set MARATHON_USER and "
                    "MARATHON_PASSWORD, or MARATHON_TOKEN",
                    origin, auth ? "does not take our credentials" : "wants credentials",
                    a->status);
}

static enum err_kind kind_of(int status, const char *message) {
    switch (status) {
    case 400:
    case 422:
        return ERR_USER;
    case 404:
        return text_starts(message, "URI not found") ? ERR_RETRY : ERR_ABSENT;
    case 409:
        return strstr(message, "already exists") ? ERR_EXISTS : ERR_REFUSED;
    case 500:
        return text_starts(message, "URI not found") ? ERR_RETRY : ERR_REFUSED;
    case 502:
    case 503:
    case 504:
        return ERR_RETRY;
    default:
        return ERR_REFUSED;
    }
}

// A status that is none of success, of a Marathon or of something before it.
static int refused(struct marathon *m, const struct call *call, const struct answer *a,
                   const json_t *body, struct err *err) {
    auto_free char *message = message_of(body);
    if (a->status == 401)
        return wrong_credentials(a, auth_for(m, a->url), err);
    if (!*message && !json_object_size(body))
        return err_code(err, ERR_RETRY, a->status,
                        "%s %.150s answered %d with %s: no Marathon answers there", call->method,
                        a->url, a->status, what_came(a));
    keep_details(m, body);
    return err_code(err, kind_of(a->status, message), a->status, "%s %.150s answered %d: %s",
                    call->method, a->url, a->status, *message ? message : "no reason");
}

static int unreachable(const struct marathon *m, const struct call *call, const struct answer *a,
                       struct err *err) {
    err_copy(err, &a->err);
    if (err->kind == ERR_LIMIT || err->kind == ERR_USER)
        err->kind = ERR_RETRY; // not our user's fault
    if (a->sent && strcmp(call->method, "GET") != 0)
        err_wrap(err, "Marathon may or may not have done it");
    else if (m->where.n > 1 && err->kind == ERR_RETRY)
        err_wrap(err, "none of %zu Marathons answers; the last", m->where.n);
    else
        err_wrap(err, "Marathon");
    return -1;
}

// NULL: err. *ret_locked: the deployments that lock the app, new reference, when that is why.
static json_t *judge(struct marathon *m, const struct call *call, const struct answer *a,
                     json_t **ret_locked, struct err *err) {
    text_clear(&m->details);
    if (a->err.kind) {
        unreachable(m, call, a, err);
        return NULL;
    }
    bool good = a->status >= 200 && a->status < 300;
    bool may_be_empty = !good || !reads(call);
    auto_json json_t *body = a->len         ? json_read(a->body, a->len, REPLY_MAX, "it", NULL)
                             : may_be_empty ? json_object()
                                            : NULL;
    if (good && !body)
        err_code(err, ERR_RETRY, a->status,
                 "%s %.150s answered %d with %s instead of JSON: no Marathon answers there",
                 call->method, a->url, a->status, what_came(a));
    else if (!good)
        refused(m, call, a, body, err);
    if (a->status == 409 && ret_locked)
        *ret_locked = json_incref(json_object_get(body, "deployments"));
    return good && body ? take_ptr(body) : NULL;
}

// ---- calls ----

json_t *marathon_get(struct marathon *m, const char *path, struct err *err) {
    struct call call = {.method = "GET", .path = path};
    struct answer a = {0};
    ask(m, &call, &a);
    json_t *body = judge(m, &call, &a, NULL, err);
    answer_done(&a);
    return body;
}

struct pause {
    struct loop *loop;
    bool over;
};

static void on_pause(void *arg) {
    struct pause *pause = arg;
    pause->over = true;
    loop_quit(pause->loop);
}

void marathon_pause(struct marathon *m, int64_t ms) {
    struct pause pause = {.loop = m->loop};
    struct loop_timer *timer = NULL;
    loop_timer_start(m->loop, &timer, ms, on_pause, &pause);
    while (!pause.over) // others may end the loop as well
        loop_run(m->loop);
}

bool marathon_may_pass(const struct err *err) {
    return err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT;
}

bool marathon_again(struct marathon *m, struct err *err) {
    if (err->kind != ERR_RETRY || m->deadline < 0 || loop_now(m->loop) + AGAIN_MS >= m->deadline)
        return false;
    marathon_pause(m, AGAIN_MS);
    *err = (struct err)ERR_INIT;
    return true;
}

static void say(struct marathon *m, const char *line) {
    if (m->tell)
        m->tell(line, m->tell_arg);
}

// Until it is not going on any more; the id is Marathon's own. What it cannot say now it may say
// later.
static int outlast(struct marathon *m, const char *id, struct err *err) {
    struct err last = ERR_INIT;
    for (int64_t ms = PAUSE_MS; !is_over(m); ms = ms * 2 < PAUSE_MAX_MS ? ms * 2 : PAUSE_MAX_MS) {
        marathon_pause(m, ms);
        last = (struct err)ERR_INIT;
        int going = *id ? marathon_deploying(m, id, &last) : 0;
        if (going == 0)
            return 0;
        if (going < 0 && !is_over(m) && (m->deadline < 0 || !marathon_may_pass(&last)))
            return err_copy(err, &last);
    }
    const char *why = last.kind == ERR_RETRY ? last.text : "";
    return err_set(
        err, ERR_TIMEOUT, "the app is locked by deployment %.60s, which does not end%s%s%.200s",
        *id ? id : "of somebody", m->may_force ? "; --force overrides" : "", *why ? "; " : "", why);
}

static int wait_for_lock(struct marathon *m, const json_t *deployment, struct err *err) {
    const char *id = json_text(deployment, "id");
    auto_free char *line = xasprintf("locked by deployment %.60s, waiting for it%s",
                                     *id ? id : "of somebody",
                                     m->may_force ? " (--force overrides)" : "");
    say(m, line);
    int failed = outlast(m, id, err);
    say(m, NULL);
    return failed;
}

static char *change_path(const struct marathon *m, const char *path) {
    return m->force ? xasprintf("%s%sforce=true", path, strchr(path, '?') ? "&" : "?")
                    : xstrdup(path);
}

// PUT and DELETE say it in the body, POST of an app in a list there; all in a header.
static char *deployment_of(const struct answer *a, const json_t *body) {
    const char *id = json_text(body, "deploymentId");
    if (!*id)
        id = json_text(json_array_get(json_object_get(body, "deployments"), 0), "id");
    if (!*id && a->deployment)
        id = a->deployment;
    return *id ? xstrdup(id) : NULL;
}

json_t *marathon_try(struct marathon *m, const char *method, const char *path, const json_t *body,
                     char **ret_deployment, bool *ret_waited, struct err *err) {
    *ret_waited = false;
    auto_free char *whole = change_path(m, path);
    auto_free char *text = body ? json_write(body) : NULL;
    struct call call = {.method = method, .path = whole, .body = text};
    struct answer a = {0};
    for (;;) {
        auto_json json_t *locked = NULL;
        ask(m, &call, &a);
        json_t *said = judge(m, &call, &a, &locked, err);
        if (said && ret_deployment)
            *ret_deployment = deployment_of(&a, said);
        bool again = !said && m->insist && was_not_taken(&call, &a);
        answer_done(&a);
        if (again && marathon_again(m, err))
            continue;
        if (said || !locked || m->force || err->kind == ERR_EXISTS ||
            wait_for_lock(m, json_array_get(locked, 0), err))
            return said;
        *err = (struct err)ERR_INIT;
        *ret_waited = true;
        return NULL;
    }
}

json_t *marathon_change(struct marathon *m, const char *method, const char *path,
                        const json_t *body, char **ret_deployment, struct err *err) {
    bool waited;
    json_t *said;
    do
        said = marathon_try(m, method, path, body, ret_deployment, &waited, err);
    while (waited);
    return said;
}

// What is no list does not say that there are none.
static json_t *list_deployments(struct marathon *m, struct err *err) {
    auto_json json_t *all = marathon_get(m, "/v2/deployments", err);
    if (!all || json_is_array(all))
        return take_ptr(all);
    err_set(err, ERR_RETRY, "Marathon: /v2/deployments answered no list of deployments");
    return NULL;
}

int marathon_deploying(struct marathon *m, const char *deployment, struct err *err) {
    auto_json json_t *all = list_deployments(m, err);
    if (!all)
        return -1;
    size_t i;
    json_t *it;
    json_array_foreach(all, i, it) if (strcmp(json_text(it, "id"), deployment) == 0) return 1;
    return 0;
}

// ---- apps ----

static const json_t *lock_of(const json_t *deployments, const char *app) {
    size_t i, k;
    json_t *it, *id;
    json_array_foreach((json_t *)deployments, i, it)
        json_array_foreach(json_object_get(it, "affectedApps"), k, id) {
        const char *is = json_is_string(id) ? json_string_value(id) : "";
        if (strcmp(is + (*is == '/'), app + (*app == '/')) == 0)
            return it;
    }
    return NULL;
}

int marathon_unlocked(struct marathon *m, const char *app, bool *ret_waited, struct err *err) {
    *ret_waited = false;
    while (!m->force) {
        auto_json json_t *all = list_deployments(m, err);
        if (!all && marathon_again(m, err)) {
            *ret_waited = true;
            continue;
        }
        if (!all)
            return -1;
        const json_t *lock = lock_of(all, app);
        if (!lock)
            break;
        *ret_waited = true;
        if (wait_for_lock(m, lock, err))
            return -1;
    }
    return 0;
}

char *marathon_path(const char *app, const char *tail) {
    return xasprintf("/v2/apps/%s%s", *app == '/' ? app + 1 : app, tail);
}

json_t *marathon_app(struct marathon *m, const char *app, struct err *err) {
    auto_free char *path = marathon_path(app, "");
    auto_json json_t *body = marathon_get(m, path, err);
    json_t *it = json_object_get(body, "app");
    if (body && !json_is_object(it))
        err_set(err, ERR_RETRY, "Marathon: %.200s holds no app", path);
    return json_is_object(it) ? json_incref(it) : NULL;
}

char *marathon_failure(const json_t *app) {
    const json_t *last = json_object_get(app, "lastTaskFailure");
    const char *state = json_text(last, "state"), *message = json_text(last, "message");
    if (!*state && !*message)
        return NULL;
    char *s = xasprintf("last task: %.40s on %.100s: %.200s", *state ? state : "failed",
                        *json_text(last, "host") ? json_text(last, "host") : "some host",
                        *message ? message : "no reason");
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return s;
}
