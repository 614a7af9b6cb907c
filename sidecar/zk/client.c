#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/client_inside.h"
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 1000,
    OPEN_TRIES = 5,
    // Of a session's time what a server may grant. With less the library's own arithmetic gives up
    // each connection before it stands, with more it overflows: either way it would try again
    // without a pause and for ever, also when the server has come to its senses.
    SESSION_LEAST_MS = 100,
    SESSION_MOST_MS = 3600 * 1000,
    // From when a session was granted to its first answer that came in time. A server may answer
    // every ping and nothing else; and the library pauses for a sixtieth of what was granted, which
    // may be a minute, before it connects again.
    FIRST_ANSWER_MS = 15 * 1000,
    CLOSING_MOST_MS = 20 * 1000,
};

// Sessions whose library has not let go yet. One loop a process.
static struct link closings = {&closings, &closings};

static void start(void *arg);
static void finish_close(struct zk *zk);
static void on_clock(void *arg);

// ---- what the library's threads tell ----

struct event {
    struct message message;
    int state;
};

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
    (void)zh;
    (void)path;
    struct zk *zk = ctx;
    if (type != ZOO_SESSION_EVENT)
        return;
    struct event *event = xnew(struct event);
    event->message.kind = MESSAGE_STATE;
    event->state = state;
    inbox_post(zk->inbox, &event->message.inbox);
}

// The library says each failed attempt to connect as an error, several times a second while a
// server is away; our own state says it once.
static void on_log(const char *line) {
    size_t len = strcspn(line, "\n");
    bool routine = !strstr(line, ":ZOO_ERROR@") || strstr(line, "retcode=");
    if (routine)
        log_debug("zk library %.*s", (int)len, line);
    else
        log_warn("zk library %.*s", (int)len, line);
}

// ---- clock and state ----

int64_t zk_silence(const struct zk *zk) {
    return zk->library->alone ? 0 : loop_now(zk->loop) - zk->answered;
}

int zk_session_timeout(const struct zk *zk) {
    return zk->timeout;
}

int64_t zk_session(const struct zk *zk) {
    return zk->session;
}

const char *zk_addresses(const struct zk *zk) {
    return zk->addresses ? zk->addresses : "";
}

static int64_t lease(const struct zk *zk) {
    return (int64_t)zk->timeout * 2 / 3;
}

// Short enough that the library, which pings after a third, never does.
static int64_t beat(const struct zk *zk) {
    return (int64_t)zk->timeout * 3 / 10;
}

// While CONNECTING.
static int64_t give_up_at(const struct zk *zk) {
    return zk->session ? zk->granted + zk->patience : INT64_MAX;
}

// What is true now. Once SUSPENDED, one fresh answer is asked for before anything is decided again:
// after a stop of this process the library may still believe in a session that is gone.
static enum zk_state judge(const struct zk *zk) {
    int64_t silence = zk_silence(zk);
    bool fresh = silence < (zk->state == ZK_CONNECTED ? lease(zk) : zk->timeout / 3);
    if (zk->state == ZK_LOST || zk->expired)
        return ZK_LOST;
    if (zk->connected && fresh)
        return ZK_CONNECTED;
    if (zk->state == ZK_CONNECTING)
        return loop_now(zk->loop) < give_up_at(zk) ? ZK_CONNECTING : ZK_LOST;
    return silence >= zk->lost_after ? ZK_LOST : ZK_SUSPENDED;
}

enum zk_state zk_state(const struct zk *zk) {
    enum zk_state now = judge(zk);
    // Better news than what was told is told first.
    return now == ZK_CONNECTED ? zk->state : now;
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// When the clock has something to do.
static int64_t due(const struct zk *zk) {
    int64_t at = zk->answered + zk->lost_after;
    if (zk->state == ZK_CONNECTING)
        at = give_up_at(zk);
    else if (zk->state == ZK_CONNECTED)
        at = earlier(at, zk->answered + lease(zk));
    return zk->connected && !zk->asking ? earlier(at, zk->sent + beat(zk)) : at;
}

static void set_clock(struct zk *zk) {
    if (zk->closed || zk->state == ZK_LOST || !zk->session || zk->library->alone)
        return;
    int64_t now = loop_now(zk->loop), at = due(zk);
    loop_timer_start(zk->loop, &zk->clock, at > now ? at - now : 0, on_clock, zk);
}

// false: the owner has closed us.
static bool refresh(struct zk *zk) {
    enum zk_state before = zk->state;
    zk->state = judge(zk);
    if (zk->state == before)
        return true;
    log_debug("zk session=0x%llx state=%s from=%s silence=%lld", (long long)zk->session,
              zk_state_name(zk->state), zk_state_name(before), (long long)zk_silence(zk));
    if (before == ZK_CONNECTING && zk->state == ZK_LOST && !zk->expired)
        log_warn(
            "zk servers=%s: a session was granted and nothing in it answered in time, given up "
            "after %lld ms",
            zk->addresses, (long long)zk->patience);
    if (zk->state == ZK_LOST)
        loop_timer_stop(&zk->clock);
    zk->on_state(zk->state, zk->arg);
    if (!zk->closed && zk->state == ZK_LOST)
        zk_op_fail_all(zk);
    if (!zk->closed && zk->state == ZK_CONNECTED)
        zk_follow_resume(zk);
    return !zk->closed;
}

static void on_clock(void *arg) {
    struct zk *zk = arg;
    bool silent = loop_now(zk->loop) >= zk->sent + beat(zk);
    if (zk->connected && !zk->asking && !zk->expired && silent)
        zk_ask(zk);
    if (refresh(zk))
        set_clock(zk);
}

// ---- messages ----

// No server says so by itself. Of a read-only session, which we never ask for, the library looks
// for a better server by a call that may block for ever: nothing more can be expected of it.
static bool is_nonsense(const struct zk *zk, int state) {
    int timeout = zk->library->timeout(zk->zh);
    bool connected = state == ZOO_CONNECTED_STATE;
    bool wild = connected && !zk->library->alone &&
                (timeout < SESSION_LEAST_MS || timeout > SESSION_MOST_MS ||
                 !zk->library->session(zk->zh));
    if (wild)
        log_warn("zk servers=%s: a session 0x%llx of %d ms is nonsense, given up", zk->addresses,
                 (long long)zk->library->session(zk->zh), timeout);
    else if (state == ZOO_READONLY_STATE)
        log_warn("zk servers=%s: a session that may only read is nonsense, given up",
                 zk->addresses);
    return wild || state == ZOO_READONLY_STATE;
}

static void on_library_state(struct zk *zk, int state) {
    if (!zk->zh)
        return; // looked at when zookeeper_init has returned
    zk->connected = state == ZOO_CONNECTED_STATE;
    zk->expired = zk->expired || state == ZOO_EXPIRED_SESSION_STATE ||
                  state == ZOO_AUTH_FAILED_STATE || is_nonsense(zk, state);
    if (state == ZOO_AUTH_FAILED_STATE)
        log_err("zk session=0x%llx credentials were refused", (long long)zk->session);
    if (zk->connected && !zk->expired) {
        if (!zk->session)
            zk->granted = loop_now(zk->loop);
        zk->session = zk->library->session(zk->zh);
        zk->timeout = zk->library->timeout(zk->zh);
        zk->asking = false; // what was asked before the connection broke has been failed
        if (!zk->lost_after)
            zk->lost_after = zk->timeout;
        if (zk_silence(zk) >= zk->timeout / 3)
            zk_ask(zk);
    }
    if (refresh(zk))
        set_clock(zk);
}

static void on_answer(struct zk *zk, struct zk_op *op) {
    bool answered = zk_op_was_answered(op) && !op->too_large;
    if (answered && op->sent > zk->answered)
        zk->answered = op->sent;
    bool asked = op->kind == OP_ASK;
    if (asked)
        zk->asking = false;
    zk_op_deliver(op);
    bool news = answered && !zk->closed && zk->state != ZK_CONNECTED && zk->state != ZK_LOST;
    if ((news && refresh(zk)) || asked) // asked: the next beat is counted from this one
        set_clock(zk);
}

static void on_message(struct inbox_message *inbox, void *arg) {
    struct zk *zk = arg;
    struct message *message = (struct message *)inbox;
    if (message->kind == MESSAGE_STATE) {
        struct event *event = (struct event *)message;
        int state = event->state;
        free(event);
        on_library_state(zk, state);
    } else if (message->kind == MESSAGE_CHANGED) {
        zk_follow_changed(message);
    } else {
        on_answer(zk, (struct zk_op *)message);
    }
}

// Ops and follows are in lists of their own.
static void drop_message(struct inbox_message *inbox, void *arg) {
    struct message *message = (struct message *)inbox;
    (void)arg;
    if (message->kind != MESSAGE_ANSWER)
        free(message);
}

// ---- opening ----

// After a failure the library leaves out an address, and it pauses only behind the last of its
// list: of an even number it tries one half, for ever and without a pause (ZOOKEEPER-2466). Of an
// odd number it tries all.
static char *odd_number(const char *addresses) {
    size_t n = 1;
    for (const char *p = addresses; *p; p++)
        n += *p == ',';
    int first = (int)strcspn(addresses, ",");
    return n % 2 ? xstrdup(addresses) : xasprintf("%s,%.*s", addresses, first, addresses);
}

// While servers refuse connections the handle is between two attempts most of the time, and takes
// no credentials then (ZOOKEEPER-800): for good it would be nobody. At once it mostly takes them.
static bool takes_credentials(zhandle_t *zh, const struct zk *zk) {
    return !zk->auth ||
           zoo_add_auth(zh, "digest", zk->auth, (int)strlen(zk->auth), NULL, NULL) == ZOK;
}

static zhandle_t *open_once(struct zk *zk, const char *addresses) {
    zhandle_t *zh = zookeeper_init2(addresses, on_session, zk->timeout, NULL, zk,
                                    ZOO_NO_LOG_CLIENTENV, on_log);
    if (!zh)
        return NULL;
    if (!takes_credentials(zh, zk)) {
        zookeeper_close(zh);
        return NULL;
    }
    // Names are our business: the library would ask for them on every turn of its thread and give
    // up healthy sessions while the resolver is away.
    zoo_set_servers_resolution_delay(zh, -1);
    return zh;
}

static zhandle_t *client_open(struct zk *zk) {
    auto_free char *addresses = odd_number(zk->addresses);
    zhandle_t *zh = NULL;
    for (int i = 0; !zh && i < OPEN_TRIES; i++)
        zh = open_once(zk, addresses);
    return zh;
}

static void client_close(zhandle_t *zh) {
    zookeeper_close(zh);
}

static int64_t client_session(zhandle_t *zh) {
    return zoo_client_id(zh)->client_id;
}

const struct zk_library zk_client = {
    .open = client_open,
    .close = client_close,
    .state = zoo_state,
    .session = client_session,
    .timeout = zoo_recv_timeout,
    .create = zoo_acreate,
    .exists = zoo_awexists,
    .get = zoo_awget,
    .names = zoo_awget_children,
    .set = zoo_aset,
    .delete = zoo_adelete,
    .sync = zoo_async,
    .acl = zoo_aget_acl,
    .multi = zoo_amulti,
};

static void init_library(void *arg) { // on a worker
    struct zk *zk = arg;
    zk->made = zk->library->open(zk);
}

static void on_library(void *arg) {
    struct zk *zk = arg;
    zk->starting = false;
    zk->zh = zk->made;
    if (zk->closed) {
        finish_close(zk);
    } else if (!zk->zh) {
        log_warn("zk servers=%s cannot be used, tried again in %d ms",
                 zk->kept ? zk->kept : zk->addresses, RETRY_MS);
        loop_timer_start(zk->loop, &zk->retry, RETRY_MS, start, zk);
    } else {
        on_library_state(zk, zk->library->state(zk->zh));
    }
}

static void nothing(void *arg) { // on a worker
    (void)arg;
}

// The library may block. A cluster of one reads a file, which it may have to ask the clerk for:
// that line is the loop thread's alone, and answers would be mixed up.
static void begin(struct zk *zk) {
    zk->starting = true;
    zk->answered = zk->sent = loop_now(zk->loop);
    if (zk->library->alone)
        init_library(zk);
    loop_work_start(zk->loop, zk->library->alone ? nothing : init_library, on_library, NULL, zk);
}

static void on_addresses(const char *addresses, bool all, void *arg) {
    struct zk *zk = arg;
    const char *known = all || !zk->known ? "" : zk->known;
    free(zk->addresses);
    zk->addresses = xasprintf("%s%s%s", addresses, *addresses && *known ? "," : "", known);
    if (!all)
        log_warn("zk servers=%s not all names resolve, going on with %s", zk->servers,
                 *zk->addresses ? zk->addresses : "none");
    if (!*zk->addresses) {
        loop_timer_start(zk->loop, &zk->retry, RETRY_MS, start, zk);
        return;
    }
    begin(zk);
}

static void start(void *arg) {
    struct zk *zk = arg;
    if (zk->kept)
        begin(zk);
    else if (zk->resolve)
        resolve_again(zk->resolve);
    else
        zk->resolve = resolve_create(zk->loop, zk->servers, on_addresses, zk);
}

static struct zk *zk_make(struct loop *loop, const struct zk_config *config) {
    struct zk *zk = xnew(struct zk);
    const char *servers = config->servers ? config->servers : "", *slash = strchr(servers, '/');
    zk->loop = loop;
    zk->library = config->kept ? &zk_alone : &zk_client;
    zk->kept = config->kept ? xstrdup(config->kept) : NULL;
    zk->servers = slash ? xstrndup(servers, (size_t)(slash - servers)) : xstrdup(servers);
    zk->chroot = xstrdup(slash && slash[1] ? slash : "");
    zk->auth = config->auth ? xstrdup(config->auth) : NULL;
    zk->own = config->auth && !config->open ? zk_acl_own(config->auth) : NULL;
    zk->known = config->known && *config->known ? xstrdup(config->known) : NULL;
    zk->timeout = config->session_ms;
    zk->lost_after = config->lost_after_ms;
    zk->answered = loop_now(loop);
    zk->patience = FIRST_ANSWER_MS;
    list_init(&zk->ops);
    list_init(&zk->follows);
    zk->inbox = inbox_create(loop, on_message, zk);
    return zk;
}

int zk_open(struct loop *loop, const struct zk_config *config,
            void (*on_state)(enum zk_state state, void *arg), void *arg, struct zk **ret,
            struct err *err) {
    if (!config->kept && (!config->servers || !*config->servers || *config->servers == '/'))
        return err_set(err, ERR_USER, "zk: no server named");
    zoo_set_debug_level(log_is(LOG_LEVEL_DEBUG) ? ZOO_LOG_LEVEL_INFO : ZOO_LOG_LEVEL_ERROR);
    struct zk *zk = zk_make(loop, config);
    zk->on_state = on_state;
    zk->arg = arg;
    start(zk);
    *ret = zk;
    return 0;
}

// ---- closing ----

static void close_library(void *arg) { // on a worker: a stalled server holds it up for seconds
    struct zk *zk = arg;
    zk->library->close(zk->zh);
}

// Only now does no thread of the library know us any more.
static void on_library_closed(void *arg) {
    struct zk *zk = arg;
    void (*done)(void *arg) = zk->on_closed;
    void *done_arg = zk->on_closed_arg;
    list_remove(&zk->closing);
    inbox_free(zk->inbox, drop_message);
    struct zk_op *op;
    list_each(op, &zk->ops, struct zk_op, link) {
        zk_op_free(op);
    }
    zk_follow_free_all(zk);
    free(zk->kept);
    free(zk->servers);
    free(zk->chroot);
    free(zk->auth);
    free(zk->own);
    free(zk->known);
    free(zk->addresses);
    free(zk);
    if (done)
        done(done_arg);
}

// A worker in either case: their reports come even while the loop is being freed.
static void finish_close(struct zk *zk) {
    loop_work_start(zk->loop, zk->zh ? close_library : nothing, on_library_closed, NULL, zk);
}

// What a server says may make the library wait for ever, and libuv has but four threads. Those of
// the library cannot be ended, the worker can: init starts another one.
// A process that stood still for so long gives the library's threads a moment first.
static void end_if_library_hangs(void *arg) {
    struct loop *loop = arg;
    size_t n = 0;
    struct zk *zk;
    list_each(zk, &closings, struct zk, closing) {
        if (zk->loop != loop || loop_now(loop) - zk->closed_at < CLOSING_MOST_MS)
            continue;
        n += zk->overdue;
        if (!zk->overdue)
            loop_timer_start(loop, NULL, RETRY_MS, end_if_library_hangs, loop);
        zk->overdue = true;
    }
    if (!n)
        return;
    log_err("zk: the library hangs in %zu sessions that were given up: aborting, another worker is "
            "started (the workload runs on)",
            n);
    abort();
}

void zk_close(struct zk *zk, void (*done)(void *arg), void *arg) {
    CHECK(!zk->closed);
    zk->closed = true;
    zk->closed_at = loop_now(zk->loop);
    list_append(&closings, &zk->closing);
    loop_timer_start(zk->loop, NULL, CLOSING_MOST_MS, end_if_library_hangs, zk->loop);
    zk->on_closed = done;
    zk->on_closed_arg = arg;
    loop_timer_stop(&zk->clock);
    loop_timer_stop(&zk->retry);
    loop_timer_stop(&zk->reread);
    resolve_free(zk->resolve);
    zk->resolve = NULL;
    inbox_stop(zk->inbox);
    if (!zk->starting)
        finish_close(zk);
}
